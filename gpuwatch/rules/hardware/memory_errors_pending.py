"""F5: memory rows that wait to be replaced, or could not be."""

from __future__ import annotations

from itertools import pairwise

from gpuwatch.dataclass import NamedTuple
from gpuwatch.names import Basis, Bucket, Confidence, Severity
from gpuwatch.rules.looks import LookEvent
from gpuwatch.rules.queries import text
from gpuwatch.rules.rule import rule
from gpuwatch.rules.scene import LASTING, GpuSubject, Scene
from gpuwatch.rules.types import CLEAR, Clear, Evidence, Finding, NotEvaluated, Verdict
from gpuwatch.rules.words import span

ID = "memory-errors-pending"


class _State(NamedTuple):
    failed: LookEvent | None
    pending: LookEvent | None
    recovery: LookEvent | None
    new_errors: int
    """Uncorrected errors that came while looks are kept."""


@rule(
    ID,
    "F5",
    "gpu",
    phase=1,
    severity=Severity.CRITICAL,
    confidence=Confidence.HIGH,
    window=60,
    bucket=Bucket.UNAVAILABLE,
    limits=(("new_errors", 1, "count", "S19 vendor", "uncorrected errors within two hours"),),
    confirms_at_once=True,
)
def memory_errors_pending(gpu: GpuSubject, scene: Scene) -> Verdict:
    """Memory of the GPU is failing: a row waits to be replaced, could not be, or an error could not be corrected.

    Fires at once: critical where a remap failed or an uncorrected error is new (within two hours), a warning where a remap waits for a
    reset or the driver asks for a recovery. It goes by what the driver told last and clears when the driver says that it is over.

    Waste: none yet; from an error that stops the GPU on, all of it ("unavailable" in the ledger).
    Try: let its work end, then reset the GPU or reboot (a pending remap applies at a reset); after a failed remap run dcgmi diag -r 3.
    Gain: no run that dies of it.
    May be wrong if the reset has happened and nobody recorded it.
    Sources: S19 (DCGM), S21 (gpud).
    """
    state = _state(gpu, scene)
    bad = state.failed or state.new_errors >= scene.limits.of(ID, "new_errors")
    if not bad and not state.pending and not state.recovery:
        return _nothing(gpu, scene)
    worst = state.failed or (None if bad else state.pending or state.recovery)
    what = (
        worst.detail
        if worst
        else f"GPU {gpu.gpu.index} had {state.new_errors} uncorrected memory error{'s' * (state.new_errors != 1)}"
    )
    told = [event for event in (state.failed, state.pending, state.recovery) if event]
    since = min((event.ts_ms for event in told), default=None)
    index = gpu.gpu.index
    return Finding(
        name="memory errors",
        title=f"{what}, {span((scene.t_ms - since) / 1000)} ago." if since is not None else f"{what} in the last 2 hours.",
        severity=Severity.CRITICAL if bad else Severity.WARNING,
        confidence=Confidence.HIGH,
        basis=Basis.MEASURED,
        evidence=(
            Evidence("rows not remapped", "yes" if state.failed else "no", "no", "NVML"),
            Evidence("rows waiting for a remap", "yes" if state.pending else "no", "no", "NVML"),
            Evidence("new uncorrected errors", str(state.new_errors), "0", "NVML ECC counters"),
        ),
        gpus=(gpu.id,),
        waste_gpus=None,
        how="No amount until the GPU fails: then the ledger books it as unavailable.",
        try_first=("dcgmi diag -r 3",)
        if state.failed
        else (f"nvidia-smi -i {index} -q -d ROW_REMAPPER,ECC", f"nvidia-smi -r -i {index}"),
        then="have it replaced" if state.failed else "let its work end first; a reboot does the same as the reset",
        gain="runs that do not die of it",
        gain_source="NVIDIA's guide to memory errors; DCGM's health checks (S19)",
        wrong_if=("it was reset since, and nobody recorded that",),
        bucket=Bucket.UNAVAILABLE,
        since_ms=since,
        sql=f"SELECT ts_ms, kind, detail FROM v_event WHERE gpu_uuid = {text(gpu.gpu.uuid)} AND kind IN ('remap_failed', 'remap_pending')",
    )


def _state(gpu: GpuSubject, scene: Scene) -> _State:
    newest: dict[str, LookEvent] = {}
    for event in scene.events_of(LASTING, float("inf"), gpu):
        newest[event.kind] = event
    standing = {kind: event for kind, event in newest.items() if event.severity > Severity.INFO}
    failed, pending, recovery = (standing.get(kind) for kind in LASTING)
    return _State(failed, pending, recovery, _new_errors(gpu))


def _new_errors(gpu: GpuSubject) -> int:
    """How many uncorrected errors came within the looks that are kept; a counter that falls was reset."""
    if gpu.now is None or not gpu.now.ecc_uncorrected:
        return 0
    counts = [look.ecc_uncorrected for look in gpu.series.looks(7200) if look.ecc_uncorrected is not None]
    return sum(max(0, after - before) for before, after in pairwise(counts))


def _nothing(gpu: GpuSubject, scene: Scene) -> Verdict:
    if gpu.now is None:
        return NotEvaluated("gap: no row in the last ten seconds", "gpuwatch doctor")
    if scene.facts.sources.get("nvml", "ok") != "ok":
        return NotEvaluated("the driver does not answer", "gpuwatch doctor")
    return CLEAR if gpu.gpu.ecc_enabled or gpu.now.ecc_uncorrected is not None else Clear("no ECC memory, or ECC is off")
