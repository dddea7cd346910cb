"""A family that a server renames or drops makes unknown what came from it, and nothing else; never 0.

Where the table has another candidate for the field, that one is taken: an older name, or a formula that is marked as estimated.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from support.engine_pages import numbers, read_page, table
from support.engine_truth import PAGES

from gpuwatch.collectors.inference.engine import Source


def named(source: Source) -> Iterator[str]:
    """Every family that a source needs."""
    yield source.family
    yield from source.beside
    for more in (*source.minus, *source.plus, *source.over):
        yield from named(more)


def users(engine: str, bare: str) -> dict[str, list[set[str]]]:
    """Field -> the families of each candidate, by their names without the prefix that the page may lack."""
    own = table(engine)
    every = {**own.fields, **{latency.label: sources for latency, sources in own.latencies.items()}}
    return {
        name: [{family.removeprefix(bare) for family in named(source)} for source in sources] for name, sources in every.items()
    }


@pytest.mark.parametrize("away", ["dropped", "renamed"])
@pytest.mark.parametrize(("engine", "page"), PAGES, ids=[page for _, page in PAGES])
def test_only_what_came_from_a_family_is_lost_with_it(captured: Any, engine: str, page: str, away: str) -> None:
    whole = captured(page).decode()
    prefix = table(engine).prefixes[0]
    bare = prefix if page.startswith("nim") else ""
    before, fields = numbers(read_page(engine, whole)), users(engine, bare)
    on_page = {family for sources in fields.values() for families in sources for family in families if _has(whole, family)}
    assert len(on_page) >= 4
    for family in sorted(on_page):
        reading = read_page(engine, _without(whole, family, away))
        after = numbers(reading)
        for name in fields:
            chosen = _chosen(fields[name], on_page, before, name)
            if chosen is None or family not in chosen:
                assert after.get(name) == before.get(name), (family, name)
                continue
            if not any(family not in families and families <= on_page for families in fields[name]):
                assert name not in after, (family, name)
            elif name in after:  # by another candidate, and it says so
                assert not re.search(rf"(?<![\w:]){re.escape(family)}(_sum|_count)?(?!\w)", reading.sources[name].source), (
                    family,
                    name,
                )


def _has(page: str, family: str) -> bool:
    return re.search(rf"^{re.escape(family)}(_bucket|_sum|_count)?[{{ ]", page, re.MULTILINE) is not None


def _without(page: str, family: str, away: str) -> str:
    """The page in which no line is of that family any more."""
    line = re.compile(rf"^(# (?:HELP|TYPE) )?{re.escape(family)}(?P<rest>(_bucket|_sum|_count)?[{{ ].*)$\n?", re.MULTILINE)
    return line.sub("" if away == "dropped" else rf"\g<1>another_{family.replace(':', '_')}\g<rest>\n", page)


def _chosen(candidates: list[set[str]], on_page: set[str], before: dict[str, float], name: str) -> set[str] | None:
    """The families of the candidate that gave the field; where several could, those of all are taken to have."""
    if name not in before:
        return None
    return set().union(*[families for families in candidates if families <= on_page])
