"""The overview of a host without a GPU: what was checked, what to do, the host itself and its CPU workloads."""

from __future__ import annotations

from gpuwatch.dataclass import replace
from gpuwatch.format import counted, gib, megabytes_per_second, percent_sign
from gpuwatch.tui.draw.bars import bar
from gpuwatch.tui.draw.columns import Column, put_heads, put_value
from gpuwatch.tui.draw.frame import box
from gpuwatch.tui.draw.line import Sheet, cut
from gpuwatch.tui.panels.processes import selection_of, value
from gpuwatch.tui.panels.throughput import draw_throughput
from gpuwatch.tui.rows import build_rows
from gpuwatch.tui.state import Context
from gpuwatch.tui.workloads import telling, tells
from gpuwatch.view.types import View


def _cpu_columns(width: int) -> tuple[Column, ...]:
    return (
        Column("cpu", "CPU %", right=10),
        Column("ram", "RAM GiB", right=20),
        Column("age", "Age", right=32),
        Column("pid", "PID", right=41),
        Column("user", "User", left=44, limit=51),
        Column("command", "Command", left=53, limit=width - 3),
    )


def draw_no_gpu(sheet: Sheet, context: Context, view: View) -> None:
    """The whole screen between header and footer."""
    height = context.height - 2
    room = max(5, height - 9)
    checked = min(_checked_rows(context, view), room)
    host = 6 if height - checked >= 14 else 0
    draw_checked(sheet, context, view, 1, checked)
    if host and shows_servers(context, view):
        host = max(host, min(2 + len(telling(view)), (height - checked) // 2))
        left = context.width - max(43, context.width * 5 // 12)
        draw_host(sheet, context, view, 1 + checked, host, left - 1)
        draw_throughput(sheet, context, view, 1 + checked, host, left)
    elif host:
        draw_host(sheet, context, view, 1 + checked, host, context.width - 1)
    draw_cpu_workloads(sheet, context, view, 1 + checked + host, height - checked - host)


def shows_servers(context: Context, view: View) -> bool:
    """Whether servers and trainings, which run on the CPU here, stand beside the host; what is not attached does too."""
    height = context.height - 2
    checked = min(_checked_rows(context, view), max(5, height - 9))
    return (
        context.width >= 120 and height - checked >= 14 and any(tells(work) or work.kind == "training" for work in view.workloads)
    )


def _checked_rows(context: Context, view: View) -> int:
    """Rows that the table of checks needs with its frame."""
    result, hint = (33, context.width - 78) if context.width >= 120 else (26, context.width - 50)
    lines = sum(max(len(wrapped(s.detail or s.state, result)), len(wrapped(s.hint, hint))) for s in view.sources)
    return 9 + sum(len(wrapped(notice, context.width - 7)) for notice in _said(view)) + lines


def wrapped(text: str, width: int) -> list[str]:
    """Whole words in up to three rows of ``width`` cells; at least one row."""
    rows: list[str] = []
    while len(text) > width and len(rows) < 2:
        split = text.rfind(" ", 0, width + 1)
        if split <= 0:
            break
        rows.append(text[:split])
        text = text[split + 1 :]
    return [*rows, cut(text, width)]


def _said(view: View) -> list[str]:
    """The notices that the table of checks does not repeat."""
    return [notice for notice in view.notices if not (view.sources and notice.startswith("No GPU: "))][:2]


def sentences(text: str, width: int) -> str:
    """As many whole sentences from the first on as ``width`` cells hold."""
    while len(text) > width and ". " in text:
        text = text[: text.rindex(". ") + 1]
    return cut(text, width)


def draw_checked(sheet: Sheet, context: Context, view: View, top: int, rows: int) -> None:
    """Why there is no GPU: the sentences of the View, then each source with its result and the next step."""
    look, width = context.look, context.width
    again = "the driver is looked for again within 60 s · " if width >= 100 else "looked for again within 60 s · "
    foot = (
        [(context.ui.notice, look.amber)]
        if context.ui.notice
        else [(again, look.dim), ("r", look.title), (" retries now", look.dim)]
    )
    box(sheet, top, top + rows - 1, "No GPU found", title_style=look.amber, foot=foot)
    y, last = top + 1, top + rows - 2
    if rows >= 11:
        y += 1
    sheet.put(y, 4, "gpuwatch found no NVIDIA GPU on this host."[: width - 6], look.white)
    y += 1
    goes_on = "It goes on watching CPU, memory and processes. GPU panels appear by themselves when a driver answers."
    if len(goes_on) > width - 7:
        goes_on = "GPU panels appear by themselves when a driver answers."
    if y <= last:
        sheet.put(y, 4, cut(goes_on, width - 7), look.fg)
    for line in [line for notice in _said(view) for line in wrapped(notice, width - 7)]:
        if y + 1 <= last:
            y += 1
            sheet.put(y, 4, line, look.style("waiting"))
    y += 2
    result_at, do_at = (41, 76) if width >= 120 else (20, 48)
    if y < last:
        for x, head in ((4, "Checked"), (result_at, "Result"), (do_at, "Do this")):
            sheet.put(y, x, head, look.dim)
    y += 1
    for source in view.sources:
        results = wrapped(source.detail or source.state, do_at - result_at - 2)
        hints = wrapped(source.hint, width - 2 - do_at)
        if y + max(len(results), len(hints)) - 1 > last - 1:
            break
        sheet.put(y, 4, cut(source.name, result_at - 6), look.fg)
        for row, text in enumerate(results):
            sheet.put(y + row, result_at, text, look.style("busy" if source.state == "ok" else "waiting", "bg", True))
        for row, text in enumerate(hints):
            sheet.put(y + row, do_at, text, look.acc)
        y += max(len(results), len(hints))
    if y < last:
        sheet.words(last, 4, [("gpuwatch doctor", look.title), (" prints all checks", look.dim)])
        if width >= 100:
            sheet.words(last, 41, [("gpuwatch --demo", look.title), (" shows a simulated 8-GPU host", look.dim)])


def draw_host(sheet: Sheet, context: Context, view: View, top: int, rows: int, right: int) -> None:
    """CPU, memory, disk and waiting for it, in columns 0 to ``right``; no bar where there is no maximum."""
    look, host = context.look, view.host
    box(sheet, top, top + rows - 1, "Host", right=right)
    if host is None:
        sheet.put(top + 1, 4, "The host is not read: gpuwatch doctor says why.", look.fg)
        return
    cells = 20 if right < 99 else 40
    text_at = 19 + cells + 3
    used, total = host.memory_used_bytes, host.memory_total_bytes
    memory = gib(used) if used is None else f"{gib(used)} of {gib(total)} GiB" if total else f"{gib(used)} GiB"
    cores = f" of {counted(host.cpu_count, 'core')}" if host.cpu_count and host.cpu_ratio is not None else ""
    disk = megabytes_per_second(host.disk_read_bytes_per_second)
    lines = (
        ("CPU", host.cpu_ratio, f"{percent_sign(host.cpu_ratio)}{cores}"),
        ("memory", used / total if used is not None and total else None, memory),
        ("disk read", None, disk if disk == "–" else f"{disk} MB/s"),
        ("I/O wait", host.iowait_ratio, percent_sign(host.iowait_ratio)),
    )
    for y, (name, ratio, text) in zip(range(top + 1, top + rows - 1), lines):
        sheet.put(y, 4, name, look.fg)
        bar(sheet, y, 19, cells, ratio, look.style("memory"))
        sheet.put(y, text_at, text, look.style("white"))


def draw_cpu_workloads(sheet: Sheet, context: Context, view: View, top: int, rows: int) -> None:
    """The processes that train or serve on the CPU."""
    look, width = context.look, context.width
    choice = selection_of(context)
    if choice.sort in ("waste", "gpu", "sm", "memory"):
        choice = replace(choice, sort="cpu", reverse=False)
    found = build_rows(view, choice)
    foot = [("training and inference processes without a GPU", look.dim)]
    box(sheet, top, top + rows - 1, f"CPU workloads {len(found)}", foot=foot)
    columns = _cpu_columns(width)
    if rows < 4:
        return
    put_heads(sheet, top + 1, columns, look.dim)
    table = context.ui.table("processes")
    body = rows - 4 if rows >= 7 else rows - 3
    for y, i in enumerate(table.settle([row.key for row in found], body), top + 2):
        sheet.put(y, 2, look.glyphs.tick, look.style("busy" if (found[i].totals.cpu_ratio or 0) > 0.05 else "free"))
        for column in columns:
            text, style = value(found[i], column, context)
            if text:
                put_value(sheet, y, column, text, style)
        if i == table.index:
            sheet.ground(y, 1, width - 2, "sel")
        sheet.hits[y] = ("processes", i)
    if not found:
        sheet.put(
            top + 2,
            4,
            sentences("No training or inference process seen on the CPU. A new one is found within 2 s.", width - 7),
            look.fg,
        )
    if rows >= 7:
        ledger = "The ledger needs GPUs: it starts with the first GPU sample. CPU and memory are recorded now."
        sheet.put(top + rows - 2, 4, sentences(ledger, width - 7), look.dim)
