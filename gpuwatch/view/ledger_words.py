"""What the words of the ledger mean, for the documents: every bucket, cause and tier, with the formula."""

from __future__ import annotations

from gpuwatch.ledger import facts
from gpuwatch.ledger.ratios import POWER_BAND
from gpuwatch.ledger.types import HOLD_MS, UNUSED_MS
from gpuwatch.names import Bucket, Cause, Tier

_HOLD, _UNUSED = HOLD_MS // 60_000, UNUSED_MS // 60_000

BUCKETS = {
    Bucket.UNOBSERVED: "no row, or a row that does not say what the GPU did; in no ratio",
    Bucket.UNAVAILABLE: "the GPU is there and cannot be used or read",
    Bucket.UNALLOCATED: "nobody holds it",
    Bucket.IDLE_UNATTRIBUTED: "quiet, and it cannot be known whether anybody holds it",
    Bucket.ALLOCATED_UNUSED: f"the time of a quiet run of {_UNUSED} minutes or more, from its start, in which another GPU of the same job worked; on a free GPU that a working job was given, from minute {_UNUSED} of the run on",
    Bucket.HELD_IDLE: f"held, in a quiet run of {_HOLD} minutes or more, from its start",
    Bucket.OVERHEAD: "what hooks count as starting, compiling, writing checkpoints and evaluating; goes before all below, also in a quiet run",
    Bucket.WAIT: "of the rest the share that is not busy, and quiet runs that ended sooner; by cause",
    Bucket.THROTTLED: "busy time lost to lowered clocks: busy x (1 - clock factor)",
    Bucket.REDONE: "of what is left, work whose results were thrown away: a server's rejected draft tokens",
    Bucket.EMPTY_SM: "of what is left, the share without work on the SMs: 1 - s, s = SM activity / busy",
    Bucket.STALLED_SM: "SMs that have work and do not get on: s - e; also a kernel that spins while it waits for other GPUs",
    Bucket.EFFECTIVE: f"e = the largest of tensor / {facts.TENSOR_PEAK_PM / 1000:g}, DRAM / {facts.DRAM_PEAK_PM / 1000:g}, FP32 and FP64 / {facts.FP_PEAK_PM / 1000:g} and MFU / clock factor, over busy; at most s",
    Bucket.BUSY_UNKNOWN: "busy, and nothing says how full; shown as \"busy, quality unknown\", as is all busy time of tier P",
    Bucket.QUIET: f"a quiet run of a held GPU that goes on and is younger than {_HOLD} minutes: not named yet, never waste",
}  # fmt: skip
CAUSES = {
    Cause.PEERS: "only other ranks of the job waited for data, wrote or evaluated",
    Cause.INPUT: "its training waited for data",
    Cause.HOST: "its training ran the loop's own code",
    Cause.TRANSFER: "copies between host and GPU",
    Cause.DEMAND: "its server had no request",
    Cause.UNEXPLAINED: "nothing tells why",
}
TIERS = {
    Tier.G: "GPM counters of the GPU: a point. With SM activity alone what is above it stays unknown",
    Tier.H: "hooks and servers: a point. MFU alone cannot tell empty SMs from stalled ones, all that is not effective is stalled",
    Tier.P: f"power, only with a known limit: q = (power - idle floor) / (limit - idle floor), shown as the band q ± {POWER_BAND:g}; memory-bound work draws less, stalled time is not separated",
    Tier.N: "nothing: busy time is one part, the efficiency a range, and no fill is printed",
}  # fmt: skip
PER_CAUSE = (
    "Causes are taken in this order, each capped by what is left of the wait. Tier `h`: counted by a hook or a server; tier `n`: named "
    "from outside by an open finding."
)
IDLE_FLOOR = (
    f"The idle floor is the {facts.IDLE_PERCENTILE}th percentile of the power of minutes in which nobody held the GPU; until that is "
    f"known {facts.IDLE_LIMIT_SHARE:g} of the limit, at most {facts.IDLE_WATTS:g} W."
)
RATIOS = (
    "Efficiency = allocated x running x fill = effective / observed; allocated = (observed - unavailable - unallocated - idle ?) / "
    "observed; running = (busy - redone) / allocated, throttled time is busy; fill = effective / (busy - redone). Its tier is the weakest "
    "behind any busy time, its coverage observed / capacity. Shares are whole per-mille products, so that the parts of a span sum to "
    "its capacity to the millisecond."
)
OWNERS = (
    "A shared GPU is never counted twice: running time goes to its processes by their SM utilization, equally where that is not known; "
    "quiet time by the GPU memory that they hold."
)
