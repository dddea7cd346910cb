"""What the hooks report, and what follows from it: steps, tokens, phases.

A step is the first ``step()`` of the primary optimizer (the one that steps first) after a backward, and ends when that call returns.
The model is looked for after the first step: that is why the tokens of the first step, and only they, are not counted. Where an
optimizer's steps cannot be seen (``torch.compile(optimizer.step)``), gradients that are gone when a backward begins tell that one was
made. Times are those of the thread that trains.
"""

from __future__ import annotations

import sys
import weakref
from collections.abc import Callable, Mapping
from threading import get_ident
from time import monotonic_ns
from typing import Any

from . import model
from .counters import Counters, attempt
from .hookfile import (
    BACKWARD,
    CHECKPOINT,
    COMPILE,
    DATA,
    DECLARED,
    EVAL,
    FORWARD,
    LOADER,
    NONE,
    OPTIMIZER,
    OTHER,
    SAMPLES,
    STARTING,
)
from .inputs import measure, padding

LOOK_AGAIN = (1, 3, 10, 100, 1000)
"""Steps after which what is known of the model is brought up to date."""
UNCALLED = (3, 30, 300)
"""Steps in which the model was not called, after which it is looked for again, and its tokens are those of the DataLoader's batches."""
PADDING_EVERY = 16
"""One batch in so many tells how much of it is padding."""


class Agent(Counters):
    """One for the process. Each method here is what one hook calls, inside that hook's border."""

    def __init__(self) -> None:
        super().__init__()
        self.listen: Callable[[type], None] = lambda cls: None
        """Has the calls of a class' instances reported; the hooks set it."""
        self.made: Callable[[], bool] = lambda: False
        """Whether an optimizer has been made; the hooks set it."""
        self.in_backward = self.in_forward = self.in_checkpoint = False
        self.backwards = self.all_backwards = self.step_backwards = 0
        self.primary: Any = None
        self.hooked = self.cadence = self.called = False
        self.uncalled = 0
        self.held_back = [0, 0]
        self.backward_tokens = 0
        self.sample: Any = None
        self.torch: Any = None
        self.like: Any = None
        self.same = (NONE, 0, 0)
        self.roots: dict[int, Any] = {}
        self.modules: list[Any] = []
        self.train_iterator: Any = None
        self.last_iterator: Any = None
        self.compile_from = OTHER
        self.checkpoint_step = -1

    def mine(self) -> bool:
        """Whether this is the thread that trains: only that one has phases."""
        return get_ident() == self.thread

    def ready(self) -> bool:
        """Whether there is a file; made here only if the process has an optimizer: programs that only infer are left alone."""
        return self.mem is not None or (self.made() and self.arm())

    # ----------------------------------------------------------------------------------------------------------------------------- data

    def before_batch(self, iterator: Any) -> bool:
        """A batch is asked for. While the script evaluates, only the iterator that it trains with ends that."""
        if (self.mem is None and not self.ready()) or get_ident() != self.thread:
            return False
        if not self.hooked and self.backwards and not self.roots:
            self.look_for_model(None)
        if self.base == EVAL:
            if self.train_iterator is None or self.train_iterator() is not iterator:
                return False
            self.base = OTHER
        self.enter(DATA)
        return True

    def no_batch(self) -> None:
        """There is none left, or the dataset raised."""
        self.enter(self.base)

    def got_batch(self, iterator: Any, batch: Any, waited: bool) -> None:
        """Count it. Its tokens count only where the model itself is not seen."""
        if waited:
            self.enter(self.base)
        if self.mem is None:
            return
        self.batches += 1
        if self.base == EVAL:
            return
        if self.last_iterator is None or self.last_iterator() is not iterator:
            self.last_iterator = weakref.ref(iterator)
        if self.batches % PADDING_EVERY == 1 and self.steps:
            self.count_padding((batch,))
        if self.kind == LOADER and not self.declares_tokens:
            _, tokens, samples = measure((batch,), {})
            self.tokens += tokens
            self.samples += samples

    def count_padding(self, values: Any) -> None:
        """How much of one batch is padding, where that costs nothing."""
        found = padding(values)
        if found is not None:
            self.masked += found[0]
            self.unmasked += found[1]

    # -------------------------------------------------------------------------------------------------------------------------- forward

    def before_forward(self, args: Any, kwargs: Mapping[str, Any]) -> bool:
        """The model is called, by the script and not from within itself."""
        torch = self.torch
        if self.mem is None or get_ident() != self.thread or self.in_backward or torch._C._get_tracing_state() is not None:
            return False
        self.in_forward = self.called = True
        kind, tokens, samples = self.measured(args, kwargs)
        training = torch.is_grad_enabled()
        if self.probe is not None:
            self.try_probe(self.probe.forward_begins, monotonic_ns(), training)
        if not training:
            self.eval_tokens += tokens
            self.base = EVAL
            self.enter(EVAL)
            return True
        if self.base == EVAL:
            self.base = OTHER
        self.train_iterator = self.last_iterator
        self.micro += 1
        if self.declares_tokens or self.kind == LOADER:  # the script counts them, or its batch has been counted
            pass
        elif self.hooked or self.cadence:
            self.tokens += tokens
            self.samples += samples
        else:  # the end of the first step is not known yet: this may belong to it
            self.held_back[0] += tokens
            self.held_back[1] += samples
        if (kind != NONE and self.kind in (NONE, LOADER)) or (kind != SAMPLES and self.kind == SAMPLES) or not self.precision:
            self.kind, self.precision = kind, attempt("", model.precision, self.known.get("dtype"))
            self.identify()
        if not self.batches and self.micro % PADDING_EVERY == 1:
            self.count_padding((*args, kwargs))
        self.enter(FORWARD)
        return True

    def measured(self, args: Any, kwargs: Mapping[str, Any]) -> tuple[int, int, int]:
        """(kind, tokens, samples) of a call; most are like the one before, and one tensor alone."""
        if len(args) == 1 and not kwargs and type(args[0]) is self.torch.Tensor:
            like = args[0].shape, args[0].dtype
            if like != self.like:
                self.like, self.same = like, measure(args, kwargs)
            return self.same
        return measure(args, kwargs)

    def after_forward(self) -> None:
        """It has returned or raised."""
        self.in_forward = False
        self.enter(self.base)

    # ------------------------------------------------------------------------------------------------------------------------- backward

    def before_backward(self, tensors: Any) -> int:
        """A backward begins: the phase to go back to, -1 if it is one within another or of another thread."""
        if self.mem is None and not self.arm():
            return -1
        if not self.all_backwards:
            self.thread = get_ident()
        if self.in_backward or get_ident() != self.thread:
            return -1
        if not self.hooked and self.all_backwards:
            self.keep_cadence()
        if self.base == EVAL:
            self.base = OTHER
        self.in_backward = True
        self.backwards += 1
        self.all_backwards += 1
        self.step_backwards += 1
        if self.step_backwards == 1 and self.second <= monotonic_ns():
            self.read_loss(tensors)
        return self.enter(BACKWARD)

    def after_backward(self, came_from: int) -> None:
        """It has returned or raised. That of a closure goes back into the optimizer's step."""
        self.in_backward = False
        self.backward_tokens = self.tokens
        self.enter(OPTIMIZER if came_from == OPTIMIZER else self.base)

    def read_loss(self, tensors: Any) -> None:
        """The number that backward is called on, where it lies in the CPU's memory: reading it from a GPU would wait for that."""
        if "loss" not in self.told and type(tensors) is sys.modules["torch"].Tensor and tensors.device.type == "cpu":
            self.loss = float(tensors.detach().item()) if tensors.numel() == 1 and tensors.is_floating_point() else self.loss

    # ------------------------------------------------------------------------------------------------------------------------ optimizer

    def before_step(self) -> None:
        """An optimizer's step begins."""
        if (self.mem is not None or self.arm()) and get_ident() == self.thread:
            if self.base == EVAL:
                self.base = OTHER
            self.enter(OPTIMIZER)

    def after_step(self, optimizer: Any) -> None:
        """An optimizer's step has returned."""
        if self.mem is None:
            return
        if get_ident() == self.thread:
            self.enter(BACKWARD if self.in_backward else self.base)
        if self.all_backwards and not self.backwards:
            return  # a second optimizer, or a second group of parameters, of the same step
        primary = self.primary() if self.primary is not None else None
        if primary is not optimizer:
            if primary is not None and self.backwards < 50:
                return
            self.primary = weakref.ref(optimizer)
        if primary is None:
            self.look_for_model(optimizer)
        self.hooked, self.held_back = True, [0, 0]
        if not self.declares_steps:
            self.end_step(optimizer)

    def keep_cadence(self) -> None:
        """No optimizer's step has been seen yet: was one made before this backward?"""
        if not self.roots:
            self.look_for_model(None)
        parameter = self.sample() if self.sample is not None else None
        if parameter is not None and parameter.grad is None and not self.declares_steps:
            self.end_step(None, self.backward_tokens)
            if not self.cadence:
                self.cadence = True
                self.tokens += self.held_back[0]
                self.samples += self.held_back[1]

    def end_step(self, optimizer: Any = None, tokens: int | None = None) -> None:
        """A step of the training has ended. If the model has not been called in some, it is looked for again, and batches count."""
        self.backwards = self.step_backwards = 0
        self.base = OTHER if self.base == STARTING else self.base
        if self.phase == STARTING:
            self.enter(OTHER)
        self.step_ended(tokens)
        self.uncalled = 0 if self.called or self.steps == 1 else self.uncalled + 1
        self.called = False
        if self.uncalled in UNCALLED:
            self.look_for_model(optimizer)
            if self.batches and not self.declares_tokens:
                self.kind = LOADER
                self.identify()
        if self.steps in LOOK_AGAIN:
            self.learn()

    # ------------------------------------------------------------------------------------------------------- checkpoints and compiling

    def before_save(self) -> bool:
        """A file is written. Several after one step are one checkpoint."""
        if self.mem is None or self.in_checkpoint or not self.mine():
            return False
        self.in_checkpoint = True
        self.checkpoints += self.checkpoint_step != self.steps
        self.checkpoint_step = self.steps
        if self.base == EVAL:
            self.base = OTHER
        self.enter(CHECKPOINT)
        return True

    def after_save(self) -> None:
        """It is written, or as much of it as the training has to wait for."""
        self.in_checkpoint = False
        self.enter(self.base)
        self.checkpoint_end = monotonic_ns()

    def compile_starts(self) -> None:
        """Dynamo compiles, for the first time or again."""
        if self.ready() and self.mine():
            self.compilations += 1
            self.compile_from = self.enter(COMPILE)

    def compile_ends(self) -> None:
        """It has compiled, or failed to."""
        if self.phase == COMPILE and self.mine():
            self.enter(self.compile_from)

    # ------------------------------------------------------------------------------------------------------------------------ the model

    def look_for_model(self, optimizer: Any) -> None:
        """Find what is trained and have its calls reported. One pass over all objects, a part of the start."""
        self.torch, self.roots, self.modules = sys.modules["torch"], {}, []
        for root in model.find_roots(optimizer):
            found = model.chain(root)
            self.modules = self.modules or [weakref.ref(module) for module in found]
            for module in found:
                self.roots[id(module)] = weakref.ref(module)
                self.listen(type(module))
        if self.modules:
            learning = [p for _, p in model.parameters(self.modules[0]()).values() if p.requires_grad]
            sample = next((p for p in learning if p.grad is not None), learning[0] if learning else None)
            self.sample = weakref.ref(sample) if sample is not None else None

    def learn(self) -> None:
        """Bring what is known of the model up to date."""
        modules = [module for module in (ref() for ref in self.modules) if module is not None]
        if modules:
            length = self.tokens // self.samples if self.samples else 0
            self.known.update(attempt({}, model.facts, modules, length))
        self.identify()

    # ---------------------------------------------------------------------------------------------------------- what the script declares

    def told_step(
        self, tokens: int | None, nonpad: int | None, samples: int | None, loss: float | None, number: int | None
    ) -> None:
        """The script says that a step has ended and what was in it; if the optimizer's hook has counted that one, it is not counted twice."""
        counted = self.steps > 0 and not self.declares_steps
        if tokens is not None:
            self.tokens += max(0, tokens - self.step_tokens) if counted and not self.declares_tokens else tokens
            self.declares_tokens = True
            self.told.setdefault("tokens_kind", DECLARED)
            if nonpad is not None:
                self.masked += tokens
                self.unmasked += nonpad
        if samples is not None:
            self.samples += samples
        if loss is not None:
            self.loss = self.told["loss"] = float(loss)
        if number is not None:
            self.number = number
        if not self.declares_steps:
            self.declares_steps = True
            self.identify()
        if counted:
            self.before = (self.tokens, *self.before[1:])
        else:
            self.end_step(self.primary() if self.primary is not None else None)

    def pin(self, phase: int) -> None:
        """The script says what it is doing; the hooks do not say otherwise."""
        self.enter(phase)
        self.pinned = True

    def unpin(self) -> None:
        """It does so no more."""
        self.pinned = False
        self.base = OTHER if self.base == EVAL else self.base
        self.enter(self.base)
