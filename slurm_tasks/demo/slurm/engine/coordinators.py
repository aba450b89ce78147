"""`sacctmgr add|remove coordinator`, and what coordinators may do."""

from __future__ import annotations

from .replies import RefusedError, Reply
from .state import Cluster
from .words import assignments, names

_NOT_ALLOWED = "Access/permission denied"


def add(cluster: Cluster, words: list[str]) -> Reply:
    """Let users add others to accounts and to all below them; again is exit 0, too."""
    accounts, users = _parse(cluster, words)
    pairs = [(account, user) for account in accounts for user in users]
    cluster.db.executemany("INSERT OR IGNORE INTO coordinator VALUES (?, ?)", pairs)
    return Reply(
        [
            *(" Adding Coordinator User(s)", *(f"  {user}" for user in users)),
            *(" To Account(s) and all sub-accounts", *(f"  {account}" for account in accounts)),
        ]
    )


def remove(cluster: Cluster, words: list[str]) -> Reply:
    """Take such rights away; those that users have by an account above stay."""
    accounts, users = _parse(cluster, words)
    out = [
        *(" Removing Coordinators with user name", *(f"  {user}" for user in users)),
        *(" From Account(s)", *(f"  {account}" for account in accounts)),
    ]
    gone = [
        f"  U = {user:<9} A = {account:<10}"
        for account in accounts
        for user in users
        if cluster.db.execute(
            "DELETE FROM coordinator WHERE account = ? AND user = ?", (account, user)
        ).rowcount
    ]
    if not gone:
        return Reply([*out, " Nothing removed"], code=1)
    return Reply([*out, " Removed Coordinators (sub accounts not listed)...", *gone])


def _parse(cluster: Cluster, words: list[str]) -> tuple[list[str], list[str]]:
    values = assignments([word for word in words if word != "where"], {"account", "names"})
    accounts = names(values.get("account", ""))
    users = names(values.get("names", ""), fold=not cluster.preserves_case)
    missing = [f"account '{name}'" for name in accounts if not cluster.has_row(name)]
    known = {name.lower() for (name,) in cluster.db.execute("SELECT name FROM person")}
    missing += [f"user '{name}'" for name in users if name.lower() not in known]
    if missing:
        raise RefusedError(*(f" You specified a non-existent {what}." for what in missing))
    return accounts, users


def require_right(cluster: Cluster, verb: str, what: str, words: list[str]) -> None:
    """Refuse what only administrators may do, and coordinators in their accounts.

    Raises:
        RefusedError: in the words of each release.
    """
    user = cluster.user
    admin = "SELECT 1 FROM person WHERE name = ? AND level != 'None'"
    if user == "root" or cluster.db.execute(admin, [user]).fetchone():
        return
    accounts = [w.split("=", 1)[1].split(",") for w in words if w.lower().startswith("account=")]
    found = cluster.coordinators()
    if what != "account" and accounts and all(user in found.get(a, ()) for a in accounts[0]):
        return
    if what == "coordinator":
        raise RefusedError(f" Problem {verb}ing coordinator: {_NOT_ALLOWED}")
    if verb != "add":
        reason = "sacctmgr: error: Your user doesn't have privilege to perform this action"
        raise RefusedError(reason, f" Error with request: {_NOT_ALLOWED}")
    if cluster.old:
        raise RefusedError(f" Problem adding users: {_NOT_ALLOWED}")
    raise RefusedError(f" error: Problem adding user associations: {_NOT_ALLOWED}")
