"""Targets that the user names: ``[[inference.target]] url = "http://host:8000"``, and what is not understood of them in one line each."""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterable, Mapping
from typing import Any

from gpuwatch.collectors.inference.engine import Engine
from gpuwatch.collectors.inference.engines import NAMES, engine
from gpuwatch.collectors.inference.target import Address
from gpuwatch.dataclass import dataclass
from gpuwatch.text import clean

_LOCAL = ("localhost", "::1", "0.0.0.0", "::")
_FORBIDDEN = frozenset(' \t\r\n"<>\\^`{}|')


class _Secret(str):
    """A key that no message shows by accident."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "'…'"


@dataclass(frozen=True, slots=True)
class Configured:
    """One target. ``name`` is what the user calls it, ``engine`` the table it is read by (``None``: its page will tell)."""

    address: Address
    name: str = ""
    engine: Engine | None = None

    @property
    def local(self) -> bool:
        """Whether it is on this host, so that a process here may be behind it."""
        return self.address.host in _LOCAL or self.address.host.startswith("127.")

    @property
    def key(self) -> tuple[int, int, int]:
        """Of the workload of a server elsewhere: no pid, a number that is always the same for its URL, its port."""
        where = self.address.url + self.address.path
        return 0, zlib.crc32(where.encode()), self.address.port


def configured(options: Mapping[str, Any], environ: Mapping[str, str] = os.environ) -> tuple[list[Configured], list[str]]:
    """The targets in the collector's options, and one line for each that cannot be used."""
    found: list[Configured] = []
    problems: list[str] = []
    targets = options.get("targets", ())
    for number, target in enumerate(targets if isinstance(targets, Iterable) else (), 1):
        try:
            found.append(_configured(target if isinstance(target, Mapping) else {}, environ))
        except ValueError as problem:
            problems.append(clean(f"inference.target {number}: {problem}"))
    return found, problems


def _configured(target: Mapping[str, Any], environ: Mapping[str, str]) -> Configured:
    name, hint = str(target.get("engine") or ""), None
    if name:
        hint = next((engine(known) for known in NAMES if _letters(known) == _letters(name)), None)
        if hint is None:
            raise ValueError(f"unknown engine '{name}': one of {', '.join(NAMES)}")
    variable = str(target.get("token_env") or "")
    key = environ.get(variable, "") if variable else ""
    if not (key.isascii() and key.isprintable()) or " " in key:
        raise ValueError(f"the variable {variable} holds more than a key: no spaces, line ends or special letters")
    tls, host, port, path = parse_url(str(target.get("url") or ""))
    address = Address("127.0.0.1" if host == "0.0.0.0" else host, port, tls, path, _Secret(key), variable)
    return Configured(address, clean(str(target.get("name") or "")), hint)


def _letters(name: str) -> str:
    """``llamacpp`` and ``Llama.cpp`` are one engine."""
    return "".join(filter(str.isalnum, name.lower()))


def parse_url(url: str) -> tuple[bool, str, int, str]:
    """(https, host, port, path or empty) of ``http[s]://host[:port][/path]``. Raises ``ValueError`` with one clear line."""
    scheme, separator, rest = url.partition("://")
    if not separator or scheme.lower() not in ("http", "https"):
        raise ValueError("url must be like http://host:8000")
    place, slash, path = rest.partition("/")
    if "@" in place:
        raise ValueError("no user or password in the url: name an environment variable in token_env")
    if any(character in _FORBIDDEN or not character.isprintable() or ord(character) > 126 for character in rest):
        raise ValueError("the url holds characters that no url has")
    path = path.partition("#")[0]
    tls = scheme.lower() == "https"
    host, port = _host_and_port(place, 443 if tls else 80)
    return tls, host, port, f"/{path}" if slash and path else ""


def _host_and_port(place: str, usual: int) -> tuple[str, int]:
    if place.startswith("["):
        host, _, rest = place[1:].partition("]")
        port = rest.removeprefix(":")
    else:
        host, _, port = place.partition(":")
    if not host or (port and not (port.isdecimal() and 0 < int(port) < 65_536)):
        raise ValueError("url must be like http://host:8000")
    return host.lower(), int(port) if port else usual
