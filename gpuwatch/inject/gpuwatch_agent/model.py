"""Which model is trained, and what is known of it: parameters, shape, floating point operations a token, precision."""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator
from typing import Any

from .job import mesh_of


def inside(module: Any) -> Iterator[tuple[str, Any]]:
    """The module and all below it, each once, by path. Reads the plain dictionaries: users override the methods."""
    seen, waiting = set(), [("", module)]
    while waiting:
        path, each = waiting.pop()
        if id(each) not in seen:
            seen.add(id(each))
            yield path, each
            children = each.__dict__.get("_modules") or {}
            waiting += [(path + "." + name, child) for name, child in list(children.items()) if child is not None]


def parameters(module: Any) -> dict[int, tuple[str, Any]]:
    """Each parameter once, with the path of the first module that holds it."""
    found: dict[int, tuple[str, Any]] = {}
    for path, each in inside(module):
        for parameter in list((each.__dict__.get("_parameters") or {}).values()):
            if parameter is not None:
                found.setdefault(id(parameter), (path, parameter))
    return found


def numel(parameter: Any) -> int:
    """How many numbers a parameter has, of all shards together (FSDP, DTensor, ZeRO-3), before packing (4 bit)."""
    whole = getattr(parameter, "_unpadded_unsharded_size", None)  # FSDP 1
    if whole is not None:
        return int(whole.numel())
    packed = getattr(getattr(parameter, "quant_state", None), "shape", None)  # bitsandbytes
    if packed is not None:
        return int(packed.numel())
    return int(getattr(parameter, "ds_numel", None) or parameter.numel())  # DeepSpeed; of a DTensor it is the global number


def find_roots(optimizer: Any) -> list[Any]:
    """The outermost modules that hold the optimizer's parameters, the largest share first; equal shares all count.

    Found among all objects of the collector's lists. Frames of callers are left alone: to read a frame's variables keeps them alive.
    Where there is no optimizer to go by, or it holds copies (ZeRO, Megatron), the module with the most gradients is taken, else the one
    with the most parameters that learn.
    """
    torch = sys.modules["torch"]
    strange = tuple(
        getattr(sys.modules[name], kind)
        for name, kind in (("torch.fx", "GraphModule"), ("torch.jit", "ScriptModule"))
        if hasattr(sys.modules.get(name), kind)
    )
    verdict: dict[int, bool] = {}
    modules = []
    for thing in gc.get_objects():
        kind = type(thing)
        good = verdict.get(id(kind))
        if good is None:
            good = verdict[id(kind)] = issubclass(kind, torch.nn.Module) and not issubclass(kind, strange)
        if good:
            modules.append(thing)
    children = {id(c) for m in modules for c in list((m.__dict__.get("_modules") or {}).values()) if c is not None}
    wanted = {id(p) for group in optimizer.param_groups for p in group["params"]} if optimizer is not None else set()
    shares: tuple[list[tuple[int, Any]], ...] = ([], [], [])
    for module in modules:
        if id(module) not in children:
            held = [(key, p, numel(p)) for key, (_, p) in parameters(module).items()]
            learning = [(p, size) for _, p, size in held if p.requires_grad and module.__dict__.get("training")]
            shares[0].append((sum(size for key, _, size in held if key in wanted), module))
            shares[1].append((sum(size for p, size in learning if p.grad is not None), module))
            shares[2].append((sum(size for _, size in learning), module))
    for share in shares:
        most = max((size for size, _ in share), default=0)
        if most:
            return [module for size, module in share if size == most][:4]
    return []


def chain(root: Any) -> list[Any]:
    """The root and, two levels down, the child that holds nearly all of it: some roots are never called, their child is."""
    found = [root]
    whole = sum(numel(p) for _, p in parameters(root).values())
    for _ in range(2):
        heavy = [
            child
            for child in list((found[-1].__dict__.get("_modules") or {}).values())
            if child is not None and sum(numel(p) for _, p in parameters(child).values()) >= 0.9 * whole
        ]
        if len(heavy) != 1:
            break
        found += heavy
    return found


def facts(modules: list[Any], length: int) -> dict[str, Any]:
    """What is known of the model: parameters, shape, floating point operations a token and how they were counted, precision.

    FLOPs a token: 6 N, where N are the parameters that multiply: all but embedding tables that are not the output matrix as well
    (PaLM, appendix B; nanoGPT). Frozen ones need no gradient of their weights: 4 N + 2 Nt with Nt of N learning (LoRA; frozen layers
    below the first that learns need less, which is not known here). Of a mixture of experts (N: ``Na``) only those active for one
    token. Attention adds 12 x layers x heads x head width x length where a Hugging Face style config tells; the full square, not the
    causal half.
    """
    torch = sys.modules["torch"]
    root = modules[0]
    held = parameters(root)
    tables: set[int] = set()
    matrices: set[int] = set()
    for _, module in inside(root):
        weight = (module.__dict__.get("_parameters") or {}).get("weight")
        if weight is not None:
            (tables if issubclass(type(module), torch.nn.Embedding) else matrices).add(id(weight))
    config = next((m.__dict__["config"] for m in modules if m.__dict__.get("config") is not None), None)
    config = getattr(config, "text_config", None) or config

    def told(*names: str) -> int:
        values = (getattr(config, name, None) for name in names)
        return next((value for value in values if type(value) is int and value > 0), 0)

    layers, heads = told("num_hidden_layers", "n_layer", "n_layers"), told("num_attention_heads", "n_head", "n_heads")
    width = told("head_dim") or told("hidden_size", "n_embd", "dim", "d_model") // max(1, heads)
    experts, active = told("num_local_experts", "num_experts", "n_routed_experts"), told("num_experts_per_tok", "moe_topk")
    share = active / experts if 0 < active < experts else 1.0
    total = trainable = 0
    multiplying = learning = 0.0
    dtypes: dict[Any, int] = {}
    sharded = False
    mesh: dict[str, int] = {}
    for key, (path, parameter) in held.items():
        size = numel(parameter)
        mesh = mesh or mesh_of(parameter)
        sharded = sharded or size != parameter.numel() or hasattr(parameter, "device_mesh")
        total += size
        trainable += size * parameter.requires_grad
        dtype = getattr(getattr(parameter, "quant_state", None), "dtype", None) or parameter.dtype
        dtypes[dtype] = dtypes.get(dtype, 0) + size
        if key not in tables or key in matrices:
            part = size * (share if ".experts" in path else 1.0)
            multiplying += part
            learning += part * parameter.requires_grad
    words = ("6N" if learning == multiplying else "4N+2Nt").replace("N", "Na" if share < 1 else "N")
    flops = 4 * multiplying + 2 * learning
    if layers and heads and width and length:
        flops += 12 * layers * heads * width * length
        words += "+12LHQT"
    counts = {"parameters": total, "trainable": trainable, "layers": layers, "heads": heads, "width": width, "length": length}
    names = {"model": type(_inner(modules)).__name__, "dtype": max(dtypes, key=lambda dtype: dtypes[dtype], default=None)}
    return {**counts, **names, "flops": flops, "flops_kind": words, "sharded": sharded, "mesh": mesh}


def _inner(modules: list[Any]) -> Any:
    """The first that is no wrapper (DistributedDataParallel, OptimizedModule, a DeepSpeed engine)."""
    wrappers = ("torch.nn.parallel", "torch._dynamo", "torch.distributed", "deepspeed")
    return next((module for module in modules if not type(module).__module__.startswith(wrappers)), modules[0])


def precision(dtype: Any) -> str:
    """The word for what the model computes in: autocast's type if that is on, else its parameters'."""
    torch = sys.modules["torch"]
    try:
        kind = "cuda" if torch.cuda.is_initialized() else "cpu"
        if torch.is_autocast_enabled(kind):
            dtype = torch.get_autocast_dtype(kind)
    except (AttributeError, TypeError):  # before torch 2.4
        dtype = torch.get_autocast_gpu_dtype() if torch.is_autocast_enabled() else dtype
    word: str = str(dtype).rpartition(".")[2] if dtype is not None else ""
    if word == "float32" and torch.cuda.is_initialized() and torch.get_float32_matmul_precision() != "highest":
        return "tf32"
    return {"bfloat16": "bf16", "float16": "fp16", "float32": "fp32", "float64": "fp64"}.get(word, word)
