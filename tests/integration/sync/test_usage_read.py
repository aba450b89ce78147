"""What the cluster's records say: odd values, impossible times, and whose business they are."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from structlog.testing import capture_logs

from slurm_tasks.demo.slurm import Fault
from tests.support.world import World

pytestmark = pytest.mark.usefixtures("march")

MARCH = datetime(2025, 3, 10, tzinfo=UTC)
STRANGE = "GrpTRESMins=license/matlab@flex=7,gres/gpu:1g.5gb+me=8"
HEADER = "JobIDRaw|Account|User|Start|End|Submit|ElapsedRaw|Suspended|AllocTRES"


def job(world: World, resource: str, tres: Mapping[str, int], suspended: int = 0) -> None:
    """Add a job of one hour."""
    account = world.backend_id(resource)
    world.slurm.add_job(account, "alice", MARCH, 3600, tres, suspended=suspended)


def test_limits_with_strange_names_stop_nothing(world: World) -> None:
    """Neither that of a site's own account, nor one of the allocation itself."""
    resource = world.allocated()
    job(world, resource, {"cpu": 4})
    own = ("cluster=lab", "parent=waldur", "description=d", "organization=o")
    world.slurmctl("sacctmgr", "--immediate", "add", "account", "name=site", *own, STRANGE)
    where = ("where", f"name={world.backend_id(resource)}", "cluster=lab", "set", STRANGE)
    world.slurmctl("sacctmgr", "--immediate", "modify", "account", *where)

    (report,) = world.report_usage()

    assert [row.account for row in report.posted] == [world.backend_id(resource)]
    assert world.sync_members().writes == 0
    assert world.account(resource).limits["license/matlab@flex"] == 7


def test_a_job_with_a_remote_licence_stops_nothing(world: World) -> None:
    """`sbatch -L matlab@flex` of one user."""
    resource = world.allocated()
    job(world, resource, {"cpu": 4, "license/matlab@flex": 1})

    (report,) = world.report_usage()

    assert report.unread == []
    assert world.waldur.usages(resource)["cpu", "2025-03-01"] == Decimal("4.00")


def test_what_is_not_understood_of_one_account_is_its_own_matter(world: World) -> None:
    """The others' usage is posted; its own stays as it is in Waldur, and is never zero."""
    odd, other = world.allocated("Odd"), world.allocated("Other")
    job(world, odd, {"cpu": 4})
    world.report_usage()
    start = int(MARCH.timestamp())
    times = f"{start}|{start + 7200}|{start}|7200|00:00:00"
    rows = [
        f"1|{world.backend_id(odd)}|alice|{times}|cpu=many,license/x=y",
        f"2|{world.backend_id(other)}|bob|{times}|cpu=1,license/x=y",
    ]
    fault = Fault("sacct", stdout="\n".join([HEADER, *rows, ""]))
    world.slurm.set_faults(fault)

    with capture_logs() as logs:
        (report,) = world.report_usage()

    assert [row.account for row in report.posted] == [world.backend_id(other)]
    [told] = report.unread
    assert told.startswith(f"{world.backend_id(odd)} 2025-03: what a job of alice held: 'cpu=many'")
    assert {"usage_unknown", "tres_not_understood"} <= {entry["event"] for entry in logs}
    assert world.waldur.usages(odd)["cpu", "2025-03-01"] == Decimal("4.00")
    assert world.waldur.usages(other)["cpu", "2025-03-01"] == Decimal("2.00")


def test_a_job_whose_clock_stepped_back_is_billed_for_its_time_and_named(world: World) -> None:
    """Not until the month's end: slurmdbd keeps a moment as its suspended time."""
    resource = world.allocated()
    job(world, resource, {"cpu": 2, "mem": 1024}, suspended=int(MARCH.timestamp()) + 128)

    (report,) = world.report_usage()

    assert world.waldur.usages(resource)["mem", "2025-03-01"] == Decimal("1.00")
    assert world.waldur.usages(resource)["cpu", "2025-03-01"] == Decimal("2.00")
    [told] = report.doubtful
    assert told.startswith(f"{world.backend_id(resource)} 2025-03: job 1 of alice: ")


def test_a_termination_waits_while_its_usage_is_not_understood(world: World) -> None:
    """The account is gone; the order is done once its records can be read."""
    resource = world.allocated()
    job(world, resource, {"cpu": 4})
    start = int(MARCH.timestamp())
    times = f"{start}|{start + 7200}|{start}|7200|00:00:00"
    row = f"1|{world.backend_id(resource)}|alice|{times}|cpu=many"
    world.slurm.set_faults(Fault("sacct", stdout=f"{HEADER}\n{row}\n"))
    order = world.waldur.order_terminate(resource)

    said = world.carry_out(order)

    assert said.startswith("deferred: its usage of 2025-03 is not understood: ")
    assert world.order_state(order) == "executing"
    world.slurm.set_faults()
    assert world.carry_out(order).startswith("done")
    assert world.waldur.usages(resource)["cpu", "2025-03-01"] == Decimal("4.00")
