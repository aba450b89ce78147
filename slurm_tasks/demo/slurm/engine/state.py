"""The cluster's state: one SQLite file, one transaction for each command."""

from __future__ import annotations

import json
import os
import sqlite3
import time

TRES = (
    *(("cpu", ""), ("mem", ""), ("energy", ""), ("node", ""), ("billing", "")),
    *(("fs", "disk"), ("vmem", ""), ("pages", ""), ("gres", "gpu")),
    *(("gres", "gpu:1g.5gb+me"), ("license", "matlab@flex"), ("bb", "scratch")),
)

_SCHEMA = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE tres (type TEXT NOT NULL, name TEXT NOT NULL);
CREATE TABLE account (name TEXT PRIMARY KEY, description TEXT, organization TEXT);
CREATE TABLE person (name TEXT PRIMARY KEY COLLATE NOCASE, level TEXT NOT NULL DEFAULT 'None');
CREATE TABLE qos (
    name TEXT PRIMARY KEY, submit_jobs INTEGER, user_jobs INTEGER, account_jobs INTEGER);
CREATE TABLE assoc (
    account TEXT NOT NULL, user TEXT NOT NULL COLLATE NOCASE, parent TEXT NOT NULL,
    is_default INTEGER NOT NULL DEFAULT 0, limits TEXT NOT NULL DEFAULT '{}', submit_jobs INTEGER,
    max_submit_jobs INTEGER, jobs_accrue INTEGER, max_jobs_accrue INTEGER,
    qos TEXT NOT NULL DEFAULT '', default_qos TEXT NOT NULL DEFAULT '',
    partition TEXT NOT NULL DEFAULT '',
    PRIMARY KEY (account, user, partition));
CREATE TABLE coordinator (
    account TEXT NOT NULL, user TEXT NOT NULL COLLATE NOCASE, PRIMARY KEY (account, user));
CREATE TABLE no_unix_user (name TEXT PRIMARY KEY);
CREATE TABLE no_uid (name TEXT PRIMARY KEY);
CREATE INDEX assoc_user ON assoc (user);
CREATE INDEX assoc_parent ON assoc (parent);
CREATE TABLE removed (
    account TEXT NOT NULL, user TEXT NOT NULL COLLATE NOCASE, parent TEXT NOT NULL,
    description TEXT, lineage TEXT NOT NULL, PRIMARY KEY (account, user));
CREATE TABLE job (
    run INTEGER PRIMARY KEY, id INTEGER NOT NULL, account TEXT NOT NULL, user TEXT NOT NULL,
    submit INTEGER NOT NULL, start INTEGER, end REAL, state TEXT NOT NULL, final TEXT NOT NULL,
    suspended INTEGER NOT NULL, requested TEXT NOT NULL, allocated TEXT NOT NULL,
    qos TEXT NOT NULL DEFAULT 'normal', begin INTEGER, seconds INTEGER);
CREATE INDEX job_account ON job (account);
CREATE INDEX job_state ON job (state);
CREATE TABLE fault (
    id INTEGER PRIMARY KEY, tool TEXT NOT NULL, pattern TEXT NOT NULL, left INTEGER,
    spec TEXT NOT NULL);
CREATE TABLE command (
    id INTEGER PRIMARY KEY, tool TEXT NOT NULL, argv TEXT NOT NULL, code INTEGER,
    started REAL NOT NULL, duration REAL NOT NULL, user TEXT NOT NULL);
"""
_START = """
UPDATE job SET state = 'RUNNING', start = begin, end = begin + seconds, allocated = requested
WHERE run = ?"""
PARTITION = "main"
"""The only one that there is; jobs run in it."""
ACTIVE = "state IN ('PENDING', 'RUNNING')"
_TABLES = (
    *("tres", "account", "person", "qos", "assoc", "removed", "coordinator"),
    *("no_unix_user", "no_uid", "job", "fault", "command"),
)


def connect(path: str) -> sqlite3.Connection:
    """Open the state; whoever finds it busy waits for half a minute."""
    connection = sqlite3.connect(f"file:{path}?mode=rw", timeout=30, isolation_level=None, uri=True)
    connection.execute("PRAGMA synchronous = OFF")
    return connection


def initialise(path: str, settings: dict[str, str]) -> None:
    """Make an empty cluster: root, its user, and the service's default account `waldur`."""
    connection = sqlite3.connect(path, timeout=30, isolation_level=None)
    connection.execute("PRAGMA synchronous = OFF")
    connection.execute("PRAGMA journal_mode = WAL")
    if not connection.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchone():
        connection.executescript(_SCHEMA)
    connection.close()
    connection = connect(path)
    with Transaction(connection):
        for table in _TABLES:
            connection.execute(f"DELETE FROM {table}")  # noqa: S608 -- our own names
        connection.executemany("INSERT INTO tres VALUES (?, ?)", TRES)
        settings = {**settings, "purge_jobs_after": "NONE", "preserve_case_user": "no"}
        settings["private_data"] = "none"
        connection.executemany("REPLACE INTO meta VALUES (?, ?)", settings.items())
        connection.executemany(
            "INSERT INTO account VALUES (?, ?, ?)",
            [("root", "default root account", "root"), ("waldur", "waldur", "waldur")],
        )
        connection.execute("INSERT INTO person VALUES ('root', 'Administrator')")
        connection.execute("INSERT INTO qos (name) VALUES ('normal')")
        connection.executemany(
            "INSERT INTO assoc (account, user, parent, is_default) VALUES (?, ?, ?, ?)",
            [("root", "", "", 0), ("root", "root", "", 1), ("waldur", "", "root", 0)],
        )
        connection.execute("UPDATE assoc SET qos = 'normal' WHERE account = 'root' AND user = ''")
    connection.close()


class Transaction:
    """Takes the write lock at the start, so that a command reads what it then changes."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def __enter__(self) -> None:
        self._connection.execute("BEGIN IMMEDIATE")

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._connection.execute("COMMIT" if kind is None else "ROLLBACK")


class Cluster:
    """The state as the commands see it, at one moment."""

    def __init__(self, connection: sqlite3.Connection, user: str) -> None:
        self.db = connection
        self.user = user
        self.now = float(os.environ.get("SLURM_SIM_NOW", time.time()))
        self.meta = dict(connection.execute("SELECT key, value FROM meta"))
        self.name = self.meta["cluster"]
        self.old = self.meta["release"] == "22.05"
        self.preserves_case = self.meta["preserve_case_user"] == "yes"

    def settle(self) -> None:
        """Let the jobs whose time has come start and end."""
        due = "SELECT run, account, user, qos FROM job WHERE state = 'PENDING' AND begin <= ?"
        for run, account, user, qos in self.db.execute(due, [self.now]).fetchall():
            allowed, _ = self.qos().get((account, user, self.partition_of(account, user)), ("", ""))
            if qos in allowed.split(","):
                self.db.execute(_START, [run])
            else:  # it is held, and starts when it may
                self.db.execute("UPDATE job SET begin = ? WHERE run = ?", (int(self.now), run))
        ended = "state = 'RUNNING' AND end <= ?"
        if self.db.execute(f"SELECT 1 FROM job WHERE {ended} LIMIT 1", [self.now]).fetchone():  # noqa: S608
            self.db.execute(f"UPDATE job SET state = final WHERE {ended}", [self.now])  # noqa: S608

    def level(self) -> str:
        """Return what the user who runs the command may do: None, Operator or Administrator."""
        query = "SELECT level FROM person WHERE name = ?"
        row = self.db.execute(query, [self.user]).fetchone()
        return str(row[0]) if row else "None"

    def has_account(self, name: str) -> bool:
        """Tell whether the account has an association: what the rest of SLURM goes by."""
        query = "SELECT 1 FROM assoc WHERE account = ? AND user = ''"
        return self.db.execute(query, [name]).fetchone() is not None

    def has_row(self, name: str) -> bool:
        """Tell whether the account is listed, with or without an association."""
        query = "SELECT 1 FROM account WHERE name = ?"
        return self.db.execute(query, [name]).fetchone() is not None

    def subtree(self, names: list[str]) -> list[tuple[str, str]]:
        """Return accounts that exist, with all below them, each with its parent; parents first."""
        query = f"""
            WITH RECURSIVE below (account, parent, depth) AS (
                SELECT account, parent, 0 FROM assoc WHERE user = '' AND account IN ({marks(names)})
                UNION
                SELECT assoc.account, assoc.parent, depth + 1 FROM assoc
                JOIN below ON assoc.parent = below.account WHERE assoc.user = '')
            SELECT account, parent FROM below GROUP BY account ORDER BY max(depth)"""  # noqa: S608
        return self.db.execute(query, names).fetchall()

    def defaults(self) -> dict[str, str]:
        """Return the default account of every user that has one."""
        return dict(self.db.execute("SELECT user, account FROM assoc WHERE is_default"))

    def qos(self) -> dict[tuple[str, str, str], tuple[str, str]]:
        """Return the QoS list and the default QoS of every association: its own, or inherited."""
        query = "SELECT account, user, partition, parent, qos, default_qos FROM assoc"
        own = {(account, user, part): rest for account, user, part, *rest in self.db.execute(query)}
        found: dict[tuple[str, str, str], tuple[str, str]] = {}

        def look(account: str, user: str, part: str) -> tuple[str, str]:
            key = account, user, part
            if key not in own:
                return "", ""
            if key not in found:
                parent, qos, default = own[key]
                above = look(account if user else parent, "", "")
                found[key] = qos or above[0], default or above[1]
            return found[key]

        for key in own:
            look(*key)
        return found

    def partition_of(self, account: str, user: str) -> str:
        """Return the partition of the association that a user's jobs have: that, or none."""
        query = "SELECT 1 FROM assoc WHERE (account, user, partition) = (?, ?, ?)"
        found = self.db.execute(query, (account, user, PARTITION)).fetchone()
        return PARTITION if found else ""

    def max_submit_jobs(self, account: str, user: str, partition: str) -> int | None:
        """Return MaxSubmitJobs of an association: its own, or the first one above it."""
        query = """
            SELECT max_submit_jobs, parent FROM assoc
            WHERE account = ? AND user = ? AND partition = ?"""
        row = self.db.execute(query, (account, user, partition)).fetchone()
        while row and row[0] is None and account:
            account = account if user else row[1]
            user = ""
            row = self.db.execute(query, (account, "", "")).fetchone()
        return row[0] if row else None

    def coordinators(self) -> dict[str, set[str]]:
        """Return the coordinators of every account, those of accounts above it among them."""
        own: dict[str, set[str]] = {}
        for account, user in self.db.execute("SELECT account, user FROM coordinator"):
            own.setdefault(account, set()).add(user)
        parents = dict(self.db.execute("SELECT account, parent FROM assoc WHERE user = ''"))
        found = {account: {*users} for account, users in own.items()}
        for account, parent in parents.items():
            above = parent
            while above:
                found.setdefault(account, set()).update(own.get(above, ()))
                above = parents.get(above, "")
        return found

    def resolve_users(self) -> None:
        """Let slurmctld look again for the Unix users whom it doesn't know."""
        self.db.execute("DELETE FROM no_uid WHERE name NOT IN (SELECT name FROM no_unix_user)")
        self.db.execute(
            """
            INSERT OR IGNORE INTO no_uid SELECT name FROM no_unix_user
            WHERE name IN (SELECT user FROM assoc)"""
        )

    def known_tres(self) -> set[str]:
        """Return the TRES by the names that limits are set with."""
        found = self.db.execute("SELECT type, name FROM tres")
        return {f"{kind}/{name}" if name else kind for kind, name in found}


def marks(values: list[str]) -> str:
    """Return as many placeholders as there are values."""
    return ",".join("?" * len(values))


def load(text: str) -> dict[str, int]:
    """Read counts by TRES."""
    counts: dict[str, int] = json.loads(text)
    return counts
