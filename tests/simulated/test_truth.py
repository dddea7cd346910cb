"""The answer sheet agrees with the collector and with the arithmetic of the scenario."""

from __future__ import annotations

import subprocess
import sys

import pytest

from gpuwatch.collectors.simulated.text import loads
from gpuwatch.collectors.simulated.truth import truth


@pytest.mark.parametrize("name", ["lab", "train", "lost-gpu", "mig", "gb10", "starved-loader"])
def test_the_collector_says_what_is_true(name, opened, compiled, epoch):
    collector, scenario = opened(name), compiled(name)
    for second in (62, 63, 134, 135, 599, 600, 601, 2000, 2001):
        sheet = truth(scenario, epoch, epoch + second)
        collector.collect(epoch + second - 1)
        batch = collector.collect(epoch + second)
        samples = {s.gpu_uuid: s for s in batch.gpu_samples}
        assert {t.uuid for t in sheet.values()} == set(samples)
        for place in sheet.values():
            sample = samples[place.uuid]
            assert (sample.unavailable, sample.utilization_ratio, sample.memory_used_bytes) == (
                place.lost, place.utilization_ratio, place.memory_used_bytes,
            )  # fmt: skip
            assert sample.power_watts == place.power_watts
            on_it = [s.gpu_memory_bytes for s in batch.process_samples if s.gpu_uuid == place.uuid]
            assert sorted(on_it) == sorted(place.processes.values())


def test_a_square_wave_is_idle_for_the_share_that_its_author_wrote(compiled, epoch):
    sheets = [truth(compiled("starved-loader"), epoch, epoch + second)["0"] for second in range(1, 601)]
    idle = sum(1 - sheet.utilization_ratio for sheet in sheets)
    assert idle == pytest.approx(600 * 0.63, rel=1e-9)
    assert {sheet.utilization_percent_now for sheet in sheets} == {0, 100}


def test_the_table_can_be_printed_for_other_readers(compiled):
    command = [sys.executable, "-m", "gpuwatch.collectors.simulated"]
    done = subprocess.run([*command, "gb10", "--seed", "7"], capture_output=True, text=True, timeout=60, check=True)
    assert loads(done.stdout) == compiled("gb10").table
    wrong = subprocess.run([*command, "gb11"], check=False, capture_output=True, text=True, timeout=60)
    assert wrong.returncode == 2 and wrong.stdout == ""
    assert wrong.stderr == "scenario: unknown key 'gb11' (did you mean 'gb10'?)\n"
