"""A recorded story with inference servers: what each tells is a function of the second, written through the real writer."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC
from pathlib import Path
from typing import Self

from support.story import START, Hold, Story, process

from gpuwatch.measure import quantise
from gpuwatch.model import OPEN_US, FieldSource, InferenceSample, LatencyCounts, Process, Server, Workload
from gpuwatch.names import Context, Latency, Quality, ServerState
from gpuwatch.store.rows import Tick, WorkloadRow
from gpuwatch.store.window import Window
from gpuwatch.view.build import build_view
from gpuwatch.view.inference_types import InferenceView
from gpuwatch.view.terms import Terms
from gpuwatch.view.types import View

Told = Mapping[str, float | None]
Buckets = Mapping[Latency, Mapping[tuple[int, int], int]]
ROOT_MS = round(START * 1000) - 100_000


@dataclass
class Serves:
    """One server: ``tells`` gives the fields of its row for the two seconds that end at a second, ``None`` for no row."""

    pid: int
    port: int = 8000
    tells: Callable[[int], Told | None] = lambda second: {"output_tokens_total": 200.0}
    buckets: Callable[[int], Buckets] = lambda second: {}
    server: Server | None = None
    every: int = 2
    quality: Mapping[str, Quality] = field(default_factory=lambda: {"output_tokens_total": Quality.EXACT})

    def card(self) -> Server:
        sources = tuple(FieldSource(name, quality, f"vllm:{name}") for name, quality in self.quality.items())
        return self.server or Server(
            self.pid,
            ROOT_MS,
            self.port,
            ServerState.UP,
            url=f"http://127.0.0.1:{self.port}/metrics",
            engine="vllm",
            engine_version="0.32.0",
            served_model="qwen-72b",
            max_running_requests=64,
            max_model_tokens=32768,
            kv_cache_tokens=108_000,
            interval_seconds=2.0,
            scrape_seconds=0.0021,
            page_bytes=53_000,
            fields=sources,
        )

    def process(self, pid: int | None = None) -> Process:
        """The server itself, or one of its workers."""
        return process(pid or self.pid, command="vllm serve qwen", workload_pid=self.pid, workload_start_ms=ROOT_MS)


class ServedStory(Story):
    """``story.servers.append(Serves(100))``, then run."""

    servers: list[Serves]
    _known: dict[int, Server]

    def run(self, seconds: int) -> Self:
        """Record so many seconds."""
        super().run(seconds)
        return self

    def _tick(self) -> Tick:
        tick = super()._tick()
        rows, counts, cards, workloads = [], [], [], []
        for serves in self.servers:
            card = serves.card()
            if self._known.get(serves.pid) != card:
                self._known[serves.pid] = card
                cards.append(card)
                workloads.append(
                    Workload(serves.pid, ROOT_MS, serves.port, kind="inference", name="qwen", engine="vllm", user="svc")
                )
            told = serves.tells(self._second) if self._second % serves.every == 0 else None
            if told is None:
                continue
            given = {"window_seconds": float(serves.every), "server_state": int(ServerState.UP)} | dict(told)
            sample = InferenceSample(serves.pid, ROOT_MS, serves.port, **given)  # type: ignore[arg-type]
            dt = 1000 * serves.every if self._second > serves.every else 0
            rows.append(WorkloadRow(serves.pid, ROOT_MS, serves.port, "inference", dt, quantise(sample)))
            for latency, buckets in serves.buckets(self._second).items():
                triples = tuple((low, high, n) for (low, high), n in buckets.items())
                counts.append(LatencyCounts(serves.pid, ROOT_MS, serves.port, latency, triples))
        return replace(tick, workloads=workloads, servers=cards, workload_rows=rows, latencies=counts)


def served_story(path: object, *servers: Serves, gpus: int = 1) -> ServedStory:
    """A story whose servers tell from its first second on."""
    story = ServedStory(str(path), gpus)
    story.servers, story._known = list(servers), {}
    return story


def held(story: ServedStory, serves: Serves, gpu: int = 0, pid: int | None = None) -> None:
    """A worker of the server holds a GPU."""
    story.holds.append(Hold(serves.process(pid or serves.pid + 1), gpu))
    story.gpus[gpu].util, story.gpus[gpu].context = 0.9, Context.PROCESS


def view_of(story: ServedStory, at_ms: int | None = None, window: Window | None = None, terms: Terms | None = None) -> View:
    """The story's end, or an instant of it."""
    if window is None:
        with Window(Path(str(story.writer.path))) as opened:
            return view_of(story, at_ms, opened, terms)
    return build_view(window, at_ms, now_ms=story.now_ms, tz=UTC, holder_pid=7, terms=terms)


def server_of(story: ServedStory, terms: Terms | None = None, at_ms: int | None = None) -> InferenceView:
    """Its first server there."""
    found = view_of(story, at_ms, terms=terms).workloads[0].inference
    assert found is not None
    return found


BUCKETS = [(0, 10_000), (10_000, 100_000), (100_000, 500_000), (500_000, 1_000_000), (1_000_000, OPEN_US)]


def busy(pid: int, port: int, seed: int) -> Serves:
    """A server whose rows look like those of a real one."""
    chance = random.Random(seed)
    told = [
        {
            "output_tokens_total": float(chance.randrange(400)),
            "prefill_tokens_total": float(chance.randrange(100)),
            "prompt_tokens_total": 100.0,
            "requests_total": float(chance.randrange(5)),
            "finished_stop_total": float(chance.randrange(3)),
            "running_requests": float(chance.randrange(10)),
            "waiting_requests": float(chance.randrange(3)),
            "kv_cache_ratio": chance.random(),
            "ttft_count_total": 5.0,
            "ttft_sum_seconds": chance.random(),
        }
        for _ in range(2000)
    ]
    counts = [{chance.choice(BUCKETS): chance.randrange(1, 9), BUCKETS[1]: 2} for _ in range(2000)]
    return Serves(pid, port, lambda s: told[s], lambda s: {Latency.TTFT: counts[s], Latency.ITL: counts[-s]})
