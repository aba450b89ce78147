"""Removing accounts."""

from __future__ import annotations

from tests.contract.slurm.lab import Lab, Row

REFUSED = "You can not remove the default account of a user"


def test_removing_an_account_leaves_its_row_without_a_cluster(cluster: Lab) -> None:
    """With the cluster named only associations go; 22.05 lists the row as if it were blocked."""
    cluster.add_account("p1")

    assert cluster.remove_account("P1").code == 0
    blocked = "0" if cluster.old else ""
    assert cluster.listed()["p1"] == Row("", blocked=blocked, qos="", description="d")


def test_an_account_made_again_has_its_old_description(cluster: Lab) -> None:
    """Its row was still there; parent and limits are those of the new command."""
    cluster.add_account("p1", "waldur", "GrpTRESMins=cpu=1")
    cluster.remove_account("p1")

    done = cluster.sacctmgr(
        *("add", "account", "name=p1", "cluster=lab", "parent=root"),
        *("description=new", "organization=new", "GrpTRESMins=mem=5"),
    )

    assert done.code == 0
    assert cluster.tree()["p1"] == Row("lab", "root", limits="mem=5M", description="d")


def test_without_the_clusters_name_the_row_goes_too(cluster: Lab) -> None:
    """Then a new account has the new description."""
    cluster.add_account("p1")

    assert cluster.sacctmgr("remove", "account", "where", "name=p1").code == 0
    assert "p1" not in cluster.listed()


def test_a_row_left_behind_is_no_parent_and_no_account_for_users(cluster: Lab) -> None:
    """Only associations count."""
    cluster.add_account("p1")
    cluster.remove_account("p1")

    assert cluster.add_account("a1", "p1").code == 1
    assert cluster.add_users("alice", "p1").code == 1
    assert cluster.modify("p1", "GrpTRESMins=cpu=1").code == 1
    assert set(cluster.tree()) == {"waldur"}


def test_removing_what_is_missing_is_exit_1(cluster: Lab) -> None:
    """An account never seen, and one of which only the row is left."""
    cluster.add_account("p1")
    cluster.remove_account("p1")

    for name in ("missing", "p1"):
        done = cluster.remove_account(name)
        assert (done.code, done.out.strip()) == (1, "Nothing deleted")


def test_root_is_never_removed(cluster: Lab) -> None:
    """It is refused by name."""
    assert cluster.remove_account("root").code == 1
    assert "root" in cluster.listed()


def test_users_with_another_default_lose_the_association_only(cluster: Lab) -> None:
    """The removal cascades to them."""
    cluster.add_account("p1")
    cluster.add_users("alice,bob", "p1,waldur", "waldur")

    assert cluster.remove_account("p1").code == 0
    assert cluster.tree()["waldur"].users == {"alice", "bob"}
    assert cluster.defaults() == {"alice": "waldur", "bob": "waldur"}


def test_a_user_of_that_account_alone_stays_without_a_default(cluster: Lab) -> None:
    """The user is not deleted, and starts afresh with the next association."""
    cluster.add_account("p1")
    cluster.add_users("alice", "p1")

    assert cluster.remove_account("p1").code == 0
    assert cluster.defaults() == {"alice": ""}

    cluster.add_users("alice", "waldur")
    assert cluster.defaults() == {"alice": "waldur"}


def test_an_account_that_is_the_default_of_a_user_with_another(cluster: Lab) -> None:
    """22.05 leaves the user with an empty default, later ones refuse."""
    cluster.add_account("p1")
    cluster.add_users("alice", "p1,waldur", "p1")

    done = cluster.remove_account("p1")

    if cluster.old:
        assert done.code == 0
        assert cluster.defaults() == {"alice": ""}
    else:
        assert done.code == 1
        assert REFUSED in done.err
        assert cluster.tree()["p1"].users == {"alice"}


def test_a_parent_with_users_of_several_accounts_below(cluster: Lab) -> None:
    """Refused where the subtree would go with it: alice would lose her default and a2."""
    cluster.add_account("p1")
    cluster.add_account("a1,a2", "p1")
    cluster.add_users("alice", "a1,a2,waldur", "a1")

    done = cluster.remove_account("p1")

    if cluster.cascades:
        assert done.code == 1
        assert REFUSED in done.err
        assert cluster.tree()["p1"].parent == "waldur"
    else:
        assert done.code == 0
        cluster.add_account("p1")


def test_removing_a_parent(cluster: Lab) -> None:
    """The whole subtree goes; in 24.11 only the account, and its children hang under nothing."""
    cluster.add_account("p1")
    cluster.add_account("a1", "p1")

    assert cluster.remove_account("p1").code == 0
    if cluster.cascades:
        assert set(cluster.tree()) == {"waldur"}
    else:
        assert cluster.tree()["a1"].parent == "p1"
        assert "p1" not in cluster.tree()
        cluster.add_account("p1")
        assert set(cluster.tree()) == {"waldur", "p1", "a1"}


def test_several_accounts_are_removed_in_one_command(cluster: Lab) -> None:
    """Missing ones are passed over."""
    cluster.add_account("p1,p2,p3")

    assert cluster.remove_account("p1,missing,p3").code == 0
    assert set(cluster.tree()) == {"waldur", "p2"}


def test_an_account_made_again_has_no_limits_and_users(cluster: Lab) -> None:
    """What it had is gone with the association."""
    cluster.add_account("p1", "waldur", "GrpTRESMins=cpu=5")
    cluster.add_users("alice", "p1,waldur", "waldur")
    cluster.modify("p1", "GrpSubmitJobs=0")
    cluster.remove_account("p1")

    cluster.add_account("p1")

    assert cluster.tree()["p1"] == Row("lab", "waldur", description="d")
