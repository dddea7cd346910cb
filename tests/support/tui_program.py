"""A program for the tests in a real terminal: the screen over a source that never reads a driver.

``python tui_program.py MODE``: ``still`` (nothing changes), ``clock`` (time and ages move), ``busy`` (most numbers move),
``hung`` (the source stops answering after the first View), ``never`` (it never answers).
"""

from __future__ import annotations

import random
import sys
import threading
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from support.sample_view import sample_view

from gpuwatch.tui import TuiOptions, run
from gpuwatch.view.types import GpuView, ProcessView, View


class Source:
    """Views that differ from build to build as ``mode`` says."""

    def __init__(self, mode: str) -> None:
        self.mode = mode
        self.builds = 0
        self.random = random.Random(7)
        self.views = {cells: sample_view(cells) for cells in (45, 75)}

    def changed(self) -> bool:
        return self.mode != "still"

    def build(self, at_ms: int | None, cells: int) -> View:
        self.builds += 1
        view = self.views[cells]
        if self.mode == "never" or (self.mode == "hung" and self.builds > 1):
            threading.Event().wait()
        if self.mode not in ("clock", "busy"):
            return view
        now = view.now_ms + self.builds * 1000
        processes = tuple(replace(p, age_seconds=p.age_seconds + self.builds) for p in view.processes)
        gpus = view.gpus
        if self.mode == "busy":
            gpus = tuple(self._gpu(gpu) for gpu in gpus)
            processes = tuple(p if self.random.random() > 0.3 else self._process(p) for p in processes)
        recording = replace(view.recording, last_tick_ms=now)
        return replace(view, at_ms=now, now_ms=now, gpus=gpus, processes=processes, recording=recording)

    def _gpu(self, gpu: GpuView) -> GpuView:
        if not gpu.sm_active_ratio:
            return gpu
        near = self.random.uniform
        cell = replace(gpu.strip[-1], height=near(0.4, 0.9))
        cells = (*gpu.strip[:-1], cell) if self.builds % 20 else (*gpu.strip[1:], cell)
        sm = min(1.0, max(0.0, gpu.sm_active_ratio + near(-0.03, 0.03)))
        return replace(gpu, sm_active_ratio=sm, power_watts=(gpu.power_watts or 0.0) + near(-15, 15), strip=cells)

    def _process(self, process: ProcessView) -> ProcessView:
        return replace(process, cpu_ratio=(process.cpu_ratio or 0.0) + self.random.uniform(0, 0.05))


def main() -> int:
    """Run until the user leaves."""
    return run(
        Source(sys.argv[1]),
        options=TuiOptions(on_hangup=lambda: Path(sys.argv[2]).write_text("flushed") and None if len(sys.argv) > 2 else None),
    )


if __name__ == "__main__":
    sys.exit(main())
