"""Cards that could do the work of a larger one, and slices of a card: for advice alone."""

from __future__ import annotations

from gpuwatch.dataclass import NamedTuple
from gpuwatch.peaks import bf16_peak
from gpuwatch.rules.words import GIB


class Card(NamedTuple):
    """A product with its memory, bytes; how fast it is ``gpuwatch.peaks`` knows."""

    name: str
    memory: int


CARDS = (
    Card("NVIDIA L4", 24 * GIB),
    Card("NVIDIA A10", 24 * GIB),
    Card("NVIDIA A30", 24 * GIB),
    Card("NVIDIA A40", 48 * GIB),
    Card("NVIDIA L40S", 48 * GIB),
    Card("NVIDIA A100-SXM4-80GB", 80 * GIB),
    Card("NVIDIA H100 80GB HBM3", 80 * GIB),
)
"""The smallest first."""


class Slice(NamedTuple):
    """A MIG profile: its shares of SMs and of memory."""

    name: str
    sms: float
    memory: float


SLICES = (Slice("1g", 1 / 7, 1 / 8), Slice("2g", 2 / 7, 1 / 4), Slice("3g", 3 / 7, 1 / 2))
"""Of cards with seven slices (A100, H100 and newer)."""


def smallest_slice(load: float, memory_share: float) -> Slice | None:
    """The smallest that holds this load (of the whole GPU) and memory; ``None`` if none does."""
    return next((one for one in SLICES if load <= one.sms and memory_share <= one.memory), None)


def smaller_card(
    name: str, memory_total: int, memory_need: float, load: float, share: float, fill: float
) -> tuple[Card, float] | None:
    """The smallest card on which a load (of this one) would take at most ``share`` and memory at most ``fill``, and its load there."""
    own = bf16_peak(name)
    for card in CARDS:
        other = bf16_peak(card.name)
        if own is None or other is None or card.memory >= memory_total or memory_need > fill * card.memory:
            continue
        if (there := load * own / other) <= share:
            return card, there
    return None
