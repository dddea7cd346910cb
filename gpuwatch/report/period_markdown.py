"""A report as Markdown: the same tables as on a terminal, no bars. No name in it becomes markup, a link or a mention."""

from __future__ import annotations

import re
from collections.abc import Sequence

from gpuwatch.report import period_words as words
from gpuwatch.report.period_blocks import steps
from gpuwatch.report.period_figures import ALL, Figures
from gpuwatch.report.period_findings import finding_tables
from gpuwatch.report.period_tables import Table, main_table, others, without_gpus
from gpuwatch.view.period.types import Report

_MARKUP = re.compile(r"[\\`*\[\]<>|&@#~!${}]|//|www\.|:[a-z]\w*:|_\W|\W_|^_|_$", re.ASCII | re.IGNORECASE)
"""What Markdown or a site that shows it could take for more than text: emphasis, HTML, links, mentions, issues, math, emoji."""
_LIST = re.compile(r"[-+]|\d+[.)]")


def escaped(text: str) -> str:
    """Foreign text as it is: plain where it is harmless, else as code, in which nothing is more than text."""
    text = text.replace("\xa0", " ")
    if re.fullmatch(r"[<>][\d.]+(?: %)?", text):
        return f"&lt;{text[1:]}" if text[0] == "<" else f"&gt;{text[1:]}"
    if not _MARKUP.search(text) and not _LIST.fullmatch(text):
        return text
    fence = "`" * (max((len(run) for run in re.findall("`+", text)), default=0) + 1)
    inner = re.sub(r"(\\*)\|", lambda found: found[1] * 2 + r"\|", text)
    space = " " if inner.startswith("`") or inner.endswith("`") else ""
    return f"{fence}{space}{inner}{space}{fence}"


def sentence(text: str) -> str:
    """A sentence with foreign words in it."""
    return " ".join(escaped(word) for word in text.replace("\xa0", " ").split(" "))


def report_markdown(report: Report) -> str:
    """The whole document with a newline at its end."""
    span, figures = report.span, Figures(report)
    when = f"{words.asked(report)}, {words.zone(span)}"
    parts = [f"# GPU report: {sentence(words.hosts(span))}, {sentence(when)}"]
    if span.simulated:
        parts.append(f"**SIMULATED** {escaped(span.scenario)}: nothing here was measured.".replace("  ", " "))
    facts = [text for text in (words.gpus(span), words.efficiency(report, figures)) if text]
    if report.total.capacity_gpu_ms:
        facts.append(words.evidence(report))
    if report.total.observed_gpu_ms:
        facts.append(words.amounts(report, figures))
    parts.append(_list([*facts, *report.notes]))
    if report.total.capacity_gpu_ms and report.total.observed_gpu_ms:
        parts += [f"## Where {figures.hours(*ALL)} GPU-hours went", _waterfall(report, figures)]
        tables = [main_table(report, figures), *others(report, figures)]
    else:
        tables = without_gpus(report, figures)
    for table in [*tables, *finding_tables(report, figures)]:
        parts += [f"## {table.title}", *_table(table)]
    parts += ["## Data", _list(_data(report, figures))]
    if report.definitions:
        parts += ["## Words", _list([f"{word}: {meaning}" for word, meaning in report.definitions.items()])]
    if report.command:
        fence = "`" * max(3, *(len(run) + 1 for run in re.findall("`+", report.command)), 3)
        parts += ["## Again", f"{fence}sh\n{report.command}\n{fence}"]
    return "\n\n".join(parts) + "\n"


def _list(items: Sequence[str]) -> str:
    return "\n".join(f"- {sentence(item)}" for item in items)


def _waterfall(report: Report, figures: Figures) -> str:
    rows = [
        (f"**{step.word}**" if step.bucket is None else step.word.strip(), step.hours, step.share)
        for step in steps(report, figures)
    ]
    lines = ["| part | GPU-h | % of observed |", "|---|---:|---:|"]
    return "\n".join([*lines, *(f"| {word} | {escaped(hours)} | {share} |" for word, hours, share in rows)])


def _table(table: Table) -> list[str]:
    if not table.rows:
        return [table.empty]
    lines = ["| " + " | ".join(head.text for head in table.columns) + " |"]
    lines.append("|" + "|".join("---" if head.align == "left" else "---:" for head in table.columns) + "|")
    for number in range(table.rows):
        lines.append("| " + " | ".join(escaped(head.cells[number]) for head in table.columns) + " |")
    if table.summed:
        lines.append("| " + " | ".join(f"**{escaped(head.sum)}**" if head.sum else "" for head in table.columns) + " |")
    out = ["\n".join(lines)]
    return [*out, *(sentence(text) for text in table.below)]


def _data(report: Report, figures: Figures) -> list[str]:
    times, many, found = words.Times(report.span), len(report.span.hosts) > 1, report.quality
    texts = [words.unobserved(report, figures)]
    texts += [f"gap {words.gap(row, times, report)}" for row in found.gaps]
    if found.gap_count > len(found.gaps):
        texts.append(f"… {found.gap_count - len(found.gaps)} shorter gaps")
    texts += [words.event(row, times, many) for row in found.lost]
    texts += words.quality(report)
    for row in report.not_measured:
        texts.append(f"not measured: {words.not_measured(row, report)}" + (f"; {row.enable}" if row.enable else ""))
    if not report.total.observed_gpu_ms:
        texts.append("What can be measured here, and what not: gpuwatch doctor")
    return [text for text in (*texts, *words.absent(report)) if text]
