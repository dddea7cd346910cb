"""One line of a training's log, as what its framework says in it. Nothing here is calculated: what a line does not tell is ``None``."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum

from gpuwatch.dataclass import dataclass
from gpuwatch.text import clean, lazy

MAX_LINE = 8192
"""Characters of a line that are looked at; a longer one is dropped."""
_MAX_NUMBER = 40
_LARGEST = 1e18
"""No count or rate of a training is above it, and all below it can be stored."""
_AFTER_E = tuple("0123456789+-")
_ANSI = lazy("\x1b\\[[0-?]{0,32}[ -/]{0,4}[@-~]")
_STAMP = lazy(r"(\d{4})-(\d\d)-(\d\d)[ T](\d\d):(\d\d):(\d\d)(?:[,.](\d{1,6}))?")
_STAMP_WITHIN = 96
"""Characters from the beginning of a line in which its time is looked for."""


class Kind(StrEnum):
    """What a line reports."""

    TRAIN = "train"
    EVAL = "eval"
    PROGRESS = "progress"
    """A progress bar: how far the training is, and nothing else."""
    END = "end"


class Per(StrEnum):
    """Whose rate a rate is."""

    DEVICE = "device"
    JOB = "job"


class Over(StrEnum):
    """What a rate is a mean over."""

    SINCE_LINE = "since the last line"
    ONE_STEP = "one step"
    SINCE_START = "since the start"


@dataclass(frozen=True, slots=True)
class LogLine:
    """What one line says. ``mfu`` (0 to 1) is the framework's own word, by its own formula and peak, never ours.

    ``step_seconds`` is its time for one step; ``tokens_total`` is named ``tokens_name`` there and is printed as coarsely as
    ``tokens_resolution``; ``written`` is the time that the line itself carries, in seconds without a zone: only differences of it
    mean anything.
    """

    framework: str
    kind: Kind = Kind.TRAIN
    step: int | None = None
    total_steps: int | None = None
    tokens_total: float | None = None
    tokens_resolution: float = 0.0
    tokens_name: str = ""
    tokens_per_second: float | None = None
    tokens_per: Per | None = None
    tokens_over: Over | None = None
    samples_total: float | None = None
    samples_per_second: float | None = None
    samples_over: Over | None = None
    batch_samples: int | None = None
    """Samples of one step of the whole job."""
    step_seconds: float | None = None
    loss: float | None = None
    grad_norm: float | None = None
    mfu: float | None = None
    written: float | None = None


Parse = Callable[[str], LogLine | None]


@dataclass(frozen=True, slots=True)
class Format:
    """How one framework writes: ``parse`` gives what a line says or ``None``. ``marks`` are the texts of which a line must have all of
    one group to be worth parsing while it is not known of which framework a file is. ``needs`` is what a command line has to say
    for tokens to be counted.
    """

    name: str
    title: str
    marks: tuple[tuple[str, ...], ...]
    parse: Parse
    needs: str = ""


def plain(raw: bytes) -> str:
    """A line as harmless text: undecodable bytes replaced, colours and other control characters gone."""
    text = raw.decode("utf-8", "replace")
    if "\x1b" in text:
        text = _ANSI.sub("", text)
    return clean(text.strip(), MAX_LINE)


def number(text: str | None) -> float | None:
    """A finite number, perhaps in quotes, with thousands separators or a unit behind it (``12.5ms``, ``45.2%``, ``3.1/3.0``)."""
    if text is None:
        return None
    text = text.strip().strip("'\"").strip()
    end = 0
    for end, sign in enumerate(text[: _MAX_NUMBER + 1] + " "):
        if not (sign in "0123456789.,+-" or (sign in "eE" and end and text[end + 1 : end + 2] in _AFTER_E)):
            break
    if end > _MAX_NUMBER:
        return None
    try:
        value = float(text[:end].rstrip(",").replace(",", ""))
    except ValueError:
        return None
    return value if abs(value) < _LARGEST else None


def whole(text: str | None) -> int | None:
    """A count: a number that is whole and not negative."""
    value = number(text)
    return int(value) if value is not None and value >= 0 and value == int(value) else None


def positive(text: str | None) -> float | None:
    """A number above zero: of a rate or a time, everything else means that nothing was measured."""
    value = number(text)
    return value if value is not None and value > 0 else None


def share(text: str | None) -> float | None:
    """Percent as a share of one. Frameworks write -100 % or 0 % before they have measured."""
    value = positive(text)
    return None if value is None else value / 100


def stamp(text: str) -> float | None:
    """The time at the beginning of a line in seconds, without a zone."""
    found = _STAMP.search(text[:_STAMP_WITHIN])
    if not found:
        return None
    from datetime import date

    year, month, day, hour, minute, second = (int(part) for part in found.groups()[:6])
    try:
        days = date(year, month, day).toordinal()
    except ValueError:
        return None
    return days * 86400 + hour * 3600 + minute * 60 + second + float(f"0.{found[7] or 0}")


def value_of(text: str, key: str) -> str | None:
    """What stands behind ``key`` up to the next blank; ``key`` must not be the end of a longer word."""
    at = text.find(key)
    while at > 0 and (text[at - 1].isalnum() or text[at - 1] in "_/"):
        at = text.find(key, at + 1)
    if at < 0:
        return None
    behind = text[at + len(key) : at + len(key) + 2 * _MAX_NUMBER].split(None, 1)
    return behind[0] if behind else None


def fields(text: str, between: str = "|", within: str = ":") -> dict[str, str]:
    """``key: value | key: value`` as a mapping; parts without a value are left out."""
    found: dict[str, str] = {}
    for part in text.split(between, 64):
        key, sign, value = part.partition(within)
        if sign:
            found.setdefault(key.strip(), value.strip())
    return found
