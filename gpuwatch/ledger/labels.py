"""What a row's time is called, and how much of it: shares of one row in exact integers.

Inside the ledger a bucket with its cause and its evidence is one small number: hashing an enumeration costs as much as booking a row.
A share is a whole number of :data:`UNIT`: five fractions in per mille, one inside the other, leave no rest, so that the shares of a
row sum to it exactly.
"""

from __future__ import annotations

from gpuwatch.ledger.types import NO_WORK, Fill, Work
from gpuwatch.names import Bucket, Cause, Tier

UNIT = 10**15
"""The shares of a row sum to this."""
_PM = UNIT // 1000

(
    UNAVAILABLE,
    UNALLOCATED,
    IDLE,
    UNUSED,
    HELD,
    OVERHEAD,
    PEERS,
    INPUT,
    HOST,
    DEMAND,
    PEERS_N,
    INPUT_N,
    HOST_N,
    TRANSFER_N,
    DEMAND_N,
    WAIT,
    THROTTLED,
    REDONE,
    EMPTY_P,
    EMPTY_G,
    STALLED_H,
    STALLED_G,
    EFFECTIVE_H,
    EFFECTIVE_G,
    BUSY,
    BUSY_P,
    BUSY_G,
    QUIET,
) = range(28)

LABELS = (
    (Bucket.UNAVAILABLE, Cause.NONE, Tier.N),
    (Bucket.UNALLOCATED, Cause.NONE, Tier.N),
    (Bucket.IDLE_UNATTRIBUTED, Cause.NONE, Tier.N),
    (Bucket.ALLOCATED_UNUSED, Cause.NONE, Tier.N),
    (Bucket.HELD_IDLE, Cause.NONE, Tier.N),
    (Bucket.OVERHEAD, Cause.NONE, Tier.H),
    (Bucket.WAIT, Cause.PEERS, Tier.H),
    (Bucket.WAIT, Cause.INPUT, Tier.H),
    (Bucket.WAIT, Cause.HOST, Tier.H),
    (Bucket.WAIT, Cause.DEMAND, Tier.H),
    (Bucket.WAIT, Cause.PEERS, Tier.N),
    (Bucket.WAIT, Cause.INPUT, Tier.N),
    (Bucket.WAIT, Cause.HOST, Tier.N),
    (Bucket.WAIT, Cause.TRANSFER, Tier.N),
    (Bucket.WAIT, Cause.DEMAND, Tier.N),
    (Bucket.WAIT, Cause.UNEXPLAINED, Tier.N),
    (Bucket.THROTTLED, Cause.NONE, Tier.N),
    (Bucket.REDONE, Cause.NONE, Tier.H),
    (Bucket.EMPTY_SM, Cause.NONE, Tier.P),
    (Bucket.EMPTY_SM, Cause.NONE, Tier.G),
    (Bucket.STALLED_SM, Cause.NONE, Tier.H),
    (Bucket.STALLED_SM, Cause.NONE, Tier.G),
    (Bucket.EFFECTIVE, Cause.NONE, Tier.H),
    (Bucket.EFFECTIVE, Cause.NONE, Tier.G),
    (Bucket.BUSY_UNKNOWN, Cause.NONE, Tier.N),
    (Bucket.BUSY_UNKNOWN, Cause.NONE, Tier.P),
    (Bucket.BUSY_UNKNOWN, Cause.NONE, Tier.G),
    (Bucket.QUIET, Cause.NONE, Tier.N),
)
"""Number -> bucket, cause, tier; in the order of buckets."""

_INFERRED = {
    Cause.NONE: WAIT,
    Cause.PEERS: PEERS_N,
    Cause.INPUT: INPUT_N,
    Cause.HOST: HOST_N,
    Cause.TRANSFER: TRANSFER_N,
    Cause.DEMAND: DEMAND_N,
    Cause.UNEXPLAINED: WAIT,
}

Shares = list[tuple[int, int]]
"""(label, share) pairs that are above 0."""


def active(busy_pm: int | None, kappa_pm: int, work: Work = NO_WORK, fill: Fill | None = None) -> Shares:
    """An active row from the top down: each line takes its share of what the line above left.

    Overhead, wait by cause, throttled, redone; what is left is divided by what is known of how full it was. An unknown busy share
    counts as all of the time.
    """
    busy = 1000 if busy_pm is None or busy_pm > 1000 else max(busy_pm, 0)
    kappa = 1000 if kappa_pm > 1000 else max(kappa_pm, 0)
    if work is NO_WORK and fill is None:
        wait, lost, left = (1000 - busy) * _PM, busy * (1000 - kappa) * (_PM // 1000), busy * kappa * (_PM // 1000)
        return [(name, share) for name, share in ((WAIT, wait), (THROTTLED, lost), (BUSY, left)) if share]
    run = 1000 - work.overhead_pm
    spent = run * busy
    out = [
        (OVERHEAD, work.overhead_pm * _PM),
        *waiting(run * (1000 - busy) * (_PM // 1000), work),
        (THROTTLED, spent * (1000 - kappa) * (_PM // 1_000_000)),
        (REDONE, spent * kappa * work.redone_pm * 1000),
        *_filled(spent * kappa * (1000 - work.redone_pm), fill),
    ]
    return [part for part in out if part[1]]


def waiting(amount: int, work: Work) -> Shares:
    """Waiting by its causes: what hooks and servers count, each capped by what is left, then what a finding infers, else unexplained."""
    if work is NO_WORK:
        return [(WAIT, amount)] if amount else []
    out: Shares = []
    counted = ((PEERS, work.peers_pm), (INPUT, work.input_pm), (HOST, work.host_pm), (DEMAND, work.demand_pm))
    for name, share_pm in counted:
        part = min(amount, share_pm * _PM)
        if part:
            out.append((name, part))
            amount -= part
    if amount:
        out.append((_INFERRED[work.inferred], amount))
    return out


def still(name: int, work: Work) -> Shares:
    """A quiet row whose run is called ``name``: what a hook says of a second goes before what its absence of activity suggests."""
    if work is NO_WORK or name == UNALLOCATED:
        return [(name, UNIT)]
    overhead = work.overhead_pm * _PM
    rest = UNIT - overhead
    out: Shares = [(OVERHEAD, overhead)] if overhead else []
    if name == WAIT:
        return [*out, *waiting(rest, work)]
    return [*out, (name, rest)] if rest else out


def _filled(amount: int, fill: Fill | None) -> Shares:
    """Busy time (``amount`` times 1000 is its share) by how full it was."""
    if fill is None:
        return [(BUSY, amount * 1000)]
    tier, filled, effective = fill
    if tier is Tier.P:
        return [(EMPTY_P, amount * (1000 - filled)), (BUSY_P, amount * filled)]
    if tier is Tier.H:
        done = effective or 0
        return [(STALLED_H, amount * (1000 - done)), (EFFECTIVE_H, amount * done)]
    if effective is None:
        return [(EMPTY_G, amount * (1000 - filled)), (BUSY_G, amount * filled)]
    done = min(filled, effective)
    return [(EMPTY_G, amount * (1000 - filled)), (STALLED_G, amount * (filled - done)), (EFFECTIVE_G, amount * done)]
