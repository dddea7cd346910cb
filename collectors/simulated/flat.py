"""The flat table: a scenario as sorted step functions in raw NVML units, the one truth of the simulated collector and the fake driver.

Values hold from their time until the next record of the same series; scenario time wraps with ``loop_ms`` (0: it does not, and the
last value holds). Everything is an integer, so integrals (energy, bytes, mean utilization) are exact.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence

from gpuwatch.dataclass import dataclass, field

PER_PROCESS_HOST = "-"
"""The place of a process series that belongs to no GPU (cpu, rss, alive)."""


class Series:
    """One step function: sorted times in ms, beginning at 0, and integer values."""

    __slots__ = ("_sums", "times", "values")

    def __init__(self, times: Sequence[int], values: Sequence[int]) -> None:
        self.times = times
        self.values = values
        self._sums: list[int] | None = None

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Series) and list(self.times) == list(other.times) and list(self.values) == list(other.values)

    __hash__ = None  # type: ignore[assignment]

    def at(self, t_ms: int) -> int:
        """The value in force at ``t_ms`` >= 0."""
        return self.values[bisect_right(self.times, t_ms) - 1]

    def area(self, t_ms: int) -> int:
        """The integral from 0 to ``t_ms`` >= 0 in value x ms."""
        sums = self._sums or self._add_up()
        i = bisect_right(self.times, t_ms) - 1
        return sums[i] + self.values[i] * (t_ms - self.times[i])

    def mean(self, start_ms: int, end_ms: int) -> float:
        """The mean over [start, end) with 0 <= start < end."""
        times, values = self.times, self.values
        i = bisect_right(times, start_ms) - 1
        j = bisect_right(times, end_ms, i) - 1
        if i == j:
            return float(values[i])
        sums = self._sums or self._add_up()
        area = sums[j] - sums[i] + values[j] * (end_ms - times[j]) - values[i] * (start_ms - times[i])
        return area / (end_ms - start_ms)

    def _add_up(self) -> list[int]:
        times, values, total = self.times, self.values, 0
        sums = [0]
        for i in range(1, len(times)):
            total += values[i - 1] * (times[i] - times[i - 1])
            sums.append(total)
        self._sums = sums
        return sums


@dataclass(frozen=True, slots=True)
class Device:
    """One GPU's fixed facts. A 0 in memory, limits or clocks means that the device has no such value."""

    index: int
    profile: str
    uuid: str
    bdf: str
    memory: int
    reserved: int
    power_limit: int
    power_default: int
    sm_clock_max: int
    mem_clock_max: int
    gpm: int
    mig: int
    nvlinks: int
    name: str


@dataclass(frozen=True, slots=True)
class Instance:
    """One MIG device: ``device`` is the MIG device index on GPU ``gpu``."""

    gpu: int
    device: int
    gi: int
    ci: int
    profile: str
    uuid: str
    memory: int
    slices: int
    name: str

    @property
    def place(self) -> str:
        """How series name it: ``GPU.DEVICE``."""
        return f"{self.gpu}.{self.device}"


@dataclass(frozen=True, slots=True)
class Slot:
    """One process of the scenario. Its pid is filled at run time."""

    slot: str
    kind: str
    user: str
    job: str
    name: str
    command: str


@dataclass(frozen=True, slots=True)
class Fault:
    """Something broken from ``t_ms`` on, for ``for_ms`` in every loop (0: once and for ever). ``gpu`` -1 is all of them."""

    t_ms: int
    for_ms: int
    gpu: int
    kind: str
    call: str
    arg: int


@dataclass(frozen=True, slots=True)
class Xid:
    """An XID error event at ``t_ms`` of every loop."""

    t_ms: int
    gpu: int
    code: int


@dataclass(slots=True)
class FlatTable:
    """A compiled scenario. Places are ``"I"`` or, for a MIG device, ``"I.J"``."""

    name: str
    driver: str
    cuda: int
    loop_ms: int
    devices: list[Device] = field(default_factory=list)
    instances: list[Instance] = field(default_factory=list)
    slots: list[Slot] = field(default_factory=list)
    gpu: dict[tuple[str, str], Series] = field(default_factory=dict)
    """(place, quantity) -> series."""
    process: dict[tuple[str, str, str], Series] = field(default_factory=dict)
    """(slot, place or ``-``, quantity) -> series."""
    host: dict[str, Series] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)
    xids: list[Xid] = field(default_factory=list)

    def wrap(self, t_ms: int) -> int:
        """Time within the loop."""
        return t_ms % self.loop_ms if self.loop_ms else max(t_ms, 0)

    def at(self, series: Series, t_ms: int) -> int:
        """The value of ``series`` at any scenario time, past ones (negative) included."""
        return series.at(self.wrap(t_ms))

    def integral(self, series: Series, start_ms: int, end_ms: int) -> int:
        """The exact integral of ``series`` over [start, end) in value x ms, across loops."""
        return self._area(series, end_ms) - self._area(series, start_ms)

    def _area(self, series: Series, t_ms: int) -> int:
        if not self.loop_ms:
            return series.area(t_ms) if t_ms >= 0 else series.values[0] * t_ms
        loops, rest = divmod(t_ms, self.loop_ms)
        return series.area(rest) + (loops * series.area(self.loop_ms) if loops else 0)

    def mean(self, series: Series, start_ms: int, end_ms: int) -> float:
        """The mean over [start, end), or the value at ``end`` for an empty span."""
        if len(series.values) == 1:
            return float(series.values[0])
        if end_ms <= start_ms:
            return float(self.at(series, end_ms))
        loop = self.loop_ms
        begin = start_ms // loop * loop if loop else 0
        if start_ms >= begin and (end_ms <= begin + loop or not loop):
            return series.mean(start_ms - begin, end_ms - begin)
        return self.integral(series, start_ms, end_ms) / (end_ms - start_ms)

    def value(self, place: str, quantity: str, t_ms: int) -> int | None:
        """A GPU quantity at one moment, or None where the scenario has none."""
        series = self.gpu.get((place, quantity))
        return None if series is None else self.at(series, t_ms)

    def alive(self, slot: str, t_ms: int) -> bool:
        """Whether the process of ``slot`` runs at that moment (by its series alone)."""
        series = self.process.get((slot, PER_PROCESS_HOST, "alive"))
        return series is None or self.at(series, t_ms) != 0

    def process_value(self, slot: str, place: str, quantity: str, t_ms: int) -> int | None:
        """A process quantity at one moment; a memory of -1 means that it is not on that GPU."""
        series = self.process.get((slot, place, quantity))
        return None if series is None else self.at(series, t_ms)

    def broken(self, t_ms: int, gpu: int | None = None) -> list[Fault]:
        """Faults in force at that moment for one GPU (None: those of all GPUs together)."""
        now = self.wrap(t_ms)
        return [f for f in self.faults if (gpu is None or f.gpu in (-1, gpu)) and _in_force(f, t_ms, now)]


def _in_force(fault: Fault, t_ms: int, wrapped_ms: int) -> bool:
    if fault.for_ms == 0:
        return t_ms >= fault.t_ms
    return fault.t_ms <= wrapped_ms < fault.t_ms + fault.for_ms
