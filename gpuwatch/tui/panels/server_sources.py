"""Where each number of an inference server comes from, and how it is counted; on high screens."""

from __future__ import annotations

from gpuwatch.names import Quality
from gpuwatch.tui.draw.frame import box
from gpuwatch.tui.draw.line import Sheet, cut
from gpuwatch.tui.state import Context
from gpuwatch.view.inference_types import InferenceView

COUNTED = {Quality.EXACT: "counted", Quality.ESTIMATED: "estimated", Quality.AT_END: "at the end"}
NAMES = {"ttft": "time to first token", "itl": "between tokens", "e2e": "whole request", "queue": "queue time"}
PARTS = {"_count_total": "count", "_sum_seconds": "sum"}
"""What a server without buckets tells of a waiting time."""


def fields_of(server: InferenceView) -> list[str]:
    """The fields whose source is known, in the order in which the server's table has them."""
    return [field for field in server.quality if server.source.get(field)]


def rows_needed(context: Context, server: InferenceView) -> int:
    """Rows of the panel with its border; 0 where there is nothing to tell."""
    count = len(fields_of(server))
    return -(-count // columns_of(context)) + 2 if count else 0


def columns_of(context: Context) -> int:
    """Columns of fields side by side."""
    return 2 if context.width >= 160 else 1


def name_of(field: str) -> str:
    """``output_tokens_total`` -> ``output tokens``, ``itl_sum_seconds`` -> ``between tokens, sum``."""
    for ending, word in PARTS.items():
        if field.removesuffix(ending) in NAMES:
            return f"{NAMES[field.removesuffix(ending)]}, {word}"
    return NAMES.get(field) or field.removesuffix("_total").removesuffix("_ratio").replace("_", " ").replace("kv ", "KV ")


def draw_sources(sheet: Sheet, context: Context, server: InferenceView, top: int, rows: int) -> None:
    """The boxed panel over the whole width: field, how it is counted, the family that gives it."""
    look = context.look
    note = "" if server.verified else "unverified: this engine's page was never seen by those who wrote its table"
    box(sheet, top, top + rows - 1, "Where its numbers come from", note=[(note, look.amber)] if note else ())
    fields, inside, columns = fields_of(server), rows - 2, columns_of(context)
    width = (context.width - 4) // columns
    for place, field in enumerate(fields[: inside * columns]):
        y, x = top + 1 + place % inside, 2 + width * (place // inside)
        quality = server.quality[field]
        sheet.put(y, x, cut(name_of(field), 22), look.fg)
        sheet.put(y, x + 23, COUNTED[quality], look.dim if quality is Quality.EXACT else look.style("waiting"))
        sheet.put(y, x + 35, cut(server.source[field], width - 37), look.dim)
