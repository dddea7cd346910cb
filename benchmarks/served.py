"""Inference servers as their collector gives them, for what it costs to record them: noise in every number, buckets that move."""

from __future__ import annotations

import random

from gpuwatch.model import Batch, FieldSource, InferenceSample, LatencyCounts, Server, Workload
from gpuwatch.names import WAITS, Latency, Quality, ServerState

START_MS = 5000
BUCKETS = 3
"""So many buckets of each of the four waiting times move from one reading to the next."""
_EDGES_US = [round(10_000 * 1.6**n) for n in range(24)]


class Servers:
    """``count`` servers, each read every time."""

    def __init__(self, count: int) -> None:
        self._keys = [(9000 + n, START_MS, 8000 + n) for n in range(count)]
        self._chance = random.Random(5)
        self._workloads = [
            Workload(*key, kind="inference", name="vllm", model="Qwen/Qwen3-8B", engine="vllm") for key in self._keys
        ]
        fields = tuple(
            FieldSource(name, Quality.EXACT, f"vllm:{name}") for name in ("output_tokens_total", "running_requests", "ttft")
        )
        self._servers = [
            Server(
                *key, ServerState.UP, url=f"http://127.0.0.1:{key[2]}/metrics", engine="vllm", interval_seconds=2.0, fields=fields
            )
            for key in self._keys
        ]

    def batch(self, _second: int) -> Batch:
        """One look at all of them."""
        samples = [self._sample(key) for key in self._keys]
        latencies = [self._counts(key, latency) for key in self._keys for latency in WAITS]
        return Batch("inference", 0, workloads=self._workloads, servers=self._servers, inference_samples=samples, latency_counts=latencies)  # fmt: skip

    def _sample(self, key: tuple[int, int, int]) -> InferenceSample:
        any_of = self._chance.randrange
        return InferenceSample(
            *key,
            output_tokens_total=float(any_of(4000)),
            prefill_tokens_total=float(any_of(9000)),
            cached_tokens_total=float(any_of(3000)),
            requests_total=float(any_of(9)),
            preemptions_total=0.0,
            running_requests=float(any_of(64)),
            waiting_requests=float(any_of(8)),
            kv_cache_ratio=any_of(1000) / 1000,
            server_state=int(ServerState.UP),
            window_seconds=2 + any_of(9) / 1000,
            prompt_tokens_total=float(any_of(9000)),
            finished_stop_total=float(any_of(8)),
            finished_length_total=float(any_of(2)),
            ttft_count_total=float(any_of(9)),
            ttft_sum_seconds=any_of(10**6) / 1e6,
            itl_count_total=float(any_of(4000)),
            itl_sum_seconds=any_of(10**6) / 1e5,
            e2e_count_total=float(any_of(9)),
            e2e_sum_seconds=any_of(10**6) / 1e5,
            queue_count_total=float(any_of(9)),
            queue_sum_seconds=any_of(10**6) / 1e6,
        )

    def _counts(self, key: tuple[int, int, int], latency: Latency) -> LatencyCounts:
        moved = sorted(self._chance.sample(range(len(_EDGES_US) - 1), BUCKETS))
        return LatencyCounts(*key, latency, tuple((_EDGES_US[n], _EDGES_US[n + 1], 1 + self._chance.randrange(9)) for n in moved))
