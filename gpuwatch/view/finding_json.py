"""What rules say as JSON: findings, what came of them, what was not judged. ``gpuwatch status``, ``waste`` and ``check`` share it."""

from __future__ import annotations

from collections.abc import Sequence

from gpuwatch.names import Severity
from gpuwatch.view.check_types import CheckView
from gpuwatch.view.finding_types import FindingView, WasteView
from gpuwatch.view.json_parts import SCHEMA, Field, Json, object_of, objects, plain

EVIDENCE = plain(
    ("what", "string", "The fact"),
    ("measured", "string", "Its value, as people read it"),
    ("limit", "string", "The limit that it passed; – where there is none"),
    ("source", "string", "Where the value comes from"),
)
FINDING = (
    *plain(
        ("finding_id", "integer", "Number of the finding in the store; 0 where it is not stored"),
        ("rule", "string", "Rule (gpuwatch explain RULE)"),
        ("name", "string", "The rule's finding in two to four words"),
        ("title", "string", "The fact, with a number"),
        ("severity", "string", "info, notice, warning or critical"),
        ("confidence", "string", "low, medium or high: how often a finding of this kind is right"),
        ("basis", "string", "What the amount rests on: measured, inferred (an upper bound) or proxy (a band)"),
        ("bucket", "string|null", "Bucket of the ledger that it explains, null for none"),
        ("subject", "string", "What it is about: gpu:UUID, job:ROOTPID:START:PORT or host"),
    ),
    Field("gpu_indices", "array:integer", "GPUs", lambda f: list(f.gpu_indices)),
    *plain(
        ("user", "string", "User, empty if not known"),
        ("command", "string", "Command line, redacted; empty if none is meant"),
    ),
    Field("pids", "array:integer", "Processes, if some are meant", lambda f: list(f.pids)),
    *plain(
        ("waste_gpus", "number|null", "GPUs wasted now; null: no amount. Findings overlap: never add them up"),
        ("since_ms", "integer", "Since when the fact holds, unix milliseconds"),
        ("last_ms", "integer|null", "When it held last, unix milliseconds"),
        ("cost_gpu_seconds", "number|null", "GPU time that it has cost so far"),
        ("cost_energy_joules", "number|null", "Energy of that time"),
        ("cost_money", "number|null", "What that cost; null without a price"),
        ("currency", "string", "Its currency, empty without a price"),
        ("evidence", "string", "The evidence in one line"),
        ("advice", "string", "What to try first"),
        ("how", "string", "How the amount is computed"),
    ),
    Field("try_first", "array:string", "Commands or lines of code, the first to try first", lambda f: list(f.try_first)),
    *plain(
        ("then", "string", "What to try after it, may be empty"),
        ("gain", "string", "What to expect of it"),
        ("gain_source", "string", "Where that comes from"),
    ),
    Field("wrong_if", "array:string", "When the finding is wrong", lambda f: list(f.wrong_if)),
    *plain(
        ("muted", "boolean", "Whether somebody does not want to be told"),
        ("sql", "string", "A query of the public views that gives the number; may be empty"),
    ),
)
RESOLVED = (
    *plain(
        ("rule", "string", "Rule"),
        ("name", "string", "Its finding in two to four words"),
        ("user", "string", "User, empty if not known"),
    ),
    Field("gpu_indices", "array:integer", "GPUs", lambda r: list(r.gpu_indices)),
    *plain(
        ("ended_ms", "integer", "When it cleared, unix milliseconds"),
        ("effect", "string", "What came of it, or why that was not measured"),
        ("saved_gpus", "number|null", "GPUs less wasted than before (below 0: more); null: not measured"),
        ("before_ratio", "number|null", "Share of its bucket in the 30 minutes before it cleared"),
        ("after_ratio", "number|null", "The same in the 30 minutes after"),
        ("cost_gpu_seconds", "number|null", "GPU time that it had cost"),
    ),
)
NOT_EVALUATED = plain(
    ("rule", "string", "Rule"),
    ("where", "string", "Which GPU or job"),
    ("signal", "string", "What is missing"),
    ("enable", "string", "The command or setting that would give it, empty if nothing would"),
)
RULES = plain(
    ("rules", "integer", "Rules that judge"),
    ("rules_open", "integer", "Those with an open finding"),
    ("rules_clear", "integer", "Those that hold for nothing"),
    ("rules_not_evaluated", "integer", "Those that missed a signal"),
)
SEVERITIES = tuple(reversed(Severity))


def finding_json(finding: FindingView) -> Json:
    """One finding."""
    return {**object_of(FINDING, finding), "facts": objects(EVIDENCE, finding.facts)}


def findings_json(findings: Sequence[FindingView]) -> list[Json]:
    """A list of them, in their order."""
    return [finding_json(finding) for finding in findings]


def counts_json(findings: Sequence[FindingView]) -> Json:
    """How many of each severity."""
    return {each.label: sum(finding.severity is each for finding in findings) for each in SEVERITIES}


def waste_json(waste: WasteView) -> Json:
    """The part of a document that rules fill."""
    return {
        "findings": findings_json(waste.findings),
        "muted": findings_json(waste.muted),
        "resolved": objects(RESOLVED, waste.resolved),
        "not_evaluated": objects(NOT_EVALUATED, waste.not_evaluated),
        "rules_known": waste.known,
        **object_of(RULES, waste),
    }


def check_document(check: CheckView, *, made_ms: int) -> Json:
    """The document of ``gpuwatch check --json``."""
    from gpuwatch.view.json import iso

    findings = [{**finding_json(one), "ended_ms": check.ended.get(one.finding_id)} for one in check.findings]
    return {
        "schema": SCHEMA,
        "kind": "check",
        "simulated": check.simulated,
        "generated_at": iso(made_ms),
        "host": check.host,
        "since": check.start_ms / 1000,
        "until": check.end_ms / 1000,
        "fail_on": check.fail_on.label,
        "failed": check.failed,
        "replayed": check.replayed,
        "counts": counts_json(check.findings),
        "muted": check.muted,
        "findings": findings,
        "limits": [{"limit": key, "present": was, "tried": value} for key, (was, value) in check.limits.items()],
        "findings_by_present_limits": findings_json(check.before) if check.limits else None,
    }
