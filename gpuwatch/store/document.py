"""Writes ``docs/schema.md`` from the views and the tables: ``python -m gpuwatch.store.document [FILE]``; a test compares them."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

from gpuwatch.store import export, views, worked
from gpuwatch.store.columns import SCHEMA_VERSION
from gpuwatch.store.deleting import Keep
from gpuwatch.store.retention import COMMAND_DAYS
from gpuwatch.store.schema import metadata
from gpuwatch.store.worked_inference import WORKED_INFERENCE
from gpuwatch.store.worked_training import WORKED_TRAINING

EXAMPLE = '''import sqlite3
import sys

store = sqlite3.connect(f"file:{sys.argv[1]}?mode=ro", uri=True)
print("gpu  minutes  observed  utilization  energy")
for index, minutes, seconds, ratio, joules in store.execute(
    """
    SELECT gpu_index, count(*), sum(observed_seconds),
           sum(utilization_ratio * observed_seconds) / sum(CASE WHEN utilization_ratio IS NOT NULL THEN observed_seconds END),
           sum(energy_joules)
    FROM v_gpu_minute WHERE t >= (SELECT max(t) FROM v_gpu_minute) - 3600
    GROUP BY gpu_uuid ORDER BY gpu_index
    """
):
    shown = "-" if ratio is None else f"{ratio:.3f}"
    print(f"{index:>3}{minutes:>9}{seconds:>8.0f} s{shown:>13}", "-" if joules is None else f"{joules:9.0f} J")
print("where the time went, in GPU-seconds")
for user, bucket, ms in store.execute('SELECT "user", bucket, sum(ms) FROM v_ledger_minute GROUP BY 1, 2 ORDER BY 3 DESC'):
    print(f"{user or '-':<16}{bucket:<20}{ms / 1000:>12.1f}")
'''

_INTRO = """\
# The store

One SQLite file, readable with any SQLite while gpuwatch records. The views below are a contract: within a major version columns
are only added. The tables under them are private and may change.

- Names carry their unit: `_ratio` is 0 to 1, `_bytes`, `_watts`, `_joules`, `_celsius`, `_hertz`, `_seconds` are base units,
  `_total` counts. `ms` and `energy_mj` of the ledger are whole numbers, so that sums are exact.
- `t` is the unix second (UTC) of a bucket's start, `ts_ms` the unix millisecond of a row. Filter by them: they are keys.
- NULL is "not measured", never 0.
- Means are taken over the time in which the quantity was measured. To average over several buckets, weight by `observed_seconds`.
- `v_ledger_minute` holds the time that nobody observed as well: `sum(ms)` over a GPU is its capacity between its first and its last
  recorded minute. Rows with `provisional` = 1 may still be recomputed; younger than 16 minutes they can change their bucket.
- The file's kind is in `PRAGMA application_id` ({mark:#x}, "GPUW"), its version in `PRAGMA user_version` (now {version}).
"""

_KEEPING = """\
## How long rows are kept

| what | default | setting in `[store]` |
|---|---|---|
| single rows, as plain rows, and the single readings of waiting and step times | {keep.hot_hours:g} hours | `hot_hours` |
| single rows, archived (`chunk`) | {keep.chunk_days:g} days | `chunk_days` |
| minutes of GPUs, workloads, waiting and step times, and the ledger | {keep.minute_days:g} days | `minute_days` |
| minutes of processes | {keep.process_minute_days:g} days | `process_minute_days` |
| hours, distributions, events, gaps, findings from when they cleared | {keep.hour_days:g} days | `hour_days` |
| days, runs | for good | |
| the file | at most {keep.max_mb} MB: beyond it the oldest days of single rows go first, then minutes; an event says so | `max_mb` (0: no limit) |

Ages count from now, and for a host that was imported from its own newest data. A command line is erased {command} days after its
process or its run was last seen. A clock that has leapt by more than ten days makes nothing old for an hour: it may be wrong. Where the file lies: `gpuwatch db path`; to remove everything, delete it and what lies beside it.
"""


def schema_document() -> str:
    """The whole page."""
    parts = [_INTRO.format(mark=0x47505557, version=SCHEMA_VERSION)]
    parts.append("## An example\n\nA plain script; it needs nothing but Python.\n\n```python\n" + EXAMPLE + "```\n")
    parts.append(_worked())
    parts.append("## Views\n")
    for view in views.VIEWS:
        parts.append(_table(view.name, view.help, [(c.name, c.unit, c.help) for c in view.columns]))
    parts.append(_table(views.V_SCHEMA, "Every column of every view.", [(c.name, c.unit, c.help) for c in views.SCHEMA_COLUMNS]))
    parts.append(_EXPORTS.format(host=_rows([(c.name, c.unit, c.help) for c in export.source("host").columns])))
    parts.append(_KEEPING.format(keep=Keep(), command=COMMAND_DAYS))
    parts.append(_tables())
    return "\n".join(parts)


_EXPORTS = """\
## Exports

`gpuwatch export --what gpu|process|workload|training|latency|host|ledger|events|gaps --every second|minute|hour|day` writes these rows as CSV or Parquet:

- `gpu` every second: the columns of `v_gpu_raw`, as far back as rows are kept; `tick_id` is empty for archived ones.
- `process` every second: the columns of `v_process_now`; `workload` every second: those of `v_workload_now`, of inference servers, as
  often as each was read; `training` every second: those of `v_training_now`, of each training process; `host` every second: those below.
- everything else: the columns of the view of that name (`v_gpu_minute`, `v_ledger_hour`, `v_event`, `v_gap`).

A row speaks for the time before it, so a span has the single rows with `since < time <= until`; buckets and events lie in it by their
start. CSV is quoted as RFC 4180 says, lines end with a line feed, NULL is an empty cell. A text that a spreadsheet would take for a formula
(after any number of `'`: `=`, `+`, `-`, `@`, tab, carriage return) has one more `'` before it. In Parquet each field's metadata has its `unit` and
`meaning`. Rows of a simulated store have one more column, `simulated`, which is 1.

Every row of the host:

{host}
"""

_WORKED = """\
## Questions that people ask

Each of these runs as it stands, in a file: `gpuwatch query "$(cat question.sql)"`, or `sqlite3 "$(gpuwatch db path)" < question.sql`.
The answers show how they look; numbers are rounded.

### What a day is

{days}
### On PostgreSQL

{postgresql}"""


def _worked() -> str:
    """The worked queries, each with its answer."""
    parts = [_WORKED.format(days=worked.DAYS, postgresql=worked.POSTGRESQL)]
    for one in (*worked.WORKED, *WORKED_INFERENCE, *WORKED_TRAINING):
        note = f"\n{one.note}\n" if one.note else ""
        parts.append(f"### {one.question}\n\n```sql\n{one.sql}\n```\n\n```text\n{one.answer}\n```\n{note}")
    return "\n".join(parts)


def _table(name: str, help_text: str, rows: list[tuple[str, str, str]]) -> str:
    return f"### {name}\n\n{help_text}\n\n{_rows(rows)}\n"


def _rows(rows: list[tuple[str, str, str]]) -> str:
    lines = ["| column | unit | meaning |", "|---|---|---|"]
    return "\n".join([*lines, *(f"| `{a}` | {b} | {_escaped(c)} |" for a, b, c in rows)])


def _escaped(text: str) -> str:
    return text.replace("|", "\\|")


def _tables() -> str:
    lines = ["## Tables (private)\n", "| table | key | what |", "|---|---|---|"]
    for table in metadata.sorted_tables:
        key = ", ".join(column.name for column in table.primary_key)
        lines.append(f"| `{table.name}` | {key} | {table.comment or ''} |")
    return "\n".join(lines) + "\n"


def main(say: Callable[[str], object] = sys.stdout.write) -> None:
    """Write to the file that is named, else to standard output."""
    if len(sys.argv) > 1:
        Path(sys.argv[1]).write_text(schema_document(), encoding="utf-8")
    else:
        say(schema_document())


if __name__ == "__main__":
    main()
