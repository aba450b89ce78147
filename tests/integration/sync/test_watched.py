"""What the flows leave behind for those who watch: metrics, and lines in the log."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
import structlog
import time_machine
from structlog.testing import capture_logs

from slurm_tasks.demo.slurm import Fault
from slurm_tasks.sync import orders
from tests.support import meter
from tests.support.world import World

HOUR = 3600


@pytest.fixture(autouse=True)
def metrics() -> None:
    """Count from the beginning of each test."""
    meter.reset()


def lost(world: World, resource: str) -> None:
    """Remove an account past the service."""
    name = world.backend_id(resource)
    for what, key in (("user", "account"), ("account", "name")):
        world.slurmctl("sacctmgr", "--immediate", "remove", what, "where", f"{key}={name}")


def worked(world: World, resource: str, hours: int = 1) -> None:
    """Add a job that held four CPUs for some hours."""
    start = datetime.now(UTC) - timedelta(hours=hours)
    world.slurm.add_job(world.backend_id(resource), "alice", start, hours * HOUR, {"cpu": 4})


def test_orders_are_counted_by_outcome(new: World) -> None:
    """One order is done and one is refused."""
    new.allocated()
    new.carry_out(new.order("Negative", {"cpu": -5}))

    assert meter.read("orders_total", type="Create", outcome="done") == 1
    assert meter.read("orders_total", type="Create", outcome="erred") == 1


def test_an_order_that_waits_is_counted_at_each_attempt(new: World) -> None:
    """While slurmdbd is away an order waits."""
    order = new.order()
    new.slurm.set_faults(Fault.database_away("add account", times=None))
    new.carry_out(order)
    new.carry_out(order)

    assert meter.read("orders_total", type="Create", outcome="waiting") == 2


def test_the_oldest_open_order_has_an_age(new: World) -> None:
    """The age is that of the oldest of a type; types without an open order have none."""
    with time_machine.travel(datetime(2025, 3, 15, 12, tzinfo=UTC)) as clock:
        new.order("First")
        clock.shift(60)
        new.order("Second")
        orders.waiting(new.control)

    age = meter.read("oldest_open_order_age_seconds", type="Create")
    assert age == pytest.approx(60, abs=10)
    assert meter.read("oldest_open_order_age_seconds", type="Terminate") == 0


def test_a_cycle_of_orders_has_a_line(new: World) -> None:
    """Each look for orders says how many are open."""
    new.order()
    with capture_logs() as logs:
        orders.waiting(new.control)

    assert [line["open"] for line in logs if line["event"] == "orders_seen"] == [1]


def test_drift_is_counted_by_change(new: World) -> None:
    """What the member sync has to change, no order asked for; an order's changes are none."""
    new.allocated()
    assert meter.read("drift_found_total", change="AddAccount") is None
    new.join("carol")
    new.sync_members()

    assert meter.read("drift_found_total", change="AddUsers") == 1


def test_a_plan_counts_no_drift(new: World) -> None:
    """Whoever looks at `slurm-tasks plan` changes no figure."""
    new.allocated()
    new.join("carol")
    new.plan()

    assert meter.read("drift_found_total", change="AddUsers") is None


def test_the_guards_stops_are_counted_by_reason(new: World) -> None:
    """The wrong cluster is one reason, too many removals are the other."""
    people = [f"user{number}" for number in range(6)]
    for name in people:
        new.join(name)
    new.allocated()
    for name in people:
        new.leave(name)
    new.sync_members()
    new.slurm.reset()
    new.sync_members()

    assert meter.read("guard_stops_total", reason="removals") == 1
    assert meter.read("guard_stops_total", reason="cluster") == 1


def test_missing_accounts_are_counted_until_they_are_back(new: World) -> None:
    """The figure is that of the last collection, nought included."""
    new.allocated("Other")
    resource = new.allocated()
    lost(new, resource)
    new.collect()
    assert meter.read("accounts_missing", cluster="lab") == 1
    new.waldur.set_resource(resource, state="Terminated")
    new.collect()
    assert meter.read("accounts_missing", cluster="lab") == 0


def test_usage_posted_is_counted(new: World) -> None:
    """A resource's usage of a month is one."""
    worked(new, new.allocated())
    new.report_usage()

    assert meter.read("usage_posted_total", what="usage") == 1
    assert meter.read("usage_refused_total", what="usage") is None


def test_usage_refused_is_counted(new: World) -> None:
    """What Waldur refuses is counted, whether or not it takes the rest."""
    resource = new.allocated()
    start = datetime.now(UTC) - timedelta(hours=1)
    name = new.backend_id(resource)
    new.slurm.add_job(name, "alice", start, HOUR, {"mem": 2 * 40001 * 1024})
    new.report_usage()

    assert meter.read("usage_refused_total", what="usage") == 1
    assert meter.read("usage_posted_total", what="usage") == 1


def test_limits_pushed_are_counted(new: World) -> None:
    """A limit that was changed on the cluster and goes to Waldur is one."""
    name = new.backend_id(new.allocated())
    where = ("--immediate", "modify", "account", "where", f"name={name}", "cluster=lab")
    new.slurmctl("sacctmgr", *where, "set", "GrpTRESMins=cpu=12000")
    new.report_usage()

    assert meter.read("usage_posted_total", what="limits") == 1


def test_usage_that_decreased_is_counted_by_component(new: World) -> None:
    """Each report that finds less than Waldur has counts once."""
    resource = new.allocated()
    worked(new, resource)
    new.report_usage()
    with new.slurm._connected() as connection:
        connection.execute("DELETE FROM job")
    new.report_usage()
    new.report_usage()

    assert meter.read("usage_decreased_total", component="cpu") == 2


def test_every_write_of_an_order_names_it(new: World) -> None:
    """A command's line says which order and which account it was for."""
    structlog.contextvars.clear_contextvars()
    order = new.order()
    with capture_logs(processors=[structlog.contextvars.merge_contextvars]) as logs:
        new.carry_out(order)

    commands = [line for line in logs if line["event"] == "slurm_command"]
    writes = [line for line in commands if "add" in line["argv"]]
    account = new.backend_id(new.resource_of(order))
    assert len(writes) == 4
    assert {(line["order"], line["account"]) for line in writes} == {(order, account)}
    assert all(line["seconds"] >= 0 and line["exit_code"] == 0 for line in writes)


def test_the_last_measurement_names_its_order(new: World) -> None:
    """So does the sacct that a Terminate ends with."""
    resource = new.allocated()
    account = new.backend_id(resource)
    order = new.waldur.order_terminate(resource)
    with capture_logs(processors=[structlog.contextvars.merge_contextvars]) as logs:
        new.carry_out(order)

    measured = [line for line in logs if "sacct" in line.get("argv", [])]
    assert measured
    assert {(line["order"], line["account"]) for line in measured} == {(order, account)}
