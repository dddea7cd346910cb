"""The facts of work of a GPU's row: what its trainings, its servers and its other GPUs say of the same moment.

They are per mille of the row's time (``Work`` and ``Fill`` of the ledger go by them) and are stored with the row, so that the live
ledger and a later one say the same. ``None`` is "nobody tells", never 0. What a collector has filled itself stays as it is.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from gpuwatch.ledger.facts import power_fraction
from gpuwatch.ledger.types import UNUSED_MS
from gpuwatch.measure import measures
from gpuwatch.model import GpuSample
from gpuwatch.names import Cause
from gpuwatch.recorder.holders import Holders
from gpuwatch.recorder.people import People
from gpuwatch.recorder.ranks import Ranks
from gpuwatch.recorder.traffic import Traffic
from gpuwatch.store.rows import GpuRow, ProcessRow, TrainingRow, Values, WorkloadRow
from gpuwatch.training import Trainer

_NAMES = tuple(measures(GpuSample))
_FIRST, _LAST = _NAMES.index("overhead_ratio"), _NAMES.index("inferred_cause")
_POWER, _LIMIT = _NAMES.index("power_watts"), _NAMES.index("power_limit_watts")
_MILLI = 1000


class WorkFacts:
    """What must be remembered between ticks to know what each GPU works for.

    ``idle_watts`` is what a GPU draws when nobody holds it, where that was learned; ``inferred`` the cause that an open finding names
    for a GPU's waiting. Both are by the GPU's UUID and may be replaced at any time.
    """

    def __init__(self, people: People) -> None:
        self.idle_watts: Mapping[str, float] = {}
        self.inferred: Mapping[str, Cause] = {}
        self._people = people
        self._holders = Holders(people)
        self._ranks = Ranks(people)
        self._traffic = Traffic()

    def forget(self) -> None:
        """After a break: nothing of before is about the next rows."""
        self._ranks.forget()
        self._traffic.forget()

    def trainers(self, told: Iterable[Trainer]) -> None:
        """Who trains, as a batch says."""
        self._ranks.learn(told)

    def training(self, ts_ms: int, row: TrainingRow, pace_ms: int) -> None:
        """A rank was read, which happens every ``pace_ms``."""
        self._ranks.read(ts_ms, row, pace_ms)

    def server(self, ts_ms: int, row: WorkloadRow, pace_ms: int) -> None:
        """A server was read, which happens every ``pace_ms``."""
        self._traffic.read(ts_ms, row, pace_ms)

    def processes(self, rows: Iterable[ProcessRow]) -> None:
        """All processes that are watched have a row now."""
        self._holders.look(rows)

    def fill(self, ts_ms: int, rows: dict[str, GpuRow]) -> None:
        """Put the facts into the rows of a tick, whose trainings, servers and processes have been told before."""
        holders = self._holders
        active = {uuid for uuid, row in rows.items() if row.quiet is False}
        parts, traffic = self._ranks.by_gpu(ts_ms, holders), self._traffic.by_gpu(ts_ms, holders, active)
        for uuid, row in rows.items():
            values = row.values
            ranks, served = parts.get(uuid), traffic.get(uuid)
            others = holders.others(uuid)
            if others is not None and not holders.held(uuid):
                given_ms = holders.given_ms(uuid)  # a job that starts takes its GPUs one after the other
                others = others if given_ms is not None and ts_ms - given_ms >= UNUSED_MS else None
            cause = self.inferred.get(uuid, Cause.NONE)
            facts: Values = (
                *(ranks[:4] if ranks else _NOT_TRAINED),
                *(served or _NOT_SERVED),
                ranks[4] if ranks else None,
                self._power_fraction(uuid, values),
                None if others is None else int(not active.isdisjoint(others)),
                int(cause) if cause is not Cause.NONE else None,
            )
            if ranks and served:  # a training is there too: the GPU is wanted, and what either says of its work is not of all of it
                facts = (*facts[:4], 0, None, None, *facts[7:])
            rows[uuid] = _with(row, facts)

    def _power_fraction(self, uuid: str, values: Values) -> int | None:
        power, limit = values[_POWER], values[_LIMIT]
        if limit is None and (gpu := self._people.gpus.get(uuid)) is not None and gpu.power_limit_watts is not None:
            limit = round(gpu.power_limit_watts * _MILLI)
        if power is None or limit is None:
            return None
        found = power_fraction(power / _MILLI, limit / _MILLI, self.idle_watts.get(uuid))
        return None if found is None else round(found * _MILLI)


_NOT_TRAINED, _NOT_SERVED, _NOTHING = (None,) * 4, (None,) * 2, (None,) * (_LAST - _FIRST + 1)


def _with(row: GpuRow, facts: Values) -> GpuRow:
    """The row with these facts, where it has none of its own."""
    values = row.values
    own = values[_FIRST : _LAST + 1]
    if facts == own:
        return row
    if own != _NOTHING:
        facts = tuple([fact if value is None else value for value, fact in zip(own, facts, strict=True)])
    values = (*values[:_FIRST], *facts, *values[_LAST + 1 :])
    return GpuRow(row.gpu_uuid, row.dt_ms, row.quiet, row.context, row.quiet_ms, row.kappa_pm, row.unavailable, values)
