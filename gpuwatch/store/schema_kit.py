"""How the tables of ``schema.py`` name their columns: integers, text, keys, references."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import BigInteger, Column, Double, ForeignKey, Integer, MetaData, Text
from sqlalchemy.types import TypeEngine

NAMING = {
    "pk": "pk_%(table_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "fk": "fk_%(table_name)s_%(column_0_name)s",
}
BIG = BigInteger().with_variant(Integer(), "sqlite")
metadata = MetaData(naming_convention=NAMING)


def int_(name: str, *, null: bool = False, default: int | None = None) -> Column[Any]:
    """An integer column."""
    return Column(name, BIG, nullable=null, server_default=None if default is None else str(default))


def text_(name: str, *, null: bool = False, default: str | None = "") -> Column[Any]:
    """A text column, empty by default."""
    return Column(name, Text(), nullable=null, server_default=None if null else default)


def id_(name: str) -> Column[Any]:
    """The integer key of an entity, given out by the writer."""
    return Column(name, BIG, primary_key=True, autoincrement=False)


def ref_(name: str, target: str) -> Column[Any]:
    """A required reference to another table."""
    return Column(name, BIG, ForeignKey(target), nullable=False)


def values_(columns: Sequence[str], *, null: bool = True) -> list[Column[Any]]:
    """Integer columns that may be missing."""
    return [int_(c, null=null) for c in columns]


TYPES: dict[str, TypeEngine[Any]] = {"int": BIG, "float": Double(), "bool": BIG, "str": Text()}
