"""Users, their associations and their default accounts."""

from __future__ import annotations

from tests.contract.slurm.lab import Lab


def test_two_users_two_accounts_and_the_default_in_one_command(cluster: Lab) -> None:
    """Every user gets both associations and the default."""
    cluster.add_account("p1")

    assert cluster.add_users("alice,bob", "p1,waldur", "waldur").code == 0
    assert cluster.tree()["p1"].users == {"alice", "bob"}
    assert cluster.tree()["waldur"].users == {"alice", "bob"}
    assert cluster.defaults() == {"alice": "waldur", "bob": "waldur"}


def test_without_a_default_named_one_of_the_accounts_is_taken(cluster: Lab) -> None:
    """The first in the command, in 22.05 the first in the alphabet."""
    cluster.add_account("p1")
    cluster.add_account("p2")

    cluster.add_users("alice", "p2,p1")

    assert cluster.defaults() == {"alice": "p1" if cluster.old else "p2"}


def test_without_a_default_named_that_of_an_existing_user_stays(cluster: Lab) -> None:
    """Another association does not move the default."""
    cluster.add_account("p1")
    cluster.add_account("p2")
    cluster.add_users("alice", "p1")

    cluster.add_users("Alice,carol", "p2")

    assert cluster.defaults() == {"alice": "p1", "carol": "p2"}


def test_a_default_named_overwrites_that_of_an_existing_user(cluster: Lab) -> None:
    """So it may be named only for users without any association."""
    cluster.add_account("p1")
    cluster.add_account("p2")
    cluster.add_users("alice", "p1")

    cluster.add_users("alice", "p2", "p2")

    assert cluster.defaults() == {"alice": "p2"}


def test_the_default_gets_an_association_too(cluster: Lab) -> None:
    """Even where only DefaultAccount names the account."""
    cluster.add_account("p1")
    cluster.add_account("p2")

    cluster.add_users("alice", "p1", "p2")

    assert cluster.tree()["p2"].users == {"alice"}
    assert cluster.defaults() == {"alice": "p2"}


def test_existing_associations_are_exit_1_and_keep_the_default(cluster: Lab) -> None:
    """With nothing to add, DefaultAccount has no effect."""
    cluster.add_account("p1")
    cluster.add_users("alice", "p1,waldur", "waldur")

    again = cluster.add_users("alice", "p1,waldur", "p1")

    assert again.code == 1
    assert ("Nothing new added." if cluster.old else "Nothing added.") in again.out
    assert cluster.defaults() == {"alice": "waldur"}


def test_a_good_account_is_added_beside_a_missing_one(cluster: Lab) -> None:
    """The exit code depends on the release, what is done doesn't."""
    cluster.add_account("p1")

    done = cluster.add_users("alice", "p1,missing")

    assert done.code == (1 if cluster.old else 0)
    assert "missing" in (done.err if cluster.old else done.out)
    assert cluster.tree()["p1"].users == {"alice"}


def test_a_missing_account_alone_makes_no_user(cluster: Lab) -> None:
    """The user is not listed afterwards."""
    assert cluster.add_users("alice", "missing").code == 1
    assert not cluster.defaults()


def test_a_user_unknown_to_unix_can_be_added(cluster: Lab) -> None:
    """SLURM's accounting does not look them up."""
    cluster.add_account("p1")

    assert cluster.add_users("nobody-of-that-name", "p1").code == 0
    assert cluster.tree()["p1"].users == {"nobody-of-that-name"}


def test_the_default_is_moved(cluster: Lab) -> None:
    """For several users in one command."""
    cluster.add_account("p1")
    cluster.add_users("alice,bob", "p1,waldur", "waldur")

    assert cluster.set_default("alice,bob", "p1").code == 0
    assert cluster.defaults() == {"alice": "p1", "bob": "p1"}


def test_the_default_is_moved_for_all_users_or_none(cluster: Lab) -> None:
    """One user without the association keeps the others from it."""
    cluster.add_account("p1")
    cluster.add_users("alice", "p1,waldur", "waldur")
    cluster.add_users("bob", "waldur")

    done = cluster.set_default("alice,bob", "p1")

    assert done.code == 1
    assert "U = bob" in done.text
    assert cluster.defaults() == {"alice": "waldur", "bob": "waldur"}


def test_the_default_of_a_missing_user_is_exit_1(cluster: Lab) -> None:
    """Nothing is modified."""
    done = cluster.set_default("missing", "waldur")

    assert done.code == 1


def test_blocking_some_users_of_an_account_is_shown_and_cleared(cluster: Lab) -> None:
    """On their rows of that account only; again is exit 0."""
    cluster.add_account("p1")
    cluster.add_users("alice,bob,carol", "p1,waldur", "waldur")

    for _ in range(2):
        assert cluster.modify_users("Alice,bob", "P1", "GrpSubmitJobs=0").code == 0
        assert cluster.tree()["p1"].held == {"alice", "bob"}
        assert not cluster.tree()["p1"].blocked
        assert cluster.tree()["waldur"].held == frozenset()
    for _ in range(2):
        assert cluster.modify_users("alice", "p1", "GrpSubmitJobs=-1").code == 0
        assert cluster.tree()["p1"].held == {"bob"}


def test_users_without_that_association_are_passed_over(cluster: Lab) -> None:
    """The others are modified; exit 1 only if there is none."""
    cluster.add_account("p1")
    cluster.add_users("alice", "p1")
    cluster.add_users("bob", "waldur")

    assert cluster.modify_users("alice,bob,nosuch", "p1", "GrpSubmitJobs=0").code == 0
    assert cluster.tree()["p1"].held == {"alice"}
    for users, account in (("bob", "p1"), ("nosuch", "p1"), ("alice", "nosuch")):
        assert cluster.modify_users(users, account, "GrpSubmitJobs=0").code == 1


def test_a_user_who_is_added_again_is_not_blocked(cluster: Lab) -> None:
    """The block goes with the association."""
    cluster.add_account("p1")
    cluster.add_users("alice", "p1,waldur", "waldur")
    cluster.modify_users("alice", "p1", "GrpSubmitJobs=0")

    cluster.remove_users("alice", "p1")
    cluster.add_users("alice", "p1")

    assert cluster.tree()["p1"].held == frozenset()


def test_removing_the_last_association_deletes_the_user(cluster: Lab) -> None:
    """The user's default does not stand in the way."""
    cluster.add_account("p1")
    cluster.add_users("alice,bob", "p1")

    assert cluster.remove_users("alice", "p1").code == 0
    assert cluster.defaults() == {"bob": "p1"}


def test_removing_another_association_keeps_user_and_default(cluster: Lab) -> None:
    """Users who don't have it are passed over."""
    cluster.add_account("p1")
    cluster.add_users("alice", "p1,waldur", "waldur")
    cluster.add_users("bob", "waldur")

    assert cluster.remove_users("alice,bob", "p1").code == 0
    assert cluster.tree()["p1"].users == frozenset()
    assert cluster.defaults() == {"alice": "waldur", "bob": "waldur"}


def test_removing_the_default_association_while_another_stays(cluster: Lab) -> None:
    """22.05 leaves an empty default, later ones refuse."""
    cluster.add_account("p1")
    cluster.add_users("alice", "p1,waldur", "p1")

    done = cluster.remove_users("alice", "p1")

    if cluster.old:
        assert done.code == 0
        assert cluster.defaults() == {"alice": ""}
    else:
        assert done.code == 1
        assert "You can not remove the default account of a user" in done.err
        assert cluster.defaults() == {"alice": "p1"}


def test_an_empty_default_is_filled_by_setting_it(cluster: Lab) -> None:
    """What is left after a default was removed can be repaired."""
    cluster.add_account("p1")
    cluster.add_account("p2")
    cluster.add_users("alice", "p1")
    cluster.remove_account("p1")
    cluster.add_users("alice", "p2")

    assert cluster.defaults() == {"alice": "p2"}


def test_removing_what_is_missing_is_exit_1(cluster: Lab) -> None:
    """A missing user, a missing account, and one without the other are alike."""
    cluster.add_users("alice", "waldur")
    cluster.add_account("p1")

    for user, account in (("missing", "waldur"), ("alice", "missing"), ("alice", "p1")):
        done = cluster.remove_users(user, account)
        assert (done.code, done.out.strip()) == (1, "Nothing deleted")


def test_capitals_are_folded_unless_slurmdbd_preserves_them(cluster: Lab) -> None:
    """Then the name is stored as it was first added."""
    cluster.add_account("p1")
    cluster.add_users("Karla", "p1")
    assert cluster.tree()["p1"].users == {"karla"}
    cluster.remove_users("Karla", "p1")

    with cluster.preserving_case():
        cluster.add_users("Karla", "p1,waldur", "waldur")

        assert cluster.tree()["p1"].users == {"Karla"}
        assert cluster.defaults() == {"Karla": "waldur"}


def test_preserved_names_are_found_by_any_spelling(cluster: Lab) -> None:
    """Limits, defaults and removals; a second add is another matter."""
    cluster.add_account("p1")
    with cluster.preserving_case():
        cluster.add_users("Karla", "p1,waldur", "waldur")

        assert cluster.modify_users("KARLA", "p1", "GrpSubmitJobs=0").code == 0
        assert cluster.tree()["p1"].held == {"Karla"}
        assert cluster.set_default("karla", "p1").code == 0
        assert cluster.defaults() == {"Karla": "p1"}
        assert cluster.remove_users("karla", "waldur").code == 0
        assert cluster.remove_users("kARLA", "p1").code == 0
        assert not cluster.defaults()


def test_adding_a_preserved_name_in_another_spelling_renames_the_association(
    cluster: Lab,
) -> None:
    """22.05 says that there is nothing new; later ones find Unix users by their number."""
    cluster.add_account("p1")
    with cluster.unix_user("Karla"), cluster.preserving_case():
        cluster.add_users("Karla", "p1")

        done = cluster.add_users("karla", "p1")

        assert done.code == (1 if cluster.old else 0)
        assert cluster.tree()["p1"].users == ({"Karla"} if cluster.old else {"karla"})
        assert cluster.defaults() == {"Karla": "p1" if cluster.old else ""}


def test_jobs_are_cancelled_by_the_unix_users_own_spelling_only(cluster: Lab) -> None:
    """Another one is an invalid user; the same is said of somebody whom Unix doesn't know."""
    cluster.add_account("p1")
    cluster.add_users("alice", "p1")
    job = cluster.pending("alice", "p1")
    cancel = ("scancel", "--clusters=lab", "--account=p1")

    refused = cluster.run(*cancel, "--user=Alice")

    assert (refused.code, refused.err.strip()) == (1, "scancel: error: Invalid user name: Alice")
    assert cluster.queue("p1", "%i") == [job]
    assert cluster.run(*cancel, "--user=alice").code == 0
    cluster.until(lambda: not cluster.queue("p1", "%i"))
