"""What all tests share: fixtures of real parts, and CI's rule that nothing is skipped there."""

import os

import pytest

pytest_plugins = ["tests.support.fixtures", "tests.support.chaos"]

_ON_CI = os.environ.get("CI") == "true"


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail a run on CI that skipped anything: what isn't run there isn't tested at all."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if _ON_CI and reporter and reporter.stats.get("skipped") and not session.exitstatus:
        reporter.write_line("CI: a skipped test is a failure here", red=True)
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
