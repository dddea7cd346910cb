"""Which rows the process tables have and in which order; how the selection follows them."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st
from support.sample_view import sample_view

from gpuwatch.tui.rows import SORTS, Family, Selection, build_rows
from gpuwatch.tui.state import TableState

VIEW = sample_view()


def commands(choice: Selection) -> list[str]:
    return [row.prefix + row.process.command[:12] for row in build_rows(VIEW, choice)]


def test_flat_rows_are_processes_that_work_with_a_gpu_by_waste() -> None:
    rows = build_rows(VIEW, Selection())
    assert [(row.process.pid, row.hold.gpu_index if row.hold else None) for row in rows] == [
        (48_213, 5), (48_213, 6), (51_877, 2), (51_878, 3), (60_210, 7), (33_102, 4), (57_120, 0), (57_121, 1), (902, 4), (71_002, None),
    ]  # fmt: skip
    assert [row.first for row in rows[:3]] == [True, False, True]


def test_a_row_includes_what_is_below_it() -> None:
    rows = {row.process.pid: row for row in build_rows(VIEW, Selection())}
    assert round((rows[51_877].totals.cpu_ratio or 0) * 100) == 402
    assert rows[51_877].totals.busy_workers
    assert not rows[57_120].totals.busy_workers


def test_a_missing_value_is_last_whatever_the_order() -> None:
    for reverse in (False, True):
        assert build_rows(VIEW, Selection(reverse=reverse))[-1].process.pid in (902, 71_002)


def test_every_sort_gives_every_row() -> None:
    whole = {row.key for row in build_rows(VIEW, Selection())}
    for name in SORTS:
        for tree in (False, True):
            rows = build_rows(VIEW, Selection(sort=name, tree=tree))
            assert {row.key for row in rows if row.hold} == {key for key in whole if key[2]}


def test_the_filter_takes_all_words_in_any_field() -> None:
    assert {row.process.pid for row in build_rows(VIEW, Selection(words=("alice", "llama")))} == {57_120, 57_121}
    assert {row.process.pid for row in build_rows(VIEW, Selection(words=("4821",)))} == {48_213}
    assert build_rows(VIEW, Selection(words=("nobody",))) == []


def test_the_tree_keeps_parents_grey_and_workers_with_their_match() -> None:
    rows = build_rows(VIEW, Selection(words=("train_vit",), tree=True))
    seen = [(row.process.pid, row.prefix, row.parent_only) for row in rows]
    assert seen[:4] == [(31_002, "", True), (51_802, "└ ", True), (51_877, "  ├ ", False), (51_902, "  │ ├ ", False)]


def test_many_equal_children_fold_into_one_row() -> None:
    worker = next(p for p in VIEW.processes if p.pid == 57_166)
    more = tuple(replace(worker, pid=90_000 + i, name="pt_data_worker") for i in range(20))
    view = replace(VIEW, processes=(*VIEW.processes, *more))
    folded = [row for row in build_rows(view, Selection(tree=True, show_all=True)) if row.folded]
    assert [row.folded for row in folded] == [28]
    assert folded[0].totals.cpu_ratio is not None and folded[0].totals.cpu_ratio > 20 * (worker.cpu_ratio or 0)
    assert not [row for row in build_rows(view, Selection(tree=True, show_all=True, unfolded=True)) if row.folded]


def test_a_circle_of_parents_ends() -> None:
    a, b = VIEW.processes[:2]
    circle = (replace(a, pid=1, parent_pid=2), replace(b, pid=2, parent_pid=1))
    assert Family(circle).totals(circle[0]).cpu_ratio is not None
    assert build_rows(replace(VIEW, processes=circle), Selection(tree=True, show_all=True)) is not None


# ------------------------------------------------------------------------------------------------------------ selection


def test_the_selection_follows_its_row() -> None:
    table = TableState()
    table.settle(["a", "b", "c"], 3)
    table.move = 1
    table.settle(["a", "b", "c"], 3)
    assert table.selected == "b"
    table.settle(["c", "a", "b"], 3)
    assert (table.selected, table.index) == ("b", 2)
    table.settle(["c", "a"], 3)
    assert (table.selected, table.index) == ("a", 1)


@given(st.lists(st.integers(0, 30), unique=True, max_size=30), st.integers(-60, 60), st.integers(1, 12), st.integers(0, 40))
def test_the_selected_row_is_always_visible(keys: list[int], move: int, page: int, index: int) -> None:
    table = TableState(index=index, move=move)
    visible = table.settle(keys, page)
    assert len(visible) == min(len(keys), page)
    if keys:
        assert table.index in visible
        assert keys[table.index] == table.selected


def test_a_chain_of_processes_may_be_long() -> None:
    worker = next(p for p in VIEW.processes if p.pid == 57_166)
    chain = tuple(replace(worker, pid=10 + i, start_ms=i, parent_pid=9 + i, cpu_ratio=0.5) for i in range(3000))
    rows = build_rows(replace(VIEW, processes=chain), Selection(tree=True, show_all=True))
    assert len(rows) == 3000
    assert rows[0].totals.cpu_ratio == 1500.0
    assert max(len(row.prefix) for row in rows) <= 84
