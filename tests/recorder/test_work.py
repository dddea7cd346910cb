"""What a GPU's row is told of the work on it: by trainings, by servers, by its other GPUs."""

from __future__ import annotations

import pytest

from gpuwatch.dataclass import replace
from gpuwatch.measure import measures
from gpuwatch.model import Batch, Gpu, GpuSample, InferenceSample, Process, ProcessSample
from gpuwatch.names import Cause, TrainingSource
from gpuwatch.recorder.merge import Merger
from gpuwatch.recorder.ranks import TokenTrack
from gpuwatch.training import Trainer, TrainingSample

H100 = "NVIDIA H100 80GB HBM3"
NAMES = list(measures(GpuSample))
FACTS = ("overhead", "input", "host", "peers", "demand", "redone", "mfu", "power_fraction")
ROOT = (10, 1000)
BUSY, IDLE = 0.9, 0.0


class Room:
    """Two GPUs, a batch a second; processes with pid 10 + n of one job are on GPU n unless told otherwise."""

    def __init__(self, count: int = 2, name: str = H100) -> None:
        self.merger = Merger({"all": 1.0})
        self.gpus = [Gpu(f"GPU-{n}", n, name) for n in range(count)]
        self.processes: dict[int, tuple[Process, tuple[int, ...]]] = {}
        self.memory: dict[int, float] = {}
        self.trainers: list[Trainer] = []
        for n in range(count):
            self.put(10 + n, n)

    def put(self, pid: int, *on: int, root: tuple[int, int] = ROOT, memory: float | None = None, **more: object) -> None:
        process = Process(pid, 1000, "python", workload_pid=root[0], workload_start_ms=root[1], **more)  # type: ignore[arg-type]
        self.processes[pid] = process, on
        self.memory[pid] = 8.0 * 1024**3 if memory is None else memory

    def at(self, second: int, *samples: object, util: tuple[float | None, ...] = (BUSY, BUSY), **of_gpu: object) -> list[dict]:
        """The facts of each GPU's row."""
        samples_of = [[s for s in samples if isinstance(s, kind)] for kind in (TrainingSample, InferenceSample)]
        batch = Batch(
            "all",
            second,
            gpus=self.gpus,
            processes=[process for process, _ in self.processes.values()],
            process_samples=[
                ProcessSample(pid, 1000, f"GPU-{n}", gpu_memory_bytes=self.memory[pid])
                for pid, (_, on) in self.processes.items()
                for n in on
            ],
            gpu_samples=[
                GpuSample(gpu.uuid, utilization_ratio=u, **of_gpu)  # type: ignore[arg-type]
                for gpu, u in zip(self.gpus, util, strict=True)
            ],
            training_samples=samples_of[0],
            inference_samples=samples_of[1],
            trainers=self.trainers,
        )
        tick = self.merger.merge(1_000_000 + second * 1000, {"all": batch})
        return [{name.removesuffix("_ratio"): value for name, value in zip(NAMES, row.values)} for row in tick.gpu_rows]


def rank(pid: int, **seconds: float) -> TrainingSample:
    known = {
        "attached": 1.0,
        "data_wait": 0.0,
        "other": 0.0,
        "checkpoint": 0.0,
        "eval": 0.0,
        "compile": 0.0,
        "starting": 0.0,
        **seconds,
    }
    tokens = known.pop("tokens", None)
    return TrainingSample(pid, 1000, *ROOT, tokens_total=tokens, **{f"{name}_seconds": value for name, value in known.items()})


def facts(row: dict) -> dict[str, int]:
    return {name: row[name] for name in FACTS if row[name] is not None}


def test_a_gpu_of_which_nobody_tells_anything_has_no_facts_of_work():
    (row, _) = Room().at(0)
    assert facts(row) == {} and row["inferred_cause"] is None


def test_what_a_rank_says_of_its_time_is_said_of_the_gpu_that_its_process_holds():
    parts = rank(10, data_wait=0.3, other=0.1, starting=0.05, checkpoint=0.1, eval=0.2, compile=0.05)
    first, second = Room().at(0, parts)
    assert facts(first) == {"overhead": 400, "input": 300, "host": 100}
    assert facts(second) == {}


def test_the_device_that_a_rank_names_goes_before_those_that_its_process_holds():
    room = Room()
    room.trainers = [Trainer(10, 1000, *ROOT, TrainingSource.HOOK, 0, gpu_uuid="GPU-1")]
    first, second = room.at(0, rank(10, data_wait=0.3))
    assert facts(first) == {} and facts(second)["input"] == 300


def test_a_reading_holds_for_three_periods():
    room = Room()
    room.at(0, rank(10, data_wait=0.3))
    assert [facts(room.at(second)[0]).get("input") for second in (1, 2, 3, 4)] == [300, 300, 300, None]


def test_what_a_rank_does_not_tell_is_not_nought():
    room = Room()
    (row, _) = room.at(0, TrainingSample(10, 1000, *ROOT, attached_seconds=1.0, data_wait_seconds=0.25))
    assert facts(row) == {"input": 250}
    assert facts(room.at(1, TrainingSample(10, 1000, *ROOT, data_wait_seconds=0.25))[0]) == {}, "of an unknown time"


def test_a_rank_waits_for_peers_while_another_one_of_its_job_is_held_up_longer():
    room = Room(3)
    rows = room.at(
        0, rank(10, data_wait=0.5, eval=0.1), rank(11, data_wait=0.2), rank(12, checkpoint=0.1, other=0.5), util=(BUSY,) * 3
    )
    assert [row["peers"] for row in rows] == [0, 400, 400], "what the host, data and overhead leave"
    assert [row["overhead"] for row in rows] == [100, 0, 100]


def test_ranks_of_other_jobs_are_no_peers():
    alone, other = Room().at(0, rank(10, data_wait=0.1), replace(rank(11, data_wait=0.8), root_pid=99))
    assert alone["peers"] is None and other["peers"] is None


def test_ranks_that_share_a_gpu_are_averaged():
    room = Room()
    room.put(12, 0)
    (row, _) = room.at(0, rank(10, data_wait=0.4), rank(12, data_wait=0.2, compile=0.4))
    assert (row["input"], row["overhead"], row["peers"]) == (300, 200, 100)


def test_what_is_told_late_fills_the_rows_that_follow_and_counts_once():
    """Of a step of ten seconds only its end tells what was in it: here three seconds of data, one of a checkpoint, six of work."""
    room, rows = Room(), []
    for second in range(40):
        told = {"data_wait": 3.0, "checkpoint": 1.0, "forward": 6.0} if second % 10 == 9 else {"forward": 0.0}
        rows.append(room.at(second, rank(10, **told))[0])
    assert [facts(row) for row in rows[9:]] == [{"overhead": 100, "input": 300, "host": 0}] * 31


def test_a_phase_that_runs_is_seen_while_it_runs():
    room = Room()
    room.at(0, rank(10, forward=0.9, data_wait=0.1))
    assert facts(room.at(1, rank(10, eval=1.0))[0])["overhead"] == 1000


def test_parts_never_exceed_the_whole():
    (row, _) = Room().at(0, rank(10, data_wait=0.6, other=0.8, eval=0.6), rank(11, data_wait=1.0, eval=1.0))
    assert (row["overhead"], row["input"], row["host"], row["peers"]) == (300, 300, 400, 0)


TRAINER = Trainer(10, 1000, *ROOT, TrainingSource.HOOK, 0, flops_per_token=1e12, precision="bf16")
REACHED = 989.4e12 * 0.80


def mfu(room: Room, tokens: float = 100.0, upto: int = 60) -> int | None:
    for second in range(upto + 1):
        found = room.at(second, rank(10, tokens=tokens))[0]["mfu"]
    return found


def test_model_flops_utilization_is_over_a_minute_of_what_the_gpu_reaches_at_best():
    room = Room()
    room.trainers = [TRAINER]
    assert mfu(room, upto=59) is None
    assert room.at(60, rank(10, tokens=100.0))[0]["mfu"] == round(1000 * 100e12 / REACHED)


def test_a_rank_on_two_gpus_computes_half_on_each():
    room = Room()
    room.trainers = [TRAINER]
    room.put(10, 0, 1)
    del room.processes[11]
    assert mfu(room) == round(1000 * 50e12 / REACHED)


@pytest.mark.parametrize("lacks", [{"flops_per_token": None}, {"precision": ""}, {"precision": "int3"}])
def test_without_operations_or_precision_there_is_none(lacks: dict[str, object]):
    room = Room()
    room.trainers = [replace(TRAINER, **lacks)]
    assert mfu(room) is None


@pytest.mark.parametrize("name", ["NVIDIA L40S", "Some Other GPU"])
def test_without_a_measured_share_of_the_peak_there_is_none(name: str):
    room = Room(name=name)
    room.trainers = [TRAINER]
    assert mfu(room) is None


def test_one_that_shares_its_gpu_with_a_rank_of_unknown_work_has_none():
    room = Room()
    room.trainers = [TRAINER]
    room.put(12, 0)
    mfu(room)
    assert room.at(61, rank(10, tokens=100.0), rank(12))[0]["mfu"] is None


def test_one_that_shares_its_gpu_with_work_of_another_job_has_none_and_a_monitor_is_no_work():
    room = Room()
    room.trainers = [TRAINER]
    assert mfu(room) is not None
    room.put(20, 0, root=(20, 1000), memory=100 * 1024**2)
    assert room.at(61, rank(10, tokens=100.0))[0]["mfu"] is not None
    room.put(20, 0, root=(20, 1000), memory=4 * 1024**3)
    assert room.at(62, rank(10, tokens=100.0))[0]["mfu"] is None


def test_evaluation_and_checkpoints_are_no_time_of_steps():
    track = TokenTrack()
    for second in range(400):
        resting = second % 50 >= 30  # 30 s of steps, 20 s of evaluation
        track.add(second * 1000, 0 if resting else 10, 1000 if resting else 0)
    assert track.rate(399_000) == pytest.approx(10.0)


def test_long_steps_are_counted_whole():
    track = TokenTrack()
    for second in range(400):
        track.add(second * 1000, 9000 if second % 90 == 0 else 0)
        expected = None if second < 90 else pytest.approx(100.0)
        assert track.rate(second * 1000) == expected, second


def test_tokens_that_do_not_come_any_more_end_it_and_a_break_begins_it_anew():
    track = TokenTrack()
    for second in range(70):
        track.add(second * 1000, 10)
    assert track.rate(69_000) == pytest.approx(10.0)
    assert (track.rate(69_000 + 60_000), track.rate(69_000 + 60_001)) == (pytest.approx(10.0), 0.0)
    track.add(70_000, None)
    assert track.rate(70_000) is None


def server(**more: object) -> InferenceSample:
    quiet = {"running_requests": 0, "waiting_requests": 0, "output_tokens_total": 0, "prefill_tokens_total": 0, "requests_total": 0}
    return InferenceSample(*ROOT, 8000, **{**quiet, **more})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({}, 1000),
        ({"waiting_requests": None}, 1000),
        ({"running_requests": 1}, 0),
        ({"waiting_requests": 1}, 0),
        ({"output_tokens_total": 5}, 0),
        ({"requests_total": 1}, 0),
        ({"running_requests": None}, None),
        ({"running_requests": None, "output_tokens_total": 3}, 0),
        ({"output_tokens_total": None, "prefill_tokens_total": None, "requests_total": None}, None),
    ],
)
def test_a_server_lacks_demand_when_nothing_runs_waits_or_came(more: dict[str, object], expected: int | None):
    rows = Room().at(0, server(**more))
    assert [row["demand"] for row in rows] == [expected] * 2, "all GPUs of its processes"


def test_of_two_servers_on_a_gpu_one_with_work_is_enough():
    room = Room()
    room.put(20, 0, root=(20, 1000))
    first, second = room.at(0, server(), InferenceSample(20, 1000, 9000, running_requests=2))
    assert (first["demand"], second["demand"]) == (0, 1000)


def test_a_server_is_known_for_its_own_pace():
    room = Room()
    room.at(0, server(interval_seconds=30.0))
    idle = IDLE, IDLE
    assert (room.at(90, util=idle)[0]["demand"], room.at(91, util=idle)[0]["demand"]) == (1000, None)


def test_a_gpu_that_works_between_two_readings_of_its_server_may_have_got_a_request():
    room = Room()
    assert room.at(0, server(interval_seconds=6.0))[0]["demand"] == 1000, "nothing came up to then"
    assert [row["demand"] for row in room.at(1, util=(BUSY, IDLE))] == [None, 1000]
    assert room.at(6, server(interval_seconds=6.0, requests_total=1))[0]["demand"] == 0
    assert room.at(7, util=(IDLE, IDLE))[0]["demand"] == 0


def test_what_a_training_computes_is_not_redone_by_a_server_beside_it_nor_all_that_is_computed():
    drafted = {"drafts_total": 100, "draft_tokens_total": 300, "accepted_tokens_total": 240, "prefill_tokens_total": 200}
    room = Room()
    room.trainers = [TRAINER]
    mfu(room)
    (row, _) = room.at(61, rank(10, tokens=100.0), server(**drafted))
    assert (row["demand"], row["redone"], row["mfu"]) == (0, None, None)


def test_rejected_drafts_are_work_for_nothing():
    drafted = {"drafts_total": 100, "draft_tokens_total": 300, "accepted_tokens_total": 240, "prefill_tokens_total": 200}
    (row, _) = Room().at(0, server(**drafted))
    assert row["redone"] == 100
    assert Room().at(0, server())[0]["redone"] is None, "it does not say that it drafts"


def test_a_gpu_has_an_active_sibling_while_another_one_of_its_job_is_not_quiet():
    room = Room(3)
    room.put(12, 2, root=(99, 1))
    assert [row["sibling_active"] for row in room.at(0, util=(BUSY, IDLE, BUSY))] == [0, 1, 0]
    assert [row["sibling_active"] for row in room.at(1, util=(BUSY, None, BUSY))] == [0, 1, 0]
    assert [row["sibling_active"] for row in room.at(2, util=(IDLE, IDLE, BUSY))] == [0, 0, 0]


def test_a_gpu_that_nobody_has_has_no_sibling_and_no_knowledge_of_one():
    room = Room()
    room.processes.clear()
    assert [row["sibling_active"] for row in room.at(0)] == [None, None]


@pytest.mark.parametrize(
    ("visible", "more", "expected"),
    [
        ("0,1", {}, 1),
        ("0, 1 ", {}, 1),
        ("GPU-0,GPU-1", {}, 1),
        ("GPU-0,GPU-1", {"container": "docker:0123456789ab"}, 1),
        ("", {}, None),
        ("0", {}, None),
        ("1", {}, None),
        ("0,7,1", {}, None),
        ("-1", {}, None),
        ("0,1", {"container": "docker:0123456789ab"}, None),
        ("0,1", {"job": "slurm:7"}, None),
    ],
)
def test_a_gpu_that_a_job_was_given_and_does_not_use_is_its_own(visible: str, more: dict[str, str], expected: int | None):
    room = Room()
    room.processes.clear()
    room.put(10, 0, visible_gpus=visible, **more)
    assert [row["sibling_active"] for row in room.at(0, util=(BUSY, IDLE))] == [0, expected]


def test_a_job_that_starts_takes_its_gpus_one_after_the_other():
    room = Room()
    room.processes.clear()
    room.put(10, 0, visible_gpus="0,1")
    assert [row["sibling_active"] for row in room.at(-150, util=(BUSY, IDLE))] == [0, None], "14 minutes after it began"
    assert [row["sibling_active"] for row in room.at(0, util=(BUSY, IDLE))] == [0, 1]


def test_numbers_mean_nothing_where_gpus_differ():
    room = Room()
    room.gpus[1] = replace(room.gpus[1], name="NVIDIA A100-SXM4-80GB")
    room.processes.clear()
    room.put(10, 0, visible_gpus="0,1")
    assert room.at(0)[1]["sibling_active"] is None


def test_power_is_a_fraction_of_what_lies_between_the_idle_floor_and_the_limit():
    room = Room()
    (row, _) = room.at(0, power_watts=385.0, power_limit_watts=700.0)
    assert row["power_fraction"] == round(1000 * (385 - 75) / 625)
    room.merger.work.idle_watts = {"GPU-0": 70.0}
    (row, other) = room.at(1, power_watts=385.0, power_limit_watts=700.0)
    assert (row["power_fraction"], other["power_fraction"]) == (500, 496)
    assert room.at(2, power_watts=385.0)[0]["power_fraction"] is None


def test_the_cause_that_a_finding_names_is_kept_with_the_rows_from_then_on():
    room = Room()
    room.merger.work.inferred = {"GPU-1": Cause.INPUT}
    assert [row["inferred_cause"] for row in room.at(0)] == [None, int(Cause.INPUT)]


def test_what_a_collector_says_itself_stays():
    room = Room()
    (row, _) = room.at(0, rank(10, data_wait=0.3), input_ratio=0.0, mfu_ratio=0.4)
    assert (row["input"], row["mfu"], row["host"]) == (0, 400, 0)


def test_a_break_of_the_recorder_ends_what_was_known():
    room = Room()
    room.at(0, rank(10, data_wait=0.3), server())
    room.merger.forget()
    assert facts(room.at(1)[0]) == {}
