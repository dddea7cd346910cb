"""What of the agent needs no torch: its layout, where its file may lie, the drain probe, and how it gets into a process."""

from __future__ import annotations

import ast
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import gpuwatch
from gpuwatch import hookdir
from gpuwatch.collectors.training import layout
from gpuwatch.inject import gpuwatch_agent
from gpuwatch.names import Phase

from .conftest import INJECT, environment


def test_the_layout_is_the_one_that_the_reader_knows() -> None:
    own = gpuwatch_agent
    assert own.IDENTITY.format + " I" == layout.IDENTITY.format and own.SNAPSHOT.format + " I" == layout.SNAPSHOT.format
    assert own.NUMBER.format + own.STEP.format[1:] == layout.STEP.format.replace(" ", "")
    assert own.LIVE_WORD * 8 == layout.LIVE_AT and layout.LIVE.size == 8
    assert (own.SNAPSHOT_AT, own.RING_AT, own.RING_STEPS) == (layout.SNAPSHOT_AT, layout.RING_AT, layout.RING_STEPS)
    assert (own.MAGIC, own.VERSION, own.FILE_BYTES, own.SUFFIX) == (layout.MAGIC, layout.VERSION, layout.FILE_BYTES, layout.SUFFIX)
    assert {name.upper(): place for place, name in enumerate(own.PHASE_NAMES)} == {phase.name: phase.value for phase in Phase}
    for name in own.PHASE_NAMES:
        assert getattr(own, name.upper()) == Phase[name.upper()]
    for prefix in ("FLAG_", "SNAP_"):
        flags = {name: value for name, value in vars(layout).items() if name.startswith(prefix)}
        assert flags == {name: getattr(own, name) for name in flags}
    assert {f"DP_{source.name}": source.value for source in layout.DpSource} == {
        name: value for name, value in vars(own).items() if name.startswith("DP_")
    }
    assert all(getattr(own, kind.name) == kind for kind in layout.TokensKind)
    assert gpuwatch.__version__ == own.AGENT_VERSION


@pytest.mark.parametrize(
    "variables", [{}, {"GPUWATCH_DIR": "/some/where"}, {"XDG_RUNTIME_DIR": "/run/user/7"}, {"XDG_RUNTIME_DIR": "relative"}]
)
def test_it_looks_for_a_folder_where_the_collector_does(variables: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("GPUWATCH_DIR", "XDG_RUNTIME_DIR"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("os.geteuid", lambda: 7)
    assert gpuwatch_agent.directories() == hookdir.candidates(variables, 7)


def test_every_file_of_it_is_python_3_9_and_imports_the_standard_library_alone_when_loaded() -> None:
    for path in sorted(INJECT.rglob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"), feature_version=(3, 9))
        for node in tree.body:
            names = [each.name for each in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and not node.level:
                names.append(node.module or "")
            assert all(name.partition(".")[0] in sys.stdlib_module_names for name in names), (path, names)


# ------------------------------------------------------------------------------------------------------------------------- drain probe


class Gpu:
    """``torch.cuda`` as far as the probe knows it: events happen at a time that the test sets."""

    def __init__(self) -> None:
        self.capturing = self.broken = False
        self.clock = 0.0
        self.done = 0.0
        gpu = self

        class Event:
            def __init__(self, enable_timing: bool = False) -> None:
                assert enable_timing
                self.at = -1.0

            def record(self) -> None:
                self.at = max(gpu.clock, gpu.done)

            def query(self) -> bool:
                if gpu.broken:
                    raise RuntimeError("CUDA error")
                return self.at <= gpu.clock

            def elapsed_time(self, end: Any) -> float:
                return float(end.at - self.at)

        self.Event = Event

    def is_current_stream_capturing(self) -> bool:
        return self.capturing


def step(gpu: Gpu, tried: gpuwatch_agent.Probe, busy: float, waits: list[tuple[Phase, float]], training: bool = True) -> None:
    """The host queues ``busy`` ms of work, goes through ``waits``, and begins the next forward."""
    gpu.done = max(gpu.clock, gpu.done) + busy
    tried.step_ended(Phase.OTHER, int(gpu.clock * 1e6))
    for phase, milliseconds in waits:
        tried.moved(phase, int(gpu.clock * 1e6))
        gpu.clock += milliseconds
    tried.forward_begins(int(gpu.clock * 1e6), training)


def test_a_gpu_that_ran_dry_was_waiting_for_what_the_host_did_last() -> None:
    gpu = Gpu()
    tried = gpuwatch_agent.Probe(gpu)
    step(gpu, tried, 10.0, [(Phase.CHECKPOINT, 4.0), (Phase.DATA, 30.0), (Phase.OTHER, 2.0)])
    step(gpu, tried, 10.0, [(Phase.DATA, 4.0)])
    assert (tried.steps, tried.drained) == (2, 1)
    idle = {Phase(place): ns / 1e6 for place, ns in enumerate(tried.idle) if ns}
    assert idle == {Phase.DATA: pytest.approx(24.0), Phase.OTHER: pytest.approx(2.0)}


def test_a_wait_that_is_hidden_behind_the_gpu_s_work_is_no_idle_time() -> None:
    gpu = Gpu()
    tried = gpuwatch_agent.Probe(gpu)
    for _ in range(20):
        step(gpu, tried, 200.0, [(Phase.DATA, 30.0)])
    assert (tried.steps, tried.drained, sum(tried.idle)) == (20, 0, 0)


def test_the_pool_of_events_is_never_empty_for_long_and_evaluation_tells_nothing() -> None:
    gpu = Gpu()
    tried = gpuwatch_agent.Probe(gpu)
    for count in range(40):
        step(gpu, tried, 1.0, [(Phase.DATA, 3.0)], training=count % 4 != 0)
    assert tried.steps == tried.drained == 30
    assert sum(tried.idle) == pytest.approx(30 * 2.0e6, rel=0.1)


def test_nothing_is_asked_while_a_graph_is_captured() -> None:
    gpu = Gpu()
    tried = gpuwatch_agent.Probe(gpu)
    gpu.capturing = gpu.broken = True
    step(gpu, tried, 1.0, [(Phase.DATA, 3.0)])
    assert (tried.steps, tried.drained) == (0, 0)


def test_one_failure_turns_the_probe_off_and_not_the_agent() -> None:
    gpu, agent = Gpu(), gpuwatch_agent.Counters()
    agent.probe = agent.probed = gpuwatch_agent.Probe(gpu)
    step(gpu, agent.probe, 1.0, [(Phase.DATA, 3.0)])
    gpu.broken = True
    agent.try_probe(agent.probe.step_ended, Phase.OTHER, 0)
    assert agent.probe is None and agent.probed is not None and not agent.off
    assert agent.probed.drained == 1


# ---------------------------------------------------------------------------------------------------------------- what part of a job


def test_tensor_parallel_ranks_see_the_same_tokens(monkeypatch: pytest.MonkeyPatch) -> None:
    assert gpuwatch_agent.replicas(1, {}) == (1, 1, layout.DpSource.SINGLE)
    assert gpuwatch_agent.replicas(8, {}) == (8, 1, layout.DpSource.ASSUMED)
    assert gpuwatch_agent.replicas(16, {"dp_replicate": 2, "dp_shard": 2, "cp": 2, "tp": 2}) == (4, 2, layout.DpSource.MESH)
    assert gpuwatch_agent.replicas(8, {"rows": 4, "columns": 2}) == (8, 1, layout.DpSource.ASSUMED)

    class State:
        model_parallel_is_initialized = staticmethod(lambda: True)
        get_data_parallel_world_size = staticmethod(lambda: 2)
        get_tensor_model_parallel_world_size = staticmethod(lambda: 4)

    monkeypatch.setitem(sys.modules, "megatron.core.parallel_state", State)  # type: ignore[arg-type]
    assert gpuwatch_agent.replicas(8, {}) == (2, 4, layout.DpSource.MEGATRON)


def test_ranks_are_those_of_the_launcher(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK", "GROUP_RANK"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setitem(sys.modules, "torch.distributed", None)  # type: ignore[arg-type]
    assert gpuwatch_agent.ranks() == (0, 1, 0, 0)
    for name, value in {"RANK": "5", "WORLD_SIZE": "8", "LOCAL_RANK": "1", "GROUP_RANK": "2"}.items():
        monkeypatch.setenv(name, value)
    assert gpuwatch_agent.ranks() == (5, 8, 1, 2)


class Tensor:
    """Shape and kind are all that the agent asks of a tensor."""

    def __init__(self, *shape: int, kind: str = "int64") -> None:
        self.shape, self.dtype = shape, kind

    def numel(self) -> int:
        total = 1
        for size in self.shape:
            total *= size
        return total

    def is_floating_point(self) -> bool:
        return self.dtype == "float32"

    def is_complex(self) -> bool:
        return False


@pytest.mark.parametrize(
    ("args", "kwargs", "found"),
    [
        ((), {"input_ids": Tensor(2, 8), "labels": Tensor(2, 8)}, (gpuwatch_agent.INPUT_IDS, 16, 2)),
        (({"labels": Tensor(9, 9), "input_ids": Tensor(2, 8)},), {}, (gpuwatch_agent.INPUT_IDS, 16, 2)),
        ((Tensor(2, 8), Tensor(2, 8)), {}, (gpuwatch_agent.INTEGERS, 16, 2)),
        (((Tensor(2, 8), Tensor(2)),), {}, (gpuwatch_agent.INTEGERS, 16, 2)),
        ((Tensor(100),), {}, (gpuwatch_agent.INTEGERS, 100, 0)),
        ((), {"inputs_embeds": Tensor(2, 8, 64, kind="float32")}, (gpuwatch_agent.EMBEDS, 16, 2)),
        ((Tensor(4, 3, 9, 9, kind="float32"), Tensor(4)), {}, (gpuwatch_agent.SAMPLES, 0, 4)),
        (({"pixels": Tensor(4, 3, 9, 9, kind="float32"), "labels": Tensor(4)},), {}, (gpuwatch_agent.SAMPLES, 0, 4)),
        ((Tensor(4, 3, 9, 9, kind="uint8"),), {}, (gpuwatch_agent.SAMPLES, 0, 4)),
        ((Tensor(), "text", 3), {}, (gpuwatch_agent.NONE, 0, 0)),
        ((), {}, (gpuwatch_agent.NONE, 0, 0)),
    ],
)
def test_what_counts_as_tokens(args: Any, kwargs: Any, found: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    class Torch:
        pass

    Torch.Tensor, Torch.bool = Tensor, "bool"  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "torch", Torch)  # type: ignore[arg-type]
    assert gpuwatch_agent.measure(args, kwargs) == found


def test_a_script_without_torch_may_declare_its_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "torch", raising=False)
    agent = gpuwatch_agent.Agent()
    agent.live = {}  # there is no file
    for _ in range(max(gpuwatch_agent.UNCALLED[:2]) + 2):
        agent.told_step(7, None, None, None, None)
    assert (agent.steps, agent.tokens) == (32, 7 * 32)


def test_declared_samples_replace_inferred_ones_and_leave_tokens_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "torch", raising=False)
    agent = gpuwatch_agent.Agent()
    agent.live, agent.hooked = {}, True

    def forward_and_step() -> None:
        agent.tokens += 0 if agent.declares_tokens else 100
        agent.samples += 0 if agent.declares_samples else 10
        if not agent.declares_steps:
            agent.step_ended()

    for _ in range(3):
        forward_and_step()
    agent.told_step(None, None, 4, None, None)
    assert (agent.steps, agent.tokens, agent.samples) == (3, 300, 24), "the step that the hook has counted is this one"
    for _ in range(2):
        forward_and_step()
        agent.told_step(None, None, 4, None, None)
    assert (agent.steps, agent.tokens, agent.samples) == (5, 500, 32)


# -------------------------------------------------------------------------------------------------------------- how it gets in


def python(code: str, env: dict[str, str], *options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *options, "-c", code], env=env, capture_output=True, text=True, check=False)


def test_a_python_without_torch_gets_one_finder_and_no_file(tmp_path: Path) -> None:
    ran = python(
        "import sys; print(len([f for f in sys.meta_path if type(f).__name__ == '_Finder']), 'gpuwatch_agent' in sys.modules)",
        environment(tmp_path / "hooks"),
    )
    assert (ran.stdout, ran.stderr, ran.returncode) == ("1 False\n", "", 0)
    assert list((tmp_path / "hooks").iterdir()) == []


@pytest.mark.parametrize("variable", ["GPUWATCH_DISABLE", "GPUWATCH_ATTACH"])
def test_it_does_nothing_where_it_is_not_wanted(variable: str, tmp_path: Path) -> None:
    env = environment(tmp_path / "hooks")
    env[variable] = {"GPUWATCH_DISABLE": "1", "GPUWATCH_ATTACH": "0"}[variable]
    assert python("import sys; print([type(f).__name__ for f in sys.meta_path])", env).stdout.count("_Finder") == 0


def test_the_sitecustomize_that_it_shadows_is_executed_and_may_fail_as_ever(tmp_path: Path) -> None:
    theirs = tmp_path / "sitecustomize.py"
    theirs.write_text("import sys\nsys.theirs = __file__, __name__\n")
    env = environment(tmp_path / "hooks")
    env["PYTHONPATH"] += f":{tmp_path}"
    code = "import sys, sitecustomize; print(sys.theirs == (sitecustomize.__file__, 'sitecustomize'), sitecustomize.__file__)"
    assert python(code, env).stdout == f"True {theirs}\n"
    theirs.write_text("raise ValueError('theirs')\n")
    with_it = python("print('on')", env)
    without = python("print('on')", {**env, "PYTHONPATH": str(tmp_path)})
    assert (with_it.stdout, with_it.stderr) == (without.stdout, without.stderr) == ("on\n", with_it.stderr)
    assert "ValueError: theirs" in with_it.stderr


def test_modules_that_it_watches_are_found_and_loaded_as_without(tmp_path: Path) -> None:
    """A package of torch's name: its loader is its own, its source is found, and an agent that cannot load it harms nothing."""
    (tmp_path / "torch" / "optim").mkdir(parents=True)
    (tmp_path / "torch" / "__init__.py").write_text("")
    (tmp_path / "torch" / "optim" / "__init__.py").write_text("")
    (tmp_path / "torch" / "optim" / "optimizer.py").write_text("value = 7\n")
    env = environment(tmp_path / "hooks")
    env["PYTHONPATH"] += f":{tmp_path}"
    code = "import inspect, torch.optim.optimizer as o; print(o.value, type(o.__loader__).__name__, vars(o.__loader__).keys() & {'exec_module'}, inspect.getsource(o))"
    ran = python(code, env)
    assert (ran.stdout, ran.stderr) == ("7 SourceFileLoader set() value = 7\n\n", "")
    assert list((tmp_path / "hooks").iterdir()) == []


def test_the_finder_watches_what_the_agent_has_hooks_for() -> None:
    text = (INJECT / "sitecustomize.py").read_text(encoding="utf-8")
    watched = re.findall(r'^    "([\w.]+)",$', text, re.MULTILINE)
    assert set(watched) == set(gpuwatch_agent.PATCHES)


def test_what_a_signal_handler_of_the_script_raises_within_a_hook_is_the_script_s(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpuwatch_agent, "AGENT", gpuwatch_agent.Agent())

    class Limit:
        def over(self, *_: object) -> None:
            raise TimeoutError("the script's own")

    def interrupted() -> None:
        signal.raise_signal(signal.SIGUSR1)

    before = signal.signal(signal.SIGUSR1, Limit().over)
    try:
        with pytest.raises(TimeoutError, match="own"):
            gpuwatch_agent.safely(None, interrupted)
        with pytest.raises(TimeoutError, match="own"):
            gpuwatch_agent.attempt(None, interrupted)
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert gpuwatch_agent.AGENT.off
    assert gpuwatch_agent.safely(7, int, "no number") == gpuwatch_agent.attempt(7, int, "no number") == 7


def test_ctrl_c_within_a_hook_goes_through_and_leaves_nothing_begun(monkeypatch: pytest.MonkeyPatch) -> None:
    agent = gpuwatch_agent.Agent()
    monkeypatch.setattr(gpuwatch_agent, "AGENT", agent)

    def interrupted() -> None:
        agent.in_forward = agent.in_backward = agent.in_checkpoint = True
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        gpuwatch_agent.safely(None, interrupted)
    assert not (agent.off or agent.in_forward or agent.in_backward or agent.in_checkpoint)


@pytest.mark.parametrize(("look_ns", "looks"), [(0, [1, 3, 10, 100]), (60_000_000_000, [1])])
def test_a_model_that_takes_long_to_look_at_is_looked_at_seldom(
    look_ns: int, looks: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    agent, seen = gpuwatch_agent.Agent(), list[int]()
    agent.look_ns, agent.phase = look_ns, Phase.OTHER
    monkeypatch.setattr(agent, "learn", lambda: seen.append(agent.steps))
    for _ in range(110):
        agent.called = True
        agent.end_step()
    assert seen == looks


def test_a_child_keeps_what_it_does_not_write_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GPUWATCH_DIR", str(tmp_path / "hooks"))
    agent = gpuwatch_agent.Agent()
    agent.mem = memory = gpuwatch_agent.make_file(str(tmp_path / "hooks"), "1-1.gw")
    agent.forked()
    assert agent.off and agent.mem is None and agent.left[0] is memory and not memory.closed
    memory.close()
