"""The pictures in screenshots/ are what the program draws today; ``scripts/screenshots`` draws them anew."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent


def test_the_pictures_are_what_is_drawn_today() -> None:
    names = ["overview-120x40", "overview-80x24", "overview-nocolor-ascii-120x40", "help-120x40"]
    command = [sys.executable, str(ROOT / "scripts" / "screenshots.py"), "--check", *names]
    found = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    assert (found.returncode, found.stdout.strip()) == (0, "all pictures are as they were"), found.stdout + found.stderr


def test_pictures_need_nothing_from_the_web_and_no_ligature() -> None:
    for path in (ROOT / "screenshots").glob("*.svg"):
        text = path.read_text(encoding="utf-8")
        assert "url(" not in text.replace("url(#", "") and "@font-face" not in text, path.name
        assert "font-variant-ligatures: none" in text, path.name


def test_every_picture_has_its_line_in_the_script() -> None:
    script = (ROOT / "scripts" / "screenshots.py").read_text(encoding="utf-8")
    assert all(f'"{path.stem}"' in script for path in (ROOT / "screenshots").glob("*.svg"))
