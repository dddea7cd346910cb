"""Markdown, CSV and hostile names: no name becomes markup, a link, a formula or a wider line, in any form."""

from __future__ import annotations

import csv
import io
import re
from functools import cache
from typing import Any

import pytest
from support.sample_report import sample_report as make_sample

from gpuwatch.dataclass import replace
from gpuwatch.format import cells
from gpuwatch.names import Bucket
from gpuwatch.report.ink import Look
from gpuwatch.report.period_csv import report_csv
from gpuwatch.report.period_markdown import escaped, report_markdown
from gpuwatch.report.period_text import report_text
from gpuwatch.text import clean
from gpuwatch.view.period.types import BY, Report

sample_report = cache(make_sample)
NAMES = (
    "<script>alert(1)</script>", '<img src=x onerror="alert(1)">', "[link](javascript:alert(1))", "![x](http://evil.example/x.png)",
    "www.evil.example", "https://evil.example/a", "a@evil.example", "@everyone", "#12", "`code`", "``", "a`b", "| a | b |", "a\\|b", "\\",
    "**bold**", "__init__", "~~no~~", "$x^2$", ":rocket:", "{{template}}", "<!-- x", "&lt;b&gt;", "=1+1", "+1", "-1", "@SUM(A1)", "- item",
    "1.", "[red]bold[/red]", "\x1b[31mred", "a\u202eb", "tab\tx", "new\nline", "\u4f60\u597d" * 40, "x" * 4096, "---", "name with  spaces",
    "'=quoted", '"', "\xad\u200b",
)  # fmt: skip
"""As collectors would find them; what reaches a form has passed ``clean``."""


def hostile(name: str, by: str = "gpu") -> Report:
    """The sample week in which everything that is named has that name."""
    name = clean(name)
    sample = sample_report(by)
    owners = tuple(replace(row, user=name if row.user else None) for row in sample.owners)
    processes = tuple(replace(row, user=name, command=name, name=name, job=name, gpus=((name, 0),)) for row in sample.processes)
    quality = replace(
        sample.quality,
        gaps=tuple(replace(row, host=name) for row in sample.quality.gaps),
        lost=tuple(replace(row, host=name, detail=name) for row in sample.quality.lost),
    )
    return replace(
        sample,
        span=replace(sample.span, hosts=(name, "other"), gpu_names=((name, 8),), scenario=name),
        gpus=tuple(replace(row, host=name, name=name) for row in sample.gpus),
        host_rows=tuple(replace(row, host=name) for row in sample.host_rows),
        owners=owners,
        processes=processes,
        quality=quality,
        findings=tuple(replace(row, host=name, user=name, effect=name, gpus=((name, 0),)) for row in sample.findings),
        notes=(f"{name} was recorded later.",),
        not_measured=tuple(replace(row, host=name, enable=name) for row in sample.not_measured),
        command=name,
    )


@pytest.mark.parametrize("name", NAMES, ids=range(len(NAMES)))
def test_in_text_a_name_is_text_and_no_line_grows(name: str) -> None:
    for by, width, look in (("gpu", 80, Look()), ("process", 160, Look("truecolor")), ("host", 60, Look(ascii=True))):
        text = report_text(hostile(name, by), width=width, look=look)
        plain = re.sub(r"\x1b\[[0-9;]*m", "", text)
        assert max(map(cells, plain.split("\n"))) <= width
        assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e]", plain)
        if look.ascii:
            assert plain.isascii()


@pytest.mark.parametrize("name", NAMES, ids=range(len(NAMES)))
def test_in_markdown_a_name_is_text(name: str) -> None:
    from markdown_it import MarkdownIt

    html = MarkdownIt("commonmark", {"html": True, "linkify": True}).enable(["table", "strikethrough", "linkify"]).render(
        report_markdown(hostile(name, "process"))
    )  # fmt: skip
    tags = {found.partition(" ")[0] for found in re.findall(r"<([a-zA-Z!][^>]*)>", html)}
    assert tags <= {"h1", "h2", "p", "ul", "li", "table", "thead", "tbody", "tr", "th", "td", "strong", "code", "pre"}
    assert html.count("<table>") == 6 and html.count("<h2>") == 9
    rows = [row.count("<td") for row in re.findall(r"<tr>(?:(?!</tr>).)*<td(?:(?!</tr>).)*</tr>", html, re.DOTALL)]
    assert len(set(rows)) == 6, "every table keeps its columns"


@pytest.mark.parametrize("text", ["alice", "train_x.py --lr 2e-4", "1 344.0", "28–50 %", "(nobody)", "–", "?", "01:51: x", "a/b=c"])
def test_ordinary_text_stays_readable_in_markdown(text: str) -> None:
    assert escaped(text) == text


def test_markdown_has_the_tables_and_the_digits_of_the_text() -> None:
    markdown, text = report_markdown(sample_report("day")), report_text(sample_report("day"), width=200)
    for title in ("Where 1 344.0 GPU-hours went", "Days", "Users", "Longest holders", "GPUs", "Data"):
        assert f"## {title}" in markdown
    cells_of = [cell.strip(" *") for line in markdown.split("\n") if line.startswith("| 2026-11") for cell in line.split("|")]
    for cell in filter(None, cells_of):
        assert cell in text
    assert "SIMULATED" in markdown and "█" not in markdown


# -------------------------------------------------------------------------------------------------------------------- CSV


def table(report: Report) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(report_csv(report))))


@pytest.mark.parametrize("by", BY)
def test_csv_is_the_main_table_in_whole_milliseconds(by: str) -> None:
    report = sample_report(by)
    rows = table(report)
    assert len(rows) == len(report.main())
    for row, made in zip(rows, report.main(), strict=True):
        for bucket in Bucket:
            assert int(row[f"{bucket.label}_gpu_ms"]) == made.ledger.buckets_gpu_ms[bucket]
        assert sum(int(row[f"{bucket.label}_gpu_ms"]) for bucket in Bucket) == int(row["capacity_gpu_ms"])
        assert row["simulated"] == "1"
    head = report_csv(report).split("\n")[0].split(",")
    assert len(set(head)) == len(head)
    if by not in ("process", "model", "run"):
        assert sum(int(row["capacity_gpu_ms"]) for row in rows) == report.total.capacity_gpu_ms


def test_what_is_not_measured_is_empty_and_never_0() -> None:
    rows = table(sample_report("gpu"))
    assert rows[6]["sm_active_ratio"] == rows[6]["sm_active_p95_ratio"] == rows[5]["throttled_seconds"] == ""
    assert float(rows[0]["sm_active_p95_ratio"]) == 0.83
    assert float(rows[0]["percentiles_coverage_ratio"]) == min(
        each.coverage_ratio for each in sample_report().gpus[0].quantiles.values()
    )


@pytest.mark.parametrize("name", NAMES, ids=range(len(NAMES)))
def test_in_csv_a_name_is_no_formula(name: str) -> None:
    for by, column in (("user", "user"), ("process", "command"), ("host", "host")):
        cell = table(hostile(name, by))[0][column]
        assert cell[:1] not in ("=", "+", "-", "@", "\t", "\r")
        assert cell.removeprefix("'") in (clean(name), clean(name).removeprefix("'"))


def test_a_real_report_has_no_simulated_column_and_an_empty_one_its_head() -> None:
    sample = sample_report("gpu")
    real: Any = replace(sample, span=replace(sample.span, simulated=False))
    assert "simulated" not in report_csv(real)
    assert report_csv(replace(real, gpus=())).startswith("host,gpu_uuid,gpu_index,")
