"""The ledger of one GPU's recent time in blocks of ten seconds, each split once when it is full and again when a run gets its name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction

from gpuwatch.dataclass import replace
from gpuwatch.ledger.ratios import WASTE
from gpuwatch.ledger.split import OpenSpan, capacity, split
from gpuwatch.ledger.types import BucketRow, LedgerRow, Share
from gpuwatch.names import Bucket, Cause, Tier
from gpuwatch.view.quiet_run import QuietRun, lead_in, lead_out

BLOCK_MS = 10_000
_MINUTE_MS = 60_000
_BLOCKS = _MINUTE_MS // BLOCK_MS
Key = tuple[Bucket, Cause, Tier]
_Held = tuple[LedgerRow, tuple[Share, ...]]
Sums = dict[Key, tuple[int, int]]
"""Bucket, cause, tier -> milliseconds, millijoules."""


class Blocks:
    """Put rows in with :meth:`put`; closed blocks carry owners, the running one does not (they cost most)."""

    def __init__(self, weight: Fraction) -> None:
        self._weight = weight
        self._cut: dict[int, Fraction] = {}
        """Minute -> what instances left of the GPU in it."""
        self._rows: dict[int, list[tuple[LedgerRow, tuple[Share, ...]]]] = {}
        self._runs: dict[int, list[QuietRun]] = {}
        self._blocks: dict[int, list[BucketRow]] = {}
        self._closed: dict[tuple[int, int], Sums] = {}
        self._wasted: dict[int, dict[int, int]] = {}
        self._wasted_sum: tuple[int, int, dict[int, int]] | None = None
        self._running: tuple[int, int, list[BucketRow]] | None = None
        self._open: tuple[int, OpenSpan, int] | None = None
        """The block that is being filled, what is booked of it, and how many of its rows that are."""
        self.final = False
        """An instant whose minutes will never change: owners are asked for once, over all the blocks in question."""
        self.version = 0
        """Changes when something else than the newest rows did."""

    def put(self, row: LedgerRow, shares: tuple[Share, ...], run: QuietRun | None) -> None:
        """A row into the blocks that it touches, with the quiet run that it is part of."""
        self._running = None
        for block in range((row.ts_ms - row.dt_ms) // BLOCK_MS, (row.ts_ms - 1) // BLOCK_MS + 1):
            if block in self._blocks or block not in self._rows:  # a late row may fill a block that was empty so far
                self._drop(block)
            self._rows.setdefault(block, []).append((row, shares))
            if run is not None:
                runs = self._runs.setdefault(block, [])
                if not runs or runs[-1] is not run:
                    runs.append(run)
                if run.undecided:
                    run.blocks.add(block)

    def cut(self, minute: int, left: Fraction) -> None:
        """In this minute (unix minutes) instances took a part of the GPU and left it ``left``: like the recorder, all minute long."""
        if self._cut.get(minute) == left:
            return
        self._cut[minute] = left
        self._running = self._open = None
        for block in range(minute * _BLOCKS, (minute + 1) * _BLOCKS):
            self._drop(block)

    def capacity(self, start_ms: int, end_ms: int, older: Mapping[int, Fraction]) -> int:
        """What the GPU counts for in ``[start_ms, end_ms)``; ``older``: cut minutes of the time before its rows."""
        cut = {**older, **self._cut}
        whole = capacity(start_ms, end_ms, self._weight)
        for minute, left in cut.items():
            begin, end = max(start_ms, minute * _MINUTE_MS), min(end_ms, (minute + 1) * _MINUTE_MS)
            if begin < end:
                whole += capacity(begin, end, left) - capacity(begin, end, self._weight)
        return whole

    def renamed(self, run: QuietRun) -> None:
        """A run has got its name: what was said of its blocks no longer holds."""
        self._running = None
        for block in run.blocks:
            self._drop(block)

    def _drop(self, block: int) -> None:
        self._blocks.pop(block, None)
        self._wasted.pop(block, None)
        self._wasted_sum = None
        self._closed.clear()
        self.version += 1

    def total(self, start_ms: int, end_ms: int) -> Sums:
        """Bucket sums of ``[start_ms, end_ms)``; ``start_ms`` is the start of a block. Unobserved time is not in them."""
        closed = self.closed(start_ms // BLOCK_MS, end_ms // BLOCK_MS)
        running = self.running(end_ms)
        if not running:
            return closed
        out = dict(closed)
        add_rows(out, running)
        return out

    def closed(self, first: int, running: int) -> Sums:
        """Bucket sums of the blocks from ``first`` to the one before ``running``."""
        found = self._closed.get((first, running))
        if found is None:
            if len(self._closed) > 4:
                self._closed.clear()
            found = self._closed[first, running] = self._add_up(range(first, running))
        return found

    def _add_up(self, blocks: range) -> Sums:
        out: Sums = {}
        for block in blocks:
            if block in self._rows:
                add_rows(out, self.block(block))
        return out

    def block(self, number: int) -> list[BucketRow]:
        """The ledger of one closed block, with owners unless it is final."""
        found = self._blocks.get(number)
        if found is None:
            found = self._blocks[number] = self._split(number, (number + 1) * BLOCK_MS, with_shares=not self.final)
        return found

    def running(self, end_ms: int) -> list[BucketRow]:
        """The ledger of the block that is not full at ``end_ms``, without owners (they cost most and come when it is closed)."""
        number = end_ms // BLOCK_MS
        if end_ms == number * BLOCK_MS or number not in self._rows:
            return []
        if self._running is None or self._running[:2] != (number, end_ms):
            rows = self._grown(number, end_ms)
            self._running = (number, end_ms, self._split(number, end_ms, with_shares=False) if rows is None else rows)
        return self._running[2]

    def _grown(self, number: int, end_ms: int) -> list[BucketRow] | None:
        """The running block by its new rows alone; None where they do not say enough, or reach further than ``end_ms``."""
        held = self._rows[number]
        if number // _BLOCKS in self._cut or held[-1][0].ts_ms > end_ms:
            return None
        if self._open is None or self._open[0] != number:
            self._open = (number, OpenSpan(number * BLOCK_MS, self._weight), 0)
        _, span, count = self._open
        for row, _ in held[count:]:
            if not span.add(row):
                self._open = (number, span, count)
                return None
            count += 1
        self._open = (number, span, count)
        return span.rows()

    def _split(self, number: int, end_ms: int, *, with_shares: bool) -> list[BucketRow]:
        held = self._rows.get(number)
        if not held:
            return []
        left = self._cut.get(number // _BLOCKS)
        return self._split_rows(held, self._runs.get(number, ()), number * BLOCK_MS, end_ms, left, with_shares=with_shares)

    def _split_rows(
        self,
        held: Sequence[_Held],
        runs: Sequence[QuietRun],
        start_ms: int,
        end_ms: int,
        left: Fraction | None,
        *,
        with_shares: bool,
    ) -> list[BucketRow]:
        rows = [replace(row, shares=shares) if shares and with_shares else row for row, shares in held]
        before = lead_in(runs[0], rows[0]) if runs else []
        after = lead_out(runs[-1], rows[-1]) if runs else []
        if left is not None:  # the board's energy is its instances' too and belongs to none of them alone
            rows = [replace(row, energy_mj=None) for row in rows]
        weight = self._weight if left is None else left
        return split([*before, *rows], after, start_ms=start_ms, end_ms=end_ms, weight=weight)

    def _at_once(self, first: int, last: int) -> list[BucketRow] | None:
        """The ledger of closed blocks in one span, with owners; ``None`` where instances took a part of the GPU."""
        numbers = range(first, last + 1)
        if any(number // _BLOCKS in self._cut for number in numbers):
            return None
        held: list[_Held] = []
        runs: list[QuietRun] = []
        for number in numbers:
            held += [each for each in self._rows.get(number, ()) if not held or each[0].ts_ms > held[-1][0].ts_ms]
            runs += [run for run in self._runs.get(number, ()) if not runs or run is not runs[-1]]
        if not held:
            return []
        return self._split_rows(held, runs, first * BLOCK_MS, (last + 1) * BLOCK_MS, None, with_shares=True)

    def waste_by_owner(self, first: int, last: int) -> dict[int, int]:
        """Wasted milliseconds per owner in the closed blocks ``first`` to ``last``."""
        kept = self._wasted_sum
        if kept is not None and kept[:2] == (first, last):
            return kept[2]
        out: dict[int, int] = {}
        whole = self._at_once(first, last) if self.final else None
        for row in whole or ():
            if row.bucket in WASTE:
                out[row.owner] = out.get(row.owner, 0) + row.ms
        for number in range(first, last + 1) if whole is None else ():
            wasted = self._wasted.get(number)
            if wasted is None:
                wasted = self._wasted[number] = {}
                for row in self.block(number):
                    if row.bucket in WASTE:
                        wasted[row.owner] = wasted.get(row.owner, 0) + row.ms
            for owner, ms in wasted.items():
                out[owner] = out.get(owner, 0) + ms
        self._wasted_sum = (first, last, out)
        return out

    def waste_running(self, end_ms: int) -> int:
        """Wasted milliseconds of the running block."""
        return sum(row.ms for row in self.running(end_ms) if row.bucket in WASTE)

    def forget(self, before_ms: int) -> None:
        """Drop the blocks that end before ``before_ms``."""
        for number in [i for i in self._rows if (i + 1) * BLOCK_MS <= before_ms]:
            for table in (self._rows, self._runs, self._blocks, self._wasted):
                table.pop(number, None)
        for minute in [minute for minute in self._cut if (minute + 1) * _MINUTE_MS <= before_ms]:
            del self._cut[minute]


def add_rows(out: Sums, rows: list[BucketRow]) -> None:
    """Add rows of the ledger to sums."""
    for row in rows:
        key = (row.bucket, row.cause, row.tier)
        ms, energy = out.get(key, (0, 0))
        out[key] = (ms + row.ms, energy + row.energy_mj)
