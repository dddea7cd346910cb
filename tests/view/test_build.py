"""The view of a recorded story: states, holders, waste, ledger and what is missing, now and at instants of the past."""

from __future__ import annotations

from datetime import UTC
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from support.story import START, Hold, Story, gpu, process

from gpuwatch.ledger.ratios import WASTE
from gpuwatch.model import Event
from gpuwatch.names import Bucket, Context, Missing, Severity, State
from gpuwatch.store.rows import SourceState
from gpuwatch.store.window import Window
from gpuwatch.view import live
from gpuwatch.view.build import build_view, midnight_ms
from gpuwatch.view.parts import bucket_ms
from gpuwatch.view.types import View


def view_of(story: Story, window: Window | None = None, at_ms: int | None = None, **options: object) -> View:
    if window is None:
        with Window(Path(str(story.writer.path))) as opened:
            return view_of(story, opened, at_ms, **options)
    settings: dict[str, object] = {"now_ms": story.now_ms, "tz": UTC, "holder_pid": 7}
    return build_view(window, at_ms, **(settings | options))  # type: ignore[arg-type]


@pytest.fixture
def story(tmp_path: Path) -> Story:
    return Story(tmp_path / "store.db", 3)


def test_states_and_the_ledger_of_three_gpus(story: Story) -> None:
    busy, held, _ = story.gpus
    busy.util, busy.context = 0.9, Context.PROCESS
    held.context = Context.PROCESS
    story.run(400)
    view = view_of(story)
    assert [gpu.state for gpu in view.gpus] == [State.BUSY, State.HELD_IDLE, State.FREE]
    assert view.gpus[1].state_since_ms == round((START + 1) * 1000)
    assert view.ledger is not None
    assert view.ledger.capacity_ms == 3 * 399_000 == sum(part.ms for part in view.ledger.parts)
    assert bucket_ms(view.ledger.parts) == {
        Bucket.UNALLOCATED: 399_000,
        Bucket.HELD_IDLE: 399_000,
        Bucket.WAIT: 39_900,
        Bucket.BUSY_UNKNOWN: 359_100,
    }
    assert view.ledger.waste_gpus == pytest.approx(1.1)
    assert view.waste_now_gpus == pytest.approx(1.1)
    assert [gpu.waste_gpus for gpu in view.gpus] == pytest.approx([0.1, 1.0, 0.0])
    assert view.ledger.span.coverage_ratio == 1.0


def test_an_incremental_view_equals_a_fresh_one(story: Story) -> None:
    story.close_minutes()
    story.gpus[0].util, story.gpus[0].context = (lambda second: 0.9 if second % 37 < 20 else 0.0), Context.PROCESS
    story.gpus[1].context = Context.PROCESS
    story.holds = [Hold(process(10), 0), Hold(process(11, "bob"), 0, sm=0.2), Hold(process(12), 1)]
    with Window(Path(str(story.writer.path))) as window:
        for seconds in (3, 50, 1, 1, 300, 7, 40):
            story.run(seconds)
            grown = view_of(story, window)
        assert grown == view_of(story)


def test_a_view_is_of_one_state_of_the_store(story: Story) -> None:
    story.run(5)
    with Window(Path(str(story.writer.path))) as window:
        with window.reading(), window.reading():
            before = window.last_tick()
            story.run(5)
            assert window.last_tick() == before
        assert window.last_tick() != before


def test_a_first_view_by_cells_equals_one_by_single_rows(story: Story, monkeypatch: pytest.MonkeyPatch) -> None:
    story.close_minutes()
    story.gpus[0].util, story.gpus[0].context = (lambda second: 0.9 if second % 50 < 20 else 0.0), Context.PROCESS
    story.gpus[1].context = Context.PROCESS
    story.run(470)
    story.gpus[1].util = 0.6
    story.run(30)
    story.gpus[1].util = 0.0
    story.run(200)
    coarse = view_of(story)
    monkeypatch.setattr(live, "FINE_MS", 10**12)
    fine = view_of(story)
    assert [gpu.strip for gpu in coarse.gpus] == [gpu.strip for gpu in fine.gpus]
    assert coarse.ledger is not None
    assert fine.ledger is not None
    assert bucket_ms(coarse.ledger.parts) == pytest.approx(bucket_ms(fine.ledger.parts), abs=5)
    assert coarse.ledger.capacity_ms == fine.ledger.capacity_ms == sum(part.ms for part in coarse.ledger.parts)


def test_a_run_that_reaches_five_minutes_renames_cells_read_by_sum(story: Story) -> None:
    story.close_minutes()
    story.gpus[0].util, story.gpus[0].context = 0.9, Context.PROCESS
    story.run(300)
    story.gpus[0].util = 0.0
    story.run(250)
    with Window(Path(str(story.writer.path))) as window:
        young = view_of(story, window)
        assert young.gpus[0].state is State.QUIET
        assert [cell.state for cell in young.gpus[0].strip[-12:]] == [State.QUIET] * 12
        story.run(60)
        old = view_of(story, window)
    assert old.gpus[0].state is State.HELD_IDLE
    assert [cell.state for cell in old.gpus[0].strip[-15:]] == [State.HELD_IDLE] * 15


def test_the_past_is_labelled_with_what_is_known_today(story: Story) -> None:
    story.gpus[0].util, story.gpus[0].context = 0.9, Context.PROCESS
    story.run(60)
    story.gpus[0].util = 0.0
    story.run(400)
    at_ms = round((START + 60 + 120) * 1000)
    then = view_of(story, at_ms=at_ms)
    assert then.gpus[0].state is State.HELD_IDLE
    assert then.ledger is not None
    assert bucket_ms(then.ledger.parts)[Bucket.HELD_IDLE] == 120_000
    assert then.at_ms == at_ms


def test_between_two_rows_the_one_that_ends_later_speaks(story: Story) -> None:
    story.gpus[0].util = lambda second: 1.0 if second == 11 else 0.5
    story.run(20)
    assert view_of(story, at_ms=round((START + 10) * 1000)).gpus[0].utilization_ratio == 0.5
    between = view_of(story, at_ms=round((START + 10.5) * 1000))
    assert between.gpus[0].utilization_ratio == 1.0
    assert between.ledger is not None
    assert between.ledger.capacity_ms == 3 * 9_500 == sum(part.ms for part in between.ledger.parts)


def test_quiet_is_never_waste_before_it_has_a_name(story: Story) -> None:
    story.gpus[0].context = Context.PROCESS
    story.run(120)
    view = view_of(story)
    assert view.gpus[0].state is State.QUIET
    assert view.gpus[0].quiet_seconds == 119
    assert view.waste_now_gpus == 0
    assert view.ledger is not None
    assert not WASTE & set(bucket_ms(view.ledger.parts))


def test_holders_users_and_waste_of_each_process(story: Story) -> None:
    story.gpus[0].context = Context.PROCESS
    story.gpus[1].util, story.gpus[1].context = 0.9, Context.PROCESS
    story.holds = [
        Hold(process(10, "bob"), 0, 3000),
        Hold(process(11, "alice"), 0, 1000),
        Hold(process(12, "carol"), 1, 500, sm=0.9),
        Hold(process(13, "root"), 1, 50, sm=0.0),
    ]
    story.host_only = [process(14, "erin", role="ml")]
    story.run(400)
    view = view_of(story)
    assert [gpu.users for gpu in view.gpus] == [("bob", "alice"), ("carol", "root"), ()]
    by_pid = {p.pid: p for p in view.processes}
    assert list(by_pid) == [10, 11, 12, 13, 14]
    assert by_pid[10].holds[0].waste_gpus == pytest.approx(0.75)
    assert by_pid[11].holds[0].waste_gpus == pytest.approx(0.25)
    assert by_pid[12].holds[0].waste_gpus == pytest.approx(0.1)
    assert by_pid[13].state is State.QUIET
    assert by_pid[10].state is State.HELD_IDLE
    assert by_pid[14].holds == ()
    assert by_pid[10].age_seconds == 500
    assert by_pid[10].read_bytes_per_second == 1024**2
    assert by_pid[14].read_bytes_per_second is None


def test_a_process_that_ended_is_gone_at_the_next_reading(story: Story) -> None:
    story.holds = [Hold(process(10), 0), Hold(process(11), 0)]
    story.run(10)
    del story.holds[0]
    story.run(2)
    assert [p.pid for p in view_of(story).processes] == [11]


def test_a_holder_that_is_not_visible_is_a_question_mark(story: Story) -> None:
    story.gpus[0].context = Context.MEMORY_ONLY
    story.run(5)
    assert view_of(story).gpus[0].users == ("?",)


def test_missing_values_are_none_with_their_reason_and_never_zero(story: Story) -> None:
    story.gpus[0].sample = {"power_watts": None}
    story.missing[("gpu", "GPU-0", "power_watts")] = Missing.NOT_SUPPORTED
    story.run(5)
    gpu0, gpu1, _ = view_of(story).gpus
    assert (gpu0.power_watts, gpu0.missing) == (None, {"power_watts": Missing.NOT_SUPPORTED})
    assert (gpu1.power_watts, gpu1.missing) == (100.0, {})
    story.missing[("gpu", "GPU-0", "power_watts")] = None
    story.gpus[0].sample = {}
    story.run(1)
    assert view_of(story).gpus[0].missing == {}


def test_a_silent_gpu_has_no_data_but_keeps_its_last_values(story: Story) -> None:
    story.gpus[0].util, story.gpus[0].context = 0.9, Context.PROCESS
    story.run(30)
    story.gap(30)
    view = view_of(story, holder_pid=None)
    assert view.gpus[0].state is State.NO_DATA
    assert view.gpus[0].age_seconds == 30
    assert view.gpus[0].utilization_ratio == 0.9
    assert view.recording is not None
    assert not view.recording.live
    assert view.notices == ("Nobody records: the newest sample is 30 s old. Start with: gpuwatch record",)


def test_a_long_dead_recording_still_knows_its_gpus(story: Story) -> None:
    story.gpus[0].util = 0.9
    story.run(30)
    story.gap(86_400)
    view = view_of(story, holder_pid=None)
    assert [(gpu.gpu_index, gpu.state, gpu.utilization_ratio) for gpu in view.gpus] == [(i, State.NO_DATA, None) for i in range(3)]
    assert [len(gpu.strip) for gpu in view.gpus] == [45] * 3
    assert (view.ledger, view.today, view.waste_now_gpus) == (None, None, None)
    assert view.notices == ("Nobody records: the newest sample is 1 d old. Start with: gpuwatch record",)


def test_a_gap_is_unobserved_and_lowers_the_coverage(story: Story) -> None:
    story.run(61)
    story.gap(60)
    story.run(61)
    view = view_of(story)
    assert view.ledger is not None
    assert bucket_ms(view.ledger.parts)[Bucket.UNOBSERVED] == 3 * 61_000
    assert view.ledger.span.coverage_ratio == pytest.approx(120 / 181)
    assert [cell.state for cell in view.gpus[0].strip[-10:-7]] == [State.FREE] * 3
    assert State.NO_DATA in {cell.state for cell in view.gpus[0].strip[-6:-3]}


def test_today_begins_at_local_midnight_or_with_the_recording(story: Story) -> None:
    story.run(30)
    view = view_of(story)
    assert view.today is not None
    assert view.today.span.start_ms == round((START + 1) * 1000)
    at_ms = round(START * 1000)
    assert midnight_ms(at_ms, UTC) == at_ms - (14 * 3600 + 32 * 60) * 1000
    assert midnight_ms(at_ms, ZoneInfo("Asia/Kolkata")) == at_ms - (20 * 3600 + 2 * 60) * 1000


def test_today_of_a_day_with_a_clock_change_is_twenty_five_hours_long() -> None:
    late = 1_761_519_600_000  # Sun 26 Oct 2025 23:00 UTC = Mon 00:00 in Berlin
    assert late - midnight_ms(late - 1, ZoneInfo("Europe/Berlin")) == 25 * 3_600_000


def test_a_recorder_that_hangs_is_told_from_one_that_commits_every_ten_seconds(story: Story) -> None:
    story.run(20)
    story.clock.advance(9)
    waiting = view_of(story)
    assert waiting.recording is not None
    assert waiting.recording.live
    assert waiting.at_ms == story.now_ms - 9000
    assert waiting.gpus[0].state is State.FREE
    watched = view_of(story, lag_ms=3000)
    assert watched.recording is not None
    assert not watched.recording.live
    assert watched.notices[0].startswith("The recorder (pid 7) has written nothing for 9 s.")


def test_no_gpu_says_why_and_what_to_try(tmp_path: Path) -> None:
    story = Story(tmp_path / "store.db", 1)
    story.entities.clear()
    story.gpus.clear()
    story.sources = [SourceState("nvml", "off", None, "libnvidia-ml.so.1 is not installed", "install the driver")]
    story.host_only = [process(20, role="ml")]
    story.run(4)
    view = view_of(story)
    assert (view.gpus, view.ledger, view.today, view.waste_now_gpus) == ((), None, None, None)
    assert view.notices == ("No GPU: libnvidia-ml.so.1 is not installed. Try: install the driver",)
    assert view.host is not None
    assert view.host.cpu_ratio == 0.25
    assert [p.pid for p in view.processes] == [20]


def test_mig_instances_stand_behind_their_parent_and_weigh_their_slices(tmp_path: Path) -> None:
    parent = gpu(0, mig_enabled=True)
    slices = [gpu(10 + i, parent_uuid="GPU-0", mig_profile="3g.40gb", compute_fraction=3 / 7) for i in range(2)]
    story = Story(tmp_path / "store.db", entities=[slices[1], gpu(1), parent, slices[0]])
    story.run(21)
    view = view_of(story)
    assert [g.gpu_uuid for g in view.gpus] == ["GPU-0", "GPU-10", "GPU-11", "GPU-1"]
    assert view.ledger is not None
    assert view.ledger.capacity_ms == pytest.approx(2 * 20_000, abs=3)


def test_events_and_troubles_of_sources(story: Story) -> None:
    story.events = [Event(story.now_ms, "xid", "Xid 79", Severity.CRITICAL, "GPU-1", 10)]
    story.sources = [SourceState("nvml", "stalled", story.now_ms, "", "")]
    story.run(12)
    view = view_of(story)
    assert [(e.kind, e.severity, e.gpu_index, e.pid) for e in view.events] == [("xid", Severity.CRITICAL, 1, 10)]
    assert view.notices == ("nvml: no answer for 12 s.",)


def test_an_empty_store_is_a_view_without_anything(tmp_path: Path) -> None:
    story = Story(tmp_path / "store.db")
    view = view_of(story, holder_pid=None)
    assert (view.gpus, view.processes, view.host) == ((), (), None)
    assert view.notices[-1] == "Nothing is recorded yet. Start with: gpuwatch record"
