"""A world whose cluster is a real one: what goes on in it, and whether both sides agree."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path, PurePosixPath
from zoneinfo import ZoneInfo

from slurm_tasks.demo.waldur import WaldurSimulator
from slurm_tasks.model.components import Components
from slurm_tasks.slurm.cluster import SlurmCluster
from slurm_tasks.slurm.runner import ENVIRONMENT, Runner
from slurm_tasks.tasks.headnode import PATH
from tests.chaos import stories
from tests.chaos.schedule import Seconds, add_held, amounts, cycle
from tests.support import service
from tests.support.agreement import Ends, Usage, disagreements
from tests.support.chaos import Run
from tests.support.clusters import CLUSTER, InjectedJob, RealCluster, wait_until
from tests.support.watched import Watched
from tests.support.world import World

PATIENCE = 90
"""Seconds in which everything has to come to its end once nothing is broken any more."""


@dataclass
class Site:
    """A world on a real cluster.

    Attributes:
        world: both sides of the service; its simulated cluster has no part in it.
        watched: the real one.
    """

    world: World
    watched: Watched

    @property
    def cluster(self) -> RealCluster:
        """The cluster."""
        return self.watched.cluster

    def differences(self, ends: Ends) -> list[str]:
        """Say where the two sides differ."""
        return differences(
            self.world.waldur, self.watched.cluster, self.world.control.components, ends
        )

    def converge(self, run: Run, ends: Ends) -> None:
        """Let the schedule run until nothing is left to do; no command was run in vain."""
        run.mended()
        left = ["nothing was tried yet"]

        def settled() -> bool:
            before = self.watched.begun(), len(self.world.posts())
            cycle(self.world)
            left[:] = self.differences(ends)
            return not left and before == (self.watched.begun(), len(self.world.posts()))

        wait_until(settled, PATIENCE, lambda: "\n".join(["both sides to agree:", *left]))
        run.repeated = len(self.watched.repeated())
        assert self.watched.repeated() == []


@contextmanager
def opened(cluster: RealCluster, server: str, folder: Path) -> Iterator[Site]:
    """Start a world on an empty cluster."""
    cluster.reset()
    watched = Watched(cluster, folder / "watched")
    runner = Runner(PurePosixPath(watched.bin_dir), 60, environment=ENVIRONMENT | {"PATH": PATH})
    try:
        with World.started(server, folder) as world:
            node = replace(world.node, cluster=SlurmCluster(runner, cluster.cluster))
            yield Site(replace(world, node=node), watched)
    finally:
        cluster.reset()


def everything(site: Site) -> Ends:
    """Begin all of it: orders of each type, one that is refused, people who come and go, jobs."""

    def jobs(ending: str, changing: str) -> None:
        worked(site, changing)
        for resource in (ending, changing):
            working(site, resource)

    return stories.everything(site.world, jobs)


def worked(site: Site, resource: str) -> None:
    """Let two users have worked for an allocation, within the same hour."""
    account = site.world.backend_id(resource)
    hour = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - timedelta(hours=1)
    start = int(hour.timestamp())
    held = "cpu=4,mem=4096M,node=1,gres/gpu=1"
    site.cluster.inject_jobs(
        [InjectedJob(account, user, start, start + 1800, held) for user in ("alice", "bob")]
    )


def working(site: Site, resource: str) -> None:
    """Let one of them work still."""
    job = site.cluster.submit("bob", site.world.backend_id(resource), seconds=600)
    site.cluster.wait_for_state(job, "RUNNING")


def differences(
    waldur: WaldurSimulator, cluster: RealCluster, components: Components, ends: Ends
) -> list[str]:
    """Say where Waldur and a real cluster differ, accounts that slurmdbd keeps bare included."""
    state = service.state_of(cluster)
    ends = replace(ends, usage=used(cluster, components))
    bare = [f"{name} has lost its associations" for name in state.bare]
    return bare + disagreements(waldur, state.accounts, components, ends)


def used(cluster: RealCluster, components: Components) -> Mapping[str, Usage]:
    """Work out what the jobs used, from slurmdbd's own records; none of them runs any more."""
    seconds: Seconds = {}
    names = {row[0]: "/".join(filter(None, row[1:])) for row in cluster.sql(_TRES)}
    for account, user, start, elapsed, held in cluster.sql(_JOBS):
        pairs = (item.split("=") for item in held.split(",") if item)
        counts = {names[number]: int(count) for number, count in pairs}
        time = int(start), int(start) + int(elapsed)
        add_held(seconds, (account, user), time, counts, ZoneInfo("UTC"))
    return amounts(seconds, components)


_TRES = "SELECT id, type, name FROM tres_table WHERE deleted=0"
_JOBS = f"""
    SELECT job.account, assoc.user, time_start,
           CAST(time_end AS SIGNED) - time_start - time_suspended, tres_alloc
      FROM {CLUSTER}_job_table job JOIN {CLUSTER}_assoc_table assoc USING (id_assoc)
     WHERE time_start > 0 AND time_end > 0"""


def assert_usable(site: Site) -> None:
    """Assert that slurmctld knows what slurmdbd knows: each team can submit to its accounts."""
    for account in service.state_of(site.cluster).accounts.values():
        if account.limits:
            for user in account.users:
                site.cluster.submit(user, account.name, seconds=0)
