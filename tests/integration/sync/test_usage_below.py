"""Accounts that a site has made below an allocation: their jobs are the allocation's."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from tests.support.world import World

pytestmark = pytest.mark.usefixtures("march")

MARCH = datetime(2025, 3, 10, tzinfo=UTC)
CPU = ("cpu", "2025-03-01")


def add_account(world: World, name: str, parent: str, description: str = "ours") -> None:
    """Add an account past the service."""
    new = (f"name={name}", "cluster=lab", f"parent={parent}", f"description={description}")
    world.slurmctl("sacctmgr", "--immediate", "add", "account", *new, "organization=o")


def job(world: World, account: str, user: str, cpus: int) -> None:
    """Add a job of an hour."""
    world.slurm.add_job(account, user, MARCH, 3600, {"billing": cpus, "cpu": cpus})


def test_jobs_below_an_allocation_are_its_own(world: World) -> None:
    """In the total, and in the parts of users, who are one person wherever they run jobs."""
    resource = world.allocated()
    account = world.backend_id(resource)
    add_account(world, "group", account)
    add_account(world, "team", "group")
    job(world, account, "alice", 1)
    job(world, "group", "alice", 2)
    job(world, "team", "bob", 4)

    world.report_usage()

    assert world.waldur.usages(resource)[CPU] == Decimal("7.00")
    parts = world.waldur.user_usages(resource)
    assert {user: value for (name, _, user), value in parts.items() if name == "cpu"} == {
        "alice": Decimal("3.00"),
        "bob": Decimal("4.00"),
    }


def test_another_allocation_below_it_is_its_own(world: World) -> None:
    """By its marker or as Waldur names it; what is below that one is that one's."""
    upper, lower, erred = (world.allocated(name) for name in ("Upper", "Lower", "Erred"))
    accounts = [world.backend_id(resource) for resource in (upper, lower, erred)]
    for below in accounts[1:]:
        where = ("where", f"name={below}", "cluster=lab", "set", f"parent={accounts[0]}")
        world.slurmctl("sacctmgr", "--immediate", "modify", "account", *where)
    world.waldur.set_resource(erred, state="Erred")
    with world.slurm._connected() as connection:  # adopted from an older agent
        connection.execute("UPDATE account SET description = 'x' WHERE name = ?", [accounts[2]])
    add_account(world, "group", accounts[1])
    for number, name in enumerate([*accounts, "group"]):
        job(world, name, "alice", 2**number)

    world.report_usage()

    assert world.waldur.usages(upper)[CPU] == Decimal("1.00")
    assert world.waldur.usages(lower)[CPU] == Decimal("10.00")


def test_a_removed_account_below_keeps_its_share(world: World) -> None:
    """As in sreport: the month doesn't fall when a group's account goes."""
    resource = world.allocated()
    add_account(world, "group", world.backend_id(resource))
    world.slurmctl(
        *("sacctmgr", "--immediate", "add", "user", "name=alice", "cluster=lab", "account=group")
    )
    job(world, "group", "alice", 2)
    world.report_usage()
    remove_group(world)

    (report,) = world.report_usage()

    assert (report.kept, report.posted) == ([], [])
    assert world.waldur.usages(resource)[CPU] == Decimal("2.00")


def remove_group(world: World) -> None:
    """Remove the account below, and its only user there, past the service."""
    end = ("where", "name=alice", "account=group", "cluster=lab")
    world.slurmctl("sacctmgr", "--immediate", "remove", "user", *end)
    where = ("where", "name=group", "cluster=lab")
    world.slurmctl("sacctmgr", "--immediate", "remove", "account", *where)


def test_the_last_usage_of_a_termination_has_them(world: World) -> None:
    """An account below has to be removed before; its jobs are billed all the same."""
    resource = world.allocated()
    account = world.backend_id(resource)
    add_account(world, "group", account)
    world.slurmctl(
        *("sacctmgr", "--immediate", "add", "user", "name=alice", "cluster=lab", "account=group")
    )
    job(world, account, "bob", 1)
    job(world, "group", "alice", 2)
    remove_group(world)

    assert world.carry_out(world.waldur.order_terminate(resource)).startswith("done")

    assert world.waldur.usages(resource)[CPU] == Decimal("3.00")
