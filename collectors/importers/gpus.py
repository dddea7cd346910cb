"""The GPUs of a log: who a row is of, and what its first row says of that GPU."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from gpuwatch.collectors.importers.cells import Cells, Trouble
from gpuwatch.collectors.importers.fields import Column, Field
from gpuwatch.collectors.importers.identity import Identity, index_of
from gpuwatch.collectors.importers.problems import Unreadable, quoted
from gpuwatch.collectors.importers.types import ImportOptions, PastLog
from gpuwatch.model import Gpu
from gpuwatch.text import clean

if TYPE_CHECKING:
    from gpuwatch.collectors.importers.plan import Plan

MANY = 4096
"""More GPUs than any log has: a file with more keys is not what it seems."""
_FLOATS = ("watts",)


class Statics:
    """Reads what a row says of its GPU that does not change."""

    def __init__(self, columns: Sequence[Column], identity: Identity, trouble: Trouble) -> None:
        self._texts = [
            (c.field.target, i) for i, c in enumerate(columns) if c.kind == "static" and c.field and c.field.dimension == "text"
        ]
        self._flags = [
            (c.field.target, i) for i, c in enumerate(columns) if c.kind == "static" and c.field and c.field.dimension == "flag"
        ]
        self._numbers = [
            (c.field.target, i, Cells(c.text, c.field, 1.0, trouble), c.field.dimension)
            for i, c in enumerate(columns)
            if c.kind == "static" and c.field and c.field.dimension not in ("text", "flag")
        ]
        limits = [
            (c.field.rank, i, c)
            for i, c in enumerate(columns)
            if c.kind == "sample" and c.field and c.field.target == "power_limit_watts"
        ]
        self._limits = [
            (i, Cells(c.text, c.field or Field("", "watts", "w"), 1000.0, trouble)) for _, i, c in sorted(limits, key=_rank)
        ]
        self._bus = next((i for i, c in enumerate(columns) if c.name == "bus"), -1)

    def read(self, cells: Sequence[str]) -> dict[str, Any]:
        """Fields of ``Gpu``."""
        found: dict[str, Any] = {}
        for target, place in self._texts:
            text = cells[place].strip().strip("\"'")
            if text and not text.startswith("[") and text not in ("N/A", "-"):
                found[target] = clean(text, 120)
        for target, place in self._flags:
            text = cells[place].strip().lower()
            if text in ("enabled", "disabled", "on", "off"):
                found[target] = text in ("enabled", "on")
        for target, place, numbers, dimension in self._numbers:
            value = numbers[cells[place]]
            if value is not None:
                found[target] = float(value) if dimension in _FLOATS else value
        for place, numbers in self._limits:
            value = numbers[cells[place]]
            if value is not None:
                found["power_limit_watts"] = value / 1000
                break
        if self._bus >= 0:
            found["pci_bus_id"] = clean(cells[self._bus].strip(), 40)
        return found


def _rank(entry: tuple[int, int, Column]) -> tuple[int, int]:
    return entry[:2]


class Gpus:
    """Cell text -> key of the GPU. ``latest`` is the time of the last row of each."""

    def __init__(self, label: str, options: ImportOptions) -> None:
        self.known: dict[str, str] = {}
        self.latest: dict[str, int] = {}
        self._label, self._options = label, options
        self._taken: dict[int, str] = {}

    def found(self, plan: Plan, cells: Sequence[str], log: PastLog) -> str:
        """The key of a row's GPU, which is made known to the log at its first row. :class:`Unreadable` if the row names none."""
        identity = plan.identity
        text = cells[identity.key] if identity.key >= 0 else ""
        known = self.known.get(text)
        if known is not None:
            return known
        if plan.host >= 0 and not log.hostname:
            log.hostname = clean(cells[plan.host].strip().strip("\"'"), 120)
        plain = text.strip().strip("\"'").strip()
        index = index_of(cells[identity.index]) if identity.index >= 0 else None
        if identity.key >= 0 and (not plain or plain.startswith("[") or plain.upper() in ("N/A", "ERR!")):
            raise Unreadable(f"no GPU: {quoted(text) or 'an empty cell'}")
        if identity.kind in ("index",) and index is None:
            raise Unreadable(f"no GPU: {quoted(text)}")
        uuid = clean(plain, 120) if identity.kind == "uuid" or plain.startswith(("GPU-", "MIG-")) else ""
        key = uuid or (f"import:{self._label}:{index}" if index is not None and identity.key == identity.index else "")
        if identity.key < 0:
            index, key = 0, f"import:{self._label}:0"
        if not key:
            number = index if index is not None else self._next(plain)
            index, key = number, f"import:{self._label}:{number}"
        elif index is None:
            index = self._next(key)
        if key not in log.gpus:
            if len(log.gpus) >= MANY:
                raise Unreadable("more GPUs than a log can have")
            self._taken.setdefault(index, key)
            log.gpus[key] = self._gpu(key, index, plan.statics.read(cells))
        self.known[text] = key
        return key

    def _gpu(self, key: str, index: int, said: dict[str, Any]) -> Gpu:
        if self._options.power_limit_watts is not None:
            said.setdefault("power_limit_watts", self._options.power_limit_watts)
        return Gpu(uuid=key, index=index, name=said.pop("name", ""), **said)

    def _next(self, name: str) -> int:
        """The lowest index that no other GPU of the log has."""
        for index, key in self._taken.items():
            if key == name:
                return index
        index = 0
        while index in self._taken:
            index += 1
        self._taken[index] = name
        return index
