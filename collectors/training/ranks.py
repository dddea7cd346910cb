"""One training process, by its hook file: who it is, what it does, what it has done since it was read before, how it ended."""

from __future__ import annotations

import math
from typing import Any

from gpuwatch.collectors.training import layout, reader
from gpuwatch.collectors.training.growth import LOOP_FIELDS, Growth
from gpuwatch.collectors.training.hookfile import HookFile
from gpuwatch.collectors.training.reader import Counters, Identity
from gpuwatch.collectors.training.ring import Times
from gpuwatch.names import Phase, RunOutcome, TrainingSource
from gpuwatch.training import Trainer, TrainingSample

_NS_A_MS = 1_000_000
_MOST_LOSS = 1e12
Key = tuple[int, int]
"""(pid, start_ms)."""
_ORDERLY = {"KeyboardInterrupt": RunOutcome.STOPPED}


class Rank:
    """What is known of the process. ``read`` once a tick; ``sample`` and ``trainer`` tell of that reading."""

    def __init__(self, file: HookFile) -> None:
        self.file = file
        self.identity: Identity | None = None
        self.counters: Counters | None = None
        self.phase: Phase | None = None
        self.since_ns = 0
        self._since_ns = -1
        self.read_ns = 0
        self.key: Key = (0, 0)
        self.root: Key = (0, 0)
        """Its workload."""
        self.outcome = RunOutcome.RUNNING
        self.ended_ms: int | None = None
        self.gone_ms = 0
        """When it was found gone."""
        self.moved_ns = 0
        """When its file was last found changed: the process lived then."""
        self.detail = ""
        self.unseen = False
        """It runs in another pid namespace and is no process that can be seen here."""
        self.found_dead = False
        """It had ended before its file was found: nothing is known of when it did what."""
        self.lost = False
        """Its file cannot be read at this tick: it is gone, or there are too many open files."""
        self._growth: Growth | None = None
        self._stopped = False
        self._fields: dict[str, Any] = {}
        self._told: tuple[object, ...] = ()
        self._raw = b""
        self._timed = -1

    def read(self, now_ns: int) -> bool:
        """Read the file; False if it does not say who it is of yet. Raises ``OSError`` or :class:`reader.Foreign`.

        ``now_ns``: monotonic, taken before.
        """
        self.lost = True
        head = self.file.head()
        self.lost = False
        raw = head[: layout.IDENTITY.size]
        if raw != self._raw:
            found = reader.identity(head)
            if found is not None and (self.identity is None or self._same(found)):
                self.identity, self._raw, self.moved_ns = found, raw, now_ns
        if self.identity is None:
            return False
        before = self.phase, self._since_ns
        self.phase, self._since_ns = reader.live(head)
        counters = reader.counters(head, self.counters.seq if self.counters is not None else -1)
        if counters is not None or (self.phase, self._since_ns) != before:
            self.moved_ns = now_ns
        self.counters = counters or self.counters
        self.since_ns = self._since_ns or self.identity.monotonic_ns
        self.read_ns = now_ns
        return True

    def _same(self, found: Identity) -> bool:
        known = self.identity
        return known is not None and (found.pid, found.start_ticks) == (known.pid, known.start_ticks)

    # ------------------------------------------------------------------------------------------------------------- counting

    @property
    def counts(self) -> bool:
        """Whether the agent still counts."""
        return self.identity is not None and not self.identity.flags & layout.FLAG_OFF

    @property
    def ended(self) -> bool:
        """Whether the interpreter has said goodbye, or the process is gone."""
        return self.phase is Phase.ENDED or self.outcome is not RunOutcome.RUNNING

    @property
    def sign_ns(self) -> int:
        """Its last sign of life."""
        return max(self.since_ns, self.counters.at_ns if self.counters is not None else 0)

    def advance(self, watched_since_ns: int) -> None:
        """Take the growth since the last call. A process that was armed after ``watched_since_ns`` counts from its beginning."""
        self._fields = {}
        if self.identity is None or self.counters is None or self.found_dead or self.lost or self._stopped:
            return
        self._stopped = (
            not self.counts
        )  # what it says now is the last: later a count that stands still would look like a standstill
        armed, first = self.identity.monotonic_ns, self._growth is None
        if self._growth is None:
            self._growth = Growth(armed if watched_since_ns <= armed <= self.read_ns else None)
        at = min(self.read_ns, self.since_ns) if self.phase is Phase.ENDED else self.read_ns
        phase = self.phase if self.counts and self.outcome is RunOutcome.RUNNING else None
        self._fields = self._growth.next(self.counters, phase, self.since_ns, at, self.identity.replicas)
        if first and self._fields:
            fields = self._fields
            whole = fields["interval_seconds"] = fields["attached_seconds"]
            later = sum(value for name, value in fields.items() if name in LOOP_FIELDS)
            fields["starting_seconds"] = max(
                0.0, min(fields["starting_seconds"], whole - later)
            )  # it has started before it was armed

    def sample(self, lead: bool) -> TrainingSample | None:
        """The sample of the last ``advance``; ``lead``: this rank tells the steps of the job. ``None``: there is nothing to tell."""
        counters, identity = self.counters, self.identity
        if identity is None or self.found_dead or self.lost or (not self._fields and (self.ended or not self.counts)):
            return None
        fields = dict(self._fields)
        fields["steps_total"] = fields.get("rank_steps_total") if lead else None
        if self.outcome is RunOutcome.RUNNING and self.phase is not None and self.counts:
            fields["phase"] = int(self.phase)
            fields["phase_age_seconds"] = max(0, self.read_ns - self.since_ns) / 1e9
        if counters is not None:
            fields["step_number"] = counters.step_number
            fields["loss"] = self._loss(counters)
            if counters.known & layout.SNAP_ALLOCATOR and not self.ended:
                fields["allocated_bytes"] = float(counters.allocated)
                fields["allocated_peak_bytes"] = float(counters.allocated_peak)
                fields["reserved_bytes"] = float(counters.reserved)
                fields["inactive_split_bytes"] = float(counters.inactive_split)
        return TrainingSample(*self.key, *self.root, **fields)

    @staticmethod
    def _loss(counters: Counters) -> float | None:
        loss = counters.loss
        return loss if loss is not None and math.isfinite(loss) and abs(loss) < _MOST_LOSS else None

    def new_steps(self, lead: bool) -> list[Times]:
        """Times of the steps since the last call that are still in the ring, of who leads. The first call tells those of a process that
        counts from its beginning, else it only begins. Raises ``OSError``.
        """
        last = self.counters.steps if self.counters is not None else 0
        after, self._timed = self._timed, last
        if after < 0:
            after = 0 if self._growth is not None and self._fields else last
        return self.file.steps(after, last) if lead and last > after else []

    # -------------------------------------------------------------------------------------------------------------- telling

    def wall_ms(self, at_ns: int) -> int | None:
        """Unix milliseconds of an instant of CLOCK_MONOTONIC by the process' own pair of clocks; ``None`` for none."""
        if self.identity is None or not at_ns:
            return None
        return max(0, (self.identity.wall_ns + at_ns - self.identity.monotonic_ns) // _NS_A_MS)

    def ends(self, now_ms: int) -> None:
        """The process is gone: how it ended, by its last words. Call after the last ``read``."""
        assert self.identity is not None
        self.gone_ms = now_ms
        if self.phase is Phase.ENDED:
            self.ended_ms = min(now_ms, self.wall_ms(self.since_ns) or now_ms)
            raised = self.identity.said if self.identity.flags & layout.FLAG_RAISED else ""
            if self.identity.flags & layout.FLAG_RAISED:
                self.outcome = _ORDERLY.get(raised, RunOutcome.FAILED)
            else:
                self.outcome = RunOutcome.FINISHED
            self.detail = raised
        else:
            self.ended_ms = now_ms
            self.outcome = RunOutcome.DIED if self.counts and not (self.unseen or self.lost) else RunOutcome.UNKNOWN

    def trainer(self) -> Trainer | None:
        """What is known of the process, if anything of it has changed since the last call."""
        one, counters = self.identity, self.counters
        if one is None:
            return None
        first_ns = counters.first_step_ns if counters is not None else 0
        mark = (self._raw, first_ns, self._detail(one), self.outcome, self.root)
        if mark == self._told:
            return None
        self._told = mark
        return Trainer(
            *self.key,
            *self.root,
            source=TrainingSource.DECLARED if one.flags & layout.FLAG_DECLARED else TrainingSource.HOOK,
            attached_ms=one.wall_ns // _NS_A_MS,
            detail=self._detail(one),
            hint="its counts stop here; the training itself goes on" if one.flags & layout.FLAG_OFF and not self.ended else "",
            framework=f"torch {one.framework}" if one.framework else "",
            agent_version=one.agent_version,
            rank=one.rank,
            world=one.world,
            local_rank=one.local_rank,
            node_rank=one.node_rank,
            data_parallel=one.data_parallel,
            data_parallel_source=one.data_parallel_source,
            replicas=one.replicas,
            tokens_kind="" if one.tokens_kind is layout.TokensKind.NONE else one.tokens_kind.name.lower(),
            model=one.model,
            parameters=one.parameters,
            trainable_parameters=one.trainable_parameters,
            layers=one.layers,
            heads=one.heads,
            head_width=one.head_width,
            sequence_tokens=one.sequence_tokens,
            flops_per_token=one.flops_per_token,
            flops_formula=one.flops_formula,
            precision=one.precision,
            gpu_uuid=one.gpu_uuid,
            total_steps=one.total_steps,
            probe=bool(one.flags & layout.FLAG_PROBE),
            first_step_ms=self.wall_ms(first_ns),
            ended_ms=self.ended_ms,
            outcome=self.outcome,
        )

    def _detail(self, one: Identity) -> str:
        if self.outcome is not RunOutcome.RUNNING:
            return self.detail
        if one.flags & layout.FLAG_OFF:
            return f"the agent turned itself off: {one.said}" if one.said else "the agent turned itself off"
        loss = self.counters.loss if self.counters is not None else None
        if loss is not None and not math.isfinite(loss):
            return "loss is NaN" if math.isnan(loss) else "loss is infinite"
        return self.detail
