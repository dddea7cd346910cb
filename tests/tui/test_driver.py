"""The thread that reads keys: asleep while there are none, at once there for a key and for the exit."""

from __future__ import annotations

import inspect
import os
import queue
import select
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from textual import events
from textual.drivers.linux_driver import LinuxDriver

from gpuwatch.tui import driver as module
from gpuwatch.tui.driver import TakingOver, WakingEvent


class Reader:
    """The driver's input thread on a pipe. ``looks`` are the timeouts that it waited with."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.read, self.write = os.pipe()
        self.looks: list[float | None] = []
        self.waits = threading.Event()
        self.messages: queue.Queue[Any] = queue.Queue()
        self.driver: Any = TakingOver.__new__(TakingOver)
        self.driver.fileno, self.driver._debug, self.driver.exit_event = self.read, False, WakingEvent()
        monkeypatch.setattr(LinuxDriver, "process_message", lambda _, message: self.messages.put(message))
        monkeypatch.setattr(module.select, "select", self._select)
        self.thread = threading.Thread(target=self.driver.run_input_thread, daemon=True)
        self.thread.start()

    def _select(self, reads: Any, writes: Any, others: Any, seconds: float | None, _real: Any = select.select) -> Any:
        self.looks.append(seconds)
        self.waits.set()
        return _real(reads, writes, others, seconds)

    def key(self) -> str:
        message = self.messages.get(timeout=20)
        assert isinstance(message, events.Key)
        return message.key

    def leave(self) -> None:
        assert self.waits.wait(20)
        self.driver.exit_event.set()
        self.thread.join(20)
        assert not self.thread.is_alive()
        self.driver.exit_event.clear()


@pytest.fixture
def reader(monkeypatch: pytest.MonkeyPatch) -> Iterator[Reader]:
    made = Reader(monkeypatch)
    yield made
    made.driver.exit_event.set()
    made.thread.join(20)
    os.close(made.write)
    os.close(made.read)


def test_keys_come_through_and_an_escape_alone_after_a_moment(reader: Reader) -> None:
    os.write(reader.write, b"j")
    assert reader.key() == "j"
    os.write(reader.write, b"\x1b[A")
    assert reader.key() == "up"
    os.write(reader.write, b"\x1b")
    assert reader.key() == "escape"
    os.write(reader.write, "ü".encode()[:1])
    os.write(reader.write, "ü".encode()[1:])
    assert reader.messages.get(timeout=20).character == "ü"


def test_without_keys_it_sleeps_until_the_exit_and_runs_again_afterwards(reader: Reader) -> None:
    reader.leave()
    assert reader.looks == [None, module.LOOK_SECONDS]
    again = threading.Thread(target=reader.driver.run_input_thread, daemon=True)
    again.start()
    os.write(reader.write, b"q")
    assert reader.key() == "q"
    reader.driver.exit_event.set()
    again.join(20)
    assert not again.is_alive()


def test_textual_still_ends_the_thread_by_that_event_and_reads_as_it_did() -> None:
    """Fails when an upgrade of Textual changes what is replaced here; then ``run_input_thread`` has to be compared again."""
    started = inspect.getsource(LinuxDriver.disable_input)
    assert started.index("self.exit_event.set()") < started.index("_key_thread.join()") < started.index("self.exit_event.clear()")
    assert "self.exit_event = Event()" in inspect.getsource(LinuxDriver.__init__)
    loop = inspect.getsource(LinuxDriver.run_input_thread)
    for used in (
        "XTermParser(self._debug)",
        "self.exit_event.is_set()",
        "self.process_message(event)",
        "parser.tick",
        "parser.feed",
        'feed("")',
    ):
        assert used in loop
