"""Whatever goes wrong with the agent, the training is what it would have been without: weights, output, exit code."""

from __future__ import annotations

import re
from typing import Any

import pytest

from gpuwatch.collectors.training import layout, reader
from gpuwatch.names import Phase


def plainly(stderr: str) -> str:
    """Without the times and the process numbers of torch's own log."""
    return re.sub(r"\d\d:\d\d:\d\d\.\d+ \d+ ", "", stderr)


def test_output_warnings_traceback_and_exit_code_are_the_same_byte_by_byte(attached: Any, alone: Any) -> None:
    assert attached.stdout == alone.stdout and attached.stdout.count("loss") == 5
    assert plainly(attached.stderr) == plainly(alone.stderr)
    assert "IndexError" in attached.stderr and "for line in" not in attached.stderr
    assert re.search(r"agent_child.py:\d+: UserWarning: Length of IterableDataset", attached.stderr)
    assert attached.code == alone.code == 1


@pytest.mark.parametrize(("name", "least"), [("strange_calls", 4), ("watched_operations", 100), ("interrupted", 20)])
def test_a_script_that_looks_closely_sees_the_same(attached: Any, alone: Any, name: str, least: int) -> None:
    assert attached.results[name]["seen"] == alone.results[name]["seen"]
    assert len(alone.results[name]["seen"]) >= least
    assert not attached.results[name]["off"]


def test_warnings_are_the_same(attached: Any, alone: Any) -> None:
    def warnings(run: Any) -> dict[str, Any]:
        return {name: found["warnings"] for name, found in run.results.items() if "warnings" in found and name != "spawn_worker"}

    assert warnings(attached) == warnings(alone)


def test_all_that_is_compiled_has_the_same_graphs_and_breaks(attached: Any, alone: Any) -> None:
    def compiled(run: Any) -> dict[str, Any]:
        return {
            name: [found["dynamo"].get(each) for each in ("graphs", "breaks", "recompiles")]
            for name, found in run.results.items()
            if name.startswith("compiled")
        }

    assert compiled(attached) == compiled(alone)
    assert all(graphs for graphs, _, _ in compiled(alone).values())


def test_the_end_by_an_exception_is_told(attached: Any) -> None:
    head = attached.files[0].read_bytes()
    who = reader.identity(head)
    assert who is not None and who.flags & layout.FLAG_RAISED and who.said == "IndexError"
    assert reader.live(head)[0] == Phase.ENDED


def test_workers_make_no_file(attached: Any) -> None:
    assert [file.suffix for file in attached.files] == [".gw"]
    assert attached.files[0].stat().st_mode & 0o777 == 0o600


def test_an_exception_anywhere_in_the_agent_turns_it_off_and_harms_nothing(attached: Any, alone: Any) -> None:
    names = [name for name in attached.results if name.startswith("broken_")]
    assert len(names) > 15
    for name in names:
        counted = attached.results[name]["agent"]
        assert attached.results[name]["off"] and "injected" in counted.get("said", counted.get("why")), name
        assert attached.results[name]["weights"] == alone.results[name]["weights"], name


@pytest.mark.parametrize(
    ("kind", "why"),
    [("nowhere", "No such file"), ("open", "not private"), ("link", "Not a directory"), ("full", "No space left")],
)
def test_without_a_good_place_there_is_no_file_and_a_reason(attached: Any, kind: str, why: str) -> None:
    found = attached.results[f"homeless_{kind}"]
    assert found["seen"] == [] and found["agent"]["off"] and why in found["agent"]["why"]


def test_a_file_that_is_deleted_does_not_matter(attached: Any) -> None:
    found = attached.results["homeless_deleted"]
    assert found["seen"] == [] and found["agent"]["steps"] == 2 * found["steps"]


def test_a_program_that_only_infers_is_left_alone(attached: Any) -> None:
    assert attached.results["inference"]["agent"] == {"off": False, "why": ""}
