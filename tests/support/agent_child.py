"""Many small trainings in one process, for tests of the agent: run once with and once without it, everything must be the same.

``agent_child.py RESULTS [CONFIGURATION ...]`` writes one JSON object: per configuration what the script itself counted, a digest of the
final weights, what Dynamo did, and, where the agent is loaded, what the agent counted. Each starts with an agent as good as new. The
process ends with an exception that nobody catches, inside the model.
"""

from __future__ import annotations

import copy
import functools
import hashlib
import io
import json
import os
import pickle
import shutil
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset, IterableDataset

CONFIGURATIONS: dict[str, Callable[[], Count]] = {}
LENGTH, BATCH, WORDS = 8, 4, 64


class Count:
    """What the script itself counts."""

    def __init__(self, model: nn.Module | None = None) -> None:
        self.model = model
        self.steps = self.tokens = self.first = self.evaluated = 0
        self.batch = 0
        self.slept = self.took = self.early = 0.0
        self.seen: list[str] = []

    def saw(self, ids: torch.Tensor) -> None:
        self.batch += ids.numel()

    def step(self) -> None:
        self.steps += 1
        self.tokens += self.batch
        self.first = self.first or self.batch
        self.batch = 0


class Words(Dataset[Any]):
    def __init__(self, items: int = 48) -> None:
        self.ids = torch.randint(0, WORDS, (items, LENGTH), generator=torch.Generator().manual_seed(1))

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, place: int) -> torch.Tensor:
        return self.ids[place]


class Tiny(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(WORDS, 16)
        self.drop = nn.Dropout(0.1)
        self.out = nn.Linear(16, WORDS)

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor | None = None) -> torch.Tensor:
        return self.out(self.drop(self.embed(input_ids)))  # type: ignore[no-any-return]


def configuration(function: Callable[[], Count]) -> Callable[[], Count]:
    CONFIGURATIONS[function.__name__] = function
    return function


def loss_of(logits: torch.Tensor, ids: torch.Tensor) -> torch.Tensor:
    return nn.functional.cross_entropy(logits.flatten(0, 1), ids.flatten())


def batches(epochs: int = 2, **options: Any) -> Iterator[torch.Tensor]:
    for _ in range(epochs):
        yield from DataLoader(Words(), batch_size=BATCH, **options)


def train(model: nn.Module, called: Any, stream: Iterator[torch.Tensor], optimizers: list[Any], step: Any = None) -> Count:
    """The plain loop."""
    count = Count(model)
    for ids in stream:
        count.saw(ids)
        loss_of(called(ids), ids).backward()
        for optimizer in optimizers:
            (step or optimizer.step)()
            optimizer.zero_grad()
        count.step()
    return count


def adam(model: nn.Module) -> torch.optim.Optimizer:
    return torch.optim.AdamW(model.parameters(), lr=1e-2)


@configuration
def inference() -> Count:
    """No optimizer has been made in this process so far: nobody trains."""
    model = Tiny()
    with torch.no_grad():
        for ids in batches(1):
            model(ids)
    return Count(model)


@configuration
def plain() -> Count:
    model = Tiny()
    return train(model, model, batches(), [adam(model)])


@configuration
def fork_workers() -> Count:
    model = Tiny()
    return train(model, model, batches(num_workers=2), [adam(model)])


@configuration
def spawn_worker() -> Count:
    model = Tiny()
    return train(model, model, batches(1, num_workers=1, multiprocessing_context="spawn"), [adam(model)])


@configuration
def no_loader() -> Count:
    """nanoGPT's way: batches are cut from one long tensor, and every few steps the loss is estimated."""
    model, count = Tiny(), Count()
    optimizer, count.model = adam(model), model
    for step in range(20):
        ids = torch.randint(0, WORDS, (BATCH, LENGTH))
        if step and step % 5 == 0:
            model.eval()
            with torch.no_grad():
                for _ in range(3):
                    model(ids)
                    count.evaluated += ids.numel()
            model.train()
        count.saw(ids)
        loss_of(model(ids), ids).backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        count.step()
    return count


@configuration
def accumulation() -> Count:
    model = Tiny()
    optimizer, count = adam(model), Count(model)
    for micro, ids in enumerate(batches(), 1):
        count.saw(ids)
        (loss_of(model(ids), ids) / 2).backward()
        if micro % 2 == 0:
            optimizer.step()
            optimizer.zero_grad()
            count.step()
    return count


@configuration
def evaluation() -> Count:
    model = Tiny()
    optimizer, count = adam(model), Count(model)
    held_out = DataLoader(Words(12), batch_size=BATCH)
    for ids in batches():
        count.saw(ids)
        loss_of(model(ids), ids).backward()
        optimizer.step()
        optimizer.zero_grad()
        count.step()
        if count.steps % 10 == 0:
            model.eval()
            for other in held_out:
                with torch.no_grad():
                    model(other)
                count.evaluated += other.numel()
            model.train()
    return count


@configuration
def two_optimizers() -> Count:
    model = Tiny()
    pair = [torch.optim.SGD(model.out.parameters(), lr=0.1), torch.optim.AdamW(model.embed.parameters())]
    return train(model, model, batches(), pair)


@configuration
def optimizer_in_backward() -> Count:
    model = Tiny()
    for parameter in model.parameters():
        optimizer = torch.optim.SGD([parameter], lr=0.1)

        def stepped(_: Any, optimizer: torch.optim.Optimizer = optimizer) -> None:
            optimizer.step()
            optimizer.zero_grad()

        parameter.register_post_accumulate_grad_hook(stepped)
    count = Count(model)
    for ids in batches():
        count.saw(ids)
        loss_of(model(ids), ids).backward()
        count.step()
    return count


@configuration
def closure() -> Count:
    model = Tiny()
    optimizer, count = adam(model), Count(model)
    for ids in batches():
        count.saw(ids)

        def again(ids: torch.Tensor = ids) -> float:
            optimizer.zero_grad()
            loss = loss_of(model(ids), ids)
            loss.backward()
            return float(loss.detach())

        optimizer.step(again)
        count.step()
    return count


@configuration
def checkpoints() -> Count:
    model = Tiny()
    optimizer, count = adam(model), Count(model)
    for ids in batches():
        count.saw(ids)
        loss_of(model(ids), ids).backward()
        optimizer.step()
        optimizer.zero_grad()
        count.step()
        if count.steps % 6 == 0:
            torch.save(model, os.devnull)
            torch.save(optimizer.state_dict(), os.devnull)
    return count


@configuration
def exported() -> Count:
    """What is done with a model when it has been trained: it is copied, pickled, scripted, traced, and says the same."""
    model = Tiny()
    count = train(model, model, batches(1), [adam(model)])
    model.eval()
    ids = torch.zeros(1, LENGTH, dtype=torch.long)
    copies = [copy.deepcopy(model), pickle.loads(pickle.dumps(model)), torch.jit.script(model), torch.jit.trace(model, ids)]
    copies.append(torch.fx.symbolic_trace(model))
    with torch.inference_mode():
        assert all(torch.equal(each(ids), copies[0](ids)) for each in copies)
    count.evaluated = ids.numel()  # the trace is compared with one more call of the model, without gradients
    return count


@configuration
def padded() -> Count:
    """Half of each batch is padding."""
    model = Tiny()
    optimizer, count = adam(model), Count(model)
    mask = torch.ones(BATCH, LENGTH, dtype=torch.long)
    mask[:, LENGTH // 2 :] = 0
    for _ in range(3):
        for each in DataLoader(Words(), batch_size=BATCH, collate_fn=_with_mask):
            count.saw(each["input_ids"])
            loss_of(model(**each), each["input_ids"]).backward()
            optimizer.step()
            optimizer.zero_grad()
            count.step()
    return count


def _with_mask(items: list[torch.Tensor]) -> dict[str, torch.Tensor]:
    ids = torch.stack(items)
    mask = torch.ones_like(ids)
    mask[:, LENGTH // 2 :] = 0
    return {"attention_mask": mask, "input_ids": ids}


@configuration
def pixels() -> Count:
    """Floats are samples, and never tokens; what comes with them are labels."""
    model = nn.Sequential(nn.Flatten(), nn.Linear(12, 4))
    optimizer, count = torch.optim.SGD(model.parameters(), lr=0.1), Count(model)
    for _ in range(10):
        nn.functional.cross_entropy(model(torch.rand(5, 3, 2, 2)), torch.randint(0, 4, (5,))).backward()
        optimizer.step()
        optimizer.zero_grad()
        count.step()
    return count


@configuration
def two_models_one_after_the_other() -> Count:
    first, second = plain(), plain()
    second.steps, second.tokens, second.first = first.steps + second.steps, first.tokens + second.tokens, first.first + second.first
    return second


@configuration
def compiled_model() -> Count:
    model = Tiny()
    return train(model, torch.compile(model, backend="aot_eager"), batches(), [adam(model)])


@configuration
def compiled_in_place() -> Count:
    model = Tiny()
    model.compile(backend="aot_eager")
    return train(model, model, batches(), [adam(model)])


@configuration
def compiled_later() -> Count:
    """The model's class has the agent's hook by the time that it is compiled; the steps until that is noticed are not counted."""
    model = Tiny()
    optimizer = adam(model)
    first = train(model, model, batches(1), [optimizer])
    count = train(model, torch.compile(model, backend="aot_eager", fullgraph=True), batches(1), [optimizer])
    count.steps, count.tokens = first.steps + count.steps, first.tokens + count.tokens
    return count


@configuration
def compiled_optimizer() -> Count:
    model = Tiny()
    optimizer = adam(model)
    return train(model, model, batches(), [optimizer], torch.compile(optimizer.step, backend="aot_eager"))


@configuration
def compiled_function() -> Count:
    """The model is called from within a compiled function, which is compiled again for another shape: the hooks are in by then."""
    model = Tiny()
    optimizer, count = adam(model), Count(model)

    @torch.compile(backend="aot_eager", fullgraph=True, dynamic=False)
    def loss_at_once(ids: torch.Tensor) -> torch.Tensor:
        return loss_of(model(ids), ids)

    for ids in batches():
        ids = ids if count.steps < 12 else ids[:3]
        count.saw(ids)
        loss_at_once(ids).backward()
        optimizer.step()
        optimizer.zero_grad()
        count.step()
    return count


@configuration
def compiled_step() -> Count:
    """The whole step is compiled; its backward breaks the graph."""
    model = Tiny()
    optimizer, count = adam(model), Count(model)

    @torch.compile(backend="aot_eager")
    def step(ids: torch.Tensor) -> None:
        loss_of(model(ids), ids).backward()
        optimizer.step()
        optimizer.zero_grad()

    for ids in batches(1):
        count.saw(ids)
        step(ids)
        count.step()
    return count


@configuration
def recompute() -> Count:
    """The model's inner part is run again in the backward."""
    inner = Tiny()

    class Outer(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = inner

        def forward(self, ids: torch.Tensor) -> torch.Tensor:
            from torch.utils.checkpoint import checkpoint

            return checkpoint(self.inner, ids, use_reentrant=False)  # type: ignore[no-any-return]

    model = Outer()
    return train(model, model, batches(), [adam(model)])


# ------------------------------------------------------------------------------------------------------------------ where the time goes


class Pause:
    """Sleeps, and knows how long it has slept."""

    def __init__(self) -> None:
        self.slept = 0.0

    def __call__(self, seconds: float) -> None:
        begin = time.perf_counter()
        time.sleep(seconds)
        self.slept += time.perf_counter() - begin

    def write(self, data: Any) -> int:
        self(0.02)
        return len(data)

    def flush(self) -> None:
        pass


class SlowWords(Words):
    def __init__(self, pause: Pause, count: Count) -> None:
        super().__init__()
        self.pause, self.count = pause, count

    def __getitem__(self, place: int) -> torch.Tensor:
        self.pause(0.01)
        if place == 30:  # a reader that looks now sees what the process is doing, and for how long
            self.count.seen.append(phase_now())
        return super().__getitem__(place)


class _Answers:
    """Something that can be called and is no function: Python passes it no ``self``."""

    def __call__(self, ids: torch.Tensor) -> torch.Tensor:
        return _answers[0].forward(ids)  # type: ignore[no-any-return]


_answers: list[Any] = []


@configuration
def strange_calls() -> Count:
    """Classes whose ``__call__`` is no function, or that let nothing be set, are called as Python calls them."""

    class Static(Tiny):
        @staticmethod
        def __call__(ids: torch.Tensor) -> torch.Tensor:  # type: ignore[override]
            return _answers[0].forward(ids)  # type: ignore[no-any-return]

    class Partial(Tiny):
        def call(self, _: bool, ids: torch.Tensor) -> torch.Tensor:
            return self.forward(ids)

        __call__ = functools.partialmethod(call, True)  # type: ignore[assignment]

    class Called(Tiny):
        __call__ = _Answers()  # type: ignore[assignment]

    class Sealing(type):
        def __setattr__(cls, name: str, value: Any) -> None:
            raise TypeError(name)

    class Sealed(Tiny, metaclass=Sealing):
        pass

    count = Count()
    for cls in (Static, Partial, Called, Sealed):
        agent_new()
        _answers[:] = [cls()]
        count.seen.append(digest(train(_answers[0], _answers[0], batches(1), [adam(_answers[0])]).model))
    _answers.clear()
    return count


@configuration
def watched_operations() -> Count:
    """A script that watches torch's functions and operations, and a model beside it with strange parameters, see nothing of ours."""
    from torch.overrides import TorchFunctionMode
    from torch.utils._python_dispatch import TorchDispatchMode

    count = Count(Tiny())

    class Functions(TorchFunctionMode):
        def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            count.seen.append(getattr(function, "__name__", ""))
            return function(*args, **(kwargs or {}))

    class Operations(TorchDispatchMode):
        def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            count.seen.append(str(function))
            return function(*args, **(kwargs or {}))

    beside = nn.ModuleDict({"computed": Tiny(), "lazy": nn.LazyLinear(3)})
    beside.computed.out._parameters["weight"] = beside.computed.out.weight * 2  # type: ignore[assignment,union-attr]
    optimizer = adam(count.model)  # type: ignore[arg-type]
    for mode in (Functions(), Operations(), nullcontext()):
        with mode:
            for ids in batches(1):
                count.saw(ids)
                loss_of(count.model(ids), ids).backward()  # type: ignore[misc]
                optimizer.step()
                optimizer.zero_grad()
                count.step()
    del beside
    return count


@configuration
def interrupted() -> Count:
    """What ctrl-C shows, in the dataset, in backward, in the model and while a file is written."""
    count = Count(Tiny())

    def press(*_: Any, **__: Any) -> Any:
        raise KeyboardInterrupt

    class Pressed(torch.autograd.Function):
        @staticmethod
        def forward(_: Any, given: torch.Tensor) -> torch.Tensor:
            return given.clone()

        backward = staticmethod(press)

    model = count.model
    assert model is not None
    train(model, model, batches(1), [adam(model)])
    ids = next(iter(batches(1)))
    model.out.register_forward_pre_hook(press)
    loss = loss_of(Tiny()(ids), ids)
    written = SimpleNamespace(__reduce__=press)
    places: list[Callable[[], Any]] = [
        lambda: next(iter(DataLoader([0], collate_fn=press))),  # type: ignore[arg-type]
        lambda: Pressed.apply(loss).backward(),
        lambda: model(ids),
        lambda: torch.save(written, SimpleNamespace(write=press)),  # type: ignore[arg-type]
    ]
    for place in places:
        try:
            place()
        except KeyboardInterrupt:
            count.seen += traceback.format_exc().splitlines()
    return count


def phase_now() -> str:
    agent = current()
    if agent is None or agent.mem is None:
        return ""
    from gpuwatch.collectors.training import reader

    phase, since = reader.live(bytes(agent.mem))
    return f"{phase.name if phase is not None else ''} {'for 10 ms' if time.monotonic_ns() - since > 10_000_000 else 'just now'}"


def slow(where: str) -> Count:
    """Sleeps in one place; the rest of the loop takes next to nothing."""
    model, pause = Tiny(), Pause()
    count, optimizer = Count(model), adam(model)
    data: Dataset[Any] = SlowWords(pause, count) if where == "data" else Words()
    begin = time.perf_counter()
    for ids in DataLoader(data, batch_size=BATCH):
        if count.steps == 1:
            begin, pause.slept, count.early = time.perf_counter(), 0.0, pause.slept
        count.saw(ids)
        loss_of(model(ids), ids).backward()
        optimizer.step()
        optimizer.zero_grad()
        count.step()
        if where == "other" and count.steps > 1:
            pause(0.03)
        if where == "eval" and count.steps % 3 == 0:
            with torch.no_grad():
                model(ids)
                pause(0.06)
                count.evaluated += ids.numel()
        if where == "checkpoint" and count.steps % 3 == 0:
            torch.save(model.state_dict(), io.BytesIO())
            torch.save(model.state_dict(), pause)  # type: ignore[arg-type]
    count.slept, count.took = pause.slept, time.perf_counter() - begin
    return count


for _place in ("data", "other", "eval", "checkpoint"):
    CONFIGURATIONS[f"slow_{_place}"] = functools.partial(slow, _place)


# ---------------------------------------------------------------------------------------------------------------- whatever goes wrong


def everything() -> Count:
    """A little of all that the agent has hooks for."""
    model = Tiny()
    optimizer, count = adam(model), Count(model)
    for ids in batches():
        count.saw(ids)
        loss_of(model(ids), ids).backward()
        optimizer.step()
        optimizer.zero_grad()
        count.step()
        if count.steps % 5 == 0:
            with torch.no_grad():
                model(ids)
            torch.save(model.state_dict(), os.devnull)
    return count


def broken(method: str) -> Count:
    """One method of the agent raises when it is called, after the training has begun where that is possible."""

    def breaks(*_: Any, **__: Any) -> None:
        raise ValueError("injected")

    breaks.__name__ = method
    agent = current()
    if agent is not None:
        setattr(agent, method, breaks)
    return everything()


BREAKABLE = (
    *("arm", "before_batch", "no_batch", "got_batch", "before_forward", "after_forward", "before_backward", "after_backward"),
    *("before_step", "after_step", "before_save", "after_save", "enter", "publish", "identify", "store", "look_for_model", "learn"),
    *("read_allocator", "step_ended", "count_padding"),
)
for _method in BREAKABLE:
    CONFIGURATIONS[f"broken_{_method}"] = functools.partial(broken, _method)


def homeless(kind: str) -> Count:
    """There is no good place for the file, or it goes away."""
    folder, before = Path(tempfile.mkdtemp()), os.environ.get("GPUWATCH_DIR", "")
    place = folder / "hooks"
    place.mkdir(mode=0o700)
    if kind == "nowhere":
        place = Path("/proc/no/such/place")
    elif kind == "open":
        place.chmod(0o777)
    elif kind == "link":
        (folder / "link").symlink_to(place)
        place = folder / "link"
    os.environ["GPUWATCH_DIR"] = str(place)
    allocate = os.posix_fallocate
    if kind == "full":
        os.posix_fallocate = _no_space
    try:
        count = Count()
        for _ in range(2):
            count = everything()
            if kind == "deleted":
                for file in place.iterdir():
                    file.unlink()
    finally:
        os.posix_fallocate = allocate
        count.seen = sorted(file.name for file in place.iterdir()) if place.is_dir() else []
        os.environ["GPUWATCH_DIR"] = before
        shutil.rmtree(folder)
    return count


def _no_space(*_: Any) -> None:
    raise OSError(28, "No space left on device")


for _kind in ("nowhere", "open", "link", "full", "deleted"):
    CONFIGURATIONS[f"homeless_{_kind}"] = functools.partial(homeless, _kind)


def loud() -> None:
    """What the user sees: a warning that torch aims at the user's line, and an exception from within the model."""

    class Stream(IterableDataset[Any]):
        def __len__(self) -> int:
            return 2

        def __repr__(self) -> str:
            return "a stream"

        def __iter__(self) -> Iterator[torch.Tensor]:
            yield from Words(BATCH).ids

    model = Tiny()
    optimizer = adam(model)
    loader = DataLoader(Stream(), batch_size=1)
    print(f"loss of {len(loader)} batches")
    for ids in loader:
        loss = loss_of(model(ids), ids)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        print(f"loss {loss.item():.6f}")
    model(torch.tensor([[WORDS]]))


# ------------------------------------------------------------------------------------------------------------- what the script declares


def tracked() -> Any:
    """``gpuwatch_agent`` where it is loaded, else something that takes the same calls."""
    if "gpuwatch_agent" in sys.modules:
        return sys.modules["gpuwatch_agent"]
    return SimpleNamespace(declare=_ignore, declared_step=_ignore, declared_phase=lambda name: nullcontext())


def _ignore(*_: Any, **__: Any) -> None:
    pass


@configuration
def declared() -> Count:
    """From the first step on the script says what was in each: twice the tokens that a hook would count."""
    model, said = Tiny(), tracked()
    optimizer, count = adam(model), Count(model)
    said.declare(dp=1, flops_per_token=123.0, total_steps=24, precision="fp8")
    for ids in batches():
        count.saw(torch.cat([ids, ids]))
        loss_of(model(ids), ids).backward()
        optimizer.step()
        optimizer.zero_grad()
        count.step()
        said.declared_step(
            tokens=2 * ids.numel(), nonpad_tokens=ids.numel(), samples=BATCH, loss=1.5, step_number=100 + count.steps
        )
    return count


@configuration
def declared_later() -> Count:
    """The script begins to say it in the middle: no step and no token counts twice."""
    model, said = Tiny(), tracked()
    optimizer, count = adam(model), Count(model)
    for ids in batches():
        count.saw(ids)
        loss_of(model(ids), ids).backward()
        optimizer.step()
        optimizer.zero_grad()
        count.step()
        if count.steps > 10:
            said.declared_step(tokens=ids.numel())
    return count


@configuration
def declared_phases() -> Count:
    """The script says what it does; what the hooks see within does not say otherwise."""
    model, said = Tiny(), tracked()
    count = train(model, model, batches(1), [adam(model)])
    begin = time.perf_counter()
    with said.declared_phase("checkpoint"):
        for ids in batches(1):
            time.sleep(0.01)
            with torch.no_grad():
                model(ids)
            count.evaluated += ids.numel()
    count.slept = time.perf_counter() - begin
    return count


def known_of_models() -> dict[str, Any]:
    """What the agent finds out about models of known shape."""
    from gpuwatch_agent import facts_of  # type: ignore[import-not-found]

    lora, tied, large = Tiny(), Tiny(), Tiny()
    for parameter in lora.parameters():
        parameter.requires_grad = False
    lora.adapter = nn.Linear(16, 2, bias=False)
    tied.out.weight = tied.embed.weight
    large.config = SimpleNamespace(num_hidden_layers=3, num_attention_heads=2, hidden_size=16)  # type: ignore[assignment]
    mixed = nn.ModuleDict({"experts": nn.ModuleList([nn.Linear(8, 8, bias=False) for _ in range(4)]), "out": nn.Linear(8, 8)})
    mixed.config = SimpleNamespace(num_local_experts=4, num_experts_per_tok=1)  # type: ignore[assignment]
    mixed.to(torch.bfloat16)
    found = {}
    for name, module in {"lora": lora, "tied": tied, "large": large, "mixed": nn.ModuleDict({"model": mixed})}.items():
        facts = facts_of([module, mixed] if name == "mixed" else [module], 5)
        found[name] = {key: str(value) if key == "dtype" else value for key, value in facts.items()}
    return found


def dynamo() -> dict[str, Any]:
    """Graphs, breaks and compiled frames since the counters were cleared."""
    if "torch._dynamo" not in sys.modules:
        return {}
    counters = sys.modules["torch._dynamo.utils"].counters
    return {
        "graphs": counters["stats"]["unique_graphs"],
        "breaks": sum(counters["graph_break"].values()),
        "frames": dict(counters["frames"]),
        "recompiles": sum(counters["recompile_limit"].values()) if "recompile_limit" in counters else 0,
    }


def current() -> Any:
    """The agent of this process; None if there is none."""
    return sys.modules["gpuwatch_agent"].AGENT if "gpuwatch_agent" in sys.modules else None


def agent_new() -> Any:
    """The agent of this process, as if it had just been loaded; None if it is not."""
    if "gpuwatch_agent" not in sys.modules:
        return None
    module = sys.modules["gpuwatch_agent"]
    agent = module.renew()
    module.patch_loaded()
    return agent


def agent_counts(agent: Any) -> dict[str, Any]:
    """What the file says, read as any reader would."""
    if agent is None or agent.mem is None:
        return {"off": None if agent is None else agent.off, "why": "" if agent is None else agent.reason}
    agent.end()
    from gpuwatch.collectors.training import layout, reader

    head = bytes(agent.mem)
    who, what = reader.identity(head), reader.counters(head)
    if who is None or what is None:
        return {"why": agent.reason}  # what writes it has been broken
    ring = [layout.STEP.unpack_from(head, layout.RING_AT + place * layout.STEP.size) for place in range(layout.RING_STEPS)]
    found = {name: getattr(each, name) for each in (what, who) for name in type(each).__annotations__}
    return found | {"kind": who.tokens_kind.name, "ring": sorted(list(line) for line in ring if line[0])}


def digest(model: nn.Module | None) -> str:
    state = b"".join(t.detach().numpy().tobytes() for t in model.state_dict().values()) if model is not None else b""
    return hashlib.sha256(state + torch.get_rng_state().numpy().tobytes()).hexdigest()


def main() -> None:
    sys.path.append(str(Path(__file__).resolve().parent.parent.parent))
    torch.set_num_threads(1)
    results: dict[str, Any] = {}
    names = sys.argv[2:] or [name for name in CONFIGURATIONS if name != "spawn_worker" or "gpuwatch_agent" in sys.modules]
    for name in names:
        torch.manual_seed(7)
        if "torch._dynamo" in sys.modules:
            torch._dynamo.reset()
            sys.modules["torch._dynamo.utils"].counters.clear()
        agent = agent_new()
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            count = CONFIGURATIONS[name]()
        found = results[name] = {"steps": count.steps, "tokens": count.tokens, "first": count.first, "evaluated": count.evaluated}
        found["warnings"] = [f"{each.filename}:{each.lineno}: {each.message}" for each in caught]
        found |= {"slept": count.slept, "took": count.took, "early": count.early, "seen": count.seen}
        found["off"] = agent is not None and agent.off
        found |= {"weights": digest(count.model), "dynamo": dynamo(), "agent": agent_counts(agent)}
    if "gpuwatch_agent" in sys.modules:
        results["known_of_models"] = known_of_models()
    Path(sys.argv[1]).write_text(json.dumps(results), encoding="utf-8")
    torch.manual_seed(7)
    agent_new()
    loud()


if __name__ == "__main__":
    main()
