"""A checker for the part of JSON Schema that docs/schemas uses; keys that a schema does not know are faults too."""

from __future__ import annotations

from typing import Any

_TYPES = {"object": dict, "array": list, "string": str, "boolean": bool, "null": type(None)}


def faults(value: Any, rule: dict[str, Any], at: str = "$") -> list[str]:
    """What in ``value`` does not fit the schema; keys that the schema does not know are faults too."""
    if "const" in rule:
        return [] if value == rule["const"] else [f"{at}: {value!r} is not {rule['const']!r}"]
    if "enum" in rule:
        return [] if value in rule["enum"] else [f"{at}: {value!r} is not one of {rule['enum']}"]
    kinds = rule.get("type", [])
    kinds = [kinds] if isinstance(kinds, str) else kinds
    if kinds and not any(_is(value, kind) for kind in kinds):
        return [f"{at}: {value!r} is not {kinds}"]
    out: list[str] = []
    if isinstance(value, dict) and "properties" in rule:
        out += [f"{at}: {key} is absent" for key in rule["required"] if key not in value]
        out += [f"{at}: {key} is not in the schema" for key in value if key not in rule["properties"]]
        for key, inner in rule["properties"].items():
            out += faults(value[key], inner, f"{at}.{key}") if key in value else []
    elif isinstance(value, dict) and isinstance(rule.get("additionalProperties"), dict):
        for key, item in value.items():
            out += faults(item, rule["additionalProperties"], f"{at}.{key}")
    elif isinstance(value, list) and "items" in rule:
        for number, item in enumerate(value):
            out += faults(item, rule["items"], f"{at}[{number}]")
    return out


def _is(value: Any, kind: str) -> bool:
    if kind == "number":
        return isinstance(value, int | float) and not isinstance(value, bool)
    if kind == "integer":
        return isinstance(value, int) and not isinstance(value, bool)
    return isinstance(value, _TYPES[kind])
