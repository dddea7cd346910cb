"""The training collector: once a second it reads what training processes have written, and tells of ranks, runs and their ends."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from gpuwatch.collectors.training.folders import Folders, usual
from gpuwatch.dataclass import replace
from gpuwatch.model import Batch, Event
from gpuwatch.names import Severity
from gpuwatch.plugin import CollectorContext
from gpuwatch.text import clean

if TYPE_CHECKING:
    from gpuwatch.collectors.training.watching import Watching


class TrainingCollector:
    """See the package's docstring. What reads files is imported with the first hook file or training job: many hosts have none."""

    name = "training"
    interval_seconds = 1.0
    follows = True
    """It asks the process collector which jobs there are."""

    def __init__(self, context: CollectorContext, folders: Folders | None = None) -> None:
        self.context = context
        self._given = folders
        self._folders: Folders | None = None
        self._watching: Watching | None = None
        self._opened_ns = 0
        self._refused: dict[str, str] = {}

    def open(self) -> None:
        """Nothing to connect to."""
        named = self.context.options.get("directories", ())
        more = [str(path) for path in named] if isinstance(named, (list, tuple)) else [str(named)]
        self._folders = self._given or usual(more, os.environ, os.geteuid())
        self._opened_ns = self.context.clock.monotonic_ns()

    def close(self) -> None:
        """Let go of all files."""
        if self._watching is not None:
            self._watching.close()
        self._watching = self._folders = None

    def collect(self, now: float) -> Batch:
        """One tick: of every training process a sample, and what is new of processes and runs."""
        if self._folders is None:
            raise RuntimeError("collect() before open()")
        clock, folders = self.context.clock, self._folders
        began = clock.monotonic_ns()
        folders.look()
        events = self._refusals(now)
        if self._watching is None:
            if not folders.hooks and not folders.notes and not any(job.training for job in self.context.trainers.current()[1]):
                return Batch(self.name, int(now), began, events=events)
            from gpuwatch.collectors.training.watching import Watching

            self._watching = Watching(self.context, folders, self._opened_ns)
        batch = self._watching.batch(now, began)
        return replace(batch, events=[*events, *batch.events]) if events else batch

    def _refusals(self, now: float) -> list[Event]:
        """Say once of a folder that it is there and not looked into."""
        assert self._folders is not None
        refused = self._folders.refused
        if refused == self._refused:
            return []
        new = [path for path, reason in refused.items() if self._refused.get(path) != reason]
        self._refused = dict(refused)
        said = (f"the hook folder {path} is not looked into: {refused[path]}" for path in new)
        return [Event(round(now * 1000), "hook_folder_ignored", clean(detail), Severity.NOTICE) for detail in said]
