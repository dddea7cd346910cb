"""Wait for the command: pass signals on, stop and continue with it, do a little now and then, return how it ended.

All signals are blocked and taken one by one here, so there are no handlers, no threads, and no moment in which one is lost.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Sequence

from gpuwatch.dataclass import dataclass
from gpuwatch.launch.witness import Witness

_OWN = {
    signal.SIGKILL, signal.SIGSTOP, signal.SIGSEGV, signal.SIGBUS, signal.SIGFPE, signal.SIGILL, signal.SIGTRAP, signal.SIGSYS,
    signal.SIGPIPE, signal.SIGXFSZ,
}  # fmt: skip
"""Not to be passed on: they cannot be caught, or they are about what this process itself has done."""

_FROM_KERNEL = 0x80
"""``SI_KERNEL`` of the kernel's siginfo.h: from a terminal, say, not from a process."""

_STOPS = (signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU)
_STOP_TOGETHER_NS = 10_000_000_000
"""A command that stops this long after a ctrl-Z (it may put its terminal in order first) has stopped because of it."""


def taken() -> set[int]:
    """The signals that are blocked and waited for."""
    return {int(number) for number in signal.valid_signals() if number not in _OWN}


@dataclass(slots=True)
class Task:
    """What is done now and then: ``run`` returns after how many seconds it wants to be run again."""

    run: Callable[[], float]
    due_ns: int


def _is_alarm(info: signal.struct_siginfo) -> bool:
    """Whether it is the alarm that was set here, not one that somebody sent."""
    return info.si_signo == signal.SIGALRM and info.si_code == _FROM_KERNEL


class Waiting:
    """The wait for the command ``pid``."""

    def __init__(self, pid: int, witness: Witness, tasks: Sequence[Task], monotonic_ns: Callable[[], int]) -> None:
        self._pid = pid
        self._witness = witness
        self._tasks = tasks
        self._monotonic_ns = monotonic_ns
        self._signals = taken()
        self._leads_session = os.getsid(0) == os.getpid()
        self._stopped_by = 0
        self._asked_until = 0

    def wait(self) -> int:
        """The exit code of the command, or minus the number of the signal that it died of."""
        while (code := self._reap()) is None:
            self._run_tasks()
            info = signal.sigwaitinfo(self._signals)
            if info.si_signo != signal.SIGCHLD and not _is_alarm(info):
                self._take(info)
            self._stop_with_it()
        return code

    def _run_tasks(self) -> None:
        """Run what is due, and set the alarm for the next.

        An alarm, since Python's ``sigtimedwait`` invents a signal when its process is stopped until the time is over.
        """
        now = self._monotonic_ns()
        for task in self._tasks:
            if now >= task.due_ns:
                task.due_ns = now + round(task.run() * 1e9)
        next_ns = min((task.due_ns for task in self._tasks), default=now + 3600 * 10**9)
        signal.setitimer(signal.ITIMER_REAL, max(1_000_000, next_ns - self._monotonic_ns()) / 1e9)

    def _reap(self) -> int | None:
        """Take note of children that have ended or stopped; how the command ended, if it has.

        As the first process of a container this one inherits strangers: they are reaped as well.
        """
        while True:
            try:
                child = os.waitid(os.P_ALL, 0, os.WEXITED | os.WSTOPPED | os.WCONTINUED | os.WNOHANG)
            except ChildProcessError:
                return 0  # cannot be: nobody else waits for our children
            if child is None:
                return None
            ended = child.si_code in (os.CLD_EXITED, os.CLD_KILLED, os.CLD_DUMPED)
            if child.si_pid != self._pid:
                if ended:
                    self._witness.reaped(child.si_pid)
            elif ended:
                return child.si_status if child.si_code == os.CLD_EXITED else -child.si_status
            else:
                self._stopped_by = child.si_status if child.si_code == os.CLD_STOPPED else 0

    def _take(self, info: signal.struct_siginfo) -> None:
        """A signal has come: it is the command's, unless the command has it already."""
        number = info.si_signo
        if number == signal.SIGCONT:
            self._stopped_by = self._asked_until = 0
        elif number in _STOPS:
            self._asked_until = self._monotonic_ns() + _STOP_TOGETHER_NS
        if self._witness.saw(number):
            return
        if info.si_code == _FROM_KERNEL and not self._leads_session:
            return  # the kernel signals whole groups, and the leader of a session whose terminal hangs up
        try:
            os.kill(self._pid, number)
        except OSError:
            pass  # it has another user's rights: nobody could signal it without us either

    def _stop_with_it(self) -> None:
        """After a ctrl-Z that has stopped the command, stop too: the shell waits for this process, and must see that the job stopped.

        A command that was stopped alone (``kill -STOP``) is not followed: whoever continues it would not know to continue us.
        """
        if not self._stopped_by or self._monotonic_ns() >= self._asked_until:
            return
        by, self._stopped_by, self._asked_until = self._stopped_by, 0, 0
        if by in _STOPS and signal.getsignal(by) == signal.SIG_DFL:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, [by])
            os.kill(os.getpid(), by)  # stops here
            signal.pthread_sigmask(signal.SIG_BLOCK, [by])
        else:
            os.kill(os.getpid(), signal.SIGSTOP)
