"""A dismissed panel stays dismissed; where nothing can be written or read it comes again and nothing fails."""

from __future__ import annotations

import stat
from pathlib import Path

from gpuwatch.choices import first_steps_hidden, hide_first_steps


def test_it_is_remembered_in_the_state_directory_for_this_user_alone(tmp_path: Path) -> None:
    environ = {"XDG_STATE_HOME": str(tmp_path / "state"), "HOME": str(tmp_path)}
    assert not first_steps_hidden(environ)
    hide_first_steps(environ)
    assert first_steps_hidden(environ)
    hide_first_steps(environ)
    folder = tmp_path / "state" / "gpuwatch"
    assert [path.name for path in folder.iterdir()] == ["first-steps-hidden"]
    assert stat.S_IMODE(folder.stat().st_mode) & 0o077 == 0


def test_a_place_that_cannot_be_written_is_no_trouble(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("a file where the folder should be")
    environ = {"XDG_STATE_HOME": str(tmp_path / "state"), "HOME": str(tmp_path)}
    hide_first_steps(environ)
    assert not first_steps_hidden(environ)
