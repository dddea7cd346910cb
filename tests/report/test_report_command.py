"""``gpuwatch report``: the span that was asked for, in the form that was asked for, and one line for what goes wrong."""

from __future__ import annotations

import csv
import io
import json
from datetime import UTC
from pathlib import Path

import pytest
from support.inprocess import Done, run_program
from support.story import START, Hold, Story, process

from gpuwatch.clock import FakeClock
from gpuwatch.commands import report as report_command
from gpuwatch.commands.report import color_tier
from gpuwatch.names import Context
from gpuwatch.parser import build_parser

T = int(START)
MINUTES = 40


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Forty minutes of two GPUs, one of them busy half of the time."""
    path = tmp_path_factory.mktemp("store") / "gpuwatch.db"
    story = Story(path, gpus=2)
    story.close_minutes()
    story.holds = [Hold(process(7), 0, sm=0.5)]
    story.gpus[0].util, story.gpus[0].context = lambda second: 0.9 if second % 20 < 10 else 0.0, Context.PROCESS
    story.run(MINUTES * 60)
    story.writer.close()
    return path


def report(store: Path, *more: str) -> Done:
    return run_program("--store", str(store), "--tz", "UTC", "report", *more, clock=FakeClock(START + MINUTES * 60))


def test_text_by_default(store: Path) -> None:
    done = report(store, "--width", "80")
    assert done.returncode == 0 and done.stderr == ""
    assert done.stdout.startswith(" gpuwatch  node-07 2 × H100 80GB\n") and "\x1b" not in done.stdout
    assert "alice" in done.stdout and "again: gpuwatch --store" in done.stdout
    assert max(map(len, done.stdout.split("\n"))) <= 80


def test_the_span_is_that_which_was_asked_for(store: Path) -> None:
    found = json.loads(report(store, "--since", "14:40", "--until", "14:50", "--json").stdout)
    assert found["span"]["since"] == "2025-11-14T14:40:00+00:00" and found["span"]["until"] == "2025-11-14T14:50:00+00:00"
    assert found["total"]["capacity_gpu_ms"] == 2 * 600_000
    assert found["kind"] == "report" and found["simulated"] is False
    again = report(store, "--since", "10m", "--json")
    assert json.loads(again.stdout)["span"]["asked_since"] == "2025-11-14T15:02:00+00:00"


@pytest.mark.parametrize("by", ["gpu", "user", "process", "host", "day", "hour"])
def test_every_table_in_every_form(store: Path, by: str) -> None:
    for form in ("text", "md", "csv", "json"):
        done = report(store, "--by", by, "--format", form)
        assert done.returncode == 0 and done.stdout, done.stderr
    rows = list(csv.DictReader(io.StringIO(report(store, "--by", by, "--format", "csv").stdout)))
    made = json.loads(report(store, "--by", by, "--json").stdout)
    assert sum(int(row["wait_gpu_ms"]) for row in rows) == made["total"]["buckets_gpu_ms"]["wait"] > 0


def test_the_files_name_says_the_form_and_it_is_not_overwritten(store: Path, tmp_path: Path) -> None:
    target = tmp_path / "week.md"
    assert report(store, "-o", str(target)).stdout == ""
    assert target.read_text(encoding="utf-8").startswith("# GPU report: node-07")
    again = report(store, "-o", str(target))
    assert again.returncode == 2 and "is there already" in again.stderr
    assert report(store, "-o", str(target), "--force", "--format", "text").returncode == 0
    assert target.read_text(encoding="utf-8").startswith(" gpuwatch  node-07")


def test_the_command_that_makes_it_again_makes_the_same(store: Path) -> None:
    import shlex

    first = report(store, "--since", "30m", "--by", "user", "--json").stdout
    command = json.loads(first)["command"]
    done = run_program(*shlex.split(command)[1:], "--json", clock=FakeClock(START + 86_400))
    same, before = json.loads(done.stdout), json.loads(first)
    for key in ("total", "gpus", "owners", "by"):
        assert same[key] == before[key]


@pytest.mark.parametrize(
    ("options", "code", "said"),
    [
        (("--since", "soon"), 2, "is not a time"),
        (("--since", "1h", "--until", "2h"), 2, "nothing lies between"),
        (("--by", "colour"), 2, "invalid choice"),
        (("--format", "html"), 2, "invalid choice"),
        (("--width", "20"), 2, "is not a width"),
        (("--width", "201"), 2, "from 60 to 200"),
        (("--host", "nowhere"), 2, "nowhere"),
        (("-o", "/nowhere/at/all.txt"), 3, "cannot be written"),
        (("--store", "/nowhere/x.db"), 3, "there is no store"),
    ],
)
def test_mistakes_are_one_line(store: Path, options: tuple[str, ...], code: int, said: str) -> None:
    done = report(store, *options)
    assert (done.returncode, done.stdout) == (code, "") and said in done.stderr


def test_an_empty_span_is_said_in_words(store: Path) -> None:
    done = report(store, "--since", "2001-01-01", "--until", "2001-01-02")
    assert done.returncode == 0 and "Nothing was observed in this span" in done.stdout and "0.0" not in done.stdout
    for by in ("gpu", "user", "process", "host", "day", "hour"):
        empty = report(store, "--since", "2001-01-01", "--until", "2001-01-02", "--format", "csv", "--by", by).stdout
        assert empty == report(store, "--format", "csv", "--by", by).stdout.partition("\n")[0] + "\n", "a head, and no row"


def test_output_that_takes_only_ascii_gets_the_marks_made_for_it(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gpuwatch.commands.report.is_unicode", lambda: False)
    done = report(store, "--width", "65")
    assert done.stdout.isascii() and max(map(len, done.stdout.split("\n"))) <= 65
    assert "-- Where" in done.stdout and "\n: Waiting" in done.stdout


def test_a_span_that_nothing_is_known_of_is_the_one_that_was_asked_for(store: Path) -> None:
    done = report(store, "--since", "2025-12-01", "--until", "2025-12-03")
    assert done.stdout.split("\n")[1].startswith("Mon 1 – Tue 2 Dec 2025")
    assert "begins in the future: it is 2025-11-14 15:12 now" in done.stdout
    done = report(store, "--since", "2025-12-01", "--until", "2025-12-03", "--format", "md")
    assert done.stdout.startswith("# GPU report: node-07, Mon 1 – Tue 2 Dec 2025, ")


def test_a_demo_is_made_again_by_the_times_that_were_asked_for() -> None:
    args = build_parser(["report"]).parse_args(["--demo=mig", "--seed", "3", "report", "--since=-2h"])
    command = report_command._command(args, 0, 7200, UTC)
    assert command == "gpuwatch --demo=mig --seed 3 report --since=-2h --until now --by gpu"


def test_simulated_is_said_everywhere(tmp_path: Path) -> None:
    story = Story(tmp_path / "sim.db", simulated=True)
    story.close_minutes()
    story.run(130)
    story.writer.close()
    for form, said in (("text", "SIMULATED lab"), ("md", "**SIMULATED** lab"), ("json", '"simulated": true'), ("csv", "simulated")):
        done = run_program("--store", str(tmp_path / "sim.db"), "report", "--format", form, clock=FakeClock(START + 130))
        assert said in done.stdout, form
        assert form != "csv" or "SIMULATED" in done.stderr


def test_colours_follow_the_terminal() -> None:
    color = {"TERM": "xterm-256color", "COLORTERM": "truecolor"}
    assert color_tier(color, "auto", tty=True) == "truecolor"
    assert color_tier({"TERM": "xterm"}, "auto", tty=True) == "16"
    assert color_tier(color, "16", tty=True) == "16"
    assert {color_tier(color, "auto", tty=False), color_tier(color | {"NO_COLOR": "1"}, "auto", tty=True), color_tier(color, "none", tty=True)} == {"none"}  # fmt: skip
