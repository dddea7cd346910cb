"""What of each GPU's time nobody observed: its capacity less what the ledger holds.

A GPU counts from when it was first seen to the end of the span, or of the log that was imported. A MIG instance counts as its share of the board while it is there,
and the board with its instances always as one GPU, however it was cut.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from itertools import pairwise
from typing import Any

from gpuwatch.ledger.facts import weight
from gpuwatch.ledger.split import capacity
from gpuwatch.model import Gpu

_GONE_MS = 300_000
"""An instance that was last seen so long before its board is no more."""


class Member:
    """A GPU or instance: what it counts for and from when to when."""

    def __init__(self, gpu_id: int, row: Mapping[str, Any], board: Mapping[str, Any] | None, last_ms: int | None) -> None:
        self.gpu_id = gpu_id
        self.first_ms = int(row["first_ms"])
        self.last_ms = last_ms
        self.weight = Fraction(1)
        if row["parent_uuid"]:
            self.weight = weight(
                Gpu(row["uuid"], 0, "", parent_uuid=row["parent_uuid"], compute_fraction=row["compute_fraction"]), ()
            )
        if board is not None and board["last_ms"] - row["last_ms"] > _GONE_MS:
            self.last_ms = int(row["last_ms"])

    def due_ms(self, start_ms: int, end_ms: int) -> int:
        """The milliseconds that it counts for in a span."""
        start = max(start_ms, self.first_ms)
        end = end_ms if self.last_ms is None else min(end_ms, self.last_ms)
        return capacity(start, end, self.weight) if start < end else 0


def families(gpus: Mapping[int, Mapping[str, Any]], last_ms: int | None) -> list[tuple[Member, list[Member]]]:
    """Boards, each with its instances; an instance whose board is not known stands alone. Nothing counts after ``last_ms``."""
    by_uuid = {row["uuid"]: gpu_id for gpu_id, row in gpus.items()}
    out: dict[int, tuple[Member, list[Member]]] = {}
    for gpu_id, row in gpus.items():
        if row["parent_uuid"] not in by_uuid:
            out[gpu_id] = (Member(gpu_id, row, None, last_ms), [])
    for gpu_id, row in gpus.items():
        board = by_uuid.get(row["parent_uuid"])
        if board is not None:
            out[board][1].append(Member(gpu_id, row, gpus[board], last_ms))
    return list(out.values())


def unobserved(
    seen: Mapping[tuple[int, int], int], of: Sequence[tuple[Member, list[Member]]], edges_s: Sequence[int]
) -> dict[tuple[int, int], int]:
    """(cell, gpu_id) -> milliseconds of its capacity that are not among the ``seen`` ones; those that have any."""
    out: dict[tuple[int, int], int] = {}
    for board, instances in of:
        over = 0  # shares of a millisecond that instances had more than their board; later cells have them less
        for cell, (start, end) in enumerate(pairwise(edges_s)):
            observed = seen.get((cell, board.gpu_id), 0)
            if not instances:
                left = board.due_ms(start * 1000, end * 1000) - observed
            else:
                own = {each.gpu_id: seen.get((cell, each.gpu_id), 0) for each in instances}
                left = board.due_ms(start * 1000, end * 1000) - observed - sum(own.values()) - over
                left, over = max(0, left), max(0, -left)
                for instance in instances:
                    missed = min(left, max(0, instance.due_ms(start * 1000, end * 1000) - own[instance.gpu_id]))
                    left -= missed
                    if left <= len(instances) and instance is instances[-1]:
                        missed, left = missed + left, 0  # what whole milliseconds of shares leave of a board that is cut up
                    if missed:
                        out[cell, instance.gpu_id] = missed
            if left > 0:
                out[cell, board.gpu_id] = left
    return out
