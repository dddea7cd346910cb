"""How a GPU is connected now: generation and width of its PCIe link, NVLinks that are up."""

from __future__ import annotations

from gpuwatch.collectors.nvml import library as nvml
from gpuwatch.collectors.nvml.devices import Device, link_state
from gpuwatch.collectors.nvml.reasons import Readings
from gpuwatch.names import Missing

_PCIE = {
    "pcie_link_generation": "nvmlDeviceGetCurrPcieLinkGeneration",
    "pcie_link_width": "nvmlDeviceGetCurrPcieLinkWidth",
}


class Links:
    """Of one whole GPU. ``up`` is how many NVLinks were up when it was opened; ``None``: it has none, and is not asked for them."""

    def __init__(self, device: Device, readings: Readings, up: int | None) -> None:
        self._device, self._readings = device, readings
        self._up = up
        self._round: list[bool] = []
        """The NVLinks that this round has asked."""

    def read_pcie(self) -> None:
        """An idle GPU may lower its link to save power: what counts is the link while it works. A link of 0 lanes is none (vGPU)."""
        for name, call in _PCIE.items():
            code, value = self._device.number(call)
            self._readings.settle(name, nvml.NOT_SUPPORTED if code == nvml.SUCCESS and value == 0 else code, value)

    def read_next_nvlink(self) -> None:
        """Ask one NVLink more; their number is new after a whole round. All at once would be a burst of eighteen calls a GPU."""
        if self._up is not None:
            state = link_state(self._device, len(self._round))
            if state is not None:
                self._round.append(state)
            elif self._round:
                self._up, self._round = sum(self._round), []
        if self._up is None:
            self._readings.lack("nvlink_active_count", Missing.NOT_SUPPORTED)
        else:
            self._readings.put("nvlink_active_count", self._up)
