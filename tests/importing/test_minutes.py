"""The ledger of a log hour by hour: a run that is cut by the end of an hour is named by how it goes on."""

from __future__ import annotations

from fractions import Fraction

import pytest

from gpuwatch.ledger.types import LedgerRow
from gpuwatch.names import Bucket, Context
from gpuwatch.recorder.importing.minutes import SharedBook

HOUR_MS = 1_763_128_800_000


def quiet(minutes: int, run: int) -> LedgerRow:
    return LedgerRow(HOUR_MS + minutes * 60_000, 60_000, True, run * 60_000, Context.PROCESS, 0)


@pytest.mark.parametrize(("more", "bucket"), [(2, Bucket.WAIT), (3, Bucket.HELD_IDLE)])
def test_a_run_over_an_hours_end_is_named_though_the_log_ends_soon_after(more: int, bucket: Bucket) -> None:
    own, ahead = [quiet(-1, 1), quiet(0, 2)], [quiet(n, 2 + n) for n in range(1, more + 1)]
    book = SharedBook(1, Fraction(1))
    book.add(own, ahead)
    book.add(ahead, [])
    book.close()
    assert {row[3] for row in book.rows} == {int(bucket)}
