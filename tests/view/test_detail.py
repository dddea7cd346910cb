"""Lanes, holders, ledger and processes over time: maxima of the samples, closed cells read once, minutes where rows are gone."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.story import START, Hold, Story, process

from gpuwatch.names import Bucket, Context, Missing, State
from gpuwatch.store.window import Window
from gpuwatch.view.detail import gpu_history, gpu_holders, gpu_ledger, process_history
from gpuwatch.view.parts import bucket_ms
from gpuwatch.view.types import GpuHistory

END = round(START * 1000)


@pytest.fixture
def story(tmp_path: Path) -> Story:
    return Story(tmp_path / "store.db", 2)


def lane(history: GpuHistory | None, name: str) -> tuple[float | None, ...]:
    assert history is not None
    return next(lane.cells for lane in history.lanes if lane.name == name)


def test_a_cell_is_the_maximum_of_its_samples(story: Story) -> None:
    story.gpus[0].util = lambda second: 1.0 if second == 15 else 0.25
    story.run(40)
    with Window(Path(str(story.writer.path))) as window:
        history = gpu_history(window, "GPU-0", END + 40_000, cells=5, cell_seconds=10)
        other = gpu_history(window, "GPU-1", END + 40_000, cells=5, cell_seconds=10)
    assert lane(history, "utilization_ratio") == (None, 0.25, 1.0, 0.25, 0.25)
    assert lane(other, "utilization_ratio") == (None, 0.0, 0.0, 0.0, 0.0)
    assert history is not None
    assert not history.from_minutes


def test_rates_are_amounts_over_the_time_of_their_row(story: Story) -> None:
    story.gpus[0].sample = {"pcie_rx_bytes": 512.0 * 1024}
    story.run(20)
    with Window(Path(str(story.writer.path))) as window:
        history = gpu_history(window, "GPU-0", END + 20_000, cells=2, cell_seconds=10)
    assert lane(history, "pcie_rx_bytes_per_second") == (512.0 * 1024, 512.0 * 1024)
    assert history is not None
    found = next(lane for lane in history.lanes if lane.name == "pcie_rx_bytes_per_second")
    assert found.now == 512.0 * 1024


def test_a_lane_that_is_not_measured_says_why(story: Story) -> None:
    story.missing[("gpu", "GPU-0", "sm_active_ratio")] = Missing.NOT_SUPPORTED
    story.run(20)
    with Window(Path(str(story.writer.path))) as window:
        history = gpu_history(window, "GPU-0", END + 20_000, cells=2, cell_seconds=10)
    assert history is not None
    found = next(lane for lane in history.lanes if lane.name == "sm_active_ratio")
    assert (found.missing, found.now, found.cells) == (Missing.NOT_SUPPORTED, None, (None, None))


def test_asking_again_reads_only_what_is_new_and_says_the_same(story: Story) -> None:
    story.gpus[0].util, story.gpus[0].context = (lambda second: (second % 17) / 17), Context.PROCESS
    story.holds = [Hold(process(10), 0)]
    with Window(Path(str(story.writer.path))) as window:
        for seconds in (5, 31, 10, 64, 1):
            story.run(seconds)
            grown = gpu_history(window, "GPU-0", story.now_ms, cells=12, cell_seconds=10)
            held = gpu_holders(window, "GPU-0", story.now_ms, cells=12, cell_seconds=10)
    with Window(Path(str(story.writer.path))) as window:
        assert gpu_history(window, "GPU-0", story.now_ms, cells=12, cell_seconds=10) == grown
        assert gpu_holders(window, "GPU-0", story.now_ms, cells=12, cell_seconds=10) == held


def test_holders_stand_in_the_cells_they_were_there_with_the_state_of_the_gpu(story: Story) -> None:
    story.gpus[0].util, story.gpus[0].context = 0.9, Context.PROCESS
    story.holds = [Hold(process(10, "dave"), 0, 1000)]
    story.run(40)
    story.holds.append(Hold(process(11, "erin"), 0, 5000))
    story.run(20)
    story.holds.pop()
    story.run(20)
    with Window(Path(str(story.writer.path))) as window:
        held = gpu_holders(window, "GPU-0", story.now_ms, cells=4, cell_seconds=20)
    assert [(h.user, h.peak_bytes) for h in held] == [("dave", 1000 * 1024**2), ("erin", 5000 * 1024**2)]
    assert held[0].cells == (State.BUSY,) * 4
    assert held[1].cells == (None, None, State.BUSY, None)


def test_older_than_single_rows_minute_values_are_shown(story: Story) -> None:
    story.close_minutes()
    story.gpus[0].util, story.gpus[0].context = 0.9, Context.PROCESS
    story.holds = [Hold(process(10, "dave"), 0, 1000)]
    story.run(420)
    db = story.writer.connection
    cut = db.execute("SELECT max(tick_id) FROM tick WHERE ts_ms<=?", (END + 180_000,)).fetchone()[0]
    for table in ("gpu_sample", "process_sample", "tick"):
        db.execute(f"DELETE FROM {table} WHERE tick_id<=?", (cut,))
    with Window(Path(str(story.writer.path))) as window:
        history = gpu_history(window, "GPU-0", story.now_ms, cells=10, cell_seconds=40)
        held = gpu_holders(window, "GPU-0", story.now_ms, cells=10, cell_seconds=40)
    assert history is not None
    assert history.from_minutes
    assert lane(history, "utilization_ratio") == (0.9,) * 10
    assert history.states == (State.BUSY,) * 10
    assert held[0].cells == (State.BUSY,) * 10


def test_one_gpus_ledger_sums_to_its_time(story: Story) -> None:
    story.close_minutes()
    story.gpus[0].context = Context.PROCESS
    story.run(420)
    with Window(Path(str(story.writer.path))) as window:
        ledger = gpu_ledger(window, "GPU-0", END, story.now_ms)
        assert gpu_ledger(window, "GPU-9", END, story.now_ms) is None
    assert ledger is not None
    assert sum(part.ms for part in ledger.parts) == ledger.capacity_ms
    assert bucket_ms(ledger.parts)[Bucket.HELD_IDLE] == 419_000


def test_a_process_shows_its_own_time_and_nothing_where_it_was_not(story: Story) -> None:
    story.run(20)
    story.gpus[0].util, story.gpus[0].context = 0.9, Context.PROCESS
    story.holds = [Hold(process(10), 0, sm=0.7)]
    story.run(40)
    with Window(Path(str(story.writer.path))) as window:
        history = process_history(window, 10, process(10).start_ms, story.now_ms, cells=3, cell_seconds=20)
        assert process_history(window, 99, 1, story.now_ms) is None
    assert history is not None
    assert [lane.name for lane in history.lanes] == ["sm_utilization_ratio", "cpu_ratio", "gpu_memory_bytes"]
    assert history.lanes[0].cells == (None, pytest.approx(0.7), pytest.approx(0.7))
    assert history.states == (None, State.BUSY, State.BUSY)
