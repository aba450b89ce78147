"""A clock that jumps, changes to summer time, and turns months: jobs are billed where they ran."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
import time_machine

from slurm_tasks.demo.waldur import Role
from slurm_tasks.errors import WaldurError
from slurm_tasks.model.messages import ReconcileRequest
from slurm_tasks.sync import orders
from tests.chaos.schedule import CYCLE, converge, cycle
from tests.chaos.stories import everything
from tests.support.chaos import Chaos
from tests.support.effects import watch
from tests.support.world import World

HOUR = 3600
HELD = {"cpu": 4, "gres/gpu": 1, "mem": 4096}
UTC_ZONE, TALLINN = ZoneInfo("UTC"), ZoneInfo("Europe/Tallinn")
TURNS = {
    "the turn of a month": datetime(2025, 5, 1),  # noqa: DTZ001 - of each zone
    "the turn of the year": datetime(2026, 1, 1),  # noqa: DTZ001
    "the end of February": datetime(2024, 3, 1),  # noqa: DTZ001
}
CHANGES = {
    "the change to summer time": datetime(2025, 3, 30, 1, tzinfo=UTC),
    "the change to winter time": datetime(2025, 10, 26, 1, tzinfo=UTC),
}


@pytest.fixture
def newer(clock: time_machine.Traveller, tmp_path: Path) -> Iterator[World]:
    """A world whose Waldur takes usage of the previous month, of its staff at least."""
    clock.move_to(0)  # the test says when it is
    with World.started("8.0.5", tmp_path) as started:
        started.act_as(Role.STAFF)
        watch(started.slurm)
        yield started


def live_in(world: World, zone: ZoneInfo) -> None:
    """Let the months be those of a time zone, for Waldur as well."""
    world.configure(zone=zone)
    world.waldur.switches.time_zone = zone.key


def working(world: World, resource: str, hours: float) -> None:
    """Let a job have begun an hour ago that ends in some hours."""
    start = datetime.now(UTC) - timedelta(hours=1)
    elapsed = (1 + hours) * HOUR
    world.slurm.add_job(world.backend_id(resource), "alice", start, elapsed, HELD, "RUNNING")


def pass_by(world: World, clock: time_machine.Traveller, hours: float, every: float) -> None:
    """Let time go by while the schedule runs now and then."""
    for _ in range(int(hours * HOUR / every)):
        cycle(world)
        clock.shift(every)


@pytest.mark.parametrize("jumps", [(HOUR, -HOUR), (-HOUR, HOUR)], ids=["forth", "back"])
def test_clock_jumps(
    world: World, chaos: Chaos, clock: time_machine.Traveller, jumps: tuple[int, int]
) -> None:
    """An hour forth and back while all of it goes on; what was posted too early comes true."""
    ends = everything(world)
    working(world, world.allocated("Working"), hours=3)
    with chaos.run("workers", "the clock jumps by an hour, and back") as run:
        for jump in jumps:
            cycle(world)
            clock.shift(jump)
            cycle(world)
        clock.shift(4 * HOUR)
        converge(world, clock, run, ends)


@pytest.mark.parametrize("change", CHANGES)
def test_summer_time(
    newer: World, chaos: Chaos, clock: time_machine.Traveller, change: str
) -> None:
    """A job is as long as it is, whatever the clocks on the wall say."""
    live_in(newer, TALLINN)
    clock.move_to(CHANGES[change] - timedelta(hours=1))
    ends = everything(newer)
    working(newer, newer.allocated("Working"), hours=2)
    with chaos.run("workers", change) as run:
        pass_by(newer, clock, hours=3, every=HOUR / 2)
        converge(newer, clock, run, ends)


@pytest.mark.parametrize("zone", [UTC_ZONE, TALLINN], ids=["UTC", "Tallinn"])
@pytest.mark.parametrize("turn", TURNS)
def test_turn(
    newer: World, chaos: Chaos, clock: time_machine.Traveller, turn: str, zone: ZoneInfo
) -> None:
    """What jobs used is split at the first second of the month, in the billing time zone.

    It is posted once the month has turned in UTC as well: whose months Waldur's are it doesn't say.
    """
    live_in(newer, zone)
    clock.move_to(TURNS[turn].replace(tzinfo=zone) - timedelta(hours=1))
    ends = everything(newer)
    working(newer, newer.allocated("Working"), hours=2)
    with chaos.run("workers", turn) as run:
        pass_by(newer, clock, hours=5, every=HOUR / 2)
        converge(newer, clock, run, ends)
    (used,) = (r for r in newer.waldur._db.resources.values() if r.name == "Working")
    months = {month for _, month in newer.waldur.usages(used.uuid)}
    assert len(months) == 2


@pytest.mark.parametrize("zone", [UTC_ZONE, TALLINN], ids=["UTC", "Tallinn"])
def test_end_across_the_turn(
    newer: World, chaos: Chaos, clock: time_machine.Traveller, zone: ZoneInfo
) -> None:
    """An order to end that is taken up last month bills the seconds that jobs ran in this one.

    It waits with that until it is that month for Waldur, too.
    """
    live_in(newer, zone)
    clock.move_to(TURNS["the turn of a month"].replace(tzinfo=zone) - timedelta(minutes=1))
    resource = newer.allocated()
    working(newer, resource, hours=5)
    order = newer.waldur.order_terminate(resource)
    with chaos.run("workers", "the turn of a month in the middle of a Terminate") as run:
        desired = orders.prepare(newer.control, order)
        assert not isinstance(desired, str)
        clock.shift(CYCLE)
        (outcome,) = newer._reconcile(ReconcileRequest(items=(desired,))).outcomes
        with suppress(WaldurError):
            orders.complete(newer.control, outcome)
        pass_by(newer, clock, hours=4, every=HOUR / 2)
        converge(newer, clock, run)
    assert len({month for _, month in newer.waldur.usages(resource)}) == 2
