"""Stores as released versions wrote them, and what a store is made of, for comparing one with another."""

from __future__ import annotations

import lzma
import re
import sqlite3
from pathlib import Path

FOLDER = Path(__file__).parent.parent / "store" / "kept"
FILES = tuple(sorted(FOLDER.glob("*.db.xz")))


def ordinal(packed: Path) -> int:
    """The schema that a kept store's name says."""
    found = re.match(r"schema-(\d+)[-.]", packed.name)
    assert found, packed.name
    return int(found[1])


def unpack(packed: Path, target: Path) -> Path:
    """The store as its version left it."""
    target.write_bytes(lzma.decompress(packed.read_bytes()))
    return target


def objects(db: sqlite3.Connection) -> dict[str, object]:
    """Tables by columns and keys (an added column changes the text, not the table), all else by its text."""
    out: dict[str, object] = {}
    for kind, name, sql in db.execute("SELECT type, name, sql FROM sqlite_master WHERE name NOT LIKE 'sqlite_%'").fetchall():
        text = re.sub(r"\s+", " ", sql or "").strip()
        if kind == "table":
            columns = db.execute(f"PRAGMA table_xinfo({name})").fetchall()
            keys = db.execute(f"PRAGMA foreign_key_list({name})").fetchall()
            unique = sorted(
                db.execute(
                    f"SELECT origin, group_concat(x.name) FROM pragma_index_list('{name}') l, pragma_index_info(l.name) x GROUP BY l.name"
                )
            )
            out[name] = columns, keys, unique, "WITHOUT ROWID" in text
        else:
            out[name] = text
    return out
