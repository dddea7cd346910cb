"""A recorder with rules beside it, told second by second what one or two GPUs do: no threads, a clock that stands still between ticks."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from gpuwatch.clock import FakeClock
from gpuwatch.model import Batch, Gpu, GpuSample, Host, Process, ProcessSample
from gpuwatch.names import Basis, Bucket, Cause, Confidence, Severity
from gpuwatch.recorder import Closer, Recorder
from gpuwatch.recorder.advice_settings import AdviceSettings
from gpuwatch.recorder.advisor import Advisor
from gpuwatch.rules.looks import Facts, Look
from gpuwatch.rules.types import Change, Evidence, Finding, Mute, NotEvaluated, OpenFinding, Standing
from gpuwatch.store.writer import StoreWriter

START = 1_763_130_720.0
"""14:32 UTC, a whole minute."""
GIB = 1 << 30
HOLDER = Process(4711, 1_763_130_000_000, "python", uid=1000, user="ana", command="python train.py")


class _Source:
    def __init__(self, name: str, seconds: int, make: Callable[[], Batch]) -> None:
        self.name, self.interval_seconds, self._make = name, seconds, make

    def open(self) -> None: ...

    def collect(self, now: float) -> Batch:
        return self._make()

    def close(self) -> None: ...


class Lab:
    """``lab.util[0] = 0.9; lab.run(60)`` records a minute. ``held``: GPUs on which the holder has 20 GiB."""

    def __init__(self, path: Path, settings: AdviceSettings = AdviceSettings(), *, gpus: int = 1, start: float = START) -> None:
        self.path, self.clock, self.settings = path, FakeClock(start), settings
        self.gpus = [Gpu(f"GPU-{n}", n, "H100", memory_total_bytes=80 * GIB, power_limit_watts=700.0) for n in range(gpus)]
        self.util, self.watts = [0.9] * gpus, 300.0
        self.held: list[int] = [0]
        self.begin()

    def begin(self) -> None:
        """A recorder begins (again)."""
        self.writer = StoreWriter.open(self.path, clock=self.clock, tmpfs_fallback=False)
        self.advisor = Advisor(self.writer, self.clock, self.settings)
        sources: list[Any] = [_Source("nvml", 1, self._nvml), _Source("procs", 2, self._procs)]
        closer = Closer(self.writer)
        self.recorder = Recorder(sources, self.writer, self.clock, closer=closer, advisor=self.advisor)

    def end(self) -> None:
        """It ends as it should."""
        self.recorder.end()
        self.writer.close()

    def run(self, seconds: int) -> None:
        """Record so many seconds."""
        for _ in range(seconds):
            self.clock.advance(1)
            self.recorder.run_once(self.clock.time())

    def rows(self, sql: str, *values: object) -> list[Any]:
        """What a reader would see after a commit."""
        self.writer.commit()
        return self.writer.connection.execute(sql, values).fetchall()

    @property
    def now_ms(self) -> int:
        return round(self.clock.time() * 1000)

    def _nvml(self) -> Batch:
        held = [ProcessSample(HOLDER.pid, gpu_uuid=f"GPU-{n}", kind="compute", gpu_memory_bytes=20.0 * GIB) for n in self.held]
        samples = [
            GpuSample(
                gpu.uuid,
                utilization_ratio=self.util[n],
                memory_used_bytes=20.0 * GIB if n in self.held else 0.0,
                power_watts=self.watts,
                energy_joules=self.watts,
                process_count=1 if n in self.held else 0,
            )
            for n, gpu in enumerate(self.gpus)
        ]
        return Batch("nvml", int(self.clock.time()), gpus=self.gpus, gpu_samples=samples, process_samples=held)

    def _procs(self) -> Batch:
        samples = [ProcessSample(HOLDER.pid, HOLDER.start_ms, cpu_ratio=0.25)] if self.held else []
        people = [HOLDER] if self.held else []
        return Batch("procs", int(self.clock.time()), host=Host("m-1", "lab"), processes=people, process_samples=samples)


def finding(**more: Any) -> Finding:
    """Somebody holds GPU 1 idle."""
    given: dict[str, Any] = {
        "name": "held idle",
        "title": "PID 4711 (ana, python train.py) holds 20 GiB.",
        "severity": Severity.WARNING,
        "confidence": Confidence.HIGH,
        "basis": Basis.MEASURED,
        "evidence": (Evidence("quiet without a break", "30 min", "30 min", "NVML"), Evidence("GPU memory held", "20 GiB")),
        "gpus": (1,),
        "waste_gpus": 1.0,
        "how": "The whole run.",
        "try_first": ("kill 4711", "torch.cuda.empty_cache()"),
        "then": "",
        "gain": "all of it",
        "gain_source": "measured",
        "wrong_if": ("somebody waits at a breakpoint",),
        "bucket": Bucket.HELD_IDLE,
        "measured": 1.0,
        "sql": "SELECT quiet_seconds FROM v_gpu_now",
    }
    return Finding(**{**given, **more})


class QuietEngine:
    """Stands in for the engine where the way of a finding is tested, not a rule: GPU 1 is quiet, or it is not."""

    cause = Cause.NONE
    seen: list[tuple[int, bool]]

    def __init__(
        self,
        limits: object,
        rules: Mapping[str, Any],
        *,
        known: Iterable[OpenFinding] = (),
        mutes: Iterable[Mute] = (),
        patience_seconds: float = 0.0,
    ) -> None:
        self.rules, self.mutes, self.seen = rules, tuple(mutes), []
        known = tuple(known)
        self.resume(known)
        self.open = {(each.rule, each.subject): each for each in known if each.ended_ms is None}

    def resume(self, known: Iterable[OpenFinding]) -> None:
        """For tests that want to see what it is given."""

    def steps(self, look: Look, facts: Facts, *, judge: bool = True) -> Iterator[list[Change]]:
        self.seen.append((look.t_ms, judge))
        yield []
        gpu, key = look.gpus.get(1), ("held", "gpu:GPU-0")
        if not judge or gpu is None:
            return
        found = self.open.get(key)
        if gpu.quiet_ms == gpu.ms:
            proc_id = next(iter(facts.processes), 0)
            if found is None:
                since = look.t_ms - gpu.quiet_run_ms
                found = self.open[key] = OpenFinding(*key, finding(cause=self.cause), since, look.t_ms, look.t_ms, proc_id=proc_id, command="python train.py")  # fmt: skip
                yield [Change("opened", found)]
            found.last_ms, found.cost_gpu_seconds = look.t_ms, (look.t_ms - found.started_ms) / 1000
            muted = any(mute.rule == "held" for mute in self.mutes)
            if muted != found.muted:
                found.muted = muted
                yield [Change("muted" if muted else "unmuted", found)]
            if look.t_ms % 60_000 == 0:
                yield [Change("grown", found)]
        elif found is not None:
            found.ended_ms = look.t_ms
            del self.open[key]
            yield [Change("cleared", found)]

    @property
    def standings(self) -> list[Standing]:
        return [Standing("held", f"gpu:{n}", f"GPU {n}", NotEvaluated("power limit", "gpuwatch doctor")) for n in range(70)]
