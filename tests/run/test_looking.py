"""Where the agent could not be attached, why, and when that is said: over a /proc of files."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from gpuwatch import hookdir, procfs
from gpuwatch.collectors.training import layout
from gpuwatch.launch import looking as module
from gpuwatch.launch.blockers import Ours, isolating_option
from gpuwatch.launch.looking import Looking

INJECT = "/opt/gpuwatch/inject"
TORCH = "7f00-7f01 r-xp 00000000 08:01 1 /venv/lib/python3.11/site-packages/torch/lib/libtorch_python.so\n"
GOOD = {"GPUWATCH_ATTACH": "1", "PYTHONPATH": f"{INJECT}:/mine"}
NOW_SECONDS = 1000


class Proc:
    """A folder like /proc. The command is pid 10, started by pid 9; processes are 100 s old."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.hooks = root / "hooks"
        self.hooks.mkdir()
        self.looking = Looking(
            10, Ours(INJECT, os.getuid(), str(root)), str(self.hooks), " ".join, lambda: NOW_SECONDS * 1_000_000_000
        )
        self.add(9, 1, ["bash"])
        self.add(10, 9, ["bash", "train.sh"])

    def add(
        self, pid: int, parent: int, argv: list[str], *, maps: str = "", environ: dict[str, str] = GOOD, age: float = 100
    ) -> None:
        folder = self.root / str(pid)
        folder.mkdir(exist_ok=True)
        ticks = round((NOW_SECONDS - age) * procfs.CLOCK_TICKS)
        fields = [*"S", parent, 1, 1, 0, -1, 0, *[0] * 4, 1000, 200, *[0] * 6, ticks, 0, 100, *[0] * 3, 1]
        (folder / "stat").write_text(f"{pid} (python) {' '.join(map(str, fields))}\n")
        (folder / "status").write_text(f"Name:\tpython\nNSpid:\t{pid}\nThreads:\t1\n")
        (folder / "cmdline").write_bytes(b"\0".join(map(os.fsencode, argv)) + b"\0")
        (folder / "maps").write_text(maps)
        (folder / "environ").write_text("".join(f"{name}={value}\0" for name, value in environ.items()))

    def remove(self, pid: int) -> None:
        for file in (self.root / str(pid)).iterdir():
            file.unlink()
        (self.root / str(pid)).rmdir()

    def hook(self, pid: int, *, off: str = "", age: float = 100) -> None:
        ticks = round((NOW_SECONDS - age) * procfs.CLOCK_TICKS)
        values: list[object] = list(layout.IDENTITY.unpack(bytes(layout.IDENTITY.size)))
        values[:4] = layout.MAGIC, layout.VERSION, layout.IDENTITY.size, layout.FLAG_OFF if off else 0
        values[-2] = off.encode()
        (self.hooks / f"{pid}-{ticks}.gw").write_bytes(layout.IDENTITY.pack(*values))


@pytest.fixture
def proc(tmp_path: Path) -> Proc:
    return Proc(tmp_path)


@pytest.mark.parametrize(
    ("argv", "option"),
    [
        ("python -I train.py", "-I"),
        ("python3.11 -uE train.py", "-E"),
        ("python -W ignore -S train.py", "-S"),
        ("python -Xdev -B -I -m torch.distributed.run", "-I"),
        ("python train.py -I -E -S", ""),
        ("python -m train -I", ""),
        ("python -um train -I", ""),
        ("python -c pass -S", ""),
        ("python -WIES train.py", ""),
        ("python -X importtime=E train.py", ""),
        ("python --check-hash-based-pycs never -I -", "-I"),
        ("python -s -P -u train.py", ""),
        ("python", ""),
    ],
)
def test_options_that_keep_the_agent_out_are_found_where_python_reads_them(argv: str, option: str) -> None:
    assert isolating_option(argv.split()) == option


@pytest.mark.parametrize(
    ("argv", "environ", "maps", "said"),
    [
        ("python -I train.py", GOOD, TORCH, "Python was started with -I, which ignores PYTHONPATH; start it without -I"),
        ("python train.py", {"PATH": "/bin"}, TORCH, "its environment was cleaned"),
        ("python train.py", {"GPUWATCH_ATTACH": "1", "PYTHONPATH": "/x"}, TORCH, "its PYTHONPATH was replaced; extend it instead"),
        ("python train.py", {"PYTHONPATH": INJECT}, TORCH, "GPUWATCH_ATTACH is not set in its environment"),
        ("python train.py", GOOD, TORCH.replace("3.11", "3.8"), "it is Python 3.8; the agent needs Python 3.9 or newer"),
        ("/venv/bin/trl sft", {"PATH": "/bin"}, TORCH, "its environment was cleaned"),
    ],
)
def test_what_keeps_the_agent_out_is_said_in_one_line(argv: str, environ: dict[str, str], maps: str, said: str, proc: Proc) -> None:
    proc.add(20, 10, argv.split(), environ=environ, maps=maps)
    proc.looking.look()
    assert proc.looking.complaint().startswith(f"not attached to pid 20, {argv}: {said}")
    assert proc.looking.attach() == {"state": "blocked", "detail": proc.looking.complaint()}


def test_a_sitecustomize_before_ours_is_named(proc: Proc, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "sitecustomize.py").touch()
    proc.add(20, 10, ["python", "x.py"], environ=GOOD | {"PYTHONPATH": f"/no:{tmp_path}/other:{INJECT}"}, maps=TORCH)
    proc.looking.look()
    assert f"{tmp_path}/other/sitecustomize.py comes first on its PYTHONPATH; put {INJECT} first" in proc.looking.complaint()


def test_another_python_version_in_the_map_does_not_count(proc: Proc) -> None:
    helper = "7f-80 r--p 0 08:01 1 /usr/lib/python3.8/lib-dynload/_json.so\n"
    proc.add(20, 10, ["python", "train.py"], maps=helper + TORCH)
    proc.looking.look()
    assert proc.looking.complaint() == ""


@pytest.mark.parametrize(
    ("maps", "environ", "age"),
    [
        (TORCH, GOOD, 100),  # a launcher: it may never train
        ("", {}, 100),  # no PyTorch
        (TORCH, {}, 1),  # perhaps a short helper
        (TORCH, {"GPUWATCH_DISABLE": "1"}, 100),  # as wished
    ],
)
def test_nothing_is_said_of_a_process_that_is_not_known_to_be_kept_out(
    maps: str, environ: dict[str, str], age: float, proc: Proc
) -> None:
    proc.add(20, 10, ["python", "train.py"], maps=maps, environ=environ, age=age)
    proc.looking.look()
    assert proc.looking.complaint() == "" and proc.looking.attach()["state"] == "waiting"
    proc.looking.finish()
    assert proc.looking.attach()["state"] == "none"


def test_only_processes_below_the_command_are_looked_at(proc: Proc) -> None:
    proc.add(20, 9, ["python", "-I", "a.py"], maps=TORCH)
    proc.add(21, 1, ["python", "-I", "b.py"], maps=TORCH)
    for _ in range(2):
        proc.looking.look()
        assert proc.looking.complaint() == ""
    proc.add(30, 10, ["torchrun"])
    proc.add(31, 30, ["python", "-I", "c.py"], maps=TORCH)
    proc.add(32, 30, ["python", "-I", "d.py"], maps=TORCH)
    proc.looking.look()
    assert proc.looking.complaint().startswith("not attached to pid 31 (and 1 more), python -I c.py: ")


def test_processes_with_a_hook_file_are_attached_whatever_they_look_like(proc: Proc) -> None:
    proc.add(20, 10, ["python", "-I", "train.py"], maps=TORCH)
    proc.hook(20)
    proc.looking.look()
    assert proc.looking.attach() == {"state": "attached", "detail": "1 process"}
    proc.add(21, 20, ["python", "train.py"], maps=TORCH)
    proc.looking.look()
    proc.remove(20)
    proc.remove(21)
    proc.hook(21)  # armed after the last look
    proc.looking.finish()
    assert proc.looking.attach() == {"state": "attached", "detail": "2 processes"} and proc.looking.complaint() == ""


def test_a_process_that_is_attached_later_is_no_longer_complained_of(proc: Proc) -> None:
    proc.add(20, 10, ["python", "train.py"], maps=TORCH, environ={})
    proc.looking.look()
    assert proc.looking.complaint()
    proc.hook(20)  # by gpuwatch_track, say
    proc.looking.look()
    assert proc.looking.attach() == {"state": "attached", "detail": "1 process"} and proc.looking.complaint() == ""


def test_why_an_agent_turned_itself_off_is_said(proc: Proc) -> None:
    proc.add(20, 10, ["python", "train.py"], maps=TORCH)
    proc.hook(20, off="RuntimeError: \x1b[31mred")
    proc.looking.look()
    proc.looking.finish()
    said = "the agent in pid 20 turned itself off: RuntimeError: ·[31mred; the training was not touched"
    assert proc.looking.attach() == {"state": "off", "detail": said} and proc.looking.complaint() == said


def test_a_broken_hook_file_says_nothing(proc: Proc) -> None:
    proc.add(20, 10, ["python", "train.py"], maps=TORCH)
    proc.hook(20)
    (file,) = proc.hooks.iterdir()
    for content in (b"", b"GWTR", b"\xff" * layout.IDENTITY.size):
        file.write_bytes(content)
        proc.looking.look()
        assert proc.looking.attach()["state"] == "attached"


def test_a_process_in_a_container_is_known_by_its_number_there(proc: Proc) -> None:
    proc.add(20, 10, ["python", "train.py"], maps=TORCH)
    (proc.root / "20" / "status").write_text("Name:\tpython\nNSpid:\t20\t7\nThreads:\t1\n")
    proc.hook(7)
    proc.looking.look()
    assert proc.looking.attach()["state"] == "attached"


def test_a_container_without_the_agent_is_named(proc: Proc) -> None:
    for pid, namespace in (("self", "mnt:[1]"), ("20", "mnt:[2]")):
        (proc.root / pid / "ns").mkdir(parents=True)
        (proc.root / pid / "ns" / "mnt").symlink_to(namespace)
    proc.add(20, 10, ["python", "train.py"], maps=TORCH)
    proc.looking.look()
    assert (
        "it runs in a container without gpuwatch's folder; mount /opt/gpuwatch/inject at the same path" in proc.looking.complaint()
    )


def test_another_users_python_is_named_only_if_it_worked_and_nothing_else_was_attached(
    proc: Proc, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "torch_maps", lambda root, pid: None if pid == 20 else b"")
    monkeypatch.setattr(module, "owner", lambda root, pid: 4321 if pid == 20 else os.getuid())
    proc.add(20, 10, ["python", "train.py"])
    proc.looking.look()
    assert "it belongs to another user (uid 4321)" in proc.looking.complaint()
    proc.add(21, 10, ["python", "train.py"])
    proc.hook(21)
    proc.looking.look()
    assert proc.looking.complaint() == "" and proc.looking.attach()["state"] == "attached"


def test_the_hook_file_of_a_process_that_root_started_for_a_user_is_found(proc: Proc, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hookdir, "MEMORY", str(proc.root / "shm"))
    monkeypatch.setattr(module, "owner", lambda root, pid: 4321 if pid == 20 else os.getuid())
    theirs = Path(hookdir.standard(4321))
    theirs.mkdir(parents=True)
    proc.add(20, 10, ["python", "train.py"], maps=TORCH)
    proc.hook(20)
    (file,) = proc.hooks.iterdir()
    file.rename(theirs / file.name)
    proc.looking.look()
    assert proc.looking.attach()["state"] == "attached"


def test_the_workers_of_a_training_are_not_looked_into(proc: Proc, monkeypatch: pytest.MonkeyPatch) -> None:
    proc.add(20, 10, ["python", "train.py"], maps=TORCH)
    proc.hook(20)
    proc.looking.look()
    proc.add(21, 20, ["python", "train.py"], maps=TORCH, environ={})
    monkeypatch.setattr(module, "torch_maps", lambda root, pid: pytest.fail(f"pid {pid}") if pid == 21 else b"")
    proc.looking.look()
    assert proc.looking.attach() == {"state": "attached", "detail": "1 process"}


def test_long_command_lines_are_cut_in_what_is_said(proc: Proc) -> None:
    proc.add(20, 10, ["python", "-I", "train.py", "x" * 500], maps=TORCH)
    proc.looking.look()
    assert len(proc.looking.complaint()) < 200 and "x…: Python was started" in proc.looking.complaint()


def test_looks_take_a_small_share_of_time() -> None:
    assert [Looking.pause(0.001, elapsed) for elapsed in (4, 20, 1000)] == [2.0, 5.0, 10.0]
    assert Looking.pause(0.1, 4) == 50.0
