"""What ``r`` does where there is no GPU: the screen's own recorder starts anew, anybody else's is left alone."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from gpuwatch.childrecorder import ChildRecorder
from gpuwatch.clock import FakeClock
from gpuwatch.live import LiveSource
from gpuwatch.runtime import Runtime
from gpuwatch.settings import Loaded, Settings
from gpuwatch.store.lease import Lease

IDLE = (sys.executable, "-c", "import sys; sys.stdin.read()")
"""Ends with its pipe, as a child recorder does."""


@pytest.fixture
def child() -> Iterator[ChildRecorder]:
    recorder = ChildRecorder(IDLE)
    yield recorder
    recorder.close()


def source(path: Path, child: ChildRecorder | None) -> LiveSource:
    clock = FakeClock()
    runtime = Runtime(argparse.Namespace(), {}, clock, Loaded(Settings(), {}, ()))
    return LiveSource(runtime, path, child, clock.monotonic_ns)


def test_the_own_recorder_starts_anew_at_the_next_look(tmp_path: Path, child: ChildRecorder) -> None:
    live = source(tmp_path / "store.db", child)
    live.changed()
    before = child.pid
    assert before is not None
    assert live.retry() == "The recorder starts anew and asks the driver."
    assert child.pid == before
    live.changed()
    assert child.pid not in (None, before)
    after = child.pid
    live.changed()
    assert child.pid == after


def test_another_recorder_is_left_alone_and_named(tmp_path: Path, child: ChildRecorder) -> None:
    lease = Lease.acquire(tmp_path / "store.db", {})
    assert lease is not None
    try:
        live = source(tmp_path / "store.db", child)
        live.changed()
        assert "is not this screen's: it asks the driver again by itself" in live.retry()
        live.changed()
        assert child.pid is None
    finally:
        lease.release()


def test_a_viewer_that_does_not_record_says_who_could(tmp_path: Path) -> None:
    live = source(tmp_path / "store.db", None)
    live.changed()
    assert live.retry() == "Nobody records here: gpuwatch record asks the driver."
