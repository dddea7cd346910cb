"""What the trainings on a GPU were doing: their latest readings, each as shares of its own time, and what they computed in a minute."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from functools import lru_cache
from itertools import pairwise
from operator import itemgetter

from gpuwatch.dataclass import NamedTuple, dataclass, field
from gpuwatch.measure import measures
from gpuwatch.peaks import achievable_share, dense_peak
from gpuwatch.recorder.holders import Holders, Key
from gpuwatch.recorder.people import People
from gpuwatch.recorder.timeline import PERIODS
from gpuwatch.store.rows import TrainingRow
from gpuwatch.training import Trainer, TrainingSample

WINDOW_MS = 60_000
"""Model FLOPs utilization is over so much time at least, from step to step."""
_NAMES = tuple(measures(TrainingSample))
_ATTACHED, _TOKENS = _NAMES.index("attached_seconds"), _NAMES.index("tokens_total")
_PHASES = itemgetter(
    *(
        _NAMES.index(f"{name}_seconds")
        for name in ("data_wait", "other", "starting", "checkpoint", "eval", "compile", "forward", "backward", "optimizer")
    )
)
_NO_TIMES: tuple[float, ...] = (0.0,) * 9
_UNTOLD: list[float | None] = [None] * 4
_LONGEST_MS = 300_000
"""What is told late is remembered for so much time at most."""


class Parts(NamedTuple):
    """Per mille of a GPU's time, in the order of the row: overhead, input, host, peers, and the share of its achievable peak."""

    overhead: int | None
    input: int | None
    host: int | None
    peers: int | None
    mfu: int | None


class Backlog:
    """Phases whose time is told late: a rank tells of the micro-batches of a long step when the step ends, ten seconds in one, say.

    A reading has room for its own time only; what is more fills the next ones, so that all that is told counts once.
    """

    __slots__ = ("_late",)

    def __init__(self) -> None:
        self._late = _NO_TIMES

    def take(self, attached: int, told: Sequence[float | None]) -> tuple[Sequence[float | None], float]:
        """(time of each phase, the time that they are parts of) of a reading about ``attached`` milliseconds."""
        late = self._late
        if late is not _NO_TIMES:
            told = [None if time is None else time + more for time, more in zip(told, late)]
        total = _total(told)
        if total <= attached:
            self._late = _NO_TIMES
            return told, attached
        kept = min(total - attached, _LONGEST_MS) / total
        self._late = tuple([(time or 0.0) * kept for time in told])
        return told, total


class TokenTrack:
    """Tokens a second over at least a minute of work, from one reading with tokens to another: between those lie whole steps.

    What the rank spent on checkpoints, evaluation and the like in between is no part of it: the ledger takes such time off first.
    """

    __slots__ = ("_aside", "_aside_ms", "_counted", "_edges")

    def __init__(self) -> None:
        self._edges: deque[tuple[int, int, int]] = deque()
        """When, and the tokens and the time aside since the edge before."""
        self._counted = self._aside_ms = 0
        """Tokens and time aside that came after the first edge."""
        self._aside = 0
        """Time aside since the last edge."""

    def add(self, ts_ms: int, tokens: int | None, aside_ms: int = 0) -> None:
        """What was counted up to ``ts_ms`` since the reading before; ``None``: the count is broken and begins anew."""
        edges = self._edges
        if tokens is None:
            edges.clear()
            self._counted = self._aside_ms = self._aside = 0
            return
        self._aside += aside_ms
        if tokens:
            if edges:
                self._counted += tokens
                self._aside_ms += self._aside
            edges.append((ts_ms, tokens, self._aside))
            self._aside = 0
            while len(edges) > 2 and ts_ms - edges[1][0] - (self._aside_ms - edges[1][2]) >= WINDOW_MS:
                edges.popleft()
                self._counted -= edges[0][1]
                self._aside_ms -= edges[0][2]

    def rate(self, ts_ms: int) -> float | None:
        """Tokens a second at ``ts_ms``; 0 when none came for a minute and two of the longest steps, ``None``: not known yet."""
        edges = self._edges
        if not edges or (span_ms := edges[-1][0] - edges[0][0] - self._aside_ms) < WINDOW_MS:
            return None
        if (still_ms := ts_ms - edges[-1][0]) > WINDOW_MS:
            longest_ms = max(after - before for (before, _, _), (after, _, _) in pairwise(edges))
            if still_ms > 2 * longest_ms:
                return 0.0
        return 1000 * self._counted / span_ms


@dataclass(slots=True)
class _Rank:
    """One training process: its last reading as shares of its time, which holds until ``until_ms``."""

    root: Key
    until_ms: int = 0
    overhead: float | None = None
    input: float | None = None
    host: float | None = None
    held_up: float | None = None
    """In data, checkpoints, evaluation or compiling: it does not reach the next collective operation, and the others wait for it."""
    tokens: TokenTrack = field(default_factory=TokenTrack)
    backlog: Backlog = field(default_factory=Backlog)


class Ranks:
    """The ranks that were read lately."""

    def __init__(self, people: People) -> None:
        self._people = people
        self._trainers: dict[Key, Trainer] = {}
        self._ranks: dict[Key, _Rank] = {}
        self._found: dict[str, Parts] = {}
        self._version = -1
        self._holds_until_ms = 0

    def forget(self) -> None:
        """Nothing of before is about what comes next."""
        self._ranks.clear()
        self._found = {}

    def learn(self, trainers: Iterable[Trainer]) -> None:
        """Who they are; of each what was said last, as long as it lives."""
        for trainer in trainers:
            self._version = -1
            if trainer.ended_ms is None:
                self._trainers[trainer.key] = trainer
            else:
                self._trainers.pop(trainer.key, None)

    def read(self, ts_ms: int, row: TrainingRow, pace_ms: int) -> None:
        """One rank was read; its next reading is due in ``pace_ms``."""
        key, values = (row.pid, row.start_ms), row.values
        root = row.root_pid, row.root_start_ms
        rank = self._ranks.get(key)
        if rank is None:
            rank = self._ranks[key] = _Rank(root)
        self._version = -1
        rank.root, rank.until_ms = root, ts_ms + PERIODS * pace_ms
        if attached := values[_ATTACHED]:
            times, whole = rank.backlog.take(attached, _PHASES(values))
            data, host, *overhead = times[:6]
            rank.input, rank.host = _share(data, whole), _share(host, whole)
            rank.overhead = None if overhead == _UNTOLD else _total(overhead) / whole
            overhead[0] = data  # in the place of starting, in which nobody waits for it
            rank.held_up = None if overhead == _UNTOLD else _total(overhead) / whole
        else:  # of an unknown time
            rank.overhead = rank.input = rank.host = rank.held_up = None
            rank.backlog = Backlog()
        rank.tokens.add(ts_ms, values[_TOKENS], round((attached or 0) * (rank.overhead or 0.0)))

    def by_gpu(self, ts_ms: int, holders: Holders) -> dict[str, Parts]:
        """What is known of each GPU on which one of them computes: the mean over its ranks."""
        if self._version == holders.version and ts_ms <= self._holds_until_ms:
            return self._found
        self._ranks = {key: rank for key, rank in self._ranks.items() if ts_ms <= rank.until_ms}
        self._version = holders.version
        self._holds_until_ms = min((rank.until_ms for rank in self._ranks.values()), default=ts_ms)
        on_gpu: dict[str, list[tuple[_Rank, float | None]]] = {}
        for key, rank in self._ranks.items():
            trainer = self._trainers.get(key)
            gpus = (trainer.gpu_uuid,) if trainer is not None and trainer.gpu_uuid else holders.of_process(key)
            operations = _operations(trainer, rank.tokens.rate(ts_ms), len(gpus))
            for uuid in gpus:  # what others compute there is in nobody's count
                used = None if holders.strangers(uuid, key, rank.root) else self._utilization(uuid, trainer, operations)
                on_gpu.setdefault(uuid, []).append((rank, used))
        worst = self._worst()
        self._found = {uuid: _parts(found, worst) for uuid, found in on_gpu.items()}
        return self._found

    def _worst(self) -> dict[Key, list[float]]:
        """Of each job the shares in which its ranks hold up the others, the greatest first."""
        out: dict[Key, list[float]] = {}
        for rank in self._ranks.values():
            if rank.held_up is not None:
                out.setdefault(rank.root, []).append(rank.held_up)
        for shares in out.values():
            shares.sort(reverse=True)
        return out

    def _utilization(self, uuid: str, trainer: Trainer | None, operations: float | None) -> float | None:
        """Operations a second over what this GPU reaches at best (a MIG instance: its part of that)."""
        gpu = self._people.gpus.get(uuid)
        if gpu is None or trainer is None or operations is None or (gpu.mig_enabled and not gpu.parent_uuid):
            return None
        whole = self._people.gpus.get(gpu.parent_uuid, gpu)
        reached = _reached(whole.name, trainer.precision)
        return operations / (reached * gpu.compute_fraction) if reached else None


@lru_cache(maxsize=64)
def _reached(name: str, precision: str) -> float | None:
    """Operations a second that a GPU reaches at best."""
    peak, share = dense_peak(name, precision), achievable_share(name)
    return peak * share if peak and share else None


def _operations(trainer: Trainer | None, tokens: float | None, gpus: int) -> float | None:
    """Floating-point operations a second on each of its GPUs."""
    if trainer is None or tokens is None or not trainer.flops_per_token or not gpus:
        return None
    return tokens * trainer.flops_per_token / gpus


def _total(times: Sequence[float | None]) -> float:
    """Of the known ones."""
    try:
        return sum(times)  # type: ignore[arg-type]
    except TypeError:
        return sum([time for time in times if time is not None])


def _share(time: float | None, whole: float) -> float | None:
    return None if time is None else time / whole


def _peers(rank: _Rank, worst: dict[Key, list[float]]) -> float | None:
    """The share in which only another rank of its job was held up: by how much the slowest other one exceeds it."""
    shares = worst.get(rank.root, [])
    if rank.held_up is None or len(shares) < 2:
        return None
    return max(0.0, shares[0] - rank.held_up)


def _mean(shares: list[float | None]) -> float | None:
    known = [share for share in shares if share is not None]
    return sum(known) / len(known) if known else None


def _upto(left: int, share: float | None) -> tuple[int | None, int]:
    """(a share in per mille, at most what is ``left``; what is left then)."""
    if share is None:
        return None, left
    found = min(left, round(1000 * share))
    return found, left - found


def _parts(found: list[tuple[_Rank, float | None]], worst: dict[Key, list[float]]) -> Parts:
    """One GPU: the mean over its ranks, and the sum of what they compute. Waiting for peers fills what is left at most."""
    if len(found) == 1:
        ((rank, mfu),) = found
        shares = rank.overhead, rank.input, rank.host, _peers(rank, worst)
    else:
        ranks, used = [rank for rank, _ in found], [share for _, share in found if share is not None]
        mfu = sum(used) if len(used) == len(found) else None
        shares = (
            _mean([rank.overhead for rank in ranks]),
            _mean([rank.input for rank in ranks]),
            _mean([rank.host for rank in ranks]),
            _mean([_peers(rank, worst) for rank in ranks]),
        )
    overhead, left = _upto(1000, shares[0])
    data, left = _upto(left, shares[1])
    host, left = _upto(left, shares[2])
    peers, _ = _upto(left, shares[3])
    return Parts(overhead, data, host, peers, None if mfu is None else round(1000 * mfu))
