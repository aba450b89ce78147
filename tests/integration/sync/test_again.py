"""A second run of anything on a world that hasn't changed writes nothing, to neither side."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from tests.support.world import World

pytestmark = pytest.mark.usefixtures("march")


def busy(world: World) -> World:
    """Fill a world with two allocations, usage, and everything reported."""
    first = world.allocated()
    world.allocated("Second")
    for month in (2, 3):
        began = datetime(2025, month, 10, tzinfo=UTC)
        world.slurm.add_job(world.backend_id(first), "alice", began, 5000, {"cpu": 1, "mem": 999})
    world.sync_members()
    world.report_usage()
    world.load_components()
    world.forget()
    return world


def test_orders(world: World) -> None:
    """Orders that are done are not looked at again."""
    busy(world).sync_orders()
    assert world.unchanged()


def test_members(world: World) -> None:
    """Members that are there are not added again."""
    busy(world).sync_members()
    assert world.unchanged()


def test_usage(world: World) -> None:
    """Usage, limits and associations that Waldur has are not posted again."""
    busy(world).report_usage()
    assert world.unchanged()


def test_components(world: World) -> None:
    """Components that the offering has are not sent again."""
    busy(world).load_components()
    assert world.unchanged()


def test_plan(world: World) -> None:
    """The plan is empty."""
    assert {outcome.changes for outcome in busy(world).plan().outcomes} == {()}
    assert world.unchanged()
