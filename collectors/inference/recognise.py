"""Which engine a page is of, by the families on it: for a server that nobody recognised, or took for another."""

from __future__ import annotations

from importlib import import_module

from gpuwatch.collectors.inference.engine import Engine
from gpuwatch.collectors.inference.engines import every
from gpuwatch.collectors.inference.page import Wanted, read_page
from gpuwatch.collectors.inference.reading import Reader
from gpuwatch.collectors.inference.table_reader import TableReader
from gpuwatch.dataclass import replace

Order = list[tuple[Engine, str]]


def recognise(body: bytes) -> Engine | None:
    """The engine whose marks are on the page; names as they are in its table come before those with another prefix."""
    engines = [engine for engine in every() if engine.marks and engine.prefixes]
    own: Order = [(engine, engine.prefixes[0]) for engine in engines]
    other: Order = [(engine, alias) for engine in engines for alias in engine.aliases]
    for engine, prefix in own + other:
        marks = [prefix + mark.removeprefix(engine.prefixes[0]) for mark in engine.marks]
        page = read_page(body, Wanted((prefix, *engine.prefixes[1:]), marks))
        if any(map(page.has, marks)):
            return engine
    return None


def reader_of(engine: Engine, path: str = "") -> Reader:
    """Who reads servers of ``engine``; a ``path`` that its table does not have is read as a page of it."""
    if path and path not in engine.paths:
        return TableReader(replace(engine, paths=(path,)))
    if not engine.reader:
        return TableReader(engine)
    module, _, name = engine.reader.partition(":")
    reader: Reader = getattr(import_module(module), name)(engine)
    return reader
