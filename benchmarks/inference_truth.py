"""What gpuwatch records of a real inference server, beside the count of the clients that load it.

``python benchmarks/inference_truth.py`` starts llama.cpp (of ``xllamacpp``, scripts/test --all) and, where ``GPUWATCH_TEST_VLLM``
names a Python that has it, vLLM on the CPU; each serves a tiny model of random weights to clients that keep their own count of
tokens and times, while ``gpuwatch record`` watches with no configuration. The table compares ``--seconds`` of it. Exits 1 when a
figure is further off than allowed, 2 when there is no server to measure.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

from support.live_recorder import LiveRecorder
from support.llama_server import installed, llama_server
from support.load import LLAMA, VLLM, Dialect, Load, now, quantile
from support.server_truth import bucket_of, decode_rate, recorded_bucket
from support.tiny_llama import make
from support.vllm_server import VARIABLE, binaries, bounds, vllm_server

from gpuwatch.dataclass import dataclass
from gpuwatch.names import ServerState

WARM_SECONDS, AFTER_SECONDS, UP_SECONDS = 8.0, 12.0, 60.0


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the table; ``met`` None: shown, not judged."""

    what: str
    recorded: str
    counted: str
    off: str
    allowed: str = ""
    met: bool | None = None


@dataclass(frozen=True, slots=True)
class Subject:
    """A server under load. ``ttft_bounds`` are those of its histogram of times to first token, if it has one."""

    name: str
    pid: int
    port: int
    dialect: Dialect
    clients: int
    per_second: float
    allowed: float
    ttft_bounds: tuple[float, ...] = ()


def measure(subject: Subject, folder: Path, seconds: float) -> Iterator[Line]:
    """Load it, watch it, compare."""
    with LiveRecorder(folder) as recorder:
        recorder.wait(
            f"{subject.name} is up", lambda: (recorder.server(subject.pid) or {}).get("state") == ServerState.UP, UP_SECONDS
        )
        with Load(subject.port, subject.dialect, concurrency=subject.clients, per_second=subject.per_second) as load:
            time.sleep(WARM_SECONDS)
            began = now()
            time.sleep(seconds)
            ended = now()
            told = (recorder.workload(subject.pid) or {})["inference"]
        time.sleep(AFTER_SECONDS)
        if errors := load.counts(0, now()).errors:
            raise RuntimeError(f"the load failed: {errors[0]}")
        compared = decode_rate(recorder, subject.pid, load, began, ended)
        yield Line(
            f"{subject.name}: decode tokens/s over {compared.seconds:.0f} s",
            f"{compared.recorded_tokens_per_second:.1f}",
            f"{compared.load.tokens_per_second:.1f}",
            f"{100 * compared.off:.2f} %",
            f"{100 * subject.allowed:.0f} %",
            compared.off <= subject.allowed,
        )
        yield as_told(subject, load, told, ended)
        rows, total = recorder.samples(subject.pid), load.counts(0, now())
        made = sum(row["output_tokens"] or 0 for row in rows)
        yield Line(f"{subject.name}: tokens, from start to end", str(made), str(total.tokens), str(made - total.tokens))
        if subject.ttft_bounds:
            yield from first_tokens(subject, recorder, seconds)


def first_tokens(subject: Subject, recorder: LiveRecorder, seconds: float) -> Iterator[Line]:
    """Times to first token of long prompts: tenths of a second, beside which what a busy machine adds on the clients' side is small."""
    with Load(subject.port, subject.dialect, concurrency=subject.clients, prompt_tokens=(600, 1400)) as load:
        time.sleep(WARM_SECONDS)
        began = now()
        time.sleep(seconds)
        ended = now()
    time.sleep(AFTER_SECONDS)
    own = load.counts(began, ended).first
    for share in (0.5, 0.95):
        lower, upper = recorded_bucket(recorder, subject.pid, began, ended, share)
        value = quantile(own, share)
        apart = abs(bucket_of(subject.ttft_bounds, upper) - bucket_of(subject.ttft_bounds, value))
        yield Line(
            f"{subject.name}: time to first token of {len(own)} long prompts, p{100 * share:.0f}, ms",
            f"{1000 * lower:.0f} to {1000 * upper:.0f}",
            f"{1000 * value:.0f}",
            f"{apart} bucket{'s' * (apart != 1)}",
            "1 bucket",
            apart <= 1,
        )


def as_told(subject: Subject, load: Load, told: dict[str, Any], at: float) -> Line:
    """What ``status`` shows at the end: a mean over its own, shorter time up to the newest reading."""
    until = at - told["age_seconds"]
    own = load.counts(until - told["rate_seconds"], until).tokens_per_second
    shown = told["output_tokens_per_second"]
    what = f"{subject.name}: the same in `status`, over its {told['rate_seconds']:.0f} s"
    return Line(what, f"{shown:.1f}", f"{own:.1f}", f"{100 * abs(shown / own - 1):.2f} %")


def subjects(folder: Path) -> Iterator[Subject]:
    """The servers that can be had here, started one after the other."""
    if installed():
        with llama_server(make(folder / "tiny.gguf"), folder, parallel=2) as server:
            yield Subject("llama.cpp", server.pid, server.port, LLAMA, 2, 12.0, 0.03)
    if programs := binaries():
        with vllm_server(folder, programs) as running:
            edges = tuple(bounds(running.page(), "vllm:time_to_first_token_seconds"))
            yield Subject("vLLM", running.pid, running.port, VLLM, 4, 8.0, 0.01, edges)


def main() -> int:
    """Measure what there is."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60.0, help="length of the span that is compared (default 60)")
    args = parser.parse_args()
    lines: list[Line] = []
    print(
        f"load average {os.getloadavg()[0]:.1f}\n\n| what | gpuwatch | counted by the clients | off | allowed | met |\n|---|---|---|---|---|---|"
    )
    with tempfile.TemporaryDirectory(prefix="gpuwatch-truth-") as name:
        for number, subject in enumerate(subjects(Path(name))):
            folder = Path(name) / str(number)
            folder.mkdir()
            for line in measure(subject, folder, args.seconds):
                verdict = {True: "yes", False: "**no**", None: ""}[line.met]
                print(f"| {line.what} | {line.recorded} | {line.counted} | {line.off} | {line.allowed} | {verdict} |", flush=True)
                lines.append(line)
    if binaries() is None:
        print(f"vLLM was not measured: {VARIABLE} is not set", file=sys.stderr)
    if not lines:
        return 2
    return int(any(line.met is False for line in lines))


if __name__ == "__main__":
    sys.exit(main())
