"""From hot rows to ledger.split's input, and from its buckets to stored minutes."""

from __future__ import annotations

from typing import Any

from support.store_rows import T0, first_tick, gpu, gpu_row, process, process_row, tick

from gpuwatch.ledger.types import NOBODY, BucketRow
from gpuwatch.names import Bucket, Cause, Context, Tier
from gpuwatch.store.ledger_rows import ledger_input, ledger_inputs, owner_id, write_ledger
from gpuwatch.store.writer import StoreWriter

T = T0 // 1000


def bucket(which: Bucket, ms: int, owner: int = NOBODY, energy: int = 0) -> BucketRow:
    return BucketRow(owner, which, Cause.NONE, Tier.N, ms, energy)


def stored(writer: StoreWriter) -> list[tuple[Any, ...]]:
    return writer.connection.execute("SELECT t, gpu_id, owner_id, bucket, ms, energy_mj, final FROM ledger_minute").fetchall()


def test_rows_carry_facts_best_energy_and_busy_share(writer: StoreWriter) -> None:
    writer.add(first_tick())
    writer.add(tick(1, gpu_row(utilization_ratio=0.5, graphics_active_ratio=0.7, energy_joules=1.5, power_watts=9.0, kappa_pm=800)))
    writer.add(tick(2, gpu_row(utilization_ratio=0.5, power_watts=100.0, quiet=True, quiet_ms=4000, context=Context.MEMORY_ONLY)))
    writer.add(tick(3, gpu_row(quiet=None, context=None, unavailable=True)))
    writer.commit()
    first, second, third = ledger_input(writer.connection, 1, T0, T0 + 60_000)
    assert (first.busy_pm, first.energy_mj, first.kappa_pm, first.quiet, first.context) == (700, 1500, 800, False, Context.PROCESS)
    assert (second.busy_pm, second.energy_mj, second.quiet, second.quiet_ms) == (500, 100_000, True, 4000)
    assert second.context is Context.MEMORY_ONLY
    assert (third.busy_pm, third.energy_mj, third.quiet, third.context, third.unavailable) == (None, None, None, None, True)


def test_only_rows_that_overlap_the_span_are_given(writer: StoreWriter) -> None:
    writer.add(first_tick())
    for second, dt in ((0, 1000), (1, 0), (60, 1000), (61, 2000), (62, 1000), (200, 1000)):
        writer.add(tick(second, gpu_row(dt_ms=dt)))
    writer.commit()
    found = ledger_input(writer.connection, 1, T0, T0 + 60_000)
    assert [(row.ts_ms - T0) // 1000 for row in found] == [60, 61]


def test_each_gpu_row_gets_the_holders_of_its_time(writer: StoreWriter) -> None:
    a, b = process(7, job="slurm 12"), process(8, user="bob", uid=1001)
    writer.add(first_tick(people=[a, b]))
    for second in range(1, 9):
        held = []
        if second % 2 == 0:
            held.append(process_row(7, 0, 0 if second == 2 else 2000, sm_utilization_ratio=0.5, gpu_memory_bytes=2**30))
            if second >= 6:
                held.append(process_row(8, 0, 0 if second == 6 else 2000, gpu_memory_bytes=2**31))
        writer.add(tick(second, gpu_row(), held=held))
    writer.commit()
    rows = ledger_input(writer.connection, 1, T0, T0 + 60_000)
    owners = dict(writer.connection.execute("SELECT o.owner_id, p.pid FROM owner o JOIN process p USING(proc_id)"))
    by_second = {(row.ts_ms - T0) // 1000: sorted(owners[owner] for owner, _, _ in row.shares) for row in rows}
    assert by_second == {1: [], 2: [7], 3: [7], 4: [7], 5: [7], 6: [7, 8], 7: [7, 8], 8: [7, 8]}
    last = {owners[owner]: (sm_pm, memory_mib) for owner, sm_pm, memory_mib in rows[-1].shares}
    assert last == {7: (500, 1024), 8: (None, 2048)}
    job = writer.connection.execute(
        "SELECT job, u.name FROM owner o JOIN user_account u USING(user_id) ORDER BY owner_id"
    ).fetchall()
    assert job == [("slurm 12", "alice"), ("", "bob")]


def test_a_process_row_speaks_for_three_periods_and_no_longer(writer: StoreWriter) -> None:
    writer.add(first_tick(people=[process(7)]))
    for second in range(1, 41):
        writer.add(tick(second, gpu_row(), held=[process_row(7, 0, 2000)] if second == 2 else ()))
    writer.commit()
    rows = ledger_input(writer.connection, 1, T0, T0 + 60_000)
    held = [(row.ts_ms - T0) // 1000 for row in rows if row.shares]
    assert held == list(range(1, 9))  # its own two seconds and six after them


def test_one_pass_for_all_gpus_is_the_same_as_one_by_one(writer: StoreWriter) -> None:
    people = [process(7), process(8)]
    writer.add(first_tick(gpu(0), gpu(1), people=people))
    for second in range(1, 31):
        held = [process_row(7, 0, 2000), process_row(7, 1, 2000), process_row(8, 1, 2000)] if second % 2 else []
        writer.add(tick(second, gpu_row(0), gpu_row(1), held=held))
    writer.commit()
    db = writer.connection
    together = ledger_inputs(db, T0, T0 + 60_000)
    assert together == {i: ledger_input(db, i, T0, T0 + 60_000) for i in (1, 2)}
    some = ledger_inputs(db, T0, T0 + 60_000, shares_ms=(T0 + 10_000, T0 + 20_000))[1]
    assert [bool(row.shares) for row in some] == [10 < (row.ts_ms - T0) / 1000 <= 20 for row in some]


def test_an_owner_has_one_id(writer: StoreWriter) -> None:
    db = writer.connection
    writer.add(first_tick())
    writer.commit()
    first = owner_id(db, 1, user_id=3, job="j", proc_id=5)
    assert owner_id(db, 1, user_id=3, job="j", proc_id=5) == first != owner_id(db, 1, user_id=3, job="", proc_id=5)


def test_a_minute_is_replaced_until_it_is_final(writer: StoreWriter) -> None:
    db = writer.connection
    write_ledger(db, 1, T, [bucket(Bucket.QUIET, 60_000)], False)
    write_ledger(db, 1, T, [bucket(Bucket.WAIT, 20_000, energy=5), bucket(Bucket.BUSY_UNKNOWN, 40_000)], False)
    assert [row[3:] for row in stored(writer)] == [(int(Bucket.WAIT), 20_000, 5, 0), (int(Bucket.BUSY_UNKNOWN), 40_000, 0, 0)]
    write_ledger(db, 1, T, [bucket(Bucket.HELD_IDLE, 60_000)], True)
    write_ledger(db, 1, T, [bucket(Bucket.WAIT, 60_000)], False)
    assert stored(writer) == [(T, 1, 0, int(Bucket.HELD_IDLE), 60_000, 0, 1)]


def test_unobserved_time_and_nothing_have_no_row_beside_others(writer: StoreWriter) -> None:
    unobserved, nothing = bucket(Bucket.UNOBSERVED, 30_000), bucket(Bucket.WAIT, 0)
    write_ledger(writer.connection, 1, T, [unobserved, nothing, bucket(Bucket.HELD_IDLE, 30_000)], True)
    assert [row[3] for row in stored(writer)] == [Bucket.HELD_IDLE]
    for only in ([unobserved, nothing], []):
        write_ledger(writer.connection, 1, T, only, True)
        assert [row[3:6] for row in stored(writer)] == [(Bucket.UNOBSERVED, 0, 0)]


def test_spans_join_minutes_without_a_hole(writer: StoreWriter) -> None:
    for minute in (0, 1, 2, 5, 6, 1):
        write_ledger(writer.connection, 1, T + 60 * minute, [bucket(Bucket.WAIT, 60_000)], False)
    spans = writer.connection.execute("SELECT (t0-?)/60, (t1-?)/60 FROM ledger_span ORDER BY t0", (T, T)).fetchall()
    assert spans == [(0, 3), (5, 7)]
