"""Jobs in the queue: submitting, cancelling, and what they keep from being removed."""

from __future__ import annotations

from dataclasses import replace

from tests.contract.slurm.lab import Lab

ACTIVE = "Job(s) active, cancel job(s) before remove"


def _ready(cluster: Lab) -> None:
    cluster.add_account("p1")
    cluster.add_account("a1", "p1")
    cluster.add_users("alice", "a1,waldur", "waldur")
    cluster.add_users("bob", "a1,waldur", "waldur")


def test_without_an_association_nothing_can_be_submitted(cluster: Lab) -> None:
    """Neither to a missing account nor to one that the user is not in."""
    _ready(cluster)

    for account in ("missing", "p1"):
        done = cluster.submit("alice", account)
        assert done.code == 1
        assert "Invalid account" in done.err


def test_blocking_a_parent_blocks_submission_below(cluster: Lab) -> None:
    """GrpSubmitJobs=0 counts for the whole subtree, until it is cleared."""
    _ready(cluster)
    cluster.until(lambda: cluster.submit_once("alice", "a1"))

    cluster.modify("p1", "GrpSubmitJobs=0")
    cluster.until(lambda: not cluster.submit_once("alice", "a1"))
    refused = cluster.submit("alice", "a1")
    cluster.modify("p1", "GrpSubmitJobs=-1")

    assert refused.code == 1
    assert "AssocGrpSubmitJobsLimit" in refused.err
    cluster.until(lambda: cluster.submit_once("alice", "a1"))


def test_a_blocked_account_lets_its_jobs_run_and_start(cluster: Lab) -> None:
    """Only new ones are refused, whether it is blocked itself or above."""
    _ready(cluster)
    runs = cluster.running("alice", "a1")
    waits = cluster.pending("alice", "a1")

    cluster.modify("p1", "GrpSubmitJobs=0")
    cluster.refused("alice", "a1")
    cluster.begin(waits)

    cluster.until(
        lambda: set(cluster.queue("a1", _STATE)) == {f"{runs}|RUNNING", f"{waits}|RUNNING"}
    )


def test_a_blocked_user_submits_nothing_to_that_account(cluster: Lab) -> None:
    """Nobody else is touched, no other account, and no job that is there."""
    _ready(cluster)
    cluster.add_account("a2", "p1")
    cluster.add_users("alice", "a2")
    runs = cluster.running("alice", "a1")
    waits = cluster.pending("alice", "a1")

    cluster.modify_users("alice", "a1", "GrpSubmitJobs=0")
    refused = cluster.refused("alice", "a1")

    assert refused.code == 1
    assert "AssocGrpSubmitJobsLimit" in refused.err
    assert cluster.submit_once("bob", "a1", "--begin=now+1hour")
    assert cluster.submit_once("alice", "a2", "--begin=now+1hour")
    cluster.begin(waits)
    both = {f"{runs}|RUNNING", f"{waits}|RUNNING"}
    cluster.until(lambda: both <= set(cluster.queue("a1", _STATE)))
    cluster.modify_users("alice", "a1", "GrpSubmitJobs=-1")
    cluster.until(lambda: cluster.submit_once("alice", "a1", "--begin=now+1hour"))


_STATE = "%i|%T"


def test_jobs_go_on_while_the_account_above_is_moved(cluster: Lab) -> None:
    """Whatever is below it goes along, with limits and users."""
    _ready(cluster)
    cluster.add_account("p2")
    cluster.modify("a1", "GrpTRESMins=cpu=100000")
    runs = cluster.running("alice", "a1")
    before = cluster.tree()

    assert cluster.modify("p1", "parent=p2").code == 0

    moved = replace(before["p1"], parent="p2")
    assert cluster.tree() == {**before, "p1": moved}
    cluster.until(lambda: cluster.submit_once("bob", "a1", "--begin=now+1hour"))
    assert f"{runs}|RUNNING" in cluster.queue("a1", _STATE)


def test_a_running_job_keeps_user_and_account(cluster: Lab) -> None:
    """Neither can be removed; the message on stderr names the job."""
    _ready(cluster)
    job = cluster.running("alice", "a1")

    for done in (cluster.remove_users("alice", "a1"), cluster.remove_account("a1")):
        assert done.code == 1
        assert ACTIVE in done.err
        assert f"JobID = {job}" in done.err
    assert cluster.tree()["a1"].users == {"alice", "bob"}


def test_a_pending_job_keeps_its_user(cluster: Lab) -> None:
    """It need not have started."""
    _ready(cluster)
    job = cluster.pending("alice", "a1")

    done = cluster.remove_users("alice", "a1")

    assert done.code == 1
    assert f"JobID = {job}" in done.err
    assert cluster.tree()["a1"].users == {"alice", "bob"}


def test_other_users_can_be_removed_meanwhile(cluster: Lab) -> None:
    """A job counts for its own association only."""
    _ready(cluster)
    cluster.running("alice", "a1")

    assert cluster.remove_users("bob", "a1").code == 0


def test_a_job_below_keeps_a_parent(cluster: Lab) -> None:
    """Where the subtree would go with it; 24.11 removes the account and leaves the rest."""
    _ready(cluster)
    cluster.running("alice", "a1")

    done = cluster.remove_account("p1")

    if cluster.cascades:
        assert done.code == 1
        assert ACTIVE in done.err
    else:
        assert done.code == 0
        cluster.add_account("p1")
    assert cluster.tree()["a1"].users == {"alice", "bob"}


def test_cancelling_an_accounts_jobs_frees_it(cluster: Lab) -> None:
    """The command returns at once, and the queue empties soon."""
    _ready(cluster)
    cluster.running("alice", "a1")
    cluster.pending("bob", "a1")

    assert cluster.run("scancel", "--clusters=lab", "--account=a1").code == 0
    cluster.until(lambda: not cluster.queue("a1", "%i"))
    cluster.until(lambda: cluster.remove_account("a1").code == 0)
    assert "a1" not in cluster.tree()


def test_cancelling_one_users_jobs_leaves_the_others(cluster: Lab) -> None:
    """With --user only that user's are cancelled."""
    _ready(cluster)
    cluster.running("alice", "a1")
    cluster.running("bob", "a1")

    assert cluster.run("scancel", "--clusters=lab", "--account=a1", "--user=alice").code == 0
    cluster.until(lambda: cluster.queue("a1", "%u|%T") == ["bob|RUNNING"])


def test_cancelling_where_there_is_nothing_is_exit_0(cluster: Lab) -> None:
    """A missing account counts as one without jobs."""
    assert cluster.run("scancel", "--clusters=lab", "--account=missing").code == 0


def test_cancelling_for_a_user_unknown_to_unix_is_exit_1(cluster: Lab) -> None:
    """The user is looked up before slurmctld is asked."""
    done = cluster.run("scancel", "--clusters=lab", "--account=waldur", "--user=nosuchuser")

    assert done.code == 1
    assert "Invalid user name: nosuchuser" in done.err


def test_another_cluster_can_not_be_reached(cluster: Lab) -> None:
    """What asks slurmctld fails, where sacct and sacctmgr list nothing."""
    for tool in ("scancel", "squeue"):
        options = ("--noheader", "--format=%i") if tool == "squeue" else ()
        done = cluster.run(tool, "--clusters=other", "--account=waldur", *options)
        assert done.code == 1
        assert "No cluster 'other'" in done.err


def test_the_queue_shows_what_is_asked_for(cluster: Lab) -> None:
    """Account, user and state in the given format."""
    _ready(cluster)
    job = cluster.running("alice", "a1")

    assert cluster.queue("a1", "%i|%a|%u|%T") == [f"{job}|a1|alice|RUNNING"]
