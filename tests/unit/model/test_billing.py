"""Which allocation pays for the jobs of an account."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from slurm_tasks.model.billing import payers
from slurm_tasks.model.cluster import Account

MARKED = "waldur:allocation:" + 32 * "b"


def tree(*accounts: Account) -> dict[str, Account]:
    """Make a tree of root, the service's own account and others."""
    standing = (Account("root"), Account("waldur", "root"), *accounts)
    return {account.name: account for account in standing}


def test_accounts_below_an_allocation_count_to_it() -> None:
    """However deep; those beside it and above it don't."""
    accounts = tree(
        Account("a1", "p1"),
        Account("p1", "waldur"),
        Account("group", "a1"),
        Account("team", "group"),
        Account("other", "p1"),
    )

    assert payers(["a1"], accounts) == {"a1": "a1", "group": "a1", "team": "a1"}


def test_another_allocation_is_nobody_elses() -> None:
    """By its marker, by what was asked for, or as Waldur names it; nor is what is below it."""
    accounts = tree(
        Account("a1", "waldur"),
        Account("a2", "a1"),
        Account("a3", "a1", MARKED),
        Account("a4", "a1"),
        *(Account(f"group{number}", f"a{number}") for number in (1, 2, 3, 4)),
    )

    assert payers(["a1", "a2"], accounts, others=["a4"]) == {
        "a1": "a1",
        "a2": "a2",
        "group1": "a1",
        "group2": "a2",
    }


def test_an_allocation_that_is_gone_still_pays() -> None:
    """Its jobs are on record; so are those of the accounts that were below it."""
    removed = tree(Account("group", "a1"), Account("a1", "p1"))

    assert payers(["a1"], removed) == {"a1": "a1", "group": "a1"}
    assert payers(["a9"], removed) == {"a9": "a9"}


@given(st.dictionaries(st.sampled_from("abcdef"), st.sampled_from("abcdefr")))
def test_a_damaged_tree_leads_to_an_end(parents: dict[str, str]) -> None:
    """Accounts below themselves, and parents that aren't there."""
    accounts = {name: Account(name, parent) for name, parent in parents.items()}

    found = payers(["a", "b"], accounts)

    assert {found["a"], found["b"]} == {"a", "b"}
    assert set(found.values()) <= {"a", "b"}
