"""Job records that slurmdbd can't read, or hides, and the other witnesses of usage."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from slurm_tasks.model.usage import Period, month_of, previous
from slurm_tasks.slurm.commands import AccountUsage
from slurm_tasks.sync.measure import Measured, measure
from tests.contract.slurm.lab import USAGE, Lab
from tests.support.clusters import InjectedJob, RealCluster

ZONE = ZoneInfo("UTC")


def _now() -> Period:
    return month_of(datetime.now(UTC), ZONE)


def _ready(cluster: Lab) -> None:
    cluster.add_account("p1")
    cluster.add_account("p2")
    cluster.add_users("alice,bob", "p1,p2,waldur", "waldur")


def _used(cluster: Lab) -> None:
    """Let a job of a second and more run in p1, so that slurmctld counts it."""
    _ready(cluster)
    job = cluster.running("alice", "p1", "--cpus-per-task=2")
    cluster.until(lambda: _seconds(cluster) > 0)
    cluster.run("scancel", "--clusters=lab", "--account=p1")
    cluster.until(lambda: cluster.queue("p1", "%i") == [])
    cluster.accounted(job, "CANCELLED")


def _seconds(cluster: Lab) -> int:
    return cluster.as_service().usage(_now(), ["p1"])["p1"].total().get("cpu", 0)


def _measured(cluster: Lab, *accounts: str, period: Period | None = None) -> Measured:
    service = cluster.as_service()
    names = {name: name for name in accounts}
    return measure(service, [period or _now()], names, service.accounting())


def test_records_that_cannot_be_read_are_an_empty_listing(cluster: Lab) -> None:
    """The header, exit 0, nothing on stderr; sacctmgr goes on working."""
    _used(cluster)
    window = (f"--starttime={_now().first_day}T00:00:00", "--endtime=2036-01-01T00:00:00")

    with cluster.unreadable():
        done = cluster.run("sacct", *USAGE, *window, "--format=account,elapsedraw")
        assert "p1" in cluster.listed()

    assert (done.code, done.out, done.err) == (0, "Account|ElapsedRaw\n", "")


def test_slurmctld_counts_usage_of_an_account_and_of_those_above(cluster: Lab) -> None:
    """Of jobs that have ended, at once; after the account's removal still of root."""
    _used(cluster)
    service = cluster.as_service()

    used = service.used()
    assert {name: used[name] for name in ("root", "waldur", "p1", "p2")} == {
        "root": True,
        "waldur": True,
        "p1": True,
        "p2": False,
    }
    cluster.remove_users("alice,bob", "p1")
    cluster.remove_account("p1")
    cluster.until(lambda: "p1" not in service.used())
    assert service.used()["root"]


def test_an_empty_listing_of_what_slurmctld_counts_is_a_failed_read(cluster: Lab) -> None:
    """And once it can be read, it is what was used."""
    _used(cluster)

    with cluster.unreadable():
        found = _measured(cluster, "p1", "p2")
        assert found.readings == {}
        assert "slurmctld counts usage of 'p1'" in found.failed[_now().month]
        assert _measured(cluster, "p2").unconfirmed == (_now().month,)

    read = _measured(cluster, "p1", "p2").readings[_now().month]
    assert read.usage["p1"].total()["cpu"] > 0


def test_after_its_removal_an_accounts_empty_listing_is_a_failed_read(cluster: Lab) -> None:
    """Where nobody's jobs are listed, though slurmctld counts usage of somebody."""
    _used(cluster)
    cluster.remove_users("alice,bob", "p1")
    cluster.remove_account("p1")
    cluster.until(lambda: "p1" not in cluster.as_service().used())

    with cluster.unreadable():
        assert "lists no job of anybody" in _measured(cluster, "p1").failed[_now().month]

    assert _measured(cluster, "p1").readings[_now().month].usage["p1"].total()["cpu"] > 0


def test_an_idle_month_is_zero(cluster: Lab) -> None:
    """It was used before: that is on record. One that nobody ever used has no other witness."""
    _ready(cluster)
    assert _measured(cluster, "p1").unconfirmed == (_now().month,)
    start = previous(_now(), ZONE).start + 3600
    cluster.inject([InjectedJob("p1", "alice", start, start + 60)])

    found = _measured(cluster, "p1", "p2")

    assert (found.failed, found.unconfirmed) == ({}, ())
    assert found.readings[_now().month].usage["p1"].total() == {}


def test_a_month_before_the_first_job_is_zero(cluster: Lab) -> None:
    """Slurmctld counts usage of this month; last month is empty."""
    _used(cluster)

    found = _measured(cluster, "p1", period=previous(_now(), ZONE))

    assert (found.failed, found.unconfirmed) == ({}, ())


@pytest.mark.parametrize(("level", "sees"), [("None", False), ("Operator", True), ("Admin", True)])
def test_jobs_are_hidden_from_whoever_is_no_operator(cluster: Lab, level: str, sees: bool) -> None:
    """Only their own are listed then: nothing is measured."""
    _ready(cluster)
    start = int(datetime.now(UTC).timestamp()) - 600
    cluster.inject([InjectedJob("p1", user, start, start + 60) for user in ("alice", "bob")])
    cluster.set_level("alice", "Administrator" if level == "Admin" else level)
    service = cluster.as_service("alice")
    command = AccountUsage("lab", start - 60, start + 600, {"p1": "p1"})

    with cluster.private():
        rows = service.runner.read(command).rows
        told = "jobs" in service.accounting().private

    assert (rows, told) == (2 if sees else 1, cluster.release != "26.05")


def test_only_administrators_and_operators_are_told_to_see_all_jobs(cluster: Lab) -> None:
    """By what slurmdbd itself thinks of us."""
    _ready(cluster)

    assert cluster.as_service("root").sees_all_jobs()
    assert not cluster.as_service("alice").sees_all_jobs()


@pytest.mark.parametrize("release", ["slurm_2205", "slurm_2411", "slurm_2605"])
def test_a_statement_limit_that_only_the_months_query_exceeds_is_a_failed_read(
    request: pytest.FixtureRequest, release: str
) -> None:
    """65,000 rows of one month; real clusters only."""
    real: RealCluster = request.getfixturevalue(release)
    real.reset()
    cluster = Lab(real)
    _used(cluster)
    start = int(datetime.now(UTC).timestamp()) - 600
    real.multiply_job(real.inject_jobs([InjectedJob("p1", "bob", start, start + 60)])[0], 65_000)
    assert _measured(cluster, "p1").readings[_now().month].rows > 65_000

    real.sql("SET GLOBAL max_statement_time = 0.02")
    try:
        found = _measured(cluster, "p1")
    finally:
        real.sql("SET GLOBAL max_statement_time = 0")

    assert found.readings == {}
    assert set(found.failed) == {_now().month}
