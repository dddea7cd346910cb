"""One host's part of a report: its own span, its GPUs, and all sums, each asked of the store once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any, TypeVar, cast

from gpuwatch.names import Missing
from gpuwatch.store.period import GpuScope, PeriodHost, Piece, Plan, hist_pieces, plan
from gpuwatch.store.period_books import Book, books
from gpuwatch.store.period_sums import Row, histogram, memory_peaks, use_sums
from gpuwatch.view.period.capacity import Member, families, unobserved
from gpuwatch.view.period.cells import MINUTE_S
from gpuwatch.view.period.ledger import Sums, ledger, summed
from gpuwatch.view.period.measured import METRIC_NUMBERS, NO_VALUES, Values, energy_source
from gpuwatch.view.period.types import Ledger

LATE_S = 180
"""The last minutes of a live recording are not closed yet: a span that ends so soon after the closed ones ends with them."""
MOST_HIST = 1500
"""Percentiles are taken from so many GPU-days and GPU-hours at most, evenly spread (each has 50 to 100 rows)."""
_STRIDES = (1, 2, 3, 5, 11, 13, 17, 19, 23, 25, 29, 31, 37, 41, 43, 47, 53, 59, 61, 67, 71, 73, 79, 83, 89, 97)
"""None of them meets the same day of the week, or the same few hours of the day, again and again."""
_GPU = (
    "SELECT gpu_id, uuid, gpu_index, name, parent_uuid, mig_profile, compute_fraction, memory_total_bytes, first_ms, last_ms FROM gpu "
    "WHERE host_id=? ORDER BY gpu_index, parent_uuid, uuid"
)
_GPU_COLUMNS = _GPU.removeprefix("SELECT ").partition(" FROM")[0].split(", ")
_REASONS = (
    "SELECT entity_key, field, reason FROM missing WHERE host_id=? AND entity='gpu' AND t0_ms<? AND (t1_ms IS NULL OR t1_ms>?) "
    "ORDER BY missing_id"
)


def own_span(host: PeriodHost, start_s: int, end_s: int) -> tuple[int, int]:
    """The part of the asked span that counts for a host: not before its recording began; empty when nothing is left.

    Imported logs end with their last row. A recording that has stopped goes on as unobserved time.
    """
    closed = host.closed_s()
    if host.imported:
        end_s = min(end_s, -(-host.last_ms // 60_000) * MINUTE_S)
    elif host.fresh or end_s - closed <= LATE_S:
        end_s = min(end_s, closed)
    return max(start_s, host.first_ms // 60_000 * MINUTE_S), end_s


Answer = TypeVar("Answer")


class Shared:
    """Hosts whose spans are cut alike ask the store once for all of them: one pass over its rows, not one a host."""

    def __init__(self, hosts: Sequence[PeriodHost]) -> None:
        ids = [gpu_id for host in hosts for gpu_id in host.gpu_ids]
        every = hosts[0].window.rows("SELECT count(*) FROM gpu", ())[0][0]
        self.scope = GpuScope(hosts[0].window, ids, alone=len(ids) == every)
        self._kept: dict[object, object] = {}

    def ask(self, what: Callable[..., Answer], plan: Plan, *more: object) -> Answer:
        """The answer of a sum over a plan; the same question is asked once."""
        key = (what, plan.pieces, more)
        if key not in self._kept:
            self._kept[key] = what(self.scope, plan, *more)
        return cast(Answer, self._kept[key])


class HostPart:
    """What a report needs of one host. ``edges_s`` are those of the report's cells that lie in its span, ``first_cell`` their place."""

    def __init__(self, host: PeriodHost, span: tuple[int, int], edges_s: Sequence[int]) -> None:
        self.host, self.window = host, host.window
        start, end = span
        inner = [edge for edge in edges_s if start < edge < end]
        self.first_cell = max(0, sum(1 for edge in edges_s if edge <= start) - 1)
        self.ledger_plan, self.use_plan = _both_plans(host, [start, *inner, end])
        self.start_s, self.end_s = self.ledger_plan.start_s, self.ledger_plan.end_s
        self.span_s = span
        self._ledgers: dict[int, Ledger] = {}
        self.shared = Shared([host])
        rows = [dict(zip(_GPU_COLUMNS, row, strict=True)) for row in self.window.rows(_GPU, (host.host_id,))]
        self.gpus: Mapping[int, Mapping[str, Any]] = {
            row["gpu_id"]: row for row in rows if row["first_ms"] < self.end_s * 1000 and row["last_ms"] >= self.start_s * 1000
        }

    # ----------------------------------------------------------------------------------------------------------- sums

    @cached_property
    def booked(self) -> Sequence[Row]:
        """(cell of the report, gpu_id, key, milliseconds, millijoules): the ledger with its unobserved time."""
        return self.rows_of(self.ledger_plan, self.first_cell)

    def rows_of(self, of: Plan, first_cell: int) -> list[Row]:
        """The ledger with its unobserved time over the cells of any plan."""
        found, rows = self.books(of), list[Row]()
        seen: dict[tuple[int, int], int] = {}
        for gpu_id, book in found.items():
            for cell, time in book.time.items():
                energy, seen[cell, gpu_id] = book.energy[cell], sum(time.values())
                rows += [(cell, gpu_id, key, ms, energy[key]) for key, ms in time.items()]
        rows += [(cell, gpu_id, 0, ms, 0) for (cell, gpu_id), ms in unobserved(seen, self.families, of.edges).items()]
        return [(cell + first_cell, gpu_id, key, ms, mj) for cell, gpu_id, key, ms, mj in rows] if first_cell else rows

    @cached_property
    def families(self) -> Sequence[tuple[Member, list[Member]]]:
        """Boards with their instances. An imported log ends with its last row, within a minute."""
        return families(self.gpus, self.host.last_ms if self.host.imported else None)

    @cached_property
    def by_cell(self) -> Mapping[int, Sums]:
        """The ledger of each cell of the report."""
        return summed((cell, key, ms, mj) for cell, _, key, ms, mj in self.booked)

    @cached_property
    def by_gpu(self) -> Mapping[int, Sums]:
        """The ledger of each GPU over the whole span."""
        return summed((gpu_id, key, ms, mj) for _, gpu_id, key, ms, mj in self.booked)

    def ledger(self, gpu_id: int) -> Ledger:
        """One GPU's, as it is shown."""
        made = self._ledgers.get(gpu_id)
        if made is None:
            made = self._ledgers[gpu_id] = ledger(self.by_gpu.get(gpu_id, {}), energy=self.energy_reason([gpu_id]))
        return made

    def used(self, gpu_id: int) -> Values:
        """What was measured of one GPU over the whole span."""
        return self.shared.ask(use_sums, self.use_plan, "gpu").get(gpu_id, NO_VALUES)

    def books(self, of: Plan) -> dict[int, Book]:
        """gpu_id -> what the ledger says of it over any plan, without the unobserved time."""
        found = self.shared.ask(books, of)
        return {gpu_id: found[gpu_id] for gpu_id in self.gpus if gpu_id in found}

    @cached_property
    def peaks(self) -> Mapping[int, int | None]:
        """proc_id -> most memory that it had, in MiB; of this host's processes and perhaps of others."""
        return self.shared.ask(memory_peaks, self.process_plan)

    @cached_property
    def process_plan(self) -> Plan:
        """Processes are kept in minutes for a shorter time: their edges may be wider."""
        return plan(self.host, "process", [self.start_s, self.end_s])

    # ------------------------------------------------------------------------------------------------------ around them

    def boards(self) -> Iterator[int]:
        """Whole GPUs, sliced or not."""
        uuids = {row["uuid"] for row in self.gpus.values()}
        return (gpu_id for gpu_id, row in self.gpus.items() if row["parent_uuid"] not in uuids)

    def board_index(self, gpu_id: int) -> int:
        """The index of a GPU, or of the board of an instance."""
        row = self.gpus[gpu_id]
        if row["parent_uuid"]:
            for other in self.gpus.values():
                if other["uuid"] == row["parent_uuid"]:
                    return int(other["gpu_index"])
        return int(row["gpu_index"])

    def order(self, gpu_id: int) -> tuple[int, bool, int, str]:
        """Sorts GPUs by their index, a sliced board before its instances."""
        row = self.gpus[gpu_id]
        return self.board_index(gpu_id), bool(row["parent_uuid"]), row["gpu_index"], row["uuid"]

    @cached_property
    def sliced(self) -> frozenset[int]:
        """Boards that are cut into instances."""
        parents = {row["parent_uuid"] for row in self.gpus.values()}
        return frozenset(gpu_id for gpu_id, row in self.gpus.items() if row["uuid"] in parents)

    def books_energy(self, gpu_id: int) -> bool:
        """Whether the ledger knows this GPU's energy: that of a sliced board is its instances' too, and belongs to none of them."""
        known = bool(energy_source(self.used(gpu_id)))
        return known and (gpu_id not in self.sliced or any(mj for _, mj in self.by_gpu.get(gpu_id, {}).values()))

    def energy_reason(self, gpu_ids: Iterable[int] | None = None) -> Missing | None:
        """Why these GPUs (``None``: all) have no energy in the ledger; ``None`` when one of them has."""
        wanted = list(self.gpus) if gpu_ids is None else list(gpu_ids)
        if any(self.books_energy(gpu_id) for gpu_id in wanted):
            return None
        reasons = [self.reasons.get(self.gpus[gpu_id]["uuid"], {}) for gpu_id in wanted]
        found = [own.get("energy_joules", own.get("power_watts")) for own in reasons]
        return next((reason for reason in found if reason), Missing.NOT_SUPPORTED)

    @cached_property
    def reasons(self) -> Mapping[str, Mapping[str, Missing]]:
        """GPU uuid -> field of its samples -> why it was missing in the span."""
        out: dict[str, dict[str, Missing]] = {}
        for uuid, name, reason in self.window.rows(_REASONS, (self.host.host_id, self.end_s * 1000, self.start_s * 1000)):
            out.setdefault(uuid, {})[name] = Missing(reason)
        return out

    @cached_property
    def hist_stride(self) -> int:
        """Percentiles are taken from one in so many days and hours."""
        count = len(self._hist_pieces) * len(self.shared.scope.gpu_ids)
        return next((each for each in _STRIDES if count <= MOST_HIST * each), _STRIDES[-1])

    @cached_property
    def _hist_pieces(self) -> tuple[Piece, ...]:
        return hist_pieces(self.host, self.start_s, self.end_s)

    @cached_property
    def bins(self) -> Mapping[int, Mapping[int, Mapping[int, int]]]:
        """gpu_id -> metric -> bin -> milliseconds."""
        return self.shared.ask(_histogram, self.use_plan, self._hist_pieces[:: self.hist_stride])


def _histogram(scope: GpuScope, _: Plan, pieces: Sequence[Piece]) -> dict[int, dict[int, dict[int, int]]]:
    """The distributions that a report shows."""
    return histogram(scope, pieces, METRIC_NUMBERS)


def together(parts: Sequence[HostPart]) -> list[list[HostPart]]:
    """Parts that are cut alike in groups, each of which asks the store once."""
    groups: dict[object, list[HostPart]] = {}
    for part in parts:
        groups.setdefault((part.ledger_plan.pieces, part.use_plan.pieces, part.first_cell, part.host.offset_s), []).append(part)
    for group in groups.values():
        shared = Shared([part.host for part in group])
        for part in group:
            part.shared = shared
    return list(groups.values())


def _both_plans(host: PeriodHost, edges: Sequence[int]) -> tuple[Plan, Plan]:
    """Plans of the ledger and of what was measured with the same edges."""
    first = plan(host, "ledger", edges)
    used = plan(host, "gpu", first.edges)
    booked = first if used.edges == first.edges else plan(host, "ledger", used.edges)
    moved = tuple(asked for asked, edge in zip(edges[1:-1], booked.edges[1:-1]) if asked != edge)
    return booked._replace(moved=moved), used
