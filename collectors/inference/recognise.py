"""Which engine a page is of, by the families on it: for a server that nobody recognised, or took for another."""

from __future__ import annotations

from importlib import import_module

from gpuwatch.collectors.inference.engine import Engine
from gpuwatch.collectors.inference.engines import every
from gpuwatch.collectors.inference.page import MAX_KEPT, MAX_LINE, PARTS, TYPE, lines_of
from gpuwatch.collectors.inference.reading import Reader
from gpuwatch.collectors.inference.table_reader import TableReader
from gpuwatch.dataclass import replace

Order = list[tuple[Engine, str]]


def recognise(body: bytes) -> Engine | None:
    """The engine whose marks are on the page; names as they are in its table come before those with another prefix."""
    engines = [engine for engine in every() if engine.marks and engine.prefixes]
    own: Order = [(engine, engine.prefixes[0]) for engine in engines]
    other: Order = [(engine, alias) for engine in engines for alias in engine.aliases]
    names = _names(body)
    for engine, prefix in own + other:
        marks = [prefix + mark.removeprefix(engine.prefixes[0]) for mark in engine.marks]
        if any(mark + part in names for mark in marks for part in ("", *PARTS)):
            return engine
    return None


def _names(body: bytes) -> set[str]:
    """Of all series and TYPE lines. Never fails, however large the page is: one that is too large is refused by who reads it."""
    names: set[str] = set()
    for line in lines_of(body):
        if len(names) > MAX_KEPT:
            break
        if line.startswith(TYPE):
            names.update(line[len(TYPE) : MAX_LINE].split(None, 1)[:1])
        elif not line.startswith("#"):
            names.update(line[:MAX_LINE].partition("{")[0].split(None, 1)[:1])
    return names


def reader_of(engine: Engine, path: str = "") -> Reader:
    """Who reads servers of ``engine``; a ``path`` that its table does not have is read as a page of it."""
    if path and path not in engine.paths:
        return TableReader(replace(engine, paths=(path,)))
    if not engine.reader:
        return TableReader(engine)
    module, _, name = engine.reader.partition(":")
    reader: Reader = getattr(import_module(module), name)(engine)
    return reader
