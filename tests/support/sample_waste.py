"""What the rules say in the invented data set of the design pictures: five findings, what came of older ones, what was not judged."""

from __future__ import annotations

from gpuwatch.names import Basis, Bucket, Confidence, Severity
from gpuwatch.view.finding_types import EvidenceView, FindingHistory, FindingView, NotEvaluatedView, ResolvedView, WasteView

HELD = "gpu-memory-held-idle"
INPUT = "input-bound"


def sample_findings(now_ms: int) -> tuple[FindingView, ...]:
    """Five open ones, the costliest first, one of them without an amount."""
    return (
        FindingView(
            HELD,
            "2 GPUs held idle for 1 h 12 min: 100.5 GiB, no work.",
            (5, 6),
            2.0,
            now_ms - 4_320_000,
            "jupyter pid 48213",
            "shut down this kernel",
            finding_id=11,
            name="held idle",
            severity=Severity.WARNING,
            confidence=Confidence.HIGH,
            basis=Basis.MEASURED,
            bucket=Bucket.HELD_IDLE,
            subject="job:48213",
            user="bob",
            command="jupyter-kernel",
            pids=(48_213,),
            facts=(EvidenceView("quiet without a break", "1 h 12 min", "1 h", "NVML"),),
            how="The whole quiet run, from its start, times two GPUs.",
            try_first=("restart or shut down the kernel in the notebook's own page",),
            gain="all of it: two GPUs for as long as they stay quiet",
            gain_source="these GPUs' own quiet run",
            wrong_if=("somebody waits at a breakpoint",),
            cost_gpu_seconds=8_640.0,
            last_ms=now_ms - 4_000,
        ),
        _input_bound(now_ms),
        FindingView(
            "power-cap-below-default",
            "The power cap of GPU 7 is 400 W, its default 700 W.",
            (7,),
            0.19,
            now_ms - 1_247_000,
            "SM clock 1395 of 1755 MHz",
            "ask for -pl 700",
            finding_id=13,
            name="power cap lowered",
            severity=Severity.NOTICE,
            basis=Basis.MEASURED,
            bucket=Bucket.THROTTLED,
            user="dave",
            pids=(60_210,),
            facts=(EvidenceView("power limit", "400 W", "700 W", "NVML"),),
            try_first=("sudo nvidia-smi -i 7 -pl 700",),
            cost_gpu_seconds=100.0,
        ),
        FindingView(
            "kv-cache-pressure",
            "The KV cache of qwen-72b is full: 0.4 preemptions a second.",
            (4,),
            0.03,
            now_ms - 2_285_000,
            "KV cache 97% full",
            "--kv-cache-dtype fp8",
            finding_id=14,
            name="KV cache full",
            bucket=Bucket.REDONE,
            user="svc",
            pids=(33_140,),
            facts=(EvidenceView("KV cache in use", "97%", "90%", "/metrics"),),
            try_first=("vllm serve … --kv-cache-dtype fp8",),
            cost_gpu_seconds=60.0,
        ),
        FindingView(
            "pcie-link-degraded",
            "The PCIe link of GPU 3 runs at x8 of x16.",
            (3,),
            None,
            now_ms - 192_000_000,
            "link width 8 of 16",
            "reseat the card",
            finding_id=15,
            name="PCIe link x8 of x16",
            severity=Severity.NOTICE,
            facts=(EvidenceView("link width", "8", "16", "NVML"),),
            try_first=("sudo nvidia-smi -q -i 3 -d PIDS,PCIE", "reseat the card"),
        ),
    )


def _input_bound(now_ms: int) -> FindingView:
    return FindingView(
        INPUT,
        "58% of each training step of vit-l waits for data.",
        (2, 3),
        1.16,
        now_ms - 22_087_000,
        "8 loader workers at 98% CPU",
        "try num_workers=12",
        finding_id=12,
        name="waits for input",
        severity=Severity.WARNING,
        confidence=Confidence.HIGH,
        basis=Basis.MEASURED,
        bucket=Bucket.WAIT,
        subject="job:51802",
        user="carol",
        command="python train_vit.py",
        pids=(51_877, 51_878),
        facts=(
            EvidenceView("data wait, 1.09 of 1.88 s a step", "58%", "20%", "hook"),
            EvidenceView("CPU of the 8 loader workers, mean", "98%", "85%", "/proc"),
            EvidenceView("GPU busy, mean of GPU 2 and 3", "42%", "–", "GPM"),
        ),
        how="Sum of data wait ÷ sum of step time, capped by the share of time the GPU was not busy (1 - 0.42). 2 GPUs × 58% = 1.16 GPU.",
        try_first=(
            "DataLoader(…, num_workers=12, persistent_workers=True, prefetch_factor=4, pin_memory=True)",
            "pre-decode or shard the images",
        ),
        then="decode on the GPU (DALI)",
        gain="up to 1.2 GPU, step 1.88 → 0.79 s at best = 1 ÷ (1 - 0.58)",
        gain_source="this run's own wait share; torch loader benchmark, 0 → 3 workers: 5.39 → 0.84 s a step (synthetic data)",
        wrong_if=(
            "the workers wait for storage, not CPU (disk read now 212 MB/s)",
            "the job has no spare cores (38 of 96 host cores idle now)",
        ),
        cost_gpu_seconds=25_560.0,
        cost_money=18.0,
        last_ms=now_ms - 4_000,
        sql="SELECT step_seconds, data_seconds FROM v_training_now WHERE root_pid = 51802",
    )


def sample_waste(now_ms: int) -> WasteView:
    """The Waste screen beside them: 31 rules = 5 open + 23 clear + 3 not evaluated."""
    findings = sample_findings(now_ms)
    resolved = (
        ResolvedView("checkpoint-pause", "checkpoint pauses", "alice", (0, 1), now_ms - 79_920_000, "overhead 11.4 → 4.9% after async save", 0.13, 0.114, 0.049, 4_000.0),
        ResolvedView(HELD, "held idle", "bob", (5,), now_ms - 21_500_000, "16.9 GPU·h, 00:00 to 08:33", 2.0, 1.0, 0.0, 60_840.0),
        ResolvedView("pinned-memory-off", "pageable copies", "carol", (2, 3), now_ms - 189_000_000, "wait 58 → 58% after pin_memory=True", 0.0, 0.58, 0.58, None),
    )  # fmt: skip
    missed = (
        NotEvaluatedView(INPUT, "GPU 7 · dave", "run is not attached: no step or data-wait times", "gpuwatch run -- accelerate launch …"),
        NotEvaluatedView("xid-error", "all GPUs", "kernel log not readable by this user", "sudo usermod -aG systemd-journal $USER"),
        NotEvaluatedView("host-cpu-starved", "GPU 4 · svc", "CPU limits of this container are not visible", "mount /sys/fs/cgroup read-only"),
    )  # fmt: skip
    return WasteView(findings, (), resolved, missed, 31, 5, 23, 3)


def sample_history(finding_id: int, now_ms: int, cells: int) -> FindingHistory:
    """58 %, a little less at the start, and a cell that nobody observed."""
    values = [0.58 if number % 9 else 0.5 for number in range(cells)]
    return FindingHistory(finding_id, now_ms - 22_387_000, now_ms, (0.2, None, *values[2:]), 0.58)
