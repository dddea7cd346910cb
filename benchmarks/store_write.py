"""What keeping a tick costs (8 GPU and 128 process rows, a commit every 10 ticks), beside a plain SQLAlchemy ORM writer.

``python benchmarks/store_write.py [--ticks 300]`` prints CPU per tick and bytes written per tick (by the kernel's count of this
process' ``write`` calls), both writers in the same run, and exits 1 when the store is over its budget. A busy machine only ever adds
CPU time, so the median and the best batch are shown, and the best one is held against the budget.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from sqlalchemy import Float, ForeignKey, Integer, String, create_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from gpuwatch.clock import FakeClock
from gpuwatch.measure import quantise
from gpuwatch.model import Gpu, GpuSample, Host, Process, ProcessSample
from gpuwatch.names import Context
from gpuwatch.store.rollup import close_minutes
from gpuwatch.store.rows import GpuRow, ProcessRow, Tick
from gpuwatch.store.writer import StoreWriter

GPUS, PER_GPU, BATCH = 8, 16, 10
BUDGET_MS, BUDGET_KIB = 0.6, 20.0


class Cost(NamedTuple):
    """CPU milliseconds a tick over the batches of a run."""

    median: float
    best: float


class Base(DeclarativeBase):
    """The schema that one writes first: text keys, one row object per value set."""


class OrmGpu(Base):
    """A GPU row."""

    __tablename__ = "gpu"
    id: Mapped[int] = mapped_column(Integer, primary_key=True)
    at: Mapped[str] = mapped_column(String, index=True)
    uuid: Mapped[str] = mapped_column(String, index=True)
    utilization: Mapped[float | None] = mapped_column(Float)
    memory: Mapped[float | None] = mapped_column(Float)
    power: Mapped[float | None] = mapped_column(Float)
    temperature: Mapped[float | None] = mapped_column(Float)


class OrmProcess(Base):
    """A process row."""

    __tablename__ = "process"
    id: Mapped[int] = mapped_column(Integer, primary_key=True)
    gpu_row: Mapped[int] = mapped_column(ForeignKey("gpu.id"), index=True)
    pid: Mapped[int] = mapped_column(Integer)
    user: Mapped[str] = mapped_column(String)
    command: Mapped[str] = mapped_column(String)
    memory: Mapped[float | None] = mapped_column(Float)
    sm: Mapped[float | None] = mapped_column(Float)
    cpu: Mapped[float | None] = mapped_column(Float)


def written() -> int:
    """Bytes that this process gave to ``write`` calls."""
    for line in Path("/proc/self/io").read_text().splitlines():
        if line.startswith("wchar:"):
            return int(line.split()[1])
    return 0


def ticks(count: int, t0_ms: int) -> Iterator[Tick]:
    """The rows of the bench: values move from tick to tick."""
    gpus = [Gpu(f"GPU-{i}", i, "NVIDIA H100 80GB HBM3") for i in range(GPUS)]
    people = [
        Process(4000 + i, t0_ms, "python3", uid=1000, user="alice", command="python3 train.py") for i in range(GPUS * PER_GPU)
    ]
    full = GpuSample(
        "", utilization_ratio=0.5, memory_utilization_ratio=0.2, graphics_active_ratio=0.9, sm_active_ratio=0.7, tensor_active_ratio=0.3,
        dram_active_ratio=0.4, memory_used_bytes=6e10, power_limit_watts=700.0, energy_joules=500.0, temperature_celsius=61,
        memory_temperature_celsius=70, sm_clock_hertz=1.98e9, memory_clock_hertz=2.6e9, pcie_rx_bytes=1e8, pcie_tx_bytes=2e8,
        nvlink_rx_bytes=1e9, nvlink_tx_bytes=1e9, clock_event_reasons=4, performance_state=0, process_count=16,
    )  # fmt: skip
    for k in range(count):
        wave = (k * 37 % 100) / 100
        gpu = quantise(replace(full, utilization_ratio=wave, power_watts=300 + 300 * wave, pcie_rx_bytes=1e8 * wave))
        process = quantise(ProcessSample(1, gpu_memory_bytes=4e9, sm_utilization_ratio=wave, cpu_ratio=1 + wave, rss_bytes=2e9))
        first = k == 0
        yield Tick(
            t0_ms + k * 1000,
            host=Host("bench", "bench") if first else None,
            gpus=gpus if first else (),
            processes=people if first else (),
            gpu_rows=[GpuRow(g.uuid, 1000, False, Context.PROCESS, 0, 1000, False, gpu) for g in gpus],
            process_rows=[ProcessRow(p.pid, p.start_ms, gpus[i % GPUS].uuid, 1000, process) for i, p in enumerate(people)],
        )


def run_store(made: list[Tick], folder: Path) -> tuple[Cost, float, float]:
    """(CPU ms a tick, KiB a tick, CPU ms a tick of closing minutes)."""
    clock = FakeClock(made[0].ts_ms / 1000)
    writer = StoreWriter.open(folder / "bench.db", clock=clock, tmpfs_fallback=False)
    writer.begin_session(made[0].ts_ms, 1000, "bench")
    for tick in made[:BATCH]:
        writer.add(tick)
    writer.commit()
    costs: list[float] = []
    before = written()
    for start in range(BATCH, len(made), BATCH):
        began = time.process_time()
        for tick in made[start : start + BATCH]:
            writer.add(tick)
        writer.commit()
        costs.append((time.process_time() - began) * 1000 / BATCH)
    kib = (written() - before) / 1024 / (len(made) - BATCH)
    began = time.process_time()
    close_minutes(writer.connection, made[-1].ts_ms)
    closing = (time.process_time() - began) * 1000 / len(made)
    writer.end_session()
    writer.close()
    return Cost(statistics.median(costs), min(costs)), kib, closing


def run_orm(made: list[Tick], folder: Path) -> tuple[Cost, float]:
    """The same rows by ORM objects and one session commit for each batch."""
    engine = create_engine(f"sqlite:///{folder / 'orm.db'}")
    Base.metadata.create_all(engine)
    costs: list[float] = []
    before = written()
    for start in range(0, len(made), BATCH):
        began = time.process_time()
        with Session(engine) as session:
            for tick in made[start : start + BATCH]:
                _orm_tick(session, tick)
            session.commit()
        costs.append((time.process_time() - began) * 1000 / BATCH)
    engine.dispose()
    return Cost(statistics.median(costs), min(costs)), (written() - before) / 1024 / len(made)


def _orm_tick(session: Session, tick: Tick) -> None:
    at = datetime.fromtimestamp(tick.ts_ms / 1000, UTC).isoformat()
    made = {
        g.gpu_uuid: OrmGpu(at=at, uuid=g.gpu_uuid, utilization=0.5, memory=6e10, power=333.3, temperature=61.0)
        for g in tick.gpu_rows
    }
    session.add_all(made.values())
    session.flush()
    session.add_all(
        OrmProcess(gpu_row=made[p.gpu_uuid].id, pid=p.pid, user="alice", command="python3 train.py", memory=4e9, sm=0.5, cpu=1.5)
        for p in tick.process_rows
    )


def main(say: Callable[[str], None] = print) -> int:
    """Run both, print one table, compare with the budgets."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--ticks", type=int, default=300)
    count = max(2 * BATCH, parser.parse_args().ticks // BATCH * BATCH)
    made = list(ticks(count, 1_763_130_720_000))
    with tempfile.TemporaryDirectory() as name:
        cpu, kib, closing = run_store(made, Path(name))
        orm, orm_kib = run_orm(made[: max(2 * BATCH, count // 10)], Path(name))
    say(f"{GPUS} GPU + {GPUS * PER_GPU} process rows a tick, commit every {BATCH} ticks, {count} ticks; CPU is per batch")
    say(f"{'writer':<28}{'median ms/tick':>16}{'best':>8}{'KiB/tick':>10}")
    say(
        f"{'gpuwatch insert + commit':<28}{cpu.median:>16.3f}{cpu.best:>8.3f}{kib:>10.1f}   budget {BUDGET_MS} ms, {BUDGET_KIB:.0f} KiB"
    )
    say(f"{'gpuwatch minute rollups':<28}{closing:>16.3f}")
    ratio = f"{orm.median / cpu.median:.0f}x the CPU (median), {orm.best / cpu.best:.0f}x (best)"
    say(f"{'SQLAlchemy ORM objects':<28}{orm.median:>16.3f}{orm.best:>8.3f}{orm_kib:>10.1f}   {ratio}")
    return 0 if cpu.best <= BUDGET_MS and kib <= BUDGET_KIB else 1


if __name__ == "__main__":
    sys.exit(main())
