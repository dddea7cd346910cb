"""Recording until told to stop: takes the lease or waits for it, opens the store, and tells viewers where rows go and why."""

from __future__ import annotations

import sys
import threading
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gpuwatch.runtime import Runtime
    from gpuwatch.store.lease import Lease
    from gpuwatch.store.writer import StoreWriter

STANDBY_SECONDS = 1.0
"""How often a waiting recorder asks for the lease."""

NETWORK_COMMIT_SECONDS = 60.0
"""Commits on a network file system, where each one is slow and locks are fragile."""

_ARENA_MAX = -8
"""``M_ARENA_MAX`` of glibc's malloc.h."""


class Recording:
    """One recorder of this program. ``talk``: say on stderr what a person should know."""

    def __init__(self, runtime: Runtime, *, talk: bool) -> None:
        self._runtime = runtime
        self._talk = talk

    def run(self, stop: threading.Event, *, duration: float | None, wait_for_lease: bool) -> int:
        """Record until ``stop`` is set or ``duration`` seconds are over; 0 at once if somebody else does and we are not to wait."""
        if self._runtime.place.notice:
            self._say(self._runtime.place.notice)
        _ = self._runtime.advice  # what the configuration says wrong is told before anything is written, or waited for
        lease = self._lease(stop, wait_for_lease)
        if lease is None:
            return 0
        try:
            return self._record(lease, stop, duration)
        finally:
            lease.release()

    def _say(self, text: str) -> None:
        if self._talk:
            with suppress(OSError):  # recording goes on when nobody listens any more
                print(f"gpuwatch: {text}", file=sys.stderr, flush=True)

    def _lease(self, stop: threading.Event, wait: bool) -> Lease | None:
        from gpuwatch.store.lease import Lease, holder

        path = self._runtime.place.path
        lease = Lease.acquire(path, {"path": str(path)})
        if lease is None and wait:
            found = holder(path)
            self._say(f"another recorder (pid {found.pid if found else '?'}) holds {path}; waiting to take over")
            while lease is None and not self._runtime.clock.wait(stop, STANDBY_SECONDS):
                lease = Lease.acquire(path, {"path": str(path)})
        return lease

    def _record(self, lease: Lease, stop: threading.Event, duration: float | None) -> int:
        from gpuwatch.dataclass import replace
        from gpuwatch.recorder import Closer, CostMeter, Recorder
        from gpuwatch.recorder.advisor import Advisor

        runtime, advice = self._runtime, self._runtime.advice
        _one_heap()
        if runtime.simulated:
            runtime.fill_demo()
        writer = runtime.open_writer(runtime.place.path)
        self._announce(writer, lease)
        recorder = Recorder(
            runtime.collectors(),
            writer,
            runtime.clock,
            watched=lease.watched,
            closer=Closer(writer, keep=runtime.keep()),
            advisor=Advisor(writer, runtime.clock, replace(advice, at_once=runtime.simulated)),
            cost=CostMeter(),
            commit_seconds=NETWORK_COMMIT_SECONDS if runtime.place.network else runtime.settings.record.commit_seconds,
            boot_id=runtime.boot_id(),
        )
        if duration is not None:
            timer = threading.Timer(min(duration, threading.TIMEOUT_MAX), stop.set)
            timer.daemon = True
            timer.start()
        try:
            recorder.run(stop)
        finally:
            writer.close()
        return 0

    def _announce(self, writer: StoreWriter, lease: Lease) -> None:
        """Say where rows go, now and whenever that changes, to people and to viewers."""

        def tell_viewers() -> None:
            lease.update({"path": str(writer.path), "notice": " ".join(writer.notices)})

        def moved() -> None:
            tell_viewers()
            self._say(writer.notices[-1])

        def noticed(sentence: str) -> None:
            tell_viewers()
            if sentence:
                self._say(sentence)

        for notice in writer.notices:
            self._say(notice)
        tell_viewers()
        writer.moved, writer.noticed = moved, noticed
        writer.lay_ballast()
        self._say(f"recording to {writer.path}")


def _one_heap() -> None:
    """Let all threads share one heap of the C library: each would get one of its own, 1 to 3 MB that nobody needs."""
    import ctypes

    with suppress(OSError, AttributeError):  # a C library without it (musl) has one heap anyway
        ctypes.CDLL(None).mallopt(_ARENA_MAX, 1)
