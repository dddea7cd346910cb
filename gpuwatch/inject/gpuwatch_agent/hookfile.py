"""The hook file: how it lies in memory (``collectors/training/layout.py`` is the contract, a test compares) and how it is made."""

from __future__ import annotations

import mmap
import os
import struct

MAGIC, VERSION, SUFFIX = b"GWTR", 1, ".gw"
FILE_BYTES = 32 * 1024
IDENTITY = struct.Struct("<4sHHI qqqqq iiiiii ii qqqqqq dd 48s 16s 24s 64s 24s 16s 96s 36x")
SNAPSHOT = struct.Struct("<QQq qqqqqqqqqq qqqqqq qqqqqq d 10q 10q")
STEP, NUMBER, CRC = struct.Struct("<Qqqqqqq"), struct.Struct("<q"), struct.Struct("<I")
LIVE_WORD, SNAPSHOT_AT, RING_AT = 512 // 8, (576, 1088), 2048
STEP_BYTES = NUMBER.size + STEP.size
RING_STEPS = (FILE_BYTES - RING_AT) // STEP_BYTES

PHASE_NAMES = ("starting", "data", "forward", "backward", "optimizer", "checkpoint", "eval", "compile", "other", "ended")
PHASES = len(PHASE_NAMES)
STARTING, DATA, FORWARD, BACKWARD, OPTIMIZER, CHECKPOINT, EVAL, COMPILE, OTHER, ENDED = range(PHASES)
FLAG_DECLARED, FLAG_PROBE, FLAG_OFF, FLAG_RAISED, FLAG_SHARDED, FLAG_TRACKED = 1, 2, 4, 8, 16, 32
SNAP_LOSS, SNAP_ALLOCATOR, SNAP_NONPAD, SNAP_PROBE, SNAP_TOKENS, SNAP_SAMPLES = 1, 2, 4, 8, 16, 32
DP_ASSUMED, DP_MEGATRON, DP_MESH, DP_DECLARED, DP_SINGLE = range(5)
NONE, INPUT_IDS, INTEGERS, EMBEDS, DECLARED, LOADER, SAMPLES, HF_STATE = range(8)

SECOND = 1_000_000_000


def directories() -> list[str]:
    """Where the file may be made, best first: ``$GPUWATCH_DIR`` alone if set, else in memory, in the run directory, in /tmp."""
    told, runtime, uid = os.environ.get("GPUWATCH_DIR"), os.environ.get("XDG_RUNTIME_DIR", ""), os.geteuid()
    if told:
        return [os.path.abspath(told)]
    between = [runtime + "/gpuwatch"] if os.path.isabs(runtime) else []
    return [f"/dev/shm/gpuwatch-{uid}", *between, f"/tmp/gpuwatch-{uid}"]


def make_file(directory: str, name: str) -> mmap.mmap:
    """A new mapped file whose pages are all there; OSError if the folder is not private to this user, or the disk is full."""
    try:
        os.mkdir(directory, 0o700)
    except OSError:
        pass  # it is there already, or opening it says why it cannot be used
    folder = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        facts = os.fstat(folder)
        if facts.st_uid != os.geteuid() or facts.st_mode & 0o077:
            raise PermissionError(1, "not private to this user", directory)
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            fd = os.open(name, flags, 0o600, dir_fd=folder)
        except FileExistsError:  # this same process made it, before it replaced itself by exec
            os.unlink(name, dir_fd=folder)
            fd = os.open(name, flags, 0o600, dir_fd=folder)
        try:
            os.posix_fallocate(fd, 0, FILE_BYTES)  # a page that cannot be had later would kill the process (SIGBUS)
            return mmap.mmap(fd, FILE_BYTES)
        except (OSError, ValueError):
            os.unlink(name, dir_fd=folder)
            raise
        finally:
            os.close(fd)
    finally:
        os.close(folder)


def started() -> int:
    """When this process started, in clock ticks since boot: with its number it names the process for good."""
    with open("/proc/self/stat", "rb") as file:
        return int(file.read().rpartition(b")")[2].split()[19])
