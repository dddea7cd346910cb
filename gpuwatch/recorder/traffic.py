"""What the servers on a GPU had to do: whether anybody asked them, and how much of what they computed was thrown away."""

from __future__ import annotations

from collections.abc import Collection

from gpuwatch.dataclass import NamedTuple
from gpuwatch.measure import measures
from gpuwatch.model import InferenceSample
from gpuwatch.recorder.holders import Holders
from gpuwatch.recorder.timeline import PERIODS
from gpuwatch.store.rows import Values, WorkloadRow

_NAMES = tuple(measures(InferenceSample))
_RUNNING, _WAITING = _NAMES.index("running_requests"), _NAMES.index("waiting_requests")
_DONE = tuple(_NAMES.index(f"{name}_total") for name in ("output_tokens", "prefill_tokens", "cached_tokens", "requests"))
_PREFILL, _DRAFTS, _DRAFTED, _ACCEPTED = (
    _NAMES.index(f"{name}_total") for name in ("prefill_tokens", "drafts", "draft_tokens", "accepted_tokens")
)


class _Reading(NamedTuple):
    """The last reading of a server: 1000 where nobody asks it, else 0; per mille of its tokens that were drafted and rejected."""

    ts_ms: int
    until_ms: int
    demand: int | None
    redone: int | None


class Traffic:
    """The servers that were read lately."""

    def __init__(self) -> None:
        self._servers: dict[tuple[int, int, int], _Reading] = {}

    def forget(self) -> None:
        """Nothing of before is about what comes next."""
        self._servers.clear()

    def read(self, ts_ms: int, row: WorkloadRow, pace_ms: int) -> None:
        """One server was read; its next reading is due in ``pace_ms``."""
        reading = _Reading(ts_ms, ts_ms + PERIODS * pace_ms, _demand(row.values), _redone(row.values))
        self._servers[row.root_pid, row.root_start_ms, row.port] = reading

    def by_gpu(self, ts_ms: int, holders: Holders, active: Collection[str] = ()) -> dict[str, tuple[int | None, int | None]]:
        """(demand, redone) of each GPU on which processes of a server are.

        Of several servers all must be without requests, and what they throw away is the mean of those that tell it. A GPU that has
        been ``active`` since a server was without requests may well be at work for one that came in between.
        """
        demands: dict[str, list[int | None]] = {}
        wasted: dict[str, list[int | None]] = {}
        for key, reading in list(self._servers.items()):
            if ts_ms > reading.until_ms:
                del self._servers[key]
                continue
            for uuid in holders.of_job(key[:2]):
                since = uuid in active and reading.ts_ms != ts_ms
                demands.setdefault(uuid, []).append(None if since and reading.demand else reading.demand)
                wasted.setdefault(uuid, []).append(reading.redone)
        return {uuid: (_least(found), _mean(wasted[uuid])) for uuid, found in demands.items()}


def _demand(values: Values) -> int | None:
    """1000: no request runs or waits, and since the reading before none ended and no token came. ``None``: it does not tell."""
    running, done = values[_RUNNING], [value for place in _DONE if (value := values[place]) is not None]
    if running or values[_WAITING] or any(done):
        return 0
    return 1000 if running is not None and done else None


def _redone(values: Values) -> int | None:
    """Rejected draft tokens over all tokens that went through the model: prompts, drafts, and the one that each draft adds."""
    prefill, drafts, drafted, accepted = (values[place] for place in (_PREFILL, _DRAFTS, _DRAFTED, _ACCEPTED))
    if prefill is None or drafts is None or drafted is None or accepted is None:
        return None
    total = prefill + drafted + drafts
    return min(1000, round(1000 * max(0, drafted - accepted) / total)) if total else 0


def _least(known: list[int | None]) -> int | None:
    """0 where one is; ``None`` where one does not tell."""
    if 0 in known:
        return 0
    return None if None in known else 1000


def _mean(shares: list[int | None]) -> int | None:
    known = [share for share in shares if share is not None]
    return round(sum(known) / len(known)) if known else None
