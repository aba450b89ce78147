"""Adding and moving accounts."""

from __future__ import annotations

from tests.contract.slurm.lab import Lab, Row


def test_one_command_brings_account_parent_and_limits(cluster: Lab) -> None:
    """Name, parent, texts and limits are all stored by a single add."""
    done = cluster.sacctmgr(
        *("add", "account", "name=p1", "cluster=lab", "parent=waldur"),
        *("description=waldur:project:ab the first", "organization=uni"),
        "GrpTRESMins=cpu=100,mem=2048,gres/gpu=5",
    )

    assert done.code == 0
    assert cluster.tree()["p1"] == Row(
        *("lab", "waldur"),
        limits="cpu=100,gres/gpu=5,mem=2G",
        description="waldur:project:ab the first",
    )


def test_names_and_texts_are_stored_in_lower_case(cluster: Lab) -> None:
    """Capitals are folded in names, parents, descriptions and organisations."""
    cluster.sacctmgr(
        *("add", "account", "name=P1", "cluster=lab", "parent=WALDUR"),
        *("description=Genome Lab", "organization=UNI"),
    )

    shown = cluster.sacctmgr(
        *("show", "account", "where", "name=P1"), "format=account,description,organization"
    )

    assert shown.out.splitlines() == ["Account|Descr|Org", "p1|genome lab|uni"]


def test_quotes_in_a_description_become_backticks(cluster: Lab) -> None:
    """Both kinds of quotes are replaced."""
    cluster.sacctmgr(
        *("add", "account", "name=p1", "cluster=lab", "parent=waldur"),
        *("description=a \"b\" 'c' d", "organization=o"),
    )

    assert cluster.tree()["p1"].description == "a `b` `c` d"


def test_an_existing_account_is_exit_1_and_unchanged(cluster: Lab) -> None:
    """Adding again changes neither parent nor description."""
    cluster.add_account("p1")
    cluster.add_account("p2")

    again = cluster.sacctmgr(
        *("add", "account", "name=P1", "cluster=lab", "parent=p2"),
        *("description=other", "organization=other"),
    )

    assert again.code == 1
    expected = "Nothing new added." if cluster.old else "Already existing account p1 on cluster lab"
    assert expected in again.out
    assert cluster.tree()["p1"] == Row("lab", "waldur", description="d")


def test_in_a_list_the_missing_accounts_are_added(cluster: Lab) -> None:
    """One that exists does not keep the others from being added."""
    cluster.add_account("p1")

    assert cluster.add_account("p1,p2,p3").code == 0
    assert set(cluster.tree()) == {"waldur", "p1", "p2", "p3"}


def test_a_missing_parent_is_refused(cluster: Lab) -> None:
    """Nothing is made, not even the account's row."""
    done = cluster.add_account("p1", "missing")

    assert done.code == 1
    expected = "doesn't exist on cluster lab" if cluster.old else "No parent account 'missing'"
    assert expected in done.err
    assert "p1" not in cluster.listed()


def test_another_cluster_is_refused(cluster: Lab) -> None:
    """An account can't be added to a cluster that does not exist."""
    done = cluster.sacctmgr(
        *("add", "account", "name=p1", "cluster=other", "parent=waldur"),
        *("description=d", "organization=o"),
    )

    assert done.code == 1
    assert "p1" not in cluster.listed()


def test_an_account_is_moved_with_its_limits(cluster: Lab) -> None:
    """Parent, limits and submission can be set in one command."""
    cluster.add_account("p1")
    cluster.add_account("p2")
    cluster.add_account("a1", "p1", "GrpTRESMins=cpu=10")

    assert cluster.modify("A1", "parent=p2", "GrpTRESMins=mem=10240", "GrpSubmitJobs=0").code == 0
    assert cluster.tree()["a1"] == Row(
        "lab", "p2", blocked="0", limits="cpu=10,mem=10G", description="d"
    )


def test_moving_to_where_it_is_is_exit_1(cluster: Lab) -> None:
    """An unchanged parent counts as nothing modified."""
    cluster.add_account("p1")

    assert cluster.modify("p1", "parent=waldur").code == 1
    assert cluster.tree()["p1"].parent == "waldur"


def test_moving_under_a_missing_account_changes_nothing(cluster: Lab) -> None:
    """Only the old release admits it by its exit code."""
    cluster.add_account("p1")

    done = cluster.modify("p1", "parent=missing")

    assert done.code == (1 if cluster.old else 0)
    assert cluster.tree()["p1"].parent == "waldur"


def test_moving_under_its_own_child_swaps_them(cluster: Lab) -> None:
    """The child takes the account's place without a word; 26.05 says so, and does nothing."""
    cluster.add_account("p1")
    cluster.add_account("a1", "p1")

    assert cluster.modify("p1", "parent=a1").code == 0
    parents = {name: row.parent for name, row in cluster.tree().items()}
    swapped = {"waldur": "root", "a1": "waldur", "p1": "a1"}
    untouched = {"waldur": "root", "p1": "waldur", "a1": "p1"}
    assert parents == (untouched if cluster.release == "26.05" else swapped)


def test_modifying_a_missing_account_is_exit_1(cluster: Lab) -> None:
    """The exit code is the same in all releases, the text is not."""
    done = cluster.modify("missing", "GrpTRESMins=cpu=1")

    assert done.code == 1
    if cluster.release == "22.05":
        assert "Nothing modified" in done.out
    if cluster.release == "24.11":
        assert "Request didn't affect anything" in done.err


def test_modifying_without_a_name_changes_every_account(cluster: Lab) -> None:
    """Root included: such a command must never be built."""
    cluster.add_account("p1")

    assert cluster.sacctmgr("modify", "account", "set", "GrpTRESMins=cpu=9").code == 0
    limits = {name: row.limits for name, row in cluster.listed().items()}
    assert limits == {"root": "cpu=9", "waldur": "cpu=9", "p1": "cpu=9"}
