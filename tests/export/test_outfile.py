"""A file is there whole, or as it was before."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from gpuwatch.commands.outfile import whole_file
from gpuwatch.errors import GpuwatchError, UsageError


def test_it_has_its_name_when_it_is_whole(tmp_path: Path) -> None:
    target = tmp_path / "rows.csv"
    with whole_file(str(target), force=False) as path:
        path.write_text("half")
        assert not target.exists()
        path.write_text("whole")
    assert target.read_text() == "whole" and os.listdir(tmp_path) == ["rows.csv"]


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No space left on device"), KeyboardInterrupt()])
def test_what_fails_leaves_nothing_and_spoils_nothing(tmp_path: Path, error: BaseException) -> None:
    target = tmp_path / "rows.csv"
    target.write_text("before")
    with pytest.raises((GpuwatchError, KeyboardInterrupt)) as failed, whole_file(str(target), force=True) as path:
        path.write_text("half")
        raise error
    assert target.read_text() == "before" and os.listdir(tmp_path) == ["rows.csv"]
    if isinstance(failed.value, GpuwatchError):
        assert failed.value.message == f"{target} cannot be written: the disk or a quota is full; nothing was left behind"


def test_a_file_that_is_there_is_kept_without_force(tmp_path: Path) -> None:
    target = tmp_path / "rows.csv"
    target.write_text("before")
    with pytest.raises(UsageError, match="is there already"), whole_file(str(target), force=False):
        pytest.fail("nothing is written")
    with whole_file(str(target), force=True) as path:
        path.write_text("after")
    assert target.read_text() == "after"


def test_one_that_came_meanwhile_is_kept_too(tmp_path: Path) -> None:
    target = tmp_path / "rows.csv"
    with pytest.raises(UsageError), whole_file(str(target), force=False) as path:
        path.write_text("ours")
        target.write_text("theirs")
    assert target.read_text() == "theirs" and os.listdir(tmp_path) == ["rows.csv"]


def test_a_link_goes_on_to_lead_there(tmp_path: Path) -> None:
    (tmp_path / "link.csv").symlink_to(tmp_path / "real.csv")
    with whole_file(str(tmp_path / "link.csv"), force=False) as path:
        path.write_text("x")
    assert (tmp_path / "link.csv").is_symlink() and (tmp_path / "real.csv").read_text() == "x"


def test_what_is_no_file_is_written_to_directly(tmp_path: Path) -> None:
    with whole_file(os.devnull, force=False) as path:
        assert path == Path(os.devnull)
    with pytest.raises(UsageError, match="is a directory"), whole_file(str(tmp_path), force=True):
        pytest.fail("nothing is written")
    with (
        pytest.raises(GpuwatchError, match="No such file or directory"),
        whole_file(str(tmp_path / "no" / "x"), force=False) as path,
    ):
        path.write_text("x")
