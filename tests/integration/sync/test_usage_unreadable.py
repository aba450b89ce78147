"""Job records that slurmdbd can't read, or hides: never a zero, and never for ever."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, cast

import pytest
import time_machine
from structlog.testing import capture_logs

from slurm_tasks.demo.slurm import Fault
from slurm_tasks.errors import FailedReadError
from slurm_tasks.slurm.commands import WhoAmI
from tests.support.world import SwiftRunner, World

pytestmark = pytest.mark.usefixtures("march")

MARCH, FEBRUARY = datetime(2025, 3, 10, tzinfo=UTC), datetime(2025, 2, 10, tzinfo=UTC)
CPU = ("cpu", "2025-03-01")
UNREADABLE = Fault("sacct", lines=1)


def job(world: World, resource: str, start: datetime = MARCH, cpus: int = 4) -> None:
    """Add a job of an hour."""
    tres: Mapping[str, int] = {"billing": cpus, "cpu": cpus}
    world.slurm.add_job(world.backend_id(resource), "alice", start, 3600, tres)


def test_an_empty_answer_posts_nothing_where_slurmctld_counts_usage(world: World) -> None:
    """Not even for allocations that Waldur knows no usage of; it is told."""
    resource, idle = world.allocated("Used"), world.allocated("Idle")
    job(world, resource)
    world.slurm.set_faults(UNREADABLE)

    with capture_logs() as logs:
        (report,) = world.report_usage()

    assert report.posted == []
    assert "2025-03" in report.failed
    assert "slurmctld counts usage" in report.failed["2025-03"]
    assert world.waldur.usages(resource) == world.waldur.usages(idle) == {}
    assert {"usage_read_failed", "usage_not_read"} <= {entry["event"] for entry in logs}
    world.slurm.set_faults()
    world.report_usage()
    assert world.waldur.usages(resource)[CPU] == Decimal("4.00")


def test_an_empty_answer_posts_nothing_where_waldur_has_usage(world: World) -> None:
    """The month doesn't fall to zero, where slurmctld's count begins anew, too."""
    resource = world.allocated()
    job(world, resource)
    world.report_usage()
    world.configure(keep_greater=False)
    with time_machine.travel(datetime(2025, 4, 1, 1, tzinfo=UTC)):  # PriorityUsageResetPeriod
        world.slurm.set_faults(UNREADABLE)
        (report,) = world.report_usage()

    assert report.posted == []
    assert "2025-04" in report.failed or world.server == "a"
    assert report.purged in ([], ["2025-03"])
    assert world.waldur.usages(resource)[CPU] == Decimal("4.00")


def test_one_empty_answer_is_told_by_the_next_one(world: World) -> None:
    """A lock on the table that is gone in the same second."""
    resource = world.allocated()
    job(world, resource)
    world.slurm.set_faults(Fault("sacct", argv="accounts=.*alloctres", times=2, lines=1))

    (report,) = world.report_usage()

    assert report.posted == []
    assert "and then it did" in report.failed["2025-03"]


def test_an_idle_month_reports_zero(world: World) -> None:
    """Though it was used before: those records are there, so this month's could be read."""
    resource = world.allocated()
    job(world, resource, FEBRUARY - timedelta(days=90))

    (report,) = world.report_usage()

    assert report.failed == {}


def test_limits_are_pushed_all_the_same(old: World) -> None:
    """What was read of them is right."""
    resource = old.allocated()
    job(old, resource)
    old.configure(limit_owner="slurm")
    where = ("where", f"name={old.backend_id(resource)}", "cluster=lab", "set")
    old.slurmctl("sacctmgr", "--immediate", "modify", "account", *where, "GrpTRESMins=cpu=600")
    old.slurm.set_faults(UNREADABLE)

    (report,) = old.report_usage()

    assert (report.limits, report.posted) == ([old.backend_id(resource)], [])
    assert report.failed


def test_a_termination_waits_and_keeps_its_account(world: World) -> None:
    """Slurmctld would forget what it counts of it; its last usage is posted when it can be read."""
    resource = world.allocated()
    account = world.backend_id(resource)
    job(world, resource)
    world.slurm.set_faults(UNREADABLE)
    order = world.waldur.order_terminate(resource)

    said = world.carry_out(order)

    assert said.startswith("deferred: its usage of 2025-0")
    assert "can't be read" in said
    assert account in world.slurm.accounts()
    assert world.account(resource).submit_jobs == 0
    world.slurm.set_faults()
    assert world.carry_out(order).startswith("done")
    assert account not in world.slurm.accounts()
    assert world.waldur.usages(resource)[CPU] == Decimal("4.00")


def test_a_termination_waits_where_only_waldur_knows_of_usage(world: World) -> None:
    """Of this month, since slurmctld was started anew without its state."""
    resource = world.allocated()
    job(world, resource)
    world.report_usage()
    with world.slurm._connected() as connection:
        connection.execute("UPDATE job SET account = 'other'")
    order = world.waldur.order_terminate(resource)

    world.slurm.set_faults(UNREADABLE)
    with pytest.raises(FailedReadError, match="Waldur has usage"):
        world.carry_out(order)

    assert world.order_state(order) == "executing"


def test_the_termination_of_an_allocation_that_nobody_used_is_done(world: World) -> None:
    """Nothing says that there was any usage."""
    resource = world.allocated()

    assert world.carry_out(world.waldur.order_terminate(resource)).startswith("done")


def test_jobs_that_are_hidden_from_us_are_no_usage(world: World) -> None:
    """PrivateData=jobs, and we are nobody: our own few jobs aren't all that there was."""
    resource = world.allocated()
    job(world, resource)
    world.slurm.hide_jobs()
    world.node = replace(world.node, cluster=as_user(world, "alice"))

    (report,) = world.report_usage()
    said = world.carry_out(world.waldur.order_terminate(resource))

    assert report.posted == []
    assert "PrivateData=jobs" in report.failed["2025-03"]
    assert said.startswith("deferred: ")
    world.slurm.set_level("alice", "Operator")
    assert world.report_usage()[0].failed == {}
    assert world.waldur.usages(resource)[CPU] == Decimal("4.00")


def as_user(world: World, user: str) -> Any:  # noqa: ANN401 - SlurmCluster
    """Return the cluster as the commands of some user see it."""

    class Somebody(SwiftRunner):
        def read(self, command: Any) -> Any:  # noqa: ANN401 - whatever the command gives
            return user if isinstance(command, WhoAmI) else super().read(command)

    usual = cast("SwiftRunner", world.node.cluster.runner)
    environment = {**usual.environment, "SLURM_SIM_USER": user}
    runner = Somebody(usual.bin_dir, usual.timeout, environment=environment)
    return replace(world.node.cluster, runner=runner)
