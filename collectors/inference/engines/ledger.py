"""Counts of running tasks that a server adds to its own counter only when a task ends: live, and never counted twice."""

from __future__ import annotations

from collections.abc import Mapping

TaskKey = tuple[int, int]
"""Slot and task."""
NO_TASKS: Mapping[TaskKey, float] = {}


class Ledger:
    """One count, made of what each task has so far and of the server's total of what ended.

    What has happened is at least what was seen growing, and at least the server's total plus what runs now. The total has to be read
    *before* the tasks: one that ends in between is then in neither, which the next total mends; the other way round it would be in
    both. So the count never passes the truth, and is exact when the total is read while nothing runs.
    """

    def __init__(self) -> None:
        self._count: float | None = None
        """On the scale of the server's total; ``None`` until that is known."""
        self._seen: dict[TaskKey, float] = {}
        self._total: float | None = None
        self._begun = False
        self.corrected = 0.0
        """Of what the last look told, what no task was seen to do: the server's total alone told it."""

    @property
    def anchored(self) -> bool:
        """Whether the server's total has been read."""
        return self._count is not None

    def look(
        self, total: float | None = None, running: Mapping[TaskKey, float] = NO_TASKS, ended: Mapping[TaskKey, float] = NO_TASKS
    ) -> float | None:
        """Take one look and return how much is new; ``None`` at the first, and when the server's total was set back.

        ``total``: the server's, where it was read this time. ``running``: tasks that it does not hold yet, ``ended``: those that it
        does, with what they have reached.
        """
        if total is not None and self._total is not None and total < self._total:
            self._begun, self._count, self._seen = False, None, {}
        seen, self._seen = self._seen, {}
        grown = 0.0
        for tasks in (ended, running):
            for key, value in tasks.items():
                before = seen.get(key, 0.0)
                grown += max(0.0, value - before)
                self._seen[key] = max(value, before)
        anchor = None if total is None else total + sum(running.values())
        self._total = self._total if total is None else total
        if not self._begun:
            self._begun, self._count = True, anchor
            return None
        if self._count is None:
            self._count = anchor
            return grown
        before, self._count = self._count, max(self._count + grown, anchor or 0.0)
        self.corrected = self._count - before - grown
        return self._count - before
