"""Every case of bad input on the whole program: what the user saw. ``python benchmarks/faults.py`` prints the table.

A case passes when the expected line is there, nothing that looks like a traceback is, the exit code is the documented one, and
the terminal is as it was. The tests run the same cases one by one (``tests/acceptance/test_faults.py``).
"""

from __future__ import annotations

import os
import re
import shlex
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pty_measure import Terminal
from scene import FakeDriver, fault, home, moving, of_class, sleepers, watched

GPUWATCH = [sys.executable, "-m", "gpuwatch"]
HOSTILE = [
    "\x1b]0;owned\x07\x1b[2J",
    "[/unclosed",
    "[bold red]x[/]",
    "a\nb\tc",
    "\u202egnp.exe",
    "\ud800-broken".encode("utf-8", "replace").decode(),
]
OWN_MEMORY = "mount -t tmpfs none /dev/shm &&"
"""What stands in for the store goes with the mount namespace."""
EMPTY = "gpuwatch-scenario 1\nname empty\ndriver 590.48.01\nloop_ms 0\n"


@dataclass(slots=True)
class Seen:
    """What one case showed. ``line`` is the one that matters; no ``problems`` means that it passed."""

    line: str = ""
    problems: list[str] = field(default_factory=list)

    def want(self, pattern: str, text: str) -> None:
        """The text must match; the first wanted match is the line that is shown in the table."""
        found = re.search(pattern, text)
        if not found:
            self.problems.append(
                f"nothing matches {pattern!r}: {' / '.join(line.strip() for line in text.splitlines() if line.strip())[:600]}"
            )
        elif not self.line:
            self.line = " ".join(found[0].split())

    def check(self, good: object, otherwise: str) -> None:
        """Note a problem."""
        if not good:
            self.problems.append(otherwise)


class Place:
    """A home of its own for one case."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.store = folder / "store.db"

    def env(self, fake: FakeDriver | None = None) -> dict[str, str]:
        """The environment of the programs."""
        made = home(self.folder, fake.env if fake else os.environ)
        return made | {"GPUWATCH_STORE": str(self.store), "COLUMNS": "100", "LC_ALL": "C.UTF-8"}

    def run(
        self,
        seen: Seen,
        arguments: Sequence[str],
        fake: FakeDriver | None = None,
        *,
        code: int = 0,
        command: Sequence[str] = GPUWATCH,
    ) -> str:
        """Run to the end without a terminal; returns stdout and stderr together, in lines as wide as they come."""
        done = subprocess.run(
            [*command, *arguments], env=self.env(fake), stdin=subprocess.DEVNULL, capture_output=True, timeout=60, check=False
        )
        text = done.stdout.decode(errors="replace") + done.stderr.decode(errors="replace")
        seen.check(done.returncode == code, f"exit code {done.returncode} instead of {code}: {text[-300:]}")
        seen.check("Traceback" not in text, f"a traceback: {text[-600:]}")
        return text

    def screen(
        self,
        seen: Seen,
        fake: FakeDriver | None,
        wanted: Iterable[str],
        *arguments: str,
        size: tuple[int, int] = (120, 40),
        patience: float = 20,
    ) -> str:
        """Open the screen, wait until each wanted text was on it, leave with q; returns the last picture."""
        import pyte

        picture, text = pyte.Screen(*size), ""
        stream = pyte.ByteStream(picture)
        with Terminal([*GPUWATCH, *arguments], self.env(fake), size) as terminal:
            for pattern in wanted:
                fed, until = 0, terminal.now + patience
                while terminal.now < until and not terminal.ended and not re.search(pattern, text):
                    terminal.pump(0.05)
                    stream.feed(bytes(terminal.output[fed:]))
                    fed = len(terminal.output)
                    text = "\n".join(picture.display)
                seen.want(pattern, text)
            seen.check(not terminal.ended, f"the screen ended by itself with {terminal.status}")
            seen.check(terminal.leave(timeout=15) is not None, "q does not end it")
            seen.check(terminal.status == 0, f"exit code {terminal.status} after q")
            output = bytes(terminal.output)
        seen.check(b"Traceback" not in output, "a traceback")
        for on, off, what in (
            (b"?1049h", b"?1049l", "alternate screen"),
            (b"?25l", b"?25h", "cursor"),
            (b"?1000h", b"?1000l", "mouse"),
            (b"?2004h", b"?2004l", "paste mode"),
        ):
            seen.check(on not in output or output.rfind(off) > output.rfind(on), f"{what} is not restored")
        return text


def _driver(
    place: Place,
    seen: Seen,
    scenario: str | Iterable[str],
    extra: Iterable[str] = (),
    *,
    wanted: Sequence[str],
    library: bool = True,
) -> str:
    """``status`` on a driver."""
    with FakeDriver(scenario, extra=extra, library=library, epoch_ms=round(time.time() * 1000)) as fake:
        text = place.run(seen, ["status"], fake)
    flat = re.sub(r"\s*\n", " ", text)
    for pattern in wanted:
        seen.want(pattern, flat)
    return text


# ------------------------------------------------------------------------------------------------------------- the driver


def no_driver(place: Place, seen: Seen) -> None:
    _driver(place, seen, EMPTY, library=False, wanted=[r"No GPU: No NVIDIA driver library .*?Try: [^.]*nothing is missing"])
    with FakeDriver(EMPTY, library=False) as fake:
        place.screen(seen, fake, ["No NVIDIA driver library"])


def driver_not_loaded(place: Place, seen: Seen) -> None:
    _driver(
        place,
        seen,
        of_class("hopper-h100"),
        [fault("driver_gone")],
        wanted=[r"No GPU: .*?kernel module is not loaded. Try: .*?NVRM"],
    )


def old_driver(place: Place, seen: Seen) -> None:
    _driver(place, seen, of_class("volta-v100", driver="390.157"), wanted=[r"driver 390\.157", r"0 +0 +[\d.]+/16"])
    with FakeDriver(of_class("volta-v100", driver="390.157")) as fake:
        seen.want(
            r"not supported +\S*sm_active_ratio",
            re.sub(r"(not supported +).*?(sm_active)", r"\1\2", place.run(seen, ["doctor"], fake)),
        )


def mismatch(place: Place, seen: Seen) -> None:
    _driver(place, seen, of_class("hopper-h100"), [fault("mismatch")], wanted=[r"No GPU: .*?different versions. Try: .*?reboot"])


def zero_gpus(place: Place, seen: Seen) -> None:
    _driver(place, seen, EMPTY, wanted=[r"No GPU: The NVIDIA driver is loaded but sees no GPU. Try: .*?NVRM"])


def sixteen_gpus(place: Place, seen: Seen) -> None:
    text = _driver(place, seen, moving(16, 0), wanted=[r"16 × H100 80GB"])
    seen.check(len(re.findall(r"^\d+ .*/700", text, re.MULTILINE)) == 16, "not 16 rows")
    with FakeDriver(moving(16, 0), epoch_ms=round(time.time() * 1000)) as fake:
        text = place.screen(seen, fake, [r"│ +7 .* 15 .*│"])
    shown = set(re.findall(r"[│a-z] +(\d+) +\d+ +\d+ +\d+ +\d+ ", text))
    seen.check(shown >= {str(number) for number in range(16)}, f"the screen shows only {sorted(shown)}")


def gpu_lost(place: Place, seen: Seen) -> None:
    lost = fault("lost", gpu=3, at_ms=6_000)
    with watched(moving(8, 8), 8, [lost]) as fake:
        text = place.screen(seen, fake, [r"│ +3 .*/700", r"│ +3 [^\n]*(?i:lost|unavailable)[^\n│]*"])
    seen.check(len(re.findall(r"\d/700", text)) >= 7, "other GPUs went with it")
    seen.line = " ".join(next((line for line in text.splitlines() if re.match(r"│ +3 ", line)), seen.line).strip("│ ").split())


def gpu_lost_before(place: Place, seen: Seen) -> None:
    """Nobody has seen this GPU before, so there is no row for it; it must not be silently absent."""
    _driver(place, seen, moving(8, 0), [fault("lost", gpu=3)], wanted=[r"GPU 3 cannot be opened: GPU is lost"])


def hung_call(place: Place, seen: Seen) -> None:
    with watched(moving(8, 8), 8, [fault("hang", "nvmlDeviceGetMemoryInfo*", gpu=3, at_ms=6_000)]) as fake:
        text = place.screen(seen, fake, [r"\d/700", r"nvml: no answer for \d+[^│\n]*?s"], patience=30)
    seen.line = next((found[0] for found in re.finditer(r"nvml: no answer for \S+ ?\S*", text)), seen.line)


def unified_memory(place: Place, seen: Seen) -> None:
    text = _driver(place, seen, of_class("gb10"), wanted=[r"1 × GB10", r"0 +\d+ +– +\d+"])
    seen.line = next((" ".join(line.split()) for line in text.splitlines() if re.match(r"0 ", line)), seen.line)
    with FakeDriver(of_class("gb10")) as fake:
        place.screen(seen, fake, [r"│ +0 .*"])


def wsl(place: Place, seen: Seen) -> None:
    _driver(place, seen, of_class("wsl2"), wanted=[r"0 +\d+ +[\d.]+/8 .*?–"])
    with FakeDriver(of_class("wsl2")) as fake:
        place.screen(seen, fake, [r"│ +0 .*/8"])


# ------------------------------------------------------------------------------------------------------------- processes


def many_processes(place: Place, seen: Seen, count: int = 2000) -> None:
    lines = [
        *moving(8, 0),
        *(f"proc p{n} kind=C" for n in range(count)),
        *(f"pv p{n} {n % 8} mem 0 10000000" for n in range(count)),
    ]
    with watched(lines, count) as fake:
        place.screen(seen, fake, [rf"{count:,}|{count} on GPUs".replace(",", ",?")], patience=40)


def hostile_names(place: Place, seen: Seen) -> None:
    lines = [
        *moving(1, 0),
        *(f"proc p{n} kind=C" for n in range(len(HOSTILE))),
        *(f"pv p{n} 0 mem 0 1000000000" for n in range(len(HOSTILE))),
    ]
    commands = [["python3", name] for name in HOSTILE]
    with sleepers(commands) as running:
        pids: dict[str, int | str] = {f"p{n}": process.pid for n, process in enumerate(running)}
        with FakeDriver(lines, pids=pids, epoch_ms=round(time.time() * 1000)) as fake:
            text = place.screen(seen, fake, [r"\[/unclosed", r"\[bold red\]x\[/\]"])
            text += place.run(seen, ["status"], fake)
            said = place.run(seen, ["status", "--json"], fake)
    seen.check("\x1b" not in text + said and "\x07" not in text + said and "\u202e" not in text + said, "an escape came through")
    seen.line = " ".join(next((line for line in text.splitlines() if "owned" in line), seen.line).strip("│ ").split())


# --------------------------------------------------------------------------------------------------------------- the store


def _root_shell(place: Place, seen: Seen, script: str, fake: FakeDriver, code: int = 0) -> str:
    """A shell that may mount, in a mount namespace of its own."""
    if os.geteuid() != 0 or subprocess.run(["unshare", "-m", "true"], check=False, capture_output=True).returncode:
        raise NotImplementedError("needs root and mount namespaces")
    return place.run(seen, ["-m", "sh", "-c", script], fake, command=["unshare"], code=code)


def read_only_store(place: Place, seen: Seen) -> None:
    disk = place.folder / "disk"
    disk.mkdir()
    place.store = disk / "store.db"
    program = shlex.join(GPUWATCH)
    with FakeDriver(moving(8, 0), epoch_ms=round(time.time() * 1000)) as fake:
        text = _root_shell(
            place,
            seen,
            f"{OWN_MEMORY} mount -t tmpfs -o ro none {disk} && ({program} record --for 3s & sleep 2; {program} status; wait)",
            fake,
        )
    seen.want(r"gpuwatch: Recording into memory[^\n]*Read-only[^\n]*", text)
    seen.want(r"7 +\d+ +[\d.]+/80", text)


def full_disk(place: Place, seen: Seen) -> None:
    disk = place.folder / "disk"
    disk.mkdir()
    place.store = disk / "store.db"
    program = shlex.join(GPUWATCH)
    script = (
        f"{OWN_MEMORY} mount -t tmpfs -o size=256k none {disk} && ({program} record --for 3s & sleep 2; {program} status; wait)"
    )
    with FakeDriver(moving(8, 0), epoch_ms=round(time.time() * 1000)) as fake:
        text = _root_shell(place, seen, script, fake)
    seen.want(r"gpuwatch: Recording into memory[^\n]*full[^\n]*", text)
    seen.want(r"7 +\d+ +[\d.]+/80", text)


def _made(place: Place, seen: Seen, fake: FakeDriver) -> None:
    place.run(seen, ["record", "--for", "2s"], fake)


def damaged_store(place: Place, seen: Seen) -> None:
    with FakeDriver(moving(8, 0), epoch_ms=round(time.time() * 1000)) as fake:
        _made(place, seen, fake)
        size = place.store.stat().st_size
        with place.store.open("r+b") as file:
            file.seek(100)
            file.write(b"\xa5" * (size - 100))
        text = place.run(seen, ["record", "--for", "2s"], fake)
        seen.want(r"[^\n]*damaged[^\n]*", text)
        seen.check(
            len(list(place.folder.glob("store.db.corrupt-*"))) >= 1,
            f"the damaged file is gone: {sorted(p.name for p in place.folder.iterdir())}",
        )
        seen.want(r"\d", place.run(seen, ["query", "--format", "csv", "SELECT count(*) FROM v_gpu_raw"], fake))


def newer_store(place: Place, seen: Seen) -> None:
    with FakeDriver(moving(8, 0), epoch_ms=round(time.time() * 1000)) as fake:
        _made(place, seen, fake)
        with sqlite3.connect(place.store) as db:
            db.execute("PRAGMA user_version = 9999")
        db.close()
        before = place.store.read_bytes()
        text = place.run(seen, ["record", "--for", "2s"], fake)
    seen.want(r"[^\n]*newer[^\n]*", text)
    seen.check(place.store.read_bytes() == before, "the newer file was written")


def network_store(place: Place, seen: Seen) -> None:
    table = place.folder / "mounts"
    table.write_text(f"30 22 0:40 / {place.folder} rw - nfs4 server:/home rw\n")
    patch = f"import sys, functools, pathlib, gpuwatch.store.location as l; l.locate = functools.partial(l.locate, mounts=pathlib.Path({str(table)!r})); import gpuwatch.cli; sys.exit(gpuwatch.cli.main(sys.argv[1:]))"
    with FakeDriver(moving(8, 0), epoch_ms=round(time.time() * 1000)) as fake:
        text = place.run(seen, ["record", "--for", "2s"], fake, command=[sys.executable, "-c", patch])
        seen.want(r"[^\n]*network file system[^\n]*", text)
        seen.want(
            r"(?m)^\d+$", place.run(seen, ["query", "--format", "csv", "SELECT count(*) FROM v_gpu_raw"], fake).replace("\r", "")
        )


# ------------------------------------------------------------------------------------------------- configuration, terminal


def unknown_key(place: Place, seen: Seen) -> None:
    config = place.folder / "config.toml"
    config.write_text("[record]\nintervall_seconds = 2\n")
    text = place.run(seen, ["--config", str(config), "status"], code=2)
    seen.want(r"[^\n]*intervall_seconds[^\n]*interval_seconds[^\n]*", text)
    seen.check(len(text.splitlines()) <= 2, "more than one line and a hint")


def tiny_terminal(place: Place, seen: Seen) -> None:
    with watched(moving(2, 2), 2) as fake:
        place.screen(seen, fake, ["terminal too small"], size=(20, 5))


def no_terminal(place: Place, seen: Seen) -> None:
    with watched(moving(2, 2), 2) as fake:
        text = place.run(seen, [], fake)
    seen.want(r"2 × H100[^\n]*", text)
    seen.check("\x1b" not in text, "escapes without a terminal")


CASES: dict[str, Callable[[Place, Seen], None]] = {
    "no driver": no_driver,
    "driver not loaded": driver_not_loaded,
    "old driver (390)": old_driver,
    "driver and library differ": mismatch,
    "GPU lost midway": gpu_lost,
    "GPU lost before the start": gpu_lost_before,
    "a call that never returns": hung_call,
    "0 GPUs": zero_gpus,
    "16 GPUs": sixteen_gpus,
    "2,000 processes": many_processes,
    "unified memory without a total (GB10)": unified_memory,
    "WSL without process lists": wsl,
    "hostile process names": hostile_names,
    "store on a read-only disk": read_only_store,
    "store on a full disk": full_disk,
    "store damaged": damaged_store,
    "store newer than the program": newer_store,
    "store on a network file system": network_store,
    "unknown key in the configuration": unknown_key,
    "terminal of 20x5": tiny_terminal,
    "no terminal": no_terminal,
}


def play(name: str) -> Seen:
    """Run one case."""
    seen = Seen()
    with tempfile.TemporaryDirectory(prefix="gpuwatch-fault-") as folder:
        CASES[name](Place(Path(folder)), seen)
        seen.line = seen.line.replace(folder, "…")
    return seen


def main() -> int:
    """The table; exit 1 when a case fails."""
    failed = False
    print("| case | what the user saw | met |\n|---|---|---|")
    for name in sys.argv[1:] or CASES:
        try:
            seen = play(name)
        except NotImplementedError as error:
            print(f"| {name} | skipped: {error} | |", flush=True)
            continue
        failed |= bool(seen.problems)
        verdict = "**no**: " + "; ".join(seen.problems) if seen.problems else "yes"
        print(f"| {name} | {seen.line.replace('|', '¦')} | {verdict} |", flush=True)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
