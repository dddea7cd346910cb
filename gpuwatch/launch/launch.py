"""One ``gpuwatch run`` from start to end: the command first, then everything else around it."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TypeVar

from gpuwatch.clock import SystemClock
from gpuwatch.errors import GpuwatchError
from gpuwatch.launch.attach import SWITCH, Attachment, attach, initial_environment
from gpuwatch.launch.command import NotStarted, die_of, start
from gpuwatch.launch.note import SUFFIX, Note, shown_command, tidy
from gpuwatch.launch.waiting import Task, Waiting, taken
from gpuwatch.launch.witness import Witness

if TYPE_CHECKING:
    from gpuwatch.launch.looking import Looking
    from gpuwatch.runtime import Runtime

_T = TypeVar("_T")

FIRST_LOOK_SECONDS = 4.0
"""When it is first asked whether the agent has come into the command's processes."""

PAUSE_AFTER_ERROR = 60.0
"""Seconds until something that went wrong beside the command is tried again."""


class Launch:
    """What one run needs. ``runtime`` is made only where a recorder may have to be."""

    def __init__(
        self,
        argv: Sequence[str],
        runtime: Callable[[], Runtime],
        *,
        config: str | None = None,
        directory: str | None = None,
        record: bool = True,
        quiet: bool = False,
    ) -> None:
        self._argv = list(argv)
        self._runtime = runtime
        self._config = config
        self._directory = directory
        self._record = record
        self._quiet = quiet
        self._clock = SystemClock()
        self._looked_for = False
        self._looks: Looking | None = None

    def run(self) -> int:
        """Run the command to its end; its exit code. Does not return if it died by a signal that can be passed on."""
        environment = initial_environment()
        self._quiet = self._quiet or environment.get(SWITCH) == b"1"  # inside another gpuwatch run: that one speaks
        attachment = attach(environment, os.geteuid(), directory=self._directory)
        if attachment.problem:
            self._say(f"not attached: {attachment.problem}")
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, taken())
        witness = Witness(self._pause)
        started_ms = round(self._clock.time() * 1000)
        try:
            pid = start(self._argv, attachment.environment, mask)
        except NotStarted as error:
            print(f"gpuwatch run: {error}", file=sys.stderr)
            return error.code
        return self._beside(pid, attachment, witness, Note(attachment.directory, pid, started_ms))

    def _beside(self, pid: int, attachment: Attachment, witness: Witness, note: Note) -> int:
        """From here on the command runs: nothing that goes wrong may reach it."""
        monotonic_ns = self._clock.monotonic_ns
        tasks = [Task(lambda: self._tidy(witness), monotonic_ns())]

        def prepare() -> None:
            tidy(attachment.directory, round(self._clock.time() * 1000))
            command_lines = self._settings(attachment, tasks)
            note.tell(command=shown_command(self._argv, command_lines))
            if attachment.problem:
                note.tell(attach={"state": "failed", "detail": attachment.problem})
            else:
                tasks.append(self._looking(pid, attachment, note, command_lines))

        _unharmed(prepare)
        code = Waiting(pid, witness, tasks, monotonic_ns).wait()
        _unharmed(lambda: self._ended(code, note))
        return code if code >= 0 else die_of(-code)

    def _settings(self, attachment: Attachment, tasks: list[Task]) -> str:
        """Load the settings and see to a recorder; what may be kept of command lines."""
        command_lines = "none"  # until it is known what is wished
        try:
            if self._record:
                runtime = self._runtime()
                command_lines = runtime.settings.privacy.command_lines
                tasks.append(self._recorder(runtime, attachment))
            else:
                from gpuwatch import settings

                command_lines = settings.load(environ=os.environ, config=self._config).settings.privacy.command_lines
        except GpuwatchError as error:
            self._say(f"{'not recorded' if self._record else 'settings not read'}: {error.message}")
        return command_lines

    def _recorder(self, runtime: Runtime, attachment: Attachment) -> Task:
        from gpuwatch.launch.recorder import LINGER_SECONDS, Beside

        if attachment.directory and self._directory:
            os.environ["GPUWATCH_DIR"] = attachment.directory  # the recorder looks there as well
        command = runtime.recorder_command("--linger", str(LINGER_SECONDS))
        beside = Beside(runtime.place.path, command, self._clock.monotonic_ns)
        return Task(lambda: _unharmed(beside.look) or PAUSE_AFTER_ERROR, self._clock.monotonic_ns())

    def _looking(self, pid: int, attachment: Attachment, note: Note, command_lines: str) -> Task:
        """The looks whether the agent has come into the processes of the command; what they need is loaded at the first one."""
        self._looked_for = True
        note.tell(attach={"state": "waiting", "detail": "no Python process with PyTorch has been seen yet"})
        monotonic_ns = self._clock.monotonic_ns
        start_ns = monotonic_ns()

        def look() -> float:
            began = monotonic_ns()
            self._looks = self._looks or self._first(pid, attachment, command_lines)
            self._looks.look()
            note.tell(attach=self._looks.attach())
            return self._looks.pause((monotonic_ns() - began) / 1e9, (began - start_ns) / 1e9)

        return Task(lambda: _unharmed(look) or PAUSE_AFTER_ERROR, start_ns + round(FIRST_LOOK_SECONDS * 1e9))

    def _first(self, pid: int, attachment: Attachment, command_lines: str) -> Looking:
        from gpuwatch.launch.blockers import Ours
        from gpuwatch.launch.looking import Looking

        ours = Ours(attachment.inject, os.geteuid())
        return Looking(pid, ours, attachment.directory, lambda argv: shown_command(argv, command_lines), self._clock.boottime_ns)

    def _ended(self, code: int, note: Note) -> None:
        how: dict[str, object] = {"exit_code": code} if code >= 0 else {"signal": -code}
        if self._looks is None and self._looked_for:
            attached = os.path.exists(note.path.removesuffix(SUFFIX) + ".gw")
            how["attach"] = {"state": "attached" if attached else "unseen", "detail": "it ended before it was looked at"}
        elif self._looks is not None:
            self._looks.finish()
            how["attach"] = self._looks.attach()
            if line := self._looks.complaint():
                self._say(line)
        note.tell(ended_ms=round(self._clock.time() * 1000), **how)

    @staticmethod
    def _tidy(witness: Witness) -> float:
        witness.tidy()
        return 60.0

    def _pause(self, milliseconds: int) -> None:
        """Wait without taking a signal: they are all blocked."""
        signal.sigtimedwait((), milliseconds / 1000)

    def _say(self, text: str) -> None:
        if not self._quiet:
            try:
                print(f"gpuwatch run: {text}", file=sys.stderr, flush=True)
            except OSError:
                pass  # nobody listens any more


def _unharmed(action: Callable[[], _T]) -> _T | None:
    """Do something beside a command that runs: a mistake in it goes to the log file, the command goes on."""
    try:
        return action()
    except Exception as error:  # noqa: BLE001 - the border to somebody else's work: leaving here would leave that alone
        from gpuwatch.logs import note_crash

        note_crash(error)
        return None
