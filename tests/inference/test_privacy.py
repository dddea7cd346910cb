"""What the user wants kept of command lines holds for what a server's page says of its model too."""

from __future__ import annotations

import pytest
from support.inference_bench import Bench, hang_up, vllm
from support.replay_server import page, replay


@pytest.mark.parametrize(("wanted", "model"), [("redacted", "m"), ("name", ""), ("none", "")])
def test_the_name_of_the_model_is_kept_only_where_command_lines_are(wanted: str, model: str) -> None:
    bench = Bench(command_lines=wanted)
    try:
        with replay() as server:
            server.put("/metrics", page(vllm(100)))
            bench.watch(bench.process(server))
            (told,) = bench.tick().servers
    finally:
        hang_up()
    assert told.served_model == model
    assert told.engine == "vllm"
