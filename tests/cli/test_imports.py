"""What each command may load, proved in a fresh interpreter: the import rules of the house are about cost, and this is the bill."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

HEAVY = {"textual", "rich", "sqlalchemy", "alembic", "pydantic", "torch", "importlib.metadata", "psutil"}

SCRIPT = """
import sys
{before}
from gpuwatch.cli import main
sys.stdout = open('/dev/null', 'w')
try:
    main({arguments!r})
except SystemExit:
    pass
sys.__stdout__.write(' '.join(sorted(sys.modules)))
"""


NO_SERVERS = "import gpuwatch.logs\nfrom gpuwatch.plugin import ServerBoard\nServerBoard.publish = lambda self, servers: None\n"
NO_SERVERS += "from gpuwatch import hookdir\nhookdir.MEMORY = '/nonexistent'"
"""As on a host that serves nothing and trains nothing, whatever runs beside the tests; the log comes first, as in the program."""


def modules(*arguments: str, before: str = "") -> set[str]:
    code = SCRIPT.format(arguments=list(arguments), before=before)
    done = subprocess.run([sys.executable, "-S", "-c", f"import sys; sys.path[:0] = {sys.path!r}\n{code}"], capture_output=True, text=True, check=True, env=dict(os.environ), timeout=60)  # fmt: skip
    return set(done.stdout.split())


@pytest.mark.parametrize(
    "arguments",
    [
        ("--version",),
        ("--help",),
        ("status",),
        ("status", "--json"),
        ("--demo", "status"),
        ("--demo=gb10", "query", "SELECT count(*) FROM v_gpu"),
        ("--demo=gb10", "report"),
        ("--demo=gb10", "report", "--format", "md", "--by", "user"),
        ("--demo=gb10", "export", "--since", "10m"),
        ("doctor",),
        ("db", "path"),
        ("record", "--for", "1s"),
    ],
)
def test_a_command_loads_nothing_heavy(arguments: tuple[str, ...]) -> None:
    assert modules(*arguments) & HEAVY == set()


def test_version_loads_next_to_nothing() -> None:
    assert modules("--version") & {"argparse", "dataclasses", "logging", "sqlite3"} == set()


def test_status_loads_nothing_that_one_sample_does_not_need() -> None:
    for_lasting_recorders = {"gpuwatch.recorder.closer", "gpuwatch.recorder.cost", "gpuwatch.store.rollup"}
    for_others = {"_hashlib", "ctypes.util", "subprocess", "tempfile", "random", "shutil", "json", "locale", "traceback"}
    for_others |= {"encodings.ascii"}
    assert modules("status", before=NO_SERVERS) & (for_lasting_recorders | for_others) == set()


def test_recording_loads_no_openssl_and_no_child_processes() -> None:
    assert (
        modules("record", "--for", "1s", before=NO_SERVERS)
        & {"_hashlib", "ctypes.util", "subprocess", "tempfile", "multiprocessing"}
        == set()
    )


def test_a_traceback_is_written_though_it_is_loaded_late(tmp_path) -> None:
    code = "import sys; sys.path[:0] = {!r}; from gpuwatch import logs; assert 'traceback' not in sys.modules; logs.note_crash(ValueError('x'))"
    environ = {**os.environ, "XDG_STATE_HOME": str(tmp_path)}
    subprocess.run([sys.executable, "-S", "-c", code.format(sys.path)], check=True, env=environ, timeout=60)
    assert "ValueError: x" in (tmp_path / "gpuwatch" / "gpuwatch.log").read_text()
