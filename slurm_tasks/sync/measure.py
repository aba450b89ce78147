"""Measuring: what jobs used in each month, and whether what sacct says can be believed.

When slurmdbd can't read its job records (a statement limit, a table that is locked or missing),
sacct prints its header, nothing on stderr, and exits with 0 (measured on 22.05, 24.11 and 26.05).
So a month without a single record of all the accounts asked for needs a second witness:

- a listing that begins earlier, and ends now, lists some, and none of the month: then it could be
  read, and the month is empty;
- slurmctld counts usage of these accounts although not even the longest listing has any: then it
  could not be read. What it counts may be of another month; such jobs would be listed, too.

Where neither says anything (nothing was ever used, or PriorityType is not multifactor), Waldur is
the last witness: see `usage.push` and `usage.report_final`.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import structlog

from slurm_tasks import metrics
from slurm_tasks.errors import FailedReadError
from slurm_tasks.model.billing import payers
from slurm_tasks.model.cluster import Cluster
from slurm_tasks.model.messages import Desired
from slurm_tasks.model.purge import Accounting
from slurm_tasks.model.usage import Period, PeriodUsage, Reading
from slurm_tasks.slurm.cluster import SlurmCluster

log = structlog.stdlib.get_logger(__name__)

DAY = 86400
EARLIER = (1, 4, 16, 64, 256)
"""Days by which a listing begins earlier, one after the other: where there are many jobs, a short
one has some; the last begins in 1970."""
_RESETS = {"DAILY": 1, "WEEKLY": 7, "MONTHLY": 31, "QUARTERLY": 92, "YEARLY": 366}
"""How many days slurmctld counts usage at most, by PriorityUsageResetPeriod."""


@dataclass(frozen=True)
class Measured:
    """What was measured.

    Attributes:
        readings: by month.
        purged: months of which slurmdbd doesn't hold all job records any more.
        failed: why a month could not be read, by month.
        unconfirmed: months in which nothing was used, as far as sacct says, and no other witness.
    """

    readings: Mapping[str, Reading] = field(default_factory=dict)
    purged: tuple[str, ...] = ()
    failed: Mapping[str, str] = field(default_factory=dict)
    unconfirmed: tuple[str, ...] = ()

    def of(self, account: str) -> tuple[PeriodUsage, ...]:
        """Return an account's usage, all of it.

        Raises:
            FailedReadError: some of it isn't known.
        """
        for month, reason in self.failed.items():
            raise FailedReadError(f"its usage of {month} can't be read: {reason}")
        for month, reading in self.readings.items():
            if account in reading.unread:
                reason = reading.unread[account]
                raise FailedReadError(f"its usage of {month} is not understood: {reason}")
        return tuple(reading.usage[account] for reading in self.readings.values())


def measure(
    cluster: SlurmCluster,
    periods: Iterable[Period],
    accounts: Mapping[str, str],
    records: Accounting,
    billed: frozenset[str] = frozenset(),
) -> Measured:
    """Measure what jobs used in each period, and doubt it.

    Args:
        cluster: asked.
        periods: the months; one whose job records were thrown away, even in part, is only named.
        accounts: whose usage a job's is, by the account that it ran in.
        records: how slurmdbd keeps them.
        billed: the TRES that are counted; empty: all.

    Raises:
        TransientError: the cluster could not be read.
    """
    periods = tuple(periods)
    held = _fully_recorded(periods, records)
    purged = tuple(period.month for period in periods if period not in held)
    hidden = _hidden(cluster, records)
    if hidden:
        failed = {period.month: _told("hidden", period, hidden) for period in held}
        return Measured({}, purged, failed)
    readings: dict[str, Reading] = {}
    failed = {}
    unconfirmed = []
    later_is_read = False
    for period in sorted(held, key=lambda period: period.start, reverse=True):
        reading = cluster.measure(period, accounts, billed)
        if accounts and not reading.rows:
            # Records of a later month show that there was none of this one that could be read.
            known = _Doubt(confirmed=True)
            doubt = known if later_is_read else _doubt(cluster, period, accounts, records)
            if doubt.reason:
                failed[period.month] = _told("empty", period, doubt.reason)
                continue
            unconfirmed += [] if doubt.confirmed else [period.month]
        later_is_read = later_is_read or reading.rows > 0
        readings[period.month] = reading
    return Measured(dict(sorted(readings.items())), purged, failed, tuple(unconfirmed))


def measure_allocation(
    cluster: SlurmCluster, account: str, desired: Desired, state: Cluster
) -> Measured:
    """Measure one allocation that is about to end, or has ended, in the months that have begun.

    Raises:
        FailedReadError: its usage isn't known.
        TransientError: the cluster could not be read.
    """
    now = datetime.now(UTC).timestamp()
    begun = (period for period in desired.periods if period.start <= now)
    records = cluster.accounting()
    accounts = payers([account], {**cluster.lineage(records), **state.accounts})
    measured = measure(cluster, begun, accounts, records, desired.billed)
    measured.of(account)
    return measured


def _told(kind: str, period: Period, reason: str) -> str:
    metrics.usage_reads_failed.labels(kind).inc()
    log.error("usage_read_failed", month=period.month, reason=reason)
    return reason


def _fully_recorded(periods: tuple[Period, ...], records: Accounting) -> list[Period]:
    """Return the periods of which slurmdbd still holds all job records."""
    since = records.purge.cutoff(datetime.now(UTC)).timestamp() if records.purge else 0
    return [period for period in periods if period.start >= since]


def _hidden(cluster: SlurmCluster, records: Accounting) -> str:
    """Say why jobs may be hidden from us; empty: we see all."""
    if not records.may_hide_jobs or cluster.sees_all_jobs():
        return ""
    why = (
        "slurmdbd shows jobs only to those whom they belong to (PrivateData=jobs)"
        if "jobs" in records.private
        else f"slurmdbd {'{}.{:02}'.format(*records.release)} doesn't tell its PrivateData"
    )
    return (
        f"{why}, and the worker's user is neither administrator nor operator: what it sees may not"
        " be all. Run sacctmgr modify user where name=… set adminlevel=Operator"
    )


@dataclass(frozen=True)
class _Doubt:
    """What other witnesses say of a period in which no job at all is listed.

    Attributes:
        reason: why that can't be right; empty: nothing says so.
        confirmed: whether it is right.
    """

    reason: str = ""
    confirmed: bool = False


def _doubt(
    cluster: SlurmCluster, period: Period, accounts: Mapping[str, str], records: Accounting
) -> _Doubt:
    """Look for a second witness of a period in which no job at all is listed."""
    names, end = tuple(sorted(accounts)), max(period.end, _now())
    for start in _beginnings(period.start):
        count, inside = cluster.find_jobs(start, end, (period.start, period.end), names)
        if inside:
            return _Doubt(
                "sacct listed no job of these accounts, and then it did: read again later"
            )
        if count:
            return _Doubt(confirmed=True)
    used = cluster.used()
    present = [name for name in names if name in used]
    counted = [name for name in present or ["root"] if used[name]]
    if not counted or not _must_be_on_record(cluster, records):
        return _Doubt()
    if not present and _lists_any(cluster):  # they were removed; jobs of others are there
        return _Doubt()
    return _Doubt(
        f"sacct lists no job of {'these accounts' if present else 'anybody'}, of any time, while"
        f" slurmctld counts usage of {counted[0]!r}: slurmdbd could not read its job records. Look"
        " for errors in slurmdbd's log; if there never was a job, run sacctmgr modify account where"
        f" name={counted[0]} set RawUsage=0"
    )


def _beginnings(start: int) -> Iterator[int]:
    yield from (max(start - days * DAY, 0) for days in EARLIER)
    yield 0


def _lists_any(cluster: SlurmCluster) -> bool:
    """Whether there is a record of anybody's job: the latest are looked for first."""
    now = _now()
    return any(cluster.find_jobs(start, now, (now, now))[0] for start in _beginnings(now))


def _now() -> int:
    return int(datetime.now(UTC).timestamp())


def _must_be_on_record(cluster: SlurmCluster, records: Accounting) -> bool:
    """Whether the jobs that slurmctld counts usage of can't have been thrown away."""
    if records.purge is None:
        return True
    now = datetime.now(UTC)
    days = _RESETS.get(cluster.config().get("PriorityUsageResetPeriod", "").upper())
    return days is not None and now - timedelta(days=days) >= records.purge.cutoff(now)
