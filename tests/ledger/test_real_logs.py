"""The ledger of real logs: power as evidence, what an idle tail is called, what free GPUs draw, and that all time is booked."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.inprocess import run_program
from support.past_logs import ask

from gpuwatch.names import Bucket, Tier

BUSY = (int(Bucket.EMPTY_SM), int(Bucket.BUSY_UNKNOWN))


def imported(shared: Path, tmp_path: Path, name: str, *options: str) -> Path:
    store = tmp_path / "gpuwatch.db"
    path = shared / "fixtures" / "gpu-logs" / name
    done = run_program("import", "--store", str(store), "--tz", "Asia/Seoul", *options, str(path))
    assert done.returncode == 0, done.stderr
    return store


def report(store: Path, host: str) -> str:
    first, last = ask(store, "SELECT min(first_ms) / 1000, max(last_ms) / 1000 + 60 FROM import_file")[0]
    done = run_program("report", "--store", str(store), "--host", host, "--since", f"@{first}", "--until", f"@{last}")
    assert done.returncode == 0, done.stderr
    return done.stdout.replace("\xa0", " ")


@pytest.mark.parametrize(("log", "expected"), [("baseline", 0.98), ("run25", 0.50)])
def test_utilization_is_not_efficiency_where_the_power_limit_is_known(
    shared: Path, tmp_path: Path, log: str, expected: float
) -> None:
    store = imported(shared, tmp_path, f"nanogpt-8gpu-{log}.csv", "--host", log, "--power-limit", "700")
    sums = dict(ask(store, f"SELECT bucket, sum(ms) FROM ledger_minute WHERE bucket IN {BUSY} GROUP BY 1"))
    assert sums[Bucket.BUSY_UNKNOWN] / sum(sums.values()) == pytest.approx(expected, abs=0.02)
    assert ask(store, f"SELECT DISTINCT tier FROM ledger_minute WHERE bucket IN {BUSY}") == [(int(Tier.P),)]
    text = report(store, log)
    assert "(tier P)" in text and "Empty SM" not in text and "quality unknown" in text


@pytest.mark.parametrize("log", ["baseline", "run25"])
def test_without_a_limit_nothing_is_said_of_fill(shared: Path, tmp_path: Path, log: str) -> None:
    store = imported(shared, tmp_path, f"nanogpt-8gpu-{log}.csv", "--host", log)
    assert ask(store, f"SELECT DISTINCT bucket, tier FROM ledger_minute WHERE bucket IN {BUSY}") == [(int(Bucket.BUSY_UNKNOWN), 0)]
    text = report(store, log)
    assert "fill unknown" in text and "tier N" in text and "tier P" not in text


def test_an_idle_tail_that_nobody_is_known_to_hold_is_idle_unattributed(shared: Path, tmp_path: Path) -> None:
    store = imported(shared, tmp_path, "nanogpt-8gpu-baseline.csv")
    last = "SELECT DISTINCT bucket FROM ledger_minute WHERE t=(SELECT max(t) FROM ledger_minute)"
    assert (int(Bucket.IDLE_UNATTRIBUTED),) in ask(store, last)
    assert ask(store, f"SELECT count(*) FROM ledger_minute WHERE bucket={int(Bucket.HELD_IDLE)}") == [(0,)]


def test_what_free_gpus_draw_is_learned_for_later_logs(shared: Path, tmp_path: Path) -> None:
    store = imported(shared, tmp_path, "gpu-glasses-8xh100-idle.csv")
    floors = [watts / 1000 for (watts,) in ask(store, "SELECT idle_power_mw FROM gpu")]
    assert len(floors) == 8 and all(72 < watts < 75 for watts in floors)
    assert ask(store, "SELECT DISTINCT bucket FROM ledger_minute") == [(int(Bucket.UNALLOCATED),)]


@pytest.mark.parametrize("name", ["qwen3-asr-gpu-log.csv", "qwen3-asr-0331-100.csv"])
def test_bursts_of_a_resident_model_are_work_and_waiting_and_never_held_idle(shared: Path, tmp_path: Path, name: str) -> None:
    """Its utilization is read ten times a second and changes once: repeated values book the time that they cover, once."""
    store = imported(shared, tmp_path, name)
    found = dict(ask(store, "SELECT bucket, sum(ms) FROM ledger_minute GROUP BY 1"))
    assert set(found) == {int(Bucket.WAIT), int(Bucket.BUSY_UNKNOWN)}
    observed, busy = ask(store, "SELECT sum(obs_ms), sum(utilization_pm_ms) / 1000.0 FROM gpu_minute")[0]
    assert sum(found.values()) == observed
    quiet_but_not_zero = ask(store, "SELECT sum(quiet_ms) FROM gpu_minute")[0][0] * 0.05
    assert 0 <= busy - found[Bucket.BUSY_UNKNOWN] + 1 <= quiet_but_not_zero + 2


def test_a_link_that_is_slow_only_while_nothing_is_done_is_no_finding(shared: Path, tmp_path: Path) -> None:
    store = imported(shared, tmp_path, "qwen3-asr-gpu-log.csv", "--host", "asr")
    done = run_program("check", "--store", str(store), "--replay", "--fail-on", "info", "--since", "2026-04-01T19:23+09:00")
    assert done.returncode == 0, done.stdout
    assert "pcie-link-degraded" not in done.stdout
