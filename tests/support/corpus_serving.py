"""The stories of the corpus about inference servers."""

from __future__ import annotations

import random
from typing import Any

from support.corpus_stories import decide
from support.corpus_world import GIB, LOOKS_A_MINUTE, QUIET, Place, Story, Truth, serves, well

from gpuwatch.names import Latency


def crowded(place: Place, dice: random.Random) -> Truth:
    """A KV cache that is fuller or emptier while requests wait."""
    kv, waiting = dice.uniform(0.85, 1.0), dice.choice((0.0, 6.0, 6.0))
    truth = Truth(may={"latency-slo-miss"})
    serves(place, dice, kv_cache=kv, kv_cache_fullest=kv, waiting=waiting, running=90.0)
    place.minutes = 14
    if waiting:
        decide(truth, "kv-cache-saturated", kv, 0.94, 0.955)
    return truth


def preempting(place: Place, dice: random.Random) -> Truth:
    """Requests are thrown out more or less often."""
    a_minute = dice.choice((0.0, 0.3, 2.0, 6.0))
    truth = Truth()
    serves(place, dice, kv_cache=0.9, kv_cache_fullest=0.9, running=90.0, preemptions=a_minute / LOOKS_A_MINUTE)
    place.minutes = 14
    if a_minute > 1:
        truth.must.add("kv-cache-saturated")
    return truth


def late(place: Place, dice: random.Random) -> Truth:
    """A share of the answers begins after more than two seconds."""
    share = dice.uniform(0.0, 0.16)
    truth = Truth()
    late_ones = round(1000 * share)
    ttft = {(0.0, 0.5): 400, (0.5, 1.0): 400, (1.0, 2.0): 200 - min(200, late_ones), (2.0, 5.0): late_ones}
    itl = {(0.0, 0.01): 1000, (0.01, 0.05): 7000, (0.05, 0.1): 800}
    serves(place, dice, latency={Latency.TTFT: ttft, Latency.ITL: itl})
    place.minutes = 32
    decide(truth, "latency-slo-miss", share, 0.04, 0.06)
    return truth


def drafting(place: Place, dice: random.Random) -> Truth:
    """Drafted tokens are accepted more or less often, with few or many requests."""
    accepted, running = dice.uniform(0.25, 0.95), dice.choice((8.0, 8.0, 120.0))
    truth = Truth()
    serves(place, dice, running=running, drafts=400.0, draft_tokens=800.0, accepted_tokens=800.0 * accepted)
    place.minutes = 22
    limit = 0.80 if running > 64 else 0.50
    decide(truth, "spec-decode-unprofitable", accepted, limit - 0.015, limit + 0.015, above=False)
    return truth


def silent(place: Place, dice: random.Random) -> Truth:
    """Nobody asks for a while."""
    minutes = dice.uniform(8, 48)
    truth = Truth()
    serves(place, dice)
    asked = place.server[place.job]
    none: dict[str, Any] = dict.fromkeys(
        ("running", "requests", "output_tokens", "prefill_tokens", "prompt_tokens", "cached_tokens", "prefix_queries", "prefix_hits", "itl_sum",
         "itl_count", "ttft_sum", "ttft_count", "queue_sum", "queue_count", "kv_cache", "kv_cache_fullest"), 0.0)  # fmt: skip
    (gpu,) = place.gpus
    busy = place.gpu[gpu]
    quiet = {**well(dice)(0), **QUIET, "memory_used": 72.0 * GIB}  # type: ignore[operator]

    def rests(number: int) -> bool:
        return 8 <= number / LOOKS_A_MINUTE < 8 + minutes

    place.server[place.job] = lambda n: {**asked(n), **none} if rests(n) else asked(n)  # type: ignore[operator]
    place.gpu[gpu] = lambda n: quiet if rests(n) else busy(n)  # type: ignore[operator]
    place.minutes = 8 + minutes + 4
    decide(truth, "replica-no-traffic", minutes, 29.5, 32.5)
    truth.waste["replica-no-traffic"] = 1.0
    return truth


def latency_first(place: Place, dice: random.Random) -> Truth:
    """A confuser: few requests at a time on purpose, all of them fast."""
    serves(place, dice, running=2.0, requests=8.0)
    place.minutes = 20
    return Truth()


SERVING: dict[str, tuple[Story, int]] = {
    "crowded": (crowded, 1), "preempting": (preempting, 1), "late": (late, 1), "drafting": (drafting, 1), "silent": (silent, 1),
    "latency_first": (latency_first, 1),
}  # fmt: skip
"""Name -> (story, GPUs that it needs)."""
