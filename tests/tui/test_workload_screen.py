"""The screen of a workload: a server's panels at every size, in every tier, what stands there when values are missing, and its keys."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC

import pytest
from support.sample_detail import sample_detail
from support.sample_servers import SERVERS, rich, sample_inference_detail, server_ledger, slow, with_servers, work_named
from support.sample_view import sample_view
from support.tui import SIZES, context_of, faults, mounted, text_of
from support.tui_views import no_gpu

from gpuwatch.format import latency
from gpuwatch.names import Latency, ServerState
from gpuwatch.tui.app import GpuwatchApp
from gpuwatch.tui.draw.line import Sheet, width_of
from gpuwatch.tui.palette import TIERS, Look
from gpuwatch.tui.panels.server_boxed import rows_for
from gpuwatch.tui.panels.server_rates import nice, scale_text
from gpuwatch.tui.panels.workload_question import CELLS, SPAN_SECONDS, places_for, request_for
from gpuwatch.tui.panels.workload_time import part_words
from gpuwatch.tui.screens.workload import WorkloadScreen
from gpuwatch.tui.state import UiState
from gpuwatch.tui.workloads import find, gpus_of, key_of_work, members, work_of
from gpuwatch.view.inference_types import InferenceView
from gpuwatch.view.types import View, WorkloadView

LOOKS = [Look(tier, ascii_only=ascii_only) for tier in TIERS for ascii_only in (False, True)]
MORE_SIZES = [*SIZES, (99, 60), (100, 28), (120, 24), (140, 33), (250, 70)]


def sheet(view: View, work: WorkloadView, size: tuple[int, int] = (120, 40), look: Look | None = None, *, answered: bool = True) -> Sheet:  # fmt: skip
    context = replace(context_of(WorkloadScreen, view, size, look, UiState(workload=key_of_work(work))), tz=UTC)
    if answered:
        context = replace(context, detail=sample_inference_detail(view, request_for(context, work)))
    return WorkloadScreen().draw(context)


def lines(name: str, size: tuple[int, int] = (120, 40), look: Look | None = None, **more: bool) -> list[str]:
    view = with_servers(name)
    return sheet(view, work_named(view), size, look, **more).text().splitlines()


def changed(server: InferenceView, size: tuple[int, int] = (120, 40)) -> list[str]:
    """The screen of that server."""
    view = with_servers("rich")
    work = replace(work_named(view), inference=server, tokens_per_second=server.output_tokens_per_second)
    view = replace(view, workloads=tuple(work if each.inference is not None else each for each in view.workloads))
    return sheet(view, work, size).text().splitlines()


# ---------------------------------------------------------------------------------------------------------- every size


@pytest.mark.parametrize("name", SERVERS)
@pytest.mark.parametrize("size", MORE_SIZES)
def test_no_character_is_written_over_another_or_past_a_border(name: str, size: tuple[int, int]) -> None:
    view = with_servers(name)
    for number, answered in ((0, True), (1, False)):
        assert faults(sheet(view, work_named(view), size, LOOKS[(size[0] + number) % len(LOOKS)], answered=answered)) == []
    elsewhere = with_servers("rich", name)
    assert faults(sheet(elsewhere, work_named(elsewhere, 1), size)) == []


@pytest.mark.parametrize("look", LOOKS, ids=lambda look: f"{look.tier}-{'ascii' if look.ascii else 'unicode'}")
def test_every_tier_and_glyph_set_is_as_clean(look: Look) -> None:
    for name in SERVERS:
        for size in ((80, 24), (120, 40), (200, 60)):
            view = with_servers(name)
            drawn = sheet(view, work_named(view), size, look)
            assert faults(drawn) == []
            for y in range(drawn.height):
                row = drawn.strip(y).text
                assert width_of(row) == size[0]
                if row[0] in "│╭╰":
                    assert row[-1] in "│╮╯"


@pytest.mark.parametrize("name", SERVERS)
def test_works_that_are_no_servers_and_hosts_without_a_gpu_have_a_screen(name: str) -> None:
    view = with_servers(name)
    bare = replace(no_gpu(), workloads=view.workloads)
    for size in ((60, 15), (80, 24), (120, 40), (200, 60)):
        for work in view.workloads:
            assert faults(sheet(view, work, size)) == []
            assert faults(sheet(bare, work, size)) == []
    assert "It holds no GPU." in sheet(bare, work_named(bare), answered=False).text()


def test_the_panels_fill_the_height() -> None:
    for height in range(24, 80):
        for sources in (0, 11, 19):
            assert rows_for(height, sources).sum == height
    rows = rows_for(36, 11)
    assert (rows.rates, rows.latency, rows.energy, rows.time, rows.sources) == (11, 9, 8, 8, 0)


@pytest.mark.parametrize("width", range(60, 260, 3))
def test_cells_divide_the_hour_and_the_chart_ends_inside_its_panel(width: int) -> None:
    for narrow in (False, True):
        places = places_for(width, narrow=narrow or width < 100)
        assert SPAN_SECONDS % places.cells == 0 and places.cells in CELLS
        assert places.chart + places.cells * places.wide <= (width if narrow or width < 100 else places.split - 1)


# ----------------------------------------------------------------------------------------------- the picture of the design


def test_rows_of_the_picture_at_120_columns() -> None:
    rows = lines("rich")
    assert len(rows) == 40
    assert rows[1].startswith(" qwen-72b  vLLM 0.32 · svc · Qwen2.5-72B-AWQ on GPU 4 · pid 33071 · port 8000 ")
    assert rows[1].endswith(", . other")
    assert (
        rows[2] == " up 9d 11:02 · /metrics read every 2 s, last 0.6 s ago · rates of 10 s, the rest of 5 min unless it says else"
    )
    assert rows[3].startswith("╭─ Tokens/s ─") and rows[3][65:68] == "╮╭─" and "Queue and cache" in rows[3]
    for y, value, name in ((4, "1.26k", "decode"), (5, "893", "prefill"), (6, "7.45k", "prompt"), (8, "3.94", "requests/s"), (9, "1 890", "prompt mean"), (10, "320", "output mean")):  # fmt: skip
        assert rows[y][1:8].strip() == value and rows[y][7] != " " and rows[y][9:].startswith(name), rows[y]
    assert rows[11][2:18] == "prefill = prompt" and rows[12][2:17] == "less 88% cached"
    assert rows[8][23:].startswith("decode, 0 to 1.6k") and rows[11][23:].startswith("prefill, 0 to 1.6k")
    assert rows[12][23:28] == "13:32" and rows[12][43:48] == "14:02" and rows[12][60:63] == "now"
    assert rows[7][23:63] == "███ " + "█" * 36, "the lowest of four rows, with a hole where nothing was observed"
    for y, name, value, note in ((4, "running", "48", "of 64"), (5, "waiting", "1", ""), (7, "KV cache", "91%", "98k of 108k tok"), (9, "prefix hits", "88%", "of the prompt")):  # fmt: skip
        assert rows[y][68:80].rstrip() == name and rows[y][97:102].strip() == value and rows[y][101] == value[-1]
        assert rows[y][103:118].rstrip() == note and set(rows[y][80:96]) <= set("━╸")
    assert rows[6][68:].startswith("queue time mean 61 ms, p95 188 ms")
    assert rows[8][68:].startswith("2.4 preemptions a min")


def test_columns_of_the_waiting_times() -> None:
    rows = lines("rich")
    assert "1 180 requests in 5 min · from histogram buckets, ± half a bucket" in rows[14]
    ends = {"mean": 34, "p50": 44, "p95": 54, "p99": 64, "SLO": 75, "in SLO": 86}
    for title, end in ends.items():
        assert rows[15][end + 1 - len(title) : end + 2] == title + " "
    assert rows[15][4:11] == "Measure" and rows[15][90:].startswith("p95, last 40 min")
    values = ("231 ms", "182 ms", "412 ms", "640 ms", "≤ 500 ms", "96.8%")
    for text, end in zip(values, ends.values(), strict=True):
        assert rows[16][end + 1 - len(text) : end + 1] == text
    assert [rows[y][4:23].rstrip() for y in range(16, 20)] == ["time to first token", "between tokens", "queue time", "whole request"]  # fmt: skip
    assert rows[18][75] == rows[18][86] == "–"
    assert len(rows[16][90:117].strip()) >= 26 and rows[16][117] == " "
    assert rows[21][4:].startswith(
        "goodput 3.74 to 3.81 of 3.94 requests/s   both limits met: 94.9 to 96.8%, a range: no joint figure"
    )


def test_columns_of_energy_and_of_what_ended() -> None:
    rows = lines("rich")
    assert rows[23].startswith("╭─ Energy and price ─") and "Requests ended" in rows[23] and "last 60 min" in rows[23]
    for y, value, unit, how in (
        (24, "0.34", "J/output token", "431 W ÷ 1.26k tok/s"),
        (25, "2.9", "tokens/J", ""),
        (26, "0.55", "$/M output tokens", "$2.50/GPU·h"),
        (27, "58%", "SM active", "bandwidth 52%, tensor 20%"),
        (28, "74.6", "GiB", "of 80 on GPU 4"),
    ):
        assert rows[y][10:16].strip() == value and rows[y][15] == value[-1] and rows[y][17:36].rstrip() == unit
        assert rows[y][36:64].rstrip() == how
    assert "GPU 4 only serves this model: energy is attributed in full" in rows[29]
    for y, count, share in ((24, "13 541", "95.5%"), (25, "611", "4.3%"), (26, "28", "0.2%"), (27, "0", "0"), (28, "14 180", "")):
        assert rows[y][103:111].strip() == count and rows[y][110] == count[-1] and rows[y][112:118].strip() == share
    assert "aborts and errors never count as goodput" in rows[29]


def test_where_its_gpu_time_went_and_whose_it_is() -> None:
    rows = lines("rich")
    assert rows[31].startswith("╭─ Where its GPU time went ─") and "15 min: efficiency 48%" in rows[31]
    assert rows[32][2:106].split() == ["effective", "48%", "under-filled", "35%", "wait", "14%", "3%"]
    assert rows[32][108:118] == "0.25 GPU·h"
    assert (
        "effective 48%   under-filled 35% (empty SM 24, stalled SM 11)   wait 14% (demand 12, host 2)   lost 3% (redone 3)"
        in rows[33]
    )
    assert "33102 svc    vllm EngineCore" in rows[35] and "33071 svc" in rows[36]


def test_the_parts_in_brackets_sum_to_their_part() -> None:
    view = with_servers("rich")
    context = context_of(WorkloadScreen, view, (120, 40))
    words = ["".join(text for text, _ in group) for group in part_words(context, server_ledger())]
    assert words == ["effective 48%", "under-filled 35% (empty SM 24, stalled SM 11)", "wait 14% (demand 12, host 2)", "lost 3% (redone 3)"]  # fmt: skip


def test_rows_at_80_columns() -> None:
    rows = lines("rich", (80, 24))
    assert len(rows) == 24
    assert rows[1].startswith("qwen-72b  vLLM 0.32 · svc") and rows[1].endswith(", . other")
    heads = [
        y
        for y, row in enumerate(rows)
        if row.startswith(("Tokens/s", "Queue and cache", "Latency", "goodput", "0.34 J/output token", "GPU time"))
    ]
    assert heads == [3, 10, 15, 20, 21, 22]
    assert rows[4][40:80] != rows[5][40:80] and set(rows[5][40:80]) <= set(" ▁▂▃▄▅▆▇█")
    assert rows[16].split() == ["first", "token", "231", "ms", "412", "ms", "640", "ms", "≤", "500", "ms", "96.8%"]
    assert "p50" not in rows[15] and rows[19].endswith("–")


def test_rows_at_200_columns_say_where_numbers_come_from() -> None:
    rows = lines("rich", (200, 60))
    assert len(rows) == 60
    text = "\n".join(rows)
    assert "Where its numbers come from" in text and "vllm:generation_tokens_total" in text
    assert "unverified: this engine's page" in "\n".join(lines("unverified", (200, 60)))


@pytest.mark.parametrize("size", [(100, 30), (80, 24), (120, 40)])
def test_the_most_important_values_stand_at_every_size(size: tuple[int, int]) -> None:
    text = "\n".join(lines("rich", size))
    for word in ("1.26k", "7.45k", "3.94", "48", "91%", "412 ms", "≤ 500 ms", "96.8%", "0.34", "goodput 3.74 to 3.81"):
        assert word in text, word


# --------------------------------------------------------------------------------------------------- what is not known


def test_an_estimate_has_its_sign_and_two_digits_and_says_what_is_counted_late() -> None:
    rows = lines("estimated")
    assert rows[4][2:8].strip() == "~130" and "~0.89" in rows[24] and "÷ ~130 tok/s" in rows[24]
    assert rows[13].startswith("╰─") and "~ estimated · prefill counted at the end of requests" in rows[13]
    assert rows[5][2:8].strip() == "411"
    exact = lines("rich")
    assert "~" not in "\n".join(exact)


def test_an_engine_without_a_gauge_has_no_row_and_a_value_that_is_late_a_dash() -> None:
    text = "\n".join(lines("estimated"))
    assert "KV cache" not in text and "prefix hits" not in text and "preemption" not in text and "queue time" in text
    late = changed(rich(kv_cache_ratio=None, kv_cache_fullest_ratio=None, prefix_hit_ratio=None))
    assert next(row for row in late if "KV cache  " in row)[101] == "–"
    assert "not on this server's page" in "\n".join(lines("estimated")[14:31])


def test_what_the_page_does_not_say_is_a_dash_never_a_zero() -> None:
    rows = lines("estimated")
    assert [rows[y][7] for y in (6, 8, 9, 10)] == ["–"] * 4
    assert [rows[y][110] for y in range(24, 29)] == ["–"] * 5
    assert all(rows[y][end] == "–" for y in range(16, 20) for end in (34, 44, 54, 64, 75, 86))
    assert rows[21][4:].startswith("goodput –")


def test_measured_nothing_is_zero() -> None:
    rows = lines("idle")
    assert [rows[y][7] for y in (4, 5, 6, 8)] == ["0"] * 4 and [rows[y][7] for y in (9, 10)] == ["–"] * 2
    assert "0%" in rows[7][97:102] and "no preemption" in rows[8]
    assert "431 W, no token" in rows[24] and rows[24][15] == "–"
    assert [rows[y][110] for y in range(24, 29)] == ["0"] * 5
    assert "few requests" in rows[16]


def test_a_percentile_above_the_last_bound_and_one_that_means_nothing() -> None:
    rows = changed(slow())
    assert rows[16][48:65].split() == [">", "10", "s", ">", "10", "s"] and "9.1 s" in rows[16] and "41 to 46%" in rows[16]
    assert rows[17][29:65].split() == ["4.2", "ms", "one", "bucket"] and rows[17][83:87] == "100%"
    assert "few requests" in rows[19] and "132 s" in rows[19]
    assert rows[18][34] == "–" and "no buckets" in rows[18]
    assert "goodput 0 to 0.12 of 0.27 requests/s" in rows[21]


def test_a_missed_limit_is_amber_and_nothing_is_red() -> None:
    look = Look()
    view = with_servers("slow", "rich")
    first, second = work_named(view), work_named(view, 1)

    def style_at(work: WorkloadView, y: int, x: int) -> object:
        return sheet(view, work, look=look).cells(y).styles[x]

    assert style_at(first, 16, 54) == look.amber and style_at(first, 16, 86) == look.amber
    assert style_at(second, 16, 54) == look.white and style_at(second, 16, 86) == look.white
    held = look.style("held", "bg", True)
    assert all(style_at(first, y, x) != held for y in range(15, 22) for x in range(30, 90))
    target = replace(view, workloads=(replace(second, inference=rich(slo_target_ratio=0.99)),))
    assert sheet(target, target.workloads[0], look=look).cells(16).styles[86] == look.amber


def test_a_shared_gpu_has_no_energy_a_token() -> None:
    rows = changed(slow())
    assert rows[23].startswith("╭─ Energy ─")
    assert rows[24][15:].startswith("– shared GPU") and "431 W with others" in rows[24]
    assert any("GPU 4 also has other work: energy is not told apart" in row for row in rows[25:30])
    assert "~31% of dense BF16 peak" in "\n".join(rows)


def test_the_fullest_engine_is_named_where_engines_differ() -> None:
    row = changed(slow())[7]
    assert "62% fullest 97%" in row


def test_an_old_reading_is_dim_and_says_its_age() -> None:
    rows = lines("stale")
    assert rows[2].startswith(" no answer: connection refused · stale 14 s · up 9d 11:02")
    view, look = with_servers("stale"), Look()
    cells = sheet(view, work_named(view), look=look).cells(4)
    assert cells.texts[7] == "k" and cells.styles[7] == look.dim


@pytest.mark.parametrize(
    ("name", "words"),
    [
        (
            "metrics_off",
            ["No numbers: metrics off", "It answers, but its page of metrics is off.", "start it with --enable-metrics"],
        ),
        ("auth", ["No numbers: needs a token", "gpuwatch was given none", "token_env"]),
        ("namespace", ["another network namespace", "publish its port"]),
        ("starting", ["It is starting"]),
        ("new", ["has not told a number yet"]),
        ("no_metrics", ["This engine has no numbers of its own."]),
        ("large", ["larger than what gpuwatch reads", "more than 4 MiB"]),
    ],
)
@pytest.mark.parametrize("size", [(80, 24), (100, 30), (120, 40), (200, 60)])
def test_a_server_without_numbers_says_why_and_what_would_give_them(name: str, words: list[str], size: tuple[int, int]) -> None:
    text = "\n".join(lines(name, size))
    assert all(word in text for word in words), text
    assert "Where its GPU time went" in text and "vllm EngineCore" in text and "Tokens/s" not in text


def test_every_state_has_words() -> None:
    from gpuwatch.tui.panels.server_words import SENTENCES, STATES

    assert set(STATES) == set(SENTENCES) == set(ServerState)


def test_a_training_run_says_what_it_would_need() -> None:
    view = with_servers("rich")
    training = next(work for work in view.workloads if work.kind == "training")
    text = sheet(view, training).text()
    assert "gpuwatch run -- python train.py" in text and "Where its GPU time went" in text and "train_vit.py" in text


def test_until_its_past_is_read_nothing_is_claimed_and_another_ones_is_not_shown() -> None:
    text = "\n".join(lines("rich", answered=False))
    assert "reading …" in text and "█" not in text and "effective" not in text
    view = with_servers("rich", "estimated")
    work, other = work_named(view), work_named(view, 1)
    context = context_of(WorkloadScreen, view, (120, 40), None, UiState(workload=key_of_work(work)))
    wrong = sample_inference_detail(view, request_for(context, other))
    assert "reading …" in WorkloadScreen().draw(replace(context, detail=wrong)).text()


def test_markup_in_names_is_text() -> None:
    text = "\n".join(lines("hostile", (200, 60)))
    assert "a[/]b[red]" in text


# --------------------------------------------------------------------------------------------------- whose is a process


def test_a_process_belongs_to_the_nearest_workload_above_it() -> None:
    view = with_servers("rich")
    start = {process.pid: process.start_ms for process in view.processes}
    engine = work_of(view, 33_102, start[33_102])
    assert engine is not None and engine.root_pid == 33_071
    assert work_of(view, 902, start[902]) is None and work_of(view, 33_102, 5) is None and work_of(view, 1, 1) is None
    worker = work_of(view, 51_903, start[51_903])
    assert worker is not None and worker.name == "vit-l"
    assert {process.pid for process in members(view, engine)} == {33_071, 33_102}
    assert [gpu.gpu_index for gpu in gpus_of(view, engine)] == [4]
    assert find(view, key_of_work(engine)) is engine and find(view, (1, 2, 3)) is None


def test_a_circle_of_parents_ends() -> None:
    view = sample_view()
    one, two = view.processes[0], view.processes[1]
    circle = replace(view, processes=(replace(one, parent_pid=two.pid), replace(two, parent_pid=one.pid)))
    assert work_of(circle, one.pid, one.start_ms) is None


# ----------------------------------------------------------------------------------------------------------------- keys


def play(keys: list[str], view: View | None = None, size: tuple[int, int] = (120, 40)) -> tuple[str, GpuwatchApp]:
    """What stands there after ``keys``."""

    async def go() -> tuple[str, GpuwatchApp]:
        async with mounted(view or with_servers("rich", "estimated", "metrics_off"), size) as (app, pilot):
            for key in keys:
                await pilot.press(key)
                await pilot.pause()
                request = app.screen.request()  # type: ignore[attr-defined]
                if request is not None and app.view is not None:
                    answer = sample_inference_detail if request.workload else sample_detail
                    app.detail = answer(app.view, request)
                    app.repaint()
            await pilot.pause()
            return text_of(app), app

    return asyncio.run(go())


TO_THROUGHPUT = ["tab", "tab"]


def test_enter_on_a_row_of_throughput_opens_it_and_escape_goes_back() -> None:
    text, _ = play([*TO_THROUGHPUT, "enter"])
    assert text.splitlines()[1].startswith(" qwen-72b  vLLM 0.32") and " 2 GPUs " in text.splitlines()[-1]
    text, _ = play([*TO_THROUGHPUT, "down", "enter"])
    assert text.splitlines()[1].startswith(" estimated-1  llama.cpp")
    text, _ = play([*TO_THROUGHPUT, "enter", "escape"])
    assert "Waste now" in text


def test_comma_and_full_stop_go_around_all_workloads() -> None:
    text, _ = play([*TO_THROUGHPUT, "enter", "full_stop", "full_stop"])
    assert "metrics_off-2" in text.splitlines()[1] and "start it with --enable-metrics" in text
    text, _ = play([*TO_THROUGHPUT, "enter", "comma"])
    assert "training" in text.splitlines()[1]
    text, _ = play([*TO_THROUGHPUT, "enter", "down", "up"])
    assert text.splitlines()[1].startswith(" qwen-72b")


def test_a_process_of_a_server_and_a_holder_of_a_gpu_open_it() -> None:
    text, _ = play(["down"] * 5 + ["enter"])
    assert text.splitlines()[1].startswith(" qwen-72b  vLLM")
    text, _ = play(["tab", "down", "down", "down", "down", "enter", "enter"])
    assert text.splitlines()[1].startswith(" qwen-72b  vLLM")
    text, _ = play(["tab", "down", "down", "down", "down", "enter", "enter", "escape"])
    assert text.splitlines()[1].startswith(" GPU 4 ")
    text, _ = play(["enter"])
    assert "pid 48213" in text, "a process of no server opens as before"


def test_a_process_alone_opens_its_workload_and_the_way_back_is_the_same() -> None:
    keys = ["3", "slash", *"engine", "enter", "down", "enter"]
    alone, app = play(keys)
    assert app.ui.open_process and "pid 33102" in alone
    assert play([*keys, "enter"])[0].splitlines()[1].startswith(" qwen-72b  vLLM")
    text, app = play([*keys, "enter", "escape"])
    assert app.ui.open_process and "pid 33102" in text
    text, app = play([*TO_THROUGHPUT, "enter", "enter"])
    assert "pid 33071" in text and app.ui.open_process


def test_tab_goes_to_throughput_only_where_it_is_shown() -> None:
    assert play(["tab", "tab"], size=(80, 24))[1].ui.focus == "processes"
    assert play(["tab", "tab"])[1].ui.focus == "throughput"
    assert play(["tab", "tab", "tab"])[1].ui.focus == "processes"
    assert play(["tab", "tab"], size=(200, 60))[1].ui.focus == "throughput"


def test_a_click_selects_a_row_of_throughput_and_the_panel_beside_it_is_not_meant() -> None:
    async def go() -> list[tuple[str, int]]:
        seen = []
        async with mounted(with_servers("rich", "estimated", "metrics_off"), (200, 60)) as (app, pilot):
            for x, y in ((160, 12), (30, 12)):
                await pilot.click(offset=(x, y))
                await pilot.pause()
                seen.append((app.ui.focus, app.ui.table(app.ui.focus).index))
        return seen

    assert asyncio.run(go()) == [("throughput", 1), ("gpus", 3)]


def test_copy_takes_what_would_give_the_numbers() -> None:
    _, app = play([*TO_THROUGHPUT, "down", "down", "enter", "y"])
    assert app.copied == "start it with --enable-metrics"
    _, app = play([*TO_THROUGHPUT, "enter", "y"])
    assert app.copied == "qwen-72b Qwen2.5-72B-AWQ http://127.0.0.1:8000/metrics"


def test_a_server_that_ends_says_so_and_full_stop_shows_another() -> None:
    async def go() -> tuple[str, str]:
        async with mounted(with_servers("rich", "estimated"), (120, 40)) as (app, pilot):
            await pilot.press("tab", "tab", "enter")
            rest = with_servers("rich", "estimated")
            app.show(replace(rest, workloads=rest.workloads[1:]))
            await pilot.pause()
            gone = text_of(app)
            await pilot.press("full_stop")
            await pilot.pause()
            return gone, text_of(app)

    gone, other = asyncio.run(go())
    assert "It has ended" in gone and "estimated-1" in other.splitlines()[1]


def test_the_help_of_this_screen_has_its_keys() -> None:
    text, _ = play([*TO_THROUGHPUT, "enter", "question_mark"])
    assert "Keys · workload" in text and "next workload" in text and "its root process" in text


# -------------------------------------------------------------------------------------------------------------- numbers


def test_scales_end_at_round_numbers() -> None:
    assert [scale_text(nice(peak)) for peak in (0.4, 1, 9.9, 11, 131, 1_290, 1_610, 13_000, 9.9e6)] == ["1", "1", "10", "12", "160", "1.6k", "2k", "16k", "10M"]  # fmt: skip
    assert all(nice(peak) >= peak for peak in (0.01, 0.99, 5.5, 99.9, 101, 12_345, 9.99e9))


def test_waiting_times_have_three_digits() -> None:
    assert [latency(value) for value in (None, 0.0, 0.0042, 0.0099, 0.01, 0.412, 0.9994, 0.9996, 12.4, 99.94, 131.6)] == ["–", "0 ms", "4.2 ms", "9.9 ms", "10 ms", "412 ms", "999 ms", "1.0 s", "12.4 s", "99.9 s", "132 s"]  # fmt: skip


def test_the_sample_knows_all_four_waiting_times() -> None:
    assert {each.latency for each in rich().latencies} == set(Latency)
