"""Whose workload a process is, which rows open one, and the keys of its screen."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from support.sample_detail import sample_detail
from support.sample_servers import sample_inference_detail, with_servers, work_named
from support.sample_view import sample_view
from support.tui import mounted, text_of
from support.tui_painted import watched

from gpuwatch.tui.app import GpuwatchApp
from gpuwatch.tui.panels.workload_question import request_for
from gpuwatch.tui.workloads import find, gpus_of, key_of_work, members, work_of
from gpuwatch.view.types import View


def test_a_process_belongs_to_the_nearest_workload_above_it() -> None:
    view = with_servers("rich")
    start = {process.pid: process.start_ms for process in view.processes}
    engine = work_of(view, 33_102, start[33_102])
    assert engine is not None and engine.root_pid == 33_071
    assert work_of(view, 902, start[902]) is None and work_of(view, 33_102, 5) is None and work_of(view, 1, 1) is None
    worker = work_of(view, 51_903, start[51_903])
    assert worker is not None and worker.name == "vit-l"
    assert {process.pid for process in members(view, engine)} == {33_071, 33_102}
    assert [gpu.gpu_index for gpu in gpus_of(view, engine)] == [4]
    assert find(view, key_of_work(engine)) is engine and find(view, (1, 2, 3)) is None


def test_a_circle_of_parents_ends() -> None:
    view = sample_view()
    one, two = view.processes[0], view.processes[1]
    circle = replace(view, processes=(replace(one, parent_pid=two.pid), replace(two, parent_pid=one.pid)))
    assert work_of(circle, one.pid, one.start_ms) is None


def play(keys: list[str], view: View | None = None, size: tuple[int, int] = (120, 40)) -> tuple[str, GpuwatchApp]:
    """What stands there after ``keys``."""

    async def go() -> tuple[str, GpuwatchApp]:
        async with mounted(view or with_servers("rich", "estimated", "metrics_off"), size) as (app, pilot):
            for key in keys:
                await pilot.press(key)
                await pilot.pause()
                request = app.screen.request()  # type: ignore[attr-defined]
                if request is not None and app.view is not None:
                    answer = sample_inference_detail if request.workload else sample_detail
                    app.detail = answer(app.view, request)
                    app.repaint()
            await pilot.pause()
            return text_of(app), app

    return asyncio.run(go())


TO_THROUGHPUT = ["tab", "tab"]


def test_enter_on_a_row_of_throughput_opens_it_and_escape_goes_back() -> None:
    text, _ = play([*TO_THROUGHPUT, "enter"])
    assert text.splitlines()[1].startswith(" qwen-72b  vLLM 0.32") and " 2 GPUs " in text.splitlines()[-1]
    text, _ = play([*TO_THROUGHPUT, "down", "enter"])
    assert text.splitlines()[1].startswith(" estimated-1  llama.cpp")
    text, _ = play([*TO_THROUGHPUT, "enter", "escape"])
    assert "Waste now" in text


def test_comma_and_full_stop_go_around_all_workloads() -> None:
    text, _ = play([*TO_THROUGHPUT, "enter", "full_stop", "full_stop"])
    assert "metrics_off-2" in text.splitlines()[1] and "start it with --enable-metrics" in text
    text, _ = play([*TO_THROUGHPUT, "enter", "comma"])
    assert "training" in text.splitlines()[1]
    text, _ = play([*TO_THROUGHPUT, "enter", "down", "up"])
    assert text.splitlines()[1].startswith(" qwen-72b")


def test_a_process_of_a_server_and_a_holder_of_a_gpu_open_it() -> None:
    text, _ = play(["down"] * 5 + ["enter"])
    assert text.splitlines()[1].startswith(" qwen-72b  vLLM")
    text, _ = play(["tab", "down", "down", "down", "down", "enter", "enter"])
    assert text.splitlines()[1].startswith(" qwen-72b  vLLM")
    text, _ = play(["tab", "down", "down", "down", "down", "enter", "enter", "escape"])
    assert text.splitlines()[1].startswith(" GPU 4 ")
    text, _ = play(["enter"])
    assert "pid 48213" in text, "a process of no server opens as before"


def test_a_process_alone_opens_its_workload_and_the_way_back_is_the_same() -> None:
    keys = ["3", "slash", *"engine", "enter", "down", "enter"]
    alone, app = play(keys)
    assert app.ui.open_process and "pid 33102" in alone
    assert play([*keys, "enter"])[0].splitlines()[1].startswith(" qwen-72b  vLLM")
    text, app = play([*keys, "enter", "escape"])
    assert app.ui.open_process and "pid 33102" in text
    text, app = play([*TO_THROUGHPUT, "enter", "enter"])
    assert "pid 33071" in text and app.ui.open_process


def test_tab_goes_to_throughput_only_where_it_is_shown() -> None:
    assert play(["tab", "tab"], size=(80, 24))[1].ui.focus == "processes"
    assert play(["tab", "tab"])[1].ui.focus == "throughput"
    assert play(["tab", "tab", "tab"])[1].ui.focus == "processes"
    assert play(["tab", "tab"], size=(200, 60))[1].ui.focus == "throughput"


def test_a_click_selects_a_row_of_throughput_and_the_panel_beside_it_is_not_meant() -> None:
    async def go() -> list[tuple[str, int]]:
        seen = []
        async with mounted(with_servers("rich", "estimated", "metrics_off"), (200, 60)) as (app, pilot):
            for x, y in ((160, 12), (30, 12)):
                await pilot.click(offset=(x, y))
                await pilot.pause()
                seen.append((app.ui.focus, app.ui.table(app.ui.focus).index))
        return seen

    assert asyncio.run(go()) == [("throughput", 1), ("gpus", 3)]


def test_copy_takes_what_would_give_the_numbers() -> None:
    _, app = play([*TO_THROUGHPUT, "down", "down", "enter", "y"])
    assert app.copied == "start it with --enable-metrics"
    _, app = play([*TO_THROUGHPUT, "enter", "y"])
    assert app.copied == "qwen-72b Qwen2.5-72B-AWQ http://127.0.0.1:8000/metrics"


def test_a_server_that_ends_says_so_and_full_stop_shows_another() -> None:
    async def go() -> tuple[str, str]:
        async with mounted(with_servers("rich", "estimated"), (120, 40)) as (app, pilot):
            await pilot.press("tab", "tab", "enter")
            rest = with_servers("rich", "estimated")
            app.show(replace(rest, workloads=rest.workloads[1:]))
            await pilot.pause()
            gone = text_of(app)
            await pilot.press("full_stop")
            await pilot.pause()
            return gone, text_of(app)

    gone, other = asyncio.run(go())
    assert "It has ended" in gone and "estimated-1" in other.splitlines()[1]


def test_the_help_of_this_screen_has_its_keys() -> None:
    text, _ = play([*TO_THROUGHPUT, "enter", "question_mark"])
    assert "Keys · workload" in text and "next workload" in text and "its root process" in text


def test_a_refresh_sends_only_what_moved_and_leaves_what_a_full_repaint_would() -> None:
    def moved(view: View, step: int) -> View:
        server = work_named(view).inference
        assert server is not None and server.output_tokens_per_second is not None
        faster = replace(
            server,
            output_tokens_per_second=server.output_tokens_per_second + 11 * step,
            running_requests=48.0 - step,
            kv_cache_ratio=0.91 - 0.01 * step,
            finished_stop=13_541 + 4 * step,
            age_seconds=0.6 + 0.1 * step,
        )
        works = tuple(replace(w, inference=faster) if w.inference is server else w for w in view.workloads)
        return replace(view, workloads=works, at_ms=view.at_ms + 1000 * step, now_ms=view.now_ms + 1000 * step)

    async def go() -> list[int]:
        view, sizes = with_servers("rich", "estimated"), []
        async with watched(view) as shown:
            await shown.pilot.press("tab", "tab", "enter")
            await shown.pilot.pause()
            shown.app.detail = sample_inference_detail(view, request_for(work_named(view)))
            shown.app.repaint()
            for step in range(1, 6):
                await shown.pilot.pause()
                shown.sent()
                shown.app.show(moved(view, step))
                await shown.pilot.pause()
                sizes.append(len(shown.sent().encode()))
                assert await shown.same()
        return sizes

    assert max(asyncio.run(go())) < 600
