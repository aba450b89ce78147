"""What goes on in a world while it is broken: each flow by itself, and all of them at once."""

from __future__ import annotations

import functools
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from tests.chaos import process
from tests.chaos.schedule import cycle
from tests.support.agreement import Ends
from tests.support.effects import watch
from tests.support.world import World

MORE = {"cpu": 250, "gres/gpu": 0}
IMPOSSIBLE = {"cpu": -5, "gres/gpu": 0}


@dataclass(frozen=True)
class Story:
    """Something that a process does.

    Attributes:
        begin: what came before it.
        act: what it does.
    """

    begin: Callable[[World], object]
    act: Callable[[World], object] = World.sync_orders


def worked(world: World, resource: str) -> None:
    """Let two users have worked for an allocation."""
    for hours, user in ((5, "alice"), (4, "bob")):
        start = datetime.now(UTC) - timedelta(hours=hours)
        held = {"cpu": 4, "gres/gpu": 1, "mem": 4096}
        world.slurm.add_job(world.backend_id(resource), user, start, 3600, held)


def working(world: World, resource: str) -> None:
    """Let one of them work still."""
    worked(world, resource)
    start = datetime.now(UTC) - timedelta(hours=1)
    world.slurm.add_job(world.backend_id(resource), "bob", start, None, state="RUNNING")


def updated(world: World) -> None:
    """Order other limits."""
    world.waldur.order_update(world.allocated(), MORE)


def updated_in_vain(world: World) -> None:
    """Order limits that can't be."""
    world.waldur.order_update(world.allocated(), IMPOSSIBLE)


def ended(world: World) -> None:
    """Order the end of one of two allocations, while a job runs."""
    world.allocated("Second", project=world.waldur.add_project(world.customer, "Climate"))
    resource = world.allocated()
    working(world, resource)
    world.waldur.order_terminate(resource)


def changed(world: World) -> None:
    """Let one person come and another one leave, who still has a job."""
    working(world, world.allocated())
    world.join("carol")
    world.leave("bob")


def used(world: World) -> None:
    """Let an allocation have been used, and an administrator have given it more."""
    resource = world.allocated()
    worked(world, resource)
    where = ("--immediate", "modify", "account", "where", f"name={world.backend_id(resource)}")
    world.slurmctl("sacctmgr", *where, "cluster=lab", "set", "GrpTRESMins=cpu=9000")


STORIES = {
    "create": Story(World.order),
    "update": Story(updated),
    "refused update": Story(updated_in_vain),
    "terminate": Story(ended),
    "member sync": Story(changed, World.sync_members),
    "usage push": Story(used, World.report_usage),
}


@contextmanager
def told(story: Story, server: str, folder: Path) -> Iterator[World]:
    """Start a world in which a story has begun."""
    with World.started(server, folder) as world:
        watch(world.slurm)
        story.begin(world)
        yield world


def expected(world: World) -> Ends:
    """Say how it ends: what can't be is refused."""
    orders = world.waldur._db.orders.values()
    return Ends(refused={order.uuid: "-5" for order in orders if order.limits == IMPOSSIBLE})


def everything(world: World, jobs: Callable[[str, str], object] | None = None) -> Ends:
    """Begin all of it: orders of each type, one that is refused, people who come and go, jobs.

    Args:
        world: where.
        jobs: lets people work for the allocation that ends and for the one that changes, on
            another cluster than the simulated one.
    """
    climate = world.waldur.add_project(world.customer, "Climate")
    for name in ("alice", "bob"):
        world.waldur.add_member(climate, world.waldur.user(name))
    ending = world.allocated("Ending", project=climate)
    changing = world.allocated("Changing")
    if jobs:
        jobs(ending, changing)
    else:
        working(world, ending)
        worked(world, changing)
    world.order("Refused", IMPOSSIBLE)
    world.waldur.order_update(changing, MORE)
    world.waldur.order_terminate(ending)
    world.order("New")
    world.join("carol")
    world.leave("bob")
    return expected(world)


def twice(world: World) -> None:
    """Let the schedule come by twice."""
    cycle(world)
    cycle(world)


@functools.cache
def calls(server: str) -> list[str]:
    """Return the calls to the outside that everything needs, found by a dry run."""
    with (
        tempfile.TemporaryDirectory() as folder,
        World.started(server, Path(folder)) as world,
    ):
        everything(world)
        return process.run(world, twice)
