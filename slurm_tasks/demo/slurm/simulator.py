"""The simulator's handle: makes the folder, fills it, and looks into it for assertions."""

import json
import os
import shlex
import sqlite3
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Self

from slurm_tasks.demo.slurm.engine import state
from slurm_tasks.demo.slurm.engine.control import VERSIONS
from slurm_tasks.demo.slurm.records import DEFAULT_TRES, Account, Fault, Invocation, Job

_TOOLS = ("sacctmgr", "sacct", "scancel", "squeue", "scontrol", "sbatch")
_START = "import sys; sys.path.insert(0, sys.argv[1]); from engine.main import main; "
_START += "sys.exit(main(sys.argv[2], sys.argv[3], sys.argv[4:]))"


class SlurmSimulator:
    """A simulated cluster in a folder: executables in `bin`, everything else in `state.db`.

    It behaves like SLURM 22.05 or 24.11 as far as the service can see, and ends any command that
    the service does not use with exit 2. The executables may be called by several processes.
    """

    def __init__(self, folder: Path) -> None:
        """Open a cluster that `create` has made.

        Raises:
            FileNotFoundError: there is none in this folder.
        """
        self.folder = Path(folder).resolve()
        self.bin_dir = self.folder / "bin"
        self._path = self.folder / "state.db"
        if not self._path.exists():
            raise FileNotFoundError(f"no simulated cluster in {self.folder}: create one first")
        with self._connected() as connection:
            meta = dict(connection.execute("SELECT key, value FROM meta"))
        self.cluster: str = meta["cluster"]
        self.release: str = meta["release"]

    @classmethod
    def create(
        cls, folder: Path, cluster: str = "lab", release: str = "22.05", kill_wait: float = 0
    ) -> Self:
        """Make a cluster with root and the account `waldur` in a folder, or a new one of an old.

        Args:
            folder: where; made if missing.
            cluster: its name.
            release: "22.05" or "24.11".
            kill_wait: seconds that running jobs go on after scancel.

        Raises:
            ValueError: the release is none of these.
        """
        if release not in VERSIONS:
            raise ValueError(f"release {release!r} is none of {', '.join(VERSIONS)}")
        place = Path(folder).resolve()
        programs = place / "bin"
        programs.mkdir(parents=True, exist_ok=True)
        settings = {"cluster": cluster, "release": release, "kill_wait": f"{kill_wait:g}"}
        state.initialise(str(place / "state.db"), settings)
        for tool in _TOOLS:
            words = [sys.executable, "-IS", "-c", _START, str(Path(__file__).parent), tool]
            line = shlex.join([*words, str(place / "state.db")])
            (programs / tool).write_text(f'#!/bin/sh\nexec {line} "$@"\n', encoding="utf-8")
            (programs / tool).chmod(0o755)
        return cls(place)

    def reset(self) -> None:
        """Make it as it was created: no jobs, faults or recorded commands either."""
        state.initialise(str(self._path), {})

    def run(
        self, tool: str, *args: str, user: str | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run one of the programs, in UTC, as root or as somebody else."""
        environment = {"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"}
        return subprocess.run(  # noqa: S603 -- our own programs
            [str(self.bin_dir / tool), *args],
            env={**environment, "SLURM_SIM_USER": user or "root"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )

    def add_job(  # noqa: PLR0913, PLR0917 -- the fields of a job
        self,
        account: str,
        user: str,
        start: datetime | float | None,
        elapsed: float | None,
        tres: Mapping[str, int] = DEFAULT_TRES,
        state: str = "COMPLETED",
        suspended: int = 0,
        submit: datetime | float | None = None,
        id: int | None = None,  # noqa: A002 -- SLURM's word
    ) -> int:
        """Add one run of a job, and return the job's number; the arguments are those of `Job`."""
        job = Job(account, user, start, elapsed, tres, state, suspended, submit, id)
        return self.add_jobs([job])[0]

    def add_jobs(self, jobs: Iterable[Job]) -> list[int]:
        """Add jobs in bulk, and return their numbers."""
        with self._connected() as connection, state.Transaction(connection):
            following = connection.execute("SELECT coalesce(max(id), 0) + 1 FROM job").fetchone()[0]
            now: int = connection.execute("SELECT unixepoch()").fetchone()[0]
            rows = []
            for job in jobs:
                rows.append(_job_row(job, job.id or following, now))
                following = max(following, rows[-1][0] + 1)
            connection.executemany(
                """
                INSERT INTO job (id, account, user, submit, start, end, state, final, suspended,
                                 requested, allocated)
                VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)""",
                rows,
            )
        return [row[0] for row in rows]

    def shrink_job(self, job: int, tres: Mapping[str, int]) -> None:
        """Make a running job smaller: its run ends, and another begins that holds this.

        That one counts as submitted now; 22.05 lists it from the job's start on.
        """
        start = "start" if self.release == "22.05" else "unixepoch()"
        held = json.dumps(dict(tres))
        with self._connected() as connection, state.Transaction(connection):
            [run] = connection.execute(
                f"""
                INSERT INTO job (id, account, user, submit, start, end, state, final, suspended,
                                 requested, allocated, qos, begin, seconds)
                SELECT id, account, user, unixepoch(), {start}, end, state, final, 0, ?, ?, qos,
                       begin, seconds
                FROM job WHERE id = ? AND state = 'RUNNING' RETURNING run""",  # noqa: S608 -- ours
                (held, held, job),
            ).fetchone()
            connection.execute(
                "UPDATE job SET state = 'RESIZING', end = unixepoch()"
                " WHERE id = ? AND state = 'RUNNING' AND run != ?",
                (job, run),
            )

    def begin_job(self, job: int) -> None:
        """Let the time come for which a pending job waits: it starts if its QoS lets it."""
        with self._connected() as connection:
            connection.execute("UPDATE job SET begin = unixepoch() WHERE id = ?", [job])

    def add_qos(
        self,
        name: str,
        submit_jobs: int | None = None,
        user_jobs: int | None = None,
        account_jobs: int | None = None,
    ) -> None:
        """Add a QoS beside `normal`; no account has it yet.

        Args:
            name: its name.
            submit_jobs: GrpSubmitJobs.
            user_jobs: MaxSubmitJobsPerUser.
            account_jobs: MaxSubmitJobsPerAccount.
        """
        row = (name, submit_jobs, user_jobs, account_jobs)
        with self._connected() as connection:
            connection.execute("INSERT INTO qos VALUES (?, ?, ?, ?)", row)

    def set_unix_user(self, name: str, *, known: bool) -> None:
        """Let slurmctld's machine know a Unix user, or not; it knows everybody else.

        slurmctld itself hears of it when associations are added or removed, or by `scontrol
        reconfigure`.
        """
        change = "DELETE FROM no_unix_user WHERE name = ?"
        if not known:
            change = "INSERT OR IGNORE INTO no_unix_user VALUES (?)"
        with self._connected() as connection:
            connection.execute(change, [name])

    def preserve_case(self, *, on: bool) -> None:
        """Let slurmdbd keep the capitals of usernames (PreserveCaseUser), or no more."""
        with self._connected() as connection:
            setting = ("preserve_case_user", "yes" if on else "no")
            connection.execute("REPLACE INTO meta VALUES (?, ?)", setting)

    def hide_jobs(self) -> None:
        """Let slurmdbd show jobs only to whom they belong, and to operators and administrators."""
        with self._connected() as connection:
            connection.execute("REPLACE INTO meta VALUES ('private_data', 'jobs')")

    def set_level(self, user: str, level: str) -> None:
        """Let a user be None, Operator or Administrator."""
        with self._connected() as connection:
            connection.execute("UPDATE person SET level = ? WHERE name = ?", (level, user))

    def purge_jobs(self, after: str, before: datetime) -> None:
        """Let slurmdbd have thrown job records away.

        Args:
            after: PurgeJobAfter as it is printed (`12 months`, `NONE`).
            before: what was submitted (22.05) or has ended (24.11) before is gone.
        """
        column = "submit" if self.release == "22.05" else "end"
        with self._connected() as connection, state.Transaction(connection):
            connection.execute("REPLACE INTO meta VALUES ('purge_jobs_after', ?)", [after])
            connection.execute(
                f"DELETE FROM job WHERE NOT {state.ACTIVE} AND {column} < ?",  # noqa: S608 -- ours
                [before.timestamp()],
            )

    def set_faults(self, *faults: Fault) -> None:
        """Let these, and no others, go wrong from now on; of several that match, the first."""
        with self._connected() as connection, state.Transaction(connection):
            connection.execute("DELETE FROM fault")
            connection.executemany(
                "INSERT INTO fault VALUES (NULL, ?, ?, ?, ?)",
                [(x.tool, x.argv, x.times, json.dumps(asdict(x))) for x in faults],
            )

    def commands(self) -> list[Invocation]:
        """Return what was run, in order; the calls of this class don't count, but for `run`."""
        query = "SELECT tool, argv, code, started, duration, user FROM command ORDER BY id"
        with self._connected() as connection:
            return [
                Invocation(tool, tuple(json.loads(argv)), *rest)
                for tool, argv, *rest in connection.execute(query)
            ]

    def overlapping_writes(self) -> list[tuple[Invocation, Invocation]]:
        """Return pairs of writes that ran at the same time: a real slurmdbd would be corrupted."""
        writes = sorted((x for x in self.commands() if x.writes), key=lambda x: x.started)
        return [
            (first, second)
            for index, first in enumerate(writes)
            for second in writes[index + 1 :]
            if second.started < first.started + first.duration
        ]

    def clear_commands(self) -> None:
        """Forget what was run."""
        with self._connected() as connection:
            connection.execute("DELETE FROM command")

    def accounts(self) -> dict[str, Account]:
        """Return the accounts that have an association."""
        users = "SELECT account, user, submit_jobs FROM assoc WHERE user != ''"
        query = """
            SELECT name, parent, description, organization, limits, submit_jobs
            FROM account JOIN assoc ON assoc.account = account.name WHERE user = '' ORDER BY name"""
        with self._connected() as connection, state.Transaction(connection):  # one moment's
            qos = state.Cluster(connection, "root").qos()
            members: dict[str, set[str]] = {}
            held: dict[str, set[str]] = {}
            for account, user, jobs in connection.execute(users):
                members.setdefault(account, set()).add(user)
                if jobs == 0:
                    held.setdefault(account, set()).add(user)
            return {
                name: Account(
                    *(parent, description, organization, json.loads(limits), jobs),
                    frozenset(members.get(name, ())),
                    frozenset(filter(None, qos[name, "", ""][0].split(","))),
                    frozenset(held.get(name, ())),
                )
                for name, parent, description, organization, limits, jobs in connection.execute(
                    query
                )
            }

    def account_rows(self) -> set[str]:
        """Return the accounts that are listed, associations or not."""
        with self._connected() as connection:
            return {name for (name,) in connection.execute("SELECT name FROM account")}

    def default_accounts(self) -> dict[str, str]:
        """Return the default account of every user; empty for one who has none."""
        query = """
            SELECT name, coalesce(account, '') FROM person
            LEFT JOIN assoc ON assoc.user = person.name AND is_default"""
        with self._connected() as connection:
            return dict(connection.execute(query))

    def active_jobs(self, account: str | None = None) -> list[int]:
        """Return the numbers of pending and running jobs, of one account or of all."""
        query = f"""
            SELECT DISTINCT id FROM job WHERE {state.ACTIVE} AND ? IN (account, '')
            ORDER BY id"""  # noqa: S608 -- our own words
        with self._connected() as connection:
            cluster = state.Cluster(connection, "root")
            cluster.settle()
            return [job for (job,) in connection.execute(query, [account or ""])]

    @contextmanager
    def _connected(self) -> Iterator[sqlite3.Connection]:
        with closing(state.connect(str(self._path))) as connection:
            yield connection


_JobRow = tuple[int, str, str, int, int | None, float | None, str, str, int, str, str]


def _epoch(moment: datetime | float | None) -> int | None:
    if moment is None:
        return None
    return int(moment.timestamp() if isinstance(moment, datetime) else moment)


def _job_row(job: Job, number: int, now: int) -> _JobRow:
    began, submit = _epoch(job.start), _epoch(job.submit)
    submit = next(moment for moment in (submit, began, now) if moment is not None)
    end = None if job.elapsed is None else (submit if began is None else began) + job.elapsed
    current = final = job.state
    if began is None:
        end = None if current == "PENDING" else end or submit
    elif end is None or current == "RUNNING":
        current, final = "RUNNING", "COMPLETED"
    requested = json.dumps(dict(job.tres))
    return (
        *(number, job.account, job.user, submit, began, end, current, final),
        *(job.suspended, requested, "{}" if began is None else requested),
    )
