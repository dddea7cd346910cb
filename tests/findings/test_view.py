"""Findings in the view: which are open at an instant, what they had cost by then, their order, their money, mutes of the time."""

from __future__ import annotations

from datetime import UTC

import pytest
from support.advice import Advice, held_idle
from support.story import START

from gpuwatch.dataclass import replace
from gpuwatch.names import Basis, Bucket, Confidence, Severity
from gpuwatch.prices import GpuPrice, Prices, Since
from gpuwatch.rules.document import said_text
from gpuwatch.rules.types import CLEAR, NotEvaluated, Standing
from gpuwatch.store.window import Window
from gpuwatch.view.build import build_view
from gpuwatch.view.terms import Terms
from gpuwatch.view.types import View
from gpuwatch.view.waste import NOT_YET, finding_history, resolved, saving_words, waste_view

T0 = round(START * 1000)
MINUTE = 60_000
NOW_MS = T0 + 20 * MINUTE
PRICES = Prices("$", None, (GpuPrice("*", (Since(0, 2.0),)),))


def filled(advice: Advice) -> dict[str, int]:
    """A finding that is open, one that has cleared, one that is muted, one that is critical without an amount."""
    held, start = held_idle(gpus=(2,)), T0 + 2 * MINUTE
    common = {"last_ms": NOW_MS, "started_ms": start}
    found = {
        "held": advice.finding(
            held,
            rule="gpu-memory-held-idle",
            subject="gpu:GPU-1",
            owner_id=advice.owner("bob", pid=4711),
            minutes=advice.grown(start, T0 + 5 * MINUTE, NOW_MS, 1.0),
            cost_energy_mj=36_000_000,
            command="python -m ipykernel",
            **common,
        ),
        "small": advice.finding(held_idle(name="power cap lowered", gpus=(1,), waste_gpus=0.2), rule="power-cap", **common),
        "muted": advice.finding(
            held_idle(name="tiny kernels", gpus=(3,), waste_gpus=0.5), rule="tiny", subject="gpu:GPU-2", **common
        ),
        "grave": advice.finding(
            held_idle(name="ECC errors", gpus=(3,), waste_gpus=None, severity=Severity.CRITICAL), rule="ecc", **common
        ),
        "ended": advice.finding(
            held_idle(name="waits for input", gpus=(1, 2), waste_gpus=0.8),
            rule="input-bound",
            started_ms=start,
            last_ms=T0 + 10 * MINUTE,
            ended_ms=T0 + 10 * MINUTE,
            minutes=advice.grown(start, T0 + 4 * MINUTE, T0 + 10 * MINUTE, 0.8),
            before_pm=580,
            after_pm=100,
            saved_gpu_ms_day=round(0.5 * 86_400_000),
            effect="wait 58 -> 10%",
        ),
    }
    advice.mute("tiny", made_ms=T0 + 8 * MINUTE, subject="gpu:GPU-2")
    return found


def view_at(window: Window, at_ms: int | None = None, prices: Prices | None = None) -> View:
    return build_view(window, at_ms, now_ms=NOW_MS, tz=UTC, holder_pid=7, terms=Terms(prices=prices or Prices()))


def opened(advice: Advice) -> Window:
    """A reader beside the writer."""
    return Window(advice.db.execute("PRAGMA database_list").fetchone()[2])


def test_open_findings_that_are_not_muted_stand_in_the_view_the_gravest_and_costliest_first(advice: Advice) -> None:
    filled(advice)
    with opened(advice) as window:
        found = view_at(window).findings
        assert [one.name for one in found] == ["ECC errors", "held idle", "power cap lowered"]
        held = found[1]
    assert (held.rule, held.gpu_indices, held.waste_gpus, held.user, held.pids) == (
        "gpu-memory-held-idle",
        (1,),
        1.0,
        "bob",
        (4711,),
    )
    assert (held.severity, held.confidence, held.basis, held.bucket) == (
        Severity.WARNING,
        Confidence.HIGH,
        Basis.MEASURED,
        Bucket.HELD_IDLE,
    )
    assert held.cost_gpu_seconds == pytest.approx((NOW_MS - held.since_ms) / 1000)
    assert held.cost_energy_joules == 36_000
    assert held.cost_money is None
    assert next((fact.what, fact.measured, fact.limit) for fact in held.facts) == ("quiet without a break", "50 min", "30 min")
    assert held.try_first[0] == "kill 4711"


def test_an_amount_that_the_ledger_does_not_count_as_waste_is_called_the_findings_own(advice: Advice) -> None:
    common = {"last_ms": NOW_MS, "started_ms": T0 + 2 * MINUTE}
    hang = held_idle(name="busy, no progress", how="The time since then x 8 GPUs.", bucket=Bucket.STALLED_SM)
    advice.finding(hang, rule="busy-but-no-progress", **common)
    advice.finding(held_idle(name="held idle", how="All of it.", gpus=(2,)), rule="gpu-memory-held-idle", **common)
    with opened(advice) as window:
        how = {one.name: one.how for one in view_at(window).findings}
    assert how["busy, no progress"] == (
        "The time since then x 8 GPUs. The finding's own estimate: the ledger books this time as stalled SM, "
        "which is no part of its waste."
    )
    assert how["held idle"] == "All of it."


def test_money_needs_a_price_and_is_what_the_gpu_time_cost(advice: Advice) -> None:
    filled(advice)
    with opened(advice) as window:
        held = view_at(window, prices=PRICES).findings[1]
        assert held.cost_money == pytest.approx((held.cost_gpu_seconds or 0) / 3600 * 2.0)
        both = replace(PRICES, kwh=0.3)
        held = view_at(window, prices=both).findings[1]
        assert held.cost_money == pytest.approx((held.cost_gpu_seconds or 0) / 3600 * 2.0 + 0.01 * 0.3)
        small = view_at(window, prices=both).findings[2]
        assert small.cost_money is None  # its energy is not known
        other = Prices("$", None, (GpuPrice("another*", (Since(0, 2.0),)),))
        assert view_at(window, prices=other).findings[1].cost_money is None


def test_an_instant_of_the_past_shows_what_was_told_by_then_and_what_it_had_cost(advice: Advice) -> None:
    filled(advice)
    with opened(advice) as window:
        names = {minute: {one.name for one in view_at(window, T0 + minute * MINUTE).findings} for minute in (1, 4, 6, 12)}
        assert names[1] == set()
        assert "held idle" not in names[4]  # the fact held, and nobody had told it yet
        assert "waits for input" in names[4]
        assert {"held idle", "waits for input", "tiny kernels"} <= names[6]  # not muted yet, not cleared yet
        assert "waits for input" not in names[12]
        assert "tiny kernels" not in names[12]
        held = next(one for one in view_at(window, T0 + 6 * MINUTE + 5000, PRICES).findings if one.name == "held idle")
        assert held.cost_gpu_seconds == 4 * 60
        assert held.cost_money == pytest.approx(4 / 60 * 2.0)
        assert held.cost_energy_joules is None
        assert held.title.endswith(". (as told later)"), "its words are not those of that minute"


def test_what_nobody_judges_any_more_is_not_open(advice: Advice) -> None:
    filled(advice)
    with opened(advice) as window:
        late = build_view(window, now_ms=NOW_MS + 3_600_000, tz=UTC, holder_pid=None)
        assert late.findings == ()


def test_the_live_end_notices_what_opens_grows_and_clears(advice: Advice) -> None:
    ids = filled(advice)
    with opened(advice) as window:
        assert len(view_at(window).findings) == 3
        new = advice.finding(held_idle(name="new", waste_gpus=3.0), rule="new", started_ms=NOW_MS - 60_000, last_ms=NOW_MS)
        advice.db.execute("UPDATE finding SET ended_ms=? WHERE finding_id=?", (NOW_MS, ids["small"]))
        advice.db.execute("UPDATE finding SET waste_pm=2000, title='grown' WHERE finding_id=?", (ids["held"],))
        found = view_at(window).findings
        assert [(one.name, one.waste_gpus) for one in found] == [("ECC errors", None), ("new", 3.0), ("held idle", 2.0)]
        assert found[1].finding_id == new
        assert found[2].title == "grown"
        assert view_at(window) == view_at(opened(advice))


def test_an_erased_text_leaves_the_rule_and_the_numbers(advice: Advice) -> None:
    ids = filled(advice)
    advice.db.execute("UPDATE finding SET title=rule, evidence='', advice='', detail='' WHERE finding_id=?", (ids["held"],))
    with opened(advice) as window:
        held = view_at(window).findings[1]
        assert (held.title, held.name, held.facts) == ("gpu-memory-held-idle", "gpu memory held idle", ())
        assert held.gpu_indices == (1,)
        assert held.waste_gpus == 1.0


def test_the_waste_view_counts_every_rule_once(advice: Advice) -> None:
    filled(advice)
    rules = ["gpu-memory-held-idle", "power-cap", "tiny", "ecc", "input-bound", "xid-error", "clear-one"]
    missed = NotEvaluated("the kernel log is not readable", "sudo usermod -aG systemd-journal $USER")
    standings = [
        Standing("gpu-memory-held-idle", "gpu:GPU-1", "GPU 1 · bob", held_idle()),
        Standing("xid-error", "host", "all GPUs", missed),
        Standing("input-bound", "host", "node", CLEAR),
        Standing("power-cap", "gpu:GPU-0", "GPU 0", NotEvaluated("no limit is told")),
    ]
    advice.said(said_text(NOW_MS, rules, standings))
    with opened(advice) as window:
        view = view_at(window)
        waste = waste_view(window, view)
        assert waste.findings == view.findings
        assert [one.name for one in waste.muted] == ["tiny kernels"]
        assert (waste.rules, waste.rules_open, waste.rules_clear, waste.rules_not_evaluated) == (7, 4, 2, 1)
        assert [(one.rule, one.where) for one in waste.not_evaluated] == [("xid-error", "all GPUs"), ("power-cap", "GPU 0")]
        assert waste.known
        past = waste_view(window, view_at(window, T0 + 6 * MINUTE))
        assert (past.known, past.not_evaluated, past.rules) == (False, (), 0)
        assert {one.name for one in past.findings} >= {"held idle", "tiny kernels"}


def test_what_cleared_is_told_with_its_effect_once_that_is_measured(advice: Advice) -> None:
    filled(advice)
    with opened(advice) as window:
        (early,) = resolved(window, T0, T0 + 12 * MINUTE)
        assert (early.saved_gpus, early.after_ratio, early.effect) == (None, None, NOT_YET)
        assert saving_words(early) == "cleared"
        (one,) = resolved(window, T0, T0 + 60 * MINUTE)
        assert (one.name, one.gpu_indices, one.effect, one.before_ratio, one.after_ratio) == (
            "waits for input",
            (0, 1),
            "wait 58 -> 10%",
            0.58,
            0.1,
        )
        assert saving_words(one) == "saves 12.0 GPU·h a day"
        assert saving_words(replace(one, saved_gpus=-0.5)) == "worse by 12.0 GPU·h a day"
        assert saving_words(replace(one, saved_gpus=0.001)) == "no effect"


def test_how_a_finding_grew_cell_by_cell(advice: Advice) -> None:
    start = T0 + 2 * MINUTE
    minutes = {start + i * MINUTE: (100 * i, 1000, 0) for i in range(1, 9)}
    number = advice.finding(held_idle(), rule="x", started_ms=start, last_ms=T0 + 10 * MINUTE, minutes=minutes)
    with opened(advice) as window:
        found = finding_history(window, number, 4, at_ms=T0 + 10 * MINUTE)
        assert found is not None
        assert found.cells == (0.1, 0.3, 0.5, 0.8)
        assert (found.now, found.start_ms, found.end_ms) == (0.8, start, T0 + 10 * MINUTE)
        young = finding_history(window, number, 20, at_ms=start + 2 * MINUTE)
        assert young is not None
        assert young.cells[:18] == (None,) * 18
        assert finding_history(window, number + 1, 4, at_ms=NOW_MS) is None
