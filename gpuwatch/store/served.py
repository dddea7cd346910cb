"""What a window says of inference servers: who they are, their rows and waiting times, and the same in closed minutes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from gpuwatch.store.columns import INFERENCE_SAMPLE
from gpuwatch.store.ledger_rows import ONCE

SERVED_SCHEMA = 3
"""Older files have no servers."""
INFERENCE_ROW = INFERENCE_SAMPLE[2:]
"""``dt_ms`` and the measures of a row."""
_SERVER = "SELECT * FROM server WHERE workload_id IN ({})"
_FIELDS = "SELECT workload_id, field, quality, source FROM server_field WHERE workload_id IN ({}) ORDER BY workload_id, field"
_ROWS = (
    f"SELECT k.tick_id, k.ts_ms, s.workload_id, {','.join('s.' + name for name in INFERENCE_ROW)} FROM main.tick k "
    "CROSS JOIN main.inference_sample s ON s.tick_id=k.tick_id WHERE k.ts_ms>? AND k.ts_ms<=? AND s.workload_id IN ({}) "
    f"AND {ONCE} ORDER BY k.ts_ms"
)
_LATENCY = (  # they count where their server's row speaks for time, as in minutes
    "SELECT {what} FROM main.tick k CROSS JOIN main.inference_sample i ON i.tick_id=k.tick_id AND i.workload_id IN ({marks}) "
    "CROSS JOIN main.latency_sample s ON s.tick_id=k.tick_id AND s.workload_id=i.workload_id "
    f"WHERE k.ts_ms>? AND k.ts_ms<=? AND i.dt_ms>0 AND {ONCE} "
)


def _marks(ids: Sequence[int]) -> str:
    return ",".join("?" * len(ids))


class ServedTime:
    """The part of a window that reads servers. Values are the store's integers."""

    memo: dict[str, Any]

    def _all(self, sql: str, values: Sequence[object] = ()) -> list[Any]:
        raise NotImplementedError

    def _one(self, sql: str, values: Sequence[object] = ()) -> Any:
        raise NotImplementedError

    def _named(self, sql: str, values: Sequence[object], key: str | None) -> dict[int, dict[str, Any]]:
        raise NotImplementedError

    @property
    def host_id(self) -> int:
        """The host that is looked at."""
        raise NotImplementedError

    def workload_id(self, root_pid: int, root_start_ms: int, port: int) -> int | None:
        """The id of a workload."""
        sql = "SELECT workload_id FROM workload WHERE host_id=? AND root_pid=? AND root_start_ms=? AND port=?"
        row = self._one(sql, (self.host_id, root_pid, root_start_ms, port))
        return None if row is None else int(row[0])

    @property
    def knows_servers(self) -> bool:
        """Whether the file is new enough to have servers."""
        if not self.memo.get("knows_servers"):
            self.memo["knows_servers"] = int(self._one("PRAGMA user_version")[0]) >= SERVED_SCHEMA
        return bool(self.memo["knows_servers"])

    def servers(self, workload_ids: Sequence[int]) -> Mapping[int, Mapping[str, Any]]:
        """What is known of these servers now, by ``workload_id``."""
        return self._named(_SERVER.format(_marks(workload_ids)), tuple(workload_ids), key="workload_id")

    def server_fields(self, workload_ids: Sequence[int]) -> list[tuple[int, str, int, str]]:
        """(workload_id, field, quality, source) of each number that a server tells."""
        return self._all(_FIELDS.format(_marks(workload_ids)), tuple(workload_ids))

    def inference_rows(self, workload_ids: Sequence[int], after_ms: int, to_ms: int) -> list[tuple[Any, ...]]:
        """(tick_id, ts_ms, workload_id, *INFERENCE_ROW) of ``(after_ms, to_ms]``, in the order of time."""
        return self._all(_ROWS.format(_marks(workload_ids)), (after_ms, to_ms, *workload_ids))

    def hot_since_ms(self) -> int | None:
        """Time of the oldest tick of the hot tables."""
        row = self._one("SELECT ts_ms FROM main.tick ORDER BY tick_id LIMIT 1")
        return None if row is None else int(row[0])

    def latency_rows(self, workload_ids: Sequence[int], after_ms: int, to_ms: int) -> list[tuple[int, ...]]:
        """(ts_ms, workload_id, latency, lower_us, upper_us, n) of the hot rows of ``(after_ms, to_ms]``."""
        sql = _LATENCY.format(what="k.ts_ms, s.workload_id, s.latency, s.lower_us, s.upper_us, s.n", marks=_marks(workload_ids))
        return self._all(sql + "ORDER BY k.ts_ms", (*workload_ids, after_ms, to_ms))

    def latency_cells(self, workload_ids: Sequence[int], after_ms: int, to_ms: int, cell_ms: int) -> list[tuple[int, ...]]:
        """(cell, workload_id, latency, lower_us, upper_us, n) of the same, added up in cells of unix time."""
        what = "(k.ts_ms-1)/? AS c, s.workload_id, s.latency, s.lower_us, s.upper_us, sum(s.n)"
        sql = _LATENCY.format(what=what, marks=_marks(workload_ids)) + "GROUP BY 1, 2, 3, 4, 5"
        return self._all(sql, (cell_ms, *workload_ids, after_ms, to_ms))

    def latency_minutes(self, workload_ids: Sequence[int], start_s: int, end_s: int) -> list[tuple[int, ...]]:
        """(t, workload_id, latency, lower_us, upper_us, n) of the minutes of ``[start_s, end_s)``."""
        sql = (
            "SELECT t, workload_id, latency, lower_us, upper_us, n FROM latency_minute "
            f"WHERE t>=? AND t<? AND workload_id IN ({_marks(workload_ids)}) ORDER BY t"
        )
        return self._all(sql, (start_s, end_s, *workload_ids))

    def workload_minutes(
        self, workload_ids: Sequence[int], columns: Sequence[str], start_s: int, end_s: int
    ) -> list[tuple[int | None, ...]]:
        """(t, workload_id, *columns) of the minutes of ``[start_s, end_s)``, in the order of time."""
        sql = (
            f"SELECT t, workload_id, {','.join(columns)} FROM workload_minute "
            f"WHERE t>=? AND t<? AND workload_id IN ({_marks(workload_ids)}) ORDER BY t"
        )
        return self._all(sql, (start_s, end_s, *workload_ids))

    def workload_sums(self, workload_ids: Sequence[int], columns: Sequence[str], start_s: int, end_s: int) -> list[tuple[Any, ...]]:
        """(workload_id, sum of each column) over the minutes of ``[start_s, end_s)``."""
        sql = (
            f"SELECT workload_id, {','.join(f'sum({name})' for name in columns)} FROM workload_minute "
            f"WHERE t>=? AND t<? AND workload_id IN ({_marks(workload_ids)}) GROUP BY 1"
        )
        return self._all(sql, (start_s, end_s, *workload_ids))
