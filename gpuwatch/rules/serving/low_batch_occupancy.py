"""G4: a server that has requests, and too few at once."""

from __future__ import annotations

from gpuwatch.dataclass import NamedTuple
from gpuwatch.names import Basis, Bucket, Cause, Confidence, Severity
from gpuwatch.rules.looks import ServerLook
from gpuwatch.rules.observed import fractions, mean_of
from gpuwatch.rules.queries import of_job
from gpuwatch.rules.rule import rule
from gpuwatch.rules.scene import JobSubject, Scene
from gpuwatch.rules.series import Series
from gpuwatch.rules.serving.page import SOURCE, by_engine, of, page_of
from gpuwatch.rules.serving.traffic import running
from gpuwatch.rules.types import CLEAR, Clear, Evidence, Finding, NotEvaluated, Verdict
from gpuwatch.rules.words import percent

ID = "low-batch-occupancy"
WINDOW = 3600
_FEW = {
    "triton": ("dynamic_batching { }", "instance_group [ { count: 2 } ]"),
    "ollama": ("OLLAMA_NUM_PARALLEL=4",),
    "llama.cpp": ("--parallel 4",),
}
_FEW_OTHER = ("send its clients' requests at once instead of one after the other", "route to fewer replicas")
_TIMID = {
    "sglang": ("--schedule-conservativeness 0.3",),
    "vllm": ("--max-num-batched-tokens 16384",),
    "tgi": ("--max-batch-total-tokens HIGHER",),
    "llama.cpp": ("--parallel MORE",),
    "ollama": ("OLLAMA_NUM_PARALLEL=4",),
}


class _Load(NamedTuple):
    running: float
    waiting: float
    served: float
    """The share of time with at least one request."""
    dram: float | None
    power: float | None


@rule(
    ID,
    "G4",
    "job",
    phase=1,
    severity=Severity.NOTICE,
    confidence=Confidence.HIGH,
    window=WINDOW,
    bucket=Bucket.WAIT,
    limits=(
        ("running", 4, "count", "pragmatic", "fewer requests at once"),
        ("clear_running", 6, "count", "pragmatic", "it clears above"),
        ("served", 0.5, "ratio", "pragmatic", "while at least one ran in this share of an hour"),
        ("waiting", 0.5, "count", "pragmatic", "and no more than this waited"),
        ("dram", 0.5, "ratio", "S14 vendor", "with less of the memory bandwidth in use"),
        ("power", 0.5, "ratio", "pragmatic", "or less of the power between idle and limit"),
        ("queue", 100, "count", "S23 vendor", "or: so many wait"),
        ("queue_running", 0.5, "ratio", "S23 vendor", "while fewer run than this share of what may run"),
        ("queue_kv_cache", 0.9, "ratio", "S23 vendor", "and the KV cache has room"),
    ),
)
def low_batch_occupancy(job: JobSubject, scene: Scene) -> Verdict:
    """A server has requests, but so few at once that the GPU could serve many more in the same time.

    Fires when at least one request ran in half of an hour, fewer than 4 on average, none waited, and less than half of the memory bandwidth
    or of the power was in use; or when 100 wait while fewer than half of the places are taken and the KV cache has room (the scheduler
    is too careful).

    Waste: 1 - tokens a second / tokens a second in its best hour, times its GPUs; not told before there is a best hour.
    Try: fewer replicas, requests at once, batching where it is off.
    Gain: Triton's own example of dynamic batching: 73 to 272 inferences a second (3.7 times).
    May be wrong where a short answer is worth more than many: mute it for such a server.
    Sources: S23 (SGLang), S25 (Triton).
    """
    server = page_of(job, WINDOW, "running", "waiting")
    if isinstance(server, (Clear, NotEvaluated)):
        return server
    load = _Load(
        running=server.mean("running", WINDOW) or 0.0,
        waiting=server.mean("waiting", WINDOW) or 0.0,
        served=server.share(running, WINDOW) or 0.0,
        dram=mean_of(job.gpus, "dram", WINDOW),
        power=mean_of(job.gpus, "power_fraction", WINDOW),
    )
    if _timid(job, scene, server, load):
        return _finding(job, scene, load, timid=True)
    limit = scene.limits.of(ID, "clear_running" if scene.is_open(ID, job) else "running")
    if load.served < scene.limits.of(ID, "served") or load.running >= limit or load.waiting > scene.limits.of(ID, "waiting"):
        return CLEAR
    if load.dram is None and load.power is None:
        return NotEvaluated("neither memory bandwidth (GPM) nor a power fraction of its GPUs is known")
    roomy = load.dram is not None and load.dram < scene.limits.of(ID, "dram")
    if not roomy and not (load.power is not None and load.power < scene.limits.of(ID, "power")):
        return CLEAR
    return _finding(job, scene, load, timid=False)


def _timid(job: JobSubject, scene: Scene, server: Series[ServerLook], load: _Load) -> bool:
    most, kv = job.facts.max_running_requests, server.mean("kv_cache", WINDOW)
    if not most or kv is None or load.waiting < scene.limits.of(ID, "queue"):
        return False
    return load.running < scene.limits.of(ID, "queue_running") * most and kv < scene.limits.of(ID, "queue_kv_cache")


def _lost(job: JobSubject, scene: Scene) -> float | None:
    """1 - the tokens of this hour, prompts and answers, over those of its best hour."""
    day, server = scene.job_day(job), job.server
    if day is None or not day.best_hour_tokens or server is None:
        return None
    prompt = server.total("prompt_tokens", WINDOW)
    told = [
        n
        for n in (server.total("output_tokens", WINDOW), prompt if prompt is not None else server.total("prefill_tokens", WINDOW))
        if n is not None
    ]
    return max(0.0, 1 - sum(told) / day.best_hour_tokens) if told else None


def _finding(job: JobSubject, scene: Scene, load: _Load, *, timid: bool) -> Finding:
    lost, most = _lost(job, scene), job.facts.max_running_requests
    places = f" of {most} places" if most else ""
    title = (
        f"{load.waiting:.0f} requests of {of(job)} wait while {load.running:.0f}{places} run and the KV cache has room."
        if timid
        else f"{of(job)} ran {load.running:.1f} requests at once in the last hour, and its GPUs had room for more."
    )
    fill = (
        ("memory bandwidth in use", load.dram, "dram", "GPM")
        if load.dram is not None
        else ("power used", load.power, "power", "NVML")
    )
    return Finding(
        name="few requests at once",
        title=title,
        severity=Severity.NOTICE,
        confidence=Confidence.HIGH,
        basis=Basis.INFERRED,
        evidence=(
            Evidence("requests at once", f"{load.running:.1f}", f"{scene.limits.of(ID, 'running'):.0f}", SOURCE),
            Evidence("time with a request", percent(load.served), percent(scene.limits.of(ID, "served")), SOURCE),
            Evidence(fill[0], percent(fill[1]), percent(scene.limits.of(ID, fill[2])), fill[3]),
        ),
        gpus=tuple(gpu.id for gpu in job.gpus),
        waste_gpus=None if lost is None else lost * fractions(job.gpus),
        how="(1 - tokens of this hour / tokens of its best hour) times its GPUs; no amount before it has had a best hour.",
        try_first=by_engine(job, _TIMID, _FEW_OTHER) if timid else by_engine(job, _FEW, _FEW_OTHER),
        then="fewer replicas, with their requests sent together",
        gain=f"up to {1 / (1 - lost):.1f} times the tokens"
        if lost is not None and lost < 1
        else "up to 3.7 times, in Triton's example",
        gain_source="this server's own best hour"
        if lost is not None
        else "Triton's guide: 73 to 272 inferences a second with batching (S25)",
        wrong_if=("a short answer is worth more here than many answers", "its clients ask one after the other by design"),
        bucket=Bucket.WAIT,
        cause=Cause.DEMAND,
        measured=1 - min(1.0, load.running / max(scene.limits.of(ID, "running"), 1e-9)) if not timid else None,
        sql=of_job("running_requests, waiting_requests, output_tokens_total", job, WINDOW),
    )
