"""What became of an imported log, for people: a block of lines a file."""

from __future__ import annotations

from datetime import datetime, tzinfo

from gpuwatch.format import counted, duration, number, percent
from gpuwatch.text import clean
from gpuwatch.view.imports import ImportView
from gpuwatch.zone import host_zone

_VERBS = {(False, False): "is now", (False, True): "has joined", (True, False): "would be", (True, True): "would join"}
_SHOWN = 8
"""So many kinds of trouble are told; the rest is counted."""


def import_text(file: ImportView) -> str:
    """The lines of one file. Times are those of the log's own zone."""
    tz = host_zone(file.timezone, file.utc_offset_seconds)
    name = clean(file.file, 200)
    if file.state in ("known", "failed"):
        return f"{name}: {file.message}\n" + (f"  try: {file.hint}\n" if file.hint else "")
    verb = _VERBS[file.state == "tried", file.joined]
    lines = [f"{name} {verb} host {file.host}", f"  {file.format}{_rhythm(file)}", f"  {_amounts(file)}", f"  {_span(file, tz)}"]
    if file.utilization_ratio is not None:
        means = f"mean of samples {percent(file.utilization_of_rows, 1)} %, over time {percent(file.utilization_ratio, 1)} %"
        lines.append(f"  utilization: {means}")
    lines.append(f"  used: {', '.join(map(_plain, file.columns)) or 'times only'}")
    if file.gap_count:
        lines.append(f"  {counted(file.gap_count, 'gap')}, {duration(file.gap_seconds)} in all: neither idle nor busy")
    lines += [f"  {line}" for line in _problems(file)]
    if file.state == "imported" and file.start_ms is not None and file.end_ms is not None:
        since, until = (_moment(ms, tz) for ms in (file.start_ms // 60_000 * 60_000, -(-file.end_ms // 60_000) * 60_000))
        lines.append(f"  next: gpuwatch report --host {_word(file.host)} --since {since} --until {until}")
    return "\n".join(lines) + "\n"


def _rhythm(file: ImportView) -> str:
    return f", a row every {file.interval_seconds:g} s" if file.interval_seconds else ", one row a GPU: it speaks for no time"


def _amounts(file: ImportView) -> str:
    samples, lines = ("" if count == 1 else "s" for count in (file.rows_used, file.rows_read))
    read = f"{number(file.rows_used)} sample{samples} of {number(file.rows_read)} line{lines}"
    parts = [read, counted(file.gpu_count, "GPU")]
    if file.process_count:
        parts.append(counted(file.process_count, "process", "es"))
    if file.rows_left_out:
        parts.append(f"{number(file.rows_left_out)} left out: the GPU has a row at that time")
    return ", ".join(parts)


def _span(file: ImportView, tz: tzinfo) -> str:
    if file.start_ms is None or file.end_ms is None:
        return "no time"
    start, end = (datetime.fromtimestamp(ms / 1000, tz) for ms in (file.start_ms, file.end_ms))
    last = f"{end:%H:%M:%S}" if end.date() == start.date() else f"{end:%a %Y-%m-%d %H:%M:%S}"
    return f"{start:%a %Y-%m-%d %H:%M:%S} to {last} {end:%Z} ({duration((file.end_ms - file.start_ms) / 1000)})"


def _problems(file: ImportView) -> list[str]:
    if not file.problems:
        return []
    lines = ["could not be used:"]
    for problem in file.problems[:_SHOWN]:
        more = f" and {number(problem.count - 1)} more" if problem.count > 1 else ""
        lines.append(f"  line {number(problem.line)}{more}: {clean(problem.text, 200)}")
    if len(file.problems) > _SHOWN:
        lines.append(f"  and {counted(len(file.problems) - _SHOWN, 'more kind')} (all of them: --json)")
    return lines


def _plain(name: str) -> str:
    """``memory_used_bytes`` as ``memory used``."""
    for unit in ("_ratio", "_bytes", "_watts", "_joules", "_celsius", "_hertz", "_seconds"):
        name = name.removesuffix(unit)
    return name.replace("_", " ")


def _moment(ms: int, tz: tzinfo) -> str:
    return datetime.fromtimestamp(ms / 1000, tz).isoformat(timespec="minutes").replace("+00:00", "Z")


def _word(text: str) -> str:
    """As a shell takes it."""
    return text if text and all(c.isalnum() or c in "-_.:@" for c in text) else "'" + text.replace("'", "'\\''") + "'"
