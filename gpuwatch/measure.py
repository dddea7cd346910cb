"""How one field of a sample is named, kept and explained. Standard library only.

``None`` is "not measured" and stays so to the pixel. The metadata of a field says how it is kept: an integer in ``column`` =
round(value * scale).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from operator import attrgetter
from typing import Any, Literal

from gpuwatch.dataclass import dataclass, field, fields

WORK = "worked out by the recorder"
"""The source of what the ledger goes by beside readings."""
Kind = Literal["gauge", "delta", "state", "counter"]
"""gauge: a value at (or a mean over) the row's time; delta: an amount within the row's time; state: an enumeration, a mask or a
flag, never averaged; counter: cumulative since ``epoch`` of its entity."""


@dataclass(frozen=True, slots=True)
class Measure:
    """How one sample field is named, kept and explained.

    ``group`` names the fields that are missing together and so share one denominator in the rollups.
    """

    column: str
    unit: str
    scale: float
    kind: Kind
    group: str
    help: str
    source: str


def measure(column: str, unit: str, scale: float, kind: Kind, group: str, help: str, source: str) -> Any:
    """A dataclass field that is ``None`` until measured and carries its :class:`Measure`."""
    return field(default=None, metadata={"measure": Measure(column, unit, scale, kind, group, help, source)})


@cache
def measures(sample_type: type) -> Mapping[str, Measure]:
    """Public field name -> :class:`Measure`, in declaration order, of a sample dataclass."""
    return {f.name: f.metadata["measure"] for f in fields(sample_type) if "measure" in f.metadata}


@cache
def told(sample_type: type) -> tuple[str, ...]:
    """The measures that a collector gives, or gives a reason for; the rest is worked out by the recorder."""
    return tuple(name for name, measure in measures(sample_type).items() if measure.source != WORK)


@cache
def _quantiser(sample_type: type) -> tuple[Callable[[object], tuple[float | None, ...]], tuple[float, ...]]:
    found = measures(sample_type)
    return attrgetter(*found), tuple(m.scale for m in found.values())


def quantise(sample: object) -> tuple[int | None, ...]:
    """The measures of a sample as the store's integers, in declaration order; ``None`` stays ``None``."""
    sample_type: type = type(sample)
    values, scales = _quantiser(sample_type)
    return tuple([None if value is None else round(value * scale) for value, scale in zip(values(sample), scales)])


KIB, MIB = 1 / 1024, 1 / 1024**2
