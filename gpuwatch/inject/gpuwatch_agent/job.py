"""Which part of a job this process is: its rank, how many see the same tokens, its GPU."""

from __future__ import annotations

import functools
import operator
import os
import sys
from collections.abc import Mapping
from typing import Any

from .hookfile import DP_ASSUMED, DP_MEGATRON, DP_MESH, DP_SINGLE


def ranks() -> tuple[int, int, int, int]:
    """(rank, world size, rank on this host, number of the host): of torch.distributed where it runs, else of the launcher."""
    environ = os.environ

    def number(*names: str, default: int) -> int:
        return next((int(environ[name]) for name in names if environ.get(name, "").isdigit()), default)

    dist = sys.modules.get("torch.distributed")
    if dist is not None and dist.is_available() and dist.is_initialized():
        rank, world = dist.get_rank(), dist.get_world_size()
    else:
        rank = number("RANK", "OMPI_COMM_WORLD_RANK", default=0)
        world = number("WORLD_SIZE", "OMPI_COMM_WORLD_SIZE", default=1)
    local = number("LOCAL_RANK", "OMPI_COMM_WORLD_LOCAL_RANK", "SLURM_LOCALID" if world > 1 else "LOCAL_RANK", default=rank)
    return rank, world, local, number("GROUP_RANK", default=0)


def replicas(world: int, mesh: Mapping[str, int]) -> tuple[int, int, int]:
    """(data-parallel size, how many ranks see the same tokens, how that is known).

    By Megatron's groups, else by the names of the mesh's dimensions, else each rank is taken for a replica: assumed. Tensor-parallel
    ranks see the same tokens; context-parallel ones share them out; of pipeline stages only the first sees any.
    """
    if world <= 1:
        return 1, 1, DP_SINGLE
    state = sys.modules.get("megatron.core.parallel_state")
    if state is not None and state.model_parallel_is_initialized():
        return state.get_data_parallel_world_size(), state.get_tensor_model_parallel_world_size(), DP_MEGATRON
    data = [size for name, size in mesh.items() if name.startswith(("dp", "fsdp", "ddp", "hsdp", "data", "replicate", "shard"))]
    others = [size for name, size in mesh.items() if name.startswith(("tp", "pp", "cp", "ep", "sp", "tensor"))]
    if not data or len(data) + len(others) < len(mesh):
        return world, 1, DP_ASSUMED
    same = [size for name, size in mesh.items() if name.startswith(("tp", "tensor"))]
    return functools.reduce(operator.mul, data), functools.reduce(operator.mul, same, 1), DP_MESH


def mesh_of(parameter: Any) -> dict[str, int]:
    """The named dimensions, with their sizes, of the whole device mesh on a part of which a parameter lies; empty if on none."""
    mesh = getattr(parameter, "device_mesh", None)
    if mesh is None:
        return {}
    meshes: Any = getattr(sys.modules["torch.distributed.device_mesh"], "_mesh_resources", None)
    whole = meshes.get_root_mesh(mesh) if hasattr(meshes, "get_root_mesh") else getattr(mesh, "_root_mesh", None)
    mesh = whole or mesh
    return dict(zip(mesh.mesh_dim_names or (), mesh.mesh.shape))


def gpu_uuid(cuda: Any) -> str:
    """Of the GPU, or the MIG slice, that this process computes on: indices mean nothing outside of it."""
    place: int = cuda.current_device()
    visible = os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",")
    if place < len(visible) and visible[place].strip().startswith("MIG-"):
        return visible[place].strip()
    uuid = str(getattr(cuda.get_device_properties(place), "uuid", ""))
    return f"GPU-{uuid}" if uuid and not uuid.startswith("GPU-") else uuid
