"""Records behave like the standard library's dataclasses, whose own functions work on them."""

from __future__ import annotations

import copy
import dataclasses
import pickle
import subprocess
import sys
from typing import Any

import pytest

from gpuwatch import dataclass as light


@light.dataclass(frozen=True, slots=True)
class Point:
    """Two numbers."""

    x: int
    y: int = 2
    more: dict[str, int] = light.field(default_factory=dict)
    unit: str = light.field(default="mm", metadata={"help": "length"})

    @property
    def sum(self) -> int:
        return self.x + self.y


@light.dataclass(frozen=True, slots=True)
class Named(Point):
    """One with a name."""

    name: str = ""


@light.dataclass(slots=True)
class Counter:
    """May change."""

    n: int = 0


@light.dataclass(slots=True, eq=False)
class Thing:
    """Equal to itself only."""

    n: int = 0


@light.dataclass(frozen=True, slots=True)
class Nothing:
    """No field at all."""


@light.dataclass(frozen=True)
class Loose:
    """With a dictionary, and with defaults on the class."""

    n: int = 3


def test_objects_are_made_by_position_and_by_name_with_defaults() -> None:
    point = Point(1)
    assert (point.x, point.y, point.more, point.unit, point.sum) == (1, 2, {}, "mm", 3)
    assert Point(1, more={"a": 1}, y=5) == Point(1, 5, {"a": 1})
    assert Point(1).more is not Point(1).more
    assert Named(1, name="a") == Named(1, 2, {}, "mm", "a")
    assert Loose().n == Loose.n == 3


@pytest.mark.parametrize("arguments", [(), (1, 2, {}, "mm", 5)])
def test_wrong_arguments_are_a_type_error(arguments: tuple[Any, ...]) -> None:
    with pytest.raises(TypeError):
        Point(*arguments)


def test_the_first_objects_and_the_many_after_them_are_alike() -> None:
    @light.dataclass(frozen=True, slots=True)
    class Fresh:
        a: int
        b: tuple[int, ...] = (1,)
        c: list[int] = light.field(default_factory=list)

    wrong: list[tuple[tuple[Any, ...], dict[str, Any]]] = [((), {}), ((1, 2, 3, 4), {}), ((1,), {"a": 2}), ((1,), {"d": 2})]
    for _ in range(3 * light.SLOW_OBJECTS):  # type: ignore[attr-defined]
        for args, kwargs in wrong:
            with pytest.raises(TypeError):
                Fresh(*args, **kwargs)
        made = Fresh(1, c=[2])
        assert (made.a, made.b, made.c, Fresh(1).c) == (1, (1,), [2], [])


def test_they_compare_and_hash_by_value_and_type() -> None:
    assert Point(1, more={}) != Point(2)
    assert Point(1) != Named(1)
    assert Counter(1) == Counter(1)
    assert Thing() != Thing()
    assert Nothing() == Nothing()
    assert hash(Loose(1)) == hash(Loose(1))
    assert len({Loose(1), Loose(1), Loose(2)}) == 2
    with pytest.raises(TypeError):
        hash(Counter(1))


def test_they_print_like_dataclasses() -> None:
    assert repr(Point(1)) == "Point(x=1, y=2, more={}, unit='mm')"
    assert repr(Nothing()) == "Nothing()"


def test_a_frozen_one_cannot_change_and_no_slotted_one_can_grow() -> None:
    for name in ("x", "z"):
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(Point(1), name, 5)
    with pytest.raises(dataclasses.FrozenInstanceError):
        del Point(1).x  # type: ignore[misc]
    counter = Counter()
    counter.n += 1
    assert counter.n == 1
    with pytest.raises(AttributeError):
        counter.m = 1  # type: ignore[attr-defined]
    assert not hasattr(Point(1), "__dict__")


def test_the_standard_functions_work_on_them() -> None:
    assert dataclasses.is_dataclass(Point)
    assert dataclasses.replace(Named(1), x=4) == Named(4) == light.replace(Named(1), x=4)
    assert dataclasses.asdict(Point(1)) == {"x": 1, "y": 2, "more": {}, "unit": "mm"}
    for fields in (dataclasses.fields, light.fields):
        found = fields(Named)
        assert [(f.name, f.type) for f in found][::4] == [("x", "int"), ("name", "str")]
        assert found[3].metadata["help"] == "length"


def test_they_can_be_copied_sent_and_matched() -> None:
    point = Point(1, more={"a": 1})
    assert copy.deepcopy(point) == pickle.loads(pickle.dumps(point)) == point
    match point:
        case Point(x, 2):
            assert x == 1
        case _:
            raise AssertionError("a record does not match by position")


def test_they_do_not_import_the_standard_module() -> None:
    code = "import sys, gpuwatch.dataclass; sys.exit('dataclasses' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=60).returncode == 0
