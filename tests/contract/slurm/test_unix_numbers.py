"""Users whom slurmctld has no Unix user for: added before that was there, or spelled otherwise."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from slurm_tasks.model.cluster import Key
from tests.contract.slurm.lab import Lab

LATE = "late"
HELP: dict[str, Callable[[Lab], object]] = {
    "reconfigure": lambda cluster: cluster.run("scontrol", "reconfigure"),
    "an account is added": lambda cluster: cluster.add_account("p2"),
    "a user is added": lambda cluster: cluster.add_users("bob", "p1"),
    "a user is removed": lambda cluster: cluster.remove_users("alice", "p1"),
    "an account is moved": lambda cluster: cluster.modify("p1", "parent=root"),
}


def _add_before_unix_does(cluster: Lab) -> None:
    cluster.no_unix_user(LATE)
    cluster.add_account("p1")
    cluster.add_users(f"alice,{LATE}", "p1")


def _unresolved(cluster: Lab) -> frozenset[Key]:
    return cluster.acted_by().without_uid


def test_an_association_that_is_older_than_its_unix_user_takes_no_jobs(cluster: Lab) -> None:
    """The one beside it does; a change of limits doesn't help."""
    _add_before_unix_does(cluster)
    assert _unresolved(cluster) == {Key("p1", LATE)}

    with cluster.unix_user(LATE):
        cluster.modify_users(LATE, "p1", "GrpSubmitJobs=5")
        done = cluster.refused(LATE, "p1")

        assert "Invalid account or account/partition combination" in done.err
        assert _unresolved(cluster) == {Key("p1", LATE)}
        cluster.pending("alice", "p1")


@pytest.mark.parametrize("what", HELP)
def test_what_helps_once_the_unix_user_is_there(cluster: Lab, what: str) -> None:
    """Its configuration is read anew, or any association comes, goes or is moved."""
    _add_before_unix_does(cluster)
    with cluster.unix_user(LATE):
        HELP[what](cluster)

        cluster.until(lambda: not _unresolved(cluster))
        cluster.until(lambda: cluster.submit_once(LATE, "p1", "--begin=now+1hour"))


def test_nothing_helps_before(cluster: Lab) -> None:
    """Not even that."""
    _add_before_unix_does(cluster)

    HELP["reconfigure"](cluster)
    HELP["an account is added"](cluster)

    assert _unresolved(cluster) == {Key("p1", LATE)}
