"""Every generated file of the project and what makes it. ``tests/test_generated.py`` compares; ``scripts/generate`` writes."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def man_page() -> str:
    """gpuwatch(1) from the parser."""
    from argparse_manpage.manpage import Manpage

    from gpuwatch import __version__

    parser = _parser()
    data = {"prog": "gpuwatch", "project_name": "gpuwatch", "version": __version__, "authors": [], "url": "", "format": "pretty"}
    data |= {"manual_title": "gpuwatch", "manual_section": "1", "date": "2026-11-25"}
    page = str(Manpage(parser, _data=data)).splitlines()
    text = "\n".join(line.rstrip() for line in page) + "\n"
    # whatis and apropos read this line; argparse-manpage leaves the description out
    return text.replace(".SH NAME\ngpuwatch\n", ".SH NAME\ngpuwatch \\- where every GPU\\-second went\n", 1)


def completion(shell: str) -> str:
    """A completion script for bash or zsh from the parser."""
    import shtab

    text: str = shtab.complete(_parser(), shell)
    return "\n".join(line.rstrip() for line in text.splitlines()) + "\n"


def _parser() -> argparse.ArgumentParser:
    from gpuwatch.parser import build_parser

    return build_parser()


def generated() -> Mapping[str, Callable[[], str]]:
    """Path in the checkout -> function that returns its text."""
    from gpuwatch.collectors.inference.engines.document import engines_document
    from gpuwatch.rules.handbook import rules_document
    from gpuwatch.store.document import schema_document
    from gpuwatch.store.generate import ddl
    from gpuwatch.view.metrics import metrics_document
    from gpuwatch.view.schema import KINDS, text

    files: dict[str, Callable[[], str]] = {
        "gpuwatch/store/ddl.sql": ddl,
        "docs/schema.md": schema_document,
        "docs/metrics.md": metrics_document,
        "docs/engines.md": engines_document,
        "docs/rules.md": rules_document,
        "docs/gpuwatch.1": man_page,
        "docs/completions/gpuwatch.bash": lambda: completion("bash"),
        "docs/completions/_gpuwatch": lambda: completion("zsh"),
    }
    files |= {f"docs/schemas/{kind}.json": partial(text, kind) for kind in KINDS}
    return files


def main() -> int:
    """Write all files, or with --check name those that differ (exit code 1)."""
    check = "--check" in sys.argv[1:]
    stale = []
    for name, make in generated().items():
        path, text = ROOT / name, make()
        if path.is_file() and path.read_text(encoding="utf-8") == text:
            continue
        stale.append(name)
        if not check:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
    for name in stale:
        print(f"{'differs' if check else 'wrote'}: {name}")
    return 1 if check and stale else 0


if __name__ == "__main__":
    raise SystemExit(main())
