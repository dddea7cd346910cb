"""Who held the GPUs: owners, whose rows sum to the total, and the processes that held most."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from gpuwatch.dataclass import dataclass, field
from gpuwatch.ledger.ratios import NOT_ALLOCATED
from gpuwatch.ledger.types import NOBODY
from gpuwatch.model import MIB
from gpuwatch.names import Bucket, Missing
from gpuwatch.store.period_sums import KEYS
from gpuwatch.view.period import people
from gpuwatch.view.period.host import HostPart
from gpuwatch.view.period.ledger import Sums, add, ledger, summed
from gpuwatch.view.period.rows import energy_reason
from gpuwatch.view.period.types import OwnerRow, ProcessRow

_FREE = frozenset(number for number, (bucket, _, _) in KEYS.items() if bucket in NOT_ALLOCATED)
_USER, _UNKNOWN, _NOBODY = "user", "unknown", "nobody"
_RANK = {_USER: 0, _UNKNOWN: 1, _NOBODY: 2}
Place = tuple[str, int]
"""(host, index of the board)."""


@dataclass(slots=True)
class _Holder:
    """What one user or process has."""

    sums: Sums = field(default_factory=dict)
    gpus: set[Place] = field(default_factory=set)
    metered: bool = False
    """Whether the ledger knows the energy of one of its GPUs."""
    processes: set[tuple[int, int]] = field(default_factory=set)


def held_ms(sums: Sums) -> int:
    """Time in which somebody had the GPU."""
    return sum(ms for (bucket, _, _), (ms, _) in sums.items() if bucket not in NOT_ALLOCATED)


class Holders:
    """All holders of some hosts, by user and by process."""

    def __init__(self, parts: Sequence[HostPart]) -> None:
        self._parts = parts
        self._users: dict[tuple[str, str | None], _Holder] = {(_NOBODY, None): _Holder()}
        self._processes: dict[tuple[int, int], _Holder] = {}
        self._peaks: dict[tuple[int, int], int] = {}
        self._sm: dict[tuple[int, int], tuple[int, int]] = {}
        self.owners: list[Mapping[int, people.Owner]] = []
        for number, part in enumerate(parts):
            self._book(number, part)
            self._measure(number, part)

    def _book(self, number: int, part: HostPart) -> None:
        known = people.owners(part.window, {row[0] for row in part.owned} - {NOBODY})
        self.owners.append(known)
        kinds = {
            NOBODY: (_NOBODY, None),
            **{at: (_UNKNOWN if each.user is None else _USER, each.user) for at, each in known.items()},
        }
        placed: set[tuple[int, int]] = set()
        numbers: dict[tuple[str, str | None], int] = {(_NOBODY, None): 0, (_UNKNOWN, None): 1}
        for kind in kinds.values():
            numbers.setdefault(kind, len(numbers))
        number_of = {owner_id: numbers[kind] for owner_id, kind in kinds.items()}
        names = list(numbers)
        users: list[tuple[int, int, int, int]] = []
        processes: list[tuple[int, int, int, int]] = []
        for owner_id, gpu_id, key, ms, mj in part.owned:
            taken = key not in _FREE
            user = number_of.get(owner_id, 1) or int(taken)  # the store says nobody where the holder is not visible
            users.append((user, key, ms, mj))
            owner = known.get(owner_id)
            if owner and owner.proc_id:
                processes.append((owner.proc_id, key, ms, mj))
            if taken and ms and (owner_id, gpu_id) not in placed:
                placed.add((owner_id, gpu_id))
                self._place(names[user], number, owner.proc_id if owner else 0, gpu_id)
        users += [(0, 0, ms, 0) for _, _, key, ms, _ in part.booked if not key]
        for user, sums in summed(users).items():
            add(self._users.setdefault(names[user], _Holder()).sums, sums)
        for proc_id, sums in summed(processes).items():
            add(self._processes.setdefault((number, proc_id), _Holder()).sums, sums)

    def _place(self, kind: tuple[str, str | None], number: int, proc_id: int, gpu_id: int) -> None:
        part = self._parts[number]
        holders = [self._users.setdefault(kind, _Holder())]
        if proc_id:
            holders[0].processes.add((number, proc_id))
            holders.append(self._processes.setdefault((number, proc_id), _Holder()))
        for holder in holders:
            holder.gpus.add((part.host.name, part.board_index(gpu_id)))
            holder.metered = holder.metered or part.books_energy(gpu_id)

    def _measure(self, number: int, part: HostPart) -> None:
        for each in part.held:
            key = (number, each.proc_id)
            if each.memory_mib_max is not None:
                self._peaks[key] = max(self._peaks.get(key, 0), each.memory_mib_max)
            if each.sm_pm_ms is not None and each.sm_observed_ms:
                had = self._sm.get(key, (0, 0))
                self._sm[key] = (had[0] + each.sm_pm_ms, had[1] + each.sm_observed_ms)

    # ----------------------------------------------------------------------------------------------------------- owners

    def owner_rows(self) -> tuple[OwnerRow, ...]:
        """By time held, then the unknown, then nobody."""
        reason = energy_reason(self._parts)
        rows = []
        for (kind, user), holder in self._users.items():
            known = [self._peaks[process] for process in holder.processes if process in self._peaks]
            rows.append(
                OwnerRow(
                    user=user,
                    kind=kind,
                    ledger=ledger(
                        holder.sums, energy=reason if holder.metered or kind == _NOBODY else reason or Missing.NOT_SUPPORTED
                    ),
                    gpus=tuple(sorted(holder.gpus)),
                    process_count=None if kind == _NOBODY else len(holder.processes),
                    gpu_memory_max_bytes=max(known) / MIB if known else None,
                )
            )
        return tuple(sorted(rows, key=lambda row: (_RANK[row.kind], -row.ledger.allocated_gpu_ms, row.user or "")))

    # -------------------------------------------------------------------------------------------------------- processes

    def process_rows(self, top: int | None) -> tuple[tuple[ProcessRow, ...], int]:
        """The ``top`` processes by time held (``None``: all), and how many held a GPU."""
        held = {key: ms for key, holder in self._processes.items() if (ms := held_ms(holder.sums))}
        order = sorted(held, key=lambda key: (-held[key], key))
        chosen = order if top is None else order[:top]
        rows: list[ProcessRow] = []
        who: dict[tuple[int, int], people.Identity] = {}
        for number, part in enumerate(self._parts):
            found = people.processes(part.window, [proc_id for at, proc_id in chosen if at == number])
            who.update({(number, proc_id): identity for proc_id, identity in found.items()})
        for key in chosen:
            rows.append(self._process(key, who.get(key)))
        return tuple(rows), len(order)

    def _process(self, key: tuple[int, int], who: people.Identity | None) -> ProcessRow:
        part, holder = self._parts[key[0]], self._processes[key]
        who = who or people.Identity(0, 0, "", "", None, "", "", part.start_s * 1000, part.end_s * 1000)
        kept = {at: amounts for at, amounts in holder.sums.items() if at[0] not in NOT_ALLOCATED}
        made = ledger(kept, energy=None if holder.metered else part.energy_reason() or Missing.NOT_SUPPORTED)
        peak, (sm, known) = self._peaks.get(key), self._sm.get(key, (0, 0))
        values = {
            "gpu_memory_max_bytes": None if peak is None else peak / MIB,
            "sm_utilization_ratio": sm / known / 1000 if known else None,
        }
        return ProcessRow(
            host=part.host.name,
            pid=who.pid,
            start_ms=who.start_ms,
            name=who.name,
            command=who.command,
            user=who.user,
            job=who.job,
            workload=who.workload,
            gpus=tuple(sorted(holder.gpus)),
            held_gpu_ms=made.capacity_gpu_ms,
            held_idle_gpu_ms=made.buckets_gpu_ms[Bucket.HELD_IDLE],
            busy_gpu_ms=made.first_time_gpu_ms + made.buckets_gpu_ms[Bucket.REDONE],
            ledger=made,
            first_ms=max(who.first_ms, part.start_s * 1000),
            last_ms=max(min(who.last_ms, part.end_s * 1000), part.start_s * 1000),
            missing={name: Missing.NOT_SUPPORTED for name, value in values.items() if value is None},
            **values,
        )
