"""The facts of a column of rows are those that the ledger says of each row by itself, however few or many values it has."""

from __future__ import annotations

from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st
from support.past_logs import row

from gpuwatch.ledger import facts
from gpuwatch.measure import measures
from gpuwatch.model import Gpu, GpuSample
from gpuwatch.recorder.importing.track import Track, sample_of
from gpuwatch.store.archive.hist import bin_of, bins_of

MIB = 1024**2
NAMES = tuple(measures(GpuSample))
SAMPLES = st.fixed_dictionaries(
    {},
    optional={
        "memory_used_bytes": st.none() | st.sampled_from((0, 1023, 1024, 1025, 1638, 1639, 1640)).map(lambda n: n * MIB) | st.integers(0, 200_000).map(lambda n: n * MIB),
        "process_count": st.none() | st.integers(0, 2),
        "utilization_ratio": st.none() | st.sampled_from((0.0, 0.049, 0.05, 1.0)),
        "sm_active_ratio": st.none() | st.sampled_from((0.0, 0.019, 0.02)),
        "encoder_utilization_ratio": st.sampled_from((0.0, 0.01)),
        "clock_event_reasons": st.none() | st.sampled_from((0, 1, 4, 8, 0x44)),
        "sm_clock_hertz": st.none() | st.integers(200, 2000).map(lambda n: n * 1e6),
        "power_limit_watts": st.none() | st.sampled_from((300.0, 700.0)),
    },
)  # fmt: skip
GPUS = st.builds(
    Gpu,
    st.just("GPU-1"),
    st.just(0),
    st.just("H100"),
    memory_total_bytes=st.none() | st.sampled_from((0, 40 * 1024**3, 80 * 1024**3, 81_920 * MIB + 1, 180 * 10**9)),
    mig_enabled=st.none() | st.booleans(),
    parent_uuid=st.sampled_from(("", "GPU-0")),
    sm_clock_max_hertz=st.none() | st.just(1.98e9),
    power_limit_default_watts=st.none() | st.just(700.0),
)


@settings(max_examples=200, deadline=None)
@given(GPUS, st.booleans(), st.lists(SAMPLES, min_size=1, max_size=30))
@example(Gpu("GPU-1", 0, "", memory_total_bytes=80 * 1024**3), False, [{"memory_used_bytes": n * MIB} for n in range(1630, 1650)])
def test_facts_of_columns_are_those_of_rows(gpu: Gpu, sliced: bool, given_values: list[dict[str, Any]]) -> None:
    rows = [row(1000 * number, **values) for number, values in enumerate(given_values, 1)]
    timed = Track(gpu, 1000, sliced=sliced).add(rows)
    samples = [sample_of(NAMES, each.values) for each in rows]
    assert timed.quiet == [facts.quiet(sample) for sample in samples]
    assert timed.context == [facts.context(sample, gpu, sliced=sliced) for sample in samples]
    assert timed.kappa_pm == [facts.kappa_pm(sample, gpu) for sample in samples]


@given(st.lists(st.integers(-1, 2**53)))
def test_bins_of_columns_are_those_of_values(values: list[int]) -> None:
    assert bins_of(values) == [bin_of(value) for value in values]
