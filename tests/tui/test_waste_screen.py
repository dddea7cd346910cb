"""The waste screen: what is open, what came of older findings, what was not judged; the selected one; its keys."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
from support.sample_detail import sample_detail
from support.sample_view import NOW_MS, sample_view
from support.sample_waste import sample_waste
from support.tui import context_of, faults, mounted, text_of
from support.tui_views import HOSTILE, VIEWS

from gpuwatch.errors import GpuwatchError
from gpuwatch.names import Basis
from gpuwatch.tui import findings
from gpuwatch.tui.draw.line import Sheet
from gpuwatch.tui.options import MuteWish
from gpuwatch.tui.palette import TIERS, Look
from gpuwatch.tui.panels.waste_sections import SECTIONS, rows_for
from gpuwatch.tui.panels.waste_unjudged import groups_of
from gpuwatch.tui.screens.waste import WasteScreen
from gpuwatch.tui.state import Context, ManualPage, TableState, UiState
from gpuwatch.tui.waste import request_for
from gpuwatch.view.finding_types import EvidenceView, NotEvaluatedView, WasteView
from gpuwatch.view.types import View

LOOKS = [Look(tier, ascii_only=ascii_only) for tier in TIERS for ascii_only in (False, True)]
WIDTHS = ((60, 15), (80, 24), (99, 40), (100, 28), (120, 40), (200, 60))
MANUAL = (
    "Somebody holds GPU memory.\n\nFires when " + "a long time passes " * 40 + "\n" + "\n".join(f"  line {i}" for i in range(60))
)


def context(view: View, size: tuple[int, int] = (120, 40), look: Look | None = None, at: int = 1, waste: WasteView | None = None, **ui: object) -> Context:  # fmt: skip
    out = context_of(WasteScreen, view, size, look, UiState(**ui))  # type: ignore[arg-type]
    if view.findings:
        key = findings.key_of(view.findings[min(at, len(view.findings) - 1)])
        out.ui.tables["findings"] = TableState(selected=key)
    detail = sample_detail(view, request_for(out, view))
    return replace(out, detail=detail if waste is None else replace(detail, waste=waste))


def sheet(view: View, size: tuple[int, int] = (120, 40), look: Look | None = None, **more: object) -> Sheet:
    return WasteScreen().draw(context(view, size, look, **more))  # type: ignore[arg-type]


def lines(view: View, size: tuple[int, int] = (120, 40), **more: object) -> list[str]:
    return sheet(view, size, **more).text().splitlines()


def hostile() -> View:
    view = VIEWS["hostile"](45)
    long = tuple(
        replace(
            each,
            name=HOSTILE,
            user=HOSTILE,
            command=HOSTILE,
            facts=(EvidenceView(HOSTILE, HOSTILE, HOSTILE, HOSTILE),) * 9,
            how=HOSTILE * 9,
            try_first=(HOSTILE * 9, HOSTILE),
            then=HOSTILE,
            gain=HOSTILE * 4,
            gain_source=HOSTILE,
            wrong_if=(HOSTILE,) * 7,
            sql=HOSTILE * 4,
            pids=tuple(range(4_194_300, 4_194_310)),
            waste_gpus=512.4,
            cost_gpu_seconds=1e10,
            cost_money=1e7,
            currency=HOSTILE,
        )
        for each in view.findings
    )
    return replace(view, findings=long * 6)


@pytest.mark.parametrize("name", VIEWS)
@pytest.mark.parametrize("size", WIDTHS)
def test_no_character_is_written_over_another_or_past_a_border(name: str, size: tuple[int, int]) -> None:
    view = VIEWS[name](45)
    choices: tuple[dict[str, object], ...] = (
        {},
        {"open_finding": True},
        {"mute_asked": True, "open_finding": True},
        {"show_muted": True, "waste": replace(sample_waste(NOW_MS), muted=sample_view().findings[:2])},
        {"notice": "x" * 300},
        {"manual": ManualPage("input-bound", MANUAL)},
        {"waste": WasteView((), (), (), (), 0, 0, 0, 0, known=False)},
        {"at": 4, "open_finding": True},
    )
    for look, ui in zip(LOOKS, choices, strict=True):
        assert faults(sheet(view, size, look, **ui)) == []


@pytest.mark.parametrize("size", WIDTHS)
def test_texts_of_any_length_stay_in_their_places(size: tuple[int, int]) -> None:
    missed = tuple(NotEvaluatedView(f"rule-{i}" * 9, HOSTILE, f"{HOSTILE}{i}", HOSTILE) for i in range(40))
    resolved = tuple(replace(each, name=HOSTILE, user=HOSTILE, effect=HOSTILE) for each in sample_waste(NOW_MS).resolved * 9)
    waste = replace(sample_waste(NOW_MS), not_evaluated=missed, resolved=resolved)
    for look, opened in zip(LOOKS, (False, True) * 4, strict=True):
        assert faults(sheet(hostile(), size, look, waste=waste, open_finding=opened)) == []


def test_rows_of_the_picture_at_120_columns() -> None:
    rows = lines(sample_view())
    assert rows[1].startswith("╭─ Open 5 ─") and "waste now 3.6 of 8 GPUs" in rows[1][:52]
    assert " 2  waits for input ─" in rows[1][52:] and "rule input-bound · warning" in rows[1]
    assert rows[5][:52] == "│ 2 ▌ −1.2 GPU  waits for input              08:24 │"
    assert rows[6][:52] == "│   ▌           GPU 2 3 · carol · 7.1 GPU·h so far │"
    assert "no cost   PCIe link x8 of x16      Wed 09:12" in rows[11]
    assert rows[14].startswith("╭─ Resolved, 7 days ─") and rows[23].startswith("╭─ Not evaluated 3 of 31 rules ─")
    assert rows[15][2:26] == "√ saves 3.1 GPU·h a day " and "– no effect  carol" in rows[19]
    assert "31 rules  5 open · 23 clear · 3 not evaluated" in rows[36]
    finding = [row[54:118].rstrip() for row in rows]
    assert finding[2] == "58% of each training step of vit-l waits for data."
    assert finding[3] == "GPU 2 3 · carol · pid 51877, 51878 · python train_vit.py"
    assert finding[6].split("  ")[0] == "−1.2 of 8 GPUs" and "08:24, 6 h 8 min" in finding[6] and "7.1 GPU·h ≈ $18" in finding[6]
    for row, head in ((8, "Evidence"), (18, "How computed"), (22, "Try first"), (27, "Expected gain"), (32, "May be wrong if")):
        assert finding[row].startswith(head)
    assert [rows[9][at] for at in (97, 106, 117)] == ["%", "%", "k"]
    assert finding[15].startswith("▁ ▄▄▄") and finding[15].endswith("58%") and finding[16].split() == ["08:19", "11:25", "14:32"]
    assert finding[36] == "Confidence high, measured" and finding[37].startswith("m mute:  h 1 hour  d 24 hours")


def test_sections_stand_where_they_stood_whatever_a_finding_says() -> None:
    view = sample_view()
    bare = replace(
        view.findings[1], facts=(), how="", try_first=(), advice="", then="", gain="", wrong_if=(), cost_gpu_seconds=None
    )
    rows = lines(replace(view, findings=(bare,)))
    for row, head in ((8, "Evidence"), (18, "How computed"), (22, "Try first"), (27, "Expected gain"), (32, "May be wrong if")):
        assert rows[row][54:].startswith(head) and rows[row + 1][54:].strip("│ ")
    assert "x copies" not in "\n".join(rows)


def test_every_height_gives_all_rows_to_sections_in_their_order() -> None:
    for rows in range(4, 90):
        found = rows_for(rows, 1 + rows % 2)
        assert sum(found.values()) == rows and list(found) == [name for name in SECTIONS if name in found]
        assert {"fact", "try"} <= set(found)


def test_an_estimate_says_up_to_and_a_measured_amount_does_not() -> None:
    view = sample_view()
    guess = replace(view.findings[1], basis=Basis.INFERRED, gain="half of it")
    text = "\n".join(lines(replace(view, findings=(guess,))))
    assert "≤1.2 GPU" in text and "now, up to" in text and "up to 7.1 GPU·h" in text and "up to half of it" in text
    text = "\n".join(lines(replace(view, findings=(replace(guess, basis=Basis.MEASURED),))))
    assert "−1.2 GPU" in text and "up to" not in text


def test_without_a_finding_the_rules_are_counted() -> None:
    view = replace(sample_view(), findings=())
    waste = replace(sample_waste(NOW_MS), rules_open=0, rules_clear=28)
    rows = lines(view, waste=waste)
    assert "No finding. 28 rules clear, 3 not evaluated." in rows[2]
    assert "The ledger counts 3.6 GPUs of waste now" in "\n".join(rows)
    rows = lines(view, (80, 24), waste=waste)
    assert rows[2] == "No finding. 28 rules clear, 3 not evaluated."


def test_the_past_says_what_is_not_kept_of_it() -> None:
    view = replace(sample_view(), past=True)
    text = "\n".join(lines(view, waste=replace(sample_waste(NOW_MS), known=False)))
    assert "waste then 3.6 of 8 GPUs" in text and "– not kept for the past" in text and "then  " in text


def test_what_one_signal_would_enable_stands_together() -> None:
    hook = ("run is not attached", "gpuwatch run -- python x.py")
    missed = [NotEvaluatedView(f"rule-{i}", f"GPU {i % 2} · ana", *hook) for i in range(4)]
    missed.append(NotEvaluatedView("rule-4", "GPU 0 · ana", "another signal", hook[1]))
    groups = groups_of([*missed, NotEvaluatedView("xid-error", "all GPUs", "kernel log", "")])
    assert [(group.head, group.where) for group in groups] == [("rule-0 +4", "2 places"), ("xid-error", "all GPUs")]


def test_muted_ones_are_listed_on_request_only() -> None:
    view = sample_view()
    waste = replace(sample_waste(NOW_MS), muted=(replace(view.findings[0], finding_id=99, name="tiny kernels", muted=True),))
    view = replace(view, findings=view.findings[:2])
    text = "\n".join(lines(view, waste=waste))
    assert "1 muted · M shows" in text and "tiny kernels" not in text
    text = "\n".join(lines(view, waste=waste, show_muted=True))
    assert "tiny kernels" in text and "· muted ·" in text


# ---------------------------------------------------------------------------------------------------------------- keys


def test_keys_select_copy_and_explain() -> None:
    async def run() -> None:
        async with mounted(sample_view(), explain=lambda rule: f"{rule} is about waiting." * 3) as (app, pilot):
            await pilot.press("x")
            assert app.copied.startswith("restart or shut down the kernel") and "Copied, if the terminal allows it" in text_of(app)
            await pilot.press("4", "down")
            assert "2  waits for input" in text_of(app)
            await pilot.press("x")
            assert app.copied.startswith("DataLoader(…, num_workers=12")
            await pilot.press("e")
            assert "Rule input-bound" in text_of(app) and "input-bound is about waiting." in text_of(app)
            await pilot.press("escape")
            assert "Rule input-bound" not in text_of(app) and "How computed" in text_of(app)
            await pilot.press("escape")
            assert "Waste now" in text_of(app)

    asyncio.run(run())


def test_enter_opens_the_workload_or_the_gpu() -> None:
    async def run() -> None:
        async with mounted(sample_view()) as (app, pilot):
            await pilot.press("4", "end", "enter")
            assert app.screen.NAME == "GPUs" and app.view.gpus[app.ui.gpu].gpu_index == 3
            await pilot.press("4")
            assert "5  PCIe link x8 of x16" in text_of(app)
            await pilot.press("2", "comma", "4")  # what explains GPU 2
            assert "2  waits for input" in text_of(app)

    asyncio.run(run())


def test_on_a_narrow_screen_a_finding_has_its_own() -> None:
    async def run() -> None:
        async with mounted(sample_view(), (80, 24)) as (app, pilot):
            await pilot.press("4")
            assert "Open 5" in text_of(app) and "How computed" not in text_of(app)
            await pilot.press("down", "enter")
            assert "Open 5" not in text_of(app) and "58% of each training step" in text_of(app)
            await pilot.press("down")
            assert "The power cap of GPU 7 is 400 W" in text_of(app)
            await pilot.press("escape")
            assert "Open 5" in text_of(app)
            await pilot.press("escape")
            assert app.screen.NAME == "Overview"
        async with mounted(sample_view(), (80, 24), mute=lambda _: None) as (app, pilot):
            await pilot.press("4", "m")
            assert "mute:  h 1 hour  d 24 hours  c this command  f for ever  Esc leaves" in text_of(app)

    asyncio.run(run())


def test_mutes_are_asked_for_and_sent_with_what_they_are_about() -> None:
    wishes: list[MuteWish] = []

    async def run() -> None:
        async with mounted(sample_view(), mute=wishes.append) as (app, pilot):
            await pilot.press("4", "down", "m", "escape")
            assert not wishes and app.screen.NAME == "Waste"
            for key in ("h", "d", "c", "f"):
                await pilot.press("m", key)
                assert "Muted" in text_of(app) and not app.ui.mute_asked
            await pilot.press("h", "c")  # without the prompt they mute nothing
        assert wishes == [
            MuteWish("input-bound", "job:51802", until_ms=NOW_MS + 3_600_000),
            MuteWish("input-bound", "job:51802", until_ms=NOW_MS + 86_400_000),
            MuteWish("input-bound", command="python train_vit.py"),
            MuteWish("input-bound", "job:51802"),
        ]

    asyncio.run(run())


def test_a_mute_that_cannot_be_kept_says_why() -> None:
    def refuse(_: MuteWish) -> None:
        raise GpuwatchError("the store is read-only")

    async def run() -> None:
        async with mounted(sample_view(), mute=refuse) as (app, pilot):
            await pilot.press("4", "m", "h")
            assert "Nothing muted: the store is read-only" in text_of(app)
        async with mounted(sample_view(), mute_off="Muting is off: this is a replay.") as (app, pilot):
            await pilot.press("4", "m")
            assert "Muting is off: this is a replay." in text_of(app) and not app.ui.mute_asked
        async with mounted(replace(sample_view(), past=True), mute=refuse) as (app, pilot):
            await pilot.press("4", "m")
            assert "Muting is off: this is the past." in text_of(app)

    asyncio.run(run())


def test_a_muted_finding_is_told_again() -> None:
    wishes: list[MuteWish] = []

    async def run() -> None:
        view = sample_view()
        waste = replace(sample_waste(NOW_MS), muted=(replace(view.findings[1], finding_id=99, muted=True),))
        async with mounted(replace(view, findings=()), mute=wishes.append) as (app, pilot):
            await pilot.press("4")
            request = app.screen.request()
            assert request is not None and request.waste
            app.detail = replace(sample_detail(view, request), waste=waste)
            await pilot.press("M", "m")
            assert "u tell it again" in text_of(app)
            await pilot.press("u")
        assert wishes == [MuteWish("input-bound", "job:51802", "python train_vit.py", lift=True)]

    asyncio.run(run())
