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


def test_each_training_that_a_python_script_starts_is_a_job_of_its_own(proc, trainers):
    watcher, board = trainers
    proc.add(20, argv=["python3", "sweep.py"], maps=TORCH, start=1)
    proc.add(21, argv=["python3", "train.py", "--lr=1"], ppid=20, maps=TORCH, start=2)
    proc.add(22, argv=["python3", "-c", "from multiprocessing.spawn import spawn_main"], ppid=21, maps=TORCH, start=3)
    proc.add(30, argv=["timeout", "1h", "python3", "train.py"], ppid=20, start=2)
    proc.add(31, argv=["python3", "train.py", "--lr=2"], ppid=30, start=3)
    proc.add(40, argv=["python3", "/v/bin/torchrun", "x.py"], ppid=20, start=2)
    proc.add(41, argv=["python3", "x.py"], ppid=40, start=3, environ=b"WORLD_SIZE=2\0")
    watcher.tick()
    watcher.tick(41)
    found = jobs(board)
    assert {pid: job.workload[0] for pid, job in found.items()} == {20: 20, 30: 20, 21: 21, 22: 21, 40: 40, 41: 40}
    assert {root for root, workload in watcher.workloads.items() if workload.kind == "training"} == {21, 40}
    watcher.tick(31, 41)
    assert jobs(board)[31].workload[0] == 31, "it was left alone until it held a GPU"


@pytest.mark.parametrize(
    ("argv", "more"),
    [
        (["python3", "train.py"], {"environ": b"A=1\0WORLD_SIZE=2\0RANK=0\0"}),
        (["python3", "train.py", "--local_rank=0"], {}),
        (["python3", "train.py", "--rank", "0"], {}),
        (["python3", "main.py"], {}),
    ],
)
def test_ranks_that_a_python_script_starts_are_one_job_and_so_is_what_is_not_known_to_train(proc, trainers, argv, more):
    watcher, board = trainers
    proc.add(20, argv=["python3", "launch.py"], start=1)
    for pid in (21, 22):
        proc.add(pid, argv=argv, ppid=20, maps=TORCH, start=2, **more)
    watcher.tick()
    assert {job.workload[0] for job in jobs(board).values()} == {20}


def test_a_training_whose_environment_cannot_be_read_may_be_a_rank(proc, trainers):
    watcher, board = trainers
    proc.add(20, argv=["python3", "launch.py"], start=1)
    proc.add(21, argv=["python3", "train.py"], ppid=20, maps=TORCH, start=2)
    (proc.root / "21" / "environ").unlink()
    watcher.tick()
    assert jobs(board)[21].workload[0] == 20


def test_the_workers_of_a_training_are_its_own_and_its_environment_is_left_alone_where_nothing_hangs_on_it(proc, trainers):
    watcher, board = trainers
    proc.add(20, argv=["python3", "train.py"], maps=TORCH, start=1)
    proc.add(21, argv=["python3", "train.py"], ppid=20, maps=TORCH, start=2)
    watcher.tick()
    assert {job.workload[0] for job in jobs(board).values()} == {20}
    assert {entry.ranked for entry in watcher.collector.watch.table.entries.values()} == {None}


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
