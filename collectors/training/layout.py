"""How a hook file lies in memory, version 1: what the agent in a training process writes and what is read of it. Little-endian.

The file is 32 KiB: who writes it (rewritten when more becomes known), one word that says in which phase the process is and since when,
two snapshots of its counters that are written in turn, and a ring of its last steps. All counters only grow, so a reader that
missed something has missed nothing. Each block ends in its CRC-32: what does not fit it was being written.
"""

from __future__ import annotations

import struct
from enum import IntEnum

from gpuwatch.names import Phase

MAGIC = b"GWTR"
VERSION = 1
FILE_BYTES = 32 * 1024
SUFFIX = ".gw"
NOTE_SUFFIX = ".run"

PHASES = len(Phase)

# ---------------------------------------------------------------------------------------------------------- who writes it, at 0

IDENTITY_AT = 0
IDENTITY = struct.Struct("<4sHHI qqqqq iiiiii ii qqqqqq dd 48s 16s 24s 64s 24s 16s 96s 36x I")
"""magic, version, size of this block, flags; pid, start time (clock ticks since boot, /proc/PID/stat 22), wall ns and monotonic ns at
arming, inode of the pid namespace; rank, world, local rank, node rank, data-parallel size (0: not known), how many ranks see the same tokens
(>= 1); ``DpSource``, ``TokensKind``; parameters, trainable parameters, layers, heads, head width, sequence length (0: not known);
FLOPs a token (0: not known), total steps of the run (0: not known); GPU UUID, agent version, torch version, model's class, how FLOPs are
counted, precision, and why the agent turned itself off (or the name of the uncaught exception that ended the process); CRC-32 of
all before."""

FLAG_DECLARED = 1
"""The script itself declares its counts (gpuwatch_track)."""
FLAG_PROBE = 2
"""The drain probe runs on this process' GPU."""
FLAG_OFF = 4
"""The agent has turned itself off; the last text says why."""
FLAG_RAISED = 8
"""The process ended by an uncaught exception; the last text is its type's name."""
FLAG_SHARDED = 16
"""Parameters are those of all ranks together, added up from shards."""
FLAG_TRACKED = 32
"""Armed by gpuwatch_track, not by gpuwatch run."""


class DpSource(IntEnum):
    """How the data-parallel size is known."""

    ASSUMED = 0
    MEGATRON = 1
    MESH = 2
    DECLARED = 3
    SINGLE = 4
    """One rank: there is nothing to assume."""


class TokensKind(IntEnum):
    """What tokens are counted by."""

    NONE = 0
    INPUT_IDS = 1
    INTEGERS = 2
    """The first integer tensor of at most two dimensions that the model was called with."""
    EMBEDS = 3
    DECLARED = 4
    LOADER = 5
    """Batches of the DataLoader: the model itself was not seen."""
    SAMPLES = 6
    """The model eats floats: there are samples, no tokens."""
    HF_STATE = 7


# ----------------------------------------------------------------------------------------------------- what it does now, at 512

LIVE_AT = 512
LIVE = struct.Struct("<Q")
"""phase << 56 | CLOCK_MONOTONIC nanoseconds since when, one aligned store."""

# ------------------------------------------------------------------------------------------------------- its counters, at 576, 1088

SNAPSHOT_AT = (576, 1088)
SNAPSHOT = struct.Struct("<QQq qqqqqqqqqq qqqqqq qqqqqq d 10q 10q I")
"""seq, monotonic ns, flags of the snapshot (bit 0: loss is known; bit 1: allocator known; bit 2: nonpad counted; bit 3: probe counted);
steps, micro-batches (root forwards with gradients), tokens, tokens in batches whose padding was counted, of those not padding, samples, eval
tokens, batches, checkpoints, compilations; steps probed, of those drained, step number (absolute, if declared, else -1),
retries of the allocator, out of memory, monotonic ns of the last step's end (0: none); monotonic ns of the first step's end, of the last checkpoint's end,
bytes allocated, allocated at most, reserved, inactive split; loss; nanoseconds by phase since arming (``Phase`` as index, the running one included up to the instant); GPU
idle nanoseconds by phase, by the drain probe; CRC-32 of all before."""

SNAP_LOSS, SNAP_ALLOCATOR, SNAP_NONPAD, SNAP_PROBE, SNAP_TOKENS, SNAP_SAMPLES = 1, 2, 4, 8, 16, 32
"""Which of the numbers are known: what is not known is None, not 0."""

# ------------------------------------------------------------------------------------------------------------ its last steps, at 2048

RING_AT = 2048
STEP = struct.Struct("<qQqqqqqq")
"""Number of the step since arming (from 1; written last), monotonic ns of its end, nanoseconds of the whole step, of data wait, forward,
backward, optimizer, and its tokens. The first is not in it, because its begin was not seen, nor are steps while they take less than 2 ms."""
RING_STEPS = (FILE_BYTES - RING_AT) // STEP.size
"""Step n lies at place n % RING_STEPS."""
