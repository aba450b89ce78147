"""`slurm-tasks usage …` about months that a server takes nothing for."""

from __future__ import annotations

import pytest
from click.testing import CliRunner, Result

from slurm_tasks.cli import common
from slurm_tasks.cli.usage import usage
from tests.integration.sync.test_usage import FEBRUARY, job
from tests.support.world import World

pytestmark = pytest.mark.usefixtures("march")


@pytest.fixture
def used(old: World, monkeypatch: pytest.MonkeyPatch) -> World:
    """An older server with an allocation that was used in February; the shell acts on it."""
    monkeypatch.setattr(common, "local_control", lambda: old.control)
    monkeypatch.setattr(common, "local_headnode", lambda: old.node)
    job(old, old.allocated(), start=FEBRUARY)
    old.forget()
    return old


def shell(*argv: str) -> Result:
    """Run a command in this process."""
    return CliRunner().invoke(usage, [*argv, "--local"])


@pytest.mark.parametrize("argv", [("show",), ("report", "--dry-run")])
def test_a_month_that_is_over_is_shown(used: World, argv: tuple[str, ...]) -> None:
    """Nothing is posted for it, so nothing is refused."""
    done = shell(*argv, "--month", "2025-02")
    assert done.exit_code == 0, done.output
    assert "4.00" in done.output
    assert used.posts() == []


def test_a_month_that_is_over_is_not_reported(used: World) -> None:
    """It says why and what helps, and not to try the same again."""
    done = shell("report", "--from", "2025-02", "--to", "2025-03")
    assert done.exit_code == 1
    assert "2025-02 can't be reported" in done.output
    assert "usage show --month 2025-02" in done.output
    assert "go on with" not in done.output
    assert used.posts() == []


def test_the_usual_report_tells_what_is_missed(used: World) -> None:
    """In numbers, with an exit code that says that it isn't all there."""
    done = shell("report")
    assert done.exit_code == 1
    assert "2025-02 cpu: the cluster says 4.00, Waldur has 0.00" in done.output
    assert {post.path.rstrip("/").rpartition("/")[2] for post in used.posts()} >= {"set_usage"}
