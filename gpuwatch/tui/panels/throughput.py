"""Throughput: what each training run and each inference server makes now, or why that is not known."""

from __future__ import annotations

from collections.abc import Sequence

from rich.style import Style

from gpuwatch.format import NOTHING, counted, latency, number, percent_sign, rate, stale
from gpuwatch.names import Latency, Phase, ServerState, TrainingSource
from gpuwatch.tui.draw.frame import box
from gpuwatch.tui.draw.line import Sheet, cut, width_of
from gpuwatch.tui.panels import training_words
from gpuwatch.tui.panels.lanes import chart
from gpuwatch.tui.panels.ledger import fit
from gpuwatch.tui.panels.server_words import (
    FULL,
    count,
    engine_word,
    has_numbers,
    hint_of,
    is_old,
    latency_of,
    mark,
    old_words,
    per_second,
    percentile,
    requests,
    state_words,
    too_slow,
)
from gpuwatch.tui.panels.training_title import step_words
from gpuwatch.tui.state import Context
from gpuwatch.tui.workloads import key_of_work, silent, telling
from gpuwatch.view.inference_types import InferenceView
from gpuwatch.view.training_types import TrainingView
from gpuwatch.view.types import Lane, View, WorkloadView

Words = list[tuple[str, Style]]
NAME, KIND, STATE, VALUE, UNIT = 2, 11, 18, 22, 24
"""Columns from the panel's left edge in one of ``NARROW`` columns: name, kind and a state begin, the value ends, its unit begins."""
NARROW, LONGEST_NAME = 43, 30
MOST_CELLS, UNIT_CELLS = 9, 6
"""Cells of the last minutes; a unit that needs more cells than it has takes some of them."""


def draw_throughput(sheet: Sheet, context: Context, view: View, top: int, rows: int, left: int) -> None:
    """The boxed panel from column ``left`` to the right edge."""
    look, right = context.look, context.width - 1
    shown, quiet = telling(view), silent(view)
    each = rows_each(rows, len(shown))
    table = context.ui.table("throughput")
    visible = table.settle([key_of_work(work) for work in shown], (rows - 2) // each)
    more = f"{len(shown) - len(visible)} more, ↑↓" if len(shown) > len(visible) else ""
    room = right - left - 8 - (len(more) + 3 if more else 0)
    foot = silent_words(quiet, room)
    foot = cut(" · ".join(part for part in (more, foot) if part), right - left - 8)
    box(sheet, top, top + rows - 1, "Throughput", left=left, foot=[(foot, look.dim)] if foot else ())
    if not shown:
        for y, text in zip(range(top + 1, top + rows - 1), _nothing(view)):
            sheet.put(y, left + NAME, cut(text, right - left - 3), look.dim)
        return
    for place, position in enumerate(visible):
        y = top + 1 + place * each
        _workload(sheet, context, shown[position], y, each, left, right)
        for row in range(y, y + each):
            sheet.sides[row] = (left, ("throughput", position))
            if context.ui.focus == "throughput" and position == table.index:
                sheet.ground(row, left + 1, right - 1, "sel")


def silent_words(quiet: Sequence[WorkloadView], room: int) -> str:
    """``2 not attached (gpuwatch run): vit-l, sdxl_ft``, in few cells ``no gpuwatch run: …``; then how many others tell no number."""
    trainings = [work.name or engine_word(work) for work in quiet if work.kind == "training"]
    others = [work.name or engine_word(work) for work in quiet if work.kind != "training"]
    if not trainings:
        return f"{len(others)} without numbers: {', '.join(others)}" if others else ""
    names = ", ".join(trainings)
    rest = f" · {counted(len(others), 'other')}" if others else ""
    blocked = any(work.training is not None and work.training.detail for work in quiet if work.kind == "training")
    short = "not attached" if blocked else "no gpuwatch run"
    texts = (
        f"{len(trainings)} not attached ({'⏎ says why' if blocked else 'gpuwatch run'}): {names}{rest}",
        f"{short}: {names}{rest}",
    )
    return next((text for text in texts if width_of(text) <= room), f"{short}: {names}")


def rows_each(rows: int, shown: int) -> int:
    """Rows of one workload in a panel of ``rows``: three where all have them, two where all or three of them have them; else one."""
    inside = rows - 2
    return 3 if inside >= 3 * max(shown, 3) else 2 if inside >= 2 * min(shown, 3) else 1


def _nothing(view: View) -> tuple[str, str]:
    if not view.workloads:
        return "No server and no training run is seen.", "Attach one: gpuwatch run -- python train.py"
    if any(work.training is not None and work.training.detail for work in view.workloads):
        return "A training could not be attached.", "⏎ on its process says why."
    if all(work.kind == "training" for work in view.workloads):
        return "No run is attached. Start the next one as:", "gpuwatch run -- python train.py"
    return "No server tells its tokens yet.", "Trainings: gpuwatch run -- python train.py"


def _workload(sheet: Sheet, context: Context, work: WorkloadView, y: int, rows: int, left: int, right: int) -> None:
    look, server = context.look, work.inference
    more = max(0, min(LONGEST_NAME - (KIND - NAME - 1), right - left + 1 - NARROW))
    kind = left + KIND + more
    sheet.put(y, left + NAME, cut(work.name, KIND - NAME - 1 + more), look.white)
    word = "train" if work.kind == "training" else engine_word(work, short=True)
    sheet.put(y, kind, cut(word, 6), look.dim)
    if server is not None and not has_numbers(server):
        _state(sheet, context, server, y, rows, (left, left + STATE + more, right))
        return
    if work.training is not None and server is None:
        _training(sheet, context, work.training, y, rows, (left, left + VALUE + more, right))
        return
    value = work.tokens_per_second if server is None else server.output_tokens_per_second
    text = rate(value) if server is None else per_second(server, value, "output_tokens_total")
    old = server is not None and is_old(server)
    _rate(sheet, y, left + VALUE + more, text, "tok/s", value, old)
    if server is None:
        return
    _cells(sheet, y, right, server.rate_cells[-MOST_CELLS:], value, old)
    room = right - 2 - (left + NAME)
    for row, groups in zip(range(y + 1, y + rows), (_now(context, server), _further(context, server))):
        sheet.words(row, left + NAME, fit(groups, room, " · "))


def _rate(sheet: Sheet, y: int, x: int, text: str, unit: str, value: float | None, old: bool) -> None:
    """A rate that ends in column ``x``, and its unit."""
    look = sheet.look
    style = look.dim if old or value is None else look.style("busy", "bg", True) if value else look.white
    sheet.right(y, x, text, style)
    sheet.put(y, x + UNIT - VALUE, unit, look.dim if old else look.fg)


def _cells(sheet: Sheet, y: int, right: int, cells: tuple[float | None, ...], value: float | None, old: bool) -> None:
    """The last minutes at the panel's right edge."""
    peak = max((cell for cell in cells if cell is not None), default=None)
    ink = sheet.look.style("free" if old else "busy")
    chart(sheet, y, right - 2 - len(cells), Lane("output", cells, value, None), peak, 1, ink)


def _training(sheet: Sheet, context: Context, training: TrainingView, y: int, rows: int, columns: tuple[int, int, int]) -> None:
    """What a training makes, what its steps are made of, how far it is. ``columns``: left edge, where the rate ends, right edge."""
    left, value_at, right = columns
    unit, old = training_words.unit_of(training), training_words.is_old(training) or training_words.has_ended(training)
    cells = training.rate_cells[-(MOST_CELLS - max(0, len(unit.name) - UNIT_CELLS)) :]
    state_at = value_at - VALUE + STATE
    state = _state_of(context, training, right - 2 - state_at) if rows == 1 else None
    if state is not None:
        sheet.put(y, state_at, *state)
        return
    _rate(sheet, y, value_at, training_words.small_rate(unit.value), unit.name, unit.value, old)
    _cells(sheet, y, right, cells, unit.value, old)
    room = right - 2 - (left + NAME)
    for row, groups in zip(range(y + 1, y + rows), (step_now(context, training, room), step_further(context, training))):
        sheet.words(row, left + NAME, fit(groups, room, " · "))


def _state_of(context: Context, training: TrainingView, room: int) -> tuple[str, Style] | None:
    """What a single row says in place of a rate: how it ended, that it stands still, which rank is dead; nothing while all is well."""
    look, view = context.look, context.view
    ended = training_words.ended_words(context, view, training) if view is not None else None
    if ended is not None:
        text = ended[0] if width_of(ended[0]) <= room else ended[0].partition(",")[0]
        return cut(text, room), look.style(ended[1], "bg", True)
    if training.stalled:
        text = training.stalled.partition(",")[0]
        return text if width_of(text) <= room else cut("stands still", room), look.amber
    if dead := training_words.dead_words(training):
        return cut(dead, room), look.style("held", "bg", True)
    return None


def _state(sheet: Sheet, context: Context, server: InferenceView, y: int, rows: int, columns: tuple[int, int, int]) -> None:
    """A server without numbers: what is the matter, and what to do. ``columns``: the left edge, where the state begins, the right edge."""
    look = context.look
    left, state, right = columns
    up = server.state in (ServerState.UP, ServerState.STARTING)
    sheet.put(
        y,
        state,
        "no number yet" if server.state is ServerState.UP else state_words(server),
        look.dim if up else look.amber,
    )
    room = right - 2 - (left + NAME)
    for row, line in zip(range(y + 1, y + rows), _lines(hint_of(server, 400), room, rows - 1)):
        sheet.put(row, left + NAME, line, look.dim)


def _lines(text: str, room: int, most: int) -> Sequence[str]:
    """``text`` at its blanks in at most ``most`` lines; what does not fit ends in ``…``."""
    out: list[str] = []
    for word in text.split():
        if out and width_of(out[-1]) + 1 + width_of(word) <= room:
            out[-1] += f" {word}"
        else:
            out.append(word)
    kept = out[:most]
    if len(out) > most and kept:
        kept[-1] = " ".join(out[most - 1 :])
    return [cut(line, room) for line in kept]


def _now(context: Context, server: InferenceView) -> list[Words]:
    """``TTFT p95 412 ms · queue 1 · KV 91%``; what the server does not tell is left out."""
    look = context.look
    plain = look.dim if is_old(server) else look.fg
    groups: list[Words] = []
    if old := old_words(server):
        groups.append([(old, look.amber)])
    ttft = latency_of(server, Latency.TTFT)
    if ttft is not None:
        p95 = percentile(ttft, 95)
        word, text = ("p95", p95) if p95 != NOTHING else ("mean", latency(ttft.mean_seconds))
        if text != NOTHING:
            groups.append(
                [(f"TTFT {word} ", look.dim), (mark(server, "ttft") + text, look.amber if too_slow(server, ttft) else plain)]
            )
    elif server.running_requests is not None:
        groups.append([("running ", look.dim), (count(server, server.running_requests, "running_requests"), plain)])
    if server.waiting_requests is not None:
        groups.append([("queue ", look.dim), (count(server, server.waiting_requests, "waiting_requests"), plain)])
    ratio = server.kv_cache_ratio
    if ratio is not None:
        groups.append(
            [("KV ", look.dim), (mark(server, "kv_cache_ratio") + percent_sign(ratio), look.amber if ratio >= FULL else plain)]
        )
    return groups or [[("no numbers but its tokens", look.dim)]]


def _further(context: Context, server: InferenceView) -> list[Words]:
    """``3.94 req/s · prefix hits 88% · 0.34 J/token``."""
    look = context.look
    plain = look.dim if is_old(server) else look.fg
    groups: list[Words] = []
    if server.requests_per_second is not None:
        groups.append([(requests(server, server.requests_per_second), plain), (" req/s", look.dim)])
    if server.prefix_hit_ratio is not None:
        groups.append([("prefix hits ", look.dim), (percent_sign(server.prefix_hit_ratio), plain)])
    energy = server.energy_per_output_token_joules
    if energy is not None:
        about = mark(server, "output_tokens_total")
        groups.append([(about + number(energy, 2 if energy < 9.995 else 1), plain), (" J/token", look.dim)])
    elif server.shared_gpu:
        groups.append([("shared GPU", look.dim)])
    return groups


def step_now(context: Context, training: TrainingView, room: int) -> list[Words]:
    """``step 1.79 s · data 3% · MFU 38%``; how it ended, what it hangs in, or why there is no step yet, before that."""
    look, view = context.look, context.view
    ended = training_words.ended_words(context, view, training) if view is not None else None
    plain = look.dim if training_words.is_old(training) or ended else look.fg
    groups: list[Words] = []
    if ended is not None:
        groups.append([(cut(ended[0], room), look.style(ended[1], "bg", True))])
    elif training.stalled:
        whole = training.stalled
        short = whole.partition(",")[0]
        texts = (whole, short, ", ".join(short.rsplit(" for ", 1)))
        groups.append([(cut(next((text for text in texts if width_of(text) <= room), short), room), look.amber)])
    elif dead := training_words.dead_words(training):
        groups.append([(cut(dead, room), look.style("held", "bg", True))])
    elif training_words.is_old(training):
        groups.append([(stale(training.age_seconds or 0.0), look.amber)])
    if training.step_seconds is not None:
        groups.append([("step ", look.dim), (training_words.scale_of(training).length(training.step_seconds), plain)])
    elif not groups and training.phase is not None:
        groups.append([(training_words.lasting(training.phase, training.phase_age_seconds), plain)])
    data = next((each for each in training.phases if each.phase is Phase.DATA), None)
    if data is not None or training.phases:
        share = data.share if data is not None else 0.0
        much = share >= training_words.DATA_NOTICE and ended is None
        groups.append([("data ", look.dim), (percent_sign(share), look.amber if much else plain)])
    if training.mfu_ratio is not None:
        groups.append([("MFU ", look.dim), (percent_sign(training.mfu_ratio), plain)])
    if training.source is TrainingSource.LOG and ended is None:
        groups.append([(training_words.source_words(training), look.dim)])
    return groups or [[("no step yet", look.dim)]]


def step_further(context: Context, training: TrainingView) -> list[Words]:
    """``step 5 690 of 20 000 · loss 2.314 · 0.090 J/token``."""
    look = context.look
    groups: list[Words] = []
    if training_words.steps_done(training) is not None:
        groups.append(step_words(context, training))
    if training.loss is not None:
        groups.append([("loss ", look.dim), (training_words.loss_text(training.loss), look.fg)])
    energy = training.energy_per_token_joules
    if energy is not None:
        groups.append([(number(energy, 3 if energy < 0.0995 else 2), look.fg), (" J/token", look.dim)])
    return groups
