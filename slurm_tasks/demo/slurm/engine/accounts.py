"""`sacctmgr add|modify|remove account`."""

from __future__ import annotations

import json

from . import job_limits as jobs
from . import qos, removal, removed, tres
from .replies import RefusedError, Reply, UnsupportedError, nothing, unmodified
from .state import Cluster, load, marks
from .words import assignments, local, names, stored

_NEW = {"name", "cluster", "parent", "description", "organization", "grptresmins"}
_SETTINGS = {"parent", "grptresmins", "description", *jobs.LIMITS, *qos.SETTINGS}
_ROOT_STAYS = (
    " You are not allowed to remove the root account.",
    " Use remove cluster instead.",
)


def add(cluster: Cluster, words: list[str]) -> Reply:
    """Add accounts under one parent, with the same limits; those that exist stay as they are."""
    values = assignments(words, _NEW)
    if "name" not in values:
        raise RefusedError(" Need name of account to add.")
    complaints: list[str] = []
    limits = _limits(cluster, values, complaints)
    parent = values.get("parent", "root").lower()
    if cluster.old:
        local(cluster.name, values, create=True)
    elif not local(cluster.name, values):
        asked = values["cluster"].lower()
        raise RefusedError(f" error: No parent account '{parent}' on cluster '{asked}'")
    wanted = names(values["name"])
    missing = [name for name in wanted if not cluster.has_account(name)]
    existing = _existing(cluster, [name for name in wanted if name not in missing])
    if not missing:
        return Reply(existing or [" Nothing new added."], code=1)
    if not cluster.has_account(parent):
        raise RefusedError(*_no_parent(cluster, parent))
    fresh = [name for name in missing if not cluster.has_row(name)]
    texts = _describe(cluster, fresh, values)
    kept = json.dumps({name: count for name, count in limits.items() if count >= 0})
    cluster.db.executemany(
        "INSERT INTO assoc (account, user, parent, limits) VALUES (?, '', ?, ?)",
        [(name, parent, kept) for name in missing],
    )
    out = [" Adding Account(s)", *(f"  {name}" for name in fresh), *texts] if fresh else []
    if cluster.old:
        out += [" Associations", *(f"  A = {x:<10} C = {cluster.name:<10}" for x in missing)]
    else:
        out += [" Associations =", *(f"  C = {cluster.name:<10} A = {x:<20} " for x in missing)]
        out += (line.strip() for line in existing)
    out.append(" Settings")
    out += [f"  GrpTRESMins   = {tres.limits(limits)}"] if limits else []
    return Reply([*out, f"  Parent        = {parent}"], complaints)


def _limits(cluster: Cluster, values: dict[str, str], complaints: list[str]) -> dict[str, int]:
    if "grptresmins" not in values:
        return {}
    return tres.parse("GrpTRESMins", values["grptresmins"], cluster.known_tres(), complaints)


def _existing(cluster: Cluster, accounts: list[str]) -> list[str]:
    if cluster.old:
        return []
    lines = [f"Already existing account {name} on cluster {cluster.name}" for name in accounts]
    return [f" {lines[0]}", *lines[1:]] if lines else []


def _describe(cluster: Cluster, accounts: list[str], values: dict[str, str]) -> list[str]:
    """Make the accounts' rows; without a text the name stands in for it."""
    if cluster.old and "" in (values.get("description"), values.get("organization")):
        raise RefusedError(" Problem adding accounts: Unspecified error")
    description = stored(values.get("description", ""))
    organization = stored(values.get("organization", ""))
    cluster.db.executemany(
        "INSERT INTO account VALUES (?, ?, ?)",
        [(name, description or name, organization or name) for name in accounts],
    )
    texts = (f"  Description     = {description}", f"  Organization    = {organization}")
    return [" Settings", *texts]


def _no_parent(cluster: Cluster, parent: str) -> list[str]:
    if not cluster.old:
        return [f" error: No parent account '{parent}' on cluster '{cluster.name}'"]
    return [
        f" Parent account '{parent}' doesn't exist on cluster {cluster.name}",
        "        Contact your admin to add this account.",
        " No associations created.",
    ]


def modify(cluster: Cluster, words: list[str]) -> Reply:
    """Change the accounts that `where` names: without a name, every account."""
    if "set" not in words:
        raise UnsupportedError("modify without set")
    split = words.index("set")
    where = assignments([word for word in words[:split] if word != "where"], {"name", "cluster"})
    changed = assignments(words[split + 1 :], _SETTINGS)
    if not changed:
        raise UnsupportedError("set without a setting")
    complaints: list[str] = []
    limits = _limits(cluster, changed, complaints)
    parent = changed["parent"].lower() if "parent" in changed else None
    if parent is not None and not cluster.has_account(parent) and cluster.old:
        raise RefusedError(f" Parent Account {parent} doesn't exist.")
    found = _chosen(cluster, where)
    if parent is not None and len(changed) == 1:
        found = [(account, now) for account, now in found if now != parent]
    if not found:
        return unmodified(old=cluster.old)
    for account, _ in found:
        _set(cluster, account, limits)
        jobs.change(cluster, account, "", None, changed)
        if "description" in changed:
            text = stored(changed["description"])
            cluster.db.execute("UPDATE account SET description = ? WHERE name = ?", (text, account))
        if parent is not None and cluster.has_account(parent):
            _hang_under(cluster, account, parent)
        qos.change(cluster, account, "", changed)
    lines = [
        f"  C = {cluster.name:<10} A = {account}{' of ' + above if above else ''}"
        for account, above in found
    ]
    return Reply([" Modified account associations...", *lines], complaints)


def _chosen(cluster: Cluster, where: dict[str, str]) -> list[tuple[str, str]]:
    if not local(cluster.name, where):
        return []
    query = "SELECT account, parent FROM assoc WHERE user = ''"
    if "name" not in where:
        return cluster.db.execute(f"{query} ORDER BY account != 'root', account").fetchall()
    wanted = names(where["name"])
    query = f"{query} AND account IN ({marks(wanted)}) ORDER BY account"
    return cluster.db.execute(query, wanted).fetchall()


def _set(cluster: Cluster, account: str, limits: dict[str, int]) -> None:
    where = "WHERE account = ? AND user = ''"
    (text,) = cluster.db.execute(f"SELECT limits FROM assoc {where}", [account]).fetchone()  # noqa: S608
    merged = {name: count for name, count in (load(text) | limits).items() if count >= 0}
    cluster.db.execute(f"UPDATE assoc SET limits = ? {where}", (json.dumps(merged), account))  # noqa: S608


def _hang_under(cluster: Cluster, account: str, parent: str) -> None:
    """Move an account; under its own descendant, that one takes its place first, as in SLURM."""
    move = "UPDATE assoc SET parent = ? WHERE account = ? AND user = ''"
    above = dict(cluster.subtree([account]))
    if parent in above and parent != account:
        cluster.db.execute(move, (above[account], parent))
    cluster.db.execute(move, (parent, account))


def remove(cluster: Cluster, words: list[str]) -> Reply:
    """Remove the associations of accounts; 22.05 those of all below them, too.

    24.11 leaves accounts below without a parent. With a cluster's name the account's row stays, as
    it might be used elsewhere: a listing with associations still shows it, without a cluster.
    Without one the named rows go too.
    """
    where = assignments([word for word in words if word != "where"], {"name", "cluster"})
    if not where:
        raise RefusedError(" No conditions given to remove, not executing.")
    wanted = names(where["name"]) if "name" in where else [x for x, _ in _chosen(cluster, {})]
    if "root" in wanted and "name" in where:
        raise RefusedError(*_ROOT_STAYS)
    here = local(cluster.name, where)
    going = cluster.subtree(wanted) if here else []
    if not cluster.old:
        going = [(account, parent) for account, parent in going if account in wanted]
    rows = [] if "cluster" in where else [name for name in wanted if cluster.has_row(name)]
    if not going and not rows:
        return nothing("deleted")
    accounts = [account for account, _ in going]
    pairs = removal.associations(cluster, accounts, None)
    removal.refuse_defaults(cluster, pairs, accounts=True)
    removal.refuse_jobs(cluster, pairs)
    db = cluster.db
    removed.keep(cluster, accounts, pairs)
    db.execute(f"DELETE FROM assoc WHERE account IN ({marks(accounts)})", accounts)  # noqa: S608
    db.execute(f"DELETE FROM coordinator WHERE account IN ({marks(rows)})", rows)  # noqa: S608
    if "cluster" not in where:
        db.execute(f"DELETE FROM account WHERE name IN ({marks(rows)})", rows)  # noqa: S608
        return Reply([" Deleting accounts...", *(f"  {name}" for name in rows)])
    lines = [" Deleting account associations..."]
    for account, parent in going:
        lines.append(f"  C = {cluster.name:<10} A = {account} of {parent}")
        lines += [
            f"  C = {cluster.name:<10} A = {account:<10} U = {user:<9}"
            for of, user in pairs
            if of == account
        ]
    return Reply(lines)
