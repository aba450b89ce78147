"""The broker dies, hangs, is full or loses the lock: workers live on, and nothing is lost."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager

import pytest

from slurm_tasks.demo.slurm import Fault, Invocation, SlurmSimulator
from slurm_tasks.demo.stack import wait_until
from tests.chaos.real.parts import LOCK, Broker, Site, site
from tests.support.chaos import Chaos
from tests.support.processes import kill
from tests.support.service import PATIENCE

pytestmark = pytest.mark.xdist_group("broker")  # one running service for all of them

OUTAGES: dict[str, Callable[[Broker], AbstractContextManager[None]]] = {
    "is killed and restarted empty": Broker.away,
    "hangs": Broker.stopped,
    "has no memory left": Broker.full,
}
WORKERS = ("control", "headnode", "beat")
CREATING, CHANGING, ENDING = "add account", "set GrpTRESMins", "remove account"
MINUTE = 65.0
"""Seconds: longer than a minute, a socket's timeout and a round of retries."""


@pytest.fixture(scope="module")
def broken(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Run the service."""
    with site(tmp_path_factory.mktemp("site")) as started:
        yield started


@pytest.fixture(autouse=True)
def _lives(broken: Site) -> Iterator[None]:
    """Have each process be the one that was started at first, and working."""
    yield
    broken.slurm.set_faults()
    assert broken.run.stack.running() == {*WORKERS}


def case(outage: str, moment: str, seconds: float, *marks: pytest.MarkDecorator) -> object:
    """Name an outage, the write that is under way when it begins, and how long it lasts."""
    return pytest.param(outage, moment, seconds, marks=marks, id=f"{outage}-{moment}-{seconds:g}")


@pytest.mark.parametrize(
    ("outage", "moment", "seconds"),
    [
        case("is killed and restarted empty", CREATING, 2),
        case("hangs", CHANGING, 2),
        case("has no memory left", ENDING, 2),
        case("is killed and restarted empty", ENDING, MINUTE, pytest.mark.chaos_long),
        case("hangs", CREATING, MINUTE, pytest.mark.chaos_long),
        case("has no memory left", CHANGING, 10, pytest.mark.chaos_long),
        case("is killed and restarted empty", CHANGING, 0, pytest.mark.chaos_long),
        case("hangs", ENDING, 10, pytest.mark.chaos_long),
        case("has no memory left", CREATING, 0, pytest.mark.chaos_long),
    ],
)
def test_broker_fails(broken: Site, chaos: Chaos, outage: str, moment: str, seconds: float) -> None:
    """Whatever is in flight when the broker fails is taken up again."""
    project = broken.begun(f"{outage} {moment} {seconds}")
    broken.slurm.set_faults(Fault(argv=".*".join(moment.split()), delay=1.0, times=1))
    with chaos.run("broker", f"the broker {outage}") as run:
        broken.everything(project)
        broken.until_begun(moment)
        with OUTAGES[outage](broken.broker):
            time.sleep(seconds)
        broken.settle(run)


def deleted(broker: Broker) -> None:
    """Delete the lock's key."""
    assert broker.client.delete(LOCK) == 1


def expired(broker: Broker) -> None:
    """Let the lock's key expire."""
    assert broker.client.pexpire(LOCK, 1)
    wait_until(lambda: not broker.client.exists(LOCK), "the key is gone", PATIENCE)


@pytest.mark.parametrize("lose", [deleted, expired])
def test_lock_is_lost(broken: Site, chaos: Chaos, lose: Callable[[Broker], None]) -> None:
    """A writer that has lost the lock writes no further, and comes back for the rest."""
    project = broken.begun(lose.__name__)
    broken.slurm.set_faults(Fault(argv=CREATING, delay=1.0, times=1))
    with chaos.run("broker", f"the lock's key is {lose.__name__} while it is held") as run:
        broken.everything(project)
        broken.until_begun(CREATING)
        lose(broken.broker)
        broken.settle(run)
    assert "the writer's lock in Redis was lost" in broken.run.stack.log("headnode")


def last_write(slurm: SlurmSimulator) -> Invocation:
    """Return the write that began last."""
    return [command for command in slurm.commands() if command.writes][-1]


def test_orphan_keeps_the_lock(broken: Site, chaos: Chaos) -> None:
    """A command that outlives its killed worker keeps others from writing until it has ended.

    Its key at the broker is gone by then: the lock of the host is what holds.
    """
    stack = broken.run.stack
    project = broken.begun("orphan")
    broken.slurm.set_faults(Fault(argv=CREATING, delay=2.0, times=1))
    with chaos.run("broker", "the lock's key is gone, an orphaned sacctmgr runs") as row:
        broken.everything(project)
        broken.until_begun(CREATING)
        orphan = broken.process(CREATING)
        os.kill(orphan, signal.SIGSTOP)
        try:
            mine = last_write(broken.slurm)
            kill(stack, "headnode")
            deleted(broken.broker)
            broken.start("headnode")
            refused = "another process on this host writes to the cluster"
            wait_until(lambda: refused in stack.log("headnode"), "the lock is met", PATIENCE)
            assert last_write(broken.slurm) == mine
        finally:
            os.kill(orphan, signal.SIGCONT)
        broken.settle(row)
