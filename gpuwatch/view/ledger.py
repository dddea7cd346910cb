"""The ledger of a view: closed minutes from the store, younger time from hot rows by ``ledger.split``, and the sum is capacity."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from gpuwatch.ledger.ratios import ratios
from gpuwatch.ledger.split import capacity
from gpuwatch.names import Bucket, Cause, Tier
from gpuwatch.store.facts import BucketSum
from gpuwatch.store.window import Window
from gpuwatch.view.blocks import BLOCK_MS, Sums, add_rows
from gpuwatch.view.live import FINAL_MS, LEDGER_MS, MINUTE_MS, WASTE_MS, Rows
from gpuwatch.view.types import LedgerPart, LedgerView, SpanView

_MEMO_SPANS = 24
_UNOBSERVED = (Bucket.UNOBSERVED, Cause.NONE, Tier.N)


class LedgerSums:
    """Sums over some GPUs up to one instant. Spans never begin before the recording: what was not yet watched is no gap."""

    def __init__(self, window: Window, rows: Rows, gpu_ids: Sequence[int], at_ms: int, first_ms: int | None) -> None:
        self._window = window
        self._rows = rows
        self.gpu_ids = tuple(i for i in gpu_ids if i in rows.tracks)
        self._at_ms = at_ms
        boards = {rows.gpus[i]["uuid"] for i in self.gpu_ids}
        gone = (i for i, row in rows.gpus.items() if row["parent_uuid"] in boards and i not in self.gpu_ids)
        self._all_ids = (*self.gpu_ids, *gone)
        """Those, and the instances that are no more: what they did is time of a board that is there."""
        starts = [t.first_ms for t in (rows.tracks[i] for i in self.gpu_ids) if t.first_ms is not None]
        hot_ms = min(starts, default=at_ms)
        self._newest: Sums | None = None
        self._first_ms = hot_ms if first_ms is None or first_ms > hot_ms else first_ms

    def last_minutes(self) -> LedgerView:
        """The last 15 minutes, rounded out to a whole minute."""
        return self.between((self._at_ms - LEDGER_MS) // MINUTE_MS * MINUTE_MS)

    def since(self, start_ms: int) -> LedgerView:
        """From ``start_ms`` (midnight) to the instant."""
        return self.between(start_ms)

    def between(self, start_ms: int) -> LedgerView:
        """From ``start_ms``, or the start of the recording when that is later, to the instant."""
        start = min(max(start_ms, self._first_ms), self._at_ms)
        parts: Sums = {}
        hot_ms = self._rows.hot_ms(self._at_ms)
        if start < hot_ms:
            _merge(parts, closed_sums(self._window, start // MINUTE_MS * 60, hot_ms // 1000, self._all_ids))
        _merge(parts, self._blocks(max(start, hot_ms) // BLOCK_MS))
        _merge(parts, self._running())
        return ledger_view(parts, start, self._at_ms, self._capacity(start))

    def _blocks(self, first: int) -> Sums:
        """The full blocks from ``first`` on, over all tracks; added up again only when one has changed or one more is full."""
        running = self._at_ms // BLOCK_MS
        blocks = [self._rows.tracks[i].ledger for i in self._all_ids if i in self._rows.tracks]
        key, state = (first, self._all_ids), (running, [each.version for each in blocks])
        kept = self._rows.closed.get(key)
        if kept is None or kept[0] != state:
            if len(self._rows.closed) >= _MEMO_SPANS:
                self._rows.closed.clear()
            sums: Sums = {}
            for each in blocks:
                _merge(sums, each.closed(first, running))
            kept = self._rows.closed[key] = (state, sums)
        found: Sums = kept[1]
        return found

    def _running(self) -> Sums:
        """The block that is not full, over all tracks; every span ends with it."""
        if self._newest is None:
            self._newest = {}
            for i in self._all_ids:
                if i in self._rows.tracks:
                    add_rows(self._newest, self._rows.tracks[i].ledger.running(self._at_ms))
        return self._newest

    def _capacity(self, start_ms: int) -> int:
        """A board with its instances is one GPU, however it was cut; no GPU counts before it was first seen."""
        gpus = self._rows.gpus
        boards = {gpus[i]["uuid"] for i in self.gpu_ids}
        total = 0
        for gpu_id in self.gpu_ids:
            if gpus[gpu_id]["parent_uuid"] not in boards:
                seen_ms = gpus[gpu_id]["first_ms"]  # later than the instant if the clock was set back
                start = max(start_ms, seen_ms) if seen_ms <= self._at_ms else start_ms
                total += capacity(start, self._at_ms, self._rows.tracks[gpu_id].weight)
        return total

    def waste_now(self) -> tuple[dict[tuple[int, int], int], int]:
        """Wasted milliseconds of the last 60 s per (gpu_id, proc_id; 0: nobody seen), and the length of that time.

        The minute ends with the last closed block of 10 s; while none is closed yet, the seconds that there are, without owners.
        """
        last = self._at_ms // BLOCK_MS - 1
        first = last + 1 - WASTE_MS // BLOCK_MS
        out: dict[tuple[int, int], int] = {}
        end_ms = (last + 1) * BLOCK_MS
        if end_ms - self._first_ms >= BLOCK_MS:
            for gpu_id in self.gpu_ids:
                for owner, ms in self._rows.tracks[gpu_id].ledger.waste_by_owner(first, last).items():
                    out[gpu_id, owner] = ms
            return out, end_ms - max(first * BLOCK_MS, self._first_ms)
        for gpu_id in self.gpu_ids:
            track = self._rows.tracks[gpu_id]
            out[gpu_id, 0] = track.ledger.waste_running(self._at_ms) + sum(track.ledger.waste_by_owner(last, last).values())
        return out, max(0, self._at_ms - self._first_ms)

    @staticmethod
    def waste_gpus(waste: dict[tuple[int, int], int], span_ms: int) -> float:
        """Mean waste in GPUs."""
        return sum(waste.values()) / span_ms


def closed_sums(window: Window, start_s: int, end_s: int, gpu_ids: tuple[int, ...]) -> Sums:
    """Closed minutes of ``[start_s, end_s)``. Final ones are kept in the window's memo and extended; younger ones, whose quiet
    runs may still be named, are read again every ten seconds.
    """
    final_s = min(end_s, max(start_s, (window.newest_ms() - FINAL_MS) // MINUTE_MS * 60))
    out = dict(_kept(window, "final", start_s, final_s, gpu_ids, 0))
    if final_s < end_s:
        _merge(out, _kept(window, "young", final_s, end_s, gpu_ids, window.newest_ms() // BLOCK_MS))
    return out


def _kept(window: Window, what: str, start_s: int, end_s: int, gpu_ids: tuple[int, ...], age: int) -> Sums:
    """Sums kept under the span's start; read again when ``age`` differs, extended when the span has grown."""
    memo: dict[tuple[str, int, tuple[int, ...]], tuple[int, int, Sums]] = window.memo.setdefault("ledger", {})
    key = (what, start_s, gpu_ids)
    done_s, then, sums = memo.get(key, (start_s, age, {}))
    if done_s > end_s or then != age:
        done_s, sums = start_s, {}
    if done_s < end_s:
        sums = dict(sums)
        _merge(sums, _sums(window.ledger_minutes(done_s, end_s, gpu_ids)))
        memo.pop(key, None)
        memo[key] = (end_s, age, sums)
        if len(memo) > _MEMO_SPANS:
            del memo[next(iter(memo))]
    return sums


def ledger_view(parts: Sums, start_ms: int, end_ms: int, capacity_ms: int) -> LedgerView:
    """A span's parts with the unobserved rest, its ratios and its waste."""
    rows = dict(parts)
    observed = sum(ms for ms, _ in rows.values())
    if capacity_ms > observed:
        rows[_UNOBSERVED] = (capacity_ms - observed, 0)
    listed = tuple(LedgerPart(*key, ms, mj) for key, (ms, mj) in sorted(rows.items()))
    figures = ratios(listed)
    coverage = observed / capacity_ms if capacity_ms else None
    return LedgerView(
        span=SpanView(start_ms, end_ms, coverage),
        capacity_ms=max(capacity_ms, observed),
        parts=listed,
        allocated_ratio=figures.allocated,
        running_ratio=figures.running,
        fill_low=figures.fill_low,
        fill_high=figures.fill_high,
        efficiency_low=figures.efficiency_low,
        efficiency_high=figures.efficiency_high,
        tier=figures.tier,
        waste_gpus=figures.waste_ms / (end_ms - start_ms) if end_ms > start_ms else 0.0,
    )


def _sums(rows: Iterable[BucketSum]) -> Sums:
    return {(Bucket(r.bucket), Cause(r.cause), Tier(r.tier)): (r.ms, r.energy_mj) for r in rows}


def _merge(into: Sums, more: Sums) -> None:
    for key, (ms, energy) in more.items():
        had_ms, had_energy = into.get(key, (0, 0))
        into[key] = (had_ms + ms, had_energy + energy)
