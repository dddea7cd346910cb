"""docs/rules.md: the pages of all rules by group, their limits as tables, and the sources that they name."""

from __future__ import annotations

import re
from inspect import cleandoc

from gpuwatch.rules.limits import Limit
from gpuwatch.rules.manual import facts, groups, reflowed, summary
from gpuwatch.rules.references import SOURCES
from gpuwatch.rules.rule import Rule

_HEAD = """\
# The rules

Made from `gpuwatch/rules`; do not edit. [waste.md](waste.md) says how a finding is read, muted and checked; `gpuwatch explain RULE` prints
a page of this file with the limits in force. A rule says *finding*, *clear*, or *not evaluated* and which signal is missing. A finding
is told when a rule holds at two looks after each other, and not in the first five minutes of a process (except of hardware, of free GPUs,
of a first step and of a run's end).

The phase says how a rule was tried: rules of phase 1 that warn are tried on a corpus of stories ([accuracy.md](accuracy.md)), the others
by unit tests. Limits have a source: `vendor` is a manual or a tool of a vendor, `study` published measurements, `pragmatic` ours; S1 and the
like are listed at the end."""
_LABEL = re.compile(r"^(Waste|Try|Gain|May be wrong if|Sources|Fires when|Clears when)\b:?")


def rules_document() -> str:
    """The whole document."""
    parts = [_HEAD, _contents()]
    for title, rules in groups():
        parts += [f"## {title}", *(_rule(rule) for rule in rules)]
    parts += ["## Sources", "\n".join(f"- **{name}** {text}" for name, text in SOURCES.items())]
    return "\n\n".join(parts) + "\n"


def _contents() -> str:
    lines = ["| rule | what it says | up to | phase |", "|---|---|---|---:|"]
    for title, rules in groups():
        lines.append(f"| **{title}** | | | |")
        lines += [
            f"| {rule.code} [{rule.id}](#{rule.id}) | {summary(rule)} | {rule.severity.label} | {rule.phase} |" for rule in rules
        ]
    return "\n".join(lines)


def _rule(rule: Rule) -> str:
    told = f"{'; '.join([rule.code, *facts(rule), f'phase {rule.phase}'])}."
    parts = [f"### {rule.id}", told, _page(rule)]
    return "\n\n".join([*parts, _limits(rule.limits)] if rule.limits else parts)


def _page(rule: Rule) -> str:
    """Its manual page: each sentence that begins with a label becomes a paragraph of its own."""
    out = list[str]()
    for line in reflowed(cleandoc(rule.manual).replace("``", "`")):
        found = _LABEL.match(line)
        text = line if found is None else f"**{found[0]}**{line[found.end() :]}"
        if found is not None and out and out[-1]:
            out.append("")
        out.append(text)
    return "\n".join(out)


def _limits(limits: tuple[Limit, ...]) -> str:
    lines = ["| limit | default | unit | meaning | source |", "|---|---:|---|---|---|"]
    lines += [f"| `{one.name}` | {one.default:.10g} | {one.unit} | {one.help} | {one.source} |" for one in limits]
    return "\n".join(lines)
