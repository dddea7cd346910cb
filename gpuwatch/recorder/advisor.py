"""The rules beside a recorder: every ten seconds of rows are read back as a look and judged, in pieces of less than a millisecond a tick.

At a start the last hour is only looked at, some milliseconds a tick; until that is done nothing is judged. What rules say goes into
the recorder's next transaction. Nothing is judged while rows go into a store in memory. Whatever fails here is logged once, and
recording goes on.
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Generator, Iterable, Iterator, Mapping
from importlib import import_module
from typing import TYPE_CHECKING, TypeVar

from gpuwatch.clock import Clock
from gpuwatch.names import Cause
from gpuwatch.store.writer import StoreWriter

if TYPE_CHECKING:
    from gpuwatch.recorder.advice_settings import AdviceSettings
    from gpuwatch.rules.types import OpenFinding

T = TypeVar("T")
_LOOK_MS, _MINUTE_MS = 10_000, 60_000
_GRACE_MS = 7000
"""Rows of a look may come this late, as those of a minute."""
_FIRST_MS = 60_000
"""A recorder judges nothing in its first minute: no rule holds so early, and a short recording is spared the rules."""
_PIECE_NS, _WARM_PIECE_NS = 800_000, 4_000_000
"""A tick's share of a look, and of the hour before the first one."""
_AT_ONCE_NS, _AT_ONCE_FIRST_MS, _AT_ONCE_WARM_MS = 150_000_000, 3000, 1_800_000
"""The same of a demo: a tick's share while looks wait, when it begins, and what of the time before the start is only looked at."""
_WARM_PIECES, _LATE_PIECES = 10, 4
"""So many at least, where time runs faster than the machine: a look has about fifty."""
_MOST = 8
"""A look that waits while others come gets so many shares at most."""
_LATE_MS = 60_000
"""Nobody recorded for so long."""
_AGAIN_MS = 60_000
"""After trouble with the store."""
GROUPS = ("idle", "host", "compute", "memory", "balance", "hardware", "serving", "sizing", "experiments", "cost")
"""Where the rules are, one after the other."""
_SAID = "INSERT INTO meta(key,value) VALUES(?,?) ON CONFLICT(key) DO UPDATE SET value=excluded.value"


class Advisor:
    """Judges one recorder's store. Called in the recorder's thread, between its transactions."""

    def __init__(
        self, writer: StoreWriter, clock: Clock, settings: AdviceSettings, *, logger: logging.Logger | None = None
    ) -> None:
        self._writer, self._clock, self._settings = writer, clock, settings
        self._log = logger or logging.getLogger("gpuwatch.recorder")
        self._off = not settings.enabled
        self._db: sqlite3.Connection | None = None
        self._job: Iterator[None] | None = None
        self._first_ms: int | None = None
        self._rest_until_ms = 0
        self._busy = True
        """A look is being made or judged."""
        self._committed_ms = self._done_ms = self._judge_from_ms = 0
        self.causes: Mapping[str, Cause] = {}
        """Why a GPU (by its uuid) waits, by the findings that are open."""

    def work(self, ts_ms: int, committed_ms: int) -> None:
        """A tick's share of the work that is open, where all rows up to ``committed_ms`` are in the store."""
        if self._off or self._writer.hot_only:
            self.causes = {}
            self._job = None
            return
        if self._first_ms is None:
            self._first_ms = ts_ms
        spared_ms = _AT_ONCE_FIRST_MS if self._settings.at_once else _FIRST_MS
        if ts_ms - self._first_ms < spared_ms or ts_ms < self._rest_until_ms:
            return
        set_back = committed_ms < self._committed_ms - _MINUTE_MS
        self._committed_ms = committed_ms
        if self._job is None or set_back or self._db is not self._writer.connection:  # another file is written: all begins anew
            self._db, self._job = self._writer.connection, None
            if not self._writer.host_id:
                return
            self._job, self._busy = self._life(self._writer.host_id), True
            self._done_ms = self._judge_from_ms = 0
        try:
            self._share(self._job)
        except sqlite3.Error as error:
            self._log.warning("rules could not read the store: %s", error)
            self._job, self._rest_until_ms = None, ts_ms + _AGAIN_MS
            self._writer.stumbled(error)
        except Exception:  # noqa: BLE001 - the border to rules: what judges badly must not stop what is recorded
            self._log.exception("the rules failed and judge no more until the recorder starts again")
            self._off, self._job, self.causes = True, None, {}

    def finish(self) -> None:
        """The recorder ends: looks that are complete are judged no more, and what was told is in the store already."""
        self._job, self._off = None, True

    def _share(self, job: Iterator[None]) -> None:
        """Pieces for as long as a tick has time for them; a job without more work rests itself."""
        late_looks = (self._committed_ms - self._done_ms - _GRACE_MS) // _LOOK_MS
        if not self._done_ms:  # it is only getting ready
            budget, least = _PIECE_NS, 1
        elif self._done_ms < self._judge_from_ms:
            budget, least = _WARM_PIECE_NS, _WARM_PIECES
        else:
            budget, least = _PIECE_NS * max(1, min(_MOST, late_looks)), _LATE_PIECES * min(_MOST, late_looks - 1)
        if self._settings.at_once and late_looks > 1:
            budget = _AT_ONCE_NS
        began, pieces = self._clock.monotonic_ns(), 0
        while self._due():
            next(job)
            pieces += 1
            if pieces >= least and self._clock.monotonic_ns() - began >= budget:
                return

    def _due(self) -> bool:
        return self._busy or self._done_ms + _LOOK_MS + _GRACE_MS <= self._committed_ms

    # ------------------------------------------------------------------------------------------------------------ the work

    def _life(self, host_id: int) -> Iterator[None]:
        """All looks from an hour ago on, one after the other, for as long as this file is written."""
        for group in GROUPS:  # all rules at once would be a burst
            import_module(f"gpuwatch.rules.{group}")
            yield
        from gpuwatch.recorder import effects
        from gpuwatch.rules.document import said_key, said_text
        from gpuwatch.store import mutes
        from gpuwatch.store.finding_rows import FindingRows
        from gpuwatch.store.looks import LookReader
        from gpuwatch.store.replay_rules import WARM_MS, Terms

        writer, db, given = self._writer, self._writer.connection, self._settings
        terms = Terms(
            given.limits,
            given.judges,
            lambda gpu: given.reserves(gpu.index, gpu.uuid),
            given.patience_seconds,
        )
        rows = FindingRows(writer, host_id)
        yield
        known = rows.known()
        told = rows.told(self._committed_ms)
        yield
        engine, reader, facts = terms.engine([*told, *known]), LookReader(db, host_id), terms.facts(db, host_id)
        rows.end(found for found in known if (found.rule, found.subject) not in engine.open)
        self._judge_from_ms = (self._committed_ms - _GRACE_MS) // _LOOK_MS * _LOOK_MS
        t_ms = self._done_ms = _first_look(db, self._judge_from_ms - WARM_MS)
        if given.at_once:
            self._judge_from_ms = min(self._judge_from_ms, t_ms + _AT_ONCE_WARM_MS)
        while True:
            t_ms += _LOOK_MS
            self._busy = True
            look = yield from _last(reader.steps(t_ms))
            if look is not None:
                who = yield from _last(facts.steps(look))
                judge = t_ms > self._judge_from_ms
                if judge:
                    engine.mutes = tuple(kept.mute for kept in mutes.in_force(db, host_id, t_ms))
                for changes in engine.steps(look, who, judge=judge):
                    rows.take(changes, t_ms)
                    yield
                if judge:
                    self.causes = _causes(engine.open.values(), {gpu_id: each.gpu.uuid for gpu_id, each in who.gpus.items()})
                if judge and t_ms % _MINUTE_MS == 0:
                    writer.later(_SAID, said_key(host_id), said_text(t_ms, engine.rules, engine.standings))
                    yield
                    effects.keep_next(writer, host_id, t_ms, given.effect_seconds)
            elif self._committed_ms - t_ms > _LATE_MS:
                t_ms = max(t_ms, _first_look(db, t_ms))  # nobody recorded for a while
            self._busy, self._done_ms = False, t_ms
            yield


def _last(steps: Iterator[T]) -> Generator[None, None, T]:
    """Go through steps, one piece each; what the last one gave."""
    found = next(steps)
    yield
    for following in steps:
        found = following
        yield
    return found


def _first_look(db: sqlite3.Connection, from_ms: int) -> int:
    """The border before the first look that has rows from then on."""
    oldest = db.execute("SELECT min(ts_ms) FROM tick WHERE ts_ms>?", (from_ms,)).fetchone()[0]
    first = from_ms if oldest is None else max(from_ms, oldest - 1)
    return int(first // _LOOK_MS * _LOOK_MS)


def _causes(findings: Iterable[OpenFinding], uuids: Mapping[int, str]) -> dict[str, Cause]:
    """GPU -> why it waits; of several causes the one that the ledger takes off first."""
    out: dict[str, Cause] = {}
    for found in findings:
        for gpu_id in found.finding.gpus if found.finding.cause is not Cause.NONE else ():
            uuid = uuids.get(gpu_id)
            if uuid is not None:
                out[uuid] = min(found.finding.cause, out.get(uuid, found.finding.cause))
    return out
