"""What becomes of whole runs: begin, totals, whose exit code it is, how each ended."""

from __future__ import annotations

import os

import pytest
from support.hookfiles import FakeTrainer, Stage, start_ms

from gpuwatch.collectors.training.processes import Processes
from gpuwatch.model import Batch
from gpuwatch.names import RunOutcome
from gpuwatch.training import Run


def run_of(batch: Batch, pid: int | None = None) -> Run:
    return [run for run in batch.runs if pid is None or run.root_pid == pid][-1]


def ended(stage: Stage, pid: int | None = None) -> Run:
    """Tick until the run is over."""
    for _ in range(8):
        runs = [run for run in stage.tick().runs if run.ended_ms is not None and pid in (None, run.root_pid)]
        if runs:
            return runs[-1]
    raise AssertionError("it does not end")


def torchrun(stage: Stage, count: int = 2, start: float = 890.0, **identity: object) -> list[FakeTrainer]:
    stage.job(40, start, command="torchrun pretrain.py", name="pretrain.py", python=True)
    return [
        stage.trainer(50 + rank, start + 5, root=(40, start), rank=rank, local=rank, world=count, **identity)
        for rank in range(count)
    ]  # fmt: skip


def end_all(stage: Stage, trainers: list[FakeTrainer], root: int | None = None) -> None:
    for trainer in trainers:
        trainer.dies()
    if root is not None:
        stage.kill(root)


def test_a_training_that_nobody_attached_to_is_a_run_with_a_beginning_and_an_unknown_end(stage: Stage) -> None:
    stage.job(50, 900.0)
    run = run_of(stage.tick())
    assert (run.key, run.started_ms, run.command) == ((50, start_ms(900.0)), start_ms(900.0), "python train.py")
    assert (run.outcome, run.steps, run.tokens, run.attached, run.ranks) == (RunOutcome.RUNNING, None, None, False, None)
    assert not stage.tick().runs
    stage.kill(50)
    run = run_of(stage.tick())
    assert (run.outcome, run.ended_ms, run.exit_code) == (RunOutcome.UNKNOWN, stage.now_ms(), None)


def test_a_run_adds_up_all_ranks_and_counts_each_step_once(stage: Stage) -> None:
    ranks = torchrun(stage)
    stage.tick()
    for _ in range(7):
        stage.clock.advance(0.1)
        for rank in ranks:
            rank.counts["step_number"] = 100 + rank.counts["steps"]
            rank.did_step()
            rank.write()
    run = run_of(stage.tick())
    assert (run.steps, run.tokens, run.ranks, run.attached) == (7, 2 * 7 * 1024, 2, True)
    assert run.step_number == 106 and run.samples is None
    assert run.first_step_ms == start_ms(0) + 1000_000 + 1100 and run.last_step_ms == run.first_step_ms + 600


def test_ranks_that_see_the_same_tokens_share_them(stage: Stage) -> None:
    ranks = torchrun(stage, replicas=2)
    for rank in ranks:
        rank.step(4)
    assert run_of(stage.tick()).tokens == 4 * 1024


def test_what_dead_ranks_have_done_stays_in_the_totals(stage: Stage) -> None:
    ranks = torchrun(stage)
    for rank in ranks:
        rank.step(4)
    stage.tick()
    end_all(stage, ranks)
    stage.tick()
    again = stage.trainer(60, 1000.0, root=(40, 890.0), rank=0, local=0, world=2)
    again.step(3)
    stage.tick(11)
    again.dies()
    stage.kill(40)
    run = ended(stage)
    assert (run.steps, run.tokens, run.ranks) == (7, (4 + 4 + 3) * 1024, 2)


def test_what_a_process_had_done_before_it_ran_itself_again_stays_in_the_totals(stage: Stage) -> None:
    trainer = stage.trainer(50)
    trainer.step(5)
    stage.tick()
    trainer.path.unlink()
    again = stage.trainer(50)
    again.step(3)
    again.dies()
    run = ended(stage)
    assert (run.steps, run.tokens) == (8, 8 * 1024)


def test_a_run_that_only_goes_on_is_told_every_ten_seconds(stage: Stage) -> None:
    trainer = stage.trainer(50)
    trainer.step()
    stage.tick()
    told = 0
    for _ in range(30):
        trainer.step()
        told += len(stage.tick(0.9).runs)
    assert told == 3


@pytest.mark.parametrize(
    ("raised", "outcome", "detail"),
    [
        ("", RunOutcome.FINISHED, ""),
        ("ValueError", RunOutcome.FAILED, "ValueError"),
        ("KeyboardInterrupt", RunOutcome.STOPPED, "KeyboardInterrupt"),
        (None, RunOutcome.DIED, "its process died"),
    ],
)
def test_without_a_note_the_last_words_of_the_process_tell_how_it_ended(
    stage: Stage, raised: str | None, outcome: RunOutcome, detail: str
) -> None:
    trainer = stage.trainer(50)
    trainer.step(2)
    stage.tick()
    if raised is not None:
        trainer.ends(raised)
    trainer.dies()
    run = ended(stage)
    assert (run.outcome, run.detail, run.exit_code, run.steps) == (outcome, detail, None, 2)


def test_the_rank_that_failed_first_names_the_failure_and_those_that_were_killed_for_it_do_not(stage: Stage) -> None:
    ranks = torchrun(stage)
    for rank in ranks:
        rank.step()
    stage.tick()
    ranks[1].ends("ValueError")
    end_all(stage, ranks, 40)
    run = ended(stage)
    assert (run.outcome, run.detail) == (RunOutcome.FAILED, "rank 1: ValueError")


def test_a_rank_that_was_gone_before_the_one_that_failed_for_it_names_the_failure(stage: Stage) -> None:
    ranks = torchrun(stage)
    for rank in ranks:
        rank.step()
    stage.tick()
    ranks[1].dies()
    ranks[0].ends("RuntimeError")
    stage.tick()
    end_all(stage, ranks, 40)
    run = ended(stage)
    assert (run.outcome, run.detail) == (RunOutcome.DIED, "rank 1 died")


def test_one_that_failed_is_not_hidden_by_others_that_finished_before_and_after(stage: Stage) -> None:
    stage.job(40, 890.0)
    for pid, raised in ((50, ""), (51, "ValueError"), (52, "")):
        trainer = stage.trainer(pid, root=(40, 890.0))
        trainer.step()
        stage.tick()
        trainer.ends(raised)
        trainer.dies()
        stage.tick()
    stage.kill(40)
    run = ended(stage)
    assert (run.outcome, run.detail, run.steps) == (RunOutcome.FAILED, "ValueError", 3)


def test_of_ranks_that_only_vanished_the_one_that_was_silent_first_is_named(stage: Stage) -> None:
    ranks = torchrun(stage)
    for rank in ranks:
        rank.step()
    stage.tick()
    ranks[1].step()
    ranks[0].step()
    end_all(stage, ranks, 40)
    assert (ended(stage).detail) == "rank 1 died"


@pytest.mark.parametrize(
    ("how", "outcome", "code", "detail"),
    [
        ({"exit_code": 0}, RunOutcome.FINISHED, 0, ""),
        ({"exit_code": 3}, RunOutcome.FAILED, 3, "exit code 3"),
        ({"signal": 9}, RunOutcome.DIED, -9, "signal 9 (SIGKILL)"),
        ({"signal": 15}, RunOutcome.STOPPED, -15, "signal 15 (SIGTERM)"),
        ({"signal": 2}, RunOutcome.STOPPED, -2, "signal 2 (SIGINT)"),
        ({"exit_code": 143}, RunOutcome.STOPPED, 143, "signal 15 (SIGTERM)"),
        ({"exit_code": 139}, RunOutcome.DIED, 139, "signal 11 (SIGSEGV)"),
        ({"exit_code": 255}, RunOutcome.FAILED, 255, "exit code 255"),
        ({"exit_code": "0"}, RunOutcome.UNKNOWN, None, ""),
        ({"exit_code": 10**30}, RunOutcome.UNKNOWN, None, ""),
    ],
)
def test_the_exit_code_of_the_command_is_that_of_its_run(
    stage: Stage, how, outcome: RunOutcome, code: int | None, detail: str
) -> None:
    stage.job(50, 900.0)
    stage.note(50, 900.0)
    stage.tick()
    stage.kill(50)
    stage.note(50, 900.0, ended_ms=stage.now_ms() + 400, **how)
    run = run_of(stage.tick())
    assert (run.outcome, run.exit_code, run.detail) == (outcome, code, detail)
    assert run.ended_ms == stage.now_ms() - 600


def test_an_end_is_awaited_for_a_moment_until_the_note_says_how(stage: Stage) -> None:
    trainer = stage.trainer(50)
    trainer.step()
    stage.note(50, 900.0)
    stage.tick()
    trainer.dies()
    assert not any(run.ended_ms for run in stage.tick().runs)
    stage.note(50, 900.0, ended_ms=stage.now_ms(), exit_code=1)
    assert run_of(stage.tick()).exit_code == 1


def test_a_note_that_never_says_how_it_ended_is_not_waited_for_long(stage: Stage) -> None:
    trainer = stage.trainer(50)
    trainer.step()
    stage.note(50, 900.0)
    stage.tick()
    trainer.dies()
    run = ended(stage)
    assert (run.outcome, run.exit_code) == (RunOutcome.DIED, None)


@pytest.mark.parametrize(
    ("raised", "detail"),
    [
        ("OutOfMemoryError", "rank 1: OutOfMemoryError"),
        ("RuntimeError", "rank 1: RuntimeError, {}: which came first is not known"),
        ("DistBackendError", "{}"),
    ],
)
def test_the_ranks_say_why_and_the_note_says_with_which_code(stage: Stage, raised: str, detail: str) -> None:
    ranks = torchrun(stage)
    stage.note(40, 890.0)
    for rank in ranks:
        rank.step()
    stage.tick()
    ranks[1].ends(raised)
    end_all(stage, ranks, 40)
    stage.note(40, 890.0, ended_ms=stage.now_ms(), exit_code=1)
    run = ended(stage)
    assert (run.outcome, run.exit_code, run.detail) == (RunOutcome.FAILED, 1, detail.format("rank 0 died"))


@pytest.mark.parametrize("late", [0, 3])
def test_a_script_that_starts_one_training_and_ends_with_it_gives_it_its_exit_code(stage: Stage, late: int) -> None:
    stage.tick(late)
    stage.open()  # as a recorder does that gpuwatch run starts beside its command
    stage.process(30, 1000.0)
    stage.note(30, 1000.5)
    stage.note(30, 1000.0)
    trainer = stage.trainer(50, 1002.0)
    stage.process(50, 1002.0, ppid=30)
    stage.board.publish([])
    stage.board.publish(stage.jobs.values())
    trainer.step()
    stage.tick()
    trainer.ends()
    stage.tick(9)  # between its goodbye and its end much is torn down
    end_all(stage, [trainer], 30)
    stage.note(30, 1000.0, ended_ms=stage.now_ms() + 100, exit_code=7)
    run = ended(stage)
    assert (run.exit_code, run.outcome) == (7, RunOutcome.FAILED)


@pytest.mark.parametrize(
    ("raised", "outcome", "code"),
    [
        ("ValueError", RunOutcome.FAILED, None),
        ("KeyboardInterrupt", RunOutcome.STOPPED, None),
        (None, RunOutcome.FINISHED, 0),  # os._exit(0) looks like this too
        ("", RunOutcome.FINISHED, 0),
    ],
)
def test_a_script_that_ends_well_after_its_training_failed_does_not_make_it_finished(
    stage: Stage, raised: str | None, outcome: RunOutcome, code: int | None
) -> None:
    stage.tick()
    stage.process(30, 1000.0)
    stage.note(30, 1000.0)
    trainer = stage.trainer(50, 1002.0)
    stage.process(50, 1002.0, ppid=30)
    trainer.step()
    stage.tick()
    if raised is not None:
        trainer.ends(raised)
    end_all(stage, [trainer], 30)
    stage.note(30, 1000.0, ended_ms=stage.now_ms() + 100, exit_code=0)
    run = ended(stage)
    assert (run.outcome, run.exit_code) == (outcome, code)


def test_a_note_of_somebody_else_than_who_started_the_command_counts_for_nothing(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    owners = {50: 4242}
    monkeypatch.setattr(Processes, "owner", lambda self, pid: owners.get(pid, 4242))
    stage.job(50, 900.0, parent_pid=30)
    stage.process(30, 890.0)
    forged = stage.note(50, 900.0, attach={"state": "blocked", "detail": "mine"})
    assert run_of(stage.tick()).detail == ""
    owners[30] = os.geteuid()  # sudo, started by this user's gpuwatch run
    forged.unlink()
    stage.tick()
    stage.note(50, 900.0, attach={"state": "blocked", "detail": "sudo"})
    assert run_of(stage.tick()).detail == "sudo"


def test_of_a_sweep_each_training_is_a_run_and_the_code_of_the_script_is_none_of_theirs(stage: Stage) -> None:
    stage.tick()
    stage.process(30, 1000.0)
    stage.note(30, 1000.0)
    runs = []
    for number in range(3):
        start = 1002.0 + 10 * number
        trainer = stage.trainer(50 + number, start)
        stage.process(50 + number, start, ppid=30)
        trainer.step(3)
        stage.tick()
        trainer.ends("ValueError" if number == 1 else "")
        trainer.dies()
        if number == 2:
            stage.kill(30)
            stage.note(30, 1000.0, ended_ms=stage.now_ms(), exit_code=0)
        runs.append(ended(stage, 50 + number))
    assert [run.outcome for run in runs] == [RunOutcome.FINISHED, RunOutcome.FAILED, RunOutcome.FINISHED]
    assert [run.exit_code for run in runs] == [None] * 3 and [run.steps for run in runs] == [3] * 3


def test_what_one_root_starts_one_after_the_other_is_all_counted_though_the_board_forgets_it_in_between(stage: Stage) -> None:
    for number in range(2):
        stage.job(40, 890.0, python=True, name="main.py", command="python main.py")
        trainer = stage.trainer(50 + number, 950.0 + number, root=(40, 890.0))
        trainer.step(3)
        stage.tick()
        trainer.ends()
        trainer.dies()
        stage.jobs.clear()
        stage.board.publish(())  # main.py itself is neither on a GPU nor has it an ML library
        assert not any(run.ended_ms for _ in range(6) for run in stage.tick(2).runs)
    stage.kill(40)
    run = ended(stage, 40)
    assert (run.outcome, run.steps, run.tokens) == (RunOutcome.FINISHED, 6, 6 * 1024)


def test_a_training_that_the_board_loses_for_a_moment_is_not_over(stage: Stage) -> None:
    stage.job(50, 900.0)
    stage.tick()
    stage.board.publish(())  # the driver's list of processes was empty once
    assert not stage.tick().runs
    stage.board.publish(stage.jobs.values())
    assert not stage.tick().runs
    stage.kill(50)
    assert ended(stage, 50).outcome is RunOutcome.UNKNOWN


def test_a_recorder_that_came_in_the_middle_of_a_sweep_gives_its_code_to_nobody(stage: Stage) -> None:
    stage.process(30, 900.0)
    stage.note(30, 900.0)
    trainer = stage.trainer(50, 990.0)
    stage.process(50, 990.0, ppid=30)
    trainer.step()
    stage.open()
    stage.tick()
    trainer.ends()
    end_all(stage, [trainer], 30)
    stage.note(30, 900.0, ended_ms=stage.now_ms(), exit_code=5)
    run = ended(stage)
    assert (run.exit_code, run.outcome) == (None, RunOutcome.FINISHED)


def test_a_script_that_goes_on_after_its_training_does_not_give_it_its_code(stage: Stage) -> None:
    stage.tick()
    stage.process(30, 1000.0)
    stage.note(30, 1000.0)
    trainer = stage.trainer(50, 1002.0)
    stage.process(50, 1002.0, ppid=30)
    trainer.step()
    stage.tick()
    trainer.ends()
    trainer.dies()
    run = ended(stage)
    assert (run.exit_code, run.outcome) == (None, RunOutcome.FINISHED)


def test_why_the_agent_could_not_get_in_stands_on_the_run_while_it_goes_on(stage: Stage) -> None:
    stage.job(50, 900.0)
    stage.note(50, 900.0, attach={"state": "blocked", "detail": "not attached to pid 50: python -I\x1b"})
    run = run_of(stage.tick())
    assert run.detail == "not attached to pid 50: python -I·"
    stage.kill(50)
    stage.note(50, 900.0, ended_ms=stage.now_ms(), exit_code=0)
    assert ended(stage).detail == ""


@pytest.mark.parametrize(("kept", "command"), [("redacted", "torchrun x.py --lr 1"), ("name", "torchrun"), ("none", "")])
def test_a_run_that_ended_while_nobody_watched_gets_its_end_and_totals_from_its_files(
    stage: Stage, kept: str, command: str
) -> None:
    stage.options["command_lines"] = kept
    ranks = torchrun(stage)
    for rank in ranks:
        rank.step(5)
        rank.ends()
    note = stage.note(40, 890.0, ended_ms=stage.now_ms() + 50, exit_code=0, command="torchrun x.py --lr 1")
    end_all(stage, ranks, 40)
    stage.clock.advance(600)
    stage.open()
    batch = stage.tick()
    assert not batch.training_samples and not batch.events
    assert {trainer.root_pid for trainer in batch.trainers} == {40}
    run = run_of(batch)
    assert (run.key, run.steps, run.tokens, run.exit_code) == ((40, start_ms(890.0)), 5, 10 * 1024, 0)
    assert run.command == command
    assert (run.outcome, run.ended_ms) == (RunOutcome.FINISHED, stage.now_ms() - 601_000 + 50)
    assert len(batch.runs) == 1 and note.exists()


def test_ranks_found_dead_below_a_script_that_goes_on_are_a_run_that_is_over(stage: Stage) -> None:
    ranks = torchrun(stage)
    for rank in ranks:
        rank.step(5)
        rank.ends()
    stage.note(40, 890.0)
    end_all(stage, ranks)
    stage.jobs.clear()
    stage.board.publish(())
    stage.clock.advance(600)
    stage.open()
    run = ended(stage)
    assert (run.root_pid, run.outcome, run.exit_code) == (40, RunOutcome.FINISHED, None)


def test_ranks_found_dead_without_a_note_are_one_run_under_the_first_of_them(stage: Stage) -> None:
    ranks = torchrun(stage)
    for rank in ranks:
        rank.step(5)
    end_all(stage, ranks, 40)
    stage.clock.advance(600)
    stage.open()
    batch = stage.tick()
    assert [(run.root_pid, run.tokens, run.outcome) for run in batch.runs] == [(50, 10 * 1024, RunOutcome.DIED)]


def test_an_end_is_told_again_a_few_times_in_case_one_is_lost(stage: Stage) -> None:
    trainer = stage.trainer(50)
    trainer.step()
    stage.tick()
    trainer.dies()
    told = [[run.ended_ms is not None for run in stage.tick().runs] for _ in range(8)]
    assert told == [[True]] * 6 + [[]] * 2


def test_a_name_and_a_commit_belong_to_a_run_from_its_start(stage: Stage, tmp_path) -> None:
    repository = tmp_path / "repository" / ".git"
    repository.mkdir(parents=True)
    (repository / "HEAD").write_text("a" * 40 + "\n")
    stage.process(50, 900.0)
    (stage.proc / "50" / "cwd").symlink_to(repository.parent)
    stage.job(50, 900.0)
    assert run_of(stage.tick()).git_commit == "a" * 40


def test_notes_go_an_hour_after_their_end_and_not_before(stage: Stage) -> None:
    stage.job(50, 900.0)
    note = stage.note(50, 900.0)
    stage.tick()
    stage.kill(50)
    stage.note(50, 900.0, ended_ms=stage.now_ms(), exit_code=0)
    for _ in range(3):
        stage.tick(1500)
        stage.tick(61)
    assert not note.exists()


def test_the_note_of_a_command_that_runs_stays(stage: Stage) -> None:
    stage.job(50, 900.0)
    note = stage.note(50, 900.0)
    for _ in range(3):
        stage.tick(4000)
    assert note.exists()


@pytest.mark.parametrize("text", ["", "[]", "{", '{"pid": 50}', "[" * 60_000, '{"pid": true}', "nul"])
def test_a_note_that_says_nothing_of_use_is_no_note(stage: Stage, text: str) -> None:
    path = stage.note(50, 900.0)
    path.write_text(text)
    stage.job(50, 900.0)
    assert run_of(stage.tick()).outcome is RunOutcome.RUNNING
    stage.kill(50)
    assert ended(stage).outcome is RunOutcome.UNKNOWN
