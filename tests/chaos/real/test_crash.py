"""The head-node worker is killed around each write to a real SLURM: the schedule goes on."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

import pytest

from slurm_tasks import broker
from slurm_tasks.demo.waldur.values import Project
from tests.chaos.real.parts import COMPONENTS, LOCK
from tests.chaos.real.site import differences
from tests.chaos.stories import MORE
from tests.support import service
from tests.support.agreement import Ends
from tests.support.chaos import Chaos, Run
from tests.support.clusters import RealCluster, wait_until
from tests.support.service import Service
from tests.support.watched import Moment, Victim, Watched
from tests.support.world import LIMITS

PATIENCE = 120
"""Seconds in which both sides have to agree again."""
SHORT: dict[Moment, tuple[str, int]] = {"before": ("terminate", 2), "after": ("create", 3)}
"""Writes of the short form: one amid an allocation's end, and the one that makes its account."""

pytestmark = pytest.mark.timeout(900)


@dataclass
class Site:
    """A running service on a watched cluster."""

    run: Service
    watched: Watched

    def differences(self) -> list[str]:
        """Say where the two sides differ."""
        return differences(self.run.waldur, self.watched.cluster, COMPONENTS, Ends())

    def converge(self) -> None:
        """Wait until both sides agree."""
        left: list[str] = []

        def settled() -> bool:
            left[:] = self.differences()
            return not left

        wait_until(settled, PATIENCE, lambda: "\n".join(["both sides to agree:", *left]))

    def allocated(self, project: Project) -> str:
        """Have an allocation made, and return its resource's uuid."""
        resource = self.run.create(project, "Genomics", LIMITS)
        self.converge()
        return resource

    def work(self, resource: str, user: str) -> None:
        """Let a user's job run."""
        job = self.watched.cluster.submit(user, self.run.account(resource), seconds=600)
        self.watched.cluster.wait_for_state(job, "RUNNING")


Act = Callable[[], object]


def create(site: Site, project: Project) -> Act:
    """An allocation is ordered."""
    return lambda: site.run.waldur.order_create(project, "Genomics", LIMITS)


def update(site: Site, project: Project) -> Act:
    """Other limits are ordered."""
    resource = site.allocated(project)
    return lambda: site.run.waldur.order_update(resource, MORE)


def terminate(site: Site, project: Project) -> Act:
    """The end is ordered while a job runs."""
    resource = site.allocated(project)
    site.work(resource, "alice")
    return lambda: site.run.waldur.order_terminate(resource)


def members(site: Site, project: Project) -> Act:
    """Somebody who has a job leaves, and somebody else comes."""
    site.work(site.allocated(project), "bob")

    def change() -> None:
        site.run.join(project, "carol")
        site.run.leave(project, "bob")

    return change


STORIES = {"create": create, "update": update, "terminate": terminate, "members": members}


@contextmanager
def opened(cluster: RealCluster, folder: Path, usage_interval: str = "2") -> Iterator[Site]:
    """Run the service on an empty cluster."""
    cluster.reset()
    watched = Watched(cluster, folder / "watched")
    settings = service.environment_of(cluster, folder) | {"SLURM_BIN_DIR": str(watched.bin_dir)}
    try:
        with service.running(folder, settings, USAGE_REPORT_INTERVAL=usage_interval) as run:
            yield Site(run, watched)
    finally:
        cluster.reset()


def every_write(site: Site) -> Iterator[tuple[str, int]]:
    """Yield each write of each story, numbered from 1; they are found by letting it happen."""
    for story, begin in STORIES.items():
        act = begin(site, site.run.project("alice", "bob"))
        before = site.watched.begun()
        act()
        site.converge()
        for number in range(site.watched.begun() - before):
            yield story, number + 1


def killed(site: Site, story: str, number: int, moment: Moment, victim: Victim, run: Run) -> None:
    """Let a story happen, and somebody die at one of its writes; then both sides agree."""
    act = STORIES[story](site, site.run.project("alice", "bob"))
    site.watched.strike(number, moment, victim)
    act()
    wait_until(site.watched.struck, PATIENCE, lambda: f"write {number} of {story}")
    run.mended()
    if victim == "worker":
        restart(site.run)
    site.converge()


def restart(run: Service) -> None:
    """Do what systemd does when a worker's main process has died: end the rest, start anew."""
    with suppress(ProcessLookupError):
        os.killpg(run.stack.pid("headnode"), signal.SIGKILL)
    run.stack.stop("headnode")
    run.stack.start_worker("headnode")


def parent(pid: int) -> int:
    """Return the pid of a process's parent."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    return int(status.split("PPid:")[1].split()[0])


@pytest.mark.parametrize(("release", "moment"), [("26.05", "before"), ("24.11", "after")])
def test_killed_at_a_write(
    release: str, moment: Moment, request: pytest.FixtureRequest, chaos: Chaos, tmp_path: Path
) -> None:
    """Whichever write it is: a write is completed once, by whoever comes next."""
    cluster = request.getfixturevalue(f"slurm_{release.replace('.', '')}")
    with opened(cluster, tmp_path) as site:
        for story, number in every_write(site) if chaos.long else [SHORT[moment]]:
            victim = get_args(Victim)[number % 2]
            fault = f"{story}, {victim} killed {moment} a write, real SLURM"
            with chaos.run("crash", fault) as run:
                killed(site, story, number, moment, victim, run)
                run.repeated = len(site.watched.repeated())
                assert site.watched.repeated() == []
        site.run.stack.stop("beat")
        wait_until(lambda: not site.run.queued(), PATIENCE, lambda: "the queues to be empty")


@pytest.mark.parametrize("victim", get_args(Victim))
def test_orphaned_write_keeps_others_out(
    victim: Victim, slurm_2605: RealCluster, chaos: Chaos, tmp_path: Path
) -> None:
    """A sacctmgr that outlives its worker has the host's lock, though Redis forgot the other."""
    with (
        opened(slurm_2605, tmp_path, usage_interval="3600") as site,
        chaos.run("broker", f"lock's key gone, sacctmgr orphaned by a killed {victim}") as run,
    ):
        act = create(site, site.run.project("alice", "bob"))
        site.watched.strike(3, "frozen")
        act()
        wait_until(site.watched.struck, PATIENCE, lambda: "the write to hang")
        since, before = len(site.run.stack.log("headnode")), site.watched.writes()
        try:
            orphan = site.watched.frozen()
            if victim == "child":
                os.kill(parent(orphan), signal.SIGKILL)
            else:
                restart(site.run)
            with broker.connected(site.run.app) as client:
                assert client.delete(LOCK)
            wait_until(
                lambda: "another process on this host" in site.run.stack.log("headnode")[since:],
                PATIENCE,
                lambda: "another task to meet the lock",
            )
            assert (site.watched.begun(), site.watched.writes()) == (3, before)
            os.kill(orphan, 0)
        finally:
            site.watched.thaw()
        run.mended()
        site.converge()
        assert site.watched.repeated() == []
