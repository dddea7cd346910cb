"""G10: a model that is split over more GPUs than it needs."""

from __future__ import annotations

from gpuwatch.dataclass import NamedTuple
from gpuwatch.names import Basis, Bucket, Cause, Confidence, Severity
from gpuwatch.rules.queries import of_job
from gpuwatch.rules.rule import rule
from gpuwatch.rules.scene import JobSubject, Scene
from gpuwatch.rules.serving.models import parameters, tensor_parallel, weight_bytes
from gpuwatch.rules.serving.page import SOURCE, by_engine, of, page_of
from gpuwatch.rules.types import CLEAR, Clear, Evidence, Finding, NotEvaluated, Verdict
from gpuwatch.rules.words import GIB, gib, percent

ID = "tensor-parallel-too-wide"
WINDOW = 3600
_USABLE = 0.9
"""Of a GPU's memory, for weights and cache together."""


class _Split(NamedTuple):
    """``half``: the room for a KV cache on half the GPUs, of that on all."""

    wide: int
    weights: float
    memory: int
    running: float
    peak: float
    half: float


@rule(
    ID,
    "G10",
    "job",
    phase=2,
    severity=Severity.NOTICE,
    confidence=Confidence.MEDIUM,
    window=WINDOW,
    bucket=Bucket.WAIT,
    limits=(
        ("weights", 0.45, "ratio", "pragmatic", "weights take no more of one GPU's memory"),
        ("running", 8, "count", "pragmatic", "requests at once: throughput is what counts"),
        ("kv_cache", 0.9, "ratio", "pragmatic", "the cache's peak would fit into half the GPUs up to here"),
    ),
)
def tensor_parallel_too_wide(job: JobSubject, scene: Scene) -> Verdict:
    """A model whose weights would fit on one GPU is split over several, so each token waits for all of them.

    Fires when tensor parallelism is 2 or more (by the command line), the weights (parameters by the model's name x bytes) take at most 45 % of
    one GPU's memory, the fullest KV cache of the day would fit into half the GPUs, and 8 requests run at once on average.

    Waste: not known before it is tried: 10 to 40 % of its GPUs' time by experience.
    Try: replicas (data parallel) in place of the split. For mixtures of experts: expert parallelism with a balancer.
    Gain: up to 10 to 40 % more tokens.
    May be wrong where one answer's speed counts: a split makes it faster; and with very long contexts.
    Sources: S23 (SGLang), S24 (vLLM): both prefer data parallelism where memory allows.
    """
    wide = tensor_parallel(job.facts.command)
    server = page_of(job, WINDOW, "running")
    if isinstance(server, (Clear, NotEvaluated)):
        return server
    if wide < 2:
        return Clear("no tensor parallelism on its command line")
    memory = min((gpu.gpu.memory_total_bytes or 0 for gpu in job.gpus), default=0)
    size = parameters(job.facts)
    if size is None or not memory:
        return NotEvaluated("how many parameters its model has: its name does not say")
    weights = size * weight_bytes(job.facts)
    running = server.mean("running", WINDOW) or 0.0
    if weights > scene.limits.of(ID, "weights") * memory or running < scene.limits.of(ID, "running"):
        return CLEAR
    day = scene.job_day(job)
    peak = day.kv_cache_peak if day is not None else None
    if peak is None:
        return NotEvaluated("the fullest KV cache of the last day", job.facts.hint)
    room, half = wide * _USABLE * memory - weights, wide / 2 * _USABLE * memory - weights
    if peak * room > scene.limits.of(ID, "kv_cache") * half:
        return CLEAR
    return _finding(job, scene, _Split(wide, weights, memory, running, peak, half / room))


def _finding(job: JobSubject, scene: Scene, split: _Split) -> Finding:
    wide, weights, memory, running, peak, _ = split
    instead = {
        "vllm": (
            f"--tensor-parallel-size 1 --data-parallel-size {wide}",
            "--enable-expert-parallel --enable-eplb   # mixture of experts",
        ),
        "sglang": (f"--tp 1 --dp {wide}", f"--ep-size {wide} --enable-eplb   # mixture of experts"),
        "tgi": ("--num-shard 1", f"{wide} servers, one on each GPU"),
    }
    return Finding(
        name="split too wide",
        title=f"{of(job)} is split over {wide} GPUs; its weights, {gib(weights)}, take {percent(weights / memory)} of one.",
        severity=Severity.NOTICE,
        confidence=Confidence.MEDIUM,
        basis=Basis.INFERRED,
        evidence=(
            Evidence("weights", gib(weights), f"{scene.limits.of(ID, 'weights') * memory / GIB:.0f} GiB", "the model's name"),
            Evidence("fullest KV cache in 24 hours", percent(peak), percent(scene.limits.of(ID, "kv_cache") * split.half), SOURCE),
            Evidence("requests at once", f"{running:.1f}", f"{scene.limits.of(ID, 'running'):.0f}", SOURCE),
        ),
        gpus=tuple(gpu.id for gpu in job.gpus),
        waste_gpus=None,
        how="No amount before it is tried: a split costs what its GPUs wait for each other, 10 to 40 % by experience.",
        try_first=by_engine(job, instead, (f"{wide} servers, one on each GPU",)),
        then="half the split first, if contexts are long",
        gain="up to 10 to 40 % more tokens: test it",
        gain_source="vLLM's and SGLang's guides prefer data parallelism where memory allows (S23, S24); the range is experience",
        wrong_if=("one answer's speed is what counts", "its name tells another size than its weights have"),
        bucket=Bucket.WAIT,
        cause=Cause.PEERS,
        measured=None,
        sql=of_job("running_requests, kv_cache_max_ratio", job, 86_400, "v_workload_hour"),
    )
