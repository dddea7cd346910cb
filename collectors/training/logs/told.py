"""What a command line says about how much a step is: the few numbers that a log leaves out. Words are looked at and not kept."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from gpuwatch import procfs
from gpuwatch.collectors.training.logs.line import whole
from gpuwatch.dataclass import dataclass, fields

_COMMAND_BYTES = 16 * 1024
_MOST_ASKED = 8


@dataclass(frozen=True, slots=True)
class Told:
    """``None`` where the command line does not say it: a default or a configuration file is never assumed.

    ``seq_length`` is Megatron-LM's, ``iteration_tokens`` what one iteration of nanoGPT is for the whole job (it divides the
    accumulation by the number of ranks itself), ``logging_steps`` how many steps lie between two lines of the Trainer.
    """

    seq_length: int | None = None
    iteration_tokens: int | None = None
    logging_steps: int | None = None


def told(argv: Sequence[str]) -> Told:
    """The settings that a command line, already split, names."""
    parts = [_count(argv, name) for name in ("batch_size", "block_size", "gradient_accumulation_steps")]
    batch, block, accumulation = parts
    by_steps = option(argv, "logging_strategy") in (None, "steps")
    return Told(
        seq_length=_count(argv, "seq_length") or _count(argv, "encoder_seq_length"),
        iteration_tokens=batch * block * accumulation if batch and block and accumulation else None,
        logging_steps=_count(argv, "logging_steps") if by_steps else None,
    )


def told_by_any(argv: Sequence[str], pids: Sequence[int], proc_root: Path) -> Told:
    """What a command line names, and what it does not as one of the processes ``pids`` does: the first of a job may be a shell."""
    found = told(argv)
    for pid in pids[:_MOST_ASKED]:
        try:
            raw = procfs.read_once(f"{proc_root}/{pid}/cmdline", _COMMAND_BYTES)
        except OSError:
            continue
        more = told(raw.decode("utf-8", "replace").split("\0"))
        found = Told(*[getattr(found, field.name) or getattr(more, field.name) for field in fields(found)])
    return found


def _count(argv: Sequence[str], name: str) -> int | None:
    value = option(argv, name)
    return whole(value) if value is not None and value.isascii() and value.isdigit() and len(value) < 12 else None


def option(argv: Sequence[str], name: str) -> str | None:
    """The last value of ``--name value`` or ``--name=value``; ``-`` and ``_`` are the same in a name."""
    found = None
    for at, word in enumerate(argv):
        if word.startswith("--"):
            key, sign, value = word[2:].partition("=")
            if key.replace("-", "_") == name:
                found = value if sign else (argv[at + 1] if at + 1 < len(argv) else None)
    return found
