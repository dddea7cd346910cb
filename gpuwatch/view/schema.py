"""The JSON Schemas of what gpuwatch prints, made from the tables of keys: ``python -m gpuwatch.view.schema [--check] DIRECTORY``."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from gpuwatch.view import json as shapes
from gpuwatch.view.json import Field

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def _typed(field: Field) -> dict[str, Any]:
    kind, _, rest = field.type.partition("|")
    if kind.startswith("array:"):
        return {"type": "array", "items": {"type": kind.removeprefix("array:")}, "description": field.help}
    return {"type": [kind, rest] if rest else kind, "description": field.help}


def _object(fields: Sequence[Field], **more: Mapping[str, Any]) -> dict[str, Any]:
    properties = {field.name: _typed(field) for field in fields} | dict(more)
    return {"type": "object", "properties": properties, "required": list(properties)}


def _list(items: Mapping[str, Any]) -> dict[str, Any]:
    return {"type": "array", "items": items}


def _or_null(schema: dict[str, Any]) -> dict[str, Any]:
    return {**schema, "type": [schema["type"], "null"]}


_RATIO = {"type": ["number", "null"]}
_GENERATED = {"type": "string", "format": "date-time", "description": "When it was made, UTC"}
_MISSING = {"type": "object", "additionalProperties": {"enum": ["not_supported", "no_permission", "driver_error", "stale", "not_attached"]}, "description": "Why a null key of the same object was not measured"}  # fmt: skip


def _document(kind: str, title: str, properties: Mapping[str, Any]) -> dict[str, Any]:
    head = {
        "schema": {"const": shapes.SCHEMA},
        "kind": {"const": kind},
        "simulated": {"type": "boolean", "description": "True if nothing here was measured"},
    }
    every = head | dict(properties)
    return {"$schema": DIALECT, "title": title, "type": "object", "properties": every, "required": list(every)}


def status() -> dict[str, Any]:
    """The schema of ``gpuwatch status --json``."""
    ledger, ratios, span = _list(_object(shapes.LEDGER)), _object(shapes.RATIOS), _object(shapes.SPAN)
    today = _object((), span=span, coverage_ratio=_RATIO, ledger=ledger, ratios=ratios)
    return _document(
        "status",
        "gpuwatch status",
        {
            "generated_at": _GENERATED,
            "at": {"type": "number", "description": "The instant that is shown, unix seconds"},
            "host": {"type": ["string", "null"]},
            "span": {**span, "description": "What ledger and ratios are about: the last 15 minutes or as much as there is"},
            "coverage_ratio": {**_RATIO, "description": "Observed of capacity in the span"},
            "waste_now_gpus": {**_RATIO, "description": "GPUs wasted, mean of the last 60 s"},
            "gpus": _list(_object(shapes.GPU, missing=_MISSING)),
            "processes": _list(_object(shapes.PROCESS, missing=_MISSING, gpus=_list(_object(shapes.HOLD)))),
            "workloads": _list(_object(shapes.WORKLOAD)),
            "ledger": ledger,
            "ratios": _or_null(ratios),
            "today": _or_null(today),
            "findings": _list(_object(shapes.FINDING)),
            "sources": _list(_object(shapes.SOURCE)),
            "events": _list(_object(shapes.EVENT)),
            "host_now": _or_null(_object(shapes.HOST, missing=_MISSING)),
            "recording": _or_null(_object(shapes.RECORDING)),
            "notices": {"type": "array", "items": {"type": "string"}},
        },
    )


def query() -> dict[str, Any]:
    """The schema of ``gpuwatch query --format json``."""
    cell = {"type": ["string", "number", "null"]}
    columns = {"type": "array", "items": {"type": "string"}}
    return _document(
        "query", "gpuwatch query", {"columns": columns, "rows": _list({"type": "object", "additionalProperties": cell})}
    )


def doctor() -> dict[str, Any]:
    """The schema of ``gpuwatch doctor --json``."""
    check: dict[str, Any] = {
        "id": {"type": "string", "description": "Stable id of the check"},
        "state": {"type": "string", "description": "What was found: good, limited, missing or information"},
        "title": {"type": "string"},
        "result": {"type": "string"},
        "fix": {"type": ["string", "null"], "description": "The command or step that enables it"},
    }
    setting: dict[str, Any] = {
        "key": {"type": "string"},
        "value": {},
        "source": {"type": "string", "description": "Where the value comes from"},
    }
    return _document(
        "doctor",
        "gpuwatch doctor",
        {"generated_at": _GENERATED, "checks": _list(_object((), **check)), "settings": _list(_object((), **setting))},
    )


KINDS = {"status": status, "query": query, "doctor": doctor}


def text(kind: str) -> str:
    """One schema as it stands in ``docs/schemas``."""
    return json.dumps(KINDS[kind](), indent=2, ensure_ascii=False) + "\n"


def main(arguments: Sequence[str]) -> int:
    """Write all schemas into a directory; with ``--check`` only say whether they are what would be written."""
    check = "--check" in arguments
    names = [name for name in arguments if name != "--check"]
    folder = Path(names[0] if names else "docs/schemas")
    stale = [kind for kind in KINDS if not _same(folder / f"{kind}.json", text(kind))]
    if check:
        for kind in stale:
            print(f"{folder / kind}.json is not up to date: python -m gpuwatch.view.schema {folder}", file=sys.stderr)
        return 1 if stale else 0
    folder.mkdir(parents=True, exist_ok=True)
    for kind in stale:
        (folder / f"{kind}.json").write_text(text(kind), encoding="utf-8")
    return 0


def _same(path: Path, wanted: str) -> bool:
    return path.is_file() and path.read_text(encoding="utf-8") == wanted


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
