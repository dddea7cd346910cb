"""Each framework's lines, as its source prints them at a version: what they say, and nothing that they do not say."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.training_lines import GOLDEN, LLAMA_FACTORY

from gpuwatch.collectors.training.logs.formats import FORMATS, huggingface
from gpuwatch.collectors.training.logs.line import Kind, LogLine, number, plain, stamp, whole
from gpuwatch.dataclass import fields, replace

BY_NAME = {form.name: form for form in FORMATS}
CASES = [(name, version, *case) for name, lines in GOLDEN.items() for version, case in lines.items()]


def parsed(name: str, text: str) -> LogLine | None:
    return BY_NAME[name].parse(plain(text.encode()))


@pytest.mark.parametrize(("name", "version", "text", "expected"), CASES, ids=[case[1] for case in CASES])
def test_a_line_says_what_its_framework_means(name: str, version: str, text: str, expected: LogLine | None) -> None:
    line = parsed(name, text)
    assert (line is None) == (expected is None)
    if line is not None and expected is not None:
        for field in fields(line):
            if field.name != "written":
                assert getattr(line, field.name) == about(getattr(expected, field.name)), field.name


def about(value: object) -> object:
    """The same but for the last bit of a fraction."""
    return pytest.approx(value, rel=1e-12) if isinstance(value, float) else value


@pytest.mark.parametrize("before", ["0: ", "[rank0]: ", "[default0]:", "2025-01-01T10:00:00.000000Z ", "(Worker pid=7) "])
def test_what_a_launcher_puts_before_a_line_does_not_matter(before: str) -> None:
    for name, _, text, expected in CASES:
        if expected is not None and expected.kind is not Kind.PROGRESS and name != "llama-factory":
            line, alone = parsed(name, before + text), parsed(name, text)
            assert line is not None and alone is not None, text
            assert replace(line, written=None) == replace(alone, written=None), text


@pytest.mark.parametrize(("name", "version", "text", "expected"), CASES, ids=[case[1] for case in CASES])
def test_a_line_cut_anywhere_never_fails(name: str, version: str, text: str, expected: LogLine | None) -> None:
    for end in range(0, len(text), 3):
        parsed(name, text[:end])
        parsed(name, text[end:])


def test_every_framework_has_a_golden_line() -> None:
    assert set(GOLDEN) == set(BY_NAME)


def test_a_line_of_one_framework_is_no_training_line_of_another() -> None:
    kin = {"huggingface", "axolotl"}
    for name, _, text, _expected in CASES:
        for other in set(BY_NAME) - {name}:
            if {name, other} == kin:
                continue
            line = parsed(other, text)
            assert line is None or line.kind is not Kind.TRAIN, (name, other, text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("7,814", 7814.0), ("'3880'", 3880.0), ('"1.5"', 1.5), ("35.40%", 0.354 * 100), ("350.12ms", 350.12), ("1.5E-05", 1.5e-05),
        ("950.1/948.7", 950.1), ("-100.00%", -100.0), ("10,", 10.0), ("5e-05", 5e-05), ("12it/s", 12.0), (" 3 ", 3.0),
        ("nan", None), ("inf", None), ("-inf", None), ("NaN", None), ("Infinity", None), ("1e999", None), ("N/A", None), ("", None),
        (None, None), ("--", None), ("1-2", None), ("٣", None), ("e5", None), ("9" * 400, None),
    ],
)  # fmt: skip
def test_numbers_are_read_as_they_are_printed(text: str | None, expected: float | None) -> None:
    assert number(text) == (pytest.approx(expected) if expected is not None else None)


def test_a_count_is_whole_and_not_negative() -> None:
    assert [whole(text) for text in ("7", "9.000", "7.5", "-7", "nan", "")] == [7, 9, None, None, None, None]


def test_times_in_lines_are_differences_only() -> None:
    first, second = stamp("[titan] 2025-12-31 23:59:59,500 - root"), stamp(" [2026-01-01 00:00:01] iteration")
    assert first is not None and second is not None
    assert second - first == pytest.approx(1.5)
    assert stamp("no time") is None
    assert stamp("2025-02-31 10:00:00") is None
    assert stamp("x" * 200 + "2025-02-01 10:00:00") is None


def test_control_characters_and_broken_bytes_do_no_harm() -> None:
    assert plain(b"\x1b[31mstep:\x1b[0m \x00\x07\xff\xe2\x80\xae1") == "step: ··�·1"
    assert "\x1b" not in plain(b"\x1b]8;;http://x\x07 link \x1b" + b"\x1b[" * 50)


@pytest.mark.parametrize(
    "text", ["{'loss': " + "[" * 8000, "{'loss': '" + "9" * 8000, "{'" * 4000 + "}", "{'a': 'b" + ", 'a': " * 900 + "}"]
)
def test_a_mapping_made_to_hurt_is_read_once(text: str) -> None:
    assert huggingface.parse(text) is None


def test_json_made_to_hurt_is_no_line() -> None:
    start = '{"current_steps": 1, "total_steps": '
    for end in ("[" * 8000, "9" * 8000 + "}", '"' * 3, "1}x", "1, " + '"a":' * 2000):
        assert parsed("llama-factory", start + end) is None
    assert parsed("llama-factory", '{"current_steps": true, "total_steps": 3, "loss": 1}') is None
    assert parsed("llama-factory", '["current_steps"]') is None
    assert len(LLAMA_FACTORY) == 3


def test_the_page_of_the_documentation_names_every_framework() -> None:
    page = Path(__file__).parents[2].joinpath("docs", "training-logs.md").read_text(encoding="utf-8")
    rows = {line.split("|")[1].strip() for line in page.splitlines() if line.startswith("| ")}
    assert {form.title for form in FORMATS} == rows - {"framework"}
    assert all(form.needs.split()[0].rstrip(",") in page for form in FORMATS if form.needs)
