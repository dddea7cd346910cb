"""The picture that stands before Textual is loaded, and that nothing of it is left behind."""

from __future__ import annotations

import io
import os
import re
import signal
import subprocess
import sys

import pytest
from support.sample_view import sample_view
from support.tui_painted import Page

from gpuwatch.clock import FakeClock
from gpuwatch.dataclass import replace
from gpuwatch.tui import early
from gpuwatch.tui.early import ALTERNATE, ENTER, LEAVE, WAIT_ON_SECONDS, WAIT_SECONDS, FirstPicture, first_view, not_stopped
from gpuwatch.tui.options import TuiOptions
from gpuwatch.tui.source import Feeder, has_values
from gpuwatch.view.empty import empty_view
from gpuwatch.view.types import View

VIEW = sample_view()
EMPTY = empty_view(VIEW.now_ms)


class Never:
    def changed(self) -> bool:
        return False

    def build(self, at_ms: int | None, cells: int) -> View:
        raise AssertionError("not asked here")


def feeder_with(view: View | None, problem: str = "") -> Feeder:
    feeder = Feeder(Never(), lambda: None, FakeClock())
    feeder._offer(view, problem)
    return feeder


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    """A terminal of 120x40 on the standard error stream."""
    stream = io.StringIO()
    monkeypatch.setattr(stream, "fileno", lambda: 2, raising=False)
    monkeypatch.setattr(sys, "__stderr__", stream)
    monkeypatch.setattr(os, "get_terminal_size", lambda fd: os.terminal_size((120, 40)))
    return stream


def test_the_picture_is_the_overview_and_is_left_to_who_takes_it_over(terminal: io.StringIO) -> None:
    with FirstPicture(TuiOptions(), "truecolor") as picture:
        picture.show(feeder_with(VIEW))
        assert terminal.getvalue().startswith(ENTER)
        page = Page(120, 40)
        page.feed(terminal.getvalue())
        text = page.screen.display
        assert text[0].startswith(" gpuwatch ") and text[-1].rstrip().endswith("? help q quit")
        assert "".join(text).count("HELD IDLE") == 2
        assert picture.taken_over() and not picture.taken_over()
    assert LEAVE not in terminal.getvalue()


def test_a_picture_that_nobody_took_over_is_taken_away(terminal: io.StringIO) -> None:
    with pytest.raises(KeyboardInterrupt), FirstPicture(TuiOptions(), "none") as picture:
        picture.show(feeder_with(VIEW))
        raise KeyboardInterrupt
    assert terminal.getvalue().endswith(LEAVE)


def test_sigterm_while_it_stands_takes_it_away(terminal: io.StringIO) -> None:
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(SystemExit) as ended, FirstPicture(TuiOptions(), "16") as picture, not_stopped():
        picture.show(feeder_with(VIEW))
        signal.raise_signal(signal.SIGTERM)
    assert ended.value.code == 128 + signal.SIGTERM
    assert terminal.getvalue().endswith(LEAVE)
    assert signal.getsignal(signal.SIGTERM) is before


@pytest.mark.parametrize(("view", "problem", "seconds"), [(None, "", WAIT_SECONDS), (EMPTY, "", WAIT_SECONDS), (None, "gone", 0), (replace(VIEW, gpus=()), "", WAIT_ON_SECONDS)])  # fmt: skip
def test_without_values_it_waits_a_moment_and_draws_nothing(
    view: View | None, problem: str, seconds: float, terminal: io.StringIO
) -> None:
    feeder = feeder_with(view, problem)
    began = feeder.clock.monotonic_ns()
    with FirstPicture(TuiOptions(), "truecolor") as picture:
        picture.show(feeder)
    assert terminal.getvalue() == ""
    assert (feeder.clock.monotonic_ns() - began) / 1e9 == pytest.approx(seconds)


def test_the_view_stays_for_the_screen() -> None:
    feeder = feeder_with(VIEW)
    assert first_view(feeder) is VIEW
    assert feeder.take() == (VIEW, "")


def test_without_a_terminal_that_tells_its_size_nothing_is_drawn(terminal: io.StringIO, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(fd: int) -> os.terminal_size:
        raise OSError

    monkeypatch.setattr(os, "get_terminal_size", refuse)
    with FirstPicture(TuiOptions(), "truecolor") as picture:
        picture.show(feeder_with(VIEW))
    assert terminal.getvalue() == ""


def test_values_are_what_a_gpu_says() -> None:
    assert has_values(VIEW) and not has_values(EMPTY)
    silent = tuple(replace(gpu, power_watts=None, utilization_ratio=None) for gpu in VIEW.gpus)
    assert not has_values(replace(VIEW, gpus=silent))


def test_the_driver_leaves_out_one_sequence_once(terminal: io.StringIO, monkeypatch: pytest.MonkeyPatch) -> None:
    from textual.drivers.linux_driver import LinuxDriver

    from gpuwatch.tui.driver import TakingOver

    sent: list[str] = []
    monkeypatch.setattr(LinuxDriver, "write", lambda self, data: sent.append(data))
    picture = FirstPicture(TuiOptions(), "truecolor")
    picture.show(feeder_with(VIEW))
    monkeypatch.setattr(TakingOver, "picture", picture)
    driver = TakingOver.__new__(TakingOver)
    for data in ("x", ALTERNATE, "y", ALTERNATE):
        driver.write(data)
    assert sent == ["x", "y", ALTERNATE]


def test_textual_still_enters_with_that_sequence() -> None:
    """Fails when an upgrade of Textual enters the alternate screen in another way; then the picture flickers once."""
    import inspect

    from textual.drivers.linux_driver import LinuxDriver

    assert f'self.write("{ALTERNATE.encode("unicode_escape").decode()}")' in inspect.getsource(LinuxDriver.start_application_mode)


def test_drawing_needs_no_textual() -> None:
    code = (
        "import sys, gpuwatch.tui.early, gpuwatch.tui.painter, gpuwatch.tui.panels.overview, gpuwatch.tui.panels.page\n"
        "print(sorted(m for m in sys.modules if m.split('.')[0] in ('textual', 'asyncio')))"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
    assert early.ENTER.startswith(ALTERNATE)
    assert re.fullmatch(r"\x1b\[\?1049h", ALTERNATE)
