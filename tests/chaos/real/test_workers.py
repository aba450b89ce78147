"""Workers and beat die in the middle of an order, and there are two of each: nothing is doubled."""

from __future__ import annotations

import os
import random
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest

from slurm_tasks.demo.slurm import Fault
from slurm_tasks.demo.stack import Stack, wait_until
from tests.chaos.real.parts import Site, site
from tests.support.chaos import Chaos
from tests.support.effects import thrown_out
from tests.support.processes import children, kill, kill_alone
from tests.support.service import PATIENCE

pytestmark = pytest.mark.xdist_group("workers")  # one running service for all of them

CONTROLS, HEADNODES, BEATS = ("control", "control2"), ("headnode", "headnode2"), ("beat", "beat2")
EVERYBODY = {*CONTROLS, *HEADNODES, *BEATS}


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Run two of everything."""
    folder = tmp_path_factory.mktemp("site")
    with site(folder, controls=2, headnodes=2, beats=2) as started:
        yield started


@pytest.fixture(autouse=True)
def _lives(pair: Site) -> Iterator[None]:
    """Have everybody be alive at the end who wasn't killed, and work."""
    yield
    pair.slurm.set_faults()
    pair.run.waldur.faults.clear()
    assert pair.run.stack.running() == EVERYBODY


def pool(stack: Stack, name: str) -> None:
    """Kill the processes of a worker's pool."""
    for child in children(stack.pid(name)):
        os.kill(child, signal.SIGKILL)


def parent(stack: Stack, name: str) -> None:
    """Kill a worker, and not its pool."""
    kill_alone(stack, name)


def whole(stack: Stack, name: str) -> None:
    """Kill a worker and its pool."""
    kill(stack, name)


def group(stack: Stack, name: str) -> None:
    """End all processes of a worker at once, as a service manager may do."""
    kill(stack, name, signal.SIGTERM)


@dataclass(frozen=True)
class Death:
    """How somebody dies.

    Attributes:
        name: in the table.
        act: what is done to each of the victims.
    """

    name: str
    act: Callable[[Stack, str], None]


DEATHS = {
    "pool": Death("the pool's processes are killed", pool),
    "parent": Death("the workers' main processes are killed", parent),
    "whole": Death("the workers are killed", whole),
    "group": Death("the workers' process groups get SIGTERM", group),
}


def strike(pair: Site, victims: tuple[str, ...], death: Death) -> None:
    """Let them die, and start again who is dead then."""
    for name in victims:
        death.act(pair.run.stack, name)
    for name in sorted(EVERYBODY - pair.run.stack.running()):
        pair.start(name)


def test_two_of_everything(pair: Site, chaos: Chaos) -> None:
    """Whoever is faster does it; nobody does it again."""
    project = pair.begun("two")
    with chaos.run("workers", "two workers of each kind and two beats") as run:
        pair.everything(project)
        pair.settle(run)
    assert thrown_out(pair.slurm) == set()


@pytest.mark.parametrize(
    ("death", "moment"),
    [
        ("pool", "add account"),
        ("parent", "set GrpTRESMins"),
        ("group", "remove account"),
        *(
            pytest.param(death, moment, marks=pytest.mark.chaos_long)
            for death in DEATHS
            for moment in ("add account", "add user")
            if (death, moment) != ("pool", "add account")
        ),
    ],
)
def test_headnode_dies(pair: Site, chaos: Chaos, death: str, moment: str) -> None:
    """While a command runs, which is orphaned then and goes on."""
    project = pair.begun(f"headnode {death} {moment}")
    pair.slurm.set_faults(Fault(argv=".*".join(moment.split()), delay=2.0, times=1))
    with chaos.run("workers", DEATHS[death].name) as run:
        pair.everything(project)
        pair.until_begun(moment)
        strike(pair, HEADNODES, DEATHS[death])
        pair.settle(run)


@pytest.mark.parametrize(
    ("death", "request_"),
    [
        ("pool", "set_state_done"),
        ("whole", "approve_by_provider"),
        *(
            pytest.param(death, path, marks=pytest.mark.chaos_long)
            for death in ("parent", "group")
            for path in ("approve_by_provider", "set_state_done", "set_usage")
        ),
    ],
)
def test_control_dies(pair: Site, chaos: Chaos, death: str, request_: str) -> None:
    """While a request is under way, whose answer nobody gets."""
    waldur = pair.run.waldur
    project = pair.begun(f"control {death} {request_}")
    waldur.faults.add(kind="delay", path=request_, seconds=2.0)
    with chaos.run("workers", DEATHS[death].name) as run:
        pair.everything(project)
        wait_until(lambda: not waldur.faults.waiting, f"{request_} is under way", PATIENCE)
        strike(pair, CONTROLS, DEATHS[death])
        pair.settle(run)


def test_beat_dies(pair: Site, chaos: Chaos) -> None:
    """A new one goes on with the schedule that the killed one has left."""
    project = pair.begun("beat")
    with chaos.run("workers", "both beats are killed") as run:
        pair.everything(project)
        strike(pair, BEATS, DEATHS["whole"])
        pair.settle(run)


@pytest.mark.chaos_long
@pytest.mark.parametrize("seed", range(6))
def test_anybody_dies(pair: Site, chaos: Chaos, seed: int) -> None:
    """Anybody in any way, between anything."""
    chance = random.Random(seed)
    project = pair.begun(f"anybody {seed}")
    with chaos.run("workers", "anybody dies at any moment") as run:
        pair.everything(project)
        for _ in range(5):
            pair.until_more(chance.randrange(1, 8))
            victim = chance.choice([*CONTROLS, *HEADNODES])
            strike(pair, (victim,), DEATHS[chance.choice([*DEATHS])])
        pair.settle(run)
