"""The collector of a simulated host: emits what the nvml, procs and host collectors of a real one would, from a scenario."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from gpuwatch.collectors.simulated.scenario import DEFAULT
from gpuwatch.dataclass import replace
from gpuwatch.errors import Unavailable, UsageError
from gpuwatch.model import Batch
from gpuwatch.plugin import CollectorContext

if TYPE_CHECKING:
    from gpuwatch.collectors.simulated.frames import Stage

_LONGEST_SPAN = 3
"""In intervals: after a longer hole, or when time went back, a reading speaks for no time, as the first one does."""

_LONGEST_LOOK_S = 15.0
"""Servers are read less often; a longer time between two looks is a break."""


class SimulatedCollector:
    """Options: ``scenario`` (name or ``.toml`` path), ``seed``, ``speed`` (scenario seconds per second), ``epoch`` (unix seconds).

    The epoch is scenario time 0; without one it is the first second that is asked for. With the same options the same seconds give
    the same batches.
    """

    name = "simulated"
    interval_seconds = 1.0

    def __init__(self, context: CollectorContext) -> None:
        options = context.options
        self._clock = context.clock
        self._scenario = str(options.get("scenario") or DEFAULT)
        self._seed = int(_number(options, "seed", 7))
        self._speed = _number(options, "speed", 1.0)
        self._epoch = options.get("epoch")
        if self._speed <= 0:
            raise UsageError(f"speed {self._speed:g} is not above 0")
        self._stage: Stage | None = None
        self._previous: float | None = None
        self._looked: float | None = None

    def open(self) -> None:
        """Compile the scenario. Raises :class:`Unavailable` with what is wrong in it."""
        from gpuwatch.collectors.simulated.compile import compile_plan
        from gpuwatch.collectors.simulated.scenario import load

        try:
            self._compiled = compile_plan(load(self._scenario), self._seed)
        except UsageError as error:
            raise Unavailable(error.message, error.hint) from None

    def collect(self, now: float) -> Batch:
        """The batch of one grid second; amounts are those since the previous call."""
        began = self._clock.monotonic_ns()
        previous = self._previous
        if previous is not None and not 0 < now - previous <= _LONGEST_SPAN * self.interval_seconds:
            previous = None
        looked = self._looked
        if looked is not None and not 0 < now - looked <= max(_LONGEST_SPAN * self.interval_seconds, _LONGEST_LOOK_S):
            looked = None
        stage = self._at(now)
        looks = looked is None or stage.looks_at(now, self.interval_seconds)
        batch = stage.batch(previous, now, looks=looks, looked=looked)
        self._previous, self._looked = now, now if looks else looked
        return replace(batch, monotonic_ns=began)

    def backfill(self, start: int, end: int, step: int) -> Iterator[Batch]:
        """Batches for the past, at ``start + step, …, end`` (unix seconds); a following :meth:`collect` goes on from ``end``.

        Call it with rising spans, coarse ones first; ``end`` is the epoch when none was given. Entities come when they change.
        """
        stage = self._at(end)
        for batch in stage.past(start, end, step, self._looked):
            self._previous = float(batch.t)
            if stage.looks_at(batch.t, step):
                self._looked = self._previous
            yield batch

    def close(self) -> None:
        """Forget the scenario."""
        self._stage = None
        self._previous = self._looked = None

    def _at(self, now: float) -> Stage:
        if self._stage is None:
            from gpuwatch.collectors.simulated.frames import Stage
            from gpuwatch.collectors.simulated.people import Axis

            epoch = float(now if self._epoch is None else self._epoch)
            self._stage = Stage(self._compiled, Axis(round(epoch * 1000), self._speed))
        return self._stage


def _number(options: Any, key: str, default: float) -> float:
    value = options.get(key, default)
    try:
        return float(str(value).removesuffix("x"))
    except ValueError:
        raise UsageError(f"{key}: '{value}' is not a number") from None
