"""The text of a report: golden at 80 and 160 cells, never over its width, and every printed part adds up to its printed total."""

from __future__ import annotations

import random
import re
from collections.abc import Iterable
from functools import cache
from pathlib import Path

import pytest
from support.sample_report import DAY_MS, HOUR_MS, START_MS
from support.sample_report import sample_report as make_sample

from gpuwatch.dataclass import replace
from gpuwatch.format import cells
from gpuwatch.names import Bucket, Cause, Missing, Tier
from gpuwatch.report.ink import MARKS, Look
from gpuwatch.report.lines import wrapped
from gpuwatch.report.period_text import clipped, report_text
from gpuwatch.report.period_words import Times
from gpuwatch.view.period.ledger import Sums, ledger, total
from gpuwatch.view.period.types import BY, NotMeasured, OwnerRow, Quality, Report

sample_report = cache(make_sample)
GOLDEN = Path(__file__).parent / "golden"
ANSI = re.compile(r"\x1b\[[0-9;]*m")
LOOKS = (Look(), Look(ascii=True), Look("16"), Look("truecolor"), Look("truecolor", ascii=True))


@pytest.mark.parametrize("width", [80, 160])
def test_the_sample_week_is_drawn_as_reviewed(width: int) -> None:
    assert report_text(sample_report(), width=width) == (GOLDEN / f"week-{width}.txt").read_text(encoding="utf-8")


@pytest.mark.parametrize("by", BY)
def test_no_line_is_wider_than_asked(by: str) -> None:
    for width in (60, 80, 100, 119, 120, 160, 200) if by == "gpu" else (80, 120, 160):
        for look in LOOKS if by == "gpu" else LOOKS[:2]:
            lines = ANSI.sub("", report_text(sample_report(by), width=width, look=look)).split("\n")
            assert max(map(cells, lines)) <= width
            assert not [line for line in lines if line != line.rstrip() and "gpuwatch" not in line]


@pytest.mark.parametrize("tier", ["16", "truecolor"])
def test_colours_change_marks_and_nothing_else(tier: str) -> None:
    plain, painted = report_text(sample_report()), ANSI.sub("", report_text(sample_report(), look=Look(tier)))  # type: ignore[arg-type]
    assert "\x1b" not in plain
    words = re.compile(r"[A-Za-z][\w,.]*|\d[\d.]*")
    assert [words.findall(line) for line in painted.split("\n")] == [words.findall(line) for line in plain.split("\n")]


def test_ascii_is_ascii() -> None:
    for by in BY:
        assert report_text(sample_report(by), width=120, look=Look(ascii=True)).isascii()


# ------------------------------------------------------------------------------------------------- parse the digits back


def some_report(seed: int) -> Report:
    """A report of random times: GPUs x users x days, of any size from seconds to months, energy known or not."""
    chance = random.Random(seed)
    gpus, users, days = chance.randint(1, 9), chance.randint(1, 6), chance.randint(1, 8)
    size = 10 ** chance.randint(3, 8)
    dark = chance.random() < 0.2
    buckets = [bucket for bucket in Bucket if bucket is not Bucket.QUIET and chance.random() < 0.7] or [Bucket.WAIT]
    held = [bucket for bucket in buckets if bucket > Bucket.IDLE_UNATTRIBUTED]
    free = [bucket for bucket in buckets if bucket <= Bucket.IDLE_UNATTRIBUTED]
    parts: dict[tuple[int, int, int], Sums] = {}
    for gpu in range(gpus):
        for user in range(users + 1):
            for day in range(days):
                sums: Sums = {}
                for bucket in held if user < users else free:
                    cause = chance.choice([cause for cause in Cause if cause]) if bucket is Bucket.WAIT else Cause.NONE
                    tier = Tier.G if bucket in (Bucket.EFFECTIVE, Bucket.STALLED_SM, Bucket.EMPTY_SM) else Tier.N
                    sums[bucket, cause, tier] = (chance.randrange(size), 0 if dark else chance.randrange(size * 500))
                parts[gpu, user, day] = sums
    energy = Missing.NOT_SUPPORTED if dark else None

    def cut(place: int, value: int) -> Sums:
        return total(sums for key, sums in parts.items() if key[place] == value)

    whole = ledger(total(parts.values()), energy=energy)
    sample = sample_report()
    owners = [OwnerRow(f"user{n}", "user", ledger(cut(1, n), energy=energy), (), 1, None) for n in range(users)]
    nobody = OwnerRow(None, "nobody", ledger(cut(1, users), energy=energy), (), None, None)
    quality = Quality(
        coverage_ratio=whole.coverage_ratio,
        unobserved_gpu_ms={"off": whole.buckets_gpu_ms[Bucket.UNOBSERVED] // 3, "unknown": whole.buckets_gpu_ms[Bucket.UNOBSERVED] - whole.buckets_gpu_ms[Bucket.UNOBSERVED] // 3},
        gaps=(), gap_count=0, gap_energy_mj=None, lost=(), lost_count=0, fill_gpu_ms_by_tier={}, energy_sources={}, tiers=(), provisional_gpu_ms=0, estimates=(),
    )  # fmt: skip
    return replace(
        sample,
        by=chance.choice(("gpu", "user", "day", "host")),
        total=whole,
        gpus=tuple(replace(sample.gpus[n % 8], gpu_index=n, ledger=ledger(cut(0, n), energy=energy)) for n in range(gpus)),
        owners=(*owners, nobody),
        days=tuple(
            replace(sample.days[n % 7], label=f"2026-11-{n + 1:02d}", start_ms=START_MS + n * DAY_MS, ledger=ledger(cut(2, n), energy=energy))
            for n in range(days)
        ),
        host_rows=(replace(sample.host_rows[0], ledger=whole),),
        quality=quality,
    )  # fmt: skip


def number(text: str) -> int:
    """Printed thousandths; ``<0.1`` is there and too small to count."""
    return 0 if text.startswith("<") else round(float(text.replace(" ", "")) * 1000)


HOURS = r"(<0\.0*1|\d{1,3}(?: \d{3})*\.\d+)"


def block(text: str, title: str) -> list[str]:
    lines = text.split("\n")
    start = next(number for number, line in enumerate(lines) if line.startswith(f"── {title}"))
    return lines[start : start + lines[start:].index("")]


WORDS = ("Capacity", "Observed", "Allocated", "First-time work", *(mark.word for mark in MARKS))


def waterfall(text: str) -> dict[str, tuple[int, int | None]]:
    out = {}
    for line in block(text, "Where")[1:]:
        name = next((word for word in WORDS if line[2:].startswith(word)), line[2:].rpartition("  ")[0][:18].rstrip())
        if re.search(r" –  +–$", line):  # nobody measured it: the model has no time there either
            assert "Free" in line or "Held idle" in line or "Throttled" in line
            out[name] = (0, 0)
            continue
        found = re.search(rf" {HOURS}(?: +(\d+\.\d|–))?$", line)
        assert found, line
        out[name] = (number(found[1]), None if found[2] in (None, "–") else round(float(found[2]) * 10))
    return out


@pytest.mark.parametrize("seed", range(50))
def test_printed_parts_are_the_printed_totals(seed: int) -> None:
    report = some_report(seed)
    text = report_text(report, width=100 if seed % 2 else 80)
    check_waterfall(report, text)
    check_owners(report, text)
    check_table(report, text)
    check_table(report, report_text(report, width=160))


def check_waterfall(report: Report, text: str) -> None:
    if not report.total.observed_gpu_ms:
        assert "Nothing was observed" in text
        return
    rows = waterfall(text)
    names = list(rows)
    subtotals = ("Observed", "Allocated", "First-time work")
    left, share = rows["Capacity"][0], 1000
    hours = report.total.capacity_gpu_ms / HOUR_MS
    assert left == pytest.approx(hours * 1000, abs=50.1 if hours >= 10 else 5.1 if hours >= 1 else 0.51)
    for name in names[1:]:
        if name in subtotals:
            assert rows[name][0] == left and rows[name][1] == share, name
        elif not name.startswith("  "):
            left -= rows[name][0]
            share -= rows[name][1] or 0
    assert (left, share) == (0, 0), "the last rows use up all that is left"
    causes = [rows[name] for name in names if name.startswith("  ")]
    if causes:
        assert sum(hours for hours, _ in causes) == rows["Waiting"][0]
        assert sum(share or 0 for _, share in causes) == rows["Waiting"][1]
    headline = re.search(r"Efficiency ([\d.]+)(?: to ([\d.]+))? %", text)
    assert headline
    low, unknown = rows.get("Effective", (0, 0))[1] or 0, rows.get("Busy, quality unknown", (0, 0))[1] or 0
    assert round(float(headline[1]) * 10) == low
    assert headline[2] is None or round(float(headline[2]) * 10) == low + unknown
    told = re.search(rf"not observed: {HOURS} GPU-h \((.*?)\)", text.replace("\n  ", " "))
    if report.total.buckets_gpu_ms[Bucket.UNOBSERVED]:
        assert told and number(told[1]) == rows["Unobserved"][0] == sum(map(number, re.findall(HOURS, told[2])))


def columns_of(lines: list[str]) -> dict[str, list[str]]:
    """The cells of a table's columns, found by where their heads end (numbers stand at the right)."""
    heads = [(found[0], found.end()) for found in re.finditer(r"\S+(?: \S+)*", lines[0])]
    out: dict[str, list[str]] = {}
    for head, end in heads:
        out[head] = [re.split(r" {2,}", line[:end].rstrip())[-1].strip() for line in lines[1:]]
    return out


def summed(columns: dict[str, list[str]], names: Iterable[str]) -> None:
    for name in names:
        if name in columns and columns[name][-1] != "–":
            *parts, whole = [0 if text == "–" else number(text) for text in columns[name]]
            assert sum(parts) == whole, (name, columns[name])


def check_table(report: Report, text: str) -> None:
    if not report.total.observed_gpu_ms:
        return
    title = {"gpu": "GPUs", "user": "Users", "day": "Days", "host": "Hosts"}[report.by]
    tables = [block(text[at.start() :], title) for at in re.finditer(rf"^── {title}", text, re.MULTILINE)]
    lines = next(lines for lines in reversed(tables) if "wait h" in lines[1])
    columns = columns_of(lines[1:])
    rows = len(report.main())
    if rows > 1 or report.by == "user":
        assert len(lines) == rows + 3
        summed(columns, ("GPU-h", "busy h", "wait h", "held idle h", "free h", "kWh"))


def check_owners(report: Report, text: str) -> None:
    if not report.total.observed_gpu_ms or report.by == "user":
        return
    lines = block(text, "Who used it")
    names = re.findall(r"\S+(?: \S+)*", lines[1])
    assert names == ["GPU-h", "eff", "wait", "held idle"]
    summed(columns_of(lines[1:]), ("GPU-h", "wait", "held idle"))
    assert number(columns_of(lines[1:])["GPU-h"][-1]) == waterfall(text)["Capacity"][0]


# ----------------------------------------------------------------------------------------------- spans with little in them


def test_nothing_observed_has_no_score_and_says_what_to_do() -> None:
    sums: Sums = {(Bucket.UNOBSERVED, 0, 0): (8 * HOUR_MS, 0)}
    sample = sample_report()
    text = report_text(replace(sample, total=ledger(sums), notes=("Nothing was recorded in this span.",), strip=None), width=80)
    assert "Nothing was observed in this span" in text and "Nothing was recorded" in text and "gpuwatch doctor" in text
    assert "── Where" not in text and "── GPU by GPU" not in text and "Efficiency" not in text


def test_an_hour_without_data_is_neither_idle_nor_busy_nor_zero() -> None:
    text = report_text(sample_report("hour"), width=120)
    lines = [line for line in block(text, "Hours") if line.startswith("Wed 11 13:00")]
    assert len(lines) == 1 and lines[0].split()[3:] == ["8.0", "0", "%", *"–" * 8]


def test_throttling_that_nobody_measured_is_no_zero() -> None:
    report = sample_report()
    buckets = {**report.total.buckets_gpu_ms, Bucket.THROTTLED: 0}
    for seconds, figures in ((0.0, ["0.0", "0.0"]), (None, ["–", "–"])):
        blind = replace(
            report, total=replace(report.total, buckets_gpu_ms=buckets), use=replace(report.use, throttled_seconds=seconds)
        )
        (row,) = [text for text in report_text(blind, width=100).splitlines() if text.startswith("! Throttled")]
        assert row.split()[2:] == figures


def test_no_gpu_at_all() -> None:
    sample = sample_report()
    empty = replace(
        sample,
        span=replace(sample.span, gpu_count=0, gpu_names=(), hosts=()),
        total=ledger({}),
        **dict.fromkeys(("gpus", "owners", "days", "hours", "host_rows", "processes", "notes", "not_measured"), ()),
        strip=None,
    )
    for by in BY:
        text = report_text(replace(empty, by=by), width=80)
        assert "Nothing was observed" in text and "── Data" in text and "── GPUs" not in text


def test_a_strip_says_only_what_lies_in_it() -> None:
    text = report_text(sample_report(), width=80)
    legend = next(line for line in text.split("\n") if "busy   " in line)
    assert "held idle" in legend and "unobserved" in legend and "redone" not in legend
    lane = next(line for line in text.split("\n") if line.startswith("3 ░░"))
    assert lane[2:72].count("╱") == 1 and lane.rstrip().endswith("15 %")


def test_days_of_a_strip_begin_at_midnight() -> None:
    lines = report_text(sample_report(), width=80).split("\n")
    axis = next(line for line in lines if "Tue 10" in line)
    assert [axis.index(day) - 2 for day in ("Mon 9", "Tue 10", "Wed 11", "Sun 15")] == [0, 10, 20, 60]


def test_commands_wrap_and_are_never_cut() -> None:
    command = "gpuwatch --store /" + "a" * 90 + "/x.db report --since 7d --by gpu"
    text = report_text(replace(sample_report(), command=command), width=80)
    assert "".join(text.partition("again:")[2].split()) == "".join(command.split())


def test_instances_are_named_by_their_board_everywhere() -> None:
    sample = sample_report()
    cut = [
        replace(row, parent_uuid=sample.gpus[4].gpu_uuid, mig_profile="3g.40gb", gpu_index=row.gpu_index - 5)
        for row in sample.gpus[5:7]
    ]
    text = report_text(replace(sample, gpus=(*sample.gpus[:5], *cut, sample.gpus[7])), width=100)
    lanes = [line.split()[0] for line in block(text, "GPU by GPU")[2:10]]
    assert lanes == ["0", "1", "2", "3", "4", "4/0", "4/1", "7"]
    assert [line[:11].strip() for line in block(text, "GPUs")[2:10]] == ["0", "1", "2", "3", "4", "4/0 3g.40gb", "4/1 3g.40gb", "7"]


def test_what_a_log_does_not_hold_is_not_called_unsupported() -> None:
    sample = sample_report()
    fields = tuple(NotMeasured("node-07", "all GPUs", name, Missing.NOT_SUPPORTED, "") for name in ("memory_used_bytes", "temperature_max_celsius"))  # fmt: skip
    text = report_text(replace(sample, not_measured=fields), width=120)
    assert "not measured: memory: all GPUs, not supported" in text and "not measured: temperature: all GPUs" in text
    logs = replace(sample, not_measured=fields, host_rows=(replace(sample.host_rows[0], kind="imported"),))
    assert "not measured: memory: all GPUs, not in the log" in report_text(logs, width=120)


def test_gpus_of_unknown_model_are_counted_and_said() -> None:
    sample = sample_report()

    def title(*names: tuple[str, int]) -> str:
        return report_text(replace(sample, span=replace(sample.span, gpu_names=names))).split("\n")[0]

    assert " 8 GPUs " in title(("", 8)) and "×" not in title(("", 8))
    assert " 2 GPUs of unknown model + 1 × A40 " in title(("", 2), ("NVIDIA A40", 1))


def test_the_index_of_a_gpu_is_never_cut_from_its_host() -> None:
    assert clipped("nanogpt-8gpu-baseline:7", 16) == "nanogpt-8gpu-…:7"
    assert clipped("node-07:0/1 1g.10gb", 20) == "node-07:0/1 1g.10gb"
    assert clipped("very-long-host-name:0/1 1g.10gb", 20) == "very-lo…:0/1 1g.10gb"
    assert clipped("node-07:0-3 node-08:1", 16) == "node-07:0-3 nod…" and clipped("a" * 20, 8) == "aaaaaaa…"


def test_gaps_of_a_log_are_not_a_recorders_and_short_ones_have_seconds() -> None:
    sample = sample_report()
    gap = replace(sample.quality.gaps[0], start_ms=START_MS + 61_000, end_ms=START_MS + 63_500, energy_mj=None)
    quality = replace(sample.quality, gaps=(gap,))
    logs = replace(sample, quality=quality, host_rows=(replace(sample.host_rows[0], kind="imported"),))
    text = report_text(logs, width=120)
    assert "gap Mon 9 Nov 00:01:01–00:01:03, all GPUs: not in the log, 2 s" in text and "recorder off" not in text
    assert "recorder off, 2 s" in report_text(replace(sample, quality=quality), width=120)


def test_the_energy_of_a_gap_that_the_span_cuts_is_an_estimate() -> None:
    sample = sample_report()
    gap = replace(sample.quality.gaps[0], energy_mj=3_600_000_000)
    for start_ms, said in ((gap.start_ms, ", 1.00 kWh used meanwhile"), (sample.span.start_ms, ", about 1.00 kWh used meanwhile")):
        quality = replace(sample.quality, gaps=(replace(gap, start_ms=start_ms),))
        assert said in report_text(replace(sample, quality=quality), width=160)


@pytest.mark.parametrize(("start", "end", "said"), [
    (0, 7 * DAY_MS, "Mon 9 – Sun 15 Nov 2026"),
    (0, DAY_MS, "Mon 9 Nov 2026"),
    (HOUR_MS, 2 * HOUR_MS, "Mon 9 Nov 2026 01:00–02:00"),
    (HOUR_MS, DAY_MS + HOUR_MS, "Mon 9 Nov 01:00 – Tue 10 Nov 2026 01:00"),
    (0, 30 * DAY_MS, "Mon 9 Nov – Tue 8 Dec 2026"),
    (0, 60 * DAY_MS, "Mon 9 Nov 2026 – Thu 7 Jan 2027"),
    (HOUR_MS, 60 * DAY_MS, "Mon 9 Nov 2026 01:00 – Fri 8 Jan 2027 00:00"),
    (-20 * DAY_MS, 0, "Tue 20 Oct 01:00 – Mon 9 Nov 2026 00:00"),
])  # fmt: skip
def test_a_span_in_words(start: int, end: int, said: str) -> None:
    """The last one crosses a change of clocks: its start is no midnight."""
    assert Times(sample_report().span).span(START_MS + start, START_MS + end) == said


def test_a_large_number_is_not_divided_between_lines() -> None:
    for width in range(20, 60):
        texts = ["".join(text for text, _ in line) for line in wrapped("12 596.5 of 12 602.1 GPU-hours were not observed", width)]
        assert "12\xa0596.5" in "\n".join(texts) and "12\xa0602.1" in "\n".join(texts)
