"""The overview at every size, in every tier, for every kind of host: nothing overlaps, nothing is cut, the right words stand there."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC

import pytest
from support.sample_view import MIDNIGHT_MS, sample_view
from support.tui import SIZES, context_of, faults, sheet_of
from support.tui_views import VIEWS, first_run, lost, mig, no_fill, no_gpu, nothing_known, simulated

from gpuwatch.names import Missing, State
from gpuwatch.tui.palette import TIERS, Look
from gpuwatch.tui.panels.overview import heights, shows_today
from gpuwatch.tui.panels.today import day_request
from gpuwatch.tui.screens.overview import OverviewScreen
from gpuwatch.tui.screens.registry import SCREENS
from gpuwatch.tui.state import UiState
from gpuwatch.view.types import Cell, DayView, DetailView

LOOKS = [Look(tier, ascii_only=ascii_only) for tier in TIERS for ascii_only in (False, True)]


@pytest.mark.parametrize("name", VIEWS)
@pytest.mark.parametrize("size", SIZES)
def test_no_character_is_written_over_another_or_past_a_border(name: str, size: tuple[int, int]) -> None:
    view = VIEWS[name](75 if size[0] >= 200 else 45)
    for screen in SCREENS.values():
        assert faults(sheet_of(screen, view, size)) == []


@pytest.mark.parametrize("look", LOOKS, ids=lambda look: f"{look.tier}-{'ascii' if look.ascii else 'unicode'}")
def test_every_tier_and_glyph_set_is_as_clean(look: Look) -> None:
    for name in ("sample", "no_fill", "lost", "hostile", "no_gpu"):
        for size in ((80, 24), (120, 40), (200, 60)):
            view = VIEWS[name](75 if size[0] >= 200 else 45)
            for screen in SCREENS.values():
                assert faults(sheet_of(screen, view, size, look)) == []


@pytest.mark.parametrize("size", [(1, 1), (20, 5), (59, 40), (60, 14), (250, 70)])
def test_any_size_can_be_drawn(size: tuple[int, int]) -> None:
    sheet = sheet_of(OverviewScreen, sample_view(), size)
    assert faults(sheet) == []
    if size[0] < 60 and size[0] >= 20:
        assert "terminal too small" in sheet.text() and "waste 3.6 of 8 GPUs" in sheet.text()


@pytest.mark.parametrize("size", [(80, 24), (120, 40)])
def test_filter_and_tree_have_no_fault(size: tuple[int, int]) -> None:
    for ui in (
        UiState(filter_open=True),
        UiState(filter="train"),
        UiState(tree=True, show_all=True),
        UiState(sort="command", filter="zzz"),
    ):
        assert faults(sheet_of(OverviewScreen, sample_view(), size, ui=ui)) == []


def lines(view: object, size: tuple[int, int] = (120, 40), **more: object) -> list[str]:
    return sheet_of(OverviewScreen, view, size, **more).text().splitlines()  # type: ignore[arg-type]


def test_rows_of_the_picture_at_120_columns() -> None:
    rows = lines(sample_view())
    assert rows[0].startswith(" gpuwatch  node-07  8 × H100 80GB  driver 570.124 · CUDA 12.8")
    assert rows[0].endswith("rec 31 d   ● LIVE  Fri 14:32:07  1 s")
    assert "efficiency 30% = allocated 100% × running 55% × fill 54%" in rows[1]
    assert rows[2][11:106].split() == ["effective", "30%", "under-filled", "23%", "wait", "19%", "3%", "held", "idle", "25%"]
    assert rows[16][18:21] == "91%" and rows[16][41:48] == "399/400" and rows[16][101:110] == "throttled"
    assert rows[8][112:116] == "User"
    assert rows[28][43:47] == "1.00"
    assert rows[39].endswith("? help q quit")
    assert len(rows) == 40


def test_rows_of_the_picture_at_80_columns() -> None:
    rows = lines(sample_view(), (80, 24))
    assert len(rows) == 24
    assert rows[0].split() == ["gpuwatch", "node-07", "8×H100", "●", "LIVE", "14:32:07", "1", "s"]
    assert rows[11][:18] == "7   91  66 399  83" and rows[11][65:75] == "throttled "
    assert rows[23].endswith("? help q quit")


def test_a_missing_value_is_a_dash_a_forbidden_one_a_question_mark() -> None:
    view = no_fill()
    gpu = replace(view.gpus[0], power_watts=None, temperature_celsius=None, missing={"power_watts": Missing.NOT_SUPPORTED, "temperature_celsius": Missing.NO_PERMISSION})  # fmt: skip
    row = lines(replace(view, gpus=(gpu, *view.gpus[1:])))[9]
    assert row[43] == "–" and row[51] == "?"


def test_nothing_known_shows_no_number_that_was_not_measured() -> None:
    row = lines(nothing_known())[9]
    assert not any(character.isdigit() for character in row[6:52].replace("/700", ""))
    assert "no data" in row


def test_without_a_fill_signal_util_has_its_own_head_and_efficiency_is_a_range() -> None:
    rows = lines(no_fill())
    assert "efficiency 0 to 50%" in rows[1] and "fill unknown" in rows[1]
    assert "busy, quality unknown 50%" in rows[2]
    assert "■ busy, quality unknown" in rows[3] and "effective" not in rows[3]
    assert "GPU util" in rows[8] and "SM active" not in "\n".join(rows)


def test_without_rules_the_waste_panel_says_what_the_ledger_knows() -> None:
    text = "\n".join(lines(no_fill()))
    assert "−1.4 GPU  GPU 5 6  held idle" in text
    assert "no rule has named a cause" in text


def test_first_run_names_quiet_and_counts_it_nowhere() -> None:
    rows = lines(first_run())
    assert rows[2].startswith("│ 18 s ")
    assert "quiet 25%" in rows[2]
    assert rows[3].count("·") == 95 and rows[3].rstrip("│ ").endswith("–")
    assert "not counted as waste" in rows[4]
    assert "First steps" in rows[18]
    assert "quiet 0:18" in rows[14]
    assert "First steps" not in "\n".join(lines(first_run(), ui=UiState(first_steps=False)))


def test_a_lost_recorder_and_lost_gpus_are_named() -> None:
    rows = lines(lost())
    assert "recorder gone: no data for 12 s" in rows[0] and "LIVE" not in rows[0] and "not recording" in rows[0]
    assert "unav 12%" in rows[2] and "■ unavailable" in rows[3] and "UNAVAILABLE" in rows[9]
    assert "stale 7 s" in rows[10]
    assert "power 2.28 kW of 7 GPUs" in rows[5]


def test_no_gpu_says_why_and_what_to_do() -> None:
    text = "\n".join(lines(no_gpu()))
    for word in (
        "gpuwatch found no NVIDIA GPU",
        "not installed",
        "docker run --gpus",
        "gpuwatch doctor",
        "CPU workloads",
        "128 cores",
    ):
        assert word in text
    assert "0%" not in text.split("Host")[0]


def test_simulated_stands_in_the_header_of_every_screen() -> None:
    for screen in SCREENS.values():
        for size in ((80, 24), (120, 40)):
            assert " SIMULATED " in sheet_of(screen, simulated(), size).text().splitlines()[0]


def test_mig_instances_stand_under_their_gpu() -> None:
    rows = lines(mig())
    assert [row[2:4].strip() for row in rows[9:13]] == ["0", "└0", "└1", "2"]
    assert " of 2 GPUs" in rows[5]


def test_panels_share_the_height() -> None:
    assert heights(38, 8) == heights(38, 8).__class__(6, 11, 1, 8, 13)
    for rows in range(13, 70):
        for count in (1, 2, 4, 8, 16, 72):
            parts = heights(rows, count)
            assert parts.ledger + parts.gpus + parts.middle + parts.processes == rows
            assert parts.processes >= 4


def test_only_visible_rows_are_formatted(monkeypatch: pytest.MonkeyPatch) -> None:
    from gpuwatch.tui.panels import processes

    view = sample_view()
    many = tuple(replace(view.processes[0], pid=100_000 + i) for i in range(1000))
    calls = []
    draw_row = processes.draw_row
    monkeypatch.setattr(processes, "draw_row", lambda *args, **more: calls.append(draw_row(*args, **more)))
    sheet_of(OverviewScreen, replace(view, processes=many), (120, 40))
    assert len(calls) == 10


def test_no_view_says_what_it_waits_for() -> None:
    assert "Waiting for the first sample" in sheet_of(OverviewScreen, None, (80, 24)).text()
    text = sheet_of(OverviewScreen, None, (80, 24), problem="no store (gpuwatch record)").text()
    assert "no store (gpuwatch record)" in text


def test_before_the_first_sample_nothing_is_claimed() -> None:
    from gpuwatch.tui.screens.gpu import GpuScreen
    from gpuwatch.view.empty import empty_view

    for screen in (OverviewScreen, GpuScreen):
        text = sheet_of(screen, empty_view(1_763_130_727_000, ("the store is locked",), 42), (80, 24)).text()
        assert "first sample" in text and "the store is locked" in text and "No GPU" not in text and "no GPU" not in text


@pytest.mark.parametrize("size", [(80, 24), (120, 40)])
def test_what_is_wrong_is_said_with_what_to_try(size: tuple[int, int]) -> None:
    assert "has written nothing for 12 s. See: gpuwatch doctor" in "\n".join(lines(lost(), size))


def test_free_gpus_say_since_when() -> None:
    view = sample_view()
    gpus = tuple(
        replace(gpu, state=State.FREE, state_since_ms=view.now_ms - 9_000_000 - i, users=()) for i, gpu in enumerate(view.gpus)
    )
    assert "8 GPUs free since 12:02." in "\n".join(lines(replace(view, gpus=gpus, processes=())))
    assert "No process works with a GPU" in "\n".join(lines(replace(view, processes=())))


def test_a_worker_shows_the_gpu_that_it_feeds_on_the_overview_and_on_screen_3() -> None:
    from gpuwatch.tui.screens.processes import ProcessesScreen

    view = mig()
    boss = replace(view.processes[0], holds=(replace(view.processes[0].holds[0], gpu_uuid=view.gpus[1].gpu_uuid, gpu_index=0),))
    worker = replace(boss, pid=99, parent_pid=boss.pid, parent_start_ms=boss.start_ms, role="worker", holds=(), command="loader")
    family = replace(view, processes=(boss, worker))
    shown = lines(family, ui=UiState(tree=True, show_all=True)), sheet_of(ProcessesScreen, family, (120, 40)).text().splitlines()
    for rows in shown:
        row = next(row for row in rows if "└ loader" in row)
        assert row[4:7] == "0:0" and row[2] == "▌"


def test_the_day_stands_on_wide_screens() -> None:
    view = sample_view(75)
    context = replace(context_of(OverviewScreen, view, (200, 60)), tz=UTC)
    request = day_request(context, view)
    assert (request.day_start_ms, request.cell_seconds) == (MIDNIGHT_MS, 360)
    cells = (Cell(0.9, State.BUSY),) * 100 + (Cell(0.0, State.HELD_IDLE),) * 46
    days = tuple(DayView(gpu.gpu_uuid, cells, 4 * 3_600_000, 0, 60_000) for gpu in view.gpus)
    context = replace(context, detail=DetailView(request, days=days))
    sheet = OverviewScreen().draw(context)
    rows = sheet.text().splitlines()
    assert faults(sheet) == []
    assert rows[27].startswith("╭─ Today ") and "right: GPU·h since 00:00" in rows[27] and rows[38].endswith("6 min a cell ─╯")
    assert rows[28][6:11] == "00:00" and rows[28][26:31] == "02:00" and rows[28][146:151] == "14:00"
    assert [rows[28].index(head) + len(head) - 1 for head in (" held", " unused", " free")] == [184, 191, 197]
    assert rows[29][3] == "0" and rows[29][6:152] == "▇" * 100 + "▁" * 46
    assert rows[29][153:].split() == ["4.0", "0", "<0.1", "│"]
    assert rows[36][3] == "7" and rows[39].startswith("╭─ Processes")


def test_until_the_day_is_read_nothing_is_claimed_and_a_lower_screen_has_none() -> None:
    assert "reading …" in "\n".join(lines(sample_view(75), (200, 60)))
    assert not shows_today(context_of(OverviewScreen, sample_view(75), (200, 40)), sample_view())
    assert not shows_today(context_of(OverviewScreen, sample_view(), (199, 60)), sample_view())
    assert not shows_today(context_of(OverviewScreen, no_gpu(75), (200, 60)), no_gpu())


@pytest.mark.parametrize("count", [1, 2, 8, 9, 16])
def test_every_gpu_has_a_row_of_the_day(count: int) -> None:
    parts = heights(58, count, wide=True)
    assert parts.today == count + 4 and parts.processes >= 8
    assert parts.ledger + parts.gpus + parts.middle + parts.today + parts.processes == 58


def test_the_first_steps_stand_on_wide_screens_too_and_name_their_key() -> None:
    for size in ((120, 40), (200, 60)):
        rows = lines(first_run(75 if size[0] >= 200 else 45), size)
        assert "First steps" in "\n".join(rows) and "Esc hide steps" in rows[-1]
    assert "hide steps" not in lines(sample_view())[-1]


def test_a_host_without_a_gpu_says_when_the_driver_is_asked_again() -> None:
    for size in ((80, 24), (120, 40)):
        text = "\n".join(lines(no_gpu(), size))
        assert "60 s" in text and "r retries now" in text
    assert "r retry" in lines(no_gpu())[-1]
    assert "The recorder starts anew" in "\n".join(lines(no_gpu(), ui=UiState(notice="The recorder starts anew.")))


def test_a_mig_instance_shows_its_profile_where_power_would_stand() -> None:
    for size, at in (((120, 40), slice(41, 48)), ((80, 24), slice(11, 18))):
        rows = lines(mig(), size)
        assert next(row for row in rows if "└0" in row)[at] == "3g.40gb"


def test_the_ledgers_waste_is_named_by_its_span_and_by_the_gpus_that_had_it() -> None:
    rows = lines(no_fill())
    assert rows[18].startswith("╭─ Waste, mean of 15 min ─")
    busy = tuple(replace(gpu, state=State.BUSY, strip=(Cell(0.9, State.BUSY),) * 45, waste_gpus=0.0) for gpu in no_fill().gpus)
    dips = (*busy[0].strip[:-1], Cell(0.1, State.WAITING))
    some = (replace(busy[0], strip=dips), replace(busy[1], strip=dips), *busy[2:])
    assert any("−1.1 GPU  GPU 0 1  wait" in row for row in lines(replace(no_fill(), gpus=some)))
    short = (replace(busy[0], waste_gpus=0.4), *busy[1:])
    found = next(row for row in lines(replace(no_fill(), gpus=short)) if "−1.4 GPU" in row)
    assert "GPU 0 " in found


def test_rows_that_show_the_same_waste_keep_their_places() -> None:
    from gpuwatch.tui.rows import Selection, build_rows

    view = sample_view()
    process = view.processes[0]
    twins = [
        replace(process, pid=pid, holds=(replace(process.holds[0], waste_gpus=waste),)) for pid, waste in ((2, 0.012), (1, 0.008))
    ]
    orders = [
        [row.process.pid for row in build_rows(replace(view, processes=tuple(order)), Selection())]
        for order in (twins, twins[::-1])
    ]
    assert orders == [[1, 2], [1, 2]]


def test_an_event_says_its_gpu_once() -> None:
    view = sample_view(75)
    told = [
        replace(view.events[0], detail=f"GPU 7 {view.gpus[7].name}: GPU is lost", gpu_index=7),
        replace(view.events[1], detail="GPU 4", gpu_index=4),
    ]
    text = "\n".join(lines(replace(view, events=tuple(told)), (200, 60)))
    assert "GPU 7   GPU is lost" in text and "GPU 4   GPU 4" in text


def test_no_waste_is_claimed_for_a_gpu_of_which_nothing_is_known() -> None:
    view = sample_view()
    unknown = replace(view.processes[0], state=State.NO_DATA, holds=(replace(view.processes[0].holds[0], waste_gpus=0.0),))
    busy = replace(unknown, pid=7, state=State.BUSY)
    rows = lines(replace(view, processes=(unknown, busy)))
    assert [next(row for row in rows if f" {pid} bob" in row)[46] for pid in (unknown.pid, 7)] == ["–", "0"]
