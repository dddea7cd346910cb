"""Facts that stand in small JSON documents beside the page of metrics: asked once for each process."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from gpuwatch.collectors.inference.engine import Engine
from gpuwatch.collectors.inference.reading import Answer, Reading
from gpuwatch.collectors.inference.table_reader import TableReader
from gpuwatch.text import clean

MAX_TEXT = 200
MAX_VALUES = 50_000
"""Of a document: one of 4 MiB may hold a million, which would take a hundred megabytes."""
LARGEST = 2**53


def document(body: bytes) -> object:
    """The JSON in ``body``; ``ValueError`` for what is none, is nested too deeply or has too many values."""
    if body.count(b",") + body.count(b"[") + body.count(b"{") > MAX_VALUES:
        raise ValueError("the JSON has more values than a server's")
    try:
        found: object = json.loads(body)
    except RecursionError:
        raise ValueError("the JSON is nested too deeply") from None
    return found


def number(value: object) -> int | None:
    """A count that a server can mean: a whole number from 0; ``None`` for anything else."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= LARGEST else None


def facts_of(body: bytes, ways: Mapping[str, str]) -> dict[str, str | int]:
    """fact -> value for the ways that lead to one; nothing where the document is not as expected."""
    try:
        whole = document(body)
    except ValueError:
        return {}
    facts: dict[str, str | int] = {}
    for fact, way in ways.items():
        found = whole
        for step in way.split("."):
            if isinstance(found, list):
                found = found[int(step)] if step.isdigit() and int(step) < len(found) else None
            else:
                found = found.get(step) if isinstance(found, dict) else None
        if fact in ("served_model", "engine_version"):
            if isinstance(found, str) and found:
                facts[fact] = clean(found)[:MAX_TEXT]
        elif amount := number(found):
            facts[fact] = amount
    return facts


class OnceReader:
    """The page as its table says, and after the first good page each path of ``Engine.once``, one at a look."""

    def __init__(self, engine: Engine) -> None:
        self._page = TableReader(engine)
        self._ways = dict(engine.once)
        self._due: list[str] = []
        self._facts: dict[str, str | int] = {}
        self._began = False

    def paths(self, now_ns: int) -> Sequence[str]:
        """The page's paths, and one that is still due where there is room."""
        paths = tuple(self._page.paths(now_ns))
        return (*paths, self._due[0]) if self._due and len(paths) == 1 else paths

    def next_path(self) -> bool:
        """See :class:`TableReader`."""
        return self._page.next_path()

    def read(self, answers: Sequence[Answer], now_ns: int) -> Reading:
        """The page's reading with the facts so far; a refusal of a fact is none of the page."""
        pages = [answer for answer in answers if answer.path not in self._ways]
        if not any(answer.status == 200 for answer in pages):
            raise ValueError("the page of metrics did not come")
        reading = self._page.read(pages, now_ns)
        asked = self._due[:1] if len(answers) > len(pages) else []
        for answer in answers:
            if answer.path in self._ways and answer.status == 200:
                self._facts |= facts_of(answer.body, self._ways[answer.path])
        self._due = self._due[len(asked) :] if self._began else list(self._ways)
        self._began = True
        reading.facts = {**reading.facts, **self._facts}
        return reading
