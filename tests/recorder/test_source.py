"""A collector's life: what a failure leads to, and that nothing it does gets out."""

from __future__ import annotations

import threading

import pytest
from support.recording import Scripted, host_batch

from gpuwatch.clock import FakeClock
from gpuwatch.errors import Unavailable
from gpuwatch.model import Batch
from gpuwatch.plugin import CollectorContext
from gpuwatch.recorder import load_collectors
from gpuwatch.recorder.source import Source


def test_a_good_source_is_opened_once_and_ok() -> None:
    clock = FakeClock(1000.0)
    collector = Scripted("host", host_batch)
    source = Source(collector, clock)
    assert source.state.state == "off"
    for second in (1000.0, 1001.0):
        delivery = source.step(second)
        assert delivery.batch is not None
    assert (collector.opened, source.state.state, source.state.last_ok_ms) == (1, "ok", 1_001_000)


def test_failures_back_off_to_a_minute_and_open_anew() -> None:
    clock = FakeClock(0.0)

    def fail(now: float) -> Batch:
        raise RuntimeError("bad\x1b[31m luck")

    collector = Scripted("nvml", fail)
    source = Source(collector, clock)
    tries = []
    for second in range(400):
        source.step(float(second))
        tries += [second] if len(collector.asked) > len(tries) else []
        clock.advance(1)
    assert tries == [0, 1, 3, 7, 15, 31, 63, 123, 183, 243, 303, 363]
    assert collector.opened == collector.closed == len(tries)
    assert source.state.state == "error"
    assert "RuntimeError: bad" in source.state.detail
    assert "\x1b" not in source.state.detail


def test_a_source_that_recovers_forgets_its_pause() -> None:
    clock = FakeClock(0.0)
    broken = {0.0, 1.0, 20.0}

    def sometimes(now: float) -> Batch:
        if now in broken:
            raise OSError("gone")
        return host_batch(now)

    source = Source(Scripted("host", sometimes), clock)
    states = {}
    for second in range(24):
        source.step(float(second))
        states[second] = source.state.state
        clock.advance(1)
    assert [states[s] for s in (0, 1, 2, 3, 19, 20, 21)] == ["error", "error", "error", "ok", "ok", "error", "ok"]


def test_what_is_not_here_is_off_and_says_what_to_do() -> None:
    collector = Scripted("nvml", host_batch)

    def refuse() -> None:
        raise Unavailable("no driver", "install one")

    collector.open = refuse  # type: ignore[method-assign]
    source = Source(collector, FakeClock())
    assert source.step(1.0).batch is None
    assert (source.state.state, source.state.detail, source.state.hint) == ("off", "no driver", "install one")


def test_a_batch_with_an_error_is_an_error_without_reopening() -> None:
    source = Source(Scripted("nvml", lambda now: Batch("nvml", int(now), error="driver lost", hint="wait")), FakeClock())
    source.step(1.0)
    assert (source.state.state, source.state.detail, source.state.hint) == ("error", "driver lost", "wait")


def test_a_close_that_fails_is_swallowed() -> None:
    collector = Scripted("host", host_batch)
    source = Source(collector, FakeClock())
    source.step(1.0)

    def explode() -> None:
        raise ValueError("no")

    collector.close = explode  # type: ignore[method-assign]
    source.close()
    assert not source.busy


def test_a_call_that_hangs_is_stalled_after_three_periods() -> None:
    clock = FakeClock(0.0)
    entered, leave = threading.Event(), threading.Event()

    def hang(now: float) -> Batch:
        entered.set()
        leave.wait(10)
        return host_batch(now)

    source = Source(Scripted("nvml", hang, interval=2.0), clock)
    thread = threading.Thread(target=source.step, args=(0.0,), daemon=True)
    thread.start()
    assert entered.wait(10)
    clock.advance(5.9)
    assert source.state.state == "off"
    clock.advance(0.2)
    assert (source.stalled, source.state.state) == (True, "stalled")
    leave.set()
    thread.join(10)
    assert source.state.state == "ok"


def test_a_plugin_that_cannot_be_loaded_is_a_source_that_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def load(name: str) -> object:
        if name == "bad":
            raise ImportError("no module named vendor")
        return lambda context: Scripted(name, host_batch)

    monkeypatch.setattr("gpuwatch.plugin.load", load)
    good, bad = load_collectors(["host", "bad"], {"host": CollectorContext(), "bad": CollectorContext()})
    clock = FakeClock()
    assert Source(good, clock).step(1.0).batch is not None
    source = Source(bad, clock)
    assert source.step(1.0).batch is None
    assert source.state.state == "error"
    assert "collector bad cannot be loaded: ImportError: no module named vendor" in source.state.detail
