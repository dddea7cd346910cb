"""What ``archive_size.py`` keeps: four GPUs, one for each thing that GPUs do, with noise in every digit, and 16 processes on each.

A mean-reverting noise (an autoregressive process of first order) moves every gauge, as in the study of the store, whose figures rest on
the same four states. Real idle GPUs compress better; real link counters may be worse. Everything comes from one seed.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from gpuwatch.measure import quantise
from gpuwatch.model import Gpu, GpuSample, Host, HostSample, Process, ProcessSample
from gpuwatch.names import Context
from gpuwatch.store.rows import GpuRow, ProcessRow, Tick

STATES = ("training", "inference", "held idle", "empty")
PROCESSES, HEAVY = 16, 2
PROCESS_STEP = 2
START_S = 1_763_164_800
"""Saturday, 15 November 2025, 00:00 UTC."""
MIB, KIB = 1 << 20, 1 << 10


class Noise:
    """Values around a mean that remember the one before: ``phi`` of the distance stays each second."""

    def __init__(self, rng: random.Random, phi: float = 0.9) -> None:
        self._rng, self._phi, self._keep = rng, phi, math.sqrt(1 - phi * phi)
        self._at: dict[str, float] = {}

    def __call__(self, name: str, mean: float, spread: float) -> float:
        """The next value of ``name``; ``spread`` is its standard deviation."""
        self._at[name] = self._phi * self._at.get(name, 0.0) + self._keep * spread * self._rng.gauss(0, 1)
        return mean + self._at[name]

    def share(self, name: str, mean: float, spread: float) -> float:
        """The same within 0 and 1."""
        return min(1.0, max(0.0, self(name, mean, spread)))


class Board:
    """One GPU in one state, with its processes."""

    def __init__(self, number: int, state: str, rng: random.Random) -> None:
        self.gpu = Gpu(
            f"GPU-{number:08x}-0000-4000-8000-{number:012x}", number, "NVIDIA H100 80GB HBM3", memory_total_bytes=80 << 30
        )
        self.state, self._rng, self._noise, self._slow = state, rng, Noise(rng), Noise(rng, 0.99)
        self._stall_until = 0
        self._quiet_ms = 0
        holders = 0 if state == "empty" else PROCESSES
        self.processes = [
            Process(4000 + 100 * number + n, START_S * 1000 - 9000, "python3", uid=1000 + number, user=f"user{number}",
                    command=f"python3 -m torch.distributed.run train.py --config configs/pretrain-7b.yaml --rank {n} --data /data/tokens")
            for n in range(holders)
        ]  # fmt: skip

    def row(self, second: int) -> GpuRow:
        """The second that ends now."""
        busy, sample = self.gauges(second)
        quiet = busy == 0
        self._quiet_ms = self._quiet_ms + 1000 if quiet else 0
        context = Context.PROCESS if self.processes else Context.NONE
        return GpuRow(self.gpu.uuid, 1000, quiet, context, self._quiet_ms, 1000, False, quantise(sample))

    def gauges(self, second: int) -> tuple[float, GpuSample]:
        """How busy it is in the second that ends now, and what can be read of it."""
        busy = self._load(second)
        return busy, self._sample(busy)

    def _load(self, second: int) -> float:
        """How busy it is: checkpoints stop a training, a server follows the hour."""
        if self.state == "training":
            if second >= self._stall_until and self._rng.random() < 1 / 1200:
                self._stall_until = second + 25
            return 0.0 if second < self._stall_until else 1.0
        if self.state == "inference":
            return max(0.05, 0.45 + 0.3 * math.sin(second / 86_400 * 2 * math.pi) + self._slow("load", 0, 0.12))
        return 0.0

    def _sample(self, busy: float) -> GpuSample:
        noise, share = self._noise, self._noise.share
        idle_watts = 72 if self.state == "empty" else 118
        values: dict[str, Any] = {}
        if busy:
            values = {
                "utilization_ratio": round(share("utilization", 0.4 + 0.58 * busy, 0.02), 2),
                "memory_utilization_ratio": round(share("memory", 0.5 * busy, 0.04), 2),
                "graphics_active_ratio": share("graphics", 0.95 * busy, 0.01),
                "sm_active_ratio": share("sm", 0.82 * busy, 0.015),
                "sm_occupancy_ratio": share("occupancy", 0.33 * busy, 0.008),
                "tensor_active_ratio": share("tensor", 0.42 * busy, 0.012),
                "dram_active_ratio": share("dram", 0.48 * busy, 0.015),
                "pcie_rx_bytes": abs(noise("rx", 220e6 * busy, 2e6)),
                "pcie_tx_bytes": abs(noise("tx", 90e6 * busy, 1e6)),
            }
        if self.state == "training" and busy:
            values |= {"nvlink_rx_bytes": abs(noise("nrx", 32e9, 2e8)), "nvlink_tx_bytes": abs(noise("ntx", 32e9, 2e8))}
        watts = noise("watts", idle_watts + 520 * busy, 0.4 + 7 * busy)
        return GpuSample(
            self.gpu.uuid,
            **{"utilization_ratio": 0.0, "memory_utilization_ratio": 0.0, **dict.fromkeys(_ACTIVITY, 0.0), **_LINKS, **values},
            memory_used_bytes=(71_000 if self.processes else 4) * MIB + (MIB * round(self._slow("held", 0, 40)) if busy else 0),
            power_watts=watts,
            power_limit_watts=700.0,
            energy_joules=watts + self._rng.gauss(0, 0.2 + 2 * busy),
            temperature_celsius=round(self._slow("core", 34 + 27 * busy, 1.2)),
            memory_temperature_celsius=round(self._slow("memory", 40 + 32 * busy, 1.2)),
            sm_clock_hertz=round(noise("clock", 1900, 20) / 15) * 15e6 if busy else 345e6 if self.state == "empty" else 1980e6,
            memory_clock_hertz=2619e6,
            clock_event_reasons=4 if busy and self._rng.random() < 0.3 else 0 if busy else 1,
            power_throttled_seconds=0.0,
            thermal_throttled_seconds=0.0,
            performance_state=0,
            process_count=len(self.processes),
            ecc_uncorrected_total=0,
        )

    def process_rows(self) -> Iterator[ProcessRow]:
        """The two seconds that end now; two of the processes do the work, the others wait for them."""
        for number, one in enumerate(self.processes):
            heavy = number < HEAVY and self.state != "held idle"
            sample = ProcessSample(
                one.pid,
                gpu_memory_bytes=(33_000 if number < HEAVY else 310) * MIB,
                sm_utilization_ratio=round(self._noise.share(f"sm{number}", 0.46, 0.03), 2) if heavy else 0.0,
                memory_utilization_ratio=round(self._noise.share(f"bw{number}", 0.22, 0.02), 2) if heavy else 0.0,
                cpu_ratio=round(abs(self._noise(f"cpu{number}", 1.1 if heavy else 0.02, 0.08 if heavy else 0.008)), 2),
                rss_bytes=(24_000 if heavy else 2_600) * MIB + MIB * round(self._slow(f"rss{number}", 0, 12 if heavy else 1)),
                read_bytes=abs(self._noise(f"read{number}", 2e7, 4e6)) if heavy else 0.0,
                write_bytes=0.0,
            )
            yield ProcessRow(one.pid, one.start_ms, self.gpu.uuid, PROCESS_STEP * 1000, quantise(sample))


_ACTIVITY = ("graphics_active_ratio", "sm_active_ratio", "sm_occupancy_ratio", "tensor_active_ratio", "dram_active_ratio",
             "fp64_active_ratio", "fp32_active_ratio", "fp16_active_ratio", "encoder_utilization_ratio", "decoder_utilization_ratio")  # fmt: skip
_LINKS: Mapping[str, float] = {
    "pcie_rx_bytes": 900 * KIB,
    "pcie_tx_bytes": 400 * KIB,
    "nvlink_rx_bytes": 0.0,
    "nvlink_tx_bytes": 0.0,
}


def ticks(hours: float, seed: int = 7, states: Sequence[str] = STATES) -> Iterator[Tick]:
    """The recording, second by second: one GPU for each of ``states``."""
    rng = random.Random(seed)
    boards = [Board(number, state, rng) for number, state in enumerate(states)]
    host = Noise(rng)
    people = [process for board in boards for process in board.processes]
    for second in range(round(hours * 3600) + 1):
        first, slow = second == 0, second % PROCESS_STEP == 0
        yield Tick(
            (START_S + second) * 1000,
            host=Host("bench", "bench", cpu_count=64) if first else None,
            gpus=[board.gpu for board in boards] if first else (),
            processes=people if first else (),
            gpu_rows=[board.row(second) for board in boards] if not first else (),
            process_rows=[row for board in boards for row in board.process_rows()] if slow and not first else (),
            host_dt_ms=2000,
            host_values=_host(host) if slow and not first else None,
        )


def _host(noise: Noise) -> tuple[int | None, ...]:
    return quantise(
        HostSample(
            cpu_ratio=noise.share("cpu", 0.3, 0.03),
            iowait_ratio=noise.share("wait", 0.01, 0.005),
            memory_used_bytes=noise("memory", 4e11, 2e8),
            swap_used_bytes=0.0,
            load_average=abs(noise("load", 20, 0.5)),
            disk_read_bytes=abs(noise("read", 4e8, 1e8)),
            disk_write_bytes=abs(noise("write", 1e8, 5e7)),
            network_receive_bytes=abs(noise("in", 3e7, 1e7)),
            network_transmit_bytes=abs(noise("out", 3e7, 1e7)),
            process_count=900,
        )
    )
