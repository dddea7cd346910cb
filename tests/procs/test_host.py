"""The host collector on a /proc and a /sys made of files."""

from __future__ import annotations

from pathlib import Path

import pytest

from gpuwatch.clock import FakeClock
from gpuwatch.collectors.host import factory
from gpuwatch.errors import Unavailable
from gpuwatch.names import Missing
from gpuwatch.plugin import CollectorContext
from gpuwatch.procfs import PAGE_BYTES

BOOT = "3d18dbe6-32df-4bbd-9af7-eb723eee4ce0"


class Machine:
    """A host whose files a test writes; ``collect`` reads them."""

    def __init__(self, tmp: Path) -> None:
        self.proc, self.sys, self.id = tmp / "proc", tmp / "sys", tmp / "machine-id"
        for folder in ("net", "pressure", "sys/kernel/random", "17", "18"):
            (self.proc / folder).mkdir(parents=True)
        for disk in ("sda", "nvme0n1"):
            (self.sys / "block" / disk / "device").mkdir(parents=True)
        for disk in ("loop0", "dm-0", "md0"):
            (self.sys / "block" / disk).mkdir(parents=True)
        self.write("sys/kernel/hostname", "node\x1b[31m-7\n")
        self.write("sys/kernel/osrelease", "6.8.0-45-generic\n")
        self.write("sys/kernel/random/boot_id", BOOT + "\n")
        self.write("meminfo", "MemTotal: 1000 kB\nMemFree: 1 kB\nMemAvailable: 400 kB\nSwapTotal: 50 kB\nSwapFree: 20 kB\n")
        self.write("loadavg", "1.25 0.5 0.1 3/900 12345\n")
        self.pressure(cpu="1.50", io="20.00", memory="0.25")
        self.write("vmstat", "nr_free_pages 9\npswpin 100\npswpout 7\n")
        self.cpu(100, 0, 50, 800, 50)
        self.disks(sda=(10, 20), sda1=(10, 20), loop0=(7, 7), **{"dm-0": (5, 5), "md0": (5, 5)})
        self.links(lo=(5, 5), eth0=(1000, 2000))
        self.id.write_text("0123456789abcdef0123456789abcdef\n")
        options = {"machine_id_path": str(self.id)}
        self.context = CollectorContext(clock=FakeClock(), proc_root=self.proc, sys_root=self.sys, options=options)
        self.collector = factory(self.context)
        self.collector.open()

    def write(self, name: str, text: str) -> None:
        (self.proc / name).write_text(text)

    def pressure(self, **avg10: str) -> None:
        """Of each resource the mean that counts; the other line of its file says something else."""
        for name, value in avg10.items():
            rest = "avg60=9.00 avg300=9.00 total=5"
            mine, other = ("full", "some") if name == "memory" else ("some", "full")
            lines = {mine: f"{mine} avg10={value} {rest}", other: f"{other} avg10=77.00 {rest}"}
            self.write(f"pressure/{name}", f"{lines['some']}\n{lines['full']}\n")

    def cpu(self, *jiffies: int, steal: int = 0) -> None:
        line = " ".join(map(str, (*jiffies, 0, 0, steal)))
        self.write("stat", f"cpu  {line} 0 0\ncpu0 {line} 0 0\ncpu1 {line} 0 0\nintr 1\nbtime 1700000000\n")

    def disks(self, **sectors: tuple[int, int]) -> None:
        self.write("diskstats", "".join(f" 8 0 {n} 1 0 {r} 0 1 0 {w} 0 0 0 0\n" for n, (r, w) in sectors.items()))

    def links(self, **counts: tuple[int, int]) -> None:
        lines = "".join(f"{n:>6}:{r} 0 0 0 0 0 0 0 {t} 0 0 0 0 0 0 0\n" for n, (r, t) in counts.items())
        self.write("net/dev", f"Inter-| Receive\n face |bytes\n{lines}")

    def collect(self):
        self.context.clock.advance(2)
        return self.collector.collect(self.context.clock.time())


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_who_the_host_is(machine):
    host = machine.collect().host
    assert (host.hostname, host.boot_id, host.kernel) == ("node·[31m-7", BOOT, "6.8.0-45-generic")
    assert (host.cpu_count, host.memory_total_bytes) == (2, 1000 * 1024)
    assert len(host.machine_id) == 16 and "0123456789abcdef" not in host.machine_id


@pytest.mark.parametrize("text", ["", "uninitialized\n", None])
def test_without_a_machine_id_the_boot_id_stands_in(machine, tmp_path, text):
    if text is None:
        machine.id.unlink()
    else:
        machine.id.write_text(text)
    first = machine.collect().host.machine_id
    machine.write("sys/kernel/random/boot_id", BOOT.replace("3", "4"))
    machine.collector.open()
    assert machine.collect().host.machine_id != first


def test_the_first_tick_knows_states_and_no_amounts(machine):
    batch = machine.collect()
    sample = batch.host_sample
    assert (sample.memory_used_bytes, sample.swap_used_bytes, sample.load_average, sample.process_count) == (614400, 30720, 1.25, 2)
    assert sample.cpu_ratio is None and sample.disk_read_bytes is None and sample.network_receive_bytes is None
    assert batch.missing == {}


def test_the_second_tick_knows_shares_and_amounts(machine):
    machine.collect()
    machine.cpu(120, 0, 60, 850, 70)
    machine.disks(sda=(12, 25), sda1=(99, 99), loop0=(99, 99), nvme0n1=(1000, 1000), **{"dm-0": (99, 99), "md0": (99, 99)})
    machine.links(lo=(99, 99), eth0=(1500, 2001), eth1=(7000, 7000))
    sample = machine.collect().host_sample
    assert (sample.cpu_ratio, sample.iowait_ratio) == (0.3, 0.2)
    assert (sample.disk_read_bytes, sample.disk_write_bytes) == (2 * 512, 5 * 512), "a disk that is new has no amount yet"
    assert (sample.network_receive_bytes, sample.network_transmit_bytes) == (500, 1)


def test_what_the_hypervisor_took_is_in_use_and_known_by_itself(machine):
    machine.collect()
    machine.cpu(120, 0, 60, 850, 50, steal=20)
    sample = machine.collect().host_sample
    assert (sample.cpu_ratio, sample.steal_ratio) == (0.5, 0.2)


def test_pressure_is_the_kernels_mean_of_ten_seconds_and_swapping_in_a_difference(machine):
    sample = machine.collect().host_sample
    assert (sample.cpu_pressure_ratio, sample.io_pressure_ratio, sample.memory_pressure_ratio) == (0.015, 0.2, 0.0025)
    assert sample.swap_in_bytes is None
    machine.write("vmstat", "nr_free_pages 9\npswpin 103\npswpout 7\n")
    assert machine.collect().host_sample.swap_in_bytes == 3 * PAGE_BYTES


def test_a_kernel_without_pressure_or_stolen_time_gives_the_reason(machine):
    for name in ("pressure/cpu", "pressure/io", "vmstat"):
        (machine.proc / name).unlink()
    machine.write("pressure/memory", "nonsense\n")
    machine.write("stat", "cpu  1 2 3 4 5 6 7\nbtime 1700000000\n")
    machine.collect()
    machine.write("stat", "cpu  2 3 4 5 6 7 8\nbtime 1700000000\n")
    batch = machine.collect()
    names = ("cpu_pressure_ratio", "io_pressure_ratio", "memory_pressure_ratio", "swap_in_bytes", "steal_ratio")
    for name in names:
        assert getattr(batch.host_sample, name) is None and batch.missing["host", "", name] is Missing.NOT_SUPPORTED, name


def test_counters_that_go_back_never_give_a_negative_amount(machine):
    machine.collect()
    machine.cpu(110, 0, 50, 790, 40)
    machine.disks(sda=(1, 1))
    machine.links(eth0=(1, 1))
    sample = machine.collect().host_sample
    assert (sample.cpu_ratio, sample.iowait_ratio, sample.disk_read_bytes, sample.network_transmit_bytes) == (1.0, 0.0, 0, 0)


def test_what_a_kernel_does_not_tell_is_none_with_a_reason(machine):
    machine.write("meminfo", "MemTotal: 1000 kB\n")
    for name in ("diskstats", "loadavg", "net/dev"):
        (machine.proc / name).unlink()
    machine.collect()
    batch = machine.collect()
    sample = batch.host_sample
    assert sample.memory_used_bytes is sample.swap_used_bytes is sample.load_average is sample.disk_read_bytes is None
    assert sample.network_receive_bytes is None
    assert set(batch.missing.values()) == {Missing.NOT_SUPPORTED}
    assert {"memory_used_bytes", "disk_write_bytes", "load_average", "network_receive_bytes"} <= {key[2] for key in batch.missing}


def test_without_sysfs_disks_are_known_by_name(machine, tmp_path):
    machine.context = CollectorContext(clock=FakeClock(), proc_root=machine.proc, sys_root=tmp_path / "none")
    machine.collector = factory(machine.context)
    machine.collector.open()
    machine.disks(vda=(1, 1), vda1=(1, 1), nvme0n1p2=(1, 1))
    machine.collect()
    machine.disks(vda=(2, 2), vda1=(9, 9), nvme0n1p2=(9, 9))
    assert machine.collect().host_sample.disk_read_bytes == 512


def test_no_proc_is_one_clear_line(tmp_path):
    with pytest.raises(Unavailable, match="cannot be read"):
        factory(CollectorContext(proc_root=tmp_path / "none")).open()


def test_the_contract_of_collectors_is_kept(machine):
    from gpuwatch.testing import check_collector

    batches = check_collector(factory, context=machine.context, advance=lambda _: machine.cpu(120, 0, 60, 850, 70))
    assert batches[1].host_sample.cpu_ratio == 0.3
