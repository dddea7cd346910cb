"""Which GPU a row is of: the column that tells rows of one instant apart, or the only GPU of a log that names none."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from itertools import pairwise

from gpuwatch.collectors.importers.fields import Column
from gpuwatch.dataclass import dataclass
from gpuwatch.errors import UsageError

PREFERENCE = ("uuid", "bus", "index", "gpu", "serial", "name")
_INDEX = re.compile(r"(?:(?:gpu|cuda)\s*[:#_-]?\s*)?(\d{1,3})", re.IGNORECASE).fullmatch
BURST, BURSTS = 0.1, 0.25
"""Rows of several GPUs at one instant lie closer than a tenth of the interval; a quarter of all steps is then as short as that."""
FEW, AT_ONCE_MS = 3, 500
"""With fewer bursts than that only rows within half a second are taken to be of one instant."""


@dataclass(frozen=True, slots=True)
class Identity:
    """``key`` is the column that names the GPU (-1: the log has one GPU, index 0), ``kind`` what it holds, ``index`` the column
    with its index (-1: none; then the order of appearance); ``note`` says which other column contradicts it."""

    key: int
    kind: str
    index: int
    note: str = ""


def identify(columns: Sequence[tuple[int, str, str]], rows: Sequence[Sequence[str]], times: Sequence[str]) -> Identity:
    """``columns``: (position, kind, header text) of the candidates; ``rows`` some of the file with ``times``, texts of their time."""
    candidates = sorted((PREFERENCE.index(kind), place, kind, text) for place, kind, text in columns if kind in PREFERENCE)
    scored = []
    for rank, place, kind, _ in candidates:
        values = [row[place].strip() for row in rows]
        distinct = len(set(values))
        if kind in ("serial", "name") and distinct <= 1:
            continue  # a name alone does not say which GPU it is
        apart = len(set(zip(times, values))) == len(values)
        scored.append(((apart, 0 if apart else distinct, -rank, -place), place, kind))
    if not scored:
        return Identity(-1, "", -1)
    _, key, kind = max(scored)
    index, note = -1, ""
    for _, place, other, text in candidates:
        if other in ("index", "gpu") and index < 0 and all(index_of(row[place]) is not None for row in rows):
            if place == key or _agrees(rows, key, place):
                index = place
            elif not note:
                note = f"column {text.strip()}: the same for several GPUs of one instant, so it is not their index"
    return Identity(key, kind, index, note)


def _agrees(rows: Sequence[Sequence[str]], key: int, index: int) -> bool:
    there, back = defaultdict(set), defaultdict(set)
    for row in rows:
        there[row[key].strip()].add(row[index].strip())
        back[row[index].strip()].add(row[key].strip())
    return all(len(found) == 1 for found in (*there.values(), *back.values()))


def index_of(text: str) -> int | None:
    """0 of ``0``, ``GPU 0``, ``cuda:0``; ``None`` of anything else."""
    found = _INDEX(text.strip().strip("\"'").strip())
    return int(found[1]) if found else None


def one_gpu_only(moments: Sequence[int], where: str) -> None:
    """:class:`UsageError` if rows of a log without a GPU column lie as rows of several GPUs do; ``moments`` in ms."""
    steps = [abs(b - a) for a, b in pairwise(moments)]
    if not steps:
        return
    usual = sorted(steps)[int(len(steps) * 0.95)] if len(steps) > 20 else max(steps)
    short = [step <= BURST * usual for step in steps] if usual else [True] * len(steps)
    same = sum(step == 0 for step in steps)
    if sum(short) >= BURSTS * len(steps) and (same >= BURSTS * len(steps) or _bursts(steps, short)):
        raise UsageError(
            f"{where}: several rows have the same time and no column says which GPU they are of",
            "log index or uuid too, or name the columns with --fields",
        )


def _bursts(steps: Sequence[int], short: Sequence[bool]) -> bool:
    """Whether rows come in bursts of one length, as those of several GPUs do; a log with a pause has stretches of any length."""
    lengths = [len(run) + 1 for run in "".join("s" if each else " " for each in short).split(" ")]
    most = max(set(lengths), key=lengths.count)
    if len(lengths) < FEW:
        return most > 1 and lengths.count(most) > 1 and max(step for step, each in zip(steps, short) if each) < AT_ONCE_MS
    return most > 1 and lengths.count(most) >= len(lengths) / 2


def again(rows: Sequence[tuple[str, list[str]]], key: int) -> bool:
    """Whether rows of one time are more than the GPUs that they name."""
    return len(rows) > len({cells[key] if key >= 0 else "" for _, cells in rows})


def candidate(column: Column) -> str:
    """What a column can say of which GPU a row is of."""
    if column.kind == "who":
        return column.name
    return column.name if column.name in ("name", "serial") else ""
