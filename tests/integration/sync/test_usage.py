"""Usage: what jobs held, in total and by user, in the month that it was held in."""

from __future__ import annotations

from collections.abc import MutableMapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
import time_machine
from structlog.testing import capture_logs

from slurm_tasks.sync import usage
from tests.support.world import LIMITS, TRES_MINUTES, World

pytestmark = pytest.mark.usefixtures("march")

MARCH, FEBRUARY = datetime(2025, 3, 10, tzinfo=UTC), datetime(2025, 2, 10, tzinfo=UTC)
HOUR = 3600
Event = MutableMapping[str, Any]
GIB = {"mem": 1024}


def job(
    world: World, resource: str, user: str = "alice", hours: float = 1, start: datetime = MARCH
) -> None:
    """Add a job that held four CPUs and a GiB for some hours."""
    seconds = hours * HOUR
    world.slurm.add_job(world.backend_id(resource), user, start, seconds, {"cpu": 4, **GIB})


def events(logs: Sequence[Event], name: str) -> list[Event]:
    """Return the log's events of a name."""
    return [entry for entry in logs if entry["event"] == name]


def sent(world: World, action: str) -> list[object]:
    """Return the bodies that were posted to an action, since `forget`."""
    return [post.body for post in world.posts() if post.path.endswith(f"/{action}/")]


def test_totals(world: World) -> None:
    """The sum of what jobs held is posted, every component, in measured units."""
    resource = world.allocated()
    job(world, resource, "alice")
    job(world, resource, "bob", hours=0.5)
    world.report_usage()
    assert world.waldur.usages(resource) == {
        ("cpu", "2025-03-01"): Decimal("6.00"),
        ("mem", "2025-03-01"): Decimal("1.50"),
        ("gres/gpu", "2025-03-01"): Decimal("0.00"),
    }


def test_users(world: World) -> None:
    """Each user's part is posted beneath the total."""
    resource = world.allocated()
    job(world, resource, "alice")
    job(world, resource, "bob", hours=0.5)
    world.report_usage()
    parts = world.waldur.user_usages(resource)
    assert parts["cpu", "2025-03-01", "alice"] == Decimal("4.00")
    assert parts["cpu", "2025-03-01", "bob"] == Decimal("2.00")
    assert parts["mem", "2025-03-01", "bob"] == Decimal("0.50")


def test_links_to_people(world: World) -> None:
    """A user's part is linked to the person, however Waldur writes the username."""
    world.join("carol", "Carol")
    resource = world.allocated()
    job(world, resource, "carol")
    world.report_usage()
    links = {
        share.username: share.offering_user and share.offering_user.user.username
        for share in world.waldur._db.user_usages.values()
    }
    assert links == {"carol": "carol"}


def test_differences_only(world: World) -> None:
    """Only the resource whose usage grew is posted again."""
    first, second = world.allocated("First"), world.allocated("Second")
    for resource in (first, second):
        job(world, resource)
    world.report_usage()
    world.forget()
    job(world, second)
    world.report_usage()
    posted = [body["resource"] for body in sent(world, "set_usage") if isinstance(body, dict)]
    assert posted == [second]
    assert world.waldur.usages(first)["cpu", "2025-03-01"] == Decimal("4.00")


def test_requeued_and_foreign_jobs(world: World) -> None:
    """Every run of a job counts; jobs of accounts that aren't ours don't."""
    resource = world.allocated()
    account = world.backend_id(resource)
    number = world.slurm.add_job(account, "alice", MARCH, HOUR, {"cpu": 1}, "REQUEUED")
    later = MARCH + timedelta(hours=2)
    world.slurm.add_job(account, "alice", later, HOUR, {"cpu": 1}, id=number)
    world.slurm.add_job("root", "root", MARCH, HOUR, {"cpu": 100})
    world.report_usage()
    assert world.waldur.usages(resource)["cpu", "2025-03-01"] == Decimal("2.00")


def test_across_the_months(new: World) -> None:
    """A job that spans the month's end counts in each month for its part."""
    resource = new.allocated()
    job(new, resource, hours=3, start=datetime(2025, 2, 28, 23, tzinfo=UTC))
    new.report_usage()
    found = new.waldur.usages(resource)
    assert found["cpu", "2025-02-01"] == Decimal("4.00")
    assert found["cpu", "2025-03-01"] == Decimal("8.00")


def test_previous_month_on_older_servers(old: World) -> None:
    """An older server, which would book it to this month, gets nothing of the previous one."""
    resource = old.allocated()
    job(old, resource, start=FEBRUARY)
    old.report_usage()
    assert old.waldur.usages(resource) == {
        (kind, "2025-03-01"): Decimal(0) for kind in ("cpu", "mem", "gres/gpu")
    }


def test_months_measured(world: World) -> None:
    """This month, and the previous one: what Waldur lacks of it is told where it takes no more."""
    world.allocated()
    (measurement,) = world.collect()
    (allocation,) = measurement.allocations
    assert [found.period.month for found in allocation.usage] == ["2025-02", "2025-03"]


def test_midnight_on_older_servers(old: World, march: time_machine.Traveller) -> None:
    """What was measured before midnight of the month's end is not posted after it."""
    resource = old.allocated()
    job(old, resource)
    (measurement,) = old.collect()
    march.move_to(datetime(2025, 4, 1, 0, 1, tzinfo=UTC))
    report = usage.push(old.control, measurement)
    assert old.waldur.usages(resource) == {}
    assert report.later == [f"{old.backend_id(resource)} 2025-03"]


def test_midnight_on_newer_servers(new: World, march: time_machine.Traveller) -> None:
    """What was measured before midnight of the month's end is posted to that month after it."""
    resource = new.allocated()
    job(new, resource)
    (measurement,) = new.collect()
    march.move_to(datetime(2025, 4, 1, 0, 1, tzinfo=UTC))
    usage.push(new.control, measurement)
    assert new.waldur.usages(resource)["cpu", "2025-03-01"] == Decimal("4.00")
    assert {month for _, month in new.waldur.usages(resource)} == {"2025-03-01"}


def test_closed_month(new: World) -> None:
    """A month that Waldur has closed is no warning, and the current one is posted."""
    resource = new.allocated()
    job(new, resource, start=FEBRUARY)
    job(new, resource)
    new.waldur.close_period("2025-02")
    with capture_logs() as logs:
        (report,) = new.report_usage()
    assert [entry["month"] for entry in events(logs, "usage_month_closed")] == ["2025-02"]
    assert report.closed == [f"{new.backend_id(resource)} 2025-02"]
    assert (report.refused, events(logs, "usage_refused")) == ([], [])
    assert {month for _, month in new.waldur.usages(resource)} == {"2025-03-01"}


def shrunk(world: World) -> str:
    """Report eight CPU-hours, and let SLURM forget half of them."""
    resource = world.allocated()
    job(world, resource, hours=2)
    world.report_usage()
    with world.slurm._connected() as connection:
        connection.execute("UPDATE job SET end = start + 3600")
    world.forget()
    return resource


def test_decrease_kept(world: World) -> None:
    """Usage that shrinks stays as it is in Waldur, and is told with both values."""
    resource = shrunk(world)
    with capture_logs() as logs:
        world.report_usage()
    assert world.waldur.usages(resource)["cpu", "2025-03-01"] == Decimal("8.00")
    told = [(e["component"], e["waldur"], e["cluster"]) for e in events(logs, "usage_decreased")]
    assert told == [("cpu", "8.00", "4.00"), ("mem", "2.00", "1.00")]


def test_decrease_posted(world: World) -> None:
    """With SLURM_USAGE_DECREASE=post usage that shrinks is posted."""
    resource = shrunk(world)
    world.configure(keep_greater=False)
    world.report_usage()
    assert world.waldur.usages(resource)["cpu", "2025-03-01"] == Decimal("4.00")
    assert world.waldur.user_usages(resource)["cpu", "2025-03-01", "alice"] == Decimal("4.00")


def test_over_the_limit(refusing: World) -> None:
    """A resource whose usage Waldur refuses is one warning; the others are posted."""
    greedy, modest = refusing.allocated("Greedy"), refusing.allocated("Modest")
    refusing.slurm.add_job(refusing.backend_id(greedy), "alice", MARCH, HOUR, {"mem": 40001 * 1024})
    job(refusing, modest)
    with capture_logs() as logs:
        (report,) = refusing.report_usage()
    assert [entry["account"] for entry in events(logs, "usage_refused")] == [
        refusing.backend_id(greedy)
    ]
    assert "exceeds limit" in report.refused[0]
    assert refusing.waldur.usages(modest)["cpu", "2025-03-01"] == Decimal("4.00")


def test_shared_backend_id(world: World) -> None:
    """Two resources with one backend id are both left out: who used it isn't known."""
    first, second, third = (world.allocated(name) for name in ("First", "Second", "Third"))
    for resource in (first, third):
        job(world, resource)
    world.waldur.set_resource(second, backend_id=world.backend_id(first).upper())
    with capture_logs() as logs:
        world.report_usage()
    assert [world.waldur.usages(x) for x in (first, second)] == [{}, {}]
    assert world.waldur.usages(third)["cpu", "2025-03-01"] == Decimal("4.00")
    assert [entry["log_level"] for entry in events(logs, "backend_id_shared")] == ["error"]


def lost(world: World, resource: str) -> None:
    """Remove an account past the service."""
    name = world.backend_id(resource)
    for what, key in (("user", "account"), ("account", "name")):
        world.slurmctl("sacctmgr", "--immediate", "remove", what, "where", f"{key}={name}")


def test_missing_account(world: World) -> None:
    """An account that is gone is reported; its usage, limits and users stay as Waldur has them."""
    resource = world.allocated()
    job(world, resource)
    world.report_usage()
    before = world.waldur.usages(resource)
    lost(world, resource)
    world.forget()
    (report,) = world.report_usage()
    assert report.missing == [world.backend_id(resource)]
    assert (world.waldur.usages(resource), world.posts()) == (before, [])


def test_state_stays(world: World) -> None:
    """Reporting changes no resource's state, whatever is found."""
    first, second = world.allocated("First"), world.allocated("Second")
    job(world, first)
    lost(world, second)
    world.waldur.set_resource(first, state="Updating")
    world.report_usage()
    assert [world.resource_state(x) for x in (first, second)] == ["Updating", "OK"]


def test_resources_in_use_only(world: World) -> None:
    """Resources that aren't in use any more, or not yet, are not measured."""
    resource = world.allocated()
    job(world, resource)
    for state in ("Creating", "Erred", "Terminated"):
        world.waldur.set_resource(resource, state=state)
        world.report_usage()
    assert world.waldur.usages(resource) == {}


def many(world: World, count: int) -> list[str]:
    """Make many allocations past the service; return their resources."""
    orders = [
        world.waldur.order_create(world.project, f"a{n}", LIMITS, state="done")
        for n in range(count)
    ]
    resources = [world.resource_of(order) for order in orders]
    for number, resource in enumerate(resources):
        world.waldur.set_resource(resource, state="OK", backend_id=f"many{number}")
    names = ",".join(f"many{n}" for n in range(count))
    world.slurmctl(
        *("sacctmgr", "--immediate", "add", "account", f"name={names}", "cluster=lab"),
        *("parent=waldur", "description=d", "organization=o", "GrpTRESMins=cpu=6000,gres/gpu=300"),
    )
    return resources


def test_many(new: World) -> None:
    """250 allocations take two listings, slurmdbd's settings, a sacct for each month, two messages.

    The second listing has the accounts that were removed.
    """
    resources = many(new, 250)
    job(new, resources[-1])
    new.forget()
    reports = new.report_usage()
    tools = [command.tool for command in new.slurm.commands()]
    assert (sorted(tools), len(reports)) == ([*["sacct"] * 2, *["sacctmgr"] * 3], 2)
    assert new.waldur.usages(resources[-1])["cpu", "2025-03-01"] == Decimal("4.00")


def test_reading_changes_nothing(world: World) -> None:
    """Measuring runs no command that writes."""
    world.allocated()
    world.forget()
    world.report_usage()
    assert world.writes() == []


def cluster_limit(world: World, resource: str, limit: str) -> None:
    """Set a limit of an account past the service."""
    where = ("--immediate", "modify", "account", "where", f"name={world.backend_id(resource)}")
    world.slurmctl("sacctmgr", *where, "cluster=lab", "set", f"GrpTRESMins={limit}")


def test_limits_pushed(world: World) -> None:
    """A limit that was changed on the cluster is Waldur's, too; the other ones stay."""
    resource = world.allocated()
    cluster_limit(world, resource, "cpu=12000")
    (report,) = world.report_usage()
    assert report.limits == [world.backend_id(resource)]
    assert world.waldur.resource(resource)["limits"] == {"cpu": 200, "gres/gpu": 5}
    assert world.resource_state(resource) == "OK"


def test_limits_with_an_open_order(world: World) -> None:
    """While an order is open its limits are not overwritten."""
    resource = world.allocated()
    cluster_limit(world, resource, "cpu=12000")
    world.waldur.order_update(resource, {"cpu": 7, "gres/gpu": 5})
    world.report_usage()
    assert world.waldur.resource(resource)["limits"] == LIMITS


def test_limits_that_changed_meanwhile(world: World) -> None:
    """An Update between the measurement and the push is not undone by it."""
    resource = world.allocated()
    (measurement,) = world.collect()
    world.carry_out(world.waldur.order_update(resource, {"cpu": 7, "gres/gpu": 5}))
    usage.push(world.control, measurement)
    assert world.waldur.resource(resource)["limits"] == {"cpu": 7, "gres/gpu": 5}


def test_limits_of_waldur(world: World) -> None:
    """With SLURM_LIMIT_OWNER=waldur the cluster's limits are not pushed."""
    resource = world.allocated()
    cluster_limit(world, resource, "cpu=12000")
    world.configure(limit_owner="waldur")
    world.report_usage()
    assert world.waldur.resource(resource)["limits"] == LIMITS


def test_fine_limits_survive(world: World) -> None:
    """A cluster's limit that is no whole hour doesn't change by being reported and updated."""
    resource = world.allocated()
    cluster_limit(world, resource, "cpu=6030")
    world.report_usage()
    world.forget()
    world.report_usage()
    assert world.posts() == []


def test_associations(world: World) -> None:
    """Users of the account are mirrored on older servers, and nowhere else."""
    resource = world.allocated()
    account = world.backend_id(resource)
    where = ("--immediate", "add", "user", "name=svc", f"account={account}", "cluster=lab")
    world.slurmctl("sacctmgr", *where)
    world.forget()
    (report,) = world.report_usage()
    older = world.waldur.generation == "a"
    assert world.waldur.associations(resource) == ({"alice", "bob", "svc"} if older else set())
    assert report.associations == (1 if older else 0)
    assert len(sent(world, "create_association")) == report.associations


def test_waldur_failing(world: World) -> None:
    """A Waldur that fails in the middle is continued with the next time; nothing counts twice."""
    from slurm_tasks.errors import WaldurError

    resources = [world.allocated(name) for name in ("First", "Second")]
    for resource in resources:
        job(world, resource)
    world.waldur.faults.add(kind="answer_lost", method="POST", path="set_usage/")
    with pytest.raises(WaldurError):
        world.report_usage()
    world.report_usage()
    for resource in resources:
        assert world.waldur.usages(resource)["cpu", "2025-03-01"] == Decimal("4.00")
        assert world.waldur.user_usages(resource)["cpu", "2025-03-01", "alice"] == Decimal("4.00")


def test_dry_run(world: World) -> None:
    """A dry run tells what it would post, and posts nothing."""
    resource = world.allocated()
    job(world, resource)
    cluster_limit(world, resource, "cpu=12000")
    (measurement,) = world.collect()
    world.forget()
    report = usage.push(world.control, measurement, dry_run=True)
    assert [difference.new["cpu"] for difference in report.posted] == [Decimal("4.00")]
    assert world.posts() == []


def test_limits_on_the_cluster_stay(world: World) -> None:
    """Reporting doesn't touch the cluster's limits."""
    resource = world.allocated()
    world.report_usage()
    assert world.account(resource).limits == TRES_MINUTES


def test_no_allocations(world: World) -> None:
    """An offering without allocations is measured in no time."""
    assert world.report_usage() == []
