"""Limits of associations on submitted jobs, and on those that gain priority by waiting."""

from __future__ import annotations

from .state import ACTIVE, Cluster

LIMITS = {
    "grpsubmitjobs": "submit_jobs",
    "maxsubmitjobs": "max_submit_jobs",
    "grpjobsaccrue": "jobs_accrue",
    "maxjobsaccrue": "max_jobs_accrue",
}
"""The column of each setting."""


def change(
    cluster: Cluster, account: str, user: str, partition: str | None, changed: dict[str, str]
) -> None:
    """Set limits of an association, or of all of a user's with an account; -1 is none."""
    for setting in LIMITS.keys() & changed.keys():
        value = int(changed[setting])
        cluster.db.execute(
            f"UPDATE assoc SET {LIMITS[setting]} = ?"  # noqa: S608 -- our own names
            " WHERE account = ? AND user = ? AND partition = coalesce(?, partition)",
            (None if value < 0 else value, account, user, partition),
        )


def refusal(cluster: Cluster, account: str, user: str, qos: str) -> str:
    """Return the limit that keeps a user from submitting one more job, or nothing.

    A limit that the QoS has itself holds instead of the associations'.
    """
    query = "SELECT submit_jobs, user_jobs, account_jobs FROM qos WHERE name = ?"
    together, each_user, each_account = cluster.db.execute(query, [qos]).fetchone()
    for limit, name, condition, value in (
        (together, "QOSGrpSubmitJobsLimit", "qos = ?", [qos]),
        (each_user, "QOSMaxSubmitJobPerUserLimit", "qos = ? AND user = ?", [qos, user]),
        (each_account, "MaxSubmitJobsPerAccount", "qos = ? AND account = ?", [qos, account]),
    ):
        if _is_reached(cluster, limit, condition, value):
            return name
    partition = cluster.partition_of(account, user)
    own = "SELECT submit_jobs FROM assoc WHERE account = ? AND user = ? AND partition = ?"
    (limit,) = cluster.db.execute(own, (account, user, partition)).fetchone()
    whose, theirs = "account = ? AND user = ?", [account, user]
    if together is None and _is_reached(cluster, limit, whose, theirs):
        return "AssocGrpSubmitJobsLimit"
    most = cluster.max_submit_jobs(account, user, partition)
    if each_user is None and each_account is None and _is_reached(cluster, most, whose, theirs):
        return "AssocMaxSubmitJobLimit"
    return "" if together is not None else _refusal_above(cluster, account)


def _refusal_above(cluster: Cluster, account: str) -> str:
    query = "SELECT parent, submit_jobs FROM assoc WHERE account = ? AND user = ''"
    while account:
        parent, limit = cluster.db.execute(query, [account]).fetchone()
        below = [name for name, _ in cluster.subtree([account])]
        condition = f"account IN ({','.join('?' * len(below))})"
        if _is_reached(cluster, limit, condition, below):
            return "AssocGrpSubmitJobsLimit"
        account = parent
    return ""


def _is_reached(cluster: Cluster, limit: int | None, condition: str, values: list[str]) -> bool:
    if limit is None:
        return False
    count = f"SELECT count(*) FROM job WHERE {ACTIVE} AND {condition}"  # noqa: S608 -- our own
    active: int = cluster.db.execute(count, values).fetchone()[0]
    return active >= limit
