"""Which folders and files are taken for what they say they are, and what looking costs."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from gpuwatch.collectors.training import folders as module
from gpuwatch.collectors.training.folders import MAX_FILES, Folders, usual

UID = os.geteuid()


@pytest.fixture
def place(tmp_path: Path) -> Path:
    path = tmp_path / "gpuwatch-1"
    path.mkdir(mode=0o700)
    return path


def test_files_come_and_go_by_their_names(place: Path) -> None:
    folders = Folders([str(place)], uid=UID)
    folders.look()
    assert (folders.hooks, folders.notes) == ([], [])
    for name in ("5-100.gw", "5-100.run", "5-100.run.77", "x-1.gw", "5-100.gw.bak", ".gw", "5.gw"):
        (place / name).touch()
    folders.look()
    assert [file.name for file in folders.hooks] == ["5-100.gw"] and [file.name for file in folders.notes] == ["5-100.run"]
    assert folders.hooks[0].process == (5, 100)
    folders.look()
    assert not folders.changed
    (place / "5-100.gw").unlink()
    folders.look()
    assert folders.changed and not folders.hooks
    place.joinpath("5-100.run").unlink()
    folders.look()
    assert not folders.notes


def test_a_folder_that_comes_later_goes_and_comes_again(tmp_path: Path) -> None:
    path = tmp_path / "later"
    folders = Folders([str(path)], uid=UID)
    for _ in range(2):
        folders.look()
        path.mkdir(mode=0o700)
        (path / "5-100.gw").touch()
        folders.look()
        assert len(folders.hooks) == 1
        (path / "5-100.gw").unlink()
        path.rmdir()
        folders.look()
        assert not folders.hooks


def test_nothing_is_listed_while_nothing_changes(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (place / "5-100.gw").touch()
    folders = Folders([str(place)], uid=UID)
    folders.look()
    folders.look()
    listed = []
    monkeypatch.setattr(module.os, "scandir", lambda path: listed.append(path))
    for _ in range(5):
        folders.look()
    assert not listed and len(folders.hooks) == 1


def test_a_crowd_of_foreign_files_is_listed_seldom_and_hides_nothing(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_CROWD", 20)
    for number in range(40):
        (place / f"foreign{number}").touch()
    (place / "5-100.gw").touch()
    folders = Folders([str(place)], uid=UID)
    folders.look()
    assert len(folders.hooks) == 1
    lists = []
    monkeypatch.setattr(Folders, "_list", lambda self, folder: lists.append(1) or [])
    for number in range(10):
        (place / f"more{number}").touch()
        folders.look()
    assert not lists, "not before the tenth tick"
    (place / "last").touch()
    folders.look()
    assert lists == [1]


def test_no_more_files_than_a_host_has_trainings(place: Path) -> None:
    for number in range(MAX_FILES + 5):
        (place / f"{number + 1}-100.gw").touch()
    folders = Folders([str(place)], uid=UID)
    folders.look()
    assert len(folders.hooks) == MAX_FILES


@pytest.mark.parametrize(("mode", "said"), [(0o777, "others may write"), (0o720, "others may write")])
def test_a_folder_that_others_may_write_to_does_not_count(place: Path, mode: int, said: str) -> None:
    (place / "5-100.gw").touch()
    place.chmod(mode)
    folders = Folders([str(place)], uid=UID)
    folders.look()
    assert not folders.hooks and said in folders.refused[str(place)]
    place.chmod(0o700)
    folders.look()
    folders.look()
    assert len(folders.hooks) == 1 and not folders.refused


def test_a_link_and_another_users_folder_do_not_count(place: Path, tmp_path: Path) -> None:
    (place / "5-100.gw").touch()
    link = tmp_path / "link"
    link.symlink_to(place)
    folders = Folders([str(link)], uid=UID)
    folders.look()
    assert not folders.hooks and "link" in folders.refused[str(link)]
    folders = Folders([str(place)], uid=UID + 1)
    folders.look()
    assert not folders.hooks and "another user" in folders.refused[str(place)]


def test_only_plain_files_of_the_right_size_are_opened(place: Path, tmp_path: Path) -> None:
    folders = Folders([str(place)], uid=UID)
    target = tmp_path / "target"
    target.write_bytes(b"x" * 10)
    (place / "1-1.gw").symlink_to(target)
    os.mkfifo(place / "2-1.gw")
    (place / "3-1.gw").write_bytes(b"x" * 9)
    (place / "4-1.gw").write_bytes(b"x" * 10)
    folders.look()
    link, pipe, short, good = folders.hooks
    for bad in (link, pipe, short):
        with pytest.raises(OSError):
            folders.open(bad, 10)
    os.close(folders.open(good, 10))
    (place / "5-1.gw").write_bytes(b"y" * 10)
    (place / "5-1.gw").replace(place / "4-1.gw")
    with pytest.raises(OSError, match="another file"):
        folders.open(good, 10)
    folders.unlink(good)
    assert (place / "4-1.gw").exists(), "that is not the file that was meant"


def test_the_folders_of_a_user_and_of_all_users() -> None:
    found = list(usual(["/more"], {"GPUWATCH_DIR": "/named", "XDG_RUNTIME_DIR": "/run/user/7"}, 7)._folders)
    assert found == ["/more", "/named", "/dev/shm/gpuwatch-7", "/run/user/7/gpuwatch", "/tmp/gpuwatch-7"]
    assert usual([], {}, 7)._parents == () and "/run/user" in usual([], {}, 0)._parents


def test_root_finds_the_folders_of_all_users(tmp_path: Path) -> None:
    memory, users = tmp_path / "shm", tmp_path / "user"
    for path in (memory / "gpuwatch-7", users / "8" / "gpuwatch", memory / "other"):
        path.mkdir(parents=True, mode=0o700)
        (path / "5-100.gw").touch()
    folders = Folders([], uid=UID, parents=(str(memory), str(users)))
    folders.look()
    assert {Path(file.folder) for file in folders.hooks} == {memory / "gpuwatch-7", users / "8" / "gpuwatch"}
