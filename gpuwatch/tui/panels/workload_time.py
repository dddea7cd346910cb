"""Where the GPU time of a workload went: the bar, its parts taken apart, and the processes whose time it is."""

from __future__ import annotations

from rich.style import Style

from gpuwatch.format import gpu_hours, shares
from gpuwatch.names import Bucket, Cause
from gpuwatch.tui.draw.columns import put_heads
from gpuwatch.tui.draw.frame import box, words_width
from gpuwatch.tui.draw.ledgerbar import ledger_bar
from gpuwatch.tui.draw.line import Sheet
from gpuwatch.tui.family import Family
from gpuwatch.tui.panels.gpu_ledger import note_of
from gpuwatch.tui.panels.gpu_question import NOTHING_YET
from gpuwatch.tui.panels.ledger import fit
from gpuwatch.tui.panels.processes import columns_for, draw_row
from gpuwatch.tui.panels.workload_finding import draw_work_finding
from gpuwatch.tui.parts import split
from gpuwatch.tui.rows import rows_of
from gpuwatch.tui.state import Context
from gpuwatch.tui.workloads import gpus_of, members
from gpuwatch.view.parts import shown_bucket
from gpuwatch.view.types import DetailView, LedgerView, View, WorkloadView

Words = list[tuple[str, Style]]
_BUCKETS = {
    Bucket.STALLED_SM: "stalled SM",
    Bucket.EMPTY_SM: "empty SM",
    Bucket.THROTTLED: "throttled",
    Bucket.REDONE: "redone",
    Bucket.OVERHEAD: "overhead",
}
_CAUSES = {
    Cause.PEERS: "peers",
    Cause.INPUT: "input",
    Cause.HOST: "host",
    Cause.TRANSFER: "transfer",
    Cause.DEMAND: "demand",
    Cause.UNEXPLAINED: "unexplained",
}


def nothing_text(view: View, work: WorkloadView, detail: DetailView | None) -> str:
    """Why there is no bar."""
    if not gpus_of(view, work):
        return "It holds no GPU." if work.root_pid else "It runs elsewhere: no GPU time of this host is its own."
    return NOTHING_YET if detail is None else "no minute of its GPU time is closed yet"


def part_words(context: Context, ledger: LedgerView) -> list[Words]:
    """``effective 48%``, ``under-filled 35% (empty SM 24, stalled SM 11)``, ``wait 14% (demand 12, host 2)``; each part's sum is kept."""
    look, groups = context.look, []
    for share in split(ledger):
        words: Words = [(f"{share.part.name} ", look.dim), (f"{share.percent}%", look.fg)]
        inside: dict[str, int] = {}
        for row in ledger.parts:
            name = _CAUSES.get(row.cause, "") if row.bucket is Bucket.WAIT else _BUCKETS.get(row.bucket, "")
            if shown_bucket(row) in share.part.buckets and row.bucket in share.part.buckets and name:
                inside[name] = inside.get(name, 0) + row.ms
        named = sorted(zip(inside, shares(list(inside.values()), share.percent)), key=lambda pair: -pair[1])
        if any(percent for _, percent in named):
            words.append((f" ({', '.join(f'{name} {percent}' for name, percent in named if percent)})", look.dim))
        groups.append(words)
    return groups


def draw_time(
    sheet: Sheet, context: Context, view: View, work: WorkloadView, detail: DetailView | None, top: int, rows: int
) -> None:
    """The boxed panel over the whole width."""
    look, right = context.look, context.width - 3
    ledger = detail.workload_ledger if detail is not None else None
    box(sheet, top, top + rows - 1, "Where its GPU time went", note=note_of(context, ledger))
    inside = rows - 2
    y = top + 1
    if ledger is None:
        sheet.put(y, 2, nothing_text(view, work, detail), look.dim)
        y += 1
    else:
        y = _bar(sheet, context, ledger, y, 2, right, inside)
    y = draw_work_finding(sheet, context, view, work, y, top + rows - 1 - y, 2, right)
    left = top + rows - 1 - y
    if left >= 2:
        spaced = left >= 5
        draw_members(sheet, context, view, work, y + spaced, top + rows - 1)


def _bar(sheet: Sheet, context: Context, ledger: LedgerView, y: int, left: int, right: int, rows: int) -> int:
    """The bar, its GPU·h behind it, and the words below; returns the row after."""
    look = context.look
    hours = f"{gpu_hours(ledger.capacity_ms, 2 if ledger.capacity_ms < 36_000_000 else 1)} GPU·h"
    ledger_bar(sheet, y, left, right - left - 12, split(ledger))
    sheet.right(y, right, hours, look.dim)
    if rows < 2:
        return y + 1
    groups = part_words(context, ledger)
    if words_width(fit(groups, 10_000)) > right + 1 - left:  # the largest parts alone are named with what they are made of
        groups = [group[:2] for group in groups]
    sheet.words(y + 1, left, fit(groups, right + 1 - left))
    return y + 2


def draw_members(sheet: Sheet, context: Context, view: View, work: WorkloadView, top: int, bottom: int) -> int:
    """Heads and its processes, those with a GPU first, in rows ``top`` to ``bottom`` (exclusive); returns the row after."""
    look, found = context.look, members(view, work)
    family = Family(found)
    rows = [row for process in found if process.holds for row in rows_of(process, family)]
    rows += [row for process in found if not process.holds and process.role != "worker" for row in rows_of(process, family)]
    if not rows or bottom - top < 2:
        return top
    columns = columns_for(context.width)
    put_heads(sheet, top, columns, look.dim)
    for y, row in zip(range(top + 1, bottom), rows):
        draw_row(sheet, y, row, columns, context, None, tick_at=2 if context.width >= 100 else 0, selected=False)
    return min(bottom, top + 1 + len(rows))
