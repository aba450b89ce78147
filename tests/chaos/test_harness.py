"""What the chaos suite's own eyes see: each of these would go unnoticed if they were closed."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.chaos import process
from tests.chaos.schedule import used
from tests.support.agreement import Ends, disagreements
from tests.support.effects import repeated
from tests.support.world import World


def seen(world: World) -> list[str]:
    """Say where the two sides of a world differ."""
    accounts, components = world.slurm.accounts(), world.control.components
    return disagreements(world.waldur, accounts, components, Ends(usage=used(world)))


def write(world: World, *words: str) -> None:
    """Run sacctmgr by hand."""
    world.slurm.run("sacctmgr", "--immediate", *words)


def settled(world: World) -> str:
    """Make an allocation that is in order, and return its account's name."""
    resource = world.allocated()
    assert seen(world) == []
    return world.backend_id(resource)


def removed(world: World, account: str) -> None:
    write(world, "remove", "user", "where", "name=alice,bob", f"account={account}", "cluster=lab")
    write(world, "remove", "account", "where", f"name={account}")


def doubled(world: World, account: str) -> None:
    found = world.slurm.accounts()[account]
    words = (f"description={found.description}", "organization=x", "cluster=lab")
    write(world, "add", "account", "name=second", f"parent={found.parent}", *words)


def limited(world: World, account: str) -> None:
    write(world, "modify", "account", "where", f"name={account}", "set", "GrpTRESMins=cpu=1")


def joined(world: World, account: str) -> None:
    write(world, "add", "user", "name=eve", f"account={account}", "cluster=lab")


def foreign(world: World, _: str) -> None:
    write(world, "add", "account", "name=x", "parent=root", "description=x", "organization=x")


def moved(world: World, account: str) -> None:
    write(world, "modify", "account", "where", f"name={account}", "set", "parent=waldur")


def renamed(world: World, _: str) -> None:
    (resource,) = world.waldur._db.resources
    world.waldur.set_resource(resource, backend_id="other")


def ordered(world: World, _: str) -> None:
    world.order("Another")


def used_up(world: World, account: str) -> None:
    world.slurm.add_job(account, "alice", 1741950000, 3600)


def billed(world: World, account: str) -> None:
    used_up(world, account)
    world.report_usage()
    with world.slurm._connected() as connection:
        connection.execute("DELETE FROM job")


@pytest.mark.parametrize(
    "spoil",
    [removed, doubled, limited, joined, foreign, moved, renamed, ordered, used_up, billed],
)
def test_difference_is_seen(world: World, spoil: Callable[[World, str], None]) -> None:
    """What is missing, doubled, foreign or different on either side is a disagreement."""
    spoil(world, settled(world))
    assert seen(world)


def test_repetition_is_seen(world: World) -> None:
    """A command that finds its effect there already has been repeated, and only that one."""
    words = ("modify", "account", "where", f"name={settled(world)}", "set", "GrpTRESMins=cpu=7")
    write(world, *words)
    assert repeated(world.slurm) == []
    write(world, *words)
    assert repeated(world.slurm) == [("--immediate", *words)]


def test_death_before(world: World) -> None:
    """A process that dies before a call leaves no effect of that call."""
    order = world.order()
    calls = process.run(world, World.sync_orders, 6)
    assert calls[-1] == f"POST marketplace-orders/{order}/approve_by_provider/"
    assert world.order_state(order) == "pending-provider"


def test_death_after(world: World) -> None:
    """A process that dies after a call's effect leaves that effect."""
    order = world.order()
    process.run(world, World.sync_orders, 6, after=True)
    assert world.order_state(order) == "executing"
