"""A host without servers pays for nothing that reads them."""

from __future__ import annotations

import subprocess
import sys

CODE = """
import sys
from gpuwatch import plugin
collector = plugin.load("inference")(plugin.CollectorContext())
collector.open()
batch = collector.collect(1.0)
collector.close()
print(*sorted(name for name in sys.modules if name.startswith("gpuwatch.collectors.inference.")))
"""


def test_without_servers_only_the_collector_itself_is_loaded() -> None:
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.split() == ["gpuwatch.collectors.inference.collector"]
