"""The two rows above the panels of a training: what it is, where, how it is attached or how it ended; how far it is."""

from __future__ import annotations

from rich.style import Style

from gpuwatch.format import age, duration, number
from gpuwatch.tui.draw.frame import words_width
from gpuwatch.tui.draw.line import Sheet, cut
from gpuwatch.tui.panels.ledger import fit
from gpuwatch.tui.panels.processes import quantised
from gpuwatch.tui.panels.training_words import (
    ended_words,
    has_ended,
    is_old,
    lasting,
    loss_text,
    source_words,
    steps_done,
)
from gpuwatch.tui.panels.workload_title import gpus_text
from gpuwatch.tui.state import Context
from gpuwatch.tui.workloads import gpus_of, in_order, tells_steps
from gpuwatch.view.training_types import TrainingView
from gpuwatch.view.types import View, WorkloadView

Words = list[tuple[str, Style]]


def draw_title(sheet: Sheet, context: Context, view: View, work: WorkloadView, training: TrainingView) -> None:
    """Rows 1 and 2. Groups that do not fit are dropped whole, the last ones first."""
    look, width = context.look, context.width
    left = 0 if width < 100 else 1
    hint: Words = [(", .", look.acc), (" other", look.dim)] if len(in_order(view)) > 1 else []
    room = width - 1 - left - (words_width(hint) + 2 if hint else 0)
    at = sheet.put(1, left, cut(work.name or work.kind, min(32, room // 2)), look.white) + 2
    for level in range(3):
        groups = _what(context, view, work, training, level)
        if sum(words_width(group) + 3 for group in groups) - 3 <= left + room - at:
            break
    sheet.words(1, at, fit(groups, left + room - at, " · "))
    if hint:
        sheet.words_right(1, width - 2 + (width < 100), hint)
    room = width - 1 - left
    sheet.words(2, left, fit(_how_far(context, view, work, training, room), room, " · "))


def _what(context: Context, view: View, work: WorkloadView, training: TrainingView, level: int) -> list[Words]:
    """Kind, end, owner, ranks and GPUs, pid, source, framework; with each ``level`` some of them are shorter."""
    look = context.look
    groups: list[Words] = [[("training", look.fg)]]
    if (end := ended_words(context, view, training)) is not None:
        groups.append([("", look.dim), (end[0], look.style(end[1], "bg", True))])
    if work.user:
        groups.append([(cut(work.user, 16), look.fg)])
    where = places_text(view, work, training, assumed=level < 2)
    if where:
        groups.append([(cut(where, 60), look.fg)])
    if work.root_pid:
        groups.append([(f"pid {work.root_pid}", look.fg)])
    known = training.attached or training.source is not None
    groups.append([("", look.fg), (source_words(training, short=level > 0), look.fg if known else look.amber)])
    more = " ".join(cut(word, 20) for word in (training.framework, training.precision) if word)
    if more and level == 0 and context.width >= 160:
        groups.append([(more, look.fg)])
    return groups


def places_text(view: View, work: WorkloadView, training: TrainingView, *, assumed: bool) -> str:
    """``2 ranks on GPU 0, 1, assumed data parallel``; without ``assumed`` the last part stands elsewhere."""
    gpus = gpus_text(view, gpus_of(view, work))
    ranks, comma, how = training.parallelism.partition(",")
    if not gpus and not work.gpu_indices:
        gpus = "the CPU" if work.root_pid else ""
    text = f"{ranks} on {gpus}" if ranks and gpus else ranks or (f"on {gpus}" if gpus == "the CPU" else gpus)
    return f"{text}{comma}{how}" if assumed else text


def _how_far(context: Context, view: View, work: WorkloadView, training: TrainingView, room: int) -> list[Words]:
    """A hang or old numbers first; then step, tokens a step, how long it runs, what is left, its loss."""
    look, ended = context.look, has_ended(training)
    groups: list[Words] = []
    if training.stalled and not ended:
        groups.append([(cut(training.stalled, room), look.amber)])
    if is_old(training) and training.age_seconds is not None:
        groups.append([(f"numbers {duration(training.age_seconds)} old", look.amber)])
    trouble = training.run.detail if ended and training.run is not None else training.detail if training.attached else ""
    if trouble:
        hint = f" ({training.hint})" if training.hint and not ended else ""
        groups.append([(cut(trouble, 60), look.fg if ended else look.amber), (cut(hint, 60), look.dim)])
    if steps_done(training) is not None:
        groups.append(step_words(context, training))
    elif tells_steps(training) and not ended and training.step_seconds is None:
        doing = lasting(training.phase, training.phase_age_seconds)
        groups.append([(f"{doing}, no step yet" if doing else "no step yet", look.fg)])
    if training.tokens_per_step is not None:
        groups.append([(f"{number(training.tokens_per_step)} tokens a step", look.dim)])
    groups.append([("ran " if ended else "running ", look.dim), (_running(view, work, training), look.dim)])
    if training.to_go_seconds is not None and not ended:
        groups.append([(f"{duration(training.to_go_seconds)} to go at this rate", look.dim)])
    if training.loss is not None:
        groups.append([("loss ", look.dim), (loss_text(training.loss), look.fg)])
    if training.detail and not training.attached:
        groups.append([(cut(training.detail, 60), look.dim)])
    return groups


def step_words(context: Context, training: TrainingView) -> Words:
    """``step 5 690 of 20 000``; ``5 690 steps`` where the script's own count is not known: it may have begun with another one."""
    look, done = context.look, number(steps_done(training))
    if training.step_number is None:
        return [(done, look.fg), (" steps", look.dim)]
    words: Words = [("step ", look.dim), (done, look.fg)]
    if training.total_steps:
        words.append((f" of {number(training.total_steps)}", look.dim))
    return words


def _running(view: View, work: WorkloadView, training: TrainingView) -> str:
    run = training.run
    start = run.started_ms if run is not None else work.root_start_ms
    end = run.ended_ms if run is not None and run.ended_ms is not None else view.at_ms
    return age(quantised(max(0, end - start) / 1000))
