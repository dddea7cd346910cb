"""How the sections of a finding share the rows: each has its place at each height, whatever the finding has to say."""

from __future__ import annotations

SECTIONS = ("fact", "figures", "evidence", "course", "how", "try", "gain", "wrong", "query", "confidence", "mute")
_LEAST = {
    "fact": 2,
    "figures": 2,
    "evidence": 4,
    "course": 2,
    "how": 2,
    "try": 3,
    "gain": 2,
    "wrong": 2,
    "confidence": 1,
    "mute": 1,
}
_DROPS = ("course", "how", "gain", "wrong", "confidence", "figures", "mute")
"""What a terminal that is too low for all of them loses, one after the other."""
_COURSE_FROM = 24
"""Rows from which on there is room for words and for the course."""
_GROWTH = (
    ("how", 3),
    ("try", 4),
    ("figures", 3),
    ("fact", 3),
    ("evidence", 5),
    ("course", 3),
    ("gain", 3),
    ("wrong", 3),
    ("course", 4),
    ("evidence", 6),
    ("how", 4),
    ("gain", 4),
    ("try", 5),
    ("gain", 5),
    ("wrong", 4),
    ("query", 5),
    ("course", 6),
    ("try", 9),
    ("wrong", 7),
    ("how", 6),
    ("gain", 7),
    ("evidence", 8),
    ("query", 7),
)
"""Who gets the next rows, up to how many, with its head and the blank row behind it."""


def rows_for(rows: int, title: int = 1) -> dict[str, int]:
    """Rows of each section in their order where the sentence wants ``title`` of them; what is left over goes to the last but two."""
    out = _LEAST | {"fact": 1 + max(1, min(2, title))}
    if rows < _COURSE_FROM:
        del out["course"]
    for name in _DROPS:
        if sum(out.values()) > rows:
            out.pop(name, None)
    spare = rows - sum(out.values())
    if spare < 0:
        return {"fact": min(2, max(0, rows)), "try": max(0, rows - 2)}
    for name, most in _GROWTH:
        if name in out or (name == "query" and spare >= most):
            more = max(0, min(spare, most - out.get(name, 0)))
            out[name] = out.get(name, 0) + more
            spare -= more
    if spare:
        name = "query" if "query" in out else "wrong" if "wrong" in out else "try"
        out[name] += spare
    return {name: out[name] for name in SECTIONS if name in out}
