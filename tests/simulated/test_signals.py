"""What a scenario says of links, limits and pressure, as its collector tells it."""

from __future__ import annotations

from pathlib import Path

import pytest

from gpuwatch.collectors.simulated.compile import compile_plan
from gpuwatch.collectors.simulated.scenario import parse
from gpuwatch.errors import UsageError

SCENARIO = """
[host]
noise = 0
steal = 0.06
cpu_pressure = 0.3
io_pressure = 0.2
memory_pressure = 0.05
swap_in = 8

[[gpus]]
profile = "ampere-a100"
load = [{ for = "5m", level = 90 }, { level = 0 }]
pcie_link = { generation = 3, idle = 1, width = 8 }
nvlinks_up = 11

[[gpus]]
profile = "ada-l40s"

[[processes]]
slot = "held"
gpus = { 0 = 10.0 }
age = "1h"
cpu = 1.0
state = "D"
thread_cpu = 0.97
cpu_throttled = 0.25
visible_gpus = "0,1"

[[processes]]
slot = "plain"
gpus = { 1 = 10.0 }
age = "1h"
"""


def test_a_scenario_can_show_each_signal(opened, epoch, tmp_path: Path):
    path = tmp_path / "signals.toml"
    path.write_text(SCENARIO)
    collector = opened(str(path))
    collector.collect(epoch + 58)
    batch = collector.collect(epoch + 60)
    one, two = batch.gpu_samples
    assert (one.pcie_link_generation, one.pcie_link_width, one.nvlink_active_count) == (3, 8, 11)
    assert (two.pcie_link_generation, two.pcie_link_width, two.nvlink_active_count) == (4, 16, None)
    held, plain = [sample for sample in batch.process_samples if not sample.gpu_uuid]
    assert (chr(held.run_state), held.thread_cpu_ratio, held.cpu_throttled_ratio) == ("D", 0.97, 0.25)
    assert (chr(plain.run_state), plain.thread_cpu_ratio, plain.cpu_throttled_ratio) == ("S", None, None)
    assert [process.visible_gpus for process in batch.processes] == ["0,1", ""]
    host = batch.host_sample
    assert (host.steal_ratio, host.cpu_pressure_ratio, host.io_pressure_ratio, host.memory_pressure_ratio) == (0.06, 0.3, 0.2, 0.05)
    assert host.swap_in_bytes == pytest.approx(2 * 8 * 1024**2)
    resting = collector.collect(epoch + 330).gpu_samples[0]
    assert (resting.pcie_link_generation, resting.pcie_link_width) == (1, 8)


def test_in_the_past_a_free_gpu_has_its_links_too(opened, epoch, tmp_path: Path):
    path = tmp_path / "signals.toml"
    path.write_text(SCENARIO + '[[past]]\ngpus = [0]\nfrom = "3h"\nuntil = "2h"\n')
    collector = opened(str(path))
    (batch,) = collector.backfill(epoch - 9060, epoch - 9000, 60)
    assert (batch.gpu_samples[0].pcie_link_width, batch.gpu_samples[0].nvlink_active_count) == (8, 11)


@pytest.mark.parametrize(
    ("line", "message"),
    [("pcie_link = { lanes = 8 }", "unknown key 'lanes'"), ('nvlinks_up = "all"', "is not a whole number")],
)
def test_a_wrong_word_is_one_clear_line(line: str, message: str):
    with pytest.raises(UsageError, match=message):
        compile_plan(parse(f'[[gpus]]\nprofile = "ampere-a100"\n{line}\n', "t"), 7)


def test_a_state_that_no_process_has_is_one_clear_line():
    text = '[[gpus]]\nprofile = "ampere-a100"\n[[processes]]\nslot = "a"\nstate = "Q"\n'
    with pytest.raises(UsageError, match="is not one of R, S, D, T, Z"):
        compile_plan(parse(text, "t"), 7)
