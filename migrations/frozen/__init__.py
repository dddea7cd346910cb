"""The SQL of each released schema as its release made it, one script a dialect; never changed again.

``schema-1`` creates all tables of the first release, each later script holds what its release added.
"""

from __future__ import annotations

from importlib.resources import files

from sqlalchemy import Connection


def run_script(connection: Connection, name: str) -> None:
    """Run ``NAME.DIALECT.sql`` in the open transaction, one statement at a time (SQLite's own script runner would commit)."""
    script = files(__name__).joinpath(f"{name}.{connection.dialect.name}.sql").read_text(encoding="utf-8")
    lines = (line for line in script.splitlines() if not line.startswith("--"))
    for statement in "\n".join(lines).split(";\n"):
        if statement.strip():
            connection.exec_driver_sql(statement)
