"""A real training below ``gpuwatch run``: the agent is in it, and it says and returns what it would without."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.launched import run

TRAINING = """
import sys, torch
torch.set_num_threads(1)
model = torch.nn.Linear(8, 8)
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
for _ in range(3):
    model(torch.ones(4, 8)).sum().backward()
    optimizer.step()
print(sys.argv[1:], "libtorch_python" in open("/proc/self/maps").read())
sys.exit(5)
"""


@pytest.mark.torch
def test_the_agent_is_in_a_training_and_nothing_else_is_different(hooks: Path, note: Callable[[], dict[str, Any]]) -> None:
    pytest.importorskip("torch")
    done = run(sys.executable, "-c", TRAINING, "--lr", "")
    assert (done.returncode, done.stdout, done.stderr) == (5, b"['--lr', ''] True\n", b"")
    found = note()
    assert (hooks / f"{found['pid']}-{found['starttime']}.gw").stat().st_size == 32 * 1024
    assert (found["exit_code"], found["attach"]["state"]) == (5, "attached")
