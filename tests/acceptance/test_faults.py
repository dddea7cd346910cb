"""Bad input of every kind on the whole program: one clear line, no traceback, the terminal as it was, nothing lost."""

from __future__ import annotations

import pytest
from faults import CASES, Place, Seen, play

SLOW = {"GPU lost midway", "a call that never returns", "2,000 processes"}


@pytest.mark.parametrize("name", [pytest.param(name, marks=[pytest.mark.slow] if name in SLOW else []) for name in CASES])
def test_case(name: str) -> None:
    try:
        seen = play(name)
    except NotImplementedError as error:
        pytest.skip(str(error))
    print(f"{name}: {seen.line}")
    assert not seen.problems, "\n".join(seen.problems)
    assert seen.line


def test_a_traceback_a_wrong_exit_and_a_missing_line_are_found(tmp_path) -> None:
    seen = Seen()
    text = Place(tmp_path).run(seen, ["-c", "raise ValueError('x')"], command=["python3"], code=0)
    seen.want("all is well", text)
    assert [problem.split(":")[0].split(" ")[0] for problem in seen.problems] == ["exit", "a", "nothing"]
