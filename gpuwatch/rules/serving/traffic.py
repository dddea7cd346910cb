"""Whether anybody asks a server, look by look, and since when nobody has."""

from __future__ import annotations

from gpuwatch.names import ServerState
from gpuwatch.rules.looks import ServerLook
from gpuwatch.rules.series import Series

LONGEST = 7200
"""Two hours: as far as looks are kept."""


def tells(look: ServerLook) -> bool:
    """Whether a look can tell that nobody asked: by requests, by tokens or by what runs."""
    counted = look.requests is not None or look.output_tokens is not None or look.running is not None
    return look.state in (None, ServerState.UP) and counted


def asked(look: ServerLook) -> bool | None:
    """Whether anything ran, waited, ended or was made in a look."""
    if not tells(look):
        return None
    counts = (look.requests, look.output_tokens, look.prompt_tokens, look.prefill_tokens, look.running, look.waiting)
    return any(value is not None and value > 0 for value in counts)


def running(look: ServerLook) -> bool | None:
    """Whether at least one request ran."""
    return None if look.running is None else look.running >= 1


def since_asked(server: Series[ServerLook]) -> float:
    """How long nobody has asked, in observed seconds: the longest window without a request, at most two hours."""
    low, high = 0, LONGEST // 10
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (low, middle - 1) if server.share(asked, middle * 10) else (middle, high)
    return server.seconds(low * 10.0) if low else 0.0
