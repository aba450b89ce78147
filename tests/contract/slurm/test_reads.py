"""The listings that the service parses: their headers, and what they show of nothing."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from slurm_tasks.model.cluster import Association, Associations, Key, UserAssociation
from slurm_tasks.model.submission import OPEN, JobLimit, Submission
from slurm_tasks.slurm.commands import ShowAccounts, ShowQos
from tests.contract.slurm.lab import ACCOUNTS, COLUMNS, USAGE, Lab

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
        (ShowAccounts("lab").argv()[2:], ShowAccounts._HEADER),
        (ShowQos("lab").argv()[2:], ShowQos._HEADER),
        (("show", "cluster", "format=cluster"), "Cluster"),
        ((*ACCOUNTS, "format=account,organization,defaultqos"), "Account|Org|Def QOS"),
    ],
)
def test_a_listing_starts_with_its_header(cluster: Lab, words: Sequence[str], header: str) -> None:
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

    def in_force() -> Associations:
        found = cluster.acted_by().associations
        assert found == cluster.read().associations()
        return found

    nothing = {Key("root"), Key("root", "root"), Key("waldur")}
    assert set(in_force()) == nothing
    cluster.add_account("p1", "waldur", "GrpTRESMins=cpu=3,mem=2621952,gres/gpu=0")
    cluster.add_users("alice,ghost", "p1")
    limits = {"cpu": 3, "mem": 2621440, "gres/gpu": 0}
    assert in_force()[Key("p1")] == Association(limits)
    assert in_force()[Key("p1", "ghost")] == Association()
    cluster.modify("p1", "GrpSubmitJobs=0", "GrpTRESMins=cpu=1000000000000,mem=-1")
    cluster.modify_users("alice", "p1", "GrpSubmitJobs=0")
    limits = {"cpu": 10**12, "gres/gpu": 0}
    assert in_force()[Key("p1")] == Association(limits, blocked=True)
    assert in_force()[Key("p1", "alice")] == Association(blocked=True)
    cluster.sacctmgr("remove", "user", "where", "name=alice", "account=p1", "cluster=lab")
    assert set(in_force()) == nothing | {Key("p1"), Key("p1", "ghost")}


def test_the_listing_shows_what_associations_have_of_their_own(cluster: Lab) -> None:
    """Not what they inherit: QoS, default QoS, and limits on submitted jobs."""
    cluster.add_qos("vip")
    cluster.add_account("p1")
    cluster.add_account("a1", "p1")
    cluster.add_users("alice,bob", "a1")
    cluster.modify("p1", "qos=normal,vip", "MaxSubmitJobs=9", "GrpSubmitJobs=50")
    cluster.modify_users("alice", "a1", "qos=vip,normal", "defaultqos=vip", "MaxSubmitJobs=7")

    found = cluster.read()

    both = frozenset({"normal", "vip"})
    assert found.accounts["root"].qos == {"normal"}
    p1, a1 = found.accounts["p1"], found.accounts["a1"]
    assert (p1.qos, p1.default_qos) == (both, "")
    assert p1.submission == Submission(JobLimit(50), JobLimit(9))
    assert (a1.qos, a1.submission, found.qos_of("a1")) == (frozenset(), OPEN, both)
    own = UserAssociation(Submission(JobLimit(), JobLimit(7)), both, "vip")
    assert a1.associations == {("alice", ""): own}


def test_inherited_values_are_shown_otherwise(cluster: Lab) -> None:
    """GrpSubmitJobs is no such value."""
    cluster.add_account("p1")
    cluster.add_account("a1", "p1")
    cluster.add_users("alice", "a1")
    cluster.modify("p1", "MaxSubmitJobs=9", "GrpSubmitJobs=50")

    where = (*ACCOUNTS, "name=a1", "format=user,grpsubmitjobs,maxsubmitjobs,qos")

    assert set(cluster.sacctmgr(*where).out.splitlines()[1:]) == {"||9|normal", "alice||9|normal"}


def test_associations_for_one_partition_are_told_apart(cluster: Lab) -> None:
    """Listed, limited and removed: by the partition, the empty one for all of them, or together."""
    cluster.add_account("p1")
    cluster.add_users("alice,bob", "p1")
    added = cluster.sacctmgr(
        *("add", "user", "name=alice,carol", "cluster=lab", "account=p1", "partition=main")
    )
    assert added.code == 0

    cluster.modify_users("alice", "p1", "GrpSubmitJobs=0", partition="main")
    cluster.modify_users("alice", "p1", "GrpSubmitJobs=5", partition="")

    found = cluster.read().accounts["p1"]
    assert found.users == {"alice", "bob", "carol"}
    limited = {part: own.submission for part, own in found.associations_of("alice").items()}
    assert limited == {"": Submission(JobLimit(5)), "main": Submission(JobLimit(0))}
    assert found.associations_of("carol") == {"main": UserAssociation()}
    assert cluster.acted_by().associations == cluster.read().associations()
    cluster.modify_users("alice", "p1", "GrpSubmitJobs=7")
    again = cluster.read().accounts["p1"].associations_of("alice")
    assert {own.submission.together.jobs for own in again.values()} == {7}
    cluster.set_default("alice", "p1")
    assert cluster.remove_users("alice,carol", "p1").code == 0
    assert cluster.read().accounts["p1"].users == {"bob"}


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
