"""A report over a simulated month beside the scenario itself: ``python benchmarks/report_truth.py [DAYS] [SCENARIO]``.

The month goes through the real pipeline (rows a minute apart, ledger, hours, days, chunks); the truth is added up from the
scenario's step functions without a row or a store. The last hour, which is read more often, is left out. Prints the largest
difference of any GPU beside what the rounding of a reading allows, and exits with 1 if one is larger.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

from support.period_store import backfilled
from support.report_sums import check
from support.span_truth import GpuTruth, SpanTruth

from gpuwatch.measure import MIB
from gpuwatch.names import Bucket
from gpuwatch.store.window import Window
from gpuwatch.view.period.build import build_report
from gpuwatch.view.period.types import GpuRow, ReportRequest

DAY_S, MINUTE_MS = 86_400, 60_000


def compared(row: GpuRow, true: GpuTruth) -> dict[str, tuple[float, float, str]]:
    """What -> (difference, allowed, unit)."""
    rows, use, buckets = true.minutes, row.use, row.ledger.buckets_gpu_ms
    sm = 0.0 if true.sm_active is None else abs((use.sm_active_ratio or 0) - true.sm_active)
    return {
        "capacity": (abs(row.ledger.capacity_gpu_ms - rows * MINUTE_MS), 0, "ms"),
        "observed": (abs(row.ledger.observed_gpu_ms - rows * MINUTE_MS), 0, "ms"),
        "utilization": (abs((use.utilization_ratio or 0) - true.utilization), 0.0005, ""),
        "SM activity": (sm, 0.0005, ""),
        "power": (abs((use.power_watts or 0) - true.watts), 0.0005, "W"),
        "energy": (abs((use.energy_joules or 0) - true.joules), 0.0005 * rows, "J"),
        "energy of the ledger": (abs((row.ledger.energy_mj or 0) / 1000 - true.joules), 0.001 * rows, "J"),
        "quiet": (abs((use.quiet_seconds or 0) - true.quiet * 60), 0, "s"),
        "memory peak": (abs((use.memory_used_max_bytes or 0) * MIB - true.memory_max_mib), 0, "MiB"),
        "free": (abs(buckets[Bucket.UNALLOCATED] - true.free * MINUTE_MS), 0, "ms"),
        "held idle": (abs(buckets[Bucket.HELD_IDLE] - true.held_idle * MINUTE_MS), 0, "ms"),
        "wait": (abs(buckets[Bucket.WAIT] - true.wait * MINUTE_MS), 30 * rows, "ms"),
        "busy": (abs(buckets[Bucket.BUSY_UNKNOWN] + buckets[Bucket.THROTTLED] - true.busy * MINUTE_MS), 30 * rows, "ms"),
    }


def main() -> int:
    """Build, compare, print."""
    days = int(sys.argv[1]) if len(sys.argv) > 1 else 30
    scenario = sys.argv[2] if len(sys.argv) > 2 else "lab"
    worst: dict[str, tuple[float, float, str]] = {}
    users: dict[str, int] = {}
    shared = 0
    with tempfile.TemporaryDirectory(prefix="gpuwatch-truth-") as folder:
        ago_s = (days - 1) * DAY_S // 2
        began = time.process_time()
        path, now_s = backfilled(Path(folder), scenario, days * 24, ago_s=ago_s)
        built = time.process_time()
        start_s, end_s = now_s // 60 * 60 - days * DAY_S, now_s // 60 * 60 - 3600
        with Window(path) as window:
            report = build_report(window, ReportRequest(start_s * 1000, end_s * 1000), now_ms=now_s * 1000)
        asked = time.process_time()
        check(report)
        truth = SpanTruth(scenario, now_s - ago_s)
        for row in report.gpus:
            true = truth.gpu(str(row.gpu_index), start_s, end_s)
            shared += true.users.pop("shared", 0)
            for user, minutes in true.users.items():
                users[user] = users.get(user, 0) + minutes
            for what, found in compared(row, true).items():
                worst[what] = max(worst.get(what, found), found)
    print(
        f"{days} days of {scenario}, {len(report.gpus)} GPUs: stored in {built - began:.0f} s, reported in {asked - built:.3f} s of CPU"
    )
    print(f"{'quantity':22}{'largest difference':>20}{'allowed':>12}")
    for what, (off, allowed, unit) in worst.items():
        print(f"{what:22}{off:>20.6g}{allowed:>12.6g} {unit:4}{'' if off <= allowed + 1e-9 else 'TOO FAR'}")
    held = {owner.user or "?": owner.ledger.allocated_gpu_ms for owner in report.owners if owner.kind != "nobody"}
    outside = [
        user
        for user in held.keys() | users.keys()
        if not users.get(user, 0) * MINUTE_MS <= held.get(user, 0) <= (users.get(user, 0) + shared) * MINUTE_MS
    ]
    print(f"{len(held)} holders: {'all have what they had' if not outside else 'WRONG: ' + ', '.join(outside)}")
    print(f"(GPU time that several of them shared at once: {shared} minutes)")
    return 1 if outside or any(off > allowed + 1e-9 for off, allowed, _ in worst.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
