"""The actual state: what one read of a cluster found, and how it is looked at."""

from __future__ import annotations

from slurm_tasks.model.cluster import Account, Cluster
from tests.unit.build import cluster

TREE = cluster(Account("c1", "waldur"), Account("p1", "c1"), Account("a1", "p1"))


def test_the_accounts_above_one_end_at_root() -> None:
    """From its parent on, in their order; what is missing ends the way."""
    assert list(TREE.above("a1")) == ["p1", "c1", "waldur", "root"]
    assert list(TREE.above("root")) == []
    assert list(TREE.above("gone")) == []
    assert list(cluster(Account("a1", "gone")).above("a1")) == ["gone"]


def test_accounts_that_stand_above_each_other_are_named_once() -> None:
    """A damaged tree must not keep the service busy for ever."""
    round_about = cluster(Account("a1", "p1"), Account("p1", "c1"), Account("c1", "p1"))

    assert list(round_about.above("a1")) == ["p1", "c1"]


def test_an_account_replaces_the_bare_name() -> None:
    """Added or replaced, it is on the cluster; other accounts and bare names stay."""
    before = Cluster("lab", TREE.accounts, {"a2": "theirs", "a3": "others"}, frozenset({"a2"}))

    after = before.with_account(Account("a2", "p1"))

    assert after.accounts == {**TREE.accounts, "a2": Account("a2", "p1")}
    assert (after.bare, after.shared) == ({"a3": "others"}, frozenset({"a2"}))


def test_an_account_that_is_removed_leaves_neither_row_nor_description() -> None:
    """Others, on the cluster or bare, stay."""
    before = Cluster("lab", TREE.accounts, {"a1": "left", "a3": "others"})

    after = before.without_account("a1")

    assert set(after.accounts) == {"root", "waldur", "c1", "p1"}
    assert after.bare == {"a3": "others"}


def test_users_are_all_who_have_an_association() -> None:
    """In whichever account, each once; and the accounts of one are where that user is."""
    found = cluster(
        Account("a1", "waldur", users=frozenset({"alice", "bob"})),
        Account("a2", "waldur", users=frozenset({"bob"})),
        users=frozenset({"carol"}),
    )

    assert found.users() == {"alice", "bob", "carol"}
    assert found.accounts_of("bob") == {"a1", "a2"}
    assert found.accounts_of("nobody") == frozenset()
