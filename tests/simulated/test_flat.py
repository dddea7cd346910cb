"""The flat table keeps what was written, and its integrals are exact whatever the loop."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpuwatch.collectors.simulated.flat import Fault, FlatTable, Series
from gpuwatch.collectors.simulated.scenario import names
from gpuwatch.collectors.simulated.text import dumps, loads


@pytest.mark.parametrize("name", names())
def test_text_form_round_trips(name, compiled):
    table = compiled(name).table
    assert loads(dumps(table)) == table


def test_a_wrong_line_is_named():
    with pytest.raises(ValueError, match="line 3: 'v 0 util 5 x'"):
        loads("gpuwatch-scenario 1\nname a\nv 0 util 5 x\n")
    with pytest.raises(ValueError, match="line 2: .*must begin at 0"):
        loads("gpuwatch-scenario 1\nv 0 util 5 1\n")
    with pytest.raises(ValueError, match="line 3: .*must rise"):
        loads("gpuwatch-scenario 1\nv 0 util 0 1\nv 0 util 0 2\n")
    with pytest.raises(ValueError, match="unknown record"):
        loads("gpuwatch-scenario 1\nwhat 1\n")
    with pytest.raises(ValueError, match="line 1: not a scenario"):
        loads("something else")


def test_names_and_commands_keep_their_spaces_and_unknown_keys_are_skipped():
    text = (
        "gpuwatch-scenario 1\nname x\ndriver 1\ncuda 13010\nloop_ms 0\n# a comment\n"
        "gpu 0 profile=p uuid=GPU-1 bdf=0:0 memory=1 reserved=0 power_limit=0 power_default=0 sm_clock_max=0 mem_clock_max=0 gpm=0 mig=0"
        " nvlinks=0 colour=red name=A GPU = this\nproc s kind=C user=u job= name=n command=python a.py --x=1 b\n"
    )
    table = loads(text)
    assert table.devices[0].name == "A GPU = this"
    assert table.slots[0].command == "python a.py --x=1 b"
    assert table.slots[0].job == ""


series = st.lists(st.tuples(st.integers(1, 400), st.integers(0, 100)), max_size=12).map(
    lambda steps: Series([0, *(sum(gap for gap, _ in steps[: i + 1]) for i in range(len(steps)))], [5, *(v for _, v in steps)])
)


@given(series, st.integers(1, 3000), st.integers(-5000, 5000), st.integers(1, 4000))
def test_integral_is_the_sum_of_the_values(function, loop, start, length):
    table = FlatTable("t", "", 0, loop)
    total = sum(table.at(function, t) for t in range(start, start + length))
    assert table.integral(function, start, start + length) == total
    assert table.mean(function, start, start + length) == pytest.approx(total / length)


@given(series, st.integers(0, 5000), st.integers(1, 3000))
def test_without_a_loop_the_last_value_holds(function, start, length):
    table = FlatTable("t", "", 0, 0)
    assert table.integral(function, start, start + length) == sum(table.at(function, t) for t in range(start, start + length))
    assert table.at(function, 10**9) == function.values[-1]
    assert table.at(function, -7) == function.values[0]


@given(series, st.integers(1, 3000), st.integers(-5000, 5000))
def test_time_wraps_with_the_loop(function, loop, t):
    table = FlatTable("t", "", 0, loop)
    assert table.at(function, t) == table.at(function, t + loop) == table.at(function, t - 3 * loop)


def test_faults_come_back_each_loop_unless_they_are_for_ever():
    table = FlatTable("t", "", 0, 1000, faults=[Fault(100, 50, 3, "lost", "-", 0), Fault(500, 0, -1, "call", "x", 3)])
    kinds = {t: [f.kind for f in table.broken(t, 3)] for t in (99, 100, 149, 150, 1120, -880)}
    assert kinds == {99: [], 100: ["lost"], 149: ["lost"], 150: [], 1120: ["lost", "call"], -880: ["lost"]}
    assert table.broken(120, 4) == []
    assert [f.kind for f in table.broken(5000, 4)] == ["call"]
