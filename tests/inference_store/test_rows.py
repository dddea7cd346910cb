"""What a server is and where its numbers come from, in the store: renewed when it changes, never lost, and gone with its person."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import pytest
from support.recording import START, Lab, Scripted, gpu_batch, host_batch
from support.serving import LLAMA, VLLM, at, counts, described, row, server, source, workload
from support.store_rows import T0, process

from gpuwatch.clock import FakeClock
from gpuwatch.model import Batch, Event, InferenceSample
from gpuwatch.names import Latency, Missing, Quality, ServerState
from gpuwatch.store import check, location
from gpuwatch.store.beside import open_beside
from gpuwatch.store.forget import forget, wipe
from gpuwatch.store.rows import Tick
from gpuwatch.store.writer import StoreWriter


def rows(writer: StoreWriter, sql: str, *values: object) -> list[tuple[Any, ...]]:
    assert writer.commit(), writer.problem
    return writer.connection.execute(sql, values).fetchall()


def test_a_server_is_one_row_that_is_renewed(writer: StoreWriter) -> None:
    writer.add(described())
    assert rows(writer, "SELECT state, served_model, verified, max_model_tokens, max_running_requests, interval_ms, scrape_us, page_bytes, first_ms, last_ms FROM server") == [
        (1, "Qwen/Qwen3-8B", 1, 40_960, None, 2000, 4000, 30_000, T0, T0)
    ]  # fmt: skip
    changed = server(state=ServerState.UNREACHABLE, detail="connection refused", scrape_seconds=None, verified=False)
    writer.add(at(9, servers=[changed]))
    assert rows(writer, "SELECT state, detail, scrape_us, verified, first_ms, last_ms FROM server") == [
        (int(ServerState.UNREACHABLE), "connection refused", None, 0, T0, T0 + 9000)
    ]


def test_a_source_has_the_time_since_when_it_is_that(writer: StoreWriter) -> None:
    stays, moves = source("output_tokens_total"), source("running_requests")
    writer.add(described(servers=[server(fields=(stays, moves, source("itl")))]))
    assert writer.commit()
    moved = source("running_requests", Quality.ESTIMATED, "/slots")
    writer.add(at(5, servers=[server(fields=(stays, moved, source("ttft")))]))
    assert rows(writer, "SELECT field, quality, source, since_ms-? FROM server_field ORDER BY 1", T0) == [
        ("output_tokens_total", 0, "vllm:output_tokens_total", 0),
        ("running_requests", 1, "/slots", 5000),
        ("ttft", 0, "vllm:ttft", 5000),
    ]
    writer.add(at(9, servers=[server(fields=())]))
    assert rows(writer, "SELECT count(*) FROM server_field") == [(0,)]


def test_a_workload_that_only_its_server_names_gets_a_row(writer: StoreWriter) -> None:
    writer.add(described(workloads=[], keys=[LLAMA], servers=[server(LLAMA, engine="llama.cpp")]))
    writer.add(at(2, row(LLAMA)))
    assert rows(writer, "SELECT w.root_pid, w.kind, w.model, w.engine, w.engine_version FROM workload w JOIN server s USING (workload_id)") == [
        (LLAMA[0], "inference", "Qwen/Qwen3-8B", "llama.cpp", "0.11.0")
    ]  # fmt: skip
    writer.add(at(3, workloads=[workload(LLAMA, name="tiny", model="tiny.gguf")]))
    assert rows(writer, "SELECT name, model, count(*) FROM workload") == [("tiny", "tiny.gguf", 1)]


def test_the_next_recorder_goes_on_with_the_row(writer: StoreWriter, path: Path) -> None:
    writer.add(described())
    writer.add(at(2, row()))
    writer.end_session()
    writer.connection.close()
    again = StoreWriter.open(path, clock=FakeClock(T0 / 1000 + 60))
    again.begin_session(T0 + 60_000, 1000, "boot")
    again.add(described(60))
    found = rows(again, "SELECT s.workload_id, s.first_ms-?, s.last_ms-?, (SELECT min(since_ms)-? FROM server_field) FROM server s", T0, T0, T0)  # fmt: skip
    assert found == [(1, 0, 60_000, 0)]
    again.connection.close()


@pytest.mark.parametrize("first", [{"servers": [server()]}, {"workload_rows": [row()]}], ids=["its server", "a row"])
def test_what_was_known_of_a_workload_stays_until_it_is_described_again(writer: StoreWriter, path: Path, first: Any) -> None:
    writer.add(described())
    writer.end_session()
    writer.connection.close()
    again = StoreWriter.open(path, clock=FakeClock(T0 / 1000 + 60))
    again.begin_session(T0 + 60_000, 1000, "boot")
    again.add(Tick(T0 + 62_000, **first))
    known = "SELECT w.name, w.model, u.name FROM workload w JOIN user_account u USING (user_id)"
    assert rows(again, known) == [("Qwen3-8B", "Qwen/Qwen3-8B", "alice")]
    again.add(described(64, workloads=[workload(name="renamed")]))
    assert rows(again, known) == [("renamed", "Qwen/Qwen3-8B", "alice")]
    again.connection.close()


def test_a_fresh_file_is_told_who_serves(writer: StoreWriter, path: Path) -> None:
    writer.add(described(keys=[VLLM, LLAMA]))
    assert writer.commit()
    db = writer.connection
    db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * (path.stat().st_size - 4096))
    for second in range(1, 4):
        writer.add(at(second, row()))
        writer.commit()
    assert rows(writer, "SELECT count(*), (SELECT count(*) FROM server_field) FROM server") == [(2, 4)]
    assert rows(writer, "SELECT count(*)>0 FROM inference_sample JOIN server USING (workload_id)") == [(1,)]


# ------------------------------------------------------------------------------------------------------ memory and home


@pytest.fixture
def free(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[int]:
    """The free bytes of the disk, which a test changes."""
    free = [10**12]
    monkeypatch.setattr(location, "MEMORY", tmp_path / "memory")
    (tmp_path / "memory").mkdir()
    monkeypatch.setattr("gpuwatch.store.opening.disk_room", lambda _path: (free[0], 10**12))
    monkeypatch.setattr("gpuwatch.store.buffer.RING_ROWS", 100)
    return free


def states(now: float) -> ServerState:
    return list(ServerState)[int(now - START) // 100 % len(ServerState)]


def serving(now: float) -> Batch:
    """Another state every hundred seconds; from second 400 on another server, and fewer numbers of the first."""
    late = now - START >= 400
    fields = server().fields[:1] if late else server().fields
    servers = [server(state=states(now), fields=fields), *([server(LLAMA)] if late else [])]
    found = [InferenceSample(*each.key, output_tokens_total=float(now % 7)) for each in servers]
    buckets = [counts(latency=latency, numbers=(int(now) % 3, 1)) for latency in (Latency.TTFT, Latency.ITL)]
    return Batch("inference", int(now), inference_samples=found, latency_counts=buckets, servers=servers)


def lab(path: Path) -> Lab:
    made = Lab(path)
    made.record(Scripted("nvml", gpu_batch), Scripted("host", host_batch), Scripted("inference", serving, 2.0), close_minutes=True)
    return made


def until(made: Lab, seconds: float) -> Lab:
    while made.clock.time() < START + seconds:
        made.tick()
    return made


TABLES = ("server", "server_field", "workload", "inference_sample", "latency_sample", "latency_minute", "workload_minute")


def everything(made: Lab) -> dict[str, list[tuple[Any, ...]]]:
    return {table: made.rows(f"SELECT * FROM {table} ORDER BY 1, 2, 3, 4") for table in TABLES}


def test_what_was_recorded_into_memory_comes_home(tmp_path: Path, free: list[int]) -> None:
    calm = until(lab(tmp_path / "calm.db"), 900)
    made = until(lab(tmp_path / "gpuwatch.db"), 300)
    free[0] = 10**6
    until(made, 620)
    assert made.writer.hot_only
    free[0] = 10**12
    until(made, 900)
    assert not made.writer.hot_only and check.check(tmp_path / "gpuwatch.db") == []
    got, undisturbed = everything(made), everything(calm)
    for table in TABLES:
        assert got[table] == undisturbed[table], table
    assert len(got["server"]) == 2 and len(got["latency_minute"]) > 40
    for each in (made, calm):
        each.db.close()


def test_the_next_recorder_takes_over_what_was_left_in_memory(tmp_path: Path, free: list[int]) -> None:
    made = until(lab(tmp_path / "gpuwatch.db"), 300)
    free[0] = 10**6
    until(made, 650)
    made.recorder.end()
    made.writer.close()
    free[0] = 10**12
    again = StoreWriter.open(tmp_path / "gpuwatch.db", clock=FakeClock(made.clock.time()))
    assert not again.hot_only
    found = again.connection.execute("SELECT state, first_ms FROM server ORDER BY workload_id").fetchall()
    assert found == [(int(states(START + 600)), START * 1000), (1, (START + 400) * 1000)]
    fields = again.connection.execute("SELECT workload_id, field, since_ms FROM server_field ORDER BY 1, 2").fetchall()
    assert fields == [
        (1, "output_tokens_total", START * 1000),
        (2, "output_tokens_total", (START + 400) * 1000),
        (2, "ttft", (START + 400) * 1000),
    ], "what the first one no longer tells is gone"
    again.connection.close()


def test_what_an_older_version_has_left_in_memory_comes_home_too(tmp_path: Path, free: list[int]) -> None:
    made = until(lab(tmp_path / "gpuwatch.db"), 300)
    free[0] = 10**6
    until(made, 650)
    made.recorder.end()
    made.writer.close()
    memory = sqlite3.connect(made.writer.path)
    for (view,) in memory.execute("SELECT name FROM sqlite_master WHERE type='view'").fetchall():
        memory.execute(f"DROP VIEW {view}")
    for table in ("server_field", "server", "latency_sample"):
        memory.execute(f"DROP TABLE {table}")
    memory.execute("ALTER TABLE inference_sample DROP COLUMN window_ms")
    memory.commit()
    memory.close()
    free[0] = 10**12
    again = StoreWriter.open(tmp_path / "gpuwatch.db", clock=FakeClock(made.clock.time()))
    newest = "SELECT max(ts_ms)/1000-? FROM tick JOIN inference_sample USING (tick_id) WHERE output_tokens IS NOT NULL"
    assert again.connection.execute(newest, (int(START),)).fetchone()[0] >= 645
    again.connection.close()


# ------------------------------------------------------------------------------------------------------------- forgetting


SECRETS = (b"alicia", b"fluxnet", b"10.77.0.5", b"fluxhint", b"fluxdetail")
HERS = {"user": "alicia", "name": "fluxnet", "model": "fluxnet-8b"}
TOLD = {"url": "http://10.77.0.5:8000/metrics", "served_model": "fluxnet-8b", "hint": "fluxhint", "detail": "fluxdetail"}


def forgotten(path: Path) -> None:
    with open_beside(path) as db:
        forget(db, "alicia")
        assert wipe(db)


def bytes_of(path: Path) -> bytes:
    return b"".join(p.read_bytes() for p in (path, Path(f"{path}-wal")) if p.exists())


def hers(second: float, **more: Any) -> Any:
    missing = {("workload", f"{VLLM[0]}:{VLLM[1]}:{VLLM[2]}", "itl"): Missing.NOT_SUPPORTED}
    told = [server(**TOLD), server(LLAMA, detail="started by alicia")]
    return described(second, workloads=[workload(**HERS), workload(LLAMA)], servers=told, missing=missing, **more)


def test_nothing_that_a_persons_server_said_remains(writer: StoreWriter, path: Path) -> None:
    writer.add(hers(0))
    for second in range(2, 130, 2):
        writer.add(at(second, row(output_tokens_total=5.0), row(LLAMA), latencies=[counts()]))
    assert writer.commit()
    before = rows(writer, "SELECT sum(n), count(*) FROM latency_sample")
    forgotten(path)
    writer.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    assert not [secret for secret in SECRETS if secret in bytes_of(path)]
    assert rows(writer, "SELECT url, served_model, hint, detail, engine FROM server ORDER BY workload_id") == [
        ("", "", "", "", "vllm"),
        (server().url, "Qwen/Qwen3-8B", "", "started by forgotten-1", "vllm"),
    ]
    assert rows(writer, "SELECT sum(n), count(*) FROM latency_sample") == before
    assert rows(writer, "SELECT count(*) FROM missing WHERE entity='workload'") == [(0,)]


def test_what_happened_to_a_persons_server_is_forgotten_too(writer: StoreWriter, path: Path) -> None:
    """Its root may be a process of which nothing else is known: it holds no GPU."""
    pids = {"before": (VLLM[0], VLLM[1] - 1), "hers": (VLLM[0], T0 + 3000), "another": (LLAMA[0], T0 + 3000), "no pid": (0, T0)}
    happened = [Event(ts_ms, "server_up", f"fluxnet {name}", pid=pid) for name, (pid, ts_ms) in pids.items()]
    writer.add(hers(0))
    writer.add(at(4, row(), events=happened))
    assert writer.commit()
    forgotten(path)
    told = dict(rows(writer, "SELECT detail, pid FROM event"))
    assert told == {"fluxnet before": VLLM[0], "": None, "fluxnet another": LLAMA[0], "fluxnet no pid": None}


@pytest.mark.parametrize("change", [[], [server(**{**TOLD, "state": ServerState.STARTING})]], ids=["as it was", "changed"])
def test_a_server_that_goes_on_is_another_one(writer: StoreWriter, path: Path, change: list[Any]) -> None:
    writer.add(hers(0))
    writer.add(at(2, row()))
    assert writer.commit()
    writer.add(at(4, row(), servers=change))  # told, and not written yet
    forgotten(path)
    assert writer.commit()
    writer.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    assert not [secret for secret in SECRETS if secret in bytes_of(path)]
    writer.add(at(6, row()))
    found = rows(writer, "SELECT w.root_pid>0, w.model, s.url, s.first_ms-?, (SELECT count(*) FROM server_field f WHERE f.workload_id=s.workload_id)"
                 " FROM workload w JOIN server s USING (workload_id) WHERE w.port=8000 ORDER BY 1", T0)  # fmt: skip
    assert found == [(0, "", "", 0, 2), (1, "fluxnet-8b", TOLD["url"], 6000, 2)]
    assert rows(writer, "SELECT count(*) FROM inference_sample JOIN workload USING (workload_id) WHERE root_pid>0") == [(1,)]


def test_a_server_whose_processes_alone_are_the_persons_is_forgotten_too(writer: StoreWriter, path: Path) -> None:
    member = process(VLLM[0], user="alicia", uid=1234567, workload_pid=VLLM[0], workload_start_ms=VLLM[1])
    writer.add(described(workloads=[workload(**{**HERS, "user": ""})], servers=[server(**TOLD)], processes=[member]))
    writer.add(at(2, row()))
    assert writer.commit()
    forgotten(path)
    writer.add(at(4, servers=[server(**{**TOLD, "scrape_seconds": 0.5})]))
    assert writer.commit()
    old = rows(writer, "SELECT w.model, s.url FROM workload w JOIN server s USING (workload_id) WHERE w.root_pid<0")
    assert old == [("", "")]


def test_a_broken_row_is_found(writer: StoreWriter, path: Path) -> None:
    writer.add(described())
    writer.add(at(2, row(), latencies=[counts()]))
    assert writer.commit()
    assert check.check(path) == []
    with sqlite3.connect(path) as db:
        db.execute("UPDATE latency_sample SET workload_id=99")
        db.execute("INSERT INTO workload_hour(t,workload_id,obs_ms,n) VALUES(0,1,1,1)")
    found = "\n".join(check.check(path))
    assert "4 rows of latency_sample name a workload that is not there" in found
    assert "1 rows of workload_hour of host 1 lie beyond what is closed" in found
