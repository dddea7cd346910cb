"""Simulated trainings: phases that fill the time, steps that follow the GPU's work, runs that end, ranks that hang."""

from __future__ import annotations

import pytest

from gpuwatch.collectors.simulated.compile import compile_plan
from gpuwatch.collectors.simulated.frames import Stage
from gpuwatch.collectors.simulated.people import Axis
from gpuwatch.collectors.simulated.scenario import parse
from gpuwatch.errors import UsageError
from gpuwatch.names import Latency, Phase, RunOutcome, TrainingSource

EPOCH = 1_780_000_000
HEAD = """
loop = "10m"
[[gpus]]
profile = "hopper-h100"
count = 2
load = [{ for = "9m", level = 80 }, { for = "1m", level = 0 }]
"""
RANK = """
[[processes]]
slot = "rank{0}"
user = "ann"
workload = "w"
workload_kind = "training"
command = "python train.py"
gpus = {{ {0} = 40.0 }}
age = "1h"
pid = {1}
[processes.training]
step = "400ms"
tokens = 1000
padding = 0.25
starts = "30s"
parameters = 1.0
layers = 10
heads = 8
head_width = 64
sequence = 512
"""
PAIR = HEAD + RANK.format(0, 500) + RANK.format(1, 501)
PARTS = ("data_wait", "forward", "backward", "optimizer", "checkpoint", "eval", "compile", "other", "starting")


def stage(text: str) -> Stage:
    return Stage(compile_plan(parse(text, "t"), 7), Axis(EPOCH * 1000))


def rows(batches, pid):
    return [sample for batch in batches for sample in batch.training_samples if sample.pid == pid]


def added(samples, name):
    return sum(getattr(sample, name) or 0 for sample in samples)


def test_phases_fill_the_time_and_steps_follow_the_work():
    batches = [stage(PAIR).batch(now - 10, now) for now in range(EPOCH + 10, EPOCH + 601, 10)]
    lead, other = rows(batches, 500), rows(batches, 501)
    for samples in (lead, other):
        assert added(samples, "attached_seconds") == 600
        assert added(samples, "rank_steps_total") == 1080, "9 minutes at 80 % with 0.4 s of work a step"
        assert sum(added(samples, f"{part}_seconds") for part in PARTS) == pytest.approx(600, abs=0.01)
        assert added(samples, "checkpoint_seconds") == pytest.approx(60, abs=0.01)
        assert added(samples, "checkpoints_total") == 1
        assert added(samples, "data_wait_seconds") == pytest.approx(540 * 0.2 * 0.8, abs=0.01)
    assert added(lead, "steps_total") == 1080
    assert {sample.steps_total for sample in other} == {None}, "the job's steps are counted on its first rank"
    assert added(lead, "tokens_total") + added(other, "tokens_total") == 2 * 1080 * 1000
    assert added(lead, "nonpad_tokens_total") / added(lead, "counted_tokens_total") == pytest.approx(0.75, abs=0.01)


def test_any_split_of_time_gives_the_same_counts():
    whole = rows([stage(PAIR).batch(EPOCH, EPOCH + 900)], 500)
    parts = stage(PAIR)
    pieces = rows([parts.batch(now - 7, now) for now in range(EPOCH + 7, EPOCH + 897, 7)], 500) + rows(
        [parts.batch(EPOCH + 896, EPOCH + 900)], 500
    )
    for name in ("rank_steps_total", "tokens_total", *(f"{part}_seconds" for part in PARTS)):
        assert added(pieces, name) == pytest.approx(added(whole, name)), name


def test_a_step_takes_as_long_as_its_parts():
    (counts,) = [c for c in stage(PAIR).batch(EPOCH + 10, EPOCH + 20).latency_counts if c.latency is Latency.STEP]
    (lower, upper, most), *_ = counts.buckets
    assert lower < 500_000 <= upper, "0.4 s of work at 80 %"
    assert most >= 18 and sum(n for *_, n in counts.buckets) == 20


def test_ranks_and_the_run_are_told_once_and_when_they_end():
    past = RANK.format(0, 490).replace('slot = "rank0"', 'slot = "old"').replace('workload = "w"', 'workload = "v"')
    past = past.replace('age = "1h"', 'age = "3h"\nended = "2h"') + 'outcome = "failed"\nexit_code = 1\ndetail = "ValueError"\n'
    batches = list(stage(PAIR + past).past(EPOCH - 4 * 3600, EPOCH, 60))
    trainers = [trainer for batch in batches for trainer in batch.trainers]
    assert [(t.pid, t.rank, t.world, t.first_step_ms is not None) for t in trainers if t.root_pid == 500] == [
        (500, 0, 2, False), (501, 1, 2, False), (500, 0, 2, True), (501, 1, 2, True),
    ]  # fmt: skip
    assert trainers[0].source is TrainingSource.HOOK
    assert trainers[-1].flops_per_token == 6e9 + 12 * 10 * 8 * 64 * 512
    runs = [run for batch in batches for run in batch.runs]
    old = [run for run in runs if run.root_pid == 490]
    assert [run.outcome for run in old] == [RunOutcome.RUNNING, RunOutcome.FAILED]
    assert (old[-1].ended_ms, old[-1].exit_code, old[-1].detail) == ((EPOCH - 7200) * 1000, 1, "ValueError")
    assert [t.outcome for t in trainers if t.pid == 490][-1] is RunOutcome.FAILED
    new = [run for run in runs if run.root_pid == 500][-1]
    steps = added([s for s in rows(batches, 500) if s.attached_seconds], "rank_steps_total")
    assert new.steps == pytest.approx(steps, abs=2) and new.tokens == 2 * 1000 * new.steps and new.ranks == 2
    assert new.first_step_ms == (EPOCH - 3600 + 30) * 1000 + 400


def test_a_rank_that_hangs_says_where_and_since_when():
    text = HEAD + RANK.format(0, 500) + 'stuck = { since = "5m", phase = "data" }\n'
    (sample,) = stage(text).batch(EPOCH, EPOCH + 10).training_samples
    assert (sample.phase, sample.phase_age_seconds) == (int(Phase.DATA), 310.0)
    assert (sample.rank_steps_total, sample.data_wait_seconds) == (0, 10.0)


def test_a_training_without_a_hook_is_a_run_and_no_more():
    text = HEAD + RANK.format(0, 500).split("[processes.training]")[0]
    batch = stage(text).batch(EPOCH, EPOCH + 10)
    assert not batch.training_samples and not batch.trainers
    assert [(run.root_pid, run.attached, run.steps) for run in batch.runs] == [(500, False, None)]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ('step = "400ms"', "it needs the time of a step"),
        ('workload_kind = "training"', "it needs a workload"),
        ("padding = 0.25", "not within 0 and 1"),
        ('starts = "30s"', "add up to"),
    ],
)
def test_a_wrong_block_says_where(change, words):
    wrong = {change: "", "padding = 0.25": "padding = 1.5", 'starts = "30s"': "split = { forward = 0.9 }"}[change]
    with pytest.raises(UsageError, match=words):
        parse(HEAD + RANK.format(0, 500).replace(change, wrong), "t")
