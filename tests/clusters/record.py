"""Record what SLURM's clients print, on each release: ``python -m tests.clusters.record``.

Writes ``tests/recordings/slurm/<release>/<name>.txt``; releases as arguments limit it. Each
scenario starts from an empty cluster. Prints how long each command took; exit 124 is one that
hadn't ended after 45 s.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from slurm_tasks.slurm.commands import ShowAccounts, ShowAssociations, ShowQos
from slurm_tasks.slurm.runner import ENVIRONMENT
from tests.support.clusters import SUITES, InjectedJob, RealCluster, running_cluster, wait_until

FOLDER = Path(__file__).resolve().parent.parent / "recordings" / "slurm"
_LISTING = ("account", "withassoc", "woplimits", "withcoord")
_DUMP = ("--parsable2", "--immediate", "show", *_LISTING, "where", "cluster=lab")
_COLUMNS = ShowAccounts("lab").argv()[-1].removeprefix("format=")


@dataclass(frozen=True)
class Recording:
    """One command and what came of it."""

    argv: Sequence[str]
    returncode: int
    stdout: str
    stderr: str

    def dump(self) -> str:
        """The text of a recording's file."""
        return (
            f"{json.dumps(list(self.argv))}\nexit {self.returncode}\n"
            f"--- stdout\n{self.stdout}--- stderr\n{self.stderr}"
        )

    @classmethod
    def load(cls, release: str, name: str) -> Recording:
        """Read ``tests/recordings/slurm/<release>/<name>.txt``."""
        text = (FOLDER / release / f"{name}.txt").read_bytes().decode("utf-8", "surrogateescape")
        argv, code, rest = text.split("\n", 2)
        stdout, stderr = rest.removeprefix("--- stdout\n").rsplit("--- stderr\n", 1)
        return cls(json.loads(argv), int(code.removeprefix("exit ")), stdout, stderr)


@dataclass(frozen=True)
class Recorder:
    """Runs commands on one cluster; those with a name are written to a file."""

    cluster: RealCluster

    def __call__(self, name: str, tool: str, *args: str, user: str = "") -> Recording:
        """Run and record; ``user`` is who runs it."""
        began = time.monotonic()
        done = subprocess.run(
            ["timeout", "--kill-after=1", "45", str(self.cluster.bin_dir / tool), *args],
            env={**os.environ, **ENVIRONMENT, "SLURM_LAB_USER": user},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
        )
        took = time.monotonic() - began
        _say(f"{self.cluster.release} {name}: exit {done.returncode}, {took * 1000:.0f} ms")
        recording = Recording(
            [tool, *args],
            done.returncode,
            done.stdout.decode("utf-8", "surrogateescape"),
            done.stderr.decode("utf-8", "surrogateescape"),
        )
        path = FOLDER / self.cluster.release / f"{name}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(recording.dump().encode("utf-8", "surrogateescape"))
        return recording

    def add_accounts(self, *names: str, parent: str = "waldur", **options: str) -> None:
        """Set a scene, unrecorded."""
        more = [f"{key}={value}" for key, value in options.items()]
        where = ("cluster=lab", f"parent={parent}")
        self.cluster.sacctmgr("add", "account", ",".join(names), *where, *more)

    def add_user(self, user: str, *accounts: str) -> None:
        """Set a scene, unrecorded: the first account is the default."""
        self.cluster.sacctmgr(
            "add", "user", user, "cluster=lab", f"account={','.join(accounts)}",
            f"DefaultAccount={accounts[0]}",
        )  # fmt: skip

    def add(self, name: str, *args: str) -> None:
        """Record a sacctmgr command that changes something."""
        self(name, "sacctmgr", "--immediate", *args)

    def dump(self, name: str) -> None:
        """Record accounts, limits and members."""
        self(name, "sacctmgr", *_DUMP, f"format={_COLUMNS}")

    def users(self, name: str) -> None:
        """Record who is where, and each user's default."""
        self(
            name, "sacctmgr", "--parsable2", "show", "user", "withassoc", "where", "cluster=lab",
            "format=user,defaultaccount,account",
        )  # fmt: skip


def dump_of_accounts(rec: Recorder) -> None:
    """What one listing can show: accounts, parents, limits, members; orphans."""
    rec.add_accounts("p1", description="Project One")
    rec.add_accounts(
        "a1", parent="p1", description="Allocation, one", GrpTRESMins="cpu=100,gres/gpu=5,mem=2048"
    )
    rec.add_accounts("a2", parent="p1", GrpSubmitJobs="0")
    rec.add_accounts("gone", description="parent of an orphan")
    rec.add_accounts("orphan", parent="gone", description="has no association")
    rec.cluster.sacctmgr("remove", "account", "where", "name=gone")
    rec.add_user("alice", "a1", "a2")
    rec.add_user("bob", "a2")
    rec.add_user("carol", "p1", "a1")
    rec.dump("dump")
    sacctmgr = ("sacctmgr", "--parsable2", "--immediate", "show")
    rec("dump-without-where", "sacctmgr", *ShowAccounts("lab").argv())
    rec("accounts", *sacctmgr, "account", "format=account,description,organization")
    rec("accounts-noassoc-where", *sacctmgr, "account", "where", "cluster=lab",
        "format=account,description")  # fmt: skip
    for column in ("defaultaccount", "defaultacct", "isdefault", "default", "flags", "qos",
                   "defaultqos", "coordinators", "lineage", "id", "rawusage"):  # fmt: skip
        rec(f"dump-column-{column}", *sacctmgr, "account", "withassoc", "where", "cluster=lab",
            f"format=account,user,{column}")  # fmt: skip
    assoc = "cluster,account,parentname,user,grpsubmitjobs,grptresmins,qos"
    rec("associations", *sacctmgr, "assoc", "where", "cluster=lab", f"format={assoc}")
    for column in ("isdefault", "default", "defaultaccount", "flags", "description"):
        rec(f"associations-column-{column}", *sacctmgr, "assoc", "where", "cluster=lab",
            f"format=account,user,{column}")  # fmt: skip
    rec.users("users-withassoc")
    rec("users-withassoc-all-columns", *sacctmgr, "user", "withassoc", "where", "cluster=lab",
        "format=user,defaultaccount,account,parentname,grpsubmitjobs,grptresmins,qos")  # fmt: skip
    rec("users", *sacctmgr, "user", "where", "cluster=lab", "format=user,defaultaccount")
    rec("users-without-where", *sacctmgr, "user", "format=user,defaultaccount")
    rec("dump-one-account", *sacctmgr, "account", "withassoc", "where", "cluster=lab",
        "name=a1", f"format={_COLUMNS}")  # fmt: skip
    rec("dump-missing-account", *sacctmgr, "account", "withassoc", "where", "cluster=lab",
        "name=nosuch", f"format={_COLUMNS}")  # fmt: skip
    rec("dump-wopl", *sacctmgr, "account", "withassoc", "wopinfo", "where", "cluster=lab",
        f"format={_COLUMNS}")  # fmt: skip


def users_without_default(rec: Recorder) -> None:
    """How a user looks whose default was taken away (22.05 lets it)."""
    rec.add_accounts("a1", "d1")
    rec.add_user("alice", "a1", "d1")
    rec.add("remove-user-from-default-account", "remove", "user", "where", "name=alice",
            "account=a1", "cluster=lab")  # fmt: skip
    sacctmgr = ("sacctmgr", "--parsable2", "show", "user", "where", "cluster=lab")
    rec("users-after-removed-default", *sacctmgr, "format=user,defaultaccount")
    rec.users("users-withassoc-after-removed-default")


def adding_users(rec: Recorder) -> None:
    """Which default an add without DefaultAccount gives to new and to existing users."""
    for name, accounts in (
        ("default-then-account", "d1,a1"),
        ("account-then-default", "a1,d1"),
        ("account-only", "a1"),
    ):
        rec.cluster.reset()
        # alice is new; bob is in d1; carol is elsewhere; dave is in both, with d1 not the default.
        rec.add_accounts("a1", "d1", "x1")
        rec.add_user("bob", "d1")
        rec.add_user("carol", "x1")
        rec.add_user("dave", "x1", "d1")
        rec.add(f"add-users-{name}", "add", "user", "name=alice,bob,carol,dave", "cluster=lab",
                f"account={accounts}")  # fmt: skip
        rec.users(f"add-users-{name}-users")
        rec.add(f"add-users-{name}-again", "add", "user", "name=alice,bob", "cluster=lab",
                f"account={accounts}")  # fmt: skip
    rec.cluster.reset()
    rec.add_accounts("a1", "d1", "x1")
    rec.add_user("bob", "d1")
    rec.add_user("carol", "x1")
    rec.add("add-users-with-default", "add", "user", "name=alice,bob,carol", "cluster=lab",
            "account=d1,a1", "DefaultAccount=d1")  # fmt: skip
    rec.users("add-users-with-default-users")


def _members(rec: Recorder) -> None:
    rec.cluster.reset()
    rec.add_accounts("a1", "d1")
    rec.add_user("alice", "a1", "d1")  # default a1, with another
    rec.add_user("bob", "a1")  # default a1, and nothing else
    rec.add_user("carol", "d1", "a1")  # default elsewhere
    rec.add_user("dave", "d1")  # not in a1


def first_default(rec: Recorder) -> None:
    """Which of two accounts becomes a new user's default, by the accounts' age and name."""
    for case, older, newer in (("named-upwards", "b1", "c1"), ("named-downwards", "c1", "b1")):
        rec.cluster.reset()
        rec.add_accounts(older)
        rec.add_accounts(newer)
        for order in (f"{older},{newer}", f"{newer},{older}"):
            user = "alice" if order.startswith(older) else "bob"
            rec.add(f"first-default-{case}-{user}", "add", "user", f"name={user}", "cluster=lab",
                    f"account={order}")  # fmt: skip
        rec.users(f"first-default-{case}-users")


def removing_users(rec: Recorder) -> None:
    """Several users out of one account at once."""
    for users in ("alice,bob,carol,dave", "bob,carol,dave", "bob,carol", "carol,dave", "dave"):
        _members(rec)
        name = f"remove-users-{users.replace(',', '-')}"
        rec.add(name, "remove", "user", "where", f"name={users}", "account=a1", "cluster=lab")
        rec.users(f"{name}-users")
    _members(rec)
    job = rec.cluster.submit("carol", "a1", 300)
    rec.cluster.wait_for_state(job, "RUNNING")
    rec.add("remove-users-running-job", "remove", "user", "where", "name=bob,carol",
            "account=a1", "cluster=lab")  # fmt: skip
    rec.users("remove-users-running-job-users")


def default_accounts(rec: Recorder) -> None:
    """The default account of several users at once."""
    _members(rec)
    rec.cluster.sacctmgr("add", "user", "bob", "cluster=lab", "account=d1")
    where = ("modify", "user", "where", "cluster=lab")
    rec.add("modify-users-default", *where, "name=alice,bob", "set", "DefaultAccount=d1")
    rec.users("modify-users-default-users")
    rec.add("modify-users-default-again", *where, "name=alice,bob", "set", "DefaultAccount=d1")
    _members(rec)
    rec.add("modify-users-default-one-lacks", *where, "name=alice,bob", "set", "DefaultAccount=d1")
    rec.users("modify-users-default-one-lacks-users")
    rec.add("modify-users-default-without-cluster", "modify", "user", "where", "name=carol",
            "set", "DefaultAccount=a1")  # fmt: skip


def blocking_submission(rec: Recorder) -> None:
    """GrpSubmitJobs=0, alone and with other changes in one command."""
    _members(rec)
    modify = ("modify", "account", "where", "name=a1", "cluster=lab", "set")
    rec.add("block", *modify, "GrpSubmitJobs=0")
    rec.dump("block-dump")
    rec("block-submit", "sbatch", "-A", "a1", "-D", "/tmp", "-o", "/dev/null", "--wrap=true",
        user="bob")  # fmt: skip
    rec.add("block-again", *modify, "GrpSubmitJobs=0")
    rec.add("unblock", *modify, "GrpSubmitJobs=-1")
    rec.dump("unblock-dump")
    rec.add_accounts("p2")
    rec.add("modify-three-at-once", *modify, "GrpTRESMins=cpu=100,mem=5", "GrpSubmitJobs=0",
            "parent=p2")  # fmt: skip
    rec.dump("modify-three-at-once-dump")
    rec.add("modify-two-at-once", *modify, "GrpTRESMins=cpu=-1,mem=7", "GrpSubmitJobs=-1")
    rec.dump("modify-two-at-once-dump")
    rec.add("modify-same-parent", *modify, "parent=p2", "GrpTRESMins=mem=8")
    rec.add("modify-description", *modify, "description=New words", "GrpTRESMins=mem=9")
    rec.dump("modify-description-dump")
    rec.add("modify-accounts-at-once", "modify", "account", "where", "name=a1,d1", "cluster=lab",
            "set", "GrpTRESMins=cpu=3")  # fmt: skip
    rec.add("add-account-with-all", "add", "account", "a3", "cluster=lab", "parent=p2",
            "description=All of it", "GrpTRESMins=cpu=1", "GrpSubmitJobs=0")  # fmt: skip
    rec.dump("add-account-with-all-dump")
    rec("submit-no-association", "sbatch", "-A", "p2", "-D", "/tmp", "--wrap=true", user="bob")


def blocking_users(rec: Recorder) -> None:
    """GrpSubmitJobs=0 of users' associations with one account."""
    _members(rec)
    where = ("modify", "user", "where", "account=a1", "cluster=lab")
    rec.add("block-users", *where, "name=alice,bob", "set", "GrpSubmitJobs=0")
    rec.dump("block-users-dump")
    rec("block-users-submit", "sbatch", "-A", "a1", "-D", "/tmp", "--wrap=true", user="bob")
    rec.add("block-users-again", *where, "name=alice,bob", "set", "GrpSubmitJobs=0")
    rec.add("block-users-one-lacks", *where, "name=carol,dave", "set", "GrpSubmitJobs=0")
    rec.add("block-users-all-lack", *where, "name=dave", "set", "GrpSubmitJobs=0")
    rec.add("unblock-users", *where, "name=alice,bob", "set", "GrpSubmitJobs=-1")


def switching_qos(rec: Recorder) -> None:
    """An account that is switched to one QoS and back, and what is refused on the way."""
    _members(rec)
    rec.add_accounts("c1", parent="a1")
    rec.cluster.sacctmgr("add", "qos", "name=limited,vip")
    modify = ("modify", "account", "where", "name=a1", "cluster=lab", "set")
    switch = (*modify, "qos=limited", "defaultqos=limited")
    rec.cluster.sacctmgr("add", "qos", "name=stopped", "MaxSubmitJobsPerUser=0")
    rec("qos-list", "sacctmgr", *ShowQos("lab").argv())
    rec.add("qos-switch", *switch)
    rec.dump("qos-switch-dump")
    rec("submit-other-qos", "sbatch", "-A", "a1", "-D", "/tmp", "--qos=normal",
        "--wrap=true", user="bob")  # fmt: skip
    rec.add("qos-back-without-default", *modify, "qos=")
    rec.add("qos-back", *modify, "qos=", "defaultqos=-1")
    rec.add("qos-several", *modify, "qos=vip,normal,limited")
    rec.dump("qos-several-dump")
    rec.add("qos-unknown", *modify, "qos=nosuch", "defaultqos=nosuch")
    rec.add("qos-default-unknown", *modify, "defaultqos=nosuch")
    rec.add("qos-default-not-listed", *modify, "qos=limited", "defaultqos=vip")
    rec.cluster.sacctmgr("modify", "user", "where", "name=bob", "account=a1", "set", "qos=vip")
    rec.add("qos-switch-user-has-others", *switch)
    rec.dump("qos-switch-user-has-others-dump")


def coordinators(rec: Recorder) -> None:
    """Who may add users to an account, by a right to it or to one above; and to no longer may."""
    rec.add_accounts("p1")
    rec.add_accounts("a1", parent="p1")
    for user in ("alice", "bob"):
        rec.add_user(user, "a1", "waldur")
    where = ("account=a1", "names=alice")
    rec.add("coordinator-add", "add", "coordinator", *where)
    rec.cluster.sacctmgr("add", "coordinator", "account=p1", "names=bob")
    rec.dump("coordinator-dump")
    rec.add("coordinator-remove", "remove", "coordinator", *where)
    rec.add("coordinator-remove-again", "remove", "coordinator", *where)
    rec.dump("coordinator-removed-dump")


def associations(rec: Recorder) -> None:
    """What slurmctld shows of users: in one partition, and of one whom Unix doesn't know."""
    rec.add_accounts("a1")
    rec.add_user("alice", "a1")
    rec.add_user("nobody_here", "a1")
    rec.cluster.sacctmgr("add", "user", "alice", "cluster=lab", "account=a1", "partition=main")
    which = ("name=alice", "account=a1", "cluster=lab", "partition=main")
    rec.cluster.sacctmgr("modify", "user", "where", *which, "set", "GrpSubmitJobs=0")
    rec.dump("associations-dump")
    rec("associations-slurmctld", "scontrol", *ShowAssociations("lab").argv())


def purging(rec: Recorder) -> None:
    """How slurmdbd tells when it throws job records away."""
    for name, options in (
        ("months", ("PurgeJobAfter=12months",)),
        ("days", ("PurgeJobAfter=30days",)),
        ("hours", ("PurgeJobAfter=24hours",)),
        ("archived", ("PurgeJobAfter=1month", "ArchiveJobs=yes")),
    ):
        with rec.cluster.slurmdbd_options(*options):
            rec(f"purge-{name}", "sacctmgr", "--parsable2", "--immediate", "show", "configuration")


def unix_users(rec: Recorder) -> None:
    """What the head node says of its users and their homes."""
    rec("getent", "getent", "passwd", "alice", "bob")
    rec("getent-one-missing", "getent", "passwd", "alice", "nobody_here", "bob")
    rec("getent-none", "getent", "passwd", "nobody_here")
    rec("mkhomedir-exists", "mkhomedir_helper", "alice", "0077")
    rec("mkhomedir-unknown-user", "mkhomedir_helper", "nobody_here", "0077")
    rec("mkhomedir-bad-umask", "mkhomedir_helper", "alice", "none")


def cancelling(rec: Recorder) -> None:
    """Cancelling an account's jobs, and removing it as soon as SLURM lets us."""
    _members(rec)
    # Its being alice's and bob's default would refuse the removal for another reason.
    _move_defaults(rec)
    rec("scancel-no-jobs", "scancel", "--clusters=lab", "--account=a1")
    rec("scancel-no-jobs-user", "scancel", "--clusters=lab", "--account=a1", "--user=bob")
    rec("scancel-missing-account", "scancel", "--clusters=lab", "--account=nosuch")
    rec("scancel-unknown-user", "scancel", "--clusters=lab", "--account=a1", "--user=nosuch")
    rec("scancel-users", "scancel", "--clusters=lab", "--account=a1", "--user=bob,carol")
    rec("scancel-unknown-cluster", "scancel", "--clusters=nosuch", "--account=a1")
    jobs = [rec.cluster.submit(user, "a1", 300) for user in ("bob", "carol")]
    rec.cluster.submit("bob", "a1", 300, begin="now+1hour")
    for job in jobs:
        rec.cluster.wait_for_state(job, "RUNNING")
    rec("squeue-account", "squeue", "--noheader", "--account=a1", "--format=%A|%a|%u|%T|%r")
    rec("remove-account-running-jobs", "sacctmgr", "-i", "remove", "account", "where", "name=a1",
        "cluster=lab")  # fmt: skip
    rec("scancel-user", "scancel", "--clusters=lab", "--account=a1", "--user=carol")
    rec.cluster.wait_for_state(jobs[1], "CANCELLED")
    rec("scancel", "scancel", "--clusters=lab", "--account=a1")
    began = time.monotonic()
    rec("squeue-after-scancel", "squeue", "--noheader", "--account=a1", "--format=%A|%a|%u|%T|%r")
    _remove_when_let(rec, "remove-account-after-scancel", began)


def _remove_when_let(rec: Recorder, name: str, cancelled: float) -> None:
    """Remove a1 again and again until only other reasons than its jobs refuse it."""
    argv = ("sacctmgr", "-i", "remove", "account", "where", "name=a1", "cluster=lab")
    while "active" in rec(name, *argv).stderr:
        time.sleep(0.05)
    _say(f"{rec.cluster.release} {name}: {time.monotonic() - cancelled:.2f} s after scancel")


def users_whose_only_account_goes(rec: Recorder) -> None:
    """Removing an account that is someone's default and only one, with and without history."""
    remove = ("remove", "account", "where", "name=a1", "cluster=lab")
    for name in ("without-history", "with-history"):
        rec.cluster.reset()
        rec.add_accounts("a1")
        rec.add_user("bob", "a1")
        if name == "with-history":
            job = rec.cluster.submit("bob", "a1", 0)
            rec.cluster.wait_for_state(job, "COMPLETED")
        rec.add(f"remove-only-account-{name}", *remove)
        rec.users(f"remove-only-account-{name}-users")
    # 22.05 refuses for bob's sake, once alice's default was moved away and both go at once.
    leave = ("remove", "user", "where", "account=a1", "cluster=lab")
    _members(rec)
    move = ("modify", "user", "where", "name=alice", "set", "DefaultAccount=d1")
    rec.cluster.sacctmgr(*move)
    rec.add("remove-users-after-moved-default", *leave, "name=alice,bob")
    rec.users("remove-users-after-moved-default-users")
    _members(rec)
    rec.cluster.sacctmgr(*move)
    rec.add("remove-account-after-moved-default", *remove)
    rec.users("remove-account-after-moved-default-users")
    # Those with other accounts first, then those without: this way all releases let us.
    _members(rec)
    rec.cluster.sacctmgr(*move)
    rec.add("remove-users-with-others", *leave, "name=alice,carol")
    rec.add("remove-users-without-others", *leave, "name=bob")
    rec.add("remove-account-without-users", *remove)
    rec.users("remove-account-without-users-users")
    rec.cluster.reset()
    rec.add_accounts("a1")
    rec.add_user("bob", "a1")
    rec.cluster.wait_for_state(rec.cluster.submit("bob", "a1", 0), "COMPLETED")
    rec.add("remove-last-user-with-history", "remove", "user", "where", "name=bob", "account=a1",
            "cluster=lab")  # fmt: skip
    rec.add("remove-account-after-last-user", *remove)
    rec.dump("remove-account-after-last-user-dump")


def _move_defaults(rec: Recorder) -> None:
    rec.cluster.sacctmgr("add", "user", "bob", "cluster=lab", "account=d1")
    rec.cluster.sacctmgr("modify", "user", "where", "name=alice,bob", "set", "DefaultAccount=d1")


def stubborn_job(rec: Recorder) -> None:
    """The same with a job that ignores SIGTERM."""
    _members(rec)
    _move_defaults(rec)
    done = rec.cluster.run(
        "sbatch", "--parsable", "-A", "a1", "-D", "/tmp", "-o", "/dev/null",
        "--wrap=trap '' TERM; while :; do sleep 1; done", user="bob",
    )  # fmt: skip
    rec.cluster.wait_for_state(done.stdout.strip(), "RUNNING")
    rec.cluster.run("scancel", "--clusters=lab", "--account=a1")
    began = time.monotonic()
    rec("squeue-stubborn-job", "squeue", "--noheader", "--account=a1", "--format=%A|%a|%u|%T|%r")
    _remove_when_let(rec, "remove-account-stubborn-job", began)


def removing_accounts(rec: Recorder) -> None:
    """Several accounts at once, and parents with children."""
    remove = ("remove", "account", "where", "cluster=lab")
    for name, accounts in (
        ("siblings", "a1,a2"), ("parent-and-child", "p1,c1"), ("child-and-parent", "c1,p1"),
        ("one-missing", "a1,nosuch"), ("parent", "p1"),
    ):  # fmt: skip
        rec.cluster.reset()
        rec.add_accounts("p1", "a1", "a2")
        rec.add_accounts("c1", parent="p1")
        rec.add_user("alice", "c1")
        # 24.11: removing the parent leaves the child, and the listing never ends (exit 124).
        rec.add(f"remove-accounts-{name}", *remove, f"name={accounts}")
        rec.dump(f"remove-accounts-{name}-dump")
        rec(f"remove-accounts-{name}-accounts", "sacctmgr", "-P", "show", "account",
            "format=account")  # fmt: skip
    rec.cluster.reset()
    rec.add_accounts("p1")
    rec.add_accounts("c1", parent="p1")
    rec.add("remove-account-name-and-parent", *remove, "name=p1", "parent=waldur")
    rec.dump("remove-account-name-and-parent-dump")
    rec.cluster.reset()
    rec.add_accounts("p1")
    rec.add_accounts("c1", parent="p1")
    rec.add("remove-account-name-and-other-parent", *remove, "name=p1", "parent=nosuch")
    rec.dump("remove-account-name-and-other-parent-dump")


def descriptions(rec: Recorder) -> None:
    """Descriptions as given and as shown."""
    texts = {
        "marker": "waldur:allocation:0123456789abcdef0123456789abcdef Some Text",
        "newline": "one\ntwo", "pipe": "one|two", "double-quote": 'say "hi"',
        "single-quote": "it's", "equals": "a=b", "comma": "one, two", "backslash": "a\\b",
        "latin1": "Tükörfúró", "beyond-latin1": "Õpetatud Łódź 計算 🚀", "long-300": "x" * 300,
        "long-5000": "y" * 5000, "spaces": "  padded  ", "percent": "100%s", "tab": "a\tb",
    }  # fmt: skip
    names = []
    for name, text in texts.items():
        account = f"t-{name}"
        names.append(account)
        rec(f"description-{name}-add", "sacctmgr", "-i", "add", "account", account, "cluster=lab",
            "parent=waldur", f"description={text}")  # fmt: skip
        rec(f"description-{name}", "sacctmgr", "--parsable2", "show", "account", "withassoc",
            "where", "cluster=lab", f"name={account}",
            "format=cluster,account,parentname,description")  # fmt: skip
        rec.cluster.run(
            "sacctmgr", "-i", "remove", "account", "where", f"name={account}", check=False
        )


def usage(rec: Recorder) -> None:
    """Sacct over records of past months, and its time syntaxes."""
    _members(rec)
    start = int(datetime(2026, 10, 31, 23, tzinfo=UTC).timestamp())
    tres = "cpu=4,mem=8G,gres/gpu=2,node=1,billing=14"
    rec.cluster.inject_jobs(
        [
            InjectedJob("a1", "bob", start, start + 7200, tres),
            InjectedJob("a1", "carol", start + 7200, start + 9000, tres, "REQUEUED", job_id=500),
            InjectedJob("a1", "carol", start + 9000, start + 9600, tres, "TIMEOUT", job_id=500),
            InjectedJob("d1", "carol", start, start + 100, tres, suspensions=[(start, start + 40)]),
            InjectedJob("d1", "dave", 0, start + 50, tres, "CANCELLED", submit=start),
            InjectedJob("a1", "bob", start, start + 9000, tres, suspensions=[(start, start + 40)]),
        ]
    )
    base = ("sacct", "--allocations", "--allusers", "--duplicates", "--noconvert", "--parsable2",
            "--clusters=lab")  # fmt: skip
    columns = "--format=jobidraw,account,user,start,end,submit,elapsedraw,suspended,alloctres"
    windows = {
        "november": ("2026-11-01T00:00:00", "2026-12-01T00:00:00"),
        "october": ("2026-10-01T00:00:00", "2026-11-01T00:00:00"),
        "epoch": (str(start + 3600), str(start + 30 * 86400)),
        "dates": ("2026-11-01", "2026-12-01"),
        "uts": (f"uts:{start + 3600}", f"uts:{start + 86400}"),
        "utc-suffix": ("2026-11-01T00:00:00Z", "2026-12-01T00:00:00Z"),
        "empty": ("2020-01-01T00:00:00", "2020-02-01T00:00:00"),
        "future": ("2027-01-01T00:00:00", "2027-02-01T00:00:00"),
    }
    for name, (since, until) in windows.items():
        rec(f"sacct-{name}", *base, f"--starttime={since}", f"--endtime={until}", columns)
    since, until = "1970-01-01T00:00:01", "2026-11-01T00:00:00"
    rec("sacct-ran-by", *base, "--truncate", f"--starttime={since}", f"--endtime={until}",
        "--jobs=500,1000001,1000004", "--format=jobidraw,start,submit,elapsedraw")  # fmt: skip
    seen = "--format=jobidraw,account,user,state,start,end,suspended,elapsedraw,alloctres"
    rec("sacct-jobs", *base, "--starttime=2026-10-01", "--endtime=2026-12-01", seen)
    rec("sacct-bad-time", *base, "--starttime=yesterday-ish", "--endtime=now", seen)
    stepped = InjectedJob(
        "a1", "alice", start - 900, start - 869, "cpu=1,mem=10M,node=1", job_id=600
    )
    rec.cluster.inject_jobs([stepped, replace(stepped, end=0, state="RUNNING", job_id=601)])
    # What a clock that steps back between suspend and resume leaves behind.
    rec.cluster.sql(
        f"UPDATE lab_job_table SET time_suspended={start - 772} WHERE id_job IN (600, 601)"
    )
    window = ("--starttime=2026-10-31T00:00:00", "--endtime=2026-11-01T00:00:00")
    rec("sacct-stepped-back", *base, *window, columns)


def shrinking(rec: Recorder) -> None:
    """Jobs on two nodes that are made smaller; the first is suspended before and afterwards."""
    _members(rec)
    with rec.cluster.second_node():
        jobs = [
            rec.cluster.submit("bob", "a1", 600, nodes=2, ntasks=8, mem_mb=100) for _ in range(2)
        ]
        for job in jobs:
            rec.cluster.wait_for_state(job, "RUNNING")
        _held_up(rec, jobs[0])
        for job in jobs:
            rec.cluster.run("scontrol", "update", f"jobid={job}", "NumNodes=1")
        # 22.05 sends the account up to 5 s late, and a job that ends before never has one.
        late = "SELECT id_job FROM lab_job_table WHERE account IS NULL"
        wait_until(lambda: not rec.cluster.sql(late), 30, lambda: "complete job records")
        _held_up(rec, jobs[0])
        rec.cluster.run("scancel", *jobs)
        rec.cluster.wait_for_jobs_end("a1")
    columns = "jobidraw,account,user,start,end,submit,elapsedraw,suspended,alloctres"
    rec("sacct-shrunk", "sacct", "--allocations", "--allusers", "--duplicates", "--noconvert",
        "--parsable2", "--clusters=lab", "--starttime=2026-01-01T00:00:00",
        "--endtime=2036-01-01T00:00:00", f"--format={columns}")  # fmt: skip


def _held_up(rec: Recorder, job: str) -> None:
    """Let a job run for two seconds, be suspended for two, and run for one."""
    for seconds, what in ((2, "suspend"), (2, "resume"), (1, "")):
        time.sleep(seconds)  # what is recorded is how long it took
        if what:
            rec.cluster.run("scontrol", what, job)


def settings(rec: Recorder) -> None:
    """What SLURM tells about itself."""
    for tool in ("sacctmgr", "sacct", "scancel", "squeue", "scontrol", "sinfo"):
        rec(f"version-{tool}", tool, "--version")
    rec("config", "scontrol", "show", "config")
    rec("tres", "sacctmgr", "--parsable2", "show", "tres", "format=type,name")
    rec("clusters", "sacctmgr", "--parsable2", "show", "cluster", "format=cluster")
    rec("qos", "sacctmgr", "--parsable2", "show", "qos", "format=name")
    rec("ping", "scontrol", "ping")
    rec("sacctmgr-show-configuration", "sacctmgr", "show", "configuration")


def refusals(rec: Recorder) -> None:
    """Rights and bad values."""
    _members(rec)
    alice = ("sacctmgr", "-i")
    rec("denied-add-account", *alice, "add", "account", "n1", "cluster=lab", user="alice")
    rec("denied-add-user", *alice, "add", "user", "dave", "account=a1", user="alice")
    rec("denied-modify", *alice, "modify", "account", "where", "name=a1", "cluster=lab", "set",
        "GrpTRESMins=cpu=1", user="alice")  # fmt: skip
    rec("denied-remove-user", *alice, "remove", "user", "where", "name=bob", "account=a1",
        user="alice")  # fmt: skip
    rec("denied-remove-account", *alice, "remove", "account", "where", "name=a1", user="alice")
    rec("denied-show", "sacctmgr", *_DUMP, f"format={_COLUMNS}", user="alice")
    job = rec.cluster.submit("bob", "a1", 60)
    rec("denied-scancel", "scancel", job, user="alice")
    modify = ("modify", "account", "where", "name=a1", "cluster=lab", "set")
    rec.add("unknown-tres", *modify, "GrpTRESMins=cpu=1,gres/nosuch=1")
    rec.add("unknown-tres-plain", *modify, "GrpTRESMins=nosuch=1")
    rec.add("tres-not-a-number", *modify, "GrpTRESMins=cpu=abc")
    rec.add("modify-missing", "modify", "account", "where", "name=nosuch", "cluster=lab", "set",
            "GrpTRESMins=cpu=1")  # fmt: skip
    rec.add("remove-missing-account", "remove", "account", "where", "name=nosuch", "cluster=lab")
    rec.add("remove-missing-user", "remove", "user", "where", "name=nosuch", "account=a1",
            "cluster=lab")  # fmt: skip
    rec.add("add-existing-account", "add", "account", "a1", "cluster=lab", "parent=waldur")
    rec.add("add-missing-parent", "add", "account", "n1", "cluster=lab", "parent=nosuch")
    rec.add("add-user-missing-account", "add", "user", "dave", "cluster=lab", "account=nosuch")
    rec("unknown-column", "sacctmgr", *_DUMP, "format=account,nosuch")


def daemons_down(rec: Recorder) -> None:
    """Each client with a daemon stopped."""
    _members(rec)
    reads = {
        "dump": ("sacctmgr", *_DUMP, f"format={_COLUMNS}"),
        "add": ("sacctmgr", "-i", "add", "account", "n1", "cluster=lab", "parent=waldur"),
        "remove": ("sacctmgr", "-i", "remove", "account", "where", "name=n1", "cluster=lab"),
        "sacct": ("sacct", "-aXnP", "--clusters=lab", "--format=jobid"),
        "scancel": ("scancel", "--clusters=lab", "--account=a1"),
        "scancel-local": ("scancel", "--account=a1"),
        "squeue": ("squeue", "--noheader", "--account=a1"),
        "config": ("scontrol", "show", "config"),
        "configuration": ("sacctmgr", "show", "configuration"),
        "ping": ("scontrol", "ping"),
    }
    for daemon in ("slurmdbd", "mariadb", "munge", "slurmctld"):
        with rec.cluster.without(daemon):
            for name, argv in reads.items():
                rec(f"{daemon}-down-{name}", *argv)


SCENARIOS: tuple[Callable[[Recorder], None], ...] = (
    dump_of_accounts,
    adding_users,
    first_default,
    removing_users,
    users_without_default,
    default_accounts,
    blocking_submission,
    blocking_users,
    switching_qos,
    coordinators,
    associations,
    cancelling,
    stubborn_job,
    users_whose_only_account_goes,
    removing_accounts,
    descriptions,
    usage,
    shrinking,
    settings,
    purging,
    unix_users,
    refusals,
    daemons_down,
)


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def main(releases: Sequence[str], scenarios: Sequence[str]) -> None:
    """Record ``scenarios`` (all: afresh) on ``releases``."""
    for release in releases:
        with running_cluster(release) as cluster:
            if not scenarios:
                for old in (FOLDER / release).glob("*.txt"):
                    old.unlink()
            for scenario in SCENARIOS:
                if scenarios and scenario.__name__ not in scenarios:
                    continue
                cluster.reset()
                scenario(Recorder(cluster))


if __name__ == "__main__":
    _releases = [arg for arg in sys.argv[1:] if arg in SUITES]
    main(_releases or list(SUITES), [arg for arg in sys.argv[1:] if arg not in SUITES])
