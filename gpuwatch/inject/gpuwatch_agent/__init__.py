"""The agent inside a training process: counts its steps and tokens and says what it is doing, into a file mapped to memory.

Loaded by ``sitecustomize`` beside it when torch's optimizers are, or by ``gpuwatch_track``; standard library only, Python 3.9+. It adds
no thread, socket, signal handler or output, never waits for a GPU and never makes a CUDA context. The file is made when the first
batch is asked for by a process that has an optimizer, or at the first backward or step; from then on a hook is a few stores into
memory. Any exception in it turns it off for good.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from . import hooks
from .hookfile import OTHER, PHASE_NAMES
from .hooks import patch, patch_loaded, safely

__all__ = ["active", "arm", "declare", "declared_phase", "declared_step", "patch"]


def arm(tracked: bool = True) -> bool:
    """Attach in the middle of a program that was not started by ``gpuwatch run``; whether this process is watched now."""
    if os.environ.get("GPUWATCH_DISABLE") == "1":
        return False
    patch_loaded()
    return bool(safely(False, hooks.AGENT.arm, tracked))


def active() -> bool:
    """Whether counts go anywhere."""
    return hooks.AGENT.mem is not None and not hooks.AGENT.off


def declare(
    tokens_kind: int | None = None,
    dp: int | None = None,
    flops_per_token: float | None = None,
    parameters: int | None = None,
    total_steps: int | None = None,
    precision: str | None = None,
) -> None:
    """What the script knows of itself: it overrides what was found. ``tokens_kind``: a number of ``TokensKind``."""
    told: dict[str, object] = {"tokens_kind": tokens_kind, "dp": dp, "flops": flops_per_token, "parameters": parameters}
    told.update(total_steps=total_steps, precision=precision)
    hooks.AGENT.told.update((name, value) for name, value in told.items() if value is not None)
    if flops_per_token is not None:
        hooks.AGENT.told["flops_kind"] = "declared"
    if active():
        safely(None, hooks.AGENT.identify)


def declared_step(
    tokens: int | None = None,
    nonpad_tokens: int | None = None,
    samples: int | None = None,
    loss: float | None = None,
    step_number: int | None = None,
) -> None:
    """A step has ended, says the script: from the first such call on its counts replace those that were inferred."""
    if active():
        safely(None, hooks.AGENT.told_step, tokens, nonpad_tokens, samples, loss, step_number)


@contextmanager
def declared_phase(name: str) -> Iterator[None]:
    """The script says what it is doing (a name of ``PHASE_NAMES``, else other); hooks within do not say otherwise."""
    pinned = active() and not hooks.AGENT.pinned and hooks.AGENT.mine()
    if pinned:
        safely(None, hooks.AGENT.pin, PHASE_NAMES.index(name) if name in PHASE_NAMES else OTHER)
    try:
        yield
    finally:
        if pinned and not hooks.AGENT.off:
            safely(None, hooks.AGENT.unpin)
