"""Which GPUs ``CUDA_VISIBLE_DEVICES`` of a process names: the same for the ledger and for the rules."""

from __future__ import annotations

from collections.abc import Collection

from gpuwatch.model import Gpu

_HIDES = ("slurm:", "pod:")
"""Jobs of schedulers that hide the devices which are not the job's."""


def named_gpus(visible: str, held: Collection[str], gpus: Collection[Gpu], *, container: str = "", job: str = "") -> set[str]:
    """The UUIDs of the GPUs that ``visible`` names, to a process that holds those with the UUIDs ``held``.

    UUIDs (or beginnings of them) mean what they say. Numbers are CUDA's own order of what this process can see: they are the
    driver's only on a host of equal, whole GPUs, outside of containers and of schedulers that hide devices, and then the GPUs that
    it holds are among them.
    """
    words = [word.strip() for word in visible.split(",")]
    if not words[0]:
        return set()
    if not words[0].isdecimal():
        return {gpu.uuid for word in words if len(word) > 4 for gpu in gpus if gpu.uuid.startswith(word)}
    whole = [gpu for gpu in gpus if not gpu.parent_uuid]
    alike = len({gpu.name for gpu in whole}) == 1 and not any(gpu.mig_enabled for gpu in whole)
    if not alike or container or job.startswith(_HIDES):
        return set()
    by_index = {str(gpu.index): gpu.uuid for gpu in whole}
    named = set[str]()
    for word in words:
        if word not in by_index:
            break  # CUDA takes none after one that it does not know
        named.add(by_index[word])
    return named if named.issuperset(held) else set()
