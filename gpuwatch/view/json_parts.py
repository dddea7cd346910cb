"""What documents in JSON are made of: tables of keys with type and meaning, and objects by such a table."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import IntEnum
from typing import Any

from gpuwatch.dataclass import dataclass

SCHEMA = 1

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Field:
    """One key: its JSON type (``|null`` if it may be unmeasured), its meaning, and where it comes from if not the same name."""

    name: str
    type: str
    help: str
    get: Callable[[Any], Any] | None = None

    def value(self, source: Any) -> Any:
        """The key's value, words instead of numbers for enumerations."""
        found = self.get(source) if self.get else getattr(source, self.name)
        return found.label if isinstance(found, IntEnum) and hasattr(found, "label") else found


def plain(*fields: tuple[str, str, str]) -> tuple[Field, ...]:
    """Keys that are attributes of the same name."""
    return tuple(Field(*field) for field in fields)


def object_of(fields: Sequence[Field], source: object) -> Json:
    """One object."""
    return {field.name: field.value(source) for field in fields}


def objects(fields: Sequence[Field], sources: Sequence[object]) -> list[Json]:
    """A list of them."""
    return [object_of(fields, source) for source in sources]
