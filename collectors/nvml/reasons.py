"""The readings of one GPU: for each field of ``GpuSample`` its latest value, or the reason why there is none."""

from __future__ import annotations

from gpuwatch.collectors.nvml import library as nvml
from gpuwatch.measure import measures, told
from gpuwatch.model import GpuSample, MissingKey
from gpuwatch.names import Missing

_FIELDS = tuple(measures(GpuSample))
_READ = told(GpuSample)


class Readings:
    """Values that are kept between the ticks that read them. Every field is either present or has a reason."""

    __slots__ = ("_keys", "_missing", "_values", "_why", "uuid")

    def __init__(self, uuid: str) -> None:
        self.uuid = uuid
        self._keys: dict[str, MissingKey] = {name: ("gpu", uuid, name) for name in _READ}
        self._values: dict[str, float | int] = {}
        self._why: dict[str, Missing] = dict.fromkeys(_READ, Missing.STALE)
        self._missing: dict[MissingKey, Missing] | None = None

    def __getitem__(self, name: str) -> float | int | None:
        return self._values.get(name)

    def put(self, name: str, value: float) -> None:
        """This field has a value now."""
        self._values[name] = value
        if name in self._why:
            del self._why[name]
            self._missing = None

    def put_all(self, values: dict[str, float]) -> None:
        """All these fields have values now."""
        self._values.update(values)
        for name in self._why.keys() & values.keys():
            del self._why[name]
            self._missing = None

    def lack(self, name: str, reason: Missing) -> None:
        """This field has no value now; the last one is not shown."""
        if self._why.get(name) is not reason:
            self._values.pop(name, None)
            self._why[name] = reason
            self._missing = None

    def settle(self, name: str, code: int, value: float) -> None:
        """The value if ``code`` is success, else the reason behind the code."""
        if code == nvml.SUCCESS:
            self.put(name, value)
        else:
            self.lack(name, nvml.why(code))

    def lack_all(self, reason: Missing) -> None:
        """Nothing is known, e.g. because the GPU sleeps."""
        self._values.clear()
        self._why = dict.fromkeys(_READ, reason)
        self._missing = None

    def sample(self) -> GpuSample:
        """The row of this tick."""
        return GpuSample(self.uuid, False, *map(self._values.get, _FIELDS))  # type: ignore[arg-type]

    def missing(self) -> dict[MissingKey, Missing]:
        """Why each absent field is absent; the same object as long as nothing changes."""
        if self._missing is None:
            keys = self._keys
            self._missing = {keys[name]: reason for name, reason in self._why.items()}
        return self._missing
