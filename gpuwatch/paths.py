"""Where a user's files lie: home and the XDG base directories, for environments that name them badly or not at all."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

_BELOW_HOME = {"STATE": (".local", "state"), "CONFIG": (".config",)}


def home(environ: Mapping[str, str]) -> Path:
    """``HOME`` if it is absolute, else the account's directory, else ``/`` (an account that does not exist, in a container)."""
    named = environ.get("HOME", "")
    if not os.path.isabs(named):
        named = _account()
    return Path(named) if os.path.isabs(named) else Path("/")


def _account() -> str:
    import pwd

    try:
        return pwd.getpwuid(os.getuid()).pw_dir
    except KeyError:
        return ""


def base_directory(kind: Literal["STATE", "CONFIG"], environ: Mapping[str, str]) -> Path:
    """``$XDG_<kind>_HOME``, or its place below home; a relative one counts as not given (XDG Base Directory Specification)."""
    named = environ.get(f"XDG_{kind}_HOME", "")
    return Path(named) if os.path.isabs(named) else home(environ).joinpath(*_BELOW_HOME[kind])
