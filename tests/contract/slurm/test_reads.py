"""The listings that the service parses: their headers, and what they show of nothing."""

from __future__ import annotations

from typing import TypeVar

import pytest

from slurm_tasks.model.cluster import Association, Associations
from slurm_tasks.slurm.commands import Command, ShowAccounts, ShowAssociations
from tests.contract.slurm.lab import ACCOUNTS, COLUMNS, USAGE, Lab

T = TypeVar("T")
WINDOW = ("--starttime=2026-01-01T00:00:00", "--endtime=2026-02-01T00:00:00")


@pytest.mark.parametrize(
    ("words", "header"),
    [
        (
            (*ACCOUNTS, f"format={COLUMNS}"),
            "Cluster|Account|ParentName|User|GrpSubmit|QOS|GrpTRESMins|Descr",
        ),
        (
            ("show", "user", "where", "cluster=lab", "format=user,defaultaccount"),
            "User|Def Acct",
        ),
        (("show", "tres", "format=type,name"), "Type|Name"),
        (("show", "cluster", "format=cluster"), "Cluster"),
        ((*ACCOUNTS, "format=account,organization,defaultqos"), "Account|Org|Def QOS"),
    ],
)
def test_a_listing_starts_with_its_header(
    cluster: Lab, words: tuple[str, ...], header: str
) -> None:
    """The same in all releases."""
    done = cluster.sacctmgr(*words)

    assert (done.code, done.err) == (0, "")
    assert done.out.splitlines()[0] == header
    assert len(done.out.splitlines()) > 1


def test_an_empty_cluster_lists_root_and_its_user(cluster: Lab) -> None:
    """Root has no parent; its user's row has none either."""
    done = cluster.sacctmgr(*ACCOUNTS, f"format={COLUMNS}")

    assert set(done.out.splitlines()[1:]) == {
        "lab|root||||normal||default root account",
        "lab|root||root||normal||default root account",
        "lab|waldur|root|||normal||waldur",
    }


def test_a_users_row_has_the_accounts_description_and_no_parent(cluster: Lab) -> None:
    """The parent is on the account's own row."""
    cluster.add_account("p1", "waldur", "GrpTRESMins=cpu=3")
    cluster.add_users("alice", "p1")

    done = cluster.sacctmgr(*ACCOUNTS, f"format={COLUMNS}")

    assert {line for line in done.out.splitlines() if "|p1|" in line} == {
        "lab|p1|waldur|||normal|cpu=3|d",
        "lab|p1||alice||normal||d",
    }


def test_another_clusters_listing_has_accounts_without_a_cluster(cluster: Lab) -> None:
    """Exit 0 and rows: a misspelt cluster must be told by the empty first column."""
    where = ("show", "account", "withassoc", "where", "cluster=other")

    done = cluster.sacctmgr(*where, "format=cluster,account,parentname")

    assert done.code == 0
    assert set(done.out.splitlines()[1:]) == {"|root|", "|waldur|"}


def test_slurmctld_lists_the_associations_that_it_acts_by(cluster: Lab) -> None:
    """What is added, limited, blocked and removed, at once, as slurmdbd lists it."""

    def parsed(command: Command[T]) -> T:
        done = cluster.run(command.program, *command.argv())
        assert done.code == 0, done.text
        return command.parse(done.out.splitlines())

    def in_force() -> Associations:
        found = parsed(ShowAssociations("lab"))
        assert found == parsed(ShowAccounts("lab")).associations()
        return found

    nothing = {("root", ""), ("root", "root"), ("waldur", "")}
    assert set(in_force()) == nothing
    cluster.add_account("p1", "waldur", "GrpTRESMins=cpu=3,mem=2621952,gres/gpu=0")
    cluster.add_users("alice,ghost", "p1")
    limits = {"cpu": 3, "mem": 2621440, "gres/gpu": 0}
    assert in_force()["p1", ""] == Association(limits)
    assert in_force()["p1", "ghost"] == Association()
    cluster.modify("p1", "GrpSubmitJobs=0", "GrpTRESMins=cpu=1000000000000,mem=-1")
    cluster.modify_users("alice", "p1", "GrpSubmitJobs=0")
    limits = {"cpu": 10**12, "gres/gpu": 0}
    assert in_force()["p1", ""] == Association(limits, blocked=True)
    assert in_force()["p1", "alice"] == Association(blocked=True)
    cluster.sacctmgr("remove", "user", "where", "name=alice", "account=p1", "cluster=lab")
    assert set(in_force()) == nothing | {("p1", ""), ("p1", "ghost")}


def test_the_tres_that_limits_can_name_are_listed(cluster: Lab) -> None:
    """A gres among them is a type and a name."""
    done = cluster.sacctmgr("show", "tres", "format=type,name")

    assert {"cpu|", "mem|", "node|", "billing|", "gres|gpu"} <= set(done.out.splitlines())


def test_the_configuration_names_the_cluster_and_how_limits_act(cluster: Lab) -> None:
    """`Name = value` lines."""
    done = cluster.run("scontrol", "show", "config")
    pairs = (line.partition("=") for line in done.out.splitlines())
    settings = {name.strip(): value.strip() for name, equals, value in pairs if equals}

    assert settings["ClusterName"] == "lab"
    assert "limits" in settings["AccountingStorageEnforce"].split(",")
    assert settings["SLURM_VERSION"].startswith(cluster.release)
    assert {"PriorityUsageResetPeriod", "PriorityDecayHalfLife"} <= settings.keys()


def test_a_controller_that_is_up_says_so(cluster: Lab) -> None:
    """And ends with 0."""
    done = cluster.run("scontrol", "ping")

    assert done.code == 0
    assert done.out.rstrip().endswith("is UP")


def test_usage_without_jobs_is_the_header(cluster: Lab) -> None:
    """An empty answer and a failed one can be told apart."""
    columns = "jobidraw,account,user,start,elapsedraw,suspended,alloctres"

    done = cluster.run("sacct", *USAGE, *WINDOW, f"--format={columns}")

    assert done.code == 0
    assert done.out == "JobIDRaw|Account|User|Start|ElapsedRaw|Suspended|AllocTRES\n"


def test_the_other_usage_columns_have_headers_too(cluster: Lab) -> None:
    """For those that look at single jobs."""
    done = cluster.run("sacct", *USAGE, *WINDOW, "--format=jobid,state,start,end")

    assert done.out == "JobID|State|Start|End\n"


@pytest.mark.parametrize(
    "window",
    [
        ("--starttime=2026-13-01", "--endtime=2026-12-01"),
        ("--starttime=2026-02-01", "--endtime=2026-01-01"),
    ],
)
def test_a_window_that_is_none_is_exit_1(cluster: Lab, window: tuple[str, str]) -> None:
    """A month that doesn't exist, and an end before the start."""
    assert cluster.run("sacct", *USAGE, *window, "--format=account").code == 1
