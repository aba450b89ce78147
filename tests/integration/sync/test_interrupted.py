"""A process that ends after any of its effects: the next run completes what it began."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from slurm_tasks.demo.waldur.values import Generation
from tests.support.world import TRES_MINUTES, World

MORE = {"cpu": 250, "gres/gpu": 0}
Begin = Callable[[World], str]
"""Prepares a world, and places the order that will be interrupted."""


@contextmanager
def interrupted(
    generation: Generation, folder: Path, begin: Begin, after: int
) -> Iterator[tuple[World, str, int]]:
    """Carry out an order in a process that is cut; yield the world, the order, and its effects."""
    with World.started(generation, folder / str(after)) as world:
        order = begin(world)
        with world.process(after) as (process, scissors):
            process.carry_out(order)
        yield world, order, scissors.effects


def effects_of(generation: Generation, folder: Path, begin: Begin) -> int:
    """Count the effects of an order that isn't interrupted."""
    with interrupted(generation, folder, begin, 0) as (world, order, effects):
        assert world.order_state(order) == "done"
        return effects


def run_again(world: World, order: str) -> None:
    """Let the schedule come by: orders, then members, as beat starts them."""
    world.sync_orders()
    world.sync_members()
    assert world.order_state(order) == "done"


def assert_settled(world: World, resource: str) -> None:
    """Assert that a resource and its account are in order, and that nothing is left to do."""
    row = world.waldur.resource(resource)
    accounts = world.slurm.accounts()
    ours = [name for name, a in accounts.items() if resource in a.description]
    assert (row["state"], [row["backend_id"]]) == ("OK", ours)
    assert accounts[ours[0]].users == {"alice", "bob"}
    assert len(accounts) == 2 + 3
    if world.waldur.generation == "a":
        assert world.waldur.associations(resource) == {"alice", "bob"}
    world.forget()
    world.sync_orders()
    world.sync_members()
    assert world.unchanged()


@pytest.mark.parametrize("generation", ["a", "b"])
def test_create(generation: Generation, tmp_path: Path) -> None:
    """A Create cut after any effect ends with one account, under the name it was made with."""
    total = effects_of(generation, tmp_path, World.order)
    for after in range(1, total + 1):
        with interrupted(generation, tmp_path, World.order, after) as (world, order, _):
            resource = world.resource_of(order)
            made = [n for n, a in world.slurm.accounts().items() if resource in a.description]
            run_again(world, order)
            assert not made or made == [world.backend_id(resource)]
            assert world.account(resource).limits == TRES_MINUTES
            assert_settled(world, resource)


def updated(world: World) -> str:
    """Order other limits for an allocation."""
    return world.waldur.order_update(world.allocated(), MORE)


@pytest.mark.parametrize("generation", ["a", "b"])
def test_update(generation: Generation, tmp_path: Path) -> None:
    """An Update cut after any effect ends with the new limits on both sides."""
    total = effects_of(generation, tmp_path, updated)
    for after in range(1, total + 1):
        with interrupted(generation, tmp_path, updated, after) as (world, order, _):
            resource = world.resource_of(order)
            account = world.backend_id(resource)
            run_again(world, order)
            assert world.backend_id(resource) == account
            assert world.account(resource).limits == {
                **TRES_MINUTES,
                "cpu": 15000,
                "gres/gpu": 0,
            }
            assert world.waldur.resource(resource)["limits"] == MORE
            assert_settled(world, resource)


@pytest.mark.parametrize("generation", ["a", "b"])
def test_next_update(generation: Generation, tmp_path: Path) -> None:
    """Whatever effect a Create was cut after, the Update that follows it is done."""
    total = effects_of(generation, tmp_path, World.order)
    for after in range(total - 3, total + 1):
        with interrupted(generation, tmp_path, World.order, after) as (world, order, _):
            run_again(world, order)
            update = world.waldur.order_update(world.resource_of(order), MORE)
            world.sync_orders()
            assert world.order_state(update) == "done"


def ended(world: World) -> str:
    """Order the end of an allocation that has used something."""
    resource = world.allocated()
    world.slurm.run("sbatch", f"--account={world.backend_id(resource)}", user="alice")
    return world.waldur.order_terminate(resource)


@pytest.mark.parametrize("generation", ["a", "b"])
def test_terminate(generation: Generation, tmp_path: Path) -> None:
    """A Terminate cut after any effect ends with nothing left on the cluster."""
    total = effects_of(generation, tmp_path, ended)
    for after in range(1, total + 1):
        with interrupted(generation, tmp_path, ended, after) as (world, order, _):
            run_again(world, order)
            assert set(world.slurm.accounts()) == {"root", "waldur"}
            assert world.resource_state(world.resource_of(order)) == "Terminated"
            assert world.slurm.active_jobs() == []
