"""A collector on the fake driver under a clock that stands still until told; what a test reads comes through the real binding."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path

import pytest
from fake_nvml import FakeDriver, of_class

from gpuwatch.clock import FakeClock
from gpuwatch.collectors.nvml import factory
from gpuwatch.model import Batch, Event, Gpu, GpuSample, ProcessSample
from gpuwatch.names import Missing
from gpuwatch.plugin import CollectorContext


class Play:
    """One scenario played: ``tick()`` reads at the present second, then time moves on."""

    def __init__(self, fake: FakeDriver, proc_root: Path, sys_root: Path) -> None:
        assert fake.epoch_ms is not None
        self.fake = fake
        self.clock = FakeClock(fake.epoch_ms / 1000)
        self.ms = 0
        self.context = CollectorContext(clock=self.clock, proc_root=proc_root, sys_root=sys_root)
        self.collector = factory(self.context)
        self.gpus: list[Gpu] = []
        self.events: list[Event] = []
        self.batch = Batch("none", 0)

    def advance(self, seconds: float) -> None:
        """Let the host's and the driver's time pass."""
        self.clock.advance(seconds)
        self.ms += round(seconds * 1000)
        self.fake.set_clock(self.ms)

    def tick(self, count: int = 1, *, seconds: float = 1.0) -> Batch:
        """Read ``count`` times, each followed by ``seconds``; returns the last batch."""
        for _ in range(count):
            self.batch = self.collector.collect(self.clock.time())
            self.gpus = list(self.batch.gpus) if self.batch.gpus is not None else self.gpus
            self.events.extend(self.batch.events)
            self.advance(seconds)
        return self.batch

    def sample(self, position: int = 0) -> GpuSample:
        """A GPU's row in the last batch."""
        return self.batch.gpu_samples[position]

    def why(self, name: str, position: int = 0) -> Missing | None:
        """The reason for an absent field in the last batch."""
        return self.batch.missing.get(("gpu", self.sample(position).gpu_uuid, name))

    def kinds(self) -> list[str]:
        """Kinds of all events so far, without the opening one."""
        return [event.kind for event in self.events if event.kind != "driver_opened"]

    def process(self, pid: int) -> ProcessSample:
        """The one sample of a pid in the last batch."""
        (found,) = [sample for sample in self.batch.process_samples if sample.pid == pid]
        return found


Start = Callable[..., Play]


@pytest.fixture
def roots(tmp_path: Path) -> tuple[Path, Path]:
    """(proc_root, sys_root) of a host that is no container and has no sleeping GPU."""
    (tmp_path / "proc/self/ns").mkdir(parents=True)
    (tmp_path / "proc/self/ns/pid").symlink_to("pid:[4026531836]")
    (tmp_path / "sys").mkdir()
    return tmp_path / "proc", tmp_path / "sys"


@pytest.fixture
def container(roots: tuple[Path, Path]) -> None:
    """Make the host a container with a pid namespace of its own."""
    link = roots[0] / "self/ns/pid"
    link.unlink()
    link.symlink_to("pid:[4026532999]")


@pytest.fixture
def start(roots: tuple[Path, Path]) -> Iterator[Start]:
    """``start(class, gpus, lines, …)`` opens a collector on a scenario; everything is closed after the test."""
    with ExitStack() as stack:

        def _start(
            name: str = "hopper-h100",
            gpus: int = 1,
            lines: Iterable[str] = (),
            *,
            attributes: str = "",
            pids: Mapping[str, int] | None = None,
            opened: bool = True,
            text: str | None = None,
        ) -> Play:
            scenario = text or of_class(name, gpus, attributes=attributes)
            fake = stack.enter_context(FakeDriver(scenario, extra=lines, pids=pids, manual=True))
            stack.enter_context(fake.loaded())
            play = Play(fake, *roots)
            stack.callback(play.collector.close)
            if opened:
                play.collector.open()
            return play

        yield _start
