"""Inference servers (G1 to G11)."""

from __future__ import annotations

from gpuwatch.rules.rule import Rule
from gpuwatch.rules.serving.kv_cache_over_provisioned import kv_cache_over_provisioned
from gpuwatch.rules.serving.kv_cache_saturated import kv_cache_saturated
from gpuwatch.rules.serving.latency_slo_miss import latency_slo_miss
from gpuwatch.rules.serving.low_batch_occupancy import low_batch_occupancy
from gpuwatch.rules.serving.low_prefix_cache_hit import low_prefix_cache_hit
from gpuwatch.rules.serving.prefill_decode_interference import prefill_decode_interference
from gpuwatch.rules.serving.quantisation_opportunity import quantisation_opportunity
from gpuwatch.rules.serving.replica_no_traffic import replica_no_traffic
from gpuwatch.rules.serving.spec_decode_unprofitable import spec_decode_unprofitable
from gpuwatch.rules.serving.speculation_opportunity import speculation_opportunity
from gpuwatch.rules.serving.tensor_parallel_too_wide import tensor_parallel_too_wide

RULES: tuple[Rule, ...] = (
    kv_cache_saturated,
    kv_cache_over_provisioned,
    low_prefix_cache_hit,
    low_batch_occupancy,
    latency_slo_miss,
    prefill_decode_interference,
    spec_decode_unprofitable,
    quantisation_opportunity,
    replica_no_traffic,
    tensor_parallel_too_wide,
    speculation_opportunity,
)
