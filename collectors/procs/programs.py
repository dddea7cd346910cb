"""What a command line says about its process: interpreter, launcher, shell, server engine, notebook kernel, training script.

Matched on whole tokens (the program, ``-m MODULE``, the subcommand), never on substrings of the line: ``grep vllm`` is no server.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from gpuwatch.collectors.procs.engines import Engine, Serves, find_engine
from gpuwatch.dataclass import dataclass
from gpuwatch.text import lazy


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


SHELLS = _words("bash sh zsh dash ash fish ksh tcsh csh busybox")
WRAPPERS = _words(
    "sudo su doas timeout nice ionice chrt nohup time env setsid stdbuf numactl taskset strace nsys ncu gdb uv uvx conda mamba micromamba "
    "poetry pipenv pixi hatch pdm rye py-spy script unbuffer xvfb-run catchsegv"
)
TORCH_LAUNCHERS = _words("torchrun accelerate deepspeed")
PYTHON_LAUNCHERS = TORCH_LAUNCHERS | _words(
    "torch.distributed.run torch.distributed.launch accelerate.commands.launch accelerate.commands.accelerate_cli "
    "deepspeed.launcher.runner deepspeed.launcher.launch horovodrun composer colossalai torch_xla.distributed.xla_dist "
    "tune axolotl axolotl.cli.train llamafactory-cli swift fabric lightning nemo"
)
"""Launchers of deep learning. The short names mean something else when they are not python programs."""
PLAIN_LAUNCHERS = _words("mpirun mpiexec mpiexec.hydra hydra_pmi_proxy orterun orted prterun prted srun")
SUPERVISORS = _words(
    "jupyter jupyter-lab jupyter-labhub jupyter-notebook jupyter-server jupyterhub jupyterhub-singleuser jupyter_server notebook "
    "supervisord raylet ray wandb celery airflow dagster prefect gpuwatch code-server"
)
KERNELS = _words("ipykernel_launcher ipykernel colab_kernel_launcher")
_PYTHON = lazy(r"(?:python|pypy)[\d.]*[a-z]?|pt_main_thread")
_TRAINS = lazy(
    r"(?i)(?:^|[^a-z])(?:pre-?)?(?:train|training|trainer|fine[-_]?tune|finetuning|sft|dpo|grpo|ppo|rlhf|lora|fit)(?:[^a-z]|$)"
)
_SERVES = lazy(r"(?i)(?:^|[^a-z])(?:infer|inference|generate|serve|server|eval|evaluate|bench|benchmark|test)(?:[^a-z]|$)")
_KERNEL_ID = lazy(r"kernel-(?:v\d)?([0-9a-f]{8})")
_RANK_OPTIONS = _words("--rank --local_rank --local-rank --node_rank --node-rank --world_size --world-size")
_MODEL_OPTIONS = (
    "--model_name_or_path",
    "--model-name-or-path",
    "--pretrained_model_name_or_path",
    "--model_name",
    "--model",
    "--base_model",
)


_SERVES_NOTHING = Serves()


@dataclass(frozen=True, slots=True)
class Program:
    """One process' part in a tree. ``script`` is the name of what runs: a script, a module or the program itself."""

    script: str = ""
    kind: Literal["training", "inference", "other"] = "other"
    python: bool = False
    launcher: bool = False
    wrapper: bool = False
    shell: bool = False
    supervisor: bool = False
    kernel: str = ""
    """First eight digits of a notebook kernel's id, ``notebook`` when it has none, empty for other processes."""
    engine: str = ""
    worker: bool = False
    """Of an inference server: it works for it and never answers HTTP."""
    apart: bool = False
    """A worker that is no descendant of its server."""
    ranked: bool = False
    """A training whose command line says that it is one of several processes that train together."""
    model: str = ""
    port: int = 0
    serves: Serves = _SERVES_NOTHING

    @property
    def server(self) -> bool:
        """Whether it is an inference server that answers HTTP."""
        return bool(self.engine) and not self.worker

    @property
    def joins(self) -> bool:
        """Whether a job goes on above this process: its children are parts of what it does."""
        return not self.supervisor and (self.python or self.launcher or self.wrapper or bool(self.engine))

    @property
    def starts_only(self) -> bool:
        """Whether it is a Python program that may start trainings and is none, nor a launcher of the ranks of one."""
        return self.python and self.kind == "other" and not (self.launcher or self.wrapper)

    @property
    def ml(self) -> bool:
        """Whether the command line alone tells an ML process."""
        return bool(self.engine) or (self.launcher and self.kind == "training")


def classify(argv: Sequence[str], comm: str) -> Program:
    """The part that a process plays, from its arguments (raw, never kept) and its name."""
    if len(argv) == 1 and " " in argv[0]:
        argv = argv[0].split()  # a title set by the program itself
    if not argv or not argv[0]:
        return Program(script=comm, shell=comm in SHELLS)
    base = argv[0].rpartition("/")[2].lstrip("-")
    python = _PYTHON.fullmatch(base) is not None
    target, rest = _python_target(argv) if python else (base, argv[1:])
    top = target if target.endswith(".py") else target.split(".")[0]
    if base == "tmux" or comm.startswith("tmux") or base in SHELLS:
        return Program(script=base, shell=base in SHELLS)
    if target in KERNELS or top in KERNELS:
        found = next((m[1] for arg in rest if (m := _KERNEL_ID.search(arg))), "notebook")
        return Program(script="notebook", python=True, kernel=found)
    if target in SUPERVISORS or top in SUPERVISORS:
        return Program(script=target, python=python, supervisor=True)
    if engine := find_engine(target, rest, argv[0]):
        return _server(engine, target, rest, python)
    deep = target in (PYTHON_LAUNCHERS if python else TORCH_LAUNCHERS)
    if deep or target in PLAIN_LAUNCHERS:
        script = _launched(rest) or target
        trains = _TRAINS.search(script) is not None or (deep and not _SERVES.search(script))
        return Program(script, "training" if trains else "other", python, launcher=True, model=_option(rest, _MODEL_OPTIONS))
    trains = python and _TRAINS.search(target) is not None
    model = _option(rest, _MODEL_OPTIONS) if python else ""
    ranked = trains and any(arg.partition("=")[0] in _RANK_OPTIONS for arg in rest)
    return Program(target, "training" if trains else "other", python, wrapper=target in WRAPPERS, ranked=ranked, model=model)


def _server(engine: Engine, target: str, rest: Sequence[str], python: bool) -> Program:
    model, port, serves = engine.read(rest)
    return Program(
        model.rstrip("/").rpartition("/")[2] or target,
        "inference",
        python,
        engine=engine.name,
        worker=engine.worker or "--headless" in serves.flags,
        apart=engine.apart,
        model=model,
        port=port,
        serves=serves,
    )


def _python_target(argv: Sequence[str]) -> tuple[str, Sequence[str]]:
    """Script or module that an interpreter runs, and what follows it."""
    index = 1
    while index < len(argv):
        arg = argv[index]
        if arg == "-m" and index + 1 < len(argv):
            return argv[index + 1], argv[index + 2 :]
        if arg.startswith("-m") and len(arg) > 2:
            return arg[2:], argv[index + 1 :]
        if arg == "-c" or arg.startswith("-c"):
            return "python -c", ()
        if arg in ("-W", "-X", "--check-hash-based-pycs"):
            index += 1
        elif not arg.startswith("-"):
            return arg.rpartition("/")[2], argv[index + 1 :]
        index += 1
    return "python", ()


def _launched(rest: Sequence[str]) -> str:
    """The script or module behind a launcher's own options, whose arity is not known: the first that looks like one."""
    for index, arg in enumerate(rest):
        if arg.endswith((".py", ".sh")):
            return arg.rpartition("/")[2]
        if arg in ("-m", "--module") and index + 1 < len(rest):
            return rest[index + 1] if rest[index + 1] not in PYTHON_LAUNCHERS else _launched(rest[index + 2 :])
    return ""


def _option(rest: Sequence[str], names: Sequence[str]) -> str:
    for index, arg in enumerate(rest):
        name, equals, value = arg.partition("=")
        if name in names:
            following = rest[index + 1] if index + 1 < len(rest) else ""
            return value if equals else "" if following.startswith("-") else following
    return ""
