"""The JSON contract: every document fits its published schema, names are the View's, and missing is null with a reason."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from support.json_schema import faults
from support.sample_view import NOW_MS, sample_view

from gpuwatch.names import Missing
from gpuwatch.view import schema
from gpuwatch.view.empty import empty_view
from gpuwatch.view.json import SHAPES, iso, query_json, status_json
from gpuwatch.view.types import GpuView, HostView, ProcessView, RecordingView, View

DOCS = Path(__file__).resolve().parents[2] / "docs" / "schemas"


def round_trip(document: Any) -> Any:
    return json.loads(json.dumps(document, allow_nan=False))


@pytest.mark.parametrize("view", [sample_view(), empty_view(NOW_MS, ("nothing",))], ids=["full", "empty"])
def test_status_fits_the_published_schema(view: View) -> None:
    published = json.loads((DOCS / "status.json").read_text(encoding="utf-8"))
    assert faults(round_trip(status_json(view)), published) == []


def test_query_fits_the_published_schema() -> None:
    published = json.loads((DOCS / "query.json").read_text(encoding="utf-8"))
    document = query_json(["t", "name", "ratio"], [(1, "a", 0.5), (2, None, None)], simulated=True)
    assert faults(round_trip(document), published) == []
    assert document["rows"] == [{"t": 1, "name": "a", "ratio": 0.5}, {"t": 2, "name": None, "ratio": None}]


def test_the_checker_finds_what_does_not_fit() -> None:
    document = status_json(sample_view())
    document["gpus"][0]["power_watts"] = "612 W"
    document["gpus"][1]["power"] = 612
    del document["gpus"][2]["power_watts"]
    document["gpus"][3]["missing"] = {"power_watts": "because"}
    assert len(faults(document, schema.status())) == 4


def test_the_published_schemas_are_those_that_would_be_written(tmp_path: Path) -> None:
    assert schema.main(["--check", str(DOCS)]) == 0
    assert schema.main([str(tmp_path)]) == 0
    assert {p.name for p in tmp_path.iterdir()} == {p.name for p in DOCS.iterdir()} == {f"{k}.json" for k in schema.KINDS}
    (tmp_path / "status.json").write_text("{}", encoding="utf-8")
    assert schema.main(["--check", str(tmp_path)]) == 1


def test_the_schemas_are_written_by_a_module_that_can_be_run(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "gpuwatch.view.schema", str(tmp_path)]
    subprocess.run(command, check=True, timeout=60)
    assert (tmp_path / "status.json").read_text(encoding="utf-8") == schema.text("status")


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.__name__)
def test_every_key_is_a_field_of_the_view_under_the_same_name(shape: type) -> None:
    known = {field.name for field in dataclasses.fields(shape)}
    assert [field.name for field in SHAPES[shape] if field.get is None and field.name not in known] == []


def test_what_the_view_knows_of_a_gpu_is_in_the_document() -> None:
    left_out = {"strip", "details", "missing"}
    renamed = {"state_since_ms": "state_since"}
    for shape in (GpuView, ProcessView, HostView):
        keys = {field.name for field in SHAPES[shape]}
        names = {renamed.get(field.name, field.name) for field in dataclasses.fields(shape)} - left_out - {"holds"}
        assert names <= keys, shape


def test_unmeasured_is_null_and_says_why() -> None:
    view = sample_view()
    gpu = dataclasses.replace(view.gpus[0], sm_active_ratio=None, missing={"sm_active_ratio": Missing.NOT_SUPPORTED})
    document = status_json(dataclasses.replace(view, gpus=(gpu,)))
    assert document["gpus"][0]["sm_active_ratio"] is None
    assert document["gpus"][0]["missing"] == {"sm_active_ratio": "not_supported"}


def test_a_reason_of_a_value_that_is_there_is_not_told() -> None:
    view = sample_view()
    gpu = dataclasses.replace(view.gpus[0], missing={"sm_active_ratio": Missing.STALE})
    assert status_json(dataclasses.replace(view, gpus=(gpu,)))["gpus"][0]["missing"] == {}


def test_the_ledger_of_the_document_sums_to_its_capacity() -> None:
    document = status_json(sample_view())
    assert sum(row["ms"] for row in document["ledger"]) == document["ratios"]["capacity_ms"]
    assert {row["bucket"] for row in document["ledger"]} >= {"effective", "wait", "held_idle"}
    assert document["today"] is not None
    assert sum(row["ms"] for row in document["today"]["ledger"]) == document["today"]["ratios"]["capacity_ms"]


def test_a_simulated_store_says_so() -> None:
    view = sample_view()
    recording = RecordingView(True, 1, NOW_MS, NOW_MS, 1.0, True, "lab")
    assert status_json(view)["simulated"] is False
    assert status_json(dataclasses.replace(view, recording=recording))["simulated"] is True


def test_time_is_told_in_utc() -> None:
    assert iso(NOW_MS) == "2025-11-14T14:32:07.000Z"


def test_a_rate_has_the_reason_of_its_amount_and_a_first_reading_says_so() -> None:
    view = sample_view()
    none = {"cpu_ratio": None, "read_bytes_per_second": None, "write_bytes_per_second": None}
    process = dataclasses.replace(view.processes[0], **none, missing={"read_bytes": Missing.NO_PERMISSION})
    found = status_json(dataclasses.replace(view, processes=(process,)))["processes"][0]["missing"]
    assert found == {"cpu_ratio": "stale", "read_bytes_per_second": "no_permission", "write_bytes_per_second": "stale"}


def test_a_fact_that_the_driver_does_not_offer_says_so() -> None:
    view = sample_view()
    gpu = dataclasses.replace(view.gpus[0], memory_total_bytes=None, details={}, missing={})
    found = status_json(dataclasses.replace(view, gpus=(gpu,)))["gpus"][0]["missing"]
    assert found["memory_total_bytes"] == found["nvlink_count"] == "not_supported"
