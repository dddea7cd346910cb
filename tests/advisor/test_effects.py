"""What came of a finding: half an hour before and after it cleared, also where it got worse, and why it could not be measured."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.advised import START, Lab, finding

from gpuwatch.names import Bucket
from gpuwatch.recorder import effects
from gpuwatch.rules.document import finding_text
from gpuwatch.store.ledger_rows import owner_id

T0 = round(START)
"""Unix second at which the finding had held last, and cleared."""
JOB = 7


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    made = Lab(tmp_path / "effects.db", gpus=2)
    made.run(2)
    made.writer.commit()
    yield made
    made.writer.close()


def _found(lab: Lab, **more: Any) -> None:
    of = {"bucket": Bucket.WAIT, "gpus": (1, 2)} | more
    workload = of.pop("workload_id", JOB)
    text = finding_text(finding(**of))
    sql = "INSERT INTO finding(finding_id,host_id,rule,workload_id,started_ms,last_ms,ended_ms,severity,detail) VALUES(1,1,'held',?,?,?,?,2,?)"
    lab.writer.connection.execute(sql, (workload, (T0 - 7200) * 1000, T0 * 1000, T0 * 1000, text))


def _booked(
    lab: Lab, start: int, minutes: int, bucket: Bucket, ms: int, workload: int = JOB, gpus: tuple[int, ...] = (1, 2)
) -> None:
    """``ms`` of each minute in the bucket, the rest effective."""
    db = lab.writer.connection
    owner = owner_id(db, 1, workload_id=workload) if workload else 0
    for t in range(start, start + 60 * minutes, 60):
        for gpu in gpus:
            rows = [
                (t, gpu, owner, int(kind), 0, 0, amount, 0)
                for kind, amount in ((bucket, ms), (Bucket.EFFECTIVE, 60_000 - ms))
                if amount
            ]
            db.executemany(
                "INSERT INTO ledger_minute(t,gpu_id,owner_id,bucket,cause,tier,ms,energy_mj) VALUES(?,?,?,?,?,?,?,?)", rows
            )


def _effect(lab: Lab, now_s: int | None = None) -> tuple[Any, ...] | None:
    now = T0 + effects.due_ms() // 1000 if now_s is None else now_s
    if not effects.keep_next(lab.writer, 1, now * 1000):
        return None
    found: tuple[Any, ...] = lab.rows("SELECT effect, before_ratio, after_ratio, saved_gpu_seconds_per_day FROM v_finding")[0]
    return found


def test_a_share_that_has_fallen_is_a_saving(lab: Lab) -> None:
    _found(lab)
    _booked(lab, T0 - 3600, 60, Bucket.WAIT, 34_800)
    _booked(lab, T0, 60, Bucket.WAIT, 7200)
    assert _effect(lab, T0 + 1800) is None, "the ledger is not final yet"
    assert _effect(lab) == ("wait 58 -> 12 %", 0.58, 0.12, pytest.approx(0.46 * 2 * 86_400))
    assert _effect(lab) is None, "it is told once"


@pytest.mark.parametrize(("after_ms", "line"), [(31_000, "no effect: wait 50 -> 52 %"), (45_000, "worse: wait 50 -> 75 %")])
def test_what_has_not_fallen_is_told_too(lab: Lab, after_ms: int, line: str) -> None:
    _found(lab)
    _booked(lab, T0 - 1800, 30, Bucket.WAIT, 30_000)
    _booked(lab, T0, 30, Bucket.WAIT, after_ms)
    told = _effect(lab)
    assert told is not None
    assert told[0] == line
    assert told[3] < 0


def test_a_job_that_has_ended_has_saved_nothing(lab: Lab) -> None:
    _found(lab)
    _booked(lab, T0 - 1800, 30, Bucket.WAIT, 30_000)
    _booked(lab, T0, 30, Bucket.UNALLOCATED, 60_000, workload=0)
    assert _effect(lab) == ("not measured: the job has ended", None, None, None)


def test_who_held_a_gpu_idle_and_ended_has_given_it_back(lab: Lab) -> None:
    _found(lab, bucket=Bucket.HELD_IDLE)
    _booked(lab, T0 - 1800, 30, Bucket.HELD_IDLE, 60_000)
    _booked(lab, T0, 30, Bucket.UNALLOCATED, 60_000, workload=0)
    assert _effect(lab) == ("held without work 100 -> 0 %", 1.0, 0.0, 2 * 86_400)


def test_a_gpu_that_is_used_a_little_again_still_waits_for_most_of_the_time(lab: Lab) -> None:
    _found(lab, bucket=Bucket.HELD_IDLE)
    _booked(lab, T0 - 1800, 30, Bucket.HELD_IDLE, 60_000)
    _booked(lab, T0, 30, Bucket.WAIT, 45_000)
    told = _effect(lab)
    assert told is not None and told[1:3] == (1.0, 0.75)


@pytest.mark.parametrize("before", [True, False])
def test_gpus_that_were_not_recorded_tell_nothing(lab: Lab, before: bool) -> None:
    _found(lab)
    _booked(lab, T0 - 1800, 10 if before else 30, Bucket.WAIT, 30_000)
    _booked(lab, T0, 30 if before else 10, Bucket.WAIT, 30_000)
    assert _effect(lab) == (f"not measured: the GPUs were not recorded {'before' if before else 'afterwards'}", None, None, None)


def test_a_finding_without_a_bucket_is_not_compared(lab: Lab) -> None:
    _found(lab, bucket=None)
    assert _effect(lab) == ("not measured: it is about no part of the ledger", None, None, None)
