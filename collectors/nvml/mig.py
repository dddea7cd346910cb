"""MIG: the instances of a GPU that is cut into slices, found anew whenever the cut may have changed."""

from __future__ import annotations

import ctypes

from gpuwatch.collectors.nvml import library as nvml
from gpuwatch.collectors.nvml.devices import Device
from gpuwatch.model import Gpu
from gpuwatch.text import clean

_MIB = 1024 * 1024
_DEFAULT_SLICES = 7


def instances(parent: Device) -> list[Device]:
    """Handles of all MIG devices of ``parent``. A missing index (NOT_FOUND) is normal, the scan goes on."""
    found = []
    for index in range(slice_count(parent)):
        handle = parent.library.binding.c_nvmlDevice_t()
        if parent.ask("nvmlDeviceGetMigDeviceHandleByIndex", index, ctypes.byref(handle)) != nvml.SUCCESS:
            continue
        device = Device(parent.library, handle, index, "", parent.bus_id, parent)
        device.uuid = device.text("nvmlDeviceGetUUID")
        gi = device.value("nvmlDeviceGetGpuInstanceId")
        ci = device.value("nvmlDeviceGetComputeInstanceId")
        device.gi = nvml.NO_INSTANCE if gi is None else gi
        device.ci = nvml.NO_INSTANCE if ci is None else ci
        if device.uuid:
            found.append(device)
    return found


def slice_count(parent: Device) -> int:
    """Into how many slices the GPU can be cut (7 on A100 and H100, 4 on smaller ones)."""
    return parent.value("nvmlDeviceGetMaxMigDeviceCount") or _DEFAULT_SLICES


def describe(device: Device, parent: Gpu, slices: int) -> Gpu:
    """The facts of one instance. Its weight is its share of compute slices, its memory what the driver gives it.

    Two compute instances of one GPU instance report the same shared memory: it must not be summed.
    """
    name = device.text("nvmlDeviceGetName")
    attributes = device.library.binding.c_nvmlDeviceAttributes()
    code = device.ask("nvmlDeviceGetAttributes_v2", ctypes.byref(attributes))
    known = code == nvml.SUCCESS
    compute = attributes.computeInstanceSliceCount if known else 0
    return Gpu(
        uuid=device.uuid,
        index=device.index,
        name=name or clean(f"{parent.name} MIG"),
        parent_uuid=parent.uuid,
        mig_profile=name.partition(" MIG ")[2],
        compute_fraction=min(1.0, compute / slices) if compute else 1.0 / slices,
        memory_total_bytes=attributes.memorySizeMB * _MIB if known and attributes.memorySizeMB else None,
        sm_clock_max_hertz=parent.sm_clock_max_hertz,
        memory_clock_max_hertz=parent.memory_clock_max_hertz,
        pci_bus_id=parent.pci_bus_id,
        architecture=parent.architecture,
        compute_capability=parent.compute_capability,
        ecc_enabled=parent.ecc_enabled,
        gpm_supported=parent.gpm_supported,
    )
