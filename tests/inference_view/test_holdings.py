"""Who takes part in the work of a GPU, and who only looks on."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from gpuwatch.store.facts import ProcessFacts, ProcessIdentity
from gpuwatch.view.holdings import holdings


def _row(proc_id: int, mib: int | None, sm_pm: int | None) -> ProcessFacts:
    return ProcessFacts(1, 1000, proc_id, 5, 1000, mib, sm_pm, None, None, None, None, None)


@pytest.mark.parametrize(
    ("mib", "sm_pm", "shared"),
    [(300, 0, False), (300, 4, True), (300, None, True), (1024, 0, True), (None, 0, True)],
)
def test_a_monitor_that_computes_nothing_shares_no_gpu(mib: int | None, sm_pm: int | None, shared: bool) -> None:
    who = {n: SimpleNamespace(workload_pid=10 * n, workload_start_ms=n) for n in (1, 2)}
    window = SimpleNamespace(identities=lambda ids: cast("dict[int, ProcessIdentity]", who))
    processes = {(1, 5): _row(1, 70_000, 900), (2, 5): _row(2, mib, sm_pm)}
    rows = SimpleNamespace(holdings=None, processes_ms=1000, processes=processes, gpus={5: {}})
    found = holdings(cast("Any", window), cast("Any", rows))
    assert found.of((10, 1)) == found.of((20, 2)) == (5,)
    assert found.shared((10, 1)) is shared
    assert found.shared((20, 2)), "the server is at work beside it"
    assert not found.shared((30, 3))
