"""A fake driver for one test: files for its scenario, clock and counters, and the environment that makes programs load it."""

from __future__ import annotations

import ctypes
import mmap
import os
import shutil
import struct
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from ._build import SONAME, build

_SLOT = struct.Struct("64sQQ16Q")
_KEYS = ("GPUWATCH_FAKE_SCENARIO", "GPUWATCH_FAKE_CALLS", "GPUWATCH_FAKE_CLOCK", "GPUWATCH_FAKE_EPOCH_MS", "GPUWATCH_FAKE_PIDS")
EPOCH_MS = 1_763_130_000_000
"""Unix time of scenario time 0 under a manual clock, unless another is given."""


@dataclass(frozen=True, slots=True)
class Calls:
    """What one NVML function was asked, by all programs together: calls, seconds inside, calls per GPU number."""

    count: int
    seconds: float
    gpus: Mapping[int, int]


class FakeDriver:
    """An NVML that plays a flat scenario (see README.md for its lines).

    ``extra`` lines are appended (faults, exceptions); ``pids`` fills process slots (``"@FILE"``: a file that holds the pid while the process lives); ``manual`` gives a clock that stands still
    until :meth:`set_clock`; otherwise scenario time 0 is ``epoch_ms`` (default: the moment each program calls init, so give
    one when several programs must agree). ``library=False`` is a machine without NVML.

        >>> from fake_nvml import FakeDriver, of_class
        >>> import pynvml
        >>> scenario = of_class("hopper-h100", gpus=2, values=["v 1 util 0 10", "v 1 util 5000 90"])
        >>> with FakeDriver(scenario, manual=True) as fake, fake.loaded():
        ...     pynvml.nvmlInit()
        ...     fake.set_clock(5_000)
        ...     pynvml.nvmlDeviceGetUtilizationRates(pynvml.nvmlDeviceGetHandleByIndex(1)).gpu
        ...     fake.calls()["nvmlDeviceGetUtilizationRates"].gpus
        ...     pynvml.nvmlShutdown()
        90
        {1: 1}
    """

    def __init__(
        self,
        scenario: str | Iterable[str],
        *,
        extra: Iterable[str] = (),
        pids: Mapping[str, int | str] | None = None,
        epoch_ms: int | None = None,
        manual: bool = False,
        library: bool = True,
        folder: Path | None = None,
    ) -> None:
        self.library = build() if library else None
        self._own = folder is None
        self.folder = Path(tempfile.mkdtemp(prefix="fake-nvml-")) if folder is None else folder
        self.folder.mkdir(parents=True, exist_ok=True)
        text = scenario if isinstance(scenario, str) else "\n".join(scenario)
        self.scenario = self.folder / "scenario.txt"
        self.scenario.write_text("\n".join([text.rstrip("\n"), *extra]) + "\n", encoding="utf-8", errors="surrogateescape")
        self._calls = self.folder / "calls"
        self._calls.touch()
        self._clock = self.folder / "clock" if manual else None
        self.epoch_ms = EPOCH_MS if manual and epoch_ms is None else epoch_ms
        self.pids = dict(pids or {})
        if self._clock:
            self._clock.write_text("0")
        (self.folder / "broken").mkdir(exist_ok=True)
        (self.folder / "broken" / SONAME).touch()  # not a library: also hides the real one of a machine that has it

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Remove the files, if the folder is ours."""
        if self._own:
            shutil.rmtree(self.folder, ignore_errors=True)

    @property
    def variables(self) -> dict[str, str]:
        """Only the variables that concern the fake."""
        found = {"GPUWATCH_FAKE_SCENARIO": str(self.scenario), "GPUWATCH_FAKE_CALLS": str(self._calls)}
        if self._clock:
            found["GPUWATCH_FAKE_CLOCK"] = str(self._clock)
        if self.epoch_ms is not None:
            found["GPUWATCH_FAKE_EPOCH_MS"] = str(self.epoch_ms)
        if self.pids:
            found["GPUWATCH_FAKE_PIDS"] = ",".join(f"{slot}={pid}" for slot, pid in self.pids.items())
        search = [str(self.library.parent if self.library else self.folder / "broken"), os.environ.get("LD_LIBRARY_PATH", "")]
        found["LD_LIBRARY_PATH"] = os.pathsep.join(filter(None, search))
        return found

    @property
    def env(self) -> dict[str, str]:
        """An environment for a subprocess: this process's own, with the fake in front of any real driver."""
        return {key: value for key, value in os.environ.items() if key not in _KEYS} | self.variables

    @contextmanager
    def loaded(self) -> Iterator[None]:
        """Make ``pynvml`` of this very process use the fake, once it is initialised within the block.

        The library stays mapped afterwards (as a real one does); it reads the scenario anew at the first init after a full
        shutdown, so one process can play many. Shut down within the block.
        """
        if self.library is None:
            raise RuntimeError("a missing library can only be shown to a subprocess")
        ctypes.CDLL(str(self.library), mode=ctypes.RTLD_GLOBAL)  # found by its soname when pynvml asks for it
        before = {key: os.environ.get(key) for key in _KEYS}
        for key in _KEYS:
            os.environ.pop(key, None)
        os.environ.update({key: value for key, value in self.variables.items() if key in _KEYS})
        try:
            yield
        finally:
            for key, value in before.items():
                os.environ.pop(key, None)
                if value is not None:
                    os.environ[key] = value

    def set_clock(self, ms: int) -> None:
        """Set scenario time in milliseconds, for every program that has this driver open. Needs ``manual``."""
        if self._clock is None:
            raise RuntimeError("this fake follows the real clock")
        with self._clock.open("r+") as file:
            file.write(f"{ms:<20d}")

    def calls(self) -> dict[str, Calls]:
        """The functions called so far by all programs, with how often and how long."""
        found = {}
        size = self._calls.stat().st_size
        if not size:
            return {}
        with self._calls.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            for name, count, ns, *gpus in _SLOT.iter_unpack(data[: size // _SLOT.size * _SLOT.size]):
                if count:
                    per_gpu = {gpu: n for gpu, n in enumerate(gpus) if n}
                    found[name.rstrip(b"\0").decode()] = Calls(count, ns / 1e9, per_gpu)
        return found

    def reset_calls(self) -> None:
        """Set all counters to zero (the names stay)."""
        size = self._calls.stat().st_size
        if size:
            with self._calls.open("r+b") as file, mmap.mmap(file.fileno(), 0) as data:
                for at in range(0, size, _SLOT.size):
                    data[at + 64 : at + _SLOT.size] = bytes(_SLOT.size - 64)
