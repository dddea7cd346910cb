"""The manual page of a rule as plain text: what it means, its limits and how to change them. For ``explain``, the screen and docs."""

from __future__ import annotations

from collections.abc import Mapping
from inspect import cleandoc

from gpuwatch.rules.catalogue import GROUPS, RULES
from gpuwatch.rules.rule import Rule
from gpuwatch.rules.words import span

GROUP_TITLES = {
    "idle": "Idle and abandoned",
    "host": "Input and host",
    "compute": "Compute",
    "memory": "Memory",
    "balance": "Communication and balance",
    "hardware": "Hardware, power, heat",
    "serving": "Inference serving",
    "sizing": "Right-sizing",
    "experiments": "Experiments",
    "cost": "Cost and energy",
}
_ABOUT = {"gpu": "each GPU", "job": "each job", "host": "the host"}


def groups() -> list[tuple[str, list[Rule]]]:
    """(title, rules) in the order of the catalogue; groups without a rule are left out."""
    found = [(group.__name__.rpartition(".")[2], list(group.RULES)) for group in GROUPS]
    return [(GROUP_TITLES.get(name, name), rules) for name, rules in found if rules]


def summary(rule: Rule) -> str:
    """The first sentence of its page."""
    return cleandoc(rule.manual).split("\n\n")[0].replace("\n", " ").rstrip(".")


def find(word: str) -> Rule | None:
    """A rule by its id, or by its number in the catalogue (``A2``)."""
    return RULES.get(word) or next((rule for rule in RULES.values() if rule.code.lower() == word.lower()), None)


def page(rule: Rule, overrides: Mapping[str, float] | None = None) -> str:
    """The whole page; ``overrides``: limits in force in place of the defaults, ``{"rule.limit": value}``."""
    out = [f"{rule.id} ({rule.code})", "", *reflowed(cleandoc(rule.manual).replace("``", "")), ""]
    told = "; ".join(facts(rule))
    out += [told[0].upper() + told[1:] + "."]
    if rule.limits:
        out += ["", "Limits:", *_limits(rule, overrides or {})]
        key = f"{rule.id}.{rule.limits[0].name}"
        out += ["", "Change one in config.toml:", "  [rules.limits]", f'  "{key}" = {rule.limits[0].default:g}']
        out += ["Try it first on what is recorded:", f"  gpuwatch check --what-if {key}={rule.limits[0].default:g}"]
    return "\n".join(out) + "\n"


def facts(rule: Rule) -> list[str]:
    """What it judges, how loud and how sure it may be, what it looks back over, what it explains."""
    known = [
        f"judges {_ABOUT[rule.about]}",
        f"up to {rule.severity.label}",
        f"{rule.confidence.label} confidence",
        f"looks back {span(rule.window)}" if rule.window else "looks at what is now",
    ]
    known += [f"explains {rule.bucket.label.replace('_', ' ')}"] if rule.bucket is not None else []
    known += [] if rule.on else ["off unless the configuration turns it on"]
    return known


def reflowed(text: str) -> list[str]:
    """Lines of sentences: a line that goes on in the next one is joined with it."""
    out: list[str] = []
    for text_line in text.splitlines():
        if out and out[-1] and text_line and not text_line.startswith(" ") and not out[-1].endswith((".", ":")):
            out[-1] += f" {text_line}"
        else:
            out.append(text_line)
    return out


def _limits(rule: Rule, overrides: Mapping[str, float]) -> list[str]:
    out = []
    for limit in rule.limits:
        other = overrides.get(f"{rule.id}.{limit.name}")
        value = f"{limit.default:.10g} {limit.unit}" + ("" if other is None else f", here {other:.10g}")
        out.append(f"  {limit.name}: {value}, {limit.help} ({limit.source})")
    return out
