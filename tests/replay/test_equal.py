"""The view of an instant says the same before and after its hours were sealed and its seconds trimmed."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC
from pathlib import Path

import pytest
from support.archived import END_MS, FIRST_BORDER_MS, HOUR_MS, seal, told
from support.past_logs import T0, imported, new_store, row
from support.story import START

from gpuwatch.collectors.importers.types import LogProcessRow
from gpuwatch.measure import quantise
from gpuwatch.model import Process, ProcessSample
from gpuwatch.store.archive.replay import PastWindow
from gpuwatch.store.window import Window
from gpuwatch.view.build import build_view
from gpuwatch.view.detail import build_detail
from gpuwatch.view.types import DetailRequest, View

TOLD_MS = round(START * 1000)
NOW_MS = END_MS


@pytest.fixture(scope="module", params=["whole", "sliced"])
def stores(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, Path]:
    """As it was recorded; with seconds from 15:40 on, in an hour that is sealed; without any second."""
    folder = tmp_path_factory.mktemp(request.param)
    told(folder / "hot.db", mig=request.param == "sliced")
    half = seal(folder / "hot.db", folder / "half.db", NOW_MS, FIRST_BORDER_MS + 2_400_000)
    none = seal(folder / "hot.db", folder / "none.db", NOW_MS, FIRST_BORDER_MS + HOUR_MS)
    return folder / "hot.db", half, none


@pytest.fixture(scope="module")
def windows(stores: tuple[Path, Path, Path]) -> Iterator[list[Window]]:
    opened = [Window(path) for path in stores]
    yield opened
    for window in opened:
        window.close()


def view_at(window: Window, at_ms: int, cells: int = 45) -> View:
    return build_view(window, at_ms, now_ms=NOW_MS + 60_000, tz=UTC, cells=cells)


INSTANTS = {
    "two minutes after it began": TOLD_MS + 120_000,
    "in the middle of a second": TOLD_MS + 700_500,
    "a quiet run that will end": TOLD_MS + 900_000,
    "the border of the hours": FIRST_BORDER_MS,
    "just after it": FIRST_BORDER_MS + 1000,
    "in a short gap": FIRST_BORDER_MS + 44_000,
    "minutes after the border": FIRST_BORDER_MS + 437_000,
    "a quiet run that goes on into a gap": FIRST_BORDER_MS + 900_000,
    "in a long gap": FIRST_BORDER_MS + 1_200_000,
    "just after the gap": FIRST_BORDER_MS + 1_371_000,
    "single rows begin in its strip": FIRST_BORDER_MS + 2_700_000,
    "its ledger is not final": FIRST_BORDER_MS + 3_500_000,
}


@pytest.mark.parametrize("name", INSTANTS)
def test_the_view_is_the_same(windows: list[Window], name: str) -> None:
    hot, *sealed = windows
    expected = view_at(hot, INSTANTS[name])
    assert expected.gpus
    assert expected.ledger is not None
    for window in sealed:
        found = view_at(window, INSTANTS[name])
        for mine, theirs in zip(found.gpus, expected.gpus, strict=True):
            assert mine == theirs
        assert found.processes == expected.processes
        assert found.ledger == expected.ledger
        assert found.today == expected.today
        assert found.host == expected.host
        assert found.recording.first_ms == expected.recording.first_ms
        same = {"recording": None}
        assert {**_fields(found), **same} == {**_fields(expected), **same}


def _fields(view: View) -> dict[str, object]:
    return {name: getattr(view, name) for name in View.__slots__}


def test_jumps_in_any_order_say_the_same(windows: list[Window]) -> None:
    hot, _, sealed = windows
    ordered = list(INSTANTS.values())
    for at_ms in [*ordered[::-1], *ordered[::2], ordered[3] + 20_000]:
        assert view_at(sealed, at_ms, 75).gpus == view_at(hot, at_ms, 75).gpus


def test_only_what_is_no_longer_hot_is_read_from_the_archive(windows: list[Window]) -> None:
    hot, half, none = windows
    at_ms = FIRST_BORDER_MS + 3_500_000
    assert hot.over(at_ms, 900_000) is hot
    assert half.over(at_ms, 900_000) is half
    assert isinstance(half.over(at_ms, 1_200_000), PastWindow)
    assert isinstance(none.over(at_ms, 900_000), PastWindow)


@pytest.mark.parametrize(
    ("name", "size"),
    [
        ("just after the gap", (90, 20)),
        ("just after the gap", (144, 600)),
        ("its ledger is not final", (90, 40)),
    ],
)
def test_details_are_the_same(windows: list[Window], name: str, size: tuple[int, int]) -> None:
    answers = []
    for window in windows:
        view = view_at(window, INSTANTS[name])
        held = next(process for process in view.processes if process.holds)
        cells, seconds = size
        requests = [DetailRequest(gpu.gpu_uuid, cells, seconds, process=(held.pid, held.start_ms)) for gpu in view.gpus]
        requests.append(DetailRequest(day_start_ms=TOLD_MS // 86_400_000 * 86_400_000, cells=144, cell_seconds=600))
        answers.append([build_detail(window, request, view) for request in requests])
    for found in answers[1:]:
        for mine, theirs in zip(found, answers[0], strict=True):
            assert mine.gpu == theirs.gpu
            assert mine == theirs


def test_a_slow_row_across_the_border_of_hours_brings_its_processes(tmp_path: Path) -> None:
    """At the full hour the row that ends half a minute later speaks, and so do the processes that came with it, in the next chunk."""
    times = [T0 + minute * 60_000 + 30_000 for minute in range(120)]
    held = [LogProcessRow(ts, (7, 1), "0", quantise(ProcessSample(7, 1, gpu_memory_bytes=2**30))) for ts in times]
    store = new_store(tmp_path / "slow.db")
    imported(store, [each for ts, of in zip(times, held, strict=True) for each in (row(ts, utilization_ratio=0.5), of)],
             interval_ms=60_000, processes=[Process(7, 1, "train", user="ann")])  # fmt: skip
    with Window(store) as window:
        for at_ms in (T0 + HOUR_MS - 1000, T0 + HOUR_MS, T0 + HOUR_MS + 29_000, T0 + HOUR_MS + 600_000):
            assert [process.pid for process in view_at(window, at_ms).processes] == [7]
