"""Poison: what can't be carried out hurts nobody else, and none of it reaches a command line."""

from __future__ import annotations

import re
from typing import Any, cast

import pytest
import time_machine
from structlog.testing import capture_logs

from slurm_tasks.demo.slurm import Fault
from slurm_tasks.model.names import allocation_name
from tests.chaos.schedule import CYCLE, converge, cycle
from tests.support.agreement import Ends
from tests.support.chaos import Chaos
from tests.support.world import LIMITS, PREFIXES, World

LIMITS_THAT_CANNOT_BE: dict[str, tuple[dict[str, object], str]] = {
    "negative": ({"cpu": -5, "gres/gpu": 0}, "-5"),
    "fractional": ({"cpu": 0.001, "gres/gpu": 0}, "0.001"),
    "not a number": ({"cpu": float("nan"), "gres/gpu": 0}, "nan"),
    "infinite": ({"cpu": float("-inf"), "gres/gpu": 0}, "-inf"),
    "10^30": ({"cpu": 10**30, "gres/gpu": 0}, "1" + 30 * "0"),
    "a string": ({"cpu": "plenty; reboot", "gres/gpu": 0}, "'plenty; reboot'"),
    "null": ({"cpu": None, "gres/gpu": 0}, "cpu is None"),
    "unknown component": ({**LIMITS, "quantum=1,cpu": 5}, "'quantum=1,cpu'"),
    "missing": ({"cpu": 100}, "gres/gpu"),
    "none at all": ({}, "cpu"),
}
TEXTS = {
    "1,000 characters": "x" * 1000,
    "only forbidden characters": "§$%&/()=?|*~",
    "quotes": """'He' said "it's 'fine'" `ls`""",
    "newlines": "two\nlines\r\nand\x85more\u2028still",
    "NUL": "nul\x00byte",
    "leading dash": "--immediate -i",
    "shell syntax": "$(reboot); rm -rf / & > /etc/passwd",
    "options": "x=y,z=[1-3] set parent=root",
    "right to left": "\u202egnp.exe العربية",
    "empty": "",
    "somebody's marker": f"waldur:project:{32 * '0'}",
}
USERNAMES = ("Bob Böhm!", "root", "-x", "a,b", " ", "x=y", "$(id)", "1000", "a|b", "a\nb", "u" * 65)
"""None of them may reach SLURM."""

_OPTION = re.compile(r"--[a-z0-9]+(=[A-Za-z0-9_,./:-]*)?")
_WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9_,./:@+-]*(=[A-Za-z0-9_,./:@+-]*)*")
_DESCRIPTION = re.compile(r"description=waldur:[a-z]+:[0-9a-f]{32}( [A-Za-z0-9 ._()+-]+)?")


def assert_harmless(world: World) -> None:
    """Assert that every command consisted of checked names, numbers and plain titles."""
    commands = world.slurm.commands()
    assert commands
    for command in commands:
        for word in command.argv:
            pattern = _OPTION if word.startswith("-") else _WORD
            pattern = _DESCRIPTION if word.startswith("description=") else pattern
            assert pattern.fullmatch(word), command.argv


@pytest.mark.parametrize("name", LIMITS_THAT_CANNOT_BE)
def test_limits(name: str, world: World, chaos: Chaos, clock: time_machine.Traveller) -> None:
    """Create and Update are refused with the limit's name; orders around them are done at once."""
    limits, shown = LIMITS_THAT_CANNOT_BE[name]
    with chaos.run("poison", f"limit: {name}") as run:
        resource = world.allocated("Standing")
        first = world.order("First")
        refused = {world.order("Poison", limits): shown}
        # an Update keeps the limits that it doesn't name, and Waldur refuses unknown ones
        if set(limits) == set(LIMITS):
            refused[world.waldur.order_update(resource, cast("Any", limits))] = shown
        last = world.order("Last")
        world.sync_orders()
        assert {world.order_state(order) for order in (first, last)} == {"done"}
        converge(world, clock, run, Ends(refused=refused))
        assert_harmless(world)


@pytest.mark.parametrize("name", TEXTS)
def test_texts(name: str, world: World, chaos: Chaos, clock: time_machine.Traveller) -> None:
    """Customer, project and allocation of any name live a whole life."""
    text = TEXTS[name]
    with chaos.run("poison", f"name: {name}") as run:
        project = world.waldur.add_project(world.waldur.add_customer(text), text)
        world.join("carol", project=project)
        changing, ending = (world.allocated(text, project) for _ in range(2))
        world.waldur.order_update(changing, {"cpu": 7, "gres/gpu": 0})
        world.waldur.order_terminate(ending)
        other = world.order("Other")
        world.sync_orders()
        assert world.order_state(other) == "done"
        converge(world, clock, run)
        assert_harmless(world)


def test_two_projects_of_one_name(
    world: World, chaos: Chaos, clock: time_machine.Traveller
) -> None:
    """They are two accounts, with the users of each."""
    with chaos.run("poison", "two projects of one name") as run:
        twin = world.waldur.add_project(world.customer, world.project.name)
        world.join("carol", project=twin)
        first, second = world.allocated("Same"), world.allocated("Same", twin)
        converge(world, clock, run)
        assert world.account(first).users == {"alice", "bob"}
        assert world.account(second).users == {"carol"}
        assert world.account(first).parent != world.account(second).parent


def test_usernames(world: World, chaos: Chaos, clock: time_machine.Traveller) -> None:
    """Who has an impossible username is named and left out; the others join at once."""
    with chaos.run("poison", "usernames that can't be") as run:
        resource = world.allocated()
        for number, username in enumerate(USERNAMES):
            world.join(f"mallory{number}", username)
        world.join("carol")
        with capture_logs() as logs:
            world.sync_members()
        refused = [line["username"] for line in logs if line["event"] == "username_refused"]
        assert sorted(refused) == sorted(name.strip() for name in USERNAMES)
        assert world.account(resource).users == {"alice", "bob", "carol"}
        converge(world, clock, run)
        assert_harmless(world)


def test_usernames_that_are_no_two_people(
    world: World, chaos: Chaos, clock: time_machine.Traveller
) -> None:
    """An empty one is nobody's yet, and two people with one username are one user."""
    with chaos.run("poison", "username empty, or somebody else's") as run:
        resource = world.allocated()
        world.join("mallory", "")
        world.join("alice2", "ALICE")
        converge(world, clock, run)
        assert world.account(resource).users == {"alice", "bob"}
        world.leave("alice")
        converge(world, clock, run)
        assert world.account(resource).users == {"alice", "bob"}


def test_order_that_always_fails(world: World, chaos: Chaos, clock: time_machine.Traveller) -> None:
    """It waits, for hours; those behind it don't, and it is done once it can be."""
    with chaos.run("poison", "an order that always fails") as run:
        on_cluster, in_waldur, last = world.order("A"), world.order("B"), world.order("Last")
        name = allocation_name(PREFIXES, world.resource_of(on_cluster), "A")
        world.slurm.set_faults(Fault(argv=f"add account name={name}", exit_code=1, times=None))
        world.waldur.faults.add(kind="status", status=500, path=f"{in_waldur}/approve", times=None)
        for _ in range(8):
            cycle(world)
            clock.shift(CYCLE)
        states = [world.order_state(order) for order in (on_cluster, in_waldur, last)]
        assert states == ["executing", "pending-provider", "done"]
        world.slurm.set_faults()
        world.waldur.faults.clear()
        converge(world, clock, run)


@pytest.mark.parametrize("backend_id", ["x; rm -rf /", "root", "-x", "a,b", "waldur"])
def test_backend_id_that_cannot_be(
    backend_id: str, world: World, chaos: Chaos, clock: time_machine.Traveller
) -> None:
    """A resource whose backend id was spoilt is left alone and named; others go on."""
    with chaos.run("poison", "backend id that can't be") as run:
        spoilt, other = world.allocated("Spoilt"), world.allocated("Other")
        before = world.backend_id(spoilt)
        world.waldur.set_resource(spoilt, backend_id=backend_id)
        update = world.waldur.order_update(spoilt, {"cpu": 7, "gres/gpu": 0})
        world.join("carol")
        world.sync_orders()
        world.sync_members()
        assert world.order_state(update) == "erred"
        assert backend_id in world.waldur.order(update)["error_message"]
        assert world.account(other).users == {"alice", "bob", "carol"}
        world.waldur.set_resource(spoilt, backend_id=before)
        converge(world, clock, run, Ends(refused={update: backend_id}))
        assert_harmless(world)
