"""People and flags on real clusters: who joins, waits, leaves, is renamed; what is paused."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from slurm_tasks.demo.stack import wait_until
from slurm_tasks.model.changes import AddUsers
from slurm_tasks.model.findings import Verdict
from slurm_tasks.model.messages import (
    CheckRequest,
    Desired,
    Intent,
    Outcome,
    Owner,
    ReconcileRequest,
    Status,
)
from slurm_tasks.model.names import Kind, owner_name
from slurm_tasks.model.plan import QosRules
from slurm_tasks.slurm.cluster import SlurmCluster, Unix
from slurm_tasks.sync.check_slurm import ASSOCIATIONS, findings
from slurm_tasks.sync.cluster import reconcile
from tests.integration.test_on_real_slurm import LIMITS, Lab, desired, lab, until_settled

__all__ = ["lab"]  # the fixture

EVERYBODY = frozenset({"alice", "bob", "carol", "dave"})


def standing(lab: Lab, **fields: object) -> Desired:
    """Make an allocation, and describe it for the member sync."""
    new = desired(**fields)
    (made,) = lab.go(new)
    assert made.status is Status.APPLIED, made.message
    return new.model_copy(
        update={"intent": Intent.MEMBERS, "backend_id": made.account, "limits": None}
    )


def but(item: Desired, **changed: object) -> Desired:
    """Change a description."""
    return item.model_copy(update=changed)


def applied(lab: Lab, item: Desired, removable: frozenset[str] = frozenset()) -> Outcome:
    """Bring an allocation about."""
    (outcome,) = lab.go(item, removable=removable)
    assert outcome.status is Status.APPLIED, outcome.message
    return outcome


def may_submit(lab: Lab, user: str, account: str, *more: str) -> bool:
    """Submit a job that pends, and tell whether SLURM took it."""
    argv = ("--chdir=/tmp", "--output=/dev/null", f"--account={account}", "--hold", *more)
    done = lab.real.run("sbatch", *argv, "--wrap=true", user=user, check=False)
    return done.returncode == 0


def until_submitted(lab: Lab, user: str, account: str) -> None:
    """Wait until slurmctld has heard from slurmdbd that somebody may submit."""
    wait_until(lambda: may_submit(lab, user, account), f"{user} may submit to {account}", 30)


def until_refused(lab: Lab, user: str, account: str, *more: str) -> None:
    """Wait until slurmctld has heard from slurmdbd that somebody may not submit."""
    wait_until(
        lambda: not may_submit(lab, user, account, *more), f"{user} may not submit to {account}", 30
    )


def test_a_paused_allocation_takes_no_jobs_until_it_goes_on(lab: Lab) -> None:
    """GrpSubmitJobs=0 there and back."""
    item = standing(lab, users=("alice",))
    until_submitted(lab, "alice", item.backend_id)

    applied(lab, but(item, paused=True))
    until_refused(lab, "alice", item.backend_id)
    applied(lab, but(item, paused=False))
    until_submitted(lab, "alice", item.backend_id)


def test_a_paused_allocation_may_be_switched_to_a_qos(lab: Lab) -> None:
    """One that takes no jobs; running ones are left alone, and back it has the inherited QoS."""
    lab.real.run("sacctmgr", "-i", "add", "qos", "stopped", "set", "MaxSubmitJobsPerUser=0")
    lab.node = replace(lab.node, rules=replace(lab.node.rules, qos=QosRules(paused="stopped")))
    item = standing(lab, users=("alice",))
    job = lab.real.submit("alice", item.backend_id, seconds=600)
    lab.real.wait_for_state(job, "RUNNING")

    applied(lab, but(item, paused=True))
    until_refused(lab, "alice", item.backend_id)
    until_refused(lab, "alice", item.backend_id, "--qos=normal")
    assert lab.real.state_of(job) == "RUNNING"
    applied(lab, but(item, paused=False))
    until_submitted(lab, "alice", item.backend_id)
    assert lab.node.cluster.read().qos_of(item.backend_id) == {"normal"}


def _own(lab: Lab, account: str, *columns: str) -> dict[str, list[str]]:
    """Return what an account's associations have of their own, by user and partition."""
    where = ("withassoc", "woplimits", "where", f"name={account}", "cluster=lab")
    shown = f"format=user,partition,{','.join(columns)}"
    rows = lab.real.sacctmgr("show", "account", *where, shown)
    return {"/".join(filter(None, row[:2])): row[2:] for row in rows}


SUBMISSION = ("grpsubmitjobs", "maxsubmitjobs", "grpjobsaccrue", "maxjobsaccrue")


def test_a_sites_own_limits_survive_a_pause(lab: Lab) -> None:
    """50 again, and 7, by one command each; a retry in between remembers the same."""
    item = standing(lab, users=("alice",))
    account = item.backend_id
    where = ("account", "where", f"name={account}", "cluster=lab")
    lab.real.sacctmgr("modify", *where, "set", "GrpSubmitJobs=50", "MaxSubmitJobs=7")

    for _ in range(2):
        applied(lab, but(item, paused=True))
        assert _own(lab, account, *SUBMISSION)[""][:2] == ["0", "0"]
    until_refused(lab, "alice", account)
    applied(lab, but(item, paused=False))

    assert _own(lab, account, *SUBMISSION) == {"": ["50", "7", "", ""], "alice": [""] * 4}
    until_submitted(lab, "alice", account)
    assert applied(lab, but(item, paused=False)).changes == ()


def test_a_qos_with_a_limit_of_its_own_keeps_no_paused_account_open(lab: Lab) -> None:
    """It holds instead of the account's GrpSubmitJobs, and not of both limits."""
    lab.real.sacctmgr("modify", "qos", "normal", "set", "GrpSubmitJobs=1000")
    try:
        item = standing(lab, users=("alice",))
        until_submitted(lab, "alice", item.backend_id)
        applied(lab, but(item, paused=True))
        until_refused(lab, "alice", item.backend_id)
    finally:
        lab.real.sacctmgr("modify", "qos", "normal", "set", "GrpSubmitJobs=-1")


def stopping(lab: Lab, *settings: str) -> None:
    """Let the site pause by a QoS."""
    lab.real.run("sacctmgr", "-i", "add", "qos", "stopped", *settings)
    lab.node = replace(lab.node, rules=replace(lab.node.rules, qos=QosRules(paused="stopped")))


REFUSING = "MaxSubmitJobsPerUser=0"


@pytest.mark.parametrize(
    ("own", "account_has", "switched"),
    [
        (("qos=normal,stopped",), "bob may use QoS of their own", True),
        (("qos=normal",), "DefaultQOS of", False),
        (("defaultqos=normal",), "DefaultQOS of", False),
    ],
    ids=["a list with both", "a list without it", "a default outside of it"],
)
def test_a_users_own_qos_gets_nobody_around_a_pause(
    lab: Lab, own: tuple[str, ...], account_has: str, switched: bool
) -> None:
    """Where the QoS can't do it, the account's limits do, and the change says why."""
    stopping(lab, REFUSING)
    item = standing(lab, users=("alice", "bob"))
    account = item.backend_id
    lab.real.sacctmgr("modify", "user", "where", "name=bob", f"account={account}", "set", *own)
    before = _own(lab, account, *SUBMISSION, "qos", "defaultqos")

    paused = applied(lab, but(item, paused=True))

    assert any(account_has in text for text in paused.changes), paused.changes
    for user in ("alice", "bob"):
        until_refused(lab, user, account)
        until_refused(lab, user, account, "--qos=normal")
    assert (lab.node.cluster.read().accounts[account].qos == {"stopped"}) is switched
    assert applied(lab, but(item, paused=True)).changes == ()
    applied(lab, but(item, paused=False))
    assert _own(lab, account, *SUBMISSION, "qos", "defaultqos") == before
    for user in ("alice", "bob"):
        until_submitted(lab, user, account)


def test_an_account_below_gets_nobody_around_a_pause(lab: Lab) -> None:
    """24.11 tells slurmctld nothing of the switch for users of accounts below."""
    stopping(lab, REFUSING)
    item = standing(lab, users=("alice",))
    lab.real.sacctmgr("add", "account", "group", "cluster=lab", f"parent={item.backend_id}")
    lab.real.sacctmgr("add", "user", "carol", "cluster=lab", "account=group")
    until_submitted(lab, "carol", "group")

    applied(lab, but(item, paused=True))
    until_refused(lab, "carol", "group")
    until_refused(lab, "carol", "group", "--qos=normal")
    until_refused(lab, "alice", item.backend_id)


@pytest.mark.parametrize("what", ["a QoS that takes jobs", "no such QoS", "lists of its own"])
def test_a_pause_by_a_qos_that_does_not_do_is_one_by_limits(lab: Lab, what: str) -> None:
    """Whatever the reason; a site's own list is not lost by it."""
    stopping(lab, *(() if what == "a QoS that takes jobs" else (REFUSING,)))
    if what == "no such QoS":
        lab.real.sacctmgr("remove", "qos", "where", "name=stopped")
    item = standing(lab, users=("alice",))
    where = ("account", "where", f"name={item.backend_id}", "cluster=lab")
    if what == "lists of its own":
        lab.real.sacctmgr("add", "qos", "vip")
        lab.real.sacctmgr("modify", *where, "set", "qos=normal,vip")
    before = _own(lab, item.backend_id, *SUBMISSION, "qos", "defaultqos")

    applied(lab, but(item, paused=True))
    until_refused(lab, "alice", item.backend_id)
    applied(lab, but(item, paused=False))

    assert _own(lab, item.backend_id, *SUBMISSION, "qos", "defaultqos") == before
    until_submitted(lab, "alice", item.backend_id)


def test_a_downscaled_allocation_that_can_not_be_switched_keeps_the_rest_in_step(
    lab: Lab,
) -> None:
    """Nobody tries what slurmdbd refuses; users come and go all the same."""
    lab.real.run("sacctmgr", "-i", "add", "qos", "slow")
    lab.node = replace(lab.node, rules=replace(lab.node.rules, qos=QosRules(downscaled="slow")))
    item = standing(lab, users=("alice",))
    lab.real.sacctmgr(
        *("modify", "user", "where", "name=alice", f"account={item.backend_id}"),
        *("set", "defaultqos=normal"),
    )

    with capture_logs() as logs:
        outcome = applied(lab, but(item, downscaled=True, users=("alice", "bob")))

    assert outcome.users == ("alice", "bob")
    (line,) = [entry for entry in logs if entry["event"] == "downscaled_ignored"]
    assert "alice" in line["reason"]


def test_a_downscaled_allocation_runs_in_its_qos(lab: Lab) -> None:
    """Jobs get that QoS by themselves and no other, until the flag is gone."""
    lab.real.run("sacctmgr", "-i", "add", "qos", "slow")
    lab.node = replace(lab.node, rules=replace(lab.node.rules, qos=QosRules(downscaled="slow")))
    item = standing(lab, users=("alice",))
    until_submitted(lab, "alice", item.backend_id)

    applied(lab, but(item, downscaled=True))
    until_refused(lab, "alice", item.backend_id, "--qos=normal")
    assert _qos_of_a_job(lab, item.backend_id) == "slow"
    applied(lab, but(item, downscaled=False))
    until_refused(lab, "alice", item.backend_id, "--qos=slow")
    assert _qos_of_a_job(lab, item.backend_id) == "normal"
    assert lab.go(but(item, downscaled=False))[0].changes == ()


def _qos_of_a_job(lab: Lab, account: str) -> str:
    job = lab.real.submit("alice", account, seconds=600, begin="now+1hour")
    return lab.real.run("squeue", "--noheader", f"--jobs={job}", "--format=%q").stdout.strip()


def test_leavers_jobs_may_finish(lab: Lab) -> None:
    """Meanwhile who leaves submits no more; the other leaver is gone at once; then both are."""
    lab.node = replace(lab.node, rules=replace(lab.node.rules, finish_jobs=True))
    item = standing(lab, users=("alice", "bob", "carol"))
    job = lab.real.submit("alice", item.backend_id, seconds=600)
    lab.real.wait_for_state(job, "RUNNING")
    left = but(item, users=("carol",))

    (outcome,) = lab.go(left, removable=EVERYBODY)
    assert (outcome.status, outcome.users) == (Status.DEFERRED, ("alice", "carol"))
    until_refused(lab, "alice", item.backend_id)
    assert lab.real.state_of(job) == "RUNNING"

    lab.real.run("scancel", job)
    assert until_settled(lab, left, EVERYBODY).users == ("carol",)


def test_who_comes_back_has_the_limits_that_the_site_had_set(lab: Lab) -> None:
    """For each association their own, one for a partition among them."""
    lab.node = replace(lab.node, rules=replace(lab.node.rules, finish_jobs=True))
    item = standing(lab, users=("alice", "bob"))
    account = item.backend_id
    lab.real.sacctmgr("add", "user", "alice", "cluster=lab", f"account={account}", "partition=main")
    for partition, limit in (("", 50), ("main", 20)):
        where = ("name=alice", f"account={account}", f"partition={partition}")
        lab.real.sacctmgr("modify", "user", "where", *where, "set", f"GrpSubmitJobs={limit}")
    jobs = [lab.real.submit(user, account, seconds=600) for user in ("alice", "bob")]
    for job in jobs:
        lab.real.wait_for_state(job, "RUNNING")
    before = _own(lab, account, *SUBMISSION)
    assert [before[key][0] for key in ("alice", "alice/main", "bob")] == ["50", "20", ""]

    lab.go(but(item, users=()), removable=EVERYBODY)
    for user in ("alice", "bob"):
        until_refused(lab, user, account)
    applied(lab, item, EVERYBODY)

    assert _own(lab, account, *SUBMISSION) == before
    for user in ("alice", "bob"):
        until_submitted(lab, user, account)


def test_a_coordinator_who_left_adds_nobody(lab: Lab) -> None:
    """Neither himself nor others, by a right to the allocation or to its project."""
    item = standing(lab, users=("alice", "bob"))
    project = _name(lab, Kind.PROJECT, item.project)
    for account in (item.backend_id, project):
        lab.real.run("sacctmgr", "-i", "add", "coordinator", f"account={account}", "names=alice")

    def add(user: str) -> int:
        new = ("user", f"name={user}", f"account={item.backend_id}", "cluster=lab")
        return lab.real.run("sacctmgr", "-i", "add", *new, user="alice", check=False).returncode

    assert add("carol") == 0
    left = but(item, users=("bob",))
    outcome = applied(lab, left, EVERYBODY)

    assert outcome.users == ("bob",)
    assert [add("alice"), add("carol")] == [1, 1]
    assert applied(lab, left, EVERYBODY).changes == ()
    assert not any(a.coordinators for a in lab.node.cluster.read().accounts.values())


def test_a_user_whom_slurmctld_can_not_resolve_is_named(lab: Lab) -> None:
    """By the member sync and by `check`, until what they advise is done."""
    item = standing(lab, users=("alice", "late"))

    def told() -> list[str]:
        with capture_logs() as logs:
            applied(lab, item)
        return [entry["reason"] for entry in logs if entry["event"] == "slurmctld_without_uid"]

    def checked() -> list[str]:
        found = [f for f in findings(lab.node, CheckRequest()) if f.what == ASSOCIATIONS]
        return [finding.message for finding in found if finding.verdict is Verdict.FAILED]

    for (text,) in (told(), checked()):
        assert f"{item.backend_id}/late" in text
        assert "scontrol reconfigure" in text
    with lab.real.unix_user("late"):
        assert len(told()) == len(checked()) == 1
        assert not may_submit(lab, "late", item.backend_id)
        lab.real.run("scontrol", "reconfigure")
        until_submitted(lab, "late", item.backend_id)
        assert told() == checked() == []


def test_a_leaver_who_comes_back_submits_again(lab: Lab) -> None:
    """The job that was waited for goes on."""
    lab.node = replace(lab.node, rules=replace(lab.node.rules, finish_jobs=True))
    item = standing(lab, users=("alice",))
    job = lab.real.submit("alice", item.backend_id, seconds=600)
    lab.real.wait_for_state(job, "RUNNING")
    lab.go(but(item, users=()), removable=EVERYBODY)
    until_refused(lab, "alice", item.backend_id)

    applied(lab, item, EVERYBODY)
    until_submitted(lab, "alice", item.backend_id)
    assert lab.real.state_of(job) == "RUNNING"


def test_a_whole_team_joins_by_one_command(lab: Lab) -> None:
    """People who are new to the cluster, however many."""
    item = standing(lab, users=())

    applied(lab, but(item, users=tuple(sorted(EVERYBODY))))

    assert len(lab.counting.writes) == 1
    assert set(lab.node.cluster.defaults().values()) == {"root", "waldur"}


def test_somebody_who_was_renamed_is_moved(lab: Lab) -> None:
    """The new name joins, the former one leaves with its jobs, and its default account goes."""
    item = standing(lab, users=("alice", "bob"))
    job = lab.real.submit("alice", item.backend_id, seconds=600)
    lab.real.wait_for_state(job, "RUNNING")
    renamed = but(item, users=("bob", "dave"), former=("alice",))

    outcome = until_settled(lab, renamed)

    assert (outcome.status, outcome.users) == (Status.APPLIED, ("bob", "dave")), outcome.message
    assert lab.real.state_of(job) == "CANCELLED"


def test_a_restricted_allocation_loses_all_members(lab: Lab) -> None:
    """More than the guard lets pass by itself, for Waldur says so; and they come back."""
    others = tuple(f"user{number}" for number in range(6))
    item = standing(lab, users=others)

    closed = but(item, users=(), restricted=True)
    assert applied(lab, closed, frozenset(others)).users == ()
    assert applied(lab, item).users == others


@pytest.fixture
def unix(lab: Lab) -> Lab:
    """Give a head node that knows the cluster's people, and makes their homes."""
    programs = Unix(
        getent=str(lab.real.bin_dir / "getent"),
        helper=str(lab.real.bin_dir / "mkhomedir_helper"),
        umask="0027",
    )
    cluster = SlurmCluster(lab.counting, lab.real.cluster, programs)
    lab.node = replace(lab.node, cluster=cluster, unix_users=True)
    return lab


def test_only_unix_users_join(unix: Lab) -> None:
    """Somebody whom the head node doesn't know waits."""
    item = standing(unix, users=())

    outcome = applied(unix, but(item, users=("alice", "nobody_here")))

    assert (outcome.users, set(outcome.waiting)) == (("alice",), {"nobody_here"})
    assert "no such Unix user" in outcome.waiting["nobody_here"]


def test_a_unix_user_with_capitals_joins_where_slurmdbd_preserves_them(unix: Lab) -> None:
    """Once, and submits; whoever is removed is found by the name that the cluster has."""
    with (
        unix.real.unix_user("Karla"),
        unix.real.slurmdbd_options("Parameters=PreserveCaseUser"),
    ):
        item = standing(unix, users=())
        for spelled in ("Karla", "KARLA"):
            assert applied(unix, but(item, users=(spelled,))).users == ("Karla",)
        until_submitted(unix, "Karla", item.backend_id)

        assert until_settled(unix, but(item, users=()), frozenset({"karla"})).users == ()


def test_homes_are_made_once_and_never_over_another(unix: Lab) -> None:
    """With the umask asked for; what is there stays as it is."""
    root = unix.real.root
    node = replace(unix.node, homes=True)
    unix.node = replace(node, cluster=_looking_inside(node.cluster, root))
    item = standing(unix, users=())
    home, other = root / "home/alice", root / "home/bob"
    _move(home, home.with_name("alice.kept"))
    try:
        (other / "mine").write_text("precious", encoding="utf-8")
        applied(unix, but(item, users=("alice", "bob")))
        assert home.stat().st_mode & 0o777 == 0o750
        assert home.stat().st_uid == 2001
        assert (other / "mine").read_text(encoding="utf-8") == "precious"
        made = [line for line in unix.counting.writes if not line.startswith("--")]
        assert made == ["alice 0027"]
        assert applied(unix, but(item, users=("alice", "bob"))).changes == ()
    finally:
        (other / "mine").unlink(missing_ok=True)
        _remove(home)
        _move(home.with_name("alice.kept"), home)


def _looking_inside(cluster: SlurmCluster, root: Path) -> SlurmCluster:
    """Let a head node look for files in the cluster's folder."""

    class Inside(SlurmCluster):
        """A cluster whose head node is that folder."""

        def exists(self, path: str) -> bool:
            """Tell whether a file is there."""
            return super().exists(f"{root}{path}")

    return Inside(cluster.runner, cluster.configured_name, cluster.unix)


def _move(source: Path, target: Path) -> None:
    if source.exists():
        source.rename(target)


def _remove(folder: Path) -> None:
    import shutil

    if folder.exists():
        shutil.rmtree(folder)


def test_a_home_that_can_not_be_made_lets_its_user_wait(unix: Lab, tmp_path: Path) -> None:
    """With a sentence about why; the others join."""
    helper = tmp_path / "refuses"
    helper.write_text("#!/bin/sh\n[ $1 = alice ] && exit 6; exit 0\n", encoding="utf-8")
    helper.chmod(0o755)
    programs = replace(unix.node.cluster.unix, helper=str(helper))
    cluster = _looking_inside(unix.node.cluster, tmp_path)
    unix.node = replace(unix.node, cluster=replace(cluster, unix=programs), homes=True)
    item = standing(unix, users=())

    outcome = applied(unix, but(item, users=("alice", "bob")))

    assert outcome.users == ("bob",)
    assert "HOMEDIR_SUDO_PATH" in outcome.waiting["alice"]


def _parents(lab: Lab) -> dict[str, str]:
    return {name: a.parent for name, a in lab.node.cluster.read().accounts.items()}


def _name(lab: Lab, kind: Kind, owner: Owner) -> str:
    return owner_name(lab.node.rules.prefixes, kind, owner.uuid)


def test_a_project_that_moves_is_hung_elsewhere_once(lab: Lab) -> None:
    """Its allocations follow with their running jobs; it is read back, and not done again."""
    item = standing(lab)
    sister = standing(lab, customer=item.customer, project=item.project, users=("carol",))
    job = lab.real.submit("alice", item.backend_id, seconds=600)
    lab.real.wait_for_state(job, "RUNNING")
    buyer = Owner(uuid="ab" * 16, title="Other university")
    moved = [but(one, customer=buyer) for one in (item, sister)]

    outcomes = lab.go(*moved)

    assert [outcome.status for outcome in outcomes] == [Status.APPLIED] * 2
    parents = _parents(lab)
    project = _name(lab, Kind.PROJECT, item.project)
    assert parents[project] == _name(lab, Kind.CUSTOMER, buyer)
    assert {parents[one.backend_id] for one in moved} == {project}
    assert lab.real.state_of(job) == "RUNNING"
    moves = [line for line in lab.counting.writes if "parent=" in line and "modify" in line]
    assert len(moves) == 1
    assert [outcome.changes for outcome in lab.go(*moved)] == [(), ()]


def test_a_resource_that_moves_is_hung_under_its_project_once(lab: Lab) -> None:
    """With its running job; the account that it leaves goes, and the customer's with it."""
    item = standing(lab)
    job = lab.real.submit("alice", item.backend_id, seconds=600)
    lab.real.wait_for_state(job, "RUNNING")
    buyer = Owner(uuid="ab" * 16, title="Other university")
    moved = but(item, customer=buyer, project=Owner(uuid="cd" * 16, title="Other project"))

    report = reconcile(ReconcileRequest(items=(moved,), tidy=True), lab.node)

    project, customer = _name(lab, Kind.PROJECT, moved.project), _name(lab, Kind.CUSTOMER, buyer)
    assert _parents(lab) == {
        "root": "",
        "waldur": "root",
        customer: "waldur",
        project: customer,
        item.backend_id: project,
    }
    assert len(report.tidied) == 2
    assert lab.real.state_of(job) == "RUNNING"
    assert lab.go(moved)[0].changes == ()
    end = but(moved, intent=Intent.TERMINATE, users=None, paused=None)
    assert until_settled(lab, end).status is Status.APPLIED
    assert set(_parents(lab)) == {"root", "waldur"}


def test_an_older_agents_account_is_never_moved(lab: Lab) -> None:
    """One under root, without any marker: its users are kept, its place in the tree stays."""
    lab.real.sacctmgr("add", "account", "name=hpc_old", "cluster=lab", "parent=root")
    lab.real.sacctmgr("add", "user", "name=alice", "cluster=lab", "account=hpc_old")
    item = desired(
        intent=Intent.UPDATE, backend_id="hpc_old", users=("alice", "bob"), keep_limits=True
    )

    outcome = applied(lab, item, EVERYBODY)

    assert outcome.users == ("alice", "bob")
    assert _parents(lab)["hpc_old"] == "root"
    assert not any("parent=" in line for line in lab.counting.writes)


def test_a_restored_allocation_is_what_it_was(lab: Lab) -> None:
    """The same account under the same name, with its limits and users."""
    item = standing(lab)
    end: Sequence[Outcome] = lab.go(but(item, intent=Intent.TERMINATE, users=None, paused=None))
    assert end[0].status is Status.APPLIED, end[0].message
    assert item.backend_id not in lab.node.cluster.read().accounts

    restored = applied(lab, but(item, intent=Intent.CREATE, limits=LIMITS))

    assert restored.account == item.backend_id
    assert (dict(restored.limits), restored.users) == (
        lab.node.cluster.read().accounts[item.backend_id].limits,
        ("alice", "bob"),
    )
    assert restored.limits["cpu"] == LIMITS["cpu"]


def test_a_default_account_is_only_given_to_newcomers(lab: Lab) -> None:
    """Somebody who has one keeps it, whatever they join."""
    lab.real.sacctmgr("add", "account", "name=physics", "cluster=lab", "parent=root")
    lab.real.sacctmgr("add", "user", "name=bob", "cluster=lab", "account=physics")
    item = standing(lab, users=())

    outcome = applied(lab, but(item, users=("alice", "bob")))

    added = [AddUsers(("alice",), item.backend_id, "waldur"), AddUsers(("bob",), item.backend_id)]
    assert outcome.changes == tuple(map(str, added))
    defaults = lab.node.cluster.defaults()
    assert (defaults["alice"], defaults["bob"]) == ("waldur", "physics")
