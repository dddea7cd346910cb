"""A real llama.cpp server, watched with no configuration by a real recorder, beside the count of those who ask it.

How far a rate may be off: llama.cpp adds the tokens of an answer to its counter when the answer ends. So at each end of a span at
most the tokens of the answers under way are in the wrong span: 2 x CLIENTS x LONGEST = 192 of the 18 s x 400 = 7200 between the rows
of a span of SPAN_SECONDS (while answers are short there is one each 6 s), which is 2.7 % if everything goes wrong at once.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.live_recorder import LiveRecorder, Row
from support.llama_server import LlamaServer, Serve
from support.load import LLAMA, Load, now
from support.server_truth import decode_rate

from gpuwatch.names import ServerState

pytestmark = pytest.mark.slow
TOLERANCE = 0.03
CLIENTS, SHORTEST, LONGEST, PER_SECOND = 2, 24, 48, 11.0
WARM_SECONDS, SPAN_SECONDS = 7.0, 24.5
ENDLESS = (10**6, 10**6)
SETTLED_SECONDS = 12.0
"""After this a server's last tokens are in a row, however seldom its page is read."""


@pytest.fixture(scope="module")
def recorder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveRecorder]:
    """One recorder for all tests: each finds its own server by its pid."""
    with LiveRecorder(tmp_path_factory.mktemp("live")) as running:
        yield running


def in_state(recorder: LiveRecorder, server: LlamaServer, state: ServerState) -> Row:
    """What the recorder knows of a server once it is in ``state``."""

    def found() -> Row | None:
        known = recorder.server(server.pid)
        return known if known and known["state"] == state else None

    row: Row = recorder.wait(f"llama-server {server.pid} is {state.name}", found)
    return row


def load_on(server: LlamaServer, seed: int = 1) -> Load:
    return Load(
        server.port, LLAMA, concurrency=CLIENTS, new_tokens=(SHORTEST, LONGEST), per_second=PER_SECOND, seed=seed, shared_tokens=20
    )


def made(rows: list[Row], name: str = "output_tokens") -> int:
    """What all rows count together."""
    return sum(row[name] or 0 for row in rows)


def test_it_is_found_and_each_of_two_replicas_has_its_own_tokens(recorder: LiveRecorder, serve: Serve) -> None:
    busy, idle = serve(parallel=CLIENTS), serve(parallel=CLIENTS)
    for server in (busy, idle):
        known = in_state(recorder, server, ServerState.UP)
        started = int(Path(f"/proc/{server.pid}/stat").read_text().rpartition(")")[2].split()[19])
        booted = next(int(line.split()[1]) for line in Path("/proc/stat").read_text().splitlines() if line.startswith("btime"))
        assert abs(known["root_start_ms"] - (booted * 1000 + started * 10)) < 2000
        assert (known["kind"], known["engine"], known["name"]) == ("inference", "llama.cpp", "tiny.gguf")
        assert (known["port"], known["url"]) == (server.port, server.url)
    began = now()
    with load_on(busy) as load:
        time.sleep(WARM_SECONDS)
        warm = now()
        time.sleep(SPAN_SECONDS)
        ended = now()
    assert load.counts(began, now()).errors == []
    compared = decode_rate(recorder, busy.pid, load, warm, ended)
    assert compared.off < TOLERANCE, compared
    total = load.counts(began, now())
    recorder.wait("the last tokens", lambda: made(recorder.samples(busy.pid)) >= total.tokens, SETTLED_SECONDS)
    rows = recorder.samples(busy.pid)
    assert made(rows) == total.tokens
    assert made(rows, "prefill_tokens") + made(rows, "cached_tokens") == total.prompt_tokens
    assert made(rows, "cached_tokens") > 0
    assert made(recorder.samples(idle.pid)) == 0
    told = recorder.workload(busy.pid)
    assert told is not None and told["root_pid"] == busy.pid


def test_one_slot_and_three_held_requests_are_one_running_and_two_waiting(recorder: LiveRecorder, serve: Serve) -> None:
    server = serve(parallel=1)
    in_state(recorder, server, ServerState.UP)

    def queue() -> tuple[int, int] | None:
        rows = recorder.samples(server.pid)
        return (rows[-1]["running_milli"], rows[-1]["waiting_milli"]) if rows else None

    recorder.wait("an empty queue", lambda: queue() == (0, 0))
    with Load(server.port, LLAMA, concurrency=3, new_tokens=ENDLESS, drain=False):
        recorder.wait("1 running, 2 waiting", lambda: queue() == (1000, 2000))
    recorder.wait("an empty queue again", lambda: queue() == (0, 0))
    seen = {(row["running_milli"], row["waiting_milli"]) for row in recorder.samples(server.pid)}
    no_answer, not_looked_again = (None, None), (1000, None)
    assert seen <= {(0, 0), (1000, 0), (1000, 1000), (1000, 2000), not_looked_again, no_answer}


def test_a_restart_under_load_gives_no_negative_and_no_absurd_rate(recorder: LiveRecorder, serve: Serve) -> None:
    first = serve(parallel=CLIENTS)
    in_state(recorder, first, ServerState.UP)
    with load_on(first, seed=2) as load:
        recorder.wait("its first tokens", lambda: made(recorder.samples(first.pid)))
        first.kill()
        second = serve(parallel=CLIENTS, port=first.port)
        in_state(recorder, second, ServerState.UP)
        recorder.wait("its first tokens", lambda: made(recorder.samples(second.pid)))
    total = load.counts(0, now())
    assert total.errors, "the restart disturbed nobody"
    time.sleep(2)
    under_way = CLIENTS * LONGEST
    rows = sorted([*recorder.samples(first.pid), *recorder.samples(second.pid)], key=lambda row: row["ts_ms"])
    for number, row in enumerate(rows, 1):
        assert row["output_tokens"] is None or row["output_tokens"] >= 0
        # A row's second may lie before its reading by the time of a tick.
        came = load.counts(0, row["ts_ms"] / 1000 + 2).tokens
        assert made(rows[:number]) <= came + under_way, row
    assert recorder.server(first.pid) != recorder.server(second.pid)


def test_without_metrics_it_says_which_flag_to_add(recorder: LiveRecorder, serve: Serve) -> None:
    server, bare = serve(metrics=False), serve(metrics=False, slots=False)
    known = in_state(recorder, server, ServerState.UP)  # the slots tell some of it
    recorder.wait("the flag is named", lambda: "--metrics" in (recorder.server(server.pid) or known)["hint"])
    assert "--metrics" in in_state(recorder, bare, ServerState.METRICS_OFF)["hint"]
    assert recorder.says("status").count("--metrics") >= 2


def test_with_a_key_it_asks_for_one_and_guesses_none(recorder: LiveRecorder, serve: Serve) -> None:
    server = serve(api_key="a-secret-that-nobody-gave-to-gpuwatch")
    known = in_state(recorder, server, ServerState.AUTH_NEEDED)
    assert made(recorder.samples(server.pid)) == 0
    assert "a-secret" not in str(known) + recorder.says("status", "--json")
