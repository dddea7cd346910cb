"""What a window says of closed time: the ledger's minutes and hours, and how far each tier is closed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from gpuwatch.names import Bucket, Cause, Tier
from gpuwatch.store.facts import BucketSum
from gpuwatch.store.watermarks import LEDGER_HOUR_TIER

_HOUR_S = 3600
_FEW_HOURS = 2
"""Below so many whole hours the minutes are read as they are."""


class ClosedTime:
    """The part of a window that reads rollups. Sums are the store's integers."""

    memo: dict[str, Any]

    @property
    def host_id(self) -> int:
        """The host that is looked at."""
        raise NotImplementedError

    def _all(self, sql: str, values: Sequence[object] = ()) -> list[Any]:
        raise NotImplementedError

    def _one(self, sql: str, values: Sequence[object] = ()) -> Any:
        raise NotImplementedError

    def watermark(self, tier: str) -> int:
        """Unix second up to which a rollup tier is closed for good; 0: not at all."""
        row = self._one("SELECT done_s FROM rollup_state WHERE host_id=? AND tier=?", (self.host_id, tier))
        return 0 if row is None else int(row[0])

    def ledger_minutes(self, start_s: int, end_s: int, gpu_ids: Sequence[int]) -> list[BucketSum]:
        """Bucket sums of the ledger in ``[start_s, end_s)`` (whole minutes) over these GPUs, all owners together.

        Whole hours that are closed come from their rows, which say the same in a sixtieth of the rows. Of time whose minutes
        are no longer kept there are only those.
        """
        first, last = self.whole_hours(start_s, end_s)
        if last - first < _FEW_HOURS * _HOUR_S:
            return self._ledger("minute", start_s, end_s, gpu_ids)
        parts = (("minute", start_s, first), ("hour", first, last), ("minute", last, end_s))
        sums: dict[tuple[int, int, int], tuple[int, int]] = {}
        for tier, begin, end in parts:
            for bucket, cause, kind, ms, energy in self._ledger(tier, begin, end, gpu_ids) if begin < end else ():
                had = sums.get((bucket, cause, kind), (0, 0))
                sums[bucket, cause, kind] = (had[0] + ms, had[1] + energy)
        return [BucketSum(*key, *amounts) for key, amounts in sums.items()]

    def whole_hours(self, start_s: int, end_s: int) -> tuple[int, int]:
        """The closed hours of the host that lie wholly in a span."""
        row = (
            self._one("SELECT hour_offset_seconds FROM host WHERE host_id=?", (self.host_id,))
            if end_s - start_s > _HOUR_S
            else None
        )
        if row is None:
            return start_s, start_s
        first = start_s + (row[0] - start_s) % _HOUR_S
        last = min(end_s, self.watermark(LEDGER_HOUR_TIER))
        last -= (last - row[0]) % _HOUR_S
        return (first, last) if first < last else (start_s, start_s)

    def _ledger(self, tier: str, start_s: int, end_s: int, gpu_ids: Sequence[int]) -> list[BucketSum]:
        marks = ",".join("?" * len(gpu_ids))
        sql = (
            f"SELECT bucket, cause, tier, sum(ms), sum(energy_mj) FROM ledger_{tier} "
            f"WHERE t>=? AND t<? AND bucket>0 AND gpu_id IN ({marks}) GROUP BY bucket, cause, tier"
        )
        return [BucketSum._make(row) for row in self._all(sql, (start_s, end_s, *gpu_ids))]

    def owner_minutes(self, proc_id: int, start_s: int, end_s: int) -> dict[tuple[Bucket, Cause, Tier], tuple[int, int]]:
        """What one process has in the ledger's minutes of ``[start_s, end_s)``, over all GPUs: milliseconds, millijoules."""
        return self._owner_sums("proc_id", proc_id, start_s, end_s)

    def _owner_sums(self, key: str, value: int, start_s: int, end_s: int) -> dict[tuple[Bucket, Cause, Tier], tuple[int, int]]:
        sql = (
            "SELECT l.bucket, l.cause, l.tier, sum(l.ms), sum(l.energy_mj) FROM ledger_minute l JOIN owner o ON o.owner_id=l.owner_id "
            f"WHERE l.t>=? AND l.t<? AND o.{key}=? GROUP BY 1, 2, 3"
        )
        found = self._all(sql, (start_s, end_s, value))
        return {(Bucket(bucket), Cause(cause), Tier(tier)): (ms, energy) for bucket, cause, tier, ms, energy in found}

    def workload_owner_minutes(
        self, workload_id: int, start_s: int, end_s: int
    ) -> dict[tuple[Bucket, Cause, Tier], tuple[int, int]]:
        """The same of all processes of one workload."""
        return self._owner_sums("workload_id", workload_id, start_s, end_s)

    def bucket_cells(self, gpu_id: int, cell_ms: int, start_s: int, end_s: int) -> dict[int, dict[int, int]]:
        """Milliseconds per bucket of one GPU in cells of ``cell_ms``, from the ledger's minutes."""
        sql = "SELECT t*1000/?, bucket, sum(ms) FROM ledger_minute WHERE gpu_id=? AND t>=? AND t<? AND bucket>0 GROUP BY 1, 2"
        out: dict[int, dict[int, int]] = {}
        for number, bucket, ms in self._all(sql, (cell_ms, gpu_id, start_s, end_s)):
            out.setdefault(number, {})[bucket] = ms
        return out
