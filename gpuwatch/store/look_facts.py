"""Who is there at a look, by the store's ids: GPUs, the processes seen in the last ten minutes, the jobs they belong to.

What the store knows by now is held back where it happened after the look: a replay must not know how a run will end. Descriptions
that have not changed are the same objects again.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from gpuwatch.model import Gpu
from gpuwatch.names import RunOutcome, TrainingSource
from gpuwatch.rules.looks import Facts, GpuFacts, HostFacts, JobFacts, Look, ProcessFacts, RankFacts, RunFacts
from gpuwatch.store.columns import GPU
from gpuwatch.store.look_days import Days

SEEN_MS = 600_000
"""A rule may ask for somebody so long after his last row."""
_FLAGS = ("mig_enabled", "ecc_enabled", "persistence_mode", "gpm_supported")
_AT_ONCE = 500
_OUTCOMES = {int(outcome): outcome for outcome in RunOutcome}
_SOURCES = {int(source): source for source in TrainingSource}
_GPUS = f"SELECT gpu_id, idle_power_mw, {','.join(GPU)} FROM gpu WHERE host_id=?"
_PROCESSES = (
    "SELECT p.proc_id, p.pid, p.start_ms, p.name, p.command, coalesce(u.name, ''), p.job, p.container, coalesce(p.workload_id, 0), "
    "p.role, p.visible_gpus, p.parent_pid FROM process p LEFT JOIN user_account u ON u.user_id=p.user_id WHERE p.proc_id IN ({})"
)
_WORKLOADS = (
    "SELECT w.workload_id, w.kind, w.name, coalesce(nullif(w.model, ''), s.served_model, ''), coalesce(nullif(w.engine, ''), s.engine, ''), "
    "coalesce(u.name, ''), w.job, w.root_pid, w.root_start_ms, w.port, coalesce((SELECT p.command FROM process p WHERE "
    "p.host_id=w.host_id AND p.pid=w.root_pid AND p.start_ms=w.root_start_ms), ''), s.first_ms, s.max_model_tokens, "
    "s.max_running_requests, s.kv_cache_tokens, coalesce(s.hint, '') FROM workload w LEFT JOIN user_account u ON u.user_id=w.user_id "
    "LEFT JOIN server s ON s.workload_id=w.workload_id WHERE w.workload_id IN ({})"
)
_RANKS = (
    "SELECT workload_id, proc_id, source, rank, world, gpu_uuid, framework, model, parameters, flops_per_token, sequence_tokens, "
    "precision, attached_ms, first_step_ms, total_steps, ended_ms FROM trainer WHERE proc_id IN ({})"
)
_ATTACHED = 11
"""Where ``attached_ms`` stands behind the workload."""
_RUNS = (
    "SELECT workload_id, started_ms, first_step_ms, last_step_ms, last_checkpoint_ms, ended_ms, outcome, exit_code, command, detail, "
    "steps FROM run WHERE workload_id IN ({})"
)
_STEPS_MS = 60_000
"""How many steps a run has made is told of the newest minute only: the store keeps no more than the last count."""


def _not_reserved(_gpu: Gpu) -> bool:
    return False


class FactsReader:
    """Tells who is there, look after look. ``reserved`` (whether a GPU is) comes from the configuration."""

    def __init__(
        self,
        db: sqlite3.Connection,
        host_id: int,
        *,
        reserved: Callable[[Gpu], bool] = _not_reserved,
    ) -> None:
        self._db, self._host_id = db, host_id
        self._reserved = reserved
        self._days = Days(db, host_id)
        self._seen: dict[int, int] = {}
        """Process -> end of the last look that it was in."""
        self._served: dict[int, int] = {}
        """The same of servers."""
        self._stepped: dict[int, int] = {}
        """Rank -> end of the last look in which it made a step, and the same of checkpoints."""
        self._saved: dict[int, int] = {}
        self._processes: dict[int, ProcessFacts] = {}
        self._made: dict[tuple[str, int], tuple[Any, Any]] = {}

    def facts(self, look: Look) -> Facts:
        """Who is there at a look."""
        *_, found = self.steps(look)
        return found

    def steps(self, look: Look) -> Iterator[Facts]:
        """The same in pieces; the last of what it gives is true."""
        t_ms = look.t_ms
        self._remember(look)
        there = look.processes.keys() | look.trainings.keys()  # who has gone does not change any more: there may be thousands
        for row in self._rows(_PROCESSES, sorted(there | (self._seen.keys() - self._processes.keys()))):
            self._processes[row[0]] = self._process(row)
        yield Facts()
        processes = {proc_id: self._processes[proc_id] for proc_id in sorted(self._seen) if proc_id in self._processes}
        gpus = {row[0]: self._gpu(row) for row in self._db.execute(_GPUS, (self._host_id,))}
        ranks: dict[int, list[RankFacts]] = {}
        for workload_id, *told in self._rows(_RANKS, sorted(self._seen)):
            if told[_ATTACHED] <= t_ms:
                ranks.setdefault(workload_id, []).append(self._rank(told, t_ms))
        ids = {p.workload_id for p in processes.values() if p.workload_id} | set(self._served) | set(ranks)
        runs = {row[0]: row[1:] for row in self._rows(_RUNS, sorted(ids))}
        jobs = {}
        for found in self._rows(_WORKLOADS, sorted(ids)):
            mine = tuple(sorted(ranks.get(found[0], ()), key=_by_rank))
            jobs[found[0]] = _job(found, mine, self._run(runs.get(found[0]), mine, t_ms), t_ms)
        yield Facts()
        for _ in self._days.steps(t_ms):
            yield Facts()
        host = self._db.execute(
            "SELECT hostname, cpu_count, memory_total_bytes FROM host WHERE host_id=?", (self._host_id,)
        ).fetchone()
        sources = dict(self._db.execute("SELECT name, state FROM source_state WHERE host_id=?", (self._host_id,)).fetchall())
        days = self._days.of_jobs(jobs)
        yield Facts(gpus, processes, jobs, HostFacts(*host) if host else HostFacts(), self._days.gpus, days, sources)

    def _remember(self, look: Look) -> None:
        t_ms = look.t_ms
        self._seen.update(dict.fromkeys(look.processes, t_ms))
        self._seen.update(dict.fromkeys(look.trainings, t_ms))
        self._served.update(dict.fromkeys(look.servers, t_ms))
        for proc_id, training in look.trainings.items():
            if training.rank_steps or training.steps:
                self._stepped[proc_id] = t_ms
            if training.checkpoints:
                self._saved[proc_id] = t_ms
        for known in (self._seen, self._served):
            for gone in [i for i, last_ms in known.items() if last_ms <= t_ms - SEEN_MS]:
                del known[gone]
                for more in (self._stepped, self._saved, self._processes) if known is self._seen else ():
                    more.pop(gone, None)

    def _rows(self, sql: str, ids: Sequence[int]) -> Iterator[tuple[Any, ...]]:
        for start in range(0, len(ids), _AT_ONCE):
            some = ids[start : start + _AT_ONCE]
            yield from self._db.execute(sql.format(",".join("?" * len(some))), some)

    # -------------------------------------------------------------------------------------------------------------- makers

    def _again(self, what: str, key: int, row: tuple[Any, ...], make: Callable[[tuple[Any, ...]], Any]) -> Any:
        """The description that this row gave before, or a new one."""
        found = self._made.get((what, key))
        if found is None or found[0] != row:
            if len(self._made) > 4 * len(self._seen) + 64:
                self._made.clear()
            found = self._made[what, key] = (row, make(row))
        return found[1]

    def _process(self, row: tuple[Any, ...]) -> ProcessFacts:
        made: ProcessFacts = self._again("process", row[0], row, lambda row: ProcessFacts(*row))
        return made

    def _gpu(self, row: tuple[Any, ...]) -> GpuFacts:
        gpu: Gpu = self._again("gpu", row[0], row[2:], _described)
        idle = None if row[1] is None else row[1] / 1000
        return GpuFacts(row[0], gpu, idle, self._reserved(gpu))

    def _rank(self, row: list[Any], t_ms: int) -> RankFacts:
        proc_id, source, *told, first_step_ms, total_steps, ended_ms = row
        rank, world, gpu_uuid, framework, model, parameters, flops, sequence, precision, attached_ms = told
        return RankFacts(
            proc_id,
            _SOURCES.get(source, TrainingSource.HOOK),
            rank,
            world,
            gpu_uuid,
            framework,
            model,
            parameters,
            flops,
            sequence,
            precision,
            attached_ms,
            _by(first_step_ms, t_ms),
            total_steps,
            _by(ended_ms, t_ms),
        )

    def _run(self, row: Sequence[Any] | None, ranks: Sequence[RankFacts], t_ms: int) -> RunFacts | None:
        """How a run goes, as it was known at the look: steps and checkpoints are those of looks, where there were any."""
        if row is None or row[0] > t_ms:
            return None
        started, first, last, saved, ended, outcome, exit_code, command, detail, steps = row
        over = _by(ended, t_ms) is not None
        stepped_ms = max((self._stepped[r.proc_id] for r in ranks if r.proc_id in self._stepped), default=None)
        saved_ms = max((self._saved[r.proc_id] for r in ranks if r.proc_id in self._saved), default=None)
        return RunFacts(
            started,
            first_step_ms=_by(first, t_ms),
            last_step_ms=stepped_ms or _by(last, t_ms),
            last_checkpoint_ms=saved_ms or _by(saved, t_ms),
            ended_ms=_by(ended, t_ms),
            outcome=_OUTCOMES.get(outcome, RunOutcome.UNKNOWN) if over else RunOutcome.RUNNING,
            exit_code=exit_code if over else None,
            command=command,
            detail=detail if over else "",
            steps=steps if last is not None and last <= t_ms + _STEPS_MS else None,
        )


def _by(happened_ms: int | None, t_ms: int) -> int | None:
    """An instant, if it lies before the look's end."""
    return happened_ms if happened_ms is not None and happened_ms <= t_ms else None


def _described(row: tuple[Any, ...]) -> Gpu:
    values: dict[str, Any] = {("index" if name == "gpu_index" else name): value for name, value in zip(GPU, row, strict=True)}
    values.update((name, bool(values[name])) for name in _FLAGS if values[name] is not None)
    return Gpu(**values)


def _job(row: tuple[Any, ...], ranks: tuple[RankFacts, ...], run: RunFacts | None, t_ms: int) -> JobFacts:
    workload_id, kind, name, model, engine, user, job, root_pid, root_start_ms, port, command, met_ms, *sizes = row
    served = met_ms is not None and met_ms <= t_ms
    model_tokens, requests, cache_tokens, hint = sizes if served else (None, None, None, "")
    return JobFacts(
        workload_id,
        kind,
        name,
        model,
        engine,
        user,
        job,
        root_pid,
        root_start_ms,
        port,
        command or (run.command if run else ""),
        served,
        model_tokens,
        requests,
        cache_tokens,
        hint,
        ranks,
        run,
    )


def _by_rank(rank: RankFacts) -> tuple[bool, int, int]:
    return rank.rank is None, rank.rank or 0, rank.proc_id
