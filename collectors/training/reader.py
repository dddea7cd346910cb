"""What one hook file says. Every byte is untrusted: whatever does not fit the layout is not there, and nothing here fails on it."""

from __future__ import annotations

import math
import struct
from typing import Any
from zlib import crc32

from gpuwatch.collectors.training import layout
from gpuwatch.collectors.training.layout import DpSource, TokensKind
from gpuwatch.dataclass import NamedTuple, dataclass
from gpuwatch.names import Phase
from gpuwatch.text import clean_bytes

HEAD_BYTES = layout.SNAPSHOT_AT[1] + layout.SNAPSHOT.size
"""All but the ring: what is read each time."""
MOST = 2**53
"""No count of a training is larger: beyond this the number is damage (or an attack)."""
_MOST_RANKS = 10_000_000
_MOST_NS = 2**62
_CRC = struct.Struct("<I")
_SEQ = struct.Struct("<Q")
_SINCE = (1 << 56) - 1


class Foreign(ValueError):
    """The file is none that this gpuwatch can read; the message says why, in one line."""


@dataclass(frozen=True, slots=True)
class Identity:
    """Who writes the file. What it does not know is ``None`` or an empty text; ``start_ticks`` are clock ticks since boot."""

    pid: int
    start_ticks: int
    flags: int
    wall_ns: int
    monotonic_ns: int
    namespace: int
    rank: int | None
    world: int | None
    local_rank: int | None
    node_rank: int | None
    data_parallel: int | None
    replicas: int
    data_parallel_source: str
    tokens_kind: TokensKind
    parameters: int | None
    trainable_parameters: int | None
    layers: int | None
    heads: int | None
    head_width: int | None
    sequence_tokens: int | None
    flops_per_token: float | None
    total_steps: int | None
    gpu_uuid: str
    agent_version: str
    framework: str
    model: str
    flops_formula: str
    precision: str
    said: str
    """Why the agent turned itself off, or the name of the exception that ended the process."""


class Counters(NamedTuple):
    """One snapshot: everything cumulative since the process was armed, in the order of the layout. Times are nanoseconds of
    CLOCK_MONOTONIC, 0 for none; ``phases`` and ``idle`` are nanoseconds by phase.
    """

    seq: int
    at_ns: int
    known: int
    steps: int
    micro_batches: int
    tokens: int
    counted_tokens: int
    nonpad_tokens: int
    samples: int
    eval_tokens: int
    batches: int
    checkpoints: int
    compilations: int
    probed_steps: int
    drained_steps: int
    step_number: int | None
    alloc_retries: int
    out_of_memory: int
    last_step_ns: int
    first_step_ns: int
    last_checkpoint_ns: int
    allocated: int
    allocated_peak: int
    reserved: int
    inactive_split: int
    loss: float | None
    phases: tuple[int, ...]
    idle: tuple[int, ...]


def identity(head: bytes) -> Identity | None:
    """Who writes the file; ``None`` while that is being written. Raises :class:`Foreign`."""
    if head[:4] == b"\0\0\0\0":
        return None
    if head[:4] != layout.MAGIC:
        raise Foreign("it does not begin like a hook file")
    version, size = struct.unpack_from("<HH", head, 4)
    if version != layout.VERSION or size != layout.IDENTITY.size:
        raise Foreign(f"its layout is version {version} ({size} bytes), and this gpuwatch reads version {layout.VERSION}")
    block = head[layout.IDENTITY_AT : layout.IDENTITY_AT + size]
    if not _whole(block):
        return None
    _, _, _, flags, pid, ticks, wall, mono, namespace, *rest, _ = layout.IDENTITY.unpack(block)
    rank, world, local, node, parallel, replicas, source, kind, *sizes = rest
    parameters, trainable, layers, heads, width, sequence, flops, total, *texts = sizes
    if not (0 < pid < 2**31 and 0 <= ticks < 2**62 and 0 <= wall < 2**62 and 0 <= mono < 2**62):
        raise Foreign("it does not say which process it is of")
    gpu_uuid, agent_version, framework, model, formula, precision, said = (
        clean_bytes(text.partition(b"\0")[0], 96) for text in texts
    )
    return Identity(
        pid,
        ticks,
        flags,
        wall,
        mono,
        namespace,
        rank=_of_ranks(rank, 0),
        world=_of_ranks(world, 1),
        local_rank=_of_ranks(local, 0),
        node_rank=_of_ranks(node, 0),
        data_parallel=_of_ranks(parallel, 1),
        replicas=_of_ranks(replicas, 1) or 1,
        data_parallel_source=DpSource(source).name.lower() if 0 <= source < len(DpSource) else "",
        tokens_kind=TokensKind(kind) if 0 <= kind < len(TokensKind) else TokensKind.NONE,
        parameters=_size(parameters),
        trainable_parameters=_size(trainable),
        layers=_size(layers),
        heads=_size(heads),
        head_width=_size(width),
        sequence_tokens=_size(sequence),
        flops_per_token=flops if math.isfinite(flops) and 0 < flops < 1e30 else None,
        total_steps=_size(int(total)) if math.isfinite(total) else None,
        gpu_uuid=gpu_uuid,
        agent_version=agent_version,
        framework=framework,
        model=model,
        flops_formula=formula,
        precision=precision,
        said=said,
    )


def live(head: bytes) -> tuple[Phase | None, int]:
    """The phase that runs now and since when (ns of CLOCK_MONOTONIC)."""
    (word,) = layout.LIVE.unpack_from(head, layout.LIVE_AT)
    phase = word >> 56
    return (Phase(phase) if phase < layout.PHASES else None), word & _SINCE


def counters(head: bytes, known_seq: int = -1) -> Counters | None:
    """The newest whole snapshot; ``None`` if there is none, or it is the one that is known already."""
    first, second = layout.SNAPSHOT_AT
    one, two = _SEQ.unpack_from(head, first)[0], _SEQ.unpack_from(head, second)[0]
    places = ((one, first), (two, second)) if one > two else ((two, second), (one, first))
    for seq, at in places:
        if seq == known_seq:
            return None
        block = head[at : at + layout.SNAPSHOT.size]
        if _whole(block):
            return _counters(layout.SNAPSHOT.unpack(block))
    return None


def _counters(numbers: tuple[Any, ...]) -> Counters | None:
    seq, at_ns, known, *counts = numbers[:25]
    loss, phases, idle = numbers[25], numbers[26:36], numbers[36:46]
    step_number, counts[12] = counts[12], 0
    bad = at_ns >= _MOST_NS or min(counts) < 0 or max(counts) >= _MOST_NS or max(counts[:12]) > MOST
    if bad or min(phases) < 0 or min(idle) < 0 or max(phases) >= _MOST_NS or max(idle) >= _MOST_NS:
        return None
    counts[12] = step_number if 0 <= step_number <= MOST else None
    return Counters._make([seq, at_ns, known, *counts, loss if known & layout.SNAP_LOSS else None, phases, idle])


def _whole(block: bytes) -> bool:
    (said,) = _CRC.unpack_from(block, len(block) - _CRC.size)
    return crc32(memoryview(block)[: -_CRC.size]) == int(said)


def _of_ranks(value: int, least: int) -> int | None:
    return value if least <= value < _MOST_RANKS else None


def _size(value: int) -> int | None:
    return value if 0 < value <= MOST else None
