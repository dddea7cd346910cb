"""What a counter gained over a gap belongs to the gap, where that is known, and to no sum."""

from __future__ import annotations

from dataclasses import replace

from support.recording import START, Lab, Scripted, gpu_batch

from gpuwatch.model import Batch

MS = round(START * 1000)


def test_energy_over_a_gap_is_known_and_in_no_sum(file_lab: Lab) -> None:
    """GPU-a's counter went on over the gap; GPU-b's began anew, and after a restart of the recorder nothing is known."""
    lab = file_lab

    def batch(now: float) -> Batch:
        found = gpu_batch(now)
        if now != START + 7203:
            return found
        a, b = found.gpu_samples
        return replace(found, gpu_samples=[replace(a, energy_joules=9e5), replace(b, energy_joules=None)])

    lab.record(Scripted("nvml", batch), close_minutes=True)
    lab.tick(3)
    lab.clock.advance(0, suspended=7200)
    lab.tick(120)
    energy = "SELECT start_ms-?, reason, energy_joules FROM v_gap ORDER BY start_ms"
    assert lab.rows(energy, MS) == [(2000, "suspend", 9e5)]
    assert lab.rows("SELECT gpu_id, energy_mj FROM gap_energy") == [(1, 900_000_000)]
    assert lab.rows("SELECT energy_mj FROM gpu_sample WHERE gpu_id=1 AND dt_ms=0 AND tick_id>1") == [(None,)]
    assert lab.rows("SELECT max(energy_used_mj) FROM gpu_minute")[0][0] <= 60 * 300_000
    lab.reopen()
    lab.clock.advance(60)
    lab.record(Scripted("nvml", batch))
    lab.tick(2)
    assert [row[1:] for row in lab.rows(energy, MS)] == [("suspend", 9e5), ("crash", None)]


def test_energy_of_a_gpu_that_fell_silent_belongs_to_its_own_gap(lab: Lab) -> None:
    def batch(now: float) -> Batch:
        found = gpu_batch(now)
        silent = START + 5 <= now < START + 15
        return replace(found, gpu_samples=found.gpu_samples[1:]) if silent else found

    lab.record(Scripted("nvml", batch))
    lab.tick(20)
    assert lab.rows("SELECT g.gpu_id, g.t0_ms-?, e.energy_mj FROM gap g JOIN gap_energy e USING(host_id, gpu_id, t0_ms)", MS) == [(1, 4000, 300_000)]  # fmt: skip
