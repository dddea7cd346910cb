"""One look at one server, done by a worker: ask the paths that are due and make a reading of the answers. Nothing here waits for more
than the deadline of a request, and nothing that a server sends gets out as an exception."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from gpuwatch.clock import Clock
from gpuwatch.collectors.inference.engine import Engine
from gpuwatch.collectors.inference.http import Connection
from gpuwatch.collectors.inference.page import PageTooLarge, is_page
from gpuwatch.collectors.inference.reading import Answer, Reader, Reading
from gpuwatch.collectors.inference.recognise import recognise
from gpuwatch.dataclass import dataclass, replace
from gpuwatch.text import clean

AUTH, OFF = (401, 403), (404, 405, 501)


@dataclass(frozen=True, slots=True)
class Look:
    """What came back. ``reading`` is ``None`` where there is none, ``error`` then says why in one line.

    ``asked_seconds`` is the time of the answers together, ``read_seconds`` what it took to read them.
    """

    answers: Sequence[Answer]
    reading: Reading | None = None
    error: str = ""
    too_large: bool = False
    asked_seconds: float = 0.0
    read_seconds: float = 0.0
    bytes: int = 0
    """The size of what came; the answers themselves are no longer held (``Answer.body`` is empty)."""
    other: Engine | None = None
    """The engine that the page is of, where the reader found no figures on it."""
    is_page: bool = False
    """Whether it is a page of metrics at all, where the reader found no figures on it."""

    @property
    def middle_ns(self) -> int:
        """The instant that the reading speaks of."""
        return max((answer.middle_ns for answer in self.answers if answer.status == 200), default=0)

    @property
    def nothing(self) -> bool:
        """Nothing was due."""
        return not self.answers


def all_said(answers: Sequence[Answer], statuses: Sequence[int]) -> bool:
    """Whether every answer was one of these refusals."""
    return bool(answers) and all(answer.status in statuses for answer in answers)


def look(reader: Reader, connection: Connection, clock: Clock) -> Look:
    """Ask and read. Never raises for what a server does."""
    try:
        answers = _ask(reader, connection, clock)
        if all_said(answers, OFF) and _next_path(reader):
            answers += _ask(reader, connection, clock)
        found = _read(reader, answers, clock)
        asked = sum(answer.ended_ns - answer.began_ns for answer in answers) / 1e9
        size = sum(len(answer.body) for answer in answers)
        return replace(found, answers=[replace(answer, body=b"") for answer in answers], asked_seconds=asked, bytes=size)
    finally:
        connection.let_go()


def failed_look(error: str) -> Look:
    """One that nothing came of."""
    return Look([Answer("", 0, error=error)], error=error)


def _read(reader: Reader, answers: Sequence[Answer], clock: Clock) -> Look:
    good = [answer for answer in answers if answer.status == 200]
    error = next((answer.error for answer in answers if answer.error), "")
    if not good:
        return Look(answers, None, error, any(answer.too_large for answer in answers))
    began = clock.monotonic_ns()
    other, page = None, False
    try:
        reading = reader.read(answers, began)
        if not (reading.recognised and reading.sources):
            other, page = recognise(good[0].body), is_page(good[0].body)
    except PageTooLarge as problem:
        return Look(answers, None, clean(str(problem)), too_large=True)
    except (ValueError, LookupError, TypeError, AttributeError, ArithmeticError, RecursionError) as problem:
        return Look(answers, None, error or clean(str(problem)))
    return Look(answers, reading, error, read_seconds=(clock.monotonic_ns() - began) / 1e9, other=other, is_page=page)


def _ask(reader: Reader, connection: Connection, clock: Clock) -> list[Answer]:
    answers: list[Answer] = []
    for path in reader.paths(clock.monotonic_ns()):
        answers.append(connection.get(path))
        if not answers[-1].status:
            break
    return answers


def _next_path(reader: Reader) -> bool:
    """Whether the reader has another path to try."""
    go_on: Callable[[], bool] | None = getattr(reader, "next_path", None)
    return go_on is not None and go_on()
