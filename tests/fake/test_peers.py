"""An independent check: nvitop and gpustat, unchanged, show the scenario's values on the fake driver."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from fake_nvml import FakeDriver, compiler, fault, of_class

pytestmark = pytest.mark.peers

GIB = 1 << 30
VALUES = [
    line
    for i, (util, used, power, temp) in enumerate([(37, 20, 310_000, 51), (0, 60, 98_000, 34), (100, 79, 699_000, 83)])
    for line in (f"v {i} util 0 {util}", f"v {i} memory_used 0 {used * GIB}", f"v {i} power_mw 0 {power}", f"v {i} temp 0 {temp}")
]
PROCESSES = ["proc busy kind=C name=sleep", f"pv busy 0 mem 0 {19 * GIB}", "pv busy 0 sm 0 35", "pv busy 0 memutil 0 12"]
PROCESSES += ["proc held kind=C name=sleep", f"pv held 1 mem 0 {58 * GIB}", "pv held 1 sm 0 0"]


@pytest.fixture(scope="module")
def python() -> str:
    """An interpreter that has both programs: ``GPUWATCH_TEST_PEERS``, else our own."""
    given = os.environ.get("GPUWATCH_TEST_PEERS")
    if given:
        return given
    if any(importlib.util.find_spec(name) is None for name in ("nvitop", "gpustat")):
        pytest.skip("nvitop and gpustat are not installed (set GPUWATCH_TEST_PEERS to a Python that has them)")
    return sys.executable


@pytest.fixture
def sleepers() -> Iterator[list[int]]:
    """Pids of two real processes, since both programs look into /proc."""
    running = [subprocess.Popen(["sleep", "600"]) for _ in range(2)]
    yield [process.pid for process in running]
    for process in running:
        process.kill()
        process.wait()


@pytest.fixture
def lab(tmp_path: Path, sleepers: list[int]) -> Callable[..., FakeDriver]:
    """Three GPUs that have stood still at known values for a minute."""
    if compiler() is None:
        pytest.skip("no C compiler")
    pids = dict(zip(("busy", "held"), sleepers))
    text = of_class("hopper-h100", gpus=3, values=[*VALUES, *PROCESSES])
    minute_ago = int(time.time() * 1000) - 60_000
    return lambda *extra: FakeDriver(text, extra=extra, pids=pids, epoch_ms=minute_ago, folder=tmp_path)


def run(fake: FakeDriver, *command: str) -> str:
    environment = fake.env | {"LC_ALL": "C.UTF-8", "COLUMNS": "120"}
    done = subprocess.run(command, env=environment, check=False, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


def gpustat(fake: FakeDriver, python: str) -> list[dict[str, object]]:
    shown = json.loads(run(fake, python, "-m", "gpustat", "--json"))
    gpus: list[dict[str, object]] = shown["gpus"]
    return gpus


def test_gpustat_shows_the_scenario(lab: Callable[..., FakeDriver], python: str, sleepers: list[int]) -> None:
    gpus = gpustat(lab(), python)
    keys = ("utilization.gpu", "memory.used", "power.draw", "temperature.gpu", "enforced.power.limit", "memory.total")
    assert [tuple(gpu[key] for key in keys) for gpu in gpus] == [
        (37, 20 * 1024, 310, 51, 700, 81559),
        (0, 60 * 1024, 98, 34, 700, 81559),
        (100, 79 * 1024, 699, 83, 700, 81559),
    ]
    processes = [[(p["pid"], p["gpu_memory_usage"]) for p in gpu["processes"]] for gpu in gpus]  # type: ignore[attr-defined]
    assert processes == [[(sleepers[0], 19 * 1024)], [(sleepers[1], 58 * 1024)], []]


def test_gpustat_goes_on_beside_a_lost_gpu(lab: Callable[..., FakeDriver], python: str) -> None:
    gpus = gpustat(lab(fault("lost", gpu=1)), python)
    assert [gpu.get("utilization.gpu") for gpu in gpus] == [37, None, 100]
    assert "lost" in str(gpus[1]["name"])


def test_nvitop_shows_the_scenario(lab: Callable[..., FakeDriver], python: str, sleepers: list[int]) -> None:
    fake = lab()
    text = run(fake, python, "-m", "nvitop", "-1")
    rows = re.findall(r"(\d+)C +P0 +(\d+)W / (\d+)W . +([\d.]+[GM]iB) / ([\d.]+)GiB . +(\d+)%", text)
    assert rows == [
        ("51", "310", "700", "20.00GiB", "79.65", "37"),
        ("34", "98", "700", "60.00GiB", "79.65", "0"),
        ("83", "699", "700", "79.00GiB", "79.65", "100"),
    ]
    processes = re.findall(r"(\d) +(\d+) C +\S+ +([\d.]+[GM]iB) +(\d+) +(\d+) ", text)
    assert processes == [("0", str(sleepers[0]), "19456MiB", "35", "12"), ("1", str(sleepers[1]), "58.00GiB", "0", "0")]
    assert "Driver Version: 590.48.01" in text
    assert fake.calls()["nvmlDeviceGetProcessUtilization"].gpus.keys() >= {0, 1}


def test_nvitop_goes_on_beside_a_lost_gpu(lab: Callable[..., FakeDriver], python: str) -> None:
    text = run(lab(fault("lost", gpu=1)), python, "-m", "nvitop", "-1")
    assert re.findall(r"GiB . +(\d+)%", text) == ["37", "100"]


def test_nvitop_shows_mig_devices(python: str, tmp_path: Path) -> None:
    values = ["mig 0 0 gi=2 ci=0 profile=3g.40gb memory=42412802048 slices=3", f"v 0.0 memory_used 0 {11 * GIB}"]
    with FakeDriver(of_class("hopper-h100", attributes="mig=1", values=values), folder=tmp_path) as fake:
        text = run(fake, python, "-m", "nvitop", "-1")
    assert "11264MiB / 39.50GiB" in text
    assert "3g.40gb" in text


@pytest.mark.parametrize("name", ["gb10", "geforce-50", "vgpu-guest", "wsl2"])
def test_peers_survive_odd_classes(name: str, python: str, tmp_path: Path) -> None:
    with FakeDriver(of_class(name, gpus=2), folder=tmp_path) as fake:
        assert len(gpustat(fake, python)) == 2
        assert "GPU" in run(fake, python, "-m", "nvitop", "-1")
