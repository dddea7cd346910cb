"""What happened to driver and GPUs, as events: kept until the next batch takes them, and said once where they would repeat."""

from __future__ import annotations

from gpuwatch.clock import Clock
from gpuwatch.collectors.nvml.opening import TEXTS
from gpuwatch.model import Event, Gpu
from gpuwatch.names import Severity
from gpuwatch.text import clean

_RECOVERY = {
    1: "needs a reset",
    2: "needs a reboot of the host",
    3: "must be drained: peer-to-peer",
    4: "must be drained and reset",
    5: "needs its fabric service (IMEX)",
    6: "needs a bus reset",
    7: "needs a reboot of the system",
}
"""NVML's recovery actions (field 230)."""


def words(code: int) -> str:
    """NVML's text for a return code."""
    return TEXTS.get(code, f"error {code}")


class Happenings:
    """Events waiting for the next batch."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._waiting: list[Event] = []
        self._told: set[str] = set()
        self._health: dict[tuple[str, str], int] = {}

    def tell(self, kind: str, detail: str, severity: Severity = Severity.NOTICE, gpu_uuid: str = "") -> None:
        """Something happened just now."""
        self._waiting.append(Event(int(self._clock.time() * 1000), kind, clean(detail), severity, gpu_uuid))

    def tell_once(self, kind: str, detail: str, severity: Severity, gpu_uuid: str = "", *, key: str = "") -> None:
        """As :meth:`tell`, but once per kind, GPU and ``key`` until :meth:`renew`."""
        mark = f"{kind} {gpu_uuid} {key}"
        if mark not in self._told:
            self._told.add(mark)
            self.tell(kind, detail, severity, gpu_uuid)

    def impossible(self, gpu: Gpu, what: str, value: int) -> None:
        """The driver gave a value that cannot be; it was cut to 100 % or left out."""
        detail = f"GPU {gpu.index}: the driver reported {what} = {value} %, which cannot be"
        self.tell_once("impossible_value", detail, Severity.INFO, gpu.uuid, key=what)

    def health(self, gpu: Gpu, values: dict[str, int]) -> None:
        """Compare the health fields with the last ones and tell what got worse or better."""
        for name, value in values.items():
            before = self._health.get((gpu.uuid, name), 0)
            self._health[gpu.uuid, name] = value
            if value == before:
                continue
            if name == "recovery_action":
                text = _RECOVERY.get(value, "needs no recovery any more" if value == 0 else f"asks for recovery action {value}")
            elif name == "remap_pending":
                text = "has a memory row to remap: it needs a reset" if value else "has no memory row left to remap"
            else:
                text = "could not remap a memory row: have it replaced" if value else "remaps memory rows again"
            severity = Severity.INFO if not value else Severity.CRITICAL if name == "remap_failed" else Severity.WARNING
            self.tell(name, f"GPU {gpu.index} {text}", severity, gpu.uuid)

    def renew(self) -> None:
        """Forget what was told once (the driver was opened anew)."""
        self._told.clear()

    def take(self) -> list[Event]:
        """All waiting events; they wait no more."""
        taken, self._waiting = self._waiting, []
        return taken
