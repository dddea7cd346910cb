"""What was edited by hand, is too old or is no verdict: every reader goes on or says one clear line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support.advice import Advice, held_idle
from support.inprocess import Done, run_program
from support.kept import FILES, unpack
from support.story import START

from gpuwatch.clock import FakeClock
from gpuwatch.dataclass import replace
from gpuwatch.rules.document import finding_of, finding_text, said_of
from gpuwatch.rules.sound import sound

T0, MINUTE = round(START * 1000), 60_000
NOW_MS = T0 + 20 * MINUTE
RULE = "gpu-memory-held-idle"


def run(path: Path, *words: str) -> Done:
    env = {"HOME": str(path.parent), "COLUMNS": "100"}
    return run_program("--store", str(path), "--tz", "UTC", *words, env=env, clock=FakeClock(NOW_MS / 1000 + 1))


@pytest.fixture
def store(advice: Advice, tmp_path: Path) -> Path:
    start = T0 + 2 * MINUTE
    grown = advice.grown(start, start + MINUTE, NOW_MS, 1.0)
    advice.finding(held_idle(gpus=(2,)), rule=RULE, subject="gpu:GPU-1", minutes=grown, started_ms=start, last_ms=NOW_MS)
    advice.mute("low-mfu", made_ms=T0)
    advice.said(json.dumps({"t_ms": NOW_MS, "rules": {RULE: "open"}, "missed": []}))
    return tmp_path / "store.db"


DEEP = "[" * 100_000
EDITS = {
    "deep text": ("UPDATE finding SET detail=?", DEEP),
    "numbers for texts": ("UPDATE finding SET detail=json_set(detail, '$.try_first', json('[1, null]'), '$.name', ?)", 7),
    "texts for numbers": ("UPDATE finding SET waste_pm=?, cost_gpu_ms='much', cost_energy_mj='more', severity='worst'", "lots"),
    "words that are not": ("UPDATE finding SET severity=?, basis=99", 99),
    "bytes": ("UPDATE finding SET title=?, evidence=x'ff', advice=x'ff', command=x'ff', detail=x'ff'", b"\xff"),
    "minutes": ("UPDATE finding_minute SET waste_pm=?, cost_gpu_ms=x'00'", "x"),
    "mutes": ("UPDATE mute SET until_ms=?, made_ms='x', command=x'ff'", "soon"),
    "said deep": ("UPDATE meta SET value=? WHERE key LIKE 'advice:%'", DEEP),
    "said numbers": ("UPDATE meta SET value=? WHERE key LIKE 'advice:%'", '{"t_ms":1,"rules":{"a":1},"missed":[[1,2,3,4]]}'),
    "said infinite": ("UPDATE meta SET value=? WHERE key LIKE 'advice:%'", '{"t_ms":1e400,"rules":{},"missed":[]}'),
}
READERS = (
    ("waste", "--at", "-5m", "--all"),
    ("check", "--since", "1h"),
    ("check", "--since", "1h", "--json"),
    ("mute", "--list"),
    ("report", "--since", "1h"),
)


@pytest.mark.parametrize("name", EDITS)
def test_a_row_that_was_edited_into_nonsense_is_read_as_far_as_it_goes(name: str, store: Path, advice: Advice) -> None:
    sql, value = EDITS[name]
    assert advice.db.execute(sql, (value,)).rowcount > 0
    for words in READERS:
        done = run(store, *words)
        assert done.returncode in (0, 1), (words, done.stderr)


@pytest.mark.parametrize("packed", FILES, ids=lambda packed: packed.name)
def test_a_store_of_an_older_schema_is_not_judged_and_says_so(packed: Path, tmp_path: Path) -> None:
    path = unpack(packed, tmp_path / "store.db")
    assert "internal" not in run(path, "waste").stderr
    done = run(path, "check", "--since", "9000d")
    assert done.returncode == 3
    assert "written by an older gpuwatch" in done.stderr, done.stderr


@pytest.mark.parametrize(
    "words",
    [
        ("--lift", "9" * 20),
        (RULE, "--for", "9" * 15 + "d"),
        (RULE, "--for", "9" * 400 + "d"),
        (RULE, "--for", "1h", "--command", "x" * 600),
        (RULE, "--for", "1h", "--reason", "x" * 600),
    ],
    ids=["lift", "for", "endless", "command", "reason"],
)
def test_a_mute_that_cannot_be_kept_is_refused_in_one_line(words: tuple[str, ...], store: Path, advice: Advice) -> None:
    done = run(store, "mute", *words)
    assert done.returncode == 2, done.stderr
    assert "internal" not in done.stderr
    assert advice.db.execute("SELECT count(*) FROM mute WHERE lifted_ms IS NULL").fetchone()[0] == 1


def test_a_mute_needs_somebody_who_was_recorded(store: Path, advice: Advice) -> None:
    advice.db.executescript("PRAGMA foreign_keys=off; DELETE FROM session; DELETE FROM host")
    done = run(store, "mute", RULE, "--for", "1h")
    assert done.returncode == 3
    assert "nothing was ever recorded" in done.stderr


def test_what_is_no_finding_is_known() -> None:
    good = held_idle(gpus=(2,))
    assert sound(good)
    assert finding_of(finding_text(good)) == good
    for bad in ({"waste_gpus": float("nan")}, {"waste_gpus": -1.0}, {"title": 5}, {"gpus": ("a",)}, {"measured": float("inf")}):
        wrong = replace(good, **bad)
        assert not sound(wrong), bad
        assert finding_of(finding_text(wrong)) is None
    assert said_of(DEEP) is None
