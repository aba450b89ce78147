"""`scontrol ping`, `scontrol show config` and `scontrol show assoc_mgr`."""

from __future__ import annotations

import time

from . import usage
from .replies import RefusedError, Reply, UnsupportedError
from .state import Cluster, load

NO_UID = 4294967294
"""What slurmctld shows of a user whom it could not resolve."""
VERSIONS = {"22.05": "22.05.8", "24.11": "24.11.5"}


def version(cluster: Cluster) -> Reply:
    """Print the version, as every tool does with --version."""
    return Reply([f"slurm-wlm {VERSIONS[cluster.meta['release']]}"])


def scontrol(cluster: Cluster, argv: list[str]) -> Reply:
    """Answer for slurmctld."""
    up = "Slurmctld(primary) at head is UP"
    if argv == ["ping"]:
        return Reply([up])
    if argv == ["--oneliner", "show", "assoc_mgr", "flags=assoc"]:
        return Reply(_associations(cluster))
    if argv == ["reconfigure"]:
        cluster.resolve_users()
        return Reply()
    if argv != ["show", "config"]:
        raise UnsupportedError(f"scontrol {' '.join(argv)}")
    settings = {
        "AccountingStorageEnforce": "associations,limits,qos",
        "AccountingStorageHost": "localhost",
        "AccountingStorageTRES": ",".join(_tres(cluster)),
        "AccountingStorageType": "accounting_storage/slurmdbd",
        "ClusterName": cluster.name,
        "GresTypes": "gpu",
        "KillWait": f"{cluster.meta['kill_wait']} sec",
        "PriorityDecayHalfLife": "00:00:00",
        "PriorityUsageResetPeriod": "MONTHLY",
        "PriorityType": "priority/multifactor",
        "SLURM_VERSION": VERSIONS[cluster.meta["release"]],
    }
    moment = time.strftime("%Y-%m-%dT%H:%M:%S", time.localtime(cluster.now))
    lines = [f"{name:<23} = {value}" for name, value in settings.items()]
    return Reply([f"Configuration data as of {moment}", *lines, "", up])


def configuration(cluster: Cluster) -> Reply:
    """Print `sacctmgr show configuration`: the client's part and slurmdbd's."""
    moment = time.strftime("%Y-%m-%dT%H:%M:%S", time.localtime(cluster.now))
    version = VERSIONS[cluster.meta["release"]]
    purge = cluster.meta["purge_jobs_after"]
    return Reply(
        [
            f"Configuration data as of {moment}",
            f"SLURM_VERSION          = {version}",
            "PrivateData            = none",
            "",
            "SlurmDBD configuration:",
            f"PrivateData            = {cluster.meta['private_data']}",
            f"PurgeJobAfter          = {purge}",
            f"SLURMDBD_VERSION       = {version}",
        ]
    )


def statistics(cluster: Cluster) -> Reply:
    """Print slurmdbd's statistics, to administrators only."""
    if cluster.level() != "Administrator":
        raise RefusedError(
            "sacctmgr: accounting_storage/slurmdbd: acct_storage_p_get_stats: RC:2002 Your user"
            " doesn't have privilege to perform this action"
        )
    stars = "*" * 67
    return Reply([stars, "sacctmgr show stats output", stars])


def _associations(cluster: Cluster) -> list[str]:
    """List associations as slurmctld does, users with a Unix number (made up here)."""
    known = _tres(cluster)
    used = usage.counted(cluster)
    lines = ["Current Association Manager state", "Association Records"]
    unknown = {name for (name,) in cluster.db.execute("SELECT name FROM no_uid")}
    query = "SELECT account, user, partition, submit_jobs, limits FROM assoc ORDER BY rowid"
    for account, user, partition, submit, limits in cluster.db.execute(query):
        uid = NO_UID if user in unknown else 0 if user == "root" else 1000
        who = f"{user}({uid})" if user else ""
        minutes, seconds = load(limits), used.get((account, user.lower()), {})
        shown = ",".join(f"{x}={minutes.get(x, 'N')}({seconds.get(x, 0) // 60})" for x in known)
        lines.append(
            f"ClusterName={cluster.name} Account={account} UserName={who} Partition={partition} "
            f"UsageRaw/Norm/Efctv={seconds.get('billing', 0):.2f}/0.00/0.00 "
            f"GrpJobs=N(0) GrpSubmitJobs={'N' if submit is None else submit}(0) "
            f"GrpTRESMins={shown} GrpTRESRunMins="
        )
    return lines


def _tres(cluster: Cluster) -> list[str]:
    rows = cluster.db.execute("SELECT type, name FROM tres ORDER BY rowid")
    return [f"{kind}/{name}" if name else kind for kind, name in rows]
