"""The workloads of a view: whose GPUs they hold, and what servers and trainings tell. A store without any asks nothing of this."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from gpuwatch.names import Quality, ServerState
from gpuwatch.store.window import Window
from gpuwatch.view import holdings as held
from gpuwatch.view.entities import Moment
from gpuwatch.view.holdings import Holdings, Root
from gpuwatch.view.inference_types import InferenceView
from gpuwatch.view.terms import Terms
from gpuwatch.view.training_types import TrainingView
from gpuwatch.view.types import WorkloadView

RECENT_MS = 120_000
LATE_TICKS = 4


def workload_views(moment: Moment, period_ms: int, terms: Terms, *, live: bool) -> tuple[WorkloadView, ...]:
    """The workloads seen in the last two minutes whose processes have not ended since, and what their servers and ranks told.

    A training that nobody measures is seen by its processes alone.
    """
    window, rows = moment.window, moment.rows
    known = dict(window.workloads(moment.at_ms, RECENT_MS))
    there = moment.at_ms - rows.processes_ms <= 5 * moment.stale_ms
    present = held.roots(window, rows) if there else frozenset()
    known |= _silent_trainings(window, present - {(row["root_pid"], row["root_start_ms"]) for row in known.values()})
    if not known:
        return ()
    holds = held.holdings(window, rows) if there else held.NONE
    if there:
        known = {i: row for i, row in known.items() if not row["root_pid"] or (row["root_pid"], row["root_start_ms"]) in present}
    serving = {i: row for i, row in known.items() if row["kind"] == "inference"}
    told = _servers(moment, serving, holds, period_ms, terms, live=live)
    training = {i: row for i, row in known.items() if row["kind"] == "training"}
    trained = _trainings(moment, training, holds, period_ms, terms, live=live)
    order = {gpu_id: row["gpu_index"] for gpu_id, row in rows.gpus.items()}
    return tuple(
        _workload(
            row,
            [order[gpu_id] for gpu_id in holds.of((row["root_pid"], row["root_start_ms"]))],
            told.get(workload_id),
            trained.get(workload_id),
        )
        for workload_id, row in known.items()
    )


def _silent_trainings(window: Window, roots: frozenset[Root]) -> Mapping[int, Mapping[str, Any]]:
    """The trainings among these roots; asked for again when other roots are there."""
    kept = window.memo.get("silent_trainings")
    if kept is None or kept[0] != roots:
        kept = window.memo["silent_trainings"] = (roots, window.trainings_of(roots) if roots else {})
    found: Mapping[int, Mapping[str, Any]] = kept[1]
    return found


def _workload(
    row: Mapping[str, Any], gpus: Sequence[int], inference: InferenceView | None, training: TrainingView | None
) -> WorkloadView:
    return WorkloadView(
        root_pid=row["root_pid"],
        root_start_ms=row["root_start_ms"],
        port=row["port"],
        kind=row["kind"],
        name=row["name"],
        model=row["model"] or (inference.served_model if inference else training.model if training else ""),
        engine=row["engine"],
        user=row["user"],
        gpu_indices=tuple(dict.fromkeys(gpus)),
        attached=training.attached if training else inference is not None and inference.state is ServerState.UP,
        tokens_per_second=training.tokens_per_second if training else inference.output_tokens_per_second if inference else None,
        inference=inference,
        training=training,
    )


def _servers(
    moment: Moment, known: Mapping[int, Mapping[str, Any]], holds: Holdings, period_ms: int, terms: Terms, *, live: bool
) -> dict[int, InferenceView]:
    window, at_ms = moment.window, moment.at_ms
    if not known or not window.knows_servers:
        return {}
    rows = {i: row for i, row in window.servers(list(known)).items() if row["first_ms"] <= at_ms}
    if not rows:
        return {}
    from gpuwatch.view.inference import Card, inference_view  # most hosts serve nothing, and status is in a hurry
    from gpuwatch.view.served import servers_at

    fields = _fields(window, rows)
    servers = servers_at(window, tuple(rows), at_ms, live=live, late_ms=LATE_TICKS * period_ms)
    roots = [(known[i]["root_pid"], known[i]["root_start_ms"]) for i in rows]
    out = {}
    for workload_id, row in rows.items():
        root = known[workload_id]["root_pid"], known[workload_id]["root_start_ms"]
        quality, source = fields.get(workload_id, ({}, {}))
        card = Card(
            workload_id,
            row,
            quality,
            source,
            *root,
            engine=known[workload_id]["engine"],
            gpu_ids=holds.of(root),
            shared=holds.shared(root) or (roots.count(root) > 1 and bool(holds.of(root))),
        )
        recent = servers.recent(workload_id)
        out[workload_id] = inference_view(
            card, servers, recent, moment.rows, at_ms=at_ms, now_ms=moment.now_ms, live=live, terms=terms
        )
    return out


def _trainings(
    moment: Moment, known: Mapping[int, Mapping[str, Any]], holds: Holdings, period_ms: int, terms: Terms, *, live: bool
) -> dict[int, TrainingView]:
    """Every training has a view, attached or not; older files know of none what a view needs."""
    if not known:
        return {}
    from gpuwatch.store.training_window import knows_trainings, runs, trainers  # most hosts train nothing, and status is in a hurry
    from gpuwatch.view.trained import trainings_at
    from gpuwatch.view.training import training_view
    from gpuwatch.view.training_ranks import Card

    window, ids = moment.window, tuple(known)
    if not knows_trainings(window):
        return {}
    ranks: dict[int, list[Mapping[str, Any]]] = {}
    for row in trainers(window, ids):
        ranks.setdefault(row["workload_id"], []).append(row)
    told = runs(window, ids)
    trainings = trainings_at(window, tuple(ranks), moment.at_ms, live=live, late_ms=LATE_TICKS * period_ms)
    out = {}
    for workload_id, work in known.items():
        root = work["root_pid"], work["root_start_ms"]
        card = Card(workload_id, work, ranks.get(workload_id, ()), told.get(workload_id), holds.of(root), holds.shared(root))
        out[workload_id] = training_view(moment, card, trainings, terms)
    return out


Fields = dict[int, tuple[dict[str, Quality], dict[str, str]]]


def _fields(window: Window, rows: Mapping[int, Mapping[str, Any]]) -> Fields:
    """How each number of the servers is counted and where it is from; read again when what is known of a server has changed."""
    mark = [tuple(row.values()) for row in rows.values()]
    kept = window.memo.get("server_fields")
    if kept is None or kept[0] != mark:
        out: Fields = {}
        for workload_id, field, quality, source in window.server_fields(list(rows)):
            qualities, sources = out.setdefault(workload_id, ({}, {}))
            qualities[field], sources[field] = Quality(quality), source
        kept = window.memo["server_fields"] = (mark, out)
    found: Fields = kept[1]
    return found
