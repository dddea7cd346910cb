"""The agent inside a training process: counts its steps and tokens and says what it is doing, into a file mapped to memory.

Loaded by ``sitecustomize`` beside it when torch's optimizers are, or by ``gpuwatch_track``; one file, standard library only, Python
3.9+. It adds no thread, socket, signal handler or output, never waits for a GPU and never makes a CUDA context. The hook file is made
when the first batch is asked for by a process that has an optimizer, or at the first backward or step; from then on a hook is a few
stores into memory. Any exception in it turns it off for good.

It reads from the bottom of things to the top: how the hook file lies in memory and is made; which part of a job this process is; which
model is trained; how many tokens a model is called with; the drain probe; the counters with their file and the phase; the agent, that
is what follows from what the hooks report; the hooks and the border that nothing of this crosses; and last what ``gpuwatch_track`` calls.
"""

from __future__ import annotations

import atexit
import functools
import gc
import mmap
import operator
import os
import signal
import struct
import sys
import time
import types
import weakref
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from threading import get_ident
from time import monotonic_ns
from typing import Any

__all__ = ["active", "arm", "declare", "declared_phase", "declared_step", "patch"]


# ================================================================================== the layout of the hook file, and how it is made
# ``collectors/training/layout.py`` is the contract; a test compares.

MAGIC, VERSION, SUFFIX = b"GWTR", 1, ".gw"
FILE_BYTES = 32 * 1024
IDENTITY = struct.Struct("<4sHHI qqqqq iiiiii ii qqqqqq dd 48s 16s 24s 64s 24s 16s 96s 36x")
SNAPSHOT = struct.Struct("<QQq qqqqqqqqqq qqqqqq qqqqqq d 10q 10q")
STEP, NUMBER, CRC = struct.Struct("<Qqqqqqq"), struct.Struct("<q"), struct.Struct("<I")
LIVE_WORD, SNAPSHOT_AT, RING_AT = 512 // 8, (576, 1088), 2048
STEP_BYTES = NUMBER.size + STEP.size
RING_STEPS = (FILE_BYTES - RING_AT) // STEP_BYTES

PHASE_NAMES = ("starting", "data", "forward", "backward", "optimizer", "checkpoint", "eval", "compile", "other", "ended")
PHASES = len(PHASE_NAMES)
STARTING, DATA, FORWARD, BACKWARD, OPTIMIZER, CHECKPOINT, EVAL, COMPILE, OTHER, ENDED = range(PHASES)
FLAG_DECLARED, FLAG_PROBE, FLAG_OFF, FLAG_RAISED, FLAG_SHARDED, FLAG_TRACKED = 1, 2, 4, 8, 16, 32
SNAP_LOSS, SNAP_ALLOCATOR, SNAP_NONPAD, SNAP_PROBE, SNAP_TOKENS, SNAP_SAMPLES = 1, 2, 4, 8, 16, 32
DP_ASSUMED, DP_MEGATRON, DP_MESH, DP_DECLARED, DP_SINGLE = range(5)
NONE, INPUT_IDS, INTEGERS, EMBEDS, DECLARED, LOADER, SAMPLES, HF_STATE = range(8)

SECOND = 1_000_000_000


def directories() -> list[str]:
    """Where the file may be made, best first: ``$GPUWATCH_DIR`` alone if set, else in memory, in the run directory, in /tmp."""
    told, runtime, uid = os.environ.get("GPUWATCH_DIR"), os.environ.get("XDG_RUNTIME_DIR", ""), os.geteuid()
    if told:
        return [os.path.abspath(told)]
    between = [runtime + "/gpuwatch"] if os.path.isabs(runtime) else []
    return [f"/dev/shm/gpuwatch-{uid}", *between, f"/tmp/gpuwatch-{uid}"]


_UNTRACKED: Any = {"trackfd": False} if sys.version_info >= (3, 13) else {}
"""The map needs no descriptor of its own: where Python can do without, there is none."""


def make_file(directory: str, name: str) -> mmap.mmap:
    """A new mapped file whose pages are all there; OSError if the folder is not private to this user, or the disk is full."""
    try:
        os.mkdir(directory, 0o700)
    except OSError:
        pass  # it is there already, or opening it says why it cannot be used
    folder = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        facts = os.fstat(folder)
        if facts.st_uid != os.geteuid() or facts.st_mode & 0o077:
            raise PermissionError(1, "not private to this user", directory)
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            fd = os.open(name, flags, 0o600, dir_fd=folder)
        except FileExistsError:  # this same process made it, before it replaced itself by exec
            os.unlink(name, dir_fd=folder)
            fd = os.open(name, flags, 0o600, dir_fd=folder)
        try:
            os.posix_fallocate(fd, 0, FILE_BYTES)  # a page that cannot be had later would kill the process (SIGBUS)
            return mmap.mmap(fd, FILE_BYTES, **_UNTRACKED)
        except (OSError, ValueError):
            os.unlink(name, dir_fd=folder)
            raise
        finally:
            os.close(fd)
    finally:
        os.close(folder)


def started() -> int:
    """When this process started, in clock ticks since boot: with its number it names the process for good."""
    with open("/proc/self/stat", "rb") as file:
        return int(file.read().rpartition(b")")[2].split()[19])


# ========================================================================================================== the process and its job


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


# ======================================================================================================================== the model


def own(module: Any) -> dict[str, Any]:
    """A module's own attributes, past an access that its class may have made its business."""
    return object.__getattribute__(module, "__dict__")  # type: ignore[no-any-return]


def inside(module: Any) -> Iterator[tuple[str, Any]]:
    """The module and all below it, each once, by path. Reads the plain dictionaries: users override the methods."""
    seen, waiting = set(), [("", module)]
    while waiting:
        path, each = waiting.pop()
        if id(each) not in seen:
            seen.add(id(each))
            yield path, each
            children = own(each).get("_modules") or {}
            waiting += [(path + "." + name, child) for name, child in list(children.items()) if child is not None]


def parameters_of(module: Any) -> dict[int, tuple[str, Any]]:
    """Each parameter once, with the path of the first module that holds it."""
    found: dict[int, tuple[str, Any]] = {}
    for path, each in inside(module):
        for parameter in list((own(each).get("_parameters") or {}).values()):
            if parameter is not None and not _is_lazy(parameter):
                found.setdefault(id(parameter), (path, parameter))
    return found


def _is_lazy(parameter: Any) -> bool:
    """Whether it has no shape yet (``LazyLinear``): it cannot be asked for anything."""
    return hasattr(type(parameter), "materialize")


def has_gradient(parameter: Any) -> bool:
    """Whether there is a gradient. What is computed from others has none, and asking it would have torch warn."""
    return bool(parameter.is_leaf) and parameter.grad is not None


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
    children = {id(c) for m in modules for c in list((own(m).get("_modules") or {}).values()) if c is not None}
    wanted = {id(p) for group in optimizer.param_groups for p in group["params"]} if optimizer is not None else set()
    shares: tuple[list[tuple[int, Any]], ...] = ([], [], [])
    for module in modules:
        if id(module) not in children:
            held = [(key, p, numel(p)) for key, (_, p) in parameters_of(module).items()]
            learning = [(p, size) for _, p, size in held if p.requires_grad and own(module).get("training")]
            shares[0].append((sum(size for key, _, size in held if key in wanted), module))
            shares[1].append((sum(size for p, size in learning if has_gradient(p)), module))
            shares[2].append((sum(size for _, size in learning), module))
    for share in shares:
        most = max((size for size, _ in share), default=0)
        if most:
            return [module for size, module in share if size == most][:4]
    return []


def chain(root: Any) -> list[Any]:
    """The root and, two levels down, the child that holds nearly all of it: some roots are never called, their child is."""
    found = [root]
    whole = sum(numel(p) for _, p in parameters_of(root).values())
    for _ in range(2):
        heavy = [
            child
            for child in list((own(found[-1]).get("_modules") or {}).values())
            if child is not None and sum(numel(p) for _, p in parameters_of(child).values()) >= 0.9 * whole
        ]
        if len(heavy) != 1:
            break
        found += heavy
    return found


def facts_of(modules: list[Any], length: int) -> dict[str, Any]:
    """What is known of the model: parameters, shape, floating point operations a token and how they were counted, precision.

    FLOPs a token: 6 N, where N are the parameters that multiply: all but embedding tables that are not the output matrix as well
    (PaLM, appendix B; nanoGPT). Frozen ones need no gradient of their weights: 4 N + 2 Nt with Nt of N learning (LoRA; frozen layers
    below the first that learns need less, which is not known here). Of a mixture of experts (N: ``Na``) only those active for one
    token. Attention adds 12 x layers x heads x head width x length where a Hugging Face style config tells; the full square, not the
    causal half.
    """
    torch = sys.modules["torch"]
    root = modules[0]
    held = parameters_of(root)
    tables: set[int] = set()
    matrices: set[int] = set()
    for _, module in inside(root):
        weight = (own(module).get("_parameters") or {}).get("weight")
        if weight is not None:
            (tables if issubclass(type(module), torch.nn.Embedding) else matrices).add(id(weight))
    config = next((own(m)["config"] for m in modules if own(m).get("config") is not None), None)
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


def precision_of(dtype: Any) -> str:
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


# ==================================================================================================== what the model is called with


def measure(args: Any, kwargs: Mapping[str, Any]) -> tuple[int, int, int]:
    """(tokens kind, tokens, samples) of what a model is called with or a batch is; shapes only, nothing is read or copied.

    ``input_ids`` count first; then the first tensor decides: integers of at most two dimensions are tokens, ``inputs_embeds`` are
    batch times length, other floats are samples (never call pixels tokens).
    """
    tensor: Any = kwargs.get("input_ids") if kwargs else None
    if tensor is None:
        first = args[0] if args else None
        if type(first) is sys.modules["torch"].Tensor:
            return _kind("", first)
        for value in args:
            if isinstance(value, Mapping) and "input_ids" in value:
                tensor = value["input_ids"]
                break
    if tensor is not None and _is_tensor(tensor):
        shape = tensor.shape
        return INPUT_IDS, tensor.numel(), shape[0] if len(shape) > 1 else 0
    return next((_kind(name, tensor) for name, tensor in _tensors((*args, kwargs), 2) if tensor.shape), (NONE, 0, 0))


def _kind(name: str, tensor: Any) -> tuple[int, int, int]:
    shape = tensor.shape
    if not shape:
        return NONE, 0, 0
    if name == "inputs_embeds" and len(shape) == 3:
        return EMBEDS, shape[0] * shape[1], shape[0]
    if len(shape) > 2 or tensor.is_floating_point() or tensor.is_complex() or tensor.dtype == sys.modules["torch"].bool:
        return SAMPLES, 0, shape[0]
    return INTEGERS, tensor.numel(), shape[0] if len(shape) > 1 else 0


def _is_tensor(value: Any) -> bool:
    return issubclass(type(value), sys.modules["torch"].Tensor)  # not isinstance: it asks lazy proxies for their class


def _tensors(values: Any, depth: int) -> Iterator[tuple[str, Any]]:
    for value in values:
        kind = type(value)
        if _is_tensor(value):
            yield "", value
        elif depth and issubclass(kind, Mapping):
            for name, inner in value.items():
                if _is_tensor(inner):
                    yield str(name), inner
                elif issubclass(type(inner), (list, tuple, Mapping)):
                    yield from _tensors((inner,), depth - 1)
        elif depth and issubclass(kind, (list, tuple)):
            yield from _tensors(value, depth - 1)


def unseen(call: Callable[..., Any], *args: Any) -> Any:
    """What ``call`` gives; what it asks tensors for is not reported to the script's own function modes and tensor classes."""
    past = getattr(getattr(sys.modules.get("torch"), "_C", None), "DisableTorchFunction", None)
    if past is None:  # the script declares the steps of something else
        return call(*args)
    with past():
        return call(*args)


def operations_are_seen() -> bool:
    """Whether somebody watches which operations are made (a dispatch mode, a profiler, a tracer): none may be ours then."""
    inner = sys.modules["torch"]._C
    modes = getattr(inner, "_len_torch_dispatch_stack", int)()
    return bool(modes or inner._autograd._profiler_enabled()) or inner._get_tracing_state() is not None


def padding(values: Any) -> tuple[int, int] | None:
    """(tokens, of them not padding) by an ``attention_mask`` that lies in the CPU's memory; None if there is none."""
    for value in values:
        if issubclass(type(value), Mapping) and "attention_mask" in value:
            mask = value["attention_mask"]
            if _is_tensor(mask) and len(mask.shape) == 2 and mask.device.type == "cpu" and not mask.is_floating_point():
                return mask.numel(), int(mask.sum())
    return None


# ================================================================================================================== the drain probe


class Probe:
    """Tells how long the GPU's queue was empty between two steps and what the host was doing then, without waiting for the GPU.

    After the optimizer's step an event is recorded. If that event has happened when the next forward begins, the GPU had run dry, and
    a second event marks where work comes again: the time between both is read when both have happened, some steps later. It was the
    end of the host's time between the two, so it is charged to the phases from the last one backwards. Without an event that has
    happened, the host was ahead: what it waited for has cost nothing. Where the GPU evaluated in between, nothing is said.
    """

    def __init__(self, cuda: Any, pairs: int = 4) -> None:
        self.cuda = cuda
        self.free = [(cuda.Event(enable_timing=True), cuda.Event(enable_timing=True)) for _ in range(pairs)]
        self.open: Any = None
        self.waiting: list[tuple[Any, list[tuple[int, int]]]] = []
        self.moves: list[tuple[int, int]] = []
        self.steps = self.drained = 0
        self.idle = [0] * PHASES

    def step_ended(self, phase: int, now: int) -> None:
        """The host has queued a whole step."""
        if self.cuda.is_current_stream_capturing():
            return
        while self.waiting and all(event.query() for event in self.waiting[0][0]):
            (begin, end), moves = self.waiting.pop(0)
            self.free.append((begin, end))
            self._charge(int(begin.elapsed_time(end) * 1e6), moves)
        if self.open is not None:
            self.free.append(self.open)
        self.open = self.free.pop() if self.free else None
        if self.open is not None:
            self.open[0].record()
            self.moves = [(phase, now)]

    def moved(self, phase: int, now: int) -> None:
        """The host goes on to another phase."""
        if self.open is not None and len(self.moves) < 64:
            self.moves.append((phase, now))

    def forward_begins(self, now: int, training: bool) -> None:
        """The first forward after a step begins."""
        pair, self.open = self.open, None
        if pair is None:
            return
        if training and not self.cuda.is_current_stream_capturing():
            self.steps += 1
            if pair[0].query():
                self.drained += 1
                pair[1].record()
                self.waiting.append((pair, [*self.moves, (OTHER, now)]))
                return
        self.free.append(pair)

    def _charge(self, gap: int, moves: list[tuple[int, int]]) -> None:
        for (phase, begin), (_, end) in reversed(list(zip(moves, moves[1:]))):  # noqa: RUF007 - pairwise is of Python 3.10
            part = min(gap, end - begin)
            self.idle[phase] += part
            gap -= part


# =========================================================================================== the counters, their file and the phase


AGENT_VERSION = "0.1.0"
SOON, LATER = 50_000_000, 200_000_000
"""Nanoseconds between two snapshots; between two where steps are shorter than ``SHORT_STEP``, which are not listed one by one either."""
SHORT_STEP = 2_000_000


class Counters:
    """All counters, and the file that they are written to: all stores into memory that the agent makes.

    ``mem`` is None until armed; ``off`` is True once it has given up.
    """

    # What each hook touches lies together; the dictionary that holds the rest is far more than a processor keeps at hand between two hooks.
    __slots__ = (
        *("__dict__", "off", "mem", "thread", "phase", "base", "pinned", "mark", "spent", "live", "probe", "due", "kind"),
        *("steps", "micro", "tokens", "samples", "batches", "before", "average", "declares_tokens", "declares_steps"),
    )

    def __init__(self) -> None:
        self.off = self.tracked = self.raised = False
        self.reason = ""
        self.mem: mmap.mmap | None = None
        self.live: Any = None
        self.armed = (0, 0, 0, 0, 0)
        self.thread = 0
        # phases: which, since when they are added up, and the one that the thread comes back to
        self.phase = self.base = STARTING
        self.pinned = False
        self.mark = self.due = self.sequence = self.second = 0
        self.every = SOON
        self.spent = [0] * PHASES
        # counters
        self.steps = self.micro = self.tokens = self.samples = self.eval_tokens = self.batches = 0
        self.masked = self.unmasked = self.checkpoints = self.compilations = 0
        self.number, self.kind, self.loss, self.loss_due = -1, NONE, float("nan"), True
        self.first_end = self.last_end = self.checkpoint_end = 0
        self.allocator: tuple[int, ...] | None = None
        # what they were when the last step ended
        self.before = (0,) * 5
        self.step_tokens = 0
        self.samples_before = self.samples_then = 0
        """Samples at the end of the step before the last one, and of the last one."""
        self.average = 0.0
        # what is known, and what the script itself declares
        self.known: dict[str, Any] = {}
        self.told: dict[str, Any] = {}
        self.precision = ""
        self.declares_steps = self.declares_tokens = self.declares_samples = False
        self.probe: Probe | None = None
        self.probed: Probe | None = None
        """The probe that counts, and the one that has counted: it may have been given up."""
        self.each_second: Callable[[], None] = lambda: None
        """The hooks set it."""

    # ------------------------------------------------------------------------------------------------------------- from arming to the end

    def arm(self, tracked: bool = False) -> bool:
        """Make the file, once. False: this process is not to be watched (a worker of a DataLoader), or there is no place for it."""
        if self.off or self.mem is not None:
            return not self.off
        worker = sys.modules.get("torch.utils.data._utils.worker")
        if sys.byteorder != "little" or (worker is not None and worker.get_worker_info() is not None):
            self.off = True
            return False
        ticks = started()
        name, mem = f"{os.getpid()}-{ticks}.gw", None
        for directory in directories():
            try:
                mem = make_file(directory, name)
                break
            except (OSError, ValueError) as error:
                self.reason = str(error)
        if mem is None:
            self.off = True
            return False
        now = monotonic_ns()
        self.armed = (os.getpid(), ticks, time.time_ns(), now, os.stat("/proc/self/ns/pid").st_ino)
        self.tracked, self.thread, self.reason = tracked, get_ident(), ""
        self.mark = self.second = now
        self.live, self.mem = memoryview(mem).cast("Q"), mem
        self.live[LIVE_WORD] = STARTING << 56 | now
        self.identify()
        self.publish(now)
        os.register_at_fork(after_in_child=self.forked)
        atexit.register(self.end)
        return True

    def forked(self) -> None:
        """A child has the parent's file mapped: it must never write to it.

        Nor let go of it: that would close a descriptor, whose number may be another file's by now.
        """
        self.left = self.mem, self.live
        self.off, self.mem, self.live = True, None, None

    def fail(self, where: str, error: Exception) -> None:
        """Off for good: every hook does nothing from here on."""
        self.off = True
        self.reason = attempt("", "{}: {}: {}".format, where, type(error).__name__, error)
        if self.mem is not None:
            attempt(None, self.identify)

    def end(self) -> None:
        """The interpreter runs its exit handlers. Stores into memory, nothing else."""
        if not self.off and self.mem is not None:
            attempt(None, self.say_goodbye)
        self.off = True

    def say_goodbye(self) -> None:
        """The process ends in order, or by an exception that nobody caught."""
        raised = getattr(sys, "last_type", None)
        if raised is not None:
            self.raised, self.reason = True, raised.__name__
            self.identify()
        self.pinned = False
        self.enter(ENDED)
        self.publish(monotonic_ns())

    # ------------------------------------------------------------------------------------------------------------------------- the phase

    def enter(self, phase: int) -> int:
        """The thread that trains goes on to a phase; the one it comes from. One store, and a snapshot where it may last."""
        old = self.phase
        if phase == old or self.pinned:
            return old
        now = monotonic_ns()
        self.spent[old] += now - self.mark
        self.phase, self.mark = phase, now
        self.live[LIVE_WORD] = phase << 56 | now
        if self.probe is not None:
            self.probe.moved(phase, now)
        if now > self.due or CHECKPOINT <= phase <= COMPILE:  # these may last
            self.publish(now)
        return old

    # -------------------------------------------------------------------------------------------------------------------------- the step

    def step_ended(self, tokens: int | None = None) -> None:
        """Count a step of the training. ``tokens``: all that were counted by its end, if more have been since."""
        now = monotonic_ns()
        spent, before = self.spent, self.before
        spent[self.phase] += now - self.mark
        self.mark = now
        self.steps += 1
        tokens = self.tokens if tokens is None else tokens
        self.before = after = (tokens, spent[DATA], spent[2], spent[3], spent[4])
        self.step_tokens = tokens - before[0]
        self.samples_before, self.samples_then = self.samples_then, self.samples
        if self.last_end:
            whole = now - self.last_end
            self.average += (whole - self.average) / min(self.steps, 16)
            short = self.steps > 16 and self.average < SHORT_STEP
            self.every = LATER if short else SOON
            if not short and self.mem is not None:
                at = RING_AT + self.steps % RING_STEPS * STEP_BYTES
                times = [b - a for a, b in zip(before[1:], after[1:])]
                NUMBER.pack_into(self.mem, at, 0)
                STEP.pack_into(self.mem, at + NUMBER.size, now, whole, *times, self.step_tokens)
                NUMBER.pack_into(self.mem, at, self.steps)
        else:
            self.first_end = now
        self.last_end = now
        if now >= self.second:
            self.second, self.loss_due = now + SECOND, True
            self.read_allocator()
            self.each_second()
        if self.probe is not None:
            self.try_probe(self.probe.step_ended, self.phase, now)
        if now > self.due:
            self.publish(now)

    # ----------------------------------------------------------------------------------------------------------------------- of the GPU

    def read_allocator(self) -> None:
        """Figures of the GPU memory's allocator, and the probe: only where the script itself has made a CUDA context."""
        cuda = getattr(sys.modules.get("torch"), "cuda", None)
        if cuda is None or not cuda.is_initialized():
            return
        self.allocator = attempt(None, allocator, cuda)
        if "uuid" not in self.known:
            self.known["uuid"] = attempt("", gpu_uuid, cuda)
            self.probe = self.probed = attempt(None, Probe, cuda)
            self.identify()

    def try_probe(self, call: Callable[..., None], *args: Any) -> None:
        """What goes wrong with the probe ends the probe, not the agent."""
        try:
            call(*args)
        except Exception as error:  # whatever CUDA's events raise
            if by_signal(error):
                raise
            self.probe = None
            self.identify()

    # ----------------------------------------------------------------------------------------------------------------------- the stores

    def identify(self) -> None:
        """Write who this is and what is known of it."""
        known, told = {**self.known, **self.told}, self.told
        rank, world, local, node = ranks()
        size, same, source = attempt((world, 1, DP_ASSUMED), replicas, world, known.get("mesh", {}))
        if "dp" in told:
            size, same, source = told["dp"], max(1, world // max(1, told["dp"])), DP_DECLARED
        flags = FLAG_DECLARED * (self.declares_steps or self.declares_tokens or self.declares_samples) | FLAG_PROBE * (
            self.probe is not None
        )
        flags |= FLAG_RAISED * self.raised | FLAG_OFF * (self.off and not self.raised)
        flags |= FLAG_SHARDED * bool(known.get("sharded")) | FLAG_TRACKED * self.tracked
        numbers = [
            known.get(name, 0) for name in ("parameters", "trainable", "layers", "heads", "width", "length", "flops", "total_steps")
        ]
        torch = getattr(sys.modules.get("torch"), "__version__", "")
        precision = known.get("precision") or self.precision
        texts = (
            known.get("uuid", ""),
            AGENT_VERSION,
            torch,
            known.get("model", ""),
            known.get("flops_kind", ""),
            precision,
            self.reason,
        )
        body = IDENTITY.pack(
            *(MAGIC, VERSION, IDENTITY.size + CRC.size, flags, *self.armed, rank, world, local, node, size, same, source),
            *(known.get("tokens_kind", self.kind), *numbers, *(str(text).encode("utf-8", "replace") for text in texts)),
        )
        self.store(0, body)

    def publish(self, now: int) -> None:
        """Write all counters, over the older one of the two snapshots."""
        self.spent[self.phase] += now - self.mark
        self.mark, self.due = now, now + self.every
        self.sequence += 1
        probe, kind = self.probed, self.told.get("tokens_kind", self.kind)
        flags = SNAP_LOSS * (self.loss == self.loss) | SNAP_ALLOCATOR * (self.allocator is not None)
        flags |= SNAP_NONPAD * bool(self.masked) | SNAP_PROBE * (probe is not None)
        flags |= SNAP_TOKENS * (kind not in (NONE, SAMPLES)) | SNAP_SAMPLES * bool(self.samples)
        retries, ooms, *memory = self.allocator or (0,) * 6
        body = SNAPSHOT.pack(
            *(self.sequence, now, flags, self.steps, self.micro, self.tokens, self.masked, self.unmasked, self.samples),
            *(self.eval_tokens, self.batches, self.checkpoints, self.compilations),
            *(probe.steps if probe else 0, probe.drained if probe else 0, self.number, retries, ooms, self.last_end),
            *(self.first_end, self.checkpoint_end, *memory, self.loss, *self.spent, *(probe.idle if probe else (0,) * PHASES)),
        )
        self.store(SNAPSHOT_AT[self.sequence % 2], body)

    def store(self, at: int, body: bytes) -> None:
        """A block and its checksum."""
        if self.mem is not None:
            self.mem[at : at + len(body) + CRC.size] = body + CRC.pack(zlib.crc32(body))


def allocator(cuda: Any) -> tuple[int, ...]:
    """(retries, out of memory, bytes allocated, allocated at most, reserved, inactive split) on the current GPU."""
    stats = cuda.memory_stats_as_nested_dict()
    used, reserved, split = (stats[name]["all"] for name in ("allocated_bytes", "reserved_bytes", "inactive_split_bytes"))
    return stats["num_alloc_retries"], stats["num_ooms"], used["current"], used["peak"], reserved["current"], split["current"]


def attempt(default: Any, call: Callable[..., Any], *args: Any) -> Any:
    """What ``call`` gives; ``default`` if it raises. For what is only nice to know, read of classes that are not ours."""
    try:
        return call(*args)
    except Exception as error:  # any property of a stranger's class
        if by_signal(error):
            raise
        return default


def by_signal(error: BaseException) -> bool:
    """Whether a signal handler of the script has raised this in the middle of ours (a time limit, say): then it is the script's."""
    handlers = [signal.getsignal(number) for number in signal.valid_signals()]
    handlers = [getattr(handler, "func", handler) for handler in handlers if callable(handler)]
    codes = {getattr(getattr(handler, "__func__", handler), "__code__", None) for handler in handlers}
    codes |= {getattr(vars(type(handler)).get("__call__"), "__code__", None) for handler in handlers}
    trace = error.__traceback__
    while trace is not None and trace.tb_frame.f_code not in codes:
        trace = trace.tb_next
    return trace is not None


# =============================================================================== the agent: what follows from what the hooks report


LOOK_AGAIN = frozenset((1, 3, 10, 100, 1000))
"""Steps after which what is known of the model is brought up to date."""
LONG_LOOK = 1_000_000_000
"""Nanoseconds: one look at a model of a hundred thousand modules takes seconds."""
UNCALLED = (3, 30, 300)
"""Steps in which the model was not called, after which it is looked for again, and its tokens are those of the DataLoader's batches."""
PADDING_EVERY = 16
"""One batch in so many tells how much of it is padding."""


class Agent(Counters):
    """One for the process. Each method here is what one hook calls, inside that hook's border.

    A step is the first ``step()`` of the primary optimizer (the one that steps first) after a backward, and ends when that call
    returns. The model is looked for after the first step: that is why the tokens of the first step, and only they, are not counted.
    Where an optimizer's steps cannot be seen (``torch.compile(optimizer.step)``), gradients that are gone when a backward begins tell
    that one was made. Times are those of the thread that trains.
    """

    __slots__ = (
        "backward_tokens",
        "backwards",
        "called",
        "hooked",
        "in_backward",
        "in_forward",
        "primary",
        "roots",
        "step_backwards",
    )

    def __init__(self) -> None:
        super().__init__()
        self.listen: Callable[[type], None] = lambda cls: None
        """Has the calls of a class' instances reported; the hooks set it."""
        self.made: Callable[[], bool] = lambda: False
        """Whether an optimizer has been made; the hooks set it."""
        self.in_backward = self.in_forward = self.in_checkpoint = False
        self.backwards = self.all_backwards = self.step_backwards = 0
        self.primary: Any = None
        self.hooked = self.cadence = self.called = False
        self.uncalled = 0
        self.held_back = [0, 0]
        self.backward_tokens = 0
        self.sample: Any = None
        self.tensor: Any = None
        self.tracing: Callable[[], Any] = lambda: None
        self.learning: Callable[[], bool] = lambda: False
        """Of torch, once a model has been looked for: its class of tensors, the state of its tracer, whether it keeps gradients."""
        self.like: Any = None
        self.same = (NONE, 0, 0)
        self.roots: dict[int, Any] = {}
        self.modules: list[Any] = []
        self.look_ns = 0
        self.train_iterator: Any = None
        self.last_iterator: Any = None
        self.compile_from = OTHER
        self.checkpoint_step = -1

    def mine(self) -> bool:
        """Whether this is the thread that trains: only that one has phases."""
        return get_ident() == self.thread

    def ready(self) -> bool:
        """Whether there is a file; made here only if the process has an optimizer: programs that only infer are left alone."""
        return self.mem is not None or (self.made() and self.arm())

    # ----------------------------------------------------------------------------------------------------------------------------- data

    def before_batch(self, iterator: Any) -> bool:
        """A batch is asked for. While the script evaluates, only the iterator that it trains with ends that."""
        if (self.mem is None and not self.ready()) or get_ident() != self.thread:
            return False
        if not self.hooked and self.backwards and not self.roots:
            unseen(self.look_for_model, None)
        if self.base == EVAL:
            if self.train_iterator is None or self.train_iterator() is not iterator:
                return False
            self.base = OTHER
        self.enter(DATA)
        return True

    def no_batch(self) -> None:
        """There is none left, or the dataset raised."""
        self.enter(self.base)

    def got_batch(self, iterator: Any, batch: Any, waited: bool) -> None:
        """Count it. Its tokens count only where the model itself is not seen."""
        if waited:
            self.enter(self.base)
        if self.mem is None:
            return
        self.batches += 1
        if self.base == EVAL:
            return
        if self.last_iterator is None or self.last_iterator() is not iterator:
            self.last_iterator = weakref.ref(iterator)
        if self.batches % PADDING_EVERY == 1 and self.steps:
            self.count_padding((batch,))
        if self.kind == LOADER:
            _, tokens, samples = unseen(measure, (batch,), {})
            self.tokens += 0 if self.declares_tokens else tokens
            self.samples += 0 if self.declares_samples else samples

    def count_padding(self, values: Any) -> None:
        """How much of one batch is padding, where that costs nothing."""
        found = None if operations_are_seen() else unseen(padding, values)
        if found is not None:
            self.masked += found[0]
            self.unmasked += found[1]

    # -------------------------------------------------------------------------------------------------------------------------- forward

    def before_forward(self, args: Any, kwargs: Mapping[str, Any]) -> bool:
        """The model is called, by the script and not from within itself."""
        if self.mem is None or get_ident() != self.thread or self.in_backward or self.tracing() is not None:
            return False
        self.in_forward = self.called = True
        kind, tokens, samples = self.measured(args, kwargs)
        training = self.learning()
        if self.probe is not None:
            self.try_probe(self.probe.forward_begins, monotonic_ns(), training)
        if not training:
            self.eval_tokens += tokens
            self.base = EVAL
            self.enter(EVAL)
            return True
        if self.base == EVAL:
            self.base = OTHER
        self.train_iterator = self.last_iterator
        self.micro += 1
        if self.kind == LOADER:  # its batch has been counted
            pass
        elif self.hooked or self.cadence or self.declares_steps:
            if not self.declares_tokens:
                self.tokens += tokens
            if not self.declares_samples:
                self.samples += samples
        else:  # the end of the first step is not known yet: this may belong to it
            self.held_back[0] += tokens
            self.held_back[1] += samples
        if (kind != NONE and self.kind in (NONE, LOADER)) or (kind != SAMPLES and self.kind == SAMPLES) or not self.precision:
            self.kind, self.precision = kind, attempt("", precision_of, self.known.get("dtype"))
            self.identify()
        if not self.batches and self.micro % PADDING_EVERY == 1:
            self.count_padding((*args, kwargs))
        self.enter(FORWARD)
        return True

    def measured(self, args: Any, kwargs: Mapping[str, Any]) -> tuple[int, int, int]:
        """(kind, tokens, samples) of a call; most are like the one before, and one tensor alone."""
        if len(args) == 1 and not kwargs and type(args[0]) is self.tensor:
            like = args[0].shape, args[0].dtype
            if like != self.like:
                self.like, self.same = like, measure(args, kwargs)
            return self.same
        return unseen(measure, args, kwargs)  # type: ignore[no-any-return]

    def after_forward(self) -> None:
        """It has returned or raised."""
        self.in_forward = False
        self.enter(self.base)

    # ------------------------------------------------------------------------------------------------------------------------- backward

    def before_backward(self, tensors: Any) -> int:
        """A backward begins: the phase to go back to, -1 if it is one within another or of another thread."""
        if self.mem is None and not self.arm():
            return -1
        if not self.all_backwards:
            self.thread = get_ident()
        if self.in_backward or get_ident() != self.thread:
            return -1
        if not self.hooked and self.all_backwards:
            self.keep_cadence()
        if self.base == EVAL:
            self.base = OTHER
        self.in_backward = True
        self.backwards += 1
        self.all_backwards += 1
        self.step_backwards += 1
        if self.loss_due and self.step_backwards == 1:  # once a second
            self.loss_due = False
            self.read_loss(tensors)
        return self.enter(BACKWARD)

    def after_backward(self, came_from: int) -> None:
        """It has returned or raised. That of a closure goes back into the optimizer's step."""
        self.in_backward = False
        self.backward_tokens = self.tokens
        self.enter(OPTIMIZER if came_from == OPTIMIZER else self.base)

    def read_loss(self, tensors: Any) -> None:
        """The number that backward is called on, where it lies in the CPU's memory: reading it from a GPU would wait for that."""
        if operations_are_seen():
            return
        if "loss" not in self.told and type(tensors) is sys.modules["torch"].Tensor and tensors.device.type == "cpu":
            self.loss = float(tensors.detach().item()) if tensors.numel() == 1 and tensors.is_floating_point() else self.loss

    # ------------------------------------------------------------------------------------------------------------------------ optimizer

    def before_step(self) -> None:
        """An optimizer's step begins."""
        if (self.mem is not None or self.arm()) and get_ident() == self.thread:
            if self.base == EVAL:
                self.base = OTHER
            self.enter(OPTIMIZER)

    def after_step(self, optimizer: Any) -> None:
        """An optimizer's step has returned."""
        if self.mem is None:
            return
        if get_ident() == self.thread:
            self.enter(BACKWARD if self.in_backward else self.base)
        if self.all_backwards and not self.backwards:
            return  # a second optimizer, or a second group of parameters, of the same step
        primary = self.primary() if self.primary is not None else None
        if primary is not optimizer:
            if primary is not None and self.backwards < 50:
                return
            self.primary = weakref.ref(optimizer)
        if primary is None:
            unseen(self.look_for_model, optimizer)
        if not self.hooked:
            self.hooked, self.held_back = True, [0, 0]
        if not self.declares_steps:
            self.end_step(optimizer)

    def keep_cadence(self) -> None:
        """No optimizer's step has been seen yet: was one made before this backward?"""
        if not self.roots:
            unseen(self.look_for_model, None)
        parameter = self.sample() if self.sample is not None else None
        if parameter is not None and not unseen(has_gradient, parameter) and not self.declares_steps:
            self.end_step(None, self.backward_tokens)
            if not self.cadence:
                self.cadence = True
                self.tokens += self.held_back[0]
                self.samples += self.held_back[1]

    def end_step(self, optimizer: Any = None, tokens: int | None = None) -> None:
        """A step of the training has ended. If the model has not been called in some, it is looked for again, and batches count."""
        self.backwards = self.step_backwards = 0
        self.base = OTHER if self.base == STARTING else self.base
        if self.phase == STARTING:
            self.enter(OTHER)
        self.step_ended(tokens)
        self.uncalled = 0 if self.called or self.steps == 1 else self.uncalled + 1
        self.called = False
        if self.uncalled and self.uncalled in UNCALLED:
            if self.affordable():
                unseen(self.look_for_model, optimizer)
            if self.batches and not self.declares_tokens:
                self.kind = LOADER
                self.identify()
        if self.steps in LOOK_AGAIN and (self.steps == 1 or self.affordable()):
            self.learn()

    def affordable(self) -> bool:
        """Whether another look at the model is: the last one was short, or all steps so far took a hundred times as long."""
        return self.look_ns < LONG_LOOK or self.look_ns * 100 < self.last_end - self.first_end

    # ------------------------------------------------------------------------------------------------------- checkpoints and compiling

    def before_save(self) -> bool:
        """A file is written. Several after one step are one checkpoint."""
        if self.mem is None or self.in_checkpoint or not self.mine():
            return False
        self.in_checkpoint = True
        self.checkpoints += self.checkpoint_step != self.steps
        self.checkpoint_step = self.steps
        if self.base == EVAL:
            self.base = OTHER
        self.enter(CHECKPOINT)
        return True

    def after_save(self) -> None:
        """It is written, or as much of it as the training has to wait for."""
        self.in_checkpoint = False
        self.enter(self.base)
        self.checkpoint_end = monotonic_ns()

    def compile_starts(self) -> None:
        """Dynamo compiles, for the first time or again."""
        if self.ready() and self.mine():
            self.compilations += 1
            self.compile_from = self.enter(COMPILE)

    def compile_ends(self) -> None:
        """It has compiled, or failed to."""
        if self.phase == COMPILE and self.mine():
            self.enter(self.compile_from)

    # ------------------------------------------------------------------------------------------------------------------------ the model

    def look_for_model(self, optimizer: Any) -> None:
        """Find what is trained and have its calls reported. One pass over all objects, a part of the start."""
        if "torch" not in sys.modules:
            return  # the script declares the steps of something else
        began = monotonic_ns()
        torch, self.roots, self.modules = sys.modules["torch"], {}, []
        self.tensor, self.tracing, self.learning = torch.Tensor, torch._C._get_tracing_state, torch.is_grad_enabled
        for root in find_roots(optimizer):
            found = chain(root)
            self.modules = self.modules or [weakref.ref(module) for module in found]
            for module in found:
                self.roots[id(module)] = weakref.ref(module)
                attempt(None, self.listen, type(module))  # a class that lets nothing be set goes unseen
        if self.modules:
            learning = [p for _, p in parameters_of(self.modules[0]()).values() if p.requires_grad]
            sample = next((p for p in learning if has_gradient(p)), learning[0] if learning else None)
            self.sample = weakref.ref(sample) if sample is not None else None
        self.look_ns = monotonic_ns() - began

    def learn(self) -> None:
        """Bring what is known of the model up to date."""
        modules = [module for module in (ref() for ref in self.modules) if module is not None]
        if modules:
            length = self.tokens // self.samples if self.samples else 0
            self.known.update(attempt({}, unseen, facts_of, modules, length))
        self.identify()

    # ---------------------------------------------------------------------------------------------------------- what the script declares

    def told_step(
        self, tokens: int | None, nonpad: int | None, samples: int | None, loss: float | None, number: int | None
    ) -> None:
        """The script says that a step has ended and what was in it; if the optimizer's hook has counted that one, it is not counted twice."""
        counted = self.steps > 0 and not self.declares_steps
        if tokens is not None:
            self.tokens += max(0, tokens - self.step_tokens) if counted and not self.declares_tokens else tokens
            self.declares_tokens = True
            self.told.setdefault("tokens_kind", DECLARED)
            if nonpad is not None:
                self.masked += tokens
                self.unmasked += nonpad
        if samples is not None:
            self.samples = samples + (self.samples_before if counted and not self.declares_samples else self.samples)
            self.declares_samples = True
        if loss is not None:
            self.loss = self.told["loss"] = float(loss)
        if number is not None:
            self.number = number
        if not self.declares_steps:
            self.declares_steps = True
            self.identify()
        if counted:
            self.before = (self.tokens, *self.before[1:])
        else:
            self.end_step(self.primary() if self.primary is not None else None)

    def pin(self, phase: int) -> None:
        """The script says what it is doing; the hooks do not say otherwise."""
        self.enter(phase)
        self.pinned = True

    def unpin(self) -> None:
        """It does so no more."""
        self.pinned = False
        self.base = OTHER if self.base == EVAL else self.base
        self.enter(self.base)


# =================================================================================== the hooks, and the border that nothing crosses
# Each hook begins with the compile guard, because torch.compile must trace nothing of ours, and leaves what it hooks as it was: same
# arguments, result and exception. Whatever goes wrong within a hook ends at ``safely``: the agent is off then, the training goes on.

AGENT = Agent()
"""The one of this process: ``renew`` puts another in its place."""


def _not_compiling() -> bool:
    return False


_compiling: Callable[[], bool] = _not_compiling


def safely(default: Any, call: Callable[..., Any], *args: Any) -> Any:
    """The border: what ``call`` gives; ``default`` if it raises. While it runs, Dynamo compiles nothing that runs."""
    compiler = None if _set_eval_frame is None else _set_eval_frame(None)
    try:
        return unseen(call, *args) if _function_modes() else call(*args)
    except Exception as error:  # a training without the agent is better than none
        AGENT.fail(getattr(call, "__name__", "?"), error)
        if by_signal(error):
            raise
        return default
    except BaseException:  # ctrl-C: who catches it (a notebook) trains on, and what this hook has begun will not end
        AGENT.in_forward = AGENT.in_backward = AGENT.in_checkpoint = False
        raise
    finally:
        if compiler is not None:
            _set_eval_frame(compiler)


_set_eval_frame: Any = None
_function_modes: Callable[[], int] = int
"""How many modes of the script see each function of torch that is called. (``int()`` is 0.)"""


def _pre_step(optimizer: Any, args: Any, kwargs: Any) -> None:
    if _compiling():
        return
    if not AGENT.off:
        safely(None, AGENT.before_step)


def _post_step(optimizer: Any, args: Any, kwargs: Any) -> None:
    if _compiling():
        return
    if not AGENT.off:
        safely(None, AGENT.after_step, optimizer)


def _wrapped_next(original: Callable[[Any], Any]) -> Callable[[Any], Any]:
    @functools.wraps(original)
    def advance(self: Any) -> Any:
        if _compiling():
            return original(self)
        waits = not AGENT.off and safely(False, AGENT.before_batch, self)
        try:
            batch = original(self)
        except BaseException:
            if waits:
                safely(None, AGENT.no_batch)
            _unseen(sys._getframe())
            raise
        if not AGENT.off:
            safely(None, AGENT.got_batch, self, batch, waits)
        return batch

    return advance


def _wrapped_backward(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def backward(*args: Any, **kwargs: Any) -> Any:
        if _compiling():
            return original(*args, **kwargs)
        came_from = -1 if AGENT.off else safely(-1, AGENT.before_backward, args[0] if args else None)
        try:
            return original(*args, **kwargs)
        except BaseException:
            _unseen(sys._getframe())
            raise
        finally:
            if came_from >= 0:
                safely(None, AGENT.after_backward, came_from)

    return backward


def _wrapped_save(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def save(*args: Any, **kwargs: Any) -> Any:
        if _compiling():
            return original(*args, **kwargs)
        saves = not AGENT.off and safely(False, AGENT.before_save)
        try:
            return original(*args, **kwargs)
        except BaseException:
            _unseen(sys._getframe())
            raise
        finally:
            if saves:
                safely(None, AGENT.after_save)

    return save


def _unseen(frame: Any) -> None:
    """Take the hook's frame out of the traceback of what is being raised through it (Python 3.11+): it would show in the user's log."""
    trace = getattr(sys.exc_info()[1], "__traceback__", None)
    if trace is not None and trace.tb_frame is frame:
        sys.exc_info()[1].__traceback__ = trace.tb_next  # type: ignore[union-attr]


def _compile_started(*_: Any) -> None:
    if not AGENT.off:
        safely(None, AGENT.compile_starts)


def _compile_ended(*_: Any) -> None:
    if not AGENT.off:
        safely(None, AGENT.compile_ends)


class _Gate:
    """All that a model's call needs of the agent. Pickled with the model's class (cloudpickle), it is a gate that is shut."""

    def before(self, instance: Any, given: Any) -> bool:
        """Report a call, if it is one of the trained model and not of a part of it."""
        if AGENT.off or AGENT.in_forward:
            return False
        root = AGENT.roots.get(id(instance))
        return root is not None and root() is instance and safely(False, AGENT.before_forward, *given)

    def after(self) -> None:
        """Report that it has returned or raised."""
        safely(None, AGENT.after_forward)

    def unseen(self, frame: Any) -> None:
        """Take the hook's frame out of what is being raised."""
        _unseen(frame)

    def __reduce__(self) -> Any:
        return types.SimpleNamespace, (), {"before": operator.is_, "unseen": id}


_GATE = _Gate()


def _listen_to(cls: Any) -> None:
    """Have the calls of a class' instances reported. Hooks on an instance would stop ``torch.jit.script`` and be pickled with it."""
    if cls in _listening:
        return
    _listening.add(cls)
    defined, gate = cls.__dict__.get("__call__"), _GATE
    if type(defined) not in (types.FunctionType, type(None)):
        return  # a descriptor or another object: how Python calls it is its own affair

    def above(self: Any, *args: Any, **kwargs: Any) -> Any:
        if _compiling():
            return super(cls, self).__call__(*args, **kwargs)
        reports = gate.before(self, (args, kwargs))
        try:
            return super(cls, self).__call__(*args, **kwargs)
        except BaseException:
            gate.unseen(sys._getframe())
            raise
        finally:
            if reports:
                gate.after()

    def around(self: Any, *args: Any, **kwargs: Any) -> Any:
        if _compiling():
            return defined(self, *args, **kwargs)
        reports = gate.before(self, (args, kwargs))
        try:
            return defined(self, *args, **kwargs)
        except BaseException:
            gate.unseen(sys._getframe())
            raise
        finally:
            if reports:
                gate.after()

    call: Any = functools.wraps(cls.__call__)(above if defined is None else around)
    _hide(call)
    cls.__call__ = call


_listening: Any = weakref.WeakSet()


def _hide(function: Any) -> None:
    """Have warnings count frames as if this function were not there: Python leaves out those of its import machinery, by their file."""
    function.__code__ = function.__code__.replace(co_filename="<gpuwatch, like importlib._bootstrap>")
    _skip_frames(function)


def _skip_frames(*functions: Any) -> None:
    """Have Dynamo leave these functions' frames alone where they are called from within compiled code, as it does torch's own."""
    _ours.extend(functions)
    skip: Any = getattr(sys.modules.get("torch._dynamo.decorators"), "skip_code", None)
    while _ours and skip is not None:
        skip(_ours.pop().__code__)


_ours: list[Any] = [safely, _unseen, _Gate.before, _Gate.after, _Gate.unseen]


def _optimizer_exists() -> bool:
    """Whether an optimizer has been made in this process: torch marks the class of each one when its first is made."""
    waiting = [sys.modules["torch.optim.optimizer"].Optimizer]
    while waiting:
        cls = waiting.pop()
        if getattr(cls.__dict__.get("step"), "hooked", False):
            return True
        waiting += type.__subclasses__(cls)
    return False


# ------------------------------------------------------------------------------------------------------------------ where they go in


def patch(name: str, module: Any) -> None:
    """Put the hooks into one of the watched modules; it has been executed. Without those of ``_CORE`` there is no agent."""
    if name not in _patched and not AGENT.off:
        _patched.add(name)
        if name in _CORE:
            safely(None, PATCHES[name], module)
        else:
            attempt(None, PATCHES[name], module)


def patch_loaded() -> None:
    """Put them into what has been imported unseen, and back where ``torch._dynamo.reset`` has thrown them out."""
    for name in PATCHES:
        module = sys.modules.get(name)
        if module is not None and not getattr(getattr(module, "__spec__", None), "_initializing", False):
            patch(name, module)
    dynamo: Any = sys.modules.get("torch._dynamo.callback")
    if dynamo is not None and _compile_started not in dynamo.callback_handler.start_callbacks:
        attempt(None, _patch_dynamo, dynamo)


def _patch_optimizer(module: Any) -> None:
    global _function_modes
    _function_modes = getattr(sys.modules["torch"]._C, "_len_torch_function_stack", int)
    module.register_optimizer_step_pre_hook(_pre_step)
    module.register_optimizer_step_post_hook(_post_step)
    _skip_frames(_pre_step, _post_step)


def _patch_compiler(module: Any) -> None:
    global _compiling
    _compiling = module.is_compiling


def _patch_loader(module: Any) -> None:
    _replace(module._BaseDataLoaderIter, "__next__", _wrapped_next)


def _patch_autograd(module: Any) -> None:
    _replace(module, "backward", _wrapped_backward)


def _patch_serialization(module: Any) -> None:
    save = module.save
    _replace(module, "save", _wrapped_save)
    torch = sys.modules["torch"]
    if getattr(torch, "save", None) is save:
        torch.save = module.save  # type: ignore[attr-defined]


def _patch_safetensors(module: Any) -> None:
    _replace(module, "save_file", _wrapped_save)


def _patch_checkpoint(module: Any) -> None:
    for name in ("save", "async_save"):
        if hasattr(module, name):
            _replace(module, name, _wrapped_save)


def _patch_dynamo(module: Any) -> None:
    module.callback_handler.register_start_callback(_compile_started)
    module.callback_handler.register_end_callback(_compile_ended)
    _skip_frames(_compile_started, _compile_ended)


def _patch_decorators(module: Any) -> None:
    global _set_eval_frame
    _skip_frames()
    _set_eval_frame = sys.modules["torch._C"]._dynamo.eval_frame.set_eval_frame


def _replace(owner: Any, name: str, wrapped: Callable[[Any], Any]) -> None:
    function = wrapped(getattr(owner, name))
    _hide(function)
    setattr(owner, name, function)


PATCHES: dict[str, Callable[[Any], None]] = {
    "torch.optim.optimizer": _patch_optimizer,
    "torch.compiler": _patch_compiler,
    "torch.utils.data.dataloader": _patch_loader,
    "torch.autograd": _patch_autograd,
    "torch.serialization": _patch_serialization,
    "torch._dynamo.callback": _patch_dynamo,
    "torch._dynamo.decorators": _patch_decorators,
    "safetensors.torch": _patch_safetensors,
    "torch.distributed.checkpoint": _patch_checkpoint,
}
_CORE = ("torch.optim.optimizer", "torch.compiler", "torch.utils.data.dataloader", "torch.autograd")
_patched: set[str] = set()


def renew() -> Agent:
    """An agent that knows nothing yet, in place of the one before; the hooks that are in report to it."""
    global AGENT
    AGENT = Agent()
    AGENT.listen, AGENT.made, AGENT.each_second = _listen_to, _optimizer_exists, patch_loaded
    return AGENT


renew()


# ======================================================================================================== what gpuwatch_track calls


def arm(tracked: bool = True) -> bool:
    """Attach in the middle of a program that was not started by ``gpuwatch run``; whether this process is watched now."""
    if os.environ.get("GPUWATCH_DISABLE") == "1":
        return False
    patch_loaded()
    return bool(safely(False, AGENT.arm, tracked))


def active() -> bool:
    """Whether counts go anywhere."""
    return AGENT.mem is not None and not AGENT.off


def declare(
    tokens_kind: int | None = None,
    dp: int | None = None,
    flops_per_token: float | None = None,
    parameters: int | None = None,
    total_steps: int | None = None,
    precision: str | None = None,
) -> None:
    """What the script knows of itself: it overrides what was found. ``tokens_kind``: a number of ``TokensKind``."""
    told: dict[str, object] = {"tokens_kind": tokens_kind, "dp": dp, "flops": flops_per_token, "parameters": parameters}
    told.update(total_steps=total_steps, precision=precision)
    AGENT.told.update((name, value) for name, value in told.items() if value is not None)
    if flops_per_token is not None:
        AGENT.told["flops_kind"] = "declared"
    if active():
        safely(None, AGENT.identify)


def declared_step(
    tokens: int | None = None,
    nonpad_tokens: int | None = None,
    samples: int | None = None,
    loss: float | None = None,
    step_number: int | None = None,
) -> None:
    """A step has ended, says the script: from the first such call on its counts replace those that were inferred."""
    if active():
        safely(None, AGENT.told_step, tokens, nonpad_tokens, samples, loss, step_number)


@contextmanager
def declared_phase(name: str) -> Iterator[None]:
    """The script says what it is doing (a name of ``PHASE_NAMES``, else other); hooks within do not say otherwise."""
    pinned = active() and not AGENT.pinned and AGENT.mine()
    if pinned:
        safely(None, AGENT.pin, PHASE_NAMES.index(name) if name in PHASE_NAMES else OTHER)
    try:
        yield
    finally:
        if pinned and not AGENT.off:
            safely(None, AGENT.unpin)
