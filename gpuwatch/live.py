"""What feeds a screen: follows the store of a recorder, starts a recorder of its own when nobody holds the lease, and ends it.

``build`` and ``changed`` are called from the screen's source thread, never from its event loop.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from gpuwatch.childrecorder import ChildRecorder
from gpuwatch.errors import StoreError
from gpuwatch.store import lease
from gpuwatch.store.window import Window
from gpuwatch.view.build import LAG_MS, WATCHED_LAG_MS, build_view
from gpuwatch.view.detail import build_detail
from gpuwatch.view.empty import empty_view
from gpuwatch.view.types import DetailRequest, DetailView

if TYPE_CHECKING:
    from gpuwatch.runtime import Runtime
    from gpuwatch.tui.options import MuteWish
    from gpuwatch.view.types import View

logger = logging.getLogger("gpuwatch.runtime")

LEASE_CHECK_NS = 1_000_000_000
"""How often a viewer looks whether a recorder is there: a killed one is noticed within this and replaced."""


class LiveSource:
    """Follows one store. ``start_recorder`` is None for a viewer that must not record."""

    def __init__(self, runtime: Runtime, path: Path, child: ChildRecorder | None, monotonic_ns: Callable[[], int]) -> None:
        self._runtime = runtime
        self._path = path
        self._child = child
        self._monotonic_ns = monotonic_ns
        self._window: Window | None = None
        self._file: tuple[int, int] | None = None
        self._watching: lease.ViewerLock | None = None
        self._version = -1
        self._holder: lease.Holder | None = None
        self._next_lease_check = 0
        self._watching_since = 0
        self._restart = False
        self.problem = ""

    def changed(self) -> bool:
        """Whether a new view would show something else: a commit, a recorder that came or went, another file."""
        turned = self._check_lease()
        window = self._open()
        if window is None:
            return turned
        try:
            version = window.data_version()
        except StoreError as error:
            self._lose(error)
            return True
        fresh, self._version = version != self._version, version
        if fresh and self._holder is None:  # who wrote it is there now
            self._next_lease_check = 0
            turned = self._check_lease() or turned
        return fresh or turned

    def build(self, at_ms: int | None, cells: int) -> View:
        """The view of now (``None``) or of a past instant, with strips of that many cells."""
        now_ms = self._runtime.now_ms()
        window = self._open()
        if window is None:
            return empty_view(now_ms, (self.problem,) if self.problem else (), self._holder_pid)
        watched = self._monotonic_ns() - self._watching_since > LAG_MS * 1_000_000
        try:
            return build_view(
                window,
                at_ms,
                now_ms=now_ms,
                tz=self._runtime.tz,
                cells=cells,
                holder_pid=self._holder_pid,
                lag_ms=WATCHED_LAG_MS if watched else LAG_MS,
                reason=self._reason(),
                terms=self._runtime.terms,
            )
        except StoreError as error:
            self._lose(error)
            return empty_view(now_ms, (error.message,))

    def detail(self, request: DetailRequest, view: View) -> DetailView:
        """What a detail screen asks beside ``view``, at the same instant; an empty answer where the store is gone."""
        window = self._open()
        if window is None:
            return DetailView(request)
        try:
            return build_detail(window, request, view)
        except StoreError as error:
            self._lose(error)
            return DetailView(request)

    def mute(self, wish: MuteWish) -> None:
        """Keep a mute in the store that is shown, or lift those that speak of the same. Raises :class:`StoreError`."""
        from gpuwatch.ruled import keep_mute
        from gpuwatch.rules.types import Mute

        mute = Mute(wish.rule, wish.subject, wish.command, wish.until_ms, "from the screen")
        keep_mute(self._target(), mute, self._runtime.now_ms(), lift=wish.lift)

    def retry(self) -> str:
        """Ask the driver again: restart the recorder if it is this program's own. Called from the event loop: never waits."""
        holder = self._holder_pid
        if self._child is not None and self._child.pid is not None and holder in (None, self._child.pid):
            self._restart = True
            return "The recorder starts anew and asks the driver."
        if holder is None:
            return "Nobody records here: gpuwatch record asks the driver."
        return f"The recorder (pid {holder}) is not this screen's: it asks the driver again by itself, within 60 s."

    @property
    def _holder_pid(self) -> int | None:
        return self._holder.pid if self._holder else None

    def _reason(self) -> str:
        """Why the recording is not where it should be, as its recorder says."""
        said = self._holder.info.get("notice") if self._holder else None
        return said if isinstance(said, str) else ""

    @property
    def window(self) -> Window | None:
        """The open window, for the queries of detail screens."""
        return self._open()

    def close(self) -> None:
        """Stop watching; end the recorder that was started here."""
        if self._window is not None:
            self._window.close()
            self._window = None
        if self._watching is not None:
            self._watching.close()
        if self._child is not None:
            self._child.close()

    def _check_lease(self) -> bool:
        """Look at the lease once a second; start a recorder where none is. True if a recorder came, went or changed."""
        now = self._monotonic_ns()
        if self._restart and self._child is not None:
            self._restart = False
            self._child.restart()
            self._next_lease_check = now
        if now < self._next_lease_check:
            return False
        self._next_lease_check = now + LEASE_CHECK_NS
        found = lease.holder(self._path)
        if found is None and self._child is not None:
            self._child.ensure()
        turned = (found and found.pid) != (self._holder and self._holder.pid) or found is None
        if turned:
            logger.debug("%s: %s", self._path, f"recorder {found.pid}" if found else "no recorder")
        self._holder = found
        return turned

    def _target(self) -> Path:
        """The file that the recorder writes: it may have moved to memory or to a side file."""
        return self._holder.store(self._path) if self._holder else self._path

    def _open(self) -> Window | None:
        target = self._target()
        try:
            status = os.stat(target)
        except OSError:
            return self._window
        identity = (status.st_dev, status.st_ino)
        if self._window is not None and identity == self._file:
            return self._window
        try:
            window = Window(target)
        except StoreError as error:
            self.problem = error.message
            return None
        if self._window is not None:
            self._window.close()
        if self._watching is not None:
            self._watching.close()
        self._window, self._file, self.problem, self._version = window, identity, "", -1
        self._watching, self._watching_since = lease.ViewerLock(self._path), self._monotonic_ns()
        return window

    def _lose(self, error: StoreError) -> None:
        logger.warning("store lost: %s", error)
        self.problem = error.message
        if self._window is not None:
            self._window.close()
        self._window, self._file = None, None
