"""The JSON Schemas of what gpuwatch prints, made from the tables of keys: ``python -m gpuwatch.view.schema [--check] DIRECTORY``."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from gpuwatch.names import Quality
from gpuwatch.view import imports as import_view
from gpuwatch.view import json as shapes
from gpuwatch.view.finding_json import EVIDENCE, FINDING, NOT_EVALUATED, RESOLVED, RULES, SEVERITIES
from gpuwatch.view.inference_json import INFERENCE, LATENCY
from gpuwatch.view.period.schema import report
from gpuwatch.view.schema_parts import GENERATED, MISSING, RATIO, described, document, list_of, object_of, or_null
from gpuwatch.view.training_json import PHASE, RANK, RUN, TRAINING


def status() -> dict[str, Any]:
    """The schema of ``gpuwatch status --json``."""
    ledger, ratios, span = list_of(object_of(shapes.LEDGER)), object_of(shapes.RATIOS), object_of(shapes.SPAN)
    today = object_of((), span=span, coverage_ratio=RATIO, ledger=ledger, ratios=ratios)
    return document(
        "status",
        "gpuwatch status",
        {
            "generated_at": GENERATED,
            "at": {"type": "number", "description": "The instant that is shown, unix seconds"},
            "host": {"type": ["string", "null"]},
            "span": described(span, "What ledger and ratios are about: the last 15 minutes or as much as there is"),
            "coverage_ratio": described(RATIO, "Observed of capacity in the span"),
            "waste_now_gpus": described(RATIO, "GPUs wasted, mean of the last 60 s"),
            "gpus": list_of(object_of(shapes.GPU, missing=MISSING)),
            "processes": list_of(object_of(shapes.PROCESS, missing=MISSING, gpus=list_of(object_of(shapes.HOLD)))),
            "workloads": list_of(object_of(shapes.WORKLOAD, inference=_inference(), training=_training())),
            "ledger": ledger,
            "ratios": or_null(ratios),
            "today": or_null(today),
            "findings": described(list_of(_finding()), "What rules have found and nobody has muted, the costliest first"),
            "finding_counts": _counts(),
            "sources": list_of(object_of(shapes.SOURCE)),
            "events": list_of(object_of(shapes.EVENT)),
            "host_now": or_null(object_of(shapes.HOST, missing=MISSING)),
            "recording": or_null(object_of(shapes.RECORDING)),
            "notices": {"type": "array", "items": {"type": "string"}},
        },
    )


def _inference() -> dict[str, Any]:
    """What a workload's server tells."""
    words = {"type": "object", "additionalProperties": {"enum": [quality.label for quality in Quality]}}
    texts = {"type": "object", "additionalProperties": {"type": "string"}}
    found = object_of(
        INFERENCE,
        latencies=list_of(object_of(LATENCY)),
        quality=described(words, "How each number of the server is counted"),
        source=described(texts, "The family, route or formula that gives it"),
        missing=MISSING,
    )
    return described(or_null(found), "What an inference server tells; null for other workloads, and where nobody asked")


def _training() -> dict[str, Any]:
    """What is known of a workload that trains."""
    phases, ranks, run = list_of(object_of(PHASE)), list_of(object_of(RANK)), or_null(object_of(RUN))
    found = object_of(
        TRAINING,
        phases=described(phases, "Where a step goes, in its order; parts that took no time are left out"),
        ranks=described(ranks, "Its processes, by rank"),
        run=described(run, "Its run, null where none is recorded"),
        missing=MISSING,
    )
    return described(or_null(found), "What is known of a training; null for other workloads")


def _finding() -> dict[str, Any]:
    """What a rule has found."""
    return object_of(FINDING, facts=described(list_of(object_of(EVIDENCE)), "The evidence, fact by fact"))


def _counts() -> dict[str, Any]:
    """How many findings of each severity."""
    return object_of((), **{each.label: {"type": "integer"} for each in SEVERITIES})


def waste() -> dict[str, Any]:
    """The schema of ``gpuwatch waste --json``."""
    ledger, ratios, span = list_of(object_of(shapes.LEDGER)), object_of(shapes.RATIOS), object_of(shapes.SPAN)
    return document(
        "waste",
        "gpuwatch waste",
        {
            "generated_at": GENERATED,
            "at": {"type": "number", "description": "The instant that is shown, unix seconds"},
            "host": {"type": ["string", "null"]},
            "gpu_count": {"type": "integer", "description": "GPUs, instances not counted"},
            "waste_now_gpus": described(RATIO, "GPUs wasted, mean of the last 60 s: the ledger's, never a sum of findings"),
            "today": or_null(object_of((), span=span, coverage_ratio=RATIO, ledger=ledger, ratios=ratios)),
            "resolved_since": {"type": "number", "description": "From when on what cleared is told, unix seconds"},
            "findings": described(list_of(_finding()), "What is open and not muted, the costliest first"),
            "muted": described(list_of(_finding()), "What is open and muted"),
            "resolved": described(list_of(object_of(RESOLVED)), "What cleared, the newest first"),
            "not_evaluated": list_of(object_of(NOT_EVALUATED)),
            "rules_known": {
                "type": "boolean",
                "description": "False where what rules said is not kept: of the past, or none has run",
            },
            **object_of(RULES)["properties"],
            "notices": {"type": "array", "items": {"type": "string"}},
        },
    )


def check() -> dict[str, Any]:
    """The schema of ``gpuwatch check --json``."""
    number, flag, text = {"type": "number"}, {"type": "boolean"}, {"type": "string"}
    ended = {"type": ["integer", "null"], "description": "When it cleared, unix milliseconds; null while it holds"}
    limit = object_of((), limit=text, present=number, tried=number)
    found = object_of(FINDING, facts=list_of(object_of(EVIDENCE)), ended_ms=ended)
    return document(
        "check",
        "gpuwatch check",
        {
            "generated_at": GENERATED,
            "host": text,
            "since": described(number, "Start of the span that was judged, unix seconds; equal to until: now alone"),
            "until": described(number, "Its end, unix seconds"),
            "fail_on": described(text, "Least severity that fails"),
            "failed": described(flag, "Whether the exit code is 1"),
            "replayed": described(flag, "Judged from rows by this command, not read from what a recorder found"),
            "counts": _counts(),
            "muted": described({"type": "integer"}, "Findings that are muted and do not count"),
            "findings": described(list_of(found), "With other limits those that come of them"),
            "limits": described(list_of(limit), "The other limits of --what-if"),
            "findings_by_present_limits": {**list_of(_finding()), "type": ["array", "null"], "description": "With --what-if only"},
        },
    )


def query() -> dict[str, Any]:
    """The schema of ``gpuwatch query --format json``."""
    cell = {"type": ["string", "number", "null"]}
    columns = {"type": "array", "items": {"type": "string"}}
    return document(
        "query", "gpuwatch query", {"columns": columns, "rows": list_of({"type": "object", "additionalProperties": cell})}
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
    return document(
        "doctor",
        "gpuwatch doctor",
        {"generated_at": GENERATED, "checks": list_of(object_of((), **check)), "settings": list_of(object_of((), **setting))},
    )


def imports() -> dict[str, Any]:
    """The schema of ``gpuwatch import --json``."""
    files = list_of(object_of(import_view.FILE, problems=list_of(object_of(import_view.PROBLEM))))
    store = {"type": "string", "description": "The store that was written to"}
    return document("import", "gpuwatch import", {"store": store, "files": files})


KINDS = {"status": status, "waste": waste, "check": check, "query": query, "doctor": doctor, "report": report, "import": imports}


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
