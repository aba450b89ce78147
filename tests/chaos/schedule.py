"""The schedule, without beat: what it starts, again and again, until nothing is left to do."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from zoneinfo import ZoneInfo

import time_machine

from slurm_tasks.demo.slurm import SlurmSimulator
from slurm_tasks.errors import SlurmTasksError
from slurm_tasks.model.components import Components
from tests.support.agreement import Ends, Usage, assert_agree
from tests.support.chaos import Run
from tests.support.effects import repeated
from tests.support.world import World

CYCLE = 120
"""Seconds between looks for orders."""
Seconds = dict[tuple[str, ...], Decimal]
"""What jobs held: TRES-seconds by account, TRES and month, and by those and user."""
PATIENCE = 10
"""Cycles in which everything has to come to its end once nothing is broken any more."""


def cycle(world: World) -> None:
    """Let the schedule come by once: each task fails by itself, and is tried again later."""
    for task in (world.sync_orders, world.sync_members, world.report_usage):
        attempt(task)


def attempt(task: Callable[[], object]) -> None:
    """Run a task; an error that Celery would log is left to the next cycle."""
    with suppress(SlurmTasksError):
        task()


def converge(
    world: World, clock: time_machine.Traveller, run: Run, ends: Ends | None = None
) -> None:
    """Let the schedule run until nothing is left to do, and assert that both sides agree."""
    run.mended()
    for cycles in range(1, PATIENCE + 1):
        before = len(world.writes()), len(world.posts())
        cycle(world)
        if (len(world.writes()), len(world.posts())) == before:
            break
        run.cycles = cycles
        clock.shift(CYCLE)
    else:
        raise AssertionError(f"still busy after {PATIENCE} cycles: {world.posts()[-3:]}")
    run.cycles = run.cycles or 0
    run.repeated = len(repeated(world.slurm))
    settled(world, ends)


def settled(world: World, ends: Ends | None = None) -> None:
    """Assert that both sides agree now, and that no command was run in vain."""
    ends = replace(ends or Ends(), usage=used(world))
    assert_agree(world.waldur, world.slurm.accounts(), world.control.components, ends)
    assert repeated(world.slurm) == []


def used(world: World) -> Mapping[str, Usage]:
    """Work out what the jobs on a world's cluster used until now, by account."""
    return used_on(world.slurm, world.control.components, world.control.zone)


def used_on(slurm: SlurmSimulator, components: Components, zone: ZoneInfo) -> Mapping[str, Usage]:
    """Work out what the jobs on a simulated cluster used until now, by account and month.

    Args:
        slurm: the cluster; its jobs of more than one month were not suspended.
        components: what is billed.
        zone: of the billing month.
    """
    seconds: Seconds = {}
    now = datetime.now(UTC).timestamp()
    columns = "account, user, start, end, state, suspended, allocated"
    query = f"SELECT {columns} FROM job WHERE start NOTNULL"
    with slurm._connected() as connection:
        for account, user, start, end, state, suspended, held in connection.execute(query):
            last = int(now if state == "RUNNING" else end) - suspended
            add_held(seconds, (account, user), (start, last), json.loads(held), zone)
    return amounts(seconds, components)


def add_held(
    seconds: Seconds,
    whose: tuple[str, str],
    time: tuple[int, int],
    held: Mapping[str, int],
    zone: ZoneInfo,
) -> None:
    """Add what a job held from its start to its end, to the account's total and the user's part."""
    account, user = whose
    for month, elapsed in _by_month(*time, zone):
        for name, count in held.items():
            for key in ((account, name, month), (account, name, month, user)):
                seconds[key] = seconds.get(key, Decimal()) + count * elapsed


def _by_month(start: int, end: int, zone: ZoneInfo) -> Iterator[tuple[str, int]]:
    """Split a time, in seconds since the epoch, into the months of a zone: each with its length."""
    while start < end:
        first = datetime.fromtimestamp(start, zone).replace(
            day=1, hour=0, minute=0, second=0, microsecond=0
        )
        following = int((first + timedelta(days=32)).replace(day=1).timestamp())
        yield f"{first:%Y-%m-01}", min(end, following) - start
        start = following


def amounts(seconds: Seconds, components: Components) -> dict[str, Usage]:
    """Turn TRES-seconds into what Waldur bills, by account."""
    found: dict[str, dict[tuple[str, ...], Decimal]] = {}
    for (account, name, *rest), held in seconds.items():
        if component := components.get(name):
            amount = (held / 60 / component.unit_factor).quantize(Decimal("0.01"), ROUND_HALF_UP)
            found.setdefault(account, {})[name, *rest] = amount
    return dict(found)
