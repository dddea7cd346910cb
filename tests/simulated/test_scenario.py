"""Scenarios: checked as they are read, deterministic as they are compiled, plausible as they come with the program."""

from __future__ import annotations

from pathlib import Path

import pytest

from gpuwatch.collectors.simulated.compile import compile_plan
from gpuwatch.collectors.simulated.profiles import profile_of
from gpuwatch.collectors.simulated.reader import duration_ms
from gpuwatch.collectors.simulated.scenario import load, names, parse
from gpuwatch.errors import UsageError

ALL = ["gb10", "lab", "lost-gpu", "mig", "nccl-hang", "serve", "starved-loader", "throttle", "train"]
MINIMAL = '[[gpus]]\nprofile = "hopper-h100"\n'


def test_the_scenarios_of_the_design_are_there():
    assert names() == ALL


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("looop = 3", "t: unknown key 'looop'", "did you mean 'loop'?"),
        (MINIMAL + "temprature = 3", "gpus[0]: unknown key 'temprature'", "did you mean 'temperature'?"),
        ('[[gpus]]\nprofile = "hopper-h10"', "gpus[0].profile: unknown key 'hopper-h10'", "did you mean 'hopper-h100'?"),
        (MINIMAL + "load = [{ kin = 1 }]", "gpus[0].load[0]: unknown key 'kin'", "did you mean 'kind'?"),
        (MINIMAL + 'load = [{ kind = "saw" }]', "gpus[0].load[0].kind: 'saw' is not one of flat, square, sine, ramp", ""),
        (MINIMAL + 'load = [{ kind = "square" }]', "gpus[0].load[0]: a square needs a period", ""),
        (MINIMAL + 'load = "x"', "gpus[0].load[0]: expected a table", ""),
        (MINIMAL + 'load = [{ for = "3 minutes" }]', "gpus[0].load[0].for: '3 minutes' is not a duration", "write it like"),
        (MINIMAL + "gpm = { tensors = 1 }", "gpus[0].gpm: unknown key 'tensors'", "did you mean 'tensor'?"),
        (MINIMAL + "like = 4", "gpus[0].like: '4' is not an earlier block", ""),
        (MINIMAL + '[[processes]]\nslot = "a"\ngpus = { 7 = 1.0 }', "processes[0].gpus: unknown key '7'", "known: 0"),
        (MINIMAL + '[[processes]]\nuser = "a"', "processes[0]: a process needs a slot", ""),
        (MINIMAL + '[[processes]]\nslot = "a b"', "processes[0].slot: 'a b' must not contain spaces", ""),
        (MINIMAL + '[[processes]]\nslot = "a"\n[[processes]]\nslot = "a"', "processes: the slot 'a' is there twice", ""),
        (MINIMAL + '[[processes]]\nslot = "a"\nparent = "b"', "processes: the parent 'b' of 'a'", ""),
        (MINIMAL + '[[faults]]\nkind = "gone"', "faults[0].kind: 'gone' is not one of call", ""),
        (MINIMAL + "[[faults]]\ngpu = 3", "faults[0].gpu: there is no GPU 3", ""),
        ("[host]\ncpus = 3", "host: unknown key 'cpus'", "did you mean 'cpu'?"),
        ("gpus = [3]", "gpus[0]: expected a table, got 3", ""),
        ("gpus = 3", "t.gpus: expected a list", ""),
        (MINIMAL + "load = [{ for = -3 }]", "gpus[0].load[0].for: '-3' is not a duration", ""),
        (MINIMAL + "throttle = { reasons = [[]] }", "gpus[0].throttle.reasons: unknown key '[]'", "known: "),
        (MINIMAL + '[[past]]\ngpus = [0]\nlike = "3"', "past[0].like: unknown key '3'", "known: 0"),
        (MINIMAL + "power = { idle = nan }", "gpus[0].power.idle: 'nan' is not a number", ""),
        (MINIMAL + "load = inf", "gpus[0].load: 'inf' is not a number", ""),
        (MINIMAL + f"temperature = {{ full = {10**30} }}", "gpus[0].temperature.full: '1000", ""),
        (MINIMAL + 'load = [{ kind = "sine", period = "1ms" }]', "gpus[0].load[0]: a sine needs a period of at least", ""),
        (MINIMAL + f"count = {2**40}", "t: more than 64 GPUs", ""),
        (MINIMAL + f'[[processes]]\nslot = "a"\ncopies = {2**40}', "t: more than 10000 processes", ""),
        ('loop = "300d"\nstep = "1s"', "t: more than 100000 steps", "make step longer"),
        (f"loop = '{'9' * 400}h'", "t.loop: '999", "write it like"),
        (f"loop = {10**30}", "t.loop: '1000", "write it like"),
        ("step = 0", "t: loop and step must be positive", ""),
        ("this is not toml", "scenario t:", ""),
    ],
)
def test_a_wrong_scenario_is_one_clear_line(text, message, hint):
    with pytest.raises(UsageError) as caught:
        parse(text, "t")
    assert caught.value.message.startswith(message)
    assert caught.value.hint.startswith(hint)
    assert "\n" not in caught.value.message


def test_an_unknown_scenario_names_the_nearest():
    with pytest.raises(UsageError) as caught:
        load("trian")
    assert caught.value.hint == "did you mean 'train'?"


def test_a_file_that_is_not_there_is_said_so(tmp_path):
    with pytest.raises(UsageError, match="cannot read the scenario .*No such file"):
        load(str(tmp_path / "none.toml"))
    (tmp_path / "odd.toml").write_bytes(b"title = '\xff'")
    with pytest.raises(UsageError, match="cannot read the scenario .*not UTF-8"):
        load(str(tmp_path / "odd.toml"))


def test_the_example_in_the_docs_works():
    page = Path(__file__).parents[2] / "docs" / "scenarios.md"
    example = page.read_text().partition("## The format")[2]
    plan = parse("\n".join(line[4:] for line in example.splitlines() if line.startswith("    ")), "example")
    table = compile_plan(plan, 1).table
    assert [d.mig for d in table.devices] == [0, 1] and [s.slot for s in table.slots] == ["alice0", "short", "chat", "rank0"]
    assert plan.processes[2].server.kv_cache_tokens == 412_000
    assert plan.processes[3].training.tokens == 12_288
    assert all(f"`{name}`" in page.read_text() for name in ALL)


@pytest.mark.parametrize(("text", "ms"), [("2h51m9s", 10_269_000), ("250ms", 250), ("1.5s", 1500), ("1d3h", 97_200_000), (3, 3000)])
def test_durations(text, ms):
    assert duration_ms(text, "x") == ms


@pytest.mark.parametrize("name", ALL)
def test_a_scenario_is_the_same_for_the_same_seed_and_plausible(name, compiled):
    scenario = compiled(name)
    assert compile_plan(load(name), 7).table == scenario.table
    table = scenario.table
    for (place, quantity), series in table.gpu.items():
        assert series.times[0] == 0, (place, quantity)
        assert list(series.times) == sorted(set(series.times))
        assert min(series.values) >= 0
        if table.loop_ms:
            assert series.times[-1] < table.loop_ms
        if quantity in ("util", "memutil", "enc", "dec"):
            assert max(series.values) <= 100
        if quantity.startswith("gpm."):
            assert max(series.values) <= 1000
    for device in table.devices:
        place, profile = str(device.index), profile_of(device.profile)
        assert min(table.gpu[place, "power_mw"].values) >= 1000
        if device.power_limit:
            assert max(table.gpu[place, "power_mw"].values) <= device.power_limit
        if device.memory:
            assert max(table.gpu[place, "memory_used"].values) + device.reserved <= device.memory
        assert ((place, "gpm.2") in table.gpu) == (profile.gpm and not device.mig)


def test_another_seed_is_another_noise_but_the_same_house(compiled):
    one, two = compiled("lab", 7).table, compiled("lab", 8).table
    assert one.gpu["0", "util"] != two.gpu["0", "util"]
    assert [s.slot for s in one.slots] == [s.slot for s in two.slots]
    assert {d.uuid for d in one.devices}.isdisjoint(d.uuid for d in two.devices)


def test_memory_in_use_is_what_the_processes_hold():
    text = (
        MINIMAL
        + 'base_memory = 0.5\n[[processes]]\nslot = "a"\ngpus = { 0 = 2.0 }\n[[processes]]\nslot = "b"\ngpus = { 0 = 1.0 }\nborn = "10s"\nlives = "7s"'
    )
    table = compile_plan(parse(text, "t"), 1).table
    gib = 1024**3
    assert [table.value("0", "memory_used", t) for t in (0, 9_999, 10_000, 16_999, 17_000)] == [
        2.5 * gib,
        2.5 * gib,
        3.5 * gib,
        3.5 * gib,
        2.5 * gib,
    ]
    assert [table.process_value("b", "0", "mem", t) for t in (9_999, 10_000, 17_000)] == [-1, gib, -1]
    assert table.alive("b", 16_999) and not table.alive("b", 17_000) and table.alive("b", 1_200_000 + 12_000)


def test_power_follows_the_load():
    text = (
        MINIMAL
        + 'power = { idle = 100, full = 600 }\npower_noise = 0\nload = [{ for = "10s", level = 0 }, { for = "10s", level = 50 }]\n'
    )
    table = compile_plan(parse('loop = "20s"\n' + text, "t"), 1).table
    assert table.gpu["0", "power_mw"].values == [100_000, 350_000]
    assert table.gpu["0", "reasons"].values == [1, 0]
    assert table.integral(table.gpu["0", "power_mw"], 0, 20_000) == 4_500_000 * 1000
