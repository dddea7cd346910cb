"""What ``gpuwatch_track`` hands to the agent, what it ignores, and that it does nothing where nobody watches."""

from __future__ import annotations

import ast
import copy
import pickle
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import gpuwatch
from gpuwatch.inject import gpuwatch_track

FILE = Path(gpuwatch_track.__file__)


class Agent(ModuleType):
    """Writes down what it is told."""

    def __init__(self) -> None:
        super().__init__("gpuwatch_agent")
        self.told: list[tuple[Any, ...]] = []
        self.watched = True

    def arm(self, tracked: bool) -> bool:
        self.told.append(("arm", tracked))
        return self.watched

    def active(self) -> bool:
        return self.watched

    def declare(self, **known: Any) -> None:
        self.told.append(("declare", known))

    def declared_step(self, *counts: Any) -> None:
        self.told.append(("step", *counts))

    @contextmanager
    def declared_phase(self, name: str) -> Iterator[None]:
        self.told.append(("begin", name))
        try:
            yield
        finally:
            self.told.append(("end", name))


@pytest.fixture
def nobody(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """No agent, no hook folder."""
    monkeypatch.setattr(gpuwatch_track, "_agent", None)
    monkeypatch.setattr(gpuwatch_track, "_compiling", bool)
    monkeypatch.delitem(sys.modules, "gpuwatch_agent", raising=False)
    monkeypatch.delenv("GPUWATCH_ATTACH", raising=False)
    monkeypatch.delenv("GPUWATCH_DISABLE", raising=False)
    monkeypatch.setenv("GPUWATCH_DIR", str(tmp_path / "hooks"))
    return tmp_path / "hooks"


@pytest.fixture
def agent(nobody: Path, monkeypatch: pytest.MonkeyPatch) -> Agent:
    """Attached by ``gpuwatch run``."""
    found = Agent()
    monkeypatch.setitem(sys.modules, "gpuwatch_agent", found)
    monkeypatch.setenv("GPUWATCH_ATTACH", "1")
    return found


def test_what_is_declared_reaches_the_agent(agent: Agent) -> None:
    with gpuwatch_track.track(512, 4, 1000, 6000.0, 20, 2, "bfloat16") as t:
        t.step()
        t.step(tokens=100, nonpad_tokens=60, samples=3, loss=2.5, step=7)
        with t.phase("eval"):
            pass
    known = {"flops_per_token": 6000.0, "parameters": 1000, "total_steps": 20, "dp": 2, "precision": "bf16"}
    assert agent.told == [
        ("arm", False),
        ("declare", known),
        ("step", 512, None, 4, None, None),
        ("step", 100, 60, 3, 2.5, 7),
        ("begin", "eval"),
        ("end", "eval"),
    ]


def test_nothing_is_declared_after_the_end(agent: Agent) -> None:
    t = gpuwatch_track.track()
    t.close()
    t.step(tokens=1)
    with t.phase("eval"):
        pass
    assert agent.told == [("arm", False)]


@pytest.mark.parametrize("bad", ["many", -1, 1.5, float("nan"), float("inf"), True, 10**30, [3], object(), None])
def test_a_count_that_cannot_be_one_is_ignored(agent: Agent, bad: object) -> None:
    t = gpuwatch_track.track(bad, bad, bad, None, bad, bad, bad)  # type: ignore[arg-type]
    t.step(tokens=bad, nonpad_tokens=bad, samples=bad, step=bad)
    told = [("declare", {"precision": "many"})] if bad == "many" else []
    assert agent.told == [("arm", False), *told, ("step", None, None, None, None, None)]


def test_more_useful_tokens_than_tokens_are_ignored(agent: Agent) -> None:
    gpuwatch_track.track().step(tokens=5, nonpad_tokens=6)
    gpuwatch_track.track().step(nonpad_tokens=6)
    assert [each[1:3] for each in agent.told if each[0] == "step"] == [(5, None), (None, None)]


def test_a_mistyped_keyword_is_an_error_as_everywhere(agent: Agent) -> None:
    with pytest.raises(TypeError):
        gpuwatch_track.track(token_per_step=1)  # type: ignore[call-arg]
    with pytest.raises(TypeError):
        gpuwatch_track.track().step(token=1)  # type: ignore[call-arg]


def test_an_agent_that_raises_ends_it_and_not_the_training(agent: Agent, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(agent, "declared_step", "not a function")
    t = gpuwatch_track.track()
    t.step(tokens=1)
    monkeypatch.undo()
    t.step(tokens=1)
    assert t.closed


def test_what_is_raised_within_a_phase_goes_on_and_ends_it(agent: Agent) -> None:
    t = gpuwatch_track.track()
    with pytest.raises(KeyError), t.phase("Anything"):
        raise KeyError
    with t.phase("ended"):
        pass
    assert agent.told[1:] == [("begin", "Anything"), ("end", "Anything"), ("begin", "other"), ("end", "other")]


def test_where_nobody_watches_nothing_is_loaded_or_made(nobody: Path) -> None:
    with gpuwatch_track.track(512) as t:
        t.step(tokens=1, loss=object())
        with t.phase("eval"):
            pass
    assert t.closed
    assert "gpuwatch_agent" not in sys.modules
    assert not nobody.exists()


def test_it_can_be_disabled(agent: Agent, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GPUWATCH_DISABLE", "1")
    gpuwatch_track.track().step(tokens=1)
    assert agent.told == []


@pytest.mark.parametrize(("mode", "attached"), [(0o700, True), (0o777, False)])
def test_a_folder_of_this_user_alone_says_that_gpuwatch_is_used_here(
    nobody: Path, monkeypatch: pytest.MonkeyPatch, mode: int, attached: bool
) -> None:
    nobody.mkdir()
    nobody.chmod(mode)
    found = Agent()
    monkeypatch.setattr(gpuwatch_track, "_load", lambda: found)
    assert gpuwatch_track.track().closed is not attached
    assert found.told == ([("arm", True)] if attached else [])


def test_it_can_be_copied_and_pickled(agent: Agent) -> None:
    t = gpuwatch_track.track(512)
    for other in (copy.deepcopy(t), pickle.loads(pickle.dumps(t))):
        other.step()
        assert agent.told[-1] == ("step", 512, None, None, None, None)


def test_gpuwatch_offers_it_too_and_loads_it_when_asked() -> None:
    assert gpuwatch.track is gpuwatch_track.track
    assert gpuwatch.lightning_callback is gpuwatch_track.lightning_callback
    with pytest.raises(AttributeError, match="no attribute 'trakc'"):
        gpuwatch.trakc  # type: ignore[attr-defined]  # noqa: B018


def test_it_needs_nothing_but_itself(tmp_path: Path) -> None:
    """A copy of the one file, in an interpreter that sees nothing else of ours; importing it loads nothing that was not there."""
    shutil.copy(FILE, tmp_path)
    code = (
        "import sys, os; sys.path.insert(0, sys.argv[1]); before = set(sys.modules); import gpuwatch_track as g; "
        "print(sorted(set(sys.modules) - before - {'__future__'})); t = g.track(5); t.step(tokens=3); print(t.closed)"
    )
    environment = {"GPUWATCH_ATTACH": "1", "GPUWATCH_DIR": str(tmp_path / "hooks")}
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", code, str(tmp_path)], capture_output=True, text=True, check=True, env=environment
    )
    assert done.stdout == "['gpuwatch_track']\nTrue\n"
    assert done.stderr == ""


def test_it_is_python_3_9() -> None:
    ast.parse(FILE.read_text(encoding="utf-8"), feature_version=(3, 9))
