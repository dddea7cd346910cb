"""The plugin door: found by name like the standard library finds them, loaded one at a time, broken ones raise their own error."""

from __future__ import annotations

import sys
from importlib.metadata import entry_points
from pathlib import Path

import pytest

from gpuwatch import plugin


def test_the_fast_reader_finds_what_importlib_metadata_finds() -> None:
    assert plugin.names() == sorted({point.name for point in entry_points(group=plugin.GROUP)})
    assert {"nvml", "procs", "host", "simulated"} <= set(plugin.names())


def test_a_strangers_collector_is_found_and_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    info = tmp_path / "amd_watch-1.0.dist-info"
    info.mkdir()
    (info / "entry_points.txt").write_text(
        "[console_scripts]\nx = y:z\n\n[gpuwatch.collectors]\namd = amd_watch:make\n[other]\nb = c:d\n"
    )
    (tmp_path / "amd_watch.py").write_text("def make(context):\n    return 'an AMD collector'\n")
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    assert "amd" in plugin.names() and "b" not in plugin.names()
    assert plugin.load("amd")(plugin.CollectorContext()) == "an AMD collector"  # type: ignore[comparison-overlap]


def test_an_unknown_name_is_a_key_error() -> None:
    with pytest.raises(KeyError):
        plugin.load("nobody")


def test_new_pids_wake_the_process_collector() -> None:
    pids = plugin.WatchedPids()
    pids.publish("nvml", [1, 2])
    assert pids.changed.is_set()
    pids.changed.clear()
    pids.publish("nvml", [2])
    assert not pids.changed.is_set()
    pids.publish("other", [9])
    assert pids.current() == {2, 9}
