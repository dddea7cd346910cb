"""Generated files are what their sources make today."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


def _generator():  # type: ignore[no-untyped-def]
    spec = importlib.util.spec_from_file_location("generate", ROOT / "scripts" / "generate.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


NAMES = sorted(_generator().generated())


@pytest.mark.parametrize("name", NAMES)
def test_a_generated_file_is_current(name: str) -> None:
    if name.endswith(".1") or "completions" in name:
        pytest.importorskip("argparse_manpage", reason="the docs group is not installed (scripts/test --all)")
        pytest.importorskip("shtab", reason="the docs group is not installed (scripts/test --all)")
        if sys.version_info[:2] not in ((3, 11), (3, 12)):
            pytest.skip("argparse words its help differently on this Python; the man page is made with 3.11")
    assert (ROOT / name).read_text(encoding="utf-8") == _generator().generated()[name]()


def test_the_man_page_is_valid() -> None:
    if not shutil.which("man"):
        pytest.skip("man is not installed")
    shown = subprocess.run(
        ["man", "--warnings", "-l", str(ROOT / "docs" / "gpuwatch.1")], capture_output=True, text=True, check=False
    )
    assert "gpuwatch" in shown.stdout and "warning" not in shown.stderr.lower()
