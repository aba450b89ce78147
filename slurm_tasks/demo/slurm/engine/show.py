"""`sacctmgr show account|user|tres|qos|cluster`."""

from __future__ import annotations

from . import removed, tres
from .replies import HangError, Reply, UnsupportedError
from .state import Cluster, load
from .words import assignments, columns, local, names

_ACCOUNT = {"account": "Account", "description": "Descr", "organization": "Org"}
_ASSOCIATION = {
    **_ACCOUNT,
    "cluster": "Cluster",
    "parentname": "ParentName",
    "user": "User",
    "partition": "Partition",
    "coordinators": "Coord Accounts",
    "grpsubmitjobs": "GrpSubmit",
    "maxsubmitjobs": "MaxSubmit",
    "grpjobsaccrue": "GrpJobsAccrue",
    "maxjobsaccrue": "MaxJobsAccrue",
    "grptresmins": "GrpTRESMins",
    "qos": "QOS",
    "defaultqos": "Def QOS",
    "lineage": "Lineage",
}
_USER = {"user": "User", "defaultaccount": "Def Acct", "adminlevel": "Admin"}
_TRES = {"type": "Type", "name": "Name"}
_QOS = {
    "name": "Name",
    "grpsubmitjobs": "GrpSubmit",
    "maxsubmitjobsperuser": "MaxSubmitPU",
    "maxsubmitjobsperaccount": "MaxSubmitPA",
}
_OPTIONS = {"withassoc", "woplimits", "withcoord"}
_CLUSTER = {"cluster": "Cluster"}


_JOB_LIMITS = ("grpsubmitjobs", "maxsubmitjobs", "grpjobsaccrue", "maxjobsaccrue")


def show(cluster: Cluster, what: str, words: list[str], *, header: bool) -> Reply:
    """List what a command asks for, in the columns that it names."""
    given = _OPTIONS & {*words}
    values = assignments(
        [word for word in words if word not in {"where", "withdeleted", *_OPTIONS}],
        {"format", "cluster", "name"},
    )
    if "format" not in values:
        raise UnsupportedError("a listing without format=")
    if given and (what != "account" or "withassoc" not in given):
        raise UnsupportedError(f"show {what} {' '.join(sorted(given))}")
    if "withdeleted" in words and "withassoc" not in words:
        raise UnsupportedError("withdeleted without withassoc")
    values |= dict.fromkeys(given, "")
    known, rows = {
        "account": _associations if "withassoc" in words else _accounts,
        "user": _users,
        "tres": _tres,
        "qos": _qos,
        "cluster": _clusters,
    }[what](cluster, values)
    if "withdeleted" in words:
        rows = [*rows, *removed.rows(cluster)]
    if cluster.old:
        known = {name: title for name, title in known.items() if name != "lineage"}
    asked = columns(values["format"], known)
    lines = ["|".join(row[column] for column in asked) for row in rows]
    first = ["|".join(known[column] for column in asked)] if header else []
    return Reply([*first, *lines])


Listing = tuple[dict[str, str], list[dict[str, str]]]


def _wanted(values: dict[str, str]) -> list[str] | None:
    return names(values["name"]) if "name" in values else None


def _accounts(cluster: Cluster, values: dict[str, str]) -> Listing:
    wanted = _wanted(values)
    query = "SELECT name, description, organization FROM account ORDER BY name"
    rows = [
        {"account": name, "description": description, "organization": organization}
        for name, description, organization in cluster.db.execute(query)
        if wanted is None or name in wanted
    ]
    return _ACCOUNT, rows


def _associations(cluster: Cluster, values: dict[str, str]) -> Listing:
    """List accounts with their associations; 22.05 shows zeros where there is none.

    With `woplimits` only what they have of their own, with `withcoord` coordinators, too.
    """
    here = local(cluster.name, values)
    if not cluster.old and _has_lost_users(cluster):
        raise HangError
    query = """
        SELECT name, description, organization, assoc.parent, assoc.user, assoc.limits,
               assoc.partition, assoc.submit_jobs, assoc.max_submit_jobs, assoc.jobs_accrue,
               assoc.max_jobs_accrue, assoc.qos, assoc.default_qos
        FROM account LEFT JOIN assoc ON assoc.account = account.name AND ?
        ORDER BY name, assoc.user, assoc.partition"""
    wanted = _wanted(values)
    own = "woplimits" in values
    access = {} if own else cluster.qos()
    coordinators = cluster.coordinators() if "withcoord" in values else {}
    paths = removed.lineages(cluster) if "lineage" in values["format"] else _nothing
    rows = []
    for row in cluster.db.execute(query, [here]):
        name, description, organization, parent, user, limits, partition, *jobs = row
        *jobs, qos, default = jobs
        if wanted is not None and name not in wanted:
            continue
        exists = user is not None
        if exists and not own:
            jobs[1] = cluster.max_submit_jobs(name, user, partition)
            qos, default = access[name, user, partition]
        shown = ["" if count is None else str(count) for count in jobs]
        if not exists and cluster.old:
            shown = ["0"] * len(jobs)
        rows.append(
            {
                "account": name,
                "description": description,
                "organization": organization,
                "cluster": cluster.name if exists else "",
                "parentname": parent or "",
                "user": user or "",
                "partition": partition or "",
                "coordinators": ",".join(sorted(coordinators.get(name, ()))),
                **dict(zip(_JOB_LIMITS, shown, strict=True)),
                "grptresmins": tres.limits(load(limits)) if exists else "",
                "qos": qos or "",
                "defaultqos": default or "",
                "lineage": paths(name, user or "") if exists else "",
            }
        )
    return _ASSOCIATION, rows


def _nothing(*_: str) -> str:
    return ""


def _has_lost_users(cluster: Cluster) -> bool:
    """Tell whether an account whose parent was removed has users: slurmdbd loops over those."""
    query = """
        SELECT 1 FROM assoc AS lost JOIN assoc AS member USING (account)
        WHERE lost.user = '' AND member.user != '' AND lost.parent != ''
        AND NOT EXISTS (SELECT 1 FROM assoc WHERE account = lost.parent AND user = '')"""
    return cluster.db.execute(query).fetchone() is not None


def _users(cluster: Cluster, values: dict[str, str]) -> Listing:
    wanted = _wanted(values)
    defaults = cluster.defaults() if local(cluster.name, values) else {}
    rows = [
        {"user": user, "defaultaccount": defaults.get(user, ""), "adminlevel": level}
        for user, level in cluster.db.execute("SELECT name, level FROM person ORDER BY name")
        if wanted is None or user in wanted
    ]
    return _USER, rows


def _tres(cluster: Cluster, _: dict[str, str]) -> Listing:
    found = cluster.db.execute("SELECT type, name FROM tres ORDER BY rowid")
    return _TRES, [{"type": kind, "name": name} for kind, name in found]


def _qos(cluster: Cluster, _: dict[str, str]) -> Listing:
    query = "SELECT name, submit_jobs, user_jobs, account_jobs FROM qos ORDER BY rowid"
    rows = []
    for row in cluster.db.execute(query):
        shown = ("" if value is None else str(value) for value in row)
        rows.append(dict(zip(_QOS, shown, strict=True)))
    return _QOS, rows


def _clusters(cluster: Cluster, _: dict[str, str]) -> Listing:
    return _CLUSTER, [{"cluster": cluster.name}]
