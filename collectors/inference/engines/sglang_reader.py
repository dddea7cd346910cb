"""SGLang: the page where it is on, else the numbers of ``/v1/loads``, which needs no flag."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from gpuwatch.collectors.inference.engine import Engine
from gpuwatch.collectors.inference.engines.once import MAX_TEXT, document, number
from gpuwatch.collectors.inference.engines.sglang import LOADS, METRICS
from gpuwatch.collectors.inference.reading import Answer, Reader, Reading, SeriesKey
from gpuwatch.collectors.inference.table_reader import TableReader
from gpuwatch.model import FieldSource
from gpuwatch.names import Quality
from gpuwatch.text import clean

NAME = "/v1/loads"
MOST = 1024
"""Data-parallel ranks."""
LONGEST_NS = 15_000_000_000
"""A rate is taken to have held since the look before, up to this long."""


class SglangReader:
    """See the module's docstring."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._page: Reader = TableReader(engine)
        self._path = ""
        self._before_ns: int | None = None

    def paths(self, now_ns: int) -> Sequence[str]:
        """Both at the first look, then the one that answered."""
        return (self._path,) if self._path else (METRICS, LOADS)

    def read(self, answers: Sequence[Answer], now_ns: int) -> Reading:
        """The page's reading, or that of the loads with a hint at the flag."""
        good = {answer.path: answer for answer in answers if answer.status == 200}
        page, loads = good.get(METRICS), good.get(LOADS)
        if page is not None:
            reading = self._page.read([page], now_ns)
            if reading.sources or loads is None:
                self._path = METRICS if reading.sources else ""
                return reading
        if loads is None:
            raise ValueError("neither /metrics nor /v1/loads of SGLang came")
        refused = any(answer.path == METRICS and answer.status in (404, 501) for answer in answers)
        self._path = LOADS if refused else self._path
        reading = self._of_loads(loads)
        if page is not None:
            reading.hint = ""  # it is on, and has nothing before the first request
        return reading

    def _of_loads(self, answer: Answer) -> Reading:
        ranks, version = _ranks(answer.body)
        reading = Reading(hint=self._engine.metrics_off)
        took_ns = 0 if self._before_ns is None else answer.middle_ns - self._before_ns
        self._before_ns = answer.middle_ns
        for name, key in (("running_requests", "num_running_reqs"), ("waiting_requests", "num_waiting_reqs")):
            counts = [number(rank.get(key)) for rank in ranks]
            if None not in counts:
                reading.gauges[name] = sum(count or 0 for count in counts)
                _say(reading, name, key, Quality.EXACT)
        ratios = [ratio for rank in ranks if (ratio := _kv(rank)) is not None]
        if len(ratios) == len(ranks):
            reading.gauges |= {"kv_cache_ratio": sum(ratios) / len(ratios), "kv_cache_fullest_ratio": max(ratios)}
            for name in ("kv_cache_ratio", "kv_cache_fullest_ratio"):
                _say(reading, name, "num_used_tokens / max_total_num_tokens", Quality.EXACT)
        computed: dict[SeriesKey, float] = {
            (f"{NAME} total_prefill_uncached_tokens", "dp_rank", str(rank.get("dp_rank"))): float(count)
            for rank in ranks
            if (count := number(rank.get("total_prefill_uncached_tokens"))) is not None
        }
        if len(computed) == len(ranks):
            reading.counters["prefill_tokens_total"] = computed
            _say(reading, "prefill_tokens_total", "total_prefill_uncached_tokens", Quality.EXACT)
        rates = [rate for rank in ranks if (rate := _rate(rank)) is not None]
        if len(rates) == len(ranks) and 0 < took_ns <= LONGEST_NS:
            reading.amounts["output_tokens_total"] = sum(rates) * took_ns / 1e9
        if len(rates) == len(ranks):
            _say(reading, "output_tokens_total", "gen_throughput x time", Quality.ESTIMATED)
        for fact, key in (("kv_cache_tokens", "max_total_num_tokens"), ("max_running_requests", "max_running_requests")):
            limits = [number(rank.get(key)) for rank in ranks]
            if all(limits):
                reading.facts[fact] = sum(limit or 0 for limit in limits)
        if version:
            reading.facts["engine_version"] = version
        return reading


def _say(reading: Reading, name: str, key: str, quality: Quality) -> None:
    reading.sources[name] = FieldSource(name, quality, f"{NAME} {key}")


def _ranks(body: bytes) -> tuple[list[dict[str, Any]], str]:
    """(one mapping for each data-parallel rank, the version). Raises ``ValueError`` for what is none of SGLang's."""
    try:
        found = document(body)
    except ValueError:
        found = None
    ranks = found.get("loads") if isinstance(found, dict) else None
    if not isinstance(found, dict) or not isinstance(ranks, list) or not 0 < len(ranks) <= MOST:
        raise ValueError("/v1/loads is not what SGLang gives")
    if not all(isinstance(rank, dict) and "num_running_reqs" in rank for rank in ranks):
        raise ValueError("/v1/loads is not what SGLang gives")
    version = found.get("version")
    return ranks, clean(version)[:MAX_TEXT] if isinstance(version, str) else ""


def _kv(rank: dict[str, Any]) -> float | None:
    used, whole = number(rank.get("num_used_tokens")), number(rank.get("max_total_num_tokens"))
    return None if used is None or not whole else min(1.0, used / whole)


def _rate(rank: dict[str, Any]) -> float | None:
    """Output tokens a second as the rank says; it keeps its last rate while it does nothing."""
    rate = rank.get("gen_throughput")
    if isinstance(rate, bool) or not isinstance(rate, int | float) or not 0 <= rate < 1e7:
        return None
    return float(rate) if number(rank.get("num_running_reqs")) else 0.0
