"""The plan of paused, downscaled and restricted resources, and of people who leave or come back."""

from __future__ import annotations

from dataclasses import replace

import pytest

from slurm_tasks.model import flags
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
from slurm_tasks.model.cluster import Account, Cluster, UserAssociation
from slurm_tasks.model.messages import Intent
from slurm_tasks.model.plan import QosRules, Rules, plan
from slurm_tasks.model.submission import CLOSED, KEPT, OPEN, JobLimit, Submission
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


def with_qos(*qos: str, blocked: bool = False, **own: object) -> Cluster:
    """Make a cluster whose allocation has QoS of its own, or inherits `normal`."""
    state = standing_cluster("alice", "bob", blocked=blocked)
    state = state.with_account(replace(state.accounts["root"], qos=frozenset({"normal"})))
    own = {"qos": frozenset(qos), **own}
    account = replace(state.accounts[ACCOUNT], **own)  # type: ignore[arg-type]
    return state.with_account(account)


def ruled(qos: QosRules = BOTH, *, finish: bool = False) -> Rules:
    """Make the rules of a site that has such QoS."""
    return replace(RULES, qos=qos, finish_jobs=finish)


@pytest.mark.parametrize(
    ("now", "paused", "downscaled", "expected"),
    [
        ((), True, False, [SetQos(ACCOUNT, "stopped")]),
        ((), False, True, [SetQos(ACCOUNT, "slow")]),
        ((), True, True, [SetQos(ACCOUNT, "stopped")]),
        (("stopped",), False, True, [SetQos(ACCOUNT, "slow")]),
        (("stopped",), True, True, []),
        (("slow",), True, True, [SetQos(ACCOUNT, "stopped")]),
        (("slow",), False, True, []),
        (("slow",), False, False, [SetQos(ACCOUNT, None)]),
        (("stopped",), False, False, [SetQos(ACCOUNT, None)]),
        (("normal",), False, False, []),
        (("normal",), False, True, [SetQos(ACCOUNT, "slow")]),
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
    state = with_qos()
    parent = state.accounts[state.accounts[ACCOUNT].parent]
    state = state.with_account(replace(parent, qos=frozenset({"slow"})))

    for downscaled in (False, True):
        assert planned(state, rules=ruled(), paused=False, downscaled=downscaled) == []


def test_a_site_may_name_the_qos_to_go_back_to() -> None:
    """Else it is the inherited one."""
    rules = ruled(QosRules(downscaled="slow", usual="normal"))

    changes = planned(with_qos("slow"), rules=rules, paused=False, downscaled=False)

    assert changes == [SetQos(ACCOUNT, "normal")]


def test_a_paused_resource_is_not_blocked_where_it_has_a_qos() -> None:
    """One that was blocked before the site chose a QoS is opened, once the QoS is there."""
    changes = planned(with_qos(blocked=True), rules=ruled(), paused=True)

    assert changes == [SetQos(ACCOUNT, "stopped"), SetBlocked(ACCOUNT, OPEN)]


OWN_LIST = UserAssociation(qos=frozenset({"normal"}))
OWN_DEFAULT = UserAssociation(default_qos="normal")


@pytest.mark.parametrize(
    ("own", "reason"),
    [
        ({"associations": {("bob", ""): OWN_LIST}}, f"DefaultQOS of {ACCOUNT}/bob"),
        ({"associations": {("bob", "main"): OWN_DEFAULT}}, f"DefaultQOS of {ACCOUNT}/bob"),
        ({"default_qos": "normal"}, "it has QoS of its own"),
        ({"qos": frozenset({"normal", "vip"})}, "it has QoS of its own"),
    ],
)
def test_a_paused_resource_is_blocked_where_its_qos_does_not_do(
    own: dict[str, object], reason: str
) -> None:
    """What slurmdbd would refuse isn't tried; what a site has set isn't lost; it says so."""
    state = with_qos(**own)  # type: ignore[arg-type]

    changes = planned(state, rules=ruled(), paused=True)

    assert [type(change) for change in changes] == [SetBlocked]
    assert reason in str(changes[0])
    after = advance(state, changes)
    assert after.accounts[ACCOUNT].submission.is_closed
    assert planned(after, rules=ruled(), paused=True) == []
    back = planned(after, rules=ruled(), paused=False)
    assert advance(after, back) == state


def test_a_users_own_qos_lets_nobody_in() -> None:
    """A list that holds the paused QoS and another: the switch is taken, and doesn't do."""
    mixed = UserAssociation(qos=frozenset({"stopped", "normal"}))
    state = with_qos(associations={("bob", ""): mixed})

    changes = planned(state, rules=ruled(), paused=True)

    assert changes == [
        SetBlocked(ACCOUNT, CLOSED, "bob may use QoS of their own"),
        SetQos(ACCOUNT, "stopped"),
    ]
    after = advance(state, changes)
    assert planned(after, rules=ruled(), paused=True) == []
    back = planned(after, rules=ruled(), paused=False)
    assert [type(change) for change in back] == [SetQos, SetBlocked]
    assert advance(after, back) == state


def test_an_account_below_a_paused_one_lets_nobody_in() -> None:
    """24.11 doesn't tell slurmctld that its users have another QoS."""
    state = with_qos().with_account(Account("group", ACCOUNT, users=frozenset({"carol"})))

    (closed, switched) = planned(state, rules=ruled(), paused=True)

    assert str(closed) == f"block submission to {ACCOUNT}, as group stands below it"
    assert switched == SetQos(ACCOUNT, "stopped")


def test_a_paused_qos_that_takes_jobs_lets_nobody_in() -> None:
    """It is switched to all the same: pending jobs wait."""
    rules = ruled(replace(BOTH, paused_closes=False))

    (closed, switched) = planned(with_qos(), rules=rules, paused=True)

    assert str(closed) == f"block submission to {ACCOUNT}, as QoS stopped takes jobs"
    assert switched == SetQos(ACCOUNT, "stopped")


def test_an_obstacle_that_leaves_is_none() -> None:
    """The QoS of somebody who is removed in the same pass; the account is closed until then."""
    state = with_qos(associations={("bob", ""): OWN_LIST})

    changes = planned(state, rules=ruled(), paused=True, users=("alice",))

    kinds = [SetBlocked, CancelJobs, RemoveUsers, SetQos, SetBlocked]
    assert [type(change) for change in changes] == kinds
    assert planned(advance(state, changes), rules=ruled(), paused=True, users=("alice",)) == []


def test_a_downscaled_resource_that_can_not_be_switched_is_told() -> None:
    """Nothing is tried in vain, and the rest of it goes on."""
    state = with_qos(associations={("bob", ""): OWN_DEFAULT})
    item = desired(Intent.MEMBERS, downscaled=True, paused=False)

    def obstacle(rules: Rules, of: Cluster = state) -> str:
        return flags.obstacle(item, of.accounts[ACCOUNT], of, rules)

    assert planned(state, rules=ruled(), downscaled=True) == []
    assert f"the DefaultQOS of {ACCOUNT}/bob" in obstacle(ruled())
    assert "SLURM_DOWNSCALED_QOS is not set" in obstacle(RULES)
    assert obstacle(ruled(), with_qos("slow")) == obstacle(ruled(), with_qos()) == ""


LIMITED = Submission(JobLimit(50), JobLimit(7))


def test_a_sites_own_limits_survive_a_pause() -> None:
    """50 again, and 7; nothing else is left of it."""
    state = with_qos(submission=LIMITED)

    paused = advance(state, planned(state, paused=True))
    assert paused.accounts[ACCOUNT].submission == LIMITED.close()
    assert planned(paused, paused=True) == []

    assert advance(paused, planned(paused, paused=False)) == state


def test_a_limit_that_can_not_be_kept_is_told() -> None:
    """A site limits the jobs that gain priority, too."""
    state = with_qos(submission=Submission(JobLimit(50, 3), JobLimit(7)))

    (closed,) = planned(state, paused=True)

    assert str(closed) == (
        f"block submission to {ACCOUNT} (its GrpSubmitJobs=50 can't be restored)"
    )
    (opened,) = planned(advance(state, [closed]), paused=False)
    assert opened == SetBlocked(ACCOUNT, Submission(JobLimit(None, 3), JobLimit(7)))


def test_a_block_of_an_older_version_is_completed_and_lifted() -> None:
    """It had only set GrpSubmitJobs, and remembered nothing."""
    state = with_qos(submission=Submission(JobLimit(0), JobLimit(7)))

    (closed,) = planned(state, paused=True)

    assert closed == SetBlocked(ACCOUNT, Submission(JobLimit(0), JobLimit(0, KEPT + 7)))
    for before in (state, advance(state, [closed])):
        (opened,) = planned(before, paused=False)
        assert opened == SetBlocked(ACCOUNT, Submission(JobLimit(), JobLimit(7)))


def test_without_a_qos_downscaled_changes_nothing() -> None:
    """The head node warns of it."""
    assert planned(with_qos(), paused=False, downscaled=True) == []


def test_a_new_account_has_its_qos_before_users_join() -> None:
    """So that no job starts in another."""
    changes = planned(cluster(), Intent.CREATE, ruled(), downscaled=True, users=("alice",))

    assert [type(change) for change in changes[-3:]] == [AddAccount, SetQos, AddUsers]


def test_a_new_account_keeps_what_it_inherits_from_a_switched_one() -> None:
    """Its own flags don't want that QoS, but the account above has no other to give."""
    slow = replace(project(), qos=frozenset({"slow"}))

    changes = planned(cluster(customer(), slow), Intent.CREATE, ruled(), downscaled=False)

    assert [type(change) for change in changes] == [AddAccount]


def test_leavers_may_finish_their_jobs() -> None:
    """They submit no more, and nothing is cancelled; the removal waits for the jobs."""
    changes = planned(standing_cluster("alice", "bob"), rules=ruled(finish=True), users=("bob",))

    assert changes == [
        SetUsersBlocked(("alice",), ACCOUNT, CLOSED),
        RemoveUsers(("alice",), ACCOUNT),
    ]


def test_a_leaver_is_blocked_once() -> None:
    """The next pass only tries the removal."""
    state = advance(standing_cluster("alice"), [SetUsersBlocked(("alice",), ACCOUNT, CLOSED)])

    assert planned(state, rules=ruled(finish=True), users=()) == [RemoveUsers(("alice",), ACCOUNT)]


def test_who_comes_back_may_submit_again() -> None:
    """Whether or not the jobs have ended meanwhile."""
    blocked = SetUsersBlocked(("alice",), ACCOUNT, CLOSED)
    state = advance(standing_cluster("alice", "bob"), [blocked])

    changes = planned(state, rules=ruled(finish=True), users=("alice", "bob"))

    assert changes == [SetUsersBlocked(("alice",), ACCOUNT, OPEN)]


def test_who_comes_back_has_the_limits_that_the_site_had_set() -> None:
    """Each user, and each of a user's associations, their own."""
    own = {
        ("alice", ""): UserAssociation(LIMITED),
        ("alice", "main"): UserAssociation(Submission(JobLimit(3))),
        ("bob", ""): UserAssociation(LIMITED, frozenset({"long"})),
    }
    state = standing_cluster("alice", "bob", "carol")
    state = state.with_account(replace(state.accounts[ACCOUNT], associations=own))
    rules = ruled(finish=True)

    left = planned(state, rules=rules, users=())
    *blocked, removed = left
    assert {(change.users, change.partition) for change in blocked} == {  # type: ignore[union-attr]
        *((("alice", "bob"), ""), (("carol",), ""), (("alice",), "main")),
    }
    assert removed == RemoveUsers(("alice", "bob", "carol"), ACCOUNT)
    held = advance(state, blocked)
    assert planned(held, rules=rules, users=()) == [removed]

    everybody = ("alice", "bob", "carol")
    back = advance(held, planned(held, rules=rules, users=everybody)).accounts[ACCOUNT]
    assert {key: back.associations[key] for key in own} == own
    assert back.associations_of("carol") == {"": UserAssociation()}


def test_an_administrators_block_of_a_user_stays() -> None:
    """Where leavers' jobs are cancelled, nobody's association is ever blocked or opened."""
    state = advance(standing_cluster("alice"), [SetUsersBlocked(("alice",), ACCOUNT, CLOSED)])

    assert planned(state, users=("alice",)) == []


def test_former_names_are_removed_from_their_account() -> None:
    """Somebody who was renamed, and of whom this offering knows no more; nobody else."""
    state = standing_cluster("old_name", "service", "alice")

    changes = planned(state, users=("alice",), former=("old_name",))

    assert changes == [CancelJobs(ACCOUNT, ("old_name",)), RemoveUsers(("old_name",), ACCOUNT)]
