"""Rates, means and energy of one server, against sums made by hand."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.served import Serves, held, served_story, server_of, view_of

from gpuwatch.names import Latency, Missing, Quality, ServerState
from gpuwatch.prices import GpuPrice, Prices, Since
from gpuwatch.view.terms import Terms


def test_rates_are_counts_over_the_true_time_between_readings(tmp_path: Path) -> None:
    def tells(second: int) -> dict[str, float | None]:
        return {
            "output_tokens_total": 210.0,
            "prefill_tokens_total": 42.0,
            "cached_tokens_total": 84.0,
            "window_seconds": 2.1,
            "running_requests": 3.0,
            "waiting_requests": 1.0,
            "kv_cache_ratio": 0.5,
        }

    story = served_story(tmp_path / "s.db", Serves(100, tells=tells))
    story.run(30)
    told = server_of(story)
    assert told.output_tokens_per_second == pytest.approx(100.0)
    assert told.prefill_tokens_per_second == pytest.approx(20.0)
    assert told.cached_tokens_per_second == pytest.approx(40.0)
    assert told.prompt_tokens_per_second is None
    assert told.missing["prompt_tokens_per_second"] is Missing.NOT_SUPPORTED
    assert told.rate_seconds == pytest.approx(10.5)
    assert (told.running_requests, told.waiting_requests, told.kv_cache_ratio) == (3.0, 1.0, 0.5)
    assert told.prefix_hit_ratio == pytest.approx(84 / 126)
    assert told.state is ServerState.UP
    assert told.quality == {"output_tokens_total": Quality.EXACT}
    assert (told.max_running_requests, told.engine_version, told.served_model) == (64, "0.32.0", "qwen-72b")
    assert told.up_seconds == 130.0
    assert told.diagnosis == "1 waiting, KV cache at 50%"


def test_the_first_reading_has_no_counts_and_no_rate(tmp_path: Path) -> None:
    serves = Serves(100, tells=lambda second: {"output_tokens_total": None, "window_seconds": None, "running_requests": 0.0})
    story = served_story(tmp_path / "s.db", serves)
    story.run(2)
    told = server_of(story)
    assert told.output_tokens_per_second is None
    assert told.missing["output_tokens_per_second"] is Missing.STALE
    assert told.running_requests == 0.0


def test_an_idle_server_makes_zero_tokens(tmp_path: Path) -> None:
    idle = {"output_tokens_total": 0.0, "running_requests": 0.0, "waiting_requests": 0.0}
    story = served_story(tmp_path / "s.db", Serves(100, tells=lambda second: idle))
    assert server_of(story.run(20)).output_tokens_per_second == 0.0


def test_counts_that_move_when_requests_end_are_told_over_a_minute(tmp_path: Path) -> None:
    def tells(second: int) -> dict[str, float | None]:
        return {"output_tokens_total": 1200.0 if second % 20 == 0 else 0.0, "running_requests": 1.0}

    serves = Serves(100, tells=tells, quality={"output_tokens_total": Quality.AT_END})
    story = served_story(tmp_path / "s.db", serves)
    story.run(90)
    told = server_of(story)
    assert told.output_tokens_per_second == pytest.approx(60.0)
    assert told.rate_seconds == 60.0
    # four times a median of 3 s is 12 s, in which one request ends or none
    serves.buckets = lambda second: {Latency.E2E: {(2_000_000, 4_000_000): 1}}
    assert server_of(story.run(30)).rate_seconds == 12.0


def test_while_requests_run_and_none_has_ended_a_count_of_ended_ones_says_nothing(tmp_path: Path) -> None:
    serves = Serves(100, tells=lambda s: {"output_tokens_total": 0.0, "running_requests": 1.0}, quality={"output_tokens_total": Quality.AT_END})  # fmt: skip
    story = served_story(tmp_path / "s.db", serves)
    assert server_of(story.run(90)).output_tokens_per_second is None


def test_energy_and_tokens_are_of_the_same_seconds(tmp_path: Path) -> None:
    serves = Serves(100, tells=lambda second: {"output_tokens_total": 400.0})
    story = served_story(tmp_path / "s.db", serves, gpus=2)
    held(story, serves, 0)
    held(story, serves, 1, pid=102)
    story.gpus[0].sample, story.gpus[1].sample = {"energy_joules": 300.0}, {"energy_joules": 100.0}
    story.run(60)
    told = server_of(story)
    assert told.power_watts == pytest.approx(400.0)
    assert told.energy_per_output_token_joules == pytest.approx(2.0)
    assert told.output_tokens_per_joule == pytest.approx(0.5)
    assert told.tokens_per_second_per_gpu == pytest.approx(100.0)
    view = view_of(story)
    assert view.workloads[0].gpu_indices == (0, 1)
    assert view.workloads[0].attached
    assert view.workloads[0].tokens_per_second == pytest.approx(200.0)


def test_without_tokens_there_is_power_and_no_energy_a_token(tmp_path: Path) -> None:
    serves = Serves(100, tells=lambda second: {"output_tokens_total": 0.0})
    story = served_story(tmp_path / "s.db", serves)
    held(story, serves)
    told = server_of(story.run(60))
    assert told.power_watts == pytest.approx(100.0)
    assert told.energy_per_output_token_joules is None


def test_a_shared_gpu_has_no_energy_of_one(tmp_path: Path) -> None:
    one, other = Serves(100), Serves(200, port=8001)
    story = served_story(tmp_path / "s.db", one, other)
    held(story, one)
    held(story, other)
    told = server_of(story.run(60))
    assert told.shared_gpu
    assert (told.power_watts, told.energy_per_output_token_joules, told.tokens_per_second_per_gpu) == (None, None, None)


def test_money_only_with_a_price(tmp_path: Path) -> None:
    serves = Serves(100, tells=lambda second: {"output_tokens_total": 2000.0})
    story = served_story(tmp_path / "s.db", serves)
    held(story, serves)
    story.run(60)
    assert server_of(story).cost_per_million_output_tokens is None
    prices = Prices("$", None, (GpuPrice("NVIDIA H100*", (Since(0, 3.6),)),))
    told = server_of(story, Terms(prices=prices))
    assert told.cost_per_million_output_tokens == pytest.approx(3.6 / (1000 * 3600) * 1e6)
    assert (told.price, told.currency) == ("$3.60/GPU·h", "$")
    both = server_of(story, Terms(prices=Prices("$", 0.5, prices.gpus)))
    assert both.cost_per_million_output_tokens == pytest.approx((3.6 + 0.1 * 0.5) / 3.6)
    assert both.price == "$3.60/GPU·h + $0.50/kWh"
    assert server_of(story, Terms(prices=Prices("$", None, (GpuPrice("A100*", (Since(0, 1.0),)),)))).price == ""


def test_the_share_of_the_peak_is_of_bf16_and_of_one_gpu(tmp_path: Path) -> None:
    serves = Serves(100, tells=lambda second: {"output_tokens_total": 200.0, "flops_total": 2 * 98.94e12})
    story = served_story(tmp_path / "s.db", serves)
    held(story, serves)
    assert server_of(story.run(60)).mfu_ratio == pytest.approx(0.1)


def test_what_a_silent_server_told_last_is_dropped_after_thirty_seconds(tmp_path: Path) -> None:
    serves = Serves(100, tells=lambda second: {"output_tokens_total": 200.0, "running_requests": 2.0} if second <= 40 else None)
    story = served_story(tmp_path / "s.db", serves)
    story.run(68)
    told = server_of(story)
    assert told.age_seconds == 28.0
    assert told.output_tokens_per_second == pytest.approx(100.0)
    story.run(4)
    told = server_of(story)
    assert (told.output_tokens_per_second, told.running_requests, told.latencies) == (None, None, ())
    assert told.missing["output_tokens_per_second"] is Missing.STALE
    assert told.age_seconds == 32.0


def test_rows_of_a_slow_rhythm_are_not_dropped_before_the_next_is_due(tmp_path: Path) -> None:
    story = served_story(tmp_path / "s.db", Serves(100, every=60, tells=lambda second: {"output_tokens_total": 600.0}))
    story.close_minutes()
    story.run(230)  # rows at 60, 120 and 180 s
    assert server_of(story).output_tokens_per_second == pytest.approx(10.0)
    at_ms = story.now_ms - 60_000
    assert server_of(story, at_ms=at_ms).output_tokens_per_second == pytest.approx(10.0)


def test_requests_of_the_last_hour_and_of_five_minutes(tmp_path: Path) -> None:
    def tells(second: int) -> dict[str, float | None]:
        return {"output_tokens_total": 200.0, "prompt_tokens_total": 20.0, "requests_total": 2.0, "finished_stop_total": 1.0, "finished_aborted_total": 1.0}  # fmt: skip

    story = served_story(tmp_path / "s.db", Serves(100, tells=tells))
    story.close_minutes()
    story.run(600)
    told = server_of(story)
    assert (told.finished_stop, told.finished_aborted, told.finished_length) == (299, 299, None)
    assert told.finished_seconds == pytest.approx(599, abs=1)
    assert told.requests_per_second == pytest.approx(1.0)
    assert (told.prompt_tokens_mean, told.output_tokens_mean) == (10.0, 100.0)
    assert 290 <= (told.window_seconds or 0) <= 300


def test_cells_of_twenty_seconds_on_the_grid(tmp_path: Path) -> None:
    story = served_story(tmp_path / "s.db", Serves(100, tells=lambda s: {"output_tokens_total": 100.0 if s <= 20 else 300.0}))
    story.run(50)
    cells = server_of(story).rate_cells
    assert len(cells) == 9
    assert cells[:6] == (None,) * 6
    assert cells[6:] == pytest.approx((50.0, 150.0, 150.0))


def test_a_server_whose_processes_have_ended_is_gone_at_the_next_reading_of_processes(tmp_path: Path) -> None:
    stays, ends = Serves(100), Serves(200, 8001, tells=lambda second: {"running_requests": 3.0} if second < 20 else None)
    story = served_story(tmp_path / "s.db", stays, ends)
    held(story, stays)
    held(story, ends)
    story.run(20)
    assert [work.inference is not None for work in view_of(story).workloads] == [True, True]
    gone = story.holds.pop()
    story.run(4)
    assert [(work.root_pid, work.inference is not None) for work in view_of(story).workloads] == [(100, True)]
    assert gone.process.workload_pid == 200


def test_what_is_made_with_the_gpus_present_ends_when_a_reading_is_old(tmp_path: Path) -> None:
    serves = Serves(100, tells=lambda second: {"output_tokens_total": 200.0, "running_requests": 3.0} if second <= 30 else None)
    story = served_story(tmp_path / "s.db", serves)
    held(story, serves)
    story.gpus[0].sample = {"energy_joules": 300.0}
    terms = Terms(prices=Prices(kwh=0.5))
    story.run(36)
    told = server_of(story, terms)
    assert (told.age_seconds, told.energy_per_output_token_joules) == (6.0, pytest.approx(3.0))
    assert told.cost_per_million_output_tokens is not None
    story.run(1)
    told = server_of(story, terms)
    assert (told.age_seconds, told.output_tokens_per_second, told.running_requests) == (7.0, 100.0, 3.0)
    assert (told.energy_per_output_token_joules, told.output_tokens_per_joule, told.power_watts) == (None, None, None)
    assert (told.cost_per_million_output_tokens, told.price, told.tokens_per_second_per_gpu) == (None, "", None)
    assert told.diagnosis == ""


def test_a_quotient_is_not_supported_where_either_part_is_not(tmp_path: Path) -> None:
    def missing(name: str, *told: str) -> dict[str, Missing]:
        counts = dict.fromkeys(told, 0.0)
        serves = Serves(100, tells=lambda second: counts, quality=dict.fromkeys(told, Quality.EXACT))
        return dict(server_of(served_story(tmp_path / name, serves).run(20)).missing)

    alone = missing("alone.db", "output_tokens_total", "accepted_tokens_total")
    assert alone["output_tokens_mean"] is alone["speculative_accepted_length"] is Missing.NOT_SUPPORTED
    both = missing("both.db", "output_tokens_total", "requests_total", "cached_tokens_total", "prefill_tokens_total")
    assert both["output_tokens_mean"] is both["prefix_hit_ratio"] is Missing.STALE
