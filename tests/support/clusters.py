"""Real SLURM clusters for tests, made and run by ``tests/clusters/cluster.sh``."""

from __future__ import annotations

import fcntl
import logging
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TextIO

CLUSTER = "lab"
DEFAULT_ACCOUNT = "waldur"
SUITES = {"22.05": "bookworm", "24.11": "trixie", "26.05": "forky"}
DAEMONS = ("munge", "mariadb", "slurmdbd", "slurmctld", "slurmd")

_log = logging.getLogger(__name__)
_SCRIPT = Path(__file__).resolve().parent.parent / "clusters" / "cluster.sh"
_DATABASE = "slurm_acct_db"
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]*")
_NEEDED_CAPABILITIES = {18: "CAP_SYS_CHROOT", 21: "CAP_SYS_ADMIN", 27: "CAP_MKNOD"}
_FIRST_INJECTED_JOB = 1_000_001
# slurm.h's enum job_states, and JOB_REQUEUE as slurmdbd stores an earlier run of a job.
_JOB_STATE = {
    "PENDING": 0,
    "RUNNING": 1,
    "COMPLETED": 3,
    "CANCELLED": 4,
    "FAILED": 5,
    "TIMEOUT": 6,
    "NODE_FAIL": 7,
    "PREEMPTED": 8,
    "OUT_OF_MEMORY": 11,
    "REQUEUED": 1024,
    "RESIZING": 8192,
}


class ClusterError(Exception):
    """A cluster for tests doesn't do what it should; the message tells where to look."""


@dataclass(frozen=True)
class InjectedJob:
    """One run of a job, as slurmdbd would have stored it; times are epoch seconds.

    A requeued job is several of these with one ``job_id``: the earlier ones in state
    ``REQUEUED``. ``suspensions`` are (start, end) within the run, and aren't elapsed time.
    A run with ``end`` 0 still runs (or, with ``start`` 0 too, is pending). ``suspended`` is what
    slurmdbd keeps as their sum; a clock that stepped back leaves the moment of one there.
    """

    account: str
    user: str
    start: int
    end: int
    tres: str = "cpu=1,mem=1000M,node=1"
    state: str = "COMPLETED"
    job_id: int | None = None
    submit: int | None = None
    suspensions: Sequence[tuple[int, int]] = ()
    suspended: int | None = None

    @property
    def suspended_sum(self) -> int:
        """What slurmdbd keeps as the time that it was suspended."""
        return sum(b - a for a, b in self.suspensions) if self.suspended is None else self.suspended


@dataclass(frozen=True)
class RealCluster:
    """A running cluster: SLURM's clients as executables in ``bin_dir``, and what tests need.

    Its head node's ``getent`` and ``mkhomedir_helper`` are there, too.

    One writer at a time: SLURM's accounting doesn't stand two (``reset`` included).
    """

    release: str
    cluster: str
    bin_dir: Path

    @property
    def suite(self) -> str:
        """The Debian suite it comes from."""
        return SUITES[self.release]

    @property
    def root(self) -> Path:
        """The folder that is its root directory."""
        return self.bin_dir.parent / "root"

    @property
    def logs(self) -> Path:
        """Where the daemons log."""
        return self.root / "lab" / "log"

    def run(
        self,
        tool: str,
        *args: str,
        user: str | None = None,
        check: bool = True,
        timeout: float = 120,
    ) -> subprocess.CompletedProcess[str]:
        """Run one of ``bin_dir``'s programs, as root or ``user`` (alice, bob, carol, dave), in UTC.

        Raises:
            ClusterError: it failed, and ``check`` is true.
        """
        done = subprocess.run(
            [str(self.bin_dir / tool), *args],
            env={**os.environ, "TZ": "UTC", "SLURM_LAB_USER": user or ""},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
        if check and done.returncode:
            raise ClusterError(
                f"{tool} {' '.join(args)}: exit {done.returncode}\n{done.stdout}{done.stderr}"
            )
        return done

    def sacctmgr(self, *args: str) -> list[list[str]]:
        """Run sacctmgr for its rows, split into columns, without the header."""
        done = self.run("sacctmgr", "--parsable2", "--noheader", "--immediate", *args)
        return [line.split("|") for line in done.stdout.splitlines()]

    def submit(
        self,
        user: str,
        account: str,
        seconds: int,
        cpus: int = 1,
        gpus: int = 0,
        mem_mb: int | None = None,
        **options: str | int,
    ) -> str:
        """Submit a job that sleeps, as ``user``, and return its id.

        ``options`` are sbatch's own: ``time=1, begin="now+1hour", exclusive=True``; ``wrap`` is
        run instead of the sleep.
        """
        argv = ["--parsable", "--chdir=/tmp", "--output=/dev/null", f"--account={account}"]
        argv += ["--ntasks=1", f"--cpus-per-task={cpus}"]
        if gpus:
            argv.append(f"--gres=gpu:{gpus}")
        if mem_mb is not None:
            argv.append(f"--mem={mem_mb}M")
        options.setdefault("wrap", f"exec sleep {seconds}")
        for name, value in options.items():
            option = f"--{name.replace('_', '-')}"
            argv.append(option if value is True else f"{option}={value}")
        done = self.run("sbatch", *argv, user=user)
        return done.stdout.strip().split(";")[0]

    def state_of(self, job: str) -> str:
        """The job's state in accounting (``RUNNING``, ``CANCELLED``), empty when not there yet.

        22.05 shows a job up to 5 s long without its account: not there yet, either.
        """
        done = self.run("sacct", "-XnP", f"--jobs={job}", "--format=account,state")
        account, _, state = done.stdout.strip().partition("|")
        return state.split(" ")[0] if account else ""

    def wait_for_state(self, job: str, *states: str, timeout: float = 30) -> None:
        """Wait until accounting shows the job in one of ``states``.

        Raises:
            ClusterError: it doesn't in time.
        """
        wait_until(
            lambda: self.state_of(job) in states,
            timeout,
            lambda: f"job {job} to be {' or '.join(states)}, it is {self.state_of(job)!r}",
        )

    def wait_for_jobs_end(self, account: str, timeout: float = 60) -> None:
        """Wait until accounting has no unfinished job of ``account`` (without its children).

        Raises:
            ClusterError: it still has one in time.
        """
        unfinished = (
            f"SELECT id_job FROM {CLUSTER}_job_table WHERE deleted=0"
            f" AND (account='{_checked(account)}' AND time_end=0 OR account IS NULL)"
        )
        wait_until(
            lambda: not self._queued(f"--account={account}") and not self.sql(unfinished),
            timeout,
            lambda: f"the end of {account}'s jobs",
        )

    def requeue(self, job: str) -> None:
        """Requeue a running job and wait until it runs again."""
        self.run("scontrol", "requeue", job)
        wait_until(
            lambda: self._queued(f"--jobs={job}", "--format=%r") == ["BeginTime"],
            30,
            lambda: f"job {job} to be in the queue again",
        )
        # It would wait for two minutes; but in the second of its end slurmd refuses it.
        self.run("scontrol", "update", f"jobid={job}", "StartTime=now+1")
        self.wait_for_state(job, "RUNNING")

    def move_jobs_back(self, days: int) -> None:
        """Move the records of all jobs to earlier days, as if they had run then."""
        back = days * 86400
        times = {
            "job": ("time_submit", "time_eligible", "time_start", "time_end", "time_suspended"),
            "step": ("time_start", "time_end"),
            "suspend": ("time_start", "time_end"),
        }
        # 0 is not yet, and time_suspended is only a moment while a job is suspended.
        moved = "{0}=IF({0}>{1}, {0}-{1}, {0})"
        self.sql(
            ";".join(
                f"UPDATE {CLUSTER}_{table}_table SET "
                + ",".join(moved.format(column, back) for column in columns)
                for table, columns in times.items()
            )
        )

    def inject_jobs(self, jobs: Sequence[InjectedJob]) -> list[int]:
        """Insert job records straight into slurmdbd's database; return the ids they got.

        Their (account, user) associations must exist. Visible in sacct at once; in sreport
        after :meth:`rollup`.

        Raises:
            ClusterError: an association is missing.
        """
        if not jobs:
            return []
        associations = self._association_ids()
        tres_ids = self._tres_ids()
        ids = self._ids_for(jobs)
        statements = ["BEGIN"]
        for job, job_id in zip(jobs, ids, strict=True):
            if (job.account, job.user) not in associations:
                raise ClusterError(f"no association of {job.user} with {job.account}")
            assoc = associations[job.account, job.user]
            statements += _insertion(job, job_id, assoc, tres_ids)
        self.sql(";\n".join([*statements, "COMMIT"]))
        return ids

    def multiply_job(self, job: int, count: int) -> None:
        """Insert the record of a job so many times more."""
        columns = [row[0] for row in self.sql(f"SHOW COLUMNS FROM {CLUSTER}_job_table")]
        copied = ",".join(f"`{name}`" for name in columns if name not in {"job_db_inx", "id_job"})
        self.sql(
            f"INSERT INTO {CLUSTER}_job_table (id_job, {copied})"
            f" SELECT {job} + seq, {copied} FROM {CLUSTER}_job_table, seq_1_to_{count}"
            f" WHERE id_job = {job}"
        )

    def rollup(self, start: datetime, end: datetime, *, purge: bool = False) -> None:
        """Have slurmdbd aggregate usage for sreport now, instead of at the next full hour.

        With ``purge`` it also throws records away that its options say, if a unit of those (hour,
        day, month) begins within the time. Both go on for a moment afterwards.
        """
        # sreport shows nothing for a time in which the cluster wasn't there yet.
        self.sql(
            f"UPDATE {CLUSTER}_event_table SET time_start={int(start.timestamp())}"
            f" WHERE node_name='' AND time_end=0 AND time_start>{int(start.timestamp())}"
        )
        more = ["1"] if purge else []
        self.run("sacctmgr", "-i", "rollup", _slurm_time(start), _slurm_time(end), *more)

    def usage_by_sreport(
        self, start: datetime, end: datetime, tres: str = "cpu,mem,gres/gpu"
    ) -> dict[tuple[str, str, str], int]:
        """What sreport accounts from ``start`` to ``end``, in TRES-seconds (memory: MB-seconds).

        Keys are (account, user, TRES); the user is empty in an account's total. Empty before
        :meth:`rollup`.
        """
        done = self.run(
            "sreport", "-nP", "-t", "Seconds", f"--tres={tres}", "cluster",
            "AccountUtilizationByUser", f"cluster={self.cluster}", f"start={_slurm_time(start)}",
            f"end={_slurm_time(end)}", "format=account,login,tresname,used",
        )  # fmt: skip
        rows = (line.split("|") for line in done.stdout.splitlines())
        return {(account, login, name): int(used) for account, login, name, used in rows}

    def stop(self, daemon: str) -> None:
        """Stop one of ``DAEMONS``."""
        _cluster_sh("stop", self.suite, daemon)

    def start(self, daemon: str) -> None:
        """Start one of ``DAEMONS`` and wait until it serves."""
        _cluster_sh("start", self.suite, daemon)

    def pid(self, daemon: str) -> int:
        """Return the process id of one of ``DAEMONS``.

        Raises:
            ClusterError: it doesn't run.
        """
        status = _cluster_sh("status", self.suite, check=False).stdout
        found = re.search(rf"^{daemon}: running, pid (\d+)$", status, re.MULTILINE)
        if not found:
            raise ClusterError(f"{daemon} doesn't run: {status}")
        return int(found[1])

    @contextmanager
    def without(self, daemon: str) -> Iterator[None]:
        """Have one of ``DAEMONS`` stopped for the length of a block."""
        self.stop(daemon)
        try:
            yield
        finally:
            self.start(daemon)

    @contextmanager
    def slurmdbd_options(self, *options: str) -> Iterator[None]:
        """Have slurmdbd run with more options (``PurgeJobAfter=2months``) for a block.

        Should the block be killed, :meth:`reset` takes them away.
        """
        _cluster_sh("slurmdbd", self.suite, *options)
        try:
            yield
        finally:
            _cluster_sh("slurmdbd", self.suite)

    @contextmanager
    def unix_user(self, name: str, uid: int = 3000) -> Iterator[None]:
        """Have one more Unix user on the cluster's only machine for a block, without a home."""
        files = {
            self.root / "etc/passwd": f"{name}:x:{uid}:{uid}::/tmp:/bin/sh\n",
            self.root / "etc/group": f"{name}:x:{uid}:\n",
        }
        for file, line in files.items():
            with file.open("a", encoding="utf-8") as known:
                known.write(line)
        try:
            yield
        finally:
            for file, line in files.items():
                text = file.read_text(encoding="utf-8")
                file.write_text(text.replace(line, ""), encoding="utf-8")

    @contextmanager
    def second_node(self) -> Iterator[None]:
        """Have a second node, like the first but without GPUs, for a block.

        Should the block be killed, :meth:`reset` takes it away.
        """
        _cluster_sh("nodes", self.suite, "2")
        try:
            yield
        finally:
            _cluster_sh("nodes", self.suite, "1")

    def reset(self) -> None:
        """Leave an empty cluster: no job, no record of one, accounts root and ``waldur`` only.

        Brings back a daemon that is down, and slurmdbd's own options. When cleaning up isn't
        enough (root was changed, accounting is damaged) the cluster is booted anew.
        """
        try:
            _cluster_sh("up", self.suite)
            self._clean()
            if self._is_empty():
                return
            reason = "it isn't empty"
        except (ClusterError, subprocess.TimeoutExpired) as error:
            reason = str(error)
        _boot_anew(self.suite, reason)
        self._clean()
        if not self._is_empty():
            raise ClusterError(f"{self.suite} isn't empty after a new boot, see {self.logs}")

    def sql(self, statements: str) -> list[list[str]]:
        """Run SQL in slurmdbd's database and return the rows, all columns as text."""
        done = subprocess.run(
            [str(self.bin_dir / "sql"), "--skip-column-names", "--batch", _DATABASE],
            input=statements,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        if done.returncode:
            raise ClusterError(f"database: {done.stderr}")
        return [line.split("\t") for line in done.stdout.splitlines()]

    def _clean(self) -> None:
        self._end_all_jobs()
        # Before the associations: those with a job on record are only marked as deleted.
        self._forget_jobs()
        if self._is_empty():
            return
        users = self._names("user_table", "root")
        if users:
            self._remove("user", users)
        accounts = self._names("acct_table", "root")
        if accounts:
            self._remove("account", accounts)
        qos = self._names("qos_table", "normal")
        if qos:
            self._remove("qos", qos)
        self.run(
            "sacctmgr", "-i", "add", "account", DEFAULT_ACCOUNT, f"cluster={self.cluster}",
            "parent=root", f"description={DEFAULT_ACCOUNT}", timeout=20,
        )  # fmt: skip

    def _remove(self, kind: str, names: list[str]) -> None:
        # Exit 1 ("nothing deleted") is what an account without association gives, too.
        argv = ["-i", "remove", kind, "where", f"name={','.join(names)}"]
        self.run("sacctmgr", *argv, check=False, timeout=20)

    def _names(self, table: str, keep: str) -> list[str]:
        rows = self.sql(f"SELECT name FROM {table} WHERE deleted=0 AND name<>'{keep}'")
        return [row[0] for row in rows]

    def _is_empty(self) -> bool:
        """Whether only the two accounts are there, without limits, and root's association."""
        rows = self.sql(f"""
            SELECT acct, user, parent_acct FROM {CLUSTER}_assoc_table
              WHERE deleted=0 AND grp_tres_mins='' AND grp_tres='' AND grp_tres_run_mins=''
              AND max_tres_pj='' AND max_tres_mins_pj=''
              AND COALESCE(grp_submit_jobs, grp_jobs, grp_wall, max_jobs, max_submit_jobs) IS NULL
              UNION ALL
            SELECT 'account', name, IF(description=name, '', description)
              FROM acct_table WHERE deleted=0 AND name<>'root' UNION ALL
            SELECT 'user', name, '' FROM user_table WHERE deleted=0 UNION ALL
            SELECT 'qos', name, '' FROM qos_table WHERE deleted=0
        """)
        return sorted(rows) == [
            ["account", DEFAULT_ACCOUNT, ""],
            ["qos", "normal", ""],
            ["root", "", ""],
            ["root", "root", ""],
            ["user", "root", ""],
            [DEFAULT_ACCOUNT, "", "root"],
        ]

    def _queued(self, *args: str) -> list[str]:
        return self.run("squeue", "--noheader", "--all", "--format=%A", *args).stdout.split()

    def _end_all_jobs(self) -> None:
        queued = self._queued()
        if queued:
            self.run("scancel", *queued, check=False)
            wait_until(lambda: not self._queued(), 30, lambda: "the queue to be empty")
        # 22.05 sends a job's account up to 5 s late, and would make a forgotten record again.
        late = f"SELECT id_job FROM {CLUSTER}_job_table WHERE account IS NULL"
        wait_until(lambda: not self.sql(late), 10, lambda: "complete job records")

    def _forget_jobs(self) -> None:
        usage = ("assoc_usage", "usage", "wckey_usage")
        tables = ["job", "step", "suspend", "job_env", "job_script"]
        tables += [f"{kind}_{span}" for kind in usage for span in ("hour", "day", "month")]
        self.sql(";".join(f"DELETE FROM {CLUSTER}_{table}_table" for table in tables))

    def _association_ids(self) -> dict[tuple[str, str], int]:
        rows = self.sql(
            f"SELECT acct, user, id_assoc FROM {CLUSTER}_assoc_table WHERE deleted=0 AND user<>''"
        )
        return {(account, user): int(number) for account, user, number in rows}

    def _tres_ids(self) -> dict[str, int]:
        rows = self.sql("SELECT id, type, name FROM tres_table WHERE deleted=0")
        return {f"{kind}/{name}" if name else kind: int(number) for number, kind, name in rows}

    def _ids_for(self, jobs: Sequence[InjectedJob]) -> list[int]:
        [[highest]] = self.sql(f"SELECT COALESCE(MAX(id_job), 0) FROM {CLUSTER}_job_table")
        fresh = max(int(highest) + 1, _FIRST_INJECTED_JOB)
        ids = []
        for job in jobs:
            ids.append(fresh if job.job_id is None else job.job_id)
            fresh = max(fresh, ids[-1] + 1)
        return ids


def wait_until(condition: Callable[[], bool], timeout: float, what: Callable[[], str]) -> None:
    """Look until ``condition`` holds.

    Raises:
        ClusterError: it doesn't within ``timeout`` seconds; ``what`` says what was awaited.
    """
    deadline = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > deadline:
            raise ClusterError(f"waited {timeout} s for {what()}")
        time.sleep(0.05)


def unavailable_reason(release: str) -> str | None:
    """Why this machine can't run the cluster of ``release``, or None."""
    if sys.platform != "linux":
        return "real SLURM clusters need Linux"
    if os.geteuid() != 0:
        return "real SLURM clusters need root (chroot, mount, mknod)"
    missing = _missing_capabilities()
    if missing:
        return f"real SLURM clusters need {', '.join(missing)}, which this container withholds"
    bootstrapped = (cache() / SUITES[release] / "root" / ".recipe").exists()
    if not bootstrapped and not (shutil.which("debootstrap") or shutil.which("apt-get")):
        return "real SLURM clusters need debootstrap (a Debian or Ubuntu machine)"
    return None


@contextmanager
def running_cluster(release: str) -> Iterator[RealCluster]:
    """Have the cluster of ``release`` running, for this process alone.

    Waits for another process that uses it (900 s, or SLURM_TESTS_WAIT). Stops at the end what
    it started, unless KEEP_CLUSTERS=1.
    """
    suite = SUITES[release]
    with _use_lock(suite):
        was_running = _cluster_sh("status", suite, check=False).returncode == 0
        try:
            _cluster_sh("up", suite)
        except ClusterError as error:  # on a very busy machine a daemon may take too long once
            _boot_anew(suite, str(error))
        cluster = RealCluster(release, CLUSTER, cache() / suite / "bin")
        try:
            cluster.reset()
            yield cluster
        finally:
            if not was_running and os.environ.get("KEEP_CLUSTERS") != "1":
                _cluster_sh("down", suite)


@contextmanager
def _use_lock(suite: str) -> Iterator[None]:
    folder = cache() / suite
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "use.lock").open("a") as lock:
        wait_until(
            lambda: _try_lock(lock),
            float(os.environ.get("SLURM_TESTS_WAIT", "900")),
            lambda: f"another test run to be done with {folder}",
        )
        yield


def _try_lock(file: TextIO) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def cache() -> Path:
    """Where clusters, and whatever else is costly to make, are kept between test runs."""
    return Path(
        os.environ.get("SLURM_TESTS_CACHE", "/var/cache/waldur-slurm-tasks-tests")
    ).resolve()


def _boot_anew(suite: str, reason: str) -> None:
    _log.warning("%s is booted anew: %s", suite, reason)
    _cluster_sh("down", suite)
    _cluster_sh("up", suite)


def _cluster_sh(
    command: str, suite: str, *more: str, check: bool = True
) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [str(_SCRIPT), command, suite, *more],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if check and done.returncode:
        raise ClusterError(f"cluster.sh {command} {suite}: {done.stdout}{done.stderr}")
    return done


def _missing_capabilities() -> list[str]:
    status = Path("/proc/self/status").read_text(encoding="ascii", errors="replace")
    found = re.search(r"^CapEff:\s*([0-9a-f]+)$", status, re.MULTILINE)
    effective = int(found[1], 16) if found else 0
    return [name for bit, name in _NEEDED_CAPABILITIES.items() if not effective >> bit & 1]


def _checked(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise ClusterError(f"not a name for a test's account or user: {name!r}")
    return name


def _slurm_time(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S")


def _stored_tres(tres: str, ids: dict[str, int]) -> str:
    """``cpu=4,mem=2G`` as slurmdbd stores it: ids, memory in MB."""
    parts = []
    for item in tres.split(",") if tres else []:
        name, _, amount = item.partition("=")
        factor = {"M": 1, "G": 1024, "T": 1024**2}.get(amount[-1], 0) if name == "mem" else 0
        number = int(amount[:-1]) * factor if factor else int(amount)
        parts.append((ids[name], number))
    return ",".join(f"{number}={amount}" for number, amount in sorted(parts))


def _insertion(
    job: InjectedJob, job_id: int, association: int, tres_ids: dict[str, int]
) -> list[str]:
    submit = job.submit if job.submit is not None else job.start
    tres = _stored_tres(job.tres, tres_ids)
    cpus = int(dict(item.split("=") for item in tres.split(",") if item).get("1", "1"))
    columns: dict[str, str | int] = {
        "mod_time": job.end or job.start or submit,
        "account": _checked(job.account),
        "cpus_req": cpus,
        "job_name": "injected",
        "id_assoc": association,
        "id_job": job_id,
        "id_qos": 1,
        "id_resv": 0,
        "id_wckey": 0,
        "id_user": 2001,
        "id_group": 2001,
        "het_job_id": 0,
        "het_job_offset": 0xFFFFFFFE,
        "state_reason_prev": 0,
        "mem_req": 0,
        "nodelist": "node1" if job.start else "",
        "nodes_alloc": 1 if job.start else 0,
        "node_inx": "0",
        "partition": "main",
        "priority": 1,
        "state": _JOB_STATE[job.state],
        "timelimit": 1440,
        "time_submit": submit,
        "time_eligible": submit,
        "time_start": job.start,
        "time_end": job.end,
        "time_suspended": job.suspended_sum,
        "work_dir": "/tmp",
        "tres_alloc": tres if job.start else "",
        "tres_req": tres,
    }
    names = ",".join(f"`{name}`" for name in columns)
    values = ",".join(str(v) if isinstance(v, int) else f"'{v}'" for v in columns.values())
    statements = [f"INSERT INTO {CLUSTER}_job_table ({names}) VALUES ({values})"]
    statements += [
        f"INSERT INTO {CLUSTER}_suspend_table (job_db_inx, id_assoc, time_start, time_end)"
        f" VALUES (LAST_INSERT_ID(), {association}, {start}, {end})"
        for start, end in job.suspensions
    ]
    return statements
