"""The two rows above the panels of a workload: what it is and where, how old it and its numbers are."""

from __future__ import annotations

from rich.style import Style

from gpuwatch.format import about, age, duration, latency, number
from gpuwatch.names import ServerState
from gpuwatch.tui.draw.frame import words_width
from gpuwatch.tui.draw.line import Sheet, cut
from gpuwatch.tui.panels.gpus import label_among
from gpuwatch.tui.panels.ledger import fit
from gpuwatch.tui.panels.processes import quantised
from gpuwatch.tui.panels.server_words import engine_word, ever_told, hint_of, is_old, old_words, state_words
from gpuwatch.tui.state import Context
from gpuwatch.tui.workloads import gpus_of, in_order
from gpuwatch.view.inference_types import InferenceView
from gpuwatch.view.types import GpuView, View, WorkloadView

Words = list[tuple[str, Style]]


def draw_title(sheet: Sheet, context: Context, view: View, work: WorkloadView) -> None:
    """Rows 1 and 2. Groups that do not fit are dropped whole, the last ones first."""
    look, width = context.look, context.width
    left = 0 if width < 100 else 1
    hint: Words = [(", .", look.acc), (" other", look.dim)] if len(in_order(view)) > 1 else []
    room = width - 1 - left - (words_width(hint) + 2 if hint else 0)
    at = sheet.put(1, left, cut(work.name or engine_word(work), min(32, room // 2)), look.white) + 2
    sheet.words(1, at, fit(_what(context, view, work), left + room - at, " · "))
    if hint:
        sheet.words_right(1, width - 2 + (width < 100), hint)
    server = work.inference
    if server is not None:
        sheet.words(2, left, fit(_when(context, server, width - 1 - left), width - 1 - left, " · "))
    else:
        sheet.words(2, left, fit([[("up ", look.dim), (_up(view, work), look.fg)]] if work.root_pid else [], width - 1 - left))


def _what(context: Context, view: View, work: WorkloadView) -> list[Words]:
    """Engine, owner, model and GPUs, pid, port; an engine whose page nobody has seen is called unverified."""
    look, server = context.look, work.inference
    version = server.engine_version if server is not None else ""
    groups: list[Words] = [[(cut(f"{engine_word(work)} {version}".rstrip(), 28), look.fg)]]
    if work.kind != "inference" and work.engine:
        groups.insert(0, [(work.kind, look.fg)])
    if server is not None and not server.verified:
        groups[0].append((" unverified", look.amber))
    if work.user:
        groups.append([(cut(work.user, 16), look.fg)])
    model = (server.served_model if server is not None else "") or work.model
    where = gpus_text(view, gpus_of(view, work))
    shown = cut(model.rstrip("/").rpartition("/")[2], 40) if model else ""
    if shown and shown != work.name and where:
        groups.append([(f"{shown} on {where}", look.fg)])
    elif where or (shown and shown != work.name):
        groups.append([(where or shown, look.fg)])
    if work.root_pid:
        groups.append([(f"pid {work.root_pid}", look.fg)])
    host, port = address_of(work)
    if work.root_pid and port:
        groups.append([(f"port {port}", look.fg)])
    elif not work.root_pid and host:
        groups.append([(cut(f"{host}:{port}" if port else host, 40), look.fg)])
    return groups


def gpus_text(view: View, gpus: list[GpuView]) -> str:
    """``GPU 4``, ``GPU 0, 1``, ``8 GPUs``."""
    labels = [label_among(view, gpu.gpu_uuid) for gpu in gpus]
    return "" if not labels else f"GPU {', '.join(labels)}" if len(labels) <= 4 else f"{len(labels)} GPUs"


def address_of(work: WorkloadView) -> tuple[str, str]:
    """Host and port that its page is read from; the port of its command line where there is no page yet."""
    url = work.inference.url if work.inference is not None else ""
    rest = url.partition("://")[2].partition("/")[0]
    host, colon, port = rest.rpartition(":")
    if colon and port.isdigit():
        return host, port
    return rest, str(work.port) if work.port and not rest else ""


def path_of(server: InferenceView) -> str:
    """``/metrics `` in front of a verb, if its address has a path."""
    _, slash, path = server.url.partition("://")[2].partition("/")
    return cut("/" + path.partition("?")[0], 24) + " " if slash and path else ""


def _up(view: View, work: WorkloadView) -> str:
    return age(quantised(max(0, view.at_ms - work.root_start_ms) / 1000))


def _when(context: Context, server: InferenceView, room: int) -> list[Words]:
    """What is wrong first; then up time, the page and its age, what the numbers are means of."""
    look = context.look
    groups: list[Words] = []
    if server.state is not ServerState.UP and ever_told(server):
        words: Words = [(state_words(server), look.amber)]
        if server.hint or server.detail:
            words.append((": " + hint_of(server, room - len(state_words(server)) - 2), look.fg))
        groups.append(words)
    elif server.hint and ever_told(server):  # it tells some numbers, and could tell more
        groups.append([(cut(server.hint, room), look.acc)])
    if old := old_words(server):
        groups.append([(old, look.amber)])
    if server.up_seconds is not None:
        groups.append([("up ", look.dim), (age(quantised(server.up_seconds)), look.dim)])
    if server.age_seconds is not None and not is_old(server):
        every = f" every {server.interval_seconds:g} s" if server.interval_seconds else ""
        seconds = server.age_seconds
        ago = f"{number(seconds, 1)} s" if seconds < 9.95 else duration(seconds)
        groups.append([(f"{path_of(server)}read{every}, last {ago} ago", look.dim)])
    if server.scrape_seconds is not None and context.width >= 160:
        groups.append([(f"takes {latency(server.scrape_seconds)}", look.dim)])
    if server.rate_seconds and server.window_seconds:
        rates, rest = about(server.rate_seconds), about(server.window_seconds)
        groups.append(
            [
                (f"rates over {rates}", look.dim),
                (f", the rest over {rest} unless noted" if context.width >= 100 else "", look.dim),
            ]
        )
    return groups
