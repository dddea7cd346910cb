"""A process whose pid is known only when it is started."""

from __future__ import annotations

from pathlib import Path

import pynvml
from fake_nvml import of_class

LINES = ["proc late kind=C name=late", "pv late 0 mem 0 1000000", "pv late 0 sm 0 50"]


def test_a_process_is_there_while_its_file_holds_a_pid(play, tmp_path: Path) -> None:
    file = tmp_path / "late.pid"
    fake = play(of_class("hopper-h100", values=LINES), pids={"late": f"@{file}"})
    handle = pynvml.nvmlDeviceGetHandleByIndex(0)
    pids = []
    for text in (None, "4242\n", ""):
        if text is not None:
            file.write_text(text)
        fake.set_clock(2_000)
        pids.append([process.pid for process in pynvml.nvmlDeviceGetComputeRunningProcesses(handle)])
    assert pids == [[], [4242], []]
    file.write_text("77")
    assert [use.pid for use in pynvml.nvmlDeviceGetProcessUtilization(handle, 0)] == [77]
