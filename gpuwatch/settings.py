"""What can be configured, where each value came from, and one clear line when a value is wrong.

Order: default < /etc/gpuwatch/config.toml < the user's config.toml < ``GPUWATCH_SECTION__KEY`` < option. Plain dataclasses hold
the values; pydantic checks types and is imported only when a file, a variable or an option gives something.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from gpuwatch.dataclass import dataclass, field, fields
from gpuwatch.errors import UsageError, nearest
from gpuwatch.paths import base_directory

if TYPE_CHECKING:
    from gpuwatch.configured import GpuPriceList, Target

SYSTEM_FILE = Path("/etc/gpuwatch/config.toml")
ENV_PREFIX = "GPUWATCH_"


@dataclass(frozen=True, slots=True)
class StoreSettings:
    """Where the store lies and how much is kept."""

    path: str = ""
    """Path of the SQLite file; empty: the standard place (``gpuwatch db path``)."""
    hot_hours: float = 2.0
    """How long one-second rows are kept as plain rows."""
    chunk_days: float = 30.0
    """How long the archive keeps single rows."""
    minute_days: float = 35.0
    """How long minutes of GPUs, workloads and the ledger are kept."""
    process_minute_days: float = 7.0
    """How long minutes of processes are kept, never longer than other minutes."""
    hour_days: float = 400.0
    """How long hours, distributions, events and gaps are kept; days are kept for good."""
    max_mb: int = 2048
    """How large the file may become, in MB; beyond it the oldest single rows go first, then minutes. 0: no limit."""


@dataclass(frozen=True, slots=True)
class RecordSettings:
    """How the recorder samples."""

    interval_seconds: float = 1.0
    """Whole seconds between two samples of the GPUs (processes and host take twice that)."""
    commit_seconds: float = 10.0
    """Seconds between commits while nobody watches (1 while somebody does)."""
    collectors: tuple[str, ...] = ("nvml", "procs", "host", "inference", "training")
    """Collectors to run; installed plugins are named here to be used."""


@dataclass(frozen=True, slots=True)
class PrivacySettings:
    """What of other people's command lines is kept."""

    command_lines: Literal["redacted", "name", "none"] = "redacted"
    """``redacted``: without secrets; ``name``: only the program's name; ``none``: nothing."""


@dataclass(frozen=True, slots=True)
class ScreenSettings:
    """How the screen looks."""

    colors: Literal["auto", "truecolor", "256", "16", "none"] = "auto"
    """Depth of colour; ``auto`` follows the terminal and NO_COLOR."""
    ascii: bool = False
    """Draw with ASCII characters only."""
    read_only: bool = False
    """No signals can be sent from the screen."""
    timezone: str = ""
    """IANA zone for all clocks shown; empty: the system's."""


@dataclass(frozen=True, slots=True)
class InferenceSettings:
    """Whether inference servers are asked, and what is fast enough. Further servers stand in ``[[inference.target]]`` tables."""

    enabled: bool = True
    """Ask the inference servers of this host for their metrics."""
    ttft_seconds: float = 0.5
    """A time to first token up to this is fast enough."""
    itl_seconds: float = 0.05
    """A time between two tokens up to this is fast enough."""
    target_ratio: float = 0.95
    """The share of requests that is to be within each limit."""


@dataclass(frozen=True, slots=True)
class PriceSettings:
    """What is used to tell costs. GPUs are further keys, by product name: ``"NVIDIA H100*" = 2.50`` an hour."""

    currency: str = "$"
    """Put before amounts, or behind them where it ends in a letter."""
    kwh: float | None = None
    """Price of a kilowatt hour; none: energy has no price."""


@dataclass(frozen=True, slots=True)
class RulesSettings:
    """Which rules look for waste, and by which limits. The names are checked by whoever runs rules (:mod:`gpuwatch.ruled`)."""

    enabled: bool = True
    """Look for waste at all."""
    reserve: tuple[int | str, ...] = ()
    """GPUs that are kept free on purpose, by index or UUID."""
    off: tuple[str, ...] = ()
    """Rules that do not judge."""
    on: tuple[str, ...] = ()
    """Rules that judge though they are off by default."""
    limits: Mapping[str, float] = field(default_factory=dict)
    """``"rule.limit" = value`` in place of the default (``gpuwatch explain RULE`` lists them)."""
    patience_seconds: float = 300.0
    """So young a process is not judged."""
    effect_seconds: float = 1800.0
    """So much time before and after a finding has cleared is compared."""


@dataclass(frozen=True, slots=True)
class Settings:
    """All sections. ``collector_options`` holds the free ``[collectors.NAME]`` tables that go to each collector."""

    store: StoreSettings = field(default_factory=StoreSettings)
    record: RecordSettings = field(default_factory=RecordSettings)
    privacy: PrivacySettings = field(default_factory=PrivacySettings)
    screen: ScreenSettings = field(default_factory=ScreenSettings)
    inference: InferenceSettings = field(default_factory=InferenceSettings)
    price: PriceSettings = field(default_factory=PriceSettings)
    rules: RulesSettings = field(default_factory=RulesSettings)
    targets: tuple[Target, ...] = ()
    """Of ``[[inference.target]]``, all files together."""
    gpu_prices: tuple[GpuPriceList, ...] = ()
    """Of ``[price]``: the user's before the system's, since the first that fits counts."""
    collector_options: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Loaded:
    """Settings plus the source of each ``section.key`` that is not a default."""

    settings: Settings
    sources: Mapping[str, str]
    files: tuple[Path, ...]


_SECTIONS: Mapping[str, type] = {
    "store": StoreSettings,
    "record": RecordSettings,
    "privacy": PrivacySettings,
    "screen": ScreenSettings,
    "inference": InferenceSettings,
    "price": PriceSettings,
    "rules": RulesSettings,
}
_LISTS = ("record.collectors", "rules.reserve", "rules.off", "rules.on")
"""What may be one text with commas, as a variable is."""


def known_keys() -> Iterator[tuple[str, Any]]:
    """Every ``section.key`` with its field, in order."""
    for section, kind in _SECTIONS.items():
        for entry in fields(kind):
            yield f"{section}.{entry.name}", entry


def user_file(environ: Mapping[str, str]) -> Path:
    """Where the user's configuration lies: ``$XDG_CONFIG_HOME/gpuwatch/config.toml``."""
    return base_directory("CONFIG", environ) / "gpuwatch" / "config.toml"


def load(
    options: Mapping[str, Any] | None = None,
    *,
    environ: Mapping[str, str],
    config: str | None = None,
    system_file: Path = SYSTEM_FILE,
) -> Loaded:
    """Merge all sources. ``options`` maps ``section.key`` to a value the user really typed.

    Raises:
        UsageError: an unreadable file, an unknown key (the nearest known one is named), a value of the wrong kind.
    """
    named = config or environ.get("GPUWATCH_CONFIG")
    candidates = [Path(os.path.expanduser(named))] if named else [system_file, user_file(environ)]
    values: dict[str, dict[str, Any]] = {}
    sources: dict[str, str] = {}
    free = _Free()
    files: list[Path] = []
    for path in candidates:
        table = _read(path, required=named is not None)
        if table is None:
            continue
        files.append(path)
        free.pop(table, path, sources)
        for key, value in _flatten(table, str(path)):
            _put(values, sources, key, value, str(path))
    for variable, value in sorted(environ.items()):
        if variable.startswith(ENV_PREFIX) and "__" in variable:
            key = variable.removeprefix(ENV_PREFIX).lower().replace("__", ".", 1)
            if key.startswith(("inference.target__", "inference.targets")) or key == "inference.target":
                raise UsageError(f"variable {variable}: targets stand in a configuration file, under [[inference.target]]")
            _put(values, sources, key, value, f"variable {variable}")
    for key, value in (options or {}).items():
        if value is not None:
            _put(values, sources, key, value, "option")
    return Loaded(_build(values, sources, free), sources, tuple(files))


@dataclass(slots=True)
class _Free:
    """What is not a key with a value: tables and lists of the user's own."""

    collectors: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    targets: dict[str, Target] = field(default_factory=dict)
    prices: tuple[GpuPriceList, ...] = ()

    def pop(self, table: dict[str, Any], path: Path, sources: dict[str, str]) -> None:
        """Take it out of a file's contents, noting where it stood; a later file's word comes first."""
        self.collectors |= _pop_collectors(table, path)
        inference, price = table.get("inference"), table.get("price")
        if inference is None and price is None:
            return
        from gpuwatch.configured import gpu_prices, targets

        if isinstance(inference, dict) and "target" in inference:
            found = {target.url: target for target in targets(inference.pop("target"), str(path))}
            self.targets |= found
            sources |= {f"inference.target {url}": str(path) for url in found}
        if isinstance(price, dict):
            own = gpu_prices(price, str(path), [entry.name for entry in fields(PriceSettings)])
            self.prices = own + self.prices
            sources |= {f"price.{listed.pattern}": str(path) for listed in own}

    def settings(self, **sections: Any) -> Settings:
        """These with checked sections."""
        return Settings(**sections, targets=tuple(self.targets.values()), gpu_prices=self.prices, collector_options=self.collectors)


def _read(path: Path, *, required: bool) -> dict[str, Any] | None:
    try:
        text = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        if required:
            raise UsageError(f"config file {path} does not exist") from None
        return None
    except OSError as error:
        raise UsageError(f"config file {path} cannot be read: {error.strerror}") from error
    import tomllib

    try:
        return tomllib.loads(text.decode())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"config file {path} is not valid TOML: {error}") from error


def _pop_collectors(table: dict[str, Any], path: Path) -> dict[str, Mapping[str, Any]]:
    section = table.pop("collectors", {})
    if not isinstance(section, dict) or not all(isinstance(sub, dict) for sub in section.values()):
        raise UsageError(f"{path}: [collectors] takes one table per collector, as in [collectors.nvml]")
    return section


def _flatten(table: Mapping[str, Any], where: str) -> Iterator[tuple[str, Any]]:
    for section, content in table.items():
        if section not in _SECTIONS:
            raise UsageError(f"{where}: unknown section or key '{section}'{nearest(section, _SECTIONS)}")
        if not isinstance(content, dict):
            raise UsageError(f"{where}: '{section}' is a section: write [{section}] and its keys under it")
        for key, value in content.items():
            yield f"{section}.{key}", value


def _put(values: dict[str, dict[str, Any]], sources: dict[str, str], key: str, value: Any, source: str) -> None:
    known = [name for name, _ in known_keys()]
    if key not in known:
        raise UsageError(f"{source}: unknown key '{key}'{nearest(key, known)}")
    section, name = key.split(".", 1)
    if isinstance(value, str) and key in _LISTS:
        value = [part.strip() for part in value.split(",") if part.strip()]
    if key == "rules.limits":
        from gpuwatch.configured import limits_of

        value = limits_of(value, source)
    values.setdefault(section, {})[name] = value
    sources[key] = source


def _build(values: Mapping[str, Mapping[str, Any]], sources: Mapping[str, str], free: _Free) -> Settings:
    if not values:
        return free.settings()
    from typing import get_type_hints

    from pydantic import ValidationError, create_model

    sections: dict[str, Any] = {}
    for section, content in values.items():
        try:
            kind = _SECTIONS[section]
            types = get_type_hints(kind)
            checked = create_model(section, **{name: (types[name], ...) for name in content})(**content)  # type: ignore[call-overload]
            sections[section] = kind(**{name: getattr(checked, name) for name in content})
        except ValidationError as error:
            first = error.errors()[0]
            key = f"{section}.{'.'.join(str(part) for part in first['loc'])}"
            source = sources.get(f"{section}.{first['loc'][0]}", "config")
            raise UsageError(f"{source}: {key} = {first['input']!r}: {first['msg'].lower()}") from error
    settings = free.settings(**sections)
    _check_ranges(settings, sources)
    return settings


def _check_ranges(settings: Settings, sources: Mapping[str, str]) -> None:
    limits = {
        "record.interval_seconds": (settings.record.interval_seconds, 1.0, 60.0),
        "record.commit_seconds": (settings.record.commit_seconds, 1.0, 60.0),
        "store.hot_hours": (settings.store.hot_hours, 0.6, 48.0),
        "store.chunk_days": (settings.store.chunk_days, 1.0, 4000.0),
        "store.minute_days": (settings.store.minute_days, 1.0, 400.0),
        "store.process_minute_days": (settings.store.process_minute_days, 1.0, 400.0),
        "store.hour_days": (settings.store.hour_days, 7.0, 4000.0),
        "store.max_mb": (settings.store.max_mb or 1_000_000, 64, 1_000_000),
        "inference.ttft_seconds": (settings.inference.ttft_seconds, 0.001, 600.0),
        "inference.itl_seconds": (settings.inference.itl_seconds, 0.0001, 60.0),
        "rules.patience_seconds": (settings.rules.patience_seconds, 0.0, 86_400.0),
        "rules.effect_seconds": (settings.rules.effect_seconds, 60.0, 86_400.0),
        "inference.target_ratio": (settings.inference.target_ratio, 0.01, 1.0),
        "price.kwh": (settings.price.kwh or 0.0, 0.0, 1000.0),
    }
    if "price.currency" in sources:
        from gpuwatch.configured import checked_currency

        checked_currency(settings.price.currency, sources["price.currency"])
    for key, (value, low, high) in limits.items():
        if not low <= value <= high:
            raise UsageError(f"{sources.get(key, 'config')}: {key} = {value:.9g} is outside {low:.9g} to {high:.9g}")
    if settings.record.interval_seconds % 1:
        key, value = "record.interval_seconds", settings.record.interval_seconds
        raise UsageError(f"{sources.get(key, 'config')}: {key} = {value:g} is not a whole number: samples lie on whole seconds")
