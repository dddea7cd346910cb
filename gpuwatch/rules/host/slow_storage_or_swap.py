"""B4: a job that waits for its storage, or whose host swaps."""

from __future__ import annotations

from gpuwatch.names import Basis, Bucket, Cause, Confidence, Severity
from gpuwatch.rules.bounds import Bounds
from gpuwatch.rules.holders import settled
from gpuwatch.rules.looks import ProcessLook
from gpuwatch.rules.observed import fractions, mean_of
from gpuwatch.rules.queries import of_gpus
from gpuwatch.rules.rule import rule
from gpuwatch.rules.scene import JobSubject, Scene
from gpuwatch.rules.types import CLEAR, Clear, Evidence, Finding, NotEvaluated, Verdict
from gpuwatch.rules.words import percent

ID = "slow-storage-or-swap"
WINDOW = 600
_SWAP_WINDOW = 300


@rule(
    ID,
    "B4",
    "job",
    phase=1,
    severity=Severity.WARNING,
    confidence=Confidence.MEDIUM,
    window=WINDOW,
    bucket=Bucket.WAIT,
    limits=(
        ("iowait", 0.20, "ratio", "S16 vendor", "of the CPU waited for I/O"),
        ("io_pressure", 0.20, "ratio", "pragmatic", "or some task waited for I/O for this share of the time (PSI)"),
        ("busy", 0.70, "ratio", "pragmatic", "while its GPUs are busy less than"),
        ("read_bytes", 10e6, "bytes", "pragmatic", "and the job itself reads this much a second, or hangs in I/O"),
        ("swap_in_bytes", 5e6, "bytes", "pragmatic", "or the host swaps in this much a second"),
        ("memory_pressure", 0.05, "ratio", "pragmatic", "or all tasks waited for memory for this share of the time (PSI)"),
        ("strict_io", 0.50, "ratio", "S16 vendor", "with so much I/O wait"),
        ("strict_busy", 0.10, "ratio", "S16 vendor", "and GPUs busy less than this the confidence is high"),
    ),
)
def slow_storage_or_swap(job: JobSubject, scene: Scene) -> Verdict:
    """The GPUs of a job wait while it reads from storage, or while the host swaps.

    Fires when over 10 minutes 20 % of the CPU waited for I/O (or tasks waited for I/O for 20 % of the time), the GPUs were busy less than
    70 %, and the job itself reads more than 10 MB/s or hangs in I/O; or when over 5 minutes the host swapped in more than 5 MB/s or all
    tasks waited for memory for 5 % of the time. With 50 % I/O wait and GPUs busy less than 10 % it is told with high confidence.

    Waste: time x (1 - busy), "up to".
    Try: copy the data to a local disk; fewer and larger files (shards); keep decoded samples; more memory or fewer workers when swapping.
    Gain: at most 1 / (1 - wait share).
    May be wrong if another program does the I/O: what the CPU waits for is known of the host alone.
    Sources: S1, S16.
    """
    if not job.on_gpus:
        return CLEAR
    seconds = settled(job.gpus[0].series, scene, job.on_gpus, WINDOW)
    if isinstance(seconds, NotEvaluated):
        return seconds
    busy, host, bounds = mean_of(job.gpus, "busy", seconds), scene.host, Bounds(scene, ID, job)
    if busy is None:
        return NotEvaluated("neither utilization nor GPM tells how busy its GPUs are", "gpuwatch doctor")
    iowait, pressure = host.mean("iowait", seconds), host.mean("io_pressure", seconds)
    swap, memory = host.mean("swap_in", _SWAP_WINDOW), host.mean("memory_pressure", _SWAP_WINDOW)
    if iowait is None and pressure is None and swap is None and memory is None:
        return NotEvaluated("neither I/O wait nor pressure nor swapping of the host", "gpuwatch doctor")
    swapping = (swap is not None and swap > bounds.least("swap_in_bytes")) or (memory or 0.0) >= bounds.least("memory_pressure")
    if swapping and busy < 0.95:
        first = Evidence(
            "swapped in, MB/s",
            "–" if swap is None else f"{swap / 1e6:.0f}",
            f"{bounds.plain('swap_in_bytes') / 1e6:.0f}",
            "/proc/vmstat",
        )
        second = Evidence("all tasks waited for memory", percent(memory), percent(bounds.plain("memory_pressure")), "PSI")
        return _finding(job, (first, second), busy, "the host swaps", Confidence.MEDIUM)
    waited = max(iowait or 0.0, pressure or 0.0)
    if (iowait or 0.0) < bounds.least("iowait") and (pressure or 0.0) < bounds.least("io_pressure"):
        return CLEAR
    if busy >= bounds.most("busy"):
        return CLEAR
    read, stuck = _own_reads(job, seconds)
    if read < bounds.least("read_bytes") and stuck < 0.2:
        return Clear("the host waits for I/O, but not for this job's")
    sure = waited >= bounds.plain("strict_io") and busy <= bounds.plain("strict_busy")
    first = Evidence("I/O wait of the host", percent(waited), percent(bounds.plain("iowait")), "/proc/stat, PSI")
    second = Evidence("the job's own reads, MB/s", f"{read / 1e6:.0f}", f"{bounds.plain('read_bytes') / 1e6:.0f}", "/proc")
    words = f"it reads {read / 1e6:.0f} MB/s and the host waits for I/O {percent(waited)} of the time"
    return _finding(job, (first, second), busy, words, Confidence.HIGH if sure else Confidence.MEDIUM)


def _hangs(look: ProcessLook) -> bool | None:
    return look.run_state == "D" if look.run_state else None


def _own_reads(job: JobSubject, seconds: float) -> tuple[float, float]:
    """Bytes a second that all its processes read, and the largest share of time that one of them hung in I/O."""
    read = sum(p.series.mean("read", seconds) or 0.0 for p in job.processes)
    return read, max((p.series.share(_hangs, seconds) or 0.0 for p in job.processes), default=0.0)


def _finding(job: JobSubject, why: tuple[Evidence, Evidence], busy: float, words: str, confidence: Confidence) -> Finding:
    waste = (1 - busy) * fractions(job.gpus)
    swapping = words == "the host swaps"
    advice = (
        ("DataLoader(…, num_workers=2, prefetch_factor=2)", "free -h; vmstat 1 5")
        if swapping
        else (
            "rsync -a DATA/ /local/nvme/DATA/",
            "iostat -x 1 5",
        )
    )
    return Finding(
        name="the host swaps" if swapping else "waits for storage",
        title=f"The GPUs of {job.label} are busy {percent(busy)} of the time while {words}.",
        severity=Severity.WARNING,
        confidence=confidence,
        basis=Basis.INFERRED,
        evidence=(*why, Evidence("GPU busy, mean", percent(busy), "70%", "GPM or NVML utilization")),
        gpus=tuple(gpu.id for gpu in job.gpus),
        waste_gpus=waste,
        how=f"Time x (1 - busy share {busy:.2f}) x its GPUs, an upper bound.",
        try_first=advice,
        then="fewer and larger files (tar or parquet shards), keep decoded samples; more memory, and look whether pinned memory fits",
        gain=f"up to {waste:.1f} GPU: at most 1 ÷ (1 - {1 - busy:.2f})",
        gain_source="these GPUs' own busy share",
        wrong_if=("another program does the I/O", "the reads are the first pass over data that stays in memory then"),
        bucket=Bucket.WAIT,
        cause=Cause.INPUT,
        measured=1 - busy,
        sql=of_gpus("utilization_ratio, quiet_seconds, observed_seconds", list(job.gpus), WINDOW),
    )
