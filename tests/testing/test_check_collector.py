"""The contract suite itself: an honest collector passes, and each broken rule is named."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from gpuwatch.errors import Unavailable
from gpuwatch.measure import measures
from gpuwatch.model import (
    OPEN_US,
    Batch,
    Event,
    FieldSource,
    Gpu,
    GpuSample,
    HostSample,
    InferenceSample,
    LatencyCounts,
    Process,
    ProcessSample,
    Server,
)
from gpuwatch.names import Latency, Missing, Quality, ServerState
from gpuwatch.testing import ContractError, check_collector

GPU = Gpu("GPU-1", 0, "Fake 9000", memory_total_bytes=1 << 34)
MEASURED = {"utilization_ratio": 0.5, "power_watts": 250.0, "temperature_celsius": 61}


def reasons(sample: GpuSample, reason: Missing = Missing.NOT_SUPPORTED) -> dict:
    return {("gpu", sample.gpu_uuid, name): reason for name in measures(GpuSample) if getattr(sample, name) is None}


class Honest:
    """Two values a second of one GPU, as an author of a small collector would write it."""

    name = "honest"
    interval_seconds = 1.0

    def __init__(self, context):
        self.context = context
        self.is_open = False

    def open(self):
        self.is_open = True

    def collect(self, now):
        assert self.is_open
        sample = GpuSample("GPU-1", **MEASURED)
        return Batch(self.name, int(now), gpus=[GPU], gpu_samples=[sample], missing=reasons(sample))

    def close(self):
        self.is_open = False


def altered(**changes):
    """A collector whose batches differ from the honest ones."""

    class Altered(Honest):
        def collect(self, now):
            return replace(super().collect(now), **changes)

    return Altered


def sampled(**values):
    sample = GpuSample("GPU-1", **(MEASURED | values))
    return altered(gpu_samples=[sample], missing=reasons(sample))


def test_an_honest_collector_passes():
    batches = check_collector(Honest, ticks=3)
    assert [batch.t - batches[0].t for batch in batches] == [0, 1, 2]


def test_time_moves_on_for_clock_and_source():
    moved = []
    batches = check_collector(Honest, ticks=2, advance=moved.append)
    assert moved == [1.0, 1.0, 1.0]
    assert len(batches) == 2


def test_a_source_that_is_not_here_is_checked_too():
    class Absent(Honest):
        def open(self):
            raise Unavailable("No such vendor here", "install its driver")

    assert check_collector(Absent) == []


FIELD = FieldSource("ttft", Quality.EXACT, "a family")
SERVED = InferenceSample(7, 1, output_tokens_total=4.0, kv_cache_ratio=1.0)
COUNTS = LatencyCounts(7, 1, 0, Latency.TTFT, ((0, 10, 1), (10, OPEN_US, 2)))


def test_servers_with_rows_and_waiting_times_pass():
    server = Server(
        7, 1, 0, ServerState.UP, url="http://host:8000/metrics", fields=(FIELD, replace(FIELD, field="running_requests"))
    )
    check_collector(altered(servers=[server], inference_samples=[SERVED, InferenceSample(8, 1)], latency_counts=[COUNTS]))


BROKEN = {
    "name must be": type("Shouting", (Honest,), {"name": "No Name"}),
    "interval_seconds must be": type("Frozen", (Honest,), {"interval_seconds": 0}),
    "close() is missing": type("Endless", (Honest,), {"close": None}),
    "must return a Batch": type("Silent", (Honest,), {"collect": lambda self, now: None}),
    "Batch.collector must be": altered(collector="other"),
    "grid second": altered(t=5),
    "'GPU-1', which no batch": altered(gpus=None),
    "distinct UUIDs": altered(gpus=[GPU, GPU]),
    "its parent is not listed": altered(gpus=[replace(GPU, parent_uuid="GPU-9")]),
    "compute_fraction": altered(gpus=[replace(GPU, compute_fraction=0.0)]),
    "never 0": altered(gpus=[replace(GPU, memory_total_bytes=0)]),
    "'GPU-2', which no batch": altered(gpu_samples=[GpuSample("GPU-2", unavailable=True)]),
    "two samples of": altered(gpu_samples=[GpuSample("GPU-1", unavailable=True)] * 2),
    "None without a reason": altered(missing={}),
    "has a reason to be missing": altered(
        missing={("gpu", "GPU-1", name): Missing.STALE for name in measures(GpuSample)},
    ),
    "too large for ratio": sampled(utilization_ratio=97.0),
    "too small for watts": sampled(power_watts=-1.0),
    "too large for watts": sampled(power_watts=612_345.0),
    "too large for celsius": sampled(temperature_celsius=300),
    "no finite number": sampled(power_watts=math.nan),
    "must hold GpuSample": altered(gpu_samples=[HostSample()]),
    "must pass text.clean()": altered(gpus=[replace(GPU, name="Fake \x1b[31m9000")]),
    "one clean line": altered(error="two\nlines", gpu_samples=[]),
    "holds no samples": altered(error="broken"),
    "must hold Event": altered(events=["reset"]),
    "no process has the pid": altered(process_samples=[ProcessSample(0)]),
    "two samples of process": altered(process_samples=[ProcessSample(7), ProcessSample(7)]),
    "listed twice": altered(processes=[Process(7, 1, "a"), Process(7, 1, "b")]),
    "unknown kind of entity": altered(missing=reasons(GpuSample("GPU-1", **MEASURED)) | {("rack", "1", "x"): Missing.STALE}),
    "must be a Missing": altered(missing=reasons(GpuSample("GPU-1", **MEASURED)) | {("gpu", "GPU-1", "x"): 3}),
    "integers from 0": altered(driver_calls=-1),
    "no credentials": altered(servers=[Server(7, 1, 0, ServerState.UP, url="http://me:secret@host/metrics")]),
    "told once each": altered(servers=[Server(7, 1, 0, ServerState.UP, fields=(FIELD, FIELD))]),
    "no InferenceSample has: ['tokens']": altered(
        servers=[Server(7, 1, 0, ServerState.UP, fields=(replace(FIELD, field="tokens"),))]
    ),
    "two samples of one server": altered(inference_samples=[InferenceSample(7, 1), InferenceSample(7, 1)]),
    "too small for total": altered(inference_samples=[InferenceSample(7, 1, output_tokens_total=-4.0)]),
    "7:1:0: kv_cache_ratio = 41": altered(inference_samples=[InferenceSample(7, 1, kv_cache_ratio=41.0)]),
    "which has no sample": altered(latency_counts=[LatencyCounts(7, 1, 0, Latency.TTFT, ((0, 10, 1),))]),
    "(10, 10, 1) is no bucket": altered(inference_samples=[SERVED], latency_counts=[replace(COUNTS, buckets=((10, 10, 1),))]),
    "(0, 10, 0) is no bucket": altered(inference_samples=[SERVED], latency_counts=[replace(COUNTS, buckets=((0, 10, 0),))]),
}


@pytest.mark.parametrize("message", BROKEN)
def test_each_broken_rule_is_named(message):
    with pytest.raises(ContractError) as caught:
        check_collector(BROKEN[message])
    assert message in str(caught.value)


def test_an_event_with_a_foreign_escape_is_refused():
    with pytest.raises(ContractError, match=r"Event\.detail"):
        check_collector(altered(events=[Event(0, "xid", "a\nb")]))


def test_a_process_may_use_several_cores_but_no_gpu_twice():
    check_collector(
        altered(process_samples=[ProcessSample(7, 1, cpu_ratio=12.5), ProcessSample(7, 1, "GPU-1", sm_utilization_ratio=1.0)])
    )
    with pytest.raises(ContractError, match="too large"):
        check_collector(altered(process_samples=[ProcessSample(7, 1, "GPU-1", sm_utilization_ratio=1.5)]))


def test_reopening_must_find_the_same_gpus():
    class Fickle(Honest):
        opens = 0

        def open(self):
            super().open()
            type(self).opens += 1

        def collect(self, now):
            sample = GpuSample(f"GPU-{self.opens}", unavailable=True)
            return Batch(self.name, int(now), gpus=[replace(GPU, uuid=sample.gpu_uuid)], gpu_samples=[sample])

    with pytest.raises(ContractError, match="same GPUs"):
        check_collector(Fickle)


def test_a_second_close_must_be_harmless():
    class Touchy(Honest):
        def close(self):
            if not self.is_open:
                raise RuntimeError("not open")
            super().close()

    with pytest.raises(RuntimeError):
        check_collector(Touchy)


def test_an_unclean_reason_is_refused():
    class Rude(Honest):
        def open(self):
            raise Unavailable("line one\nline two")

    with pytest.raises(ContractError, match="one clean line"):
        check_collector(Rude)
