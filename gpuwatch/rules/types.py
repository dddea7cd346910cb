"""What a rule says: ``Finding``, ``Clear`` or ``NotEvaluated``. Plain values, without a clock and without a store."""

from __future__ import annotations

from gpuwatch.dataclass import NamedTuple, dataclass, field
from gpuwatch.names import Basis, Bucket, Cause, Confidence, Severity


class Evidence(NamedTuple):
    """One measured fact: ``what`` it is, the value and the limit as people read them, and where the value comes from."""

    what: str
    measured: str
    limit: str = "–"
    source: str = ""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that holds now: a fact with a number, why it is believed, what it costs, what to try.

    ``title`` is the fact as one sentence with a number; ``name`` two to four words for a list ("waits for input"). ``waste_gpus``
    is what it wastes now, in GPUs (``None``: no amount). ``since_ms`` and ``cost_gpu_seconds`` are given where the rule knows since
    when the fact holds and what it has cost by then; else the engine counts from the start of the rule's window. ``measured`` is the
    number behind the first evidence, 0 to 1 where it is a share, for its course over time. ``sql`` reproduces the number from the
    public views. ``cause`` names why the GPUs wait, for the ledger's unexplained time; ``gpus`` are gpu_ids.
    """

    name: str
    title: str
    severity: Severity
    confidence: Confidence
    basis: Basis
    evidence: tuple[Evidence, ...]
    gpus: tuple[int, ...]
    waste_gpus: float | None
    how: str
    """How the amount is computed, in one or two sentences."""
    try_first: tuple[str, ...]
    """Commands or lines of code, the first to try first."""
    then: str
    """What to try after it, in one line; may be empty."""
    gain: str
    """What to expect; begins with "up to" unless ``basis`` is MEASURED."""
    gain_source: str
    wrong_if: tuple[str, ...]
    bucket: Bucket | None = None
    """The bucket of the ledger that it explains, and that is compared before and after it clears."""
    cause: Cause = Cause.NONE
    measured: float | None = None
    since_ms: int | None = None
    cost_gpu_seconds: float | None = None
    sql: str = ""


@dataclass(frozen=True, slots=True)
class Clear:
    """The rule has looked and it does not hold. ``why`` where it does not apply at all ("no NVLink on this GPU")."""

    why: str = ""


@dataclass(frozen=True, slots=True)
class NotEvaluated:
    """A signal is missing: which one, and the command or setting that would give it (empty: nothing would)."""

    signal: str
    enable: str = ""


Verdict = Finding | Clear | NotEvaluated
CLEAR = Clear()


@dataclass(frozen=True, slots=True)
class Mute:
    """Findings that somebody does not want to be told: of one rule, on one subject or of one command line; empty means any."""

    rule: str
    subject: str = ""
    command: str = ""
    until_ms: int | None = None
    reason: str = ""


@dataclass(slots=True)
class OpenFinding:
    """A finding over its time. ``subject`` names what it is about (``gpu:UUID``, ``job:ROOTPID:START:PORT``, ``host``)."""

    rule: str
    subject: str
    finding: Finding
    started_ms: int
    raised_ms: int
    last_ms: int
    workload_id: int = 0
    proc_id: int = 0
    command: str = ""
    cost_gpu_seconds: float = 0.0
    ended_ms: int | None = None
    muted: bool = False
    finding_id: int = 0
    """Given by whoever stores it; 0 until then."""


class Change(NamedTuple):
    """What the engine tells: ``opened``, ``grown`` (once a minute), ``cleared``, ``muted``, ``unmuted``."""

    what: str
    finding: OpenFinding


@dataclass(frozen=True, slots=True)
class Standing:
    """What a rule said last of one subject; ``where`` is how people call the subject ("GPU 3 · alice")."""

    rule: str
    subject: str
    where: str
    verdict: Verdict
    gpus: tuple[int, ...] = field(default=())
