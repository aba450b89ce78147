"""Job records that slurmdbd throws away: whose, from when on, and how that is told."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from slurm_tasks.model.purge import Purge
from tests.contract.slurm.lab import Lab
from tests.support.clusters import InjectedJob

DAY = 86400


def _configured(cluster: Lab) -> list[str]:
    done = cluster.sacctmgr("show", "configuration")
    assert done.code == 0
    return [line for line in done.out.splitlines() if line.startswith("PurgeJobAfter ")]


def test_a_cluster_that_keeps_its_records_says_so(cluster: Lab) -> None:
    """Everybody may read it."""
    shown = ["PurgeJobAfter          = NONE"]

    assert _configured(cluster) == shown
    assert shown[0] in cluster.run("sacctmgr", "show", "configuration", user="alice").out


@pytest.mark.parametrize("rule", [Purge(2, "months"), Purge(40, "days"), Purge(72, "hours")])
def test_records_from_before_the_cutoff_are_gone(cluster: Lab, rule: Purge) -> None:
    """22.05 goes by a job's submission, later ones by its end; what still runs always stays."""
    cutoff = _cutoff(cluster, rule)
    cluster.add_account("p1")
    cluster.add_users("alice", "p1")
    cluster.inject(
        [
            _job(1, cutoff - 3 * DAY, cutoff - 2 * DAY),
            _job(2, cutoff - 3 * DAY, cutoff + 2 * DAY),
            _job(3, cutoff + 2 * DAY, cutoff + 2 * DAY + 60),
            _job(4, cutoff - 3 * DAY, 0),
        ]
    )
    assert _held(cluster) == ["1", "2", "3", "4"]

    with cluster.purged(rule):
        kept = ["3", "4"] if cluster.old else ["2", "3", "4"]
        cluster.until(lambda: _held(cluster) == kept)
        unit = f"{rule.after} {rule.unit}"
        assert _configured(cluster) == [f"PurgeJobAfter          = {unit}"]


def _cutoff(cluster: Lab, rule: Purge) -> int:
    """Return the cutoff that counts during the test: none begins in the next minute."""

    def soon(seconds: int) -> datetime:
        return rule.cutoff(datetime.now(UTC) + timedelta(seconds=seconds))

    cluster.until(lambda: soon(0) == soon(60), seconds=90)
    return int(soon(0).timestamp())


def _job(cpus: int, start: int, end: int) -> InjectedJob:
    """Return a job that is known by its processors."""
    return InjectedJob("p1", "alice", start, end, f"cpu={cpus}", "COMPLETED" if end else "RUNNING")


def _held(cluster: Lab) -> list[str]:
    """Return the processors of the jobs that are on record."""
    rows = cluster.usage("2020-01-01T00:00:00", f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S}")
    return sorted(held.removeprefix("cpu=") for *_, held in rows)
