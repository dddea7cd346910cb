"""``docs/metrics.md``: every measured quantity with its unit, meaning, source and column, made from the model itself."""

from __future__ import annotations

from collections.abc import Mapping

from gpuwatch.ledger import facts
from gpuwatch.ledger.ratios import WASTE
from gpuwatch.ledger.types import HOLD_MS, UNUSED_MS
from gpuwatch.measure import measures
from gpuwatch.model import GpuSample, HostSample, InferenceSample, ProcessSample, RecorderSample
from gpuwatch.names import Bucket, Cause, Missing, State, Tier
from gpuwatch.training import TrainingSample
from gpuwatch.view import ledger_words as words
from gpuwatch.view.parts import PARTS
from gpuwatch.view.track import SMOOTH_MS, THROTTLED_BELOW_PM

_SAMPLES = (
    ("GPU", GpuSample, "gpu_sample"),
    ("Process", ProcessSample, "process_sample"),
    ("Host", HostSample, "host_sample"),
    ("Recorder", RecorderSample, "recorder_sample"),
    ("Training", TrainingSample, "training_sample"),
    ("Inference", InferenceSample, "inference_sample"),
)
_KINDS = {"gauge": "value", "delta": "amount since the previous row", "state": "state", "counter": "counter"}
_REASONS = {
    Missing.NOT_SUPPORTED: "this hardware, driver or kernel does not have it",
    Missing.NO_PERMISSION: "it is there, but this user may not read it",
    Missing.DRIVER_ERROR: "the driver answered with an error",
    Missing.STALE: "the source has stopped answering",
    Missing.NOT_ATTACHED: "it needs the hook inside the process, which is not attached",
}
_STATES = {
    State.BUSY: "the busy share of the last {smooth} s is one half or more; says nothing about quality",
    State.WAITING: "a process is there and the busy share of the last {smooth} s is below one half; in the past also a quiet run that ended before five minutes",
    State.THROTTLED: "busy with clocks lowered by more than {lowered} % by power, heat or a lowered limit",
    State.QUIET: "held, no work in the last {smooth} s, and not yet {hold} minutes: not named, never waste",
    State.HELD_IDLE: "held and quiet for {hold} minutes or more, counted from the start of the run",
    State.UNUSED: "quiet for {unused} minutes or more, while another GPU of the job that has it worked in the last minute",
    State.FREE: "nobody holds it",
    State.IDLE_UNATTRIBUTED: "quiet, and it cannot be known whether anybody holds it",
    State.UNAVAILABLE: "there, but it cannot be used or read",
    State.NO_DATA: "not observed",
}  # fmt: skip


def metrics_document() -> str:
    """The whole document."""
    parts = [_HEAD, *(_section(*sample) for sample in _SAMPLES), _missing(), _facts(), _states(), _ledger()]
    return "\n\n".join(parts) + "\n"


_HEAD = """\
# What is measured

Made from `gpuwatch/model.py`; do not edit. One name for a quantity everywhere: in the views of `gpuwatch query`, in JSON, CSV and
on the metrics page, with its base unit as suffix. A value that was not measured is missing, never 0, and its reason is kept.
The column is its place in the private tables, as a whole number: value x scale. Views show `_bytes` amounts since the previous
row as they are; rates a second are made when reading."""


def _section(title: str, sample_type: type, table: str) -> str:
    lines = [
        f"## {title}",
        "",
        f"Table `{table}`.",
        "",
        "| name | unit | what | kind | source | column x scale |",
        "|---|---|---|---|---|---|",
    ]
    for name, m in measures(sample_type).items():
        scale = f"{m.scale:g}" if m.scale >= 1e-3 else f"1/{1 / m.scale:.0f}"
        lines.append(f"| `{name}` | {m.unit} | {m.help} | {_KINDS[m.kind]} | {m.source} | `{m.column}` x {scale} |")
    return "\n".join(lines)


def _missing() -> str:
    lines = ["## Why a value is missing", "", "| reason | means |", "|---|---|"]
    lines += [f"| `{reason.label}` | {_REASONS[reason]} |" for reason in Missing]
    return "\n".join(lines)


def _facts() -> str:
    memory = f"{facts.CONTEXT_MEMORY_RATIO:.0%} and {facts.CONTEXT_MEMORY_BYTES // 1024**3} GiB"
    return f"""\
## Facts of each GPU row

- **quiet**: utilization below {facts.QUIET_UTILIZATION:.0%} and, where it is measured, SM activity below {facts.QUIET_SM_ACTIVE:.0%}, and no encoder or decoder.
- **context**: `process` when the driver lists a compute process, `memory_only` when more memory is in use than the larger of {memory} beyond the driver's reserve, else `none`; null when neither can be read.
- **quiet_seconds**: the length of the unbroken quiet run that ends with the row; a gap ends the run.
- **clock_ratio**: SM clock over its maximum while something lowers the clocks (heat, hardware brake, a power cap under a lowered limit), else 1.

The energy of `v_ledger_minute` is that of the time that has a bucket; where utilization is not known the time is unobserved, so its sum can be
below the energy of `v_gpu_minute`, which counts all rows."""  # fmt: skip


def _states() -> str:
    figures = {
        "smooth": f"{SMOOTH_MS // 1000}",
        "lowered": f"{(1000 - THROTTLED_BELOW_PM) / 10:g}",
        "hold": f"{HOLD_MS // 60_000}",
        "unused": f"{UNUSED_MS // 60_000}",
    }
    lines = ["## State of a GPU", "", "Made when reading, from the facts; the past is named with what is known today.", ""]
    lines += ["| state | means |", "|---|---|"]
    lines += [f"| `{state.label}` | {text.format(**figures)} |" for state, text in _STATES.items()]
    return "\n".join(lines)


def _ledger() -> str:
    lines = [
        "## Where GPU time goes",
        "",
        "Every millisecond of every GPU is in one bucket; the buckets of a span sum to its capacity. On screen they are grouped:",
        "",
        "| part | buckets | waste |",
        "|---|---|---|",
    ]
    for part in PARTS:
        buckets = ", ".join(f"`{bucket.label}`" for bucket in part.buckets)
        lines.append(f"| {part.word} | {buckets} | {'yes' if WASTE & set(part.buckets) else ''} |")
    lines += ["", "From the top down each line takes its share of what the lines above left.", "", *_table("bucket", words.BUCKETS)]
    lines += ["", "Why it waits:", "", *_table("cause", words.CAUSES), "", words.PER_CAUSE]
    lines += ["", "The evidence behind the split of busy time:", "", *_table("tier", words.TIERS), "", words.IDLE_FLOOR]
    return "\n".join([*lines, "", words.RATIOS, "", words.OWNERS])


def _table(name: str, meanings: Mapping[Bucket, str] | Mapping[Cause, str] | Mapping[Tier, str]) -> list[str]:
    rows = [f"| `{word.label}` | {meaning} |" for word, meaning in meanings.items()]
    return [f"| {name} | means |", "|---|---|", *rows]
