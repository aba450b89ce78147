"""Changes: what people read of them, and what they do to the state."""

from __future__ import annotations

from dataclasses import replace

import pytest

from slurm_tasks.model.changes import (
    AddAccount,
    AddUsers,
    CancelJobs,
    Change,
    RemoveAccount,
    RemoveCoordinators,
    RemoveUsers,
    SetBlocked,
    SetDefault,
    SetLimits,
    SetParent,
    SetQos,
    SetUsersBlocked,
    advance,
)
from slurm_tasks.model.cluster import Account, Cluster, UserAssociation
from slurm_tasks.model.submission import CLOSED, OPEN
from tests.unit.build import cluster

TWO = ("alice", "bob")


def state(account: Account) -> Cluster:
    """Make a cluster with one account below one of another QoS."""
    return cluster(Account("p1", "root", qos=frozenset({"long"})), account)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (AddAccount("a1", "p1", "d", "o"), "create account a1 under p1"),
        (
            AddAccount("a1", "p1", "d", "o", {"mem": 5, "cpu": 6}),
            "create account a1 under p1 with cpu=6,mem=5",
        ),
        (SetParent("p1", "c2"), "move account p1 under c2"),
        (SetLimits("a1", {"cpu": -1}), "set limits of a1 to cpu=-1"),
        (SetBlocked("a1", CLOSED), "block submission to a1"),
        (SetBlocked("a1", OPEN), "allow submission to a1"),
        (
            SetBlocked("a1", CLOSED, "QoS x takes jobs"),
            "block submission to a1, as QoS x takes jobs",
        ),
        (
            SetBlocked("a1", CLOSED, lost=("GrpSubmitJobs=5", "MaxSubmitJobs=2")),
            "block submission to a1 (its GrpSubmitJobs=5 and MaxSubmitJobs=2 can't be restored)",
        ),
        (SetQos("a1", "slow"), "switch a1 to QoS slow"),
        (SetQos("a1", None), "switch a1 to the inherited QoS"),
        (SetUsersBlocked(TWO, "a1", CLOSED), "block submission by alice, bob to a1"),
        (SetUsersBlocked(TWO, "a1", OPEN), "allow submission by alice, bob to a1"),
        (
            SetUsersBlocked(("bob",), "a1", CLOSED, "main", ("GrpSubmitJobs=5",)),
            (
                "block submission by bob to a1 in partition main"
                " (its GrpSubmitJobs=5 can't be restored)"
            ),
        ),
        (
            RemoveCoordinators(TWO, ("a1", "p1")),
            "remove alice, bob from the coordinators of a1, p1",
        ),
        (AddUsers(TWO, "a1"), "add alice, bob to a1"),
        (AddUsers(TWO, "a1", "waldur"), "add alice, bob to a1, default account waldur"),
        (SetDefault(TWO, "a1"), "make a1 the default account of alice, bob"),
        (CancelJobs("a1"), "cancel jobs in a1"),
        (CancelJobs("a1", TWO), "cancel jobs of alice, bob in a1"),
        (RemoveUsers(TWO, "a1"), "remove alice, bob from a1"),
        (RemoveAccount("a1"), "remove account a1"),
    ],
)
def test_a_change_reads_as_a_sentence(change: Change, sentence: str) -> None:
    """`slurm-tasks plan` and the outcomes show it to people."""
    assert str(change) == sentence


def test_a_new_account_inherits_its_parents_qos() -> None:
    """Its jobs may run in what those of the account above may."""
    before = state(Account("root"))

    below = advance(before, [AddAccount("a1", "p1", "text", "o")]).accounts["a1"]
    nowhere = advance(before, [AddAccount("a1", "gone", "text", "o")]).accounts["a1"]

    assert below == Account("a1", "p1", "text")
    assert nowhere == Account("a1", "gone", "text")


def test_an_account_is_moved_and_blocked_where_it_is() -> None:
    """All else of it stays."""
    before = Account("a1", "p1", "text", {"cpu": 5}, frozenset({"alice"}))

    changes = (SetParent("a1", "waldur"), SetBlocked("a1", CLOSED))
    after = advance(state(before), changes).accounts["a1"]

    assert after == replace(before, parent="waldur", submission=CLOSED)


def test_an_account_is_switched_to_a_qos_and_back_to_that_above() -> None:
    """The one is its default as well."""
    before = state(Account("a1", "p1"))

    switched = advance(before, [SetQos("a1", "slow")])
    back = advance(switched, [SetQos("a1", None)])

    assert switched.qos_of("a1") == {"slow"}
    assert switched.accounts["a1"].default_qos == "slow"
    assert back.qos_of("a1") == {"long"}
    assert back == before


def test_a_name_that_slurmdbd_knows_keeps_its_description() -> None:
    """Whatever description an add names; the name is then no longer a bare one."""
    before = replace(cluster(), bare={"a1": "theirs", "a2": "others"})

    after = advance(before, [AddAccount("a1", "waldur", "ours", "o")])

    assert after.accounts["a1"].description == "theirs"
    assert after.bare == {"a2": "others"}


def test_limits_are_merged_and_kept_as_slurm_lists_them() -> None:
    """-1 takes one away, others stay, memory is rounded as the next listing rounds it."""
    before = state(Account("a1", "p1", limits={"cpu": 5, "node": 1}))
    limits = {"cpu": -1, "mem": 2621952}

    new = advance(before, [AddAccount("a2", "p1", "d", "o", limits)]).accounts["a2"]
    changed = advance(before, [SetLimits("a1", limits)]).accounts["a1"]

    assert new.limits == {"mem": 2621440}
    assert changed.limits == {"node": 1, "mem": 2621440}


def test_newcomers_join_their_default_account_too() -> None:
    """Both associations are made at once; a default that the cluster lacks makes none."""
    before = state(Account("a1", "p1", users=frozenset({"carol"})))

    after = advance(before, [AddUsers(TWO, "a1", "waldur")])

    assert after.accounts["a1"].users == {"alice", "bob", "carol"}
    assert after.accounts["waldur"].users == {"alice", "bob"}
    assert advance(before, [AddUsers(TWO, "a1", "gone")]).get("gone") is None


SHUT = UserAssociation(CLOSED)


def test_what_an_association_has_of_its_own_goes_with_it() -> None:
    """Those of others stay."""
    users = frozenset({"alice", "bob", "carol"})
    own = {("alice", ""): SHUT, ("alice", "main"): SHUT, ("bob", ""): SHUT}
    before = state(Account("a1", "p1", users=users, associations=own))

    after = advance(before, [RemoveUsers(("alice",), "a1")])

    assert after.accounts["a1"].users == {"bob", "carol"}
    assert after.accounts["a1"].associations == {("bob", ""): SHUT}


def test_users_are_blocked_and_allowed_one_by_one() -> None:
    """Who is named is blocked or opened, in the partition that is named; nobody else is."""
    users = frozenset({"alice", "bob"})
    parted = UserAssociation(qos=frozenset({"long"}))
    before = state(Account("a1", "p1", users=users, associations={("bob", "main"): parted}))

    blocked = advance(
        before,
        [
            SetUsersBlocked(("alice",), "a1", CLOSED),
            SetUsersBlocked(("bob",), "a1", CLOSED, "main"),
        ],
    )
    opened = advance(blocked, [SetUsersBlocked(("alice",), "a1", OPEN)])

    both = {("alice", ""): SHUT, ("bob", "main"): replace(parted, submission=CLOSED)}
    assert blocked.accounts["a1"].associations == both
    assert opened.accounts["a1"].associations_of("alice") == {"": UserAssociation()}
    assert opened.accounts["a1"].associations_of("bob") == {"main": both["bob", "main"]}


def test_coordinators_lose_their_rights_to_the_accounts_that_are_named() -> None:
    """Others keep theirs."""
    before = state(Account("a1", "p1", coordinators=frozenset({"alice", "bob", "carol"})))

    after = advance(before, [RemoveCoordinators(TWO, ("a1",))])

    assert after.accounts["a1"].coordinators == {"carol"}


def test_an_account_that_is_removed_is_gone() -> None:
    """Others stay."""
    before = state(Account("a1", "p1"))

    assert advance(before, [RemoveAccount("a1")]) == before.without_account("a1")


def test_jobs_and_defaults_are_no_part_of_the_state() -> None:
    """Nothing that the next listing shows changes."""
    before = state(Account("a1", "p1"))

    assert advance(before, [CancelJobs("a1"), SetDefault(TWO, "a1")]) == before
