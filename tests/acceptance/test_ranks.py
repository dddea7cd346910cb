"""Two ranks of a real torchrun on two GPUs of the fake driver: one training with two ranks, whose tokens are summed once; then one dies."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from fake_nvml import FakeDriver, of_class
from support.live_recorder import LiveRecorder

pytest.importorskip("torch")
CHILD = Path(__file__).resolve().parent.parent / "support" / "ddp_child.py"
RANKS = 2


class Training:
    """The torchrun, started by ``gpuwatch run``, and what its ranks say of themselves."""

    def __init__(self, folder: Path, hooks: Path) -> None:
        self._folder = folder
        command = [sys.executable, "-m", "gpuwatch", "run", "--no-record", "--"]
        command += [
            sys.executable,
            "-m",
            "torch.distributed.run",
            "--standalone",
            f"--nproc-per-node={RANKS}",
            str(CHILD),
            str(folder),
        ]
        with (folder / "train.log").open("wb") as log:
            self.process = subprocess.Popen(command, env=os.environ | {"GPUWATCH_DIR": str(hooks)}, stdout=log, stderr=log)
        self.pids = [int(self._said(f"rank{rank}.pid")) for rank in range(RANKS)]

    def _said(self, name: str) -> str:
        end = time.monotonic() + 120
        while time.monotonic() < end and self.process.poll() is None:
            path = self._folder / name
            if path.exists() and (text := path.read_text()):
                return text
            time.sleep(0.1)
        raise AssertionError(f"{name} did not come: {(self._folder / 'train.log').read_text(errors='replace')[-2000:]}")

    def told(self, rank: int) -> list[tuple[float, int, int]]:
        """(unix second, steps, tokens) of all its steps."""
        lines = self._said(f"rank{rank}.steps").splitlines()
        found = [line.split() for line in lines]
        return [(float(words[0]), int(words[1]), int(words[2])) for words in found if len(words) == 3]


@pytest.fixture
def hooks(tmp_path: Path) -> Path:
    folder = tmp_path / "hooks"
    folder.mkdir(mode=0o700)
    return folder


@pytest.fixture
def training(tmp_path: Path, hooks: Path) -> Iterator[Training]:
    running = Training(tmp_path, hooks)
    yield running
    running.process.terminate()
    running.process.wait(60)


class Recorder(LiveRecorder):
    """A recorder that sees the GPUs of a fake driver, and the hook files of these tests alone."""

    def __init__(self, folder: Path, fake: FakeDriver, hooks: Path) -> None:
        super().__init__(folder, f'[collectors.training]\ndirectories = ["{hooks}"]\n')
        self._fake = fake

    def _environment(self) -> dict[str, str]:
        return {**super()._environment(), **self._fake.variables}


@pytest.fixture
def recorder(tmp_path: Path, training: Training, hooks: Path) -> Iterator[Recorder]:
    lines = [line for gpu, slot in enumerate("ab") for line in (f"proc {slot} kind=C", f"pv {slot} {gpu} mem 0 20000000000")]
    pids = dict(zip("ab", training.pids, strict=True))
    with (
        FakeDriver(of_class("hopper-h100", gpus=2, values=lines), pids=pids) as fake,
        Recorder(tmp_path, fake, hooks) as running,
    ):
        yield running


def test_ranks_are_one_training_summed_once_and_the_one_that_dies_is_named(recorder: Recorder, training: Training) -> None:
    sums = "SELECT count(*) AS rows, sum(tokens) AS tokens, sum(steps) AS steps, sum(attached_ms) AS ms, min(ts_ms) AS first, max(ts_ms) AS last FROM training_sample JOIN tick USING (tick_id) JOIN process USING (proc_id) WHERE tokens IS NOT NULL AND pid IN (?, ?)"  # fmt: skip
    recorder.wait("ten seconds of both ranks", lambda: recorder.rows(sums, *training.pids)[0]["rows"] >= 10 * RANKS, 120)
    (total,) = recorder.rows(sums, *training.pids)
    seconds = total["ms"] / 1000 / RANKS
    told = [
        [row for row in training.told(rank) if total["last"] / 1000 - seconds <= row[0] <= total["last"] / 1000]
        for rank in range(RANKS)
    ]
    own = sum((rows[-1][2] - rows[0][2]) / (rows[-1][0] - rows[0][0]) for rows in told)
    assert total["tokens"] / seconds == pytest.approx(own, rel=0.1), "the sum over both ranks, once"
    assert total["steps"] == pytest.approx(total["tokens"] / RANKS / (4 * 32), abs=2), "the job's steps are those of one rank"
    ranks = recorder.rows(
        "SELECT pid, rank, world, data_parallel_source FROM v_trainer WHERE pid IN (?, ?) ORDER BY rank", *training.pids
    )
    assert [(row["pid"], row["rank"], row["world"], row["data_parallel_source"]) for row in ranks] == [
        (training.pids[0], 0, 2, "assumed"), (training.pids[1], 1, 2, "assumed"),
    ]  # fmt: skip
    (work,) = recorder.rows("SELECT DISTINCT root_pid FROM v_trainer WHERE pid IN (?, ?)", *training.pids)
    known = recorder.workload(work["root_pid"])
    assert known is not None and known["gpu_indices"] == [0, 1]
    assert len(known["training"]["ranks"]) == RANKS
    assert known["tokens_per_second"] == pytest.approx(own, rel=0.25), "over the last seconds, on a machine that is shared"

    died = "SELECT ts_ms, detail FROM event WHERE kind = 'rank_died' AND pid = ?"
    killed_ms = time.time() * 1000
    os.kill(training.pids[1], signal.SIGKILL)
    event = recorder.wait("the event", lambda: recorder.rows(died, training.pids[1]), 60)[0]
    assert "rank 1 " in event["detail"] and "died" in event["detail"]
    assert -1000 <= event["ts_ms"] - killed_ms <= 4000
    ended = "SELECT * FROM v_run WHERE ended_ms IS NOT NULL AND root_pid = ?"
    run = recorder.wait("the run's end", lambda: recorder.rows(ended, work["root_pid"]), 90)[0]
    assert (run["outcome"], run["failed"], run["attached"], run["ranks"]) == ("failed", 1, 1, 2)
    assert "rank 1 died" in run["detail"]
