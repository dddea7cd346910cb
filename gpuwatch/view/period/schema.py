"""The JSON Schema of a report, made from the tables of keys in :mod:`gpuwatch.view.period.json`."""

from __future__ import annotations

from typing import Any

from gpuwatch.names import Bucket, Cause
from gpuwatch.view.inference_json import LATENCY
from gpuwatch.view.period import json as shapes
from gpuwatch.view.period.runs_json import EXPERIMENTS, RUN
from gpuwatch.view.period.types import BY
from gpuwatch.view.schema_parts import GENERATED, MISSING, RATIO, described, document, list_of, object_of, or_null

_TIME = {"type": "string", "format": "date-time"}
_SINCE = {"since": described(_TIME, "Start"), "until": described(_TIME, "End, exclusive")}
_COUNT = {"type": "integer"}
_TEXTS = {"type": "array", "items": {"type": "string"}}


def _amounts(labels: list[str], text: str) -> dict[str, Any]:
    properties = dict.fromkeys(labels, _COUNT)
    return {"type": "object", "properties": properties, "required": labels, "description": text}


def _some(text: str, item: dict[str, Any] | None = None) -> dict[str, Any]:
    return {"type": "object", "additionalProperties": item or _COUNT, "description": text}


def _ledger() -> dict[str, Any]:
    band = or_null(object_of((), low={"type": "number"}, high={"type": "number"}))
    return object_of(
        (*shapes.LEDGER, *shapes.LEDGER_REST),
        fill_ratio=described(
            band, "Effective of first-time work; low and high differ where no signal tells how busy time was filled"
        ),
        efficiency_ratio=described(band, "Effective of observed"),
        buckets_gpu_ms=_amounts([bucket.label for bucket in Bucket], "Where the time went; the sum is the capacity"),
        wait_gpu_ms=_amounts([cause.label for cause in Cause if cause], "The bucket wait by cause"),
        busy_gpu_ms_by_tier=_some("Busy time by the evidence behind it: n, p, h, g"),
        missing=MISSING,
    )


def _strip(ledger: dict[str, Any]) -> dict[str, Any]:
    numbers = {"type": "array", "items": _COUNT}
    lane = object_of(
        shapes.LANE,
        shares_pm=_some("Bucket -> share of each column in per mille; 0 in all of them where the GPU did not count yet", numbers),
        busy_pm=list_of({"type": ["integer", "null"]}),
        holders=list_of(object_of(shapes.TENURE)),
        ledger=ledger,
    )
    edges = described(numbers, "Start of each column and end of the last one, unix seconds")
    return or_null(object_of((), column_seconds=_COUNT, edges=edges, lanes=list_of(lane)))


def _quality() -> dict[str, Any]:
    return object_of(
        (),
        coverage_ratio=described(RATIO, "Observed of capacity"),
        unobserved_gpu_ms=_some("Unobserved GPU time by the reason of the gap that it lies in, else unknown"),
        gaps=described(list_of(object_of(shapes.GAP, **_SINCE)), "The longest gaps in order of time, cut to the span"),
        gap_count=described(_COUNT, "All gaps"),
        gap_energy_mj=described({"type": ["integer", "null"]}, "Energy over all gaps, of nobody knows whom"),
        lost=described(list_of(object_of(shapes.EVENT, at=_TIME)), "Lost GPUs, XIDs, resets"),
        lost_count=described(_COUNT, "All such events"),
        fill_gpu_ms_by_tier=_some("Busy time by the evidence behind it"),
        energy_sources=_some("counter, power, mixed, none -> number of GPUs"),
        tiers=list_of(object_of(shapes.TIER, **_SINCE)),
        provisional_gpu_ms=described(_COUNT, "Observed time whose buckets may still change"),
        estimates=described(_TEXTS, "What was widened, cut elsewhere, or stands on less than everything"),
    )


def report() -> dict[str, Any]:
    """The schema of ``gpuwatch report --json``."""
    ledger, use, places = _ledger(), object_of(shapes.USE, missing=MISSING), list_of(object_of(shapes.PLACE))
    last_busy = described({"type": ["string", "null"]}, "End of the last minute in which it was not quiet all the time")
    quantiles = _some("Quantity -> percentiles over observed time", object_of(shapes.QUANTILES))
    period = list_of(object_of(shapes.PERIOD, **_SINCE, ledger=ledger, use=use))
    names = list_of(object_of((), name={"type": "string"}, count=_COUNT))
    asked = {"asked_since": _TIME, "asked_until": _TIME}
    reason = {"type": ["string", "null"], "description": "Why it is empty"}
    waits = described(or_null(object_of(LATENCY)), "Over all observations of the span; null where it is not measured")
    return document(
        "report",
        "gpuwatch report",
        {
            "gpuwatch": {"type": "string", "description": "Version of the program"},
            "generated_at": GENERATED,
            "span": described(
                object_of(shapes.SPAN, **_SINCE, **asked, hosts=_TEXTS, gpu_names=names), "What was summed, and what was asked for"
            ),
            "by": {"enum": list(BY)},
            "total": ledger,
            "use": use,
            "days": period,
            "hours": described(period, "Only with --by hour"),
            "gpus": list_of(object_of(shapes.GPU, ledger=ledger, use=use, quantiles=quantiles, last_busy=last_busy)),
            "hosts": list_of(object_of(shapes.HOST, **_SINCE, ledger=ledger, use=use)),
            "owners": described(list_of(object_of(shapes.OWNER, gpus=places, ledger=ledger)), "They sum to the total"),
            "processes": list_of(object_of(shapes.PROCESS, first=_TIME, last=_TIME, gpus=places, ledger=ledger, missing=MISSING)),
            "process_count": described(_COUNT, "All processes that held a GPU"),
            "strip": _strip(ledger),
            "quality": _quality(),
            "not_measured": list_of(object_of(shapes.NOT_MEASURED)),
            "notes": _TEXTS,
            "definitions": _some("Word -> what it means here", {"type": "string"}),
            "command": {"type": "string", "description": "What makes this report again"},
            "previous": or_null(ledger),
            "findings": described(list_of(object_of(shapes.FINDING, gpus=places)), "What rules found, by what it cost in the span"),
            "not_evaluated": described(
                list_of(object_of(shapes.NOT_EVALUATED)), "What rules cannot judge now; empty for a span long past"
            ),
            "rules": described(_COUNT, "Rules that judge now; 0 for a span long past"),
            "rules_not_evaluated": described(_COUNT, "Those that missed a signal"),
            "training": described(
                list_of(object_of(RUN, gpus=places, ledger=ledger, missing=MISSING)), "Training runs in the order of their start"
            ),
            "experiments": described(or_null(object_of(EXPERIMENTS)), "All runs together; null where there was none"),
            "models": list_of(object_of(shapes.MODEL, ttft=waits, itl=waits, gpus=places, ledger=ledger, missing=MISSING)),
            **{f"{name}_reason": reason for name in shapes.ABSENT},
        },
    )
