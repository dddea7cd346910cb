"""One truth of servers: what the scenario says is what stands in the store's hours, whatever rows it came in."""

from __future__ import annotations

import sqlite3

import pytest

from gpuwatch.clock import FakeClock
from gpuwatch.collectors.simulated.truth import server_truth
from gpuwatch.names import WAITS
from gpuwatch.plugin import CollectorContext
from gpuwatch.recorder.backfill import backfill
from gpuwatch.store.writer import StoreWriter

HOURS = 3.0


@pytest.mark.parametrize(("name", "servers"), [("lab", ["svc"]), ("serve", ["api0", "old"]), ("mig", ["rerank"])])
def test_every_hour_of_the_store_is_what_the_server_did(name, servers, compiled, tmp_path):
    clock = FakeClock()
    now = int(clock.time())
    writer = StoreWriter.open(tmp_path / "store.db", clock=clock, simulated=True, scenario=name)
    backfill(writer, CollectorContext(clock=clock, options={"scenario": name, "seed": 7, "epoch": now}), now=now, hours=HOURS)
    writer.close()
    db, scenario = sqlite3.connect(tmp_path / "store.db"), compiled(name)
    for server in servers:
        _compare(db, scenario, now, server)


def _compare(db, scenario, now, server):
    port = scenario.people[server].plan.port
    hours = db.execute(
        "SELECT t,output_tokens_total,prefill_tokens_total,cached_tokens_total,requests_total,preemptions_total FROM v_workload_hour"
        " WHERE port=? AND observed_seconds=3600 ORDER BY t",
        (port,),
    ).fetchall()
    assert len(hours) >= 2
    for t, *counts in hours:
        truth = server_truth(scenario, now, t, t + 3600)[server]
        assert counts == [truth.output_tokens, truth.prefill_tokens, truth.cached_tokens, truth.requests, truth.preemptions]
        told = db.execute(
            "SELECT latency,lower_seconds,coalesce(upper_seconds,1e9),count FROM v_latency_hour WHERE port=? AND t=?", (port, t)
        ).fetchall()
        assert {(latency, round(lower * 1e6), round(upper * 1e6)): n for latency, lower, upper, n in told} == {
            (latency.label, *bucket): n for latency in WAITS for bucket, n in truth.latencies[latency].items()
        }
