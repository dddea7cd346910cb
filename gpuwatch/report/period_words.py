"""What a report says in words: its span, its headline, whether it can be trusted, and what is not in it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta, timezone, tzinfo
from zoneinfo import ZoneInfo

from gpuwatch.format import NOTHING, WEEKDAYS, counted, covered, duration, shares, short_model
from gpuwatch.names import Bucket, GapReason, Missing, Tier
from gpuwatch.report.period_figures import ALL, KWH_MJ, Figures, Scale, band, percent
from gpuwatch.view.period.types import EventRow, GapRow, NotMeasured, Report, ReportSpan

MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
REASONS = {
    "off": "recorder off",
    "crash": "recorder ended without a goodbye",
    "stall": "recorder or driver stalled",
    "suspend": "host asleep",
    "clock": "clock set",
    "driver": "driver gave no answer",
    "no_signal": "the driver does not tell",
    "unknown": "not known why",
}
MISSING = {
    Missing.NOT_SUPPORTED: "not supported",
    Missing.NO_PERMISSION: "no permission",
    Missing.DRIVER_ERROR: "driver error",
    Missing.STALE: "no reading",
    Missing.NOT_ATTACHED: "not attached",
}
ABSENT = {
    "previous": "change against the time before",
    "training": "training runs",
    "models": "served models",
    "findings": "findings",
    "money": "money",
}
_WHY = {
    "no_price": "no price is configured",
    "not_evaluated": "this version does not evaluate them",
    "nothing_seen": "nothing of the kind was seen",
    "not_judged": "no rule has judged this span",
}
FIELDS = {
    "sm_active_ratio": "SM activity",
    "tensor_active_ratio": "tensor activity",
    "dram_active_ratio": "memory bandwidth",
    "utilization_ratio": "utilization",
    "memory_used_bytes": "memory",
    "power_watts": "power",
    "energy_joules": "energy",
    "throttled_seconds": "throttling",
    "temperature_max_celsius": "temperature",
    "process_count": "processes",
    "gpu_memory_bytes": "memory of processes",
    "sm_utilization_ratio": "SM share of processes",
}


def zone_of(span: ReportSpan) -> tzinfo:
    """The zone of printed times; without zone data (or a name) the offset that it has at the span's end."""
    try:
        return ZoneInfo(span.zone)
    except (KeyError, ValueError, OSError):
        return timezone(timedelta(seconds=span.utc_offset_seconds))


class Times:
    """Local times of a report."""

    def __init__(self, span: ReportSpan) -> None:
        self.tz = zone_of(span)

    def at(self, ms: int) -> datetime:
        """Local time."""
        return datetime.fromtimestamp(ms / 1000, self.tz)

    def day(self, at: datetime) -> str:
        """``Mon 9``."""
        return f"{WEEKDAYS[at.weekday()]} {at.day}"

    def date(self, at: datetime) -> str:
        """``Mon 9 Nov 2026``."""
        return f"{self.day(at)} {MONTHS[at.month - 1]} {at.year}"

    def stamp(self, ms: int) -> str:
        """``Wed 11 Nov 03:10``."""
        at = self.at(ms)
        return f"{self.day(at)} {MONTHS[at.month - 1]} {at:%H:%M}"

    def range(self, start_ms: int, end_ms: int) -> str:
        """``Wed 11 Nov 03:10–04:40``."""
        start, end = self.at(start_ms), self.at(end_ms)
        if end_ms - start_ms < 120_000:  # whole minutes would hide its length
            return f"{self.stamp(start_ms)}:{start:%S}–{end:%H:%M:%S}"
        if start.date() == end.date():
            return f"{self.stamp(start_ms)}–{end:%H:%M}"
        return f"{self.stamp(start_ms)} – {self.stamp(end_ms)}"

    def span(self, start_ms: int, end_ms: int) -> str:
        """``Mon 9 – Sun 15 Nov 2026`` for whole days, else with times."""
        start, end = self.at(start_ms), self.at(end_ms)
        if start.time() != end.time() or (start.hour, start.minute) != (0, 0):
            if start.date() == end.date():
                return f"{self.date(start)} {start:%H:%M}–{end:%H:%M}"
            first = self.stamp(start_ms) if start.year == end.year else f"{self.date(start)} {start:%H:%M}"
            return f"{first} – {self.date(end)} {end:%H:%M}"
        last = self.at(end_ms - 1)
        if start.date() == last.date():
            return self.date(last)
        if (start.year, start.month) == (last.year, last.month):
            return f"{self.day(start)} – {self.date(last)}"
        month = f"{self.day(start)} {MONTHS[start.month - 1]}" + ("" if start.year == last.year else f" {start.year}")
        return f"{month} – {self.date(last)}"


def zone(span: ReportSpan) -> str:
    """``Europe/Berlin``, ``UTC+02:00``."""
    return f"UTC{span.zone}" if span.zone[:1] in ("+", "-") else span.zone


def gpu_names(report: Report) -> dict[str, str]:
    """UUID -> ``3``, of an instance ``0/1``: the index of its board and its own."""
    boards = {row.gpu_uuid: str(row.gpu_index) for row in report.gpus}
    return {
        row.gpu_uuid: f"{boards.get(row.parent_uuid, '?')}/{row.gpu_index}" if row.parent_uuid else str(row.gpu_index)
        for row in report.gpus
    }


def asked(report: Report) -> str:
    """The span that the report is about: what was summed, or what was asked for where nothing could be."""
    span, times = report.span, Times(report.span)
    if span.start_ms < span.end_ms:
        return times.span(span.start_ms, span.end_ms)
    return times.span(span.asked_start_ms, max(span.asked_end_ms, span.asked_start_ms + 60_000))


def hosts(span: ReportSpan) -> str:
    """``node-07``, ``node-07, node-08``, ``12 hosts``."""
    return ", ".join(span.hosts) if len(span.hosts) <= 3 else counted(len(span.hosts), "host")


def gpus(span: ReportSpan) -> str:
    """``8 × H100 80GB``; nothing where no GPU was seen. Logs need not say which GPUs they are of."""
    of = " of unknown model" if len(span.gpu_names) > 1 else ""
    return " + ".join(f"{count} × {short_model(name)}" if name else counted(count, "GPU") + of for name, count in span.gpu_names)


def simulated(span: ReportSpan) -> str:
    """``SIMULATED lab``, or nothing."""
    return "" if not span.simulated else f"SIMULATED {span.scenario}".rstrip()


def efficiency(report: Report, figures: Figures) -> str:
    """The score with its factors; a sentence where nothing was observed."""
    total = report.total
    if not total.observed_gpu_ms:
        return "Nothing was observed in this span, so there is no efficiency."
    nothing = total.tier is Tier.N and total.fill_ratio is not None and not total.fill_ratio.low
    fill = "unknown" if nothing and total.running_ratio else band(total.fill_ratio, words=True)
    factors = f"allocation {percent(total.allocation_ratio)} × running {percent(total.running_ratio)} × fill {fill}"
    return f"Efficiency {figures.efficiency} = {factors}"


_EVIDENCE = {Tier.G: "SM activity (tier G)", Tier.H: "hooks (tier H)", Tier.P: ""}


def evidence(report: Report) -> str:
    """What the score stands on."""
    total = report.total
    busy = sum(total.busy_gpu_ms_by_tier.values())
    known = {tier: ms for tier, ms in total.busy_gpu_ms_by_tier.items() if ms and tier in _EVIDENCE}
    parts = [f"coverage {covered(total.coverage_ratio, 1)}"]
    if Tier.P in known:
        ms = known.pop(Tier.P)
        parts.insert(0, f"fill of {percent(ms / busy)} of busy time told by power alone (tier P), to within 25 points")
    if known:
        how = " and ".join(_EVIDENCE[tier] for tier in known)
        parts.insert(0, f"fill of {percent(sum(known.values()) / busy)} of busy time measured by {how}")
    elif busy and len(parts) == 1:
        parts.insert(0, "how well busy time was filled is not measured (tier N): a range")
    return " · ".join(parts)


def amounts(report: Report, figures: Figures) -> str:
    """Totals for a slide: GPU-hours, energy, mean activity."""
    use = report.use
    parts = [f"{figures.hours(*(bucket for bucket in ALL if bucket))} GPU-h observed"]
    if energy := figures.energy_words():
        parts.append(energy)
    known = use.utilization_ratio is not None
    parts.append(f"mean utilization {percent(use.utilization_ratio)}" if known else "utilization not measured")
    parts.append(f"SM active {percent(use.sm_active_ratio)}" if use.sm_active_ratio is not None else "SM activity not measured")
    return " · ".join(parts)


# ------------------------------------------------------------------------------------------------------------- can it be trusted


def _why(word: str, imported: bool) -> str:
    """A gap's reason; a log that was imported has no recorder."""
    return "not in the log" if imported and word == GapReason.OFF.label else REASONS.get(word, word)


def imported(report: Report) -> frozenset[str]:
    """The hosts whose data come from past logs."""
    return frozenset(row.host for row in report.host_rows if row.kind == "imported")


def unobserved(report: Report, figures: Figures) -> str:
    """How much was not observed, and why: the parts add up to the printed whole."""
    reasons = report.quality.unobserved_gpu_ms
    whole = figures.steps([Bucket.UNOBSERVED])
    if not figures.total.buckets_gpu_ms.get(Bucket.UNOBSERVED):
        return ""
    told, logs = shares(list(reasons.values()), whole), imported(report) >= set(report.span.hosts)
    why = ", ".join(
        f"{_why(word, logs)} {figures.time.text(steps, ms)}" for (word, ms), steps in zip(reasons.items(), told, strict=True) if ms
    )
    return f"not observed: {figures.hours(Bucket.UNOBSERVED)} GPU-h" + (f" ({why})" if why else "")


def gap(row: GapRow, times: Times, report: Report) -> str:
    """``Wed 11 Nov 03:10–04:40, all GPUs: recorder off, 1 h 30 min``."""
    where = "all GPUs" if row.gpu_index is None else f"GPU {row.gpu_index}"
    host = f"{row.host}, " if len(report.span.hosts) > 1 else ""
    part = row.start_ms == report.span.start_ms or row.end_ms == report.span.end_ms  # when it was used in the gap is not known
    about = "about " if part else ""
    energy = f", {about}{Scale.of(KWH_MJ, row.energy_mj).shown(row.energy_mj)} kWh used meanwhile" if row.energy_mj else ""
    length = duration((row.end_ms - row.start_ms) / 1000)
    return f"{times.range(row.start_ms, row.end_ms)}, {host}{where}: {_why(row.reason.label, row.host in imported(report))}, {length}{energy}"


def event(row: EventRow, times: Times, many_hosts: bool) -> str:
    """``Thu 12 Nov 21:00, GPU 3: XID 79 …``."""
    host = f"{row.host}, " if many_hosts else ""
    where = f"GPU {row.gpu_index}: " if row.gpu_index is not None else ""
    return f"{times.stamp(row.ts_ms)}, {host}{where}{row.detail}"


def quality(report: Report) -> list[str]:
    """Sentences about the data: how old minutes were summed, where energy is from, what is estimated."""
    found = report.quality
    out = list(found.estimates)
    sources = {key: count for key, count in found.energy_sources.items() if count}
    words = {"counter": "the energy counter", "power": "integrated power", "mixed": "both, counter and power", "none": "no source"}
    if set(sources) - {"counter"}:
        told = ", ".join(f"{counted(count, 'GPU')}: {words.get(key, key)}" for key, count in sources.items())
        out.append(f"Energy is from {told}.")
    tiers = sorted({use.tier for use in found.tiers}, key=("day", "hour", "minute").index)
    if tiers:
        out.append(f"Summed from {_listed([f'{tier}s' for tier in tiers])}.")
    return out


def not_measured(row: NotMeasured, report: Report) -> str:
    """``SM activity: GPU 6, 7, not supported``; of a log nobody knows what the GPU would have told."""
    host = f"{row.host}, " if len(report.span.hosts) > 1 else ""
    log = row.host in imported(report) and row.reason is Missing.NOT_SUPPORTED
    return f"{FIELDS.get(row.field, row.field)}: {host}{row.subject}, {'not in the log' if log else MISSING[row.reason]}"


def absent(report: Report) -> list[str]:
    """What later versions or settings would add, grouped by why it is not here."""
    groups: dict[str, list[str]] = {}
    for field, reason in report.absent.items():
        groups.setdefault(reason, []).append(ABSENT.get(field, field))
    return [f"Not in this report: {_listed(names)} ({_WHY.get(reason, reason)})." for reason, names in groups.items()]


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def on(gpus: Iterable[tuple[str, int]], many_hosts: bool) -> str:
    """``0-3, 6``; with several hosts ``node-07:0-3 node-08:1``."""
    by_host: dict[str, list[int]] = {}
    for host, index in gpus:
        by_host.setdefault(host, []).append(index)
    if not by_host:
        return NOTHING
    return " ".join(f"{host}:{_ranges(found)}" if many_hosts else _ranges(found) for host, found in sorted(by_host.items()))


def _ranges(indexes: Iterable[int]) -> str:
    out: list[str] = []
    first = last = None
    for index in [*sorted(set(indexes)), None]:
        if last is not None and index == last + 1:
            last = index
            continue
        if first is not None:
            out.append(str(first) if first == last else f"{first}-{last}")
        first = last = index
    return ", ".join(out)
