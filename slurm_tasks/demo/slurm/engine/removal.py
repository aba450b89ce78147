"""What keeps associations from being removed: default accounts and jobs."""

from __future__ import annotations

import json

from .replies import RefusedError
from .state import ACTIVE, Cluster

_CHANGE_DEFAULTS = (
    " You must change the default account of these users or remove the users completely from the"
    " affected clusters to allow these changes."
)
Pairs = list[tuple[str, str]]


def associations(
    cluster: Cluster, accounts: list[str], users: list[str] | None, partition: str | None = None
) -> Pairs:
    """Return the (account, user) pairs of these accounts; of all their users, or of some.

    With a partition, those of associations that are for it alone; the empty one is that of
    associations that are for all.
    """
    query = """
        SELECT DISTINCT account, user FROM assoc WHERE user != ''
        AND account IN (SELECT value FROM json_each(?)) AND partition = coalesce(?3, partition)
        AND (?2 IS NULL OR user IN (SELECT value FROM json_each(?2))) ORDER BY account, user"""
    chosen = None if users is None else json.dumps(users)
    return cluster.db.execute(query, (json.dumps(accounts), chosen, partition)).fetchall()


def refuse_defaults(cluster: Cluster, going: Pairs, *, accounts: bool) -> None:
    """Refuse where a user's default account would go while others of theirs stay.

    22.05 looks only at the removal of accounts, and there refuses only if one of the users loses
    their default together with another association; else users are left with an empty default.
    24.11 refuses to remove any default account of users who have another one.

    Raises:
        RefusedError: listing the defaults.
    """
    defaults = cluster.defaults()
    going_of: dict[str, set[str]] = {}
    for account, user in going:
        going_of.setdefault(user, set()).add(account)
    held = {user for user, gone in going_of.items() if defaults.get(user) in gone}
    if cluster.old:
        several = any(len(going_of[user]) > 1 for user in held)
        listed = held if accounts and several else set()
    elif accounts:
        listed = {user for user in held if _count(cluster, user) > 1}
    else:
        listed = {user for user in held if _count(cluster, user) > len(going_of[user])}
    if not listed:
        return
    advice = [
        " Please either remove the accounts listed above from list and resubmit,",
        " or change these users' default accounts to remove the account(s).",
    ]
    if not accounts:
        advice = [_CHANGE_DEFAULTS]
    raise RefusedError(
        " Error with request: You can not remove the default account of a user",
        *(
            f"  C = {cluster.name:<15} A = {defaults[user]:<10} U = {user:<9}"
            for user in sorted(listed)
        ),
        *advice,
        " Changes Discarded",
    )


def _count(cluster: Cluster, user: str) -> int:
    query = "SELECT count(DISTINCT account) FROM assoc WHERE user = ?"
    count: int = cluster.db.execute(query, [user]).fetchone()[0]
    return count


def refuse_jobs(cluster: Cluster, going: Pairs) -> None:
    """Refuse while associations have pending or running jobs.

    Raises:
        RefusedError: listing the jobs.
    """
    query = f"""
        SELECT DISTINCT id, account, user FROM job WHERE {ACTIVE}
        AND EXISTS (SELECT 1 FROM json_each(?) WHERE value ->> 0 = account
                    AND value ->> 1 = user COLLATE NOCASE)
        ORDER BY id"""  # noqa: S608
    jobs = cluster.db.execute(query, [json.dumps(going)]).fetchall()
    if jobs:
        raise RefusedError(
            " Error with request: Job(s) active, cancel job(s) before remove",
            *(
                f"  JobID = {job:<10} C = {cluster.name:<10} A = {account:<10} U = {user:<9}"
                for job, account, user in jobs
            ),
        )
