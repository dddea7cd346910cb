"""What watching costs the driver, and what a slow or hung driver does to keys."""

from __future__ import annotations

import subprocess
import time
from statistics import median

from bench import Bench, Row
from live import OURS, PEER, between_ticks
from pty_measure import Terminal
from scene import FakeDriver, fault, moving, slow_driver, watched

EXTRA = {"nvmlDeviceGetSamples", "nvmlGpmSampleGet", "nvmlGpmMetricsGet", "nvmlGpmMigSampleGet"}
PLAIN = ["set * nvmlDeviceGetSamples.GPU_UTIL 3", "set * nvmlGpmQueryDeviceSupport 0 0"]
"""GPUs without GPM and without buffered samples."""
KEYS = ("\x1b[B", "\x1b[A")
PROBES, WARM_SECONDS = 20, 4
HANG_MS = 6_000


def recorded_calls(bench: Bench, extra: list[str], seconds: float) -> dict[str, float]:
    """NVML calls a second by function of ``gpuwatch record``, after its start."""
    with watched(moving(8, 8), 8, extra) as fake:
        recorder = subprocess.Popen(bench.ours("record"), env=bench.env(fake), stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            time.sleep(WARM_SECONDS)
            time.sleep(between_ticks())
            fake.reset_calls()
            began = time.monotonic()
            time.sleep(seconds)
            span = time.monotonic() - began
            return {name: call.count / span for name, call in fake.calls().items()}
        finally:
            recorder.terminate()
            recorder.wait()


def calls(bench: Bench) -> list[Row]:
    """Calls of an unwatched recorder, with and without the costlier sources."""
    seconds = max(10.0, bench.seconds // 10 * 5)
    full, plain = recorded_calls(bench, [], seconds), recorded_calls(bench, PLAIN, seconds)
    basic, everything = sum(plain.values()), sum(full.values())
    return [
        Row("NVML calls a second of `record`, 8 GPUs, no GPM, no samples", f"{basic:.0f}", "", "≤ 60", basic <= 60, plain),
        Row("the same with GPM and samples", f"{everything:.0f}", "", "≤ 96", everything <= 96, full),
    ]


def _keys(terminal: Terminal) -> list[float | None]:
    """Delays of cursor keys, never in step with the refresh; each moves the selection to another row."""
    for _ in range(2):
        terminal.send(KEYS[0])
        terminal.wait(0.5)
    delays = []
    for number in range(PROBES):
        terminal.wait(0.3 + 0.037 * (number % 7))
        delays.append(terminal.key_ms(KEYS[(number + 1) % 2]))
    return delays


def _text(delays: list[float | None]) -> str:
    came = sorted(delay for delay in delays if delay is not None)
    return (
        f"{median(came):.1f} (worst {came[-1]:.0f})" + (f", {len(delays) - len(came)} never" if len(came) < len(delays) else "")
        if came
        else "never"
    )


def _ok(delays: list[float | None]) -> bool:
    came = [delay for delay in delays if delay is not None]
    return len(came) == len(delays) and median(came) <= 20


def _probe(
    command: list[str], env: dict[str, str], pattern: str, fake: FakeDriver, seconds: float
) -> tuple[float, list[float | None], float | None]:
    """(ms a second inside the driver, key delays, ms that q took)."""
    with Terminal(command, env) as terminal:
        terminal.wait_for(pattern)
        terminal.wait(WARM_SECONDS)
        fake.reset_calls()
        since = terminal.now
        terminal.wait(seconds)
        inside = sum(call.seconds for call in fake.calls().values()) / (terminal.now - since) * 1000
        return inside, _keys(terminal), terminal.leave()


def slow(bench: Bench) -> list[Row]:
    """Keys on a fast driver and on one whose calls take as long as public measurements of real ones say; time inside the latter."""
    rows = []
    for name, extra in (("fast", []), ("slow", slow_driver())):
        with watched(moving(8, 8), 8, extra) as fake:
            seconds = bench.seconds if extra else 1.0
            inside, keys, left = _probe(bench.ours(), bench.env(fake), OURS, fake, seconds)
            peer = _probe([*bench.nvitop, "--interval", "1"], bench.env(fake), PEER, fake, seconds) if bench.nvitop else None
        if extra:
            rows.append(
                Row("ms a second inside the slow driver", f"{inside:.0f}", f"{peer[0]:.0f}" if peer else "", "≤ 45", inside <= 45)
            )
            rows.append(_left("slow", left, peer[2] if peer else None, peer is not None))
        rows.append(
            Row(
                f"key to first byte, {name} driver, ms, median",
                _text(keys),
                _text(peer[1]) if peer else "",
                "≤ 20",
                _ok(keys),
                {"delays": keys},
            )
        )
    return rows


def hang(bench: Bench) -> list[Row]:
    """A driver call that never returns, some seconds after the start."""
    rows = []
    found = []
    for command, pattern in ((bench.ours(), OURS), ([*bench.nvitop, "--interval", "1"] if bench.nvitop else None, PEER)):
        if command is None:
            continue
        with (
            watched(moving(8, 8), 8, [fault("hang", "nvmlDeviceGetMemoryInfo*", gpu=3, at_ms=HANG_MS)]) as fake,
            Terminal(command, bench.env(fake)) as terminal,
        ):
            terminal.wait_for(pattern)
            terminal.wait(HANG_MS / 1000 + 2)
            found.append((_keys(terminal), terminal.leave()))
    (keys, left), peer = found[0], found[1] if len(found) > 1 else None
    rows.append(
        Row(
            "key to first byte, hung driver, ms, median",
            _text(keys),
            _text(peer[0]) if peer else "",
            "≤ 20",
            _ok(keys),
            {"delays": keys},
        )
    )
    rows.append(_left("hung", left, peer[1] if peer else None, peer is not None))
    return rows


def _left(name: str, ours: float | None, peer: float | None, has_peer: bool) -> Row:
    def text(value: float | None) -> str:
        return "never" if value is None else f"{value:.0f}"

    return Row(
        f"`q` to the end of the program, {name} driver, ms",
        text(ours),
        text(peer) if has_peer else "",
        "≤ 500",
        ours is not None and ours <= 500,
    )
