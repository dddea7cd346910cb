"""The logs of one training from look to look: differences, each with its time, its formula and its age; unknown stays unknown."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from gpuwatch.clock import FakeClock
from gpuwatch.collectors.training.logs.counting import Trust
from gpuwatch.collectors.training.logs.reading import LogReading
from gpuwatch.collectors.training.logs.watch import LogWatch

HERE = Path(__file__).parent
TITAN = "[titan] 2025-01-01 00:{:02}:{:02},000 - root - INFO - step: {}  loss:  7.1  grad_norm:  1.2  memory: 40GiB(50%)  tps: {}  tflops: 1  mfu: 35.4%\n"
MEGATRON = " iteration {:8}/     500 | consumed samples: {:12} | elapsed time per iteration (ms): 500.0 | global batch size:   256 | lm loss: 1.0E+01 |\n"


class Bench:
    """A log that is written while a watch looks at it."""

    def __init__(self, folder: Path, *argv: str) -> None:
        self.log = folder / "train.log"
        self.log.touch()
        self.clock = FakeClock()
        self.proc = folder / "proc"
        (self.proc / "7").mkdir(parents=True, exist_ok=True)  # a process of this user, with no outputs of its own
        self.watch = LogWatch(7, ["python", "train.py", *argv], [self.log], self.clock, self.proc)

    def look(self, text: str = "", after: float = 1.0, devices: int | None = None) -> LogReading | None:
        self.clock.advance(after)
        with open(self.log, "a", encoding="utf-8") as file:
            file.write(text)
        os.utime(self.log, (self.clock.time(), self.clock.time()))
        return self.watch.read(self.clock.time(), devices)

    def sure(self, text: str = "", after: float = 1.0, devices: int | None = None) -> LogReading:
        found = self.look(text, after, devices)
        assert found is not None
        return found


def nanogpt(step: int, ms: float = 100.0) -> str:
    return f"iter {step}: loss 2.5000, time {ms:.2f}ms, mfu 12.00%\n"


NO_TOKENS = "nanoGPT log: no token count without --batch_size, --block_size and --gradient_accumulation_steps on the command line"
NANOGPT = ("--batch_size=4", "--block_size=8", "--gradient_accumulation_steps=2")


def test_nothing_is_said_before_a_framework_is_known(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    assert bench.look() is None
    assert bench.look("starting\nloading data\n") is None
    assert bench.look(nanogpt(0)) is not None


def test_the_first_reading_counts_nothing(tmp_path: Path) -> None:
    bench = Bench(tmp_path, *NANOGPT)
    first = bench.sure(nanogpt(0) + nanogpt(10))
    bench = Bench(tmp_path, *NANOGPT)  # another watch, on a log that is there already
    first = bench.sure()
    assert (first.steps, first.tokens, first.samples, first.window_seconds) == (None, None, None, None)
    assert (first.step, first.loss, first.mfu, first.step_seconds) == (10, 2.5, 0.12, 0.1)


def test_what_was_written_before_anybody_looked_is_not_counted(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.log.write_text(TITAN.format(0, 0, 10, "7,000") + TITAN.format(0, 10, 20, "7,000"))
    first = bench.sure(devices=8)
    assert (first.steps, first.tokens, first.window_seconds, first.step) == (None, None, None, 20)
    found = bench.sure(TITAN.format(0, 20, 30, "7,000"), devices=8)
    assert (found.steps, found.steps_seconds, found.tokens) == (10, 10.0, 7000 * 8 * 10.0)


def test_differences_come_with_their_time_their_formula_and_their_age(tmp_path: Path) -> None:
    bench = Bench(tmp_path, *NANOGPT)
    first = bench.sure(nanogpt(10))
    assert (first.source, first.trust) == ("nanoGPT log: no token count yet", None)
    assert bench.sure(after=3).steps is None, "no new line is no zero"
    found = bench.sure(nanogpt(20) + nanogpt(30), after=2)
    assert (found.steps, found.steps_seconds) == (20, 5.0)
    assert (found.tokens, found.tokens_seconds, found.window_seconds) == (20 * 64, 5.0, 5.0)
    assert found.source == "nanoGPT log: steps x --batch_size x --block_size x --gradient_accumulation_steps"
    assert found.trust is Trust.HIGH
    assert (found.new_lines, found.age_seconds) == (2, 0.0)
    still = bench.sure(after=7)
    assert (still.steps, still.tokens, still.new_lines, still.age_seconds, still.step) == (None, None, 0, 7.0, 30)


def test_without_settings_there_are_steps_and_no_tokens(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.sure(nanogpt(10))
    found = bench.sure(nanogpt(20))
    assert (found.steps, found.tokens, found.source) == (10, None, NO_TOKENS)


def test_the_time_since_a_line_that_was_there_before_is_that_of_the_file(tmp_path: Path) -> None:
    bench = Bench(tmp_path, *NANOGPT)
    bench.log.write_text(nanogpt(10))
    os.utime(bench.log, (bench.clock.time() - 40, bench.clock.time() - 40))
    first = bench.watch.read(bench.clock.time())
    assert first is not None and first.age_seconds == pytest.approx(40)
    found = bench.sure(nanogpt(20), after=10)
    assert (found.steps, found.steps_seconds) == (10, pytest.approx(50))


def test_a_rate_per_device_needs_the_number_of_devices(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.sure(TITAN.format(0, 0, 10, "7,000"))
    alone = bench.sure(TITAN.format(0, 5, 20, "7,000"), after=7)
    assert (alone.steps, alone.tokens, alone.tokens_per_second_per_device, alone.mfu) == (10, None, 7000.0, 0.354)
    assert (alone.source, alone.trust) == ("torchtitan log: tokens/s per device", None)
    found = bench.sure(TITAN.format(0, 10, 30, "8,000"), devices=8)
    assert (found.tokens, found.tokens_seconds) == (8000 * 8 * 5.0, 5.0), "the lines have their own time"
    assert found.source == "torchtitan log: tokens/s per device x 8 devices x time"
    assert found.trust is Trust.MEDIUM


def test_times_in_lines_that_jump_with_the_season_are_not_believed(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.sure("[titan] 2025-10-26 02:59:58,000 - step: 10  loss: 7  memory: 4GiB(5%)  tps: 100\n")
    found = bench.sure("[titan] 2025-10-26 02:00:03,000 - step: 20  loss: 7  memory: 4GiB(5%)  tps: 100\n", after=5, devices=1)
    assert found.tokens_seconds == 5.0
    found = bench.sure("[titan] 2026-03-29 03:00:08,000 - step: 30  loss: 7  memory: 4GiB(5%)  tps: 100\n", after=5, devices=1)
    assert found.tokens_seconds == 5.0


def test_megatron_with_its_length_is_exact_even_where_lines_were_missed(tmp_path: Path) -> None:
    bench = Bench(tmp_path, "--seq-length", "4096")
    bench.sure(MEGATRON.format(10, 2560))
    found = bench.sure("x" * 300_000 + "\n" + MEGATRON.format(40, 10240), after=15)
    assert found.skipped_bytes > 200_000
    assert (found.steps, found.samples, found.tokens, found.tokens_seconds) == (30, 7680, 7680 * 4096, 15.0)
    assert found.total_steps == 500


def test_a_rate_is_not_taken_over_lines_that_were_missed(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.sure(TITAN.format(0, 0, 10, "7,000"), devices=8)
    found = bench.sure("x" * 300_000 + "\n" + TITAN.format(0, 30, 40, "7,000"), devices=8)
    assert (found.steps, found.tokens) == (30, None)
    assert bench.sure(TITAN.format(0, 40, 50, "7,000"), devices=8).tokens == 7000 * 8 * 10.0
    lines = TITAN.format(0, 50, 60, "7,000") + TITAN.format(0, 55, 65, "7,000")
    assert bench.sure("x" * 300_000 + "\n" + lines, devices=8).tokens == 7000 * 8 * 5.0, "what came after the gap is known"


def test_the_time_of_an_evaluation_is_no_time_of_a_rate(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    validate = "[titan] 2025-01-01 00:01:00,000 - root - INFO - validate step: 20  loss:  3.1  memory: 40GiB(50%)  tps: 20,123\n"
    bench.sure(TITAN.format(0, 0, 20, "7,000"), devices=2)
    found = bench.sure(validate + TITAN.format(1, 5, 30, "7,000"), after=65, devices=2)
    assert (found.tokens, found.tokens_seconds) == (7000 * 2 * 5.0, 65.0)
    assert bench.sure(TITAN.format(1, 10, 40, "7,000"), after=5, devices=2).tokens == 7000 * 2 * 5.0


def test_numbers_that_no_training_has_are_not_counted(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    line = "{{'loss': 2.5, 'epoch': 0.1, 'num_input_tokens_seen': {}}}\n"
    bench.sure(line.format(1))
    assert bench.sure(line.format("9" * 17)).tokens is None
    assert bench.sure(line.format("1" + "0" * 17 + "99")).tokens is None
    assert bench.sure(line.format(5)).tokens is None
    assert bench.sure(line.format(50)).tokens == 45


def test_lines_that_every_rank_prints_count_once(tmp_path: Path) -> None:
    bench = Bench(tmp_path, *NANOGPT)
    bench.sure(nanogpt(0))
    lines = "".join(map(nanogpt, range(1, 101)))
    first = bench.sure(lines, after=10)
    late = [bench.sure(lines, after=2) for _ in range(7)]  # seven more ranks, each with a buffer of its own
    assert (first.steps, first.tokens) == (100, 6400)
    assert [(reading.steps, reading.tokens) for reading in late] == [(None, None)] * 7
    found = bench.sure("".join(map(nanogpt, range(101, 201))), after=30)
    assert (found.steps, found.steps_seconds) == (100, 44.0)


def test_a_training_that_begins_anew_in_the_same_log_counts_from_there(tmp_path: Path) -> None:
    bench = Bench(tmp_path, *NANOGPT)
    bench.sure(nanogpt(500))
    found = [bench.sure(nanogpt(step), after=10) for step in (0, 10, 20, 30, 40, 50)]
    assert [reading.steps for reading in found] == [None, None, None, None, 10, 10]
    assert found[-1].step == 50 and found[-1].tokens == 640


def test_an_evaluation_is_seen_and_counts_nothing(tmp_path: Path) -> None:
    bench = Bench(tmp_path, *NANOGPT)
    bench.sure(nanogpt(240))
    found = bench.sure("step 250: train loss 2.1000, val loss 2.2000\n")
    assert (found.evaluating, found.steps, found.tokens, found.loss) == (True, None, None, 2.5)
    after = bench.sure(nanogpt(250), after=4)
    assert (after.evaluating, after.steps, after.steps_seconds) == (False, 10, 5.0)


def test_a_loss_that_is_no_number_is_not_the_last_one(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    assert bench.sure("{'loss': 2.5, 'grad_norm': 1.0, 'epoch': 0.1}\n").loss == 2.5
    found = bench.sure("{'loss': nan, 'grad_norm': inf, 'epoch': 0.2}\n")
    assert (found.loss, found.grad_norm) == (None, None)


def test_deepspeed_has_steps_from_one_line_and_samples_from_another(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    step = "[2025-01-02 03:04:{:02},000] [INFO] [logging.py:128:log_dist] [Rank 0] step={}, skipped=0, lr=[1e-05], mom=[(0.9, 0.999)]\n"
    rate = "[2025-01-02 03:04:{:02},000] [INFO] [timer.py:264:stop] epoch=0/micro_step=40/global_step={}, RunningAvgSamplesPerSec=1.0, CurrSamplesPerSec=50.0, MemAllocated=1.2GB, MaxMemAllocated=3.4GB\n"
    bench.sure(rate.format(0, 10) + step.format(0, 1010))
    found = bench.sure(step.format(10, 1020) + rate.format(10, 20), after=10)
    assert (found.steps, found.samples, found.tokens, found.samples_seconds) == (10, 500.0, None, 10.0)
    assert found.source == "DeepSpeed log: no token count; samples: samples/s x time, at the speed of the last step"
    assert found.trust is Trust.LOW


def test_steps_of_the_trainer_without_a_bar_follow_from_its_command_line(tmp_path: Path) -> None:
    line = "{'loss': 2.5, 'grad_norm': 1.0, 'learning_rate': 1e-05, 'epoch': 0.1}\n"
    bench = Bench(tmp_path, "--logging_steps", "25")
    bench.sure(line)
    found = bench.sure(line + line, after=10)
    assert (found.steps, found.steps_seconds, found.step) == (50, 10.0, None)
    assert bench.sure("x" * 300_000 + "\n" + line).steps is None, "nobody knows how many lines were passed over"
    assert bench.sure(line).steps == 25
    bench = Bench(tmp_path)
    bench.sure(line)
    assert bench.sure(line).steps is None


def test_the_bar_of_an_evaluation_is_no_progress_of_the_training(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bar = "\r 10%|█         | {}/{} [00:05<00:45,  2.00it/s]"
    bench.sure("{'loss': 2.5, 'epoch': 0.1}\n" + bar.format(10, 100) + "\r")
    assert bench.sure(bar.format(12, 100) + "\n" + bar.format(400, 900) + "\r").steps == 2
    found = bench.sure(bar.format(13, 100) + "\r")
    assert (found.steps, found.step, found.total_steps) == (1, 13, 100)
    again = bench.sure("{'loss': 2.9, 'epoch': 0.1}\n" + bar.format(1, 50) + bar.format(2, 50) + "\r")
    assert (again.steps, again.step, again.total_steps) == (None, 2, 50), "another training: its first bar is where it begins"
    assert bench.sure(bar.format(5, 50) + "\r").steps == 3
    bench.sure("{'loss': 2.9, 'epoch': 0.1}\n")
    found = bench.sure("x" * 300_000 + "\r" + bar.format(7, 900) + bar.format(8, 50) + "\r")
    assert (found.steps, found.total_steps) == (3, 50), "after a gap nobody knows whose the next bar is"


def test_a_file_with_two_names_is_read_once(tmp_path: Path) -> None:
    bench = Bench(tmp_path, *NANOGPT)
    other = tmp_path / "latest.log"
    other.symlink_to(bench.log)
    bench.watch = LogWatch(7, ["train.py", *NANOGPT], [bench.log, other], bench.clock, bench.proc)
    bench.sure(nanogpt(0))
    assert [bench.sure(nanogpt(step)).tokens for step in (10, 20)] == [640, 640]
    first, second = bench.watch._followers
    assert (first.meter.step, second.meter.step) == (20, 0)


def test_a_coarse_count_is_told_when_it_has_grown_enough(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    line = "{{'loss': '2.5', 'epoch': '0.1', 'num_tokens': '{}'}}\n"
    bench.sure(line.format("1.234e+06"))
    found = [bench.sure(line.format(f"1.{number}e+06"), after=10) for number in (254, 274, 294)]
    assert [reading.tokens for reading in found] == [None, None, 60_000]
    assert found[-1].tokens_seconds == 30.0
    assert found[-1].trust is Trust.MEDIUM


@pytest.mark.parametrize("version", ["5.24.0", "4.57.6"])
@pytest.mark.parametrize("size", [7, 100, 100_000])
def test_the_output_of_a_real_trainer_however_it_is_cut(version: str, size: int, tmp_path: Path) -> None:
    text = (HERE / f"transformers-{version}.log").read_bytes().decode()
    bench = Bench(tmp_path)
    readings = [bench.look(text[at : at + size], after=0.1) for at in range(0, len(text), size)]
    told = [reading for reading in readings if reading]
    total = 60 if version == "5.24.0" else 40
    last = told[-1]
    assert (last.framework, last.step, last.total_steps, last.ended) == ("huggingface", total, total, True)
    if size < 1000:
        assert sum(reading.steps or 0 for reading in told) == total - 10, (
            "the first bar that is surely the training's shows step 10"
        )
        assert sum(reading.tokens or 0 for reading in told) == (total - 10) * 64
        assert any(reading.evaluating for reading in told)


def test_llama_factory_is_read_from_the_file_that_is_named(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    line = '{{"current_steps": {0}, "total_steps": 100, "loss": 1.2, "epoch": 0.1, "throughput": 1.0, "total_tokens": {1}}}\n'
    bench.sure(line.format(10, 81920))
    found = bench.sure(
        line.format(20, 163840) + '{"current_steps": 20, "total_steps": 100, "epoch": 0.1, "percentage": 20.0}\n', after=4
    )
    assert (found.steps, found.tokens, found.tokens_seconds, found.step, found.loss) == (10, 81920, 4.0, 20, 1.2)
    assert found.source == "LLaMA-Factory log: difference of total_tokens"


def test_what_a_shell_does_not_say_a_rank_does(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    for pid, words in (
        (8, ["sh", "run.sh"]),
        (9, ["python", "x.py", "--seq-length", "8"]),
        (10, ["python", "x.py", "--seq-length", "9"]),
    ):
        (bench.proc / str(pid)).mkdir()
        (bench.proc / str(pid) / "cmdline").write_bytes("\0".join([*words, ""]).encode())
    bench.watch = LogWatch(7, ["bash", "run.sh"], [bench.log], bench.clock, bench.proc, [8, 9, 10, 11])
    bench.sure(MEGATRON.format(10, 2560))
    assert bench.sure(MEGATRON.format(20, 5120)).tokens == 2560 * 8


def test_a_named_file_of_another_user_is_refused_in_words(tmp_path: Path) -> None:
    mine = tmp_path / "mine.log"
    mine.write_text(nanogpt(1))
    clock = FakeClock()
    proc = tmp_path / "proc"
    watch = LogWatch(1, [], [mine], clock, proc_root=proc)  # a process that is gone owns nothing
    assert watch.read(clock.time()) is None
    assert watch.problems == {str(mine): "another user's file"}


def test_no_word_of_a_command_line_or_of_a_log_is_kept(tmp_path: Path) -> None:
    bench = Bench(tmp_path, "--token=hunter2", "--seq-length", "4096")
    reading = bench.sure("password hunter2\n" + nanogpt(1))

    def words(thing: object, depth: int = 0) -> str:
        inner = list(vars(thing).values()) if hasattr(thing, "__dict__") else []
        inner += thing if isinstance(thing, list | tuple) else []
        return repr(thing) + "".join(words(one, depth + 1) for one in inner if depth < 6)

    assert "hunter2" not in words(bench.watch) + repr(reading)
