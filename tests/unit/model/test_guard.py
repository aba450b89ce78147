"""The guard stops what takes away more than a person would expect."""

from __future__ import annotations

import pytest

from slurm_tasks.errors import GuardError
from slurm_tasks.model import guard
from slurm_tasks.model.changes import CancelJobs, Change, RemoveAccount, RemoveUsers
from slurm_tasks.model.messages import Desired, Intent
from tests.unit.build import ACCOUNT, allocation, cluster, customer, desired, project, uuid

ELSEWHERE = cluster()


def leavers(count: int) -> list[Change]:
    """Plan to remove so many users."""
    users = tuple(f"u{number}" for number in range(count))
    return [CancelJobs(ACCOUNT, users), RemoveUsers(users, ACCOUNT)]


def update(**changed: object) -> Desired:
    """Make an allocation that Waldur knows the account of."""
    return desired(Intent.UPDATE, backend_id=ACCOUNT, **changed)


@pytest.mark.parametrize("intent", [Intent.UPDATE, Intent.MEMBERS])
def test_a_cluster_with_none_of_the_named_accounts_is_refused(intent: Intent) -> None:
    """It is the wrong cluster, or the wrong offering: the message asks which."""
    with pytest.raises(GuardError, match="is it the right cluster") as caught:
        guard.check_cluster((desired(intent, backend_id=ACCOUNT),), ELSEWHERE)

    assert ACCOUNT in str(caught.value)


def test_three_of_the_missing_accounts_are_shown() -> None:
    """Enough to know them by, however many there are."""
    items = tuple(
        desired(Intent.UPDATE, resource=uuid(f"a{number}"), backend_id=f"gone{number}")
        for number in range(4)
    )

    with pytest.raises(GuardError, match=r"none of the 4 .* \(gone0, gone1, gone2, …\)"):
        guard.check_cluster(items, ELSEWHERE)


def test_one_of_the_named_accounts_tells_the_right_cluster() -> None:
    """Others may have been removed by hand; they are made again or reported."""
    other = desired(Intent.UPDATE, resource=uuid("a2"), backend_id="gone")

    guard.check_cluster((other, update()), cluster(allocation(parent="waldur")))


def test_the_projects_account_tells_the_right_cluster() -> None:
    """Where only the allocation's own account is gone, its project's or customer's is left."""
    guard.check_cluster((update(),), cluster(customer(), project()))
    guard.check_cluster((update(),), cluster(customer()))


@pytest.mark.parametrize("intent", [Intent.CREATE, Intent.TERMINATE])
def test_orders_that_begin_or_end_an_allocation_are_not_asked(intent: Intent) -> None:
    """The first account of a cluster has none before it, the last none beside it."""
    guard.check_cluster((desired(intent, backend_id=ACCOUNT),), ELSEWHERE)


def test_an_allocation_without_a_backend_id_names_nothing() -> None:
    """What Waldur doesn't name can't be missing."""
    guard.check_cluster((desired(Intent.UPDATE),), ELSEWHERE)


def test_five_removals_are_normal_and_six_are_not() -> None:
    """On a small cluster five users may leave at once."""
    state = cluster(allocation())

    guard.check_removals([(update(), leavers(5))], state, None)
    with pytest.raises(GuardError, match=r"removes 6 .* more than the 5"):
        guard.check_removals([(update(), leavers(6))], state, None)


def test_a_fifth_is_normal_on_a_larger_cluster() -> None:
    """99 users and their account are 100: 20 removals pass, 21 don't."""
    state = cluster(allocation(*(f"u{number}" for number in range(99))))

    guard.check_removals([(update(), leavers(20))], state, None)
    with pytest.raises(GuardError, match="more than the 20"):
        guard.check_removals([(update(), leavers(21))], state, None)


def test_removals_of_several_allocations_add_up() -> None:
    """Three times two is six, wherever they are."""
    with pytest.raises(GuardError, match="removes 6 "):
        guard.check_removals([(update(), leavers(2))] * 3, ELSEWHERE, None)


def test_executing_terminate_orders_do_not_count() -> None:
    """An order says what it takes away; nobody has to be asked again."""
    ending = desired(Intent.TERMINATE, backend_id=ACCOUNT, order=uuid("0a"))
    plan = [*leavers(50), RemoveAccount(ACCOUNT)]

    guard.check_removals([(ending, plan)], ELSEWHERE, None)


def test_an_end_that_nobody_has_ordered_now_counts() -> None:
    """What is left of a terminated allocation may be much; then somebody is to look at it."""
    ended = desired(Intent.TERMINATE)
    plan = [*leavers(5), RemoveAccount(ACCOUNT)]

    with pytest.raises(GuardError, match="removes 6 "):
        guard.check_removals([(ended, plan)], ELSEWHERE, None)


@pytest.mark.parametrize(("allowed", "count"), [(0, 1), (6, 7), (100, 101)])
def test_an_operator_decides_the_number(allowed: int, count: int) -> None:
    """What was allowed replaces what is normal, to the very number, downwards too."""
    guard.check_removals([(update(), leavers(allowed))], ELSEWHERE, allowed)
    with pytest.raises(GuardError, match=f"--allow-removals {count}"):
        guard.check_removals([(update(), leavers(count))], ELSEWHERE, allowed)
