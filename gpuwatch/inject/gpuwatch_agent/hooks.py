"""Where the agent is hooked into torch, and the border that nothing of it crosses.

Each hook begins with the compile guard, because torch.compile must trace nothing of ours, and leaves what it hooks as it was: same
arguments, result and exception. Whatever goes wrong within a hook ends at ``safely``: the agent is off then, the training goes on.
"""

from __future__ import annotations

import functools
import operator
import sys
import types
import weakref
from collections.abc import Callable
from typing import Any

from .agent import Agent
from .counters import attempt

AGENT = Agent()
"""The one of this process: ``renew`` puts another in its place."""


def _not_compiling() -> bool:
    return False


_compiling: Callable[[], bool] = _not_compiling


def safely(default: Any, call: Callable[..., Any], *args: Any) -> Any:
    """The border: what ``call`` gives; ``default`` if it raises. While it runs, Dynamo compiles nothing that runs."""
    compiler = None if _set_eval_frame is None else _set_eval_frame(None)
    try:
        return call(*args)
    except Exception as error:  # noqa: BLE001 - a training without the agent is better than none
        AGENT.fail(getattr(call, "__name__", "?"), error)
        return default
    finally:
        if compiler is not None:
            _set_eval_frame(compiler)


_set_eval_frame: Any = None


def _pre_step(optimizer: Any, args: Any, kwargs: Any) -> None:
    if _compiling():
        return
    if not AGENT.off:
        safely(None, AGENT.before_step)


def _post_step(optimizer: Any, args: Any, kwargs: Any) -> None:
    if _compiling():
        return
    if not AGENT.off:
        safely(None, AGENT.after_step, optimizer)


def _wrapped_next(original: Callable[[Any], Any]) -> Callable[[Any], Any]:
    @functools.wraps(original)
    def advance(self: Any) -> Any:
        if _compiling():
            return original(self)
        waits = not AGENT.off and safely(False, AGENT.before_batch, self)
        try:
            batch = original(self)
        except Exception:
            if waits:
                safely(None, AGENT.no_batch)
            _unseen(sys._getframe())
            raise
        if not AGENT.off:
            safely(None, AGENT.got_batch, self, batch, waits)
        return batch

    return advance


def _wrapped_backward(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def backward(*args: Any, **kwargs: Any) -> Any:
        if _compiling():
            return original(*args, **kwargs)
        came_from = -1 if AGENT.off else safely(-1, AGENT.before_backward, args[0] if args else None)
        try:
            return original(*args, **kwargs)
        except Exception:
            _unseen(sys._getframe())
            raise
        finally:
            if came_from >= 0:
                safely(None, AGENT.after_backward, came_from)

    return backward


def _wrapped_save(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def save(*args: Any, **kwargs: Any) -> Any:
        if _compiling():
            return original(*args, **kwargs)
        saves = not AGENT.off and safely(False, AGENT.before_save)
        try:
            return original(*args, **kwargs)
        except Exception:
            _unseen(sys._getframe())
            raise
        finally:
            if saves:
                safely(None, AGENT.after_save)

    return save


def _unseen(frame: Any) -> None:
    """Take the hook's frame out of the traceback of what is being raised through it (Python 3.11+): it would show in the user's log."""
    trace = getattr(sys.exc_info()[1], "__traceback__", None)
    if trace is not None and trace.tb_frame is frame:
        sys.exc_info()[1].__traceback__ = trace.tb_next  # type: ignore[union-attr]


def _compile_started(*_: Any) -> None:
    if not AGENT.off:
        safely(None, AGENT.compile_starts)


def _compile_ended(*_: Any) -> None:
    if not AGENT.off:
        safely(None, AGENT.compile_ends)


class _Gate:
    """All that a model's call needs of the agent. Pickled with the model's class (cloudpickle), it is a gate that is shut."""

    def before(self, instance: Any, given: Any) -> bool:
        """Report a call, if it is one of the trained model and not of a part of it."""
        if AGENT.off or AGENT.in_forward:
            return False
        root = AGENT.roots.get(id(instance))
        return root is not None and root() is instance and safely(False, AGENT.before_forward, *given)

    def after(self) -> None:
        """Report that it has returned or raised."""
        safely(None, AGENT.after_forward)

    def unseen(self, frame: Any) -> None:
        """Take the hook's frame out of what is being raised."""
        _unseen(frame)

    def __reduce__(self) -> Any:
        return types.SimpleNamespace, (), {"before": operator.is_, "unseen": id}


_GATE = _Gate()


def _listen_to(cls: Any) -> None:
    """Have the calls of a class' instances reported. Hooks on an instance would stop ``torch.jit.script`` and be pickled with it."""
    if cls in _listening:
        return
    _listening.add(cls)
    own, gate = cls.__dict__.get("__call__"), _GATE

    def above(self: Any, *args: Any, **kwargs: Any) -> Any:
        if _compiling():
            return super(cls, self).__call__(*args, **kwargs)
        reports = gate.before(self, (args, kwargs))
        try:
            return super(cls, self).__call__(*args, **kwargs)
        except Exception:
            gate.unseen(sys._getframe())
            raise
        finally:
            if reports:
                gate.after()

    def around(self: Any, *args: Any, **kwargs: Any) -> Any:
        if _compiling():
            return own(self, *args, **kwargs)
        reports = gate.before(self, (args, kwargs))
        try:
            return own(self, *args, **kwargs)
        except Exception:
            gate.unseen(sys._getframe())
            raise
        finally:
            if reports:
                gate.after()

    call: Any = functools.wraps(cls.__call__)(above if own is None else around)
    _hide(call)
    cls.__call__ = call


_listening: Any = weakref.WeakSet()


def _hide(function: Any) -> None:
    """Have warnings count frames as if this function were not there: Python leaves out those of its import machinery, by their file."""
    function.__code__ = function.__code__.replace(co_filename="<gpuwatch, like importlib._bootstrap>")
    _skip_frames(function)


def _skip_frames(*functions: Any) -> None:
    """Have Dynamo leave these functions' frames alone where they are called from within compiled code, as it does torch's own."""
    _ours.extend(functions)
    skip: Any = getattr(sys.modules.get("torch._dynamo.decorators"), "skip_code", None)
    while _ours and skip is not None:
        skip(_ours.pop().__code__)


_ours: list[Any] = [safely, _unseen, _Gate.before, _Gate.after, _Gate.unseen]


def _optimizer_exists() -> bool:
    """Whether an optimizer has been made in this process: torch marks the class of each one when its first is made."""
    waiting = [sys.modules["torch.optim.optimizer"].Optimizer]
    while waiting:
        cls = waiting.pop()
        if getattr(cls.__dict__.get("step"), "hooked", False):
            return True
        waiting += type.__subclasses__(cls)
    return False


# ------------------------------------------------------------------------------------------------------------------ where they go in


def patch(name: str, module: Any) -> None:
    """Put the hooks into one of the watched modules; it has been executed. Without those of ``_CORE`` there is no agent."""
    if name not in _patched and not AGENT.off:
        _patched.add(name)
        if name in _CORE:
            safely(None, PATCHES[name], module)
        else:
            attempt(None, PATCHES[name], module)


def patch_loaded() -> None:
    """Put them into what has been imported unseen, and back where ``torch._dynamo.reset`` has thrown them out."""
    for name in PATCHES:
        module = sys.modules.get(name)
        if module is not None and not getattr(getattr(module, "__spec__", None), "_initializing", False):
            patch(name, module)
    dynamo: Any = sys.modules.get("torch._dynamo.callback")
    if dynamo is not None and _compile_started not in dynamo.callback_handler.start_callbacks:
        attempt(None, _patch_dynamo, dynamo)


def _patch_optimizer(module: Any) -> None:
    module.register_optimizer_step_pre_hook(_pre_step)
    module.register_optimizer_step_post_hook(_post_step)
    _skip_frames(_pre_step, _post_step)


def _patch_compiler(module: Any) -> None:
    global _compiling
    _compiling = module.is_compiling


def _patch_loader(module: Any) -> None:
    _replace(module._BaseDataLoaderIter, "__next__", _wrapped_next)


def _patch_autograd(module: Any) -> None:
    _replace(module, "backward", _wrapped_backward)


def _patch_serialization(module: Any) -> None:
    save = module.save
    _replace(module, "save", _wrapped_save)
    torch = sys.modules["torch"]
    if getattr(torch, "save", None) is save:
        torch.save = module.save  # type: ignore[attr-defined]


def _patch_safetensors(module: Any) -> None:
    _replace(module, "save_file", _wrapped_save)


def _patch_checkpoint(module: Any) -> None:
    for name in ("save", "async_save"):
        if hasattr(module, name):
            _replace(module, name, _wrapped_save)


def _patch_dynamo(module: Any) -> None:
    module.callback_handler.register_start_callback(_compile_started)
    module.callback_handler.register_end_callback(_compile_ended)
    _skip_frames(_compile_started, _compile_ended)


def _patch_decorators(module: Any) -> None:
    global _set_eval_frame
    _skip_frames()
    _set_eval_frame = sys.modules["torch._C"]._dynamo.eval_frame.set_eval_frame


def _replace(owner: Any, name: str, wrapped: Callable[[Any], Any]) -> None:
    function = wrapped(getattr(owner, name))
    _hide(function)
    setattr(owner, name, function)


PATCHES: dict[str, Callable[[Any], None]] = {
    "torch.optim.optimizer": _patch_optimizer,
    "torch.compiler": _patch_compiler,
    "torch.utils.data.dataloader": _patch_loader,
    "torch.autograd": _patch_autograd,
    "torch.serialization": _patch_serialization,
    "torch._dynamo.callback": _patch_dynamo,
    "torch._dynamo.decorators": _patch_decorators,
    "safetensors.torch": _patch_safetensors,
    "torch.distributed.checkpoint": _patch_checkpoint,
}
_CORE = ("torch.optim.optimizer", "torch.compiler", "torch.utils.data.dataloader", "torch.autograd")
_patched: set[str] = set()


def renew() -> Agent:
    """An agent that knows nothing yet, in place of the one before; the hooks that are in report to it."""
    global AGENT
    AGENT = Agent()
    AGENT.listen, AGENT.made, AGENT.each_second = _listen_to, _optimizer_exists, patch_loaded
    return AGENT


renew()
