"""What a training makes of its GPUs: MFU, energy and money a token."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gpuwatch.prices import cost_per_million, hourly_cost
from gpuwatch.view.entities import Moment
from gpuwatch.view.terms import Terms
from gpuwatch.view.trained import Trainings
from gpuwatch.view.training_mfu import mfu
from gpuwatch.view.training_ranks import Card, Rank


def efficiency(
    moment: Moment, card: Card, trainings: Trainings, lead: Rank, found: Mapping[str, Any], terms: Terms
) -> dict[str, Any]:
    """Tokens, energy and money per GPU. Energy and tokens are of the same seconds; none of it is told of a GPU that is shared."""
    boards = {row["uuid"]: row["name"] for row in moment.rows.gpus.values()}
    gpus = [{**row, "name": boards.get(row["parent_uuid"], row["name"])} for row in (moment.rows.gpus[i] for i in card.gpu_ids)]
    tokens = found["tokens_per_second"]
    share = mfu(tokens, lead.row, gpus, shared=card.shared, tokens_kind=lead.row["tokens_kind"])
    out: dict[str, Any] = {"mfu_ratio": share.ratio, "mfu_terms": share.terms, "mfu_missing": share.missing}
    if not gpus or card.shared:
        return out
    if tokens is not None:
        out["tokens_per_second_per_gpu"] = tokens / len(gpus)
    if lead.rates is None or any(gpu["parent_uuid"] for gpu in gpus):
        return out
    watts = _power(moment, card, trainings, lead.rates.start_ms, lead.rates.end_ms)
    out["power_watts"] = watts
    if watts is not None and tokens:
        out["energy_per_token_joules"] = watts / tokens
    hourly = hourly_cost(terms.prices, [gpu["name"] for gpu in gpus], watts, moment.at_ms)
    if hourly is not None:
        out |= {"currency": terms.prices.currency, "price": hourly.price}
        out["cost_per_million_tokens"] = cost_per_million(hourly, tokens)
    return out


def _power(moment: Moment, card: Card, trainings: Trainings, start_ms: int, end_ms: int) -> float | None:
    """All of the GPUs' mean power; ``None`` where one is not known, or is a board that instances are cut out of."""
    total = 0.0
    for gpu_id in card.gpu_ids:
        watts = trainings.energies.power(gpu_id, start_ms, end_ms, moment.at_ms)
        if moment.rows.gpus[gpu_id]["mig_enabled"] or watts is None:
            return None
        total += watts
    return total
