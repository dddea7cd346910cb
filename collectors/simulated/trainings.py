"""Trainings as entities and samples: what a collector would read of each rank at a moment, and of each run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from gpuwatch.collectors.simulated.compiled import Scenario
from gpuwatch.collectors.simulated.servers import Look
from gpuwatch.collectors.simulated.stepping import SLOW, STEPS, STRETCHES, TIMED, Stepping
from gpuwatch.collectors.simulated.training_block import flops, ranks
from gpuwatch.collectors.training.steps import bucket_us
from gpuwatch.dataclass import dataclass, replace
from gpuwatch.model import LatencyCounts
from gpuwatch.names import STEP_TIMES, Phase, RunOutcome
from gpuwatch.training import PHASE_SECONDS, Run, Trainer, TrainingSample

if TYPE_CHECKING:
    from gpuwatch.collectors.simulated.people import Axis, Life

_PARTS = (Phase.DATA, Phase.FORWARD, Phase.BACKWARD, Phase.OPTIMIZER)
"""Those of which the times of single steps are kept."""
_SLOWER = 1.25
_PEAK = 1.04


@dataclass(frozen=True, slots=True)
class Trained:
    """What one look at all trainings gave. ``runs`` are those of which something is new."""

    trainers: tuple[Trainer, ...] = ()
    samples: tuple[TrainingSample, ...] = ()
    latencies: tuple[LatencyCounts, ...] = ()
    runs: tuple[Run, ...] = ()


Sampled = tuple[TrainingSample, Sequence[LatencyCounts]]
Share = Callable[[tuple[object, ...], Callable[[], Sampled]], Sampled]


class Trainings:
    """All trainings of a scenario on an absolute time axis."""

    def __init__(self, scenario: Scenario, axis: Axis, uuids: Sequence[tuple[str, str]]) -> None:
        self._scenario, self._axis, self._uuids = scenario, axis, dict(uuids)
        self._steppings = {
            person.slot: Stepping(scenario, person, person.plan.training)
            for person in scenario.people.values()
            if person.plan.training is not None
        }
        self._trainers: dict[tuple[str, int, bool, bool], Trainer] = {}
        self._told: dict[tuple[str, int], Life] = {}

    def __bool__(self) -> bool:
        return bool(self._told) or any(
            person.plan.training is not None or person.plan.workload_kind == "training" for person in self._scenario.people.values()
        )

    def seen(self, lives: Sequence[Life], look: Look, share: Share | None = None, *, quiet: bool = False) -> Trained:
        """What the look gives of the trainings of ``lives``, and of those that were told before and have ended.

        ``quiet``: runs that go on are not told again.
        """
        roots = self._roots(lives)
        trainers, samples, latencies = list[Trainer](), list[TrainingSample](), list[LatencyCounts]()
        for life in lives:
            stepping = self._steppings.get(life.slot)
            if stepping is None:
                continue
            root = roots[stepping.person.plan.workload]
            trainer = self._trainer(stepping, life, root, look.end_ms)
            trainers.append(trainer)
            build = partial(self._sample, stepping, life, trainer, look)
            early = look.start_ms is None or look.start_ms < stepping.begins_ms(life.start_ms)
            sample, counts = share((life, "trainer"), build) if share and not early and stepping.stuck_ms() is None else build()
            samples.append(sample)
            latencies += counts
        runs = list(self._ended(lives, look.end_ms))
        trainers += [trainer for run in runs for trainer in self._left(run, look.end_ms)]
        for workload, root in roots.items():
            if self._kind(workload) == "training":
                key = workload, root.start_ms
                if not quiet or key not in self._told:
                    runs.append(self._run(workload, root, lives, look.end_ms))
                self._told[key] = root
        return Trained(tuple(trainers), tuple(samples), tuple(latencies), tuple(runs))

    # ------------------------------------------------------------------------------------------------------------ ranks

    def _roots(self, lives: Sequence[Life]) -> dict[str, Life]:
        out: dict[str, Life] = {}
        for life in lives:
            workload = self._scenario.people[life.slot].plan.workload
            if workload:
                out.setdefault(workload, life)
        return out

    def _kind(self, workload: str) -> str:
        plans = (person.plan for person in self._scenario.people.values() if person.plan.workload == workload)
        return next((plan.workload_kind for plan in plans if plan.workload_kind != "other"), "other")

    def _trainer(self, stepping: Stepping, life: Life, root: Life, t_ms: int) -> Trainer:
        steps = t_ms > stepping.begins_ms(life.start_ms) + stepping.plan.step_ms
        known = (life.slot, life.start_ms, steps, False)
        if known not in self._trainers:
            self._trainers[known] = self._made(stepping, life, root, steps)
        return self._trainers[known]

    def _made(self, stepping: Stepping, life: Life, root: Life, steps: bool) -> Trainer:
        plan, process = stepping.plan, stepping.person.plan
        slots = ranks(self._scenario.plan.processes, process.workload, ended=bool(process.ended_ms))
        rank, world = slots.index(process.slot), len(slots)
        count, formula = flops(plan)
        place = next(iter(process.gpus), "")
        axis = self._axis
        return Trainer(
            pid=life.pid, start_ms=axis.unix_ms(life.start_ms), root_pid=root.pid, root_start_ms=axis.unix_ms(root.start_ms),
            source=plan.source, attached_ms=axis.unix_ms(life.start_ms) + 1500, framework="torch 2.13.0", agent_version="1",
            rank=rank, world=world, local_rank=rank, node_rank=0, data_parallel=world // plan.replicas,
            data_parallel_source=plan.parallel or ("single" if world == 1 else "assumed"), replicas=plan.replicas,
            tokens_kind="input_ids" if plan.tokens else "samples" if plan.samples else "none", model=plan.model,
            parameters=plan.parameters or None, trainable_parameters=plan.trainable or None, layers=plan.layers or None,
            heads=plan.heads or None, head_width=plan.head_width or None, sequence_tokens=plan.sequence or None,
            flops_per_token=count or None, flops_formula=formula, precision=plan.precision, gpu_uuid=self._uuids.get(place, ""),
            total_steps=plan.total_steps or None,
            first_step_ms=axis.unix_ms(stepping.begins_ms(life.start_ms) + round(plan.step_ms)) if steps else None,
        )  # fmt: skip

    def _sample(self, stepping: Stepping, life: Life, trainer: Trainer, look: Look) -> Sampled:
        plan = stepping.plan
        phase, age = stepping.now(look.end_ms, life.start_ms)
        chance = (look.end_ms // 1000 + len(life.slot)) * 0.6180339887 % 1
        values: dict[str, Any] = {"phase": int(phase), "phase_age_seconds": age / 1000 / self._speed(look.end_ms)}
        if plan.allocated:
            values |= {"allocated_bytes": float(plan.allocated), "allocated_peak_bytes": plan.allocated * _PEAK}
        if plan.reserved:
            values |= {"reserved_bytes": float(plan.reserved), "alloc_retries_total": 0.0, "out_of_memory_total": 0.0}
        if plan.loss:
            values["loss"] = plan.loss * (0.99 + 0.02 * chance)
        key = (trainer.pid, trainer.start_ms, trainer.root_pid, trainer.root_start_ms)
        if look.start_ms is None or look.start_ms < life.start_ms:
            return TrainingSample(*key, **values), ()
        counts, starting = stepping.between(look.start_ms, look.end_ms, life.start_ms)
        speed = self._speed(look.end_ms)
        counts = [int(count // speed) for count in counts]
        values |= {name: counts[TIMED.index(phase)] / 1000 for phase, name in PHASE_SECONDS.items()}
        steps = counts[STEPS]
        values |= {
            "rank_steps_total": float(steps), "micro_batches_total": float(steps), "attached_seconds": look.seconds,
            "starting_seconds": starting / 1000 / speed, "compilations_total": 0.0, "eval_tokens_total": 0.0,
            "checkpoints_total": float(counts[STRETCHES] if plan.idle is Phase.CHECKPOINT else 0),
        }  # fmt: skip
        if trainer.rank == 0:
            values["steps_total"] = float(steps)
        if plan.tokens:
            values["tokens_total"] = steps * plan.tokens / plan.replicas
        if plan.samples:
            values["samples_total"] = steps * plan.samples / plan.replicas
        if plan.padding and plan.tokens:
            values["counted_tokens_total"] = float(steps * plan.tokens // 16)
            values["nonpad_tokens_total"] = float(round(steps * plan.tokens // 16 * (1 - plan.padding)))
        return TrainingSample(*key, **values), _times(trainer, stepping, counts, look.end_ms) if trainer.rank == 0 else ()

    def _speed(self, t_ms: int) -> float:
        """Counts go by real time: scenario time that runs faster brings no more steps a second."""
        return self._axis.speed if t_ms >= 0 else 1.0

    # ------------------------------------------------------------------------------------------------------------- runs

    def _run(self, workload: str, root: Life, lives: Sequence[Life], t_ms: int) -> Run:
        """The run of a root that lives at ``t_ms``."""
        members = [self._steppings[life.slot] for life in lives if life.slot in self._steppings]
        return self._of(workload, root, [each for each in members if each.person.plan.workload == workload], t_ms)

    def _of(self, workload: str, root: Life, members: Sequence[Stepping], t_ms: int) -> Run:
        axis, process = self._axis, self._scenario.people[root.slot].plan
        run = Run(root.pid, axis.unix_ms(root.start_ms), axis.unix_ms(root.start_ms), command=process.command)
        if not members:
            return run
        lead = members[0]
        plan, born = lead.plan, -lead.person.plan.age_ms
        counts, _ = lead.between(born, t_ms, born)
        steps, stuck = counts[STEPS], lead.stuck_ms()
        last = min(t_ms, stuck) if stuck is not None else t_ms
        first_ms = lead.begins_ms(born) + round(plan.step_ms)
        shares = [member.plan for member in members]
        return replace(
            run, first_step_ms=axis.unix_ms(first_ms) if steps else None, last_step_ms=axis.unix_ms(last) if steps else None,
            last_checkpoint_ms=self._checkpoint(lead, born, last), steps=steps,
            tokens=sum(steps * p.tokens // p.replicas for p in shares) if plan.tokens else None,
            samples=sum(steps * p.samples // p.replicas for p in shares) if plan.samples else None,
            total_steps=plan.total_steps or None, ranks=len(members), git_commit=plan.commit, attached=True,
        )  # fmt: skip

    def _checkpoint(self, lead: Stepping, born: int, t_ms: int) -> int | None:
        """When it last wrote a checkpoint, to the second."""
        if lead.plan.idle is not Phase.CHECKPOINT:
            return None
        count = lead.between(born, t_ms, born)[0][STRETCHES]
        if not count:
            return None
        low, high = born, t_ms
        while high - low > 1000:
            middle = (low + high) // 2
            if lead.between(born, middle, born)[0][STRETCHES] < count:
                low = middle
            else:
                high = middle
        return self._axis.unix_ms(high)

    def _ended(self, lives: Sequence[Life], t_ms: int) -> Iterator[Run]:
        """Runs that were told and have ended."""
        alive = {(self._scenario.people[life.slot].plan.workload, life.start_ms) for life in lives}
        for (workload, start_ms), root in list(self._told.items()):
            if (workload, start_ms) in alive:
                continue
            del self._told[workload, start_ms]
            process = self._scenario.people[root.slot].plan
            end_ms = -process.ended_ms if process.ended_ms else t_ms
            members = [
                s
                for s in self._steppings.values()
                if s.person.plan.workload == workload and s.person.plan.ended_ms == process.ended_ms
            ]
            run = self._of(workload, root, members, end_ms)
            plan = members[0].plan if members else None
            yield replace(
                run, ended_ms=self._axis.unix_ms(end_ms), outcome=plan.outcome if plan else RunOutcome.UNKNOWN,
                exit_code=plan.exit_code if plan else None, detail=plan.detail if plan else "",
            )  # fmt: skip

    def _left(self, run: Run, t_ms: int) -> Iterator[Trainer]:
        """The ranks of a run that has ended, as they are known from then on."""
        for known, trainer in list(self._trainers.items()):
            if trainer.root_pid == run.root_pid and trainer.root_start_ms == run.root_start_ms and not known[3]:
                ended = replace(trainer, ended_ms=run.ended_ms, outcome=run.outcome)
                del self._trainers[known]
                if known[2]:
                    yield ended


def _times(trainer: Trainer, stepping: Stepping, counts: Sequence[int], t_ms: int) -> Sequence[LatencyCounts]:
    """The steps of a span in their buckets: most take as long as a step does then, a few longer."""
    steps, slow = counts[STEPS], min(counts[SLOW], counts[STEPS])
    if not steps:
        return ()
    parts = stepping.step_seconds(t_ms)
    times = [sum(parts.values()), *(parts.get(phase, 0.0) for phase in _PARTS)]
    out = []
    for latency, seconds in zip(STEP_TIMES, times, strict=True):
        found = Counter({bucket_us(round(seconds * 1e6)): steps - slow})
        found[bucket_us(round(seconds * _SLOWER * 1e6))] += slow
        buckets = tuple((*bounds, n) for bounds, n in sorted(found.items()) if n)
        out.append(LatencyCounts(trainer.root_pid, trainer.root_start_ms, 0, latency, buckets))
    return out
