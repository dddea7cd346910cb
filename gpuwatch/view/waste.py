"""The Waste screen's own questions: what cleared and what came of it, what was not judged, how a finding grew."""

from __future__ import annotations

from gpuwatch.format import number
from gpuwatch.prices import Prices
from gpuwatch.rules.document import Said, finding_of
from gpuwatch.store import findings as stored
from gpuwatch.store.window import Window
from gpuwatch.view.finding_types import FindingHistory, FindingView, NotEvaluatedView, ResolvedView, WasteView
from gpuwatch.view.findings import FRESH_MS, findings_at, gpu_ids, indices
from gpuwatch.view.types import View

DAY_MS = 86_400_000
RESOLVED_MS = 7 * DAY_MS
EFFECT_MS = 2_940_000
"""So long after it cleared its effect is known: half an hour, and until the ledger of that is final."""
NOT_YET = "not measured yet: the time after it is still counted"
_PREFIXES = ("no effect: ", "worse: ")


def waste_view(window: Window, view: View, *, prices: Prices | None = None, resolved_ms: int = RESOLVED_MS) -> WasteView:
    """What a Waste screen shows beside a view of the same window: open and muted findings, what cleared, what was not judged.

    Args:
        window: the store that ``view`` is of.
        view: says the instant, and whether it is one of the past (then what rules could not judge is not kept).
        prices: for the money of muted findings.
        resolved_ms: how far back cleared findings are told.
    """
    if not stored.knows_findings(window):
        return WasteView((), (), (), (), 0, 0, 0, 0, known=False)
    past = window.standing(view.at_ms) if view.past else window
    everything = findings_at(past, view.at_ms, live=not view.past, prices=prices)
    muted = tuple(finding for finding in everything if finding.muted)
    said = None if view.past else _fresh(stored.said(window), view.at_ms)
    return judged(view.findings, muted, resolved(past, view.at_ms - resolved_ms, view.at_ms, live=not view.past), said)


def judged(
    found: tuple[FindingView, ...], muted: tuple[FindingView, ...], cleared: tuple[ResolvedView, ...], said: Said | None
) -> WasteView:
    """All of it with the counts of rules; ``said`` ``None``: what the rules said is not known."""
    return WasteView(
        findings=found,
        muted=muted,
        resolved=cleared,
        not_evaluated=tuple(NotEvaluatedView(*missed) for missed in said.missed) if said else (),
        **_counts(said, (*found, *muted)),
        known=said is not None,
    )


def _fresh(said: Said | None, at_ms: int) -> Said | None:
    """What rules said, if they still judge."""
    return said if said is not None and at_ms - said.t_ms <= FRESH_MS else None


def _counts(said: Said | None, everything: tuple[FindingView, ...]) -> dict[str, int]:
    """Rules by what they say; a rule with an open finding is open, whatever it says of other subjects."""
    if said is None:
        return {"rules": 0, "rules_open": 0, "rules_clear": 0, "rules_not_evaluated": 0}
    opened = {finding.rule for finding in everything}
    words = {rule: "open" if rule in opened else "clear" if word == "open" else word for rule, word in said.rules.items()}
    counted = [sum(word == wanted for word in words.values()) for wanted in ("open", "clear", "not_evaluated")]
    return dict(zip(("rules", "rules_open", "rules_clear", "rules_not_evaluated"), (len(words), *counted), strict=True))


# ------------------------------------------------------------------------------------------------------------ resolved


def resolved(window: Window, start_ms: int, end_ms: int, *, live: bool = False) -> tuple[ResolvedView, ...]:
    """The findings that cleared in a span, the newest first. ``live``: its end is the present, and all that is known counts."""
    if not stored.knows_findings(window):
        return ()
    gpus = window.gpus()
    out = []
    for row in stored.ended_between(window, start_ms, end_ms):
        told, ended_ms = finding_of(row.detail), row.ended_ms or end_ms
        measured = bool(row.effect) and (live or end_ms - ended_ms >= EFFECT_MS)
        out.append(
            ResolvedView(
                rule=row.rule,
                name=told.name if told else row.rule.replace("-", " "),
                user=row.user,
                gpu_indices=indices(gpu_ids(row, told), gpus),
                ended_ms=ended_ms,
                effect=row.effect if measured else NOT_YET,
                saved_gpus=row.saved_gpu_ms_day / DAY_MS if measured and row.saved_gpu_ms_day is not None else None,
                before_ratio=None if row.before_pm is None else row.before_pm / 1000,
                after_ratio=row.after_pm / 1000 if measured and row.after_pm is not None else None,
                cost_gpu_seconds=None if row.cost_gpu_ms is None else row.cost_gpu_ms / 1000,
            )
        )
    return tuple(out)


def saving_words(one: ResolvedView) -> str:
    """What came of it: ``saves 3.1 GPU·h a day``, ``no effect``, ``worse by 1.2 GPU·h a day``, ``cleared`` where it is not measured."""
    if one.saved_gpus is None:
        return "cleared"
    if one.effect.startswith("no effect"):
        return "no effect"
    per_day = number(abs(one.saved_gpus) * 24, 1)
    if per_day == "0.0":
        return "no effect"
    return f"saves {per_day} GPU·h a day" if one.saved_gpus > 0 else f"worse by {per_day} GPU·h a day"


def effect_words(effect: str) -> str:
    """``overhead 11 -> 5 %``: the effect without the word that :func:`saving_words` says already."""
    for prefix in _PREFIXES:
        effect = effect.removeprefix(prefix)
    return effect


# ------------------------------------------------------------------------------------------------------------- history


def finding_history(window: Window, finding_id: int, cells: int, *, at_ms: int) -> FindingHistory | None:
    """How a finding grew, from its start to its end or ``at_ms``, in so many cells; ``None`` for one that is not kept.

    A cell holds the highest share that its first evidence measured in it; where nothing was measured, ``None``. A cell is at
    least a minute long: a young finding fills only the last cells.
    """
    row = stored.finding(window, finding_id) if stored.knows_findings(window) else None
    if row is None or cells < 1:
        return None
    end_ms = min(at_ms, row.ended_ms or at_ms)
    start_ms = min(row.started_ms, end_ms)
    step = max(60_000, -(-(end_ms - start_ms) // cells))
    first = end_ms - cells * step
    out: list[float | None] = [None] * cells
    newest = None
    for minute in stored.minutes(window, finding_id, start_ms, end_ms + 1):
        if minute.measured_pm is None:
            continue
        newest = minute.measured_pm / 1000
        place = min(cells - 1, max(0, (minute.t * 1000 - first) // step))
        had = out[place]
        out[place] = newest if had is None else max(had, newest)
    return FindingHistory(finding_id, max(start_ms, first), end_ms, tuple(out), newest)
