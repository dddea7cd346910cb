"""Model FLOPs utilization of a training with its formula, or the word why there is none.

MFU (PaLM, arXiv 2204.02311, appendix B) = tokens/s x FLOPs a token / (GPUs x dense peak of the precision).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from gpuwatch.dataclass import dataclass
from gpuwatch.format import counted, rate
from gpuwatch.peaks import TERA, dense_peak

GIGA = 1e9
_DENSE = ("6N", "6Na", "4N+2Nt", "4Na+2Nat")
"""What the agent counts without attention: all parameters trained, some of them; of a mixture of experts those active for a token."""


@dataclass(frozen=True, slots=True)
class Mfu:
    """``ratio`` with the lines of its formula, or why it is ``None``."""

    ratio: float | None = None
    terms: tuple[str, ...] = ()
    missing: str = ""


def mfu(
    tokens: float | None, facts: Mapping[str, Any], gpus: Sequence[Mapping[str, Any]], *, shared: bool, tokens_kind: str
) -> Mfu:
    """Of a job that eats ``tokens`` a second on these GPUs; ``facts`` are those of its first rank."""
    flops, precision = facts["flops_per_token"], facts["precision"]
    if not gpus:
        return Mfu(missing="no GPU is known to be its own")
    if shared:
        return Mfu(missing="another workload shares its GPU")
    if tokens is None:
        return Mfu(missing="it counts samples, no tokens" if tokens_kind == "samples" else "no tokens are counted")
    if not flops:
        return Mfu(missing="how many operations a token needs is not known")
    if not precision:
        return Mfu(missing="its precision is not known")
    peaks = [dense_peak(gpu["name"], precision) for gpu in gpus]
    unknown = next((gpu["name"] for gpu, peak in zip(gpus, peaks, strict=True) if peak is None), None)
    if unknown is not None:
        return Mfu(missing=f"the {precision} peak of {unknown or 'this GPU'} is not known")
    if any(gpu["mig_enabled"] and not gpu["parent_uuid"] for gpu in gpus):
        return Mfu(missing="its GPU is cut into MIG instances")
    parts = [gpu["compute_fraction"] if gpu["parent_uuid"] else 1.0 for gpu in gpus]
    if not all(parts):
        return Mfu(missing="what share of the GPU its MIG instance has is not known")
    peak = sum(one * part for one, part in zip(peaks, parts, strict=True) if one is not None)
    return Mfu(tokens * flops / peak, (*_above_and_below(tokens, flops, peak, gpus, peaks, parts, precision), *_made_of(facts)))


def _above_and_below(
    tokens: float,
    flops: float,
    peak: float,
    gpus: Sequence[Mapping[str, Any]],
    peaks: Sequence[float | None],
    parts: Sequence[float],
    precision: str,
) -> tuple[str, str]:
    above = f"{rate(tokens)} tok/s × {_giga(flops)} GFLOP/token = {_tera(tokens * flops)} TFLOP/s"
    kinds = set(zip(peaks, parts, strict=True))
    if len(kinds) > 1:
        return above, f"{counted(len(gpus), 'GPU')} of several kinds, {precision} dense = {_tera(peak)} TFLOP/s peak"
    one, part = next(iter(kinds))
    what = counted(len(gpus), "GPU") if part == 1 else f"{counted(len(gpus), 'MIG instance')} × {part:.3g}"
    return above, f"{what} × {_tera(one or 0.0)} TFLOP/s ({precision} dense) = {_tera(peak)} TFLOP/s peak"


def _made_of(facts: Mapping[str, Any]) -> tuple[str, ...]:
    """What the operations a token are made of, by the formula that counted them; N are the parameters that multiply."""
    flops, formula = facts["flops_per_token"], facts["flops_formula"]
    dense, _, rest = formula.partition("+12LHQT")
    layers, heads, width, length = (facts[name] for name in ("layers", "heads", "head_width", "sequence_tokens"))
    attention = 12 * layers * heads * width * length if dense != formula and layers and heads and width and length else 0
    if rest or dense not in _DENSE or (dense != formula and not attention):
        return (f"{_giga(flops)} GFLOP/token: {formula}",) if formula else ()
    active = " active" if "a" in dense else ""
    if dense.startswith("6N"):
        what = f"6 × {_billions((flops - attention) / 6)}{active} parameters"
    else:
        what = f"{_giga(flops - attention)} for{active} parameters, some of them frozen ({dense})"
    if not attention:
        return (f"{_giga(flops)} = {what}; attention is not counted: at least",)
    return f"{_giga(flops)} = {what}", f"+ 12 × {layers} layers × {heads * width} wide × {length} tokens"


def _giga(value: float) -> str:
    return f"{value / GIGA:.3g}"


def _tera(value: float) -> str:
    return f"{value / TERA:,.0f}".replace(",", " ") if value >= 10 * TERA else f"{value / TERA:.2g}"


def _billions(count: float) -> str:
    return f"{count / GIGA:.3g} G" if count >= GIGA else f"{count / 1e6:.3g} M"
