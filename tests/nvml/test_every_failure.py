"""Every call that the collector makes, failing in every way: no traceback, no wrong row, the other GPU goes on, all comes back."""

from __future__ import annotations

import pytest
from fake_nvml import fault

from gpuwatch.errors import Unavailable
from gpuwatch.testing import check_batch

LINES = [
    *(f"v {gpu} {what}" for gpu in (0, 1) for what in ("util 0 60", "memutil 0 20", "gpm.1 0 700", "gpm.2 0 500")),
    "proc a kind=C pid=4242",
    "pv a 0 mem 0 5000000000",
    "pv a 0 sm 0 50",
]
WINDOW, BROKEN = 12, 5
"""Each call gets so many seconds, of which it fails in the first ones after two good seconds."""
CODES = [2, 3, 4, 6, 7, 10, 13, 15, 16, 17, 19, 20, 23, 25, 26, 27, 999, 1, 9, 18, 28]


@pytest.fixture(scope="module")
def names():
    """Filled by the first test: all functions that one minute needs."""
    return []


def present(batch, position):
    """Names of the fields that a row has."""
    sample = batch.gpu_samples[position]
    return {name for name in type(sample).__dataclass_fields__ if getattr(sample, name) is not None}


def asked(start):
    """All functions that opening and a minute of reading ask of one GPU or of the driver."""
    play = start(gpus=2, lines=LINES)
    play.tick(60)
    return sorted(set(play.fake.calls()) - {"nvmlInitWithFlags", "nvmlShutdown", "nvmlDeviceGetHandleByIndex_v2"})


def readable(play):
    """The next batch, after as many re-openings as the recorder would need."""
    for _ in range(2):
        try:
            return play.tick()
        except Unavailable as reason:
            assert reason.hint
            play.collector.close()
            play.advance(1)
            try:
                play.collector.open()
            except Unavailable:
                return None
    return None


@pytest.mark.parametrize("code", CODES)
def test_every_call_with_this_code(code, start, names):
    if not names:
        names.extend(asked(start))
        assert len(names) > 30
    faults = [
        fault(
            "call",
            name,
            arg=code,
            gpu=0 if name.startswith("nvmlDevice") and "Count" not in name else None,
            at_ms=at,
            for_ms=BROKEN * 1000,
        )
        for name, at in ((name, (index * WINDOW + 2) * 1000) for index, name in enumerate(names))
    ]
    play = start(gpus=2, lines=[*LINES, *faults])
    whole = None
    for index, name in enumerate(names):
        play.advance((index * WINDOW * 1000 - play.ms) / 1000)
        play.collector.close()
        play.collector.open()
        play.tick(2)
        whole = whole or (present(play.batch, 0), present(play.batch, 1))
        assert (present(play.batch, 0), present(play.batch, 1)) == whole, f"before {name} fails"
        while play.ms < (index * WINDOW + 2 + BROKEN) * 1000:
            batch = readable(play)
            if batch is not None:
                check_batch(batch, collector="nvml", now=batch.t, known_gpus=[gpu.uuid for gpu in play.gpus])
                if len(batch.gpu_samples) == 2 and not name.startswith(("nvmlGpm", "nvmlEvent")):
                    assert "power_watts" in present(batch, 1), f"GPU 1 while {name} fails on GPU 0"
