"""What one process has done since it was read before, and what all of a job tell together."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest
from support.hookfiles import NAMESPACE, FakeTrainer, Stage, start_ms

from gpuwatch.collectors.training import hookfile, layout
from gpuwatch.collectors.training.folders import Folders
from gpuwatch.model import Batch
from gpuwatch.names import Latency, Missing, Phase, RunOutcome, Severity, TrainingSource
from gpuwatch.training import Trainer, TrainingSample


def only(batch: Batch) -> TrainingSample:
    (sample,) = batch.training_samples
    return sample


def trainer_of(batch: Batch) -> Trainer:
    return batch.trainers[-1]


def ddp(stage: Stage, count: int = 2, **identity: object) -> list[FakeTrainer]:
    stage.job(40, 890.0)
    return [
        stage.trainer(50 + rank, root=(40, 890.0), rank=rank, local=rank, world=count, **identity) for rank in range(count)
    ]  # fmt: skip


def steps_of(batch: Batch) -> dict[int, float | None]:
    return {sample.pid: sample.steps_total for sample in batch.training_samples}


def test_nothing_is_looked_at_without_a_file_or_a_training(stage: Stage) -> None:
    batch = stage.tick()
    assert not (batch.training_samples or batch.runs or batch.missing)
    assert stage.collector._watching is None


def test_a_process_armed_while_we_watch_counts_from_its_beginning(stage: Stage) -> None:
    stage.tick()
    trainer = stage.trainer(50)
    trainer.step(10)
    sample = only(stage.tick(0.5))
    assert (sample.rank_steps_total, sample.steps_total, sample.tokens_total) == (10, 10, 10_240)
    assert (sample.attached_seconds, sample.interval_seconds) == (1.5, 1.5)
    assert only(stage.tick()).interval_seconds == 0


def test_a_process_that_was_there_before_tells_nothing_at_its_first_reading(stage: Stage) -> None:
    trainer = stage.trainer(50)
    trainer.step(10)
    stage.open()
    first = only(stage.tick())
    assert (first.rank_steps_total, first.tokens_total, first.attached_seconds) == (None, None, None)
    assert first.phase == int(Phase.OTHER)
    trainer.step(3)
    assert only(stage.tick()).tokens_total == 3 * 1024


def test_time_before_it_was_armed_is_not_of_its_first_second(stage: Stage) -> None:
    stage.tick()
    trainer = stage.trainer(50)
    trainer.phases[Phase.STARTING] = 20 * 10**9
    trainer.step(5)
    sample = only(stage.tick(0.0))
    assert sample.attached_seconds == 0.5 and sample.starting_seconds == pytest.approx(0.0, abs=0.002)


def test_all_that_is_told_adds_up_to_what_was_counted(stage: Stage) -> None:
    stage.tick()
    trainer = stage.trainer(50, replicas=3)
    told: dict[str, float] = {}
    for round_ in range(25):
        trainer.step(3, seconds=0.0337, tokens=1000, data=0.0121)
        sample = only(stage.tick(0.01 * (round_ % 4)))
        for name in ("tokens_total", "data_wait_seconds", "forward_seconds", "backward_seconds", "attached_seconds", "steps_total"):
            told[name] = told.get(name, 0) + getattr(sample, name)
    assert told["steps_total"] == 75 and told["tokens_total"] == 75_000 // 3
    assert told["data_wait_seconds"] == pytest.approx(trainer.phases[Phase.DATA] / 1e9, abs=0.001)
    assert told["backward_seconds"] == pytest.approx(trainer.phases[Phase.BACKWARD] / 1e9, abs=0.001)
    assert told["attached_seconds"] == pytest.approx((stage.clock.monotonic_ns() - trainer.armed[1]) / 1e9, abs=0.001)


def test_a_hang_in_data_loading_grows_each_second_though_nothing_is_written(stage: Stage) -> None:
    trainer = stage.trainer(50)
    trainer.step(2)
    stage.tick()
    trainer.enter(Phase.DATA)
    for second in range(1, 6):
        sample = only(stage.tick())
        assert sample.phase == int(Phase.DATA) and sample.phase_age_seconds == second
        assert sample.data_wait_seconds == pytest.approx(1.0) and sample.steps_total == 0
    stage.clock.advance(306.0)
    assert only(stage.tick()).phase_age_seconds == 312


def test_what_ran_between_a_snapshot_and_the_phase_that_runs_is_told_with_the_next_snapshot(stage: Stage) -> None:
    trainer = stage.trainer(50)
    trainer.enter(Phase.DATA, publish=True)
    stage.tick(0.0)
    stage.clock.advance(0.4)
    trainer.enter(Phase.FORWARD)  # the snapshot still says nothing of the data
    sample = only(stage.tick(0.6))
    assert (sample.data_wait_seconds, sample.forward_seconds) == (0.0, 0.6)
    trainer.write()
    sample = only(stage.tick())
    assert (sample.data_wait_seconds, sample.forward_seconds) == (0.4, 1.0)


def test_counters_that_go_back_are_another_beginning(stage: Stage) -> None:
    trainer = stage.trainer(50)
    trainer.step(10)
    stage.tick()
    trainer.counts |= {"steps": 0, "tokens": 0}
    trainer.step(2)
    sample = only(stage.tick())
    assert (sample.tokens_total, sample.rank_steps_total) == (None, None)
    trainer.step(2)
    assert only(stage.tick()).tokens_total == 2048


def test_a_clock_step_and_a_suspend_change_no_count(stage: Stage) -> None:
    trainer = stage.trainer(50)
    trainer.step(1)
    stage.tick()
    for more in ({"step": -7200.0}, {"suspended": 7200.0}, {"step": 7200.0}):
        trainer.step(4)
        stage.clock.advance(0.0, **more)
        sample = only(stage.tick(0.6))
        assert (sample.tokens_total, sample.attached_seconds) == (4096, 1.0)


def test_what_the_process_does_not_count_is_none_and_said_to_be_so(stage: Stage) -> None:
    trainer = stage.trainer(50)
    trainer.known = layout.SNAP_SAMPLES
    trainer.step(3)
    batch = stage.tick()
    sample = only(batch)
    assert (sample.tokens_total, sample.samples_total, sample.loss, sample.allocated_bytes) == (None, 0, None, None)
    entity = f"50:{start_ms(900.0)}:0"
    assert batch.missing["workload", entity, "tokens_total"] is Missing.NOT_SUPPORTED
    assert ("workload", entity, "samples_total") not in batch.missing
    trainer.known = layout.SNAP_SAMPLES | layout.SNAP_TOKENS
    trainer.step(3)
    assert ("workload", entity, "tokens_total") not in stage.tick().missing


def test_a_count_that_becomes_known_later_is_told_whole(stage: Stage) -> None:
    stage.tick()
    trainer = stage.trainer(50)
    trainer.known = 0
    trainer.step(1, tokens=0)
    assert only(stage.tick()).tokens_total is None
    trainer.known = layout.SNAP_TOKENS
    trainer.step(2)
    assert only(stage.tick()).tokens_total == 2048


def test_a_count_that_is_not_told_for_a_while_is_not_told_twice(stage: Stage) -> None:
    trainer = stage.trainer(50)
    trainer.known = layout.SNAP_TOKENS | layout.SNAP_PROBE
    trainer.idle[Phase.DATA] = 10**9
    told = []
    for known in (trainer.known, 0, trainer.known):
        trainer.known = known
        trainer.step(2)
        told.append(only(stage.tick()))
    assert [sample.tokens_total for sample in told] == [2048, None, 4096]
    assert [sample.gpu_idle_data_seconds for sample in told] == [1.0, None, 0.0]


def test_a_training_without_an_agent_says_that_it_is_not_attached(stage: Stage) -> None:
    stage.job(50, 900.0)
    batch = stage.tick()
    assert batch.missing["workload", f"50:{start_ms(900.0)}:0", "tokens_total"] is Missing.NOT_ATTACHED
    again = stage.tick()
    assert again.missing is batch.missing
    stage.note(50, 900.0)
    assert not stage.tick().missing, "gpuwatch run has started it: it may still begin to tell"


@pytest.mark.parametrize(("loss", "said"), [(float("nan"), "loss is NaN"), (float("inf"), "loss is infinite")])
def test_a_loss_that_is_no_number_is_not_told_but_said(stage: Stage, loss: float, said: str) -> None:
    trainer = stage.trainer(50)
    trainer.known |= layout.SNAP_LOSS
    trainer.loss = 2.5
    trainer.step()
    assert only(stage.tick()).loss == 2.5
    trainer.loss = loss
    trainer.step()
    batch = stage.tick()
    assert only(batch).loss is None and trainer_of(batch).detail == said


def test_memory_is_told_where_the_allocator_is_known(stage: Stage) -> None:
    trainer = stage.trainer(50)
    trainer.known |= layout.SNAP_ALLOCATOR
    trainer.counts |= {"allocated": 1 << 30, "peak": 2 << 30, "reserved": 3 << 30, "split": 1 << 20, "retries": 2}
    trainer.step()
    sample = only(stage.tick())
    assert (sample.allocated_bytes, sample.reserved_bytes, sample.allocated_peak_bytes) == (1 << 30, 3 << 30, 2 << 30)
    assert (sample.inactive_split_bytes, sample.alloc_retries_total) == (1 << 20, 2)


def test_the_idle_time_of_the_gpu_is_split_by_what_the_host_did(stage: Stage) -> None:
    trainer = stage.trainer(50)
    trainer.known |= layout.SNAP_PROBE
    trainer.idle[Phase.DATA], trainer.idle[Phase.FORWARD], trainer.idle[Phase.OTHER] = 10**9, 10**8, 2 * 10**8
    trainer.counts |= {"probed": 5, "drained": 3}
    trainer.step()
    sample = only(stage.tick())
    assert (sample.gpu_idle_data_seconds, sample.gpu_idle_other_seconds) == (1.0, 0.3)
    assert (sample.probed_steps_total, sample.drained_steps_total) == (5, 3)


def test_what_is_known_of_a_process_is_told_once_and_when_it_changes(stage: Stage) -> None:
    trainer = stage.trainer(50, rank=0, world=1, model="GPT", total=500.0)
    (told,) = stage.tick().trainers
    assert (told.key, told.root_pid, told.model, told.total_steps) == (trainer.key, 50, "GPT", 500)
    assert (told.source, told.framework, told.tokens_kind) == (TrainingSource.HOOK, "torch 2.13.0", "input_ids")
    assert told.first_step_ms is None
    assert stage.tick().trainers == []
    trainer.step()
    (told,) = stage.tick().trainers
    assert told.first_step_ms == told.attached_ms + 2100
    trainer.name_itself(flags=layout.FLAG_DECLARED)
    (told,) = stage.tick().trainers
    assert told.source is TrainingSource.DECLARED


def test_an_agent_that_turned_itself_off_says_why_and_counts_no_further(stage: Stage) -> None:
    trainer = stage.trainer(50)
    trainer.step(2)
    stage.tick()
    trainer.name_itself(flags=layout.FLAG_OFF, said="RuntimeError: x")
    batch = stage.tick()
    assert "turned itself off: RuntimeError: x" in trainer_of(batch).detail
    assert only(batch).phase is None
    assert not stage.tick().training_samples, "a count that stands still is no standstill of the training"
    trainer.dies()
    ended = trainer_of(stage.tick())
    assert ended.outcome is RunOutcome.UNKNOWN, "it can say no goodbye any more"


def test_steps_of_the_job_are_told_by_its_lowest_rank_alone(stage: Stage) -> None:
    stage.tick()
    ranks = ddp(stage, 3)
    for _ in range(4):
        stage.clock.advance(0.25)
        for rank in ranks:
            rank.did_step(seconds=0.25)
            rank.write()
    batch = stage.tick(0.0)
    assert steps_of(batch) == {50: 4, 51: None, 52: None}
    assert [sample.rank_steps_total for sample in batch.training_samples] == [4, 4, 4]
    assert sum(sample.tokens_total or 0 for sample in batch.training_samples) == 3 * 4096


def test_who_leads_goes_on_leading_and_another_one_takes_over_when_it_dies(stage: Stage) -> None:
    stage.job(40, 890.0)
    second = stage.trainer(51, root=(40, 890.0), rank=1, local=1, world=2)
    stage.tick()
    first = stage.trainer(50, root=(40, 890.0), rank=0, local=0, world=2)
    assert set(steps_of(stage.tick())) == {50, 51}
    second.step(2)
    first.write()
    assert steps_of(stage.tick()) == {50: None, 51: 2}
    second.step(1)
    second.dies()
    assert steps_of(stage.tick()) == {50: None, 51: 1}
    first.step(3)
    assert steps_of(stage.tick()) == {50: 3}


def test_processes_that_train_alone_in_one_job_tell_their_own_steps(stage: Stage) -> None:
    stage.job(40, 890.0)
    for pid in (50, 51):
        stage.trainer(pid, root=(40, 890.0), rank=0, world=1)
    stage.tick()
    for pid in (52,):
        stage.trainer(pid, root=(40, 890.0))
    assert steps_of(stage.tick()) == {50: 0, 51: 0, 52: 0}


def test_who_steps_is_published_for_the_process_collector(stage: Stage) -> None:
    trainer = stage.trainer(50)
    stage.tick()
    assert stage.board.training() == frozenset()
    trainer.step()
    stage.tick()
    assert stage.board.training() == {50}
    trainer.dies()
    stage.tick()
    stage.tick()
    assert stage.board.training() == frozenset()


def test_a_new_process_is_awaited_on_the_board_and_its_counts_are_not_lost(stage: Stage) -> None:
    stage.tick()
    stage.process(50, 900.0)
    trainer = FakeTrainer(stage, 50, 900.0)
    trainer.step(2)
    assert not stage.tick().training_samples
    stage.job(40, 890.0)
    stage.job(50, 900.0, root=(40, 890.0))
    sample = only(stage.tick())
    assert (sample.root_pid, sample.rank_steps_total) == (40, 2)


def test_a_process_that_never_comes_onto_the_board_is_a_job_of_its_own(stage: Stage) -> None:
    stage.process(50, 900.0)
    FakeTrainer(stage, 50, 900.0).step()
    batches = [stage.tick() for _ in range(8)]
    assert (only(batches[-1]).root_pid, only(batches[-1]).root_start_ms) == (50, start_ms(900.0))


def test_a_pid_that_is_another_process_by_now_is_a_dead_one(stage: Stage) -> None:
    stage.process(50, 950.0)
    FakeTrainer(stage, 50, 900.0).step(5)
    batch = stage.tick()
    assert not batch.training_samples and trainer_of(batch).outcome is RunOutcome.DIED
    assert batch.runs[-1].tokens == 5 * 1024
    assert stage.board.training() == frozenset(), "the process that has the pid now does not train"


def test_in_another_pid_namespace_the_process_is_found_by_its_inner_pid(stage: Stage) -> None:
    stage.job(4711, 900.0)
    stage.process(4711, 900.0, inner=7)
    stage.namespace(4711, 99)
    FakeTrainer(stage, 7, 900.0, namespace=99).step()
    assert only(stage.tick()).pid == 4711


def test_a_process_of_a_namespace_that_cannot_be_seen_is_told_under_its_own_pid_until_it_is_silent(stage: Stage) -> None:
    trainer = FakeTrainer(stage, 7, 900.0, namespace=NAMESPACE + 1)
    trainer.step()
    for _ in range(8):
        batch = stage.tick()
    assert only(batch).pid == 7 and stage.board.training() == frozenset()
    assert not (stage.tick(300).trainers)
    batch = stage.tick(400)
    assert trainer_of(batch).outcome is RunOutcome.UNKNOWN and trainer.path.exists()


def test_who_takes_over_tells_the_times_of_steps_from_then_on(stage: Stage) -> None:
    ranks = ddp(stage)
    for _ in range(2):
        stage.clock.advance(0.1)
        for rank in ranks:
            rank.did_step()
            rank.write()
        told = stage.tick().latency_counts
        assert sum(n for *_, n in told[0].buckets) == 1
    ranks[0].dies()
    stage.tick()
    ranks[1].step(3)
    assert sum(n for *_, n in stage.tick().latency_counts[0].buckets) == 3, "the others were told by the one before"


def test_the_times_of_steps_are_told_by_the_lead_once(stage: Stage) -> None:
    stage.tick()
    ranks = ddp(stage, 2)
    for _ in range(5):
        stage.clock.advance(0.1)
        for rank in ranks:
            rank.did_step()
            rank.write()
    counts = {one.latency: one for one in stage.tick(0.0).latency_counts}
    assert set(counts) == {latency for latency in Latency if latency >= Latency.STEP}
    whole, data = counts[Latency.STEP], counts[Latency.STEP_DATA]
    assert (whole.root_pid, whole.port, [n for *_, n in whole.buckets]) == (40, 0, [5])
    ((lower, upper, _),) = whole.buckets
    assert lower < 100_000 <= upper
    ((lower, upper, _),) = data.buckets
    assert lower < 10_000 <= upper
    assert not stage.tick().latency_counts
    ranks[0].step(2)
    assert sum(n for *_, n in stage.tick().latency_counts[0].buckets) == 2


def test_steps_that_the_ring_has_lost_are_not_counted(stage: Stage) -> None:
    trainer = stage.trainer(50)
    trainer.step()
    stage.tick()
    lost = 40
    for _ in range(layout.RING_STEPS + lost):
        trainer.did_step()
    trainer.counts["steps"] += 3  # and three that were too short to be listed
    trainer.write()
    batch = stage.tick()
    assert only(batch).rank_steps_total == layout.RING_STEPS + lost + 3
    assert sum(n for *_, n in batch.latency_counts[0].buckets) == layout.RING_STEPS - 3


def test_a_file_that_is_deleted_while_its_process_lives_is_read_on(stage: Stage) -> None:
    trainer = stage.trainer(50)
    trainer.step()
    stage.tick()
    trainer.path.unlink()
    assert only(stage.tick()).rank_steps_total == 0
    trainer.dies()
    assert trainer_of(stage.tick()).outcome is RunOutcome.DIED


def test_a_file_that_is_deleted_and_was_not_kept_open_ends_with_its_process(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hookfile, "KEEP_OPEN", 0)
    trainer = stage.trainer(50)
    trainer.step()
    stage.tick(0)
    trainer.path.unlink()
    assert not stage.tick().training_samples, "nothing is known of what it does now"
    trainer.dies()
    assert trainer_of(stage.tick()).outcome is RunOutcome.UNKNOWN, "nor of how it ended"


def test_too_many_open_files_pass(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hookfile, "KEEP_OPEN", 0)
    trainer = stage.trainer(50)
    trainer.step()
    stage.tick()
    stage.tick(5)
    original, failing = Folders.open, [True]

    def full(*args: object) -> int:
        if failing[0]:
            raise OSError(errno.EMFILE, "Too many open files")
        return original(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(Folders, "open", full)
    batch = stage.tick()
    assert not batch.training_samples and not batch.events
    trainer.step(3)
    failing[0] = False
    assert only(stage.tick()).rank_steps_total == 3


def test_what_is_known_of_files_goes_with_them(stage: Stage) -> None:
    for pid in (50, 51):
        trainer = stage.trainer(pid)
        trainer.name_itself(flags=0)
        trainer.path.write_bytes(bytes(32))  # not yet as long as it will be
        stage.tick()
        trainer.path.unlink()
        stage.tick()
    attached = stage.collector._watching._attached
    assert not attached._found_ns and not attached._files


def test_a_process_that_replaces_itself_has_a_new_file_of_the_same_name(stage: Stage) -> None:
    trainer = stage.trainer(50)
    trainer.step(5)
    stage.tick()
    trainer.path.unlink()
    again = FakeTrainer(stage, 50, 900.0)
    again.step(2)
    sample = only(stage.tick())
    assert (sample.pid, sample.rank_steps_total) == (50, 2)


def test_a_dead_process_is_told_with_its_last_counts_and_its_file_goes_when_they_are_surely_stored(stage: Stage) -> None:
    trainer = stage.trainer(50)
    trainer.step(2)
    stage.tick()
    trainer.step(3)
    trainer.ends()
    trainer.dies()
    batch = stage.tick()
    assert only(batch).rank_steps_total == 3 and only(batch).phase is None
    assert trainer_of(batch).outcome is RunOutcome.FINISHED and trainer.path.exists()
    assert not stage.tick().training_samples
    stage.tick(15)
    assert not trainer.path.exists()


def test_files_of_the_dead_are_removed_when_the_recorder_ends_and_those_of_the_living_stay(stage: Stage) -> None:
    dead, living, just_dead = stage.trainer(50), stage.trainer(51), stage.trainer(52)
    stage.tick()
    dead.dies()
    stage.tick()
    before = living.path.read_bytes()
    just_dead.dies()
    stage.tick(2)
    stage.collector.close()
    assert not dead.path.exists() and living.path.read_bytes() == before
    assert just_dead.path.exists(), "who only looked once leaves it to whoever records"


def test_nothing_is_ever_written_to_a_file(stage: Stage) -> None:
    trainer = stage.trainer(50)
    trainer.step(3)
    before = trainer.path.read_bytes(), trainer.path.stat().st_mtime_ns
    for _ in range(5):
        stage.tick()
    assert (trainer.path.read_bytes(), trainer.path.stat().st_mtime_ns) == before


def test_an_open_file_is_kept_open_and_let_go(stage: Stage) -> None:
    trainers = [stage.trainer(50 + n) for n in range(3)]
    stage.tick()
    assert stage.collector._folders.kept_open == 3
    for trainer in trainers:
        trainer.dies()
    stage.tick()
    assert stage.collector._folders.kept_open == 0


def test_a_rank_that_dies_is_an_event_with_rank_pid_name_and_time(stage: Stage) -> None:
    ranks = ddp(stage)
    for rank in ranks:
        rank.step()
    stage.tick()
    ranks[1].ends("ValueError")
    stage.tick(0.5)
    ranks[1].dies()
    (event,) = stage.tick(0.5).events
    assert (event.kind, event.severity, event.pid) == ("rank_died", Severity.WARNING, 51)
    assert event.detail == "rank 1 of train.py (pid 51) failed: ValueError"
    assert event.ts_ms == stage.now_ms() - 1000
    ranks[0].dies()
    (event,) = stage.tick().events
    assert event.severity is Severity.NOTICE and "died without an orderly end, after rank 1" in event.detail
    assert not stage.tick().events


def test_ranks_that_end_in_order_one_after_the_other_are_no_event(stage: Stage) -> None:
    ranks = ddp(stage)
    for rank in ranks:
        rank.step()
    stage.tick()
    for rank in ranks:
        rank.ends()
        rank.dies()
        assert not stage.tick(3.0).events
    assert not stage.tick(20.0).events


def test_a_rank_that_ends_in_order_while_others_go_on_is_an_event(stage: Stage) -> None:
    ranks = ddp(stage)
    for rank in ranks:
        rank.step()
    stage.tick()
    ranks[1].ends()
    ranks[1].dies()
    assert not stage.tick().events
    ranks[0].step()
    (event,) = stage.tick(12.0).events
    assert "rank 1 of train.py (pid 51) ended while other ranks go on" in event.detail


def test_a_folder_that_is_there_and_not_safe_is_said_once(stage: Stage) -> None:
    stage.folder.chmod(0o777)
    stage.trainer(50)
    batches = [stage.tick() for _ in range(3)]
    (event,) = [event for batch in batches for event in batch.events]
    assert event.kind == "hook_folder_ignored" and "others may write to it (mode 0777)" in event.detail
    stage.folder.chmod(0o700)
    assert [len(stage.tick().training_samples) for _ in range(2)] == [1, 1]


def test_a_file_that_names_another_process_than_it_says_is_not_believed(stage: Stage) -> None:
    trainer = stage.trainer(50)
    trainer.path.rename(trainer.path.with_name(f"51-{trainer.ticks}.gw"))
    batches = [stage.tick() for _ in range(3)]
    assert not any(batch.training_samples or batch.trainers for batch in batches)
    assert "another process than its name" in batches[0].events[0].detail


def test_of_two_files_of_one_process_the_one_that_was_armed_last_counts(stage: Stage, tmp_path: Path) -> None:
    old = stage.trainer(50)
    old.step(5)
    stage.tick()
    second = tmp_path / "second"
    second.mkdir(mode=0o700)
    stage.folder, first = second, stage.folder
    new = FakeTrainer(stage, 50, 900.0)
    new.step(2)
    stage.collector._folders._folders[str(second)] = type(stage.collector._folders._folders[str(first)])(str(second))
    batches = [stage.tick() for _ in range(3)]
    assert [[sample.pid for sample in batch.training_samples] for batch in batches] == [[50]] * 3
    assert batches[0].training_samples[0].rank_steps_total == 2


def test_a_job_that_turns_out_to_be_larger_takes_its_process_with_it(stage: Stage) -> None:
    trainer = stage.trainer(50)
    trainer.step(2)
    assert only(stage.tick()).root_pid == 50
    stage.job(40, 890.0)
    stage.job(50, 900.0, root=(40, 890.0))
    batch = stage.tick()
    assert only(batch).root_pid == 40 and trainer_of(batch).root_pid == 40
    runs = {run.root_pid: run.tokens for told in (batch, *(stage.tick(5.0) for _ in range(3))) for run in told.runs}
    assert runs == {50: None, 40: 2048}


def test_who_trained_alone_and_was_stopped_by_a_signal_is_no_event_and_who_was_killed_is_one(stage: Stage) -> None:
    for pid, how in ((50, {"signal": 15}), (51, {"signal": 9})):
        trainer = stage.trainer(pid)
        trainer.step()
        stage.note(pid, 900.0)
        stage.tick()
        trainer.dies()
        batches = [stage.tick()]
        stage.note(pid, 900.0, ended_ms=stage.now_ms(), **how)
        batches += [stage.tick() for _ in range(12)]
        events = [event.detail for batch in batches for event in batch.events]
        assert events == ([] if pid == 50 else ["train.py (pid 51) died without an orderly end"])


def test_a_rank_that_was_killed_is_named_before_the_one_that_failed_for_it_if_it_was_gone_first(stage: Stage) -> None:
    ranks = ddp(stage)
    for rank in ranks:
        rank.step()
    stage.tick()
    ranks[1].did_step()
    ranks[1].write()
    ranks[1].dies()
    ranks[0].ends("RuntimeError")
    (event,) = stage.tick(0.1).events
    assert event.detail.startswith("rank 1 of train.py (pid 51) died") and event.severity is Severity.WARNING
    ranks[0].dies()
    (event,) = stage.tick().events
    assert event.detail.endswith("failed: RuntimeError, after rank 1") and event.severity is Severity.NOTICE


def test_where_a_killed_rank_and_the_one_that_failed_for_it_are_gone_at_one_look_both_are_warned_of(stage: Stage) -> None:
    ranks = ddp(stage)
    for rank in ranks:
        rank.step()
    stage.tick()
    ranks[1].dies()
    ranks[0].ends("RuntimeError")
    ranks[0].dies()
    first, second = stage.tick().events
    assert (first.severity, second.severity) == (Severity.WARNING, Severity.WARNING)
    assert first.detail.endswith("failed: RuntimeError") and second.detail.endswith("whether before rank 0 is not known")
