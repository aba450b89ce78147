"""The tree of accounts with those that were removed and have jobs on record."""

from __future__ import annotations

from datetime import UTC, datetime

from slurm_tasks.model.billing import payers
from tests.contract.slurm.lab import Lab
from tests.support.clusters import InjectedJob


def _ready(cluster: Lab) -> None:
    """Let p1 have a group of its own with a team below it, and both have a job on record."""
    cluster.add_account("p1")
    cluster.add_account("group", "p1")
    cluster.add_account("team", "group")
    cluster.add_users("alice,bob", "p1,group,team,waldur", "waldur")
    start = int(datetime(2026, 10, 5, tzinfo=UTC).timestamp())
    cluster.inject(
        [
            InjectedJob("group", "alice", start, start + 10),
            InjectedJob("team", "bob", start, start + 100),
        ]
    )


def _parents(cluster: Lab) -> dict[str, str]:
    service = cluster.as_service()
    found = service.lineage(service.accounting())
    return {name: account.parent for name, account in found.items() if name != "root"}


def test_the_whole_tree_is_listed(cluster: Lab) -> None:
    """As it stands; a real cluster also remembers what other tests have removed."""
    _ready(cluster)

    expected = {"waldur": "root", "p1": "waldur", "group": "p1", "team": "group"}
    assert _parents(cluster).items() >= expected.items()


def test_removed_accounts_with_jobs_on_record_are_listed_where_they_were(cluster: Lab) -> None:
    """With their users removed first, as the service does it, or by an administrator."""
    _ready(cluster)
    for account in ("team", "group"):
        cluster.remove_users("alice,bob", account)
        cluster.remove_account(account)

    found = _parents(cluster)

    assert {name: found[name] for name in ("p1", "group", "team")} == {
        "p1": "waldur",
        "group": "p1",
        "team": "group",
    }


def test_a_removed_allocation_pays_for_the_accounts_below_it(cluster: Lab) -> None:
    """Its last usage is measured after its end, too."""
    _ready(cluster)
    start = int(datetime(2026, 10, 6, tzinfo=UTC).timestamp())
    cluster.inject([InjectedJob("p1", "alice", start, start + 10)])
    for account in ("team", "group", "p1"):
        cluster.remove_users("alice,bob", account)
        cluster.remove_account(account)
    service = cluster.as_service()

    tree = {**service.lineage(service.accounting()), **service.read().accounts}

    assert payers(["p1"], tree) == {"p1": "p1", "group": "p1", "team": "p1"}


def test_an_account_that_is_there_again_is_listed_where_it_is_now(cluster: Lab) -> None:
    """Below another one."""
    _ready(cluster)
    cluster.add_account("p2")
    cluster.remove_users("alice,bob", "team")
    cluster.remove_account("team")
    cluster.add_account("team", "p2")
    service = cluster.as_service()

    tree = {**service.lineage(service.accounting()), **service.read().accounts}

    assert payers(["p1", "p2"], tree)["team"] == "p2"


def test_descriptions_are_listed_with_it(cluster: Lab) -> None:
    """They say whose an account was."""
    marker = f"waldur:allocation:{32 * 'b'}"
    new = ("name=p1", "cluster=lab", "parent=waldur", f"description={marker}", "organization=o")
    cluster.sacctmgr("add", "account", *new)
    cluster.add_users("alice,bob", "p1,waldur", "waldur")
    start = int(datetime(2026, 10, 5, tzinfo=UTC).timestamp())
    cluster.inject([InjectedJob("p1", "alice", start, start + 10)])
    cluster.remove_users("alice,bob", "p1")
    cluster.remove_account("p1")
    service = cluster.as_service()

    assert service.lineage(service.accounting())["p1"].description == marker
