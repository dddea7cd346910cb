"""Where the agent is hooked into torch, and the border that nothing of it crosses.

Each hook begins with the compile guard, because torch.compile must trace nothing of ours, and leaves what it hooks as it was: same
arguments, result and exception. Whatever goes wrong within a hook ends at ``safely``: the agent is off then, the training goes on.
"""

from __future__ import annotations

import functools
import operator
import sys
from collections.abc import Callable
from typing import Any

from .agent import Agent

AGENT = Agent()


def _not_compiling() -> bool:
    return False


_compiling: Callable[[], bool] = _not_compiling


def safely(default: Any, call: Callable[..., Any], *args: Any) -> Any:
    try:
        return call(*args)
    except Exception as error:  # noqa: BLE001 - the border: a training without the agent is better than none
        AGENT.fail(getattr(call, "__name__", "?"), error)
        return default


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
        if _compiling() or AGENT.off:
            return original(self)
        waits = safely(False, AGENT.before_batch, self)
        try:
            batch = original(self)
        finally:
            if waits:
                safely(None, AGENT.after_wait)
        safely(None, AGENT.got_batch, self, batch)
        return batch

    return advance


def _wrapped_backward(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def backward(*args: Any, **kwargs: Any) -> Any:
        if _compiling() or AGENT.off:
            return original(*args, **kwargs)
        came_from = safely(-1, AGENT.before_backward, args[0] if args else None)
        try:
            return original(*args, **kwargs)
        finally:
            if came_from >= 0:
                safely(None, AGENT.after_backward, came_from)

    return backward


def _wrapped_save(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def save(*args: Any, **kwargs: Any) -> Any:
        if _compiling() or AGENT.off:
            return original(*args, **kwargs)
        saves = safely(False, AGENT.before_save)
        try:
            return original(*args, **kwargs)
        finally:
            if saves:
                safely(None, AGENT.after_save)

    return save


def _compile_started(*_: Any) -> None:
    if not AGENT.off:
        safely(None, AGENT.compile_starts)


def _compile_ended(*_: Any) -> None:
    if not AGENT.off:
        safely(None, AGENT.compile_ends)


class _Call:
    """``__call__`` of a model's class: reports the calls of the roots and is transparent for all others.

    Hooks on the instance would stop ``torch.jit.script``. Pickled with its class (cloudpickle), it is what it stands for.
    """

    def __init__(self, cls: Any) -> None:
        self.own = own = cls.__dict__.get("__call__")

        @functools.wraps(cls.__call__)
        def call_it(self: Any, *args: Any, **kwargs: Any) -> Any:
            above: Any = super(cls, self)
            call = above.__call__ if own is None else functools.partial(own, self)
            if _compiling() or AGENT.off or AGENT.in_forward or id(self) not in AGENT.roots:
                return call(*args, **kwargs)
            reports = AGENT.roots[id(self)]() is self and safely(False, AGENT.before_forward, args, kwargs)
            try:
                return call(*args, **kwargs)
            finally:
                if reports:
                    safely(None, AGENT.after_forward)

        self.function: Any = call_it
        _skip_frames(call_it)

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        return self.function if instance is None else self.function.__get__(instance, owner)

    def __reduce__(self) -> Any:
        if self.own is None:
            return getattr, (sys.modules["torch"].nn.Module, "__call__")
        return operator.itemgetter(0), ((self.own,),)


def _listen_to(cls: Any) -> None:
    if type(cls.__dict__.get("__call__")) is not _Call:
        cls.__call__ = _Call(cls)


_OURS: list[Any] = []


def _skip_frames(*functions: Any) -> None:
    """Have Dynamo leave these functions' frames alone where they are called from within compiled code, as it does torch's own."""
    _OURS.extend(functions)
    if "torch._dynamo.callback" in sys.modules:
        skip: Any = getattr(sys.modules["torch._C"]._dynamo.eval_frame, "skip_code", None)
        while _OURS and skip is not None:
            skip(_OURS.pop().__code__)


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
    """Put the hooks into one of the watched modules; it has just been executed."""
    if name in _patched or AGENT.off:
        return
    _patched.add(name)
    safely(None, PATCHES[name], module)


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


def _replace(owner: Any, name: str, wrapped: Callable[[Any], Any]) -> None:
    function = wrapped(getattr(owner, name))
    setattr(owner, name, function)
    _skip_frames(function)


PATCHES: dict[str, Callable[[Any], None]] = {
    "torch.optim.optimizer": _patch_optimizer,
    "torch.compiler": _patch_compiler,
    "torch.utils.data.dataloader": _patch_loader,
    "torch.autograd": _patch_autograd,
    "torch.serialization": _patch_serialization,
    "torch._dynamo.callback": _patch_dynamo,
    "safetensors.torch": _patch_safetensors,
    "torch.distributed.checkpoint": _patch_checkpoint,
}
_patched: set[str] = set()

AGENT.listen, AGENT.made = _listen_to, _optimizer_exists
