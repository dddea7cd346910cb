"""G5: answers that come later than was promised."""

from __future__ import annotations

from gpuwatch.dataclass import NamedTuple
from gpuwatch.names import Basis, Confidence, Latency, Severity
from gpuwatch.rules.looks import ServerLook
from gpuwatch.rules.queries import is_job
from gpuwatch.rules.rule import rule
from gpuwatch.rules.scene import JobSubject, Scene
from gpuwatch.rules.series import Series
from gpuwatch.rules.serving.page import SOURCE, by_engine, of, page_of
from gpuwatch.rules.serving.waiting import Percentile, buckets, mean_seconds, percentile, windows
from gpuwatch.rules.types import CLEAR, Clear, Evidence, Finding, NotEvaluated, Verdict

ID = "latency-slo-miss"
PART, PARTS = 300, 5
_WORDS = {Latency.TTFT: "first token", Latency.ITL: "next token"}
_PREFILL = {
    "vllm": ("--max-num-batched-tokens 8192", "--enable-prefix-caching"),
    "sglang": ("--schedule-policy lpm", "--chunked-prefill-size 8192"),
    "tgi": ("--max-batch-prefill-tokens HIGHER",),
    "llama.cpp": ("--ubatch-size 2048", "--cache-reuse 256"),
}
_DECODE = {
    "vllm": ("--max-num-batched-tokens 2048", "--quantization fp8"),
    "sglang": ("--chunked-prefill-size 4096", "--quantization fp8"),
    "tgi": ("--quantize fp8",),
}
_QUEUE = ("another replica", "look at kv-cache-saturated and low-batch-occupancy of this server")


class _Missed(NamedTuple):
    latency: Latency
    slo: float
    windows: int
    newest: Percentile


@rule(
    ID,
    "G5",
    "job",
    phase=1,
    severity=Severity.WARNING,
    confidence=Confidence.HIGH,
    window=PART * PARTS,
    limits=(
        ("ttft_seconds", 2.0, "seconds", "S31 vendor", "time to the first token (MLPerf's server scenario, 70B)"),
        ("itl_seconds", 0.2, "seconds", "S31 vendor", "time between two tokens (the same)"),
        ("percentile", 0.95, "ratio", "pragmatic", "of the requests (tokens) within it"),
        ("windows", 3, "count", "pragmatic", "missed in so many of five windows of five minutes"),
        ("requests", 50, "count", "pragmatic", "a window with fewer requests is not judged"),
    ),
)
def latency_slo_miss(job: JobSubject, scene: Scene) -> Verdict:
    """More than one in twenty answers of a server begins, or goes on, later than its limit allows.

    Fires when the 95th percentile of the time to the first token, or of the time between tokens, is above its limit in 3 of 5 windows of
    five minutes. Your own limits count: [inference] ttft_seconds, itl_seconds, target_ratio, or this rule's; the defaults are MLPerf's
    for a 70B model in its server scenario (interactive: 0.45 s and 0.04 s; 8B: 0.5 s and 0.03 s interactive, 2 s and 0.1 s server;
    405B: 4.5 s and 0.08 s, 6 s and 0.175 s).

    Waste: none in time; tokens beyond the limit are not what users asked for.
    Try by where the time goes: the queue (more room, another replica), prefill (larger batches of prompt tokens, prefix cache), decode
    (smaller ones, 8-bit weights, speculation while few ask).
    May be wrong by the width of a bucket: a percentile is interpolated, and the bounds of its bucket are printed beside it.
    Sources: S24 (vLLM), S31 (MLPerf).
    """
    server = page_of(job, PART * PARTS)
    if isinstance(server, (Clear, NotEvaluated)):
        return server
    judged, missed = 0, []
    for latency, name in ((Latency.TTFT, "ttft_seconds"), (Latency.ITL, "itl_seconds")):
        found = _windows(server, latency, scene)
        judged = max(judged, len(found))
        slo = scene.limits.of(ID, name)
        late = [one for one in found if one.value > slo]
        if len(late) >= scene.limits.of(ID, "windows") - (1 if scene.is_open(ID, job) else 0) and late:
            missed.append(_Missed(latency, slo, len(late), late[0]))
    if missed:
        return _finding(job, scene, server, max(missed, key=lambda one: one.newest.value / one.slo))
    if judged < scene.limits.of(ID, "windows"):
        return NotEvaluated(
            f"fewer than {scene.limits.of(ID, 'requests'):.0f} requests in most windows, or no histograms", job.facts.hint
        )
    return CLEAR


def _windows(server: Series[ServerLook], latency: Latency, scene: Scene) -> list[Percentile]:
    """The percentile of each of the five windows that has enough requests, the newest first."""
    least, ratio = scene.limits.of(ID, "requests"), scene.limits.of(ID, "percentile")
    found = [percentile(buckets(looks, latency), ratio) for looks in windows(server, PART, PARTS)]
    return [one for one in found if one is not None and one.observations >= least]


def _advice(job: JobSubject, server: Series[ServerLook], missed: _Missed) -> tuple[str, ...]:
    looks = server.looks(PART * PARTS)
    queue, ttft = mean_seconds(looks, "queue"), mean_seconds(looks, "ttft")
    if missed.latency is Latency.ITL:
        return by_engine(job, _DECODE, ("smaller batches of prompt tokens beside decoding", "8-bit weights"))
    if queue is not None and ttft and queue >= 0.5 * ttft:
        return _QUEUE
    return by_engine(job, _PREFILL, ("larger batches of prompt tokens", "a prefix cache"))


def _finding(job: JobSubject, scene: Scene, server: Series[ServerLook], missed: _Missed) -> Finding:
    which, share = _WORDS[missed.latency], scene.limits.of(ID, "percentile")
    queue = mean_seconds(server.looks(PART * PARTS), "queue")
    return Finding(
        name="answers come late",
        title=f"1 in {1 / (1 - share):.0f} waits more than {missed.newest.value:.2g} s for the {which} of {of(job)}; its limit is {missed.slo:g} s.",
        severity=Severity.WARNING,
        confidence=Confidence.HIGH,
        basis=Basis.MEASURED,
        evidence=(
            Evidence(f"p{100 * share:.0f}, time to the {which}", missed.newest.words, f"{missed.slo:g} s", SOURCE),
            Evidence(
                "5-minute windows that missed",
                f"{missed.windows} of {PARTS}",
                f"{scene.limits.of(ID, 'windows'):.0f}",
                SOURCE,
            ),
            Evidence("mean time in the queue", "–" if queue is None else f"{queue:.2g} s", "–", SOURCE),
        ),
        gpus=tuple(gpu.id for gpu in job.gpus),
        waste_gpus=None,
        how="No amount: answers beyond the limit are made, but not in time. The percentile is interpolated between its bucket's bounds.",
        try_first=_advice(job, server, missed),
        then="route long prompts and short ones to replicas of their own",
        gain="answers within the limit",
        gain_source="vLLM's guide (S24); limits: MLPerf Inference (S31), unless the configuration sets them",
        wrong_if=(
            "the limit is not this server's: set rules.latency-slo-miss.ttft_seconds",
            "the bucket that holds the percentile is wide",
        ),
        measured=None,
        sql=f"SELECT t, latency, lower_seconds, upper_seconds, count FROM v_latency_minute WHERE {is_job(job)} ORDER BY t DESC LIMIT 500",
    )
