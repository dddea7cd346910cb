"""An invented week of node-07 (8 x H100, five users) as a Report: every table is cut from the same cells, so all sums agree."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from gpuwatch.dataclass import replace
from gpuwatch.names import Basis, Bucket, Cause, GapReason, Missing, Severity, Tier
from gpuwatch.view.period.ledger import Sums, add, ledger
from gpuwatch.view.period.types import (
    NO_PRICE,
    NOT_BUILT,
    EventRow,
    FindingRow,
    GapRow,
    GpuRow,
    HostRow,
    Lane,
    NotEvaluatedRow,
    NotMeasured,
    OwnerRow,
    PeriodRow,
    ProcessRow,
    Quality,
    Quantiles,
    Report,
    ReportSpan,
    Strip,
    Tenure,
    TierUse,
    Use,
)

START_MS = 1_794_178_800_000
"""Mon 9 Nov 2026 00:00 in Berlin."""
HOUR_MS, DAY_MS, HOURS, GPUS = 3_600_000, 86_400_000, 168, 8
HOST, NAME = "node-07", "NVIDIA H100 80GB HBM3"
GIB = 1024**3
USERS = ("svc", "alice", "carol", "bob", "dave")
_HOLDERS = ("alice", "alice", "carol", "carol", "svc", "svc", "svc", "bob")
_WAIT_PM = (90, 90, 580, 560, 140, 200, 160, 60)
Cell = tuple[str | None, Sums]
"""Who has the hour (``None``: nobody), and where it went."""


def cell(gpu: int, hour: int) -> Cell:
    """One GPU's hour."""
    if hour in (61, 62):
        return None, {(Bucket.UNOBSERVED, 0, 0): (HOUR_MS, 0)}
    user = _HOLDERS[gpu] if (hour * 7 + gpu * 31) % 168 < 130 - 5 * gpu else None
    if gpu == 7 and 100 <= hour < 130:
        user = "dave"
    if user is None:
        return None, {(Bucket.UNALLOCATED, 0, 0): (HOUR_MS, 75 * HOUR_MS)}
    if user == "bob" and hour % 24 > 6 or user == "svc" and gpu == 6 and hour > 100:
        return user, {(Bucket.HELD_IDLE, 0, 0): (HOUR_MS, 116 * HOUR_MS)}
    wait = HOUR_MS * _WAIT_PM[gpu] // 1000 + hour * 1000
    busy = HOUR_MS - wait
    slow = busy // 8 if user == "dave" else 0
    sums: Sums = {(Bucket.WAIT, Cause.UNEXPLAINED, 0): (wait, 150 * wait)}
    if gpu >= 6:  # no fill signal
        sums[Bucket.BUSY_UNKNOWN, 0, Tier.N] = (busy - slow, 520 * (busy - slow))
    else:
        sums[Bucket.EFFECTIVE, 0, Tier.G] = (busy // 2, 580 * (busy // 2))
        sums[Bucket.STALLED_SM, 0, Tier.G] = (busy // 3, 450 * (busy // 3))
        sums[Bucket.EMPTY_SM, 0, Tier.G] = (busy - busy // 2 - busy // 3 - slow, 0)
    if slow:
        sums[Bucket.THROTTLED, 0, Tier.N] = (slow, 400 * slow)
    return user, sums


CELLS: Mapping[tuple[int, int], Cell] = {(gpu, hour): cell(gpu, hour) for gpu in range(GPUS) for hour in range(HOURS)}


def _sum(wanted: Callable[[int, int, str | None], bool]) -> Sums:
    out: Sums = {}
    for (gpu, hour), (user, sums) in CELLS.items():
        if wanted(gpu, hour, user):
            add(out, sums)
    return out


def _use(sums: Sums, gpu: int = 0) -> Use:
    made = ledger(sums)
    seconds, busy = made.observed_gpu_ms / 1000, made.first_time_gpu_ms
    ratio = busy / made.observed_gpu_ms if made.observed_gpu_ms else None
    dark = gpu >= 6
    return Use(
        observed_seconds=seconds,
        utilization_ratio=ratio,
        utilization_max_ratio=1.0,
        sm_active_ratio=None if dark or ratio is None else ratio * 0.8,
        tensor_active_ratio=None if dark or ratio is None else ratio * 0.35,
        dram_active_ratio=None if dark or ratio is None else ratio * 0.4,
        memory_used_bytes=(31.0 + 5 * gpu) * GIB,
        memory_used_max_bytes=(38.0 + 5 * gpu) * GIB,
        memory_total_bytes=79.6 * GIB,
        power_watts=(made.energy_mj or 0) / seconds / 1000 if seconds else None,
        power_max_watts=698.0,
        temperature_max_celsius=71.0,
        quiet_seconds=made.idle_gpu_ms / 1000,
        throttled_seconds=None if gpu == 5 else made.buckets_gpu_ms[Bucket.THROTTLED] / 1000,
        energy_joules=(made.energy_mj or 0) / 1000,
        missing={"sm_active_ratio": Missing.NOT_SUPPORTED} if dark else {},
    )


def _gpu(gpu: int) -> GpuRow:
    sums = _sum(lambda g, h, u: g == gpu)
    quantiles = {"utilization_ratio": Quantiles(0.61, 0.98, 0.98), "power_watts": Quantiles(412.0, 651.0, 0.98)}
    if gpu < 6:
        quantiles["sm_active_ratio"] = Quantiles(0.44, 0.83, 0.98)
    return GpuRow(
        HOST, f"GPU-{gpu:08d}", gpu, NAME, "", "", 1.0, ledger(sums), _use(sums, gpu), quantiles, START_MS + 140 * HOUR_MS
    )


def _owner(user: str | None) -> OwnerRow:
    sums = _sum(lambda g, h, u: u == user)
    held = sorted({(HOST, g) for (g, _), (u, _) in CELLS.items() if u == user}) if user else []
    return OwnerRow(
        user, "user" if user else "nobody", ledger(sums), tuple(held), len(held) * 3 if user else None, 61.0 * GIB if user else None
    )


def _periods(step: int, label: Callable[[int], str]) -> tuple[PeriodRow, ...]:
    out = []
    for first in range(0, HOURS, step):
        sums = _sum(lambda g, h, u, first=first: first <= h < first + step)  # type: ignore[misc]
        start = START_MS + first * HOUR_MS
        out.append(PeriodRow(label(first), start, start + step * HOUR_MS, False, ledger(sums), _use(sums)))
    return tuple(out)


def _process(number: int, gpu: int, name: str, command: str) -> ProcessRow:
    user = _HOLDERS[gpu]
    made = ledger(_sum(lambda g, h, u: g == gpu and u == user))
    return ProcessRow(
        host=HOST,
        pid=41_000 + number,
        start_ms=START_MS + number * 977_000,
        name=name,
        command=command,
        user=user,
        job="slurm 4711" if user == "alice" else "",
        workload="",
        gpus=((HOST, gpu),),
        held_gpu_ms=made.capacity_gpu_ms,
        held_idle_gpu_ms=made.buckets_gpu_ms[Bucket.HELD_IDLE],
        busy_gpu_ms=made.first_time_gpu_ms,
        ledger=made,
        gpu_memory_max_bytes=None if gpu == 7 else (38.0 + 5 * gpu) * GIB,
        sm_utilization_ratio=0.2 + gpu / 20,
        first_ms=START_MS + number * 977_000,
        last_ms=START_MS + HOURS * HOUR_MS - number * 60_000,
        missing={"gpu_memory_max_bytes": Missing.NO_PERMISSION} if gpu == 7 else {},
    )


def _lane(gpu: int) -> Lane:
    shares: dict[Bucket, list[int]] = {}
    busy: list[int | None] = []
    holders: list[Tenure] = []
    for hour in range(HOURS):
        user, sums = CELLS[gpu, hour]
        made = ledger(sums)
        left = 1000
        present = [(bucket, ms) for bucket, ms in made.buckets_gpu_ms.items() if ms]
        for number, (bucket, ms) in enumerate(present):
            pm = left if number == len(present) - 1 else 1000 * ms // HOUR_MS
            shares.setdefault(bucket, [0] * HOURS)[hour] = pm
            left -= pm
        busy.append(1000 * made.first_time_gpu_ms // HOUR_MS if made.observed_gpu_ms else None)
        if user and holders and holders[-1].user == user and holders[-1].last_column == hour - 1:
            holders[-1] = replace(holders[-1], last_column=hour)
        elif user:
            holders.append(Tenure(user, hour, hour))
    frozen = {bucket: tuple(values) for bucket, values in shares.items()}
    whole = ledger(_sum(lambda g, h, u: g == gpu))
    return Lane(HOST, f"GPU-{gpu:08d}", gpu, NAME, 0, frozen, tuple(busy), tuple(holders), whole)


def _quality() -> Quality:
    whole = ledger(_sum(lambda g, h, u: True))
    return Quality(
        coverage_ratio=whole.coverage_ratio,
        unobserved_gpu_ms={GapReason.OFF.label: whole.buckets_gpu_ms[Bucket.UNOBSERVED]},
        gaps=(GapRow(HOST, None, None, START_MS + 61 * HOUR_MS, START_MS + 63 * HOUR_MS, GapReason.OFF, 7_200_000_000),),
        gap_count=1,
        gap_energy_mj=7_200_000_000,
        lost=(EventRow(START_MS + 93 * HOUR_MS, HOST, 3, "xid", Severity.CRITICAL, "XID 79: GPU has fallen off the bus"),),
        lost_count=1,
        fill_gpu_ms_by_tier=whole.busy_gpu_ms_by_tier,
        energy_sources={"counter": 6, "power": 2},
        tiers=(
            TierUse(HOST, "ledger", "hour", START_MS, START_MS + 167 * HOUR_MS),
            TierUse(HOST, "ledger", "minute", START_MS + 167 * HOUR_MS, START_MS + HOURS * HOUR_MS),
        ),
        provisional_gpu_ms=16 * 60_000 * GPUS,
        estimates=("Percentiles stand on closed hours: 98\xa0% of the observed time.",),
    )


def _finding(
    number: int, rule: str, name: str, user: str, gpus: tuple[int, ...], hours: float | None, **more: object
) -> FindingRow:
    given: dict[str, object] = {
        "severity": Severity.WARNING,
        "basis": Basis.MEASURED,
        "state": "open",
        "title": f"{name} on {len(gpus)} GPUs",
        "command": "",
        "since_ms": START_MS + 20 * HOUR_MS,
        "ended_ms": None,
        "evidence": "three facts",
        "advice": "a command",
        "gain": "",
        "effect": "",
        "before_ratio": None,
        "after_ratio": None,
        "saved_gpus": None,
    }
    cost = None if hours is None else round(hours * HOUR_MS)
    places = tuple((HOST, gpu) for gpu in gpus)
    return FindingRow(
        host=HOST,
        finding_id=number,
        rule=rule,
        name=name,
        user=user,
        gpus=places,
        cost_gpu_ms=cost,
        total_cost_gpu_ms=cost,
        **given | more,
    )  # type: ignore[arg-type]


def _findings() -> tuple[FindingRow, ...]:
    """By cost: two of one rule and user, one that is an estimate, two that cleared with and without an effect, one without an amount."""
    cleared = {"state": "resolved", "ended_ms": START_MS + 112 * HOUR_MS}
    return (
        _finding(1, "gpu-memory-held-idle", "held idle", "bob", (5, 6), 120.0),
        _finding(2, "input-bound", "waits for input", "carol", (2, 3), 115.4, basis=Basis.INFERRED),
        _finding(3, "gpu-memory-held-idle", "held idle", "bob", (7,), 31.5, **cleared, saved_gpus=1.0, effect="held idle 100 → 0%"),
        _finding(4, "input-bound", "waits for input", "alice", (0,), 6.4, **cleared, saved_gpus=0.0, effect="wait 58 → 58%"),
        _finding(5, "pcie-link-degraded", "PCIe link x8 of x16", "", (3,), None, severity=Severity.NOTICE),
    )


def sample_report(by: str = "gpu") -> Report:
    """The week, with ``by`` as its main table."""
    whole = _sum(lambda g, h, u: True)
    end = START_MS + HOURS * HOUR_MS
    scripts = (
        "train.py --config llama8b.yaml",
        "train.py",
        "eval.py",
        "-m vllm.entrypoints.openai.api_server --model llama-8b-chat",
    )
    owners = sorted((_owner(user) for user in USERS), key=lambda row: -row.ledger.allocated_gpu_ms)
    days = ("2026-11-09", "2026-11-10", "2026-11-11", "2026-11-12", "2026-11-13", "2026-11-14", "2026-11-15")
    return Report(
        version="0.0.0",
        span=ReportSpan(
            START_MS, end, START_MS, end, "Europe/Berlin", 3600, (HOST,), GPUS, ((NAME, GPUS),), end + 42_000, True, "week"
        ),
        by=by,
        total=ledger(whole),
        use=_use(whole),
        days=_periods(24, lambda hour: days[hour // 24]),
        hours=_periods(1, lambda hour: f"{days[hour // 24]}T{hour % 24:02d}:00+01:00") if by == "hour" else (),
        gpus=tuple(_gpu(gpu) for gpu in range(GPUS)),
        host_rows=(HostRow(HOST, "recorded", GPUS, (NAME,), "Europe/Berlin", START_MS, end, ledger(whole), _use(whole)),),
        owners=(*owners, _owner(None)),
        processes=tuple(_process(n, n, "python3", f"python3 {scripts[n % 4]}") for n in range(GPUS)),
        process_count=23,
        strip=Strip(3600, tuple(START_MS + n * HOUR_MS for n in range(HOURS + 1)), tuple(_lane(gpu) for gpu in range(GPUS))),
        quality=_quality(),
        not_measured=(
            NotMeasured(HOST, "GPU 6, 7", "sm_active_ratio", Missing.NOT_SUPPORTED, ""),
            NotMeasured(HOST, "GPU 5", "throttled_seconds", Missing.NO_PERMISSION, "sudo gpuwatch doctor"),
        ),
        notes=("16 of 1 344 GPU-hours were not observed: the recorder was off.",),
        definitions={
            "efficiency": "effective of observed GPU time = allocation x running x fill",
            "held idle": "held by somebody and quiet for five minutes or more, counted from the start",
        },
        command="gpuwatch report --since 2026-11-09 --until 2026-11-16 --tz Europe/Berlin",
        findings=_findings(),
        not_evaluated=(
            NotEvaluatedRow(
                HOST, "xid-error", "all GPUs", "the kernel log is not readable", "sudo usermod -aG systemd-journal $USER"
            ),
        ),
        rules=50,
        rules_not_evaluated=1,
        absent={
            "previous": NOT_BUILT,
            "training": NOT_BUILT,
            "models": NOT_BUILT,
            "money": NO_PRICE,
        },
    )
