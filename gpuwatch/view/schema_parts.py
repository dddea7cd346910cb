"""What JSON Schemas of gpuwatch are put together from: keys with type and meaning, objects, lists, documents."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from gpuwatch.view.json_parts import SCHEMA, Field

DIALECT = "https://json-schema.org/draft/2020-12/schema"
RATIO: Mapping[str, Any] = {"type": ["number", "null"]}
GENERATED: Mapping[str, Any] = {"type": "string", "format": "date-time", "description": "When it was made, UTC"}
MISSING: Mapping[str, Any] = {"type": "object", "additionalProperties": {"enum": ["not_supported", "no_permission", "driver_error", "stale", "not_attached"]}, "description": "Why a null key of the same object was not measured"}  # fmt: skip


def typed(field: Field) -> dict[str, Any]:
    """One key."""
    kind, _, rest = field.type.partition("|")
    if kind.startswith("array:"):
        return {"type": "array", "items": {"type": kind.removeprefix("array:")}, "description": field.help}
    return {"type": [kind, rest] if rest else kind, "description": field.help}


def object_of(fields: Sequence[Field], **more: Mapping[str, Any]) -> dict[str, Any]:
    """An object of these keys, all of them required."""
    properties = {field.name: typed(field) for field in fields} | dict(more)
    return {"type": "object", "properties": properties, "required": list(properties)}


def list_of(items: Mapping[str, Any]) -> dict[str, Any]:
    """A list."""
    return {"type": "array", "items": items}


def or_null(schema: dict[str, Any]) -> dict[str, Any]:
    """The same, or null."""
    return {**schema, "type": [schema["type"], "null"]}


def described(schema: Mapping[str, Any], text: str) -> dict[str, Any]:
    """The same with a meaning."""
    return {**schema, "description": text}


def document(kind: str, title: str, properties: Mapping[str, Any]) -> dict[str, Any]:
    """A whole document of one kind."""
    head = {
        "schema": {"const": SCHEMA},
        "kind": {"const": kind},
        "simulated": {"type": "boolean", "description": "True if nothing here was measured"},
    }
    every = head | dict(properties)
    return {"$schema": DIALECT, "title": title, "type": "object", "properties": every, "required": list(every)}
