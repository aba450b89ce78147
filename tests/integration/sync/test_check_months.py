"""What `slurm-tasks check` says of months: which a server takes, by whose clock and time zone."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from slurm_tasks.model.findings import Verdict
from slurm_tasks.sync import check_months, check_waldur
from tests.support.world import World

pytestmark = pytest.mark.usefixtures("march")


@pytest.mark.parametrize(
    ("server", "name", "past"),
    [
        ("a", "an older one", "can't be reported"),
        ("7.8.9", "Waldur 7.8.5 or newer", "can't be reported"),
        ("7.9.2", "Waldur 7.9.0 or newer", "by Waldur's staff only"),
        ("8.0.5", "Waldur 8.0.5 or newer", "limit-based components can be reported"),
        ("8.1.3", "Waldur 8.1.3", "limit-based components can be reported"),
    ],
)
def test_the_server_and_what_it_takes(tmp_path: Path, server: str, name: str, past: str) -> None:
    """Generation, version, and what follows for a month that is over."""
    with World.started(server, tmp_path) as world:
        findings = list(check_waldur.findings(world.control))
    assert name in findings[0].message
    (said,) = [found.message for found in findings if found.what == check_months.USAGE]
    assert past in said


@pytest.mark.parametrize(
    ("server", "known", "zone", "verdict"),
    [
        ("a", False, "UTC", Verdict.OK),
        ("a", True, "Europe/Tallinn", Verdict.OK),
        ("a", True, "America/New_York", Verdict.WARNING),
        ("8.1.3", True, "America/New_York", Verdict.OK),
        ("8.1.3", False, "UTC", Verdict.WARNING),
    ],
)
def test_the_time_zone(
    tmp_path: Path, server: str, known: bool, zone: str, verdict: Verdict
) -> None:
    """It is told where months may be taken for others than they are."""
    with World.started(server, tmp_path) as world:
        world.configure(zone_known=known, zone=ZoneInfo(zone))
        found = [f for f in check_months.findings(world.control) if f.what == check_months.MONTHS]
    assert [finding.verdict for finding in found] == [verdict]


@pytest.mark.parametrize(("seconds", "told"), [(10, 0), (300, 1), (-300, 1)])
def test_the_clock(world: World, seconds: int, told: int) -> None:
    """Waldur's decides where a report is booked; one that differs much is told."""
    world.waldur.set_now(datetime.now(UTC) + timedelta(seconds=seconds))
    world.control.waldur.username()
    found = [f for f in check_months.findings(world.control) if f.what == check_months.CLOCK]
    assert len(found) == told
