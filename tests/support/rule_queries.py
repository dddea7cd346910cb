"""The queries that findings carry, taken out of the sources of the rules and made for a GPU and a job that nobody has.

What stands behind ``sql=`` in a rule is evaluated with stand-ins for the names it uses; a name that is not known here is an error.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import pkgutil
from collections.abc import Iterator
from types import ModuleType, SimpleNamespace
from typing import Any

from gpuwatch import rules
from gpuwatch.model import Gpu
from gpuwatch.rules.catalogue import GROUPS
from gpuwatch.rules.looks import GpuFacts, JobFacts
from gpuwatch.rules.scene import GpuSubject, JobSubject

_GPU = GpuSubject(GpuFacts(1, Gpu("GPU-0", 0, "H100")))
_JOB = JobSubject(JobFacts(1, "training", root_pid=4711, root_start_ms=1, port=8000), gpus=(_GPU,))
_KNOWN: dict[str, Any] = {
    "gpu": _GPU,
    "g": _GPU.gpu,
    "gpus": [_GPU],
    "mine": [_GPU],
    "job": _JOB,
    "grown": SimpleNamespace(gpu=_GPU),
    "steps": SimpleNamespace(seconds=600.0),
    **dict.fromkeys(("seconds", "quiet", "since"), 600.0),
    "latency": SimpleNamespace(label="ttft"),
}


def modules() -> Iterator[ModuleType]:
    """All modules of the groups of rules."""
    for group in GROUPS:
        for found in pkgutil.iter_modules(group.__path__):
            yield importlib.import_module(f"{group.__name__}.{found.name}")


def queries() -> list[tuple[str, str]]:
    """(module, query) of every ``sql=`` in the rules."""
    out = []
    for module in modules():
        for node in ast.walk(ast.parse(inspect.getsource(module))):
            for keyword in node.keywords if isinstance(node, ast.Call) else ():
                if keyword.arg == "sql" and not isinstance(keyword.value, ast.Name):
                    code = compile(ast.Expression(keyword.value), module.__name__, "eval")
                    out.append((module.__name__.removeprefix(rules.__name__ + "."), str(eval(code, {**vars(module), **_KNOWN}))))
    return out
