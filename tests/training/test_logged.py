"""Trainings without an agent whose log tells: whose it is, what is told of it, and that an agent goes before it."""

from __future__ import annotations

from pathlib import Path

from support.hookfiles import FakeTrainer, Stage, start_ms

from gpuwatch.names import TrainingSource

LINE = "step: {step}  loss:  {loss}  grad_norm:  0.9  memory: 10.00GiB(12.0%)  tps: 1,000  tflops: 10.00  mfu: 5.00%\n"


def writes(path: Path, step: int, loss: float = 2.5) -> None:
    with path.open("a") as file:
        file.write(LINE.format(step=step, loss=loss))


def output(stage: Stage, pid: int, path: Path, number: int = 1) -> None:
    path.touch()
    folder = stage.proc / str(pid) / "fd"
    folder.mkdir(exist_ok=True)
    (folder / str(number)).symlink_to(path)


def test_a_job_whose_output_is_a_file_is_read_by_it(stage: Stage, tmp_path: Path) -> None:
    log = tmp_path / "train.log"
    stage.job(50, 900.0)
    output(stage, 50, log)
    assert not stage.tick().training_samples
    writes(log, 10)
    batch = stage.tick()
    (sample,), (trainer,) = batch.training_samples, batch.trainers
    assert (sample.steps_total, sample.tokens_total, sample.loss, sample.step_number) == (None, None, 2.5, 10)
    assert (trainer.source, trainer.framework, trainer.key) == (TrainingSource.LOG, "torchtitan", (50, start_ms(900.0)))
    assert not batch.missing, "it is not attached, and it tells"
    assert not stage.tick(9.0).training_samples
    stage.board.publish(stage.jobs.values())
    writes(log, 20, 2.25)
    (sample,) = stage.tick().training_samples
    assert (sample.steps_total, sample.rank_steps_total, sample.loss) == (10, 10, 2.25)
    assert sample.interval_seconds == 10.0 and sample.tokens_total is None, "devices are not known: a rate of one is not the job's"
    assert sample.attached_seconds is None
    stage.kill(50)
    run = stage.tick().runs[-1]
    assert (run.steps, run.tokens, run.step_number, run.attached) == (10, None, 20, False)


def test_the_log_of_a_rank_that_came_after_its_launcher_is_found(stage: Stage, tmp_path: Path) -> None:
    stage.job(50, 900.0)
    output(stage, 50, tmp_path / "torchrun.log")
    stage.tick()
    stage.tick()
    stage.job(51, 901.0, root=(50, 900.0))
    output(stage, 51, tmp_path / "rank0.log")
    writes(tmp_path / "rank0.log", 10)
    samples = [sample for _ in range(12) for sample in stage.tick().training_samples]
    assert [(sample.pid, sample.step_number) for sample in samples] == [(50, 10)]
    opened = len(list(Path("/proc/self/fd").iterdir()))
    stage.job(52, 902.0, root=(50, 900.0))  # it is found by now: nothing is read again
    writes(tmp_path / "rank0.log", 20)
    samples = [sample for _ in range(12) for sample in stage.tick().training_samples]
    assert [sample.steps_total for sample in samples] == [10]
    assert len(list(Path("/proc/self/fd").iterdir())) == opened


def test_a_rate_per_device_counts_where_the_devices_are_seen(stage: Stage, tmp_path: Path) -> None:
    log = tmp_path / "train.log"
    stage.job(50, 900.0)
    output(stage, 50, log)
    stage.collector.context.gpu_pids.publish("nvml", [50])
    writes(log, 10)
    stage.tick()
    stage.tick()
    writes(log, 20)
    (sample,) = stage.tick(10.0).training_samples
    assert sample.tokens_total == 10_000


def test_the_log_of_a_job_with_an_agent_is_not_read(stage: Stage, tmp_path: Path) -> None:
    log = tmp_path / "train.log"
    stage.job(50, 900.0)
    output(stage, 50, log)
    writes(log, 10)
    stage.tick()
    (sample,) = stage.tick().training_samples
    assert sample.step_number == 10
    trainer = FakeTrainer(stage, 50, 900.0)
    trainer.step(4)
    stage.tick()
    writes(log, 20)
    (sample,) = stage.tick().training_samples
    assert sample.step_number is None and sample.phase is not None
    assert trainer.counts["steps"] == 4


def test_a_named_file_is_that_of_the_job_that_has_it_open(tmp_path: Path) -> None:
    log = tmp_path / "metrics" / "train.log"
    log.parent.mkdir()
    stage = Stage(tmp_path, logs=[str(log)])
    stage.job(50, 900.0)
    stage.job(51, 900.0)
    output(stage, 51, log, number=7)
    writes(log, 10)
    stage.tick()
    (sample,) = stage.tick().training_samples
    assert sample.pid == 51


def test_a_named_file_is_that_of_the_next_job_as_well(tmp_path: Path) -> None:
    log = tmp_path / "metrics" / "train.log"
    log.parent.mkdir()
    stage = Stage(tmp_path, logs=[str(log)])
    for pid in (50, 51):
        stage.job(pid, 900.0 + pid)
        output(stage, pid, log, number=7)
        writes(log, 10)
        samples = [sample.pid for _ in range(12) for sample in stage.tick().training_samples]
        assert samples == [pid]
        stage.kill(pid)
        stage.tick(30.0)


def test_a_named_file_of_no_job_is_said_once(tmp_path: Path) -> None:
    log = tmp_path / "train.log"
    log.touch()
    stage = Stage(tmp_path, logs=[str(log)])
    stage.job(50, 900.0)
    events = [event for _ in range(130) for event in stage.tick().events]
    assert [event.kind for event in events] == ["log_ignored"] and str(log) in events[0].detail
