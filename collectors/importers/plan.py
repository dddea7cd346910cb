"""What to do with the cells of a CSV log's lines: made once per header, so that a row costs a few look-ups."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from operator import itemgetter

from gpuwatch.collectors.importers.cells import Cells, Reason, Trouble, scale_of
from gpuwatch.collectors.importers.fields import DECIMAL_NAMES, REASONS
from gpuwatch.collectors.importers.gpus import Statics
from gpuwatch.collectors.importers.identity import Identity
from gpuwatch.collectors.importers.layout import Layout
from gpuwatch.measure import measures
from gpuwatch.model import GpuSample

ValuesOf = Callable[[Sequence[str], str], tuple[int | None, ...]]
"""A row's cells and its GPU -> its values."""
MASK_NEEDS = (("sw_power_cap",), ("sw_thermal_slowdown",), ("hw_slowdown", "hw_thermal_slowdown"))
"""One of each must be a column for single reasons to make a mask: else a 0 would say what the log does not."""
PER_SECOND = {"rate": 1.0, "share": 1000.0}
"""Scale of what is an amount only once the row's time is known."""
MEASURES = list(measures(GpuSample))


class Plan:
    """The columns of one header: where time and GPU stand, and how a row's cells become its values."""

    def __init__(self, layout: Layout, identity: Identity, trouble: Trouble, limit_watts: float | None) -> None:
        self.layout, self.identity = layout, identity
        self.time = next((i for i, c in enumerate(layout.columns) if c.name == "time"), -1)
        self.date = next((i for i, c in enumerate(layout.columns) if c.name == "date"), -1)
        self.clock = next((i for i, c in enumerate(layout.columns) if c.name == "clock"), -1)
        if self.time < 0 and self.date < 0:
            self.time, self.clock = self.clock, -1
        self.host = next((i for i, c in enumerate(layout.columns) if c.name == "host"), -1)
        self.statics = Statics(layout.columns, identity, trouble)
        self.readers: list[tuple[Cells | Reason, int]] = []
        self.unused: list[str] = []
        self.notes: list[str] = [identity.note] if identity.note else []
        slots: dict[str, list[tuple[int, int]]] = {}
        counters: dict[str, list[int]] = {}
        reasons: list[int] = []
        has_mask = self._reasons_make_a_mask()
        for place, column in enumerate(layout.columns):
            field = column.field
            if column.kind == "sample" and field is not None:
                slots.setdefault(field.target, []).append((field.rank, len(self.readers)))
                self.readers.append(
                    (Cells(column.text, field, PER_SECOND.get(field.dimension) or scale_of(field.target), trouble), place)
                )
                if field.dimension == "bytes" and field.unit in DECIMAL_NAMES:
                    self.notes.append(f"column {column.text}: read in powers of two, as GPU tools print {field.unit.upper()}")
            elif column.kind == "counter" and field is not None:
                counters.setdefault(field.target, []).append(len(self.readers))
                self.readers.append((Cells(column.text, field, 1000.0, trouble), place))
            elif column.kind == "reason" and has_mask:
                reasons.append(len(self.readers))
                self.readers.append((Reason(column.text, REASONS[column.name], trouble), place))
            elif column.kind in ("unused", "reason") and column.text:
                self.unused.append(column.text)
        self.values_of = self._reader(slots, counters, reasons, limit_watts)

    def _reasons_make_a_mask(self) -> bool:
        names = {c.name for c in self.layout.columns if c.kind == "reason"}
        mask = any(c.name == "clocks_event_reasons_active" for c in self.layout.columns)
        return not mask and all(any(name in names for name in group) for group in MASK_NEEDS)

    def _reader(
        self, slots: dict[str, list[tuple[int, int]]], counters: dict[str, list[int]], reasons: list[int], limit: float | None
    ) -> ValuesOf:
        """What makes a row's values out of its cells."""
        count = len(self.readers)
        chosen = {target: min(found)[1] for target, found in slots.items()}
        others = [(chosen[target], at) for target, found in slots.items() for _, at in sorted(found)[1:]]
        constants: list[int | None] = [None]
        if limit is not None and "power_limit_watts" not in chosen:
            chosen["power_limit_watts"] = count + len(constants)
            constants.append(round(limit * 1000))
        extra = count + len(constants)
        differences = list(counters.items())
        for target, _ in differences:
            chosen.setdefault(target, extra)
            extra += 1
        if reasons:
            chosen["clock_event_reasons"] = extra
        order = [chosen.get(name, count) for name in MEASURES]
        if not (others or differences or reasons):
            return self._direct(order, constants)
        pick = itemgetter(*order)
        last: dict[tuple[str, int], int] = {}
        readers = self.readers

        def values_of(cells: Sequence[str], gpu: str) -> tuple[int | None, ...]:
            values = [cell[cells[place]] for cell, place in readers]
            for first, other in others:
                if values[first] is None:
                    values[first] = values[other]
            values += constants
            for _, places in differences:
                values.append(max((d for d in [_step(last, gpu, at, values[at]) for at in places] if d is not None), default=None))
            if reasons:
                bits = [values[at] for at in reasons]
                values.append(None if None in bits else sum(bit for bit in bits if bit))
            return pick(values)  # type: ignore[no-any-return]

        return values_of

    def _direct(self, order: Sequence[int], constants: Sequence[int | None]) -> ValuesOf:
        """One expression for all values of a row: half the time of a loop over its cells, and a log has millions of rows."""
        count = len(self.readers)
        terms = [f"c{at}[cells[{self.readers[at][1]}]]" if at < count else repr(constants[at - count]) for at in order]
        names = ", ".join(f"c{at}" for at in range(count))
        make = eval(f"lambda {names}: lambda cells, gpu: ({', '.join(terms)})")
        return make(*[cell for cell, _ in self.readers])  # type: ignore[no-any-return]


def _step(last: dict[tuple[str, int], int], gpu: str, at: int, now: int | None) -> int | None:
    """How far a counter went since the GPU's row before; ``None`` at the first row and when it was set back."""
    if now is None:
        return None
    before = last.get((gpu, at))
    last[gpu, at] = now
    return now - before if before is not None and now >= before else None
