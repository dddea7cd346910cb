"""One look at a host that nobody records: its servers are there with what is so now, and rates are said to take two looks."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from support.llama_server import Serve


def status(tmp_path: Path, *options: str) -> str:
    """What ``gpuwatch status`` prints without a store or a recorder."""
    environment = {**os.environ, "XDG_STATE_HOME": str(tmp_path / "state"), "XDG_CONFIG_HOME": str(tmp_path), "COLUMNS": "110"}
    environment.pop("GPUWATCH_STORE", None)
    command = [sys.executable, "-m", "gpuwatch", "status", *options]
    return subprocess.run(command, check=True, capture_output=True, text=True, env=environment, timeout=60).stdout


def of(found: dict[str, Any], port: int) -> dict[str, Any]:
    """The one server on that port."""
    (server,) = [work["inference"] for work in found["workloads"] if work["port"] == port]
    return dict(server)


def test_a_look_without_a_recorder_shows_the_servers_that_are_there(serve: Serve, tmp_path: Path) -> None:
    server = serve(parallel=2)
    found = of(json.loads(status(tmp_path, "--json")), server.port)
    assert (found["state"], found["url"]) == ("up", server.url)
    assert (found["running_requests"], found["waiting_requests"], found["kv_cache_ratio"]) == (0, 0, 0)
    assert (found["max_running_requests"], found["kv_cache_tokens"]) == (2, 4096)
    assert found["output_tokens_per_second"] is None
    assert found["missing"]["output_tokens_per_second"] == "stale", "the server tells of it, one look does not"
    assert found["missing"]["preemptions_per_second"] == "not_supported"
    text = status(tmp_path)
    assert f":{server.port}" in text
    assert "This is one sample, and rates of servers take two" in text
