"""``gpuwatch waste``, ``check``, ``explain`` and ``mute`` on a store with findings: texts, documents, exit codes, bad input."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from support.advice import Advice, held_idle
from support.inprocess import Done, run_program
from support.json_schema import faults
from support.story import START

from gpuwatch.clock import FakeClock
from gpuwatch.format import cells
from gpuwatch.names import Basis, Severity
from gpuwatch.rules.document import said_text
from gpuwatch.rules.types import NotEvaluated, Standing
from gpuwatch.view import schema

T0, MINUTE = round(START * 1000), 60_000
NOW_MS = T0 + 20 * MINUTE
RULE = "gpu-memory-held-idle"


class Shell:
    """Runs commands on the store, at the end of its recording."""

    def __init__(self, path: Path, advice: Advice) -> None:
        self.path, self.advice = path, advice

    def __call__(self, *words: str, after_s: float = 1, **env: str) -> Done:
        clock = FakeClock(NOW_MS / 1000 + after_s)
        home = str(self.path.parent)
        return run_program(
            "--store", str(self.path), "--tz", "UTC", *words, env={"HOME": home, "COLUMNS": "100", **env}, clock=clock
        )


@pytest.fixture
def shell(advice: Advice, tmp_path: Path) -> Shell:
    start = T0 + 2 * MINUTE
    told = {"started_ms": start, "last_ms": NOW_MS}
    advice.finding(
        held_idle(gpus=(2,)),
        rule=RULE,
        subject="gpu:GPU-1",
        owner_id=advice.owner("bob", pid=4711),
        minutes=advice.grown(start, start + MINUTE, NOW_MS, 1.0),
        command="python -m ipykernel",
        **told,
    )
    advice.finding(
        held_idle(name="waits for input", gpus=(1,), waste_gpus=0.4, basis=Basis.INFERRED, severity=Severity.NOTICE),
        rule="input-bound",
        subject="job:1:2:0",
        **told,
    )
    advice.finding(
        held_idle(name="power cap lowered", gpus=(3,), waste_gpus=0.2),
        rule="power-cap-limited",
        started_ms=start,
        last_ms=T0 + 9 * MINUTE,
        ended_ms=T0 + 9 * MINUTE,
        saved_gpu_ms_day=86_400_000 // 8,
        effect="throttled 20 -> 8%",
    )
    missed = Standing("xid-error", "host", "all GPUs", NotEvaluated("kernel log not readable", "sudo usermod -aG adm $USER"))
    advice.said(said_text(NOW_MS, [RULE, "input-bound", "xid-error", "other"], [missed]))
    return Shell(tmp_path / "store.db", advice)


# --------------------------------------------------------------------------------------------------------------- waste


def test_waste_begins_with_the_ledger_and_tells_findings_whole(shell: Shell) -> None:
    done = shell("waste")
    assert done.returncode == 0, done.stderr
    text = done.stdout
    assert text.splitlines()[1].startswith("Waste now 1.0 of 3 GPUs · today 0.3 of 1.0 GPU·h")
    parts = [
        "1 1.0 GPU  held idle",
        "pid 4711",
        "cost so far 0.3 GPU·h",
        "evidence",
        "kill 4711",
        "this GPU's own quiet run",
        "breakpoint",
    ]
    assert [part for part in parts if part not in text] == []
    assert text.index("held idle") < text.index("up to 0.4 GPU  waits for input")
    assert "xid-error · all GPUs" in text and "enable: sudo usermod -aG adm $USER" in text
    assert "4 rules: 2 open · 1 clear · 1 not evaluated" in text
    assert "never added up" in text


@pytest.mark.parametrize("width", [60, 80, 140])
def test_no_line_of_waste_is_too_wide(shell: Shell, width: int) -> None:
    for words in (("waste", "--all"), ("check", "--since", "1h"), ("explain",), ("explain", RULE)):
        lines = shell(*words, COLUMNS=str(width)).stdout.splitlines()
        assert [line for line in lines if cells(line) > width] == []


def test_what_cleared_is_told_within_its_span(shell: Shell) -> None:
    assert "Resolved" not in shell("waste", "--since", "5m").stdout
    told = shell("waste", "--since", "1h").stdout
    assert "saves 3.0 GPU·h a day  power cap lowered" in told and "throttled 20 -> 8%" in told
    then = shell("waste", "--at", "14:52:00", "--since", "1h", after_s=3600)
    assert then.returncode == 0 and "1 h ago" in then.stdout
    assert "cleared  power cap lowered" in then.stdout and "not measured yet" in then.stdout  # nobody could know it then


def test_waste_as_json_fits_its_schema_and_has_everything(shell: Shell) -> None:
    shell.advice.mute("input-bound", made_ms=NOW_MS - 1000)
    document = json.loads(shell("waste", "--json").stdout)
    assert faults(document, schema.waste()) == []
    assert [one["rule"] for one in document["findings"]] == [RULE]
    assert [one["rule"] for one in document["muted"]] == ["input-bound"]
    assert document["findings"][0]["facts"][0]["measured"] == "50 min"
    assert (document["rules"], document["rules_not_evaluated"]) == (4, 1)
    text = shell("waste").stdout
    assert "Muted 1" in text and "waits for input (GPU 0)" in text


def test_status_tells_the_first_findings_in_a_line_each(shell: Shell) -> None:
    text = shell("status").stdout
    assert "held idle" in text and "up to 0.4 GPU" in text and "What to do: gpuwatch waste" in text
    document = json.loads(shell("status", "--json").stdout)
    assert document["finding_counts"] == {"critical": 0, "warning": 1, "notice": 1, "info": 0}
    assert faults(document, schema.status()) == []


# --------------------------------------------------------------------------------------------------------------- check


def test_check_fails_at_its_level_and_above(shell: Shell) -> None:
    done = shell("check")
    assert done.returncode == 1
    assert done.stdout.startswith("FAIL  1 finding at warning or above · 1 below · node-07")
    assert shell("check", "--fail-on", "critical").returncode == 0
    assert shell("check", "--fail-on", "critical").stdout.startswith("OK    no finding at critical")
    shell.advice.mute(RULE, made_ms=NOW_MS - 1000, command="ipykernel")
    quiet = shell("check")
    assert quiet.returncode == 0 and "1 muted" in quiet.stdout
    assert shell("check", "--fail-on", "notice").returncode == 1


def test_check_of_a_span_has_what_cleared_in_it(shell: Shell) -> None:
    done = shell("check", "--since", "1h", "--json")
    assert done.returncode == 1
    document = json.loads(done.stdout)
    assert faults(document, schema.check()) == []
    assert {one["rule"]: one["ended_ms"] for one in document["findings"]} == {
        RULE: None,
        "input-bound": None,
        "power-cap-limited": T0 + 9 * MINUTE,
    }
    assert (document["failed"], document["replayed"], document["counts"]["warning"]) == (True, False, 2)
    text = shell("check", "--since", "1h").stdout
    assert "since 14:34" in text and "14:34 to 14:41" in text
    short = json.loads(shell("check", "--since", "5m", "--json").stdout)
    assert {one["rule"] for one in short["findings"]} == {RULE, "input-bound"}


def test_nothing_is_judged_where_nobody_records(shell: Shell) -> None:
    done = shell("check", after_s=3600)
    assert done.returncode == 3
    assert "nobody records on this host" in done.stderr and "--since 24h" in done.stderr


def test_other_limits_judge_the_rows_again_and_show_both(shell: Shell) -> None:
    limit = f"{RULE}.notebook_quiet_seconds"
    done = shell("check", "--what-if", f"{limit}=300", "--since", "1h", "--json")
    document = json.loads(done.stdout)
    assert faults(document, schema.check()) == []
    assert document["limits"] == [{"limit": limit, "present": 3600, "tried": 300}]
    assert document["replayed"]
    assert RULE not in {one["rule"] for one in document["findings_by_present_limits"]}
    assert [one["gpu_indices"] for one in document["findings"] if one["rule"] == RULE] == [[1]]
    text = shell("check", "--what-if", f"{limit}=300").stdout
    assert f"What if {limit} = 3600 -> 300:" in text and "present limits" in text


# ----------------------------------------------------------------------------------------------------- explain and mute


def test_explain_lists_all_rules_and_what_they_say_now(shell: Shell) -> None:
    text = shell("explain").stdout
    row = next(line for line in text.splitlines() if RULE in line)
    assert row.startswith("A2")
    assert "xid-error" in text and "not evaluated" in text
    assert "not evaluated" not in shell("explain", after_s=3600).stdout  # that was an hour ago


def test_explain_prints_the_page_of_one_with_the_limits_in_force(shell: Shell, tmp_path: Path) -> None:
    config = tmp_path / "c.toml"
    config.write_text(f'[rules.limits]\n"{RULE}.quiet_seconds" = 900\n')
    text = shell("--config", str(config), "explain", "a2").stdout
    assert text.startswith(f"{RULE} (A2)")
    assert "quiet_seconds: 1800 seconds, here 900" in text
    assert f"gpuwatch check --what-if {RULE}.quiet_seconds=" in text


def test_a_mute_hides_lists_and_lifts(shell: Shell) -> None:
    done = shell("mute", RULE, "--gpu", "1", "--for", "24h", "--reason", "a demo")
    assert done.returncode == 0, done.stderr
    assert f"Muted {RULE} on GPU 1 until Sat 14:52: 1 open finding hidden" in done.stdout
    assert "held idle" not in shell("status").stdout.split("Finding")[1].split("Host")[0]
    listed = shell("mute", "--list").stdout
    assert "GPU 1" in listed and "a demo" in listed
    assert shell("mute", "--lift", "1").returncode == 0
    assert shell("mute", "--list").stdout == "No mute is in force.\n"
    ever = shell("mute", "input-bound", "--command", "vit", "--for", "ever")
    assert "for ever: 0 open findings" in ever.stdout


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("mute", RULE), "for how long?"),
        (("mute",), "which rule?"),
        (("mute", "gpu-memory-held-idel", "--for", "1h"), f"did you mean '{RULE}'?"),
        (("mute", RULE, "--for", "soon"), "'soon' is not how long"),
        (("mute", RULE, "--for", "1h", "--gpu", "9"), "there is no GPU 9"),
        (("mute", RULE, "--for", "1h", "--command", " "), "would fit every command line"),
        (("mute", "input-bound", "--for", "1h", "--gpu", "1"), "is about jobs, not about single GPUs"),
        (("mute", "--lift", "7"), "there is no mute 7 in force"),
        (("mute", RULE, "--list"), "take no rule"),
        (("explain", "held"), "there is no rule 'held'"),
        (("check", "--what-if", "quiet=1"), "no rule has a limit 'quiet'"),
        (("check", "--what-if", f"{RULE}.quiet=1"), "has no limit 'quiet'; it has: quiet_seconds"),
        (("check", "--what-if", f"{RULE}.quiet_seconds=long"), "'long' is not a number"),
        (("check", "--since", "yore"), "is not a time"),
        (("waste", "--since", "now"), "is not before the instant"),
        (("waste", "--host", "x"), "--host names a host of the past"),
    ],
)
def test_bad_input_is_one_clear_line(shell: Shell, words: tuple[str, ...], said: str) -> None:
    done = shell(*words)
    assert done.returncode == 2
    assert said in done.stderr and done.stdout == ""


@pytest.mark.parametrize("words", [("mute", RULE, "--for", "1h"), ("mute", "--list"), ("check",)])
def test_without_a_store_the_next_step_is_said(tmp_path: Path, words: tuple[str, ...]) -> None:
    env = {"HOME": str(tmp_path), "COLUMNS": "100"}
    done = run_program("--store", str(tmp_path / "none.db"), *words, env=env, clock=FakeClock(START))
    assert done.returncode == 3
    assert "gpuwatch record" in done.stderr


def test_a_demo_is_judged_when_it_is_asked_since_nobody_recorded_it(shell: Shell) -> None:
    shell.advice.db.execute("DELETE FROM meta WHERE key LIKE 'advice:%'")
    shell.advice.db.execute("DELETE FROM finding")
    assert "No rule has judged this" in shell("waste").stdout
    shell.advice.db.execute("UPDATE meta SET value='1' WHERE key='simulated'")
    document = json.loads(shell("waste", "--json", GPUWATCH_RULES__LIMITS=f"{RULE}.notebook_quiet_seconds=300").stdout)
    assert document["simulated"]
    assert [(one["rule"], one["gpu_indices"], one["user"]) for one in document["findings"] if one["rule"] == RULE] == [
        (RULE, [1], "bob")
    ]
    assert document["rules"] == document["rules_open"] + document["rules_clear"] + document["rules_not_evaluated"] > 40
    off = shell("waste", GPUWATCH_RULES__ENABLED="false").stdout
    assert "No rule has judged this" in off


def test_what_is_stored_is_told_without_loading_the_rules(shell: Shell) -> None:
    code = (
        "import sys; from gpuwatch.cli import main\n"
        "for words in (['status'], ['waste', '--since', '30d'], ['check', '--since', '2025-11-14'], ['mute', '--list']):\n"
        "    main(['--store', sys.argv[1], *words])\n"
        "print(sorted({'gpuwatch.rules.catalogue', 'textual', 'rich', 'sqlalchemy', 'pydantic'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code, str(shell.path)], capture_output=True, text=True, timeout=60, check=True)
    assert "held idle" not in done.stdout.split("FAIL")[0]  # nobody judges any more
    assert "FAIL  2 findings" in done.stdout
    assert done.stdout.splitlines()[-1] == "[]"


def test_doctor_shows_what_is_configured_of_rules_and_names_what_is_wrong(shell: Shell, tmp_path: Path) -> None:
    config = tmp_path / "c.toml"
    config.write_text(f'[rules]\nreserve = [0, "GPU-x"]\n[rules.limits]\n"{RULE}.quiet_seconds" = 900\n')
    text = shell("--config", str(config), "doctor").stdout
    assert "look for waste while a recorder runs; 1 limit is changed" in text
    assert "0, GPU-x   from" in text and f"{RULE}.quiet_seconds=900   from" in text
    config.write_text('[rules]\noff = ["gpu-memory"]\n')
    wrong = shell("--config", str(config), "doctor")
    assert wrong.returncode == 0 and "there is no rule 'gpu-memory'" in wrong.stdout
    assert "nobody looks for waste" in shell("doctor", GPUWATCH_RULES__ENABLED="false").stdout
