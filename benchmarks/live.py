"""The live screen beside ``nvitop --interval 1``: CPU, bytes, memory, start and leaving."""

from __future__ import annotations

import time
from dataclasses import dataclass
from statistics import median

from bench import Bench, Row, ratio, spread, within
from pty_measure import Terminal, cpu_seconds, descendants, rss_mb
from scene import FakeDriver, moving, watched

OURS, PEER = r"\d/700", r"W / 700W"
"""A GPU row with its power: the first picture that has values."""
WARM_SECONDS, STARTS = 5, 3


@dataclass(slots=True)
class Steady:
    """One program in a terminal for a while, per minute and per second."""

    first_cpu: float
    cpu_per_minute: float
    children_per_minute: float
    bytes_per_second: float
    bursts: list[int]
    calls_per_second: float
    rss: list[float]
    """The program's, then those of its children."""
    leave_ms: float | None


class Session:
    """A program in its terminal, from its start to the key that leaves it."""

    def __init__(self, command: list[str], env: dict[str, str], pattern: str, fake: FakeDriver) -> None:
        self.terminal, self._fake = Terminal(command, env), fake
        if not self.terminal.wait_for(pattern):
            self.terminal.close()
            raise RuntimeError(f"{command[0]} never showed a GPU")
        self.first_cpu = self.terminal.cpu()

    def begin(self) -> None:
        """Here the measured time starts."""
        self._fake.reset_calls()
        self._pids = descendants(self.terminal.pid)
        self._cpu = {pid: cpu_seconds(pid) for pid in self._pids}
        self._since, self._size, self._bursts = self.terminal.now, len(self.terminal.output), len(self.terminal.bursts)

    def end(self) -> Steady:
        """Here it ends; the program is left."""
        terminal = self.terminal
        span = terminal.now - self._since
        spent = [(cpu_seconds(pid) - self._cpu[pid]) / span * 60 for pid in self._pids]
        made = Steady(
            self.first_cpu,
            sum(spent),
            sum(spent[1:]),
            (len(terminal.output) - self._size) / span,
            [int(burst[2]) for burst in terminal.bursts[self._bursts :]],
            sum(call.count for call in self._fake.calls().values()) / span,
            [rss_mb(pid) for pid in self._pids],
            terminal.leave(),
        )
        terminal.close()
        return made


def side_by_side(bench: Bench, lines: list[str], processes: int) -> tuple[Steady, Steady | None]:
    """gpuwatch and nvitop at the same time on the same processes, each with a driver (and so counters) of its own."""
    with watched(lines, processes) as fake, FakeDriver(lines, pids=fake.pids, epoch_ms=fake.epoch_ms) as other:
        sessions = [Session(bench.ours(), bench.env(fake), OURS, fake)]
        try:
            if bench.nvitop:
                sessions.append(Session([*bench.nvitop, "--interval", "1"], bench.env(other), PEER, other))
            _pump(sessions, WARM_SECONDS)
            _pump(sessions, between_ticks())
            for session in sessions:
                session.begin()
            _pump(sessions, bench.seconds)
            ours, *peers = [session.end() for session in sessions]
        finally:
            for session in sessions:
                session.terminal.close()
    return ours, peers[0] if peers else None


def between_ticks() -> float:
    """Seconds until the middle of the pause between two ticks, so that a window holds as many as it has seconds."""
    return (0.7 - time.time()) % 1


def _pump(sessions: list[Session], seconds: float) -> None:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        for session in sessions:
            session.terminal.pump(0.02)


def first_cpu(command: list[str], env: dict[str, str], pattern: str) -> float:
    """CPU of all processes until GPU values are on the screen."""
    with Terminal(command, env) as terminal:
        terminal.wait_for(pattern)
        spent = terminal.cpu()
        terminal.leave()
    return spent


def steady(bench: Bench) -> list[Row]:
    """8 GPUs whose values all move each second, with 8 and with 128 processes."""
    rows = []
    for processes, factor in ((8, 0.5), (128, 0.25)):
        lines = moving(8, processes)
        ours, peer = side_by_side(bench, lines, processes)
        with watched(lines, processes) as fake:
            starts = [first_cpu(bench.ours(), bench.env(fake), OURS) for _ in range(STARTS)]
        rows += _rows(processes, factor, ours, peer, starts)
    return rows


def _rows(processes: int, factor: float, ours: Steady, peer: Steady | None, starts: list[float]) -> list[Row]:
    other = peer.cpu_per_minute if peer else None
    viewer = ours.cpu_per_minute - ours.children_per_minute
    text = f"{ours.cpu_per_minute:.2f}{ratio(ours.cpu_per_minute, other)}: viewer {viewer:.2f}, recorder {ours.children_per_minute:.2f}"
    figures = {"gpuwatch": ours.cpu_per_minute, "viewer": viewer, "recorder": ours.children_per_minute, "nvitop": other}
    size = f"8 GPUs, {processes} processes"
    rows = [
        Row(
            f"live screen and its recorder, {size}, CPU s/min",
            text,
            f"{other:.2f}" if other else "",
            f"≤ {factor}x",
            within(ours.cpu_per_minute, other, factor),
            figures,
        ),
        Row(
            f"first GPU values on screen, {size}, CPU s",
            spread(starts),
            f"{peer.first_cpu:.2f}" if peer else "",
            "≤ 0.50",
            median(starts) <= 0.5,
            {"starts": starts},
        ),
        Row(
            f"bytes a refresh, 120x40, {size}, every value moves",
            f"{ours.bytes_per_second:.0f}",
            f"{peer.bytes_per_second:.0f}" if peer else "",
            "≤ 3000",
            ours.bytes_per_second <= 3000,
            {"bursts": ours.bursts},
        ),
        Row(
            f"NVML calls a second, {size}, GPM and samples",
            f"{ours.calls_per_second:.0f}",
            f"{peer.calls_per_second:.0f}" if peer else "",
            "≤ 96",
            ours.calls_per_second <= 96,
        ),
    ]
    if len(ours.rss) > 1:
        held = peer.rss[0] if peer else None
        rows += [
            Row(
                f"viewer's RSS, {size}, MB without the driver's library",
                f"{ours.rss[0]:.1f}",
                f"{held:.1f}" if held else "",
                "≤ 45",
                ours.rss[0] <= 45,
            ),
            Row(f"recorder's RSS while watched, {size}, MB", f"{ours.rss[1]:.1f}", "", "≤ 30", ours.rss[1] <= 30),
        ]
    leave, other_leave = ours.leave_ms, peer.leave_ms if peer else None
    rows.append(
        Row(
            f"`q` to the end of the program, {size}, ms",
            _ms(leave),
            _ms(other_leave) if peer else "",
            "≤ 500",
            leave is not None and leave <= 500,
        )
    )
    return rows


def still(bench: Bench) -> list[Row]:
    """Nothing moves but the clock and ages."""
    ours, peer = side_by_side(bench, moving(8, 8, still=True), 8)
    middle = median(ours.bursts or [0])
    mean = ours.bytes_per_second
    text = f"median {middle:.0f}, mean {mean:.0f}"
    return [
        Row(
            "bytes a refresh, only the clock and ages move",
            text,
            f"{peer.bytes_per_second:.0f}" if peer else "",
            "≤ 150",
            middle <= 150,
            {"bursts": ours.bursts},
        ),
        Row("the same, CPU s/min", f"{ours.cpu_per_minute:.2f}", f"{peer.cpu_per_minute:.2f}" if peer else ""),
    ]


def _ms(value: float | None) -> str:
    return "never" if value is None else f"{value:.0f}"
