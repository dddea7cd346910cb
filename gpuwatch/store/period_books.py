"""The ledger of a span in one pass over its rows: what each GPU did in each cell, whose it was, and which processes held it.

Rows come in the order of their key, so that those of one GPU and cell lie together, and a pass costs less than sorting them three
times for three sums. Only the sums are kept. Who the users are is looked up afterwards.
"""

from __future__ import annotations

from collections.abc import Collection

from gpuwatch.names import Bucket
from gpuwatch.store.period import GpuScope, Plan
from gpuwatch.store.period_sums import KEY, Row, by_tier, cells

HELD_KEY = (int(Bucket.IDLE_UNATTRIBUTED) + 1) * 32
"""Keys of ledger rows from this on are of time in which somebody held the GPU."""
_ROWS = (
    f"SELECT c.i, m.gpu_id, {KEY}, CASE m.owner_id WHEN 0 THEN NULL ELSE coalesce(o.user_id, 0) END, o.proc_id, m.ms, m.energy_mj "
    "FROM c CROSS JOIN ledger_{tier} m LEFT JOIN owner o ON o.owner_id=m.owner_id WHERE m.t>=c.a AND m.t<c.b AND m.bucket>0{only}"
)
_PROCESSES = (
    f"SELECT o.proc_id, m.gpu_id, {KEY}, sum(m.ms), sum(m.energy_mj) "
    "FROM c CROSS JOIN ledger_{tier} m CROSS JOIN owner o ON o.owner_id=m.owner_id "
    "WHERE m.t>=c.a AND m.t<c.b AND m.bucket>0{only}{some} AND o.proc_id<>0 GROUP BY 1, 2, 3"
)
User = int | None
"""``user_id``; 0: a holder whose user is not known, ``None``: no holder is known."""


class Book:
    """What the ledger says of one GPU. Unobserved time has no rows."""

    __slots__ = ("energy", "held", "tenures", "time", "user_energy", "user_time")

    def __init__(self) -> None:
        self.time: dict[int, dict[int, int]] = {}
        """cell -> key -> milliseconds."""
        self.energy: dict[int, dict[int, int]] = {}
        """cell -> key -> millijoules."""
        self.user_time: dict[tuple[User, int], int] = {}
        """(user, key) -> milliseconds."""
        self.user_energy: dict[tuple[User, int], int] = {}
        self.held: dict[tuple[User, int], int] = {}
        """(user, proc_id) -> milliseconds that this process of theirs held the GPU."""
        self.tenures: dict[int, dict[User, int]] = {}
        """cell -> user -> milliseconds that they held it."""


def books(scope: GpuScope, plan: Plan) -> dict[int, Book]:
    """gpu_id -> its book over a plan."""
    out: dict[int, Book] = {}
    for tier, pieces in by_tier(plan.pieces).items():
        place: tuple[int, int] | None = None
        for cell, gpu_id, key, user, proc_id, ms, mj in scope.window.each(
            cells(pieces) + _ROWS.format(tier=tier, only=scope.only())
        ):
            if place != (cell, gpu_id):
                place = cell, gpu_id
                book = out.get(gpu_id) or out.setdefault(gpu_id, Book())
                time, energy = book.time.setdefault(cell, {}), book.energy.setdefault(cell, {})
                tenure = book.tenures.setdefault(cell, {})
                user_time, user_energy, held = book.user_time, book.user_energy, book.held
            whose = user, key
            if key in time:
                time[key] += ms
                energy[key] += mj
            else:
                time[key], energy[key] = ms, mj
            if whose in user_time:
                user_time[whose] += ms
                user_energy[whose] += mj
            else:
                user_time[whose], user_energy[whose] = ms, mj
            if key >= HELD_KEY:
                tenure[user] = tenure.get(user, 0) + ms
                if proc_id:
                    held[user, proc_id] = held.get((user, proc_id), 0) + ms
    return out


def process_books(scope: GpuScope, plan: Plan, proc_ids: Collection[int] | None) -> list[Row]:
    """(proc_id, gpu_id, key, GPU milliseconds, millijoules) of some processes (``None``: all) over the whole plan."""
    some = ""
    if proc_ids is not None:
        some = f" AND m.owner_id IN (SELECT owner_id FROM owner WHERE proc_id IN ({','.join(map(str, proc_ids)) or 'NULL'}))"
    out: list[Row] = []
    for tier, pieces in by_tier(plan.pieces).items():
        table = cells([piece._replace(cell=0) for piece in pieces])
        out += scope.window.rows(table + _PROCESSES.format(tier=tier, only=scope.only(), some=some), ())
    return out
