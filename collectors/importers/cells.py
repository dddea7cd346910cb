"""Cells of a log as the store's integers, remembered by their text: cells repeat, so most rows cost a few look-ups."""

from __future__ import annotations

import re

from gpuwatch.collectors.importers.fields import UNITS, Field
from gpuwatch.collectors.importers.problems import quoted
from gpuwatch.measure import measures
from gpuwatch.model import GpuSample

CACHED = 100_000
LOST = ("requires reset", "is lost", "gpu lost", "reset required")
"""What nvidia-smi prints in place of the values of a GPU that cannot be used."""
NOTHING = frozenset(("", "-", "--", "n/a", "na", "nan", "none", "null", "err!", "not supported", "unknown error", "not available"))
LIMITS = {
    "ratio": (0.0, 1.0), "bytes": (0.0, 2.0**46), "watts": (0.0, 20_000.0), "celsius": (-60.0, 200.0), "hertz": (0.0, 2e10),
    "rate": (0.0, 1e13), "share": (0.0, 1.0), "seconds": (0.0, 1e12), "count": (0.0, 2.0**53),
}  # fmt: skip
"""Beyond them no GPU is: such a value is left out, never cut to the limit."""
_NUMBER = re.compile(r"([+-]?\d[\d.,]*)\s*(.*)", re.DOTALL).fullmatch
_THREE = re.compile(r"\d{1,3}(?:,\d{3})+").fullmatch


UNUSABLE = ""
"""Stands among the reasons of a row whose GPU cannot be used."""


class Trouble(list[str]):
    """Reasons that came up while cells of one row were read."""


class Cells(dict[str, "int | None"]):
    """Cell text -> integer (value x ``scale``) of one column; ``None`` where the cell says that nothing was measured."""

    def __init__(self, name: str, field: Field, scale: float, trouble: Trouble) -> None:
        super().__init__()
        self._name, self._field, self._scale, self._trouble = quoted(name), field, scale, trouble
        self._refused = False
        self._ending, self._factor, self._lowest, self._highest = "", 0.0, 1.0, 0.0

    def __missing__(self, text: str) -> int | None:
        if self._factor and text.endswith(self._ending) and "_" not in text:  # as the one before: read without taking apart
            try:
                number = float(text[: len(text) - len(self._ending)])
            except ValueError:
                pass
            else:
                if self._lowest <= number <= self._highest:
                    if len(self) > CACHED:
                        self.clear()
                    value = self[text] = round(number * self._factor)
                    return value
        return self._slowly(text)

    def _slowly(self, text: str) -> int | None:
        known = text.strip().strip("\"'").strip()
        if known in NOTHING or known.lower() in NOTHING:
            value = None
        elif any(word in known.lower() for word in LOST):
            self._trouble.append(UNUSABLE)
            return None
        elif known.startswith("[") and known.endswith("]"):
            value = None
        else:
            try:
                value = self._read(known)
            except ValueError as problem:
                self._trouble.append(f"column {self._name}: {problem}")
                return None
        if len(self) > CACHED:
            self.clear()
        self[text] = value
        return value

    def _read(self, text: str) -> int | None:
        dimension = self._field.dimension
        if dimension == "mask":
            return _mask(text)
        if dimension == "pstate":
            return _pstate(text)
        number, unit = split(text)
        given = text[text.index(unit) :] if unit else ""
        factors = UNITS[dimension]
        unit = unit.lower() if unit != "MW" else unit
        if not unit:
            unit = self._field.unit
            if not unit:
                if self._refused:
                    return None
                self._refused = True
                raise ValueError(f"{quoted(text)} has no unit, so the column is not used; say what it is with --fields")
        if unit not in factors:
            raise ValueError(f"{quoted(text)} is in no unit of it")
        lowest, highest = LIMITS[dimension]
        factor = factors[unit]
        if not lowest <= number * factor <= highest * (1 + 1e-9):
            raise ValueError(f"{quoted(text)} is not possible")
        if factor > 0 and text.endswith(given):
            self._ending, self._factor = given, factor * self._scale
            self._lowest, self._highest = lowest / factor, highest / factor
        return round(number * (factor * self._scale))


def split(text: str) -> tuple[float, str]:
    """Number and unit of a cell. A comma is a decimal sign unless it can be one of thousands; then :class:`ValueError`."""
    found = _NUMBER(text)
    if found is None or len(text) > 60:
        raise ValueError(f"{quoted(text)} is no number")
    digits, unit = found.groups()
    if "," in digits:
        if "." in digits:
            thousands, decimal = (",", ".") if digits.rindex(".") > digits.rindex(",") else (".", ",")
            digits = digits.replace(thousands, "").replace(decimal, ".")
        elif _THREE(digits.lstrip("+-")):
            raise ValueError(f"{quoted(text)} can be read in two ways")
        else:
            digits = digits.replace(",", ".")
    try:
        return float(digits), unit.strip()
    except ValueError:
        raise ValueError(f"{quoted(text)} is no number") from None


def _mask(text: str) -> int:
    try:
        value = int(text, 16) if text.lower().startswith("0x") else int(text)
    except ValueError:
        raise ValueError(f"{quoted(text)} is no mask") from None
    if not 0 <= value < 2**53:
        raise ValueError(f"{quoted(text)} is not possible")
    return value


def _pstate(text: str) -> int:
    digits = text[1:] if text[:1] in "Pp" else text
    if not (digits.isascii() and digits.isdigit() and len(digits) <= 2 and int(digits) <= 15):
        raise ValueError(f"{quoted(text)} is no performance state")
    return int(digits)


class Reason(dict[str, "int | None"]):
    """``Active`` / ``Not Active`` -> the reason's bit or 0."""

    def __init__(self, name: str, bit: int, trouble: Trouble) -> None:
        super().__init__()
        self._name, self._bit, self._trouble = quoted(name), bit, trouble

    def __missing__(self, text: str) -> int | None:
        known = text.strip().strip("\"'").lower()
        if known in ("active", "not active"):
            value = self[text] = self._bit if known == "active" else 0
            return value
        if known not in NOTHING and not known.startswith("["):
            self._trouble.append(f"column {self._name}: {quoted(text)} is neither Active nor Not Active")
        return None


def scale_of(target: str) -> float:
    """Store integers per base unit of a field of ``GpuSample``."""
    return measures(GpuSample)[target].scale
