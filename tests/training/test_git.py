"""The commit of a working directory, by reading files: branches, packed ones, work trees, and what is no repository of ours."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from gpuwatch.collectors.training.git import commit_of

ONE, TWO = "1" * 40, "2" * 40
OWN = {os.geteuid(), 0}


@pytest.fixture
def git(tmp_path: Path) -> Path:
    place = tmp_path / "work" / ".git"
    (place / "refs" / "heads").mkdir(parents=True)
    (place / "HEAD").write_text("ref: refs/heads/main\n")
    (place / "refs" / "heads" / "main").write_text(ONE + "\n")
    return place


def test_a_branch_a_detached_head_and_a_directory_deep_below(git: Path) -> None:
    assert commit_of(str(git.parent), OWN) == ONE
    below = git.parent / "a" / "b"
    below.mkdir(parents=True)
    assert commit_of(str(below), OWN) == ONE
    (git / "HEAD").write_text(TWO)
    assert commit_of(str(below), OWN) == TWO
    (git / "HEAD").write_text("f" * 64)
    assert commit_of(str(below), OWN) == "f" * 64


def test_a_packed_branch(git: Path) -> None:
    (git / "refs" / "heads" / "main").unlink()
    (git / "packed-refs").write_text(f"# pack-refs with: peeled\n{ONE} refs/heads/mainline\n{TWO} refs/heads/main\n^{ONE}\n")
    assert commit_of(str(git.parent), OWN) == TWO


def test_another_work_tree_has_its_branches_in_the_first(git: Path, tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    tree.mkdir()
    place = git / "worktrees" / "tree"
    place.mkdir(parents=True)
    (tree / ".git").write_text(f"gitdir: {place}\n")
    (place / "HEAD").write_text("ref: refs/heads/side\n")
    (place / "commondir").write_text("../..\n")
    (git / "refs" / "heads" / "side").write_text(TWO)
    assert commit_of(str(tree), OWN) == TWO


def test_a_repository_of_somebody_else_is_not_read(git: Path) -> None:
    assert commit_of(str(git.parent), {os.geteuid() + 1}) == ""


def test_no_more_than_twelve_levels_are_climbed(git: Path) -> None:
    deep = git.parent.joinpath(*"abcdefghijklm")
    deep.mkdir(parents=True)
    assert commit_of(str(deep), OWN) == ""
    assert commit_of(str(deep.parent.parent), OWN) == ONE


@pytest.mark.parametrize(
    "head",
    ["", "ref: ../../../../etc/passwd", "ref: refs/../../../etc/passwd", "ref: refs/heads/.invalid", "ref:", "x" * 5000, "\0"],
)
def test_a_head_that_is_none_gives_nothing(git: Path, head: str) -> None:
    (git / "HEAD").write_text(head)
    assert commit_of(str(git.parent), OWN) == ""


def test_only_plain_files_are_read(git: Path, tmp_path: Path) -> None:
    (git / "HEAD").unlink()
    os.mkfifo(git / "HEAD")
    assert commit_of(str(git.parent), OWN) == ""
    assert commit_of(str(tmp_path / "gone"), OWN) == "" and commit_of("", OWN) == ""


def test_a_secret_behind_a_link_is_never_told(git: Path, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("hunter2")
    (git / "refs" / "heads" / "main").unlink()
    (git / "refs" / "heads" / "main").symlink_to(secret)
    assert commit_of(str(git.parent), OWN) == ""
