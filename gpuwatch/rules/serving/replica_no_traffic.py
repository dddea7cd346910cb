"""G9: a model that is loaded and that nobody asks."""

from __future__ import annotations

from gpuwatch.names import Basis, Bucket, Confidence, Severity
from gpuwatch.rules.looks import JobDay, ServerLook
from gpuwatch.rules.observed import alone, fractions
from gpuwatch.rules.queries import of_job
from gpuwatch.rules.rule import rule
from gpuwatch.rules.scene import GpuSubject, JobSubject, Scene
from gpuwatch.rules.series import Series
from gpuwatch.rules.serving.page import SOURCE, by_engine, of, page_of
from gpuwatch.rules.serving.traffic import LONGEST, asked, since_asked, tells
from gpuwatch.rules.types import CLEAR, Clear, Evidence, Finding, NotEvaluated, Verdict
from gpuwatch.rules.words import gib, gpu_hours, gpus, percent, span

ID = "replica-no-traffic"
_TRY = {
    "vllm": (
        "curl -X POST 'localhost:{port}/sleep?level=1'   # and /wake_up; needs --enable-sleep-mode and VLLM_SERVER_DEV_MODE=1",
        "kill {pid}",
    ),
    "ollama": ("ollama stop {model}", "OLLAMA_KEEP_ALIVE=5m"),
    "llama.cpp": ("llama-server --sleep-idle-seconds 900", "kill {pid}"),
}
_OTHER = ("kill {pid}",)


@rule(
    ID,
    "G9",
    "job",
    phase=1,
    severity=Severity.WARNING,
    confidence=Confidence.HIGH,
    window=1800,
    bucket=Bucket.HELD_IDLE,
    limits=(
        ("quiet_seconds", 1800, "seconds", "S15 study", "no request, no token and none waiting for so long"),
        ("warning_seconds", 7200, "seconds", "pragmatic", "a warning from then on (two hours is the longest look back)"),
        ("day_ratio", 0.01, "ratio", "pragmatic", "or a day's tokens below this share of what its best hour would give in a day"),
        ("day_hours", 20, "hours", "pragmatic", "so much of that day was observed"),
    ),
)
def replica_no_traffic(job: JobSubject, scene: Scene) -> Verdict:
    """A model is loaded, its server is up, and nobody has asked it for half an hour.

    Fires when no request ended, ran or waited and no token was made in 30 minutes (a warning from two hours on), or when a day's tokens
    are below 1 % of what its own best hour would give in a day. Clears with the first request.

    Waste: the time since the last request times the GPUs that it holds alone.
    Try: let it sleep, let it unload, scale it to zero, or put models that are rarely asked on one GPU.
    Gain: all of it. Aegaeon found 17.7 % of GPUs serving 1.35 % of requests, and needed 82 % fewer after pooling.
    May be wrong if a replica must be there by agreement, or a cold start costs more than the wait.
    Sources: S11 (Aegaeon), S15.
    """
    window = scene.limits.of(ID, "quiet_seconds")
    server = page_of(job, window)
    if isinstance(server, (Clear, NotEvaluated)):
        return server
    told = server.share(tells, window) or 0.0
    if told < 0.9:
        return NotEvaluated("its page tells neither requests nor tokens", job.facts.hint)
    if not server.share(asked, window):
        return _quiet(job, scene, server)
    day = scene.job_day(job)
    if day is not None and (share := _of_best(day, scene)) is not None and share < scene.limits.of(ID, "day_ratio"):
        return _seldom(job, scene, day, share)
    return CLEAR


def _of_best(day: JobDay, scene: Scene) -> float | None:
    if not day.best_hour_tokens or day.tokens is None or day.observed_hours < scene.limits.of(ID, "day_hours"):
        return None
    return day.tokens / (day.best_hour_tokens * day.observed_hours)


def _quiet(job: JobSubject, scene: Scene, server: Series[ServerLook]) -> Finding:
    limit, seconds = scene.limits.of(ID, "quiet_seconds"), since_asked(server)
    mine = alone(job, scene)
    amount = fractions(mine) if job.gpus else None
    least = "at least " if seconds >= LONGEST else ""
    evidence = (
        Evidence("without a request", least + span(seconds), span(limit), SOURCE),
        Evidence("running and waiting requests", "0", "0", SOURCE),
        Evidence("GPU memory held", _held(job), "–", "NVML processes"),
    )
    return _finding(
        job,
        mine,
        severity=Severity.WARNING if seconds >= scene.limits.of(ID, "warning_seconds") else Severity.NOTICE,
        title=f"{of(job)} is loaded on {gpus(job.gpus) if job.gpus else 'the CPU'} and had no request for {least}{span(seconds)}.",
        evidence=evidence,
        amount=amount,
        how=f"The time since the last request times the GPUs that it holds alone: {gpu_hours(seconds * (amount or 0.0))}.",
        measured=1.0,
        since_ms=round(scene.t_ms - seconds * 1000),
        cost=seconds * amount if amount is not None else None,
    )


def _seldom(job: JobSubject, scene: Scene, day: JobDay, share: float) -> Finding:
    mine = alone(job, scene)
    amount = fractions(mine) * (1 - share) if job.gpus else None
    return _finding(
        job,
        mine,
        severity=Severity.NOTICE,
        title=f"{of(job)} made {percent(share)} of the tokens in a day that its best hour would have made.",
        evidence=(
            Evidence("of its best hour's rate", f"{100 * share:.1f}%", percent(scene.limits.of(ID, "day_ratio")), SOURCE),
            Evidence("tokens in a day", f"{day.tokens or 0:,.0f}", "–", SOURCE),
            Evidence("tokens in its best hour", f"{day.best_hour_tokens or 0:,.0f}", "–", SOURCE),
        ),
        amount=amount,
        how="(1 - the share of its best hour's rate) times the GPUs that it holds alone.",
        measured=1 - share,
        since_ms=None,
        cost=None,
    )


def _finding(
    job: JobSubject,
    mine: tuple[GpuSubject, ...],
    *,
    severity: Severity,
    title: str,
    evidence: tuple[Evidence, ...],
    amount: float | None,
    how: str,
    measured: float,
    since_ms: int | None,
    cost: float | None,
) -> Finding:
    f = job.facts
    known = {"port": f.port or "PORT", "pid": f.root_pid, "model": f.model or "MODEL"}
    return Finding(
        name="replica without traffic",
        title=title,
        severity=severity,
        confidence=Confidence.HIGH,
        basis=Basis.MEASURED,
        evidence=evidence,
        gpus=tuple(gpu.id for gpu in job.gpus),
        waste_gpus=amount,
        how=how,
        try_first=tuple(line.format(**known) for line in by_engine(job, _TRY, _OTHER)),
        then="scale it to zero (KEDA, HPA), or put models that are rarely asked on one GPU",
        gain="all of it for as long as nobody asks" if mine else "the memory that it holds",
        gain_source="this server's own counters; pooling took 82 % of the GPUs from models that few ask (S11)",
        wrong_if=("a replica must be there by agreement", "loading it again takes longer than a user would wait"),
        bucket=Bucket.HELD_IDLE,
        measured=measured,
        since_ms=since_ms,
        cost_gpu_seconds=cost,
        sql=of_job("requests_total, output_tokens_total, running_requests", job, 7200),
    )


def _held(job: JobSubject) -> str:
    amounts = [memory for p in job.on_gpus if p.now for memory, _ in p.now.gpus.values() if memory is not None]
    return gib(sum(amounts)) if amounts else "–"
