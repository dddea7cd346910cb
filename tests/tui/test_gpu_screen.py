"""The GPU screen: lanes, holders and the twelve buckets, at every size, in every tier, and what stands there when values are missing."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
from support.sample_detail import crowded, sample_detail
from support.sample_view import sample_view
from support.tui import SIZES, context_of, faults, mounted, text_of
from support.tui_views import VIEWS, many_gpus, mig, no_fill, no_gpu

from gpuwatch.names import Bucket, Cause, Missing, State, Tier
from gpuwatch.tui.draw.line import Sheet
from gpuwatch.tui.palette import TIERS, Look
from gpuwatch.tui.panels.gpu_boxed import rows_for
from gpuwatch.tui.panels.gpu_ledger import columns
from gpuwatch.tui.panels.gpu_question import SPANS, cells_in, chosen, place_for, request_for
from gpuwatch.tui.panels.holders import short_command
from gpuwatch.tui.panels.lanes import levels
from gpuwatch.tui.parts import BUCKETS, split
from gpuwatch.tui.screens.gpu import GpuScreen
from gpuwatch.tui.state import UiState
from gpuwatch.view.types import LedgerPart, LedgerView, SpanView, View

LOOKS = [Look(tier, ascii_only=ascii_only) for tier in TIERS for ascii_only in (False, True)]


def sheet(view: View, size: tuple[int, int] = (120, 40), gpu: int = 7, look: Look | None = None, **ui: object) -> Sheet:
    context = context_of(GpuScreen, view, size, look, UiState(gpu=gpu, **ui))  # type: ignore[arg-type]
    if view.gpus:
        context = replace(context, detail=sample_detail(view, request_for(context, chosen(context, view))))
    return GpuScreen().draw(context)


def lines(view: View, size: tuple[int, int] = (120, 40), gpu: int = 7, **ui: object) -> list[str]:
    return sheet(view, size, gpu, **ui).text().splitlines()


@pytest.mark.parametrize("name", VIEWS)
@pytest.mark.parametrize("size", [*SIZES, (99, 60), (120, 28), (120, 24), (140, 33), (250, 70)])
def test_no_character_is_written_over_another_or_past_a_border(name: str, size: tuple[int, int]) -> None:
    view = VIEWS[name](45)
    for number, look in enumerate(LOOKS):
        assert faults(sheet(view, size, (0, 1, 7)[number % 3], look)) == []
    for zoom in range(len(SPANS)):
        assert faults(sheet(crowded(view), size, 4, zoom=zoom, write=True)) == []


def test_rows_of_the_picture_at_120_columns() -> None:
    rows = lines(sample_view())
    assert len(rows) == 40
    assert rows[1].startswith(" GPU 7  ▌throttled  since 14:11:20 · power limit 400 W, default 700 W · held by dave")
    assert rows[1].endswith(", . other GPU   z zoom")
    assert rows[2].startswith(" H100 80GB HBM3 · GPU-3f9c41d7 · PCI 0000:ca:00.0 gen 5 x16 · ECC on · persistence on")
    assert rows[3].startswith("╭─ Last 60 min ─") and "13:32 to 14:32 · 40 s a cell, its maximum" in rows[3]
    assert rows[4][2:22] == "SM active        91%" and rows[5][2:22] == "           0 to 100%"
    assert rows[6][2:22] == "tensor active    45%" and rows[9][2:22] == "memory used 66.3 GiB"
    assert rows[11][2:22] == "memory bandwidth 41%" and rows[14][2:22] == "power          399 W"
    assert rows[16][2:22] == "SM clock    1395 MHz" and rows[19][2:22] == "PCIe read   3.1 GB/s"
    assert rows[22][14:22] == "0 to 450" and rows[22][23:113].strip(" ·") == ""
    assert rows[23][110:113] == "now"
    assert "violet = clocks lowered by the power limit" in rows[24]
    assert rows[27][2:22] == "60210 dave sdxl_ft  " and rows[27][114:118] == "66.3"
    assert rows[31].startswith("╭─ Where this GPU's time went ─")
    assert "60 min: efficiency 47% = allocated 100% × running 91% × fill 51%" in rows[31]
    assert [word for word in rows[32][10:117].split() if "%" in word] == ["47%", "29%", "9%", "9%", "6%"]
    assert rows[34][10:].split()[:6] == ["47.0", "28.6", "9.1", "8.7", "6.6", "0"]
    assert "wait: unexplained 7.2% · host 1.4% inferred" in rows[36]
    assert "sum: 60 min 100.0%" in rows[37] and "finding 3 power cap lowered · ask for -pl 700" in rows[37]
    assert rows[39].endswith("? help q quit")


def test_a_number_stands_under_the_last_letter_of_its_bucket() -> None:
    rows = lines(sample_view())
    for word, share in (("effective", "47.0"), ("empty SM", "9.1"), ("throttled", "6.6"), ("unavailable", "0")):
        end = rows[33].index(word) + len(word)
        assert rows[34][end - len(share) : end] == share


def test_the_lanes_of_a_narrow_screen_have_one_row_each() -> None:
    rows = lines(sample_view(), (80, 24))
    assert len(rows) == 24
    assert rows[1].startswith("GPU 7  ▌throttled  since 14:11:20")
    assert rows[3].startswith("Last 60 min") and rows[3].endswith("now")
    names = ["SM active", "tensor active", "memory", "bandwidth", "power", "SM clock", "PCIe", "NVLink"]
    assert [row[: len(name) + 1].rstrip() for row, name in zip(rows[4:12], names, strict=True)] == names
    assert all(len(row) == 80 for row in rows[4:8])
    few = lines(sample_view(), (80, 16))
    names = ["SM active", "tensor active", "memory", "power", "SM clock", "Who held it"]
    assert [row[: len(name) + 1].rstrip() for row, name in zip(few[4:10], names, strict=True)] == names


@pytest.mark.parametrize("size", [(80, 24), (100, 30), (120, 40), (200, 60)])
def test_the_twelve_buckets_are_the_eight_part_bar_taken_apart(size: tuple[int, int]) -> None:
    context = context_of(GpuScreen, sample_view(), size, None, UiState(gpu=7))
    detail = sample_detail(sample_view(), request_for(context, sample_view().gpus[7]))
    assert detail.ledger is not None
    assert sum(share.percent for share in split(detail.ledger, BUCKETS)) == 100
    assert sum(share.ms for share in split(detail.ledger, BUCKETS)) == detail.ledger.capacity_ms


def test_every_bucket_has_its_own_part() -> None:
    assert sorted(bucket for part in BUCKETS for bucket in part.buckets) == sorted(Bucket)


def test_a_bucket_that_is_there_is_named_even_where_zeros_have_no_room() -> None:
    rows = tuple(
        LedgerPart(bucket, Cause.NONE, Tier.N, 1000, 0) for bucket in (Bucket.BUSY_UNKNOWN, Bucket.QUIET, Bucket.UNAVAILABLE)
    )
    ledger = LedgerView(SpanView(0, 3000, 1.0), 3000, rows)
    for limit in (70, 97, 117):
        named = [column.part.name for column in columns((ledger, None), 10, limit)]
        assert {"busy, quality unknown", "quiet", "unavailable"} <= set(named)
        assert "effective" not in named
        assert columns((ledger, None), 10, limit)[-1].right <= limit


def test_shares_of_the_span_sum_to_a_hundred() -> None:
    rows = lines(sample_view())
    assert sum(float(word) for word in rows[34][10:117].split()) == pytest.approx(100.0)


def test_without_sm_activity_the_older_counter_has_its_own_name_and_missing_lanes_say_why() -> None:
    view = no_fill()
    view = replace(view, gpus=tuple(replace(gpu, tensor_active_ratio=None, missing={"tensor_active_ratio": Missing.NOT_SUPPORTED}) for gpu in view.gpus))  # fmt: skip
    rows = lines(view)
    assert rows[4][2:10] == "GPU util"
    assert rows[6][2:15] == "tensor active" and "not supported on this GPU" in rows[6]
    assert not any(character in rows[6] + rows[7] for character in "▁▂▃▄▅▆▇█%")
    forbidden = tuple(replace(gpu, power_watts=None, missing={"power_watts": Missing.NO_PERMISSION}) for gpu in view.gpus)
    assert "no permission" in "\n".join(lines(replace(view, gpus=forbidden))[13:18])


def test_hidden_holders_are_not_called_nobody() -> None:
    view = sample_view()
    gpu = replace(view.gpus[7], users=("?",))
    hidden = replace(view, gpus=(*view.gpus[:7], gpu), processes=())
    rows = lines(hidden)
    assert "holder unknown (other users hidden)" in rows[1] and "holder unknown (other users hidden)" in rows[27]
    free = replace(view.gpus[7], users=(), state=State.FREE)
    rows = lines(replace(view, gpus=(*view.gpus[:7], free), processes=()))
    assert "nobody holds it" in rows[1] and "nobody held it since 13:32" in rows[27]


def test_a_sliced_gpu_lists_its_instances_and_an_instance_names_its_gpu() -> None:
    rows = lines(mig(), gpu=0)
    assert "╭─ Its instances" in rows[25] and rows[27].startswith("│ └0 3g.40gb") and rows[28].startswith("│ └1 3g.40gb")
    assert rows[1].startswith(" GPU 0  sliced into 2 instances") and "nobody" not in rows[1]
    assert "Its time is counted in its instances" in rows[32]
    assert lines(mig(), gpu=1)[1].startswith(" GPU 0:0  ▌busy")


def test_a_process_that_was_not_there_leaves_dots_and_the_longest_holder_stands_first() -> None:
    row = lines(sample_view())[27]
    assert set(row[23:53]) == {"·"} and set(row[60:113]) == {"━"}


def test_the_hour_of_a_gpu_is_not_shown_under_another_ones_name() -> None:
    context = context_of(GpuScreen, sample_view(), (120, 40), None, UiState(gpu=7))
    stale = sample_detail(sample_view(), request_for(context, sample_view().gpus[2]))
    text = GpuScreen().draw(replace(context, detail=stale)).text()
    assert "reading …" in text and "▇" not in text and "48213" not in text


@pytest.mark.parametrize("width", range(60, 260, 7))
@pytest.mark.parametrize("seconds", [seconds for seconds, _ in SPANS])
def test_cells_divide_their_span_and_fit(width: int, seconds: int) -> None:
    place, gib_at = place_for(width, seconds)
    assert seconds % place.cells == 0 and seconds // place.cells >= 5
    assert place.x + place.cells <= width and (gib_at < 0 or place.x + place.cells <= gib_at - 4)


def test_cells_of_the_design() -> None:
    assert [seconds // cells_in(90, seconds) for seconds, _ in SPANS] == [10, 40, 16 * 60, 112 * 60]


def test_the_three_panels_fill_the_height() -> None:
    for height in range(24, 70):
        for holders in (0, 1, 5, 40):
            rows = rows_for(height, holders)
            assert rows.lanes + rows.holders + rows.ledger == height
    assert (rows_for(36, 3).lane, rows_for(36, 3).lanes, rows_for(36, 3).holders) == (2, 22, 6)


def test_a_measured_nothing_is_a_level_of_its_own_and_the_top_level_stays_free() -> None:
    assert levels([None, 0.0, 0.001, 0.5, 1.0, 9.0], 1.0, 2, 8) == [None, 0, 1, 8, 15, 15]
    assert levels([1.0], None, 2, 8) == [0]


@pytest.mark.parametrize(
    ("command", "word"),
    [
        ("python train_vit.py --arch vit-l", "train_vit"),
        ("/usr/bin/python3.11 -m sglang.launch_server --tp 2", "sglang.launch_server"),
        ("accelerate launch sdxl_ft.py --res 1024", "sdxl_ft"),
        ("vllm serve Qwen2.5-72B-AWQ --tp 1", "vllm"),
        ("dcgm-exporter", "dcgm-exporter"),
        ("env A=1 bash run_vit.sh", "run_vit"),
        ("", ""),
    ],
)
def test_a_command_in_one_word(command: str, word: str) -> None:
    assert short_command(command) == word


def screen_after(keys: list[str], size: tuple[int, int] = (120, 40), view: View | None = None) -> str:
    async def run() -> str:
        async with mounted(view or sample_view(), size) as (app, pilot):
            await pilot.press(*keys)
            await pilot.pause()
            return text_of(app)

    return asyncio.run(run())


@pytest.mark.parametrize("size", [(80, 24), (120, 40)])
def test_tab_selects_among_the_gpus_of_the_overview_and_enter_opens_one(size: tuple[int, int]) -> None:
    assert "GPU 2  ▌waiting" in screen_after(["tab", "down", "down", "enter"], size)
    around = ["tab"] * (3 if size[0] >= 110 else 2)  # the workloads of the throughput panel are a table of their own
    assert "pid 48213" in screen_after([*around, "enter"], size)


def test_comma_and_full_stop_go_around_and_z_zooms() -> None:
    assert " GPU 7  ▌throttled" in screen_after(["2", "comma"])
    assert " GPU 1  ▌busy" in screen_after(["2", "full_stop"])
    assert "Last 24 h" in screen_after(["2", "z"]) and "Last 15 min" in screen_after(["2", "z", "z", "z"])


def test_the_gpus_of_the_overview_scroll_with_their_selection() -> None:
    view = many_gpus(45, 72)
    assert "GPU 71 " in screen_after(["tab", "end", "enter"], view=view)


def test_a_host_without_a_gpu_has_nothing_to_tab_to() -> None:
    assert "GPU" in screen_after(["tab", "down", "2"], view=no_gpu())
