"""Compiled scenarios and collectors for the tests of the simulated host; compiled once a session, they are never changed."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import pytest

from gpuwatch.clock import FakeClock
from gpuwatch.collectors.simulated import factory
from gpuwatch.collectors.simulated.collector import SimulatedCollector
from gpuwatch.collectors.simulated.compile import compile_plan
from gpuwatch.collectors.simulated.compiled import Scenario
from gpuwatch.collectors.simulated.scenario import load
from gpuwatch.plugin import CollectorContext

EPOCH = 1_763_130_720


@cache
def _compiled(name: str, seed: int) -> Scenario:
    return compile_plan(load(name), seed)


@pytest.fixture(scope="session")
def compiled() -> Callable[..., Scenario]:
    """``compiled(name, seed=7)``."""
    return lambda name, seed=7: _compiled(name, seed)


@pytest.fixture(scope="session")
def opened() -> Callable[..., SimulatedCollector]:
    """``opened(name, **options)``: an open collector whose scenario time 0 is ``EPOCH`` and that may be read up to 180 s apart."""

    def make(name: str, interval: float = 60.0, **options: object) -> SimulatedCollector:
        collector = factory(CollectorContext(clock=FakeClock(), options={"scenario": name, "seed": 7, "epoch": EPOCH, **options}))
        collector.interval_seconds = interval
        collector.open()
        return collector

    return make


@pytest.fixture(scope="session")
def epoch() -> int:
    """Scenario time 0 of ``opened`` collectors, unix seconds."""
    return EPOCH
