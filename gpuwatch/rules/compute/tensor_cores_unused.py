"""C2: matrix products on the ordinary cores."""

from __future__ import annotations

from gpuwatch.names import Basis, Bucket, Confidence, Severity
from gpuwatch.rules.bounds import Bounds
from gpuwatch.rules.holders import serves, settled, sliced
from gpuwatch.rules.queries import of_gpus
from gpuwatch.rules.rule import rule
from gpuwatch.rules.scene import GpuSubject, JobSubject, Scene
from gpuwatch.rules.steps import attached
from gpuwatch.rules.types import CLEAR, Clear, Evidence, Finding, NotEvaluated, Verdict
from gpuwatch.rules.words import percent

ID = "tensor-cores-unused"
WINDOW = 900
_LEARNING = ("torch", "tensorflow", "jax", "accelerate", "deepspeed", "transformers", "lightning")


@rule(
    ID,
    "C2",
    "gpu",
    phase=2,
    severity=Severity.WARNING,
    confidence=Confidence.HIGH,
    window=WINDOW,
    bucket=Bucket.STALLED_SM,
    limits=(
        ("sm", 0.50, "ratio", "S14 vendor", "SM activity at least"),
        ("fp32", 0.20, "ratio", "S14 vendor", "FP32 activity at least"),
        ("tensor", 0.02, "ratio", "S14 vendor", "tensor activity below"),
        ("fp64", 0.20, "ratio", "pragmatic", "silent where FP64 activity is at least"),
        ("dram", 0.60, "ratio", "S14 vendor", "silent where DRAM activity is at least"),
        ("speedup", 2.0, "times", "S20 study", "what tensor cores are assumed to give"),
        ("busy", 0.50, "ratio", "pragmatic", "by the hook alone: busy at least"),
    ),
)
def tensor_cores_unused(gpu: GpuSubject, scene: Scene) -> Verdict:
    """A training or a model server computes in FP32, beside the tensor cores.

    Fires when over 15 minutes SM activity is at least 50 %, FP32 activity at least 20 % and tensor activity below 2 %, on a GPU that has
    tensor cores (compute capability 7.0) and in a process of PyTorch, TensorFlow or JAX; or, without GPM, when the hook says that matrix
    products run in FP32 without TF32 and the GPU is busy for half of the time. It is not guessed from power.

    Waste: time x busy share x SM activity x (1 - 1/2), "if the code is heavy in matrix products".
    Try: TF32, bfloat16 autocast, float8 on Hopper and newer (torchao, torchtitan), weights in fewer bits for servers.
    Gain: the bf16 peak of an A100 is 16 times its FP32 peak; float8 gave +28 % over bf16 with compile at 8B on 8 H100 (S20, S27); real runs
    1.5 to 3 times.
    May be wrong for FP64 and HPC codes, ray tracing, trees, and code that is bound by memory.
    Sources: S14, S20, S27.
    """
    if sliced(gpu):
        return Clear("sliced by MIG: its instances are judged")
    capability = _capability(gpu)
    if capability is not None and capability < 7.0:
        return Clear(f"no tensor cores: compute capability {gpu.gpu.compute_capability}")
    holders = scene.holders(gpu)
    if not holders:
        return CLEAR
    seconds = settled(gpu.series, scene, holders, WINDOW)
    if isinstance(seconds, NotEvaluated):
        return seconds
    series, bounds, jobs = gpu.series, Bounds(scene, ID, gpu), scene.jobs_on(gpu)
    busy, sm, tensor, fp32 = (series.mean(name, seconds) for name in ("busy", "sm", "tensor", "fp32"))
    hooked = next((rank.facts.precision for job in jobs for rank in attached(job) if rank.facts.precision), "")
    if tensor is None or sm is None or fp32 is None:
        return _by_hook(gpu, scene, hooked, busy)
    if (series.mean("fp64", seconds) or 0.0) >= bounds.most("fp64"):
        return Clear("it computes in FP64")
    if tensor >= bounds.most("tensor") or sm < bounds.least("sm") or fp32 < bounds.least("fp32"):
        return CLEAR
    if (series.mean("dram", seconds) or 0.0) >= bounds.most("dram"):
        return Clear("bound by memory")
    if not any(_learns(job) for job in jobs):
        return Clear("no program that is known to multiply matrices")
    return _finding(gpu, scene, (busy if busy is not None else 1.0, sm, tensor, fp32), hooked)


def _by_hook(gpu: GpuSubject, scene: Scene, precision: str, busy: float | None) -> Verdict:
    if not precision:
        return NotEvaluated(
            "tensor activity (GPM: Hopper or newer), or the precision by the hook", "gpuwatch run -- python train.py"
        )
    if precision != "fp32" or busy is None or busy < Bounds(scene, ID, gpu).least("busy"):
        return CLEAR
    return _finding(gpu, scene, (busy, None, None, None), precision)


def _learns(job: JobSubject) -> bool:
    known = " ".join((job.facts.command, *(p.facts.command for p in job.processes))).lower()
    return bool(job.ranks) or job.facts.kind in ("training", "inference") or any(word in known for word in _LEARNING)


def _capability(gpu: GpuSubject) -> float | None:
    try:
        return float(gpu.gpu.compute_capability)
    except ValueError:
        return None


def _finding(
    gpu: GpuSubject, scene: Scene, shares: tuple[float, float | None, float | None, float | None], precision: str
) -> Finding:
    busy, sm, tensor, fp32 = shares
    limit, speedup = scene.limits.of, scene.limits.of(ID, "speedup")
    waste = (busy if sm is None else min(busy, sm)) * (1 - 1 / speedup) * gpu.gpu.compute_fraction
    by_hook = f"{gpu.label} is busy {percent(busy)} of the time with matrix products in FP32, beside its tensor cores."
    by_gpm = (
        f"{gpu.label} computes in FP32 ({percent(fp32)} active), and its tensor cores are active {percent(tensor)} of the time."
    )
    return Finding(
        name="tensor cores unused",
        title=by_hook if tensor is None else by_gpm,
        severity=Severity.WARNING,
        confidence=Confidence.HIGH if tensor is not None else Confidence.MEDIUM,
        basis=Basis.INFERRED,
        evidence=(
            Evidence("tensor activity", percent(tensor), percent(limit(ID, "tensor")), "GPM"),
            Evidence("FP32 activity", percent(fp32), percent(limit(ID, "fp32")), "GPM"),
            Evidence("precision of matrix products", precision or "–", "tf32, bf16", "hook"),
        ),
        gpus=(gpu.id,),
        waste_gpus=waste,
        how=f"Time x busy share x SM activity x (1 - 1/{speedup:g}), if the code is heavy in matrix products.",
        try_first=_try(gpu, any(serves(job) for job in scene.jobs_on(gpu))),
        then=_then(gpu),
        gain=f"up to {waste:.1f} GPU; real runs got 1.5 to 3 times faster",
        gain_source="bf16 over FP32 peak of an A100: 312 over 19.5 TFLOP/s (S20); float8 +28 % at 8B on 8 H100 (S27)",
        wrong_if=("the code needs FP32 or FP64: HPC, physics, ray tracing, trees", "it is bound by memory"),
        bucket=Bucket.STALLED_SM,
        measured=tensor,
        sql=of_gpus("sm_active_ratio, tensor_active_ratio, fp32_active_ratio, fp64_active_ratio, dram_active_ratio", [gpu], WINDOW),
    )


def _try(gpu: GpuSubject, server: bool) -> tuple[str, ...]:
    if server:
        return ("vllm serve … --dtype bfloat16",)
    if (_capability(gpu) or 8.0) < 8.0:
        return ('torch.autocast("cuda", dtype=torch.float16)', "scaler = torch.amp.GradScaler()")
    return ('torch.set_float32_matmul_precision("high")', 'torch.autocast("cuda", dtype=torch.bfloat16)')


def _then(gpu: GpuSubject) -> str:
    eight = "; float8 (torchao.float8, torchtitan) trains, --quantization fp8 serves" if (_capability(gpu) or 0) >= 8.9 else ""
    return "Hugging Face Trainer: --bf16" + eight
