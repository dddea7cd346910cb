"""Inference servers by their command lines: which engine, which model, which port when it is given.

The tokens and options are those of each server's own documentation; a port that is not on the line stays 0 (unknown), since
variables and config files may set it.
"""

from __future__ import annotations

from collections.abc import Sequence

from gpuwatch.dataclass import dataclass


@dataclass(frozen=True, slots=True)
class Engine:
    """How one server is started. ``subcommands`` empty: the program alone tells; ``positional``: the model follows them."""

    name: str
    programs: tuple[str, ...]
    subcommands: tuple[str, ...] = ()
    model_options: tuple[str, ...] = ()
    positional: bool = False
    titles: tuple[str, ...] = ()
    port_options: tuple[str, ...] = ("--port",)

    def read(self, rest: Sequence[str]) -> tuple[str, int]:
        """(model or "", port or 0) from the arguments after the program."""
        model, port = "", 0
        for index, arg in enumerate(rest):
            name, equals, value = arg.partition("=")
            value = value if equals else rest[index + 1] if index + 1 < len(rest) else ""
            if not model and name in self.model_options:
                model = value
            elif not port and name in self.port_options and value.isascii() and value.isdigit() and int(value) < 65536:
                port = int(value)
        if not model and self.positional:
            after = [arg for arg in rest if arg not in self.subcommands]
            model = after[0] if after and not after[0].startswith("-") else ""
        return model, port


ENGINES = (
    Engine("vllm", ("vllm",), ("serve",), ("--model", "--served-model-name"), positional=True, titles=("VLLM::",)),
    Engine("vllm", ("vllm.entrypoints.openai.api_server", "vllm.entrypoints.api_server"), (), ("--model",)),
    Engine("sglang", ("sglang",), ("serve",), ("--model-path", "--model"), titles=("sglang::",)),
    Engine("sglang", ("sglang.launch_server", "sglang_router.launch_server"), (), ("--model-path", "--model")),
    Engine("llama.cpp", ("llama-server",), (), ("-m", "--model", "-hf", "-hfr", "--hf-repo", "-mu", "--model-url")),
    Engine("llama.cpp", ("llama",), ("serve",), ("-m", "--model", "-hf", "-hfr", "--hf-repo")),
    Engine("llama.cpp", ("llama_cpp.server",), (), ("--model",)),
    Engine("ollama", ("ollama",), ("serve", "runner"), ("--model",)),
    Engine("tgi", ("text-generation-launcher", "text-generation-router"), (), ("--model-id",), port_options=("--port", "-p")),
    Engine("tgi", ("text-generation-server",), ("serve",), positional=True),
    Engine("tei", ("text-embeddings-router",), (), ("--model-id",), port_options=("--port", "-p")),
    Engine("triton", ("tritonserver",), (), ("--model-repository", "--model-store"), port_options=("--http-port",)),
    Engine("triton", ("triton_python_backend_stub",)),
    Engine("trt-llm", ("trtllm-serve",), (), ("--model",), positional=True),
    Engine("lmdeploy", ("lmdeploy",), ("serve", "api_server"), (), positional=True, port_options=("--server-port",)),
    Engine("dynamo", ("dynamo.vllm", "dynamo.sglang", "dynamo.trtllm"), (), ("--model", "--model-path")),
    Engine("dynamo", ("dynamo.frontend",), port_options=("--http-port",)),
    Engine("kserve", ("huggingfaceserver",), (), ("--model_id", "--model_dir", "--model_name")),
    Engine("transformers", ("transformers",), ("serve",), ("--model",)),
    Engine("infinity", ("infinity_emb",), ("v2",), ("--model-id",)),
    Engine("aphrodite", ("aphrodite",), ("run", "serve"), ("--model",), positional=True),
    Engine("mlc", ("mlc_llm", "mlc_llm.serve"), ("serve",), ("--model",), positional=True),
    Engine("ray-serve", (), titles=("ray::ServeReplica",)),
)
_BY_PROGRAM: dict[str, list[Engine]] = {}
for _engine in ENGINES:
    for _program in _engine.programs:
        _BY_PROGRAM.setdefault(_program, []).append(_engine)


def find_engine(target: str, rest: Sequence[str], title: str) -> Engine | None:
    """The server that ``target`` (program, script or module) with the arguments ``rest`` is, or whose worker titles itself so."""
    for engine in _BY_PROGRAM.get(target, ()):
        if not engine.subcommands or (rest and rest[0] in engine.subcommands):
            return engine
    if "::" in title:
        for engine in ENGINES:
            if any(word in title for word in engine.titles):
                return engine
    return None
