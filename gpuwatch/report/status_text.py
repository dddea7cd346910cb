"""``gpuwatch status`` as plain text: the view in aligned lines, for a terminal, a pipe or a mail. Knows only the View."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import tzinfo

from gpuwatch import format as fmt
from gpuwatch.names import Missing, Severity, State
from gpuwatch.report.table import Column, Paint, plain, table
from gpuwatch.view.efficiency import efficiency_text
from gpuwatch.view.parts import amounts, waste_ms
from gpuwatch.view.types import GpuHold, GpuView, HostView, LedgerView, ProcessView, View

MIN_WIDTH = 60
SHORT_LEDGER_MS = 10_000
"""Below this a ledger says nothing: one sample has no past."""

TROUBLE_MS, TROUBLES = 900_000, 3
"""Warnings are told for this long, the newest so many."""

CODES = {
    "bold": "1",
    "head": "2",
    "dim": "2",
    "busy": "36",
    "waiting": "33",
    "throttled": "35",
    "held_idle": "1;91",
    "unused": "31",
    "unavailable": "1;91",
    "notice": "33",
}


def ansi(text: str, style: str) -> str:
    """The text in one of the 16 colours; words carry the same meaning without them."""
    code = CODES.get(style)
    return f"\x1b[{code}m{text}\x1b[0m" if code else text


def status_text(view: View, *, width: int = 100, tz: tzinfo | None = None, color: bool = False) -> str:
    """The whole text with a newline at its end, no line wider than ``width`` cells (at least 60)."""
    width = max(width, MIN_WIDTH)
    paint = ansi if color else plain
    blocks = [[_header(view, width, tz, paint)]]
    if view.gpus:
        if view.ledger and _has_past(view):
            blocks.append(_ledger(view, view.ledger, width, paint))
        blocks.append(_gpus(view, width, tz, paint))
    if view.findings:
        from gpuwatch.report.finding_words import finding_lines

        blocks.append(finding_lines(view, width, tz, paint))
    host = _host(view.host, width) if view.host else ""
    if host:
        blocks.append([host])
    if any(work.inference is not None for work in view.workloads):
        from gpuwatch.report.servers_text import servers

        blocks.append(servers(view, width, paint))
    if any(work.training is not None for work in view.workloads):
        from gpuwatch.report.trainings_text import trainings

        blocks.append(trainings(view, width, paint))
    processes = _processes(view, width, paint)
    if processes:
        blocks.append(processes)
    trouble = _trouble(view, tz)
    if trouble:
        blocks.append([line for text in trouble for line in _wrapped(text, width, paint)])
    if view.notices:
        blocks.append([line for notice in view.notices for line in _wrapped(notice, width, paint)])
    return "\n\n".join("\n".join(block) for block in blocks) + "\n"


def _trouble(view: View, tz: tzinfo | None) -> list[str]:
    """Fresh warnings: what no row of a table can say, as that a GPU is not there any more."""
    grave = [event for event in view.events if event.severity >= Severity.WARNING and view.at_ms - event.ts_ms <= TROUBLE_MS]
    return [f"{fmt.clock(event.ts_ms, tz)} {event.detail}" for event in grave[:TROUBLES]]


def _has_past(view: View) -> bool:
    """Whether there is enough of a recording to say where time went."""
    span = view.ledger.span if view.ledger else None
    return span is not None and span.end_ms - span.start_ms >= SHORT_LEDGER_MS


def _header(view: View, width: int, tz: tzinfo | None, paint: Paint) -> str:
    """Host, GPUs and driver at the left; recording and time at the right; what does not fit is left out as a whole."""
    host, recording = view.host, view.recording
    parts = [paint(host.hostname if host else "this host", "bold")]
    used = fmt.cells(host.hostname if host else "this host")
    right = fmt.weekday_clock(view.at_ms, tz)
    if view.past:
        day = fmt.since(view.at_ms, view.now_ms, tz)[:-5]
        right = f"{day}{fmt.clock(view.at_ms, tz)}   {fmt.duration((view.now_ms - view.at_ms) / 1000)} ago"
    elif recording and recording.live and recording.first_ms is not None:
        right = f"rec {fmt.duration((view.now_ms - recording.first_ms) / 1000)}   {right}"
    elif not (recording and recording.live):
        right = f"not recording   {right}"
    more = []
    if recording and recording.simulated:
        more.append("SIMULATED" + (f" {recording.scenario}" if recording.scenario else ""))
    more.append(fmt.gpu_summary(gpu.name for gpu in view.gpus if not gpu.parent_uuid))
    if host and host.driver_version:
        more.append(f"driver {host.driver_version}" + (f" · CUDA {host.cuda_version}" if host.cuda_version else ""))
    for text in more:
        if used + 3 + fmt.cells(text) + 3 + fmt.cells(right) <= width:
            parts.append(paint(text, "notice" if text.startswith("SIMULATED") else "dim" if text.startswith("driver") else ""))
            used += 3 + fmt.cells(text)
    return "   ".join(parts) + " " * max(3, width - used - fmt.cells(right)) + right


# -------------------------------------------------------------------------------------------------------------- ledger


def _ledger(view: View, ledger: LedgerView, width: int, paint: Paint) -> list[str]:
    """The bar in letters, its parts in words, and the sentence."""
    found = [amount for amount in amounts(ledger) if amount.ms]
    label = fmt.duration((ledger.span.end_ms - ledger.span.start_ms) / 1000)
    room = width - fmt.cells(label) - 2
    marks = fmt.shares([amount.ms for amount in found], room)
    bar = "".join(
        paint(amount.part.letter * mark, _PART_STYLES.get(amount.part.key, "")) for amount, mark in zip(found, marks, strict=True)
    )
    words = [f"{amount.part.letter} {amount.part.word} {amount.percent}%" for amount in found]
    lines = [f"{label}  {bar}", *_filled(words, width, indent=" " * (fmt.cells(label) + 2))]
    lines += _filled(_sentence(view, ledger, paint), width)
    return lines


_PART_STYLES = {"effective": "busy", "busy_unknown": "busy", "wait": "waiting", "lost": "throttled", "held_idle": "held_idle", "unused": "unused", "unavailable": "unavailable"}  # fmt: skip


def _sentence(view: View, ledger: LedgerView, paint: Paint) -> list[str]:
    out = []
    if view.waste_now_gpus is not None:
        out.append(
            f"Waste {'then' if view.past else 'now'} {paint(fmt.number(view.waste_now_gpus, 1), 'bold')} of {fmt.counted(len(_whole(view.gpus)), 'GPU')}"
        )
    if view.today is not None:
        out.append(f"today {fmt.gpu_hours(waste_ms(view.today))} of {fmt.gpu_hours(view.today.capacity_ms)} GPU·h")
    out.append(efficiency_text(ledger))
    power = _sum(gpu.power_watts for gpu in view.gpus if not gpu.parent_uuid)
    held = _sum(gpu.power_watts for gpu in view.gpus if gpu.state is State.HELD_IDLE and not gpu.parent_uuid)
    if power is not None:
        out.append(f"power {fmt.power_sum(power)}" + (f", of it {fmt.power_sum(held)} held idle" if held else ""))
    return out


def _sum(values: object) -> float | None:
    known = [value for value in values if value is not None]  # type: ignore[attr-defined]
    return sum(known) if known else None


def _whole(gpus: Sequence[GpuView]) -> list[GpuView]:
    return [gpu for gpu in gpus if not gpu.parent_uuid]


# ---------------------------------------------------------------------------------------------------------------- GPUs


def _gpus(view: View, width: int, tz: tzinfo | None, paint: Paint) -> list[str]:
    gpus = view.gpus
    sm = any(gpu.sm_active_ratio is not None for gpu in gpus)
    activity = "sm_active_ratio" if sm else "utilization_ratio"
    states = [gpu.state.label for gpu in gpus]

    def reason(gpu: GpuView, name: str) -> Missing | None:
        return gpu.missing.get(name)

    columns = [
        Column("GPU", [_name(gpu) for gpu in gpus], align="left"),
        Column(
            "SM %" if sm else "util %",
            [fmt.percent(getattr(gpu, activity), reason=reason(gpu, activity)) for gpu in gpus],
        ),
        Column(
            "Memory GiB",
            [fmt.gib_of(gpu.memory_used_bytes, gpu.memory_total_bytes, reason(gpu, "memory_used_bytes")) for gpu in gpus],
        ),
        Column("Power W", [fmt.watts_of(gpu.power_watts, gpu.power_limit_watts, reason(gpu, "power_watts")) for gpu in gpus]),
        Column("°C", [fmt.celsius(gpu.temperature_celsius, reason(gpu, "temperature_celsius")) for gpu in gpus], drop=3),
        Column("State", [_state(gpu) for gpu in gpus], align="left", styles=states),
        Column("since", [_since(gpu, view.at_ms, tz) for gpu in gpus], drop=2),
        Column("Waste", [fmt.gpus(gpu.waste_gpus) for gpu in gpus], drop=1),
        Column("User", [_users(gpu) for gpu in gpus], align="left"),
    ]
    if not _has_past(view):  # one sample: nothing lasted, nothing was wasted yet
        columns = [column for column in columns if column.head not in ("since", "Waste")]
    return table(columns, width, paint)


def _name(gpu: GpuView) -> str:
    return f" └ {gpu.mig_profile or 'MIG'}" if gpu.parent_uuid else str(gpu.gpu_index)


def _state(gpu: GpuView) -> str:
    word = fmt.state_word(gpu.state, gpu.quiet_seconds)
    if gpu.state is State.NO_DATA and gpu.age_seconds is not None and gpu.age_seconds >= 3:
        return f"{word} for {fmt.duration(gpu.age_seconds)}"
    return word


def _since(gpu: GpuView, at_ms: int, tz: tzinfo | None) -> str:
    if gpu.state_since_ms is None or gpu.state in (State.NO_DATA, State.QUIET):
        return ""
    return fmt.since(gpu.state_since_ms, at_ms, tz)


def _users(gpu: GpuView) -> str:
    if not gpu.users:
        return fmt.NOTHING
    return gpu.users[0] + (f" +{len(gpu.users) - 1}" if len(gpu.users) > 1 else "")


# ----------------------------------------------------------------------------------------------------- host, processes


def _host(host: HostView, width: int) -> str:
    """What is known of the host itself; empty for the host of a log that says nothing of it."""
    parts = []
    if host.cpu_ratio is not None:
        parts.append(
            f"CPU {fmt.percent_sign(host.cpu_ratio)}" + (f" of {fmt.counted(host.cpu_count, 'core')}" if host.cpu_count else "")
        )
    elif host.cpu_count:
        parts.append(fmt.counted(host.cpu_count, "core"))
    if host.memory_used_bytes is not None:
        total = f" of {fmt.gib(host.memory_total_bytes)}" if host.memory_total_bytes else ""
        parts.append(f"memory {fmt.gib(host.memory_used_bytes)}{total} GiB")
    if host.disk_read_bytes_per_second is not None:
        parts.append(f"disk read {fmt.megabytes_per_second(host.disk_read_bytes_per_second)} MB/s")
    if host.iowait_ratio is not None:
        parts.append(f"I/O wait {fmt.percent_sign(host.iowait_ratio)}")
    if host.process_count is not None:
        parts.append(fmt.counted(host.process_count, "process", "es"))
    return _filled(parts, width, first="Host  ")[0] if parts else ""


def _processes(view: View, width: int, paint: Paint) -> list[str]:
    """One row for each GPU of a process, the largest waste first; then ML processes on no GPU."""
    below = _below(view.processes)
    rows: list[tuple[ProcessView, GpuHold | None, bool]] = []
    for process in view.processes:
        rows += [(process, hold, number == 0) for number, hold in enumerate(process.holds)]
        if not process.holds and process.role == "ml":
            rows.append((process, None, True))
    if not rows:
        return []
    most = {p.pid: max((hold.waste_gpus or 0 for hold in p.holds), default=0) for p in view.processes}
    rows.sort(key=lambda row: (row[1] is None, -most[row[0].pid], row[0].pid, not row[2]))
    on_gpu = any(hold for _, hold, _ in rows)
    columns = [
        Column("GPU", [str(h.gpu_index) if h else fmt.NOTHING for _, h, _ in rows]),
        Column(
            "SM %", [fmt.percent(h.sm_utilization_ratio if h else None, reason=_why(p, "sm_utilization_ratio")) for p, h, _ in rows]
        ),
        Column("GPU GiB", [fmt.gib(h.gpu_memory_bytes if h else None, reason=_why(p, "gpu_memory_bytes")) for p, h, _ in rows]),
    ]
    columns = columns if on_gpu else []
    columns += [
        Column("CPU %", [fmt.percent(below[_key(p)][0], reason=_why(p, "cpu_ratio")) if first else "" for p, _, first in rows]),
        Column(
            "RAM GiB", [fmt.gib(below[_key(p)][1], reason=_why(p, "rss_bytes")) if first else "" for p, _, first in rows], drop=2
        ),
    ]
    if on_gpu and _has_past(view):
        columns.append(Column("Waste", [fmt.gpus(h.waste_gpus if h else None) for _, h, _ in rows], drop=1))
    columns += [
        Column(
            "Age",
            [fmt.age(p.age_seconds if p.start_known else None, Missing.NO_PERMISSION) if first else "" for p, _, first in rows],
        ),
        Column("PID", [str(p.pid) for p, _, _ in rows]),
        Column("User", [p.user or fmt.HIDDEN for p, _, _ in rows], align="left"),
        Column(
            "Command", [(p.command or p.name or fmt.HIDDEN) if first else "└ same process" for p, _, first in rows], align="left"
        ),
    ]
    return table(columns, width, paint)


def _why(process: ProcessView, name: str) -> Missing | None:
    return process.missing.get(name)


def _key(process: ProcessView) -> tuple[int, int]:
    return process.pid, process.start_ms


def _below(processes: Sequence[ProcessView]) -> Mapping[tuple[int, int], tuple[float | None, float | None]]:
    """CPU and RAM of each process with all below it that hold no GPU themselves; unknown parts are left out of a known sum."""
    owner: dict[tuple[int, int], ProcessView] = {_key(p): p for p in processes}
    cpu = {key: p.cpu_ratio for key, p in owner.items()}
    ram = {key: p.rss_bytes for key, p in owner.items()}
    for process in processes:
        parent = owner.get((process.parent_pid, process.parent_start_ms))
        seen = {_key(process)}
        while not process.holds and parent is not None and _key(parent) not in seen:
            seen.add(_key(parent))
            if parent.holds or parent.role == "ml":
                for sums, own in ((cpu, process.cpu_ratio), (ram, process.rss_bytes)):
                    if own is not None:
                        sums[_key(parent)] = (sums[_key(parent)] or 0.0) + own
                break
            parent = owner.get((parent.parent_pid, parent.parent_start_ms))
    return {key: (cpu[key], ram[key]) for key in owner}


# --------------------------------------------------------------------------------------------------------------- lines


def _filled(parts: Sequence[str], width: int, indent: str = "", first: str | None = None) -> list[str]:
    """Parts with three spaces between them, in as many lines as they need; terminal codes take no cells."""
    lines, line, used = [], first if first is not None else indent, fmt.cells(first if first is not None else indent)
    empty = True
    for part in parts:
        size = fmt.cells(_without_codes(part))
        if not empty and used + 3 + size > width:
            lines.append(line)
            line, used, empty = indent, fmt.cells(indent), True
        line += part if empty else "   " + part
        used += size if empty else 3 + size
        empty = False
    return [*lines, line]


def _without_codes(text: str) -> str:
    if "\x1b" not in text:
        return text
    import re

    return re.sub("\x1b\\[[0-9;]*m", "", text)


def _wrapped(text: str, width: int, paint: Paint) -> list[str]:
    lines, line = [], ""
    for word in text.split():
        if line and fmt.cells(line) + 1 + fmt.cells(word) > width:
            lines.append(line)
            line = ""
        line += f" {word}" if line else word
    return [paint(line, "notice") for line in [*lines, line]]
