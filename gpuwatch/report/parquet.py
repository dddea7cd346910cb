"""Rows as a Parquet file, units and meanings in the metadata of its fields. Needs pyarrow, the extra ``parquet``."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, Protocol

from gpuwatch.errors import UsageError

GROUP_ROWS = 65_536
"""Rows that are in memory at a time, and in a row group of the file."""
WHOLE = frozenset(
    {"flag", "count", "total", "mask", "state", "code", "milliseconds", "millijoules", "unix seconds", "unix milliseconds"}
)
"""Units of whole numbers."""
TEXT = frozenset({"text", "word"})
WHOLE_IDS = frozenset({"pid", "gpu_index", "tick_id", "port", "root_pid", "uid"})


class Column(Protocol):
    """What is known of a column."""

    @property
    def name(self) -> str: ...
    @property
    def unit(self) -> str: ...
    @property
    def help(self) -> str: ...


def require() -> None:
    """Raises :class:`UsageError` where pyarrow is not installed."""
    try:
        import pyarrow.parquet  # noqa: F401
    except ImportError:
        raise UsageError("Parquet needs pyarrow, which is not installed", "pip install 'gpuwatch-tui[parquet]'") from None


def write(path: Path, columns: Sequence[Column], rows: Iterable[Sequence[Any]], metadata: Mapping[str, str]) -> int:
    """Write all rows to ``path``; returns how many. ``None`` is null. Raises ``OSError``, :class:`UsageError` without pyarrow."""
    require()
    import pyarrow as pa
    from pyarrow import parquet

    fields = [pa.field(c.name, _type(pa, c), metadata={"unit": c.unit, "meaning": c.help}) for c in columns]
    schema = pa.schema(fields, metadata=dict(metadata))
    count = 0
    with open(path, "wb") as file, parquet.ParquetWriter(file, schema, compression="zstd") as writer:
        for group in _groups(rows):
            cells = zip(*group, strict=True)
            arrays = [pa.array(values, field.type, from_pandas=False) for values, field in zip(cells, fields, strict=True)]
            writer.write_batch(pa.record_batch(arrays, schema=schema), row_group_size=GROUP_ROWS)
            count += len(group)
    return count


def _groups(rows: Iterable[Sequence[Any]]) -> Iterator[list[Sequence[Any]]]:
    left = iter(rows)
    while group := list(islice(left, GROUP_ROWS)):
        yield group


def _type(pa: Any, column: Column) -> Any:
    if column.unit in TEXT or (column.unit == "id" and column.name not in WHOLE_IDS):
        return pa.string()
    return pa.int64() if column.unit in WHOLE or column.unit == "id" else pa.float64()
