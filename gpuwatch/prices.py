"""What GPUs and energy cost, by the user's own list. Pure; applied when reading, never stored, and no price means no money."""

from __future__ import annotations

from collections.abc import Sequence

from gpuwatch.dataclass import NamedTuple, dataclass

WATT_HOURS_PER_KWH = 1000
SECONDS_PER_HOUR = 3600


class Since(NamedTuple):
    """A price per GPU-hour from an instant on (unix milliseconds; 0: always)."""

    from_ms: int
    price: float


@dataclass(frozen=True, slots=True)
class GpuPrice:
    """The prices of the GPUs whose product name fits ``pattern``, oldest first."""

    pattern: str
    steps: tuple[Since, ...]

    def fits(self, name: str) -> bool:
        """Whether a product name fits; capitals do not matter."""
        from fnmatch import fnmatchcase  # few have prices

        return fnmatchcase(name.lower(), self.pattern.lower())

    def at(self, at_ms: int) -> float | None:
        """The price in force at an instant; ``None`` before the first one."""
        return next((step.price for step in reversed(self.steps) if step.from_ms <= at_ms), None)


@dataclass(frozen=True, slots=True)
class Prices:
    """The whole list. The first pattern that fits a name counts."""

    currency: str = "$"
    kwh: float | None = None
    gpus: tuple[GpuPrice, ...] = ()

    @property
    def known(self) -> bool:
        """Whether anything has a price."""
        return self.kwh is not None or bool(self.gpus)

    def gpu_hour(self, name: str, at_ms: int) -> float | None:
        """What an hour of a GPU of this product name costs at an instant; ``None``: nobody said."""
        found = next((price for price in self.gpus if price.fits(name)), None)
        return None if found is None else found.at(at_ms)

    def money(self, amount: float, decimals: int = 2) -> str:
        """An amount with its currency: ``$2.50``, ``2.50 EUR``."""
        text = f"{amount:.{decimals}f}"
        return f"{text} {self.currency}" if self.currency[-1:].isalpha() else f"{self.currency}{text}"


@dataclass(frozen=True, slots=True)
class HourlyCost:
    """What some GPUs cost an hour, and the prices that say so."""

    per_hour: float
    price: str


def hourly_cost(prices: Prices, names: Sequence[str], watts: float | None, at_ms: int) -> HourlyCost | None:
    """What these GPUs cost an hour at an instant, with their energy where it has a price.

    ``None`` where a part that has a price list cannot be told: a GPU without a price beside one with, energy without power.
    """
    if not names or not prices.known:
        return None
    cost, words = 0.0, []
    if prices.gpus:
        each = [prices.gpu_hour(name, at_ms) for name in names]
        known = [price for price in each if price is not None]
        if len(known) < len(each):
            return None
        cost += sum(known)
        words.append(f"{' and '.join(prices.money(price) for price in sorted(set(known), reverse=True))}/GPU·h")
    if prices.kwh is not None:
        if watts is None:
            return None
        cost += watts / WATT_HOURS_PER_KWH * prices.kwh
        words.append(f"{prices.money(prices.kwh)}/kWh")
    return HourlyCost(cost, " + ".join(words))


def cost_per_million(cost: HourlyCost, per_second: float | None) -> float | None:
    """What a million of what is made ``per_second`` costs; ``None`` while nothing is made."""
    return cost.per_hour / (per_second * SECONDS_PER_HOUR) * 1e6 if per_second else None
