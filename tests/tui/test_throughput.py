"""The panel of throughput: what each workload makes, why that is not known, and which can be selected."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
from support.sample_servers import SERVERS, estimated, rich, with_servers
from support.sample_view import sample_view
from support.server_sheets import panel
from support.tui import SIZES, faults, mounted, sheet_of, text_of
from support.tui_views import HOSTILE, many_gpus, no_gpu

from gpuwatch.tui.draw.line import Sheet
from gpuwatch.tui.palette import Look
from gpuwatch.tui.panels.throughput import rows_each
from gpuwatch.tui.screens.overview import OverviewScreen
from gpuwatch.tui.state import TableState, UiState
from gpuwatch.tui.workloads import key_of_work
from gpuwatch.view.inference_types import InferenceView
from gpuwatch.view.types import View


def sheet(view: View, size: tuple[int, int] = (120, 40), look: Look | None = None, ui: UiState | None = None) -> Sheet:
    return sheet_of(OverviewScreen, view, size, look, ui)


def of(*servers: InferenceView) -> View:
    """The sample view with these servers."""
    view = with_servers(*["rich"] * len(servers))
    works = [
        replace(work, inference=server, tokens_per_second=server.output_tokens_per_second)
        for work, server in zip(view.workloads, servers, strict=False)
    ]
    return replace(view, workloads=(*works, *view.workloads[len(servers) :]))


@pytest.mark.parametrize("size", SIZES)
def test_no_character_is_written_over_another_or_past_a_border(size: tuple[int, int]) -> None:
    names = list(SERVERS)
    for start in range(0, len(names), 3):
        for look in (Look(), Look("none", ascii_only=True)):
            view = with_servers(*names[start:], cells=75 if size[0] >= 200 else 45)
            for ui in (UiState(), UiState(focus="throughput"), UiState(first_steps=False)):
                assert faults(sheet(view, size, look, ui)) == []


def test_columns_at_120() -> None:
    rows = panel(with_servers("rich", "estimated", "metrics_off"))
    assert (
        rows[0][0:8] == "qwen-72b" and rows[0][9:15].rstrip() == "vLLM" and rows[0][16:21] == "1.26k" and rows[0][22:27] == "tok/s"
    )
    assert len(rows[0][29:38].strip()) == 9 and rows[0][38] == " "
    assert rows[1].rstrip() == "TTFT p95 412 ms · queue 1 · KV 91%"
    assert rows[2].split()[:4] == ["estimat…", "llama", "~130", "tok/s"] and rows[2][29:32] == "  ·"
    assert rows[3].rstrip() == "running 3 · queue 2"
    assert rows[4].split() == ["metrics…", "SGLang", "metrics", "off"] and rows[5].rstrip() == "start it with --enable-metrics"


def test_a_name_gets_the_columns_that_a_wide_panel_has_to_spare() -> None:
    view = with_servers("rich")
    long = replace(view, workloads=(replace(view.workloads[0], name="mistral-7b-v3-fp8"), *view.workloads[1:]))
    assert panel(long)[0].split()[0] == "mistral…"
    assert panel(long, (200, 60))[0].split()[0] == "mistral-7b-v3-…"


def test_three_rows_each_at_200() -> None:
    rows = panel(with_servers("rich", "estimated", "auth", cells=75), (200, 60))
    assert rows[2].rstrip() == "3.94 req/s · prefix hits 88% · 0.34 J/token"
    assert rows[5].rstrip() == "~0.89 J/token"
    assert rows[6].split()[1:] == ["SGLang", "key", "needed"]
    assert " ".join(row.strip() for row in rows[7:9]) == "name the variable that holds its key in the configuration: token_env"


def test_the_host_says_how_many_tokens_all_make_on_wide_screens() -> None:
    view = with_servers("rich", "estimated", cells=75)
    assert "tokens 1.39k/s" in sheet(view, (200, 60)).text()


def test_training_stays_in_the_border_until_it_is_attached() -> None:
    bottom = sheet(with_servers("rich")).text().splitlines()[25]
    assert "no gpuwatch run: vit-l, sdxl_ft" in bottom
    assert "llama-8b train" in "\n".join(panel(sample_view()))


def test_a_limit_that_is_missed_is_amber() -> None:
    look = Look()
    drawn = sheet(with_servers("rich", "slow"), look=look)
    assert drawn.cells(22).styles[79 + 9] == look.amber, "p95 of the second server"
    first = drawn.cells(20)
    assert first.styles[79 + 9] == look.fg and "".join(first.texts[79:113]).endswith("91%") and first.styles[112] == look.amber


def test_without_a_percentile_the_mean_stands_there_and_above_the_last_bound_the_bound() -> None:
    mean = replace(rich().latencies[0], p50_seconds=None, p95_seconds=None, p99_seconds=None, why_no_percentile="few requests")
    assert panel(of(rich(latencies=(mean,))))[1].startswith("TTFT mean 231 ms")
    open_one = replace(mean, above_seconds=10.0, open_from=95)
    assert panel(of(rich(latencies=(open_one,))))[1].startswith("TTFT p95 > 10 s")


def test_what_is_old_says_so_and_what_is_zero_is_zero() -> None:
    rows = panel(with_servers("stale", "idle"))
    assert rows[1].startswith("stale 14 s · TTFT p95 412 ms")
    assert rows[2][20] == "0" and rows[2][29:38] == "·" * 9


def test_an_engine_that_nothing_is_known_of_keeps_its_name_and_markup_is_text() -> None:
    view = of(replace(estimated(), engine="fancy"))
    view = replace(view, workloads=(replace(view.workloads[0], engine="fancyserver", name=HOSTILE), *view.workloads[1:]))
    row = panel(view)[0]
    assert row.startswith("a[/]b[r… fancy… ")


def test_nothing_to_tell_says_so() -> None:
    rows = panel(replace(sample_view(), workloads=()))
    assert rows[0].startswith("No server and no training run is seen.")
    silent = replace(sample_view(), workloads=sample_view().workloads[2:])
    assert panel(silent)[0].startswith("No run is attached.") and panel(silent)[1].startswith("gpuwatch run -- python train.py")
    server = replace(sample_view().workloads[1], tokens_per_second=None)
    assert panel(replace(silent, workloads=(server,)))[0].startswith("No server tells its tokens yet.")


def test_more_workloads_than_rows_scroll_with_the_selection() -> None:
    view = with_servers(*["rich"] * 5)
    assert "2 more, ↑↓ · no gpuwatch run: vit…" in sheet(view).text().splitlines()[25]
    ui = UiState(focus="throughput")
    ui.tables["throughput"] = TableState(selected=key_of_work(view.workloads[4]), index=4)
    assert panel(view, ui=ui)[4].startswith("rich-4")


def test_the_selected_row_has_a_ground_only_while_keys_move_there() -> None:
    view, look = with_servers("rich", "estimated"), Look()
    ground = look.on(look.ground, "sel").bgcolor
    here, there = UiState(focus="throughput"), UiState()
    assert [sheet(view, look=look, ui=here).cells(y).styles[100].bgcolor == ground for y in (19, 20, 21)] == [True, True, False]
    assert not any(sheet(view, look=look, ui=there).cells(y).styles[100].bgcolor == ground for y in range(19, 25))


def test_rows_share_the_panel() -> None:
    assert [rows_each(rows, 3) for rows in (5, 8, 10, 11, 20)] == [1, 2, 2, 3, 3]
    assert [rows_each(6, shown) for shown in (1, 2, 3)] == [2, 2, 1]


def test_many_gpus_and_no_gpu_draw_with_servers_too() -> None:
    works = with_servers("rich", "hostile", "auth").workloads
    for base in (many_gpus(), no_gpu()):
        for size in SIZES:
            assert faults(sheet(replace(base, workloads=works), size)) == []


def test_servers_on_a_host_without_a_gpu_stand_beside_it_and_open() -> None:
    view = replace(no_gpu(), workloads=with_servers("rich", "auth").workloads)
    rows = sheet(view).text().splitlines()
    top = next(y for y, row in enumerate(rows) if "─ Throughput ─" in row)
    assert rows[top].startswith("╭─ Host ─") and rows[top + 1][71:101].split() == ["qwen-72b", "vLLM", "1.26k"]
    assert rows[top + 3][72:].split()[1:4] == ["SGLang", "key", "needed"]
    assert faults(sheet(view)) == [] and "Throughput" not in sheet(replace(no_gpu(), workloads=())).text()
    assert "Throughput" not in sheet(view, (100, 40)).text()

    async def go() -> str:
        async with mounted(view, (120, 40)) as (app, pilot):
            await pilot.press("tab", "down", "enter")
            await pilot.pause()
            return text_of(app)

    assert "key needed" in asyncio.run(go())


def test_many_servers_take_rows_of_the_events_on_wide_screens_but_not_the_last() -> None:
    rows = sheet(with_servers(*["rich"] * 6, cells=75), (200, 60)).text().splitlines()
    events = next(y for y, row in enumerate(rows) if "─ Events ─" in row)
    assert events == 7 + 14 and sum("vLLM" in row[150:] for row in rows[7:events]) == 6
    rows = sheet(with_servers(*["rich"] * 12, cells=75), (200, 60)).text().splitlines()
    assert rows[22][150:].startswith("╭─ Events ─") and rows[26][199] == "╯"
    few = sheet(with_servers("rich", cells=75), (200, 60)).text().splitlines()
    assert few[18][150:].startswith("╭─ Events ─")
