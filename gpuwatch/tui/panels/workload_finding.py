"""The finding that explains a workload: what it is, the first thing to try, what to expect, and when it may be wrong."""

from __future__ import annotations

from rich.style import Style

from gpuwatch.tui import findings
from gpuwatch.tui.draw.line import Sheet, cut
from gpuwatch.tui.state import Context
from gpuwatch.tui.workloads import members
from gpuwatch.view.finding_types import FindingView
from gpuwatch.view.types import View, WorkloadView

FULL_ROWS = 4


def finding_of(view: View, work: WorkloadView) -> tuple[int, FindingView] | None:
    """Rank and finding of the costliest one that names one of its processes, else of one on its GPUs."""
    if not view.findings:
        return None
    return findings.of_work(view, work, (process.pid for process in members(view, work)))


def draw_work_finding(sheet: Sheet, context: Context, view: View, work: WorkloadView, y: int, rows: int, left: int, right: int) -> int:  # fmt: skip
    """One row; ``FULL_ROWS`` where there are that many: with what to expect and when it may be wrong. Returns the row after it."""
    look, found = context.look, finding_of(view, work)
    if found is None or rows < 1:
        return y
    rank, finding = found
    room = right + 1 - left
    if rows < FULL_ROWS:
        sheet.words(y, left, findings.one_line(look, view, rank, finding, room))
        return y + 1
    head = f"finding {rank} "
    name = cut(finding.name or finding.rule, room - len(head))
    at = sheet.words(y, left, [(head, look.dim), (name, findings.style_of(look, view, finding))])
    if right - at > 20:
        sheet.put(y, at + 2, cut(finding.title, right - at - 1), look.fg)
    lines: list[tuple[str, str, Style]] = [("try ", findings.fix_of(finding), look.acc)]
    lines += [("expected ", finding.gain, look.fg), ("may be wrong if ", "; ".join(finding.wrong_if), look.dim)]
    for word, text, style in lines:
        if text:
            y += 1
            at = sheet.put(y, left, word, look.dim)
            sheet.put(y, at, cut(text, right + 1 - at), style)
    return y + 1
