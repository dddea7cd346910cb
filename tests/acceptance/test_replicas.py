"""Two replicas of one model on two GPUs, started by one Python program: each has its own tokens and GPU, whoever has which port."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from fake_nvml import FakeDriver, of_class
from support.live_recorder import LiveRecorder, Row
from support.serving_process import Serving, bound, serving

from gpuwatch.names import ServerState

PAGE = Path(__file__).resolve().parent.parent / "support" / "vllm_page_child.py"
RATES = (400, 90)
"""Output tokens a second of the two; prompts are ten times as long."""
SCRAPE_MS = 2000
"""A server that answers quickly is asked so often."""


class Recorder(LiveRecorder):
    """A recorder that sees the GPUs of a fake driver."""

    def __init__(self, folder: Path, fake: FakeDriver) -> None:
        super().__init__(folder)
        self._fake = fake

    def _environment(self) -> dict[str, str]:
        return {**super()._environment(), **self._fake.variables}


@pytest.fixture
def replicas(tmp_path: Path) -> Iterator[list[tuple[Serving, int, int]]]:
    """(process, port, pid of its engine) of each; both ports are on their command lines and open."""
    with ExitStack() as running:
        found = []
        for rate in RATES:
            one, port = bound()
            argv = ("vllm", "serve", "m", "--port", str(port))
            replica = running.enter_context(serving(tmp_path, *argv, sockets=[one], child=PAGE))
            replica("makes", rate)
            found.append((replica, port, replica("engine")))
        yield found


@pytest.fixture
def recorder(tmp_path: Path, replicas: list[tuple[Serving, int, int]]) -> Iterator[Recorder]:
    lines = [line for gpu, slot in enumerate("ab") for line in (f"proc {slot} kind=C", f"pv {slot} {gpu} mem 0 20000000000")]
    pids = {slot: engine for slot, (_, _, engine) in zip("ab", replicas, strict=True)}
    with (
        FakeDriver(of_class("hopper-h100", gpus=2, values=lines), pids=pids) as fake,
        Recorder(tmp_path, fake) as running,
    ):
        yield running


def up(recorder: Recorder, replica: Serving, url: str) -> Row:
    """What is known of a replica once it is read at ``url``."""

    def known() -> Row | None:
        found = recorder.server(replica.pid)
        return found if found and (found["state"], found["url"]) == (ServerState.UP, url) else None

    row: Row = recorder.wait(f"{replica.pid} at {url}", known)
    return row


def counted(recorder: Recorder, replica: Serving, since_ms: int) -> list[Row]:
    """Rows after ``since_ms`` whose counts are known."""
    return [row for row in recorder.samples(replica.pid) if row["ts_ms"] > since_ms and row["output_tokens"] is not None]


def rate(rows: list[Row]) -> float:
    return float(sum(row["output_tokens"] for row in rows)) / sum(row["window_ms"] for row in rows) * 1000


def url(port: int) -> str:
    return f"http://127.0.0.1:{port}"


def check_rates(recorder: Recorder, replicas: list[tuple[Serving, int, int]], since_ms: int, rows: int = 3) -> None:
    for (replica, _, _), expected in zip(replicas, RATES, strict=True):
        recorder.wait(f"{rows} rows of {replica.pid}", lambda replica=replica: len(counted(recorder, replica, since_ms)) >= rows)
        assert rate(counted(recorder, replica, since_ms)) == pytest.approx(expected, rel=0.02)


def check_swapped(recorder: Recorder, replica: Serving, since_ms: int) -> None:
    """At most one reading is lost to the swap, and no token with it: the next counts since the last, in the same row as before."""
    rows = recorder.samples(replica.pid)
    first_after = next(row for row in rows if row["ts_ms"] > since_ms)
    assert first_after["output_tokens"] is not None and first_after["window_ms"] < 3 * SCRAPE_MS
    assert len(recorder.rows("SELECT * FROM workload WHERE root_pid = ?", replica.pid)) == 1


def test_each_row_has_its_own_tokens_and_gpu_and_keeps_them_when_ports_are_swapped(
    recorder: Recorder, replicas: list[tuple[Serving, int, int]]
) -> None:
    (a, first, _), (b, second, _) = replicas
    for replica, port, _ in replicas:
        known = up(recorder, replica, url(port))
        assert (known["kind"], known["engine"], known["port"], known["served_model"]) == ("inference", "vllm", port, "m")
    check_rates(recorder, replicas, 0)
    for gpu, (replica, port, _) in enumerate(replicas):
        told = recorder.workload(replica.pid)
        assert told is not None
        assert (told["gpu_indices"], told["port"]) == ([gpu], port)
        assert told["tokens_per_second"] == pytest.approx(RATES[gpu], rel=0.05)
    for hang_up in (False, True):
        a("close", first, hang_up)
        b("close", second, hang_up)
        a("listen", second)
        b("listen", first)
        swapped_ms = round(time.time() * 1000)
        for replica, port in ((a, second), (b, first)):
            if hang_up:
                up(recorder, replica, url(port))
        check_rates(recorder, replicas, swapped_ms)
        for replica in (a, b):
            check_swapped(recorder, replica, swapped_ms)
        first, second = second, first
