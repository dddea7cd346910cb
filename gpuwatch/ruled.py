"""What people say of rules: the configuration, checked against the catalogue (a name that nobody knows is one clear line), and mutes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from gpuwatch.errors import StoreError, UsageError, nearest

if TYPE_CHECKING:
    from pathlib import Path

    from gpuwatch.recorder.advice_settings import AdviceSettings
    from gpuwatch.rules.types import Mute
    from gpuwatch.settings import InferenceSettings, RulesSettings
    from gpuwatch.store.replay_rules import Terms


def checked_limits(limits: Mapping[str, float], where: str) -> Mapping[str, float]:
    """The same limits. Raises :class:`UsageError` for one that no rule has, or a value that none can have."""
    if not limits:
        return limits
    from gpuwatch.rules.catalogue import LIMITS, RULES

    for key, value in limits.items():
        if key not in LIMITS:
            raise UsageError(f"{where}: {_unknown(key, LIMITS, RULES)}")
        if not 0 <= value < float("inf"):
            raise UsageError(f"{where}: {key} = {value:g} is no limit: a number of 0 or more")
    return limits


def _unknown(key: str, limits: Iterable[str], rules: Iterable[str]) -> str:
    rule, _, name = key.partition(".")
    own = [each for each in limits if each.startswith(f"{rule}.")]
    if own:
        known = ", ".join(each.partition(".")[2] for each in own)
        return f"rule '{rule}' has no limit '{name}'; it has: {known}"
    if rule in rules:
        return f"rule '{rule}' has no limits"
    return f"no rule has a limit '{key}'{near(key if name else rule, limits if name else rules)}"


def near(word: str, known: Iterable[str]) -> str:
    """The nearest known word, or where all of them stand: there are too many rules to list them in one line."""
    found = nearest(word, known)
    return found if found.startswith("; did") else "; gpuwatch explain lists all rules"


def checked_rules(names: Sequence[str], where: str) -> None:
    """Raises :class:`UsageError` for a rule that there is not."""
    if not names:
        return
    from gpuwatch.rules.catalogue import RULES

    for name in names:
        if name not in RULES:
            raise UsageError(f"{where}: there is no rule '{name}'{near(name, RULES)}")


def advice_settings(rules: RulesSettings, sources: Mapping[str, str], inference: InferenceSettings | None = None) -> AdviceSettings:
    """What the advisor is given. Raises :class:`UsageError` for a rule or a limit that there is not."""
    from gpuwatch.recorder.advice_settings import AdviceSettings

    def where(key: str) -> str:
        return f"{sources.get(f'rules.{key}', 'config')}: rules.{key}"

    for key in ("off", "on"):
        checked_rules(getattr(rules, key), where(key))
    both = sorted(set(rules.off) & set(rules.on))
    if both:
        raise UsageError(f"{where('on')}: rule '{both[0]}' is in rules.off, too", "leave it in one of them")
    return AdviceSettings(
        enabled=rules.enabled,
        reserve=tuple(str(each) for each in rules.reserve),
        off=rules.off,
        on=rules.on,
        limits={**_fast_enough(inference, sources), **checked_limits(rules.limits, where("limits"))},
        patience_seconds=rules.patience_seconds,
        effect_seconds=round(rules.effect_seconds),
    )


def _fast_enough(inference: InferenceSettings | None, sources: Mapping[str, str]) -> dict[str, float]:
    """What somebody has said is fast enough holds for the rule about it too; what nobody has said is the rule's own."""
    named = (("ttft_seconds", "ttft_seconds"), ("itl_seconds", "itl_seconds"), ("target_ratio", "percentile"))
    told = [(own, limit) for own, limit in named if f"inference.{own}" in sources]
    return {f"latency-slo-miss.{limit}": float(getattr(inference, own)) for own, limit in told} if inference else {}


def manual_of(rule: str, limits: Mapping[str, float]) -> str:
    """The manual page of a rule; empty for one that there is not."""
    from gpuwatch.rules.manual import find, page

    found = find(rule)
    return "" if found is None else page(found, limits)


def keep_mute(path: Path, mute: Mute, now_ms: int, *, lift: bool = False) -> int:
    """Keep a mute in the store (its id), or lift all that speak of the same (how many). Raises :class:`StoreError`."""
    from gpuwatch.store import mutes
    from gpuwatch.store.beside import open_beside
    from gpuwatch.store.window import Window

    with Window(path) as window:
        host_id = window.host_id
    if not host_id:
        raise StoreError(f"nothing was ever recorded in {path}", "start a recorder with: gpuwatch record")
    with open_beside(path) as db:
        if lift:
            return mutes.lift(db, host_id, mute.rule, mute.subject, mute.command, now_ms)
        return mutes.add(db, host_id, mute, now_ms)


def replay_terms(advice: AdviceSettings) -> Terms:
    """The same as who judges rows once more takes it."""
    from gpuwatch.store.replay_rules import Terms

    return Terms(
        advice.limits,
        advice.judges,
        lambda gpu: advice.reserves(gpu.index, gpu.uuid),
        advice.patience_seconds,
    )
