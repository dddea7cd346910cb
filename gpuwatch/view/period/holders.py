"""Who held the GPUs: owners, whose rows sum to the total, and the processes that held most."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from gpuwatch.dataclass import dataclass, field
from gpuwatch.measure import MIB
from gpuwatch.names import Bucket, Missing
from gpuwatch.store.period_books import HELD_KEY, process_books
from gpuwatch.store.period_sums import process_sums
from gpuwatch.view.period import people
from gpuwatch.view.period.host import HostPart
from gpuwatch.view.period.ledger import Sums, add, ledger, summed
from gpuwatch.view.period.rows import energy_reason
from gpuwatch.view.period.types import OwnerRow, ProcessRow

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


def _sm(part: HostPart, own: Sequence[int], some: tuple[int, ...] | None) -> dict[int, tuple[int, int]]:
    """proc_id -> (SM utilization in per mille x milliseconds, milliseconds in which it was told)."""
    out: dict[int, tuple[int, int]] = {}
    wanted = set(own)
    for each in part.shared.ask(process_sums, part.process_plan, some) if own else ():
        if each.proc_id in wanted and each.gpu_id in part.gpus and each.sm_pm_ms is not None and each.sm_observed_ms:
            had = out.get(each.proc_id, (0, 0))
            out[each.proc_id] = (had[0] + each.sm_pm_ms, had[1] + each.sm_observed_ms)
    return out


class Holders:
    """All holders of some hosts, by user and by process."""

    def __init__(self, parts: Sequence[HostPart]) -> None:
        self._parts = parts
        self._users: dict[tuple[str, str | None], _Holder] = {(_NOBODY, None): _Holder()}
        self._held: dict[tuple[int, int], int] = {}
        """(number of the host, proc_id) -> milliseconds that it held GPUs."""
        self.names: list[Mapping[int, str | None]] = []
        """Per host: user_id -> name."""
        for number, part in enumerate(parts):
            self._book(number, part)

    def _book(self, number: int, part: HostPart) -> None:
        books = part.books(part.ledger_plan)
        names = people.users(part.window, {user for book in books.values() for user, _ in book.user_time if user})
        self.names.append(names)
        kinds: list[tuple[str, str | None]] = [(_NOBODY, None), (_UNKNOWN, None)]
        number_of: dict[int | None, int] = {None: 0}
        for user_id, name in names.items():
            number_of[user_id] = 1 if name is None else len(kinds)
            if name is not None:
                kinds.append((_USER, name))
        rows: list[tuple[int, int, int, int]] = []
        for gpu_id, book in books.items():
            for (user, key), ms in book.user_time.items():
                taken = key >= HELD_KEY
                kind = number_of.get(user, 1) or int(taken)  # the store says nobody where the holder is not visible
                rows.append((kind, key, ms, book.user_energy[user, key]))
                if ms:
                    self._place(self._holder(kinds[kind]), part, gpu_id, held=taken)
            for (user, proc_id), ms in book.held.items():
                if ms:
                    self._held[number, proc_id] = self._held.get((number, proc_id), 0) + ms
                    self._holder(kinds[number_of.get(user, 1) or 1]).processes.add((number, proc_id))
        rows += [(0, 0, ms, 0) for _, _, key, ms, _ in part.booked if not key]
        for kind, sums in summed(rows).items():
            add(self._holder(kinds[kind]).sums, sums)

    def _holder(self, kind: tuple[str, str | None]) -> _Holder:
        found = self._users.get(kind)
        if found is None:
            found = self._users[kind] = _Holder()
        return found

    def _place(self, holder: _Holder, part: HostPart, gpu_id: int, *, held: bool = True) -> None:
        if held:
            holder.gpus.add((part.host.name, part.board_index(gpu_id)))
        holder.metered = holder.metered or part.books_energy(gpu_id)

    # ----------------------------------------------------------------------------------------------------------- owners

    def owner_rows(self) -> tuple[OwnerRow, ...]:
        """By time held, then the unknown, then nobody."""
        reason = energy_reason(self._parts)
        rows = []
        for (kind, user), holder in self._users.items():
            peaks = [self._parts[number].peaks.get(proc_id) for number, proc_id in holder.processes]
            known = [peak for peak in peaks if peak is not None]
            rows.append(
                OwnerRow(
                    user=user,
                    kind=kind,
                    ledger=ledger(holder.sums, energy=None if holder.metered else reason or Missing.NOT_SUPPORTED),
                    gpus=tuple(sorted(holder.gpus)),
                    process_count=None if kind == _NOBODY else len(holder.processes),
                    gpu_memory_max_bytes=max(known) / MIB if known else None,
                )
            )
        return tuple(sorted(rows, key=lambda row: (_RANK[row.kind], -row.ledger.allocated_gpu_ms, row.user or "")))

    # -------------------------------------------------------------------------------------------------------- processes

    def process_rows(self, top: int | None) -> tuple[tuple[ProcessRow, ...], int]:
        """The ``top`` processes by time held (``None``: all), and how many held a GPU."""
        held = self._held
        order = sorted(held, key=lambda key: (-held[key], key))
        chosen = order if top is None else order[:top]
        some = None if top is None else tuple(proc_id for _, proc_id in chosen)
        rows: dict[tuple[int, int], ProcessRow] = {}
        for number, part in enumerate(self._parts):
            own = [proc_id for at, proc_id in chosen if at == number]
            found, holders, sm = people.processes(part.window, own), self._booked(part, own, some), _sm(part, own, some)
            for proc_id in own:
                rows[number, proc_id] = self._process(part, proc_id, holders[proc_id], found.get(proc_id), sm.get(proc_id, (0, 0)))
        return tuple(rows[key] for key in chosen), len(order)

    def _booked(self, part: HostPart, own: Sequence[int], some: tuple[int, ...] | None) -> dict[int, _Holder]:
        """What these processes of a host have; ``some`` are those of all hosts, which are asked for once."""
        out = {proc_id: _Holder() for proc_id in own}
        rows = []
        for proc_id, gpu_id, key, ms, mj in part.shared.ask(process_books, part.ledger_plan, some) if own else ():
            if proc_id in out and gpu_id in part.gpus and key >= HELD_KEY:
                rows.append((proc_id, key, ms, mj))
                if ms:
                    self._place(out[proc_id], part, gpu_id)
        for proc_id, sums in summed(rows).items():
            out[proc_id].sums = sums
        return out

    def _process(
        self, part: HostPart, proc_id: int, holder: _Holder, who: people.Identity | None, told: tuple[int, int]
    ) -> ProcessRow:
        who = who or people.Identity(0, 0, "", "", None, "", "", part.start_s * 1000, part.end_s * 1000)
        made = ledger(holder.sums, energy=None if holder.metered else part.energy_reason() or Missing.NOT_SUPPORTED)
        peak, (sm, known) = part.peaks.get(proc_id), told
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
