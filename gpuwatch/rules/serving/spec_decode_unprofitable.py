"""G7: drafted tokens that are thrown away."""

from __future__ import annotations

from gpuwatch.dataclass import NamedTuple
from gpuwatch.names import Basis, Bucket, Confidence, Severity
from gpuwatch.rules.observed import fractions, mean_of
from gpuwatch.rules.queries import of_job
from gpuwatch.rules.rule import rule
from gpuwatch.rules.scene import JobSubject, Scene
from gpuwatch.rules.serving.page import SOURCE, by_engine, of, page_of
from gpuwatch.rules.types import CLEAR, Clear, Evidence, Finding, NotEvaluated, Verdict
from gpuwatch.rules.words import percent

ID = "spec-decode-unprofitable"
WINDOW = 900
_TRY = {
    "vllm": ("""--speculative-config '{"method":AS_NOW,"num_speculative_tokens":1}'""", "without --speculative-config"),
    "sglang": ("--speculative-num-steps 1 --speculative-num-draft-tokens 2", "without the --speculative options"),
    "tgi": ("--speculate 1", "without --speculate"),
}
_OTHER = ("draft fewer tokens at a time", "no speculation")


class _Drafts(NamedTuple):
    drafts: float
    tokens: float
    accepted: float
    running: float

    @property
    def acceptance(self) -> float:
        return min(1.0, self.accepted / self.tokens)

    @property
    def rejected(self) -> float:
        """Rejected tokens, of all that were verified: each draft verifies its tokens and one more."""
        return (1 - self.acceptance) * self.tokens / (self.tokens + self.drafts)


@rule(
    ID,
    "G7",
    "job",
    phase=1,
    severity=Severity.WARNING,
    confidence=Confidence.HIGH,
    window=WINDOW,
    bucket=Bucket.REDONE,
    limits=(
        ("acceptance", 0.50, "ratio", "S22 study", "fewer of the drafted tokens are accepted"),
        ("clear_acceptance", 0.55, "ratio", "pragmatic", "it clears above"),
        ("drafts", 10_000, "count", "pragmatic", "of so many drafts"),
        ("busy_running", 64, "count", "S22 study", "or with so many requests at once"),
        ("busy_acceptance", 0.80, "ratio", "S22 study", "fewer than this share of them"),
    ),
)
def spec_decode_unprofitable(job: JobSubject, scene: Scene) -> Verdict:
    """Speculative (or multi-token) decoding drafts tokens that are mostly thrown away, or drafts while the GPU is busy anyway.

    Fires when fewer than half of the drafted tokens of 10,000 drafts in 15 minutes were accepted, or fewer than 80 % while 64 requests run.

    Waste: rejected tokens over all that were verified, times the busy time of its GPUs.
    Try: draft fewer tokens, another draft, or none above some number of requests.
    Gain: measured by vLLM's recipes on one very large model, one drafted token at 65 % acceptance: +3 % with 1 request, -9 % with 128,
    -23 % with 256; three tokens up to 2.3 times for one user. So measure yours: tokens a second a GPU and the time between tokens count.
    May be wrong where one user's speed is what counts, and the GPU has nothing else to do.
    Sources: S22 (vLLM recipes); DeepSeek-V3 reports 85 to 90 % acceptance of a second token, and 1.8 times the speed.
    """
    server = page_of(job, WINDOW, "draft_tokens", "accepted_tokens")
    if isinstance(server, NotEvaluated) and "drafted tokens" in server.signal:
        return Clear("it drafts no tokens")
    if isinstance(server, (Clear, NotEvaluated)):
        return server
    tokens = server.total("draft_tokens", WINDOW) or 0.0
    if not tokens:
        return Clear("it drafts no tokens")
    found = _Drafts(
        server.total("drafts", WINDOW) or 0.0,
        tokens,
        server.total("accepted_tokens", WINDOW) or 0.0,
        server.mean("running", WINDOW) or 0.0,
    )
    limit = scene.limits.of(ID, "clear_acceptance" if scene.is_open(ID, job) else "acceptance")
    poor = found.acceptance < limit and (found.drafts or tokens) >= scene.limits.of(ID, "drafts")
    crowded = found.running >= scene.limits.of(ID, "busy_running") and found.acceptance < scene.limits.of(ID, "busy_acceptance")
    return _finding(job, scene, found, crowded and not poor) if poor or crowded else CLEAR


def _finding(job: JobSubject, scene: Scene, found: _Drafts, crowded: bool) -> Finding:
    busy = mean_of(job.gpus, "busy", WINDOW)
    with_many = f" with {found.running:.0f} requests at once" if crowded else ""
    limit = scene.limits.of(ID, "busy_acceptance" if crowded else "acceptance")
    return Finding(
        name="drafts are rejected",
        title=f"{of(job)} threw {percent(1 - found.acceptance)} of its drafted tokens away{with_many}.",
        severity=Severity.WARNING,
        confidence=Confidence.HIGH,
        basis=Basis.MEASURED,
        evidence=(
            Evidence("drafted tokens accepted", percent(found.acceptance), percent(limit), SOURCE),
            Evidence("drafted tokens in 15 minutes", f"{found.tokens:,.0f}", "–", SOURCE),
            Evidence("requests at once", f"{found.running:.1f}", f"{scene.limits.of(ID, 'busy_running'):.0f}", SOURCE),
        ),
        gpus=tuple(gpu.id for gpu in job.gpus),
        waste_gpus=None if busy is None else found.rejected * busy * fractions(job.gpus),
        how=f"Rejected over all verified tokens ({percent(found.rejected)}) times the busy time of its GPUs.",
        try_first=by_engine(job, _TRY, _OTHER),
        then="another draft model; compare tokens a second a GPU and the time between tokens for 15 minutes each",
        gain=f"{percent(found.rejected)} of its computing; one drafted token too many cost 9 to 23 % of the tokens with 128 to 256 requests",
        gain_source="vLLM's recipes, one very large model (S22)",
        wrong_if=("one user's speed is what counts and the GPU has nothing else to do",),
        bucket=Bucket.REDONE,
        measured=1 - found.acceptance,
        sql=of_job("drafts_total, draft_tokens_total, accepted_tokens_total, running_requests", job, WINDOW),
    )
