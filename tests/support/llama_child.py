"""The process that ``llama_server`` starts: the HTTP server of llama.cpp with the options that it reads, until its stdin ends."""

from __future__ import annotations

import argparse
import os
import sys


def main() -> None:
    """Serve. Options and variables are those of the real program."""
    parser = argparse.ArgumentParser()
    parser.add_argument("-m", "--model", required=True)
    parser.add_argument("--port", type=int, default=int(os.environ.get("LLAMA_ARG_PORT", "8080")))
    parser.add_argument("-np", "--parallel", type=int, default=1)
    parser.add_argument("-c", "--ctx-size", type=int, default=4096)
    parser.add_argument("--metrics", action="store_true", default=os.environ.get("LLAMA_ARG_ENDPOINT_METRICS") == "1")
    parser.add_argument("--no-slots", action="store_true")
    parser.add_argument("--api-key", default="")
    options = parser.parse_args()

    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = options.model
    params.port = options.port
    params.n_parallel = options.parallel
    params.n_ctx = options.ctx_size
    params.endpoint_metrics = options.metrics
    params.endpoint_slots = not options.no_slots
    params.api_keys = [options.api_key] if options.api_key else []
    params.cpuparams.n_threads = 1
    params.ctx_shift = True  # a held request may go on for as long as a test holds it
    server = xllamacpp.Server(params)
    print(server.listening_address, flush=True)
    sys.stdin.read()
    del server


if __name__ == "__main__":
    main()
