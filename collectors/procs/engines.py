"""Inference servers by their command lines: which engine, which model, and what the line says of where it listens.

The tokens and options are those of each server's own documentation; a port that is not on the line stays 0 (unknown), since
variables and config files may set it. Of options that only matter by being there (``--api-key``) the name is kept, never the value.
"""

from __future__ import annotations

from collections.abc import Sequence

from gpuwatch.dataclass import NamedTuple, dataclass


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


FLAGS = _words("--uds --headless --config")
"""Options whose presence says where a server listens, or that it does not."""
TLS = _words("--ssl-keyfile --ssl-certfile --ssl-key-file --ssl-cert-file --ssl")


class Serves(NamedTuple):
    """What a command line says of how its server listens. ``tls``: it speaks https. ``flags``: see :data:`FLAGS`."""

    metrics_port: int = 0
    tls: bool = False
    flags: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Engine:
    """How one server is started.

    ``subcommands`` are the words that must follow the program; empty: the program alone tells, unless one of ``not_followed_by``
    comes next. ``positional``: the model follows them. ``titles`` are beginnings of what such a process calls itself, or parts of it where they begin with ``::``. ``worker``: it
    works for the server and never answers HTTP; ``apart``: and it is no descendant of the server, somebody else starts both.
    ``starts`` are engines that it starts as parts of itself.
    """

    name: str
    programs: tuple[str, ...] = ()
    subcommands: tuple[str, ...] = ()
    model_options: tuple[str, ...] = ()
    positional: bool = False
    titles: tuple[str, ...] = ()
    port_options: tuple[str, ...] = ("--port",)
    metrics_options: tuple[str, ...] = ()
    worker: bool = False
    apart: bool = False
    starts: tuple[str, ...] = ()
    not_followed_by: tuple[str, ...] = ()

    def called(self, rest: Sequence[str]) -> int | None:
        """How many words the subcommand in ``rest`` has; ``None`` if it is none of this engine's."""
        for words in (subcommand.split() for subcommand in self.subcommands):
            if list(rest[: len(words)]) == words:
                return len(words)
        return None if self.subcommands or (rest and rest[0] in self.not_followed_by) else 0

    def read(self, rest: Sequence[str]) -> tuple[str, int, Serves]:
        """(model or "", port or 0, how it listens) from the arguments after the program."""
        words = rest[self.called(rest) or 0 :]
        model, port, metrics_port = "", 0, 0
        flags, tls = set[str](), False
        for index, arg in enumerate(words):
            if not arg.startswith("-"):
                continue
            name, equals, value = arg.partition("=")
            following = words[index + 1] if index + 1 < len(words) else ""
            value = value if equals else "" if following.startswith("-") else following
            plain = name.replace("_", "-")
            if name in self.model_options or plain in self.model_options:
                model = model or value
            elif plain in self.port_options:
                port = port or _port(value)
            elif plain in self.metrics_options:
                metrics_port = metrics_port or _port(value)
            elif plain in FLAGS:
                flags.add(plain)
            tls = tls or plain in TLS
        if not model and self.positional and words and not words[0].startswith("-"):
            model = words[0]
        return model, port, Serves(metrics_port, tls, frozenset(flags))


def _port(value: str) -> int:
    return int(value) if value.isascii() and value.isdigit() and len(value) < 6 and int(value) < 65536 else 0


_VLLM = ("--model", "--served-model-name")
_LLAMA = ("-m", "--model", "-hf", "-hfr", "--hf-repo", "-mu", "--model-url")
_SGLANG = ("--model-path", "--model")
_TRTLLM = ("trtllm-serve", "tensorrt_llm.commands.serve")
"""The model alone will do; ``disaggregated`` hands requests on to servers that are started by themselves."""
_RUST_PORT = ("--port", "-p")
"""The servers of Hugging Face in Rust. TEI's page may have a port of its own; TGI answers on the one that serves."""

ENGINES = (
    Engine("vllm", ("vllm", "vllm.entrypoints.cli.main"), ("serve",), _VLLM, positional=True),
    Engine("vllm", ("vllm.entrypoints.openai.api_server", "vllm.entrypoints.api_server"), (), _VLLM),
    Engine("vllm", ("vllm_nvext.entrypoints.openai.api_server", "nim_llm_sdk.entrypoints.openai.api_server"), (), _VLLM),
    Engine("vllm", titles=("VLLM::APIServer", "::APIServer_")),
    Engine("vllm", titles=("VLLM::", "::EngineCore", "::Worker_", "::DPCoordinator"), worker=True),
    Engine("vllm", titles=("ray::RayWorkerWrapper", "ray::RayWorkerProc", "ray::RayWorkerVllm"), worker=True, apart=True),
    Engine("sglang", ("sglang",), ("serve",), _SGLANG),
    Engine("sglang", ("sglang.launch_server", "sglang_router.launch_server"), (), _SGLANG),
    Engine("sglang", titles=("sglang::tokenizer_worker",)),
    Engine("sglang", titles=("sglang::",), worker=True),
    Engine("llama.cpp", ("llama-server", "com.docker.llama-server"), (), _LLAMA),
    Engine("llama.cpp", ("llama",), ("serve",), _LLAMA),
    Engine("llama.cpp", ("llama_cpp.server",), (), ("--model",)),
    Engine("ollama", ("ollama",), ("serve", "start"), starts=("llama.cpp",)),
    Engine("ollama", ("ollama",), ("runner",), ("--model",), worker=True),
    Engine(
        "tgi",
        ("text-generation-launcher", "text-generation-router"),
        (),
        ("--model-id",),
        port_options=_RUST_PORT,
    ),
    Engine("tgi", ("text-generation-server",), ("serve",), positional=True, worker=True),
    Engine(
        "tei",
        ("text-embeddings-router",),
        (),
        ("--model-id",),
        metrics_options=("--prometheus-port",),
        port_options=_RUST_PORT,
    ),
    Engine(
        "triton",
        ("tritonserver",),
        (),
        ("--model-repository", "--model-store"),
        port_options=("--http-port",),
        metrics_options=("--metrics-port",),
        starts=("vllm", "trt-llm"),
    ),
    Engine("triton", ("triton_python_backend_stub",), worker=True),
    Engine("trt-llm", _TRTLLM, ("serve", "mm_embedding_serve", "embeddings"), ("--model",), positional=True),
    Engine("trt-llm", _TRTLLM, ("disaggregated_mpi_worker",), worker=True),
    Engine("trt-llm", _TRTLLM, (), ("--model",), positional=True, not_followed_by=("disaggregated",)),
    Engine(
        "lmdeploy",
        ("lmdeploy",),
        ("serve api_server",),
        positional=True,
        port_options=("--server-port",),
    ),
    Engine(
        "dynamo",
        ("dynamo.frontend",),
        port_options=("--http-port",),
        starts=("vllm", "sglang", "trt-llm"),
    ),
    Engine("dynamo", ("dynamo.vllm", "dynamo.sglang", "dynamo.trtllm"), (), _SGLANG, worker=True, apart=True),
    Engine(
        "kserve",
        ("huggingfaceserver",),
        (),
        ("--model_id", "--model_dir", "--model_name"),
        port_options=("--http-port",),
        starts=("vllm",),
    ),
    Engine("transformers", ("transformers",), ("serve",), ("--model",)),
    Engine("infinity", ("infinity_emb",), ("v2",), ("--model-id",)),
    Engine("aphrodite", ("aphrodite",), ("run", "serve"), ("--model",), positional=True),
    Engine("mlc", ("mlc_llm", "mlc_llm.serve"), ("serve",), ("--model",), positional=True),
    Engine("ray-serve", titles=("ray::ServeReplica",), starts=("vllm",)),
)
_BY_PROGRAM: dict[str, list[Engine]] = {}
for _engine in ENGINES:
    for _program in _engine.programs:
        _BY_PROGRAM.setdefault(_program, []).append(_engine)
_STARTS = {(engine.name, started) for engine in ENGINES for started in (engine.name, *engine.starts)}


def find_engine(target: str, rest: Sequence[str], title: str) -> Engine | None:
    """The server that ``target`` (program, script or module) with the arguments ``rest`` is, or whose process titles itself so."""
    for engine in _BY_PROGRAM.get(target, ()):
        if engine.called(rest) is not None:
            return engine
    if "::" in title and "/" not in title:
        for engine in ENGINES:
            if any(title.startswith(word) or (word[0] == ":" and word in title) for word in engine.titles):
                return engine
    return None


def is_part(above: str, below: str) -> bool:
    """Whether a server of the engine ``below`` under one of the engine ``above`` is a part of it, and no server of its own."""
    return (above, below) in _STARTS
