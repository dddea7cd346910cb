"""Settings: sources in their order, unknown keys with the nearest known one, bad values in one line."""

from __future__ import annotations

from pathlib import Path

import pytest

from gpuwatch import settings
from gpuwatch.errors import UsageError
from gpuwatch.ruled import advice_settings


def load(tmp_path: Path, text: str = "", environ: dict[str, str] | None = None, **options: object) -> settings.Loaded:
    path = tmp_path / "config.toml"
    path.write_text(text, encoding="utf-8")
    values = {key.replace("__", "."): value for key, value in options.items()}
    return settings.load(values, environ=environ or {}, config=str(path))


def test_defaults_need_no_file(tmp_path: Path) -> None:
    loaded = settings.load(environ={"HOME": str(tmp_path)}, system_file=tmp_path / "none.toml")
    assert loaded.settings == settings.Settings()
    assert loaded.sources == {} and loaded.files == ()


def test_option_wins_over_variable_over_file(tmp_path: Path) -> None:
    text = "[record]\ninterval_seconds = 2\ncommit_seconds = 20\n[store]\nhot_hours = 4\n"
    environ = {"GPUWATCH_RECORD__INTERVAL_SECONDS": "3", "GPUWATCH_RECORD__COMMIT_SECONDS": "30"}
    loaded = load(tmp_path, text, environ, record__interval_seconds=5.0)
    assert loaded.settings.record.interval_seconds == 5
    assert loaded.settings.record.commit_seconds == 30
    assert loaded.settings.store.hot_hours == 4
    assert loaded.sources["record.interval_seconds"] == "option"
    assert loaded.sources["record.commit_seconds"] == "variable GPUWATCH_RECORD__COMMIT_SECONDS"
    assert loaded.sources["store.hot_hours"].endswith("config.toml")


def test_user_file_wins_over_system_file(tmp_path: Path) -> None:
    system = tmp_path / "system.toml"
    system.write_text("[store]\nhot_hours = 3\nminute_days = 10\n", encoding="utf-8")
    user = tmp_path / "gpuwatch" / "config.toml"
    user.parent.mkdir()
    user.write_text("[store]\nhot_hours = 5\n", encoding="utf-8")
    loaded = settings.load(environ={"XDG_CONFIG_HOME": str(tmp_path)}, system_file=system)
    assert (loaded.settings.store.hot_hours, loaded.settings.store.minute_days) == (5, 10)
    assert loaded.files == (system, user)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[record]\nintervall_seconds = 2\n", "did you mean 'record.interval_seconds'?"),
        ("[recrod]\n", "did you mean 'record'?"),
        ("store = 1\n", "write [store]"),
        ("[record]\ninterval_seconds = 'soon'\n", "record.interval_seconds = 'soon'"),
        ("[record]\ninterval_seconds = 0.01\n", "outside 1 to 60"),
        ("[record]\ninterval_seconds = 1.5\n", "not a whole number"),
        ("[record]\ncollectors = [1]\n", "config.toml: record.collectors.0 = 1"),
        ("[privacy]\ncommand_lines = 'all'\n", "privacy.command_lines"),
        ("[record\n", "not valid TOML"),
        ("[collectors]\nnvml = 3\n", "one table per collector"),
    ],
)
def test_a_bad_file_is_one_clear_line(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(UsageError) as error:
        load(tmp_path, text)
    assert said in error.value.message and "\n" not in error.value.message


def test_a_bad_variable_names_itself(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="variable GPUWATCH_RECORD__INTERVAL"):
        load(tmp_path, environ={"GPUWATCH_RECORD__INTERVAL": "1"})


def test_a_named_file_must_exist(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="does not exist"):
        settings.load(environ={}, config=str(tmp_path / "no.toml"))


def test_collector_tables_pass_through_untouched(tmp_path: Path) -> None:
    loaded = load(tmp_path, "[collectors.amd]\npath = '/opt/rocm'\n")
    assert loaded.settings.collector_options == {"amd": {"path": "/opt/rocm"}}


def test_a_list_in_a_variable_is_split_at_commas(tmp_path: Path) -> None:
    loaded = load(tmp_path, environ={"GPUWATCH_RECORD__COLLECTORS": "host, procs"})
    assert loaded.settings.record.collectors == ("host", "procs")


def test_rules_take_lists_and_limits_from_files_and_variables(tmp_path: Path) -> None:
    text = '[rules]\nreserve = [0, "GPU-x"]\noff = ["a"]\n[rules.limits]\n"a.b" = 60\na.c = 0.5\n'
    rules = load(tmp_path, text).settings.rules
    assert rules == settings.RulesSettings(reserve=(0, "GPU-x"), off=("a",), limits={"a.b": 60.0, "a.c": 0.5})
    environ = {"GPUWATCH_RULES__RESERVE": "0, 3", "GPUWATCH_RULES__LIMITS": "a.b=61", "GPUWATCH_RULES__ENABLED": "false"}
    rules = load(tmp_path, text, environ).settings.rules
    assert (rules.enabled, rules.limits, [str(each) for each in rules.reserve]) == (False, {"a.b": 61.0}, ["0", "3"])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "[rules]\noff = ['gpu-memory-held-idel']\n",
            "there is no rule 'gpu-memory-held-idel'; did you mean 'gpu-memory-held-idle'?",
        ),
        ("[rules]\noff = ['zzz']\n", "there is no rule 'zzz'; gpuwatch explain lists all rules"),
        ("[rules]\noff = ['gpu-memory-held-idle']\non = ['gpu-memory-held-idle']\n", "is in rules.off, too"),
        ("[rules.limits]\ngpu-memory-held-idle.quiet_second = 5\n", "has no limit 'quiet_second'; it has: quiet_seconds"),
        ("[rules.limits]\n'gpu-memory-held-idl.quiet_seconds' = 5\n", "did you mean 'gpu-memory-held-idle.quiet_seconds'?"),
        ("[rules.limits]\ngpu-memory-held-idle.quiet_seconds = -5\n", "is no limit: a number of 0 or more"),
    ],
)
def test_a_rule_or_limit_that_there_is_not_is_one_line(tmp_path: Path, text: str, said: str) -> None:
    loaded = load(tmp_path, text)
    with pytest.raises(UsageError) as caught:
        advice_settings(loaded.settings.rules, loaded.sources)
    assert said in caught.value.message
    assert "config.toml: rules." in caught.value.message


def test_what_is_called_fast_enough_holds_for_the_rule_about_it_if_somebody_said_so(tmp_path: Path) -> None:
    def limits(text: str) -> dict[str, float]:
        loaded = load(tmp_path, text)
        return dict(advice_settings(loaded.settings.rules, loaded.sources, loaded.settings.inference).limits)

    assert limits("[rules]\nenabled = true\n") == {}
    assert limits("[inference]\nttft_seconds = 0.3\n") == {"latency-slo-miss.ttft_seconds": 0.3}
    both = "[inference]\nttft_seconds = 0.3\ntarget_ratio = 0.9\n[rules.limits]\nlatency-slo-miss.ttft_seconds = 0.7\n"
    assert limits(both) == {"latency-slo-miss.ttft_seconds": 0.7, "latency-slo-miss.percentile": 0.9}


@pytest.mark.parametrize(
    ("environ", "said"),
    [
        ({"GPUWATCH_RULES__LIMITS": "a.b"}, "'a.b' has no value"),
        ({"GPUWATCH_RULES__LIMITS": "a.b=soon"}, "'soon' is not a number"),
        ({"GPUWATCH_RULES__OF": "x"}, "did you mean 'rules.off'?"),
    ],
)
def test_a_bad_variable_of_rules_is_one_line(tmp_path: Path, environ: dict[str, str], said: str) -> None:
    with pytest.raises(UsageError, match=said.replace("?", r"\?")):
        load(tmp_path, "", environ)
