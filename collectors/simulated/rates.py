"""What a server does at each level of its load, so that its numbers agree with each other.

Little's law gives the requests in it (arrivals x time in it), the lengths of requests give the tokens, the spreads give the buckets of
its histograms. Steps get slower and the queue longer as the load rises.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

from gpuwatch.collectors.simulated.spread import Spread
from gpuwatch.model import OPEN_US
from gpuwatch.names import WAITS, Latency

if TYPE_CHECKING:
    from gpuwatch.collectors.simulated.plans import ServerPlan

MOST_LEVEL = 200
"""Full load; a level is half a percent."""
_REQUEST = (
    0.3,
    0.5,
    0.8,
    1.0,
    1.5,
    2.0,
    2.5,
    5.0,
    10.0,
    15.0,
    20.0,
    30.0,
    40.0,
    50.0,
    60.0,
    120.0,
    240.0,
    480.0,
    960.0,
    1920.0,
    7680.0,
)
_TTFT = (0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0, 20.0, 40.0, 80.0, 160.0, 640.0, 2560.0)  # fmt: skip
_ITL = (0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0, 20.0, 40.0, 80.0)
BOUNDS: dict[Latency, Sequence[float]] = {Latency.TTFT: _TTFT, Latency.ITL: _ITL, Latency.E2E: _REQUEST, Latency.QUEUE: _REQUEST}
"""The upper bounds of vLLM's buckets in seconds; above the last one a bucket is open."""
_LIGHTEST_STEP = 0.65
"""How long a step takes with one request in the batch, of that with a full one."""
_LIGHTEST_PREFILL = 0.8
_EMPTIEST_QUEUE = 0.1
"""How long a request waits for its first step when nobody is before it."""
_PREEMPTS_FROM = 0.8
"""The load from which on requests are preempted."""
_LEAST = 1e-9


def edges_us(latency: Latency) -> list[tuple[int, int]]:
    """(lower, upper) of each bucket in microseconds."""
    uppers = [round(bound * 1e6) for bound in BOUNDS[latency]]
    return list(zip([0, *uppers], [*uppers, OPEN_US], strict=True))


class At(NamedTuple):
    """A server at one level. Rates are per second, and ``counted`` are those of all columns of :meth:`Rates.columns`."""

    running: float
    waiting: float
    kv_tokens: float
    counted: tuple[float, ...]


AMOUNTS = ("stop", "prefill", "cached", "output", "length", "aborted", "error", "preemptions", "drafts", "draft_tokens", "accepted")
"""The first columns; after them each latency has its sum in microseconds and one column a bucket."""


class Rates:
    """The rates of one server by level."""

    def __init__(self, plan: ServerPlan) -> None:
        self.plan = plan
        self._known: dict[int, At] = {}

    def at(self, level: int) -> At:
        """What it does at ``level`` of :data:`MOST_LEVEL`."""
        if level not in self._known:
            self._known[level] = self._at(level / MOST_LEVEL)
        return self._known[level]

    def _at(self, load: float) -> At:
        plan, rate = self.plan, self.plan.requests * load
        slower = _LIGHTEST_STEP + (1 - _LIGHTEST_STEP) * load
        prefill = (plan.ttft.median - plan.queue.median) * (_LIGHTEST_PREFILL + (1 - _LIGHTEST_PREFILL) * load)
        queue = plan.queue.median * (_EMPTIEST_QUEUE + (1 - _EMPTIEST_QUEUE) * load**3)
        medians = {Latency.TTFT: queue + prefill, Latency.ITL: plan.itl.median * slower, Latency.QUEUE: queue}
        spreads = {Latency.TTFT: plan.ttft, Latency.ITL: plan.itl, Latency.E2E: plan.output, Latency.QUEUE: plan.queue}
        means = {latency: median * math.exp(spreads[latency].sigma ** 2 / 2) for latency, median in medians.items()}
        gaps = max(plan.output.mean - 1, 0.0)
        means[Latency.E2E] = means[Latency.TTFT] + gaps * means[Latency.ITL]
        medians[Latency.E2E] = means[Latency.E2E] / math.exp(plan.output.sigma**2 / 2)
        running = rate * (means[Latency.E2E] - means[Latency.QUEUE])
        stopped = 1 - plan.ended_length - plan.ended_aborted - plan.ended_error
        prompt = rate * plan.prompt
        counted = [rate * max(stopped, 0.0), prompt * (1 - plan.cached), prompt * plan.cached, rate * plan.output.mean]
        counted += [rate * plan.ended_length, rate * plan.ended_aborted, rate * plan.ended_error]
        counted.append(plan.preemptions / 60 * max(load - _PREEMPTS_FROM, 0.0) / (1 - _PREEMPTS_FROM))
        drafts = rate * plan.output.mean / (1 + plan.draft_tokens * plan.accepted) if plan.draft_tokens else 0.0
        counted += [drafts, drafts * plan.draft_tokens, drafts * plan.draft_tokens * plan.accepted]
        for latency in WAITS:
            happened = rate * gaps if latency is Latency.ITL else rate
            counted.append(happened * means[latency] * 1e6)
            counted += [happened * share for share in _shares(spreads[latency], medians[latency], BOUNDS[latency])]
        tokens = running * (plan.prompt + plan.output.mean / 2)
        return At(running, rate * means[Latency.QUEUE], tokens, tuple(counted))


def _shares(spread: Spread, median: float, bounds: Sequence[float]) -> list[float]:
    """The share of each bucket; one of less than a billionth is none."""
    below = [0.0, *(spread.share_up_to(bound, median) for bound in bounds), 1.0]
    shares = [after - before for before, after in pairwise(below)]
    return [share if share > _LEAST else 0.0 for share in shares]
