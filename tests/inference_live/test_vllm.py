"""A real vLLM on the CPU, watched with no configuration by a real recorder (only where ``GPUWATCH_TEST_VLLM`` names one).

vLLM counts tokens at each step of its engine, so a span of readings misses at most one step of each client: far below the 1 % allowed.
What remains is the distance between a row's second and the instant of its reading, over which only the rate's own swing counts.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.live_recorder import LiveRecorder
from support.load import VLLM, Load, now
from support.server_truth import buckets_apart, decode_rate
from support.vllm_server import VARIABLE, VllmServer, binaries, bounds, vllm_server

from gpuwatch.names import ServerState

pytestmark = [pytest.mark.slow, pytest.mark.skipif(binaries() is None, reason=f"{VARIABLE} is not set"), pytest.mark.timeout(600)]
WARM_SECONDS, SPAN_SECONDS, SETTLED_SECONDS, UP_SECONDS = 6.0, 40.0, 12.0, 60.0
CLIENTS, PER_SECOND = 4, 8.0


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[VllmServer]:
    programs = binaries()
    assert programs is not None
    with vllm_server(tmp_path_factory.mktemp("vllm"), programs) as running:
        yield running


def test_tokens_and_times_are_those_of_the_load(server: VllmServer, tmp_path: Path) -> None:
    with LiveRecorder(tmp_path) as recorder:
        recorder.wait("vLLM is up", lambda: (recorder.server(server.pid) or {}).get("state") == ServerState.UP, UP_SECONDS)
        with Load(server.port, VLLM, concurrency=CLIENTS, per_second=PER_SECOND, shared_tokens=64) as load:
            time.sleep(WARM_SECONDS)  # the first requests are slower
            began = now()
            time.sleep(SPAN_SECONDS)
            ended = now()
        time.sleep(SETTLED_SECONDS)
        known = recorder.server(server.pid)
        assert known is not None
        assert (known["engine"], known["served_model"], known["port"]) == ("vllm", "tiny-random", server.port)
        assert load.counts(began, ended).errors == []
        compared = decode_rate(recorder, server.pid, load, began, ended)
        assert compared.off < 0.01, compared
        everything, total = recorder.samples(server.pid), load.counts(0, now())
        assert sum(row["output_tokens"] or 0 for row in everything) == total.tokens
        assert sum(row["prompt_tokens"] or 0 for row in everything) == total.prompt_tokens
        # Long prompts: their first token takes tenths of a second, beside which what a busy machine adds to the client is small.
        with Load(server.port, VLLM, concurrency=CLIENTS, prompt_tokens=(600, 1400)) as load:
            time.sleep(WARM_SECONDS)
            began = now()
            time.sleep(SPAN_SECONDS)
            ended = now()
        time.sleep(SETTLED_SECONDS)
        for share in (0.5, 0.95):
            edges = bounds(server.page(), "vllm:time_to_first_token_seconds")
            assert buckets_apart(recorder, server.pid, load, began, ended, edges, share) <= 1
