"""How the whole suite runs on several cores: file by file, and what sees other processes of this host one after the other.

``scripts/test`` without a choice of tests starts one worker a core (pytest-xdist). The tests of a file stay together, in their
order, so that what a module's fixtures make is made once. Tests of the folders in ``HOST`` are kept together as well: they ask
the real /proc who serves and ask those servers, or are such servers and count who asks; in two workers they would meet.
"""

from __future__ import annotations

from typing import Any

import pytest

HOST = (
    "tests/acceptance/",
    "tests/agent/",  # trainings, which a recorder of another test would find
    "tests/cli/",
    "tests/inference_discovery/",
    "tests/inference_live/",
    "tests/migrations/test_newer_store.py",
    "tests/run/",  # a command is recorded where nobody records
    "tests/status/test_commands.py",
    "tests/track/",
    "tests/trainers/",
)


def order(config: pytest.Config, items: list[pytest.Item]) -> None:
    """What must run one after the other comes first: the other workers have the rest meanwhile."""
    if hasattr(config, "workerinput"):
        items.sort(key=lambda item: not item.nodeid.startswith(HOST))


def scheduler(config: pytest.Config, log: Any) -> Any:
    """Hands out whole files in the order of collection, and all files of ``HOST`` as if they were one."""
    from xdist.scheduler import LoadFileScheduling  # in the workers and without them nobody needs it

    class Files(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return "host" if nodeid.startswith(HOST) else str(super()._split_scope(nodeid))

    config.option.loadscopereorder = False
    return Files(config, log)
