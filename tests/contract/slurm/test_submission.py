"""Limits on submitted jobs: of associations, of QoS, and where the former ones are remembered."""

from __future__ import annotations

import pytest

from slurm_tasks.model.changes import Change, SetBlocked, SetUsersBlocked
from slurm_tasks.model.cluster import UserAssociation
from slurm_tasks.model.qos import Qos
from slurm_tasks.model.submission import OPEN, JobLimit, Submission
from slurm_tasks.slurm.commands import ShowQos, for_change
from tests.contract.slurm.lab import Lab

LIMITED = Submission(JobLimit(50), JobLimit(7))
GROUP, USER, MEMBER = "AssocGrpSubmitJobsLimit", "AssocMaxSubmitJobLimit", "QOSMaxSubmitJobPerUser"


def _ready(cluster: Lab) -> None:
    cluster.add_account("p1")
    cluster.add_account("a1", "p1")
    cluster.add_users("alice,bob", "a1,waldur", "waldur")


def _carry_out(cluster: Lab, change: Change) -> None:
    for command in for_change(change, "lab"):
        assert cluster.run(command.program, *command.argv()).code == 0


def _said(cluster: Lab, *more: str, user: str = "alice") -> str:
    """Submit a job, and return what it is refused for."""
    done = cluster.submit(user, "a1", "--begin=now+1hour", *more)
    return done.err.splitlines()[0].removeprefix("sbatch: error: ") if done.code else ""


def test_an_account_is_closed_and_opened_by_one_command_each(cluster: Lab) -> None:
    """It remembers what it was, and is that again; again is no harm."""
    _ready(cluster)
    cluster.modify("a1", "GrpSubmitJobs=50", "MaxSubmitJobs=7")

    for _ in range(2):
        _carry_out(cluster, SetBlocked("a1", LIMITED.close()))
        assert cluster.read().accounts["a1"].submission == LIMITED.close()
    assert "violates accounting/QOS policy" in cluster.refused("alice", "a1").err
    assert cluster.read().accounts["a1"].submission.open() == LIMITED
    for _ in range(2):
        _carry_out(cluster, SetBlocked("a1", LIMITED))
        assert cluster.read().accounts["a1"].submission == LIMITED
    cluster.until(lambda: cluster.submit_once("alice", "a1", "--begin=now+1hour"))


def test_users_associations_remember_likewise(cluster: Lab) -> None:
    """Each its own; nobody else's is touched."""
    _ready(cluster)
    cluster.modify_users("alice", "a1", "GrpSubmitJobs=50", "MaxSubmitJobs=7")

    _carry_out(cluster, SetUsersBlocked(("alice",), "a1", LIMITED.close()))
    assert cluster.read().accounts["a1"].associations == {
        ("alice", ""): UserAssociation(LIMITED.close())
    }
    assert "violates accounting/QOS policy" in cluster.refused("alice", "a1").err
    assert cluster.submit_once("bob", "a1", "--begin=now+1hour")
    _carry_out(cluster, SetUsersBlocked(("alice",), "a1", LIMITED))
    cluster.until(lambda: cluster.submit_once("alice", "a1", "--begin=now+1hour"))
    assert cluster.read().accounts["a1"].associations == {("alice", ""): UserAssociation(LIMITED)}


def test_the_memory_has_no_effect_of_its_own(cluster: Lab) -> None:
    """An open account whose fields still hold it takes jobs, and they run."""
    _ready(cluster)
    cluster.modify("a1", "GrpJobsAccrue=1000000050", "MaxJobsAccrue=1000000007")

    cluster.running("alice", "a1")


@pytest.mark.parametrize(
    ("limits", "closed_to_all", "closed_to_each", "closed_to_both"),
    [
        (Qos(), GROUP, USER, USER),
        (Qos(together=9), "", USER, USER),
        (Qos(user=9), GROUP, "", GROUP),
        (Qos(account=9), GROUP, "", GROUP),
        (Qos(9, 9), "", "", ""),
        (Qos(9, None, 9), "", "", ""),
    ],
    ids=str,
)
def test_a_limit_of_a_qos_holds_instead_of_an_accounts(
    cluster: Lab, limits: Qos, closed_to_all: str, closed_to_each: str, closed_to_both: str
) -> None:
    """So both are needed to close an account, and a QoS with both is not kept out by them."""
    _ready(cluster)
    cluster.add_qos("other", limits=limits)
    cluster.modify("a1", "qos=normal,other")
    for settings, expected in (
        (("GrpSubmitJobs=0", "MaxSubmitJobs=-1"), closed_to_all),
        (("GrpSubmitJobs=-1", "MaxSubmitJobs=0"), closed_to_each),
        (("GrpSubmitJobs=0", "MaxSubmitJobs=0"), closed_to_both),
    ):
        cluster.modify("a1", *settings)
        cluster.refused("alice", "a1")  # in `normal`: slurmctld knows of it

        assert _said(cluster, "--qos=other") == expected
    assert limits.overrides_closing is (closed_to_both == "")


@pytest.mark.parametrize("limits", [Qos(together=0), Qos(user=0), Qos(account=0)], ids=str)
def test_a_qos_with_a_limit_of_zero_refuses_all_jobs(cluster: Lab, limits: Qos) -> None:
    """Whichever of the three it is; it is listed with it."""
    _ready(cluster)
    cluster.add_qos("stopped", limits=limits)
    cluster.modify("a1", "qos=stopped", "defaultqos=stopped")

    assert "violates accounting/QOS policy" in cluster.refused("alice", "a1").err
    assert cluster.ask(ShowQos("lab")) == {"normal": Qos(), "stopped": limits}
    assert limits.refuses_jobs


def test_a_user_with_a_list_of_their_own_gets_around_a_switched_account(cluster: Lab) -> None:
    """Theirs holds both: the switch is taken, and they go on in the other."""
    _ready(cluster)
    cluster.add_qos("stopped", limits=Qos(user=0))
    cluster.modify_users("alice", "a1", "qos=normal,stopped")

    assert cluster.modify("a1", "qos=stopped", "defaultqos=stopped").code == 0

    cluster.refused("bob", "a1")
    assert _said(cluster, "--qos=normal") == ""
    cluster.modify("a1", "GrpSubmitJobs=0", "MaxSubmitJobs=0")
    cluster.until(lambda: _said(cluster, "--qos=normal") != "")


def test_closing_an_account_closes_those_below_it(cluster: Lab) -> None:
    """A site's own, for a group."""
    _ready(cluster)
    cluster.add_account("group", "a1")
    cluster.add_users("carol", "group,waldur", "waldur")

    _carry_out(cluster, SetBlocked("a1", OPEN.close()))

    assert "violates accounting/QOS policy" in cluster.refused("carol", "group").err
