"""The house keeps its own rules: file and function sizes, layers, packaging lists, nothing left behind."""

from __future__ import annotations

import ast
import os
import re
import statistics
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def sources() -> Iterator[Path]:
    for top in ("gpuwatch", "collectors", "migrations"):
        for folder, _, names in os.walk(ROOT / top, followlinks=False):
            if "__pycache__" not in folder:
                yield from (Path(folder) / name for name in sorted(names) if name.endswith(".py"))


def lines_of(path: Path) -> int:
    return len(path.read_text(encoding="utf-8").splitlines())


def test_no_source_file_is_longer_than_400_lines() -> None:
    one_file = {"gpuwatch/inject/gpuwatch_agent.py"}  # what goes into a stranger's process is one file, by contract
    long = {str(p.relative_to(ROOT)): lines_of(p) for p in sources() if lines_of(p) > 400}
    assert {name: lines for name, lines in long.items() if name not in one_file} == {}


def test_the_median_source_file_has_at_most_140_lines() -> None:
    assert statistics.median([n for n in map(lines_of, sources()) if n > 2]) <= 140


def functions(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def test_no_function_is_longer_than_60_lines() -> None:
    long = {
        f"{path.relative_to(ROOT)}:{node.name}": (node.end_lineno or 0) - node.lineno + 1
        for path in sources()
        for node in functions(path)
        if (node.end_lineno or 0) - node.lineno + 1 > 60
    }
    assert long == {}


def test_every_module_and_public_function_says_what_it_is_for() -> None:
    silent = []
    for path in sources():
        tree = ast.parse(path.read_text(encoding="utf-8"))
        if tree.body and not ast.get_docstring(tree):
            silent.append(str(path.relative_to(ROOT)))
        public = [n for n in tree.body if isinstance(n, ast.FunctionDef | ast.ClassDef) and not n.name.startswith("_")]
        silent += [f"{path.relative_to(ROOT)}:{n.name}" for n in public if not ast.get_docstring(n)]
    assert silent == []


def test_time_and_chance_come_from_the_clock_and_a_seed() -> None:
    forbidden = re.compile(r"\btime\.(time|monotonic|sleep|perf_counter)\w*\(|datetime\.now\(|\brandom\.(random|randint|choice)\(")
    allowed = {"gpuwatch/clock.py"}
    found = [
        f"{path.relative_to(ROOT)}:{number}"
        for path in sources()
        if str(path.relative_to(ROOT)) not in allowed and "inject" not in path.parts
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if forbidden.search(line)
    ]
    assert found == []


def test_records_are_made_by_the_house_that_compiles_nothing_at_import() -> None:
    standard = re.compile(r"^\s*(from dataclasses import|import dataclasses)", re.MULTILINE)
    found = [
        str(p.relative_to(ROOT)) for p in sources() if p.name != "dataclass.py" and standard.search(p.read_text(encoding="utf-8"))
    ]
    assert found == []


def test_packages_in_pyproject_are_the_folders_that_exist() -> None:
    found = set()
    for top, package in (("gpuwatch", "gpuwatch"), ("collectors", "gpuwatch.collectors"), ("migrations", "gpuwatch.migrations")):
        for folder, _, names in os.walk(ROOT / top, followlinks=False):
            if "__init__.py" in names:
                relative = Path(folder).relative_to(ROOT / top).parts
                found.add(".".join((package, *relative)))
    assert set(PROJECT["tool"]["setuptools"]["packages"]) == found


@pytest.mark.parametrize("name", ["collectors", "migrations"])
def test_the_links_point_to_the_top_level_folders(name: str) -> None:
    link = ROOT / "gpuwatch" / name
    assert (os.readlink(link) if link.is_symlink() else link.read_text(encoding="utf-8").strip()) == f"../{name}"


def tracked() -> list[Path]:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=False)
    if listed.returncode:
        pytest.skip("not a git checkout")
    return [ROOT / name for name in listed.stdout.decode().split("\0") if name]


def test_nothing_is_left_behind_in_tracked_files() -> None:
    marks = re.compile(r"\b(TO" r"DO|FIX" r"ME|XX" r"X|HA" r"CK)\b")
    found = [
        f"{path.relative_to(ROOT)}:{number}"
        for path in tracked()
        if path.suffix in {".py", ".c", ".h", ".toml", ".tcss"} and path.is_file() and not path.is_symlink()
        for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), 1)
        if marks.search(line)
    ]
    assert found == []


def test_version_is_a_literal_and_the_distribution_is_not_called_gpuwatch() -> None:
    assert PROJECT["project"]["name"] == "gpuwatch-tui"
    printed = subprocess.run([sys.executable, "-m", "gpuwatch", "--version"], capture_output=True, text=True, check=True)
    assert re.fullmatch(r"gpuwatch \d+\.\d+\.\d+\n", printed.stdout)
