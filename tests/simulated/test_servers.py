"""Simulated servers: numbers that agree with each other, add up over every span, and are missing where a real server tells nothing."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

import pytest

from gpuwatch.collectors.simulated.compile import compile_plan
from gpuwatch.collectors.simulated.frames import Stage
from gpuwatch.collectors.simulated.people import Axis
from gpuwatch.collectors.simulated.rates import BOUNDS, MOST_LEVEL, Rates
from gpuwatch.collectors.simulated.scenario import parse
from gpuwatch.collectors.simulated.truth import server_truth
from gpuwatch.errors import UsageError
from gpuwatch.measure import measures
from gpuwatch.model import OPEN_US, InferenceSample
from gpuwatch.names import WAITS, Latency, Quality, ServerState

HEAD = """
loop = "10m"
[[gpus]]
profile = "hopper-h100"
load = [{ kind = "sine", period = "5m", high = 90, low = 10 }]
[[processes]]
slot = "api"
workload = "w"
workload_kind = "inference"
engine = "vllm"
model = "m"
port = 8000
gpus = { 0 = 40.0 }
age = "1d"
pid = 500
"""
SERVER = """
[processes.server]
requests = 9
prompt = 800
cached = 0.5
output = { median = 100, p95 = 300 }
ttft = { median = "60ms", p95 = "150ms" }
itl = { median = "12.5ms", p95 = "20ms" }
queue = { median = "5ms", p95 = "20ms" }
ended = { length = 0.1, aborted = 0.05, error = 0.01 }
kv_cache_tokens = 100000
"""
COUNTS = [name for name, measure in measures(InferenceSample).items() if measure.kind == "delta"]


def stage(text, epoch):
    return Stage(compile_plan(parse(text, "t"), 7), Axis(epoch * 1000))


def told(of_stage, start, end, step):
    """All batches of looks at ``start``, ``start + step``, …, ``end``."""
    return [
        of_stage.batch(now - step, now, looks=True, looked=None if now == start else now - step)
        for now in range(start, end + 1, step)
    ]


def added(batches, slot_pid):
    """The counts of one server over all its rows, and the observations of its histograms."""
    rows = [s for b in batches for s in b.inference_samples if s.root_pid == slot_pid]
    sums = {name: sum(getattr(row, name) or 0 for row in rows) for name in COUNTS}
    buckets = {latency: Counter() for latency in WAITS}
    for counts in (c for b in batches for c in b.latency_counts if c.root_pid == slot_pid):
        for lower, upper, n in counts.buckets:
            buckets[counts.latency][lower, upper] += n
    return sums, buckets


@pytest.mark.parametrize("step", [2, 5, 60])
def test_rows_of_any_length_add_up_to_what_the_scenario_says(step, epoch):
    scenario = stage(HEAD + SERVER, epoch)
    start, end = epoch - 660, epoch + 1200
    sums, buckets = added(told(scenario, start, end, step), 500)
    truth = server_truth(scenario.scenario, epoch, start, end)["api"]
    assert (sums["output_tokens_total"], sums["prefill_tokens_total"], sums["cached_tokens_total"], sums["requests_total"]) == (
        truth.output_tokens, truth.prefill_tokens, truth.cached_tokens, truth.requests,
    )  # fmt: skip
    assert {latency: dict(counter) for latency, counter in buckets.items()} == truth.latencies
    assert sums["window_seconds"] == end - start
    assert truth.requests == pytest.approx(9 * 0.5 * (end - start), rel=0.03)


def test_the_numbers_of_a_server_agree_with_each_other(opened, epoch):
    batches = told(opened("lab")._at(epoch), epoch, epoch + 1200, 2)
    rows = [s for b in batches for s in b.inference_samples][1:]
    sums, buckets = added(batches, 33071)
    ended = sums["requests_total"]

    def mean(name):
        return sum(getattr(row, name) for row in rows) / len(rows)

    in_it = sums["e2e_sum_seconds"] - sums["queue_sum_seconds"]
    assert mean("running_requests") == pytest.approx(in_it / 1200, rel=0.01), "Little's law"
    assert mean("waiting_requests") == pytest.approx(sums["queue_sum_seconds"] / 1200, rel=0.1, abs=0.01)
    length = sums["prompt_tokens_total"] / ended + sums["output_tokens_total"] / ended / 2
    assert mean("kv_cache_ratio") == pytest.approx(mean("running_requests") * length / 108_000, rel=0.01)
    assert sums["e2e_sum_seconds"] == pytest.approx(sums["ttft_sum_seconds"] + sums["itl_sum_seconds"], rel=0.001)
    assert sums["itl_count_total"] == pytest.approx(sums["output_tokens_total"] - ended, rel=0.001)
    assert sums["prompt_tokens_total"] == sums["prefill_tokens_total"] + sums["cached_tokens_total"]
    assert ended == sum(sums[f"finished_{how}_total"] for how in ("stop", "length", "aborted", "error"))
    for latency in WAITS:
        assert sum(buckets[latency].values()) == sums[f"{latency.label}_count_total"]
        middle = sum(n * (lower + min(upper, 2 * lower + 1)) / 2 for (lower, upper), n in buckets[latency].items()) / 1e6
        if latency is not Latency.QUEUE:  # most of it is shorter than the first bucket is long
            assert middle / sums[f"{latency.label}_count_total"] == pytest.approx(
                sums[f"{latency.label}_sum_seconds"] / sums[f"{latency.label}_count_total"], rel=0.15
            )


def test_lab_serves_as_in_the_picture(opened, epoch):
    batches = told(opened("lab")._at(epoch), epoch, epoch + 300, 2)
    sums, buckets = added(batches, 33071)
    last = batches[-1].inference_samples[0]
    assert sums["output_tokens_total"] / 300 == pytest.approx(1260, rel=0.03)
    assert sums["requests_total"] / 300 == pytest.approx(3.94, rel=0.03)
    assert 38 <= last.running_requests <= 53 and 0.75 < last.kv_cache_ratio < 1
    assert quantile(buckets[Latency.TTFT], 0.95) == pytest.approx(0.412, rel=0.1)
    assert quantile(buckets[Latency.ITL], 0.5) == pytest.approx(0.037, rel=0.05)
    assert quantile(buckets[Latency.E2E], 0.95) == pytest.approx(21.9, rel=0.05)


def quantile(buckets, share):
    """Linear inside a bucket, in seconds."""
    rest = share * sum(buckets.values())
    for (lower, upper), n in sorted(buckets.items()):
        if rest <= n:
            return (lower + (upper - lower) * rest / n) / 1e6
        rest -= n
    raise AssertionError


def test_an_observation_lies_in_the_bucket_that_its_spread_says(epoch):
    scenario = stage(HEAD.replace("load = [{ kind", "load = 100 # [{ kind") + SERVER, epoch)
    plan = scenario.scenario.people["api"].plan.server
    _, buckets = added(told(scenario, epoch, epoch + 600, 60), 500)
    for latency, spread in ((Latency.TTFT, plan.ttft), (Latency.ITL, plan.itl), (Latency.QUEUE, plan.queue)):
        lower, upper = next(bucket for bucket in sorted(buckets[latency]) if quantile(buckets[latency], 0.95) * 1e6 <= bucket[1])
        assert lower < spread.p95 * 1e6 <= upper
    bounds = {latency: {0, OPEN_US, *(round(b * 1e6) for b in BOUNDS[latency])} for latency in WAITS}
    assert all(set(bucket) <= bounds[latency] for latency in WAITS for bucket in buckets[latency])


def test_a_busier_server_is_slower_and_never_counts_backwards():
    plan = parse(HEAD + SERVER, "t").processes[0].server
    at = [Rates(plan).at(level) for level in range(MOST_LEVEL + 1)]
    assert at[0].running == at[0].waiting == 0 and not any(at[0].counted)
    for calm, busy in pairwise(at):
        assert calm.running < busy.running and calm.waiting < busy.waiting and min(busy.counted) >= 0


def test_the_first_look_and_the_one_after_a_break_count_nothing(epoch):
    text = HEAD + SERVER + 'outages = [{ at = "60s", for = "20s", state = "unreachable" }]\n'
    batches = told(stage(text, epoch), epoch, epoch + 100, 2)
    rows = {b.t - epoch: b.inference_samples[0] for b in batches}
    states = {t: ServerState(row.server_state) for t, row in rows.items()}
    assert [t for t, state in states.items() if state is ServerState.UNREACHABLE] == list(range(60, 80, 2))
    uncounted = [t for t, row in rows.items() if row.output_tokens_total is None]
    assert uncounted == [0, *range(60, 80, 2), 80]
    assert all(rows[t].window_seconds is None for t in uncounted) and rows[82].window_seconds == 2
    assert rows[70].running_requests is None and rows[80].running_requests is not None
    news = {b.t - epoch: [(s.state, bool(s.fields)) for s in b.servers] for b in batches if b.servers}
    up = [(ServerState.UP, True)]
    assert news == {0: up, 60: [(ServerState.UNREACHABLE, True)], 80: up}
    assert [(e.ts_ms - epoch * 1000, e.kind, e.detail, e.pid) for b in batches for e in b.events] == [
        (60_000, "server_unreachable", "vllm http://127.0.0.1:8000: nobody listens there", 500),
        (80_000, "server_up", "vllm http://127.0.0.1:8000 answers", 500),
    ]


def test_a_restarted_server_is_a_new_one_that_starts_slowly(epoch):
    text = HEAD.replace('age = "1d"', 'born = "1m"\nlives = "8m"') + SERVER + 'starts = "40s"\n'
    batches = told(stage(text, epoch), epoch, epoch + 720, 2)
    keys = list(dict.fromkeys(s.root_start_ms for b in batches for s in b.inference_samples))
    assert keys == [(epoch + 60) * 1000, (epoch + 660) * 1000]
    second = {b.t - epoch: s for b in batches for s in b.inference_samples if s.root_start_ms == keys[1]}
    assert [t for t, s in second.items() if s.server_state == ServerState.STARTING] == list(range(660, 700, 2))
    assert second[700].output_tokens_total is None and second[702].output_tokens_total > 0
    assert [(s.state, s.served_model, bool(s.fields)) for b in batches for s in b.servers if s.root_start_ms == keys[1]] == [
        (ServerState.STARTING, "", False), (ServerState.UP, "m", True),
    ]  # fmt: skip
    assert {(w.root_pid, w.root_start_ms, w.port) for b in batches for w in b.workloads} == {
        s.key for b in batches for s in b.servers
    }


def test_servers_are_read_every_other_second_and_told_of_once(opened, epoch):
    collector = opened("lab", interval=1.0)
    batches = [collector.collect(epoch + second) for second in range(1, 12)]
    assert [bool(b.inference_samples) for b in batches] == [True, *[True, False] * 5]
    assert [s.inference_samples[0].window_seconds for s in batches if s.inference_samples] == [None, 1, 2, 2, 2, 2]
    assert [len(b.servers) for b in batches] == [1] + [0] * 10
    assert batches[0].servers[0].key == next(
        (w.root_pid, w.root_start_ms, w.port) for w in batches[0].workloads if w.name == "qwen-72b"
    )


def test_the_past_goes_on_into_the_present(opened, epoch):
    collector = opened("lab", interval=1.0)
    rows = [s for b in collector.backfill(epoch - 600, epoch - 60, 60) for s in b.inference_samples]
    rows += [s for b in collector.backfill(epoch - 60, epoch, 1) for s in b.inference_samples]
    rows += [s for t in range(1, 11) for s in collector.collect(epoch + t).inference_samples]
    assert rows[0].output_tokens_total is None
    truth = server_truth(collector._compiled, epoch, epoch - 540, epoch + 10)["svc"]
    assert sum(row.output_tokens_total for row in rows[1:]) == truth.output_tokens
    assert sum(row.window_seconds for row in rows[1:]) == 550


def test_faster_time_brings_no_more_tokens_a_second(opened, epoch):
    collector = opened("lab", interval=1.0, speed=60)
    rows = [s for t in range(0, 41, 2) for s in collector.collect(epoch + t).inference_samples][1:]
    tokens = sum(row.output_tokens_total for row in rows)
    assert tokens / 40 == pytest.approx(
        server_truth(collector._compiled, epoch, epoch, epoch + 2400)["svc"].output_tokens / 2400, abs=1
    )


def test_each_engine_tells_what_it_can(opened, epoch):
    collector = opened("serve", interval=1.0)
    collector.collect(epoch + 100)
    told_of = {s.served_model or s.engine: s for s in collector._at(epoch)._told.values()}
    rows = {s.root_pid: s for s in collector.collect(epoch + 102).inference_samples}
    quality = {name: {f.field: f.quality for f in server.fields} for name, server in told_of.items()}
    off = told_of["sglang"]
    assert off.state is ServerState.METRICS_OFF and "--enable-metrics" in off.hint and not off.fields
    assert all(getattr(rows[off.root_pid], name) is None for name in measures(InferenceSample) if name != "server_state")
    llama = rows[told_of["Qwen2.5-Coder-14B-Q5_K_M"].root_pid]
    assert quality["Qwen2.5-Coder-14B-Q5_K_M"]["output_tokens_total"] is Quality.ESTIMATED
    assert llama.output_tokens_total > 0 and llama.ttft_count_total is None and llama.preemptions_total is None
    idle = rows[told_of["Mistral-7B-Instruct-v0.3"].root_pid]
    assert (idle.output_tokens_total, idle.running_requests, idle.kv_cache_ratio, idle.ttft_count_total) == (0, 0, 0, 0)
    assert idle.drafts_total is None, "it does not speculate"
    replicas = [rows[s.root_pid] for s in told_of.values() if s.served_model.startswith("Llama")]
    assert len(replicas) == 1, "both have one name"
    for server in told_of.values():
        if server.state is ServerState.UP:
            row = rows[server.root_pid]
            names = {name for name in measures(InferenceSample) if getattr(row, name) is not None} - {
                "server_state",
                "window_seconds",
            }
            spread = {f"{latency.label}{end}" for latency in WAITS for end in ("_count_total", "_sum_seconds")}
            assert names - spread == set(quality[server.served_model]) & set(measures(InferenceSample)) - spread


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("[processes.server]\nrequets = 3", "processes[0].server: unknown key 'requets'", "did you mean 'requests'?"),
        ("[processes.server]\nrequests = -3", "processes[0].server.requests: -3 is below 0", ""),
        ("[processes.server]\ncached = 1.2", "processes[0].server.cached: 1.2 is not within 0 and 1", ""),
        ("[processes.server]\nitl = 3", "processes[0].server.itl: expected a table, got 3", ""),
        ("[processes.server]\nitl = { median = 0.03, p95 = 0.02 }", "processes[0].server.itl: p95 must not be below", ""),
        (
            "[processes.server]\nitl = { median = '3', p95 = 4 }",
            "processes[0].server.itl.median: '3' is not a duration",
            "write it like",
        ),
        ("[processes.server]\nstate = 'gone'", "processes[0].server.state: 'gone' is not one of up, starting, metrics_off", ""),
        (
            "[processes.server]\noutages = [{ state = 'up' }]",
            "processes[0].server.outages[0].state: 'up' is not one of starting",
            "",
        ),
        ("[processes.server]\nended = { length = 0.7, error = 0.5 }", "processes[0].server.ended: the shares add up to more", ""),
        ("[processes.server]\nqueue = { median = '9s', p95 = '9s' }", "processes[0].server: the time to first token contains", ""),
        (SERVER + "max_running_requests = 2", "processes[0].server: at full load 15.1 requests run, of 2", "running = requests x"),
        (
            SERVER.replace("100000", "9000"),
            "processes[0].server: at full load 13021 tokens are in a cache of 9000",
            "kv_cache_tokens",
        ),
        ("server = 3", "processes[0].server: expected a table, got 3", ""),
    ],
)
def test_a_wrong_server_is_one_clear_line(text, message, hint):
    with pytest.raises(UsageError) as caught:
        parse(HEAD + text, "t")
    assert caught.value.message.startswith(message)
    assert caught.value.hint.startswith(hint)
    assert "\n" not in caught.value.message


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('workload = "w"\n', "", "processes[0].server: it needs a workload"),
        ('"inference"', '"training"', "processes[0].server: it needs a workload"),
        ('"vllm"', '"vlm"', "processes[0].server: the engine 'vlm' is not one of vllm"),
        ("gpus = { 0 = 40.0 }\n", "", "processes[0].server: no GPU tells how busy it is"),
        (
            "[[processes]]\n",
            '[[processes]]\nslot = "first"\nworkload = "w"\n[[processes]]\n',
            "processes[1].server: it must stand on the first",
        ),
        ("pid = 500", "copies = 2", "processes[0].server: it must stand on the first"),
    ],
)
def test_a_server_needs_a_workload_an_engine_and_a_load(old, new, message):
    with pytest.raises(UsageError) as caught:
        parse(HEAD.replace(old, new) + SERVER, "t")
    assert caught.value.message.startswith(message)
