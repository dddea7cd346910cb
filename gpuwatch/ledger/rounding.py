"""Exact sharing of integers: what is handed out always sums to what there was, and equal input gives equal output."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, TypeVar


class _Ordered(Protocol):
    def __lt__(self, other: Any, /) -> bool: ...

    def __hash__(self) -> int: ...


K = TypeVar("K", bound=_Ordered)


def largest_remainder(amounts: Mapping[K, int], unit: int) -> dict[K, int]:
    """Whole units per key, summing to the total in whole units.

    Every key gets its floor; what is left goes one by one to the largest remainders, ties to the smaller key. A key is off by
    less than one unit. The total is rounded down when it is not a whole number of units.
    """
    whole = {key: amount // unit for key, amount in amounts.items()}
    left = sum(amounts.values()) // unit - sum(whole.values())
    if left:
        for key in sorted(amounts, key=lambda key: (-(amounts[key] % unit), key))[:left]:
            whole[key] += 1
    return whole


def divide(amount: int, weights: Sequence[int]) -> list[int]:
    """``amount`` in proportion to ``weights`` (at least one above 0), each off by less than one, summing exactly."""
    total = sum(weights)
    parts: list[int] = []
    running = given = 0
    for weight in weights:
        running += weight
        upto = amount * running // total
        parts.append(upto - given)
        given = upto
    return parts
