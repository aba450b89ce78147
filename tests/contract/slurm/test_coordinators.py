"""Coordinators: who they are, what they may do, and what the removal of an association leaves."""

from __future__ import annotations

from slurm_tasks.model.changes import RemoveCoordinators
from slurm_tasks.slurm.commands import for_change
from tests.contract.slurm.lab import Answer, Lab


def _ready(cluster: Lab) -> None:
    cluster.add_account("p1")
    cluster.add_account("a1", "p1")
    cluster.add_users("alice,bob", "a1,waldur", "waldur")


def _appoint(cluster: Lab, user: str, account: str) -> Answer:
    return cluster.sacctmgr("add", "coordinator", f"account={account}", f"names={user}")


def _dismiss(cluster: Lab, users: tuple[str, ...], *accounts: str) -> Answer:
    (command,) = for_change(RemoveCoordinators(users, accounts), "lab")
    return cluster.run(command.program, *command.argv())


def _add(cluster: Lab, user: str, by: str) -> Answer:
    words = ("add", "user", f"name={user}", "cluster=lab", "account=a1")
    return cluster.run("sacctmgr", "--immediate", *words, user=by)


def _coordinators(cluster: Lab) -> dict[str, frozenset[str]]:
    accounts = cluster.read().accounts.values()
    return {account.name: account.coordinators for account in accounts if account.coordinators}


def test_a_right_to_an_account_is_one_to_those_below_it(cluster: Lab) -> None:
    """The listing shows both kinds alike; appointing again is exit 0."""
    _ready(cluster)

    for _ in range(2):
        assert _appoint(cluster, "alice", "a1").code == 0
        assert _appoint(cluster, "bob", "p1").code == 0

    assert _coordinators(cluster) == {"a1": {"alice", "bob"}, "p1": {"bob"}}
    assert _add(cluster, "carol", by="bob").code == 0
    assert cluster.tree()["a1"].users == {"alice", "bob", "carol"}


def test_somebody_without_a_right_adds_nobody(cluster: Lab) -> None:
    """Nothing is added."""
    _ready(cluster)

    done = _add(cluster, "carol", by="alice")

    assert (done.code, "denied" in done.err) == (1, True)
    assert cluster.tree()["a1"].users == {"alice", "bob"}


def test_a_right_outlives_the_association(cluster: Lab) -> None:
    """With it, whoever was removed adds himself again, and others."""
    _ready(cluster)
    _appoint(cluster, "alice", "a1")

    cluster.remove_users("alice", "a1")

    assert _coordinators(cluster) == {"a1": {"alice"}}
    assert _add(cluster, "alice", by="alice").code == 0
    assert _add(cluster, "carol", by="alice").code == 0
    assert cluster.tree()["a1"].users == {"alice", "bob", "carol"}


def test_a_right_that_was_taken_adds_nobody(cluster: Lab) -> None:
    """Before the association, so that it can't be used in between."""
    _ready(cluster)
    _appoint(cluster, "alice", "a1")
    _appoint(cluster, "bob", "a1")

    assert _dismiss(cluster, ("alice",), "a1").code == 0
    cluster.remove_users("alice", "a1")

    assert _coordinators(cluster) == {"a1": {"bob"}}
    assert _add(cluster, "alice", by="alice").code == 1
    assert _add(cluster, "carol", by="alice").code == 1
    assert cluster.tree()["a1"].users == {"bob"}


def test_several_lose_their_rights_to_several_accounts_at_once(cluster: Lab) -> None:
    """Those that they don't have are passed over; nothing at all to take is exit 1."""
    _ready(cluster)
    _appoint(cluster, "alice", "a1")
    _appoint(cluster, "bob", "p1")

    assert _dismiss(cluster, ("alice", "bob"), "a1", "p1").code == 0
    again = _dismiss(cluster, ("alice", "bob"), "a1", "p1")

    assert _coordinators(cluster) == {}
    assert (again.code, "Nothing removed" in again.text) == (1, True)


def test_a_right_by_an_account_above_stays(cluster: Lab) -> None:
    """It is that one's."""
    _ready(cluster)
    _appoint(cluster, "alice", "p1")

    assert _dismiss(cluster, ("alice",), "a1").code == 1
    assert _coordinators(cluster) == {"a1": {"alice"}, "p1": {"alice"}}


def test_a_right_ends_with_its_account_and_with_its_user(cluster: Lab) -> None:
    """One who has no association any more is none; an account that is made again has none."""
    _ready(cluster)
    cluster.add_users("carol", "a1")
    for user in ("alice", "carol"):
        _appoint(cluster, user, "a1")

    cluster.remove_users("carol", "a1")
    assert _coordinators(cluster) == {"a1": {"alice"}}
    assert _add(cluster, "carol", by="carol").code == 1
    cluster.remove_users("alice,bob", "a1")
    cluster.sacctmgr("remove", "account", "where", "name=a1")
    cluster.add_account("a1", "p1")
    assert _coordinators(cluster) == {}
