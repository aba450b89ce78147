"""`sacctmgr add|modify|remove user`."""

from __future__ import annotations

from . import job_limits, qos, removal, removed
from .replies import RefusedError, Reply, UnsupportedError, nothing, unmodified
from .state import Cluster
from .words import assignments, local, names

_HINT = (
    "Make sure the accounts requested here have been added to the system/cluster. "
    "(sacctmgr add account...)"
)


_SETTINGS = {*job_limits.LIMITS, *qos.SETTINGS}


def add(cluster: Cluster, words: list[str]) -> Reply:
    """Give users associations with accounts; the first is the default of a user without any.

    22.05 takes the accounts in alphabetical order, whatever order they are named in.

    DefaultAccount's association is made as well, and overwrites the default of users who get it
    or another one with this command.
    """
    values = assignments(words, {"name", "cluster", "account", "defaultaccount", "partition"})
    if not {"name", "account"} <= values.keys():
        raise UnsupportedError("add user without name and account")
    local(cluster.name, values, create=True)
    users = names(values["name"], fold=not cluster.preserves_case)
    default = values.get("defaultaccount", "").lower()
    wanted = list(dict.fromkeys([*names(values["account"]), *([default] if default else [])]))
    accounts = [name for name in wanted if cluster.has_account(name)]
    if cluster.old:
        accounts.sort()
    missing = [name for name in wanted if name not in accounts]
    partition = values.get("partition", "")
    has = _spelled(cluster, accounts, users, partition)
    new = [(x, user) for user in users for x in accounts if (x, user) not in has]
    if not new:
        return _nothing_added(cluster, missing)
    defaults = cluster.defaults()
    known = {name.lower() for (name,) in cluster.db.execute("SELECT name FROM person")}
    fresh = [user for user in users if user.lower() not in known]
    cluster.db.executemany("INSERT INTO person (name) VALUES (?)", [(user,) for user in fresh])
    cluster.db.executemany(
        "INSERT OR REPLACE INTO assoc (account, user, parent, partition) VALUES (?, ?, '', ?)",
        [(*pair, partition) for pair in new],
    )
    for user in dict.fromkeys(user for _, user in new):
        if default in accounts:
            set_default(cluster, user, default)
        elif user not in defaults:
            set_default(cluster, user, next(account for account, of in new if of == user))
    settings = [f"  Default Account = {default}"] if default in accounts else []
    out = [" Adding User(s)", *(f"  {user}" for user in fresh)] if fresh else []
    if cluster.old:
        out += [" Settings =", *settings] if settings and fresh else []
        out += [" Associations ="]
        out += [f"  U = {user:<9} A = {name:<10} C = {cluster.name:<10}" for name, user in new]
        reasons = _missing(cluster, missing)
        return Reply([*out, " Non Default Settings"], reasons, 1 if reasons else 0)
    out += [" Settings", *settings, " Associations ="]
    new.sort(key=lambda pair: wanted.index(pair[0]))
    out += [f"  C = {cluster.name:<10} A = {name:<20} U = {user:<9}" for name, user in new]
    return Reply([*out, *_missing(cluster, missing)])


def _spelled(
    cluster: Cluster, accounts: list[str], users: list[str], partition: str
) -> set[tuple[str, str]]:
    """Return the associations that an `add` leaves alone.

    24.11 makes one anew whose user is spelled otherwise, with the new spelling; for 22.05 both
    are the same user.
    """
    found = removal.associations(cluster, accounts, users, partition)
    if not cluster.old:
        return {*found}
    same = {user.lower(): user for user in users}
    return {(account, same[user.lower()]) for account, user in found}


def _missing(cluster: Cluster, accounts: list[str]) -> list[str]:
    if not cluster.old:
        return [f"No account {name} on cluster {cluster.name}, skipping." for name in accounts]
    lines = []
    for name in accounts:
        where = f" on cluster {cluster.name}" if cluster.has_row(name) else ""
        plain = f" This account '{name}' doesn't exist"
        lines.append(f"{plain}{where}" if where else f"{plain}.")
        lines.append("        Contact your admin to add this account.")
    return lines


def _nothing_added(cluster: Cluster, missing: list[str]) -> Reply:
    reasons = _missing(cluster, missing)
    if not cluster.old:
        first = reasons or ["Request didn't affect anything"]
        return Reply([*first, "Nothing added.", _HINT], code=1)
    if reasons:
        raise RefusedError(*reasons, " No associations or wckeys created.")
    return Reply([" Nothing new added."], code=1)


def set_default(cluster: Cluster, user: str, account: str) -> None:
    """Make one of a user's associations the default."""
    cluster.db.execute(
        "UPDATE assoc SET is_default = (account = ? AND partition = '') WHERE user = ?",
        (account, user),
    )


def modify(cluster: Cluster, words: list[str]) -> Reply:
    """Set the default account of users, or something of their associations."""
    if "set" not in words:
        raise UnsupportedError("modify without set")
    split = words.index("set")
    plain = [word for word in words[:split] if word != "where"]
    where = assignments(plain, {"name", "cluster", "account", "partition"})
    if "account" in where:
        return _modify(cluster, where, assignments(words[split + 1 :], _SETTINGS))
    account = assignments(words[split + 1 :], {"defaultaccount"}).get("defaultaccount", "").lower()
    if not account:
        raise UnsupportedError("modify user without account or DefaultAccount")
    return _move_default(cluster, where, account)


def _modify(cluster: Cluster, where: dict[str, str], changed: dict[str, str]) -> Reply:
    """Change associations; users without one there are passed over."""
    users = names(where["name"]) if "name" in where else None
    here, partition = local(cluster.name, where), where.get("partition")
    accounts = names(where["account"])
    found = removal.associations(cluster, accounts, users, partition) if here else []
    if not found:
        return unmodified(old=cluster.old)
    for account, user in found:
        job_limits.change(cluster, account, user, partition, changed)
        qos.change(cluster, account, user, changed)
    lines = [f"  C = {cluster.name:<10} A = {name:<20} U = {user:<9}" for name, user in found]
    return Reply([" Modified user associations...", *lines])


def _move_default(cluster: Cluster, where: dict[str, str], account: str) -> Reply:
    """Set the default account of users: of all of them, or of none."""
    wanted = names(where["name"]) if "name" in where else None
    held = cluster.db.execute("SELECT DISTINCT user FROM assoc WHERE user != '' ORDER BY user")
    found = [user for (user,) in held if wanted is None or user.lower() in wanted]
    if not found or not local(cluster.name, where):
        return unmodified(old=cluster.old)
    has = {user for _, user in removal.associations(cluster, [account], found)}
    without = [user for user in found if user not in has]
    if without:
        reason = (
            " Can't modify because these users aren't associated with new default account"
            f" '{account}'..."
        )
        return Reply([reason, *(f"  U = {user} C = {cluster.name}" for user in without)], code=1)
    for user in found:
        set_default(cluster, user, account)
    return Reply([" Modified users...", *(f"  {user}" for user in found)])


def remove(cluster: Cluster, words: list[str]) -> Reply:
    """Remove associations of users, and users who have none left."""
    plain = [word for word in words if word != "where"]
    where = assignments(plain, {"name", "cluster", "account"})
    if not where:
        raise RefusedError(" No conditions given to remove, not executing.")
    users = names(where["name"]) if "name" in where else None
    if "account" in where:
        accounts = names(where["account"])
    else:
        held = cluster.db.execute("SELECT DISTINCT account FROM assoc")
        accounts = [account for (account,) in held]
    going = removal.associations(cluster, accounts, users)
    if not going or not local(cluster.name, where):
        return nothing("deleted")
    removal.refuse_defaults(cluster, going, accounts=False)
    removal.refuse_jobs(cluster, going)
    removed.keep(cluster, [], going)
    cluster.db.executemany("DELETE FROM assoc WHERE account = ? AND user = ?", going)
    left = {user for (user,) in cluster.db.execute("SELECT DISTINCT user FROM assoc")}
    gone = sorted({user for _, user in going} - left)
    for table, column in (("person", "name"), ("coordinator", "user")):
        statement = f"DELETE FROM {table} WHERE {column} = ?"  # noqa: S608 -- our own names
        cluster.db.executemany(statement, [(user,) for user in gone])
    out = [" Deleting user associations..."]
    out += [f"  C = {cluster.name:<10} A = {name:<10} U = {user:<9}" for name, user in going]
    if gone:
        out += [" Deleting users (No Associations)...", *(f"  {user}" for user in gone)]
    return Reply(out)
