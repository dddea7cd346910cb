"""One line in a training script: what the script knows of its own steps overrides what gpuwatch would infer.

Standard library only, Python 3.9+, no other file needed: it may be copied into a training environment that has no gpuwatch. Importing
it does nothing. Where nobody watches, everything here does nothing; ``GPUWATCH_DISABLE=1`` makes sure of that. Nothing here raises into
a training, waits for a GPU or prints: a bad value is ignored.

    with gpuwatch_track.track(tokens_per_step=524288, total_steps=10000) as t:
        for batch in loader:
            ...
            t.step(loss=loss)

    transformers.Trainer(..., callbacks=[gpuwatch_track.hf_callback()])
    lightning.Trainer(..., callbacks=[gpuwatch_track.lightning_callback()])
"""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

__all__ = ["Tracker", "hf_callback", "lightning_callback", "track"]

LARGEST = 1 << 53
"""No count is as large; what is, is a mistake."""
HF_STATE = 7
"""``TokensKind.HF_STATE``: the count of Hugging Face's own state."""

_agent: Any = None
"""The agent of this process, once it is attached."""


_compiling: Callable[[], bool] = bool
"""``torch.compiler.is_compiling``, where there is one: what is compiled must trace nothing of this. (``bool()`` is False.)"""


def track(
    tokens_per_step: Any = None,
    samples_per_step: Any = None,
    model: Any = None,
    flops_per_token: float | None = None,
    total_steps: int | None = None,
    data_parallel: int | None = None,
    precision: Any = None,
) -> Tracker:
    """Declare what this script trains; all of it is optional. Use ``with``, or :meth:`Tracker.close` at the end.

    ``tokens_per_step``, ``samples_per_step``: of this process, in one step of the optimizer (all micro-batches). ``model``: its
    parameters are counted; or their number. ``flops_per_token``: forward and backward. ``total_steps``: that are planned.
    ``data_parallel``: how many replicas eat different tokens. ``precision``: "bf16", a torch dtype, …
    """
    tracker = Tracker(_count(tokens_per_step), _count(samples_per_step))
    flops = _number(flops_per_token)
    tracker.declare(
        flops_per_token=flops if flops and 0 < flops < float("inf") else None,
        parameters=_parameters(model) or None,
        total_steps=_count(total_steps) or None,
        dp=_count(data_parallel) or None,
        precision=_precision(precision) or None,
    )
    return tracker


class Tracker:
    """What :func:`track` gives. Plain data: it can be copied and pickled, and does nothing in a process that is not attached."""

    def __init__(self, tokens_per_step: int | None = None, samples_per_step: int | None = None) -> None:
        self.tokens_per_step, self.samples_per_step = tokens_per_step, samples_per_step
        self.closed = not _attach()

    def __enter__(self) -> Tracker:  # noqa: PYI034 - Self is of Python 3.11
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Declare nothing more."""
        self.closed = True

    def declare(self, **known: Any) -> None:
        """What the agent's ``declare`` takes; None is not told."""
        told = {name: value for name, value in known.items() if value is not None}
        if told:
            self._tell("declare", **told)

    def step(self, tokens: Any = None, nonpad_tokens: Any = None, samples: Any = None, loss: Any = None, step: Any = None) -> None:
        """A step of the optimizer has ended: call it once for each, with what this process ate in all of its micro-batches.

        ``tokens``: with padding (else ``tokens_per_step``; else what is inferred stays). ``nonpad_tokens``: those of them that are not
        padding. ``loss``: a number, or a scalar in the CPU's memory; one on a GPU is not read, because that would wait for the GPU.
        ``step``: the script's own number of it.
        """
        if _compiling() or self.closed:
            return
        eaten, useful = _count(tokens), _count(nonpad_tokens)
        eaten = self.tokens_per_step if eaten is None else eaten
        if eaten is None or (useful is not None and useful > eaten):
            useful = None
        seen = _count(samples)
        self._tell("declared_step", eaten, useful, self.samples_per_step if seen is None else seen, _number(loss), _count(step))

    def phase(self, name: str) -> Doing:
        """``with t.phase("eval"):`` says what the script is doing.

        One of data, forward, backward, optimizer, checkpoint, eval, compile, starting; anything else is other.
        """
        return Doing(self, "other" if name == "ended" else name)

    def _tell(self, what: str, *args: Any, **known: Any) -> Any:
        try:
            if not self.closed and _agent is not None and _agent.active():
                return getattr(_agent, what)(*args, **known)
        except Exception:  # noqa: BLE001 - a training without gpuwatch is better than none
            self.closed = True
        return None


class Doing:
    """A stretch of time in which the script says what it does; within another one it says nothing. What is raised in it goes on."""

    def __init__(self, tracker: Tracker, name: str) -> None:
        self._tracker, self._name = tracker, name
        self._within: Any = None

    def __enter__(self) -> Doing:  # noqa: PYI034 - as above
        if not _compiling() and self._within is None:
            self._within = self._tracker._tell("declared_phase", self._name)
            if self._within is not None:
                self._within.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        if not _compiling() and self._within is not None:
            within, self._within = self._within, None
            within.__exit__(None, None, None)

    def __reduce__(self) -> Any:
        return Doing, (self._tracker, self._name)


def _attach() -> bool:
    """Whether this process is watched now.

    It is by ``gpuwatch run``, by ``GPUWATCH_ATTACH=1``, or because this user has a hook folder: gpuwatch has been used on this host.
    """
    global _agent, _compiling
    if os.environ.get("GPUWATCH_DISABLE") == "1" or sys.platform != "linux":
        return False
    asked = os.environ.get("GPUWATCH_ATTACH") == "1"
    try:
        if _agent is None:
            _agent = sys.modules.get("gpuwatch_agent") or (_load() if asked or _folder() else None)
        if _agent is None:
            return False
        compiler: Any = sys.modules.get("torch.compiler")
        _compiling = getattr(compiler, "is_compiling", _compiling)
        return bool(_agent.arm(not asked))
    except Exception:  # noqa: BLE001 - as above
        return False


def _folder() -> bool:
    """Whether there is a folder for hook files that is this user's alone."""
    uid, runtime = os.geteuid(), os.environ.get("XDG_RUNTIME_DIR", "")
    named = os.environ.get("GPUWATCH_DIR")
    for path in [named] if named else [f"/dev/shm/gpuwatch-{uid}", runtime + "/gpuwatch", f"/tmp/gpuwatch-{uid}"]:
        try:
            found = os.lstat(path)
        except OSError:
            continue
        if found.st_mode & 0o170077 == 0o040000 and found.st_uid == uid:
            return True
    return False


def _load() -> Any:
    """The agent: the one that ``gpuwatch run`` has put on the path, else the one beside this file; None if there is none."""
    from importlib.machinery import PathFinder
    from importlib.util import module_from_spec

    spec = PathFinder.find_spec("gpuwatch_agent", [*sys.path, os.path.dirname(os.path.abspath(__file__))])
    if spec is None or spec.loader is None:
        return None
    module = sys.modules["gpuwatch_agent"] = module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules["gpuwatch_agent"]
        raise
    return module


def _number(value: Any) -> float | None:
    """A number that lies in the CPU's memory; None for anything else, a tensor on a GPU above all."""
    try:
        if isinstance(value, (int, float)):
            return float(value)
        torch, numpy = sys.modules.get("torch"), sys.modules.get("numpy")
        if torch is not None and isinstance(value, torch.Tensor):
            return float(value.detach()) if value.device.type == "cpu" and value.numel() == 1 else None
        if numpy is not None and isinstance(value, (numpy.ndarray, numpy.generic)):
            return float(value.item()) if value.size == 1 else None
    except Exception:  # noqa: BLE001 - whatever a stranger's number raises
        return None
    return None


def _count(value: Any) -> int | None:
    """A number that can count something; None for anything else."""
    if type(value) is not int:
        number = None if value is None or isinstance(value, bool) else _number(value)
        if number is None or not 0 <= number < LARGEST or number != int(number):
            return None
        value = int(number)
    return value if 0 <= value < LARGEST else None


def _parameters(model: Any) -> int | None:
    """How many numbers a model learns by, those of all shards together; or the number itself."""
    found = _count(model)
    if found is None and model is not None:
        try:
            found = sum(int(getattr(p, "ds_numel", None) or p.numel()) for p in model.parameters())
        except Exception:  # noqa: BLE001 - whatever a stranger's model raises
            found = None
    return found


def _precision(value: Any) -> str:
    """The short word for a dtype or its name; empty if there is none."""
    word = str(value).rpartition(".")[2] if isinstance(value, str) or type(value).__name__ == "dtype" else ""
    return {"bfloat16": "bf16", "float16": "fp16", "float32": "fp32", "float64": "fp64"}.get(word, word)


class _Callback:
    """What both frameworks' callbacks have in common. Copies and pickles leave the process' own things behind."""

    def __init__(self) -> None:
        self._tracker: Tracker | None = None
        self._doing: Doing | None = None
        self._number = self._seen = 0
        self._loss: Any = None

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_tracker": None, "_doing": None}

    def _begins(self, total_steps: Any, number: Any, seen: Any = 0) -> None:
        self._evaluates(False)
        self._tracker = track(total_steps=total_steps)
        self._number, self._seen, self._loss = _count(number) or 0, _count(seen) or 0, None

    def _evaluates(self, now: bool) -> None:
        """The training stands still for an evaluation, or does so no more."""
        if now and self._doing is None and self._tracker is not None:
            self._doing = self._tracker.phase("eval").__enter__()
        elif not now and self._doing is not None:
            doing, self._doing = self._doing, None
            doing.__exit__()

    def _ends(self) -> None:
        self._evaluates(False)
        if self._tracker is not None:
            self._tracker.close()


class _HuggingFace(_Callback):
    """For ``transformers.Trainer`` and what is built on it (TRL, axolotl, LLaMA-Factory): number of the step, steps planned, loss from
    the log, evaluations; tokens where ``include_num_input_tokens_seen`` counts all of them.
    """

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self._begins(state.max_steps, state.global_step, getattr(state, "num_input_tokens_seen", 0))

    def on_step_begin(self, args: Any, state: Any, control: Any, *_: Any, **__: Any) -> None:
        self._evaluates(False)

    on_evaluate = on_predict = on_step_begin

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if self._tracker is not None and not self._tracker.closed:
            self._evaluates(False)
            self._tracker.step(self._tokens(args, state), loss=self._loss, step=state.global_step)

    def _tokens(self, args: Any, state: Any) -> int | None:
        """Of this rank's since the last step. The state counts those of all ranks; each takes its share, none is lost to rounding."""
        if getattr(args, "include_num_input_tokens_seen", "no") not in ("all", True):
            return None
        before, self._seen = self._seen, _count(state.num_input_tokens_seen) or 0
        if self._seen <= before or self._tracker is None:
            return None  # it could not be counted
        self._tracker.declare(tokens_kind=HF_STATE)
        world, rank = max(1, _count(args.world_size) or 1), _count(args.process_index) or 0
        return (self._seen + rank) // world - (before + rank) // world

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:
        loss = (logs or {}).get("loss")
        self._loss = loss if loss is not None else self._loss

    def on_prediction_step(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self._evaluates(True)

    def on_train_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self._ends()


class _Lightning(_Callback):
    """For Lightning's ``Trainer``: number of the step, steps planned, loss, evaluations; ``tokens`` of a batch, if it is told how to
    count them.
    """

    def __init__(self, tokens: Callable[[Any], Any] | None = None) -> None:
        super().__init__()
        self._count_tokens = tokens
        self._eaten: int | None = None

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        planned = trainer.estimated_stepping_batches if trainer.train_dataloader is not None else None
        self._begins(planned, trainer.global_step)
        self._eaten = None

    def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int, *_: Any) -> None:
        tokens = _count(self._count_tokens(batch)) if self._count_tokens is not None else None
        self._eaten = (self._eaten or 0) + tokens if tokens is not None else self._eaten
        if self._tracker is not None and trainer.global_step != self._number:
            self._number, eaten, self._eaten = trainer.global_step, self._eaten, None
            loss = outputs.get("loss") if isinstance(outputs, dict) else outputs
            self._tracker.step(eaten, loss=loss, step=self._number)

    def on_validation_start(self, trainer: Any, pl_module: Any) -> None:
        self._evaluates(True)

    def on_validation_end(self, trainer: Any, pl_module: Any) -> None:
        self._evaluates(False)

    def on_train_end(self, trainer: Any, pl_module: Any, *_: Any) -> None:
        self._ends()

    on_test_start = on_predict_start = on_validation_start
    on_test_end = on_predict_end = on_validation_end
    on_exception = on_train_end


def hf_callback() -> Any:
    """A ``transformers.TrainerCallback`` for ``Trainer(callbacks=[...])``; imports transformers."""
    return __getattr__("HFCallback")()


def lightning_callback(tokens: Callable[[Any], Any] | None = None) -> Any:
    """A Lightning ``Callback`` for ``Trainer(callbacks=[...])``. ``tokens``: how many tokens a batch has."""
    return __getattr__("LightningCallback")(tokens)


def __getattr__(name: str) -> Any:
    """``HFCallback`` and ``LightningCallback``, made when they are first asked for: their base classes are the frameworks'."""
    if name == "HFCallback":
        from transformers import TrainerCallback  # type: ignore[import-not-found,unused-ignore]

        return globals().get(name) or _made(name, _HuggingFace, (TrainerCallback,))
    if name == "LightningCallback":
        bases = tuple(module.Callback for module in _lightnings())
        made = globals().get(name)
        return made if made is not None and all(issubclass(made, base) for base in bases) else _made(name, _Lightning, bases)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def _lightnings() -> list[Any]:
    """Lightning comes under two names, and a program may have imported either or both: a callback has to fit those."""
    from importlib import import_module

    new, old = "lightning.pytorch", "pytorch_lightning"
    found = [sys.modules[name] for name in (new, old) if hasattr(sys.modules.get(name), "Callback")]
    try:
        return found or [import_module(new)]
    except ImportError:
        return [import_module(old)]


def _made(name: str, ours: type, bases: tuple[Any, ...]) -> Any:
    methods = {key: _quietly(value) for key, value in vars(ours).items() if key.startswith("on_")}
    facts = {"__module__": __name__, "__qualname__": name, "__doc__": ours.__doc__}
    made = globals()[name] = type(name, (ours, *bases), {**methods, **facts})
    return made


def _quietly(method: Callable[..., None]) -> Callable[..., None]:
    """A callback's method whose exceptions end it, not the training."""

    def quiet(self: Any, *args: Any, **kwargs: Any) -> None:
        try:
            method(self, *args, **kwargs)
        except Exception:  # noqa: BLE001 - as above
            if self._tracker is not None:
                self._tracker.close()

    return quiet
