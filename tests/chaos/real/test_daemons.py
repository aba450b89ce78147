"""SLURM's daemons go away and come back, on real SLURM: orders wait, and nothing is done twice."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from subprocess import Popen
from typing import IO, cast

import pytest

from slurm_tasks.slurm.cluster import SlurmCluster
from slurm_tasks.slurm.runner import Runner
from tests.chaos.real.site import Site, assert_usable, everything, opened
from tests.chaos.schedule import cycle
from tests.support.agreement import Ends
from tests.support.chaos import Chaos

RELEASES: list[tuple[str, str]] = [("22.05", "a"), ("24.11", "b"), ("26.05", "b")]
SHORT = "26.05"
BEGUN = (7, 1, 17)
"""Commands of a cycle before which a daemon goes away: amid the end of an allocation, the first of
all, and amid what comes after."""

pytestmark = pytest.mark.timeout(600)


def _marked(pair: tuple[str, str]) -> object:
    marks = [] if pair[0] == SHORT else [pytest.mark.chaos_long]
    return pytest.param(pair, marks=marks, id="-".join(pair))


@pytest.fixture(params=[_marked(pair) for pair in RELEASES])
def site(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Site]:
    """A world on each of the real clusters."""
    release, server = request.param
    cluster = request.getfixturevalue(f"slurm_{release.replace('.', '')}")
    with opened(cluster, server, tmp_path) as site:
        yield site


@dataclass(frozen=True)
class InterruptedRunner(Runner):
    """A runner before whose commands something happens; they are counted from 1."""

    before: Callable[[int], object] = id
    numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def _start(self, argv: list[str], errors: IO[str], inherit: Sequence[int]) -> Popen[str]:
        self.before(next(self.numbers))
        return super()._start(argv, errors, inherit)


def interrupted(site: Site, before: Callable[[int], object]) -> Site:
    """Return the same site, with something that happens before its commands."""
    runner = cast("Runner", site.world.node.cluster.runner)
    other = InterruptedRunner(
        runner.bin_dir, runner.timeout, environment=runner.environment, before=before
    )
    node = replace(site.world.node, cluster=SlurmCluster(other, site.cluster.cluster))
    return replace(site, world=replace(site.world, node=node))


def assert_not_erred(site: Site, ends: Ends) -> None:
    """Assert that only the order which deserves it was erred."""
    orders = site.world.waldur._db.orders.values()
    assert {order.uuid for order in orders if order.state == "erred"} <= set(ends.refused)


@pytest.mark.parametrize("daemon", ["slurmdbd", "slurmctld", "munge"])
def test_daemon_is_away(daemon: str, site: Site, chaos: Chaos) -> None:
    """It goes away before some command, and comes back after the schedule has come by."""
    ends = everything(site)
    stopped = []
    with chaos.run("SLURM", f"{daemon} is away, real SLURM {site.cluster.release}") as run:
        for begun in BEGUN if chaos.long else BEGUN[:1]:

            def stop(number: int, begun: int = begun) -> None:
                if number == begun:
                    site.cluster.stop(daemon)
                    stopped.append(number)

            try:
                cycle(interrupted(site, stop).world)
                assert_not_erred(site, ends)
            finally:
                site.cluster.start(daemon)
        assert stopped
        site.converge(run, ends)
    assert_usable(site)


def test_slurmdbd_restarts_between_two_commands(site: Site, chaos: Chaos) -> None:
    """Whichever two they are."""
    ends = everything(site)
    with chaos.run("SLURM", f"slurmdbd restarts, real SLURM {site.cluster.release}") as run:

        def restart(number: int) -> None:
            if chaos.long or number % 4 == 0:
                site.cluster.stop("slurmdbd")
                site.cluster.start("slurmdbd")

        cycle(interrupted(site, restart).world)
        assert_not_erred(site, ends)
        site.converge(run, ends)
    assert_usable(site)
