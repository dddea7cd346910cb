"""The trainings of ``gpuwatch status`` as lines of text: one row each, what is wrong with it, and how one is attached."""

from __future__ import annotations

from collections.abc import Sequence

from gpuwatch import format as fmt
from gpuwatch.names import Phase, RunOutcome, TrainingSource
from gpuwatch.report.servers_text import WIDE, folded, gpu_list
from gpuwatch.report.table import Column, Paint, table
from gpuwatch.view.training_types import RankView, TrainingView
from gpuwatch.view.types import View, WorkloadView

STALE_SECONDS = 5.0
MOST_RANKS = 4
"""So many ranks that ended are named, and how many more there are."""
PHASE_WORDS = {
    Phase.STARTING: "starting",
    Phase.DATA: "data",
    Phase.FORWARD: "forward",
    Phase.BACKWARD: "backward",
    Phase.OPTIMIZER: "optimizer",
    Phase.CHECKPOINT: "checkpoint",
    Phase.EVAL: "evaluation",
    Phase.COMPILE: "compiling",
    Phase.OTHER: "own code",
    Phase.ENDED: "ended",
}
OUTCOME_WORDS = {
    RunOutcome.FINISHED: "finished",
    RunOutcome.FAILED: "failed",
    RunOutcome.STOPPED: "was stopped",
    RunOutcome.DIED: "died",
    RunOutcome.UNKNOWN: "is gone",
}


def trainings(view: View, width: int, paint: Paint) -> list[str]:
    """The block; empty where nothing trains."""
    there = [(work, work.training) for work in view.workloads if work.training is not None]
    known = [(work, training) for work, training in there if _tells(training)]
    lines: list[str] = []
    if known:
        unit = _unit(known)
        columns = [
            Column("Training", [_name(work, 28 if width >= WIDE else 19) for work, _ in known], align="left"),
            Column("GPU", [gpu_list(work.gpu_indices) for work, _ in known], align="left"),
            Column("ranks", [str(len(training.ranks)) for _, training in known], drop=6),
            Column(unit or "a second", [_rate(training, "" if unit else f" {_of(training)}") for _, training in known]),
            Column("step s", [_step(training) for _, training in known]),
            Column("step", [_number(training) for _, training in known], drop=3),
            Column("data %", [_data(training) for _, training in known]),
            Column("MFU %", [fmt.percent(training.mfu_ratio) for _, training in known], drop=2),
            Column("J/tok", [_energy(training) for _, training in known], drop=4),
            Column("now", [_now(training) for _, training in known], align="left", drop=1),
            Column("Model", [training.model or work.model for work, training in known], align="left", drop=8),
        ]
        head, *rows = table(columns, width, paint)
        lines.append(head)
        for row, (_, training) in zip(rows, known, strict=True):
            lines += [row, *_notes(view, training, width, paint)]
    silent = [(work, training) for work, training in there if not _tells(training)]
    for work, training in silent:
        name = _name(work, 28)
        where = f" on GPU {gpu_list(work.gpu_indices)}" if work.gpu_indices else ""
        if training.hint:
            lines.append(paint(fmt.cut(f"training {name}{where}: tokens/s and steps need  {training.hint}", width), "dim"))
        else:
            lines += [f"training {name}{where}", *(paint(line, "notice") for line in folded(training.detail, width))]
    return lines


def _tells(training: TrainingView) -> bool:
    """Whether anything was read of its steps, or will be."""
    return bool(training.ranks)


def _name(work: WorkloadView, room: int) -> str:
    return fmt.cut(work.name or work.model or "training", room)


def _unit(known: Sequence[tuple[WorkloadView, TrainingView]]) -> str:
    """What rates are of; empty where trainings differ, and each says its own."""
    return f"{_of(known[0][1])}/s" if len({_of(training) for _, training in known}) == 1 else ""


def _of(training: TrainingView) -> str:
    return "samples" if training.tokens_per_second is None and training.samples_per_second is not None else "tok"


def _rate(training: TrainingView, unit: str) -> str:
    """Tokens a second, else samples; nothing is 0, not known is not."""
    rate = training.samples_per_second if training.tokens_per_second is None else training.tokens_per_second
    return fmt.NOTHING if rate is None else fmt.rate(rate) + unit


def _step(training: TrainingView) -> str:
    seconds = training.step_seconds
    return fmt.NOTHING if seconds is None else fmt.number(seconds, 3 if seconds < 0.995 else 2 if seconds < 99.5 else 0)


def _number(training: TrainingView) -> str:
    if training.step_number is None:
        return fmt.NOTHING
    return f"{training.step_number}" if training.total_steps is None else f"{training.step_number}/{training.total_steps}"


def _data(training: TrainingView) -> str:
    """Share of a step in which it waits for data: where parts are known and none of them is that, 0."""
    if not training.phases:
        return fmt.NOTHING
    return fmt.percent(next((phase.share for phase in training.phases if phase.phase is Phase.DATA), 0.0))


def _energy(training: TrainingView) -> str:
    if training.shared_gpu:
        return "shared"
    joules = training.energy_per_token_joules
    return fmt.NOTHING if joules is None else fmt.number(joules, 2 if joules < 99.95 else 0)


def _now(training: TrainingView) -> str:
    if training.source is TrainingSource.LOG:
        return "by its log"
    return fmt.NOTHING if training.phase is None else PHASE_WORDS[training.phase]


def _notes(view: View, training: TrainingView, width: int, paint: Paint) -> list[str]:
    """What stands under a row: a stall, ranks that ended, who the others wait for, what is wrong, and what to do about it."""
    notes = [(text, "notice") for text in (training.stalled, *_gone(view, training.ranks), training.straggler) if text]
    if training.source is TrainingSource.LOG:
        told = training.detail, _line_age(training), f"step times need  {training.hint}"
        notes.append((" · ".join(text for text in told if text), "dim"))
    elif training.detail:
        notes.append((f"{training.detail}: {training.hint}" if training.hint else training.detail, "notice"))
    elif training.hint:
        notes.append((f"step times need  {training.hint}", "dim"))
    if old := _old(view, training):
        notes.append((old, "notice"))
    return [paint(line, style) for text, style in notes for line in folded(text, width)]


def _gone(view: View, ranks: Sequence[RankView]) -> list[str]:
    """Ranks that ended before the others, with when."""
    ended = [rank for rank in ranks if rank.outcome is not RunOutcome.RUNNING]
    if len(ended) == len(ranks):
        return []
    bad = [rank for rank in ended if rank.outcome is not RunOutcome.FINISHED]
    told = [_end(view, rank) for rank in bad[:MOST_RANKS]]
    return [*told, *([f"{len(bad) - MOST_RANKS} more ranks ended"] if len(bad) > MOST_RANKS else [])]


def _end(view: View, rank: RankView) -> str:
    name = f"pid {rank.pid}" if rank.rank is None else f"rank {rank.rank} (pid {rank.pid})"
    where = f" on GPU {rank.gpu_index}" if rank.gpu_index is not None else ""
    ago = f" {fmt.duration((view.at_ms - rank.ended_ms) / 1000)} ago" if rank.ended_ms is not None else ""
    why = f": {rank.detail}" if rank.detail else ""
    return f"{name}{where} {OUTCOME_WORDS.get(rank.outcome, rank.outcome.label)}{ago}{why}"


def _line_age(training: TrainingView) -> str:
    """How old what a log says is; nothing while it is as young as what an agent tells."""
    age = training.age_seconds
    return f"its newest line is {fmt.duration(age)} old" if age is not None and age > STALE_SECONDS else ""


def _old(view: View, training: TrainingView) -> str:
    """How long ago it told something, where not all of the view is as old."""
    if training.age_seconds is None or view.past or training.source is TrainingSource.LOG:
        return ""
    age = training.age_seconds - max(0, view.now_ms - view.at_ms) / 1000
    return f"last told {fmt.duration(age)} ago" if age > STALE_SECONDS else ""
