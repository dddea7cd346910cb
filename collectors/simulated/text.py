"""The text form of a flat table: one record a line, read by the fake driver in C and by :func:`loads`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from gpuwatch.collectors.simulated.flat import Device, Fault, FlatTable, Instance, Series, Slot, Xid
from gpuwatch.dataclass import fields

MAGIC = "gpuwatch-scenario 1"
_TRAILING = {"gpu": "name", "mig": "name", "proc": "command"}
"""The one key of each record that takes the rest of the line."""


def lines(table: FlatTable) -> Iterator[str]:
    """The records of ``table``, without line ends."""
    yield MAGIC
    yield f"name {table.name}"
    yield f"driver {table.driver}"
    yield f"cuda {table.cuda}"
    yield f"loop_ms {table.loop_ms}"
    for device in table.devices:
        yield f"gpu {device.index} {_pairs(device, 'index', 'name')}"
    for instance in table.instances:
        yield f"mig {instance.gpu} {instance.device} {_pairs(instance, 'gpu', 'device', 'name')}"
    for slot in table.slots:
        yield f"proc {slot.slot} {_pairs(slot, 'slot', 'command')}"
    for (place, quantity), series in table.gpu.items():
        yield from _records(f"v {place} {quantity}", series)
    for (name, place, quantity), series in table.process.items():
        yield from _records(f"pv {name} {place} {quantity}", series)
    for quantity, series in table.host.items():
        yield from _records(f"h {quantity}", series)
    for f in table.faults:
        yield f"fault {f.t_ms} {f.for_ms} {'*' if f.gpu < 0 else f.gpu} {f.kind} {f.call} {f.arg}"
    for x in table.xids:
        yield f"xid {x.t_ms} {x.gpu} {x.code}"


def dumps(table: FlatTable) -> str:
    """The whole text, ending with a line end."""
    return "\n".join(lines(table)) + "\n"


def _pairs(record: Any, *skip: str) -> str:
    trailing = skip[-1]
    pairs = [f"{f.name}={getattr(record, f.name)}" for f in fields(record) if f.name not in skip]
    return " ".join([*pairs, f"{trailing}={getattr(record, trailing)}"])


def _records(head: str, series: Series) -> Iterator[str]:
    return (f"{head} {t} {value}" for t, value in zip(series.times, series.values, strict=True))


def loads(text: str) -> FlatTable:
    """The table of a text. Raises ``ValueError`` with the line number and what is wrong there."""
    rows = text.splitlines()
    if not rows or rows[0].strip() != MAGIC:
        raise ValueError(f"line 1: not a scenario, expected '{MAGIC}'")
    table = FlatTable("", "", 0, 0)
    for number, row in enumerate(rows[1:], 2):
        if not row or row.startswith("#"):
            continue
        try:
            _read(table, row)
        except (ValueError, KeyError, IndexError, TypeError) as error:
            raise ValueError(f"line {number}: {row!r}: {error}") from None
    return table


def _read(table: FlatTable, row: str) -> None:
    kind, _, rest = row.partition(" ")
    words = rest.split(" ")
    match kind:
        case "name" | "driver":
            setattr(table, kind, rest)
        case "cuda" | "loop_ms":
            setattr(table, kind, int(rest))
        case "gpu":
            table.devices.append(Device(index=int(words[0]), **_typed(Device, kind, words[1:])))
        case "mig":
            table.instances.append(Instance(gpu=int(words[0]), device=int(words[1]), **_typed(Instance, kind, words[2:])))
        case "proc":
            table.slots.append(Slot(slot=words[0], **_typed(Slot, kind, words[1:])))
        case "v":
            _add(table.gpu, (words[0], words[1]), words[2:])
        case "pv":
            _add(table.process, (words[0], words[1], words[2]), words[3:])
        case "h":
            _add(table.host, words[0], words[1:])
        case "fault":
            gpu = -1 if words[2] == "*" else int(words[2])
            table.faults.append(Fault(int(words[0]), int(words[1]), gpu, words[3], words[4], int(words[5])))
        case "xid":
            table.xids.append(Xid(*(int(word) for word in words)))
        case _:
            raise ValueError("unknown record")


def _typed(record: Any, kind: str, words: list[str]) -> dict[str, Any]:
    types = {f.name: f.type for f in fields(record)}
    out: dict[str, Any] = {}
    for i, word in enumerate(words):
        key, _, value = word.partition("=")
        if key == _TRAILING[kind]:
            out[key] = " ".join([value, *words[i + 1 :]])
            break
        if key in types:
            out[key] = int(value) if types[key] == "int" else value
    return out


def _add(into: dict[Any, Series], key: Any, words: list[str]) -> None:
    t_ms, value = int(words[0]), int(words[1])
    series = into.get(key)
    if series is None:
        if t_ms:
            raise ValueError("a series must begin at 0")
        into[key] = series = Series([], [])
    times, values = series.times, series.values
    assert isinstance(times, list) and isinstance(values, list)
    if times and t_ms <= times[-1]:
        raise ValueError("times of a series must rise")
    times.append(t_ms)
    values.append(value)
