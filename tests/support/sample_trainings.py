"""Invented trainings: one of each kind that the screen must draw well."""

from __future__ import annotations

from typing import Any

from support.sample_view import GIB, NOW_MS
from support.tui_views import HOSTILE

from gpuwatch.names import Phase, RunOutcome, TrainingSource
from gpuwatch.view.training_types import PhaseView, RankView, RunView, TrainingView

STARTED_MS = NOW_MS - 10_269_000
"""2:51:09 ago."""
PHASES = (
    (Phase.DATA, 0.05, 0.11),
    (Phase.FORWARD, 0.50, 0.52),
    (Phase.BACKWARD, 0.99, 1.05),
    (Phase.OPTIMIZER, 0.13, 0.13),
    (Phase.CHECKPOINT, 0.05, None),
    (Phase.OTHER, 0.07, 0.09),
)
"""Seconds a step and p95, in the order of a step; 1.79 s in all."""


def phases_of(rows: tuple[tuple[Phase, float, float | None], ...] = PHASES, idle: dict[Phase, float] | None = None) -> tuple[PhaseView, ...]:  # fmt: skip
    """Phases with their shares."""
    whole = sum(seconds for _, seconds, _ in rows)
    return tuple(PhaseView(phase, seconds, seconds / whole, p95, (idle or {}).get(phase)) for phase, seconds, p95 in rows)


def rank(number: int, **changes: Any) -> RankView:
    """A healthy rank of the sample."""
    fields: dict[str, Any] = {
        "pid": 57_120 + number,
        "start_ms": STARTED_MS,
        "rank": number,
        "local_rank": number,
        "gpu_index": number % 8,
        "source": TrainingSource.HOOK,
        "outcome": RunOutcome.RUNNING,
        "phase": Phase.BACKWARD,
        "phase_age_seconds": 0.4,
        "step_seconds": 1.79,
        "data_wait_seconds": 0.05,
        "host_seconds": 0.12,
        "tokens_per_second": 6_870.0 - 10 * number,
        "sm_active_ratio": 0.87 + 0.01 * (number % 2),
        "allocated_bytes": 60.0 * GIB,
        "allocated_peak_bytes": (66.8 - 0.3 * (number % 2)) * GIB,
        "reserved_bytes": 69.0 * GIB,
    }
    return RankView(**(fields | changes))


def run(**changes: Any) -> RunView:
    """The run of the sample."""
    fields: dict[str, Any] = {
        "root_pid": 57_098,
        "root_start_ms": STARTED_MS,
        "name": "llama-8b",
        "user": "alice",
        "job": "",
        "command": "torchrun --nproc-per-node 2 train.py --config llama-8b.yaml",
        "git_commit": "9c1f0e2",
        "started_ms": STARTED_MS,
        "outcome": RunOutcome.RUNNING,
        "first_step_ms": STARTED_MS + 41_000,
        "last_step_ms": NOW_MS - 1_000,
        "last_checkpoint_ms": NOW_MS - 600_000,
        "steps_total": 5_690,
        "tokens_total": 139_837_440,
        "step_number": 5_690,
        "total_steps": 20_000,
        "ranks": 2,
        "gpus": 2,
        "gpu_seconds": 20_538.0,
        "energy_joules": 3.45 * 3.6e6,
        "attached": True,
    }
    return RunView(**(fields | changes))


def rich(**changes: Any) -> TrainingView:
    """llama-8b of the design pictures: everything that a hook tells."""
    fields: dict[str, Any] = {
        "attached": True,
        "source": TrainingSource.HOOK,
        "framework": "PyTorch 2.13",
        "model": "LlamaForCausalLM",
        "precision": "bf16",
        "parallelism": "2 ranks, assumed data parallel",
        "parameters": 8_030_000_000,
        "trainable_parameters": 8_030_000_000,
        "tokens_kind": "input_ids",
        "age_seconds": 0.6,
        "rate_seconds": 30.0,
        "window_seconds": 300.0,
        "step_number": 5_690,
        "total_steps": 20_000,
        "to_go_seconds": 25_620.0,
        "steps_per_second": 0.5587,
        "tokens_per_second": 13_730.0,
        "samples_per_second": 6.7,
        "tokens_per_second_per_gpu": 6_865.0,
        "tokens_per_step": 24_576.0,
        "loss": 2.314,
        "phase": Phase.BACKWARD,
        "phase_age_seconds": 0.4,
        "step_seconds": 1.79,
        "step_p50_seconds": 1.78,
        "step_p95_seconds": 1.86,
        "steps_in_window": 168,
        "phases": phases_of(),
        "ranks": (rank(0), rank(1)),
        "mfu_ratio": 0.379,
        "mfu_terms": (
            "13.7k tok/s × 54.6 GFLOP/token = 750 TFLOP/s",
            "2 GPUs × 989 TFLOP/s (bf16 dense) = 1 978 peak",
            "54.6 = 6 × 8.03 G parameters + 12 × 32 layers × 4 096 wide × 4 096 tokens",
            "bf16 from autocast, parameters counted by the hook",
        ),
        "flops_per_token": 54.6e9,
        "power_watts": 1_230.0,
        "energy_per_token_joules": 0.0896,
        "goodput_ratio": 0.883,
        "first_step_seconds": 41.0,
        "checkpoint_ratio": 0.027,
        "eval_ratio": 0.0,
        "compilations_total": 0,
        "alloc_retries_total": 0,
        "out_of_memory_total": 0,
        "run": run(),
        "cost": 14.26,
        "cost_per_million_tokens": 0.102,
        "price": "$2.50/GPU·h",
        "rate_cells": (13_600.0, 13_700.0, 13_500.0, 12_100.0, 13_700.0, 13_800.0, 13_700.0, 13_700.0, 13_730.0),
    }
    return TrainingView(**(fields | changes))


def probed() -> TrainingView:
    """With the drain probe, padding, evaluation and compilations: nine phases."""
    rows = (*PHASES[:5], (Phase.EVAL, 0.04, None), (Phase.COMPILE, 0.002, None), (Phase.STARTING, 0.001, None), PHASES[5])
    return rich(
        phases=phases_of(rows, {Phase.DATA: 0.03, Phase.OTHER: 0.02, Phase.FORWARD: 0.0}),
        probe=True,
        probed_steps=84,
        drained_steps=12,
        padding_ratio=0.123,
        nonpad_tokens_per_second=12_040.0,
        eval_ratio=0.021,
        compilations_total=3,
    )


def samples() -> TrainingView:
    """vit-l: samples instead of tokens, bound by its data, no MFU."""
    rows = ((Phase.DATA, 1.09, 1.4), (Phase.FORWARD, 0.21, 0.22), (Phase.BACKWARD, 0.43, 0.45), (Phase.OPTIMIZER, 0.06, 0.07), (Phase.OTHER, 0.09, 0.1))  # fmt: skip
    return rich(
        tokens_per_second=None,
        tokens_per_second_per_gpu=None,
        tokens_per_step=None,
        tokens_kind="",
        samples_per_second=272.0,
        steps_per_second=0.53,
        step_seconds=1.88,
        step_p50_seconds=1.8,
        step_p95_seconds=2.4,
        phases=phases_of(rows),
        total_steps=None,
        to_go_seconds=None,
        loss=None,
        mfu_ratio=None,
        mfu_terms=(),
        mfu_missing="tokens are not counted: its batches have no integer ids",
        energy_per_token_joules=None,
        shared_gpu=True,
        cost=None,
        cost_per_million_tokens=None,
        ranks=(
            rank(0, data_wait_seconds=1.09, host_seconds=1.18, tokens_per_second=None),
            rank(1, data_wait_seconds=0.4, host_seconds=0.5, tokens_per_second=None),
        ),
        straggler="rank 0: its host needs 0.68 s a step more than the median",
        rate_cells=(250.0, 260.0, 272.0, None, 272.0, 270.0, 272.0, 281.0, 272.0),
    )


def starting() -> TrainingView:
    """Attached, and no step yet."""
    return TrainingView(
        attached=True,
        source=TrainingSource.HOOK,
        framework="PyTorch 2.13",
        phase=Phase.STARTING,
        phase_age_seconds=38.0,
        age_seconds=0.4,
        ranks=(rank(0, phase=Phase.STARTING, phase_age_seconds=38.0, step_seconds=None, data_wait_seconds=None, host_seconds=None, tokens_per_second=None, allocated_peak_bytes=None, allocated_bytes=None, reserved_bytes=None),),
        mfu_missing="no step yet",
        run=run(first_step_ms=None, last_step_ms=None, last_checkpoint_ms=None, steps_total=0, tokens_total=0, step_number=None),
    )  # fmt: skip


def hung() -> TrainingView:
    """One phase for five minutes."""
    return rich(
        stalled="rank 0 waiting for data for 312 s, a step takes 1.8 s",
        phase=Phase.DATA,
        phase_age_seconds=312.0,
        tokens_per_second=0.0,
        tokens_per_second_per_gpu=0.0,
        steps_per_second=0.0,
        to_go_seconds=None,
        mfu_ratio=0.0,
        goodput_ratio=0.861,
        ranks=(rank(0, phase=Phase.DATA, phase_age_seconds=312.0), rank(1, phase=Phase.BACKWARD, phase_age_seconds=311.0)),
        rate_cells=(13_700.0, 13_700.0, 13_700.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0),
    )


def many(count: int = 16) -> TrainingView:
    """More ranks than rows, one of them slow, one dead."""
    ranks = [rank(number, host_seconds=0.12 + 0.001 * number) for number in range(count)]
    ranks[9] = rank(9, host_seconds=0.61, data_wait_seconds=0.55)
    ranks[12] = dead(12)
    return rich(
        ranks=tuple(ranks),
        parallelism="16 ranks, assumed data parallel",
        straggler="rank 9: its host needs 0.49 s a step more than the median",
        run=run(ranks=16, gpus=8),
    )


def dead(number: int) -> RankView:
    """A rank that was killed."""
    return rank(
        number,
        outcome=RunOutcome.DIED,
        ended_ms=NOW_MS - 15_000,
        phase=None,
        phase_age_seconds=None,
        step_seconds=None,
        data_wait_seconds=None,
        host_seconds=None,
        tokens_per_second=None,
        sm_active_ratio=None,
    )


def one_dead() -> TrainingView:
    """Rank 1 of two was killed."""
    return rich(ranks=(rank(0, phase=Phase.BACKWARD, phase_age_seconds=15.0), dead(1)))


def ended(outcome: RunOutcome = RunOutcome.FAILED, code: int | None = 1, detail: str = "RuntimeError: CUDA out of memory") -> TrainingView:  # fmt: skip
    """A run that is over."""
    bad = outcome is not RunOutcome.FINISHED
    return rich(
        phase=Phase.ENDED,
        age_seconds=95.0,
        tokens_per_second=None,
        samples_per_second=None,
        steps_per_second=None,
        tokens_per_second_per_gpu=None,
        to_go_seconds=None,
        mfu_ratio=None,
        mfu_missing="its run has ended",
        run=run(
            outcome=outcome, ended_ms=NOW_MS - 95_000, exit_code=code, detail=detail, lost_gpu_seconds=1_010.0 if bad else None
        ),
        ranks=tuple(rank(number, outcome=outcome, ended_ms=NOW_MS - 95_000, detail=detail) for number in range(2)),
    )


def from_log() -> TrainingView:
    """Not attached; its log tells steps, tokens and loss."""
    return TrainingView(
        attached=False,
        source=TrainingSource.LOG,
        detail="log of torchtitan: /data/run/train.log",
        parallelism="",
        age_seconds=12.0,
        rate_seconds=30.0,
        window_seconds=300.0,
        step_number=1_250,
        total_steps=5_000,
        to_go_seconds=7_000.0,
        steps_per_second=0.54,
        tokens_per_second=8_210.0,
        tokens_per_second_per_gpu=8_210.0,
        loss=3.021,
        step_seconds=1.85,
        mfu_missing="its model is not known",
        run=run(attached=False, tokens_total=None, git_commit=""),
        rate_cells=(None, None, 8_100.0, 8_200.0, 8_210.0, 8_210.0, None, 8_210.0, 8_210.0),
    )


def unattached() -> TrainingView:
    """Only that it exists is known."""
    return TrainingView(
        attached=False,
        hint="gpuwatch run -- accelerate launch sdxl_ft.py --res 1024",
        run=run(attached=False, steps_total=None, tokens_total=None, step_number=None, total_steps=None, first_step_ms=None, ranks=None),
    )  # fmt: skip


def hostile() -> TrainingView:
    """Foreign words without end, numbers without measure."""
    return rich(
        framework=HOSTILE,
        precision=HOSTILE,
        parallelism=HOSTILE,
        detail=HOSTILE,
        hint=HOSTILE,
        stalled=HOSTILE,
        straggler=HOSTILE,
        loss=float("nan"),
        step_number=10**12,
        total_steps=10**13,
        tokens_per_step=9e12,
        tokens_per_second=9e11,
        tokens_per_second_per_gpu=9e11,
        to_go_seconds=9e9,
        step_seconds=12_345.6,
        step_p50_seconds=12_345.6,
        step_p95_seconds=99_999.0,
        phases=phases_of(((Phase.DATA, 12_345.6, 99_999.9), (Phase.FORWARD, 0.0001, 1e-9), (Phase.OTHER, 1e-9, None))),
        mfu_terms=(HOSTILE, "x" * 300, "y"),
        energy_per_token_joules=1e9,
        cost=1e12,
        cost_per_million_tokens=1e9,
        currency=HOSTILE,
        price=HOSTILE,
        padding_ratio=1.0,
        nonpad_tokens_per_second=0.0,
        run=run(command=HOSTILE, detail=HOSTILE, gpu_seconds=1e13, energy_joules=1e18, tokens_total=10**14, lost_gpu_seconds=1e12),
        ranks=tuple(rank(i, rank=10_000 + i, gpu_index=127, detail=HOSTILE, step_seconds=99_999.0, phase_age_seconds=1e7, allocated_peak_bytes=9e15, tokens_per_second=9e11, outcome=RunOutcome.FAILED if i == 2 else RunOutcome.RUNNING, ended_ms=1) for i in range(5)),
    )  # fmt: skip


def bare() -> TrainingView:
    """Attached, and whatever may be missing is missing."""
    return TrainingView(attached=True, source=TrainingSource.DECLARED, step_number=3, steps_per_second=0.004)


TRAININGS: dict[str, TrainingView] = {
    "rich": rich(),
    "probed": probed(),
    "samples": samples(),
    "starting": starting(),
    "hung": hung(),
    "many": many(),
    "one_dead": one_dead(),
    "failed": ended(),
    "died": ended(RunOutcome.DIED, None, "killed by SIGKILL"),
    "stopped": ended(RunOutcome.STOPPED, None, "SIGINT"),
    "finished": ended(RunOutcome.FINISHED, 0, ""),
    "from_log": from_log(),
    "unattached": unattached(),
    "stale": rich(age_seconds=14.0, phase=None, phase_age_seconds=None),
    "hostile": hostile(),
    "bare": bare(),
}
