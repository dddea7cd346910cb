"""Jobs that train: what the collector of trainings is told of them, and what becomes of a job whose steps it has seen."""

from __future__ import annotations

import pytest

TORCH = "7f00-7f01 r-xp 00000000 08:01 42 /v/torch/lib/libtorch_cpu.so\n"


@pytest.fixture
def trainers(watch):
    watcher = watch()
    return watcher, watcher.collector.context.trainers


def jobs(board):
    return {job.pid: job for job in board.current()[1]}


def test_the_processes_of_a_job_are_told_with_its_root_and_kind(proc, trainers):
    watcher, board = trainers
    proc.add(20, "torchrun", ["python3", "/v/bin/torchrun", "--nproc-per-node", "2", "pretrain.py", "--api-key", "hunter2"], uid=7)
    proc.add(21, "python3", ["python3", "pretrain.py"], ppid=20, uid=7)
    proc.add(22, "python3", ["python3", "pretrain.py"], ppid=20, uid=7)
    watcher.tick()
    found = jobs(board)
    root = (20, watcher.workloads[20].root_start_ms)
    assert set(found) == {20, 21, 22}
    assert {job.workload for job in found.values()} == {root}
    assert all(job.training and job.python and job.uid == 7 and job.name == "pretrain.py" for job in found.values())
    assert (found[20].parent_pid, found[21].parent_pid) == (0, 20)
    assert "hunter2" not in repr(found) and "pretrain.py" in found[20].command


def test_a_job_whose_command_line_says_nothing_trains_when_its_steps_were_seen(proc, trainers):
    watcher, board = trainers
    proc.add(20, "python3", ["python3", "x.py"], maps=TORCH)
    watcher.tick()
    assert watcher.workloads[20].kind == "other" and not jobs(board)[20].training
    board.trains([20])
    watcher.tick()
    assert watcher.workloads[20].kind == "training" and jobs(board)[20].training


def test_a_process_that_steps_is_watched_even_if_nothing_else_tells_it(proc, trainers):
    watcher, board = trainers
    proc.add(20, "python3", ["python3", "x.py"])
    watcher.tick()
    assert 20 not in watcher.processes
    board.trains([20])
    watcher.tick()
    assert watcher.roles[20] == "ml" and watcher.workloads[20].kind == "training"


def test_a_job_stays_a_training_when_the_process_that_stepped_has_ended(proc, trainers):
    watcher, board = trainers
    proc.add(20, "python3", ["python3", "sweep.py"], maps=TORCH)
    proc.add(21, "python3", ["python3", "x.py"], ppid=20)
    board.trains([21])
    watcher.tick()
    proc.remove(21)
    board.trains([])
    watcher.tick()
    assert watcher.workloads[20].kind == "training" and set(jobs(board)) == {20}


def test_a_pid_that_steps_before_it_is_seen_is_marked_when_it_is(proc, trainers):
    watcher, board = trainers
    board.trains([20])
    watcher.tick()
    proc.add(20, "python3", ["python3", "x.py"])
    watcher.tick()
    assert watcher.workloads[20].kind == "training"


def test_an_inference_server_is_no_job_of_the_collector_of_trainings_and_stays_a_server(proc, trainers):
    watcher, board = trainers
    proc.add(20, argv=["python3", "/v/bin/vllm", "serve", "Qwen/Qwen3-8B"])
    board.trains([20])
    watcher.tick()
    assert watcher.workloads[20].kind == "inference" and not jobs(board)


def test_the_board_changes_only_with_the_jobs(proc, trainers):
    watcher, board = trainers
    proc.add(20, argv=["python3", "train.py"], maps=TORCH)
    watcher.tick()
    version = board.current()[0]
    watcher.tick(seconds=60)
    board.trains([20])
    watcher.tick()
    assert board.current()[0] == version, "its command line had told it already"
    proc.remove(20)
    watcher.tick()
    assert board.current()[0] == version + 1
