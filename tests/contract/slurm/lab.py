"""One face for simulated and real clusters, with the argument forms that the service uses."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import PurePosixPath
from typing import TypeVar

from slurm_tasks.demo.slurm import Fault, Job, SlurmSimulator
from slurm_tasks.model.cluster import Cluster, ControllerState
from slurm_tasks.model.purge import Purge
from slurm_tasks.model.qos import Qos
from slurm_tasks.slurm.cluster import SlurmCluster
from slurm_tasks.slurm.commands import Command, ShowAccounts, ShowAssociations
from slurm_tasks.slurm.runner import ENVIRONMENT, Runner
from tests.support.clusters import InjectedJob, RealCluster

T = TypeVar("T")
COLUMNS = "cluster,account,parentname,user,grpsubmitjobs,qos,grptresmins,description"
ACCOUNTS = ("show", "account", "withassoc", "where", "cluster=lab")
USAGE = (
    *("--allocations", "--allusers", "--duplicates", "--noconvert", "--parsable2"),
    "--clusters=lab",
)


@dataclass(frozen=True)
class Answer:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def text(self) -> str:
        """Both streams."""
        return self.out + self.err


@dataclass(frozen=True)
class Row:
    """An account as the listing with associations shows it."""

    cluster: str
    parent: str = ""
    users: frozenset[str] = frozenset()
    blocked: str = ""
    qos: str = "normal"
    limits: str = ""
    description: str = ""
    held: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Lab:
    """A cluster under test, empty but for root and `waldur` when the test starts."""

    backend: SlurmSimulator | RealCluster

    @property
    def release(self) -> str:
        """Its release, as "22.05"."""
        return self.backend.release

    @property
    def old(self) -> bool:
        """Tell whether it is 22.05, from which the later ones differ."""
        return self.release == "22.05"

    @property
    def cascades(self) -> bool:
        """Tell whether removing an account removes all below it: in 24.11 it doesn't."""
        return self.release != "24.11"

    def run(self, tool: str, *args: str, user: str | None = None) -> Answer:
        """Run a program, whatever comes of it."""
        if isinstance(self.backend, SlurmSimulator):
            done = self.backend.run(tool, *args, user=user)
        else:
            done = self.backend.run(tool, *args, user=user, check=False)
        return Answer(done.returncode, done.stdout, done.stderr)

    def ask(self, command: Command[T]) -> T:
        """Run a command of the service's as the service does."""
        return self.as_service().runner.read(command)

    def as_service(self, user: str = "root") -> SlurmCluster:
        """Return the cluster as the service asks it, run by root or by somebody else."""
        whose = {"SLURM_LAB_USER": "" if user == "root" else user, "SLURM_SIM_USER": user}
        environment = ENVIRONMENT | whose | {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}
        runner = Runner(PurePosixPath(self.backend.bin_dir), 60, environment=environment)
        return SlurmCluster(runner, "lab")

    @contextmanager
    def unreadable(self) -> Iterator[None]:
        """Have slurmdbd fail to read its job records for a block: the table isn't there."""
        if isinstance(self.backend, SlurmSimulator):
            self.backend.set_faults(Fault("sacct", lines=1))
            yield
            self.backend.set_faults()
            return
        self.backend.sql("RENAME TABLE lab_job_table TO hidden_job_table")
        try:
            yield
        finally:
            self.backend.sql("RENAME TABLE hidden_job_table TO lab_job_table")

    @contextmanager
    def private(self) -> Iterator[None]:
        """Have slurmdbd show jobs only to whom they belong, for a block."""
        if isinstance(self.backend, SlurmSimulator):
            self.backend.hide_jobs()
            yield
        else:
            with self.backend.slurmdbd_options("PrivateData=jobs"):
                yield

    def set_level(self, user: str, level: str) -> None:
        """Make a user an operator, or whatever."""
        if isinstance(self.backend, SlurmSimulator):
            self.backend.set_level(user, level)
        else:
            where = ("where", f"name={user}", "set", f"adminlevel={level}")
            self.backend.sacctmgr("modify", "user", *where)

    def sacctmgr(self, *words: str) -> Answer:
        """Run sacctmgr the way the service does."""
        return self.run("sacctmgr", "--parsable2", "--immediate", *words)

    def add_account(self, name: str, parent: str = "waldur", *limits: str) -> Answer:
        """Add an account with a description and an organisation of no interest."""
        new = (f"name={name}", "cluster=lab", f"parent={parent}", "description=d", "organization=o")
        return self.sacctmgr("add", "account", *new, *limits)

    def add_users(self, users: str, accounts: str, default: str = "") -> Answer:
        """Give users associations."""
        last = [f"DefaultAccount={default}"] if default else []
        whose = (f"name={users}", "cluster=lab", f"account={accounts}")
        return self.sacctmgr("add", "user", *whose, *last)

    def modify(self, name: str, *settings: str) -> Answer:
        """Change an account."""
        return self.sacctmgr(
            "modify", "account", "where", f"name={name}", "cluster=lab", "set", *settings
        )

    def modify_users(
        self, users: str, account: str, *settings: str, partition: str | None = None
    ) -> Answer:
        """Change associations of users with one account, or only those for a partition."""
        where = [f"name={users}", f"account={account}", "cluster=lab"]
        where += [] if partition is None else [f"partition={partition}"]
        return self.sacctmgr("modify", "user", "where", *where, "set", *settings)

    def add_qos(self, *names: str, limits: Qos | None = None) -> None:
        """Add QoS, with limits on submitted jobs if need be."""
        jobs = limits or Qos()
        settings = {
            "GrpSubmitJobs": jobs.together,
            "MaxSubmitJobsPerUser": jobs.user,
            "MaxSubmitJobsPerAccount": jobs.account,
        }
        words = [f"{name}={value}" for name, value in settings.items() if value is not None]
        for name in names:
            if isinstance(self.backend, SlurmSimulator):
                self.backend.add_qos(name, jobs.together, jobs.user, jobs.account)
            else:
                self.backend.sacctmgr("add", "qos", f"name={name}", *words)

    def read(self) -> Cluster:
        """Read all accounts as the service does."""
        return self.ask(ShowAccounts("lab"))

    def acted_by(self) -> ControllerState:
        """Read what slurmctld acts by as the service does."""
        return self.ask(ShowAssociations("lab"))

    def set_default(self, users: str, account: str) -> Answer:
        """Set the default account of users."""
        setting = f"DefaultAccount={account}"
        return self.sacctmgr(
            "modify", "user", "where", f"name={users}", "cluster=lab", "set", setting
        )

    def remove_users(self, users: str, account: str) -> Answer:
        """Take associations with an account away."""
        whose = (f"name={users}", f"account={account}", "cluster=lab")
        return self.sacctmgr("remove", "user", "where", *whose)

    def remove_account(self, name: str) -> Answer:
        """Remove the associations of an account."""
        return self.sacctmgr("remove", "account", "where", f"name={name}", "cluster=lab")

    def listed(self) -> dict[str, Row]:
        """Return every account that is listed."""
        found: dict[str, Row] = {}
        members: dict[str, dict[str, str]] = {}
        for line in self.sacctmgr(*ACCOUNTS, f"format={COLUMNS}").out.splitlines()[1:]:
            cluster, account, parent, user, blocked, qos, limits, description = line.split("|")
            if user:
                members.setdefault(account, {})[user] = blocked
            else:
                found[account] = Row(
                    *(cluster, parent),
                    blocked=blocked,
                    qos=qos,
                    limits=limits,
                    description=description,
                )
        for account, users in members.items():
            held = frozenset(user for user, blocked in users.items() if blocked == "0")
            found[account] = replace(found[account], users=frozenset(users), held=held)
        return found

    def tree(self) -> dict[str, Row]:
        """Return the accounts that have an association, without root."""
        return {name: row for name, row in self.listed().items() if row.cluster and name != "root"}

    def qos_of(self, account: str) -> dict[str, tuple[str, str]]:
        """Return list and default QoS of an account, and by name of its users."""
        where = ("show", "account", "withassoc", "where", "cluster=lab", f"name={account}")
        lines = self.sacctmgr(*where, "format=user,qos,defaultqos").out.splitlines()[1:]
        return {user: (qos, default) for user, qos, default in (x.split("|") for x in lines)}

    def defaults(self) -> dict[str, str]:
        """Return every user's default account, without root's."""
        done = self.sacctmgr("show", "user", "where", "cluster=lab", "format=user,defaultaccount")
        rows = (line.split("|") for line in done.out.splitlines()[1:])
        return {user: account for user, account in rows if user != "root"}

    def usage(self, start: str, end: str, *more: str) -> list[list[str]]:
        """Return account, user, elapsed seconds and AllocTRES of runs that touch a window."""
        window = (f"--starttime={start}", f"--endtime={end}")
        columns = "--format=account,user,elapsedraw,alloctres"
        done = self.run("sacct", *USAGE, *window, *more, columns)
        return [line.split("|") for line in done.out.splitlines()[1:]]

    def ran_by(self, moment: str, job: int) -> list[list[str]]:
        """Return start and elapsed seconds of a job's runs, as they were at a moment."""
        window = ("--starttime=1970-01-01T00:00:01", f"--endtime={moment}")
        columns = "--format=start,elapsedraw"
        done = self.run("sacct", *USAGE, "--truncate", *window, f"--jobs={job}", columns)
        return [line.split("|") for line in done.out.splitlines()[1:]]

    def inject(self, jobs: Sequence[InjectedJob]) -> None:
        """Put runs of jobs into the accounting."""
        if isinstance(self.backend, SlurmSimulator):
            self.backend.add_jobs([_simulated(job) for job in jobs])
        else:
            self.backend.inject_jobs(jobs)

    @contextmanager
    def unix_user(self, name: str) -> Iterator[None]:
        """Have one more Unix user where slurmctld and slurmdbd run, for a block."""
        if isinstance(self.backend, SlurmSimulator):
            self.backend.set_unix_user(name, known=True)
            yield
            self.backend.set_unix_user(name, known=False)
        else:
            with self.backend.unix_user(name):
                yield

    def no_unix_user(self, name: str) -> None:
        """Let Unix not know somebody; the simulator's knows everybody else."""
        if isinstance(self.backend, SlurmSimulator):
            self.backend.set_unix_user(name, known=False)

    @contextmanager
    def preserving_case(self) -> Iterator[None]:
        """Have slurmdbd keep the capitals of usernames for a block."""
        if isinstance(self.backend, SlurmSimulator):
            self.backend.preserve_case(on=True)
            yield
            self.backend.preserve_case(on=False)
        else:
            with self.backend.slurmdbd_options("Parameters=PreserveCaseUser"):
                yield

    @contextmanager
    def purged(self, rule: Purge) -> Iterator[None]:
        """Have slurmdbd throw job records away by that rule, right now, for a block."""
        now = datetime.now(UTC)
        after = f"{rule.after} {rule.unit}"
        if isinstance(self.backend, SlurmSimulator):
            self.backend.purge_jobs(after, rule.cutoff(now))
            yield
        else:
            with self.backend.slurmdbd_options(f"PurgeJobAfter={after.replace(' ', '')}"):
                self.backend.rollup(now - timedelta(days=62), now, purge=True)
                yield

    def submit(self, user: str, account: str, *more: str, seconds: int = 600) -> Answer:
        """Submit a job that sleeps."""
        argv = ("--parsable", "--chdir=/tmp", "--output=/dev/null", f"--account={account}")
        return self.run("sbatch", *argv, *more, f"--wrap=exec sleep {seconds}", user=user)

    def refused(self, user: str, account: str, *more: str) -> Answer:
        """Wait until slurmctld refuses a user's jobs, and return what it says."""
        self.until(lambda: not self.submit_once(user, account, *more))
        return self.submit(user, account, *more)

    def running(self, user: str, account: str, *more: str) -> str:
        """Submit a job, wait until it runs, and return its number."""
        self.until(lambda: self.submit_once(user, account, *more))
        job = max(self.queue(account, "%i"), key=int)
        self.accounted(job, "RUNNING")
        return job

    def pending(self, user: str, account: str) -> str:
        """Submit a job that doesn't start, wait until it is accounted, and return its number."""
        self.until(lambda: self.submit_once(user, account, "--begin=now+1hour"))
        job = max(self.queue(account, "%i"), key=int)
        self.accounted(job, "PENDING")
        return job

    def begin(self, job: str) -> None:
        """Let the time of a pending job come."""
        if isinstance(self.backend, SlurmSimulator):
            self.backend.begin_job(int(job))
        else:
            self.backend.run("scontrol", "update", f"jobid={job}", "starttime=now")

    @contextmanager
    def shrunk(self, user: str, account: str) -> Iterator[str]:
        """Have a job that was made smaller after two seconds and more, for a block."""
        if isinstance(self.backend, SlurmSimulator):
            job = self.running(user, account, "--ntasks=8")
            time.sleep(2)  # how long it holds what
            self.backend.shrink_job(int(job), {"billing": 7, "cpu": 7, "mem": 7000, "node": 1})
            yield job
            return
        with self.backend.second_node():
            job = self.running(user, account, "--nodes=2", "--ntasks=8")
            time.sleep(2)  # how long it holds what
            self.backend.run("scontrol", "update", f"jobid={job}", "NumNodes=1")
            yield job

    def accounted(self, job: str, state: str) -> None:
        """Wait until slurmdbd, too, knows the job: up to 5 s later than slurmctld."""
        if isinstance(self.backend, RealCluster):
            self.backend.wait_for_state(job, state)

    def submit_once(self, user: str, account: str, *more: str) -> bool:
        """Submit, and tell whether slurmctld knew the association yet."""
        return self.submit(user, account, *more).code == 0

    def queue(self, account: str, fields: str) -> list[str]:
        """Return the queue of an account."""
        done = self.run(
            *("squeue", "--noheader", "--clusters=lab", f"--account={account}"),
            f"--format={fields}",
        )
        return [line for line in done.out.splitlines() if not line.startswith("CLUSTER:")]

    @staticmethod
    def until(condition: Callable[[], bool], seconds: float = 30) -> None:
        """Await a condition.

        Raises:
            TimeoutError: it doesn't come about.
        """
        deadline = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > deadline:
                raise TimeoutError(f"waited {seconds} s in vain")
            time.sleep(0.1)


def _simulated(job: InjectedJob) -> Job:
    held = dict(item.split("=") for item in job.tres.split(","))
    begins = job.start or job.submit or 0
    return Job(
        job.account,
        job.user,
        job.start or None,
        job.end - begins if job.end else None,
        {name: int(count.rstrip("M")) for name, count in held.items()},
        job.state,
        job.suspended_sum,
        job.submit,
        job.job_id,
    )
