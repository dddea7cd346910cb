"""The served models of a report: sums by hand, the same from minutes and hours, and every form that prints them."""

from __future__ import annotations

import re
import shutil
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import UTC
from pathlib import Path

import pytest
from support.archived import FIRST_BORDER_MS
from support.json_schema import faults
from support.served import Serves, held, served_story
from support.story import START

from gpuwatch.configured import GpuPriceList, PriceStep, price_list
from gpuwatch.names import Latency, Missing, Quality, ServerState
from gpuwatch.report.period_csv import report_csv
from gpuwatch.report.period_markdown import report_markdown
from gpuwatch.report.period_text import report_text
from gpuwatch.store.window import Window
from gpuwatch.view.period.build import build_report
from gpuwatch.view.period.json import report_json
from gpuwatch.view.period.ledger import ledger
from gpuwatch.view.period.schema import report as report_schema
from gpuwatch.view.period.types import BY, ModelRow, Report, ReportRequest
from gpuwatch.view.terms import Terms

SECONDS = 2400
HOUR_MS = 3_600_000
END_MS = FIRST_BORDER_MS + HOUR_MS
PRICED = Terms(prices=price_list("$", 0.5, (GpuPriceList("NVIDIA H100*", (PriceStep(None, 3.0),)),), UTC))


def serving(pid: int, port: int, slow: int) -> Serves:
    """100 tokens a second, of which one in ``slow`` requests waits long for its first."""

    def buckets(second: int) -> dict[Latency, dict[tuple[int, int], int]]:
        first = {(100_000, 200_000): 9, (400_000, 800_000): 1} if second % slow == 0 else {(100_000, 200_000): 10}
        return {Latency.TTFT: first, Latency.ITL: {(20_000, 50_000): 190, (50_000, 100_000): 10}}

    told = {"output_tokens_total": 200.0, "prefill_tokens_total": 40.0, "requests_total": 10.0}
    waits = {"ttft_count_total": 10.0, "ttft_sum_seconds": 1.5, "itl_count_total": 200.0, "itl_sum_seconds": 6.0}
    return Serves(pid, port, tells=lambda second: told | waits, buckets=buckets)


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Window, Window]]:
    """Two replicas of one model and a server that tells nothing, 40 minutes of one hour; as minutes, and with the hour closed."""
    folder = tmp_path_factory.mktemp("models")
    replicas = [serving(100, 8000, 2), serving(200, 8001, 4)]
    silent = Serves(300, 8002, tells=lambda second: None)
    silent.server = replace(silent.card(), state=ServerState.METRICS_OFF, served_model="mistral", engine="sglang", fields=())
    story = served_story(folder / "hours.db", *replicas, silent, gpus=3)
    for number, serves in enumerate((*replicas, silent)):
        held(story, serves, number)
        story.gpus[number].sample = {"energy_joules": 300.0}
    story.close_minutes()
    story.gap(FIRST_BORDER_MS / 1000 - START)
    story.run(SECONDS)
    story.gap(HOUR_MS / 1000 - SECONDS + 60)
    story.run(60)
    assert story.closer is not None
    story.closer.finish(story.now_ms)
    story.writer.commit()
    story.writer.close()
    shutil.copy(folder / "hours.db", folder / "minutes.db")
    with sqlite3.connect(folder / "minutes.db") as db:
        db.execute("DELETE FROM rollup_state WHERE tier IN ('hour', 'ledger_hour')")
        for table in ("gpu", "process", "workload", "latency", "ledger"):
            db.execute(f"DELETE FROM {table}_hour")
    with Window(folder / "minutes.db") as first, Window(folder / "hours.db") as second:
        yield first, second


def report_of(window: Window, terms: Terms | None = None, by: str = "model", start_ms: int = FIRST_BORDER_MS) -> Report:
    request = ReportRequest(start_ms, END_MS, by=by)
    return build_report(window, request, now_ms=END_MS + 60_000, tz=UTC, terms=terms)


def model_of(window: Window, terms: Terms | None = None) -> ModelRow:
    row = report_of(window, terms).models[0]
    assert row.model == "qwen-72b"
    return row


def test_replicas_of_a_model_are_one_row(stores: tuple[Window, Window]) -> None:
    row = model_of(stores[0])
    rows = SECONDS // 2 - 1  # the first reading speaks for no time
    assert (row.replicas, row.engines, row.quality) == (2, ("vllm",), Quality.EXACT)
    assert row.output_tokens_total == 2 * 200 * rows
    assert row.prefill_tokens_total == 2 * 40 * rows
    assert row.requests_total == 2 * 10 * rows
    assert (row.cached_tokens_total, row.missing["cached_tokens_total"]) == (None, Missing.NOT_SUPPORTED)
    assert [index for _, index in row.gpus] == [0, 1]
    assert row.ledger.energy_mj is not None
    assert row.energy_per_output_token_joules == pytest.approx(row.ledger.energy_mj / 1000 / row.output_tokens_total)
    assert row.energy_per_output_token_joules == pytest.approx(3.0, rel=0.01)


def test_percentiles_are_of_all_observations_together(stores: tuple[Window, Window]) -> None:
    row = model_of(stores[0])
    assert row.ttft is not None and row.itl is not None
    rows = SECONDS // 2 - 1
    slow = rows + (SECONDS // 4 - 0)  # one in each row of the first server, one in every other of the second
    assert row.ttft.count == 20 * rows
    assert row.ttft.in_slo_low == pytest.approx(1 - slow / (20 * rows), abs=0.001)
    rank = 0.95 * 20 * rows
    fast = 20 * rows - slow
    assert row.ttft.p95_seconds == pytest.approx(0.1 + 0.1 * rank / fast if rank <= fast else 0.4 + 0.4 * (rank - fast) / slow, rel=0.02)  # fmt: skip
    assert row.ttft.mean_seconds == pytest.approx(0.15)
    assert row.itl.in_slo_low == row.itl.in_slo_high == pytest.approx(0.95)


def test_hours_say_what_their_minutes_say(stores: tuple[Window, Window]) -> None:
    minutes, hours = (report_of(window, PRICED) for window in stores)
    assert any(tier.tier == "hour" for tier in hours.quality.tiers)
    assert not any(tier.tier == "hour" for tier in minutes.quality.tiers)
    assert minutes.models == hours.models


def test_a_server_that_tells_nothing_still_has_its_gpu_time(stores: tuple[Window, Window]) -> None:
    row = report_of(stores[0]).models[1]
    assert (row.model, row.engines, row.output_tokens_total, row.ttft) == ("mistral", ("sglang",), None, None)
    assert row.ledger.capacity_gpu_ms == pytest.approx(SECONDS * 1000, rel=0.01)
    assert row.energy_per_output_token_joules is None
    assert (row.quality, row.observed_seconds) == (None, 0)
    assert row.missing["energy_per_output_token_joules"] is Missing.NOT_SUPPORTED
    cells = dict(zip(*(line.split(",") for line in report_csv(report_of(stores[0])).splitlines()[:3:2]), strict=True))
    assert (cells["model"], cells["quality"]) == ("mistral", "")


def partly(folder: Path, told: Callable[[int], Mapping[str, float | None] | None], quality: Quality = Quality.EXACT) -> ModelRow:
    """A model with two replicas for ten minutes, of which the second tells what ``told`` says."""
    first, second = serving(100, 8000, 2), Serves(200, 8001, tells=told, quality={"output_tokens_total": quality})
    story = served_story(folder / "partly.db", first, second, gpus=2)
    for number, serves in enumerate((first, second)):
        held(story, serves, number)
        story.gpus[number].sample = {"energy_joules": 300.0}
    story.close_minutes()
    story.run(600)
    assert story.closer is not None
    story.closer.finish(story.now_ms)
    story.writer.commit()
    story.writer.close()
    with Window(folder / "partly.db") as window:
        request = ReportRequest(round(START * 1000), story.now_ms, by="model")
        return build_report(window, request, now_ms=story.now_ms, tz=UTC, terms=PRICED).models[0]


def off(second: int) -> Mapping[str, float | None]:
    """Its metrics are off: there are rows that say so and nothing else."""
    return {"server_state": int(ServerState.METRICS_OFF), "window_seconds": None}


def test_energy_and_cost_a_token_need_the_tokens_of_every_replica(tmp_path: Path) -> None:
    row = partly(tmp_path, off)
    assert row.output_tokens_total is not None
    assert row.ledger.energy_mj is not None
    assert (row.energy_per_output_token_joules, row.cost_per_million_output_tokens) == (None, None)
    assert row.missing["energy_per_output_token_joules"] is Missing.STALE
    assert row.observed_seconds == pytest.approx(600, abs=5)


def test_energy_a_token_needs_tokens_for_most_of_the_time(tmp_path: Path) -> None:
    assert partly(tmp_path, lambda second: {"output_tokens_total": 200.0} if second > 200 else off(second)).energy_per_output_token_joules is None  # fmt: skip


def test_a_short_silence_leaves_energy_a_token(tmp_path: Path) -> None:
    row = partly(tmp_path, lambda second: {"output_tokens_total": 200.0} if second > 30 else off(second))
    assert row.energy_per_output_token_joules == pytest.approx(3.0, rel=0.06)


def test_what_is_made_of_estimated_tokens_says_so(stores: tuple[Window, Window], tmp_path: Path) -> None:
    row = partly(tmp_path, lambda second: {"output_tokens_total": 200.0}, Quality.ESTIMATED)
    assert row.quality is Quality.ESTIMATED
    text = report_text(replace(report_of(stores[0], PRICED), models=(row,)), width=160)
    line = next(line for line in text.splitlines() if line.startswith("qwen-72b"))
    assert line.count("~") == 3  # tokens, energy, cost
    assert "~ from estimated tokens" in text


@pytest.mark.parametrize("worse", [Quality.ESTIMATED, Quality.AT_END])
def test_the_worst_quality_of_the_replicas_counts(tmp_path: Path, worse: Quality) -> None:
    assert partly(tmp_path, lambda second: {"output_tokens_total": 200.0}, worse).quality is worse


def test_models_have_no_more_gpu_time_than_there_is(stores: tuple[Window, Window]) -> None:
    report = report_of(stores[0])
    assert sum(row.ledger.capacity_gpu_ms for row in report.models) <= report.total.allocated_gpu_ms


def test_costs_are_of_gpu_time_and_energy_and_name_their_prices(stores: tuple[Window, Window]) -> None:
    assert model_of(stores[0]).cost_per_million_output_tokens is None
    row = model_of(stores[0], PRICED)
    assert row.ledger.energy_mj is not None and row.output_tokens_total
    cost = row.ledger.capacity_gpu_ms / 3_600_000 * 3.0 + row.ledger.energy_mj / 3.6e9 * 0.5
    assert row.cost_per_million_output_tokens == pytest.approx(cost / row.output_tokens_total * 1e6)
    assert (row.price, row.currency) == ("$3.00/GPU·h + $0.50/kWh", "$")
    priced, plain = report_of(stores[0], PRICED), report_of(stores[0])
    assert {priced.total.money_reason, priced.gpus[0].ledger.money_reason, priced.absent["money"]} == {"not_evaluated"}
    assert {plain.total.money_reason, plain.gpus[0].ledger.money_reason, plain.absent["money"]} == {"no_price"}
    elsewhere = Terms(prices=price_list("$", None, (GpuPriceList("NVIDIA L4", (PriceStep(None, 1.0),)),), UTC))
    assert model_of(stores[0], elsewhere).price == ""


def test_a_price_holds_from_its_day_on(stores: tuple[Window, Window]) -> None:
    from datetime import date

    steps = (PriceStep(date(2025, 1, 1), 2.0), PriceStep(date(2025, 11, 15), 9.0))
    terms = Terms(prices=price_list("$", None, (GpuPriceList("NVIDIA H100*", steps),), UTC))
    assert model_of(stores[0], terms).price == "$2.00/GPU·h"


def test_every_form_prints_the_models(stores: tuple[Window, Window]) -> None:
    report = report_of(stores[0], PRICED)
    for width in (60, 80, 120):
        text = report_text(report, width=width)
        assert "qwen-72b" in text and "480k" in text
    assert "a million output tokens at $3.00/GPU·h + $0.50/kWh" in report_text(report, width=120)
    assert "## Models" in report_markdown(report)
    head, first, *_ = report_csv(report).splitlines()
    cells = dict(zip(head.split(","), first.split(","), strict=True))
    assert (cells["model"], cells["output_tokens_total"], cells["quality"]) == ("qwen-72b", "479600", "exact")
    assert float(cells["ttft_mean_seconds"]) == pytest.approx(0.15)
    document = report_json(report)
    assert faults(document, report_schema()) == []
    assert document["models"][0]["ttft"]["count"] == 23980
    assert document["models_reason"] is None


@pytest.mark.parametrize("name", ["=cmd|' /C calc'!A0", "<script>x</script>|[red]", "a" * 300, "@all #1 `code`"])
def test_a_hostile_name_stays_a_name(stores: tuple[Window, Window], name: str) -> None:
    report = report_of(stores[0], PRICED)
    report = replace(report, models=(replace(report.models[0], model=name), *report.models[1:]))
    assert all(len(line) <= 80 for line in report_text(report, width=80).splitlines())
    table = report_markdown(report).split("## Models")[1].split("##")[0]
    rows = [line for line in table.splitlines() if line.startswith("|")]
    assert len({len(re.findall(r"(?<!\\)\|", row)) for row in rows}) == 1
    assert "<script>" not in re.sub("`[^`]*`", "", table)
    assert not report_csv(report).splitlines()[1].startswith("=")


@pytest.mark.parametrize("by", ["gpu", "model"])
def test_models_are_told_where_no_gpu_was_observed(stores: tuple[Window, Window], by: str) -> None:
    report = report_of(stores[0], by=by)
    bare = replace(report, span=replace(report.span, gpu_count=0, gpu_names=()), total=ledger({}), gpus=(), strip=None)
    text, page = report_text(bare, width=80), report_markdown(bare)
    assert "Nothing was observed" in text and "── GPUs" not in text
    for told in (text.split("── Models")[1], page.split("## Models")[1]):
        assert all(row.model[:10] in told for row in report.models) and "480k" in told


def test_without_servers_the_report_says_so(tmp_path: Path) -> None:
    story = served_story(tmp_path / "s.db")
    story.close_minutes()
    story.run(300)
    with Window(tmp_path / "s.db") as window:
        for by in BY:
            report = report_of(window, by=by, start_ms=round(START * 1000))
            assert report.models == ()
            assert report.absent["models"] == "nothing_seen"
            assert report_csv(report)
            text = report_text(report, width=80)
            assert ("No served model is recorded in this span." in text) is (by == "model")
