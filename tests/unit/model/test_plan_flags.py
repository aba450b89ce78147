"""The plan of paused, downscaled and restricted resources, and of people who leave or come back."""

from __future__ import annotations

from dataclasses import replace

import pytest

from slurm_tasks.model.changes import (
    AddAccount,
    AddUsers,
    CancelJobs,
    Change,
    RemoveUsers,
    SetBlocked,
    SetQos,
    SetUsersBlocked,
    advance,
)
from slurm_tasks.model.cluster import Cluster
from slurm_tasks.model.messages import Intent
from slurm_tasks.model.plan import QosRules, Rules, plan
from tests.unit.build import (
    ACCOUNT,
    REMOVABLE,
    RULES,
    cluster,
    customer,
    desired,
    project,
    standing_cluster,
)

BOTH = QosRules(paused="stopped", downscaled="slow")


def planned(
    state: Cluster, intent: Intent = Intent.MEMBERS, rules: Rules = RULES, **changed: object
) -> list[Change]:
    """Plan an allocation."""
    return plan(desired(intent, **changed), state, REMOVABLE, rules)


def with_qos(*qos: str, blocked: bool = False) -> Cluster:
    """Make a cluster whose allocation may run in some QoS."""
    state = standing_cluster(blocked=blocked)
    return state.with_account(replace(state.accounts[ACCOUNT], qos=frozenset(qos)))


def ruled(qos: QosRules = BOTH, *, finish: bool = False) -> Rules:
    """Make the rules of a site that has such QoS."""
    return replace(RULES, qos=qos, finish_jobs=finish)


@pytest.mark.parametrize(
    ("now", "paused", "downscaled", "expected"),
    [
        (("normal",), True, False, [SetQos(ACCOUNT, "stopped")]),
        (("normal",), False, True, [SetQos(ACCOUNT, "slow")]),
        (("normal",), True, True, [SetQos(ACCOUNT, "stopped")]),
        (("stopped",), False, True, [SetQos(ACCOUNT, "slow")]),
        (("stopped",), True, True, []),
        (("slow",), False, True, []),
        (("slow",), False, False, [SetQos(ACCOUNT, None)]),
        (("stopped",), False, False, [SetQos(ACCOUNT, None)]),
        (("normal",), False, False, []),
        (("slow",), None, None, []),
        (("slow",), None, False, [SetQos(ACCOUNT, None)]),
        (("slow",), False, None, [SetQos(ACCOUNT, None)]),
        (("slow", "normal"), False, False, []),
        (("long", "normal"), False, False, []),
        ((), False, False, []),
    ],
)
def test_the_qos_follows_the_flags(
    now: tuple[str, ...], paused: bool | None, downscaled: bool | None, expected: list[Change]
) -> None:
    """There and back; paused is the stronger one; an operator's own list is never touched."""
    changes = planned(with_qos(*now), rules=ruled(), paused=paused, downscaled=downscaled)

    assert changes == expected


def test_a_qos_that_the_account_above_has_is_left_alone() -> None:
    """Somebody has switched the whole project: the inherited QoS is that very one."""
    state = with_qos("slow")
    parent = state.accounts[state.accounts[ACCOUNT].parent]
    state = state.with_account(replace(parent, qos=frozenset({"slow"})))

    assert planned(state, rules=ruled(), paused=False, downscaled=False) == []


def test_a_site_may_name_the_qos_to_go_back_to() -> None:
    """Else it is the inherited one."""
    rules = ruled(QosRules(downscaled="slow", usual="normal"))

    changes = planned(with_qos("slow"), rules=rules, paused=False, downscaled=False)

    assert changes == [SetQos(ACCOUNT, "normal")]


def test_a_paused_resource_is_not_blocked_where_it_has_a_qos() -> None:
    """One that was blocked before the site chose a QoS is opened."""
    changes = planned(with_qos("normal", blocked=True), rules=ruled(), paused=True)

    assert changes == [SetBlocked(ACCOUNT, blocked=False), SetQos(ACCOUNT, "stopped")]


def test_without_a_qos_downscaled_changes_nothing() -> None:
    """The head node warns of it."""
    assert planned(with_qos("normal"), paused=False, downscaled=True) == []


def test_a_new_account_has_its_qos_before_users_join() -> None:
    """So that no job starts in another."""
    changes = planned(cluster(), Intent.CREATE, ruled(), downscaled=True, users=("alice",))

    assert [type(change) for change in changes[-3:]] == [AddAccount, SetQos, AddUsers]


def test_a_new_account_keeps_what_it_inherits_from_a_switched_one() -> None:
    """Its own flags don't want that QoS, but the account above has no other to give."""
    slow = replace(project(), qos=frozenset({"slow"}))

    changes = planned(cluster(customer(), slow), Intent.CREATE, ruled(), downscaled=False)

    assert [type(change) for change in changes] == [AddAccount]


def test_a_switched_account_shows_it() -> None:
    """Back to the inherited QoS means that of the parent."""
    state = standing_cluster()
    parent = state.accounts[state.accounts[ACCOUNT].parent]
    state = state.with_account(replace(parent, qos=frozenset({"normal"})))

    switched = advance(state, [SetQos(ACCOUNT, "slow")])
    back = advance(switched, [SetQos(ACCOUNT, None)])

    assert switched.accounts[ACCOUNT].qos == {"slow"}
    assert back.accounts[ACCOUNT].qos == {"normal"}


def test_leavers_may_finish_their_jobs() -> None:
    """They submit no more, and nothing is cancelled; the removal waits for the jobs."""
    changes = planned(standing_cluster("alice", "bob"), rules=ruled(finish=True), users=("bob",))

    assert changes == [
        SetUsersBlocked(("alice",), ACCOUNT, blocked=True),
        RemoveUsers(("alice",), ACCOUNT),
    ]


def test_a_leaver_is_blocked_once() -> None:
    """The next pass only tries the removal."""
    state = advance(standing_cluster("alice"), [SetUsersBlocked(("alice",), ACCOUNT, blocked=True)])

    assert planned(state, rules=ruled(finish=True), users=()) == [RemoveUsers(("alice",), ACCOUNT)]


def test_who_comes_back_may_submit_again() -> None:
    """Whether or not the jobs have ended meanwhile."""
    state = advance(
        standing_cluster("alice", "bob"), [SetUsersBlocked(("alice",), ACCOUNT, blocked=True)]
    )

    changes = planned(state, rules=ruled(finish=True), users=("alice", "bob"))

    assert changes == [SetUsersBlocked(("alice",), ACCOUNT, blocked=False)]


def test_an_administrators_block_of_a_user_stays() -> None:
    """Where leavers' jobs are cancelled, nobody's association is ever blocked or opened."""
    state = advance(standing_cluster("alice"), [SetUsersBlocked(("alice",), ACCOUNT, blocked=True)])

    assert planned(state, users=("alice",)) == []


def test_former_names_are_removed_from_their_account() -> None:
    """Somebody who was renamed, and of whom this offering knows no more; nobody else."""
    state = standing_cluster("old_name", "service", "alice")

    changes = planned(state, users=("alice",), former=("old_name",))

    assert changes == [CancelJobs(ACCOUNT, ("old_name",)), RemoveUsers(("old_name",), ACCOUNT)]
