"""Simulated GPUs as entities, and the measures that their device class never gives."""

from __future__ import annotations

from gpuwatch.collectors.simulated.flat import Device, FlatTable, Instance
from gpuwatch.collectors.simulated.profiles import GPM, MIG_DEVICE, MIG_PARENT, MIG_PARENT_WITHOUT_GPM, profile_of
from gpuwatch.model import Gpu


def gpu_entity(device: Device) -> Gpu:
    """The entity of a whole GPU."""
    profile = profile_of(device.profile)
    return Gpu(
        uuid=device.uuid,
        index=device.index,
        name=device.name,
        mig_enabled=bool(device.mig),
        memory_total_bytes=device.memory or None,
        memory_reserved_bytes=device.reserved or None,
        power_limit_watts=device.power_limit / 1000 or None,
        power_limit_default_watts=device.power_default / 1000 or None,
        power_limit_max_watts=device.power_default / 1000 or None,
        sm_clock_max_hertz=device.sm_clock_max * 1_000_000 or None,
        memory_clock_max_hertz=device.mem_clock_max * 1_000_000 or None,
        pci_bus_id=_bus_id(device),
        pcie_generation_max=profile.pcie_generation or None,
        pcie_width_max=profile.pcie_width or None,
        nvlink_count=device.nvlinks or None,
        architecture=profile.architecture,
        compute_capability=profile.compute_capability,
        ecc_enabled=profile.ecc,
        persistence_mode=True,
        gpm_supported=bool(device.gpm),
    )


def instance_entity(instance: Instance, parent: Device) -> Gpu:
    """The entity of a MIG device: a GPU with a parent, weighted by its compute slices."""
    profile = profile_of(parent.profile)
    return Gpu(
        uuid=instance.uuid,
        index=instance.device,
        name=instance.name,
        parent_uuid=parent.uuid,
        mig_profile=instance.profile,
        compute_fraction=instance.slices / 7,
        memory_total_bytes=instance.memory or None,
        sm_clock_max_hertz=parent.sm_clock_max * 1_000_000 or None,
        memory_clock_max_hertz=parent.mem_clock_max * 1_000_000 or None,
        pci_bus_id=_bus_id(parent),
        architecture=profile.architecture,
        compute_capability=profile.compute_capability,
        ecc_enabled=profile.ecc,
        gpm_supported=bool(parent.gpm),
    )


def _bus_id(device: Device) -> str:
    """The PCI address as sysfs writes it."""
    return device.bdf[4:].lower()


def absent(place: str, table: FlatTable) -> frozenset[str]:
    """Measures that the driver of this device class never gives."""
    device = table.devices[int(place.partition(".")[0])]
    out = profile_of(device.profile).missing
    if not device.gpm:
        out |= GPM
    if "." in place:
        return out | MIG_DEVICE | (frozenset() if device.gpm else {"utilization_ratio"})
    if device.mig:
        return out | MIG_PARENT | (frozenset() if device.gpm else MIG_PARENT_WITHOUT_GPM)
    return out
