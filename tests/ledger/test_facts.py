"""The facts of a tick: quiet, context, clock factor, busy share, weight."""

from __future__ import annotations

from fractions import Fraction

import pytest

from gpuwatch.ledger import facts, stored
from gpuwatch.ledger.types import NO_WORK, Fill, Work
from gpuwatch.model import Gpu, GpuSample
from gpuwatch.names import Cause, Context, Tier
from gpuwatch.store.columns import GPU_SAMPLE
from gpuwatch.store.facts import GpuFacts

GIB = 1024**3
H100 = Gpu("GPU-a", 0, "H100", memory_total_bytes=80 * GIB, power_limit_default_watts=700, sm_clock_max_hertz=2_000_000_000)
PARENT = Gpu("GPU-a", 0, "H100", mig_enabled=True, memory_total_bytes=80 * GIB)


def sample(**values: object) -> GpuSample:
    return GpuSample("GPU-a", **values)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({}, None),
        ({"utilization_ratio": 0.0, "unavailable": True}, None),
        ({"utilization_ratio": 0.049}, True),
        ({"utilization_ratio": 0.05}, False),
        ({"utilization_ratio": 0.01, "sm_active_ratio": 0.02}, False),
        ({"utilization_ratio": 0.01, "sm_active_ratio": 0.019}, True),
        ({"utilization_ratio": 0.0, "decoder_utilization_ratio": 0.01}, False),
        ({"utilization_ratio": 0.0, "encoder_utilization_ratio": 0.0}, True),
        ({"graphics_active_ratio": 0.5}, False),
        ({"sm_active_ratio": 0.01}, True),
        ({"sm_active_ratio": 0.5}, False),
    ],
)
def test_quiet(values: dict[str, object], expected: bool | None) -> None:
    assert facts.quiet(sample(**values)) is expected


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({}, None),
        ({"process_count": 2}, Context.PROCESS),
        ({"process_count": 0}, Context.NONE),
        ({"process_count": 0, "memory_used_bytes": 1.5 * GIB}, Context.NONE),
        ({"process_count": 0, "memory_used_bytes": 1.7 * GIB}, Context.MEMORY_ONLY),
        ({"memory_used_bytes": 0.5 * GIB}, Context.NONE),
        ({"memory_used_bytes": 9 * GIB}, Context.MEMORY_ONLY),
    ],
)
def test_context(values: dict[str, object], expected: Context | None) -> None:
    assert facts.context(sample(**values), H100) is expected


def test_context_without_a_memory_total_uses_one_gibibyte() -> None:
    unified = Gpu("GPU-a", 0, "GB10")
    assert facts.context(sample(memory_used_bytes=0.9 * GIB), unified) is Context.NONE
    assert facts.context(sample(memory_used_bytes=1.1 * GIB), unified) is Context.MEMORY_ONLY


def test_context_of_a_mig_parent_is_free_beside_its_instances_and_unknown_without_them() -> None:
    used = sample(memory_used_bytes=40 * GIB, process_count=0)
    assert facts.context(used, PARENT, sliced=True) is Context.NONE
    assert facts.context(used, PARENT) is None


@pytest.mark.parametrize(
    ("reasons", "limit", "expected"),
    [(None, 700, 1000), (0x1, 700, 1000), (0x4, 700, 1000), (0x4, 500, 700), (0x20, 700, 700), (0x40, 700, 700), (0x8, 700, 700), (0x80, 700, 700), (0x1, 500, 1000), (0x4, None, 1000)],
)  # fmt: skip
def test_kappa(reasons: int | None, limit: float | None, expected: int) -> None:
    one = sample(clock_event_reasons=reasons, power_limit_watts=limit, sm_clock_hertz=1_400_000_000)
    assert facts.kappa_pm(one, H100) == expected


def test_kappa_needs_both_clocks_and_never_exceeds_one() -> None:
    assert facts.kappa_pm(sample(clock_event_reasons=0x40), H100) == 1000
    assert facts.kappa_pm(sample(clock_event_reasons=0x40, sm_clock_hertz=1), Gpu("GPU-a", 0, "x")) == 1000
    assert facts.kappa_pm(sample(clock_event_reasons=0x40, sm_clock_hertz=3e9), H100) == 1000
    assert facts.kappa_pm(sample(clock_event_reasons=0x40, sm_clock_hertz=0), H100) == 1000


def test_busy_prefers_gpm_over_utilization() -> None:
    assert facts.busy_pm(sample()) is None
    assert facts.busy_pm(sample(utilization_ratio=0.9)) == 900
    assert facts.busy_pm(sample(utilization_ratio=0.9, graphics_active_ratio=0.4)) == 400
    assert facts.busy_pm(sample(sm_active_ratio=0.3)) == 300
    assert facts.busy_pm(sample(utilization_ratio=1.2)) == 1000


def test_weights_of_a_sliced_gpu_sum_to_one() -> None:
    instances = [Gpu(f"MIG-{n}", n, "x", parent_uuid="GPU-a", compute_fraction=f) for n, f in enumerate((3 / 7, 2 / 7))]
    gpus = [PARENT, *instances, Gpu("GPU-b", 1, "x")]
    assert [facts.weight(gpu, gpus) for gpu in gpus] == [Fraction(2, 7), Fraction(3, 7), Fraction(2, 7), Fraction(1)]


@pytest.mark.parametrize(
    ("power", "limit", "idle", "expected"),
    [
        (None, 700, 70, None),
        (400, None, 70, None),
        (400, 0, 70, None),
        (400, 60, 70, None),
        (385, 700, 70, 0.5),
        (60, 700, 70, 0.0),
        (705, 700, 70, 1.0),
        (387.5, 700, None, 0.5),
        (170, 300, None, (170 - 45) / (300 - 45)),
    ],
)
def test_power_fraction(power: float | None, limit: float | None, idle: float | None, expected: float | None) -> None:
    found = facts.power_fraction(power, limit, idle)
    assert found == (None if expected is None else pytest.approx(expected))


@pytest.mark.parametrize(
    ("busy", "kappa", "signals", "expected"),
    [
        (800, 1000, {}, None),
        (0, 1000, {"sm_pm": 10, "power_pm": 500}, None),
        (800, 1000, {"sm_pm": 600, "tensor_pm": 186, "dram_pm": 320}, Fill(Tier.G, 750, 500)),
        (800, 1000, {"sm_pm": 600, "tensor_pm": 372, "dram_pm": 320}, Fill(Tier.G, 750, 500)),
        (800, 1000, {"sm_pm": 900, "tensor_pm": 0, "dram_pm": 0, "fp64_pm": 930}, Fill(Tier.G, 1000, 1000)),
        (800, 1000, {"sm_pm": 400, "tensor_pm": 900, "dram_pm": 900}, Fill(Tier.G, 500, 500)),
        (800, 1000, {"sm_pm": 600, "tensor_pm": 186}, Fill(Tier.G, 750)),
        (800, 500, {"sm_pm": 600, "mfu_pm": 160}, Fill(Tier.G, 750, 400)),
        (800, 500, {"mfu_pm": 160, "power_pm": 300}, Fill(Tier.H, 1000, 400)),
        (1000, 1000, {"power_pm": 512}, Fill(Tier.P, 512)),
        (None, 1000, {"power_pm": 5120}, Fill(Tier.P, 1000)),
        (4000, 1000, {"sm_pm": -3, "tensor_pm": 0, "dram_pm": 0}, Fill(Tier.G, 0, 0)),
    ],
)
def test_fill(busy: int | None, kappa: int, signals: dict[str, int], expected: Fill | None) -> None:
    assert facts.fill(busy, kappa, **signals) == expected


def test_the_idle_floor_is_the_fifth_percentile() -> None:
    assert facts.idle_floor([]) is None
    assert facts.idle_floor([73.4]) == 73.4
    assert facts.idle_floor([float(n) for n in range(1000, 0, -1)]) == 50.0


def test_a_stored_row_is_read_in_one_order_everywhere() -> None:
    assert GpuFacts._fields[3:] == stored.COLUMNS and set(stored.COLUMNS) <= set(GPU_SAMPLE)


def test_what_cannot_be_counts_as_the_nearest_that_can() -> None:
    lying = dict.fromkeys(stored.COLUMNS) | {"dt_ms": 1000, "quiet": 0, "context": 1, "quiet_ms": 0, "kappa_pm": 1000}
    lying |= {
        "unavailable": 0,
        "utilization_pm": 40_000,
        "power_mw": -5000,
        "overhead_pm": 4000,
        "input_pm": -7,
        "inferred_cause": 99,
    }
    row = stored.row(5000, tuple(lying.values()))
    assert (row.busy_pm, row.work, row.fill) == (1000, Work(overhead_pm=1000), None)
    known = stored.row(5000, tuple((lying | {"overhead_pm": 0, "inferred_cause": 2}).values()))
    assert known.work == Work(inferred=Cause.INPUT)
    assert stored.row(5000, tuple((lying | {"overhead_pm": None, "input_pm": 0, "inferred_cause": None}).values())).work is NO_WORK
