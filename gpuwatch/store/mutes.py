"""Mutes: findings that somebody does not want to be told. Commands and screens write them beside a recorder, which reads them at each look.

``db`` of those that write comes from ``beside.open_beside``; each is one short transaction.
"""

from __future__ import annotations

import sqlite3

from gpuwatch.dataclass import NamedTuple
from gpuwatch.rules.mutes import fits
from gpuwatch.rules.types import Mute
from gpuwatch.store.connection import transaction

_HOLDS = "host_id=? AND made_ms<=? AND (until_ms IS NULL OR until_ms>?) AND (lifted_ms IS NULL OR lifted_ms>?)"
_ADD = (
    "INSERT INTO mute(mute_id,host_id,rule,subject,command,reason,made_ms,until_ms) "
    "SELECT coalesce(max(mute_id),0)+1,?,?,?,?,?,?,? FROM mute"
)


class Kept(NamedTuple):
    """A mute in the store."""

    mute_id: int
    mute: Mute
    made_ms: int


def add(db: sqlite3.Connection, host_id: int, mute: Mute, made_ms: int) -> int:
    """Keep a mute from ``made_ms`` on (unix milliseconds); its id."""
    with transaction(db):
        db.execute(_ADD, (host_id, mute.rule, mute.subject, mute.command, mute.reason, made_ms, mute.until_ms))
        return int(db.execute("SELECT max(mute_id) FROM mute").fetchone()[0])


def lift(db: sqlite3.Connection, host_id: int, rule: str, subject: str, command: str, at_ms: int) -> int:
    """End all mutes in force that speak of this rule on this subject and command line; how many those were."""
    with transaction(db):
        ids = [(at_ms, each.mute_id) for each in in_force(db, host_id, at_ms) if fits(each.mute, rule, subject, command)]
        db.executemany("UPDATE mute SET lifted_ms=? WHERE mute_id=?", ids)
    return len(ids)


def lift_one(db: sqlite3.Connection, host_id: int, mute_id: int, at_ms: int) -> bool:
    """End one mute; False if there is no such mute in force."""
    with transaction(db):
        sql = f"UPDATE mute SET lifted_ms=? WHERE mute_id=? AND {_HOLDS}"
        return db.execute(sql, (at_ms, mute_id, host_id, at_ms, at_ms, at_ms)).rowcount > 0


def in_force(db: sqlite3.Connection, host_id: int, at_ms: int) -> list[Kept]:
    """The mutes that hold at an instant, the oldest first."""
    sql = f"SELECT mute_id, rule, subject, command, until_ms, reason, made_ms FROM mute WHERE {_HOLDS} ORDER BY mute_id"
    rows = db.execute(sql, (host_id, at_ms, at_ms, at_ms))
    return [Kept(mute_id, Mute(*mute), made_ms) for mute_id, *mute, made_ms in rows if _sound(*mute)]


def _sound(rule: object, subject: object, command: object, until_ms: object, reason: object) -> bool:
    """Whether it is a mute at all: one that was edited into nonsense by hand mutes nothing."""
    return all(isinstance(text, str) for text in (rule, subject, command, reason)) and isinstance(until_ms, int | None)
