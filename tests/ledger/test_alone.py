"""Booked column by column, rows without holders give what ``split`` gives, minute by minute, to the last integer."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from gpuwatch.ledger import split
from gpuwatch.ledger.alone import AloneMinutes, Columns, label
from gpuwatch.ledger.runs import next_quiet_ms
from gpuwatch.ledger.types import NO_WORK, BucketRow, Fill, LedgerRow, Work
from gpuwatch.names import Cause, Context, Tier

START = 1_763_130_720_123
CONTEXTS = [None, Context.NONE, Context.PROCESS, Context.MEMORY_ONLY]
WORKS = [NO_WORK, Work(overhead_pm=250), Work(input_pm=700, sibling=True, inferred=Cause.HOST), Work(sibling=True)]
FILLS = [None, Fill(Tier.P, 317), Fill(Tier.P, 0), Fill(Tier.G, 803, 411), Fill(Tier.G, 77), Fill(Tier.H, 1000, 390)]
STEPS = st.sampled_from([100, 300, 303, 1000, 1000, 997, 2003, 30_000, 60_000, 61_001, 90_000, 290_000, 700_000])


@st.composite
def histories(draw: st.DrawFn) -> list[LedgerRow]:
    """Rows as they are made: in order, with gaps, stretches of one kind, true quiet runs."""
    rows: list[LedgerRow] = []
    now, run = START, 0
    facts: tuple[bool | None, Context | None] = (None, None)
    works, fills = draw(st.sampled_from([[NO_WORK], WORKS])), draw(st.sampled_from([[None], FILLS[:3], FILLS]))
    for _ in range(draw(st.integers(1, 9))):
        step = draw(STEPS)
        quiet, context = draw(st.sampled_from([True, True, False, False, None])), draw(st.sampled_from(CONTEXTS))
        lost = draw(st.sampled_from([False] * 9 + [True]))
        for number in range(draw(st.sampled_from([1, 1, 2, 5, 25]))):
            gap = draw(st.sampled_from([0, 0, 0, 4321])) if number == 0 else 0
            dt = 0 if gap else step
            now += step + gap
            fact: tuple[bool | None, Context | None] = (None, None) if lost else (quiet, context)
            run = next_quiet_ms(run, facts, *fact, dt)
            facts = fact
            busy = None if quiet is None else draw(st.sampled_from([0, 40, 500, 1000]))
            kappa, energy = draw(st.sampled_from([1000, 1000, 703])), draw(st.sampled_from([None, 0, 1, 699_999]))
            work, fill = draw(st.sampled_from(works)), draw(st.sampled_from(fills))
            rows.append(LedgerRow(now, dt, fact[0], run, fact[1], busy, kappa, lost, energy, (), work, fill))
    return rows


def columns(rows: list[LedgerRow]) -> Columns:
    labels = [label(row.quiet, row.quiet_ms, row.context, row.unavailable, row.work.sibling) for row in rows]
    return Columns(
        [row.ts_ms for row in rows],
        [row.dt_ms for row in rows],
        [row.quiet for row in rows],
        [row.quiet_ms for row in rows],
        [row.context for row in rows],
        [row.busy_pm for row in rows],
        [row.kappa_pm for row in rows],
        [row.unavailable for row in rows],
        [row.energy_mj or 0 for row in rows],
        labels,
        None if all(row.work is NO_WORK for row in rows) else [row.work for row in rows],
        None if all(row.fill is None for row in rows) else [row.fill for row in rows],
    )


def by_split(rows: list[LedgerRow]) -> dict[int, list[BucketRow]]:
    """Every minute by the one function, which sees all rows and that none follows the last."""
    known = [row for row in rows if row.dt_ms]
    if not known:
        return {}
    known.append(LedgerRow(rows[-1].ts_ms + 1, 0, None, 0, None, None))
    minutes = {n for row in known for n in range((row.ts_ms - row.dt_ms) // 60_000, (row.ts_ms - 1) // 60_000 + 1) if row.dt_ms}
    return {n: split(known, start_ms=n * 60_000, end_ms=n * 60_000 + 60_000) for n in sorted(minutes)}


@given(histories(), st.integers(1, 4))
@settings(max_examples=60, deadline=None)
def test_equal_to_split_whatever_the_pieces(rows: list[LedgerRow], hours: int) -> None:
    length = hours * 1_200_000
    pieces: dict[int, list[LedgerRow]] = {}
    for row in rows:
        pieces.setdefault((row.ts_ms - 1) // length, []).append(row)
    parts = [columns(own) for own in pieces.values()]
    book = AloneMinutes()
    found: list[tuple[int, list[BucketRow]]] = []
    for own, ahead in zip(parts, [*parts[1:], None], strict=True):
        found += book.add(own, ahead)
    found += book.close()
    assert dict(found) == by_split(rows)
    assert len(found) == len(dict(found))


def test_a_run_that_ends_with_the_log_just_after_a_piece_has_ended():
    row = LedgerRow(START, 1000, None, 0, None, None)
    rows = [row, *(LedgerRow(START + n * 60_000, 60_000, True, n * 60_000, None, 0) for n in range(1, 5))]
    assert by_pieces(rows, START + 3 * 60_000 + 30_000) == by_split(rows)


def by_pieces(rows: list[LedgerRow], cut_ms: int) -> dict[int, list[BucketRow]]:
    own, ahead = (columns([row for row in rows if (row.ts_ms > cut_ms) is later]) for later in (False, True))
    book = AloneMinutes()
    return dict([*book.add(own, ahead), *book.add(ahead, None), *book.close()])
