"""The head node's part of `slurm-tasks check`: reads only."""

from collections.abc import Iterator
from datetime import UTC, datetime
from functools import partial
from zoneinfo import ZoneInfo

from slurm_tasks.errors import ConfigurationError, SlurmTasksError
from slurm_tasks.model import names
from slurm_tasks.model.cluster import Cluster
from slurm_tasks.model.findings import Finding, failed, ok, warning
from slurm_tasks.model.messages import CheckRequest
from slurm_tasks.model.usage import Reading, month_of
from slurm_tasks.sync import in_force
from slurm_tasks.sync.cluster import HeadNode
from slurm_tasks.sync.measure import measure

SLURM, ACCOUNT, TRES, LIMITS = "SLURM", "default account", "TRES", "limits"
ACCOUNTS, QOS, HOMES, RECORDS = "accounts", "QoS", "home directories", "job records"
ASSOCIATIONS, USAGE = "associations", "usage"
_SHOWN = 10

_RESETS = {
    "month": "MONTHLY",
    "quarterly": "QUARTERLY",
    "annual": "YEARLY",
    "total": "NONE",
}
"""PriorityUsageResetPeriod by the period over which Waldur counts a limit."""


def findings(node: HeadNode, request: CheckRequest) -> Iterator[Finding]:
    """Look at the cluster: reachable, accounts, billed TRES, limits, QoS, records.

    Args:
        node: the head node's side.
        request: what the control side expects of it.
    """
    try:
        state = node.cluster.read()
    except SlurmTasksError as error:
        yield failed(SLURM, f"{error}. Check SLURM_DEPLOYMENT_TYPE, SLURM_BIN_DIR, SLURM_CONF")
        return
    yield ok(SLURM, f"cluster {state.name!r} with {len(state.accounts)} accounts")
    try:
        node.cluster.require(node.rules.accounts, state)
        yield ok(ACCOUNT, f"{', '.join(sorted(node.rules.accounts))} on the cluster")
    except ConfigurationError as error:
        yield failed(ACCOUNT, str(error))
    yield from _free_jobs(node, state, request)
    yield _missing(state, request)
    for what, look in (
        (ASSOCIATIONS, partial(_in_force, state)),
        (TRES, _tres),
        (LIMITS, _limits),
        (QOS, _qos),
        (HOMES, _homes),
        (RECORDS, _records),
        (USAGE, _usage),
    ):
        try:
            yield from look(node, request)
        except SlurmTasksError as error:
            yield failed(what, str(error))


def _missing(state: Cluster, request: CheckRequest) -> Finding:
    """Find the accounts that Waldur names and the cluster lacks."""
    missing = sorted(name for name in request.accounts if not state.get(name))
    if not missing:
        return ok(ACCOUNTS, f"all {len(request.accounts)} that Waldur names are on the cluster")
    more = ", …" if len(missing) > _SHOWN else ""
    return warning(
        ACCOUNTS,
        f"{len(missing)} of {len(request.accounts)} that Waldur names aren't on the cluster, and"
        f" nothing is reported for them: {', '.join(missing[:_SHOWN])}{more}; `slurm-tasks apply`"
        " makes them again",
    )


def _in_force(state: Cluster, node: HeadNode, request: CheckRequest) -> Iterator[Finding]:
    """Compare slurmdbd's associations with those that slurmctld acts by."""
    found = in_force.gaps(node.cluster, state)
    if found.differing:
        yield failed(ASSOCIATIONS, in_force.advice(found.differing))
    else:
        yield ok(ASSOCIATIONS, f"slurmctld knows all {len(state.associations())} of slurmdbd")
    ours = {a.name for a in state.accounts.values() if names.marker(a.description)}
    ours |= {*request.accounts}
    if refused := [key for key in found.without_uid if key.account in ours]:
        yield failed(ASSOCIATIONS, in_force.advice_without_uid(refused))


def _free_jobs(node: HeadNode, state: Cluster, request: CheckRequest) -> Iterator[Finding]:
    """Warn if users could run jobs in their default account, where nobody pays for them."""
    name = node.rules.user_default
    account = state.get(name) if name else None
    if not account or account.blocked or set(request.tres) <= set(account.limits):
        return
    if name == node.rules.root:
        advice = (
            "set SLURM_USER_DEFAULT_ACCOUNT to `allocation`, or to an account of its own that"
            " accepts no jobs (sacctmgr add account … GrpSubmitJobs=0); this one can't be blocked,"
            " all allocations are below it"
        )
    else:
        advice = f"sacctmgr modify account where name={name} set GrpSubmitJobs=0"
    yield warning(
        ACCOUNT, f"users can run jobs without limit in {name!r}, their default account: {advice}"
    )


def _tres(node: HeadNode, request: CheckRequest) -> Iterator[Finding]:
    known = node.cluster.tres()
    if unknown := sorted(set(request.tres) - known):
        yield failed(
            TRES,
            f"the cluster has no {', '.join(unknown)}; add it to AccountingStorageTRES in"
            f" slurm.conf, or correct the TRES configuration. Known: {', '.join(sorted(known))}",
        )
    else:
        yield ok(TRES, f"the cluster has {', '.join(request.tres) or 'none of them to bill'}")


def _limits(node: HeadNode, request: CheckRequest) -> Iterator[Finding]:
    """Look whether limits are enforced, and count usage over the period that Waldur does."""
    config = node.cluster.config()
    enforced = config.get("AccountingStorageEnforce", "").lower()
    if "limits" in enforced or "safe" in enforced:
        yield ok(LIMITS, f"AccountingStorageEnforce={enforced}")
    else:
        yield warning(
            LIMITS,
            f"AccountingStorageEnforce={enforced or 'none'}: SLURM enforces no limits; set it to"
            " associations,limits in slurm.conf",
        )
    if "multifactor" not in config.get("PriorityType", ""):
        yield warning(
            LIMITS,
            f"PriorityType={config.get('PriorityType', 'unset')}: SLURM counts no usage towards"
            " GrpTRESMins; set it to priority/multifactor in slurm.conf",
        )
        return
    half_life = config.get("PriorityDecayHalfLife", "")
    if half_life.strip("0:-"):
        yield warning(
            LIMITS,
            f"PriorityDecayHalfLife={half_life}: usage that counts towards limits fades away, so"
            " that more than a limit can be used; set it to 0 in slurm.conf",
        )
    reset = config.get("PriorityUsageResetPeriod", "NONE").upper()
    differing = {
        name: _RESETS[period]
        for name, period in request.limit_periods.items()
        if _RESETS[period] != reset
    }
    for name, expected in sorted(differing.items()):
        yield warning(
            LIMITS,
            f"Waldur counts the limit of {name} by limit_period={request.limit_periods[name]}, the"
            f" cluster by PriorityUsageResetPeriod={reset}; set that to {expected} in slurm.conf,"
            " or correct the TRES configuration",
        )
    if request.limit_periods and not differing:
        yield ok(LIMITS, f"PriorityUsageResetPeriod={reset}, as in the TRES configuration")


def _qos(node: HeadNode, request: CheckRequest) -> Iterator[Finding]:  # noqa: ARG001 - one of many looks
    """Look whether the QoS that settings name are there, and what a paused account still takes."""
    rules = node.rules.qos
    known = node.cluster.qos()
    wanted = rules.temporary | frozenset(filter(None, (rules.usual,)))
    if unknown := sorted(wanted - known.keys()):
        yield failed(
            QOS, f"the cluster has no QoS {', '.join(unknown)}; add it (sacctmgr add qos …)"
        )
    elif wanted:
        yield ok(QOS, f"the cluster has {', '.join(sorted(wanted))}")
    enforced = node.cluster.config().get("AccountingStorageEnforce", "").lower()
    if wanted and "qos" not in enforced.split(","):
        yield warning(
            QOS,
            f"AccountingStorageEnforce={enforced or 'none'}: a QoS binds nobody; add qos to it in"
            " slurm.conf",
        )
    stopping = known.get(rules.paused or "")
    if stopping and not stopping.refuses_jobs:
        yield warning(
            QOS,
            f"QoS {rules.paused} (SLURM_PAUSED_QOS) takes jobs, so paused accounts get"
            f" GrpSubmitJobs=0 as well: sacctmgr modify qos {rules.paused} set"
            " MaxSubmitJobsPerUser=0",
        )
    overriding = sorted(name for name, qos in known.items() if qos.overrides_closing)
    if overriding and not (stopping and stopping.refuses_jobs):
        yield warning(
            QOS,
            f"QoS {', '.join(overriding)} have limits of their own on submitted jobs, which hold"
            " instead of an account's: a paused account takes jobs in them. Set SLURM_PAUSED_QOS to"
            " a QoS with MaxSubmitJobsPerUser=0",
        )


def _homes(node: HeadNode, request: CheckRequest) -> Iterator[Finding]:  # noqa: ARG001 - one of many looks
    """Look whether the program that makes home directories is there."""
    if not node.homes:
        return
    helper = node.cluster.unix.helper
    if node.cluster.exists(helper):
        yield ok(HOMES, f"made by {helper}")
    else:
        yield failed(
            HOMES,
            f"there is no {helper} on the head node: install it (Debian: libpam-modules-bin), set"
            " HOMEDIR_HELPER_PATH, or ENABLE_USER_HOMEDIR_ACCOUNT_CREATION=false",
        )


def _records(node: HeadNode, request: CheckRequest) -> Iterator[Finding]:  # noqa: ARG001 - one of many looks
    """Say how far back the cluster's job records go."""
    purge = node.cluster.accounting().purge
    if purge is None:
        yield ok(RECORDS, "slurmdbd keeps all of them")
    else:
        since = purge.cutoff(datetime.now(UTC))
        yield ok(RECORDS, f"slurmdbd purges them; complete from {since:%Y-%m-%d %H:%M} UTC on")


def _usage(node: HeadNode, request: CheckRequest) -> Iterator[Finding]:
    """Say whether this month's job records can be read and understood, as a report does."""
    month = month_of(datetime.now(UTC), ZoneInfo("UTC"))
    accounts = {name: name for name in request.accounts}
    records = node.cluster.accounting()
    measured = measure(node.cluster, (month,), accounts, records, frozenset(request.tres))
    for reason in measured.failed.values():
        yield failed(USAGE, f"none is reported: {reason}")
    for reading in measured.readings.values():
        yield from _read(reading)


def _read(reading: Reading) -> Iterator[Finding]:
    """Say what of a month's job records is not understood, or doubtful."""
    for account, reason in sorted(reading.unread.items())[:_SHOWN]:
        yield failed(USAGE, f"none of {account!r} is reported: {reason}")
    doubtful = [text for usage in reading.usage.values() for text in usage.doubtful]
    for text in doubtful[:_SHOWN]:
        yield warning(USAGE, text)
    if not reading.unread and not doubtful:
        yield ok(USAGE, f"job records of this month can be read ({reading.rows} of allocations)")
