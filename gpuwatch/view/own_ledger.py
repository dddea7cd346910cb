"""Where the GPU time of one process or workload went in the last 15 minutes: its share of closed minutes, and of younger blocks."""

from __future__ import annotations

from collections.abc import Collection

from gpuwatch.store.window import Window
from gpuwatch.view.blocks import BLOCK_MS, Sums
from gpuwatch.view.ledger import ledger_view
from gpuwatch.view.live import MINUTE_MS, kept_rows
from gpuwatch.view.types import LedgerView

SPAN_MS = 15 * MINUTE_MS


def process_ledger(window: Window, proc_id: int, end_ms: int) -> LedgerView | None:
    """One process' share; ``None`` when it has none."""
    start, hot_ms, _ = _span(window, end_ms)
    return _with_blocks(window, dict(window.owner_minutes(proc_id, start // 1000, hot_ms // 1000)), (proc_id,), end_ms)


def workload_ledger(window: Window, workload_id: int, end_ms: int) -> LedgerView | None:
    """The share of all processes of one workload; ``None`` when they have none."""
    start, hot_ms, end = _span(window, end_ms)
    sums: Sums = dict(window.workload_owner_minutes(workload_id, start // 1000, hot_ms // 1000))
    seen = "SELECT proc_id FROM process WHERE workload_id=? AND first_ms<=? AND last_ms>=?"
    processes = [row[0] for row in window.rows(seen, (workload_id, end, start))]
    return _with_blocks(window, sums, processes, end_ms)


def _span(window: Window, end_ms: int) -> tuple[int, int, int]:
    """Start, the end of the ledger's closed minutes, end."""
    end = end_ms // BLOCK_MS * BLOCK_MS
    start = end - SPAN_MS
    return start // MINUTE_MS * MINUTE_MS, min(end, max(start, window.watermark("ledger") * 1000)), end


def _with_blocks(window: Window, sums: Sums, processes: Collection[int], end_ms: int) -> LedgerView | None:
    """With what closed blocks say of the GPUs that these processes held after the closed minutes."""
    _, hot_ms, end = _span(window, end_ms)
    rows = kept_rows(window, end_ms)
    marks = ",".join("?" * len(processes))
    held = f"SELECT DISTINCT s.gpu_id FROM tick k JOIN process_sample s ON s.tick_id=k.tick_id AND s.proc_id IN ({marks}) WHERE k.ts_ms>? AND s.gpu_id<>0"
    for (gpu_id,) in window.rows(held, (*processes, hot_ms)) if rows and processes else ():
        track = rows.tracks.get(gpu_id) if rows else None
        for number in range(hot_ms // BLOCK_MS, end // BLOCK_MS) if track else ():
            for row in track.ledger.block(number) if track else ():
                if row.owner in processes:
                    had = sums.get((row.bucket, row.cause, row.tier), (0, 0))
                    sums[row.bucket, row.cause, row.tier] = (had[0] + row.ms, had[1] + row.energy_mj)
    if not sums:
        return None
    return ledger_view(sums, end - SPAN_MS, end, sum(ms for ms, _ in sums.values()))
