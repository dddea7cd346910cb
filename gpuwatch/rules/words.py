"""How rules write numbers, spans and places: the same on the screen, in text and in the store."""

from __future__ import annotations

from collections.abc import Iterable

from gpuwatch.rules.scene import GpuSubject, ProcessSubject

GIB = 1 << 30


def percent(ratio: float | None) -> str:
    """``58%``; an en dash where it is not known."""
    return "–" if ratio is None else f"{100 * ratio:.0f}%"


def span(seconds: float) -> str:
    """``45 s``, ``12 min``, ``3 h 10 min``, ``2 d 4 h``."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    if minutes < 60:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return f"{hours} h {minutes:02d} min" if minutes else f"{hours} h"
    return f"{hours // 24} d {hours % 24} h"


def gib(amount: float | None) -> str:
    """``38 GiB``, one decimal below ten."""
    if amount is None:
        return "–"
    value = amount / GIB
    return f"{value:.1f} GiB" if value < 10 else f"{value:.0f} GiB"


def gpu_hours(seconds: float) -> str:
    """``3.2 GPU·h``."""
    return f"{seconds / 3600:.1f} GPU·h"


def who(process: ProcessSubject) -> str:
    """``PID 4711 (ana, python train.py)``: what is known of it; one of a person who was forgotten has no number."""
    facts = process.facts
    if facts.pid <= 0:
        return f"A process ({facts.user})" if facts.user else "A process"
    known = ", ".join(word for word in (facts.user, (facts.command or facts.name)[:60]) if word)
    return f"PID {facts.pid} ({known})" if known else f"PID {facts.pid}"


def gpus(subjects: Iterable[GpuSubject]) -> str:
    """``GPU 3`` or ``GPUs 2, 3``."""
    numbers = [str(subject.gpu.index) for subject in subjects]
    return f"GPU{'s' if len(numbers) > 1 else ''} {', '.join(numbers)}"
