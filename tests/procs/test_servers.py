"""Inference servers among the jobs: what is told of them, which is a job of its own, and which workers belong to which."""

from __future__ import annotations

import pytest

VLLM = ["python3", "/v/bin/vllm", "serve", "Qwen/Qwen3-8B"]
TORCH = "7f00-7f01 r-xp 00000000 08:01 42 /v/torch/lib/libtorch_cpu.so\n"
DOCKER = "0::/system.slice/docker-{:0<64x}.scope\n"


def test_a_server_and_its_workers_are_told_with_the_key_of_their_workload(proc, watch):
    proc.add(20, argv=[*VLLM, "--port", "8001", "--host", "0.0.0.0", "--api-key", "hunter2", "--api-server-count", "2"], uid=7)
    proc.add(21, "VLLM::APIServer", ["VLLM::APIServer_0"], ppid=20, uid=7)
    proc.add(22, "VLLM::EngineCor", ["VLLM::EngineCore"], ppid=20, uid=7)
    proc.add(23, "VLLM::Worker_TP", ["VLLM::Worker_TP0"], ppid=22, uid=7)
    watcher = watch()
    watcher.tick(23)
    key = (20, watcher.workloads[20].root_start_ms, 8001)
    assert {server.workload for server in watcher.servers.values()} == {key}
    assert {pid: server.worker for pid, server in watcher.servers.items()} == {20: False, 21: False, 22: True, 23: True}
    assert {pid: server.parent_pid for pid, server in watcher.servers.items()} == {20: 0, 21: 20, 22: 20, 23: 22}
    root = watcher.servers[20]
    assert (root.engine, root.model, root.port, root.uid) == ("vllm", "Qwen/Qwen3-8B", 8001, 7)
    assert "hunter2" not in repr(watcher.servers)


def test_the_board_changes_only_with_the_servers(proc, watch):
    proc.add(20, argv=VLLM)
    watcher = watch()
    watcher.tick()
    watcher.tick(seconds=600)
    version = watcher.board.current()[0]
    proc.add(30, argv=["python3", "train.py"], ppid=20)
    watcher.tick()
    watcher.tick(30)
    assert watcher.board.current()[0] == version
    proc.add(40, argv=[*VLLM, "--port", "8001"])
    watcher.tick()
    assert watcher.board.current()[0] == version + 1
    proc.remove(40)
    watcher.tick()
    assert watcher.board.current()[0] == version + 2 and set(watcher.servers) == {20}


def test_no_model_is_told_where_command_lines_are_private(proc, watch):
    proc.add(20, argv=[*VLLM, "--port", "8001"])
    watcher = watch(command_lines="name")
    watcher.tick()
    assert (watcher.servers[20].model, watcher.servers[20].port) == ("", 8001)


def test_a_secret_in_a_models_address_is_masked(proc, watch):
    proc.add(20, "llama-server", ["llama-server", "--model-url", "https://me:hunter2@models.example/a.gguf"])
    watcher = watch()
    watcher.tick()
    assert "hunter2" not in repr(watcher.servers) and "models.example" in watcher.servers[20].model


def test_a_forked_child_that_still_has_its_parents_command_line_is_not_asked(proc, watch):
    proc.add(20, argv=[*VLLM, "--port", "8001"])
    proc.add(21, argv=[*VLLM, "--port", "8001"], ppid=20)
    watcher = watch()
    watcher.tick(21)
    assert {pid: server.worker for pid, server in watcher.servers.items()} == {20: False, 21: True}


@pytest.mark.parametrize(
    "above",
    [
        ["python3", "replicas.py"],
        ["python3", "/v/bin/pytest", "-q"],
        ["python3", "-c", "import subprocess"],
        ["python3", "/v/bin/supervisord"],
    ],
)
def test_replicas_of_one_script_are_jobs_of_their_own(proc, watch, above):
    proc.add(10, argv=above, start=1)
    for pid, port in ((20, "8001"), (30, "8002")):
        proc.add(pid, argv=[*VLLM, "--port", port], ppid=10, start=2)
        proc.add(pid + 1, "VLLM::EngineCor", ["VLLM::EngineCore"], ppid=pid, start=3)
    watcher = watch()
    watcher.tick(21, 31)
    assert {pid: process.workload_pid for pid, process in watcher.processes.items()} == {20: 20, 21: 20, 30: 30, 31: 30}
    assert {pid: workload.port for pid, workload in watcher.workloads.items()} == {20: 8001, 30: 8002}


def test_a_training_that_starts_a_server_does_not_swallow_it(proc, watch):
    proc.add(20, argv=["python3", "train_grpo.py"], start=1, maps=TORCH)
    proc.add(30, argv=VLLM, ppid=20, start=2)
    proc.add(40, "pt_data_worker", ["python3", "train_grpo.py"], ppid=20, start=2)
    watcher = watch()
    watcher.tick(20, 30)
    assert {pid: process.workload_pid for pid, process in watcher.processes.items()} == {20: 20, 30: 30, 40: 20}
    assert {pid: workload.kind for pid, workload in watcher.workloads.items()} == {20: "training", 30: "inference"}


def test_an_engine_inside_somebodys_own_program_stays_with_it(proc, watch):
    proc.add(20, argv=["python3", "answer_all.py"], start=1)
    proc.add(21, "VLLM::EngineCor", ["VLLM::EngineCore"], ppid=20, start=2)
    watcher = watch()
    watcher.tick(21)
    assert {process.workload_pid for process in watcher.processes.values()} == {20}
    assert [(server.pid, server.worker, server.parent_pid) for server in watcher.servers.values()] == [(21, True, 20)]


@pytest.mark.parametrize(
    ("above", "server"),
    [
        (["mpirun", "-n", "1", "trtllm-serve", "m"], ["trtllm-serve", "m", "--port", "8000"]),
        (["uv", "run", "vllm", "serve", "m"], [*VLLM, "--port", "8000"]),
        (["python3", "/v/bin/conda", "run", "vllm", "serve", "m"], [*VLLM, "--port", "8000"]),
    ],
)
def test_a_launcher_or_wrapper_belongs_to_its_server(proc, watch, above, server):
    proc.add(10, "x", above, start=1)
    proc.add(20, "y", server, ppid=10, start=2)
    watcher = watch()
    watcher.tick(20)
    (workload,) = watcher.workloads.values()
    assert workload.root_pid == (10 if above[0] == "mpirun" else 20) and workload.port == 8000
    assert watcher.servers[20].workload == (workload.root_pid, workload.root_start_ms, 8000)


def test_ollamas_servers_are_parts_of_it_and_its_key_does_not_change_with_their_ports(proc, watch):
    proc.add(20, "ollama", ["ollama", "serve"], start=1)
    watcher = watch()
    watcher.tick()
    before = watcher.workloads[20]
    child = ["/usr/lib/ollama/llama-server", "--model", "/b/sha256-1", "--port", "41001"]
    proc.add(30, "llama-server", child, ppid=20, start=2)
    watcher.tick(30)
    assert watcher.workloads == {20: before} and (before.port, before.name) == (0, "ollama")
    found = watcher.servers[30]
    assert (found.engine, found.port, found.parent_pid, found.worker) == ("llama.cpp", 41001, 20, False)
    assert found.workload == (20, before.root_start_ms, 0)


def test_a_launcher_without_a_port_does_not_take_that_of_what_it_starts(proc, watch):
    proc.add(20, "x", ["text-generation-launcher", "--model-id", "b/c"], start=1)
    watcher = watch()
    watcher.tick()
    proc.add(30, "y", ["text-generation-router", "--port", "3000"], ppid=20, start=2)
    proc.add(31, "z", ["python3", "/v/bin/text-generation-server", "serve", "b/c"], ppid=20, start=2)
    watcher.tick(31)
    assert watcher.workloads[20].port == 0 and watcher.servers[30].port == 3000 and watcher.servers[31].worker


def dynamo(proc, *, frontends=(20,), session=10, cgroups=("0::/\n", "0::/\n")):
    for pid in frontends:
        proc.add(pid, argv=["python3", "-m", "dynamo.frontend", "--http-port", "8000"], session=session, cgroup=cgroups[0])
    proc.add(30, argv=["python3", "-m", "dynamo.vllm", "--model", "m"], session=10, cgroup=cgroups[1])
    proc.add(31, "VLLM::EngineCor", ["VLLM::EngineCore"], ppid=30, session=10, cgroup=cgroups[1])


def test_workers_that_are_no_descendants_join_the_only_server_of_their_session(proc, watch):
    dynamo(proc)
    watcher = watch()
    watcher.tick(31)
    assert {pid: process.workload_pid for pid, process in watcher.processes.items()} == {20: 20, 30: 20, 31: 20}
    assert watcher.roles == {20: "ml", 30: "ml", 31: "gpu"} and watcher.workloads[20].model == "m"
    assert {server.workload for server in watcher.servers.values()} == {(20, watcher.workloads[20].root_start_ms, 8000)}


def test_workers_join_the_server_of_their_container_from_another_session(proc, watch):
    dynamo(proc, session=9, cgroups=(DOCKER.format(1), DOCKER.format(1)))
    watcher = watch()
    watcher.tick(31)
    assert set(watcher.workloads) == {20}


@pytest.mark.parametrize(
    "scene",
    [
        {"frontends": (20, 25)},
        {"session": 9},
        {"session": 9, "cgroups": (DOCKER.format(1), DOCKER.format(2))},
    ],
)
def test_workers_stay_alone_where_two_servers_fit_or_none(proc, watch, scene):
    dynamo(proc, **scene)
    watcher = watch()
    watcher.tick(31)
    assert watcher.processes[31].workload_pid == 30 and 30 in watcher.workloads


def test_ray_workers_join_vllm_but_no_other_engine(proc, watch):
    proc.add(20, argv=VLLM, session=10)
    proc.add(25, "sglang", ["sglang", "serve", "--model-path", "m"], session=10)
    proc.add(28, "raylet", ["raylet"], session=10)
    proc.add(30, "ray::RayWorkerW", ["ray::RayWorkerWrapper"], ppid=28, session=10)
    watcher = watch()
    watcher.tick(30)
    assert watcher.processes[30].workload_pid == 20 and set(watcher.workloads) == {20, 25}


def test_an_orphaned_engine_is_not_given_to_the_next_server_of_its_session(proc, watch):
    proc.add(21, "VLLM::EngineCor", ["VLLM::EngineCore"], session=10, start=1)
    proc.add(30, argv=VLLM, session=10, start=2)
    watcher = watch()
    watcher.tick(21)
    assert set(watcher.workloads) == {21, 30}
