"""`scancel`, `squeue` and `sbatch`: virtual jobs that progress with the clock."""

from __future__ import annotations

import json
import re

from . import job_limits
from .replies import RefusedError, Reply, UnsupportedError
from .state import ACTIVE, Cluster
from .words import names, options

_CANCEL = {"--clusters=": "cluster", "--account=": "account", "--user=": "user"}
_QUEUE = {**_CANCEL, "--noheader": "noheader", "--format=": "format"}
_BATCH = {
    "-A=": "account",
    "--account=": "account",
    "--parsable": "parsable",
    "--begin=": "begin",
    "--qos=": "qos",
    "-D=": "chdir",
    "--chdir=": "chdir",
    "-o=": "output",
    "--output=": "output",
    "-e=": "output",
    "--error=": "output",
    "-J=": "name",
    "--job-name=": "name",
    "-c=": "cpus",
    "--cpus-per-task=": "cpus",
    "-n=": "tasks",
    "--ntasks=": "tasks",
    "--gres=": "gres",
    "--mem=": "mem",
    "--wrap=": "wrap",
    "-t=": "time",
    "--time=": "time",
}
_FIELDS = ("%i", "%a", "%u", "%T", "%r", "%q")
_MEM_PER_CPU = 1000
_INVALID = (
    "sbatch: error: Batch job submission failed: Invalid account or account/partition combination"
    " specified"
)
_INVALID_QOS = "sbatch: error: Batch job submission failed: Invalid qos specification"
_VIOLATES = (
    "sbatch: error: Batch job submission failed: Job violates accounting/QOS policy (job submit"
    " limit, user's size and/or time limits)"
)


def _here(cluster: Cluster, tool: str, given: dict[str, str]) -> None:
    asked = given.get("cluster", cluster.name)
    if asked == cluster.name:
        return
    unreachable = (
        f"{tool}: error: '{asked}' can't be reached now, or it is an invalid entry for --cluster."
        "  Use 'sacctmgr list clusters' to see available clusters."
    )
    lines = [f"{tool}: error: No cluster '{asked}' known by database.", unreachable]
    if not cluster.old:
        lines.append(f"{tool}: fatal: Could not get cluster information")
    raise RefusedError(*lines)


def scancel(cluster: Cluster, argv: list[str]) -> Reply:
    """Cancel the jobs of an account: pending ones at once, running ones after KillWait."""
    given, rest = options(argv, _CANCEL)
    if rest or "account" not in given:
        raise UnsupportedError("scancel without an account would cancel everything")
    _here(cluster, "scancel", given)
    accounts = names(given["account"])
    users = names(given["user"], fold=False) if "user" in given else None
    for user in users or ():
        exact = "user = ?1 COLLATE BINARY"  # Unix users, of which SLURM knows no other spelling
        seen = f"SELECT 1 FROM assoc WHERE {exact} UNION SELECT 1 FROM job WHERE {exact}"  # noqa: S608
        if not cluster.db.execute(seen, [user]).fetchone():
            raise RefusedError(f"scancel: error: Invalid user name: {user}")
    end = cluster.now + float(cluster.meta["kill_wait"])
    whose = (
        "account IN (SELECT value FROM json_each(?))"
        " AND (? OR user IN (SELECT value FROM json_each(?)))"
    )
    chosen = (json.dumps(accounts), users is None, json.dumps(users or []))
    cancelled = "CANCELLED by 0"
    cluster.db.execute(
        f"UPDATE job SET state = ?, final = ?, end = ? WHERE state = 'PENDING' AND {whose}",  # noqa: S608
        (cancelled, cancelled, cluster.now, *chosen),
    )
    cluster.db.execute(
        f"""
        UPDATE job SET final = ?, end = min(coalesce(end, ?), ?)
        WHERE state = 'RUNNING' AND {whose}""",  # noqa: S608
        (cancelled, end, end, *chosen),
    )
    cluster.settle()
    return Reply()


def squeue(cluster: Cluster, argv: list[str]) -> Reply:
    """List pending and running jobs in the wanted format."""
    given, rest = options(argv, _QUEUE)
    if rest or not {"noheader", "format"} <= given.keys():
        raise UnsupportedError("squeue without --noheader and --format")
    _here(cluster, "squeue", given)
    accounts = names(given["account"]) if "account" in given else None
    users = names(given["user"], fold=False) if "user" in given else None
    unknown = set(re.findall(r"%.?", given["format"])) - set(_FIELDS)
    if unknown:
        raise UnsupportedError(f"squeue's fields {sorted(unknown)}")
    query = f"SELECT id, account, user, state, qos, begin FROM job WHERE {ACTIVE} ORDER BY run"  # noqa: S608
    lines = []
    for job, account, user, state, qos, begin in cluster.db.execute(query):
        if (accounts and account not in accounts) or (users and user not in users):
            continue
        waits = "BeginTime" if begin is None else "InvalidQOS"
        reason = "None" if state == "RUNNING" else waits
        line = given["format"]
        shown = (str(job), account, user, state, reason, qos)
        for mark, value in zip(_FIELDS, shown, strict=True):
            line = line.replace(mark, value)
        lines.append(line)
    return Reply(lines)


def sbatch(cluster: Cluster, argv: list[str]) -> Reply:
    """Start a job at once, or never with `--begin`; `--wrap 'sleep N'` says how long it runs."""
    given, rest = options(argv, _BATCH)
    if rest:
        raise UnsupportedError(f"word {rest[0]!r}")
    user = cluster.user
    account = given.get("account", cluster.defaults().get(user, "")).lower()
    partition = cluster.partition_of(account, user)
    query = """
        SELECT 1 FROM assoc WHERE account = ? AND user = ? COLLATE BINARY AND partition = ?
        AND user NOT IN (SELECT name FROM no_uid)"""
    if not cluster.db.execute(query, (account, user, partition)).fetchone():
        raise RefusedError(_INVALID)
    qos = _qos(given.get("qos", ""), *cluster.qos()[account, user, partition])
    if reason := job_limits.refusal(cluster, account, user, qos):
        raise RefusedError(f"sbatch: error: {reason}", _VIOLATES)
    slept = re.search(r"sleep (\d+)", given.get("wrap", ""))
    seconds = int(slept[1]) if slept else 60
    requested = _requested(given)
    job: int = cluster.db.execute("SELECT coalesce(max(id), 0) + 1 FROM job").fetchone()[0]
    now = int(cluster.now)
    cluster.db.execute(
        """
        INSERT INTO job (id, account, user, submit, state, final, suspended, requested, allocated,
                         qos, begin, seconds)
        VALUES (?, ?, ?, ?, 'PENDING', 'COMPLETED', 0, ?, '{}', ?, ?, ?)""",
        (
            *(job, account, user, now, json.dumps(requested)),
            *(qos, None if "begin" in given else now, seconds),
        ),
    )
    cluster.settle()
    return Reply([str(job) if "parsable" in given else f"Submitted batch job {job}"])


def _qos(wanted: str, allowed: str, default: str) -> str:
    """Return the QoS of a new job: the one asked for, the default, the only one, or `normal`."""
    listed = allowed.split(",")
    usual = listed[0] if len(listed) == 1 else "normal"
    chosen = wanted or (default if default in listed else usual)
    if chosen not in listed:
        raise RefusedError(_INVALID_QOS)
    return chosen


def _requested(given: dict[str, str]) -> dict[str, int]:
    cpus = int(given.get("cpus", "1")) * int(given.get("tasks", "1"))
    memory = int(given["mem"].rstrip("M")) if "mem" in given else cpus * _MEM_PER_CPU
    gpus = int(given["gres"].removeprefix("gpu:")) if "gres" in given else 0
    billing = int(cpus + memory / 1024 * 0.25 + gpus * 4)
    held = {"cpu": cpus, "mem": memory, "node": 1, "billing": billing}
    return {**held, "gres/gpu": gpus} if gpus else held
