"""G11: single answers that could be drafted ahead."""

from __future__ import annotations

from gpuwatch.names import Basis, Confidence, Severity
from gpuwatch.rules.observed import mean_of
from gpuwatch.rules.queries import of_job
from gpuwatch.rules.rule import rule
from gpuwatch.rules.scene import JobSubject, Scene
from gpuwatch.rules.serving.page import SOURCE, by_engine, of, page_of
from gpuwatch.rules.serving.traffic import running
from gpuwatch.rules.serving.waiting import mean_seconds
from gpuwatch.rules.types import CLEAR, Clear, Evidence, Finding, NotEvaluated, Verdict
from gpuwatch.rules.words import percent

ID = "speculation-opportunity"
WINDOW = 3600
_TRY = {
    "vllm": (
        """--speculative-config '{"method":"mtp","num_speculative_tokens":1}'   # models with such a head, else method eagle3""",
    ),
    "sglang": ("--speculative-num-steps 1 --speculative-num-draft-tokens 2",),
    "tgi": ("--speculate 2",),
}
_OTHER = ("a draft model or multi-token prediction, where this server has it",)


@rule(
    ID,
    "G11",
    "job",
    phase=3,
    severity=Severity.INFO,
    confidence=Confidence.LOW,
    window=WINDOW,
    limits=(
        ("running", 4, "count", "S22 study", "no more requests at once"),
        ("served", 0.5, "ratio", "pragmatic", "while at least one ran in this share of an hour"),
        ("dram", 0.5, "ratio", "S14 vendor", "of the memory bandwidth in use, or more"),
        ("tensor", 0.15, "ratio", "pragmatic", "with the tensor cores active in less than this"),
        ("itl_seconds", 0.04, "seconds", "S31 vendor", "the mean time between tokens is above this"),
    ),
)
def speculation_opportunity(job: JobSubject, scene: Scene) -> Verdict:
    """Few ask at once, each token waits for memory, and the tensor cores have time to check drafts.

    Fires when at most 4 requests run, DRAM is 50 % in use with tensor activity below 15 %, tokens come more slowly than 25 a second, and nothing
    is drafted.

    Waste: none claimed.
    Try: multi-token prediction (MTP) or EAGLE3 for the model's family; look at spec-decode-unprofitable afterwards.
    Gain: up to 1.8 times (DeepSeek-V3 with MTP), at few requests only: with many it costs tokens.
    May be wrong where load comes in bursts.
    Sources: S22 (vLLM recipes); DeepSeek-V3's report.
    """
    server = page_of(job, WINDOW, "running")
    if isinstance(server, (Clear, NotEvaluated)):
        return server
    drafted = server.total("draft_tokens", WINDOW)
    if drafted or "--specul" in job.facts.command:
        return Clear("it drafts tokens: spec-decode-unprofitable judges it")
    at_once, itl = server.mean("running", WINDOW) or 0.0, mean_seconds(server.looks(WINDOW), "itl")
    if at_once > scene.limits.of(ID, "running") or (server.share(running, WINDOW) or 0.0) < scene.limits.of(ID, "served"):
        return CLEAR
    dram, tensor = mean_of(job.gpus, "dram", WINDOW), mean_of(job.gpus, "tensor", WINDOW)
    if dram is None or tensor is None:
        return NotEvaluated("memory bandwidth and tensor activity (GPM, Hopper and newer)")
    if itl is None:
        return NotEvaluated("its page does not tell times between tokens", job.facts.hint)
    slow = itl > scene.limits.of(ID, "itl_seconds")
    if not slow or dram < scene.limits.of(ID, "dram") or tensor >= scene.limits.of(ID, "tensor"):
        return CLEAR
    return Finding(
        name="could speculate",
        title=f"{of(job)} runs {at_once:.1f} requests at once, {1 / itl:.0f} tokens a second each"
        + (", and drafts none." if drafted is not None else ", and no option of it asks for drafts."),
        severity=Severity.INFO,
        confidence=Confidence.LOW,
        basis=Basis.INFERRED,
        evidence=(
            Evidence("requests at once", f"{at_once:.1f}", f"{scene.limits.of(ID, 'running'):.0f}", SOURCE),
            Evidence("memory bandwidth in use", percent(dram), percent(scene.limits.of(ID, "dram")), "GPM"),
            Evidence("mean time between tokens", f"{itl:.3f} s", f"{scene.limits.of(ID, 'itl_seconds'):g} s", SOURCE),
        ),
        gpus=tuple(gpu.id for gpu in job.gpus),
        waste_gpus=None,
        how="No amount is claimed: it is an opportunity.",
        try_first=by_engine(job, _TRY, _OTHER),
        then="look at spec-decode-unprofitable afterwards: with many requests it costs tokens",
        gain="up to 1.8 times the speed of one answer, while few ask",
        gain_source="DeepSeek-V3 with multi-token prediction; vLLM's recipes (S22)",
        wrong_if=("load comes in bursts, in which drafts cost tokens",),
        measured=None,
        sql=of_job("running_requests, itl_sum_seconds, itl_count_total, drafts_total", job, WINDOW),
    )
