"""Stories of the corpus second by second through a recorder and its store: the rules read there what was kept, as they do live."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from support.corpus_run import STORIES_ALL
from support.corpus_world import Host, Place, Truth

from gpuwatch.clock import FakeClock
from gpuwatch.dataclass import replace
from gpuwatch.ledger.facts import SW_POWER_CAP, SW_THERMAL
from gpuwatch.model import Batch, Event, GpuSample, HostSample, Process, ProcessSample, Workload
from gpuwatch.model import Host as Machine
from gpuwatch.names import Context
from gpuwatch.recorder import Closer, Recorder
from gpuwatch.recorder.advice_settings import AdviceSettings
from gpuwatch.recorder.advisor import Advisor
from gpuwatch.store.writer import StoreWriter

TOLD_BY_DEVICES = (
    "free", "held", "zombie", "gappy", "one_thread", "starved", "empty", "full", "hot", "slow_clock", "capped", "link", "nvlink", "errors",
    "double_precision", "explores", "loads", "saves",
)  # fmt: skip
"""Stories that a GPU's driver and /proc can tell; hooks and servers have pipelines of their own in other tests."""
_CLOCKS_SET = 0x2
_GPU = {
    "utilization": "utilization_ratio", "sm": "sm_active_ratio", "tensor": "tensor_active_ratio", "dram": "dram_active_ratio",
    "fp64": "fp64_active_ratio", "fp32": "fp32_active_ratio", "memory_used": "memory_used_bytes", "power": "power_watts",
    "power_limit": "power_limit_watts", "temperature": "temperature_celsius", "sm_clock": "sm_clock_hertz",
    "pcie_rx": "pcie_rx_bytes", "pcie_tx": "pcie_tx_bytes", "pcie_generation": "pcie_link_generation", "pcie_width": "pcie_link_width",
    "nvlink": "nvlink_rx_bytes", "nvlink_active": "nvlink_active_count", "ecc_uncorrected": "ecc_uncorrected_total",
}  # fmt: skip
_REASONS = (("thermal", SW_THERMAL), ("power_cap", SW_POWER_CAP), ("clocks_set", _CLOCKS_SET))


@dataclass
class _Source:
    name: str
    interval_seconds: int
    make: Callable[[], Batch]

    def open(self) -> None: ...

    def collect(self, now: float) -> Batch:
        return self.make()

    def close(self) -> None: ...


@dataclass
class Recorded:
    """One story on a host of its own: what was true, and what the store holds of it: rule -> how often it was opened."""

    name: str
    seed: int
    truth: Truth
    opened: dict[str, int] = field(default_factory=dict)


class _Player:
    """Says at each second what its ten seconds say."""

    def __init__(self, name: str, seed: int, path: Path) -> None:
        story, gpus = STORIES_ALL[name]
        self.host = Host()
        self.place = Place(self.host, tuple(range(1, gpus + 1)), 100)
        self.truth = story(self.place, random.Random(f"{name} {seed}"))
        self.dice = random.Random(seed)
        self.started = self.host.t_ms / 1000
        self.clock = FakeClock(self.started)
        self.said: dict[int, dict[str, Any]] = {}
        self.look, self.ecc = -1, 0
        self.writer = StoreWriter.open(path, clock=self.clock, tmpfs_fallback=False)
        advisor = Advisor(self.writer, self.clock, AdviceSettings())
        sources: list[Any] = [_Source("nvml", 1, self._nvml), _Source("procs", 2, self._procs)]
        self.recorder = Recorder(sources, self.writer, self.clock, closer=Closer(self.writer), advisor=advisor)

    def play(self) -> dict[str, int]:
        """All of it; what was opened."""
        for _ in range(round(self.place.minutes * 60)):
            self.clock.advance(1)
            self._turn()
            self.recorder.run_once(self.clock.time())
        self.writer.commit()
        rows = self.writer.connection.execute("SELECT rule, count(*) FROM finding GROUP BY rule").fetchall()
        self.recorder.end()
        self.writer.close()
        return dict(rows)

    def _turn(self) -> None:
        look = int((self.clock.time() - self.started - 1) // 10)
        if look == self.look:
            return
        self.look, self.host.number, self.host.t_ms = look, look, round((self.started + look * 10) * 1000)
        for do in self.place.at.get(look, ()):
            do()
        self.said = {gpu: self.host._said(self.place.gpu.get(gpu)) for gpu in self.place.gpus}

    def _nvml(self) -> Batch:
        uuid = {gpu: self.host.gpus[gpu].gpu.uuid for gpu in self.place.gpus}
        held = [
            ProcessSample(p, gpu_uuid=uuid[gpu], kind="compute", gpu_memory_bytes=self._process(p).get("memory", 10.0 * (1 << 30)))
            for p, gpus in self.host.holds.items()
            for gpu in gpus
        ]
        events = []
        if (self.clock.time() - self.started - 1) % 10 == 5:
            now = round(self.clock.time() * 1000)
            events = [
                Event(now, kind, detail, severity, uuid[self.place.gpus[0]])
                for kind, severity, detail in self.place.events.get(self.look, ())
            ]
        return Batch(
            "nvml",
            int(self.clock.time()),
            gpus=[replace(self.host.gpus[gpu].gpu, sm_clock_max_hertz=1_980_000_000) for gpu in self.place.gpus],
            gpu_samples=[self._gpu(gpu, uuid[gpu]) for gpu in self.place.gpus],
            process_samples=held,
            events=events,
        )

    def _gpu(self, gpu: int, uuid: str) -> GpuSample:
        said = self.said[gpu]
        fields = {column: said[name] for name, column in _GPU.items() if said.get(name) is not None}
        reasons = sum(bit for name, bit in _REASONS if (said.get(name) or 0.0) > self.dice.random())
        holders = sum(gpu in gpus for gpus in self.host.holds.values())
        if said.get("context") == Context.MEMORY_ONLY:
            holders = 0
        return GpuSample(uuid, clock_event_reasons=reasons, energy_joules=said.get("power"), process_count=holders, **fields)

    def _process(self, proc_id: int) -> dict[str, Any]:
        return self.host._said(self.place.process.get(proc_id))

    def _procs(self) -> Batch:
        people, samples, jobs = [], [], []
        for proc_id in self.host.holds:
            facts = self.host.processes[proc_id]
            root = self.host.jobs.get(facts.workload_id)
            process = Process(facts.pid, facts.start_ms, facts.name, uid=1000, user=facts.user, command=facts.command)
            if root is not None:
                process = replace(process, workload_pid=root.root_pid, workload_start_ms=root.root_start_ms)
                kind: Any = root.kind
                jobs.append(
                    Workload(root.root_pid, root.root_start_ms, kind=kind, name=root.name, engine=root.engine, user=root.user)
                )
            people.append(process)
            said = self._process(proc_id)
            samples.append(
                ProcessSample(
                    facts.pid,
                    facts.start_ms,
                    cpu_ratio=said.get("cpu"),
                    thread_cpu_ratio=said.get("thread_cpu"),
                    cpu_throttled_ratio=said.get("cpu_throttled"),
                    run_state=ord(said["run_state"]) if said.get("run_state") else None,
                )
            )
        load = HostSample(cpu_ratio=0.2, iowait_ratio=0.0, load_average=8.0, steal_ratio=0.0, io_pressure_ratio=0.0)
        machine = Machine("m-1", "box", cpu_count=64)
        return Batch(
            "procs",
            int(self.clock.time()),
            host=machine,
            processes=people,
            process_samples=samples,
            workloads=jobs,
            host_sample=load,
        )


def record(name: str, seed: int, folder: Path) -> Recorded:
    """Play one story through a recorder whose store is in ``folder``."""
    player = _Player(name, seed, folder / f"{name}-{seed}.db")
    return Recorded(name, seed, player.truth, player.play())
