"""Lines of styled text that know their width: blocks are made of them, put beside each other, and rendered once."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from gpuwatch.format import cells, cut
from gpuwatch.report.ink import Look

_THOUSANDS = re.compile(r"(?<=\d) (?=\d{3}(?!\d))")
"""The space in a large number."""
Segment = tuple[str, str]
"""(text, style)."""
Line = list[Segment]
Block = list[Line]
GAP = 2


def line(*parts: str | Segment) -> Line:
    """A line of texts, plain or with a style."""
    return [(part, "") if isinstance(part, str) else part for part in parts if part]


def size(of: Line) -> int:
    """Cells that a line takes."""
    return sum(cells(text) for text, _ in of)


def fit(of: Line, width: int) -> Line:
    """The line in at most ``width`` cells: only a foreign name can make it longer, and is cut."""
    out, left = Line(), width
    for text, style in of:
        text = cut(text, left)
        if text:
            out.append((text, style))
        left -= cells(text)
    return out


def padded(of: Line, width: int) -> Line:
    """Exactly ``width`` cells."""
    of = fit(of, width)
    return [*of, (" " * (width - size(of)), "")]


def head(title: str, width: int, note: str = "") -> Line:
    """A block's title in a rule: ``── Title ───── note``."""
    tail = f" {note}" if note else ""
    if cells(title) + cells(tail) + 6 > width:
        tail = ""
    rule = max(1, width - 4 - cells(title) - cells(tail))
    return line(("── ", "accent"), (title, "accent"), (" " + "─" * rule, "dim"), (tail, "dim"))


def beside(left: Block, right: Block, width: int) -> Block:
    """Two blocks in two columns of ``width`` cells."""
    rows = max(len(left), len(right))
    pairs = zip([*left, *[Line()] * (rows - len(left))], [*right, *[Line()] * (rows - len(right))], strict=True)
    return [[*padded(a, width + GAP), *fit(b, width)] for a, b in pairs]


def wrapped(text: str, width: int, *, indent: int = 0, first: str = "", style: str = "") -> Block:
    """Words in as many lines as they need; no-break spaces hold words together; a word that is too long for a line is divided."""
    out, now = list[Line](), first
    room = width - indent
    for word in _words(_THOUSANDS.sub("\xa0", text), room):
        if now.strip() and cells(now) + 1 + cells(word) > width:
            out.append(line((now, style)))
            now = ""
        if not now:
            now = " " * indent + word
        else:
            now += word if now.endswith(" ") and not now[:-1].strip() else (" " if not now.endswith(" ") else "") + word
    return [*out, line((now, style))] if now.strip() or not out else out


def _words(text: str, room: int) -> Iterable[str]:
    for word in text.split(" "):
        while cells(word) > room:
            part = cut(word, room + 1)[:-1] or word[:1]
            yield part
            word = word[len(part) :]
        if word:
            yield word


def spread(left: Line, right: Line, width: int) -> Line:
    """One text at the left, one at the right edge."""
    space = width - size(left) - size(right)
    return [*left, (" " * space, ""), *right] if space >= 2 else fit(left, width)


def rendered(blocks: Sequence[Block], width: int, look: Look) -> str:
    """The text of all blocks with an empty line between them, no line over ``width``."""
    texts = ["\n".join(_rendered(each, width, look) for each in block) for block in blocks if block]
    return "\n\n".join(texts) + "\n"


def _rendered(of: Line, width: int, look: Look) -> str:
    parts = [(look.plain(text), style) for text, style in fit(of, width)]
    while parts and not parts[-1][0].strip() and parts[-1][1] != "badge":
        parts.pop()
    if parts:
        text, style = parts[-1]
        parts[-1] = (text.rstrip() if style != "badge" else text, style)
    return "".join(look.paint(text, style) for text, style in parts if text)
