"""The guard: where the two sides don't fit together, nothing is taken away by itself."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import pytest
import time_machine
from prometheus_client import REGISTRY
from structlog.testing import capture_logs

from slurm_tasks.demo.slurm import Fault
from slurm_tasks.errors import ConfigurationError, ParseError
from slurm_tasks.model.messages import Intent, ReconcileReport, Status
from slurm_tasks.slurm.commands import ShowAccounts
from slurm_tasks.sync import members
from tests.chaos.schedule import converge
from tests.support.chaos import Chaos
from tests.support.effects import watch
from tests.support.world import World

PEOPLE = tuple(f"user{number}" for number in range(8))


def applied(world: World, allowed: int | None = None) -> ReconcileReport:
    """Make everything as Waldur has it, as `slurm-tasks apply --allow-removals` does."""
    request = members.request(world.control, intent=Intent.UPDATE)
    return world._reconcile(request.model_copy(update={"allow_removals": allowed}))


WAYS: dict[str, Callable[[World], ReconcileReport]] = {
    "member sync": World.sync_members,
    "apply": applied,
}


def listing(world: World) -> list[str]:
    """Return what SLURM lists now, line by line."""
    done = world.slurm.run("sacctmgr", *ShowAccounts(world.slurm.cluster).argv())
    world.slurm.clear_commands()
    return done.stdout.splitlines(keepends=True)


def stops(reason: str) -> float:
    """Return how often the guard has stopped something for a reason."""
    return REGISTRY.get_sample_value("waldur_slurm_guard_stops_total", {"reason": reason}) or 0


@contextmanager
def stopped(world: World, reason: str) -> Iterator[None]:
    """Assert that the guard stops what is done meanwhile, and that neither side is written to."""
    world.forget()
    before = stops(reason)
    with capture_logs() as logs:
        yield
    assert stops(reason) > before
    told = [(line["log_level"], line["status"]) for line in logs if line["event"] == "reconciled"]
    assert ("warning", "stopped") in told
    assert world.unchanged()


def statuses(report: ReconcileReport) -> set[Status]:
    """Return how its allocations came out."""
    return {outcome.status for outcome in report.outcomes}


@pytest.fixture
def busy(world: World) -> World:
    """A world with three allocations, and eight people besides alice and bob."""
    for name in PEOPLE:
        world.join(name)
    for title in ("One", "Two", "Three"):
        world.allocated(title)
    return world


@pytest.mark.parametrize("way", WAYS)
def test_empty_read(way: str, world: World, chaos: Chaos, clock: time_machine.Traveller) -> None:
    """A listing without any account of ours isn't a cluster from which all is gone."""
    nothing = "".join(listing(world))
    resource = world.allocated()
    update = world.waldur.order_update(resource, {"cpu": 7, "gres/gpu": 0})
    world.control.waldur.approve(update)
    other = world.allocated("Other")
    world.leave("bob")
    with chaos.run("guard", f"empty read, {way}") as run:
        world.slurm.set_faults(Fault(argv="withassoc", stdout=nothing, times=None))
        with stopped(world, "cluster"):
            assert statuses(WAYS[way](world)) == {Status.STOPPED}
            assert world.carry_out(update).startswith("stopped: cluster 'lab' has none")
        world.slurm.set_faults()
        converge(world, clock, run)
        assert world.account(other).users == {"alice"}


@pytest.mark.parametrize("half", ["first", "second"])
@pytest.mark.parametrize("way", WAYS)
def test_half_read(
    way: str, half: str, busy: World, chaos: Chaos, clock: time_machine.Traveller
) -> None:
    """Wherever a listing begins too late or ends too early, nobody is thrown out for it."""
    lines = listing(busy)
    before = busy.slurm.accounts(), busy.slurm.default_accounts()
    for count in range(1, len(lines), 1 if chaos.long else 7):
        read = lines[:count] if half == "first" else [lines[0], *lines[count:]]
        with chaos.run("guard", f"half read, {way}") as run:
            busy.slurm.set_faults(Fault(argv="withassoc", stdout="".join(read), times=None))
            with suppress(ParseError, ConfigurationError):  # the default account may be cut off
                WAYS[way](busy)
            assert (busy.slurm.accounts(), busy.slurm.default_accounts()) == before
            busy.slurm.set_faults()
            converge(busy, clock, run)


@pytest.fixture
def other(world: World, tmp_path: Path) -> Iterator[World]:
    """Another offering on another cluster, with an allocation."""
    with World.started(world.server, tmp_path / "other") as started:
        watch(started.slurm)
        started.allocated("Theirs")
        yield started


@pytest.mark.parametrize("way", WAYS)
def test_wrong_cluster(
    way: str, world: World, other: World, chaos: Chaos, clock: time_machine.Traveller
) -> None:
    """A head node of another cluster, with another Waldur's allocations, is told and left alone."""
    resource = world.allocated()
    world.leave("bob")
    before = other.slurm.accounts()
    with chaos.run("guard", f"wrong cluster, {way}") as run:
        mistaken = replace(world, slurm=other.slurm, node=other.node)
        with stopped(mistaken, "cluster"):
            assert statuses(WAYS[way](mistaken)) == {Status.STOPPED}
        (report,) = mistaken.report_usage()
        assert report.missing == [world.backend_id(resource)]
        assert (other.slurm.accounts(), world.posts()) == (before, [])
        converge(world, clock, run)
        assert world.account(resource).users == {"alice"}


@pytest.mark.parametrize("way", WAYS)
def test_wrong_offering(
    way: str, world: World, other: World, chaos: Chaos, clock: time_machine.Traveller
) -> None:
    """A control worker of another offering, with allocations elsewhere, is told and left alone."""
    world.allocated()
    before = world.slurm.accounts()
    other.leave("alice")
    with chaos.run("guard", f"wrong offering, {way}") as run:
        mistaken = replace(other, slurm=world.slurm, node=world.node)
        with stopped(mistaken, "cluster"):
            assert statuses(WAYS[way](mistaken)) == {Status.STOPPED}
        assert world.slurm.accounts() == before
        converge(other, clock, run)
        converge(world, clock, run)


@pytest.mark.parametrize("way", WAYS)
def test_mass_departure(way: str, busy: World, chaos: Chaos, clock: time_machine.Traveller) -> None:
    """Many who leave at once stay until an operator has looked; newcomers join all the same."""
    (standing, *_) = busy.waldur._db.resources
    newcomers = busy.waldur.add_project(busy.customer, "Climate")
    other = busy.allocated("Other", newcomers)
    for name in PEOPLE:
        busy.leave(name)
    with chaos.run("guard", f"mass departure, {way}") as run:
        with stopped(busy, "removals"):
            assert Status.STOPPED in statuses(WAYS[way](busy))
        busy.join("carol", project=newcomers)
        WAYS[way](busy)
        assert busy.account(other).users == {"carol"}
        assert busy.account(standing).users == {"alice", "bob", *PEOPLE}
        count = 3 * len(PEOPLE)
        assert Status.STOPPED in statuses(applied(busy, count - 1))
        assert statuses(applied(busy, count)) == {Status.APPLIED}
        assert busy.account(standing).users == {"alice", "bob"}
        converge(busy, clock, run)


@pytest.mark.parametrize("way", WAYS)
def test_team_that_is_empty(
    way: str, busy: World, chaos: Chaos, clock: time_machine.Traveller
) -> None:
    """Teams that Waldur answers without anybody for a while throw nobody out."""
    with chaos.run("guard", f"empty teams, {way}") as run:
        busy.waldur.faults.add(kind="rewritten", path="/team/", rewrite=lambda _: [], times=None)
        with stopped(busy, "removals"):
            assert statuses(WAYS[way](busy)) == {Status.STOPPED}
        busy.waldur.faults.clear()
        converge(busy, clock, run)
