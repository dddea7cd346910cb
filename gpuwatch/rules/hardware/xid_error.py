"""F6: errors that the driver reports by number (XID)."""

from __future__ import annotations

import re

from gpuwatch.names import Basis, Bucket, Confidence, Severity
from gpuwatch.rules.looks import LookEvent
from gpuwatch.rules.queries import text
from gpuwatch.rules.rule import rule
from gpuwatch.rules.scene import GpuSubject, Scene
from gpuwatch.rules.types import CLEAR, Evidence, Finding, NotEvaluated, Verdict
from gpuwatch.rules.words import span

ID = "xid-error"
HOUR = 3600
APPLICATION = frozenset((13, 31, 43, 45))
FATAL = frozenset((48, 63, 64, 74, 79, 92, 94, 95, 119, 120))
_GONE = frozenset((79, 95))
_TRY = {
    13: ("compute-sanitizer --tool memcheck COMMAND", "an invalid access of the application: the sanitizer names the kernel"),
    31: ("compute-sanitizer --tool memcheck COMMAND", "an invalid address of the application: the sanitizer names the kernel"),
    43: ("compute-sanitizer COMMAND", "the application's own error; the log of its process says more"),
    45: ("dmesg -T | grep -i xid", "a process was killed: harmless if somebody meant to"),
    48: ("nvidia-smi -q -d ECC,ROW_REMAPPER", "let its work end and reset the GPU"),
    63: ("nvidia-smi -q -d ROW_REMAPPER", "let its work end and reset the GPU, so that the row is replaced"),
    64: ("dcgmi diag -r 3", "the row could not be replaced: have the card replaced"),
    74: ("nvidia-smi nvlink -e", "look at the bridge or the switch; reset the GPUs that are linked"),
    79: ("nvidia-smi -q", "it fell off the bus: look at power and riser, then reboot the host"),
    92: ("nvidia-smi -q -d ECC", "a high rate of corrected errors: run dcgmi diag -r 3 when it is free"),
    94: ("nvidia-smi -q -d ECC,ROW_REMAPPER", "only the process that was hit must end; reset the GPU when it is free"),
    95: ("nvidia-smi -r -i INDEX", "all its processes must end; reset the GPU"),
    119: ("nvidia-bug-report.sh", "its system processor does not answer: reset the GPU, else reboot"),
    120: ("nvidia-bug-report.sh", "its system processor failed: reset the GPU, else reboot"),
}
_OTHER = ("dmesg -T | grep -i xid", "NVIDIA's XID catalogue says what the number means")
_NUMBER = re.compile(r"XID (\d+)")


@rule(
    ID,
    "F6",
    "gpu",
    phase=1,
    severity=Severity.CRITICAL,
    confidence=Confidence.HIGH,
    window=HOUR,
    bucket=Bucket.UNAVAILABLE,
    limits=(("told_seconds", HOUR, "seconds", "pragmatic", "it is told for so long after the last one"),),
    confirms_at_once=True,
)
def xid_error(gpu: GpuSubject, scene: Scene) -> Verdict:
    """The driver reported an error of the GPU by its number (XID).

    Fires once a number and hour, at once: critical for 48, 63, 64, 74, 79, 92, 94, 95, 119 and 120 (memory, links, the card itself), a warning
    for 13, 31, 43, 45 (usually the application's own) and for others. Clears an hour after the last one, and not while the GPU is unusable.

    Waste: none by itself; after 79 and 95 the GPU is unavailable until it is reset, and a run that died of it is failed-run-waste's.
    Try: by number.
    Gain: fewer runs that die.
    May be wrong where 45 follows a process that somebody killed on purpose.
    Sources: S19 (DCGM), S21 (gpud), NVIDIA's XID catalogue.
    """
    seconds = scene.limits.of(ID, "told_seconds")
    found = [(number, event) for event in scene.events_of(("xid",), 86_400, gpu) if (number := _number(event)) is not None]
    recent = [(number, event) for number, event in found if event.ts_ms > scene.t_ms - seconds * 1000]
    if not recent and gpu.now is not None and gpu.now.unavailable:
        recent = [(number, event) for number, event in found if number in _GONE]
    if not recent:
        return _nothing(gpu, scene)
    return _finding(gpu, scene, recent)


def _number(event: LookEvent) -> int | None:
    match = _NUMBER.search(event.detail)
    return int(match.group(1)) if match else None


def _nothing(gpu: GpuSubject, scene: Scene) -> Verdict:
    if gpu.gpu.parent_uuid:
        return NotEvaluated("errors are told of the whole GPU, not of a slice")
    if scene.facts.sources.get("nvml", "ok") != "ok":
        return NotEvaluated("no events from the driver", "gpuwatch doctor")
    return CLEAR


def _rank(number: int) -> int:
    return 2 if number in FATAL else 0 if number in APPLICATION else 1


def _finding(gpu: GpuSubject, scene: Scene, recent: list[tuple[int, LookEvent]]) -> Finding:
    number, event = max(recent, key=lambda one: (_rank(one[0]), one[1].ts_ms))
    same = [e for n, e in recent if n == number]
    first, then = _TRY.get(number, _OTHER)
    ago = span((scene.t_ms - event.ts_ms) / 1000)
    return Finding(
        name=f"XID {number}",
        title=f"{gpu.label} reported {event.detail} {ago} ago" + (f", {len(same)} times." if len(same) > 1 else "."),
        severity=Severity.CRITICAL if number in FATAL else Severity.WARNING,
        confidence=Confidence.HIGH,
        basis=Basis.MEASURED,
        evidence=(
            Evidence("XID", str(number), "none", "NVML events"),
            Evidence("how often in the last hour", str(len(same)), "0", "NVML events"),
            Evidence("process", f"PID {event.pid}" if event.pid else "not told", "–", "NVML events"),
        ),
        gpus=(gpu.id,),
        waste_gpus=gpu.gpu.compute_fraction if gpu.now is not None and gpu.now.unavailable else None,
        how="The whole GPU while it is unusable; else no amount: a run that died of it is failed-run-waste's.",
        try_first=(first.replace("INDEX", str(gpu.gpu.index)),),
        then=then,
        gain="runs that do not die of it",
        gain_source="NVIDIA's XID catalogue",
        wrong_if=("somebody killed the process on purpose (45)", "the application's own error (13, 31, 43)"),
        bucket=Bucket.UNAVAILABLE if number in _GONE else None,
        since_ms=same[0].ts_ms,
        sql=f"SELECT ts_ms, pid, detail FROM v_event WHERE kind = 'xid' AND gpu_uuid = {text(gpu.gpu.uuid)} ORDER BY ts_ms DESC",
    )
