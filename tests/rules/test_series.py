"""Windows over looks: sums of 32 bits, windows that grow, and looks that wear off."""

from __future__ import annotations

from gpuwatch.model import Gpu
from gpuwatch.rules.catalogue import LIMITS
from gpuwatch.rules.limits import Limits
from gpuwatch.rules.looks import LOOK_MS, Facts, GpuFacts, GpuLook, Look
from gpuwatch.rules.scene import Scene
from gpuwatch.rules.series import Series

HOUR = 3600


def told(series: Series[GpuLook], count: int, first: int = 1) -> None:
    """Looks whose utilization is their number."""
    for number in range(first, first + count):
        series.add(number * LOOK_MS, GpuLook(LOOK_MS, known_ms=LOOK_MS, utilization=float(number), energy_joules=float(number)))


def high(look: GpuLook) -> bool:
    return (look.utilization or 0) > 1000


def test_a_window_that_grows_finds_what_lies_before_the_sums_of_a_shorter_one() -> None:
    series: Series[GpuLook] = Series()
    told(series, 1)
    assert series.mean("utilization", 60) == 1
    told(series, 1099, 2)
    assert series.mean("utilization", 20) == 1099.5
    assert series.mean("utilization", 7200) == (1100 + 381) / 2
    assert series.total("energy_joules", HOUR) == sum(range(741, 1101))
    assert series.share(high, HOUR) == 100 / 360
    assert series.means("utilization", 60, 3) == [1095.5, 1097.5, 1099.5]
    assert series.mean("utilization", 9000) == (1100 + series.looks(9000)[0].utilization) / 2  # type: ignore[operator]


def test_sums_of_milliseconds_may_wrap() -> None:
    series: Series[GpuLook] = Series()
    for number in range(1, 1001):
        series.add(number * LOOK_MS, GpuLook(10_000_000, utilization=0.5 if number % 2 else None, known_ms=number))
        assert series.mean("utilization", 60) == 0.5
        assert series.share(high, 60) == 0.0
    assert series.known("utilization", 60) == 3 * 10_000_000 / 60_000


def test_old_looks_keep_only_what_long_windows_ask_for() -> None:
    scene = Scene(Limits(LIMITS))
    facts = Facts(gpus={1: GpuFacts(1, Gpu("GPU-1", 0, "Test"))})
    for number in range(1, 361):
        look = GpuLook(LOOK_MS, known_ms=LOOK_MS, busy=0.5, power=200.0, utilization_bins=(LOOK_MS,) * 20)
        scene.feed(Look(number * LOOK_MS, {1: look}), facts)
    series = scene.gpus[1].series
    assert series.mean("busy", HOUR) == 0.5
    assert series.known("busy", HOUR) == 1
    assert series.known("power", 1800) == 1
    assert series.known("power", HOUR) < 0.6
    assert series.utilization_quantile(0.5, HOUR) == series.utilization_quantile(0.5, 1800)


def test_a_longer_time_in_the_configuration_keeps_looks_whole_for_as_long() -> None:
    scene = Scene(Limits(LIMITS, {"input-bound.inferred_seconds": HOUR}))
    facts = Facts(gpus={1: GpuFacts(1, Gpu("GPU-1", 0, "Test"))})
    for number in range(1, 361):
        scene.feed(Look(number * LOOK_MS, {1: GpuLook(LOOK_MS, power=200.0)}), facts)
    assert scene.gpus[1].series.known("power", HOUR) == 1
