"""What is counted of this process, its file, and the phase it is in: all stores into memory that the agent makes."""

from __future__ import annotations

import atexit
import mmap
import os
import sys
import threading
import time
import zlib
from collections.abc import Callable
from time import monotonic_ns
from typing import Any

from . import job
from .hookfile import (
    CHECKPOINT,
    COMPILE,
    CRC,
    DATA,
    DP_ASSUMED,
    DP_DECLARED,
    ENDED,
    FLAG_DECLARED,
    FLAG_OFF,
    FLAG_PROBE,
    FLAG_RAISED,
    FLAG_SHARDED,
    FLAG_TRACKED,
    IDENTITY,
    LIVE_WORD,
    MAGIC,
    NONE,
    NUMBER,
    PHASES,
    RING_AT,
    RING_STEPS,
    SAMPLES,
    SECOND,
    SNAP_ALLOCATOR,
    SNAP_LOSS,
    SNAP_NONPAD,
    SNAP_PROBE,
    SNAP_SAMPLES,
    SNAP_TOKENS,
    SNAPSHOT,
    SNAPSHOT_AT,
    STARTING,
    STEP,
    STEP_BYTES,
    VERSION,
    directories,
    make_file,
    started,
)
from .probe import Probe

AGENT_VERSION = "0.1.0"
SOON, LATER = 50_000_000, 200_000_000
"""Nanoseconds between two snapshots; between two where steps are shorter than ``SHORT_STEP``, which are not listed one by one either."""
SHORT_STEP = 2_000_000


class Counters:
    """All counters, and the file that they are written to. ``mem`` is None until armed; ``off`` is True once it has given up."""

    def __init__(self) -> None:
        self.off = self.tracked = self.raised = False
        self.reason = ""
        self.mem: mmap.mmap | None = None
        self.live: Any = None
        self.armed = (0, 0, 0, 0, 0)
        self.thread = 0
        # phases: which, since when they are added up, and the one that the thread comes back to
        self.phase = self.base = STARTING
        self.pinned = False
        self.mark = self.published = self.sequence = self.second = 0
        self.every = SOON
        self.spent = [0] * PHASES
        # counters
        self.steps = self.micro = self.tokens = self.samples = self.eval_tokens = self.batches = 0
        self.masked = self.unmasked = self.checkpoints = self.compilations = 0
        self.number, self.kind, self.loss = -1, NONE, float("nan")
        self.first_end = self.last_end = self.checkpoint_end = 0
        self.allocator: tuple[int, ...] | None = None
        # what they were when the last step ended
        self.before = (0,) * 5
        self.step_tokens = 0
        self.average = 0.0
        # what is known, and what the script itself declares
        self.known: dict[str, Any] = {}
        self.told: dict[str, Any] = {}
        self.precision = ""
        self.declares_steps = self.declares_tokens = False
        self.probe: Probe | None = None
        self.probed: Probe | None = None
        """The probe that counts, and the one that has counted: it may have been given up."""
        self.each_second: Callable[[], None] = lambda: None
        """The hooks set it."""

    # ------------------------------------------------------------------------------------------------------------- from arming to the end

    def arm(self, tracked: bool = False) -> bool:
        """Make the file, once. False: this process is not to be watched (a worker of a DataLoader), or there is no place for it."""
        if self.off or self.mem is not None:
            return not self.off
        worker = sys.modules.get("torch.utils.data._utils.worker")
        if sys.byteorder != "little" or (worker is not None and worker.get_worker_info() is not None):
            self.off = True
            return False
        ticks = started()
        name, mem = f"{os.getpid()}-{ticks}.gw", None
        for directory in directories():
            try:
                mem = make_file(directory, name)
                break
            except (OSError, ValueError) as error:
                self.reason = str(error)
        if mem is None:
            self.off = True
            return False
        now = monotonic_ns()
        self.armed = (os.getpid(), ticks, time.time_ns(), now, os.stat("/proc/self/ns/pid").st_ino)
        self.tracked, self.thread, self.reason = tracked, threading.get_ident(), ""
        self.mark = self.second = now
        self.live, self.mem = memoryview(mem).cast("Q"), mem
        self.live[LIVE_WORD] = STARTING << 56 | now
        self.identify()
        self.publish(now)
        os.register_at_fork(after_in_child=self.forked)
        atexit.register(self.end)
        return True

    def forked(self) -> None:
        """A child has the parent's file mapped: it must never write to it."""
        self.off, self.mem, self.live = True, None, None

    def fail(self, where: str, error: Exception) -> None:
        """Off for good: every hook does nothing from here on."""
        self.off = True
        self.reason = attempt("", "{}: {}: {}".format, where, type(error).__name__, error)
        if self.mem is not None:
            attempt(None, self.identify)

    def end(self) -> None:
        """The interpreter runs its exit handlers. Stores into memory, nothing else."""
        if not self.off and self.mem is not None:
            attempt(None, self.say_goodbye)
        self.off = True

    def say_goodbye(self) -> None:
        """The process ends in order, or by an exception that nobody caught."""
        raised = getattr(sys, "last_type", None)
        if raised is not None:
            self.raised, self.reason = True, raised.__name__
            self.identify()
        self.pinned = False
        self.enter(ENDED)
        self.publish(monotonic_ns())

    # ------------------------------------------------------------------------------------------------------------------------- the phase

    def enter(self, phase: int) -> int:
        """The thread that trains goes on to a phase; the one it comes from. One store, and a snapshot where it may last."""
        old = self.phase
        if self.pinned or phase == old:
            return old
        now = monotonic_ns()
        self.spent[old] += now - self.mark
        self.phase, self.mark = phase, now
        self.live[LIVE_WORD] = phase << 56 | now
        if self.probe is not None:
            self.probe.moved(phase, now)
        if now - self.published > self.every or CHECKPOINT <= phase <= COMPILE:  # these may last
            self.publish(now)
        return old

    # -------------------------------------------------------------------------------------------------------------------------- the step

    def step_ended(self, tokens: int | None = None) -> None:
        """Count a step of the training. ``tokens``: all that were counted by its end, if more have been since."""
        now = monotonic_ns()
        spent, before = self.spent, self.before
        spent[self.phase] += now - self.mark
        self.mark = now
        self.steps += 1
        tokens = self.tokens if tokens is None else tokens
        self.before = after = (tokens, spent[DATA], spent[2], spent[3], spent[4])
        self.step_tokens = tokens - before[0]
        if self.last_end:
            whole = now - self.last_end
            self.average += (whole - self.average) / min(self.steps, 16)
            short = self.steps > 16 and self.average < SHORT_STEP
            self.every = LATER if short else SOON
            if not short and self.mem is not None:
                at = RING_AT + self.steps % RING_STEPS * STEP_BYTES
                times = [b - a for a, b in zip(before[1:], after[1:])]
                NUMBER.pack_into(self.mem, at, 0)
                STEP.pack_into(self.mem, at + NUMBER.size, now, whole, *times, self.step_tokens)
                NUMBER.pack_into(self.mem, at, self.steps)
        else:
            self.first_end = now
        self.last_end = now
        if now >= self.second:
            self.second = now + SECOND
            self.read_allocator()
            self.each_second()
        if self.probe is not None:
            self.try_probe(self.probe.step_ended, self.phase, now)
        if now - self.published > self.every:
            self.publish(now)

    # ----------------------------------------------------------------------------------------------------------------------- of the GPU

    def read_allocator(self) -> None:
        """Figures of the GPU memory's allocator, and the probe: only where the script itself has made a CUDA context."""
        cuda = getattr(sys.modules.get("torch"), "cuda", None)
        if cuda is None or not cuda.is_initialized():
            return
        self.allocator = attempt(None, allocator, cuda)
        if "uuid" not in self.known:
            self.known["uuid"] = attempt("", job.gpu_uuid, cuda)
            self.probe = self.probed = attempt(None, Probe, cuda)
            self.identify()

    def try_probe(self, call: Callable[..., None], *args: Any) -> None:
        """What goes wrong with the probe ends the probe, not the agent."""
        try:
            call(*args)
        except Exception:  # noqa: BLE001 - whatever CUDA's events raise
            self.probe = None
            self.identify()

    # ----------------------------------------------------------------------------------------------------------------------- the stores

    def identify(self) -> None:
        """Write who this is and what is known of it."""
        known, told = {**self.known, **self.told}, self.told
        rank, world, local, node = job.ranks()
        size, same, source = attempt((world, 1, DP_ASSUMED), job.replicas, world, known.get("mesh", {}))
        if "dp" in told:
            size, same, source = told["dp"], max(1, world // max(1, told["dp"])), DP_DECLARED
        flags = FLAG_DECLARED * (self.declares_steps or self.declares_tokens) | FLAG_PROBE * (self.probe is not None)
        flags |= FLAG_RAISED * self.raised | FLAG_OFF * (self.off and not self.raised)
        flags |= FLAG_SHARDED * bool(known.get("sharded")) | FLAG_TRACKED * self.tracked
        numbers = [
            known.get(name, 0) for name in ("parameters", "trainable", "layers", "heads", "width", "length", "flops", "total_steps")
        ]
        torch = getattr(sys.modules.get("torch"), "__version__", "")
        precision = known.get("precision") or self.precision
        texts = (
            known.get("uuid", ""),
            AGENT_VERSION,
            torch,
            known.get("model", ""),
            known.get("flops_kind", ""),
            precision,
            self.reason,
        )
        body = IDENTITY.pack(
            *(MAGIC, VERSION, IDENTITY.size + CRC.size, flags, *self.armed, rank, world, local, node, size, same, source),
            *(known.get("tokens_kind", self.kind), *numbers, *(str(text).encode("utf-8", "replace") for text in texts)),
        )
        self.store(0, body)

    def publish(self, now: int) -> None:
        """Write all counters, over the older one of the two snapshots."""
        self.spent[self.phase] += now - self.mark
        self.mark = self.published = now
        self.sequence += 1
        probe, kind = self.probed, self.told.get("tokens_kind", self.kind)
        flags = SNAP_LOSS * (self.loss == self.loss) | SNAP_ALLOCATOR * (self.allocator is not None)
        flags |= SNAP_NONPAD * bool(self.masked) | SNAP_PROBE * (probe is not None)
        flags |= SNAP_TOKENS * (kind not in (NONE, SAMPLES)) | SNAP_SAMPLES * bool(self.samples)
        retries, ooms, *memory = self.allocator or (0,) * 6
        body = SNAPSHOT.pack(
            *(self.sequence, now, flags, self.steps, self.micro, self.tokens, self.masked, self.unmasked, self.samples),
            *(self.eval_tokens, self.batches, self.checkpoints, self.compilations),
            *(probe.steps if probe else 0, probe.drained if probe else 0, self.number, retries, ooms, self.last_end),
            *(self.first_end, self.checkpoint_end, *memory, self.loss, *self.spent, *(probe.idle if probe else (0,) * PHASES)),
        )
        self.store(SNAPSHOT_AT[self.sequence % 2], body)

    def store(self, at: int, body: bytes) -> None:
        """A block and its checksum."""
        if self.mem is not None:
            self.mem[at : at + len(body) + CRC.size] = body + CRC.pack(zlib.crc32(body))


def allocator(cuda: Any) -> tuple[int, ...]:
    """(retries, out of memory, bytes allocated, allocated at most, reserved, inactive split) on the current GPU."""
    stats = cuda.memory_stats_as_nested_dict()
    used, reserved, split = (stats[name]["all"] for name in ("allocated_bytes", "reserved_bytes", "inactive_split_bytes"))
    return stats["num_alloc_retries"], stats["num_ooms"], used["current"], used["peak"], reserved["current"], split["current"]


def attempt(default: Any, call: Callable[..., Any], *args: Any) -> Any:
    """What ``call`` gives; ``default`` if it raises. For what is only nice to know, read of classes that are not ours."""
    try:
        return call(*args)
    except Exception:  # noqa: BLE001 - any property of a stranger's class
        return default
