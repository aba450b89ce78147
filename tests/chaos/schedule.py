"""The schedule, without beat: what it starts, again and again, until nothing is left to do."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from decimal import ROUND_HALF_UP, Decimal

import time_machine

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
    """Work out what the jobs on the simulated cluster used until now, by account.

    Jobs of these tests lie within a month.
    """
    seconds: Seconds = {}
    now = datetime.now(UTC).timestamp()
    columns = "account, user, start, end, state, suspended, allocated"
    query = f"SELECT {columns} FROM job WHERE start NOTNULL"
    with world.slurm._connected() as connection:
        for account, user, start, end, state, suspended, held in connection.execute(query):
            last = int(now if state == "RUNNING" else end) - suspended
            add_held(seconds, (account, user), start, last - start, json.loads(held))
    return amounts(seconds, world.control.components)


def add_held(
    seconds: Seconds, whose: tuple[str, str], start: float, elapsed: int, held: Mapping[str, int]
) -> None:
    """Add what a job of an account and a user held, to the account's total and the user's part."""
    account, user = whose
    month = f"{datetime.fromtimestamp(start, UTC):%Y-%m-01}"
    for name, count in held.items():
        for key in ((account, name, month), (account, name, month, user)):
            seconds[key] = seconds.get(key, Decimal()) + count * elapsed


def amounts(seconds: Seconds, components: Components) -> dict[str, Usage]:
    """Turn TRES-seconds into what Waldur bills, by account."""
    found: dict[str, dict[tuple[str, ...], Decimal]] = {}
    for (account, name, *rest), held in seconds.items():
        if component := components.get(name):
            amount = (held / 60 / component.unit_factor).quantize(Decimal("0.01"), ROUND_HALF_UP)
            found.setdefault(account, {})[name, *rest] = amount
    return dict(found)
