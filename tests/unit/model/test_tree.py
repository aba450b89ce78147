"""The tree above the allocations: where each belongs, and what of it nobody needs any more."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slurm_tasks.errors import PermanentError
from slurm_tasks.model import names, tree
from slurm_tasks.model.changes import AddAccount, Change, RemoveAccount, SetParent, advance
from slurm_tasks.model.cluster import Account, Cluster
from slurm_tasks.model.messages import Intent, Owner
from slurm_tasks.model.names import Kind
from slurm_tasks.model.plan import plan
from tests.unit.build import (
    ACCOUNT,
    CUSTOMER_ACCOUNT,
    LAB,
    PROJECT_ACCOUNT,
    REMOVABLE,
    RULES,
    UNI,
    allocation,
    cluster,
    customer,
    desired,
    project,
    standing_cluster,
    uuid,
)
from tests.unit.model.test_plan import clusters

OTHER_LAB = Owner(uuid=uuid("b2"), title="Other lab")
OTHER_UNI = Owner(uuid=uuid("c2"), title="Other university")
MOVED = project(OTHER_LAB, parent=customer(OTHER_UNI).name)
EXISTING = (Intent.CREATE, Intent.UPDATE, Intent.MEMBERS)


def planned(state: Cluster, intent: Intent = Intent.MEMBERS, **changed: object) -> list[Change]:
    """Plan an allocation."""
    return plan(desired(intent, **changed), state, REMOVABLE, RULES)


def tidied(state: Cluster, *needed: tuple[Kind, str]) -> list[str]:
    """Return which empty accounts would be removed, in turn."""
    return [change.name for change in tree.unneeded(needed, state, RULES)]


@pytest.mark.parametrize("intent", EXISTING)
def test_a_resource_that_moved_is_hung_under_its_new_project(intent: Intent) -> None:
    """Whose accounts are made if need be; it happens once."""
    state = standing_cluster("alice")

    changes = planned(state, intent, project=OTHER_LAB, customer=OTHER_UNI)

    made = [change.name for change in changes if isinstance(change, AddAccount)]
    assert made == [customer(OTHER_UNI).name, MOVED.name]
    assert changes[-1] == SetParent(ACCOUNT, MOVED.name)
    after = advance(state, changes)
    assert planned(after, intent, project=OTHER_LAB, customer=OTHER_UNI) == []


def test_a_resource_that_moved_goes_to_a_project_that_is_there() -> None:
    """Wherever that project's account hangs: that one is put under its customer first."""
    state = cluster(customer(), project(), allocation(), project(OTHER_LAB))

    changes = planned(state, project=OTHER_LAB, customer=OTHER_UNI)

    assert changes[1:] == [
        SetParent(MOVED.name, customer(OTHER_UNI).name),
        SetParent(ACCOUNT, MOVED.name),
    ]


@pytest.mark.parametrize(
    "above",
    [
        Account("physics", "root", "physics"),
        customer(),
        allocation(resource=uuid("a9")),
        replace(MOVED, name="waldur", parent="root"),
    ],
)
def test_an_allocation_that_a_site_has_hung_elsewhere_stays_there(above: Account) -> None:
    """Under an account without our marker, its customer's, another allocation's, or a default."""
    state = cluster(above, allocation(parent=above.name))

    assert planned(state, customer=UNI) == []


def test_an_account_without_our_marker_is_not_moved() -> None:
    """An earlier agent's stays where it is, though Waldur names it."""
    old = Account("hpc_old", MOVED.name, "genomics")

    assert planned(cluster(customer(OTHER_UNI), MOVED, old), backend_id="hpc_old") == []


def test_an_order_that_is_open_moves_nothing() -> None:
    """Only leavers are removed meanwhile."""
    state = standing_cluster("alice")

    assert planned(state, project=OTHER_LAB, adds_users=False, users=("alice",)) == []


def test_a_project_below_its_own_allocation_is_refused() -> None:
    """A move would make a ring of them; a person has to untangle it."""
    below = project(OTHER_LAB, parent=ACCOUNT)
    state = cluster(customer(), project(), allocation(), below)

    with pytest.raises(PermanentError, match=f"{below.name!r} should stand above {ACCOUNT!r}"):
        planned(state, project=OTHER_LAB)


def test_a_termination_takes_the_project_along_that_it_really_hangs_under() -> None:
    """The resource moved, and nothing has come of that yet; both projects are empty then."""
    state = standing_cluster().with_account(customer(OTHER_UNI)).with_account(MOVED)

    ended = planned(state, Intent.TERMINATE, project=OTHER_LAB, customer=OTHER_UNI)

    removed = [change.name for change in ended if isinstance(change, RemoveAccount)]
    assert removed[0] == ACCOUNT
    assert {*removed[1:]} == {PROJECT_ACCOUNT, CUSTOMER_ACCOUNT, MOVED.name, MOVED.parent}
    assert removed.index(PROJECT_ACCOUNT) < removed.index(CUSTOMER_ACCOUNT)


def test_what_nobody_needs_goes_from_the_bottom_up() -> None:
    """A project's account under a site's own, and a whole branch with nothing at its end."""
    lost = project(Owner(uuid=uuid("b3")), parent="physics")
    state = standing_cluster().with_account(Account("physics", "root"))
    for empty in (customer(OTHER_UNI), MOVED, lost):
        state = state.with_account(empty)

    removed = tidied(state)

    assert {*removed} == {MOVED.name, MOVED.parent, lost.name}
    assert removed.index(MOVED.name) < removed.index(MOVED.parent)
    assert tidied(advance(state, [RemoveAccount(name) for name in removed])) == []


def test_what_somebody_needs_stays() -> None:
    """A project of a resource whose account is missing, and the customer above it."""
    needed = ((Kind.PROJECT, LAB.uuid), (Kind.CUSTOMER, UNI.uuid))

    assert tidied(cluster(customer(), project()), *needed) == []
    assert tidied(cluster(customer(), project()), needed[1]) == [PROJECT_ACCOUNT]


@pytest.mark.parametrize(
    "kept",
    [
        replace(project(), users=frozenset({"monitor"})),
        replace(project(), description="physics"),
        replace(allocation(), parent=CUSTOMER_ACCOUNT),
        replace(project(), name="waldur"),
    ],
)
def test_what_is_not_empty_or_not_ours_stays(kept: Account) -> None:
    """A user in it, no marker, an allocation's, or a site's default account; nor what is above."""
    assert tidied(cluster(customer(), kept)) == []


def test_an_account_that_other_clusters_have_loses_only_this_association() -> None:
    """SLURM would remove theirs as well."""
    state = replace(cluster(customer()), shared=frozenset({CUSTOMER_ACCOUNT}))

    assert list(tree.unneeded((), state, RULES)) == [RemoveAccount(CUSTOMER_ACCOUNT, shared=True)]


needs = st.frozensets(
    st.tuples(st.sampled_from([Kind.PROJECT, Kind.CUSTOMER]), st.sampled_from(["b1", "b2", "c1"]))
)


@given(clusters(), needs)
def test_tidying_takes_nothing_from_anybody(
    state: Cluster, wanted: frozenset[tuple[Kind, str]]
) -> None:
    """Whatever the tree: only empty, marked, unneeded accounts go, and all of them at once."""
    needed = {(kind, uuid(text)) for kind, text in wanted}

    changes = list(tree.unneeded(needed, state, RULES))

    after = state
    for change in changes:
        account = after.accounts[change.name]
        found = names.marker(account.description)
        assert found
        assert found[0] in {Kind.PROJECT, Kind.CUSTOMER}
        assert found not in needed
        assert not account.users
        assert not list(after.children(account.name))
        after = change.advance(after)
    assert list(tree.unneeded(needed, after, RULES)) == []
    kept = [a for a in state.accounts.values() if a.name in after.accounts]
    assert kept == list(after.accounts.values())
