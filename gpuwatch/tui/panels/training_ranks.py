"""The ranks of a training: what each needs for a step, which one the others wait for, which one is dead."""

from __future__ import annotations

from rich.style import Style

from gpuwatch.format import NOTHING, gib, number, percent_sign
from gpuwatch.names import Phase, RunOutcome
from gpuwatch.tui.draw.frame import box
from gpuwatch.tui.draw.line import Sheet, cut, width_of
from gpuwatch.tui.panels.training_words import bad_end, has_ended, is_old, lasting, rank_end, rank_name, scale_of, small_rate
from gpuwatch.tui.state import Context
from gpuwatch.view.training_types import RankView, TrainingView
from gpuwatch.view.types import View

Words = list[tuple[str, Style]]
MOST_IN_ORDER = 4
"""More ranks than these stand with the slowest first."""
RANK, GPU, AFTER = 6, 12, 15
"""Right edges of rank and GPU; where a sentence about a rank begins."""
TOKENS = "tok/s"
COLUMNS = ((21, "step"), (29, "data"), (37, "host"), (48, "SM active"), (56, TOKENS), (63, "GiB"))
"""Right edges and titles, the first three with their unit; what is beyond the panel is left out."""
TIMES = 3


def in_order(training: TrainingView) -> list[RankView]:
    """By rank; where there are more than four the dead ones first, then those that the others wait for, then the slowest."""
    ranks = list(training.ranks)
    if len(ranks) <= MOST_IN_ORDER:
        return ranks
    return sorted(ranks, key=lambda rank: (not bad_end(rank), not holds_up(training, rank), -(rank.host_seconds or 0.0), -(rank.step_seconds or 0.0)))  # fmt: skip


def holds_up(training: TrainingView, rank: RankView) -> bool:
    """Whether a rank of a training that stands still is one that the others wait for: they do so in backward, as a rule."""
    if not training.stalled or rank.phase is None:
        return False
    return rank.phase is not Phase.BACKWARD or all(each.phase in (None, Phase.BACKWARD) for each in training.ranks)


def straggler_of(training: TrainingView) -> RankView | None:
    """The rank that the others wait for, where one stands out: the one with most time on its own host."""
    known = [rank for rank in training.ranks if rank.host_seconds is not None]
    return max(known, key=lambda rank: rank.host_seconds or 0.0) if training.straggler and known else None


def note_of(context: Context, training: TrainingView) -> Words:
    """The straggler in amber, or that there is none."""
    look = context.look
    if training.straggler:
        return [(training.straggler, look.amber)]
    known = [rank for rank in training.ranks if rank.host_seconds is not None]
    fine = len(known) > 1 and not training.stalled and not any(map(bad_end, training.ranks))
    return [("no straggler", look.dim)] if fine else []


def rows_wanted(training: TrainingView) -> int:
    """Rows of the panel in which every rank and both sentences have room."""
    return 5 + max(1, len(training.ranks))


def draw_ranks(sheet: Sheet, context: Context, view: View, training: TrainingView, top: int, rows: int, right: int) -> None:
    """The boxed panel in columns 0 to ``right``."""
    look, bottom, inside = context.look, top + rows - 1, rows - 2
    ranks, note = in_order(training), note_of(context, training)
    title = f"Ranks {len(ranks)}" if ranks else "Ranks"
    long = bool(note) and width_of(note[0][0]) + len(title) + 12 > right
    room = inside - 1
    left_out = len(ranks) - room if len(ranks) > room else 0
    foot = f"+{left_out} more" if left_out else ""
    box(sheet, top, bottom, title, right=right, note=() if long else note, foot=[(foot, look.dim)] if foot else ())
    if not ranks:
        sheet.put(top + 1, 2, cut("None is attached: which process does what is not known.", right - 3), look.dim)
        return
    draw_heads(sheet, training, top + 1, right)
    straggler = straggler_of(training)
    y = top + 2
    for rank in ranks[:room]:
        draw_rank(sheet, context, view, training, rank, y, right, amber=rank is straggler)
        y += 1
    lines = ([(note[0][0], look.amber)] if long else []) + [(text, look.dim) for text in sentences_of(training)]
    for text, style in lines:
        if y < bottom and (style is look.amber or width_of(text) <= right - 3):
            sheet.put(y, 2, cut(text, right - 3), style)
            y += 1


def draw_heads(sheet: Sheet, training: TrainingView, y: int, right: int) -> None:
    """The titles of the columns."""
    dim, unit = sheet.look.dim, scale_of(training).unit
    sheet.right(y, RANK, "Rank", dim)
    sheet.right(y, GPU, "GPU", dim)
    if not timed(training):
        sheet.put(y, AFTER, "how it ended" if has_ended(training) else "what it does", dim)
        return
    for place, (at, title) in enumerate(COLUMNS):
        if at <= right - 2 and (title != TOKENS or counts_tokens(training)):
            sheet.right(y, at, f"{title} {unit}" if place < TIMES else title, dim)


def timed(training: TrainingView) -> bool:
    """Whether any rank has a row of numbers, and not of words."""
    return any(rank.outcome is RunOutcome.RUNNING and not in_words(training, rank) for rank in training.ranks)


def in_words(training: TrainingView, rank: RankView) -> bool:
    """Whether what it does now says more of a running rank than its numbers: they are of a time when it stepped, or not there yet."""
    return rank.phase is not None and (bool(training.stalled) or rank.step_seconds is None)


def counts_tokens(training: TrainingView) -> bool:
    """Whether any rank tells tokens; without them their column is left out."""
    return any(rank.tokens_per_second is not None for rank in training.ranks)


def draw_rank(sheet: Sheet, context: Context, view: View, training: TrainingView, rank: RankView, y: int, right: int, *, amber: bool) -> None:  # fmt: skip
    """One row: its numbers, or how it ended, or what it hangs in."""
    look = context.look
    end = rank_end(context, view, rank)
    strong = look.style(end[1], "bg", True) if end else look.amber if amber else look.white
    sheet.right(y, RANK, NOTHING if rank.rank is None else str(rank.rank), strong)
    sheet.right(y, GPU, NOTHING if rank.gpu_index is None else str(rank.gpu_index), look.white if rank.gpu_index is not None else look.dim)  # fmt: skip
    if end is not None:
        sheet.put(y, AFTER, cut(end[0], right - 1 - AFTER), look.style(end[1], "bg", True))
        return
    if in_words(training, rank):
        style = look.amber if holds_up(training, rank) else look.fg
        sheet.put(y, AFTER, cut(lasting(rank.phase, rank.phase_age_seconds), right - 1 - AFTER), style)
        return
    scale = scale_of(training)
    peak = rank.allocated_peak_bytes if rank.allocated_peak_bytes is not None else rank.allocated_bytes
    texts = (
        scale.text(rank.step_seconds),
        scale.text(rank.data_wait_seconds),
        scale.text(rank.host_seconds),
        percent_sign(rank.sm_active_ratio),
        small_rate(rank.tokens_per_second),
        gib(peak),
    )
    dim = is_old(training) or has_ended(training)
    for place, ((at, title), text) in enumerate(zip(COLUMNS, texts)):
        if at <= right - 2 and (title != TOKENS or counts_tokens(training)):
            late = amber and place in (1, 2)
            sheet.right(y, at, text, look.dim if dim or text == NOTHING else look.amber if late else look.fg)


def sentences_of(training: TrainingView) -> list[str]:
    """What the columns mean, and what the allocator says."""
    out: list[str] = []
    if not timed(training):
        return out
    if any(rank.host_seconds is not None for rank in training.ranks):
        out.append("host = data wait and other host time: what peers wait for")
    reserved = [rank.reserved_bytes for rank in training.ranks if rank.reserved_bytes is not None]
    if reserved:
        out.append(f"GiB = peak allocated; reserved at most {gib(max(reserved))}")
    if training.alloc_retries_total is not None or training.out_of_memory_total is not None:
        retries, full = number(training.alloc_retries_total), number(training.out_of_memory_total)
        out.append(f"allocator: {retries} retries, {full} out of memory since attaching")
    return out


def line_of(context: Context, view: View, training: TrainingView) -> list[Words]:
    """All ranks in one line: how many, the dead ones, the straggler, what they hang in, the allocator."""
    look, ranks, room = context.look, training.ranks, context.width - 12
    if not ranks:
        return [[("Ranks ", look.dim), (NOTHING, look.dim)]]
    groups: list[Words] = [[("Ranks ", look.dim), (str(len(ranks)), look.white)]]
    for rank in ranks:
        if bad_end(rank) and (end := rank_end(context, view, rank)) is not None:
            groups.append([(cut(f"{rank_name(rank)} {end[0]}", room), look.style(end[1], "bg", True))])
    if training.stalled:
        slow = [rank for rank in ranks if holds_up(training, rank)]
        said = [f"{rank_name(rank)} {lasting(rank.phase, rank.phase_age_seconds)}" for rank in slow]
        groups += [[(cut(text, room), look.amber)] for text in said]
    elif training.straggler:
        groups.append([(cut(training.straggler, room), look.amber)])
    elif note := note_of(context, training):
        groups.append(note)
    scale = scale_of(training)
    host = [rank.host_seconds for rank in ranks if rank.host_seconds is not None]
    if len(host) > 1:
        least, most = scale.text(min(host)), scale.length(max(host))
        groups.append([("host ", look.dim), (most if most.startswith(f"{least} ") else f"{least} to {most}", look.fg)])
    peaks = [rank.allocated_peak_bytes for rank in ranks if rank.allocated_peak_bytes is not None]
    if peaks:
        groups.append([("peak ", look.dim), (f"{gib(max(peaks))} GiB", look.fg)])
    return groups
