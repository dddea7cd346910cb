"""The text of ``gpuwatch status``: every width, nothing cut that may not be, nothing faked, no terminal codes unless wanted."""

from __future__ import annotations

import dataclasses
import re
from datetime import UTC

import pytest
from support.sample_view import NOW_MS, sample_view

from gpuwatch import format as fmt
from gpuwatch.names import Bucket, Cause, Missing, Severity, State, Tier
from gpuwatch.report.status_text import status_text
from gpuwatch.report.table import Column, table
from gpuwatch.view.empty import empty_view
from gpuwatch.view.types import EventView, GpuView, LedgerPart, View

WIDTHS = (60, 72, 80, 100, 120, 200)


def text(view: View, width: int = 100, **options: bool) -> str:
    return status_text(view, width=width, tz=UTC, **options)


def with_gpus(view: View, **changes: object) -> View:
    return dataclasses.replace(view, gpus=tuple(dataclasses.replace(gpu, **changes) for gpu in view.gpus))  # type: ignore[arg-type]


@pytest.mark.parametrize("width", WIDTHS)
def test_no_line_is_wider_than_asked_and_every_gpu_has_its_row(width: int) -> None:
    lines = text(sample_view(), width).splitlines()
    assert max(map(fmt.cells, lines)) <= width
    for number in ("71.2/80", "71.0/80", "44.8/80", "44.6/80", "74.9/80", "62.1/80", "38.4/80", "66.3/80"):
        assert sum(number in line for line in lines) == 1
    assert sum("HELD IDLE" in line for line in lines) == 2
    assert "\x1b" not in "".join(lines)


@pytest.mark.parametrize("width", WIDTHS)
def test_only_commands_are_cut(width: int) -> None:
    for line in text(sample_view(), width).splitlines():
        assert "…" not in line[:-1]


def test_the_numbers_are_those_of_the_pictures() -> None:
    shown = text(sample_view(), 120)
    assert "8 × H100 80GB" in shown
    assert "driver 570.124 · CUDA 12.8" in shown
    assert "Fri 14:32:07" in shown
    assert "# effective 30%   = under-filled 23%   ~ wait 19%   ! lost 3%   x held idle 25%" in shown
    assert "Waste now 3.6 of 8 GPUs   today 41.7 of 116.3 GPU·h   efficiency 30%" in shown
    assert "power 2.89 kW, of it 232 W held idle" in shown


def test_a_row_includes_the_workers_below_it() -> None:
    row = next(line for line in text(sample_view(), 120).splitlines() if " 51877 " in line)
    assert row.split()[:5] == ["2", "31", "44.8", "402", "18.4"]


def test_a_second_gpu_of_a_process_repeats_nothing() -> None:
    rows = [line for line in text(sample_view()).splitlines() if "48213" in line]
    assert [row.split()[0] for row in rows] == ["5", "6"]
    assert "└ same process" in rows[1]
    assert "2:47:12" not in rows[1]


def test_colours_change_no_character() -> None:
    colored = text(sample_view(), color=True)
    assert "\x1b[1;91mHELD IDLE" in colored
    assert re.sub("\x1b\\[[0-9;]*m", "", colored) == text(sample_view())


def test_missing_is_a_dash_and_forbidden_a_question_mark() -> None:
    view = with_gpus(
        sample_view(), sm_active_ratio=None, utilization_ratio=None, missing={"utilization_ratio": Missing.NO_PERMISSION}
    )
    view = with_gpus(view, power_watts=None, temperature_celsius=None)
    row = next(line for line in text(view, 120).splitlines() if line.startswith("0  "))
    assert row.split()[:5] == ["0", "?", "71.2/80", "–/700", "–"]
    assert "util %" in text(view)
    assert "power" not in text(dataclasses.replace(view, findings=()))  # a finding may speak of it


def test_unified_memory_without_a_total_shows_what_is_used() -> None:
    view = with_gpus(sample_view(), memory_total_bytes=None)
    assert "71.2  612/700" in text(view)


def test_efficiency_without_a_fill_signal_is_a_range() -> None:
    view = sample_view()
    assert view.ledger is not None
    parts = (LedgerPart(Bucket.BUSY_UNKNOWN, Cause.NONE, Tier.N, view.ledger.capacity_ms, 0),)
    ledger = dataclasses.replace(view.ledger, parts=parts, efficiency_low=0.0, efficiency_high=0.5)
    shown = text(dataclasses.replace(view, ledger=ledger))
    assert "efficiency 0 to 50%" in shown
    assert "busy, quality unknown 100%" in shown


def test_one_sample_has_no_ledger_and_says_what_keeps_one() -> None:
    view = sample_view()
    assert view.ledger is not None
    ledger = dataclasses.replace(view.ledger, span=dataclasses.replace(view.ledger.span, start_ms=NOW_MS - 1000))
    notice = "This is one sample: nobody records on this host. Start with: gpuwatch record"
    shown = text(dataclasses.replace(view, ledger=ledger, waste_now_gpus=None, recording=None, notices=(notice,)))
    assert "effective" not in shown
    assert "not recording" in shown
    assert notice in shown


def test_a_host_without_a_gpu_shows_itself_its_work_and_one_sentence() -> None:
    view = sample_view()
    ml = tuple(process for process in view.processes if process.role == "ml")
    notice = "No GPU: libnvidia-ml.so.1 is not installed. Try: install the driver"
    shown = text(dataclasses.replace(view, gpus=(), ledger=None, today=None, waste_now_gpus=None, processes=ml, notices=(notice,)))
    assert shown.splitlines()[0].startswith("node-07   no GPU")
    assert "CPU 13% of 128 cores" in shown
    assert "erin" in shown
    assert "GPU GiB" not in shown
    assert shown.endswith(notice + "\n")


def test_nothing_at_all_is_still_a_text() -> None:
    assert text(empty_view(NOW_MS, ("the store is gone",))).splitlines()[-1] == "the store is gone"


def test_a_simulated_host_says_so_in_the_first_line_at_every_width() -> None:
    view = sample_view()
    assert view.recording is not None
    recording = dataclasses.replace(view.recording, simulated=True, scenario="starved-loader")
    for width in WIDTHS:
        assert "SIMULATED" in text(dataclasses.replace(view, recording=recording), width).splitlines()[0]


def test_mig_instances_and_silent_gpus_keep_their_columns() -> None:
    view = sample_view()
    gpus: list[GpuView] = list(view.gpus)
    gpus[1] = dataclasses.replace(gpus[1], parent_uuid=gpus[0].gpu_uuid, mig_profile="3g.40gb")
    gpus[2] = dataclasses.replace(gpus[2], state=State.NO_DATA, age_seconds=90.0)
    shown = text(dataclasses.replace(view, gpus=tuple(gpus)))
    assert "└ 3g.40gb" in shown
    assert "no data for 1 min" in shown
    assert "7 × H100 80GB" in shown


def test_wide_characters_do_not_move_columns() -> None:
    lines = table([Column("a", ["日本", "x"], align="left"), Column("b", ["1", "22"])], 40)
    assert [fmt.cells(line) for line in lines] == [8, 8, 8]


def test_fresh_warnings_are_told_and_nothing_less() -> None:
    def event(seconds: int, severity: Severity, detail: str) -> EventView:
        return EventView(NOW_MS - seconds * 1000, "gpu_lost", severity, detail, 3, None)

    events = (
        event(5, Severity.CRITICAL, "GPU 3 is lost"),
        event(6, Severity.NOTICE, "a small thing"),
        event(1200, Severity.WARNING, "an old thing"),
    )
    shown = text(dataclasses.replace(sample_view(), events=events))
    assert "14:32:02 GPU 3 is lost\n" in shown
    assert "thing" not in shown


def test_since_is_a_time_of_the_clock_and_one_gpu_is_one() -> None:
    view = sample_view()
    gpu = dataclasses.replace(view.gpus[0], state=State.BUSY, state_since_ms=NOW_MS - 3_600_000, waste_gpus=None)
    shown = text(dataclasses.replace(view, gpus=(gpu,)), 120)
    assert "of 1 GPU " in shown
    row = next(line for line in shown.splitlines() if line.startswith("0 "))
    assert re.search(rf" busy\s+{fmt.clock_minute(NOW_MS - 3_600_000, UTC)}\s+–\s", row), row
