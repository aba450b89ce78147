"""What is measured equals what real SLURM itself reports: sreport, after a rollup.

Jobs of every kind run for seconds; then their records are moved to October 2025, a month that is
over, and in which Tallinn's clocks go back. What can't run in seconds (across the month's start or
end, or for longer than a month) is written into slurmdbd's database.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path, PurePosixPath
from typing import Any, cast
from zoneinfo import ZoneInfo

import pytest
import time_machine

from slurm_tasks.model.billing import payers
from slurm_tasks.model.usage import Period, month
from slurm_tasks.slurm.cluster import SlurmCluster
from slurm_tasks.slurm.runner import ENVIRONMENT, Runner
from tests.support.clusters import SUITES, InjectedJob, RealCluster, wait_until
from tests.support.world import World

MONTHS = {zone: month("2025-10", ZoneInfo(zone)) for zone in ("UTC", "Europe/Tallinn")}
ACCOUNTS = ("hpc_1", "hpc_2")
SHRUNK, STEPPED_BACK = "hpc_shrunk", "hpc_stepped"
GROUPED, GROUPS = "hpc_grouped", ("hpc_group", "hpc_team", "hpc_former")
"""An allocation with a site's own accounts below it: two, and one that is removed."""
OTHER = "hpc_other"
"""Another allocation, below that one."""
TRES = "cpu,mem,gres/gpu,node,billing"
JOBS: dict[str, tuple[str, dict[str, Any], str]] = {
    "whole-node": ("dave", {"seconds": 1, "exclusive": True}, "COMPLETED"),
    "timed-out": ("carol", {"cpus": 3, "time": 1}, "TIMEOUT"),
    "requeued-twice": ("bob", {"cpus": 2}, "REQUEUED REQUEUED RUNNING"),
    "resumed": ("dave", {"gpus": 1}, "RUNNING"),
    "suspended": ("dave", {"cpus": 2}, "SUSPENDED"),
    "cancelled-suspended": ("dave", {}, "CANCELLED"),
    "cancelled-running": ("carol", {"mem_mb": 3000}, "CANCELLED"),
    "cancelled-pending": ("alice", {"begin": "now+1hour"}, "CANCELLED"),
    "pending": ("bob", {"begin": "now+1hour"}, "PENDING"),
    "running": ("bob", {"gpus": 1}, "RUNNING"),
    "gpus": ("alice", {"seconds": 2, "cpus": 4, "gpus": 1}, "COMPLETED"),
    "at-once": ("alice", {"seconds": 0}, "COMPLETED"),
    "failed": ("bob", {"seconds": 0, "wrap": "exit 3"}, "FAILED"),
    "array": ("alice", {"seconds": 1, "array": "1-3"}, "COMPLETED COMPLETED COMPLETED"),
}
"""Whose, how they are submitted, and the states of their runs when the month is over."""
Usage = dict[tuple[str, str, str], int]
"""TRES-seconds by account, user and TRES; the user is empty in an account's total."""


@dataclass(frozen=True)
class October:
    """A real cluster with the jobs of October 2025, rolled up."""

    real: RealCluster
    cluster: SlurmCluster

    def measured(self, period: Period) -> Usage:
        """Return what the service measures."""
        found: Usage = {}
        for account, usage in self.cluster.usage(period, ACCOUNTS).items():
            assert not usage.doubtful
            rows = [*((user.user, user.tres) for user in usage.users), ("", usage.total())]
            found |= {(account, user, name): n for user, tres in rows for name, n in tres.items()}
        return {key: seconds for key, seconds in found.items() if seconds}

    def of(self, account: str, user: str = "") -> dict[str, int]:
        """Return what sreport reports of an account, or of a user of it, by TRES."""
        found = self._reported(MONTHS["UTC"])
        return {key[2]: n for key, n in found.items() if key[:2] == (account, user) and n}

    def _reported(self, period: Period) -> Usage:
        start, end = (datetime.fromtimestamp(edge, UTC) for edge in (period.start, period.end))
        return self.real.usage_by_sreport(start, end, TRES)

    def reported(self, period: Period) -> Usage:
        """Return what sreport reports."""
        found = self._reported(period)
        return {key: seconds for key, seconds in found.items() if key[0] in ACCOUNTS and seconds}


@pytest.fixture(scope="module", params=list(SUITES))
def october(request: pytest.FixtureRequest) -> Iterator[October]:
    """Let the jobs be on record on each of the real clusters, and people leave."""
    name = f"slurm_{request.param.replace('.', '')}"
    real = cast("RealCluster", request.getfixturevalue(name))
    real.reset()
    parents = dict.fromkeys([*ACCOUNTS, SHRUNK, STEPPED_BACK, GROUPED], "waldur")
    parents |= dict(zip([*GROUPS, OTHER], [GROUPED, GROUPS[0], GROUPED, GROUPED], strict=True))
    for account, parent in parents.items():
        real.sacctmgr("add", "account", account, "cluster=lab", f"parent={parent}")
    accounts = ",".join(parents)
    everywhere = ("cluster=lab", f"account={accounts},waldur", "DefaultAccount=waldur")
    real.sacctmgr("add", "user", "alice,bob,carol,dave", *everywhere)
    run_jobs(real)
    real.move_jobs_back((datetime.now(UTC) - datetime(2025, 10, 15, tzinfo=UTC)).days)
    for number, (account, period) in enumerate(zip(ACCOUNTS, MONTHS.values(), strict=True)):
        real.inject_jobs(long_jobs(account, period, 4_000_000 + number))
    real.inject_jobs([*inconsistent_jobs(real.release), *grouped_jobs()])
    former = f"account={GROUPS[-1]}"
    real.sacctmgr("remove", "user", "where", "name=alice,bob,carol,dave", former, "cluster=lab")
    real.sacctmgr("remove", "account", "where", f"name={GROUPS[-1]}", "cluster=lab")
    real.sacctmgr("remove", "user", "where", "name=alice", "account=hpc_1", "cluster=lab")
    real.sacctmgr("remove", "user", "where", "name=carol")
    first = min(period.start for period in MONTHS.values())
    last = max(period.end for period in MONTHS.values())
    real.rollup(datetime.fromtimestamp(first, UTC), datetime.fromtimestamp(last, UTC))
    runner = Runner(
        PurePosixPath(real.bin_dir), 60, environment=ENVIRONMENT | {"PATH": "/usr/sbin:/usr/bin"}
    )
    yield October(real, SlurmCluster(runner, real.cluster))
    real.reset()


def run_jobs(real: RealCluster) -> None:
    """Run a job of every kind, the one that needs the whole node first."""
    jobs = {}
    for name, (user, options, _) in JOBS.items():
        account = ACCOUNTS[user == "dave"]
        jobs[name] = real.submit(user, account, **{"seconds": 600, "job_name": name, **options})
    for name, (_, options, _) in JOBS.items():
        if "seconds" not in options:
            real.wait_for_state(jobs[name], "PENDING" if "begin" in options else "RUNNING")
    # No limit is below a minute; slurmctld looks for jobs over theirs every 30 s.
    real.run("scontrol", "update", f"jobid={jobs['timed-out']}", "EndTime=now")
    for name in ("resumed", "suspended", "cancelled-suspended"):
        real.run("scontrol", "suspend", jobs[name])
    for _ in range(2):
        real.requeue(jobs["requeued-twice"])
    real.run("scontrol", "resume", jobs["resumed"])
    real.run("scancel", *(jobs[name] for name in JOBS if name.startswith("cancelled")))
    expected = {name: states for name, (_, _, states) in JOBS.items()}
    wait_until(lambda: states_of(real) == expected, 60, lambda: f"the ends of {states_of(real)}")


def states_of(
    real: RealCluster, start: str = "2020-01-01", end: str = "now+1day"
) -> dict[str, str]:
    """Return the states of jobs by name: of each run, of each task of an array."""
    window = (f"--starttime={start}", f"--endtime={end}")
    done = real.run("sacct", "-aXDnP", *window, "--format=account,jobname,state")
    found: dict[str, list[str]] = {}
    for account, name, state in (line.split("|") for line in done.stdout.splitlines()):
        if account and name in JOBS:  # 22.05 shows a job without its account for up to 5 s
            found.setdefault(name, []).append(state.split()[0])
    return {name: " ".join(states) for name, states in found.items()}


def long_jobs(account: str, period: Period, number: int) -> list[InjectedJob]:
    """Return what can't be run in seconds; the period's first second is 0 here."""
    end = period.end - period.start
    day = 86400

    def job(
        user: str,
        start: int,
        stop: int | None,
        *spells: tuple[int, int],
        state: str = "COMPLETED",
        job_id: int | None = None,
        submit: int | None = None,
    ) -> InjectedJob:
        first = period.start
        return InjectedJob(
            account,
            user,
            first + start,
            0 if stop is None else first + stop,
            "billing=7,cpu=3,gres/gpu=2,mem=1G,node=1",
            "RUNNING" if stop is None else state,
            job_id,
            submit,
            [(first + begin, first + end) for begin, end in spells],
        )

    return [
        job("alice", -1000, 500),
        job("bob", end - 100, end + 500),
        job("carol", -10 * day, end + 3 * day),
        job("dave", -7 * day, None),
        job("dave", end - 7 * day, None),
        job("alice", -5000, 0),
        job("bob", end, end + 100),
        job("bob", 5 * day, 5 * day),
        job("alice", 25 * day, 26 * day),
        job("carol", 1000, 5000, (1500, 1600), (1600, 2000)),
        job("alice", -1000, 5000, (-500, 77), (100, 200)),
        job("bob", end - 1000, end + 5000, (end - 500, end + 77), (end + 100, end + 200)),
        job("carol", -1000, end + 5000, (-500, 77), (100, 200), (end - 5, end + 9)),
        job("dave", -1000, end + 5000, (-500, end + 77)),
        job("dave", -1000, None, (-500, 77)),
        job("bob", -1003, 300, state="REQUEUED", job_id=number),
        job("bob", 310, 320, state="REQUEUED", job_id=number),
        job("bob", 400, end + 300, state="NODE_FAIL", job_id=number),
        job("alice", 2 * day, 3 * day, state="OUT_OF_MEMORY"),
        job("alice", 2 * day, 3 * day, state="PREEMPTED", submit=period.start),
    ]


def inconsistent_jobs(release: str) -> list[InjectedJob]:
    """Return a job that was made smaller after a minute, and one whose clock stepped back."""
    start = MONTHS["UTC"].start + 86400
    big, small = "cpu=8,mem=200M,node=2", "cpu=4,mem=100M,node=1"
    # As real ones are listed: see the recordings of sacct-shrunk.
    again = start if release == "22.05" else start + 60
    return [
        InjectedJob(SHRUNK, "bob", start, start + 60, big, "RESIZING", 5_000_000),
        InjectedJob(SHRUNK, "bob", again, start + 90, small, job_id=5_000_000, submit=start + 60),
        InjectedJob(STEPPED_BACK, "bob", start, start + 31, small, suspended=start + 128),
    ]


def grouped_jobs() -> list[InjectedJob]:
    """Return jobs of an allocation, of the accounts below it, and of another one's."""
    start = MONTHS["UTC"].start + 86400
    accounts = (GROUPED, *GROUPS, OTHER)
    return [
        InjectedJob(account, user, start, start + 10**number, "cpu=1,mem=10M,node=1")
        for number, account in enumerate(accounts)
        for user in ("alice", "bob")
    ]


def test_accounts_below_an_allocation_count_to_it(october: October) -> None:
    """As in sreport, the removed one too; but another allocation is that one's own."""
    cluster, period = october.cluster, MONTHS["UTC"]
    tree = {**cluster.lineage(cluster.accounting()), **cluster.read().accounts}
    accounts = payers([GROUPED, OTHER], tree)

    usage = cluster.measure(period, accounts).usage

    assert set(accounts) == {GROUPED, OTHER, *GROUPS}
    assert usage[GROUPED].total()["cpu"] == 2 * 1111
    for user in usage[GROUPED].users:
        in_sreport = sum(october.of(name, user.user)["cpu"] for name in (GROUPED, *GROUPS))
        assert user.tres["cpu"] == in_sreport
    other = usage[OTHER].total()["cpu"]
    assert other == october.of(OTHER)["cpu"]
    assert usage[GROUPED].total()["cpu"] == october.of(GROUPED)["cpu"] - other


def test_a_shrunk_job_is_what_it_held_and_no_longer_from_its_start_again(october: October) -> None:
    """As in sreport; but 22.05's counts the second run from the job's start on."""
    period = MONTHS["UTC"]

    measured = october.cluster.usage(period, [SHRUNK])[SHRUNK].total()

    assert measured == {"cpu": 8 * 60 + 4 * 30, "mem": 200 * 60 + 100 * 30, "node": 2 * 60 + 30}
    again = {"cpu": 4 * 60, "mem": 100 * 60, "node": 60} if october.real.release == "22.05" else {}
    assert october.of(SHRUNK) == {name: n + again.get(name, 0) for name, n in measured.items()}


def test_a_job_whose_clock_stepped_back_is_no_longer_than_from_its_start_to_its_end(
    october: October,
) -> None:
    """As in sreport, and told."""
    usage = october.cluster.usage(MONTHS["UTC"], [STEPPED_BACK])[STEPPED_BACK]

    assert usage.total() == {"cpu": 4 * 31, "mem": 100 * 31, "node": 31}
    assert usage.total() == october.of(STEPPED_BACK)
    assert len(usage.doubtful) == 1


def test_every_kind_of_job_is_in_the_month(october: October) -> None:
    """As slurmctld recorded it, but for the days."""
    assert set(states_of(october.real, "2025-10-02", "2025-10-31")) == set(JOBS)


@pytest.mark.parametrize("zone", MONTHS)
def test_usage_equals_sreport(october: October, zone: str) -> None:
    """By account, user and TRES, to the second; every user of both accounts has some."""
    measured = october.measured(MONTHS[zone])

    assert measured == october.reported(MONTHS[zone])
    assert {(account, user) for account, user, _ in measured} == {
        (account, user) for account in ACCOUNTS for user in ("alice", "bob", "carol", "dave", "")
    }


def test_users_who_are_gone_keep_their_share(october: October) -> None:
    """The one has lost her association, the other is not known to SLURM any more."""
    period = MONTHS["UTC"]

    assert october.cluster.read().accounts["hpc_1"].users == {"bob", "dave"}
    assert "carol" not in october.cluster.defaults()
    for user in ("alice", "carol"):
        key = ("hpc_1", user, "cpu")
        assert october.measured(period)[key] == october.reported(period)[key] > 0


@pytest.mark.parametrize("server", ["a", "b"])
def test_waldur_gets_what_sreport_reports(october: October, server: str, tmp_path: Path) -> None:
    """In measured units with two decimals, in total and by user, before the month ends."""
    now = datetime(2025, 10, 31, 23, 50, tzinfo=UTC)
    factors = {"cpu": 60, "mem": 61440, "gres/gpu": 60}
    expected = {
        (name, user): (Decimal(seconds) / 60 / factors[name]).quantize(
            Decimal("0.01"), ROUND_HALF_UP
        )
        for (account, user, name), seconds in october.reported(MONTHS["UTC"]).items()
        if account == "hpc_1" and name in factors
    }
    with time_machine.travel(now), World.started(server, tmp_path) as world:
        resource = world.allocated()
        world.waldur.set_resource(resource, backend_id="hpc_1")
        world.node = replace(world.node, cluster=october.cluster)
        world.report_usage()
        totals = world.waldur.usages(resource)
        parts = world.waldur.user_usages(resource)
    posted = {(*key, ""): value for key, value in totals.items()} | parts
    assert expected == {
        (name, user): value for (name, day, user), value in posted.items() if day == "2025-10-01"
    }
