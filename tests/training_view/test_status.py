"""Trainings in ``gpuwatch status``: a row each, what is wrong, a hint where none is attached; and the same as JSON by its schema."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from support.json_schema import faults
from support.story import process
from support.trained import Trains, even, held, trained_story, view_of

from gpuwatch.names import Latency, TrainingSource
from gpuwatch.report.status_text import status_text
from gpuwatch.view.json import status_json
from gpuwatch.view.schema import status as schema
from gpuwatch.view.types import View

FACTS = {"world": 2, "data_parallel": 2, "data_parallel_source": "assumed", "gpu_uuid": "GPU-0", "total_steps": 500, "flops_per_token": 6e9, "flops_formula": "6N"}  # fmt: skip


@pytest.fixture(scope="module")
def view(tmp_path_factory: pytest.TempPathFactory) -> View:
    """A job of two ranks, one by its log, one that is not attached."""
    told = even(2.0, 4000.0) | {"step_number": 120.0, "other_seconds": 0.0}
    first = Trains(100, 0, lambda s: told, facts=FACTS, buckets=lambda s: {Latency.STEP: {(400_000, 600_000): 4}})
    peer = Trains(101, 1, lambda s: told, 100, FACTS | {"gpu_uuid": "GPU-1"})
    log = Trains(
        200, None, lambda s: {"rank_steps_total": 1.0, "samples_total": 8.0}, facts={"source": TrainingSource.LOG, "model": ""}
    )
    story = trained_story(tmp_path_factory.mktemp("status") / "s.db", first, peer, log, gpus=4)
    for index, one in enumerate((first, peer, log)):
        held(story, one, index)
    story.run(40)
    silent = Trains(300, tells=lambda s: None)
    story.trains.append(silent)
    story.told[300] = silent.card()
    held(story, silent, 3)
    story.run(30)
    return view_of(story)


def test_a_row_each_and_a_hint_for_those_that_are_not_attached(view: View) -> None:
    text = status_text(view, width=120)
    found = [line for line in text.splitlines() if line.startswith(("Training ", "gpt ", "training ", "  └"))]
    head, *rows = [" ".join(line.split()) for line in found]
    assert head == "Training GPU ranks a second step s step data % MFU % J/tok now Model"
    assert rows[0] == "gpt 0-1 2 16.0k tok 1.00 120/500 10 5 0.01 forward GPT"
    assert rows[1] == "gpt 2 1 8 samples 1.00 – – – – by its log"
    assert rows[2] == "└ step times need gpuwatch run -- COMMAND"
    assert rows[3] == "training gpt on GPU 3: tokens/s and steps need gpuwatch run -- COMMAND"
    assert len(rows) == 4


def test_no_line_is_too_wide(view: View) -> None:
    for width in (60, 80, 100, 140):
        assert max(map(len, status_text(view, width=width).splitlines())) <= width


def test_json_says_the_same_by_its_schema(view: View) -> None:
    document = status_json(view)
    assert faults(json.loads(json.dumps(document)), schema()) == []
    job, log, silent = (work["training"] for work in document["workloads"])
    assert (job["tokens_per_second"], job["source"], job["phase"], len(job["ranks"])) == (
        pytest.approx(16_000.0),
        "hook",
        "forward",
        2,
    )
    assert [part["phase"] for part in job["phases"]] == ["data", "forward", "backward", "optimizer"]
    assert job["run"]["outcome"] == "running" and job["ranks"][1]["gpu_index"] == 1
    assert (log["attached"], log["samples_per_second"], log["missing"]["mfu_ratio"]) == (False, pytest.approx(8.0), "not_attached")
    assert (silent["attached"], silent["hint"], silent["ranks"], silent["run"]) == (False, "gpuwatch run -- COMMAND", [], None)


def test_without_a_training_status_loads_nothing_of_it(tmp_path: Path) -> None:
    trained_story(tmp_path / "s.db").run(5)
    code = (
        "import sys; from pathlib import Path; from gpuwatch.store.window import Window; from gpuwatch.view.build import build_view;"
        "from gpuwatch.report.status_text import status_text; window = Window(Path(sys.argv[1]));"
        "status_text(build_view(window, now_ms=window.newest_ms()));"
        "print(sorted(name for name in sys.modules if 'train' in name and name.startswith('gpuwatch')))"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path / "s.db")], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout.replace("'", '"')) == [
        "gpuwatch.store.trained",
        "gpuwatch.training",
        "gpuwatch.view.training_types",
    ]


def test_one_that_nobody_measures_is_there_as_long_as_its_processes(tmp_path: Path) -> None:
    silent = Trains(300, tells=lambda s: None)
    story = trained_story(tmp_path / "s.db", silent)
    held(story, silent)
    story.told[300] = silent.card()
    story.run(1)
    story.trains.clear()  # nobody describes it again
    story.run(240)
    assert [(work.kind, work.gpu_indices) for work in view_of(story).workloads] == [("training", (0,))]
    story.holds.clear()
    story.host_only = [process(7)]
    story.run(10)
    assert view_of(story).workloads == ()


def test_how_old_the_newest_line_of_a_log_is(tmp_path: Path) -> None:
    lines = Trains(
        100,
        0,
        lambda s: even() | {"attached_seconds": None, "phase": None} if s <= 60 else None,
        facts={"source": TrainingSource.LOG},
    )
    story = trained_story(tmp_path / "s.db", lines)
    held(story, lines)
    notes = [line for line in status_text(view_of(story.run(60)), width=120).splitlines() if line.startswith("  └")]
    assert notes == ["  └ step times need gpuwatch run -- COMMAND"]
    notes = [line for line in status_text(view_of(story.run(20)), width=120).splitlines() if line.startswith("  └")]
    assert notes == ["  └ its newest line is 20 s old · step times need gpuwatch run -- COMMAND"]
