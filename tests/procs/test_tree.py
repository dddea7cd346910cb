"""Jobs as trees: how far up a job goes, who belongs to it, what it is called, and that it keeps its identity."""

from __future__ import annotations

TORCH = "7f00-7f01 r-xp 00000000 08:01 42 /v/torch/lib/libtorch_cpu.so\n"


def test_torchrun_below_a_shell_with_ranks_and_data_loader_workers(proc, watch):
    proc.add(10, "bash", ["bash"], start=1)
    proc.add(20, "torchrun", ["python3", "/v/bin/torchrun", "--nproc-per-node=2", "train.py"], ppid=10, start=2)
    for rank in (30, 40):
        proc.add(rank, "pt_main_thread", ["python3", "-u", "train.py"], ppid=20, start=3, maps=TORCH)
        proc.add(rank + 1, "pt_data_worker", ["python3", "-u", "train.py"], ppid=rank, start=4, maps=TORCH)
    proc.add(90, "python3", ["python3", "other.py"], ppid=10, start=5)
    watcher = watch()
    watcher.tick(30, 40)
    assert watcher.roles == {20: "ancestor", 30: "gpu", 31: "worker", 40: "gpu", 41: "worker"}
    assert {process.workload_pid for process in watcher.processes.values()} == {20}
    assert watcher.processes[31].parent_pid == 30 and watcher.processes[20].parent_pid == 0
    workload = watcher.workloads[20]
    assert (workload.kind, workload.name, workload.engine, workload.port) == ("training", "train.py", "", 0)


def test_the_same_training_without_a_gpu(proc, watch):
    proc.add(20, "torchrun", ["python3", "/v/bin/torchrun", "train.py"], start=2, maps=TORCH)
    proc.add(30, "pt_main_thread", ["python3", "-u", "train.py"], ppid=20, start=3, maps=TORCH)
    proc.add(31, "pt_data_worker", ["python3", "-u", "train.py"], ppid=30, start=4, maps=TORCH)
    watcher = watch()
    watcher.tick()
    assert watcher.roles == {20: "ancestor", 30: "ml", 31: "worker"}


def test_a_server_with_its_engine_is_one_workload(proc, watch):
    proc.add(20, "vllm", ["python3", "/v/bin/vllm", "serve", "Qwen/Qwen3-8B", "--port", "8001"], start=1)
    proc.add(21, "python3", ["python3", "-c", "from multiprocessing.resource_tracker import main"], ppid=20, start=2)
    proc.add(22, "VLLM::EngineCor", ["VLLM::EngineCore"], ppid=20, start=2)
    proc.add(23, "VLLM::Worker_TP", ["VLLM::Worker_TP0"], ppid=22, start=3)
    watcher = watch()
    watcher.tick(23)
    assert watcher.roles == {20: "ml", 21: "worker", 22: "worker", 23: "gpu"}
    workload = watcher.workloads[20]
    assert (workload.kind, workload.engine, workload.model) == ("inference", "vllm", "Qwen/Qwen3-8B")
    assert (workload.name, workload.port) == ("Qwen3-8B", 8001)


def test_two_replicas_are_two_workloads(proc, watch):
    proc.add(10, "bash", ["bash", "both.sh"])
    for pid in (20, 30):
        proc.add(pid, "llama-server", ["llama-server", "-m", "a.gguf"], ppid=10)
    watcher = watch()
    watcher.tick(20, 30)
    assert set(watcher.workloads) == {20, 30}


def test_a_notebook_kernel_stands_for_itself(proc, watch):
    proc.add(10, "jupyter-lab", ["python3", "/v/bin/jupyter-lab"])
    proc.add(20, "python3", ["python3", "-m", "ipykernel_launcher", "-f", "/r/kernel-1a2b3c4d-5.json"], ppid=10)
    proc.add(30, "python3", ["python3", "-m", "ipykernel_launcher", "-f", "/r/kernel-99999999-5.json"], ppid=10)
    watcher = watch()
    watcher.tick(20)
    assert watcher.roles == {20: "gpu"}, "the other kernel has no ML library"
    assert (watcher.workloads[20].name, watcher.workloads[20].job, watcher.workloads[20].kind) == (
        "notebook",
        "notebook:1a2b3c4d",
        "other",
    )


def test_wrappers_on_top_are_not_the_root_and_shells_below_a_launcher_are_inside(proc, watch):
    proc.add(10, "sudo", ["sudo", "mpirun", "wrap.sh"], start=1)
    proc.add(20, "mpirun", ["mpirun", "wrap.sh"], ppid=10, start=2)
    proc.add(21, "bash", ["bash", "wrap.sh"], ppid=20, start=3)
    proc.add(22, "python3", ["python3", "train.py"], ppid=21, start=4)
    watcher = watch()
    watcher.tick(22)
    assert watcher.roles == {20: "ancestor", 21: "ancestor", 22: "gpu"}
    assert watcher.workloads[20].kind == "training"


def test_two_jobs_of_one_shell_script_are_two(proc, watch):
    proc.add(9, "python3", ["python3", "cron.py"], start=1)
    proc.add(10, "bash", ["bash", "sweep.sh"], ppid=9, start=2)
    proc.add(20, argv=["python3", "train.py", "1"], ppid=10)
    proc.add(21, argv=["python3", "train.py", "2"], ppid=10)
    watcher = watch()
    watcher.tick(20, 21)
    assert set(watcher.workloads) == {20, 21}


def test_the_workload_outlives_its_root(proc, watch):
    proc.add(20, "torchrun", ["python3", "/v/bin/torchrun", "train.py"], start=2)
    proc.add(30, argv=["python3", "train.py"], ppid=20, start=3)
    proc.add(31, argv=["python3", "train.py"], ppid=30, start=4)
    watcher = watch()
    watcher.tick(30)
    before = watcher.workloads[20]
    proc.remove(20)
    proc.stat(30, ppid=1, start=3)
    watcher.tick(30)
    watcher.tick(30)
    assert watcher.roles == {30: "gpu", 31: "worker"}
    assert watcher.workloads == {20: before} and {p.workload_pid for p in watcher.processes.values()} == {20}
    proc.remove(30)
    proc.remove(31)
    watcher.tick()
    assert watcher.workloads == {}


def test_a_library_that_is_imported_later_is_found_later(proc, watch):
    proc.add(50, argv=["python3", "slow.py"], start=1)
    watcher = watch()
    watcher.tick()
    assert watcher.roles == {}
    (proc.root / "50" / "maps").write_text("x" * (65536 - TORCH.index("torch_cpu")) + TORCH)
    watcher.tick(seconds=2)
    watcher.tick(seconds=2)
    assert watcher.roles == {50: "ml"}


def test_memory_maps_are_scanned_a_few_per_tick(proc, watch):
    for pid in range(100, 300):
        proc.add(pid, argv=["python3", "x.py"], start=1, maps=TORCH)
    watcher = watch()
    counts = []
    for _ in range(3):
        watcher.tick()
        counts.append(len(watcher.roles))
    assert counts == [64, 72, 80]


def test_a_process_of_seven_seconds_is_seen_even_when_it_imports_late(proc, watch):
    watcher = watch()
    watcher.tick()
    proc.add(50, argv=["python3", "short.py"], start=1002.5)
    seen = []
    for second in range(4):
        if second == 3:
            (proc.root / "50" / "maps").write_text(TORCH)
        watcher.tick()
        seen.append(50 in watcher.roles)
    assert seen == [False, False, False, True]
