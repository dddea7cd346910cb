"""What all rules on servers ask first: is it one, does its page tell enough, for long enough; and advice by engine."""

from __future__ import annotations

from collections.abc import Mapping

from gpuwatch.names import ServerState
from gpuwatch.rules.looks import ServerLook
from gpuwatch.rules.observed import unseen
from gpuwatch.rules.scene import JobSubject
from gpuwatch.rules.series import Series
from gpuwatch.rules.types import Clear, NotEvaluated

SOURCE = "server metrics"
NO_SERVER = Clear("no inference server")
_WORDS = {
    "kv_cache": "the KV cache in use",
    "preemptions": "preempted requests",
    "running": "running requests",
    "waiting": "waiting requests",
    "draft_tokens": "drafted tokens",
    "accepted_tokens": "accepted tokens",
    "prefix_queries": "prefix cache look-ups",
    "prefix_hits": "prefix cache hits",
    "requests": "requests that ended",
    "output_tokens": "generated tokens",
    "prompt_tokens": "prompt tokens",
    "itl_sum": "times between tokens",
}
_STATES = {
    ServerState.STARTING: "it is starting",
    ServerState.METRICS_OFF: "its page of metrics is off",
    ServerState.AUTH_NEEDED: "its page of metrics wants a key",
    ServerState.UNREACHABLE: "it does not answer",
    ServerState.OTHER_NAMESPACE: "it listens in another network namespace",
    ServerState.PORT_UNKNOWN: "its port is not known",
    ServerState.FOREIGN_PAGE: "what answers on its port is no page of a known engine",
    ServerState.TOO_LARGE: "its page of metrics is too large",
    ServerState.NO_METRICS: "this engine has no metrics of its own",
}


def page_of(job: JobSubject, seconds: float, *needed: str) -> Series[ServerLook] | Clear | NotEvaluated:
    """The looks at a server, if its page has told these fields for nine tenths of a window; else what the rule says."""
    if job.facts.kind != "inference" and not job.facts.served:
        return NO_SERVER
    server = job.server
    if server is None or server.newest is None:
        return NotEvaluated("nothing was read from this server", job.facts.hint or "gpuwatch doctor")
    state = server.newest.state
    if state is not None and state is not ServerState.UP:
        return NotEvaluated(_STATES[state], job.facts.hint or "gpuwatch doctor")
    if (gap := unseen(server, seconds)) is not None:
        return gap
    for name in needed:
        if server.known(name, seconds) < 0.8 * server.observed(seconds):
            return NotEvaluated(f"its page does not tell {_WORDS.get(name, name)}", job.facts.hint)
    return server


def by_engine(job: JobSubject, advice: Mapping[str, tuple[str, ...]], other: tuple[str, ...]) -> tuple[str, ...]:
    """The advice for this server's engine; ``other`` where there is none for it."""
    return advice.get(job.facts.engine, other)


def option(command: str, *names: str) -> str:
    """The value of the first of these options on a command line; ``"on"`` for one without a value, empty if none is there."""
    words = command.split()
    for number, word in enumerate(words):
        name, equals, value = word.partition("=")
        if name in names:
            following = words[number + 1] if number + 1 < len(words) else ""
            return value if equals else following if following and not following.startswith("-") else "on"
    return ""


def of(served: JobSubject) -> str:
    """How sentences call a server: its model, else its name."""
    return served.facts.model or served.label
