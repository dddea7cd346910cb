"""Logs are untrusted: whatever is in them, nothing is raised, nothing negative is counted, and no number that cannot be stored."""

from __future__ import annotations

import math
import os
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.training_lines import GOLDEN

from gpuwatch.clock import FakeClock
from gpuwatch.collectors.training.logs.formats import FORMATS
from gpuwatch.collectors.training.logs.line import plain
from gpuwatch.collectors.training.logs.watch import LogWatch
from gpuwatch.dataclass import fields

LINES = [text.encode() for cases in GOLDEN.values() for text, _ in cases.values()]
PIECES = st.one_of(
    st.sampled_from(LINES),
    st.binary(max_size=60),
    st.sampled_from(
        [b"\n", b"\r", b"\x1b[", b"|", b": ", b"'", b"{", b"}", b"nan", b"-1", b"9" * 30, b"1e309", b"%|", b"/", b",", b"="]
    ),
    st.builds(
        lambda line, at, piece: line[:at] + piece + line[at:], st.sampled_from(LINES), st.integers(0, 200), st.binary(max_size=4)
    ),
)


@settings(max_examples=120, deadline=None)
@given(st.lists(PIECES, max_size=4).map(b"".join))
def test_no_line_makes_a_parser_fail(raw: bytes) -> None:
    text = plain(raw)
    for form in FORMATS:
        line = form.parse(text)
        for field in fields(line) if line is not None else ():
            value = getattr(line, field.name)
            if isinstance(value, int | float):
                assert math.isfinite(value) and abs(value) < 2**63


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.tuples(st.lists(PIECES, max_size=4).map(b"\n".join), st.sampled_from(["add", "truncate", "rotate"])), max_size=6)
)
def test_no_file_makes_a_watch_fail(tmp_path: Path, writes: list[tuple[bytes, str]]) -> None:
    log = tmp_path / "any.log"
    log.unlink(missing_ok=True)
    clock = FakeClock()
    watch = LogWatch(os.getpid(), ["--seq-length", "8", "--logging_steps", "2"], [log], clock)
    for data, how in writes:
        clock.advance(3.0)
        if how == "rotate":
            log.unlink(missing_ok=True)
        with open(log, "wb" if how == "truncate" else "ab") as file:
            file.write(data + b"\n")
        found = watch.read(clock.time(), devices=2)
        if found is not None:
            for count, seconds in (
                (found.steps, found.steps_seconds),
                (found.tokens, found.tokens_seconds),
                (found.samples, found.samples_seconds),
            ):
                assert (count is None) == (seconds is None)
                assert count is None or 0 <= count < 2**63
                assert seconds is None or seconds > 0
            assert found.age_seconds is not None and found.age_seconds >= 0
    watch.close()
