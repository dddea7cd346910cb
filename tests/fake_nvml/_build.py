"""Compiles the fake driver with the system compiler, once per state of its sources."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
from pathlib import Path

HERE = Path(__file__).resolve().parent
SOURCES, BUILD = HERE / "src", HERE / "build"
SONAME = "libnvidia-ml.so.1"
FLAGS = ["-std=gnu11", "-O2", "-g", "-fPIC", "-fvisibility=hidden", "-Wall", "-Wextra"]


def compiler() -> str | None:
    """The C compiler to use (``$CC``, cc, gcc or clang), or None on a machine without one."""
    return next(
        (found for name in (os.environ.get("CC", ""), "cc", "gcc", "clang") if name and (found := shutil.which(name))), None
    )


def build() -> Path:
    """The library's path, compiled first if a source has changed. Safe to call from several processes at once.

    Raises ``RuntimeError`` with the compiler's own words when it cannot be built.
    """
    BUILD.mkdir(exist_ok=True)
    inputs = [*sorted(SOURCES.glob("*.[ch]")), HERE / "symbols.txt", *sorted((HERE / "profiles").glob("*.txt")), Path(__file__)]
    state = hashlib.sha256(b"".join(path.name.encode() + path.read_bytes() for path in inputs)).hexdigest()
    library, stamp = BUILD / SONAME, BUILD / "stamp"
    with (BUILD / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not library.exists() or not stamp.exists() or stamp.read_text() != state:
            _compile(library)
            stamp.write_text(state)
    return library


def _compile(library: Path) -> None:
    cc = compiler()
    if cc is None:
        raise RuntimeError("no C compiler found: install gcc or clang to run the tests of the fake driver")
    (BUILD / "symbols.c").write_text(_symbol_source())
    shutil.rmtree(BUILD / "profiles", ignore_errors=True)
    shutil.copytree(HERE / "profiles", BUILD / "profiles")
    fresh = library.with_suffix(".new")  # renamed into place: a program that has the old one mapped keeps it whole
    sources = [*sorted(SOURCES.glob("*.c")), BUILD / "symbols.c"]
    command = [cc, *FLAGS, f"-I{SOURCES}", "-shared", f"-Wl,-soname,{SONAME}", "-o", str(fresh)]
    command += [*map(str, sources), "-ldl", "-lpthread"]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"the fake driver does not compile:\n{done.stderr}")
    fresh.replace(library)


def _symbol_source() -> str:
    """The symbol table, and for each function of the interface a weak one that answers NOT_SUPPORTED; a real one wins."""
    lines = (HERE / "symbols.txt").read_text().splitlines()
    table = sorted(tuple(line.split()) for line in lines if line and not line.startswith("#"))
    rows = "".join(f'    {{"{name}", {since}}},\n' for name, since in table)
    stubs = "".join(f"STUB({name})\n" for name, _ in table if name != "nvmlErrorString")
    return f"""#include <stdlib.h>
#include <string.h>
#include "fake.h"
const struct Symbol symbols[] = {{
{rows}}};
const int symbol_count = {len(table)};
static int compare(const void *name, const void *symbol) {{ return strcmp(name, ((const struct Symbol *)symbol)->name); }}
int symbol_id(const char *name) {{
    const struct Symbol *found = bsearch(name, symbols, {len(table)}, sizeof *symbols, compare);
    return found ? (int)(found - symbols) : -2;
}}
#define STUB(name) EXPORT __attribute__((weak)) nvmlReturn_t name(void *first); nvmlReturn_t name(void *first) {{ \\
    static int symbol = -1; __attribute__((cleanup(gate_leave))) Visit visit = {{0}}; return stub(&visit, &symbol, #name, first); }}
{stubs}"""
