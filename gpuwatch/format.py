"""Numbers as people read them: the only place that knows "%", GiB, W, ages and the glyphs for nothing.

Every function takes base units (ratios 0-1, bytes, watts, seconds, milliseconds) and gives plain text without padding. ``None``
becomes ``–`` (not there, not supported) or ``?`` (no permission), never 0.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta, tzinfo
from functools import lru_cache

from gpuwatch.names import Missing, State

NOTHING = "–"
HIDDEN = "?"
MINUS = "−"
GIB = 1024**3

STATE_WORDS = {
    State.NO_DATA: "no data",
    State.FREE: "free",
    State.QUIET: "quiet",
    State.HELD_IDLE: "HELD IDLE",
    State.UNUSED: "unused",
    State.WAITING: "waiting",
    State.THROTTLED: "throttled",
    State.BUSY: "busy",
    State.UNAVAILABLE: "UNAVAILABLE",
    State.IDLE_UNATTRIBUTED: "idle ?",
}


def glyph(reason: Missing | None = None) -> str:
    """What stands for a missing value: ``?`` for no permission, else ``–``."""
    return HIDDEN if reason is Missing.NO_PERMISSION else NOTHING


def number(value: float | None, decimals: int = 0, reason: Missing | None = None) -> str:
    """``1344.04`` -> ``1 344.0`` with one decimal; thousands are parted by a space."""
    if value is None:
        return glyph(reason)
    text = f"{value:,.{decimals}f}"
    if text.startswith("-"):
        text = text[1:] if not text.strip("-0.,") else MINUS + text[1:]
    return text.replace(",", " ")


def counted(count: int, word: str, ending: str = "s") -> str:
    """``1 GPU``, ``8 GPUs``."""
    return f"{count} {word}{'' if count == 1 else ending}"


def percent(ratio: float | None, decimals: int = 0, reason: Missing | None = None) -> str:
    """``0.873`` -> ``87`` (the sign stands in the column's head)."""
    return number(None if ratio is None else ratio * 100, decimals, reason)


def percent_sign(ratio: float | None, decimals: int = 0, reason: Missing | None = None) -> str:
    """``0.873`` -> ``87%``; a missing value has no sign."""
    return glyph(reason) if ratio is None else percent(ratio, decimals) + "%"


def covered(ratio: float | None, decimals: int = 0) -> str:
    """A part of a whole: ``53 %``, and never all or nothing by rounding alone, but ``>99 %`` and ``<1 %``."""
    if ratio is None:
        return NOTHING
    step = 10.0**-decimals / 100
    mark, shown = ("<", step) if 0 < ratio < step else (">", 1 - step) if 1 - step < ratio < 1 else ("", ratio)
    return f"{mark}{number(shown * 100, decimals)}\xa0%"


def percent_range(low: float | None, high: float | None) -> str:
    """An efficiency: ``30%``, or ``28 to 50%`` where only bounds are known."""
    if low is None or high is None:
        return NOTHING
    first, last = percent(low), percent(high)
    return last + "%" if first == last else f"{first} to {last}%"


def gib(size: float | None, decimals: int = 1, reason: Missing | None = None) -> str:
    """Bytes in GiB: ``71.2``."""
    return number(None if size is None else size / GIB, decimals, reason)


def gib_of(used: float | None, total: float | None, reason: Missing | None = None) -> str:
    """``71.2/80``; without a total (unified memory) only the used part."""
    return gib(used, reason=reason) if total is None else f"{gib(used, reason=reason)}/{gib(total, 0)}"


def watts(power: float | None, reason: Missing | None = None) -> str:
    """``612``."""
    return number(power, 0, reason)


def watts_of(power: float | None, limit: float | None, reason: Missing | None = None) -> str:
    """``612/700``; without a known limit only the power."""
    return watts(power, reason) if limit is None else f"{watts(power, reason)}/{watts(limit)}"


def power_sum(power: float | None) -> str:
    """Power of a host with its unit: ``612 W``, ``2.89 kW``."""
    if power is None:
        return NOTHING
    return f"{power / 1000:.2f} kW" if power >= 1000 else f"{power:.0f} W"


def celsius(temperature: float | None, reason: Missing | None = None) -> str:
    """``64``."""
    return number(temperature, 0, reason)


def megahertz(hertz: float | None, reason: Missing | None = None) -> str:
    """``1395``: clocks have no thousands space, as every vendor prints them."""
    return glyph(reason) if hertz is None else f"{hertz / 1e6:.0f}"


def megabytes_per_second(rate: float | None, reason: Missing | None = None) -> str:
    """Bytes per second in decimal MB/s: ``108``."""
    return number(None if rate is None else rate / 1e6, 0, reason)


def size(count: float | None) -> str:
    """A file's or memory's size with its unit: ``512 B``, ``37.0 KiB``, ``1.2 GiB``."""
    if count is None:
        return NOTHING
    if count < 1024:
        return f"{count:.0f} B"
    for unit in ("KiB", "MiB", "GiB"):
        count /= 1024
        if count < 1024:
            return f"{count:.1f} {unit}"
    return f"{count / 1024:.1f} TiB"


def rate(value: float | None) -> str:
    """Tokens or images a second in three digits: ``272``, ``1.26k``, ``13.7k``, ``2.10M``."""
    if value is None:
        return NOTHING
    if value < 999.5:
        return f"{value:.0f}" if value >= 99.5 or value == int(value) else f"{value:.1f}"
    for suffix in ("k", "M"):
        value /= 1000
        if value < 999.5:
            return f"{value:.{2 if value < 9.995 else 1 if value < 99.95 else 0}f}{suffix}"
    return f"{value / 1000:.3g}G"


def latency(seconds: float | None, reason: Missing | None = None) -> str:
    """A waiting time in three digits: ``4.2 ms``, ``412 ms``, ``12.4 s``, ``132 s``."""
    if seconds is None:
        return glyph(reason)
    if seconds < 0.9995:
        return number(seconds * 1000, 1 if 0 < seconds < 0.00995 else 0) + " ms"
    return number(seconds, 1 if seconds < 99.95 else 0) + " s"


def gpu_hours(milliseconds: float | None, decimals: int = 1) -> str:
    """GPU time in GPU·h without the unit: ``116.3``."""
    return number(None if milliseconds is None else milliseconds / 3_600_000, decimals)


def kilowatt_hours(millijoules: float | None) -> str:
    """Energy in kWh without the unit: ``12.4``."""
    return number(None if millijoules is None else millijoules / 3.6e9, 1)


def gpus(amount: float | None) -> str:
    """Waste of a process or a GPU in GPUs: ``0.58``; exactly nothing is ``0``."""
    return number(amount, 0 if amount == 0 else 2)


def gpus_lost(amount: float | None) -> str:
    """Waste of a finding: ``−1.2``, below a tenth ``<0.1``."""
    if amount is None:
        return NOTHING
    return "<0.1" if 0 < amount < 0.05 else number(-amount, 1)


# ---------------------------------------------------------------------------------------------------------------- time


def age(seconds: float | None, reason: Missing | None = None) -> str:
    """``2:51:09``, from one day ``1d 03:10``."""
    if seconds is None:
        return glyph(reason)
    total = max(0, int(seconds))
    days, rest = divmod(total, 86_400)
    hours, minutes = rest // 3600, rest // 60 % 60
    return f"{days}d {hours:02}:{minutes:02}" if days else f"{hours}:{minutes:02}:{rest % 60:02}"


def age_short(seconds: float | None, reason: Missing | None = None) -> str:
    """For narrow screens: ``2:51`` (hours and minutes), from 100 hours ``9d 11h``."""
    if seconds is None:
        return glyph(reason)
    hours, rest = divmod(max(0, int(seconds)), 3600)
    return f"{hours}:{rest // 60:02}" if hours < 100 else f"{hours // 24}d {hours % 24}h"


def duration(seconds: float) -> str:
    """A length in words, the two largest units: ``18 s``, ``12 min``, ``1 h 12 min``, ``2 d 3 h``, from ten days ``31 d``."""
    total = max(0, int(seconds))
    if total < 60:
        return f"{total} s"
    if total < 3600:
        return f"{total // 60} min"
    hours, minutes = total // 3600, total // 60 % 60
    if hours < 24:
        return f"{hours} h {minutes} min" if minutes else f"{hours} h"
    days, hours = divmod(hours, 24)
    return f"{days} d {hours} h" if hours and days < 10 else f"{days} d"


def lasted(seconds: float) -> str:
    """How long something goes on that may never end: ``312 s``; from ten minutes on as :func:`duration`, ``11 h 51 min``."""
    return f"{int(seconds)} s" if seconds < 600 else duration(seconds)


def about(seconds: float) -> str:
    """The length of a window, to the nearest minute from one on: ``10 s``, ``5 min`` for 296 s."""
    return duration(seconds if seconds < 60 else round(seconds / 60) * 60)


def minutes_seconds(seconds: float) -> str:
    """The length of a quiet run: ``3:10``; from an hour on as an age."""
    total = max(0, int(seconds))
    return f"{total // 60}:{total % 60:02}" if total < 3600 else age(total)


def stale(seconds: float) -> str:
    """What stands behind a value that is too old: ``stale 7 s``."""
    return f"stale {duration(seconds)}"


def _at(ms: int, tz: tzinfo | None) -> datetime:
    return datetime.fromtimestamp(ms / 1000, tz)


def clock(ms: int, tz: tzinfo | None = None) -> str:
    """``14:32:07`` in ``tz`` (``None``: the zone of the system)."""
    return _at(ms, tz).strftime("%H:%M:%S")


def clock_minute(ms: int, tz: tzinfo | None = None) -> str:
    """``14:32`` in ``tz``."""
    return _at(ms, tz).strftime("%H:%M")


WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
"""Fixed English names: a locale must not move a column."""


def weekday_clock(ms: int, tz: tzinfo | None = None) -> str:
    """``Fri 14:32:07`` in ``tz``."""
    moment = _at(ms, tz)
    return f"{WEEKDAYS[moment.weekday()]} {moment:%H:%M:%S}"


def since(ms: int, now_ms: int, tz: tzinfo | None = None) -> str:
    """Local clock time, with the weekday if not today, with the date if older than six days: ``14:11``, ``Thu 16:20``."""
    moment, now = _at(ms, tz), _at(now_ms, tz)
    if moment.date() == now.date():
        return f"{moment:%H:%M}"
    if abs(now - moment) < timedelta(days=6):
        return f"{WEEKDAYS[moment.weekday()]} {moment:%H:%M}"
    return f"{moment:%Y-%m-%d %H:%M}"


def state_word(state: State, quiet_seconds: float = 0.0) -> str:
    """The word of a GPU's row; a young quiet run shows its length: ``quiet 3:10``."""
    return f"quiet {minutes_seconds(quiet_seconds)}" if state is State.QUIET and quiet_seconds >= 1 else STATE_WORDS[state]


# ------------------------------------------------------------------------------------------------------ shares and text


def shares(values: Sequence[float], total: int = 100) -> list[int]:
    """Whole numbers that sum to ``total``, by largest remainder; ties go to the part that stands first; all 0 if nothing is."""
    whole = sum(values)
    if whole <= 0:
        return [0] * len(values)
    exact = [value * total / whole for value in values]
    out = [int(value) for value in exact]
    order = sorted(range(len(out)), key=lambda i: (-round(exact[i] - out[i], 9), i))
    for i in order[: total - sum(out)]:
        out[i] += 1
    return out


@lru_cache(maxsize=64)
def short_model(name: str) -> str:
    """A GPU's name for a header: ``NVIDIA H100 80GB HBM3`` -> ``H100 80GB``."""
    words = [word for word in name.split() if word not in ("NVIDIA", "GeForce") and not word.startswith("HBM")]
    return " ".join(words) or name


def gpu_summary(names: Iterable[str]) -> str:
    """``8 × H100 80GB``, ``4 × A100-SXM4-40GB + 1 × T4``, ``8 GPUs`` where a log does not name them, ``no GPU``."""
    counts: dict[str, int] = {}
    for name in names:
        counts[short_model(name)] = counts.get(short_model(name), 0) + 1
    return " + ".join(f"{count} × {name}" if name else counted(count, "GPU") for name, count in counts.items()) or "no GPU"


def cells(text: str) -> int:
    """How many terminal cells ``text`` takes (wide East Asian characters take two, combining marks none)."""
    if text.isascii():
        return len(text)
    from unicodedata import combining, east_asian_width

    return sum(0 if combining(char) else 2 if east_asian_width(char) in "WF" else 1 for char in text)


def cut(text: str, width: int) -> str:
    """``text`` in at most ``width`` cells, ``…`` as its last character when something was cut."""
    if cells(text) <= width:
        return text
    if width < 1:
        return ""
    out, used = [], 0
    for char in text:
        step = cells(char)
        if used + step > width - 1:
            break
        out.append(char)
        used += step
    return "".join(out) + "…"


def left(text: str, width: int) -> str:
    """Cut or padded to exactly ``width`` cells, text at the left."""
    text = cut(text, width)
    return text + " " * (width - cells(text))


def right(text: str, width: int) -> str:
    """Padded to ``width`` cells, text at the right; never cut: a number that does not fit is better too wide than wrong."""
    return " " * (width - cells(text)) + text
