"""What stands on the screen of a training that has ended, hangs, has not begun, or tells little or nothing; and where else one is named."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
from support.sample_trainings import TRAININGS, hung, rich
from support.sample_view import NOW_MS, sample_view
from support.server_sheets import panel
from support.training_sheets import lines, sheet, with_trainings, work_named
from support.tui import SIZES, context_of, faults, mounted, sheet_of, text_of
from support.tui_views import first_run

from gpuwatch.format import NOTHING
from gpuwatch.names import Phase, Severity
from gpuwatch.tui.palette import Look
from gpuwatch.tui.panels.gpu_title import trained_by
from gpuwatch.tui.panels.process_facts import rank_words
from gpuwatch.tui.panels.training_words import lasting, loss_text, scale_of, small_rate
from gpuwatch.tui.screens.gpu import GpuScreen
from gpuwatch.tui.screens.help import HelpScreen
from gpuwatch.tui.screens.overview import OverviewScreen
from gpuwatch.tui.state import UiState
from gpuwatch.view.training_types import TrainingView
from gpuwatch.view.types import EventView, View


def changed(training: TrainingView) -> View:
    """The sample view with that training."""
    view = with_trainings("rich")
    work = replace(view.workloads[0], training=training, attached=training.attached, tokens_per_second=training.tokens_per_second)
    return replace(view, workloads=(work, *view.workloads[1:]))


def text(name: str, size: tuple[int, int] = (120, 40)) -> str:
    return "\n".join(lines(name, size))


def test_a_hang_is_the_first_thing_that_is_said_and_each_rank_says_its_own() -> None:
    view, look = with_trainings("hung"), Look()
    drawn = sheet(view, work_named(view), look=look)
    rows = drawn.text().splitlines()
    assert rows[2].startswith(" rank 0 waiting for data for 312 s, a step takes 1.8 s · step 5 690")
    assert drawn.cells(2).styles[1] == look.amber
    assert "0     0  waiting for data for 312 s" in drawn.text() and "1     1  in backward for 311 s" in drawn.text()
    assert "straggler" not in drawn.text()
    assert "86% of the run  it stands still" in drawn.text()
    assert "rank 0 waiting for data for 312 s" in text("hung", (80, 24))
    assert "Ranks 2   rank 0: its host needs 0.68 s a step" in text("samples", (60, 15))


@pytest.mark.parametrize(
    ("name", "words", "ink"),
    [
        ("failed", "failed 14:30:32, exit code 1", "held"),
        ("died", "died 14:30:32", "held"),
        ("stopped", "stopped 14:30:32", "waiting"),
        ("finished", "finished 14:30:32", "busy"),
    ],
)
def test_how_a_run_ended_stands_in_the_title(name: str, words: str, ink: str) -> None:
    view, look = with_trainings(name), Look()
    drawn = sheet(view, work_named(view), look=look)
    rows = drawn.text().splitlines()
    assert f"training · {words} · alice" in rows[1] and "ran 2:49:30" in rows[2] and "to go" not in rows[2]
    assert drawn.cells(1).styles[rows[1].index(words)] == look.style(ink, "bg", True)
    assert "the whole run" in drawn.text()
    assert ("lost, up to  0.28 GPU·h" in drawn.text()) is (name != "finished")
    assert "since its checkpoint" in drawn.text() or name == "finished"


def test_a_killed_rank_says_when_and_how_in_red_and_the_others_go_on() -> None:
    view, look = with_trainings("one_dead"), Look()
    drawn = sheet(view, work_named(view), look=look)
    rows = drawn.text().splitlines()
    y = next(y for y, row in enumerate(rows) if "died 14:31:52: killed or crashed, code not known" in row)
    assert rows[y][2:13].split() == ["1", "1"] and rows[y - 1][15:64].split()[0] == "1.79"
    assert drawn.cells(y).styles[15] == look.style("held", "bg", True) == drawn.cells(y).styles[6]
    assert "rank 1 died 14:31:52" in text("one_dead", (80, 24))


def test_before_the_first_step_nothing_is_zero() -> None:
    rows = lines("starting")
    assert rows[2].startswith(" starting for 38 s, no step yet · running")
    assert rows[4][7] == NOTHING and "MFU –" in rows[3] and "no step yet" in text("starting")
    assert "0     0  starting for 38 s" in text("starting")


def test_a_log_tells_its_age_and_what_would_tell_more() -> None:
    assert "from its log, 12 s old" in lines("from_log")[1]
    drawn = text("from_log")
    assert "its log has no phases: they need gpuwatch run -- torchrun --nproc-per-node 2 train.py" in drawn
    assert "8.21k" in drawn and "step 1 250 of 5 000" in drawn and "Where a step goes · 1.85 s" in drawn
    assert "None is attached" in drawn and "MFU –" in drawn and "its model is not known" in drawn


def test_not_attached_has_its_ledger_its_run_and_the_command_that_would_measure_it() -> None:
    for size in ((120, 40), (80, 24), (60, 15)):
        drawn = " ".join(text("unattached", size).split())
        assert "step times need: gpuwatch run -- torchrun --nproc-per-node 2" in drawn
    rows = lines("unattached")
    assert "not attached" in rows[1] and "Known without it: GPU time 5.71 GPU·h" in text("unattached")
    assert any(row.startswith("╭─ Where its GPU time went ─") for row in rows) and "57120 alice" in text("unattached")
    silent = replace(TRAININGS["unattached"], hint="", run=None)
    view = changed(silent)
    assert "step times need: gpuwatch run -- torchrun --nproc-per-node 2" in sheet(view, work_named(view)).text()
    plain = sample_view()
    assert "step times need: gpuwatch run -- " in sheet(plain, plain.workloads[3]).text()


def test_samples_stand_where_tokens_are_not_counted() -> None:
    rows = lines("samples")
    assert rows[3].startswith("╭─ Samples/s ─") and rows[4][1:23].split() == ["272", "samples/s", "now"]
    assert "tokens are not counted: its batches have no" in text("samples")
    steps = changed(replace(TRAININGS["samples"], samples_per_second=None))
    assert "Steps/s" in sheet(steps, work_named(steps)).text() and "0.53 steps/s now" in sheet(steps, work_named(steps)).text()
    view, look = with_trainings("samples"), Look()
    drawn = sheet(view, work_named(view), look=look)
    y = next(y for y, row in enumerate(drawn.text().splitlines()) if row[4:].startswith("data wait"))
    assert drawn.cells(y).styles[36] == look.amber and drawn.cells(y - 1).styles[36] == look.white


def test_the_past_is_not_called_now_and_its_titles_are_amber() -> None:
    live, look = with_trainings("rich"), Look()
    view = replace(live, at_ms=NOW_MS - 3_600_000, now_ms=NOW_MS, past=True)
    drawn = sheet(view, work_named(view), look=look)
    rows = drawn.text().splitlines()
    assert view.past and "tok/s then" in rows[4] and rows[11][59:63] == "then" and " now" not in "\n".join(rows[1:38])
    assert drawn.cells(3).styles[3] == look.past.title


def test_old_numbers_are_dim_and_say_how_old_they_are() -> None:
    view, look = with_trainings("stale"), Look()
    drawn = sheet(view, work_named(view), look=look)
    assert drawn.text().splitlines()[2].startswith(" numbers 14 s old · step 5 690")
    assert drawn.cells(4).styles[7] == look.dim
    slow = changed(rich(age_seconds=14.0, step_seconds=6.0, phase=None))
    told = changed(rich(age_seconds=14.0))
    assert "old" not in sheet(told, work_named(told)).text().splitlines()[2], "its recording has long intervals"
    assert "old" not in sheet(slow, work_named(slow)).text().splitlines()[2], "not older than three steps"


def test_a_training_of_which_little_is_known_has_its_dashes() -> None:
    drawn = text("bare")
    assert "counts declared by gpuwatch_track" in drawn and "0.004 steps/s now" in drawn
    assert "no phase of its steps was measured" in drawn and "nothing of it is known yet" in drawn


def test_times_keep_three_digits_and_one_unit() -> None:
    of = [scale_of(rich(step_seconds=step)) for step in (1_234.0, 12.34, 1.79, 0.48, 0.048, 0.0048, None)]
    assert [scale.length(step) for scale, step in zip(of, (1_234.0, 12.34, 1.79, 0.48, 0.048, 0.0048, None), strict=True)] == ["1 234 s", "12.34 s", "1.79 s", "480 ms", "48.0 ms", "4.80 ms", NOTHING]  # fmt: skip
    assert (of[2].text(0.0), of[2].text(0.001), of[2].text(None), of[4].text(0.00001)) == ("0", "<0.01", NOTHING, "<0.1")
    assert [small_rate(value) for value in (None, 0.0, 0.004, 0.56, 9.0, 9.99, 272.0)] == [NOTHING, "0", "0.004", "0.56", "9", "9.99", "272"]  # fmt: skip
    assert [loss_text(loss) for loss in (2.3141, 0.0, 1e-5, float("nan"), float("inf"))] == ["2.314", "0.000", "1.00e-05", "nan", "inf"]  # fmt: skip
    assert lasting(None, 3.0) == "" and lasting(Phase.ENDED, 3.0) == "ended"
    assert lasting(Phase.FORWARD, 0.3) == "in forward" and lasting(Phase.EVAL, 4_000.0) == "in evaluation for 1 h 6 min"


# ------------------------------------------------------------------------------------------------------ other screens


def test_rows_of_the_overview() -> None:
    rows = panel(with_trainings("rich", "samples", "hung"))
    assert rows[0].split()[:4] == ["llama-8b", "train", "13.7k", "tok/s"] and len(rows[0][29:38].strip()) == 9
    assert rows[1].rstrip() == "step 1.79 s · data 3% · MFU 38%"
    assert rows[2].split()[:4] == ["samples…", "train", "272", "samples/s"] and rows[3].rstrip() == "step 1.88 s · data 58%"
    assert rows[4][20] == "0" and rows[5].startswith("rank 0 waiting for data for 312 s")
    rows = panel(with_trainings("failed", "one_dead", "from_log"))
    assert rows[1].startswith("failed 14:30:32, exit code 1") and rows[3].startswith("rank 1 died · step 1.79 s")
    assert rows[5].rstrip() == "step 1.85 s · from its log, 12 s old"
    assert panel(with_trainings("starting"))[1].rstrip() == "starting for 38 s"
    wide = panel(with_trainings("rich", cells=75), (200, 60))
    assert wide[2].rstrip() == "step 5 690 of 20 000 · loss 2.314"


def test_a_training_that_could_not_be_attached_says_why_and_not_to_do_it_again() -> None:
    view = changed(
        TrainingView(attached=False, detail="not attached to pid 57120: Python was started with -I; start it without -I")
    )
    shown = sheet(view, work_named(view)).text()
    assert "Seen: not attached to pid 57120: Python was started with -I" in shown and "gpuwatch run --" not in shown
    assert "llama-8b: not attached to pid 57120: Python was started" in sheet_of(OverviewScreen, view, (120, 40)).text()
    alone = replace(view, gpus=(), workloads=view.workloads[:1])
    assert "A training could not be attached." in sheet_of(OverviewScreen, alone, (120, 40)).text()
    assert "not attached: llama-8b" in sheet_of(OverviewScreen, view, (200, 60)).text()


def test_a_single_row_says_how_it_ended_or_that_it_stands_still_in_place_of_a_rate() -> None:
    view = replace(with_trainings("hung", "failed", "one_dead", "rich"), gpus=())
    drawn = [row[70:119] for row in sheet_of(OverviewScreen, view, (120, 40)).text().splitlines()]
    top = next(y for y, row in enumerate(drawn) if row.startswith("│ llama-8b"))
    assert [row[25:].strip() for row in drawn[top : top + 3]] == ["stands still", "failed 14:30:32", "rank 1 died"]
    assert "13.7k tok/s" in drawn[top + 3]


def test_a_long_hang_is_told_whole_in_a_narrow_panel() -> None:
    training = replace(hung(), stalled="rank 5 waiting for data for 11 h 51 min, a step takes 1.8 s")
    assert panel(changed(training))[1].rstrip() == "rank 5 waiting for data, 11 h 51 min"


@pytest.mark.parametrize("size", SIZES)
def test_the_overview_stays_clean(size: tuple[int, int]) -> None:
    names = list(TRAININGS)
    for start in range(0, len(names), 4):
        view = with_trainings(*names[start : start + 4], cells=75 if size[0] >= 200 else 45)
        look = Look("none", ascii_only=True) if start % 8 else Look()
        assert faults(sheet_of(OverviewScreen, view, size, look, UiState(focus="throughput"))) == []


def test_a_hang_and_much_waiting_for_data_are_amber_in_the_overview() -> None:
    look = Look()
    drawn = sheet_of(OverviewScreen, with_trainings("hung", "samples"), (120, 40), look)
    assert drawn.cells(20).styles[79] == look.amber
    row = "".join(drawn.cells(22).texts)
    assert drawn.cells(22).styles[row.index("58%")] == look.amber


@pytest.mark.parametrize("size", [(80, 24), (100, 30), (120, 40), (200, 60)])
def test_every_size_of_the_overview_says_that_a_training_stands_still(size: tuple[int, int]) -> None:
    view = with_trainings("hung", cells=75 if size[0] >= 200 else 45)
    drawn = sheet_of(OverviewScreen, view, size)
    assert "llama-8b: rank 0 waiting for data for 312 s" in drawn.text() and faults(drawn) == []
    assert "llama-8b: " not in sheet_of(OverviewScreen, with_trainings("rich"), size).text()


def test_of_ranks_that_stand_still_the_one_that_the_others_wait_for_is_amber() -> None:
    view, look = with_trainings("hung"), Look()
    drawn = sheet(view, work_named(view), look=look)
    y = next(y for y, row in enumerate(drawn.text().splitlines()) if "0  waiting for data for 312 s" in row)
    assert drawn.cells(y).styles[15] == look.amber and drawn.cells(y + 1).styles[15] == look.fg
    both = changed(replace(hung(), ranks=tuple(replace(rank, phase=Phase.BACKWARD) for rank in hung().ranks)))
    drawn = sheet(both, work_named(both), look=look)
    assert drawn.cells(y).styles[15] == look.amber == drawn.cells(y + 1).styles[15]
    old = changed(replace(hung(), phases=(), step_seconds=None, steps_per_second=None, mfu_ratio=None, tokens_per_second=None))
    text = sheet(old, work_named(old)).text()
    still = changed(replace(hung(), phases=(), step_seconds=None))
    assert "no step has ended in the last 5 min" in sheet(still, work_named(still)).text()
    assert "no step has ended in the last 5 min" in text and "no step ends" in text and "no step yet" not in text


def test_runs_that_are_not_attached_are_named_in_the_border() -> None:
    drawn = sheet_of(OverviewScreen, with_trainings("rich"), (120, 40)).text().splitlines()
    assert "no gpuwatch run: vit-l, sdxl_ft" in drawn[25]
    one = with_trainings("rich", cells=75)
    wide = sheet_of(OverviewScreen, replace(one, workloads=one.workloads[:3]), (200, 60)).text()
    assert "1 not attached (gpuwatch run): vit-l" in wide
    other = replace(one.workloads[2], kind="other", name="dcgm-exporter", root_pid=902)
    both = sheet_of(OverviewScreen, replace(one, workloads=(*one.workloads[:3], other)), (200, 60)).text()
    assert "no gpuwatch run: vit-l · 1 other" in both
    none = replace(sample_view(), workloads=sample_view().workloads[2:])
    assert "gpuwatch run -- python train.py" in sheet_of(OverviewScreen, none, (120, 40)).text()


def test_the_first_steps_name_the_command() -> None:
    text_of_steps = sheet_of(OverviewScreen, first_run(), (120, 40)).text()
    assert "gpuwatch run -- python train.py" in text_of_steps and "its phases and waits, script unchanged" in text_of_steps


def test_enter_on_a_rank_opens_its_training_and_enter_again_its_process() -> None:
    async def go() -> tuple[str, str]:
        async with mounted(with_trainings("rich"), (120, 40)) as (app, pilot):
            app.open_work_or_process(57_120, next(p.start_ms for p in app.view.processes if p.pid == 57_120))
            await pilot.pause()
            first = text_of(app)
            await pilot.press("enter")
            await pilot.pause()
            return first, text_of(app)

    first, second = asyncio.run(go())
    assert "Where a step goes · 1.79 s" in first and "pid 57098 · alice" in second


def test_the_detail_of_a_process_says_its_rank_its_phase_and_its_step() -> None:
    view = with_trainings("rich")
    process = next(p for p in view.processes if p.pid == 57_121)
    training = view.workloads[0].training
    assert training is not None
    ranks = (training.ranks[0], replace(training.ranks[1], start_ms=process.start_ms, phase_age_seconds=7.0))
    view = changed(replace(training, ranks=ranks))
    words = rank_words(context_of(OverviewScreen, view, (120, 40)), view, process)
    assert ["".join(text for text, _ in group) for group in words] == ["rank 1 of 2", "in backward for 7 s", "step 1.79 s", "data wait 0.05 s", "6.86k tok/s"]  # fmt: skip
    other = next(p for p in view.processes if p.pid == 33_071)
    assert rank_words(context_of(OverviewScreen, view, (120, 40)), view, other) == []


def test_the_title_of_a_gpu_says_which_rank_has_it_and_what_that_hangs_in() -> None:
    view = with_trainings("rich")
    assert trained_by(view, view.gpus[1]) == "rank 1 of llama-8b" and trained_by(view, view.gpus[5]) == ""
    assert "rank 1 of llama-8b" in sheet_of(GpuScreen, view, (160, 45), ui=UiState(gpu=1)).text()
    hanging = with_trainings("hung")
    assert trained_by(hanging, hanging.gpus[0]) == "rank 0 of llama-8b, waiting for data for 312 s"
    assert trained_by(with_trainings("one_dead"), view.gpus[1]) == "", "a dead rank has no GPU"


def test_an_event_of_a_rank_stands_among_the_events() -> None:
    event = EventView(NOW_MS - 15_000, "rank_died", Severity.CRITICAL, "llama-8b: rank 1 of 2 died in backward", 1, 57_121)
    view = with_trainings("one_dead", cells=75)
    drawn = sheet_of(OverviewScreen, replace(view, events=(event, *view.events)), (200, 60)).text()
    assert "14:31 ▌ GPU 1   llama-8b: rank 1 of 2 died in" in drawn


def test_help_names_the_parts_of_a_step() -> None:
    async def go() -> str:
        async with mounted(with_trainings("rich"), (120, 40)) as (app, pilot):
            await pilot.press("question_mark")
            await pilot.pause()
            return text_of(app)

    shown = asyncio.run(go())
    assert HelpScreen.NAME == "help"
    for word in ("parts of a training step", "optimizer", "data wait", "checkpoint", "other host", "compile"):
        assert word in shown, word


def test_copy_gives_the_command_that_would_attach_it() -> None:
    async def go(name: str) -> str:
        async with mounted(with_trainings(name), (120, 40)) as (app, pilot):
            app.open_workload((57_098, app.view.workloads[0].root_start_ms, 0))
            await pilot.pause()
            await pilot.press("y")
            return app.copied

    assert asyncio.run(go("unattached")) == "gpuwatch run -- torchrun --nproc-per-node 2 train.py --config llama-8b.yaml"
    assert asyncio.run(go("rich")) == "llama-8b llama-8b"
    assert hung().stalled
