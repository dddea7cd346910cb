"""The closed vocabularies of gpuwatch: why a value is missing, ledger buckets, causes, tiers, states, severities.

Members are ``IntEnum`` because their numbers are stored; a number, once released, is never given a second meaning.
``label`` is the word that views, JSON and screens use.
"""

from __future__ import annotations

from enum import IntEnum


class _Word(IntEnum):
    """An integer for the store with one word for people."""

    @property
    def label(self) -> str:
        """The public word: the member's name in lower case with ``_`` (``HELD_IDLE`` -> ``held_idle``)."""
        return self.name.lower()


class Missing(_Word):
    """Why a value is not there. A missing value is ``None`` everywhere; this says which kind of nothing it is."""

    NOT_SUPPORTED = 1
    NO_PERMISSION = 2
    DRIVER_ERROR = 3
    STALE = 4
    NOT_ATTACHED = 5


class Context(_Word):
    """Who holds a GPU at one tick (a fact, stored with the row). ``None`` means it cannot be known."""

    NONE = 0
    PROCESS = 1
    """At least one compute process is seen."""
    MEMORY_ONLY = 2
    """No process is visible, but more than max(2 %, 1 GiB) of memory is in use: the holder is not visible."""


class Bucket(_Word):
    """Exclusive parts of a GPU's time; over any span they sum to its capacity."""

    UNOBSERVED = 0
    UNAVAILABLE = 1
    UNALLOCATED = 2
    IDLE_UNATTRIBUTED = 3
    ALLOCATED_UNUSED = 4
    HELD_IDLE = 5
    OVERHEAD = 6
    WAIT = 7
    THROTTLED = 8
    REDONE = 9
    EMPTY_SM = 10
    STALLED_SM = 11
    EFFECTIVE = 12
    BUSY_UNKNOWN = 13
    QUIET = 14
    """Provisional only: an unfinished quiet run younger than five minutes. Shown, never stored, never waste."""


class Cause(_Word):
    """Why a GPU waits; ``NONE`` for every other bucket."""

    NONE = 0
    PEERS = 1
    INPUT = 2
    HOST = 3
    TRANSFER = 4
    DEMAND = 5
    UNEXPLAINED = 6


class Tier(_Word):
    """The evidence behind a split of busy time: nothing, power, hook or GPM. P and N are shown as ranges, never points."""

    N = 0
    P = 1
    H = 2
    G = 3


class State(_Word):
    """The one word on a GPU's row."""

    NO_DATA = 0
    FREE = 1
    QUIET = 2
    HELD_IDLE = 3
    UNUSED = 4
    WAITING = 5
    THROTTLED = 6
    BUSY = 7
    UNAVAILABLE = 8
    IDLE_UNATTRIBUTED = 9


class Severity(_Word):
    """How much an event or a finding matters."""

    INFO = 0
    NOTICE = 1
    WARNING = 2
    CRITICAL = 3


class GapReason(_Word):
    """Why there is no row for a span of time."""

    OFF = 0
    CRASH = 1
    STALL = 2
    SUSPEND = 3
    CLOCK = 4
    DRIVER = 5


class ServerState(_Word):
    """What an inference server's own numbers can tell right now; stored with each of its rows."""

    UP = 1
    STARTING = 2
    """It is there, but nothing answers on its port yet."""
    METRICS_OFF = 3
    """It answers, and its page of metrics is off; ``Server.hint`` names the flag that turns it on."""
    AUTH_NEEDED = 4
    UNREACHABLE = 5
    """It answered before, or should by now, and does not."""
    OTHER_NAMESPACE = 6
    """It listens in another network namespace, and no port of it is published."""
    PORT_UNKNOWN = 7
    FOREIGN_PAGE = 8
    """What answers is not a page that any known engine makes."""
    TOO_LARGE = 9
    """The page is larger than what gpuwatch reads."""
    NO_METRICS = 10
    """This engine has no numbers of its own."""


class Quality(_Word):
    """How a server's number came about."""

    EXACT = 0
    """Counted as it happens."""
    ESTIMATED = 1
    """Derived from something else; shown with ``~``."""
    AT_END = 2
    """Counted when a request ends: right over a long time, not for a moment."""


class Latency(_Word):
    """Which waiting time of a server, or which time of a training step, a histogram measures."""

    TTFT = 1
    """Time to first token."""
    ITL = 2
    """Inter-token latency: between two tokens of one request."""
    E2E = 3
    """The whole request."""
    QUEUE = 4
    """From arrival until the request is first scheduled."""
    STEP = 5
    """A whole step of a training; the others below are the parts of one."""
    STEP_DATA = 6
    STEP_FORWARD = 7
    STEP_BACKWARD = 8
    STEP_OPTIMIZER = 9


WAITS = (Latency.TTFT, Latency.ITL, Latency.E2E, Latency.QUEUE)
"""Those of a server."""
STEP_TIMES = (Latency.STEP, Latency.STEP_DATA, Latency.STEP_FORWARD, Latency.STEP_BACKWARD, Latency.STEP_OPTIMIZER)
"""Those of a training."""


class Phase(_Word):
    """What a training process is doing, by its own hooks."""

    STARTING = 0
    """Before the first step: imports, loading, wrapping."""
    DATA = 1
    FORWARD = 2
    BACKWARD = 3
    OPTIMIZER = 4
    CHECKPOINT = 5
    EVAL = 6
    COMPILE = 7
    OTHER = 8
    """The loop's own Python between these: logging, schedulers, callbacks, sleeping."""
    ENDED = 9
    """The interpreter has run its exit handlers: an orderly end, or one by an uncaught exception."""


class TrainingSource(_Word):
    """Where the counts of a training come from."""

    HOOK = 1
    """Seen by the agent inside the process."""
    DECLARED = 2
    """Told by the script itself (gpuwatch_track)."""
    LOG = 3
    """Read from its log."""


class RunOutcome(_Word):
    """How a training run, or one of its processes, ended."""

    RUNNING = 0
    FINISHED = 1
    """Exit code 0, or an orderly end of the interpreter."""
    FAILED = 2
    """Another exit code, or an uncaught exception."""
    STOPPED = 3
    """By SIGINT, SIGTERM or SIGHUP, or by KeyboardInterrupt."""
    DIED = 4
    """Gone without an orderly end: killed, crashed, or left by os._exit. What its exit code was nobody saw."""
    UNKNOWN = 5
    """Nobody watched its end."""


class Basis(_Word):
    """What a finding's amount rests on."""

    MEASURED = 1
    """Counted: by a hook, a server's own numbers, GPM, a driver's counter."""
    INFERRED = 2
    """Follows from several signals together; an upper bound ("up to")."""
    PROXY = 3
    """One signal stands in for another (power for fill): a band."""


class Confidence(_Word):
    """How often a finding of this kind is right, by the study that it comes from and the corpus that it was tried on."""

    LOW = 1
    MEDIUM = 2
    HIGH = 3
