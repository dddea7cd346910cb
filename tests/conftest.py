"""Shared by all tests: a clean environment, so that no variable or config of the person who runs them changes a result."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

sys.path.insert(0, str(Path(__file__).parent))

from support import side_by_side

CHECKOUT = Path(__file__).resolve().parent.parent
SHARED = CHECKOUT.parent / "shared"

settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])  # a busy machine is no failure
settings.load_profile("untimed")


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    home = tmp_path_factory.mktemp("home")
    for name in ("NO_COLOR", "COLORTERM", "GPUWATCH_STORE", "GPUWATCH_CONFIG", "TZ"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("GPUWATCH_DIR", str(home / "hooks"))  # trainings of other tests write into the usual one
    for name in ("XDG_STATE_HOME", "XDG_CONFIG_HOME", "XDG_RUNTIME_DIR", "XDG_DATA_HOME"):
        monkeypatch.setenv(name, str(home / name.lower()))


@pytest.fixture(scope="session")
def shared() -> Path:
    """The studies and fixtures beside the checkout; tests that need them skip where they are not."""
    if not SHARED.is_dir():
        pytest.skip("../shared is not there")
    return SHARED


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    side_by_side.order(config, items)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> object:
    return side_by_side.scheduler(config, log)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--allowed-skips", metavar="FILE", help="fail when a test is skipped for a reason that is not listed in FILE")


def _skips(reporter: pytest.TerminalReporter) -> dict[str, list[str]]:
    """Reason -> the tests it skipped."""
    by_reason: dict[str, list[str]] = {}
    for report in reporter.stats.get("skipped", []):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        by_reason.setdefault(reason.removeprefix("Skipped: "), []).append(report.nodeid)
    return by_reason


def _allowed(config: pytest.Config) -> list[str] | None:
    path = config.getoption("--allowed-skips")
    if path is None:
        return None
    lines = Path(path).read_text(encoding="utf-8").splitlines()
    return [line.strip() for line in lines if line.strip() and not line.startswith("#")]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """End with what was skipped and why, so that a green run cannot hide a hole."""
    skips = _skips(terminalreporter)
    if not skips:
        return
    allowed = _allowed(config)
    terminalreporter.section("skipped, and why")
    for reason, tests in sorted(skips.items()):
        verdict = "" if allowed is None or any(text in reason for text in allowed) else "   NOT ALLOWED"
        terminalreporter.write_line(f"{len(tests):5d}  {reason}{verdict}")


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """An unexpected skip is a failure in CI."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    allowed = _allowed(session.config)
    if reporter is None or allowed is None or exitstatus != pytest.ExitCode.OK:
        return
    if any(not any(text in reason for text in allowed) for reason in _skips(reporter)):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
