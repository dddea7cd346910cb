"""What limits a server, in one sentence."""

from __future__ import annotations

import pytest

from gpuwatch.dataclass import replace
from gpuwatch.view.diagnosis import Signs, diagnosis

BUSY = Signs(
    running=40.0,
    waiting=0.0,
    max_running=64,
    kv_ratio=0.5,
    preemptions_per_second=0.0,
    prefill_per_second=900.0,
    output_per_second=1200.0,
    hit_ratio=0.88,
    power_ratio=0.7,
)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, ""),
        ({"waiting": 3.0, "kv_ratio": 0.96}, "KV cache full, 3 waiting"),
        ({"waiting": 3.0, "kv_ratio": 0.96, "preemptions_per_second": 0.05}, "KV cache full, 3 waiting, 3 preemptions a minute"),
        ({"waiting": 3.0, "running": 64.0}, "all 64 places taken with the KV cache at 50%, 3 waiting"),
        ({"waiting": 3.0, "running": 64.0, "kv_ratio": None}, "all 64 places taken, 3 waiting"),
        ({"waiting": 2.0, "running": 1.0, "max_running": 1, "kv_ratio": None}, "its one place is taken, 2 waiting"),
        ({"waiting": 3.0, "running": 64.0, "kv_ratio": 0.9}, "3 waiting, KV cache at 90%"),
        ({"waiting": 2.0, "max_running": None, "kv_ratio": None}, "2 waiting"),
        ({"kv_ratio": 1.0, "preemptions_per_second": 1 / 60}, "KV cache full, 1 preemption a minute"),
        ({"kv_ratio": 1.0}, ""),
        ({"prefill_per_second": 9000.0}, "prefill is 88% of the computed tokens, 88% of prompts from the cache"),
        ({"prefill_per_second": 9000.0, "hit_ratio": None}, "prefill is 88% of the computed tokens"),
        ({"prefill_per_second": 9000.0, "output_per_second": None}, ""),
        ({"running": 4.0, "power_ratio": 0.3}, "4 of 64 places taken, GPU power at 30%"),
        ({"running": 4.0, "power_ratio": 0.6}, ""),
        ({"running": 4.0, "power_ratio": 0.3, "waiting": None}, ""),
        ({"running": 0.0, "power_ratio": 0.2}, ""),
        ({"running": None, "power_ratio": 0.2}, ""),
    ],
)
def test_the_sentence(changes: dict[str, float | None], said: str) -> None:
    assert diagnosis(replace(BUSY, **changes)) == said  # type: ignore[arg-type]
