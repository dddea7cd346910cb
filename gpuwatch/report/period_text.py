"""A report as text for a terminal, a pipe or a mail: one column of blocks at 80 cells, two from 120 on. Knows only the model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

from gpuwatch.format import cells, cut
from gpuwatch.names import Bucket
from gpuwatch.report import period_words as words
from gpuwatch.report.ink import Look
from gpuwatch.report.lines import Block, beside, head, line, rendered, spread, wrapped
from gpuwatch.report.period_blocks import owners, waterfall
from gpuwatch.report.period_figures import Figures
from gpuwatch.report.period_findings import finding_tables
from gpuwatch.report.period_strip import strip
from gpuwatch.report.period_tables import Table, main_table, others, without_gpus
from gpuwatch.report.table import GAP, Column, table
from gpuwatch.view.period.types import Report

MIN_WIDTH, TWO_COLUMNS, MOST_WIDTH = 60, 120, 200
NAMES = (32, 24, 20, 16, 13)
"""Cells of a foreign name, the first with which no column must be dropped."""
GAPS, EVENTS, FIELDS = 5, 5, 8
"""So many of each are told; the JSON has more."""
EXPLAINED: Mapping[str, Bucket | None] = {
    "efficiency": None,
    "held idle": Bucket.HELD_IDLE,
    "wait": Bucket.WAIT,
    "unused": Bucket.ALLOCATED_UNUSED,
    "idle ?": Bucket.IDLE_UNATTRIBUTED,
    "throttled": Bucket.THROTTLED,
    "busy, quality unknown": Bucket.BUSY_UNKNOWN,
}
"""Words that are explained where there is any of it; Markdown and JSON explain all."""


def report_text(report: Report, *, width: int = 100, look: Look | None = None) -> str:
    """The whole text with a newline at its end, no line wider than ``width`` cells (at least 60)."""
    width, look = min(max(width, MIN_WIDTH), MOST_WIDTH), look or Look()
    figures = Figures(report)
    blocks = [_header(report, width), _score(report, figures, width)]
    if report.total.capacity_gpu_ms and report.total.observed_gpu_ms:
        blocks += _charts(report, figures, width, look)
        blocks.append(drawn(main_table(report, figures), width))
        blocks += [drawn(each, width) for each in others(report, figures) if each.title != "Users"]  # they have their bars
    else:
        blocks += [drawn(each, width) for each in without_gpus(report, figures)]
    blocks += [drawn(each, width) for each in finding_tables(report, figures)]
    blocks.append(_data(report, figures, width))
    blocks.append(_more(report, width))
    return rendered(blocks, width, look)


def _header(report: Report, width: int) -> Block:
    span = report.span
    mark = words.simulated(span)
    name = cut(words.hosts(span), max(12, width - 40))
    first = line((" gpuwatch ", "badge"), " ", (name, "bold"), " ", (words.gpus(span), "dim"))
    when = f"{words.asked(report)} · {words.zone(span)}"
    if width >= TWO_COLUMNS:
        return [spread([*first, ("  " + when, "bold")], line((mark, "notice")), width)]
    return [spread(first, line((mark, "notice")), width), line((when, "bold"))]


def _score(report: Report, figures: Figures, width: int) -> Block:
    out = [
        *wrapped(words.efficiency(report, figures), width, style="bold"),
        *(wrapped(words.evidence(report), width, style="dim") if report.total.capacity_gpu_ms else []),
    ]
    if report.total.observed_gpu_ms:
        out += wrapped(words.amounts(report, figures), width)
    for note in report.notes:
        out += wrapped(note, width, style="notice")
    return out


def _charts(report: Report, figures: Figures, width: int, look: Look) -> list[Block]:
    if width < TWO_COLUMNS:
        who = [owners(report, figures, width, look)] if report.by != "user" else []
        return [waterfall(report, figures, width, look), strip(report, width, look), *who]
    half = (width - 2) // 2
    return [
        beside(waterfall(report, figures, half, look), owners(report, figures, half, look), half),
        strip(report, width, look),
    ]


def drawn(of: Table, width: int) -> Block:
    """A table under its title; foreign names are cut, so that numbers never are."""
    out = [head(of.title, width, of.note)]
    if not of.rows:
        return [*out, *wrapped(of.empty, width)]
    lines = table(
        next((found for found in map(partial(_columns, of), NAMES) if _total(found) <= width), _columns(of, NAMES[-1])), width
    )
    for number, text in enumerate(lines):
        style = "dim" if number == 0 else "bold" if of.summed and number == len(lines) - 1 else ""
        out.append(line((text, style)))
    for text in of.below:
        out += wrapped(text, width, style="dim")
    return out


def _columns(of: Table, most: int) -> list[Column]:
    """The columns as a plain table takes them, foreign names cut to so many cells; the last column is cut by the table."""
    out = []
    for number, each in enumerate(of.columns):
        last = number == len(of.columns) - 1
        texts = [clipped(text, most) if each.name and not last else text for text in each.cells]
        if of.summed:
            texts.append(each.sum)
        out.append(Column(each.text, texts, align=each.align, drop=each.drop))
    return out


def clipped(text: str, most: int) -> str:
    """A foreign name in so many cells; the number of a GPU behind its host's name is never cut."""
    host, colon, number = text.rpartition(":")
    room = most - 1 - cells(number)
    return f"{cut(host, room)}:{number}" if colon and " " not in host and room > 2 else cut(text, most)


def _total(columns: Sequence[Column]) -> int:
    return sum(column.width + len(GAP) for column in columns) - len(GAP)


def _data(report: Report, figures: Figures, width: int) -> Block:
    """Whether to trust it: gaps, lost GPUs, what is an estimate, what is not measured and how to enable it."""
    times, many, found = words.Times(report.span), len(report.span.hosts) > 1, report.quality
    texts = [text for text in (words.unobserved(report, figures),) if text]
    gaps = sorted(sorted(found.gaps, key=lambda row: row.start_ms - row.end_ms)[:GAPS], key=lambda row: row.start_ms)
    texts += [f"gap {words.gap(row, times, report)}" for row in gaps]
    if found.gap_count > len(gaps):
        texts.append(f"… {found.gap_count - len(gaps)} shorter gaps")
    texts += [words.event(row, times, many) for row in found.lost[:EVENTS]]
    if found.lost_count > EVENTS:
        texts.append(f"… {found.lost_count - EVENTS} more events of lost GPUs")
    texts += words.quality(report)
    out = [head("Data", width)]
    for text in texts:
        out += _item(text, width)
    for row in report.not_measured[:FIELDS]:
        out += _item(f"not measured: {words.not_measured(row, report)}", width)
        if row.enable:
            out += wrapped(row.enable, width, indent=4, first="    ", style="accent")
    if len(report.not_measured) > FIELDS:
        out += _item(f"… {len(report.not_measured) - FIELDS} more with --json", width)
    if not report.total.observed_gpu_ms:
        out += _item("What can be measured here, and what not: gpuwatch doctor", width)
    return out if len(out) > 1 else []


def _item(text: str, width: int, style: str = "") -> Block:
    return wrapped(text, width, indent=2, first="· ", style=style)


def _more(report: Report, width: int) -> Block:
    out: Block = []
    for text in words.absent(report):
        out += _item(text, width, "dim")
    for word, bucket in EXPLAINED.items() if report.total.observed_gpu_ms else ():
        if word in report.definitions and (bucket is None or report.total.buckets_gpu_ms.get(bucket)):
            out += _item(f"{word}: {report.definitions[word]}", width, "dim")
    if report.command:
        out += wrapped(report.command, width, indent=2, first="again:", style="accent")
    return out
