"""One file, one machine after the other, as when a container is made anew: nothing of the first is lost, doubled, or given to the second."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from support.recording import Lab, Scripted, gpu_batch, proc_batch

from gpuwatch.model import Batch, Host, HostSample
from gpuwatch.store import check
from gpuwatch.store.deleting import Keep
from gpuwatch.store.retention import newest_ms, old_slices

DAY_S, STEP = 86_400, 30


def record(lab: Lab, machine: str, seconds: int) -> None:
    """So long on that machine, a tick every 30 seconds."""
    lab.reopen()

    def host(now: float) -> Batch:
        return Batch("host", int(now), host=Host(machine, "box"), host_sample=HostSample(cpu_ratio=0.25))

    sources = [Scripted(*source, interval=STEP) for source in (("nvml", gpu_batch), ("procs", proc_batch), ("host", host))]
    lab.record(*sources, close_minutes=True, period_seconds=STEP)
    for _ in range(seconds // STEP):
        lab.recorder.run_once(lab.clock.time())
        lab.clock.advance(STEP)
    lab.recorder.end()


def per_host(lab: Lab, sql: str) -> dict[int, Any]:
    return dict(lab.rows(sql))


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """Afternoon on one machine, the evening and night on another."""
    lab = Lab(tmp_path_factory.mktemp("two") / "gpuwatch.db")
    record(lab, "m1", 3 * 3600 + 1230)
    record(lab, "m2", 10 * 3600)
    yield lab
    lab.db.close()


def test_the_hours_and_days_of_a_machine_that_went_are_closed(two: Lab) -> None:
    for family, key in (("gpu", "gpu_id"), ("process", "proc_id")):
        whole = f"SELECT {{}}.{key}, sum({{}}.obs_ms) FROM {family}_{{}} {{}} WHERE {{}}.{key} IN (SELECT {key} FROM {family} WHERE host_id=1) GROUP BY 1"
        minutes, hours, days = (per_host(two, whole.format("m", "m", tier, "m", "m")) for tier in ("minute", "hour", "day"))
        assert minutes and minutes == hours == days
    ledger = "SELECT gpu_id, sum(ms) FROM ledger_{} WHERE gpu_id IN (SELECT gpu_id FROM gpu WHERE host_id=1) GROUP BY 1"
    assert len({str(per_host(two, ledger.format(tier))) for tier in ("minute", "hour", "day")}) == 1
    assert check.check(two.path) == []


def test_each_machines_rows_are_sealed_once_and_as_its_own(two: Lab) -> None:
    rows = dict(
        two.rows(
            "SELECT host_id, sum(n_ticks) FROM (SELECT host_id, max(n) AS n_ticks FROM chunk WHERE kind=4 GROUP BY host_id, t0_ms) GROUP BY 1"
        )
    )
    assert rows[1] == (3 * 3600 + 1230) // STEP
    for kind, entity in ((0, "gpu_id"), (1, "gpu_id")):
        sealed = f"SELECT c.host_id, g.host_id, sum(c.n) FROM chunk c JOIN gpu g ON g.{entity}=c.entity_id WHERE c.kind=? AND g.gpu_index=0 GROUP BY 1, 2"
        found = {(own, of): n for own, of, n in two.rows(sealed, kind)}
        assert set(found) == {(1, 1), (2, 2)} and found[1, 1] == rows[1], kind


def test_its_rows_grow_old_like_all_others(two: Lab) -> None:
    now_ms = round(two.clock.time() * 1000) + 40 * DAY_S * 1000
    assert newest_ms(two.db, 1, now_ms) == newest_ms(two.db, 2, now_ms) == now_ms
    assert {part.cut for part in old_slices(two.db, now_ms, Keep()) if part.rule.table == "chunk"} == {
        (now_ms // 1000 - 30 * DAY_S) // 3600 * 3600 * 1000
    }


def test_the_first_minute_of_another_machine_takes_nothing_from_the_last_of_the_one_before(file_lab: Lab) -> None:
    lab = file_lab
    record(lab, "m1", 3 * 3600 + 120)
    before = per_host(lab, "SELECT t, n FROM gpu_minute WHERE gpu_id=1")
    lab.db.execute("DELETE FROM gpu_sample WHERE tick_id<(SELECT tick_id FROM tick ORDER BY tick_id LIMIT 1 OFFSET 101)")
    lab.db.execute("DELETE FROM tick WHERE tick_id<(SELECT tick_id FROM tick ORDER BY tick_id LIMIT 1 OFFSET 101)")
    record(lab, "m2", 600)
    after = per_host(lab, "SELECT t, n FROM gpu_minute WHERE gpu_id=1")
    assert {t: after.get(t) for t in before} == before
