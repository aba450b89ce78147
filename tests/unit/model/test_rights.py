"""Coordinators lose their rights with their association: nobody adds himself again."""

from __future__ import annotations

from dataclasses import replace

from slurm_tasks.model import rights
from slurm_tasks.model.changes import (
    CancelJobs,
    Change,
    RemoveAccount,
    RemoveCoordinators,
    RemoveUsers,
    SetBlocked,
    SetUsersBlocked,
    advance,
)
from slurm_tasks.model.cluster import Account, Cluster
from slurm_tasks.model.messages import Intent, Owner
from slurm_tasks.model.plan import plan
from tests.unit.build import (
    ACCOUNT,
    CUSTOMER_ACCOUNT,
    PROJECT_ACCOUNT,
    REMOVABLE,
    RULES,
    allocation,
    cluster,
    customer,
    desired,
    project,
    uuid,
)

GONE = [CancelJobs(ACCOUNT, ("alice",)), RemoveUsers(("alice",), ACCOUNT)]


def coordinated(*names: str, more: tuple[Account, ...] = ()) -> Cluster:
    """Make a cluster with alice and bob in the allocation; alice coordinates some accounts."""
    state = cluster(customer(), project(), allocation("alice", "bob"), *more)
    for name in names:
        account = replace(state.accounts[name], coordinators=frozenset({"alice"}))
        state = state.with_account(account)
    return state


def planned(state: Cluster, intent: Intent = Intent.MEMBERS, **changed: object) -> list[Change]:
    """Plan the allocation, which alice has left."""
    return plan(desired(intent, **{"users": ("bob",), **changed}), state, REMOVABLE, RULES)


def stays(state: Cluster) -> list[str]:
    """Return who of the leavers could add himself again."""
    item, account = desired(Intent.MEMBERS), state.accounts[ACCOUNT]
    return rights.that_stay(item, account, frozenset({"alice", "bob"}), state, RULES)


def test_a_right_goes_before_the_association() -> None:
    """In between, nobody can use it; the next pass finds nothing."""
    state = coordinated(ACCOUNT)

    changes = planned(state)

    assert changes == [RemoveCoordinators(("alice",), (ACCOUNT,)), *GONE]
    assert planned(advance(state, changes)) == []


def test_a_right_goes_before_a_leaver_is_blocked() -> None:
    """A coordinator could unblock himself; it is tried once."""
    rules = replace(RULES, finish_jobs=True)
    state = coordinated(ACCOUNT)

    first = plan(desired(Intent.MEMBERS, users=("bob",)), state, REMOVABLE, rules)
    assert [type(c) for c in first] == [RemoveCoordinators, SetUsersBlocked, RemoveUsers]
    second = plan(
        desired(Intent.MEMBERS, users=("bob",)), advance(state, first[:2]), REMOVABLE, rules
    )
    assert [type(c) for c in second] == [RemoveUsers]


def test_a_coordinator_who_stays_or_was_never_ours_keeps_the_right() -> None:
    """Only users that are removed from the account lose it."""
    state = coordinated(ACCOUNT)
    helpdesk = replace(state.accounts[ACCOUNT], coordinators=frozenset({"bob", "helpdesk"}))

    assert planned(state.with_account(helpdesk)) == GONE


def test_a_right_to_the_project_goes_with_its_last_association_there() -> None:
    """It is a right to the allocation, too; the customer's likewise."""
    state = coordinated(ACCOUNT, PROJECT_ACCOUNT, CUSTOMER_ACCOUNT)

    taken = RemoveCoordinators(("alice",), (ACCOUNT, PROJECT_ACCOUNT, CUSTOMER_ACCOUNT))
    assert planned(state)[0] == taken
    assert stays(state) == []


def test_a_right_to_the_project_stays_while_its_owner_is_in_it() -> None:
    """It is a right to another allocation as well; the log says that it is still one to this."""
    sister = allocation("alice", resource=uuid("a2"))
    state = coordinated(ACCOUNT, PROJECT_ACCOUNT, more=(sister,))

    assert planned(state) == GONE
    assert stays(state) == ["alice"]


def test_a_right_to_an_account_of_the_site_stays() -> None:
    """Above ours, or one that is marked as another project's."""
    foreign = project(Owner(uuid=uuid("b9")))
    state = coordinated("root", "waldur", CUSTOMER_ACCOUNT, PROJECT_ACCOUNT, ACCOUNT)
    moved = coordinated(foreign.name, ACCOUNT, more=(foreign,))
    moved = moved.with_account(replace(moved.accounts[ACCOUNT], parent=foreign.name))

    assert planned(state) == GONE
    assert stays(state) == ["alice"]
    assert planned(moved, adds_users=False) == GONE


def test_a_name_is_known_by_any_spelling() -> None:
    """The right is taken from it as the coordinators' list spells it."""
    state = coordinated()
    account = replace(state.accounts[ACCOUNT], coordinators=frozenset({"Alice"}))

    assert planned(state.with_account(account))[0] == RemoveCoordinators(("Alice",), (ACCOUNT,))


def test_an_account_that_ends_has_no_coordinators() -> None:
    """A restored one has its name; rights to accounts above are not touched."""
    state = coordinated(ACCOUNT, PROJECT_ACCOUNT)
    account = replace(state.accounts[ACCOUNT], coordinators=frozenset({"alice", "helpdesk"}))

    changes = planned(state.with_account(account), Intent.TERMINATE)

    assert [type(c) for c in changes[:2]] == [SetBlocked, RemoveCoordinators]
    assert changes[1] == RemoveCoordinators(("helpdesk",), (ACCOUNT,))
    assert RemoveAccount(ACCOUNT) in changes
