"""The screen over the past: its header, its keys, and that an instant is built once."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import pytest
from support.past_logs import T0, imported, new_store, row
from support.sample_view import sample_view
from support.story import START, Hold, Story, process
from support.terminal import Terminal, python
from support.tui import SIZES, faults, sheet_of
from textual.pilot import Pilot

from gpuwatch.cli import main
from gpuwatch.clock import FakeClock
from gpuwatch.measure import quantise
from gpuwatch.model import Gpu, GpuSample, Host
from gpuwatch.names import Context
from gpuwatch.report.status_text import status_text
from gpuwatch.store.rows import GpuRow, Tick
from gpuwatch.store.window import Window
from gpuwatch.store.writer import StoreWriter
from gpuwatch.tui.app import GpuwatchApp
from gpuwatch.tui.journey import STEP_MS
from gpuwatch.tui.options import TuiOptions
from gpuwatch.tui.palette import TIERS, Look
from gpuwatch.tui.screens.overview import OverviewScreen
from gpuwatch.tui.screens.registry import SCREENS
from gpuwatch.tui.source import Feeder
from gpuwatch.view.build import build_view
from gpuwatch.view.types import View

NOW = sample_view()
PAST = replace(NOW, at_ms=NOW.at_ms - 4_227_000, past=True, sources=(), notices=())


def test_the_header_cannot_be_taken_for_now() -> None:
    sheet = sheet_of(OverviewScreen, PAST, (120, 40))
    top = sheet.text().splitlines()[0]
    assert "PAST" in top
    assert "−1 h 10 min" in top
    assert "LIVE" not in sheet.text()
    look = Look()
    assert {segment.style for segment in sheet.segments(0)} == {look.fill("ink", "waiting")}
    assert "Waste then" in sheet.text()
    assert "Waste now" not in sheet.text()
    assert "L live" in sheet.text().splitlines()[-1]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("tier", TIERS)
def test_it_fits_everywhere(size: tuple[int, int], tier: str) -> None:
    for screen in SCREENS.values():
        for ascii_only in (False, True):
            assert not faults(sheet_of(screen, PAST, size, Look(tier, ascii_only=ascii_only)))  # type: ignore[arg-type]


class Source:
    """Builds the sample view at the instant that is asked for."""

    def __init__(self) -> None:
        self.asked: list[int | None] = []

    def changed(self) -> bool:
        return False

    def build(self, at_ms: int | None, cells: int) -> View:
        self.asked.append(at_ms)
        return NOW if at_ms is None else replace(PAST, at_ms=at_ms)


def play(script: Callable[[GpuwatchApp, Pilot[int], Feeder], Awaitable[None]], at_ms: int | None) -> list[int | None]:
    """Run a script on the App over a feeder whose thread does not run: it is built after each key."""

    async def go() -> list[int | None]:
        source = Source()
        feeder = Feeder(source, lambda: None, FakeClock())
        feeder.at_ms = at_ms
        app = GpuwatchApp(TuiOptions(), "truecolor", feeder)
        async with app.run_test(size=(120, 40)) as pilot:
            app.show(source.build(at_ms, 45))
            await script(app, pilot, feeder)
        return source.asked

    return asyncio.run(go())


async def press(app: GpuwatchApp, pilot: Pilot[int], feeder: Feeder, key: str) -> int | None:
    await pilot.press(key)
    app.show(feeder.source.build(feeder.at_ms, 45))
    return feeder.at_ms


def test_arrows_step_by_cells_and_end_goes_live() -> None:
    at_ms = NOW.at_ms // STEP_MS * STEP_MS - 600_000

    async def script(app: GpuwatchApp, pilot: Pilot[int], feeder: Feeder) -> None:
        assert await press(app, pilot, feeder, "left") == at_ms - STEP_MS
        assert await press(app, pilot, feeder, "right") == at_ms
        assert await press(app, pilot, feeder, "shift+left") == at_ms - 10 * STEP_MS
        assert await press(app, pilot, feeder, "shift+right") == at_ms
        assert await press(app, pilot, feeder, "end") is None
        assert app.view == NOW
        back = await press(app, pilot, feeder, "left")
        assert back is not None
        assert 0 < NOW.at_ms - back <= STEP_MS
        assert await press(app, pilot, feeder, "L") is None
        feeder.at_ms = NOW.recording.last_tick_ms
        assert await press(app, pilot, feeder, "right") is None

    play(script, at_ms)


def test_back_from_now_stops_at_the_end_of_a_recording_that_has_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    ended = replace(NOW, recording=replace(NOW.recording, live=False, last_tick_ms=NOW.at_ms - 86_400_000))
    monkeypatch.setattr(Source, "build", lambda _, at_ms, __: ended if at_ms is None else replace(ended, at_ms=at_ms, past=True))

    async def script(app: GpuwatchApp, pilot: Pilot[int], feeder: Feeder) -> None:
        assert await press(app, pilot, feeder, "left") == ended.recording.last_tick_ms
        assert await press(app, pilot, feeder, "right") is None

    play(script, None)


def test_an_instant_that_cannot_be_read_is_left_by_the_arrows() -> None:
    at_ms = NOW.at_ms // STEP_MS * STEP_MS - 600_000

    async def script(app: GpuwatchApp, pilot: Pilot[int], feeder: Feeder) -> None:
        app.view = None
        app.show(None, "a sealed hour in the store is damaged")
        assert await press(app, pilot, feeder, "shift+right") == at_ms + 10 * STEP_MS
        assert app.view is not None

    play(script, at_ms)


def test_what_was_imported_is_shown_though_nobody_recorded_it(tmp_path: Path) -> None:
    store = new_store(tmp_path / "logs.db")
    given = [row(T0 + second * 1000, utilization_ratio=0.5) for second in range(1, 400)]
    imported(store, given)
    with Window(store) as window:
        end_ms = given[-1].ts_ms
        past = build_view(window, end_ms, now_ms=end_ms + 86_400_000)
        now = build_view(window, None, now_ms=end_ms + 86_400_000)
    assert (past.recording.first_ms, past.recording.last_tick_ms) == (given[0].ts_ms, end_ms)
    for screen in (OverviewScreen, SCREENS["2"]):
        assert "Starting" not in sheet_of(screen, past, (120, 40)).text()
        assert "Nothing is recorded yet" in sheet_of(screen, now, (120, 40)).text()
        assert "recorder gone" not in sheet_of(screen, now, (120, 40)).text()
    said = status_text(past)
    assert "1 GPU" in said
    assert not any(line.startswith("Host") for line in said.splitlines())


def test_nobody_goes_before_the_recording_and_no_signal_is_sent_to_the_past() -> None:
    first_ms = NOW.recording.first_ms
    assert first_ms is not None

    async def script(app: GpuwatchApp, pilot: Pilot[int], feeder: Feeder) -> None:
        assert await press(app, pilot, feeder, "left") == first_ms
        await pilot.press("3")
        await pilot.pause()
        await pilot.press("K")
        assert app.ui.signal is None
        assert "past" in app.ui.notice

    play(script, first_ms + 1)


def test_an_instant_is_built_once() -> None:
    source, clock = Source(), FakeClock()
    feeder = Feeder(source, lambda: None, clock)
    feeder.at_ms = 5

    def wait(_: object, seconds: float) -> bool:
        clock.advance(seconds)
        if clock.monotonic_ns() > 1_030_000_000_000:
            feeder.stop()
        return False

    clock.wait = wait  # type: ignore[method-assign]
    feeder._run()
    assert source.asked == [5]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("replay") / "store.db"
    story = Story(path, 2)
    story.gpus[0].util, story.gpus[0].context = 0.9, Context.PROCESS
    story.holds = [Hold(process(4242), 0)]
    story.run(200)
    story.writer.close()
    return path


def test_status_at_a_moment(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["status", "--store", str(store), "--tz", "UTC", "--at", "2025-11-14 14:34"]
    assert main(command) == 0
    said = capsys.readouterr().out
    assert "2025-11-14 14:34:00" in said
    assert "Waste then" in said
    assert "busy" in said
    assert main([*command, "--json"]) == 0
    assert f'"at": {START + 120}' in capsys.readouterr().out
    command[-1] = "2025-11-14 14:31"
    assert main(command) == 3
    assert "the recording begins at" in capsys.readouterr().err
    command[-1] = "noon"
    assert main(command) == 2
    assert "'noon' is not a time" in capsys.readouterr().err


def test_replay_without_a_terminal_prints_the_end_of_an_old_recording(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["replay", "--store", str(store), "--tz", "UTC"]) == 0
    assert "2025-11-14 14:35:20" in capsys.readouterr().out
    assert main(["replay", "--store", str(store.with_name("none.db"))]) == 3


def test_replay_as_json_is_status_at_that_moment(
    store: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gpuwatch.commands.screen.has_terminal", lambda environ: True)
    assert main(["replay", "--store", str(store), "--tz", "UTC", "--at", "2025-11-14 14:34", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["kind"], found["at"]) == ("status", START + 120)


def test_replay_in_a_terminal_starts_no_recorder(store: Path) -> None:
    command = python("-m", "gpuwatch", "replay", "--store", str(store), "--tz", "UTC", "--at", "2025-11-14 14:34")
    before = sorted(os.listdir(store.parent))
    with Terminal(command, (120, 40), {**os.environ, "TERM": "xterm-256color", "PYTHONUTF8": "1"}) as terminal:
        terminal.until("PAST 2025-11-14 14:34:00")
        terminal.until("? help q quit")
        terminal.send("\x1b[D")
        terminal.until("PAST 2025-11-14 14:33:40")
        terminal.send("q")
        assert terminal.wait(20) == 0
    assert sorted(os.listdir(store.parent)) == before


def test_another_host_of_the_store_is_shown_by_its_name(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The log's time is that of the recorder's hot rows: neither is taken for the other's."""
    store = tmp_path / "both.db"
    writer = StoreWriter.open(store, clock=FakeClock(T0 / 1000))
    writer.begin_session(T0, 1000, "")
    for second in range(1, 400):
        start = {"host": Host("m", "own"), "gpus": [Gpu("GPU-own", 0, "H100")]} if second == 1 else {}
        values = quantise(GpuSample("GPU-own", utilization_ratio=0.25))
        writer.add(
            Tick(T0 + second * 1000, gpu_rows=[GpuRow("GPU-own", 1000, False, Context.PROCESS, 0, 1000, False, values)], **start)
        )  # type: ignore[arg-type]
    writer.end_session()
    writer.close()
    imported(store, [row(T0 + second * 1000, utilization_ratio=0.5) for second in range(1, 400)])
    for host, uuid, ratio in (("box", "import:box:0", 0.5), (None, "GPU-own", 0.25)):
        at = ["status", "--json", "--store", str(store), "--at", "2025-11-14T14:05:00Z", *(["--host", host] if host else [])]
        assert main(at) == 0
        shown = json.loads(capsys.readouterr().out)
        assert shown["host"] == (host or "own")
        assert [(gpu["gpu_uuid"], gpu["utilization_ratio"]) for gpu in shown["gpus"]] == [(uuid, ratio)]
    assert main(["status", "--store", str(store), "--at", "1h", "--host", "nobody"]) == 2
    assert "it has: box, own" in capsys.readouterr().err
    assert main(["status", "--store", str(store), "--at", "2020-01-01"]) == 3
    told = capsys.readouterr().err
    assert "the recording of own begins at" in told
    assert "or another host with --host: box" in told
