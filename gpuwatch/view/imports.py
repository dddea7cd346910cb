"""What became of past logs that were imported: the content of ``gpuwatch import`` for its text and JSON forms."""

from __future__ import annotations

from collections.abc import Sequence

from gpuwatch.dataclass import dataclass
from gpuwatch.view.json_parts import SCHEMA, Field, Json


@dataclass(frozen=True, slots=True)
class ProblemView:
    """Something of a file that could not be used: its first line, why, and how many lines are like it."""

    line: int
    text: str
    count: int


@dataclass(frozen=True, slots=True)
class ImportView:
    """One file. ``state``: imported, tried (nothing was to be written), known (imported before) or failed.

    Everything after ``hint`` is empty, 0 or ``None`` for a file that was not read. Means are ``None`` where the log has no
    utilization: ``utilization_of_rows`` counts each row once, ``utilization_ratio`` by the time that it speaks for.
    """

    file: str
    state: str
    host: str = ""
    joined: bool = False
    message: str = ""
    hint: str = ""
    format: str = ""
    timezone: str = ""
    utc_offset_seconds: int = 0
    rows_read: int = 0
    rows_used: int = 0
    rows_left_out: int = 0
    gpu_count: int = 0
    process_count: int = 0
    start_ms: int | None = None
    end_ms: int | None = None
    interval_seconds: float | None = None
    observed_seconds: float = 0.0
    utilization_of_rows: float | None = None
    utilization_ratio: float | None = None
    columns: Sequence[str] = ()
    gap_count: int = 0
    gap_seconds: float = 0.0
    problems: Sequence[ProblemView] = ()


def _seconds(ms: int | None) -> float | None:
    return None if ms is None else ms / 1000


PROBLEM = (
    Field("line", "integer", "Number of the first such line; 1 is the first of the file"),
    Field("text", "string", "What could not be used, and why"),
    Field("count", "integer", "Lines like it"),
)
FILE = (
    Field("file", "string", "The file as it was named"),
    Field("state", "string", "imported, tried (--dry-run), known (its content was imported before) or failed"),
    Field("host", "string", "Host under which its rows are found; empty if it was not read"),
    Field("joined", "boolean", "Whether other logs of that host were there before"),
    Field("message", "string", "Why it was not imported, in one line; else empty"),
    Field("hint", "string", "What to try then; else empty"),
    Field("format", "string", "What the file is"),
    Field("timezone", "string", "Zone in which its days begin, as --tz named it; empty: at the offset below"),
    Field("utc_offset_seconds", "integer", "Local time minus UTC at its first row"),
    Field("rows_read", "integer", "Lines read"),
    Field("rows_used", "integer", "Rows of GPUs that were used"),
    Field("rows_left_out", "integer", "Rows left out, because the GPU already has a row at that time"),
    Field("gpu_count", "integer", "GPUs"),
    Field("process_count", "integer", "Processes"),
    Field("start", "number|null", "Time of the first row, unix seconds", lambda v: _seconds(v.start_ms)),
    Field("end", "number|null", "Time of the last row, unix seconds", lambda v: _seconds(v.end_ms)),
    Field("interval_seconds", "number|null", "Time between rows of a GPU; rows more than three times that apart make a gap"),
    Field("observed_seconds", "number", "Time that the rows speak for, all GPUs added up"),
    Field("utilization_of_rows", "number|null", "Mean utilization, each row counted once"),
    Field("utilization_ratio", "number|null", "Mean utilization over observed time"),
    Field("columns", "array:string", "What the rows say, by the names of v_gpu_raw", lambda v: list(v.columns)),
    Field("gap_count", "integer", "Spans without rows"),
    Field("gap_seconds", "number", "Their length, added up"),
)


def import_json(files: Sequence[ImportView], *, store: str) -> Json:
    """The document of ``gpuwatch import --json``."""

    def problem(each: ProblemView) -> Json:
        return {field.name: field.value(each) for field in PROBLEM}

    rows = [
        {field.name: field.value(file) for field in FILE} | {"problems": [problem(each) for each in file.problems]}
        for file in files
    ]
    return {"schema": SCHEMA, "kind": "import", "simulated": False, "store": store, "files": rows}
