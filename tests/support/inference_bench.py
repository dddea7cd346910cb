"""The inference collector over a board that a test fills, with a clock that stands still and no threads; and a small page of vLLM."""

from __future__ import annotations

import os
from typing import Any

from support.replay_server import ReplayServer

from gpuwatch.clock import FakeClock
from gpuwatch.collectors.inference.collector import InferenceCollector
from gpuwatch.collectors.inference.workers import Inline
from gpuwatch.model import Batch, InferenceSample, Server
from gpuwatch.plugin import CollectorContext, ServerBoard, ServerProcess
from gpuwatch.testing import check_batch

MINUTE = 60_000
_OPEN: list[InferenceCollector] = []


def hang_up() -> None:
    """Close the collectors of all benches."""
    while _OPEN:
        _OPEN.pop().close()


def vllm(tokens: int, *, running: int = 1, waiting: int = 0, start: float = 1e9, first: int = 0, more: str = "") -> str:
    """A small page of vLLM."""
    return f"""\
process_start_time_seconds {start}
vllm:num_requests_running{{engine="0",model_name="m"}} {running}
vllm:num_requests_waiting{{engine="0",model_name="m"}} {waiting}
vllm:kv_cache_usage_perc{{engine="0",model_name="m"}} 0.25
vllm:generation_tokens_total{{engine="0",model_name="m"}} {tokens}
# TYPE vllm:time_to_first_token_seconds histogram
vllm:time_to_first_token_seconds_bucket{{engine="0",le="0.5"}} {first}
vllm:time_to_first_token_seconds_bucket{{engine="0",le="+Inf"}} {first}
vllm:time_to_first_token_seconds_sum{{engine="0"}} {first / 4}
vllm:time_to_first_token_seconds_count{{engine="0"}} {first}
{more}"""


class Bench:
    """A collector over a board that a test fills, with a clock that stands still."""

    def __init__(self, **options: Any) -> None:
        self.clock = FakeClock()
        self.board = ServerBoard()
        self.context = CollectorContext(clock=self.clock, servers=self.board, options=options)
        self.use(InferenceCollector(self.context, workers=Inline(), draw=lambda: 0.5))
        self.collector.open()

    def use(self, collector: InferenceCollector) -> None:
        """Another one over the same board."""
        self.collector = collector
        _OPEN.append(collector)

    def process(
        self, server: ReplayServer, *, engine: str = "vllm", age_ms: int = 60 * MINUTE, port: int | None = None
    ) -> ServerProcess:
        """This very process as a server: it holds the socket that the replay listens on."""
        start = round(self.clock.time() * 1000) - age_ms
        number = server.port if port is None else port
        return ServerProcess(os.getpid(), start, os.getuid(), (os.getpid(), start, number), engine, port=number)

    def watch(self, *servers: ServerProcess) -> None:
        self.board.publish(servers)

    def tick(self, seconds: float = 2.0) -> Batch:
        """Time passes, and a tick is read."""
        self.clock.advance(seconds)
        second = int(self.clock.time())
        batch = self.collector.collect(second)
        check_batch(batch, collector="inference", now=second)
        return batch

    def sample(self, seconds: float = 2.0) -> InferenceSample:
        (sample,) = self.tick(seconds).inference_samples
        return sample

    def told(self) -> Server:
        """What is known of the only server."""
        (group,) = self.collector._groups.values()
        assert group.server is not None
        return group.server
