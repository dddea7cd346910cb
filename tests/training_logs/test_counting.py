"""How tokens and samples follow from two lines, framework by framework: the amount, the formula in words, and how sure it is."""

from __future__ import annotations

import pytest
from support.training_lines import GOLDEN

from gpuwatch.collectors.training.logs.counting import Between, Counted, Trust, samples, tokens
from gpuwatch.collectors.training.logs.line import LogLine
from gpuwatch.collectors.training.logs.told import Told, told
from gpuwatch.dataclass import replace


def golden(name: str) -> LogLine:
    line = next(iter(GOLDEN[name].values()))[1]
    assert line is not None
    return line


def between(seconds: float | None = 10.0, devices: int | None = 8, settings: Told | None = None, gap: bool = False) -> Between:
    return Between(seconds, devices, settings or Told(), gap)


def test_torchtitan_is_a_mean_rate_per_device() -> None:
    line = golden("torchtitan")
    before = replace(line, step=0)
    assert tokens(before, line, between()) == Counted(7814 * 8 * 10.0, "tokens/s per device x 8 devices x time", Trust.MEDIUM)
    assert tokens(before, line, between(devices=None)) is None
    assert tokens(before, line, between(seconds=None)) is None
    assert tokens(before, line, between(gap=True)) is None
    assert samples(before, line, between()) is None


def test_megatron_is_exact_with_the_length_from_the_command_line() -> None:
    line = golden("megatron")
    before = replace(line, step=9, samples_total=2560.0 - 256)
    settings = told(["python", "pretrain_gpt.py", "--seq-length", "4096"])
    assert tokens(before, line, between(settings=settings)) == Counted(256 * 4096, "consumed samples x --seq-length", Trust.HIGH)
    assert samples(before, line, between()) == Counted(256.0, "difference of its sample count", Trust.HIGH)
    assert tokens(before, line, between()) is None
    early = replace(before, samples_total=None)
    by_steps = tokens(early, replace(line, samples_total=None), between(settings=settings))
    assert by_steps == Counted(1 * 256 * 4096, "steps x global batch size x --seq-length", Trust.HIGH)


def test_nanochat_is_exact_by_the_tokens_of_a_step() -> None:
    line = golden("nanochat")
    found = tokens(replace(line, step=4), line, between(seconds=None, devices=None, gap=True))
    assert found is not None and found.trust is Trust.HIGH
    assert found.amount == pytest.approx(6 * 524_288, rel=1e-4)


def test_nanogpt_needs_three_settings() -> None:
    line = golden("nanogpt")
    before = replace(line, step=90)
    words = ["train.py", "--batch_size=32", "--block_size=256", "--gradient_accumulation_steps=4"]
    found = tokens(before, line, between(settings=told(words)))
    assert found == Counted(10 * 32 * 256 * 4.0, "steps x --batch_size x --block_size x --gradient_accumulation_steps", Trust.HIGH)
    for missing in range(1, 4):
        assert tokens(before, line, between(settings=told(words[:missing] + words[missing + 1 :]))) is None


def test_those_settings_mean_nothing_to_another_framework() -> None:
    settings = told(["x", "--batch_size=32", "--block_size=256", "--gradient_accumulation_steps=4"])
    line = replace(golden("huggingface"), tokens_total=None, step=10)
    assert tokens(replace(line, step=0), line, between(settings=settings)) is None


def test_deepspeed_counts_samples_at_the_speed_of_the_last_step() -> None:
    line = golden("deepspeed")
    found = samples(line, line, between())
    assert found == Counted(pytest.approx(530.1), "samples/s x time, at the speed of the last step", Trust.LOW)
    assert samples(line, line, between(gap=True)) is None
    assert tokens(line, line, between()) is None
    pipeline = replace(line, step=20, step_seconds=0.512, samples_per_second=62.5)
    found = samples(replace(pipeline, step=10), pipeline, between(gap=True))
    assert found == Counted(pytest.approx(320.0), "samples/s x time of a step x steps", Trust.HIGH)


def test_a_token_count_goes_before_any_rate() -> None:
    line = golden("axolotl")
    before = replace(line, tokens_total=1_000_000.0)
    assert tokens(before, line, between()) == Counted(24_000.0, "difference of tokens/total", Trust.HIGH)
    found = tokens(replace(before, tokens_total=None), replace(line, tokens_total=None), between())
    assert found is not None and found.trust is Trust.LOW and "speed of the last step" in found.how


def test_a_coarse_count_waits_until_its_difference_says_something() -> None:
    first = LogLine("huggingface", tokens_name="num_tokens", tokens_total=1_234_000.0, tokens_resolution=1000.0)
    near = replace(first, tokens_total=1_240_000.0)
    far = replace(first, tokens_total=1_334_000.0)
    waiting = tokens(first, near, between())
    assert waiting is not None and waiting.amount is None
    assert tokens(first, far, between()) == Counted(100_000.0, "difference of num_tokens, printed with four digits", Trust.MEDIUM)


def test_nemo_counts_samples_by_steps() -> None:
    line = golden("nemo")
    assert samples(replace(line, step=5), line, between()) == Counted(4 * 512.0, "steps x global batch size", Trust.HIGH)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ([], Told()),
        (["--seq-length=4096"], Told(seq_length=4096)),
        (["--seq_length", "4096", "--seq-length", "2048"], Told(seq_length=2048)),
        (["--seq-length=4096", "--seq-length=2048"], Told(seq_length=2048)),
        (["--encoder-seq-length", "512"], Told(seq_length=512)),
        (["--seq-length"], Told()),
        (["--seq-length", "--bf16"], Told()),
        (["--seq-length", "1e3"], Told()),
        (["--seq-length", "9" * 400], Told()),
        (["--seq-length", "٣"], Told()),
        (["--seq-length-warmup", "3"], Told()),
        (["--logging_steps", "10"], Told(logging_steps=10)),
        (["--logging_steps", "0.1"], Told()),
        (["--logging_steps", "10", "--logging_strategy", "epoch"], Told()),
        (["--logging-steps=10", "--logging_strategy=steps"], Told(logging_steps=10)),
    ],
)
def test_a_command_line_says_only_what_it_says(words: list[str], expected: Told) -> None:
    assert told(["python", "train.py", *words]) == expected
