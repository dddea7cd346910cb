"""May a report be trusted: gaps, lost GPUs, where energy came from, which rollups were summed, what was not measured."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from gpuwatch.dataclass import NamedTuple
from gpuwatch.format import counted, covered
from gpuwatch.names import Bucket, GapReason, Missing, Severity
from gpuwatch.store.period import Plan
from gpuwatch.store.period_sums import provisional_ms
from gpuwatch.view.period.host import HostPart
from gpuwatch.view.period.measured import SOURCES, energy_source, observed_ms
from gpuwatch.view.period.types import EventRow, GapRow, GpuRow, Ledger, NotMeasured, Quality, TierUse

MOST_GAPS = MOST_EVENTS = 50
_MOST_SPANS = 7
UNKNOWN, STOPPED, NO_SIGNAL = "unknown", GapReason.OFF.label, "no_signal"
_REPORTED = (
    "utilization_ratio",
    "sm_active_ratio",
    "memory_used_bytes",
    "power_watts",
    "energy_joules",
    "temperature_max_celsius",
    "throttled_seconds",
)
"""Quantities whose absence is told."""
_OF_INSTANCES = ("utilization_ratio", "sm_active_ratio", "memory_used_bytes")
_OF_BOARDS = tuple(name for name in _REPORTED if name not in _OF_INSTANCES)
_QUERY = {
    "utilization_ratio": "utilization.gpu",
    "memory_used_bytes": "memory.used",
    "power_watts": "power.draw",
    "energy_joules": "power.draw",
    "temperature_max_celsius": "temperature.gpu",
    "throttled_seconds": "clocks_event_reasons.active",
}
"""What ``nvidia-smi --query-gpu`` calls it."""
_ENABLE = {
    Missing.NO_PERMISSION: "gpuwatch doctor",
    Missing.DRIVER_ERROR: "gpuwatch doctor",
}
_GAPS = "SELECT gpu_id, t0_ms, t1_ms, reason FROM gap WHERE host_id=? AND t0_ms<? AND t1_ms>? ORDER BY t0_ms, gpu_id"
_GAP_ENERGY = "SELECT gpu_id, t0_ms, energy_mj FROM gap_energy WHERE host_id=? AND t0_ms<?"
_LOST_KINDS = ("gpu_lost", "gpu_recovered", "xid", "ecc", "gpu_reset", "driver_lost", "driver_back")


class Gap(NamedTuple):
    """A gap, cut to the span; ``gpu_id`` 0: the whole host."""

    gpu_id: int
    start_ms: int
    end_ms: int
    reason: str
    energy_mj: int | None


def gaps(part: HostPart) -> list[Gap]:
    """The gaps of one host in its span. A recording that has stopped ends in one that nobody has written yet."""
    start, end = part.start_s * 1000, part.end_s * 1000
    energy: dict[tuple[int, int], int] = {}
    if part.host.tiered:
        for gpu_id, t0, mj in part.window.rows(_GAP_ENERGY, (part.host.host_id, end)):
            energy[gpu_id, t0] = mj
    out = []
    for gpu_id, t0, t1, reason in part.window.rows(_GAPS, (part.host.host_id, end, start)):
        first, last = max(t0, start), min(t1, end)
        found = [mj for (gpu, at), mj in energy.items() if at == t0 and gpu_id in (0, gpu)]
        cut = sum(mj * (last - t0) // (t1 - t0) - mj * (first - t0) // (t1 - t0) for mj in found) if t1 > t0 else 0
        out.append(Gap(gpu_id, first, last, GapReason(reason).label, cut if found else None))
    last_ms = part.host.last_ms
    if not part.host.imported and part.host.closed_s() * 1000 < end and last_ms < end:
        out.append(Gap(0, max(last_ms, start), end, STOPPED, None))
    return out


def unobserved(part: HostPart, found: Sequence[Gap]) -> Counter[str]:
    """Unobserved GPU time by the gap that it lies in, ``no_signal`` where rows do not say whether the GPU worked, else unknown.

    Sums to the bucket.
    """
    out: Counter[str] = Counter()
    for board, instances in part.families:
        for member in (board, *instances):
            booked = part.ledger(member.gpu_id)
            left = booked.buckets_gpu_ms[Bucket.UNOBSERVED]
            rows_ms = int(observed_ms(part.used(member.gpu_id)) * member.weight) if member is not board or not instances else 0
            silent = min(left, max(0, rows_ms - booked.observed_gpu_ms))
            out[NO_SIGNAL] += silent
            left, reached = left - silent, 0
            for gap in found:
                if gap.gpu_id in (0, member.gpu_id, board.gpu_id) and gap.end_ms > reached:
                    ms = min(left, member.due_ms(max(gap.start_ms, reached), gap.end_ms))
                    reached = max(reached, gap.end_ms)
                    out[gap.reason] += ms
                    left -= ms
            out[UNKNOWN] += left
    return +out


def quality(parts: Sequence[HostPart], whole: Ledger, gpus: Sequence[GpuRow]) -> Quality:
    """All of it."""
    rows: list[GapRow] = []
    reasons: Counter[str] = Counter()
    sources: Counter[str] = Counter()
    tiers: list[TierUse] = []
    for part in parts:
        found = gaps(part)
        reasons += unobserved(part, found)
        rows += [_gap_row(part, gap) for gap in found]
        sources.update(SOURCES[energy_source(part.used(gpu_id))] for gpu_id in part.boards())
        for of in (part.ledger_plan, part.use_plan, part.process_plan):
            tiers += [TierUse(part.host.name, of.what, tier, start * 1000, end * 1000) for tier, start, end in _spans(of)]
    energies = [row.energy_mj for row in rows if row.energy_mj is not None]
    longest = sorted(rows, key=lambda row: row.start_ms - row.end_ms)[:MOST_GAPS]
    lost, lost_count = _lost(parts)
    return Quality(
        coverage_ratio=whole.coverage_ratio,
        unobserved_gpu_ms=dict(reasons.most_common()),
        gaps=tuple(sorted(longest, key=lambda row: (row.start_ms, row.host, row.gpu_index or 0))),
        gap_count=len(rows),
        gap_energy_mj=sum(energies) if energies else None,
        lost=lost,
        lost_count=lost_count,
        fill_gpu_ms_by_tier=whole.busy_gpu_ms_by_tier,
        energy_sources=dict(sources),
        tiers=tuple(tiers),
        provisional_gpu_ms=sum(provisional_ms(part.host, part.ledger_plan) for part in parts),
        estimates=tuple(_estimates(parts, gpus)),
    )


def _spans(of: Plan) -> list[tuple[str, int, int]]:
    """Which tier was summed from when to when; from the first to the last of each where they alternate, as in other zones."""
    spans = of.spans()
    if len(spans) <= _MOST_SPANS:
        return spans
    own = {tier: [span for span in spans if span[0] == tier] for tier, _, _ in spans}
    return [(tier, found[0][1], found[-1][2]) for tier, found in own.items()]


def _gap_row(part: HostPart, gap: Gap) -> GapRow:
    row = part.gpus.get(gap.gpu_id)
    reason = next(reason for reason in GapReason if reason.label == gap.reason)
    uuid, index = (row["uuid"], row["gpu_index"]) if row else (None, None)
    return GapRow(part.host.name, uuid, index, gap.start_ms, gap.end_ms, reason, gap.energy_mj)


def _lost(parts: Sequence[HostPart]) -> tuple[tuple[EventRow, ...], int]:
    marks = ",".join("?" * len(_LOST_KINDS))
    sql = (
        "SELECT e.ts_ms, g.gpu_index, e.kind, e.severity, e.detail FROM event e LEFT JOIN gpu g ON g.gpu_id=e.gpu_id "
        f"WHERE e.host_id=? AND e.ts_ms>=? AND e.ts_ms<? AND e.kind IN ({marks}) ORDER BY e.ts_ms, e.event_id"
    )
    out = []
    for part in parts:
        span = (part.host.host_id, part.start_s * 1000, part.end_s * 1000)
        for ts, index, kind, severity, detail in part.window.rows(sql, (*span, *_LOST_KINDS)):
            out.append(EventRow(ts, part.host.name, index, kind, Severity(severity), detail))
    out.sort(key=lambda row: (-row.severity, row.ts_ms))
    return tuple(sorted(out[:MOST_EVENTS], key=lambda row: row.ts_ms)), len(out)


def _estimates(parts: Sequence[HostPart], gpus: Sequence[GpuRow]) -> list[str]:
    """What was widened, cut elsewhere, or stands on less than everything."""
    out = []
    for part in parts:
        name = f" of {part.host.name}" if len(parts) > 1 else ""
        start, end = part.span_s
        if (part.start_s, part.end_s) != (start, end):
            out.append(
                f"The span{name} was widened to whole {_buckets(part.ledger_plan)}s: shorter pieces of that time are no longer kept."
            )
        if part.ledger_plan.moved:
            moved = counted(len(part.ledger_plan.moved), "edge")
            out.append(
                f"{moved} between days or hours{name} moved to the next whole hour of the host: minutes of that time are no longer kept."
            )
        process = part.process_plan
        if part.peaks and (process.start_s, process.end_s) != (part.start_s, part.end_s):
            out.append(f"Memory and SM utilization of processes{name} are of whole {_buckets(process)}s around the span.")
        if part.sliced:
            out.append(f"A sliced GPU{name} has one energy counter for all its instances: what it used is nobody's in the ledger.")
    stood = [found.coverage_ratio for row in gpus for name, found in row.quantiles.items() if name == "utilization_ratio"]
    if stood:
        stride = max(part.hist_stride for part in parts)
        some = "closed hours" if stride == 1 else f"one in {stride} closed days and hours"
        out.append(f"Percentiles stand on {some}: {covered(sum(stood) / len(stood))} of the observed time.")
    return out


def _buckets(of: Plan) -> str:
    return "day" if any(tier == "day" for tier, start, end in (of.spans()[0], of.spans()[-1])) else "hour"


# ---------------------------------------------------------------------------------------------------------- not measured


def not_measured(parts: Sequence[HostPart], gpus: Sequence[GpuRow]) -> tuple[NotMeasured, ...]:
    """What GPUs do not give, GPUs with the same reason together. A sliced board and its instances are asked only for their own."""
    imported = {part.host.name for part in parts if part.host.imported}
    boards = {row.gpu_uuid: row for row in gpus}
    sliced = {row.parent_uuid for row in gpus}
    found: dict[tuple[str, str, Missing], list[GpuRow]] = {}
    asked: Counter[tuple[str, str]] = Counter()
    for row in gpus:
        names = _OF_INSTANCES if row.parent_uuid else _OF_BOARDS if row.gpu_uuid in sliced else _REPORTED
        for name in names if row.use.observed_seconds else ():
            asked[row.host, name] += 1
            if name in row.use.missing:
                found.setdefault((row.host, name, row.use.missing[name]), []).append(row)
    out = []
    for (host, name, reason), rows in found.items():
        everyone = len(rows) == asked[host, name]
        subject = (
            ("all GPUs" if len(rows) > 1 else "the GPU") if everyone else "GPU " + ", ".join(_label(row, boards) for row in rows)
        )
        enable = _ENABLE.get(reason, "")
        if host in imported and name in _QUERY:
            enable = f"nvidia-smi --query-gpu=timestamp,index,uuid,{_QUERY[name]} --format=csv -l 1"
        out.append(NotMeasured(host, subject, name, reason, enable))
    order = {name: number for number, name in enumerate(_REPORTED)}
    return tuple(sorted(out, key=lambda each: (each.host, order[each.field])))


def _label(row: GpuRow, boards: Mapping[str, GpuRow]) -> str:
    board = boards.get(row.parent_uuid)
    return f"{board.gpu_index}/{row.gpu_index}" if board else str(row.gpu_index)
