"""The process screen: the table, its filter and tree, the detail of one process, and the dialog that sends signals."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
from dataclasses import replace

import pytest
from support.sample_detail import crowded, sample_detail
from support.sample_view import sample_view
from support.tui import SIZES, context_of, faults, mounted, text_of
from support.tui_views import VIEWS
from textual import events

from gpuwatch import procfs
from gpuwatch.errors import GpuwatchError
from gpuwatch.names import Missing
from gpuwatch.signals import send_signal
from gpuwatch.tui.draw.line import Sheet
from gpuwatch.tui.palette import TIERS, Look
from gpuwatch.tui.panels.process_facts import wrap
from gpuwatch.tui.panels.process_table import choice_of, columns_for, pieces, sortable, table_of
from gpuwatch.tui.rows import SORTS
from gpuwatch.tui.screens.processes import ProcessesScreen, request_for, selected
from gpuwatch.tui.state import Context, SignalDialog, TableState, UiState
from gpuwatch.view.types import View

LOOKS = [Look(tier, ascii_only=ascii_only) for tier in TIERS for ascii_only in (False, True)]
DIALOG = SignalDialog(51_877, sample_view().now_ms - 22_360_000, True, "carol", "python train_vit.py " + "x" * 300)


def context(view: View, size: tuple[int, int], look: Look | None = None, pid: int = 51_877, **ui: object) -> Context:
    out = context_of(ProcessesScreen, view, size, look, UiState(**ui))  # type: ignore[arg-type]
    process = next((p for p in view.processes if p.pid == pid), None)
    if process is None:
        return out
    uuid = process.holds[0].gpu_uuid if process.holds else ""
    out.ui.tables["processes"] = TableState(selected=(process.pid, process.start_ms, uuid))
    return replace(out, detail=sample_detail(view, request_for(out, process)))


def sheet(view: View, size: tuple[int, int] = (120, 40), look: Look | None = None, **more: object) -> Sheet:
    return ProcessesScreen().draw(context(view, size, look, **more))  # type: ignore[arg-type]


def lines(view: View, size: tuple[int, int] = (120, 40), **more: object) -> list[str]:
    return sheet(view, size, **more).text().splitlines()


@pytest.mark.parametrize("name", VIEWS)
@pytest.mark.parametrize("size", [*SIZES, (99, 60), (120, 28), (120, 24), (140, 33), (250, 70)])
def test_no_character_is_written_over_another_or_past_a_border(name: str, size: tuple[int, int]) -> None:
    view = VIEWS[name](45)
    choices: tuple[dict[str, object], ...] = (
        {},
        {"filter": "train", "filter_open": True},
        {"flat": True, "sort": "disk", "show_all": True},
        {"open_process": True},
        {"signal": DIALOG, "notice": "x" * 300},
        {"user": "alice", "unfolded": True},
        {"filter": "nothing like it"},
        {"open_process": True, "signal": DIALOG},
    )
    for look, ui in zip(LOOKS, choices, strict=True):
        assert faults(sheet(view, size, look, **ui)) == []
    assert faults(sheet(crowded(view), size, filter="龍 x [", show_all=True)) == []
    assert faults(sheet(view, size, pid=view.processes[-1].pid, open_process=True)) == []


def test_rows_of_the_picture_at_120_columns() -> None:
    rows = lines(sample_view(), filter="train", filter_open=True)
    assert rows[1].startswith("╭─ Filter ─") and " 4 of 38 match · with their workers; grey rows are parents" in rows[1]
    assert rows[2].startswith("│ / train ")
    heads = rows[5]
    for word, end in (
        ("GPU", 7),
        ("SM %", 13),
        ("GPU GiB", 22),
        ("CPU %", 29),
        ("RAM GiB", 38),
        ("Disk MB/s", 49),
        ("Age", 69),
        ("PID", 77),
    ):
        assert heads[end - len(word) : end] == word
    assert heads[51:58] == "Waste ▼" and heads[78:82] == "User" and heads[85:92] == "Command"
    row = next(row for row in rows if " 51877 " in row)
    assert row[2:58].split() == ["▌", "2", "31", "44.8", "402", "18.4", "108", "0.58"]
    assert row[85:].startswith("  ├ python train_vit.py --arch v")
    parent = next(row for row in rows if " 51802 " in row)
    assert parent[2:60].strip() == "" and parent[62:69] == "6:13:00" and "└ bash run_vit.sh" in parent
    worker = next(row for row in rows if " 51902 " in row)
    assert worker[2:58].split() == ["▌", "2", "–", "–", "98", "1.8", "27"]
    assert "pid 51877 · carol · GPU 2" in "\n".join(rows)


def test_the_pane_tells_all_about_the_selected_process() -> None:
    text = "\n".join(lines(sample_view()))
    assert "waiting since 08:24" in text
    assert "│ Command      python train_vit.py --arch vit-l --bs 256 --data /data/imagenet" in text
    assert "--wandb-key ••••••••" in text
    assert "│ Started      08:19:27, 6 h 12 min ago   by bash run_vit.sh (pid 51802)" in text
    assert "│ Holds        44.8 GiB of GPU 2 (80)  waste 0.58 GPU" in text
    assert "CPU 402% of a core   memory 18.4 GiB with its workers, 11.2 GiB alone" in text
    assert "31% now" in text and "44.8 now" in text and "10% now" in text
    assert "effective 47%" in text
    assert "Finding 2 waits for input" in text


def test_below_100_columns_the_detail_has_its_own_screen() -> None:
    rows = lines(sample_view(), (80, 24))
    assert not any("Command    python" in row for row in rows)
    for word in ("Disk", "RAM", "PID"):
        assert word not in rows[1]
    rows = lines(sample_view(), (80, 24), open_process=True)
    assert rows[1].startswith("pid 51877 · carol · GPU 2  ▌waiting")
    assert rows[2].startswith("Command    python train_vit.py")
    assert any(row.startswith("Its time") for row in rows)


def test_a_filter_finds_user_command_pid_and_gpu_and_keeps_parents_and_workers() -> None:
    def found(words: str) -> set[int]:
        where = context(sample_view(), (120, 40), filter=words)
        return {row.process.pid for row in table_of(sample_view(), choice_of(where), "").rows if not row.parent_only}

    assert found("gpu7") == {60_210}
    assert found("51877") >= {51_877, 51_902}
    assert found("carol vit-l") >= {51_877, 51_878, 51_902}
    assert found("zzz") == set()
    parents = {
        row.process.pid
        for row in table_of(sample_view(), choice_of(context(sample_view(), (120, 40), filter="51877")), "").rows
        if row.parent_only
    }
    assert parents == {31_002, 51_802}


def test_matches_are_marked_in_the_row_whatever_their_case() -> None:
    assert pieces("Train_Vit train", ("train",)) == [("Train", True), ("_Vit ", False), ("train", True)]
    assert pieces("aaa", ("aa", "a")) == [("aaa", True)]
    assert pieces("İstanbul", ("i",)) == [("İstanbul", False)]  # lower case is longer: places would be wrong
    drawn = sheet(sample_view(), filter="train_VIT")
    title = drawn.look.title
    assert any(text == "train_vit" and style is title for row in drawn.rows for _, _, text, style in row.puts)


def test_nothing_matches_says_what_to_do() -> None:
    assert "No process matches “zzz”. Esc clears." in "\n".join(lines(sample_view(), filter="zzz"))


def test_more_than_eight_equal_children_are_one_row_until_unfolded() -> None:
    view = sample_view()
    workers = [p for p in view.processes if p.parent_pid == 57_120]
    more = tuple(replace(workers[0], pid=80_000 + i) for i in range(4))
    view = replace(view, processes=view.processes + more)
    where = context(view, (120, 40), show_all=True)
    folded = [row for row in table_of(view, choice_of(where), "").rows if row.folded]
    assert [row.folded for row in folded] == [12]
    where.ui.unfolded = True
    rows = table_of(view, choice_of(where), "").rows
    assert not any(row.folded for row in rows) and sum(row.process.parent_pid == 57_120 for row in rows) == 12


def test_only_one_users_processes() -> None:
    rows = table_of(sample_view(), choice_of(context(sample_view(), (120, 40), show_all=True)), "alice").rows
    assert {row.process.user for row in rows} == {"alice"} and len(rows) > 4


@pytest.mark.parametrize("width", [80, 100, 120, 160, 200])
def test_every_number_column_can_be_sorted_by(width: int) -> None:
    assert set(sortable(width)) == {column.name for column in columns_for(width)} & set(SORTS)
    assert len(sortable(width)) >= 7


def test_a_forbidden_value_is_a_question_mark_with_its_reason() -> None:
    view = sample_view()
    measures = ("command", "cpu_ratio", "rss_bytes", "read_bytes")
    hidden = replace(
        view.processes[0],
        **dict.fromkeys(("command", "name"), ""),
        **dict.fromkeys(("cpu_ratio", "rss_bytes", "read_bytes_per_second", "write_bytes_per_second")),
        missing=dict.fromkeys(measures, Missing.NO_PERMISSION),
    )
    rows = lines(replace(view, processes=(hidden, *view.processes[1:])), pid=48_213)
    row = next(row for row in rows if " 48213 " in row)
    assert row[24:49].split() == ["?", "?", "?"]
    assert "another user's process: no permission" in "\n".join(rows)


def test_a_start_that_is_not_known_is_not_shown_as_one() -> None:
    view = sample_view()
    late = replace(view, processes=tuple(replace(p, start_known=False) for p in view.processes))
    assert "Started      unknown (seen since 08:19)" in "\n".join(lines(late))


def test_a_long_command_is_wrapped_at_blanks_and_cut_only_at_its_end() -> None:
    assert wrap("aaa bbb ccc", 7, 2) == ["aaa bbb", "ccc"]
    assert wrap("a" * 30, 10, 2) == ["a" * 10, "a" * 9 + "…"]
    assert wrap("", 10, 2) == []
    assert [len(line) for line in wrap("龍" * 30, 10, 3)] == [5, 5, 5]


def test_the_selection_follows_its_process_when_the_order_changes() -> None:
    where = context(sample_view(), (120, 40), flat=True)
    screen = ProcessesScreen()
    screen.draw(where)
    before = where.ui.table("processes").index
    where.ui.sort = "pid"
    screen.draw(where)
    table = table_of(sample_view(), choice_of(where), "")
    process = selected(where, sample_view(), table)
    assert process is not None and process.pid == 51_877
    assert where.ui.table("processes").index != before


def test_two_thousand_processes_format_only_what_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    view = sample_view()
    many = tuple(replace(view.processes[i % 5], pid=1_000_000 + i, parent_pid=0) for i in range(2_000))
    view = replace(view, processes=many)
    drawn: list[int] = []
    import gpuwatch.tui.panels.process_table as module

    original = module.draw_row
    monkeypatch.setattr(module, "draw_row", lambda sheet, y, row, *rest: (drawn.append(y), original(sheet, y, row, *rest)))
    sheet(view, show_all=True, pid=1_000_000)
    assert 5 <= len(drawn) <= 40


# ------------------------------------------------------------------------------------------------------------- the keys


def sent_by(keys: list[str], **options: object) -> tuple[list[tuple[int, int, int]], str]:
    """Press keys on the process screen; what was sent, and the screen's text."""
    sent: list[tuple[int, int, int]] = []
    options.setdefault("signal", lambda pid, start, number: sent.append((pid, start, number)))

    async def run() -> str:
        async with mounted(sample_view(), **options) as (app, pilot):
            await pilot.press("3", *keys)
            await pilot.pause()
            return text_of(app)

    return sent, asyncio.run(run())


def test_a_signal_needs_a_second_key_and_goes_to_the_process_of_the_dialog() -> None:
    bob = next(p for p in sample_view().processes if p.pid == 48_213)
    sent, text = sent_by(["K"])
    assert sent == []
    assert "Send a signal to pid 48213?" in text and "Started      11:44" in text
    assert "User         bob" in text and "Command      jupyter kernel 9f2e" in text
    sent, text = sent_by(["K", "y"])
    assert sent == [(bob.pid, bob.start_ms, signal.SIGTERM)]
    assert "SIGTERM sent to pid 48213" in text and "Send a signal" not in text
    assert sent_by(["K", "down", "y"])[0] == [(bob.pid, bob.start_ms, signal.SIGINT)]
    assert sent_by(["K", "up", "y"])[0] == [(bob.pid, bob.start_ms, signal.SIGKILL)]


@pytest.mark.parametrize("key", ["escape", "n", "enter", "q", "K", "space", "1"])
def test_no_other_key_sends_anything(key: str) -> None:
    sent, text = sent_by(["K", key, "escape", "y"])
    assert sent == [] and "Send a signal" not in text


def test_the_keys_of_the_dialog_do_not_reach_the_screen_behind_it() -> None:
    _, text = sent_by(["K", "q", "3", "2"])
    assert "Last 60 min" in text  # q closed the dialog and nothing else
    _, text = sent_by(["K", "1", "t"])
    assert "Processes · tree" in text and "Send a signal" in text


def test_a_refused_signal_is_one_line() -> None:
    def refuse(pid: int, start_ms: int, number: int) -> None:
        raise GpuwatchError("process 48213 is another one now: the one that was chosen has ended")

    _, text = sent_by(["K", "y"], signal=refuse)
    assert "Nothing sent: process 48213 is another one now" in text


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("off_by_ms", [0, 60_000])
def test_a_real_process_gets_the_signal_only_if_it_is_the_one_on_the_screen(off_by_ms: int) -> None:
    view = sample_view()
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]) as child:
        stat = procfs.read_stat("/proc", child.pid)
        start_ms = procfs.start_ms(procfs.boot_time("/proc"), stat.start_ticks) - off_by_ms
        shown = replace(view.processes[0], pid=child.pid, start_ms=start_ms, start_known=True)

        async def run() -> str:
            async with mounted(replace(view, processes=(shown,)), signal=send_signal) as (app, pilot):
                await pilot.press("3", "K", "y")
                await pilot.pause()
                return text_of(app)

        text = asyncio.run(run())
        if off_by_ms:
            assert f"Nothing sent: process {child.pid} is another one now" in text
            assert child.poll() is None
            child.kill()
        else:
            assert f"SIGTERM sent to pid {child.pid}" in text
            assert child.wait(10) == -signal.SIGTERM


def test_where_signals_are_off_the_key_says_why() -> None:
    _, text = sent_by(["K", "y"], signal=None, signal_off="Signals are off: the processes of a demo are not real.")
    assert "Send a signal" not in text
    _, text = sent_by(["K"], signal=None, signal_off="Signals are off: the processes of a demo are not real.")
    assert "Signals are off: the processes of a demo are not real." in text
    sent, text = sent_by(["K", "y"], read_only=True)
    assert sent == []


def test_enter_opens_a_process_and_escape_comes_back_step_by_step() -> None:
    _, text = sent_by(["enter"])
    assert "Processes · tree" not in text and "pid 48213 · bob · GPU 5, 6" in text
    _, text = sent_by(["enter", "escape"])
    assert "Processes · tree" in text
    _, text = sent_by(["enter", "escape", "escape"])
    assert "Where the GPU time went" in text


def test_less_and_greater_move_the_sort_column_and_u_keeps_one_user() -> None:
    _, text = sent_by(["greater_than_sign"])
    assert "sort age ▼" in text
    _, text = sent_by(["less_than_sign"])
    assert "sort disk ▼" in text
    _, text = sent_by(["u"])
    assert "Processes · tree · bob" in text and " 51877 " not in text
    _, text = sent_by(["u", "escape"])
    assert " 51877 " in text


@pytest.mark.parametrize("digit", ["1", "3"])
def test_what_is_pasted_behind_a_slash_is_text_and_no_command(digit: str) -> None:
    async def run() -> tuple[str, str]:
        async with mounted(sample_view()) as (app, pilot):
            await pilot.press(digit)
            await pilot.pause()
            for character in "/vit":
                key = "slash" if character == "/" else character
                app.screen.post_message(events.Key(key, character))
            await pilot.pause()
            return app.ui.filter, text_of(app)

    words, text = asyncio.run(run())
    assert words == "vit" and "/ vit" in text


def test_y_copies_the_row_as_text_and_says_so() -> None:
    async def run() -> tuple[str, str]:
        async with mounted(sample_view()) as (app, pilot):
            await pilot.press("3", "y")
            await pilot.pause()
            return app.clipboard, text_of(app)

    copied, text = asyncio.run(run())
    assert copied == "48213 bob jupyter kernel 9f2e" and f"Copied, if the terminal allows it: {copied}" in text


def test_switching_back_and_forth_keeps_the_screens() -> None:
    async def run() -> list[str]:
        async with mounted(sample_view()) as (app, pilot):
            out = []
            for key in ("2", "3", "4", "3", "2", "1", "2", "1"):
                await pilot.press(key)
                await pilot.pause()
                out.append(text_of(app).splitlines()[1][:16])
            assert len(app.screen_stack) == 1
            return out

    seen = asyncio.run(run())
    assert seen[0] == seen[4] == seen[6] == " GPU 0  ▌busy  s"
    assert seen[1] == seen[3] == "╭─ Processes · t"
    assert seen[5] == seen[7] == "╭─ Where the GPU"
