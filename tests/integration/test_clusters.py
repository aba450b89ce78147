"""The real clusters for tests do what the other tests rely on."""

from __future__ import annotations

import fcntl
import subprocess
import timeit
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.support.clusters import InjectedJob, RealCluster, wait_until

pytestmark = pytest.mark.timeout(600)  # the first boot on a machine bootstraps a Debian


def _give_alice_an_account(cluster: RealCluster) -> None:
    cluster.sacctmgr("add", "account", "a1", "cluster=lab", "parent=waldur", "description=one")
    cluster.sacctmgr("add", "user", "alice", "cluster=lab", "account=a1", "DefaultAccount=a1")


def _epoch(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp())


def _sacct(cluster: RealCluster, *args: str) -> list[str]:
    done = cluster.run("sacct", "-aXDnP", "--noconvert", "--accounts=a1", *args)
    return done.stdout.splitlines()


def test_runs_the_release_it_is_named_after(slurm: RealCluster) -> None:
    """The clients are those of the release."""
    version = slurm.run("sacctmgr", "--version").stdout
    assert version.split()[1].startswith(f"{slurm.release}.")


def test_runs_a_users_job(slurm: RealCluster) -> None:
    """A job of alice's starts within seconds, completes, and is accounted with its GPUs."""
    _give_alice_an_account(slurm)
    job = slurm.submit("alice", "a1", 1, cpus=2, gpus=3, mem_mb=512, job_name="three")
    slurm.wait_for_state(job, "RUNNING", "COMPLETED", timeout=15)
    slurm.wait_for_jobs_end("a1")
    [row] = _sacct(slurm, "--format=user,state,jobname,alloctres")
    user, state, name, tres = row.split("|")
    assert (user, state, name) == ("alice", "COMPLETED", "three")
    assert {"cpu=2", "gres/gpu=3", "mem=512M"} <= set(tres.split(","))


def test_reset_empties(slurm: RealCluster) -> None:
    """After a reset there is no job, no record, no account and no user of a test."""
    _give_alice_an_account(slurm)
    slurm.sacctmgr("add", "account", "a2", "cluster=lab", "parent=a1", "GrpTRESMins=cpu=1")
    slurm.sacctmgr("add", "user", "alice", "cluster=lab", "account=a2")
    job = slurm.submit("alice", "a1", 600)
    slurm.wait_for_state(job, "RUNNING")
    slurm.reset()
    assert slurm.run("squeue", "-h").stdout == ""
    assert _sacct(slurm, "--starttime=2020-01-01", "--format=jobid") == []
    shown = slurm.sacctmgr("show", "account", "format=account")
    assert sorted(shown) == [["root"], ["waldur"]]
    assert slurm.sacctmgr("show", "user", "format=user") == [["root"]]


def test_reset_of_an_empty_cluster_is_quick(slurm: RealCluster) -> None:
    """Resetting before each test costs less than a second when there is nothing to do.

    The quickest of some: the machine is busy with other tests.
    """
    assert min(timeit.repeat(slurm.reset, number=1, repeat=5)) < 1


def test_reset_survives_changed_root(slurm: RealCluster) -> None:
    """Even a limit on root, as an unnamed ``modify account`` leaves it, is gone afterwards."""
    slurm.sacctmgr("modify", "account", "where", "name=root", "set", "GrpTRESMins=cpu=0")
    slurm.reset()
    [row] = slurm.sacctmgr("show", "assoc", "account=root", "user=", "format=grptresmins")
    assert row == [""]


def test_shows_injected_jobs(slurm: RealCluster) -> None:
    """Records of past months, a requeued and a suspended job among them, show in sacct."""
    _give_alice_an_account(slurm)
    start = _epoch("2026-03-31T23:00:00")
    tres = "cpu=4,mem=2G,gres/gpu=2,node=1"
    first = InjectedJob("a1", "alice", start, start + 7200, tres)
    requeued = InjectedJob("a1", "alice", start, start + 60, tres, "REQUEUED", job_id=77)
    again = InjectedJob("a1", "alice", start + 120, start + 150, tres, "FAILED", job_id=77)
    paused = InjectedJob(
        "a1", "alice", start, start + 100, tres, suspensions=[(start + 10, start + 40)]
    )
    ids = slurm.inject_jobs([first, requeued, again, paused])
    window = ["--starttime=2026-03-01", "--endtime=2026-05-01"]
    rows = _sacct(slurm, *window, "--format=jobidraw,state,elapsedraw,alloctres")
    tres = "cpu=4,gres/gpu=2,mem=2048M,node=1"
    assert sorted(rows) == sorted(
        [
            f"{ids[0]}|COMPLETED|7200|{tres}",
            f"77|REQUEUED|60|{tres}",
            f"77|FAILED|30|{tres}",
            f"{ids[3]}|COMPLETED|70|{tres}",
        ]
    )


def test_rolls_injected_jobs_up_for_sreport(slurm: RealCluster) -> None:
    """Sreport agrees with the records once they are rolled up."""
    _give_alice_an_account(slurm)
    start = _epoch("2026-11-10T10:00:00")
    slurm.inject_jobs([InjectedJob("a1", "alice", start, start + 3600, "cpu=4,mem=1G,node=1")])
    day, next_day = datetime(2026, 11, 10, tzinfo=UTC), datetime(2026, 11, 11, tzinfo=UTC)
    slurm.rollup(day, next_day)
    assert slurm.usage_by_sreport(day, next_day)["a1", "alice", "cpu"] == 4 * 3600


@pytest.mark.parametrize("daemon", ["slurmdbd", "slurmctld", "munge", "mariadb"])
def test_stops_and_starts_a_daemon(slurm: RealCluster, daemon: str) -> None:
    """What needs a daemon fails without it, and works again after; writes reach slurmctld."""
    argv = ["squeue"] if daemon == "slurmctld" else ["sacctmgr", "-n", "show", "cluster"]
    with slurm.without(daemon):
        assert slurm.run(*argv, check=False).returncode == 1
    assert slurm.run(*argv).returncode == 0
    _give_alice_an_account(slurm)
    slurm.wait_for_state(slurm.submit("alice", "a1", 0), "COMPLETED")


def test_brings_back_a_daemon_a_test_left_stopped(slurm: RealCluster) -> None:
    """A reset starts what is missing."""
    slurm.stop("slurmdbd")
    slurm.reset()
    assert slurm.sacctmgr("show", "cluster", "format=cluster") == [["lab"]]


def test_passes_file_descriptors_on(slurm: RealCluster, tmp_path: Path) -> None:
    """A descriptor that a client inherits is open in it: it holds a lock until it ends."""
    with (tmp_path / "lock").open("w") as ours, (tmp_path / "lock").open("w") as another:
        fcntl.flock(ours, fcntl.LOCK_EX)
        with subprocess.Popen(
            [str(slurm.bin_dir / "sinfo"), "--iterate=60"],
            stdout=subprocess.DEVNULL,
            pass_fds=[ours.fileno()],
        ) as client:
            command = Path(f"/proc/{client.pid}/cmdline")
            wait_until(
                lambda: command.read_bytes().startswith(b"/usr/bin/sinfo\0"), 10, lambda: "sinfo"
            )
            ours.close()
            with pytest.raises(BlockingIOError):
                fcntl.flock(another, fcntl.LOCK_EX | fcntl.LOCK_NB)
            client.terminate()
        fcntl.flock(another, fcntl.LOCK_EX | fcntl.LOCK_NB)
