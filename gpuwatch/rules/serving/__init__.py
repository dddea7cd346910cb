"""Inference servers (G1 to G11)."""

from __future__ import annotations

from gpuwatch.rules.rule import Rule
from gpuwatch.rules.serving.kv_cache_saturated import kv_cache_saturated
from gpuwatch.rules.serving.low_batch_occupancy import low_batch_occupancy
from gpuwatch.rules.serving.replica_no_traffic import replica_no_traffic

RULES: tuple[Rule, ...] = (kv_cache_saturated, low_batch_occupancy, replica_no_traffic)
