"""The real ``gpuwatch record`` as a child on the real /proc, watched as a screen watches it, and its rows of inference servers."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any, Self

from gpuwatch.dataclass import dataclass
from gpuwatch.store.lease import ViewerLock

_SERVER = "SELECT * FROM server JOIN workload USING (workload_id) WHERE root_pid = ? ORDER BY workload_id DESC LIMIT 1"
_SAMPLES = "SELECT ts_ms, inference_sample.* FROM inference_sample JOIN tick USING (tick_id) WHERE workload_id = ? ORDER BY ts_ms"
_BUCKETS = (
    "SELECT lower_us, upper_us, sum(n) AS n FROM latency_sample JOIN tick USING (tick_id) WHERE workload_id = ? AND latency = ? "
    "AND ts_ms > ? AND ts_ms <= ? GROUP BY 1, 2 ORDER BY 1"
)
Row = dict[str, Any]


class LiveRecorder:
    """Runs while the block does. ``settings`` is the text of a configuration file; without it there is none."""

    def __init__(self, folder: Path, settings: str = "") -> None:
        self.store = folder / "gpuwatch.db"
        self._config = folder / "config.toml"
        self._config.write_text(settings, encoding="utf-8")
        self._log = folder / "record.log"
        self._process: subprocess.Popen[bytes] | None = None
        self._viewer: ViewerLock | None = None

    @property
    def pid(self) -> int:
        """The recorder's."""
        assert self._process is not None
        return self._process.pid

    def __enter__(self) -> Self:
        command = [sys.executable, "-m", "gpuwatch", "record", "--store", str(self.store)]
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=self._environment())
        self._viewer = ViewerLock(self.store)
        self.wait("the first rows", lambda: self.rows("SELECT 1 FROM tick LIMIT 1"))
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process is not None and self._viewer is not None
        self._viewer.close()
        self._process.terminate()
        self._process.wait(20)

    def _environment(self) -> dict[str, str]:
        home = str(self.store.parent)
        own = {"HOME": home, "XDG_STATE_HOME": home, "GPUWATCH_CONFIG": str(self._config), "GPUWATCH_STORE": str(self.store)}
        return os.environ | own

    def rows(self, sql: str, *values: object) -> list[Row]:
        """What the store holds; nothing while there is no store."""
        try:
            with closing(sqlite3.connect(f"file:{self.store}?mode=ro", uri=True, timeout=10)) as database:
                database.row_factory = sqlite3.Row
                return [dict(row) for row in database.execute(sql, values)]
        except sqlite3.OperationalError:
            if self.store.exists() and self._process is not None and self._process.poll() is None:
                return []
            raise

    def wait(self, what: str, come: Callable[[], Any], seconds: float = 30.0) -> Any:
        """The first true answer of ``come``; ``what`` is said if it does not come in time."""
        assert self._process is not None
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if found := (self.store.exists() and come()):
                return found
            if self._process.poll() is not None:
                break
            time.sleep(0.1)
        raise AssertionError(f"not seen in {seconds:g} s: {what}\n{self._log.read_text(errors='replace')[-2000:]}")

    def server(self, pid: int) -> Row | None:
        """What is known of the server whose root is ``pid``, with its workload."""
        return next(iter(self.rows(_SERVER, pid)), None)

    def samples(self, pid: int) -> list[Row]:
        """All rows of that server, oldest first."""
        found = self.server(pid)
        return self.rows(_SAMPLES, found["workload_id"]) if found else []

    def buckets(self, pid: int, latency: int, since: float, until: float) -> list[tuple[int, int, int]]:
        """(lower, upper in µs, observations) in (since, until], unix seconds."""
        found = self.server(pid)
        key = found["workload_id"] if found else 0
        rows = self.rows(_BUCKETS, key, latency, round(since * 1000), round(until * 1000))
        return [(row["lower_us"], row["upper_us"], row["n"]) for row in rows]

    def says(self, *arguments: str) -> str:
        """What another gpuwatch command prints about the same store."""
        command = [sys.executable, "-m", "gpuwatch", *arguments]
        return subprocess.run(command, capture_output=True, text=True, env=self._environment(), timeout=60, check=True).stdout

    def workload(self, pid: int) -> Row | None:
        """The workload of ``status --json`` whose root is ``pid``."""
        told = json.loads(self.says("status", "--json"))["workloads"]
        return next((row for row in told if row["root_pid"] == pid), None)


@dataclass(frozen=True, slots=True)
class Span:
    """Rows of a server between two of its readings: their counts telescope to what its counter gained."""

    since: float
    until: float
    rows: tuple[Row, ...]

    @property
    def seconds(self) -> float:
        """True time between the two readings."""
        return float(sum(row["window_ms"] for row in self.rows)) / 1000

    def rate(self, name: str) -> float:
        """Counts a second; every row must have one."""
        return float(sum(row[name] for row in self.rows)) / self.seconds


def span(rows: list[Row], since: float, until: float) -> Span:
    """From the first row at or after ``since`` (unix seconds) to the last at or before ``until``."""
    inside = [row for row in rows if since <= row["ts_ms"] / 1000 <= until]
    return Span(inside[0]["ts_ms"] / 1000, inside[-1]["ts_ms"] / 1000, tuple(inside[1:]))
