"""A sliced board's state and strip come from its instances: never free while one of them is held or cannot be seen."""

from __future__ import annotations

from dataclasses import replace

import pytest
from support.sample_view import sample_view

from gpuwatch.names import State
from gpuwatch.view.sliced import with_instances
from gpuwatch.view.types import Cell, GpuView

FREE, NOTHING = Cell(0.0, State.FREE), Cell(None, State.NO_DATA)


def board(state: State = State.FREE, *, cells: tuple[Cell, ...] = (FREE,)) -> GpuView:
    return replace(
        sample_view().gpus[0], gpu_uuid="board", mig_enabled=True, state=state, quiet_seconds=0.0, state_since_ms=None, strip=cells
    )


def part(state: State, *, cells: tuple[Cell, ...] = (FREE,), quiet: float = 0.0) -> GpuView:
    return replace(
        sample_view().gpus[1], gpu_uuid=f"MIG-{state.name}", parent_uuid="board", state=state, quiet_seconds=quiet, strip=cells
    )


@pytest.mark.parametrize(
    ("parts", "word"),
    [
        ((State.FREE, State.BUSY, State.HELD_IDLE), State.BUSY),
        ((State.HELD_IDLE, State.WAITING), State.WAITING),
        ((State.FREE, State.HELD_IDLE), State.HELD_IDLE),
        ((State.FREE, State.FREE), State.FREE),
        ((State.FREE, State.NO_DATA), State.NO_DATA),
        ((State.NO_DATA, State.BUSY), State.BUSY),
    ],
)
def test_a_board_is_what_its_busiest_instance_is(parts: tuple[State, ...], word: State) -> None:
    assert with_instances((board(), *map(part, parts)))[0].state is word


@pytest.mark.parametrize("own", [State.UNAVAILABLE, State.NO_DATA])
def test_a_board_that_does_not_answer_says_so_itself(own: State) -> None:
    assert with_instances((board(own), part(State.BUSY)))[0].state is own


def test_quiet_time_and_beginning_are_the_instances() -> None:
    quiet = part(State.QUIET, quiet=190.0)
    found = with_instances((board(), part(State.FREE), quiet))[0]
    assert (found.quiet_seconds, found.state_since_ms) == (190.0, quiet.state_since_ms)


def test_each_cell_is_the_busiest_of_that_time() -> None:
    busy, low, waiting = Cell(0.9, State.BUSY), Cell(0.2, State.BUSY), Cell(0.1, State.WAITING)
    found = with_instances(
        (
            board(cells=(busy, FREE, FREE, FREE)),
            part(State.BUSY, cells=(NOTHING, waiting, low, FREE)),
            part(State.WAITING, cells=(NOTHING, FREE, busy, NOTHING)),
        )
    )
    assert found[0].strip == (busy, waiting, busy, FREE)
    assert found[1:] == (
        part(State.BUSY, cells=(NOTHING, waiting, low, FREE)),
        part(State.WAITING, cells=(NOTHING, FREE, busy, NOTHING)),
    )


def test_free_is_not_claimed_where_an_instance_cannot_be_seen() -> None:
    found = with_instances((board(), part(State.FREE), part(State.NO_DATA, cells=(NOTHING,))))
    assert found[0].strip == (NOTHING,)


def test_without_instances_nothing_changes() -> None:
    gpus = sample_view().gpus
    assert with_instances(gpus) == gpus
