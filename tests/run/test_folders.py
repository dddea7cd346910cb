"""Where what is measured is left: the same folder for whoever writes and whoever reads it, and a safe one."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from gpuwatch import hookdir
from gpuwatch.collectors.training import layout
from gpuwatch.commands import checks_training
from gpuwatch.launch import attach, looking, note

UID = os.geteuid()


@pytest.fixture(autouse=True)
def memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "shm"
    folder.mkdir()
    monkeypatch.setattr(hookdir, "MEMORY", str(folder))
    return folder


def test_the_best_folder_that_can_be_used_is_made_and_taken(memory: Path, tmp_path: Path) -> None:
    environ = {"XDG_RUNTIME_DIR": str(tmp_path)}
    assert hookdir.choose(environ, UID) == (f"{memory}/gpuwatch-{UID}", "")
    assert (memory / f"gpuwatch-{UID}").stat().st_mode & 0o777 == 0o700
    memory.rename(tmp_path / "gone")
    assert hookdir.choose(environ, UID) == (f"{tmp_path}/gpuwatch", "")
    assert hookdir.choose(environ | {"GPUWATCH_DIR": f"{tmp_path}/a/b"}, UID) == (f"{tmp_path}/a/b", "")


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda path: path.mkdir(mode=0o770) or path.chmod(0o770), "is open to others (mode 0770): chmod 700 it"),
        (lambda path: path.symlink_to("/tmp"), "is a link"),
        (lambda path: path.touch(), "is no folder"),
        (lambda path: path.mkdir() or os.chown(path, 4321, -1), "belongs to another user (uid 4321)"),
    ],
)
def test_a_folder_that_is_not_ours_alone_is_refused(spoil, said: str, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    if "another user" in said and UID != 0:
        pytest.skip("only root can give a folder away")
    path = tmp_path / "hooks"
    spoil(path)
    environ = {"GPUWATCH_DIR": str(path)}
    assert hookdir.choose(environ, UID) == ("", f"{path} {said}")
    by_id = {check.id: check for check in checks_training.checks(environ, UID)}
    assert by_id["training.directory"].state == "missing" and said in by_id["training.directory"].result


def test_only_the_folder_of_the_agent_goes_on_the_path_and_a_folder_is_named_only_where_it_must(tmp_path: Path) -> None:
    inject = tmp_path / "inject"
    inject.mkdir()
    (inject / "sitecustomize.py").touch()
    assert attach.attach({}, UID, inject=str(inject)).problem.endswith("gpuwatch_agent.py cannot be read")
    (inject / "gpuwatch_agent.py").touch()
    plain = attach.attach({b"A": b"\xff"}, UID, inject=str(inject))
    assert plain.environment == {b"A": b"\xff", b"GPUWATCH_ATTACH": b"1", b"PYTHONPATH": os.fsencode(inject)}
    named = attach.attach({}, UID, directory=str(tmp_path / "mine"), inject=str(inject))
    assert named.environment[b"GPUWATCH_DIR"] == os.fsencode(tmp_path / "mine") and named.directory == str(tmp_path / "mine")


@pytest.mark.parametrize("name", ["with:colon", "absent"])
def test_an_agent_that_cannot_be_on_the_path_is_not_put_there(name: str, tmp_path: Path) -> None:
    found = attach.attach({b"A": b"b"}, UID, inject=str(tmp_path / name))
    assert found.environment == {b"A": b"b"} and name in found.problem and found.directory


def test_doctor_says_what_a_training_would_get(memory: Path) -> None:
    by_id = {check.id: check for check in checks_training.checks({}, UID)}
    assert {check.state for check in by_id.values()} == {"ok"}
    assert by_id["training.directory"].result == f"{memory}/gpuwatch-{UID}, made by the first gpuwatch run"
    assert list(memory.iterdir()) == []  # nothing was made


def test_doctor_warns_without_shared_memory(memory: Path, tmp_path: Path) -> None:
    memory.rmdir()
    by_id = {check.id: check for check in checks_training.checks({"XDG_RUNTIME_DIR": str(tmp_path)}, UID)}
    assert by_id["training.memory"].state == "warn" and "--shm-size" in by_id["training.memory"].fix
    assert by_id["training.directory"].state == "warn" and by_id["training.directory"].result.startswith(
        f"{tmp_path}/gpuwatch, made"
    )


def test_notes_go_a_week_after_their_end(memory: Path) -> None:
    day = 86_400
    ends = {"1-1.run": '{"ended_ms": 5}', "2-2.run": '{"pid": 2}', "3-3.gw": '{"ended_ms": 5}', "4-4.run": '{"ended_ms": 6}'}
    for name, text in ends.items():
        (memory / name).write_text(text)
        os.utime(memory / name, (day, (9 if name == "4-4.run" else 1) * day))
    note.tidy(str(memory), 10 * day * 1000)
    assert sorted(os.listdir(memory)) == ["2-2.run", "3-3.gw", "4-4.run"]
    note.tidy("", 0)


def test_names_of_files_are_those_that_are_read() -> None:
    assert note.SUFFIX == layout.NOTE_SUFFIX and looking.hook_path("/d", 1, 2) == f"/d/1-2{layout.SUFFIX}"
