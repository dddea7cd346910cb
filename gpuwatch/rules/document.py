"""Findings and what rules said last as JSON text, as the store keeps them; and back.

What a newer version added is passed over. JSON is loaded by whoever has a finding: most stores have none.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from gpuwatch.dataclass import NamedTuple, fields
from gpuwatch.names import Basis, Bucket, Cause, Confidence, Severity
from gpuwatch.rules.sound import sound
from gpuwatch.rules.types import Evidence, Finding, NotEvaluated, Standing

_WORDS = {"severity": Severity, "confidence": Confidence, "basis": Basis, "cause": Cause}
_LISTS = ("gpus", "try_first", "wrong_if")
_KNOWN = frozenset(each.name for each in fields(Finding))
_DAMAGED = (ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError)
"""What a text that is none, or that somebody has edited, can lead to."""
_OPEN, _CLEAR, _NOT_EVALUATED = "open", "clear", "not_evaluated"


def finding_text(finding: Finding) -> str:
    """A whole finding as JSON, for ``finding.detail``; words of enumerations are numbers."""
    import json

    document = {each.name: getattr(finding, each.name) for each in fields(Finding)}
    return json.dumps(document, ensure_ascii=False, separators=(",", ":"))


def finding_of(text: str) -> Finding | None:
    """The finding that :func:`finding_text` wrote; ``None`` where the text is none (erased, damaged)."""
    import json

    try:
        found = json.loads(text)
        values = {name: value for name, value in found.items() if name in _KNOWN}
        values |= {name: kind(values[name]) for name, kind in _WORDS.items() if name in values}
        values |= {name: tuple(values[name]) for name in _LISTS}
        values["evidence"] = tuple(Evidence(*each) for each in values["evidence"])
        values["bucket"] = None if values.get("bucket") is None else Bucket(values["bucket"])
        finding = Finding(**values)
        return finding if sound(finding) else None
    except _DAMAGED:
        return None


class Missed(NamedTuple):
    """A rule that could not judge a subject: ``where`` is how people call it ("GPU 3 · alice")."""

    rule: str
    where: str
    signal: str
    enable: str


class Said(NamedTuple):
    """What all rules said last: when, each rule's word (``open``, ``clear``, ``not_evaluated``), and what was missed."""

    t_ms: int
    rules: Mapping[str, str]
    missed: tuple[Missed, ...]


MOST_MISSED = 60
"""What was not judged is told of so many subjects."""


def said_text(t_ms: int, rules: Iterable[str], standings: Iterable[Standing]) -> str:
    """What the rules of an engine said last as JSON, for ``meta`` under :func:`said_key`.

    A rule is open where it holds for one subject, else not evaluated where it missed a signal of one, else clear.
    """
    import json

    rank = (_CLEAR, _NOT_EVALUATED, _OPEN)
    words = dict.fromkeys(rules, 0)
    missed: dict[Missed, None] = {}
    for standing in standings:
        verdict = standing.verdict
        if isinstance(verdict, NotEvaluated):
            missed[Missed(standing.rule, standing.where, verdict.signal, verdict.enable)] = None
        word = 1 if isinstance(verdict, NotEvaluated) else 2 if isinstance(verdict, Finding) else 0
        words[standing.rule] = max(words.get(standing.rule, 0), word)
    document = {"t_ms": t_ms, "rules": {rule: rank[word] for rule, word in words.items()}, "missed": list(missed)[:MOST_MISSED]}
    return json.dumps(document, ensure_ascii=False, separators=(",", ":"))


def said_of(text: str) -> Said | None:
    """What :func:`said_text` wrote; ``None`` where the text is none."""
    import json

    try:
        found: dict[str, Any] = json.loads(text)
        missed = tuple(Missed(*each) for each in found["missed"])
        made = Said(int(found["t_ms"]), dict(found["rules"]), missed)
        texts = (*made.rules, *made.rules.values(), *(text for each in missed for text in each))
        return made if all(isinstance(text, str) for text in texts) else None
    except _DAMAGED:
        return None


def said_key(host_id: int) -> str:
    """The key in ``meta``."""
    return f"advice:{host_id}"


__all__ = ["Missed", "Said", "finding_of", "finding_text", "said_key", "said_of", "said_text"]
