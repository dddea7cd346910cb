"""G8: 16-bit weights where 8 bits would be read in half the time."""

from __future__ import annotations

from gpuwatch.names import Basis, Confidence, Severity
from gpuwatch.rules.observed import mean_of
from gpuwatch.rules.queries import of_gpus
from gpuwatch.rules.rule import rule
from gpuwatch.rules.scene import JobSubject, Scene
from gpuwatch.rules.serving.models import quantized
from gpuwatch.rules.serving.page import SOURCE, by_engine, of, page_of
from gpuwatch.rules.types import CLEAR, Clear, Evidence, Finding, NotEvaluated, Verdict
from gpuwatch.rules.words import percent

ID = "quantisation-opportunity"
WINDOW = 3600
_TRY = {
    "vllm": ("--quantization fp8", "--kv-cache-dtype fp8"),
    "sglang": ("--quantization fp8", "--kv-cache-dtype fp8_e4m3"),
    "tgi": ("--quantize fp8",),
}


@rule(
    ID,
    "G8",
    "job",
    phase=2,
    severity=Severity.INFO,
    confidence=Confidence.MEDIUM,
    window=WINDOW,
    limits=(
        ("dram", 0.5, "ratio", "S14 vendor", "of the memory bandwidth in use, or more"),
        ("tensor", 0.3, "ratio", "pragmatic", "with the tensor cores active in less than this"),
        ("output_share", 0.5, "ratio", "pragmatic", "without GPM: generated tokens are more than this share of all"),
        ("capability", 8.9, "count", "vendor", "compute capability: FP8 from Ada and Hopper on"),
    ),
)
def quantisation_opportunity(job: JobSubject, scene: Scene) -> Verdict:
    """A server reads 16-bit weights for each token, on a GPU that computes with 8.

    Fires for vLLM, SGLang and TGI when neither the model's name nor an option tells fewer bits, compute capability is 8.9 or more, and decoding
    waits for memory: DRAM 50 % in use with tensor activity below 30 %, or (without GPM) more tokens generated than computed for prompts.

    Waste: none claimed. Never more than info: gpuwatch cannot see accuracy.
    Try: --quantization fp8 and an fp8 KV cache, or a vendor's FP8 or NVFP4 checkpoint; measure quality.
    Gain: half the memory of the weights, and up to 1.6 times the tokens.
    May be wrong if the checkpoint is quantised already and its name does not say so.
    Source: S24 (vLLM's page on FP8).
    """
    server = page_of(job, WINDOW, "output_tokens")
    if isinstance(server, (Clear, NotEvaluated)):
        return server
    other = _elsewhere(job, scene)
    if other is not None:
        return other
    dram, tensor = mean_of(job.gpus, "dram", WINDOW), mean_of(job.gpus, "tensor", WINDOW)
    output, prompt = server.total("output_tokens", WINDOW) or 0.0, server.total("prefill_tokens", WINDOW)
    if not output:
        return Clear("no traffic")
    if dram is not None and tensor is not None:
        if dram < scene.limits.of(ID, "dram") or tensor >= scene.limits.of(ID, "tensor"):
            return CLEAR
        shown = Evidence("memory bandwidth in use", percent(dram), percent(scene.limits.of(ID, "dram")), "GPM")
    elif prompt is not None:
        share = output / (output + prompt)
        if share <= scene.limits.of(ID, "output_share"):
            return CLEAR
        shown = Evidence("generated, of all tokens", percent(share), percent(scene.limits.of(ID, "output_share")), SOURCE)
    else:
        return NotEvaluated("neither GPM nor prompt tokens tell whether decoding waits for memory", job.facts.hint)
    return Finding(
        name="16-bit weights",
        title=f"{of(job)} made {output:,.0f} tokens in an hour from 16-bit weights, on GPUs that compute in FP8.",
        severity=Severity.INFO,
        confidence=Confidence.MEDIUM,
        basis=Basis.INFERRED,
        evidence=(
            shown,
            Evidence("tensor activity", percent(tensor), percent(scene.limits.of(ID, "tensor")), "GPM"),
            Evidence("compute capability", job.gpus[0].gpu.compute_capability, f"{scene.limits.of(ID, 'capability'):.1f}", "NVML"),
        ),
        gpus=tuple(gpu.id for gpu in job.gpus),
        waste_gpus=None,
        how="No amount is claimed: it is an opportunity.",
        try_first=by_engine(job, _TRY, ()),
        then="a vendor's FP8 or NVFP4 checkpoint; compare the quality of its answers first",
        gain="up to 1.6 times the tokens, and half the memory of the weights",
        gain_source="vLLM's page on FP8 (S24)",
        wrong_if=("the checkpoint is quantised and its name does not say so", "accuracy counts for more"),
        measured=None,
        sql=of_gpus("dram_active_ratio, tensor_active_ratio", job.gpus, WINDOW),
    )


def _elsewhere(job: JobSubject, scene: Scene) -> Clear | NotEvaluated | None:
    """What to say where it does not apply, or where that is not known."""
    if job.facts.engine not in _TRY or not job.gpus:
        return Clear("no option of this engine for it")
    if quantized(job.facts):
        return Clear("its weights have fewer than 16 bits")
    capabilities = [_capability(gpu.gpu.compute_capability) for gpu in job.gpus]
    if any(known is not None and known < scene.limits.of(ID, "capability") for known in capabilities):
        return Clear("its GPUs do not compute in FP8")
    if None in capabilities:
        return NotEvaluated("the compute capability of its GPUs", "gpuwatch doctor")
    if not job.facts.command and not job.facts.model:
        return NotEvaluated("its command line, which would tell its precision")
    return None


def _capability(text: str) -> float | None:
    major, _, minor = text.partition(".")
    return float(f"{major}.{minor or 0}") if major.isdigit() and (minor or "0").isdigit() else None
