"""The screen of a training at every size and in every tier, and where each value stands."""

from __future__ import annotations

from dataclasses import replace

import pytest
from support.sample_trainings import TRAININGS, many, probed, rich
from support.training_sheets import lines, sheet, with_trainings, work_named
from support.tui import SIZES, faults
from support.tui_views import no_gpu

from gpuwatch.format import shares
from gpuwatch.names import Phase
from gpuwatch.tui.draw.line import width_of
from gpuwatch.tui.palette import TIERS, Look
from gpuwatch.tui.panels import training_narrow
from gpuwatch.tui.panels.training_boxed import rows_for
from gpuwatch.tui.panels.training_mfu import tensor_use
from gpuwatch.tui.panels.training_rates import top_of, top_text
from gpuwatch.tui.panels.training_step import rows_wanted
from gpuwatch.tui.phases import PHASES, in_order, split

LOOKS = [Look(tier, ascii_only=ascii_only) for tier in TIERS for ascii_only in (False, True)]
MORE_SIZES = [*SIZES, (99, 60), (100, 28), (120, 24), (250, 70)]


@pytest.mark.parametrize("name", TRAININGS)
def test_no_character_is_written_over_another_or_past_a_border(name: str) -> None:
    view, elsewhere = with_trainings(name), with_trainings("rich", name)
    for number, size in enumerate(MORE_SIZES):
        look = LOOKS[number % len(LOOKS)]
        assert faults(sheet(view, work_named(view), size, look, answered=number % 3 > 0)) == [], size
        if number % 4 == 0:
            assert faults(sheet(elsewhere, work_named(elsewhere, 1), size)) == [], size


@pytest.mark.parametrize("look", LOOKS, ids=lambda look: f"{look.tier}-{'ascii' if look.ascii else 'unicode'}")
def test_every_tier_and_glyph_set_is_as_clean(look: Look) -> None:
    for name in ("probed", "many", "hostile"):
        for size in ((80, 24), (120, 40)):
            view = with_trainings(name)
            drawn = sheet(view, work_named(view), size, look)
            assert faults(drawn) == []
            for y in range(drawn.height):
                row = drawn.strip(y).text
                assert width_of(row) == size[0]
                if row[0] in "│╭╰":
                    assert row[-1] in "│╮╯"


def test_a_host_without_a_gpu_says_nothing_of_one() -> None:
    view = with_trainings("rich")
    bare = replace(no_gpu(), workloads=tuple(replace(work, gpu_indices=()) for work in view.workloads))
    for size in ((60, 15), (80, 24), (120, 40), (200, 60)):
        assert faults(sheet(bare, work_named(bare), size, answered=False)) == []
    text = sheet(bare, work_named(bare)).text()
    assert "2 ranks on the CPU" in text and "It holds no GPU." in text and "GPU meanwhile" not in text and "GPU idle" not in text


def test_the_panels_fill_the_height() -> None:
    for height in range(24, 80):
        for phases in (0, 1, 6, 9):
            for ranks in (1, 2, 16, 64):
                step = 3 if not phases else phases + 6
                rows = rows_for(height, step, 5 + ranks)
                assert rows.sum == height and rows.step <= max(3, step)
    rows = rows_for(36, rows_wanted(rich()), 7)
    assert (rows.rates, rows.step, rows.ranks, rows.time) == (10, 12, 7, 7)
    for room in range(8, 60):
        for phases in range(10):
            narrow = training_narrow.rows_for(room, phases)
            assert narrow.chart >= 2 and narrow.phases <= phases
            assert 2 + narrow.chart + narrow.mfu + 2 + narrow.phases <= max(room, 6 + min(2, phases))


def test_rows_of_the_picture_at_120_columns() -> None:
    rows = lines("rich")
    assert len(rows) == 40
    assert rows[1].startswith(" llama-8b  training · alice · 2 ranks on GPU 0, 1, assumed data parallel · pid 57098 · attached ")
    assert rows[1].endswith(", . other")
    assert rows[2] == " step 5 690 of 20 000 · 24 576 tokens a step · running 2:51:00 · 7 h 7 min to go at this rate · loss 2.314"
    assert rows[3].startswith("╭─ Tokens/s ─") and rows[3][65:68] == "╮╭─" and "MFU 38%" in rows[3]
    for y, value, name in ((4, "13.7k", "tok/s now"), (6, "13.5k", "mean"), (7, "14.0k", "best min"), (8, "6.87k", "per GPU")):
        assert rows[y][1:8].strip() == value and rows[y][7] != " " and rows[y][9:].startswith(name), rows[y]
    assert rows[10][2:].startswith("140M tokens") and rows[11][2:].startswith("in this run")
    assert rows[4][19:22] == "16k" and rows[10][21] == "0"
    assert rows[10][23:63] == "██" + "  " + "█" * 36, "the lowest of seven rows, with a hole where nothing was observed"
    assert rows[11][23:28] == "13:32" and rows[11][43:48] == "14:02" and rows[11][60:63] == "now"
    assert "sum over ranks, assumed data parallel" in rows[12]


def test_the_formula_is_broken_before_an_operator_and_never_inside_a_number() -> None:
    rows = lines("rich")
    assert set(rows[4][68:108]) <= set("━╸") and rows[4][115:118] == "38%"
    assert [rows[y][68:118].rstrip() for y in range(7, 12)] == [
        "13.7k tok/s × 54.6 GFLOP/token = 750 TFLOP/s",
        "2 GPUs × 989 TFLOP/s (bf16 dense) = 1 978 peak",
        "54.6 = 6 × 8.03 G parameters + 12 × 32 layers",
        "  × 4 096 wide × 4 096 tokens",
        "bf16 from autocast, parameters counted by the hook",
    ]


def test_what_the_tensor_cores_did_stands_beside_mfu_with_its_caveat() -> None:
    rows = [row[68:118].rstrip() for row in lines("rich")]
    assert "OFU 39% now = tensor active 44% × clock 89%" in rows
    assert "recomputed and padded work counts too; no FLOPs" in "\n".join(lines("rich", (120, 50)))
    view = with_trainings("rich")
    without = replace(view, gpus=tuple(replace(gpu, tensor_active_ratio=None) for gpu in view.gpus))
    assert tensor_use(without, work_named(without)) is None
    one = replace(view, gpus=(replace(view.gpus[0], sm_clock_hertz=None), *view.gpus[1:]))
    assert tensor_use(one, work_named(one)) is None


def test_columns_of_the_phases() -> None:
    rows = lines("rich")
    assert rows[13].startswith("╭─ Where a step goes · 1.79 s ─") and "mean of 168 steps in 5 min, both ranks" in rows[13]
    assert rows[14][2:118].split() == ["forward", "28%", "backward", "55%", "opt", "7%", "3%", "3%", "4%"]
    ends = {"s a step": 27, "share": 36, "p95 s": 45}
    for title, end in ends.items():
        assert rows[16][end + 1 - len(title) : end + 2] == title + " "
    table = [(row[4:20].rstrip(), *(row[end - 5 : end + 1].strip() for end in ends.values())) for row in rows[17:24]]
    assert table == [
        ("forward", "0.50", "28%", "0.52"),
        ("backward", "0.99", "55%", "1.05"),
        ("optimizer", "0.13", "7%", "0.13"),
        ("data wait", "0.05", "3%", "0.11"),
        ("checkpoint", "0.05", "3%", "–"),
        ("other host", "0.07", "4%", "0.09"),
        ("step", "1.79", "100%", "1.86"),
    ]
    assert rows[17][48:68].rstrip() == "▅ " + "▅" * 18 and rows[21][48:68].count("▅") == 3
    assert rows[20][72:].startswith("host waits; GPU idle: not known") and "host queues it" in rows[17][72:]
    assert "comm" not in "\n".join(rows[13:25]), "nobody measured it"


def test_with_the_probe_what_it_said_is_called_unverified() -> None:
    text = "\n".join(lines("probed"))
    assert "GPU idle 0.03 s of it (unverified)" in text and "GPU idle 0 s of it (unverified)" in text
    assert "probe: GPU ran dry in 12 of 84 probed steps (unverified)" in text
    assert "(unverified)" not in "\n".join(lines("rich"))


def test_ranks_and_cost() -> None:
    rows = lines("rich")
    top = next(y for y, row in enumerate(rows) if row.startswith("╭─ Ranks 2 ─"))
    assert "no straggler" in rows[top] and "this run so far" in rows[top]
    for title, end in (("Rank", 6), ("GPU", 12), ("step s", 21), ("data s", 29), ("host s", 37), ("SM active", 48), ("tok/s", 56), ("GiB", 63)):  # fmt: skip
        assert rows[top + 1][end + 1 - len(title) : end + 1] == title
    assert rows[top + 3][2:64].split() == ["1", "1", "1.79", "0.05", "0.12", "88%", "6.86k", "66.5"]
    costs = [row[68:118].split("  ") for row in rows[top + 1 : top + 6]]
    assert [[part.strip() for part in parts if part.strip()] for parts in costs] == [
        ["GPU time", "5.71 GPU·h", "≈ $14.26"],
        ["energy", "3.45 kWh", "0.090 J/token"],
        ["price", "0.10 $/M tokens", "$2.50/GPU·h"],
        ["goodput", "88% of the run", "first step 41 s"],
        ["checkpoint", "2.7% of the run", "eval 0"],
    ]
    assert any(row.startswith("╭─ Where its GPU time went ─") for row in rows)


def test_of_many_ranks_the_dead_and_the_slowest_stand_first() -> None:
    view, look = with_trainings("many"), Look()
    drawn = sheet(view, work_named(view), look=look)
    rows = drawn.text().splitlines()
    top = next(y for y, row in enumerate(rows) if row.startswith("╭─ Ranks 16 ─"))
    assert [row[2:7].strip() for row in rows[top + 2 : top + 7]][:3] == ["12", "9", "15"]
    assert "died 14:31:52: killed or crashed" in rows[top + 2] and "+11 more" in "".join(rows)
    assert drawn.cells(top + 2).styles[16] == look.style("held", "bg", True)
    assert drawn.cells(top + 3).styles[6] == look.amber and drawn.cells(top + 4).styles[6] == look.white
    tall = sheet(view, work_named(view), (200, 70)).text()
    assert "more ─╯" not in tall and many().straggler in tall


def test_rows_at_80_columns_and_in_the_smallest_terminal() -> None:
    rows = lines("rich", (80, 24))
    assert len(rows) == 24
    heads = [y for y, row in enumerate(rows) if row.startswith(("Tokens/s", "MFU", "Where a step", "Ranks 2", "Cost", "GPU time"))]
    assert heads == [3, 9, 11, 20, 21, 22]
    assert rows[9].endswith("13.7k tok/s × 54.6 GFLOP/token = 750 TFLOP/s") and rows[10].endswith(" 38%")
    assert rows[13].split()[:5] == ["■", "forward", "0.50", "28%", "0.52"] and rows[19].split()[:4] == ["step", "1.79", "100%", "1.86"]  # fmt: skip
    assert "assumed data parallel" in rows[3]
    small = lines("rich", (60, 15))
    heads = [y for y, row in enumerate(small) if row.startswith(("Tokens/s", "Where a step", "Ranks 2", "Cost", "GPU time"))]
    assert heads == [3, 7, 11, 12, 13] and "forward" in small[9]


@pytest.mark.parametrize("size", [(100, 30), (80, 24), (120, 40), (60, 15)])
def test_the_most_important_values_stand_at_every_size(size: tuple[int, int]) -> None:
    text = "\n".join(lines("rich", size))
    words = ("13.7k", "5 690", "1.79 s", "28%", "55%", "5.71 GPU·h", "3.45 kWh")
    for word in words if size[1] == 15 else (*words, "38%", "750 TFLOP/s", "$14.26"):
        assert word in text, word


def test_the_bar_and_the_table_have_one_order_and_sum_to_a_hundred() -> None:
    found = in_order(probed().phases)
    assert [each.phase for each in found] == [phase for phase in PHASES if any(each.phase is phase for each in found)]
    assert sum(share.percent for share in split(found)) == 100 == sum(shares([each.seconds for each in found]))
    assert Phase.ENDED not in PHASES


def test_scales_of_slow_trainings_end_at_round_numbers_too() -> None:
    assert [top_text(top_of(peak)) for peak in (0.004, 0.056, 0.56, 1, 9.9, 13_700)] == ["0.004", "0.06", "0.6", "1", "10", "16k"]


def luminance(color: tuple[int, int, int]) -> float:
    """WCAG 2.1's relative luminance."""
    parts = [c / 255 / 12.92 if c / 255 <= 0.03928 else ((c / 255 + 0.055) / 1.055) ** 2.4 for c in color]
    return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2]


def test_a_phase_can_be_read_in_its_bar_and_told_from_its_neighbours() -> None:
    look = Look()
    fills, letters = set(), set()
    for part in PHASES.values():
        style = look.fill(part.label, part.fill)
        ink, ground = (tuple(color.get_truecolor()) for color in (style.color, style.bgcolor) if color is not None)
        bright, dark = sorted((luminance(ink), luminance(ground)), reverse=True)  # type: ignore[arg-type]
        assert (bright + 0.05) / (dark + 0.05) >= 3.0, part.name
        fills.add(ground)
        letters.add(part.letter)
    assert len(fills) == len(letters) == len(PHASES)
