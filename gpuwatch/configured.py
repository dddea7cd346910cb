"""The parts of the configuration that are lists of the user's own: inference servers to ask, prices of GPUs, limits of rules.

Every mistake is one clear line that names the file and the key; what may be a secret is never repeated in it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import date, datetime, time, tzinfo
from typing import Any

from gpuwatch.dataclass import NamedTuple, dataclass
from gpuwatch.errors import UsageError, nearest
from gpuwatch.prices import GpuPrice, Prices, Since

_TARGET_KEYS = ("url", "name", "engine", "token_env")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_WORD = re.compile(r"[A-Za-z0-9_.-]{0,32}")
_PLAIN = re.compile(r"[a-z_]+")
"""Keys of ``[price]`` are written so; names of products never are."""
_DEAREST = 1e6
_LONGEST_NAME, _LONGEST_URL, _LONGEST_CURRENCY = 100, 1000, 8
_FIRST_DAY = date(1970, 1, 2)
"""Prices that begin before it hold always."""


@dataclass(frozen=True, slots=True)
class Target:
    """A server that the user names. ``token_env`` is the environment variable that holds its key, empty if it needs none."""

    url: str
    name: str = ""
    engine: str = ""
    token_env: str = ""

    def options(self) -> Mapping[str, str]:
        """The same as the inference collector is given it."""
        return {key: getattr(self, key) for key in _TARGET_KEYS}


class PriceStep(NamedTuple):
    """A price per GPU-hour from the beginning of a day on; no day: always."""

    since: date | None
    price: float


class GpuPriceList(NamedTuple):
    """The prices of GPUs whose product name fits a pattern."""

    pattern: str
    steps: tuple[PriceStep, ...]


# -------------------------------------------------------------------------------------------------------------- targets


def targets(found: Any, where: str) -> tuple[Target, ...]:
    """The ``[[inference.target]]`` tables of one file.

    Raises:
        UsageError: not a list of tables, an unknown key, a URL that cannot be asked or holds credentials.
    """
    if not isinstance(found, list) or not all(isinstance(each, dict) for each in found):
        raise UsageError(f'{where}: inference.target is a list: write [[inference.target]] and url = "http://HOST:PORT" under it')
    return tuple(_target(table, f"{where}: inference.target {number}") for number, table in enumerate(found, 1))


def _target(table: Mapping[str, Any], where: str) -> Target:
    for key, value in table.items():
        if key not in _TARGET_KEYS:
            raise UsageError(f"{where}: unknown key '{key}'{nearest(key, _TARGET_KEYS)}")
        if not isinstance(value, str):
            raise UsageError(f"{where}: {key} is a text")
    if not table.get("url"):
        raise UsageError(f"{where} has no url", 'write url = "http://HOST:PORT"')
    variable, engine = table.get("token_env", ""), table.get("engine", "")
    if variable and not _VARIABLE.fullmatch(variable):
        raise UsageError(f"{where}: token_env is the name of an environment variable, not the key itself")
    if not _WORD.fullmatch(engine):
        raise UsageError(f"{where}: engine is one word, as in vllm, llama.cpp or trt-llm")
    if not table.get("name", "").isprintable() or len(table.get("name", "")) > _LONGEST_NAME:
        raise UsageError(f"{where}: name is up to {_LONGEST_NAME} printable characters")
    return Target(_checked_url(table["url"], where), table.get("name", ""), engine, variable)


def _checked_url(url: str, where: str) -> str:
    from urllib.parse import urlsplit

    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        raise UsageError(f"{where}: the url's host or port is not valid") from None
    if "@" in parts.netloc:
        raise UsageError(
            f"{where}: the url holds credentials", "put the key into an environment variable and its name into token_env"
        )
    if parts.scheme not in ("http", "https") or not host or not url.isascii() or not url.isprintable() or " " in url:
        raise UsageError(f"{where}: the url is not one of http:// or https:// with a host", 'as in url = "http://10.0.0.7:8000"')
    if "?" in url or "#" in url:
        raise UsageError(f"{where}: the url has a query or a fragment; only scheme, host, port and path are used")
    if port == 0 or len(url) > _LONGEST_URL or "\\" in url:
        raise UsageError(f"{where}: the url's host or port is not valid")
    return parts._replace(netloc=parts.netloc.lower()).geturl().rstrip("/")


# --------------------------------------------------------------------------------------------------------------- prices


def gpu_prices(table: dict[str, Any], where: str, known: Sequence[str]) -> tuple[GpuPriceList, ...]:
    """Take the GPUs out of a file's ``[price]`` table; what is left are the ``known`` keys.

    Raises:
        UsageError: a price that is not a number of 0 or more, steps without a day or with the same day twice, an unknown key.
    """
    out = []
    for key in [key for key in table if key not in known]:
        if _PLAIN.fullmatch(key) or not key.strip():
            raise UsageError(
                f"{where}: unknown key 'price.{key}'{nearest(key, known)}",
                'a GPU is named by its product, as in "NVIDIA H100*" = 2.50',
            )
        value = table.pop(key)
        steps = [_step(each, f"{where}: price of {key!r}") for each in (value if isinstance(value, list) else [value])]
        if not steps:
            raise UsageError(f"{where}: price of {key!r}: the list is empty")
        days = [step.since for step in steps]
        if len(set(days)) < len(days):
            raise UsageError(f"{where}: price of {key!r}: two prices begin on the same day")
        out.append(GpuPriceList(key, tuple(sorted(steps, key=lambda step: step.since or date.min))))
    return tuple(out)


def _step(value: Any, where: str) -> PriceStep:
    since = None
    if isinstance(value, dict):
        if set(value) != {"from", "price"}:
            raise UsageError(f"{where}: a dated price is {{from = 2026-01-01, price = 2.50}}")
        since, value = _day(value["from"], where), value["price"]
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= _DEAREST:
        raise UsageError(
            f"{where} is not a price per GPU-hour: a number of 0 or more, or a list of {{from = DATE, price = NUMBER}}"
        )
    return PriceStep(since, float(value))


def _day(value: Any, where: str) -> date:
    if isinstance(value, datetime):
        return value.date()
    if isinstance(value, date):
        return value
    try:
        return date.fromisoformat(value)
    except (TypeError, ValueError):
        raise UsageError(f"{where}: from is a day, as in from = 2026-01-01") from None


def checked_currency(text: str, where: str) -> None:
    """Raises ``UsageError`` for one that no column has room for or a terminal would obey."""
    if not text.strip() or not text.isprintable() or len(text) > _LONGEST_CURRENCY:
        raise UsageError(f"{where}: price.currency is 1 to {_LONGEST_CURRENCY} printable characters, as in $ or EUR")


def price_list(currency: str, kwh: float | None, gpus: Sequence[GpuPriceList], tz: tzinfo | None) -> Prices:
    """The list as a reader uses it; days begin at midnight in ``tz`` (``None``: the system's zone)."""
    return Prices(currency, kwh, tuple(GpuPrice(pattern, tuple(_since(step, tz) for step in steps)) for pattern, steps in gpus))


def _since(step: PriceStep, tz: tzinfo | None) -> Since:
    if step.since is None:
        return Since(0, step.price)
    if step.since < _FIRST_DAY:
        return Since(0, step.price)
    return Since(round(datetime.combine(step.since, time(), tz).timestamp() * 1000), step.price)


# --------------------------------------------------------------------------------------------------------------- limits


def limits_of(value: Any, where: str) -> dict[str, Any]:
    """``{"rule.limit": value}`` of what a file or a variable has: one table, a table for each rule, or ``rule.limit=60,...``.

    Raises:
        UsageError: it is none of these.
    """
    if isinstance(value, str):
        return dict(limit(part, where) for part in value.split(",") if part.strip())
    if not isinstance(value, Mapping):
        raise UsageError(f"{where}: rules.limits is a table", 'write [rules.limits] and "rule.limit" = 60 under it')
    out: dict[str, Any] = {}
    for key, found in value.items():
        out |= {f"{key}.{name}": each for name, each in found.items()} if isinstance(found, Mapping) else {key: found}
    return out


def limit(text: str, where: str) -> tuple[str, float]:
    """One ``rule.limit=60``. Raises :class:`UsageError`."""
    key, sign, number = text.partition("=")
    try:
        return key.strip(), float(number)
    except ValueError:
        said = f"'{number.strip()}' is not a number" if sign else f"'{text.strip()}' has no value"
        raise UsageError(f"{where}: {said}", "write it as rule.limit=60; gpuwatch explain RULE lists the limits") from None
