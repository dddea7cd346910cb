"""The rows behind a view, read once each: tracks of all GPUs and the newest process rows, for the live end or one past instant."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from typing import Any, cast

from gpuwatch.ledger.facts import weight
from gpuwatch.ledger.types import HOLD_MS, Share
from gpuwatch.model import Gpu
from gpuwatch.store.facts import GpuFacts, Held, ProcessFacts
from gpuwatch.store.window import LATE_TICKS, Window
from gpuwatch.view import coarse
from gpuwatch.view.blocks import BLOCK_MS
from gpuwatch.view.track import GpuTrack

LEDGER_MS = 900_000
MINUTE_MS = 60_000
FINAL_MS = 17 * MINUTE_MS
"""A ledger minute is final 16 min after its end; what is older is never computed from single rows."""
FINE_MS = 2 * MINUTE_MS
"""So much at least is read row by row: the recorder needs up to a minute to close a minute."""
WASTE_MS = 60_000
PRESENT_MS = 5_000
KEEP_SLACK_MS = 60_000
_SHARES_MS = 3 * BLOCK_MS


class Rows:
    """Hot rows up to an instant. The live one grows with the store; one of the past is read once, with a look ahead."""

    def __init__(self, window: Window, cell_ms: int, span_ms: int, *, final: bool = False) -> None:
        self._window = window
        self.cell_ms = cell_ms
        self.span_ms = span_ms
        self.final = final
        """Whether all minutes of the ledger up to the instant will never change: only the one that it cuts comes from single rows."""
        self.tracks: dict[int, GpuTrack] = {}
        self.gpus: Mapping[int, Mapping[str, Any]] = {}
        self.processes: dict[tuple[int, int], ProcessFacts] = {}
        self.processes_ms = 0
        """Time of the newest process rows."""
        self.at_ms = 0
        self.fine_ms = 0
        """From here on the ledger comes from single rows; what is older comes from its closed minutes."""
        self.first_tick: int | None = None
        self.last_tick = 0
        self.frames: tuple[object, object, list[Any]] | None = None
        """What the view keeps of its processes between two readings of them."""
        self.users: tuple[int, dict[int, tuple[str, ...]]] | None = None
        self.holdings: tuple[int, Any] | None = None
        """Which GPUs workloads hold, with the time of the processes that say so."""
        self.closed: dict[object, tuple[object, Any]] = {}
        """What the ledger keeps of full blocks, with the state of the tracks that it was added up from."""
        self.details: dict[int, tuple[Mapping[str, Any], Mapping[str, Any]]] = {}
        """A GPU's row and what the view made of it."""
        self._parents: dict[int, int] = {}
        """MIG instance -> its board."""
        self._instances: dict[tuple[int, int], set[int]] = {}
        """(Minute, board) -> its instances that have time in that minute."""
        self._shares: dict[int, tuple[Share, ...]] = {}
        self._shares_ms = 0
        self._held_tick = 0
        self._forgotten_ms = 0

    # -------------------------------------------------------------------------------------------------------- feeding

    def advance(self, at_ms: int) -> None:
        """Take all rows up to ``at_ms`` that were not read yet."""
        window, self.at_ms = self._window, at_ms
        if self.first_tick is None:
            last = self._load(at_ms)
            if last is None:
                return
        else:
            newest = window.last_tick()
            last = newest[0] if newest else self.last_tick
            self._take(max(self.first_tick, self.last_tick - LATE_TICKS + 1), last, with_processes=True)
        self.last_tick = max(self.last_tick, last)
        for track in self.tracks.values():
            track.silence(at_ms)
        self._forget(at_ms)

    def _load(self, at_ms: int) -> int | None:
        """The first reading: older cells added up by SQLite as far as the ledger's minutes are closed, the rest row by row."""
        window = self._window
        first, last = window.tick_range(at_ms - self.span_ms, at_ms)
        over = window.tick_over(at_ms)  # rows of a slow rhythm: the one that ends later speaks for this instant
        if over is not None:
            first, last = min(first, over) if first <= last else over, over
        if first > last:
            return None
        newest_ms = min(at_ms, window.tick_ms(last))
        again = window.superseded(first, last, at_ms)
        self.first_tick = max(again) + 1 if again else first
        self.fine_ms = -(-(at_ms - self.span_ms) // MINUTE_MS) * MINUTE_MS
        closed_ms = min(window.watermark("ledger") * 1000, at_ms // MINUTE_MS * MINUTE_MS - (0 if self.final else FINE_MS))
        start = first
        if closed_ms > self.fine_ms and not again:
            rows_ms = min(closed_ms, at_ms // BLOCK_MS * BLOCK_MS - WASTE_MS, newest_ms - WASTE_MS)
            fine, _ = window.tick_range(rows_ms + 1, at_ms)
            if first < fine <= last:
                self.fine_ms, start = closed_ms, fine
                self._meet(window.gpu_rows(last - LATE_TICKS, last))
                coarse.load(window, self._track, self.cell_ms, first, fine - 1, last)
                self._follow(start)
        shares, _ = window.tick_range(newest_ms - WASTE_MS - _SHARES_MS, newest_ms)
        if first <= shares < start:  # who was there when the single rows begin
            self._hold_before(max(first, shares), start, again)
        self._take(start, shares - 1, with_processes=False, without=again)
        self._take(max(start, shares), last, with_processes=True, without=again)
        self._recall(first, last)
        return last

    def _follow(self, start: int) -> None:
        """What was before the short quiet runs of unknown holders that the single rows begin in."""
        firsts: dict[int, GpuFacts] = {}
        for row in self._window.gpu_rows(start, start + LATE_TICKS):
            firsts.setdefault(row.gpu_id, row)
        for gpu_id, row in firsts.items():
            if row.quiet == 1 and row.context is None and row.dt_ms < row.quiet_ms < HOLD_MS:
                begun_ms = row.ts_ms - row.quiet_ms
                for before in self._window.gpu_rows(*self._window.tick_range(begun_ms, begun_ms), gpu_id):
                    self.tracks[gpu_id].follow(before)

    def _hold_before(self, first: int, start: int, without: frozenset[int]) -> None:
        """The last processes of the ticks from ``first`` up to, but without ``start``."""
        tick = self._window.newest_process_tick(first, start - 1)
        if tick is not None and tick not in without:
            for held in self._window.held(tick, tick):
                self._hold(held)

    def _recall(self, first: int, last: int) -> None:
        """A GPU of which there are only added up rows has fallen silent: what it said last."""
        for gpu_id, track in self.tracks.items():
            if track.facts is None:
                tick = self._window.newest_tick(gpu_id, first, last)
                track.facts = next(iter(self._window.gpu_rows(tick, tick, gpu_id)), None) if tick else None

    def _track(self, gpu_id: int) -> GpuTrack:
        if gpu_id not in self.tracks:
            self.tracks[gpu_id] = GpuTrack(gpu_weight(self.gpus, gpu_id), self.cell_ms)
            self.tracks[gpu_id].ledger.final = self.final
        return self.tracks[gpu_id]

    def look_ahead(self, at_ms: int) -> None:
        """Learn how the quiet runs that are open at ``at_ms`` went on."""
        for track in self.tracks.values():
            track.freeze()
        waiting = {gpu_id: track for gpu_id, track in self.tracks.items() if not track.settled}
        ahead_ms = max((track.ahead_ms for track in waiting.values()), default=HOLD_MS)
        rows = self._window.ahead_rows(waiting, at_ms, at_ms + ahead_ms + BLOCK_MS) if waiting else None
        if rows is None:
            return
        for row in rows:
            waiting[row.gpu_id].add(row)
        for track in waiting.values():
            track.silence(min(at_ms + ahead_ms, self._window.newest_ms()))

    def _take(self, first: int, last: int, *, with_processes: bool, without: frozenset[int] = frozenset()) -> None:
        if first > last:
            return
        known = {gpu_id: track.last_ms for gpu_id, track in self.tracks.items()}
        rows = self._window.newer_gpu_rows(first, last, known)
        if without:
            rows = [row for row in rows if row.tick_id not in without]
        if any(row.gpu_id not in self.tracks for row in rows):
            self._meet(rows)
        processes = self._by_tick(first, last, without) if with_processes else {}
        tick = 0
        for row in rows:
            if row.tick_id != tick:
                tick = row.tick_id
                for earlier in [t for t in processes if t <= tick]:
                    self._hold(processes.pop(earlier))
            fresh = with_processes and row.ts_ms - self._shares_ms <= _SHARES_MS
            self.tracks[row.gpu_id].add(row, self._shares.get(row.gpu_id, ()) if fresh else ())
            if row.gpu_id in self._parents and row.dt_ms > 0:
                self._cut(row)
        for left in processes.values():
            self._hold(left)
        if with_processes:
            self._show_processes()

    def _by_tick(self, first: int, last: int, without: frozenset[int]) -> dict[int, Held]:
        found = self._window.held(max(first, self._held_tick + 1), last)
        return {held.tick_id: held for held in found if held.tick_id not in without}

    def _hold(self, held: Held) -> None:
        """These are there now."""
        if held.ts_ms >= self._shares_ms:
            self._shares_ms, self._held_tick = held.ts_ms, held.tick_id
            self._shares = {gpu_id: cast(tuple[Share, ...], tuple(there)) for gpu_id, there in held.by_gpu.items()}

    def _show_processes(self) -> None:
        """All of the newest rows of processes."""
        if self._shares_ms != self.processes_ms:
            self.processes = {(row.proc_id, row.gpu_id): row for row in self._window.process_rows(self._held_tick, self._held_tick)}
            self.processes_ms = self._shares_ms

    def _meet(self, rows: list[GpuFacts]) -> None:
        """Make tracks for GPUs that are new."""
        self.refresh_gpus()
        for gpu_id in sorted({row.gpu_id for row in rows} - set(self.tracks)):
            self._track(gpu_id)

    def _cut(self, row: GpuFacts) -> None:
        """An instance has time in this minute: its board keeps only what all instances of the minute leave."""
        minute, parent = (row.ts_ms - 1) // MINUTE_MS, self._parents[row.gpu_id]
        seen = self._instances.setdefault((minute, parent), set())
        if row.gpu_id not in seen:
            seen.add(row.gpu_id)
            self._track(parent).ledger.cut(minute, 1 - sum((gpu_weight(self.gpus, instance) for instance in seen), Fraction()))

    def refresh_gpus(self) -> None:
        """Read the GPUs' own facts again."""
        self.gpus = self._window.gpus()
        boards = {row["uuid"]: gpu_id for gpu_id, row in self.gpus.items()}
        self._parents = {i: boards[row["parent_uuid"]] for i, row in self.gpus.items() if row["parent_uuid"] in boards}

    def _forget(self, at_ms: int) -> None:
        before = at_ms - self.span_ms - KEEP_SLACK_MS
        if before - self._forgotten_ms >= KEEP_SLACK_MS:
            self._forgotten_ms = before
            self.refresh_gpus()
            self._instances = {key: seen for key, seen in self._instances.items() if key[0] * MINUTE_MS >= before}
            for track in self.tracks.values():
                track.forget(before)

    # --------------------------------------------------------------------------------------------------------- asking

    def hot_ms(self, at_ms: int) -> int:
        """Where the ledger's closed minutes end and single rows take over; a whole minute."""
        return max(self.fine_ms, -(-(at_ms - FINAL_MS) // MINUTE_MS) * MINUTE_MS)

    def facts(self, gpu_id: int) -> GpuFacts | None:
        """The newest row of a GPU in the time that was read."""
        track = self.tracks.get(gpu_id)
        return track.facts if track else None

    def present(self) -> list[int]:
        """The GPUs that had a row within five seconds of the newest one, by index, MIG instances behind their parent.

        When none had a row in the time that is shown, those that were seen last.
        """
        seen = {i: facts.ts_ms for i, track in self.tracks.items() if (facts := track.facts) is not None}
        together_ms = PRESENT_MS
        if not seen:
            self.refresh_gpus()
            known = {i: row["last_ms"] for i, row in self.gpus.items() if row["first_ms"] <= self.at_ms}
            seen = {i: self.at_ms for i, last_ms in known.items() if last_ms >= self.at_ms} or known
            together_ms = MINUTE_MS  # when they were last seen is noted once a minute
        newest = max(seen.values(), default=0)
        there = [i for i, ts_ms in seen.items() if ts_ms > newest - together_ms and i in self.gpus]
        order = {gpu_id: number for number, gpu_id in enumerate(self.gpus)}
        parents = {self.gpus[i]["uuid"]: self.gpus[i]["gpu_index"] for i in there}

        def key(gpu_id: int) -> tuple[int, int, int]:
            row = self.gpus[gpu_id]
            return parents.get(row["parent_uuid"], row["gpu_index"]), int(bool(row["parent_uuid"])), order[gpu_id]

        return sorted(there, key=key)


def gpu_weight(gpus: Mapping[int, Mapping[str, Any]], gpu_id: int) -> Fraction:
    """What a GPU counts for in the ledger: 1, a MIG instance its share (a board is cut minute by minute, see ``Blocks``)."""
    return weight(_model(gpus[gpu_id]), ()) if gpu_id in gpus else Fraction(1)


def _model(row: Mapping[str, Any]) -> Gpu:
    return Gpu(row["uuid"], row["gpu_index"], row["name"], row["parent_uuid"], compute_fraction=row["compute_fraction"])


def is_final(window: Window, at_ms: int) -> bool:
    """Whether the ledger's minutes around an instant are closed for good."""
    return window.watermark("ledger") * 1000 >= at_ms + FINAL_MS


def span_ms(window: Window, at_ms: int, *, live: bool, cell_ms: int, cells: int) -> int:
    """How long before an instant its rows are read: the strips, and what of the ledger may still change."""
    strips = cells * cell_ms
    return strips if not live and is_final(window, at_ms) else max(strips, FINAL_MS) + BLOCK_MS


def rows_at(window: Window, at_ms: int, *, live: bool, cell_ms: int, cells: int) -> Rows:
    """The rows behind a view at ``at_ms``; kept in the window's memo, so that a live view reads only what is new."""
    span = span_ms(window, at_ms, live=live, cell_ms=cell_ms, cells=cells)
    key = (live, cell_ms, span, 0 if live else at_ms)
    kept = window.memo.get("rows", {})
    rows: Rows | None = kept.get(key)
    if rows is None or at_ms < rows.at_ms:  # new, or the clock was set back
        rows = Rows(window, cell_ms, span, final=not live and is_final(window, at_ms))
        window.memo["rows"] = {k: v for k, v in kept.items() if k[0]} | {key: rows}
        rows.advance(at_ms)
        if not live:
            rows.look_ahead(at_ms)
    elif live:
        rows.advance(at_ms)
    return rows


def kept_rows(window: Window, at_ms: int) -> Rows | None:
    """The rows that the view of exactly this instant was built from, if it was the last one built."""
    kept: dict[object, Rows] = window.memo.get("rows", {})
    return next((rows for rows in reversed(kept.values()) if rows.at_ms == at_ms), None)
