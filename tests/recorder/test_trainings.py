"""Ranks and runs on their way into a tick: whose row it is, which time it speaks for, what is told anew."""

from __future__ import annotations

from gpuwatch.dataclass import replace
from gpuwatch.measure import measures
from gpuwatch.model import Batch, Host, Process, Workload
from gpuwatch.names import RunOutcome, TrainingSource
from gpuwatch.recorder.merge import Merger
from gpuwatch.recorder.told import joined_told
from gpuwatch.recorder.trainers import joined_trainings
from gpuwatch.training import Run, Trainer, TrainingSample

NAMES = list(measures(TrainingSample))
SAMPLE = TrainingSample(7, 5000, 3, 4000, tokens_total=1000, attached_seconds=1.0, loss=2.5)
TRAINER = Trainer(7, 5000, 3, 4000, TrainingSource.HOOK, 6000)
RUN = Run(3, 4000, 4000)


class Merging:
    def __init__(self) -> None:
        self.merger = Merger({"training": 1.0, "procs": 2.0})

    def at(self, second: int, *samples: TrainingSample, **more: object):
        batch = replace(Batch("training", second, training_samples=samples), **more)
        return self.merger.merge(1_000_000 + second * 1000, {"training": batch})


def test_a_rank_has_a_row_of_its_own_that_speaks_for_the_time_since_the_one_before():
    merging = Merging()
    (first,) = merging.at(0, SAMPLE).training_rows
    (row,) = merging.at(1, SAMPLE).training_rows
    assert (first.dt_ms, row.dt_ms) == (0, 1000)
    assert (row.pid, row.start_ms, row.root_pid, row.root_start_ms) == (7, 5000, 3, 4000)
    assert row.values[NAMES.index("tokens_total")] == 1000 and row.values[NAMES.index("loss")] == 2_500_000
    assert row.values[NAMES.index("samples_total")] is None


def test_the_first_row_of_a_process_that_counts_from_its_beginning_speaks_for_the_time_since_then():
    merging = Merging()
    born = replace(SAMPLE, interval_seconds=1.4, attached_seconds=1.4)
    assert merging.at(0, born).training_rows[0].dt_ms == 1400
    assert merging.at(1, SAMPLE).training_rows[0].dt_ms == 1000


def test_after_a_break_of_the_recorder_no_row_bridges_it():
    merging = Merging()
    merging.at(0, SAMPLE)
    merging.merger.forget()
    assert merging.at(1, SAMPLE).training_rows[0].dt_ms == 0


def test_a_reading_that_comes_late_speaks_for_the_time_that_it_counts_over():
    merging = Merging()
    merging.at(0, SAMPLE)
    assert merging.at(6, replace(SAMPLE, attached_seconds=6.0)).training_rows[0].dt_ms == 6000
    assert merging.at(30, SAMPLE).training_rows[0].dt_ms == 0


def test_a_log_that_speaks_each_half_minute_has_rows_that_speak_for_it():
    merging = Merging()
    slow = TrainingSample(7, 5000, 3, 4000, interval_seconds=30.0, tokens_total=10)
    merging.at(0, slow)
    assert merging.at(30, slow).training_rows[0].dt_ms == 30_000


def test_a_sample_that_does_not_know_its_workload_gets_that_of_its_process():
    merging = Merging()
    process = Process(7, 5000, "python", workload_pid=3, workload_start_ms=4000)
    merging.at(0, processes=[process])
    for sample in (TrainingSample(7, 5000), TrainingSample(7)):
        (row,) = merging.at(1, sample).training_rows
        assert (row.pid, row.start_ms, row.root_pid, row.root_start_ms) == (7, 5000, 3, 4000)
    (row,) = merging.at(2, TrainingSample(7, 9999)).training_rows
    assert (row.root_pid, row.root_start_ms) == (7, 9999), "another process that has this pid by now"


def test_ranks_and_runs_are_told_when_they_are_new_or_changed_and_all_of_them_on_another_host():
    merging = Merging()
    tick = merging.at(0, trainers=[TRAINER], runs=[RUN], host=Host("one", "one"))
    assert (tick.trainers, tick.runs) == ([TRAINER], [RUN])
    tick = merging.at(1, trainers=[replace(TRAINER)], runs=[replace(RUN)])
    assert (tick.trainers, tick.runs) == ([], [])
    ended = replace(RUN, ended_ms=9000, outcome=RunOutcome.FINISHED)
    assert merging.at(2, runs=[ended]).runs == [ended]
    tick = merging.at(3, host=Host("two", "two"))
    assert (tick.trainers, tick.runs) == ([TRAINER], [ended])


def test_two_readings_of_one_second_add_their_counts_and_keep_the_later_state():
    later = replace(SAMPLE, tokens_total=24, attached_seconds=0.5, loss=2.0, samples_total=3)
    other = TrainingSample(8, 5000)
    one, two = joined_trainings([SAMPLE], [later, other])
    assert (one.tokens_total, one.attached_seconds, one.samples_total, one.loss) == (1024, 1.5, 3, 2.0)
    assert two is other
    assert joined_told([TRAINER], [replace(TRAINER, detail="x")])[0].detail == "x"


def test_a_workload_whose_steps_were_seen_is_a_training_from_then_on():
    merging = Merging()
    workload = Workload(3, 4000, name="x.py")
    assert merging.at(0, workloads=[workload]).workloads == [workload]
    assert merging.at(1, trainers=[TRAINER]).workloads == [], "it is attached and has not stepped"
    training = replace(workload, kind="training")
    assert merging.at(2, trainers=[replace(TRAINER, first_step_ms=7000)]).workloads == [training]
    assert merging.at(3, workloads=[workload]).workloads == [], "the process collector does not know it yet"
    assert merging.at(4, workloads=[replace(training, user="me")]).workloads == [replace(training, user="me")]
