"""What ``gpuwatch run`` loads: each module is time before nothing (the command has started by then), and memory as long as it runs."""

from __future__ import annotations

import json
import subprocess
import sys

SCRIPT = """
import sys
sys.path[:0] = {path!r}
from gpuwatch.cli import main
assert main(["run", "--no-record", "--", "true"]) == 0
import json
print(json.dumps(sorted(sys.modules)))
"""


def test_little_is_loaded() -> None:
    words = [sys.executable, "-S", "-c", SCRIPT.format(path=sys.path)]
    loaded = set(json.loads(subprocess.run(words, capture_output=True, check=True, timeout=60).stdout))
    assert "gpuwatch.launch.launch" in loaded
    heavy = {"asyncio", "ctypes", "email", "http", "inspect", "logging", "multiprocessing", "pydantic", "socket", "sqlite3"}
    heavy |= {"subprocess", "sqlalchemy", "tempfile", "textual", "torch", "traceback", "importlib.metadata"}
    assert loaded & heavy == set()
    ours = {
        "gpuwatch.runtime",
        "gpuwatch.model",
        "gpuwatch.names",
        "gpuwatch.launch.looking",
        "gpuwatch.launch.recorder",
        "gpuwatch.logs",
    }
    assert loaded & ours == set()
