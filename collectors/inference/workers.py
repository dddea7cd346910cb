"""Threads that ask servers, so that nobody waits for a server but they. All are daemons: one that hangs never holds up the exit."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from typing import Protocol

MOST = 8
Job = Callable[[], None]


class Workers(Protocol):
    """Whoever does jobs."""

    def submit(self, job: Job) -> None:
        """Do it soon, once."""
        ...


class Threads:
    """At most ``MOST`` threads, started when there is more to do than they can take on."""

    def __init__(self) -> None:
        self._jobs: deque[Job] = deque()
        self._ready = threading.Semaphore(0)
        self._lock = threading.Lock()
        self._idle = self._threads = 0

    def submit(self, job: Job) -> None:
        """Hand it to an idle thread, or to a new one; if all are busy it waits."""
        with self._lock:
            self._jobs.append(job)
            if self._idle >= len(self._jobs):
                start = False
            else:
                start = self._threads < MOST
                self._threads += start
        if start:
            threading.Thread(target=self._run, name="ask-servers", daemon=True).start()
        self._ready.release()

    def _run(self) -> None:
        """Do jobs without end. One that raises ends its thread, which says so on standard error; another is started when needed."""
        try:
            while True:
                with self._lock:
                    self._idle += 1
                self._ready.acquire()
                with self._lock:
                    self._idle -= 1
                    job = self._jobs.popleft()
                job()
        finally:
            with self._lock:
                self._threads -= 1


class Inline:
    """Does each job at once, in the thread that brings it."""

    def submit(self, job: Job) -> None:
        """Do it now."""
        job()
