"""A page of metrics in the Prometheus text format, read as the text of a stranger: of each line only as much as is wanted.

Most lines of a page are of families that nobody wants: they cost a test of their beginning and a look-up of their name. A family that
cannot be trusted (a value that is no number, lines that make no sense, one series twice with two values, more series than a server
has) is marked as such: a sum over the rest would be a lie, so every number made of it is unknown.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping

from gpuwatch.dataclass import dataclass, field
from gpuwatch.text import lazy

MAX_LINES, MAX_LINE, MAX_KEPT = 50_000, 8192, 20_000
"""Lines of a page, characters of a line, lines that are kept of a page."""
MAX_SERIES = 500
"""Of a family, the buckets of one histogram counted once: 64 engines behind one page have 384 of ``request_success_total``."""
MAX_KNOWN = 1_500_000
"""Bytes of labels that are remembered: those of a page of 64 engines."""
_TUPLE = 300
PARTS = ("_bucket", "_sum", "_count")

Labels = tuple[str, ...]
"""Name, value, name, value … in the order of the names."""
_LABEL = lazy(r'[ \t]*([a-zA-Z_][a-zA-Z0-9_]*)[ \t]*=[ \t]*"((?:[^"\\]|\\.)*)"[ \t]*(?:,|\Z)')
_PLAIN = lazy(r'([a-zA-Z_][a-zA-Z0-9_]*)="([^"\\]*)"(?:,|\Z)')
_BLOCK = lazy(r'\{((?:[^"}]|"(?:[^"\\]|\\.)*")*)\}')
_NAME = lazy(r"([a-zA-Z_:][a-zA-Z0-9_:]*)[ \t]*(\{)?")
_ESCAPE = lazy(r"\\(.)")
_MANY = f"more than {MAX_SERIES} series"
TYPE, _BEGINNING = "# TYPE ", 4096
_BLOCK_BYTES = 65_536
"""So much of a page is text and lines at once: all of a page of 4 MiB would take 16 MiB and more."""


class PageTooLarge(ValueError):
    """More lines than any server's page has."""


class Wanted:
    """What is read of a page: lines that begin with one of ``prefixes`` and are of one of ``families``.

    A family is given by the name in its TYPE line; its series may have that name, or that name and one of ``PARTS``.
    """

    def __init__(self, prefixes: Iterable[str], families: Iterable[str]) -> None:
        self.families = frozenset(families)
        starts = tuple(prefixes)
        self.starts = ("",) if "" in starts else (*starts, *(TYPE + start for start in starts))
        self.home = {name + part: name for name in self.families for part in PARTS}
        self.home |= {name: name for name in self.families}
        """Name of a series -> its family. What is a family by itself is no part of another."""
        self.labels = _Known()


class _Known:
    """The labels of pages before: they are the same at each look. What does not come back is forgotten with all the rest."""

    def __init__(self) -> None:
        self._known: dict[str, Labels | None] = {}
        self._size = 0

    def labels(self, block: str) -> Labels | None:
        """The labels between the braces; ``None`` where they make no sense."""
        if block in self._known:
            return self._known[block]
        found = _labels(block)
        self._size += len(block) + _TUPLE
        if self._size > MAX_KNOWN:
            self._known, self._size = {}, len(block) + _TUPLE
        self._known[block] = found
        return found


@dataclass(slots=True)
class Page:
    """The wanted series of one page: name -> labels -> value. ``types`` are those of the TYPE lines, ``spoiled`` families that cannot
    be trusted, with the reason."""

    series: dict[str, dict[Labels, float]] = field(default_factory=dict)
    types: dict[str, str] = field(default_factory=dict)
    spoiled: dict[str, str] = field(default_factory=dict)

    def has(self, family: str) -> bool:
        """Whether any line of the page is of this family, usable or not."""
        return family in self.types or family in self.spoiled or any(family + part in self.series for part in ("", *PARTS))


def read_page(body: bytes, wanted: Wanted) -> Page:
    """The page in ``body``. Never fails for what a page holds, but raises :class:`PageTooLarge`."""
    if body.count(b"\n") >= MAX_LINES:
        raise PageTooLarge(f"a page of more than {MAX_LINES} lines")
    page, starts, home = Page(), wanted.starts, wanted.home
    kept = 0
    for line in lines_of(body):
        if not line.startswith(starts):
            continue
        cut = line.find("{")
        name = line[: cut if cut > 0 else line.find(" ")]
        family = home.get(name)
        if family is None:
            if line.startswith(TYPE):
                _keep_type(page, line, wanted.families)
                continue
            if name[-1:] != " " and "\t" not in name and " " in line:
                continue
            found = _NAME.match(line)
            if found is None or (family := home.get(found[1])) is None:
                continue
            name, cut = found[1], found.start(2)
        kept += 1
        if kept > MAX_KEPT:
            raise PageTooLarge(f"a page of more than {MAX_KEPT} lines of the families that are read")
        _keep(page, name, family, line, cut, wanted.labels)
    _count(page, home)
    return page


def lines_of(body: bytes) -> Iterator[str]:
    """Line by line, made of a block at a time. Of a line of more than ``MAX_LINE`` characters no more than shows that it is too long."""
    at, longest = 0, _BLOCK_BYTES + 4 * MAX_LINE + 4
    while at < len(body):
        end = body.find(b"\n", at + _BLOCK_BYTES)
        end = len(body) if end < 0 else end
        yield from body[at : min(end, at + longest)].decode("utf-8", "replace").split("\n")
        at = end + 1


def is_page(body: bytes) -> bool:
    """Whether it is a page of metrics at all, be it one without any family: no HTML, and no JSON."""
    return not body.strip() or b"# TYPE " in body[:_BEGINNING]


def _keep(page: Page, name: str, family: str, line: str, cut: int, known: _Known) -> None:
    """Keep one line, or why its family is of no use."""
    block, rest = "", line[len(name) :]
    if family in page.spoiled:
        return
    if len(line) > MAX_LINE:
        page.spoiled[family] = "a line is too long"
        return
    if cut > 0:
        end = line.rfind("}")
        block, rest = line[cut + 1 : end], line[end + 1 :]
        if " # " in rest or " # " in block or end < cut:  # something follows the value, or a label only looks like it
            found = _BLOCK.match(line, cut)
            if found is None:
                page.spoiled[family] = "a line makes no sense"
                return
            block, rest = found[1], line[found.end() :].partition(" # ")[0]
    labels, value = known.labels(block), _number(rest)
    if labels is None or value is None:
        page.spoiled[family] = "a line makes no sense" if labels is None else "a value is no number"
        return
    of_name = page.series.setdefault(name, {})
    if of_name.setdefault(labels, value) != value:
        page.spoiled[family] = "a series is there twice"
    elif len(of_name) > MAX_SERIES and not name.endswith("_bucket"):
        page.spoiled[family] = _MANY
        of_name.clear()


def _number(rest: str) -> float | None:
    """The value before an optional time. ``None`` for what is no finite number."""
    try:
        value = float(rest)
    except ValueError:
        parts = rest.split()
        return _number(parts[0]) if len(parts) == 2 else None
    return value if math.isfinite(value) and "_" not in rest else None


def _labels(block: str) -> Labels | None:
    """What :class:`_Known` knows not yet."""
    pairs = _PLAIN.findall(block)
    if sum([len(name) + len(value) + 4 for name, value in pairs]) != len(block) + (not block.endswith(",")):
        pairs = []
        at, end = 0, len(block.rstrip())
        while at < end:
            found = _LABEL.match(block, at)
            if found is None:
                return None
            pairs.append((found[1], _ESCAPE.sub(_unescaped, found[2])))
            at = found.end()
    if len({name for name, _ in pairs}) != len(pairs):
        return None
    pairs.sort()
    return tuple([text for pair in pairs for text in pair])


def _unescaped(found: re.Match[str]) -> str:
    return {"n": "\n", "\\": "\\", '"': '"'}.get(found[1], found[0])


def _keep_type(page: Page, line: str, families: frozenset[str]) -> None:
    words = line[len(TYPE) : len(TYPE) + MAX_LINE].split()
    if len(words) == 2 and words[0] in families and page.types.setdefault(*words) != words[1]:
        page.spoiled[words[0]] = "it is of two types"


def _count(page: Page, home: Mapping[str, str]) -> None:
    """Mark histograms with more series than a server has: to take some of them would be to lie."""
    for name, of_name in page.series.items():
        if len(of_name) > MAX_SERIES and len({without(labels, "le") for labels in of_name}) > MAX_SERIES:
            page.spoiled[home[name]] = _MANY


def without(labels: Labels, name: str) -> Labels:
    """The labels but that one."""
    for at in range(0, len(labels), 2):
        if labels[at] == name:
            return labels[:at] + labels[at + 2 :]
    return labels


def value_of(labels: Labels, name: str) -> str:
    """The value of that label; empty if it is not there, which is the same in this format."""
    for at in range(0, len(labels), 2):
        if labels[at] == name:
            return labels[at + 1]
    return ""
