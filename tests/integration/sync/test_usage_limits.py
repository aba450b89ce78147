"""Usage under a component's limit_amount, and users' parts under limits of their own."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest
import time_machine
from structlog.testing import capture_logs

from slurm_tasks.errors import WaldurError
from tests.integration.sync.test_usage import HOUR, MARCH, events, job, sent
from tests.support.world import World

pytestmark = pytest.mark.usefixtures("march")

SERVERS = ("a", "7.8.9", "8.1.1", "8.1.3")
LATEST = "8.1.3"
"""It refuses nothing for a limit_amount."""


@pytest.fixture(params=SERVERS)
def limited(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:
    """A world with each kind of server."""
    with World.started(request.param, tmp_path) as started:
        yield started


def limit(world: World, amount: int | None, period: str | None) -> None:
    """Set what Waldur limits memory to, over which period."""
    (mem,) = [c for c in world.control.waldur.offering().components if c.type == "mem"]
    body = {"type": "mem", "name": mem.name, "measured_unit": mem.measured_unit}
    changed = {"limit_amount": amount, "limit_period": period}
    world.control.waldur.update_component(
        {"uuid": mem.uuid, **body, "billing_type": "usage", **changed}
    )


def hold(world: World, resource: str, gigabytes: int, start: datetime = MARCH) -> None:
    """Add a job that held memory, and four CPUs, for an hour."""
    tres = {"cpu": 4, "mem": gigabytes * 1024}
    world.slurm.add_job(world.backend_id(resource), "alice", start, HOUR, tres)


def mem(world: World, resource: str, month: str = "2025-03") -> Decimal | None:
    """Return what Waldur has of memory."""
    return world.waldur.usages(resource).get(("mem", f"{month}-01"))


def refused(world: World) -> list[str]:
    """Return the writes that Waldur refused, since `forget`."""
    return [post.path for post in world.posts() if post.status >= 400]


@pytest.mark.parametrize("period", ["month", "annual", "total"])
def test_usage_grows_up_to_its_limit(limited: World, period: str) -> None:
    """Also on servers that count the amount that they replace; no request is refused on the way."""
    limit(limited, 100, period)
    resource = limited.allocated()
    limited.forget()
    for expected in (40, 80, 100):
        hold(limited, resource, 40 if expected < 100 else 20)
        (report,) = limited.report_usage()
        assert (mem(limited, resource), report.refused) == (Decimal(expected), [])
    assert limited.waldur.user_usages(resource)["mem", "2025-03-01", "alice"] == Decimal(100)
    assert refused(limited) == []


@pytest.mark.parametrize("period", ["month", "annual", "total"])
def test_above_its_limit(limited: World, period: str) -> None:
    """Waldur keeps what it has, the rest is posted, and nothing that would be refused is sent."""
    limit(limited, 100, period)
    resource = limited.allocated()
    hold(limited, resource, 80)
    limited.report_usage()
    hold(limited, resource, 40)
    limited.forget()
    with capture_logs() as logs:
        reports = [limited.report_usage()[0] for _ in range(2)]
    newest = limited.waldur.version == LATEST
    assert mem(limited, resource) == Decimal(120 if newest else 80)
    assert limited.waldur.usages(resource)["cpu", "2025-03-01"] == Decimal(8)
    assert [len(report.refused) for report in reports] == ([0, 0] if newest else [1, 1])
    assert refused(limited) == []
    assert len(sent(limited, "set_usage")) == 1
    for told in events(logs, "usage_refused"):
        assert told["reason"] == "mem: 120.00 exceeds limit_amount 100; Waldur keeps what it has"


def test_a_limit_over_several_months(limited: World, march: time_machine.Traveller) -> None:
    """What was used in February counts towards the limit of the year."""
    limit(limited, 100, "annual")
    march.move_to(datetime(2025, 2, 15, tzinfo=UTC))
    resource = limited.allocated()
    hold(limited, resource, 70, datetime(2025, 2, 10, tzinfo=UTC))
    limited.report_usage()
    march.move_to(datetime(2025, 3, 15, tzinfo=UTC))
    hold(limited, resource, 20)
    limited.report_usage()
    hold(limited, resource, 10)
    limited.forget()
    limited.report_usage()
    assert mem(limited, resource) == Decimal(30)
    hold(limited, resource, 1)
    (report,) = limited.report_usage()
    newest = limited.waldur.version == LATEST
    assert mem(limited, resource) == Decimal(31 if newest else 30)
    assert (report.refused == []) is newest
    assert refused(limited) == []


def test_no_limit_period(limited: World) -> None:
    """An older server enforces nothing then; a newer one takes it for a month."""
    limit(limited, 100, None)
    resource = limited.allocated()
    hold(limited, resource, 120)
    limited.report_usage()
    kept = limited.waldur.version not in ("7.8.9", "8.1.1")
    assert mem(limited, resource) == (Decimal(120) if kept else None)
    assert refused(limited) == []


def test_a_server_that_counts_more_than_is_known(tmp_path: Path) -> None:
    """It is learnt from its refusal, once; the usage arrives all the same."""
    with World.started("8.1.1", tmp_path) as world:
        limit(world, 100, "month")
        resource = world.allocated()
        hold(world, resource, 60)
        world.report_usage()
        world.control.waldur.server.correct("for the test", counts_replaced=frozenset())
        with capture_logs() as logs:
            for expected in (80, 90):
                hold(world, resource, expected - int(mem(world, resource) or 0))
                world.report_usage()
                assert mem(world, resource) == Decimal(expected)
        assert len(events(logs, "waldur_differs")) == 1


def test_a_component_that_the_offering_lacks(limited: World) -> None:
    """It is left out and named; the others are posted, with no request that is refused."""
    resource = limited.allocated()
    components = limited.control.components
    limited.configure(components={**components, "billing": components["cpu"]})
    job(limited, resource)
    limited.forget()
    (report,) = limited.report_usage()
    assert limited.waldur.usages(resource)["cpu", "2025-03-01"] == Decimal(4)
    (told,) = report.refused
    assert "billing: the offering bills no usage of it" in told
    assert refused(limited) == []


def test_one_user_over_a_limit_of_his_own(tmp_path: Path) -> None:
    """The parts of the others arrive, though Waldur takes all of them together or none."""
    with World.started("8.0.5", tmp_path) as world:
        resource = world.allocated()
        for user in ("alice", "bob"):
            job(world, resource, user)
        world.waldur.set_user_limit(resource, "cpu", "bob", 1)
        (report,) = world.report_usage()
        found = world.waldur.user_usages(resource)
        assert found["cpu", "2025-03-01", "alice"] == Decimal(4)
        assert ("cpu", "2025-03-01", "bob") not in found
        assert found["mem", "2025-03-01", "bob"] == Decimal(1)
        (told,) = report.refused
        assert "cpu of bob" in told


def test_a_refusal_that_is_not_understood(limited: World) -> None:
    """What is taken is found once a day, not at each report; the rest goes on."""
    resource = limited.allocated()
    job(limited, resource)
    limited.waldur.faults.add(kind="status", status=400, method="POST", path="set_usage/", times=2)
    limited.report_usage()  # the whole, and cpu alone, are refused
    limited.forget()
    job(limited, resource)
    (report,) = limited.report_usage()
    assert mem(limited, resource) == Decimal(2)
    assert report.refused[0].partition(": ")[2].startswith("cpu: ")
    assert len(sent(limited, "set_usage")) == 1


def test_a_resource_that_waldur_fails_at(limited: World) -> None:
    """A 500 of one resource is told, and the others are posted; one of all is an outage."""
    first, second = limited.allocated("First"), limited.allocated("Second")
    for resource in (first, second):
        job(limited, resource)
    limited.waldur.faults.add(kind="status", status=500, method="POST", path="set_usage/")
    (report,) = limited.report_usage()
    assert "500" in report.refused[0]
    assert sorted(bool(limited.waldur.usages(r)) for r in (first, second)) == [False, True]
    limited.report_usage()
    assert all(limited.waldur.usages(r) for r in (first, second))
    job(limited, first)
    limited.waldur.faults.add(kind="status", status=500, method="POST", path="set_usage/")
    with pytest.raises(WaldurError):
        limited.report_usage()
