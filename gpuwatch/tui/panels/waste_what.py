"""The head of a finding: the fact, where and whose it is, what it wastes now, since when, and what it has cost."""

from __future__ import annotations

from gpuwatch.format import counted, duration, gpus_lost, number, since
from gpuwatch.names import Basis
from gpuwatch.tui import findings
from gpuwatch.tui.draw.frame import words_width
from gpuwatch.tui.draw.line import cut, width_of
from gpuwatch.tui.panels.ledger import fit
from gpuwatch.tui.panels.waste_place import Place, Words
from gpuwatch.view.finding_types import FindingView


def draw_fact(place: Place, y: int, rows: int) -> None:
    """The sentence; then GPUs, user, processes and command."""
    sheet, look, finding = place.sheet, place.sheet.look, place.finding
    y = place.lines(y, finding.title, max(1, rows - 1), look.white)
    pids = f"pid {', '.join(str(pid) for pid in finding.pids[:4])}{' …' if len(finding.pids) > 4 else ''}" if finding.pids else ""
    gpus = findings.gpus_text(finding.gpu_indices, 24)
    groups: list[Words] = [[(text, look.dim)] for text in (gpus, cut(finding.user, 16), pids) if text]
    words = fit(groups, place.width, " · ")
    room = place.width - words_width(words) - 3
    if finding.command and room >= 8:
        words += [(" · " if words else "", look.dim), (cut(finding.command, room), look.dim)]
    sheet.words(y, place.left, [word for word in words if word[0]])


def draw_figures(place: Place, y: int, rows: int) -> None:
    """Now, since and the cost so far, each under its head."""
    sheet, look, finding, view = place.sheet, place.sheet.look, place.finding, place.view
    first, second = place.left + place.width * 19 // 64, place.left + place.width * 40 // 64
    up_to = "" if finding.basis is Basis.MEASURED else ", up to"
    for x, text in ((place.left, f"{look.now}{up_to}"), (first, "since"), (second, f"cost so far{up_to}")):
        sheet.put(y, x, text, look.dim)
    count = sum(1 for gpu in view.gpus if not gpu.parent_uuid)
    amount = "no amount" if finding.waste_gpus is None else f"{gpus_lost(finding.waste_gpus)} of {counted(count, 'GPU')}"
    sheet.put(y + 1, place.left, cut(amount, first - place.left - 1), findings.style_of(look, view, finding))
    length = duration(max(0, view.at_ms - finding.since_ms) / 1000)
    sheet.put(
        y + 1, first, cut(f"{since(finding.since_ms, view.at_ms, place.context.tz)}, {length}", second - first - 1), look.white
    )
    sheet.put(y + 1, second, cut(cost_text(finding), place.right + 1 - second), look.white)


def _since_text(place: Place, room: int) -> str:
    """``08:24, 6 h 8 min``, with one unit where two do not fit, else without the length."""
    at_ms, since_ms = place.view.at_ms, place.finding.since_ms
    when = since(since_ms, at_ms, place.context.tz)
    length = duration(max(0, at_ms - since_ms) / 1000)
    texts = (f"{when}, {length}", f"{when}, {' '.join(length.split()[:2])}", when)
    return next((text for text in texts if width_of(text) <= room), cut(when, room))


def cost_text(finding: FindingView) -> str:
    """``7.1 GPU·h ≈ $18``; without a price the energy, where that is known."""
    text = findings.hours(finding.cost_gpu_seconds)
    if finding.cost_money is not None:
        sign = "$" if finding.currency in ("", "$", "USD") else f"{cut(finding.currency, 3)} "
        return f"{text} ≈ {sign}{number(finding.cost_money, 0 if finding.cost_money >= 10 else 2)}"
    if finding.cost_energy_joules is not None:
        return f"{text}, {number(finding.cost_energy_joules / 3.6e6, 1)} kWh"
    return text
