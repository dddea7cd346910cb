"""Real processes and what is said of them: a training that waits for its loader, its tuned twin, a real llama.cpp server without traffic."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from fake_nvml import FakeDriver, of_class
from support.live_recorder import LiveRecorder
from support.llama_server import installed, llama_server
from support.tiny_llama import make

pytest.importorskip("torch")
CHILD = Path(__file__).resolve().parent.parent / "support" / "loading_child.py"
TRANSFORM_SECONDS = 0.1
"""Beside steps of 50 ms: two thirds of the time are waited for data."""
WINDOW_SECONDS = 60
BUSY_FROM_MS = 125_000
"""When requests come, and the driver shows the GPU of the server at work."""
LONG = bool(os.environ.get("GPUWATCH_TEST_LONG"))
"""Wait for what came of a finding, too."""
LIMITS = f"""\
[rules]
patience_seconds = 20
effect_seconds = 60

[rules.limits]
"input-bound.seconds" = {WINDOW_SECONDS}
"replica-no-traffic.quiet_seconds" = {WINDOW_SECONDS}
"""


class Recorder(LiveRecorder):
    """A recorder that sees three GPUs of a fake driver, and the hook files of these tests alone."""

    def __init__(self, folder: Path, fake: FakeDriver, hooks: Path) -> None:
        super().__init__(folder, f'{LIMITS}\n[collectors.training]\ndirectories = ["{hooks}"]\n')
        self._fake = fake

    def _environment(self) -> dict[str, str]:
        return {**super()._environment(), **self._fake.variables}

    def findings(self, rule: str) -> list[dict[str, Any]]:
        """All findings of a rule, open and cleared."""
        return self.rows("SELECT * FROM v_finding WHERE rule = ? ORDER BY started_ms", rule)


class Training:
    """One training under ``gpuwatch run``; ``pid`` is the Python that trains."""

    def __init__(self, stack: ExitStack, folder: Path, hooks: Path, name: str, seconds: float) -> None:
        self.said = folder / f"{name}.steps"
        script = folder / f"{name}.py"
        script.write_text(CHILD.read_text())
        command = [
            sys.executable,
            "-m",
            "gpuwatch",
            "run",
            "--no-record",
            "--",
            sys.executable,
            str(script),
            str(self.said),
            str(seconds),
        ]
        process = subprocess.Popen(command, env=os.environ | {"GPUWATCH_DIR": str(hooks)}, stdin=subprocess.DEVNULL)
        stack.callback(process.wait, 20)
        stack.callback(process.terminate)
        end = time.monotonic() + 60
        while not self.said.exists() and time.monotonic() < end:
            time.sleep(0.1)
        self.pid = next(pid for pid in _descendants(process.pid) if _runs(pid, script.name))

    def share(self, seconds: float) -> float:
        """The share of the last seconds in which it waited for data, by its own clock."""
        steps = [[float(word) for word in line.split()] for line in self.said.read_text().splitlines() if line.count(" ") == 2]
        last = [step for step in steps if step[0] > steps[-1][0] - seconds]
        return sum(step[1] for step in last) / sum(step[2] for step in last)


def _descendants(pid: int) -> Iterator[int]:
    for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        yield int(child)
        yield from _descendants(int(child))


def _runs(pid: int, script: str) -> bool:
    """Whether it is the Python that runs the script, not a gpuwatch above it whose command line names the script as well."""
    words = Path(f"/proc/{pid}/cmdline").read_text().split("\0")
    return len(words) > 1 and words[1].endswith(script)


def _scenario() -> str:
    """GPU 0 works a third of each second, GPU 1 all the time, GPU 2 when requests come."""
    lines = [f"proc {slot} kind=C" for slot in "abc"]
    lines += [f"pv {slot} {gpu} mem 0 20000000000" for gpu, slot in enumerate("abc")]
    lines += [f"v {gpu} memory_used 0 20000000000" for gpu in range(3)]
    for ms in range(0, 600_000, 300):
        lines += [f"v 0 util {ms} 100", f"v 0 util {ms + 100} 0"]
    lines += ["v 1 util 0 97", "v 2 util 0 0", f"v 2 util {BUSY_FROM_MS} 90"]
    return of_class("hopper-h100", gpus=3, values=lines)


def _ask(url: str) -> None:
    body = json.dumps({"prompt": "once", "n_predict": 8}).encode()
    request = urllib.request.Request(f"{url}/completion", body, {"Content-Type": "application/json"})
    urllib.request.urlopen(request, timeout=30).read()


@pytest.mark.slow
@pytest.mark.timeout(540)
def test_what_is_said_of_real_processes_is_so(tmp_path: Path) -> None:
    if not installed():
        pytest.skip("xllamacpp is not installed (scripts/test --all)")
    hooks = tmp_path / "hooks"
    hooks.mkdir(mode=0o700)
    with ExitStack() as stack:
        server = stack.enter_context(llama_server(make(tmp_path / "tiny.gguf"), tmp_path))
        slow = Training(stack, tmp_path, hooks, "slow", TRANSFORM_SECONDS)
        tuned = Training(stack, tmp_path, hooks, "tuned", 0)
        pids = {"a": slow.pid, "b": tuned.pid, "c": server.pid}
        began = time.time()
        fake = stack.enter_context(FakeDriver(_scenario(), pids=pids, epoch_ms=round(began * 1000)))
        recorder = stack.enter_context(Recorder(tmp_path, fake, hooks))

        found = recorder.wait("input-bound", lambda: recorder.findings("input-bound"), 180)
        assert [(row["gpus"], row["ended_ms"]) for row in found] == [("0", None)]
        share = slow.share(WINDOW_SECONDS)
        (measured,) = recorder.rows("SELECT max(measured_ratio) AS share FROM v_finding_minute WHERE rule = 'input-bound'")
        assert measured["share"] == pytest.approx(share, abs=0.05), "the share that the script itself saw"
        assert share == pytest.approx(2 / 3, abs=0.1) and tuned.share(WINDOW_SECONDS) < 0.05

        idle = recorder.wait("replica-no-traffic", lambda: recorder.findings("replica-no-traffic"), 180)
        assert [(row["gpus"], row["ended_ms"]) for row in idle] == [("2", None)]
        told = recorder.says("waste")
        assert "waits for data" in told or "wait" in told

        time.sleep(max(0.0, began + BUSY_FROM_MS / 1000 - time.time()))

        def cleared() -> list[dict[str, Any]]:
            _ask(server.url)
            return [row for row in recorder.findings("replica-no-traffic") if row["ended_ms"]]

        recorder.wait("the server is used again", cleared, 120)

        assert len(recorder.findings("input-bound")) == 1, "the twin is not named, and nothing flips"
        kinds = {row["kind"] for row in recorder.rows("SELECT kind FROM v_event")}
        assert {"finding_opened", "finding_cleared"} <= kinds
        if LONG:
            _see_what_came_of_it(recorder, server.url)


def _see_what_came_of_it(recorder: Recorder, url: str) -> None:
    """A minute after it is compared with the minute before, once the ledger of both is written: four minutes later."""

    def compared() -> list[dict[str, Any]]:
        _ask(url)
        return [row for row in recorder.findings("replica-no-traffic") if row["effect"]]

    (over,) = recorder.wait("what came of it", compared, 300)
    assert over["before_ratio"] > 0.8 and over["after_ratio"] < 0.3 and over["saved_gpu_seconds_per_day"] > 40_000, over
