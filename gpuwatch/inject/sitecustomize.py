"""Runs first in every Python below ``gpuwatch run``, which puts this folder on PYTHONPATH: waits for torch, costs about a millisecond.

It sets up one finder and then does what a ``sitecustomize`` that it shadows would have done. The finder hands each module's real spec
on; of the few modules in ``WATCHED`` it learns when they have been executed, and with torch's optimizers it loads the agent beside
this file. Whatever goes wrong in here, the program runs on without the agent. Any Python 3 may come here: nothing newer is used.
"""

import os
import sys

WATCHED = (
    "torch.optim.optimizer",
    "torch.compiler",
    "torch.utils.data.dataloader",
    "torch.autograd",
    "torch.serialization",
    "torch._dynamo.callback",
    "torch._dynamo.decorators",
    "safetensors.torch",
    "torch.distributed.checkpoint",
)
_HERE = os.path.dirname(os.path.abspath(__file__))


class _Finder:
    """First on ``sys.meta_path``: asks the others for the spec and has its loader tell when the module has been executed."""

    def __init__(self) -> None:
        self.executed = {}  # type: dict[str, object]
        self.agent = None  # type: object

    def find_spec(self, name: str, path: object = None, target: object = None) -> object:
        """The spec that the other finders have for a watched module; None for all others, which then look themselves."""
        if name not in WATCHED:
            return None
        for finder in list(sys.meta_path):
            find = getattr(finder, "find_spec", None)
            spec = find(name, path, target) if find is not None and find != self.find_spec else None
            if spec is not None:
                try:
                    self._listen(name, spec.loader)
                except Exception:  # noqa: BLE001, S110 - a loader that cannot be listened to stays as it is
                    pass
                return spec
        return None

    def _listen(self, name: str, loader: object) -> None:
        execute = loader.exec_module  # type: ignore[attr-defined]

        def exec_module(module: object) -> None:
            del loader.exec_module  # type: ignore[attr-defined]  # from here on the loader is as it was made
            execute(module)
            try:
                self._tell(name, module)
            except Exception:  # noqa: BLE001, S110 - a training without the agent is better than none
                pass

        loader.exec_module = exec_module  # type: ignore[attr-defined]

    def _tell(self, name: str, module: object) -> None:
        self.executed[name] = module
        if name == "torch.optim.optimizer":
            self.agent = sys.modules.get("gpuwatch_agent") or _load("gpuwatch_agent", [_HERE])  # gpuwatch_track may have
            for each in self.executed.items():
                self.agent.patch(*each)  # type: ignore[attr-defined]
        elif self.agent is not None:
            self.agent.patch(name, module)  # type: ignore[attr-defined]


def _load(name: str, folders: "list[str]") -> object:
    """Execute the module of this name in the first of ``folders`` that has one; None if none has."""
    from _frozen_importlib import module_from_spec
    from _frozen_importlib_external import PathFinder

    spec = PathFinder.find_spec(name, folders)
    if spec is None or spec.loader is None:
        return None
    module = sys.modules[name] = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


if os.environ.get("GPUWATCH_ATTACH") == "1" and os.environ.get("GPUWATCH_DISABLE") != "1":
    sys.meta_path.insert(0, _Finder())  # type: ignore[arg-type]

# The one that this one shadows. What it raises, ``site`` reports as it would have: nothing is caught here.
_load("sitecustomize", [folder for folder in sys.path if os.path.abspath(folder) != _HERE])
