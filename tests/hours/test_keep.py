"""The settings of what is kept: the same defaults everywhere, and one line for a value that cannot be."""

from __future__ import annotations

import pytest

from gpuwatch import settings
from gpuwatch.errors import UsageError
from gpuwatch.store.deleting import Keep


def test_the_stores_defaults_are_those_of_the_settings() -> None:
    kept = settings.StoreSettings()
    assert Keep() == Keep(**{name: getattr(kept, name) for name in Keep._fields})


@pytest.mark.parametrize(
    ("key", "value", "line"),
    [
        ("MAX_MB", "7", "store.max_mb = 7 is outside 64 to 1000000"),
        ("CHUNK_DAYS", "0", "store.chunk_days = 0 is outside 1 to 4000"),
        ("PROCESS_MINUTE_DAYS", "401", "store.process_minute_days = 401 is outside 1 to 400"),
        ("HOUR_DAYS", "6", "store.hour_days = 6 is outside 7 to 4000"),
    ],
)
def test_a_value_out_of_range_is_one_line(key: str, value: str, line: str) -> None:
    with pytest.raises(UsageError, match=line):
        settings.load(environ={f"GPUWATCH_STORE__{key}": value})


def test_no_limit_on_the_size_is_allowed() -> None:
    assert settings.load(environ={"GPUWATCH_STORE__MAX_MB": "0"}).settings.store.max_mb == 0
