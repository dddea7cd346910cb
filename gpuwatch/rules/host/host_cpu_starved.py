"""B3: a job that does not get the CPU time that it needs."""

from __future__ import annotations

from gpuwatch.dataclass import NamedTuple
from gpuwatch.names import Basis, Bucket, Cause, Confidence, Severity
from gpuwatch.rules.bounds import Bounds
from gpuwatch.rules.holders import serves, settled
from gpuwatch.rules.host.loaders import room
from gpuwatch.rules.observed import fractions, mean_of
from gpuwatch.rules.queries import of_gpus
from gpuwatch.rules.rule import rule
from gpuwatch.rules.scene import JobSubject, Scene
from gpuwatch.rules.types import CLEAR, Clear, Evidence, Finding, NotEvaluated, Verdict
from gpuwatch.rules.words import percent

ID = "host-cpu-starved"
WINDOW = 600
_WANTS = 0.2
"""Cores: a process that uses less has not much to do."""


class _Starved(NamedTuple):
    """Which sign it is, as a sentence about the job, and its number beside the limit."""

    words: str
    evidence: Evidence


@rule(
    ID,
    "B3",
    "job",
    phase=1,
    severity=Severity.WARNING,
    confidence=Confidence.HIGH,
    window=WINDOW,
    bucket=Bucket.WAIT,
    limits=(
        ("throttled", 0.10, "ratio", "S24 vendor", "of the periods of its control group were throttled"),
        ("steal", 0.05, "ratio", "pragmatic", "or the hypervisor took this share of the CPU"),
        ("load_per_core", 1.5, "ratio", "pragmatic", "or so many tasks want each core"),
        ("busy", 0.75, "ratio", "pragmatic", "while its GPUs are busy less than"),
        ("throttled_busy", 0.95, "ratio", "pragmatic", "throttled or stolen from: while they are busy less than"),
        ("server_cores", 2, "count", "S24 vendor", "a vLLM server needs this many cores and one for each GPU"),
    ),
)
def host_cpu_starved(job: JobSubject, scene: Scene) -> Verdict:
    """The processes of a job do not get the CPU time that they want.

    Fires when over 10 minutes their control group was throttled in 10 % of its periods, or the hypervisor took 5 % of the CPU, or more than
    1.5 tasks wanted each core while the GPUs were busy less than 75 %; at once where a vLLM server has fewer cores than 2 + its GPUs.

    Processes that use less than a fifth of a core do not want more: a host that is busy with others' work is no matter of theirs.

    Waste: time x (1 - busy); too few cores alone are a cause without an amount.
    Try: a larger CPU request; OMP_NUM_THREADS = cores / ranks; end the neighbour.
    Gain: not quantified; the vLLM guide says "significantly".
    May be wrong if a short burst of compiling is behind it.
    Sources: S24; Princeton's tools warn of the opposite, too many cores for a GPU.
    """
    if not job.on_gpus:
        return CLEAR
    busy = mean_of(job.gpus, "busy", WINDOW)
    if (few := _too_few_for_server(job, scene)) is not None:
        return _finding(job, scene, few, busy, None)
    seconds = settled(job.gpus[0].series, scene, job.on_gpus, WINDOW)
    if isinstance(seconds, NotEvaluated):
        return seconds
    if busy is None:
        return NotEvaluated("neither utilization nor GPM tells how busy its GPUs are", "gpuwatch doctor")
    throttled = max((v for p in job.processes if (v := p.series.mean("cpu_throttled", seconds)) is not None), default=None)
    load, cores = scene.host.mean("load", seconds), scene.host_facts.cpu_count
    used = [v for p in job.processes if (v := p.series.mean("cpu", seconds)) is not None]
    if used and max(used) < _WANTS and not throttled:
        return Clear("its processes use next to no CPU")
    starved = _signs(
        Bounds(scene, ID, job),
        busy,
        throttled,
        scene.host.mean("steal", seconds),
        load / cores if load is not None and cores else None,
    )
    if starved is not None:
        return _finding(job, scene, starved, busy, (1 - busy) * fractions(job.gpus))
    if throttled is None and (load is None or any(p.facts.container for p in job.on_gpus)):
        return NotEvaluated("the CPU limits of its container are not visible", "mount /sys/fs/cgroup read-only")
    return CLEAR


def _signs(bounds: Bounds, busy: float, throttled: float | None, steal: float | None, wanted: float | None) -> _Starved | None:
    limit = bounds.plain
    if busy < bounds.most("throttled_busy"):
        if throttled is not None and throttled > bounds.least("throttled"):
            words = f"was kept from the CPU by its limit in {percent(throttled)} of the periods"
            evidence = Evidence(
                "throttled periods of its control group", percent(throttled), percent(limit("throttled")), "cgroup cpu.stat"
            )
            return _Starved(words, evidence)
        if steal is not None and steal > bounds.least("steal"):
            words = f"shares a host of whose CPU {percent(steal)} went to other virtual machines"
            return _Starved(words, Evidence("steal", percent(steal), percent(limit("steal")), "/proc/stat"))
    if wanted is not None and wanted > bounds.least("load_per_core") and busy < bounds.most("busy"):
        words = f"shares a host on which {wanted:.1f} tasks want each core"
        return _Starved(words, Evidence("tasks a core", f"{wanted:.1f}", f"{limit('load_per_core'):g}", "/proc/loadavg"))
    return None


def _too_few_for_server(job: JobSubject, scene: Scene) -> _Starved | None:
    cores = scene.host_facts.cpu_count
    if not serves(job) or job.facts.engine != "vllm" or not cores:
        return None
    needed = int(scene.limits.of(ID, "server_cores")) + len(job.gpus)
    if cores >= needed:
        return None
    evidence = Evidence("cores of the host", str(cores), str(needed), "/proc; vLLM: 2 + GPUs")
    gpus = "1 GPU" if len(job.gpus) == 1 else f"{len(job.gpus)} GPUs"
    return _Starved(f"is a vLLM server on {gpus} of a host with {cores} cores", evidence)


def _finding(job: JobSubject, scene: Scene, starved: _Starved, busy: float | None, waste: float | None) -> Finding:
    cores = scene.host_facts.cpu_count
    each = min(room(scene) or 8, max(1, (cores or 8) // max(1, len(job.on_gpus))))
    host = scene.host.mean("cpu", WINDOW)
    return Finding(
        name="short of CPU",
        title=f"{job.label} {starved.words}" + (f"; its GPUs were busy {percent(busy)} of the time." if busy is not None else "."),
        severity=Severity.WARNING,
        confidence=Confidence.HIGH,
        basis=Basis.INFERRED,
        evidence=(
            starved.evidence,
            Evidence("GPU busy, mean", percent(busy), percent(scene.limits.of(ID, "busy")), "GPM or NVML utilization"),
            Evidence("CPU of the host", percent(host), "–", "/proc/stat"),
        ),
        gpus=tuple(gpu.id for gpu in job.gpus),
        waste_gpus=waste,
        how="No amount: what too few cores cost is not known before more are there."
        if waste is None
        else "Time x (1 - busy share) x its GPUs, an upper bound.",
        try_first=(f"sbatch --cpus-per-task={each} …", f"export OMP_NUM_THREADS={each}"),
        then="Kubernetes: raise resources.limits.cpu; Docker: --cpus; end the neighbour that uses the cores",
        gain="up to " + (f"{waste:.1f} GPU" if waste is not None else "the time that the GPUs wait") + ", not quantified elsewhere",
        gain_source='these GPUs\' own busy share; the vLLM guide says "significantly" (S24)',
        wrong_if=("a short burst of compiling is behind it", "the CPU work is not what the GPUs wait for"),
        bucket=Bucket.WAIT,
        cause=Cause.HOST,
        measured=None if busy is None else 1 - busy,
        sql=of_gpus("utilization_ratio, quiet_seconds, observed_seconds", list(job.gpus), WINDOW),
    )
