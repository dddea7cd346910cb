"""The screen of an inference server at every size and in every tier, and where each value stands."""

from __future__ import annotations

from dataclasses import replace

import pytest
from support.sample_servers import SERVERS, rich, server_ledger, with_servers, work_named
from support.server_sheets import lines, sheet
from support.tui import SIZES, context_of, faults
from support.tui_views import no_gpu

from gpuwatch.names import WAITS
from gpuwatch.tui.draw.line import width_of
from gpuwatch.tui.palette import TIERS, Look
from gpuwatch.tui.panels.server_boxed import rows_for
from gpuwatch.tui.panels.server_rates import nice, scale_text
from gpuwatch.tui.panels.workload_question import COLUMNS, SPAN_SECONDS, places_for
from gpuwatch.tui.panels.workload_time import part_words
from gpuwatch.tui.screens.workload import WorkloadScreen

LOOKS = [Look(tier, ascii_only=ascii_only) for tier in TIERS for ascii_only in (False, True)]
MORE_SIZES = [*SIZES, (99, 60), (100, 28), (120, 24), (140, 33), (250, 70)]


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
def test_columns_divide_the_hour_and_the_chart_ends_inside_its_panel(width: int) -> None:
    for narrow in (False, True):
        places = places_for(width, narrow=narrow or width < 100)
        assert SPAN_SECONDS % places.columns == 0 and places.columns in COLUMNS
        assert places.chart + places.columns <= (width if narrow or width < 100 else places.split - 1)


def test_rows_of_the_picture_at_120_columns() -> None:
    rows = lines("rich")
    assert len(rows) == 40
    assert rows[1].startswith(" qwen-72b  vLLM 0.32 · svc · Qwen2.5-72B-AWQ on GPU 4 · pid 33071 · port 8000 ")
    assert rows[1].endswith(", . other")
    assert rows[2] == " up 9d 11:02 · /metrics read every 2 s, last 0.6 s ago · rates over 10 s, the rest over 5 min unless noted"
    assert rows[3].startswith("╭─ Tokens/s ─") and rows[3][65:68] == "╮╭─" and "Queue and cache" in rows[3]
    for y, value, name in ((4, "1.26k", "decode"), (5, "893", "prefill"), (6, "7.45k", "prompt"), (8, "3.94", "requests/s"), (9, "1 890", "prompt mean"), (10, "320", "output mean")):  # fmt: skip
        assert rows[y][1:8].strip() == value and rows[y][7] != " " and rows[y][9:].startswith(name), rows[y]
    assert rows[11][2:18] == "prefill = prompt" and rows[12][2:17] == "less 88% cached"
    assert rows[8][23:].startswith("decode, 0 to 1.6k") and rows[11][23:].startswith("prefill, 0 to 1.6k")
    assert rows[12][23:28] == "13:32" and rows[12][43:48] == "14:02" and rows[12][60:63] == "now"
    assert rows[7][23:63] == "██" + "  " + "█" * 36, "the lowest of four rows, with a hole where nothing was observed"
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
    assert rows[15][4:11] == "Measure" and rows[15][90:].startswith("p95, last 60 min")
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


def test_scales_end_at_round_numbers() -> None:
    assert [scale_text(nice(peak)) for peak in (0.4, 1, 9.9, 11, 131, 1_290, 1_610, 13_000, 9.9e6)] == ["1", "1", "10", "12", "160", "1.6k", "2k", "16k", "10M"]  # fmt: skip
    assert all(nice(peak) >= peak for peak in (0.01, 0.99, 5.5, 99.9, 101, 12_345, 9.99e9))


def test_the_sample_knows_all_four_waiting_times() -> None:
    assert {each.latency for each in rich().latencies} == set(WAITS)
