"""A load on an inference server that keeps its own count: what it sent, which token arrived when, how long requests took.

Prompts are lists of token numbers, so that the count of what was sent needs no tokenizer; what has arrived is the number that each
event of the stream carries. Nothing here reads the server's statistics.
"""

from __future__ import annotations

import http.client
import itertools
import json
import random
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Self

from gpuwatch.dataclass import dataclass, field

_WALL_MINUS_MONOTONIC = time.time() - time.monotonic()
FIRST_TOKEN, TOKENS = 20, 200
"""Prompts are drawn from these numbers: plain bytes in both tiny models."""
TIMEOUT_SECONDS = 120.0


def now() -> float:
    """Unix seconds that no step of the clock disturbs: comparable with the times of rows, and with each other."""
    return time.monotonic() + _WALL_MINUS_MONOTONIC


@dataclass(frozen=True, slots=True)
class Dialect:
    """How one API is asked for a completion of exactly so many tokens, and where its events say how many have come."""

    path: str
    body: Callable[[list[int], int], dict[str, Any]]
    received: Callable[[dict[str, Any]], int | None]


def _llama_body(prompt: list[int], tokens: int) -> dict[str, Any]:
    return {"prompt": prompt, "n_predict": tokens, "ignore_eos": True, "stream": True}


def _openai_body(prompt: list[int], tokens: int) -> dict[str, Any]:
    counted = {"include_usage": True, "continuous_usage_stats": True}
    return {"prompt": prompt, "max_tokens": tokens, "ignore_eos": True, "stream": True, "stream_options": counted}


LLAMA = Dialect("/completion", _llama_body, lambda event: event.get("tokens_predicted"))
VLLM = Dialect("/v1/completions", _openai_body, lambda event: (event.get("usage") or {}).get("completion_tokens"))


@dataclass(slots=True)
class Answer:
    """One request. ``arrivals``: (when, tokens in this piece). ``ended`` is set when all that was asked for has come."""

    sent: float
    prompt_tokens: int
    asked: int
    arrivals: list[tuple[float, int]] = field(default_factory=list)
    ended: float | None = None
    error: str = ""


@dataclass(frozen=True, slots=True)
class Counts:
    """What happened in ``seconds``: tokens by when they came, requests by when they ended, prompts by when they were sent.

    ``first`` (sent to first token), ``gaps`` (between pieces) and ``whole`` (sent to last token) are seconds, each sorted.
    """

    seconds: float
    sent: int
    finished: int
    prompt_tokens: int
    tokens: int
    first: list[float]
    gaps: list[float]
    whole: list[float]
    errors: list[str]

    @property
    def tokens_per_second(self) -> float:
        """Tokens received per second of the interval."""
        return self.tokens / self.seconds


def quantile(ordered: list[float], share: float) -> float:
    """The smallest value that ``share`` of ``ordered`` do not exceed."""
    return ordered[min(len(ordered) - 1, max(0, -int(-share * len(ordered) // 1) - 1))]


class Load:
    """``concurrency`` clients, each asking again when its answer is whole, while the block runs.

    ``prompt_tokens`` and ``new_tokens`` are (least, most); the same ``seed`` asks the same. ``shared_tokens`` at a prompt's beginning are
    the same in all. ``per_second`` spreads the requests instead of asking as fast as answers come. ``requests`` ends each client
    after so many. At the block's end running requests are finished (``drain``) or hung up on.
    """

    def __init__(
        self,
        port: int,
        dialect: Dialect,
        *,
        concurrency: int = 1,
        prompt_tokens: tuple[int, int] = (20, 60),
        new_tokens: tuple[int, int] = (20, 60),
        shared_tokens: int = 0,
        seed: int = 1,
        requests: int | None = None,
        per_second: float | None = None,
        api_key: str = "",
        drain: bool = True,
    ) -> None:
        self.port, self.dialect = port, dialect
        self.prompt_tokens, self.new_tokens, self.shared_tokens = prompt_tokens, new_tokens, shared_tokens
        self.requests, self.drain, self.seed = requests, drain, seed
        self._every = concurrency / per_second if per_second else 0.0
        self._headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {api_key}"} if api_key else {})
        self.answers: list[Answer] = []
        self._stop = threading.Event()
        self._sockets: dict[int, socket.socket] = {}
        self._clients = [
            threading.Thread(target=self._run, args=(number, concurrency), daemon=True) for number in range(concurrency)
        ]

    def __enter__(self) -> Self:
        for client in self._clients:
            client.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """No request after this; returns when all clients have ended."""
        self._stop.set()
        if not self.drain:
            for open_one in list(self._sockets.values()):
                with suppress(OSError):
                    open_one.shutdown(socket.SHUT_RDWR)
        self.join()

    def join(self) -> None:
        """Wait for all clients to end by themselves (with ``requests``)."""
        for client in self._clients:
            client.join(TIMEOUT_SECONDS)

    def _run(self, number: int, concurrency: int) -> None:
        chance = random.Random(f"{self.seed}/{number}")
        due = now() + self._every * number / concurrency
        done = 0
        while not self._stop.is_set() and (self.requests is None or done < self.requests):
            if self._every and self._stop.wait(max(0.0, due - now())):
                return
            due += self._every
            shared = random.Random(self.seed).choices(range(FIRST_TOKEN, FIRST_TOKEN + TOKENS), k=self.shared_tokens)
            own = chance.choices(range(FIRST_TOKEN, FIRST_TOKEN + TOKENS), k=chance.randint(*self.prompt_tokens))
            self._ask(number, shared + own, chance.randint(*self.new_tokens))
            done += 1

    def _ask(self, number: int, prompt: list[int], tokens: int) -> None:
        body = json.dumps(self.dialect.body(prompt, tokens))
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=TIMEOUT_SECONDS)
        answer = Answer(now(), len(prompt), tokens)
        self.answers.append(answer)
        try:
            connection.connect()
            assert connection.sock is not None
            self._sockets[number] = connection.sock
            connection.request("POST", self.dialect.path, body, self._headers)
            response = connection.getresponse()
            if response.status != 200:
                raise OSError(f"{response.status} {response.read(200)!r}")
            self._read(response, answer)
        except (OSError, http.client.HTTPException) as error:
            if not (self._stop.is_set() and not self.drain):
                answer.error = repr(error)
                self._stop.wait(0.2)  # a server that restarts is not besieged
        finally:
            self._sockets.pop(number, None)
            connection.close()

    def _read(self, response: http.client.HTTPResponse, answer: Answer) -> None:
        had = 0
        for line in response:
            if not line.startswith(b"data: {"):
                continue
            have = self.dialect.received(json.loads(line[6:]))
            if have is not None and have > had:
                answer.arrivals.append((now(), have - had))
                had = have
        if had == answer.asked:
            answer.ended = answer.arrivals[-1][0]
        elif not self._stop.is_set():
            raise OSError(f"{had} of {answer.asked} tokens came")

    def counts(self, since: float, until: float) -> Counts:
        """Its own count of what happened in [since, until)."""
        answers = list(self.answers)
        arrived = [(when, n) for answer in answers for when, n in list(answer.arrivals) if since <= when < until]
        sent = [answer for answer in answers if since <= answer.sent < until]
        ended = [answer for answer in answers if answer.ended is not None and since <= answer.ended < until]
        first, gaps = [], []
        for answer in answers:
            times = [when for when, _ in list(answer.arrivals)]
            if times and since <= times[0] < until:
                first.append(times[0] - answer.sent)
            gaps += [after - before for before, after in itertools.pairwise(times) if since <= after < until]
        return Counts(
            seconds=until - since,
            sent=len(sent),
            finished=len(ended),
            prompt_tokens=sum(answer.prompt_tokens for answer in sent),
            tokens=sum(n for _, n in arrived),
            first=sorted(first),
            gaps=sorted(gaps),
            whole=sorted(answer.ended - answer.sent for answer in ended if answer.ended is not None),
            errors=[answer.error for answer in answers if answer.error],
        )
