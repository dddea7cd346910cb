"""``nvidia-smi --query-gpu=… --format=csv`` in all its habits, and the CSV files that people's own loops write."""

from __future__ import annotations

from gpuwatch.collectors.importers.fields import plain
from gpuwatch.collectors.importers.layout import split_head
from gpuwatch.collectors.importers.rows import SAMPLE_LINES, Run
from gpuwatch.collectors.importers.source import Source
from gpuwatch.collectors.importers.types import ImportOptions, PastLog

ELSE = ("pid", "t", "process_name", "observed_seconds")
"""Columns of lists of processes and of our own sums, which are no readings of a GPU."""
FORMAT = "nvidia-smi --query-gpu CSV"


class SmiCsv:
    """Reader of CSV logs."""

    name = FORMAT

    def reads(self, head: str, options: ImportOptions) -> bool:
        """Whether there is a header with columns that are known, or the user says the columns."""
        if "NVSMI LOG" in head:
            return False
        lines = head.splitlines()[:SAMPLE_LINES]
        layout, position = split_head(lines, options.fields)
        if layout is None or any(plain(column.text) in ELSE for column in layout.columns):
            return False
        return position >= 0 or bool(options.fields)

    def open(self, source: Source, options: ImportOptions) -> PastLog:
        """The log; :class:`UsageError` says which option would supply what it lacks."""
        return Run(source, options).log(FORMAT)
