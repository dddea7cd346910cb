"""Which format a file is in, by its beginning."""

from __future__ import annotations

import re

from gpuwatch.collectors.importers.dmon import Dmon
from gpuwatch.collectors.importers.exports import Exports
from gpuwatch.collectors.importers.problems import quoted
from gpuwatch.collectors.importers.smi_csv import SmiCsv
from gpuwatch.collectors.importers.smi_table import SmiTable
from gpuwatch.collectors.importers.source import Source
from gpuwatch.collectors.importers.types import ImportOptions, LogReader, PastLog
from gpuwatch.errors import UsageError

NAMES_OF_PMON = re.compile(r"^#\s*(?:date\s+)?(?:time\s+)?gpu\s+pid\b", re.IGNORECASE | re.MULTILINE)
READERS: tuple[LogReader, ...] = (Exports(), Dmon(), SmiTable(), SmiCsv())
"""In the order in which they are asked."""
KNOWN = "gpuwatch import reads: nvidia-smi --query-gpu CSV, nvidia-smi dmon, nvidia-smi tables, exports of gpuwatch"


def detect(path: str, options: ImportOptions, label: str = "", size: int | None = None) -> PastLog:
    """Open a past log (``-``: standard input), its first ``size`` bytes. ``label`` names GPUs without a UUID, else the file's name does.

    :class:`UsageError` if no reader knows the file, or says which option supplies what it lacks.
    """
    source = Source(path, label, size)
    for reader in READERS:
        if reader.reads(source.head, options):
            return reader.open(source, options)
    looks, hint = _looks(source.head)
    raise UsageError(f"{source.name}: {looks}; {KNOWN}", hint)


def _looks(head: str) -> tuple[str, str]:
    """What an unknown file seems to be, in words, and what to try."""
    start = head.lstrip()
    if head.count("\0") > 8 or sum(not c.isprintable() and c not in "\n\r\t" for c in head[:4096]) > 0.1 * len(head[:4096]):
        return "is no text", ""
    if start.startswith(("<?xml", "<nvidia_smi_log")):
        return "looks like nvidia-smi -q -x", ""
    if "NVSMI LOG" in head:
        return "looks like nvidia-smi -q", ""
    if re.match(r'[\[{]\s*(["{}\[\]]|$)', start):
        return "looks like JSON", ""
    first = next((line for line in head.splitlines() if line.strip()), "")
    if not first:
        return "has blank lines only", ""
    if re.match(r"t,(host|gpu_uuid)\b", first):
        return "looks like an export of minutes, hours or days", "export single rows: gpuwatch export --every second"
    if NAMES_OF_PMON.search(head):
        return "looks like nvidia-smi pmon, which says nothing of GPUs", ""
    if re.search(r"\bpid\b", first):
        return "looks like a list of processes (nvidia-smi --query-compute-apps), which says nothing of GPUs", ""
    if first.count(",") >= 1 and not any(_NUMBER(cell) for cell in first.split(",")):
        return f"looks like a CSV file with columns that are not known: {quoted(first, 80)}", "say what they are with --fields"
    rows = [line for line in head.splitlines()[:100] if line.count(",") >= 1 and any(_NUMBER(cell) for cell in line.split(","))]
    if first in rows or len(rows) >= 3:
        return f"looks like a CSV file without a header: {quoted(rows[0], 80)}", _FIELDS
    if _NUMBER(first):
        return f"begins with {quoted(first, 80)}", "if it is one column of numbers, say which with --fields, as power.draw"
    return f"begins with {quoted(first, 80)}", ""


_NUMBER = re.compile(r"\s*[+-]?\d+(?:\.\d+)?\s*(?:%|[A-Za-z]{1,4})?\s*").fullmatch
_FIELDS = "say its columns with --fields, as given to --query-gpu; - for one that is not to be used"
