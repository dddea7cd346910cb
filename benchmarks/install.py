"""A wheel install of this checkout in a virtual environment of its own, as users have it: byte-compiled, no editable finder.

The dependencies are those of the environment that runs the benchmark, put on the path by one line; nothing is downloaded.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

from scene import CHECKOUT

_SOURCES = ("gpuwatch", "collectors", "migrations", "pyproject.toml", "README.md", "LICENSE")


def wheel(folder: Path) -> Path:
    """Build the wheel from a copy of the sources, so that no old build output gets in."""
    copy = folder / "source"
    copy.mkdir()
    for name in _SOURCES:
        source = CHECKOUT / name
        if source.is_dir():
            shutil.copytree(source, copy / name, symlinks=True, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, copy / name)
    build = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--quiet",
        "--disable-pip-version-check",
        "--no-deps",
        "-w",
        str(folder),
        str(copy),
    ]
    try:
        __import__("setuptools")
        build.insert(4, "--no-build-isolation")
    except ImportError:
        pass  # pip fetches the build backend
    done = subprocess.run(build, check=False, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"the wheel cannot be built:\n{done.stderr}")
    return next(folder.glob("*.whl"))


def install(folder: Path) -> Path:
    """A new environment in ``folder`` with the wheel in it; returns its ``gpuwatch`` program (``python`` lies beside it)."""
    made = wheel(folder)
    target = folder / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(target)], check=True)
    python = target / "bin" / "python"
    pip = [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "--no-deps", "--no-index", str(made)], check=True)
    packages = next((target / "lib").glob("python3*/site-packages"))
    (packages / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    subprocess.run([str(python), "-m", "compileall", "-q", str(packages)], check=True)
    return target / "bin" / "gpuwatch"
