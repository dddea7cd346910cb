"""What feeds the screen of a replay: views of any instant that a store holds. It starts no recorder and tells none that it watches."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from gpuwatch.store.window import Window
from gpuwatch.view.build import build_view
from gpuwatch.view.detail import build_detail

if TYPE_CHECKING:
    from gpuwatch.runtime import Runtime
    from gpuwatch.view.types import DetailRequest, DetailView, View


class PastSource:
    """Reads one store. ``build(None, …)`` is its end, which grows while somebody records."""

    def __init__(self, runtime: Runtime, path: Path, host_id: int | None = None) -> None:
        self._runtime = runtime
        self._window = Window(path, host_id=host_id)
        self._version = -1

    def changed(self) -> bool:
        """Whether somebody has written since."""
        before, self._version = self._version, self._window.data_version()
        return before != self._version

    def build(self, at_ms: int | None, cells: int) -> View:
        """The view of an instant, or of the end of the recording."""
        runtime = self._runtime
        host = self._window.host() if at_ms is None and self._window.imported else None
        if host is not None:  # a log does not grow
            at_ms = int(host["last_ms"])
        holder = runtime.lease_holder() if at_ms is None else None
        return build_view(
            self._window, at_ms, now_ms=runtime.now_ms(), tz=runtime.tz, cells=cells, holder_pid=holder, terms=runtime.terms
        )

    def detail(self, request: DetailRequest, view: View) -> DetailView:
        """What a detail screen asks beside ``view``."""
        return build_detail(self._window, request, view)

    def close(self) -> None:
        """Close the store."""
        self._window.close()
