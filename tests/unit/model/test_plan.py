"""The plan: what has to change, in which order, and what is never touched."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from slurm_tasks.errors import ForeignAccountError, PermanentError
from slurm_tasks.model import names
from slurm_tasks.model.changes import (
    AddAccount,
    AddUsers,
    CancelJobs,
    Change,
    RemoveAccount,
    RemoveUsers,
    SetBlocked,
    SetDefault,
    SetLimits,
    SetParent,
    advance,
)
from slurm_tasks.model.cluster import Account, Cluster, UserAssociation
from slurm_tasks.model.messages import Desired, Intent, Owner
from slurm_tasks.model.names import Kind
from slurm_tasks.model.plan import QosRules, Rules, plan, removals, with_defaults_moved
from slurm_tasks.model.submission import CLOSED, KEPT, OPEN, JobLimit, Submission
from tests.unit.build import (
    ACCOUNT,
    CUSTOMER_ACCOUNT,
    LAB,
    PREFIXES,
    PROJECT_ACCOUNT,
    REMOVABLE,
    RESOURCE,
    RULES,
    UNI,
    allocation,
    cluster,
    customer,
    desired,
    name_of,
    project,
    standing_cluster,
    uuid,
)

OTHER = Owner(uuid=uuid("c2"), title="Other")


def planned(
    state: Cluster, intent: Intent = Intent.CREATE, rules: Rules = RULES, **changed: object
) -> list[Change]:
    """Plan an allocation."""
    return plan(desired(intent, **changed), state, REMOVABLE, rules)


def test_the_first_allocation_makes_the_tree_above_it() -> None:
    """Customer under the default account, project under the customer, allocation under it."""
    changes = planned(cluster(), limits={"cpu": 60, "mem": -1}, users=("bob", "alice"))

    assert changes == [
        AddAccount(
            *(CUSTOMER_ACCOUNT, "waldur", f"waldur:customer:{UNI.uuid} Uni", CUSTOMER_ACCOUNT)
        ),
        AddAccount(
            *(PROJECT_ACCOUNT, CUSTOMER_ACCOUNT, f"waldur:project:{LAB.uuid} Lab"),
            CUSTOMER_ACCOUNT,
        ),
        AddAccount(
            *(ACCOUNT, PROJECT_ACCOUNT, f"waldur:allocation:{RESOURCE} Genomics"),
            *(CUSTOMER_ACCOUNT, {"cpu": 60}),
        ),
        AddUsers(("alice", "bob"), ACCOUNT, default="waldur"),
    ]


def test_an_allocation_that_is_as_wanted_needs_nothing() -> None:
    """The same order again, for whatever reason, is an empty plan."""
    state = standing_cluster("alice", limits={"cpu": 60})

    for intent in (Intent.CREATE, Intent.UPDATE, Intent.MEMBERS):
        assert planned(state, intent, limits={"cpu": 60}, users=("alice",), paused=False) == []


def test_a_creation_that_was_cut_off_goes_on_where_it_stopped() -> None:
    """What is there by its marker is taken up, under the name that it has."""
    state = cluster(customer(), project(), allocation())

    changes = planned(state, title="renamed since", limits={"cpu": 60}, users=("alice",))

    assert changes == [
        SetLimits(ACCOUNT, {"cpu": 60}),
        AddUsers(("alice",), ACCOUNT, default="waldur"),
    ]


def test_an_account_of_the_wanted_name_that_is_not_ours_is_never_adopted() -> None:
    """A Create meets a stranger's account: a readable refusal that names it."""
    state = cluster(Account(ACCOUNT, "waldur", "physics"))

    with pytest.raises(PermanentError, match="not one of Waldur's; it is left alone") as caught:
        planned(state)

    assert ACCOUNT in str(caught.value)


def test_a_name_that_the_cluster_has_lost_is_taken_all_the_same() -> None:
    """An account without associations keeps its description: a stranger's is not adopted."""
    state = Cluster("lab", cluster().accounts, bare={ACCOUNT: "physics"})

    with pytest.raises(PermanentError, match=r"left alone\. Rename .* backend id in Waldur$"):
        planned(state)


def test_the_backend_id_of_another_allocation_is_refused() -> None:
    """Two resources with one backend id: the marker tells whose it is."""
    state = standing_cluster()

    with pytest.raises(PermanentError, match=f"that of allocation {RESOURCE}"):
        planned(state, Intent.UPDATE, resource=uuid("a2"), backend_id=ACCOUNT)


def test_an_account_that_waldur_names_is_ours_without_a_marker() -> None:
    """Accounts of an earlier agent are updated under their backend id."""
    state = cluster(Account("hpc_old", "waldur", "genomics"))

    changes = planned(state, Intent.UPDATE, backend_id="hpc_old", limits={"cpu": 1})

    assert changes == [SetLimits("hpc_old", {"cpu": 1})]


@pytest.mark.parametrize("intent", list(Intent))
def test_a_backend_id_makes_no_other_account_ours(intent: Intent) -> None:
    """Whoever writes to the broker names what they like: without our prefix a marker is needed."""
    state = cluster(Account("physics", "root", "physics", users=frozenset({"bob"})))

    with pytest.raises(ForeignAccountError, match=f"set description=waldur:allocation:{RESOURCE}"):
        planned(state, intent, backend_id="physics", users=())


@pytest.mark.parametrize("name", ["root", "waldur", "everyone"])
def test_what_a_site_hangs_accounts_under_is_protected(name: str) -> None:
    """Root, the customers' parent and the users' default; an allocation's account is not."""
    rules = Rules(PREFIXES, root="waldur", user_default="everyone")

    assert rules.protects(name)
    assert not rules.protects(ACCOUNT)


@pytest.mark.parametrize("name", ["waldur", "everyone"])
def test_the_default_accounts_cannot_be_an_allocations(name: str) -> None:
    """Not even a backend id in Waldur makes the service change them."""
    rules = Rules(PREFIXES, root="waldur", user_default="everyone")
    state = cluster(Account("everyone", "root"))

    for intent in Intent:
        with pytest.raises(PermanentError, match="never changes; correct the backend id in Waldur"):
            planned(state, intent, rules, backend_id=name)


def test_only_limits_that_differ_are_set() -> None:
    """TRES that aren't named stay; -1 takes a limit away that is there."""
    state = standing_cluster(limits={"cpu": 60, "mem": 5, "gres/gpu": 1, "node": 3})

    changes = planned(state, Intent.UPDATE, limits={"cpu": 60, "mem": -1, "gres/gpu": 2, "fs": -1})

    assert changes == [SetLimits(ACCOUNT, {"mem": -1, "gres/gpu": 2})]


def test_a_limit_that_slurm_lists_rounded_is_not_set_for_ever() -> None:
    """The memory that was ordered is listed as `2.50T`."""
    state = standing_cluster(limits={"mem": 2621440})

    assert planned(state, Intent.UPDATE, limits={"mem": 2621952}) == []


def test_zero_is_a_limit_and_not_none() -> None:
    """A limit of zero is set where there was none."""
    changes = planned(standing_cluster(), Intent.UPDATE, limits={"cpu": 0})

    assert changes == [SetLimits(ACCOUNT, {"cpu": 0})]


@pytest.mark.parametrize(("blocked", "paused"), [(False, True), (True, False)])
def test_a_paused_resource_accepts_no_jobs(blocked: bool, paused: bool) -> None:
    """Blocking follows the resource, both ways."""
    changes = planned(standing_cluster(blocked=blocked), Intent.UPDATE, paused=paused)

    assert changes == [SetBlocked(ACCOUNT, CLOSED if paused else OPEN)]


def test_a_new_account_of_a_paused_resource_is_blocked_at_once() -> None:
    """Before users join it, so that no job slips in."""
    changes = planned(cluster(), paused=True, users=("alice",))

    assert changes[-2:] == [
        SetBlocked(ACCOUNT, CLOSED),
        AddUsers(("alice",), ACCOUNT, default="waldur"),
    ]


def test_users_with_associations_keep_their_default() -> None:
    """A default account is given to newcomers only: an add with it would overwrite theirs."""
    state = cluster(
        *(customer(), project(), allocation()), Account("physics", "root", users=frozenset({"bob"}))
    )

    changes = planned(state, Intent.MEMBERS, users=("alice", "bob"))

    assert changes == [
        AddUsers(("alice",), ACCOUNT, default="waldur"),
        AddUsers(("bob",), ACCOUNT),
    ]


def test_newcomers_may_get_the_allocation_as_default() -> None:
    """Without a site's default account none is named: SLURM takes the one that they join."""
    changes = planned(
        standing_cluster(), Intent.MEMBERS, Rules(PREFIXES, "waldur", None), users=("alice",)
    )

    assert changes == [AddUsers(("alice",), ACCOUNT)]


def test_a_mixed_team_is_added_at_once() -> None:
    """Who has nothing but the default account has that default: one command for all of them."""
    state = cluster(
        customer(), project(), allocation(), Account("waldur", "root", users=frozenset({"bob"}))
    )

    changes = planned(state, Intent.MEMBERS, users=("alice", "bob"))

    assert changes == [AddUsers(("alice", "bob"), ACCOUNT, default="waldur")]


def test_leavers_jobs_are_cancelled_before_they_are_removed() -> None:
    """SLURM refuses to remove a user who has jobs there."""
    changes = planned(standing_cluster("alice", "bob"), Intent.MEMBERS, users=("alice",))

    assert changes == [CancelJobs(ACCOUNT, ("bob",)), RemoveUsers(("bob",), ACCOUNT)]


def test_a_user_who_is_spelled_otherwise_is_the_same() -> None:
    """Neither added again nor removed: newer slurmdbd would rename the association."""
    for here, there in (("alice", "Alice"), ("Alice", "alice")):
        assert planned(standing_cluster(here), Intent.MEMBERS, users=(there,)) == []


def test_users_are_added_as_waldur_spells_them_and_removed_as_slurm_does() -> None:
    """Where slurmdbd keeps capitals, scancel knows Unix users by no other spelling."""
    changes = planned(
        standing_cluster("Alice", "Eve"), Intent.MEMBERS, users=("Bob",), former=("EVE",)
    )

    assert changes == [
        AddUsers(("Bob",), ACCOUNT, default="waldur"),
        CancelJobs(ACCOUNT, ("Alice", "Eve")),
        RemoveUsers(("Alice", "Eve"), ACCOUNT),
    ]


def test_a_user_with_a_default_elsewhere_is_known_by_any_spelling() -> None:
    """An add that names a default would overwrite theirs."""
    state = cluster(
        *(customer(), project(), allocation()), Account("physics", "root", users=frozenset({"Bob"}))
    )

    assert planned(state, Intent.MEMBERS, users=("bob",)) == [AddUsers(("bob",), ACCOUNT)]


def test_users_who_are_nobody_to_the_offering_stay() -> None:
    """A service account that an operator put in is not ours to remove."""
    assert planned(standing_cluster("monitor"), Intent.MEMBERS, users=()) == []


def test_an_update_without_a_team_leaves_users_alone() -> None:
    """No list of users is not an empty list."""
    assert planned(standing_cluster("alice"), Intent.UPDATE) == []


def test_a_missing_account_is_made_again_by_an_update_and_not_by_members() -> None:
    """The member sync only reports it."""
    state = cluster(customer(), project())

    assert planned(state, Intent.MEMBERS, backend_id="old_alloc", users=("alice",)) == []
    (added,) = planned(state, Intent.UPDATE, backend_id="old_alloc")
    assert isinstance(added, AddAccount)
    assert added.name == "old_alloc"


def test_a_project_that_moved_is_hung_under_its_new_customer() -> None:
    """The new customer's account is made if need be; the move happens once."""
    state = standing_cluster()

    changes = planned(state, Intent.UPDATE, customer=OTHER)

    moved = changes[-1]
    assert isinstance(changes[0], AddAccount)
    assert changes[0].parent == "waldur"
    assert moved == SetParent(PROJECT_ACCOUNT, changes[0].name)
    assert planned(advance(state, changes), Intent.UPDATE, customer=OTHER) == []


def test_a_new_allocation_in_a_moved_project_moves_it_and_makes_the_customer_once() -> None:
    """Creation finds the project under another customer's account."""
    state = cluster(customer(), project())

    changes = planned(state, customer=OTHER)

    assert [type(change) for change in changes] == [AddAccount, SetParent, AddAccount]


def test_a_customer_below_its_own_project_is_refused() -> None:
    """A move would make a ring of them; a person has to untangle it."""
    above = customer(OTHER, parent=PROJECT_ACCOUNT)
    state = cluster(customer(), project(), above, allocation())

    with pytest.raises(
        PermanentError, match="cluster 'lab', but stands below it; move it"
    ) as caught:
        planned(state, Intent.UPDATE, customer=OTHER)

    assert f"{above.name!r} should stand above {PROJECT_ACCOUNT!r}" in str(caught.value)


def test_a_project_an_operator_hung_elsewhere_stays_there() -> None:
    """Only from one customer's account to another's is a project moved."""
    state = cluster(customer(), Account("physics", "root"), project(parent="physics"), allocation())

    assert planned(state, Intent.UPDATE) == []


def test_an_owners_account_of_the_old_agent_serves_as_parent_only() -> None:
    """Its name holds the uuid; without a marker it is neither changed nor removed."""
    unmarked = (Account(CUSTOMER_ACCOUNT, "root", "uni"), Account(PROJECT_ACCOUNT, "root", "lab"))

    (added,) = planned(cluster(*unmarked))
    ended = planned(cluster(*unmarked, allocation()), Intent.TERMINATE)

    assert isinstance(added, AddAccount)
    assert added.parent == PROJECT_ACCOUNT
    assert [str(change) for change in ended if isinstance(change, RemoveAccount)] == [
        f"remove account {ACCOUNT}"
    ]


def test_an_owners_account_is_known_by_its_marker() -> None:
    """Whatever its name: prefixes may have changed since it was made."""
    old_customer, old_project = replace(customer(), name="uni"), replace(project(), name="lab")

    (below_project,) = planned(cluster(old_customer, old_project))
    added, below_customer = planned(cluster(old_customer))[:2]

    assert isinstance(below_project, AddAccount)
    assert below_project.parent == "lab"
    assert isinstance(added, AddAccount)
    assert isinstance(below_customer, AddAccount)
    assert (added.parent, below_customer.parent) == ("uni", PROJECT_ACCOUNT)


def test_an_owners_account_with_another_marker_is_refused() -> None:
    """The name of our project, marked as somebody else's: a person has to look."""
    wrong = Account(CUSTOMER_ACCOUNT, "waldur", f"waldur:customer:{uuid('c9')}")
    lost = Cluster("lab", cluster().accounts, bare={wrong.name: wrong.description})

    for state in (cluster(wrong), lost):
        with pytest.raises(PermanentError, match="correct its description"):
            planned(state)


def test_a_termination_blocks_cancels_and_removes_from_the_bottom_up() -> None:
    """Users before the account, the account before its empty project and customer."""
    changes = planned(standing_cluster("alice", "monitor"), Intent.TERMINATE)

    assert changes == [
        SetBlocked(ACCOUNT, CLOSED),
        CancelJobs(ACCOUNT),
        RemoveUsers(("alice", "monitor"), ACCOUNT),
        RemoveAccount(ACCOUNT),
        RemoveAccount(PROJECT_ACCOUNT),
        RemoveAccount(CUSTOMER_ACCOUNT),
    ]


def test_a_default_account_with_a_marker_is_still_only_a_parent() -> None:
    """Somebody described it as the customer's or project's: it is neither moved nor removed."""
    as_customer = Account("waldur", "root", f"waldur:customer:{UNI.uuid}")
    as_project = Account("waldur", CUSTOMER_ACCOUNT, f"waldur:project:{LAB.uuid}")

    for default in (as_customer, as_project):
        state = cluster(customer(parent="root"), default, allocation(parent="waldur"))
        assert RemoveAccount("waldur") not in planned(state, Intent.TERMINATE)
        assert planned(state, Intent.UPDATE, customer=OTHER) == []


def test_a_project_or_customer_that_has_more_stays() -> None:
    """Another allocation, another project, or a user in it keeps an owner's account."""
    second = allocation(resource=uuid("a2"))
    alone = cluster(customer(), project(), allocation(), second)
    other = cluster(customer(), project(), project(Owner(uuid=uuid("b2"))), allocation())

    assert planned(alone, Intent.TERMINATE)[-1] == RemoveAccount(ACCOUNT)
    assert planned(other, Intent.TERMINATE)[-1] == RemoveAccount(PROJECT_ACCOUNT)


def test_a_termination_of_what_is_not_there_tidies_up() -> None:
    """Cut off after the allocation's account was removed, it goes on with the empty ones."""
    state = cluster(customer(), project())

    assert planned(state, Intent.TERMINATE, backend_id=ACCOUNT) == [
        RemoveAccount(PROJECT_ACCOUNT),
        RemoveAccount(CUSTOMER_ACCOUNT),
    ]
    assert planned(cluster(), Intent.TERMINATE, backend_id=ACCOUNT) == []


def test_a_termination_of_what_was_refused_is_done() -> None:
    """Its Create order met a stranger's account of that name; with a backend id it is a mix-up."""
    state = cluster(Account(ACCOUNT, "waldur", f"waldur:allocation:{uuid('a2')}"))

    assert planned(state, Intent.TERMINATE) == []
    with pytest.raises(PermanentError, match="it is left alone"):
        planned(state, Intent.TERMINATE, backend_id=ACCOUNT)


def test_a_termination_with_accounts_below_is_refused() -> None:
    """SLURM would remove the whole subtree; an operator made it."""
    below = (Account("sub", ACCOUNT), Account("more", ACCOUNT))
    state = cluster(customer(), project(), allocation(), *below)

    with pytest.raises(PermanentError, match="more, sub on cluster 'lab' are below it"):
        planned(state, Intent.TERMINATE)


def test_an_account_of_other_clusters_is_removed_from_this_one_only() -> None:
    """The change says that the cluster has to be named."""
    shared = frozenset({ACCOUNT, CUSTOMER_ACCOUNT})
    state = Cluster("lab", standing_cluster().accounts, shared=shared)

    changes = planned(state, Intent.TERMINATE)

    assert RemoveAccount(ACCOUNT, shared=True) in changes
    assert RemoveAccount(PROJECT_ACCOUNT, shared=False) in changes
    assert RemoveAccount(CUSTOMER_ACCOUNT, shared=True) in changes


def test_a_default_is_moved_before_its_association_goes() -> None:
    """To the site's default account where the user has it, else to another of theirs."""
    state = cluster(
        allocation("alice", "bob", "carol", "dave", parent="waldur"),
        Account("physics", "root", users=frozenset({"bob", "carol"})),
        users=frozenset({"alice", "bob"}),
    )
    removal = RemoveUsers(("alice", "bob", "carol", "dave"), ACCOUNT)
    defaults = dict.fromkeys(("alice", "bob", "carol", "dave"), ACCOUNT)

    moved = with_defaults_moved([removal], state, defaults, RULES)

    assert moved == [
        SetDefault(("carol",), "physics"),
        SetDefault(("alice", "bob"), "waldur"),
        RemoveUsers(("alice", "bob", "carol"), ACCOUNT),
        RemoveUsers(("dave",), ACCOUNT),
    ]


def test_who_loses_the_last_association_is_removed_apart() -> None:
    """22.05 refuses to remove such a user together with one whose default was moved."""
    state = cluster(allocation("alice", "bob", parent="waldur"), users=frozenset({"alice"}))
    removal = RemoveUsers(("alice", "bob"), ACCOUNT)

    moved = with_defaults_moved([removal], state, {"bob": ACCOUNT, "alice": "waldur"}, RULES)

    assert moved == [RemoveUsers(("alice",), ACCOUNT), RemoveUsers(("bob",), ACCOUNT)]


def test_other_defaults_stay_where_they_are() -> None:
    """A default that points elsewhere, or is unknown, is not touched."""
    state = cluster(allocation("alice", "bob", parent="waldur"), users=frozenset({"alice", "bob"}))
    removal = RemoveUsers(("alice", "bob"), ACCOUNT)

    assert with_defaults_moved([removal], state, {"alice": "waldur"}, RULES) == [removal]


def test_defaults_are_moved_right_before_the_removal() -> None:
    """All else in the plan keeps its place."""
    state = cluster(allocation("alice", parent="waldur"), users=frozenset({"alice"}))
    before, after = CancelJobs(ACCOUNT, ("alice",)), RemoveAccount(ACCOUNT)
    removal = RemoveUsers(("alice",), ACCOUNT)

    moved = with_defaults_moved([before, removal, after], state, {"alice": ACCOUNT}, RULES)

    assert moved == [before, SetDefault(("alice",), "waldur"), removal, after]


def test_removals_count_users_and_accounts() -> None:
    """What is added, set or cancelled takes nothing away."""
    changes: list[Change] = [
        CancelJobs(ACCOUNT),
        RemoveUsers(("alice", "bob"), ACCOUNT),
        RemoveAccount(ACCOUNT),
        SetBlocked(ACCOUNT, CLOSED),
    ]

    assert removals(changes) == 3


USERS = ("alice", "bob", "carol", "monitor")
OWNERS = {
    Kind.CUSTOMER: (UNI, OTHER),
    Kind.PROJECT: (LAB, Owner(uuid=uuid("b2"), title="Group")),
}
RESOURCES = (RESOURCE, uuid("a2"))
STRANGERS = ("physics", "old_alloc")
OURS = {
    **{
        names.owner_name(PREFIXES, k, o.uuid): (k, o.uuid)
        for k, both in OWNERS.items()
        for o in both
    },
    **{name_of(resource): (Kind.ALLOCATION, resource) for resource in RESOURCES},
}
users_of_an_account = st.sampled_from([(), ("alice",), ("bob", "monitor"), USERS]).map(frozenset)
some_limits = st.sampled_from([{}, {"cpu": 1}, {"cpu": 0, "mem": 2}])
some_qos = st.sampled_from([(), ("normal",), ("slow",), ("stopped", "slow")]).map(frozenset)
sites = st.builds(
    replace,
    st.just(RULES),
    qos=st.builds(
        QosRules,
        *(st.sampled_from([None, name]) for name in ("stopped", "slow", "normal")),
        st.booleans(),
    ),
    finish_jobs=st.booleans(),
)
descriptions = st.sampled_from(
    ["", "physics", *(names.describe(kind, found, "x") for kind, found in OURS.values())]
)
places = st.sampled_from(["here", "here", "nowhere", "bare"])
mostly = st.sampled_from([True, True, True, False])
either = st.booleans()
numbers = st.integers(0, 7)


jobs = st.sampled_from([None, 0, 50])
accrued = st.sampled_from([None, None, 7, KEPT + 50])
job_limits = st.builds(JobLimit, jobs, accrued)
submissions = st.builds(Submission, job_limits, job_limits)
default_qos = st.sampled_from(["", "", "normal", "slow"])
user_associations = st.builds(UserAssociation, submissions, some_qos, default_qos)


def associations(
    users: frozenset[str],
) -> st.SearchStrategy[dict[tuple[str, str], UserAssociation]]:
    """Draw what some users' associations have of their own, some of them in one partition."""
    if not users:
        return st.just({})
    keys = st.tuples(st.sampled_from(sorted(users)), st.sampled_from(["", "main"]))
    return st.dictionaries(keys, user_associations, max_size=3)


@st.composite
def clusters(draw: st.DrawFn) -> Cluster:
    """Draw a tree of some of our accounts and strangers', wherever they may hang."""
    default = Account("waldur", "root", draw(descriptions), users=draw(users_of_an_account))
    accounts = {"root": Account("root"), "waldur": default}
    bare: dict[str, str] = {}
    candidates = [*OURS, *STRANGERS]
    for name in candidates if draw(either) else reversed(candidates):
        usual = names.describe(*OURS[name], "x") if name in OURS else ""
        description = usual if draw(mostly) else draw(descriptions)
        place = draw(places)
        if place == "here":
            users = draw(users_of_an_account)
            accounts[name] = Account(
                *(name, list(accounts)[draw(numbers) % len(accounts)], description),
                *(draw(some_limits), users, draw(submissions)),
                *(draw(some_qos), draw(default_qos), draw(associations(users))),
                draw(users_of_an_account),
            )
        elif place == "bare":
            bare[name] = description
    shared = frozenset(OURS if draw(either) else ())
    return Cluster("lab", accounts, bare, shared)


@st.composite
def allocations(draw: st.DrawFn) -> Desired:
    """Draw what Waldur might want."""
    wanted = st.dictionaries(st.sampled_from(["cpu", "mem"]), st.integers(-1, 3))
    return desired(
        draw(st.sampled_from(list(Intent))),
        resource=draw(st.sampled_from(RESOURCES)),
        customer=draw(st.sampled_from(OWNERS[Kind.CUSTOMER])),
        project=draw(st.sampled_from(OWNERS[Kind.PROJECT])),
        backend_id=draw(st.sampled_from(["", "", "old_alloc", "waldur", *OURS])),
        limits=draw(st.none() | wanted),
        users=draw(st.none() | st.lists(st.sampled_from(USERS), unique=True)),
        paused=draw(st.none() | st.booleans()),
        downscaled=draw(st.none() | st.booleans()),
        former=draw(st.sampled_from([(), ("monitor",)])),
    )


def plan_or_nothing(item: Desired, state: Cluster, rules: Rules = RULES) -> list[Change]:
    """Plan an allocation; what is refused changes nothing."""
    try:
        return plan(item, state, REMOVABLE, rules)
    except PermanentError:
        return []


@settings(max_examples=2 * settings().max_examples)
@given(clusters(), allocations(), sites)
def test_a_plan_that_was_carried_out_leaves_nothing_to_do(
    state: Cluster, item: Desired, rules: Rules
) -> None:
    """Whatever the cluster, the allocation and the site, one pass is enough."""
    twins = len(list(state.marked(Kind.ALLOCATION, item.resource))) > 1
    assume(item.intent is not Intent.TERMINATE or not twins)  # they go one at a time
    changes = plan_or_nothing(item, state, rules)

    if changes:
        assert plan(item, advance(state, changes), REMOVABLE, rules) == []


@settings(max_examples=2 * settings().max_examples)
@given(clusters(), allocations(), sites)
def test_a_plan_touches_nothing_but_its_own(state: Cluster, item: Desired, rules: Rules) -> None:
    """Every other account stays as it is; the default account may only gain users."""
    mine = {
        *((Kind.ALLOCATION, item.resource), (Kind.PROJECT, item.project.uuid)),
        (Kind.CUSTOMER, item.customer.uuid),
    }

    after = advance(state, plan_or_nothing(item, state, rules))

    for name, account in state.accounts.items():
        if name == "waldur":
            default = after.accounts[name]
            assert account.users <= default.users
            assert account == replace(default, users=account.users)
        elif names.marker(account.description) not in mine and name != item.backend_id:
            assert after.get(name) == account


@settings(max_examples=2 * settings().max_examples)
@given(clusters(), allocations())
def test_members_remove_only_who_may_be_removed(state: Cluster, item: Desired) -> None:
    """Whoever is no user of the offering keeps every association; nobody wanted is removed."""
    members = item.model_copy(update={"intent": Intent.MEMBERS})

    for change in plan_or_nothing(members, state):
        assert not isinstance(change, RemoveAccount)
        if isinstance(change, CancelJobs | RemoveUsers):
            assert set(change.users) <= (REMOVABLE | {*item.former}) - set(item.users or ())
            assert change.users
