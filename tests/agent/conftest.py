"""Real trainings on the CPU, run once for all tests of the agent: with it, and without it."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import pytest

CHECKOUT = Path(__file__).resolve().parent.parent.parent
INJECT = CHECKOUT / "gpuwatch" / "inject"
CHILD = CHECKOUT / "tests" / "support" / "agent_child.py"


def environment(folder: Path, **more: str) -> dict[str, str]:
    """What ``gpuwatch run`` adds to a program's environment."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("GPUWATCH", "PYTHONPATH"))}
    folder.mkdir(mode=0o700, exist_ok=True)
    return {**inherited, "PYTHONPATH": str(INJECT), "GPUWATCH_ATTACH": "1", "GPUWATCH_DIR": str(folder), **more}


class Ran(NamedTuple):
    """One run of the child. Only the one with the agent has a worker that is spawned: it imports torch once more."""

    results: dict[str, Any]
    code: int
    stdout: str
    stderr: str
    files: list[Path]


@pytest.fixture(scope="session")
def needs_torch() -> None:
    if importlib.util.find_spec("torch") is None:
        pytest.skip("PyTorch is not installed (scripts/test --all)")


@pytest.fixture(scope="session")
def both(needs_torch: None, tmp_path_factory: pytest.TempPathFactory) -> tuple[Ran, Ran]:
    """(with the agent, without it), at the same time."""
    folder = tmp_path_factory.mktemp("agent")
    hooks = folder / "hooks"
    attached = environment(hooks)
    alone = {name: value for name, value in attached.items() if not name.startswith(("GPUWATCH", "PYTHONPATH"))}
    children = []
    for name, env in (("with", attached), ("without", alone)):
        command = [sys.executable, str(CHILD), str(folder / name)]
        children.append(subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=folder))
    outputs = [child.communicate(timeout=200) for child in children]
    runs = []
    for name, child, (stdout, stderr) in zip(("with", "without"), children, outputs):
        assert (folder / name).is_file(), stderr
        results = json.loads((folder / name).read_text(encoding="utf-8"))
        runs.append(Ran(results, child.returncode, stdout, stderr, sorted(hooks.iterdir()) if name == "with" else []))
    return runs[0], runs[1]


@pytest.fixture(scope="session")
def attached(both: tuple[Ran, Ran]) -> Ran:
    return both[0]


@pytest.fixture(scope="session")
def alone(both: tuple[Ran, Ran]) -> Ran:
    return both[1]
