"""The yardstick itself: what the load generator counts is what a real server did."""

from __future__ import annotations

import urllib.request
from pathlib import Path

from support.llama_server import LlamaServer, Serve
from support.load import LLAMA, Load, now


def page(server: LlamaServer) -> dict[str, float]:
    with urllib.request.urlopen(f"{server.url}/metrics", timeout=10) as answer:
        lines = answer.read().decode().splitlines()
    return {name.removeprefix("llamacpp:"): float(value) for name, value in (line.split() for line in lines if line[0] != "#")}


def test_the_generator_counts_every_token_that_the_server_processed(serve: Serve) -> None:
    server = serve(parallel=2)
    began = now()
    with Load(server.port, LLAMA, concurrency=3, requests=5, shared_tokens=30) as load:
        load.join()
    ended = now()
    own, told = load.counts(began, ended), page(server)
    assert own.errors == []
    assert (own.sent, own.finished, len(own.first)) == (15, 15, 15)
    assert own.tokens == told["tokens_predicted_total"] == sum(answer.asked for answer in load.answers)
    assert own.prompt_tokens == told["prompt_tokens_total"] + told["prompt_tokens_cached_total"]
    halves = [load.counts(began, began + (ended - began) / 2), load.counts(began + (ended - began) / 2, ended)]
    assert own.tokens == halves[0].tokens + halves[1].tokens


def test_held_requests_wait_behind_the_one_slot_until_they_are_hung_up(serve: Serve) -> None:
    server = serve(parallel=1)
    endless = (10**6, 10**6)
    with Load(server.port, LLAMA, concurrency=3, new_tokens=endless, drain=False) as load:
        while not load.counts(0, now()).tokens or page(server)["requests_deferred"] < 2:
            pass
        assert page(server)["requests_processing"] == 1
    own = load.counts(0, now())
    assert (own.sent, own.finished, own.errors) == (3, 0, [])


def test_the_server_is_called_llama_server_and_stands_alone(serve: Serve) -> None:
    server = serve(metrics=False)
    argv = Path(f"/proc/{server.pid}/cmdline").read_bytes().decode().split("\0")
    assert argv[0].endswith("/llama-server") and "-m" in argv and "--metrics" not in argv
    assert argv[argv.index("--port") + 1] == str(server.port)
    parent = Path(f"/proc/{server.pid}/stat").read_text().rpartition(")")[2].split()[1]
    assert Path(f"/proc/{parent}/comm").read_text() == "bash\n"
