"""A llama.cpp server that is only counts: tasks in slots, its counters, and its two documents, moved by a test's clock."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence

from gpuwatch.collectors.inference.reading import Answer
from gpuwatch.dataclass import dataclass


@dataclass(slots=True)
class Task:
    """A request. A prompt is computed in steps, then tokens come one by one."""

    number: int
    prompt: int
    cached: int
    wanted: int
    computed: int = 0
    decoded: int = 0


@dataclass(frozen=True, slots=True)
class Build:
    """How a build shows its slots. ``resets``: an idle slot shows 0, else what its last task reached. ``tells``: with the numbers of
    the prompt; without them a new task shows its predecessor's tokens until its own first. ``counts_cut``: the tokens of requests that
    clients gave up are counted."""

    resets: bool = True
    tells: bool = True
    counts_cut: bool = True


TODAY = Build()
OLD = Build(resets=False, tells=False, counts_cut=False)


class LlamaSim:
    """``step`` moves time, ``answers`` asks as the collector does: one path after the other, while the server goes on."""

    def __init__(
        self, seed: int, slots: int = 2, build: Build = TODAY, *, metrics: bool = True, shows_slots: bool = True, longest: int = 60
    ) -> None:
        self._chance, self.build = random.Random(seed), build
        self.metrics, self.shows_slots, self._longest = metrics, shows_slots, longest
        self.tasks: list[Task | None] = [None] * slots
        self._shown: list[tuple[int, int]] = [(-1, 0)] * slots
        self._next = 0
        self.output = self.computed = self.cached = 0
        """The server's own counters."""
        self.made = 0
        """Tokens that it really made."""
        self.asked: list[str] = []
        self.told: dict[str, int] = {}
        """What the last answers held: field -> the counter, and what running tasks had beyond it."""
        self.open = True

    def step(self, times: int = 1) -> None:
        """Some tokens and prompt steps in each slot; tasks begin where one is free, and end."""
        for _ in range(times):
            for at, task in enumerate(self.tasks):
                if task is None:
                    self._begin(at)
                else:
                    self._move(at, task)

    def _begin(self, at: int) -> None:
        if self.open and self._chance.random() < 0.3:
            self._next += self._chance.randint(1, 5)
            cached = self._chance.choice((0, 0, 30))
            self.tasks[at] = Task(
                self._next,
                self._chance.randint(1, 400),
                cached,
                self._chance.randint(self._longest // 2 if self._longest > 60 else 1, self._longest),
            )
            self.cached += cached

    def _move(self, at: int, task: Task) -> None:
        if task.computed < task.prompt:
            task.computed = min(task.prompt, task.computed + 128)
            if task.computed < task.prompt:
                return
            self.computed += task.prompt
        made = min(self._chance.randint(1, 9), task.wanted - task.decoded)
        task.decoded += made
        self.made += made
        cut = self._longest <= 60 and self._chance.random() < 0.02
        if task.decoded >= task.wanted or cut:
            if not cut or self.build.counts_cut:
                self.output += task.decoded
            self._shown[at] = (task.number, task.decoded)
            self.tasks[at] = None

    @property
    def counters(self) -> dict[str, int]:
        """Field -> what the server has counted."""
        return {"output_tokens_total": self.output, "prefill_tokens_total": self.computed, "cached_tokens_total": self.cached}

    @property
    def truth(self) -> dict[str, int]:
        """Field -> what has happened, running tasks included."""
        under_way = sum(task.computed for task in self.tasks if task is not None and task.computed < task.prompt)
        return self.counters | {"output_tokens_total": self.made, "prefill_tokens_total": self.computed + under_way}

    def drain(self) -> None:
        """No new task; those that run come to their end."""
        self.open = False
        while any(self.tasks):
            self.step()

    def answers(self, paths: Sequence[str], at_ns: int) -> list[Answer]:
        """What the paths give, asked in this order."""
        answers = []
        for path in paths:
            self.asked.append(path)
            status, body = self._answer(path)
            answers.append(Answer(path, status, body, at_ns, at_ns))
            self.step(self._chance.randint(0, 2))
        return answers

    def _answer(self, path: str) -> tuple[int, bytes]:
        if path == "/metrics" and self.metrics:
            self.told = self.counters
            return 200, self.page().encode()
        if path == "/slots" and self.shows_slots:
            running = [task for task in self.tasks if task is not None]
            for name, more in (
                ("output_tokens_total", sum(task.decoded for task in running)),
                ("prefill_tokens_total", sum(task.computed for task in running if not task.decoded)),
            ):
                self.told[name] = self.told.get(name, 0) + more
            return 200, json.dumps([self._slot(at) for at in range(len(self.tasks))]).encode()
        return (200, b'{"build_info": "b1-sim", "model_alias": "sim"}') if path == "/props" else (501, b"{}")

    def page(self) -> str:
        """Counters as the server prints them: six digits."""
        rows = {
            "tokens_predicted_total": self.output,
            "prompt_tokens_total": self.computed,
            "prompt_tokens_cached_total": self.cached,
            "requests_deferred": 3,
            "requests_processing": sum(task is not None for task in self.tasks),
        }
        return "".join(f"# TYPE llamacpp:{name} counter\nllamacpp:{name} {value:g}\n" for name, value in rows.items())

    def _slot(self, at: int) -> dict[str, object]:
        task, (last, reached) = self.tasks[at], self._shown[at]
        slot: dict[str, object] = {"id": at, "n_ctx": 1000, "is_processing": task is not None}
        decoded = 0 if self.build.resets else reached
        if task is not None:
            decoded = task.decoded if self.build.tells or task.decoded else reached
        if task is not None or last >= 0:
            slot["id_task"] = task.number if task else last
            slot["next_token"] = [{"n_decoded": decoded}] if self.build.tells else {"n_decoded": decoded}
        if self.build.tells and (task is not None or last >= 0):
            slot["n_prompt_tokens"] = task.cached + task.computed + task.decoded if task else 77
            slot["n_prompt_tokens_processed"] = task.computed if task else 0
            slot["n_prompt_tokens_cache"] = task.cached if task else 0
        return slot | {"prompt": 'a secret {"n_decoded": 999999}'}
