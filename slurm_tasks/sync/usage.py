"""Usage, limits and associations: from the cluster to Waldur, differences only."""

from collections.abc import Container, Iterator
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any

import structlog

from slurm_tasks import metrics
from slurm_tasks.errors import FailedReadError, PermanentError, WaldurError, WaldurRefusedError
from slurm_tasks.model import names
from slurm_tasks.model.messages import AllocationState, CollectRequest, Measurement
from slurm_tasks.model.usage import Period, PeriodUsage, following
from slurm_tasks.sync import limits, missed, open_orders, parts
from slurm_tasks.sync.control import BILLED_STATES, ERRED, Control, mirror_associations
from slurm_tasks.sync.differences import Difference, differences
from slurm_tasks.sync.posted import Refusal
from slurm_tasks.sync.posting import post
from slurm_tasks.sync.told import Told
from slurm_tasks.waldur.transport import ServerFaultError
from slurm_tasks.waldur.views import Resource

log = structlog.stdlib.get_logger(__name__)

USERS_HIDDEN = (
    "Waldur hides the offering's users: users' parts of usage are linked to nobody, restricted"
    " people aren't known, and only who stands in a resource's report is ever removed. Switch on"
    " the offering's option service_provider_can_create_offering_user"
)

_told = Told()


@dataclass
class PushReport:
    """What a push did.

    Attributes:
        posted: differences that were posted (or would be, in a dry run).
        kept: usage that is less on the cluster than Waldur has, a sentence each.
        limits: resources whose limits were set.
        unlimited: limits that Waldur has and the cluster doesn't enforce, a sentence each.
        associations: how many were added or removed.
        missing: accounts that Waldur names and the cluster doesn't have.
        strangers: usernames that Waldur doesn't know, by account; their usage is in the total.
        closed: what came after Waldur had closed the month.
        missed: usage that Waldur takes no more, as its month is over there, a sentence each.
        later: what can't be posted for the moment, close to the turn of a month.
        purged: months that weren't reported, for the cluster doesn't hold all of their jobs.
        refused: what Waldur refused, a sentence each.
        failed: months that weren't reported, as the cluster's job records could not be read: why.
        unread: accounts whose usage of a month isn't known, as the cluster's records of it are not
            understood, a sentence each; nothing is posted for them.
        doubtful: jobs whose times can't be right, a sentence each; they count, but no longer than
            from their start to their end.
    """

    posted: list[Difference] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)
    limits: list[str] = field(default_factory=list)
    unlimited: list[str] = field(default_factory=list)
    associations: int = 0
    missing: list[str] = field(default_factory=list)
    strangers: dict[str, list[str]] = field(default_factory=dict)
    closed: list[str] = field(default_factory=list)
    missed: list[str] = field(default_factory=list)
    later: list[str] = field(default_factory=list)
    purged: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)
    unread: list[str] = field(default_factory=list)
    doubtful: list[str] = field(default_factory=list)

    def summary(self) -> dict[str, Any]:
        """Return it as JSON's own types."""
        return {
            **asdict(self),
            "posted": [difference.dump() for difference in self.posted],
        }


def final_months(control: Control) -> tuple[Period, ...]:
    """Return the months in which an allocation that is about to end may have been used.

    Its jobs run until they are cancelled, which may be next month.
    """
    months_ = control.recent_months()
    return (*months_, following(months_[-1], control.zone))


def accounts(control: Control) -> dict[str, str]:
    """Return the resources to report: uuid by account name.

    Two resources with one backend id would both be billed for the same jobs, so neither is.
    """
    return _accounts(control)[0]


def _accounts(control: Control) -> tuple[dict[str, str], tuple[str, ...]]:
    """Return the resources to report, by account; and the accounts of those that aren't."""
    found: dict[str, list[str]] = {}
    others: set[str] = set()
    for resource in control.waldur.resources((*BILLED_STATES, ERRED)):
        if not resource.backend_id:
            continue
        try:
            account = names.fold_backend_id(resource.backend_id)
        except PermanentError as error:
            log.warning("backend_id_refused", resource=resource.uuid, reason=str(error))
            continue
        if resource.state == ERRED:  # Waldur refuses it; the month is made up for once it is mended
            log.warning("usage_not_accepted", resource=resource.uuid, account=account, state=ERRED)
            others.add(account)
            continue
        found.setdefault(account, []).append(resource.uuid)
    for account, shared in found.items():
        if len(shared) > 1:
            log.error("backend_id_shared", account=account, resources=shared)
    reported = {account: uuids[0] for account, uuids in found.items() if len(uuids) == 1}
    return reported, tuple(sorted({*others, *found} - reported.keys()))


def request(
    control: Control, periods: tuple[Period, ...] = (), *, dry_run: bool = False
) -> CollectRequest:
    """Say what to measure: the allocations of the offering, this month and the one before.

    Args:
        control: the control side.
        periods: other months.
        dry_run: whether nothing will be posted; what can't be posted can still be shown.

    Raises:
        PermanentError: a month was given that has not begun, or that Waldur takes nothing for.
    """
    now = datetime.now(UTC)
    for period in periods:
        if period.start > now.timestamp():
            raise PermanentError(f"{period.month} has not begun yet; there is nothing to report")
        if not dry_run:
            missed.require_open(control, period.month)
    reported, others = _accounts(control)
    return CollectRequest(
        accounts=reported,
        others=others,
        periods=periods or control.recent_months(),
        billed=frozenset(control.components),
    )


def push(control: Control, measurement: Measurement, *, dry_run: bool = False) -> PushReport:
    """Post what differs: usage, limits, associations. One resource's refusal is one warning."""
    report = PushReport(purged=list(measurement.purged))
    known = {row.uuid: row for row in control.waldur.resources(BILLED_STATES)}
    present = []
    for allocation in measurement.allocations:
        if allocation.present:
            present.append(allocation)
        else:
            report.missing.append(allocation.account)
            log.warning(
                "account_missing",
                account=allocation.account,
                resource=allocation.resource,
                cluster=measurement.cluster,
            )
    present = [allocation for allocation in present if allocation.resource in known]
    report.strangers = _strangers(control, present)
    for allocation in present:
        report.unread += _unread(allocation)
        report.doubtful += _doubtful(allocation)
    shown = {uuid: resource.current_usages for uuid, resource in known.items()}
    found = differences(control, tuple(present), shown)
    report.purged += (lost := _lost_months(control, present, found))
    report.failed = _unreadable(measurement, found, lost)
    found = [row for row in found if row.month not in {*lost, *report.failed}]
    report.kept = [
        f"{row.account} {row.month} {name}: Waldur has {row.old[name]}, the cluster says {value}"
        for row in found
        for name, value in row.decreased.items()
    ]
    if dry_run:
        report.posted = [row for row in found if row.changed or row.users]
    else:
        _post(control, found, measurement.measured_at, report)
        ordered = open_orders.by_resource(control)
        for allocation in present:
            resource = known[allocation.resource]
            _push_settings(control, resource, allocation, measurement, report, ordered)
    for month_ in report.purged:
        log.error("usage_purged", month=month_, reason="the cluster doesn't hold all of its jobs")
    counts = {name: len(value) for name, value in vars(report).items() if name != "associations"}
    log.info("usage_pushed", resources=len(present), associations=report.associations, **counts)
    return report


def _unreadable(
    measurement: Measurement, found: list[Difference], lost: list[str]
) -> dict[str, str]:
    """Return the months that could not be read, with the reason; those that are lost are told so.

    Where only sacct says that nothing was used, Waldur's usage is the witness that there was some:
    then none of such months could be read.
    """
    failed = dict(measurement.failed)
    if _contradicted(found, measurement.unconfirmed):
        unread = sorted({*measurement.unconfirmed} - {*lost})
        failed |= dict.fromkeys(unread, _CONTRADICTION)
    for month_, reason in failed.items():
        log.error("usage_not_read", month=month_, reason=reason)
    return failed


def _unread(allocation: AllocationState) -> Iterator[str]:
    """Tell of months in which an allocation's usage isn't known."""
    for month_, reason in allocation.unread_usage.items():
        log.error("usage_unknown", account=allocation.account, month=month_, reason=reason)
        yield f"{allocation.account} {month_}: {reason}"


def _doubtful(allocation: AllocationState) -> Iterator[str]:
    """Tell of jobs whose times can't be right."""
    for usage in allocation.usage:
        for text in usage.doubtful:
            yield f"{allocation.account} {usage.period.month}: {text}"


def _strangers(control: Control, allocations: list[AllocationState]) -> dict[str, list[str]]:
    """Find users of whom Waldur knows nothing: their usage is billed, and their names are told."""
    known = {user.username for user in control.waldur.offering_users()}
    if not known and not control.waldur.offering().shows_users:
        if _told.first(f"offering users hidden {datetime.now(UTC):%Y-%m-%d}"):
            log.warning("offering_users_hidden", advice=USERS_HIDDEN)
        return {}
    users_of = {
        allocation.account: {part.user for usage in allocation.usage for part in usage.users}
        for allocation in allocations
    }
    if names.other_usernames({user for users in users_of.values() for user in users}, known):
        known |= {*parts.former(control, (control.current_month().month,))}
    found: dict[str, list[str]] = {}
    for allocation in allocations:
        users = users_of[allocation.account]
        if unknown := sorted(names.other_usernames(users, known)):
            found[allocation.account] = unknown
            log.warning("usage_of_unknown_users", account=allocation.account, users=unknown)
    return found


def _lost_months(
    control: Control, allocations: list[AllocationState], found: list[Difference]
) -> list[str]:
    """Find past months of which the cluster has nothing, for nobody, while Waldur has usage.

    That is what purged records look like, and never reported as zero.
    """
    used = {
        usage.period.month
        for allocation in allocations
        for usage in allocation.usage
        if any(usage.total().values())
    }
    known = {row.month for row in found if any(row.old.values())}
    return sorted(known - used - {control.current_month().month})


_CONTRADICTION = (
    "sacct lists no job, and Waldur has usage: slurmdbd could not read its job records. Look for"
    " errors in slurmdbd's log"
)


def _contradicted(found: list[Difference], months: tuple[str, ...]) -> list[str]:
    """Return the months in which Waldur has usage, and only sacct says that there was none."""
    known = sorted({row.month for row in found if any(row.old.values())} & {*months})
    for _ in known:
        metrics.usage_reads_failed.labels("waldur").inc()
    return known


def _post(
    control: Control, found: list[Difference], measured_at: datetime, report: PushReport
) -> None:
    """Post usage, and note what became of it."""
    done = post(control, found, measured_at)
    report.posted = done.posted
    report.closed = [f"{row.account} {row.month}" for row in done.closed]
    report.later = [f"{row.account} {row.month}" for row in done.later]
    report.missed = missed.tell(control, done.missed)
    for refusal in done.refused:
        account, month_ = refusal.difference.account, refusal.difference.month
        report.refused.append(f"{account} {month_}: {refusal.reason}")
        metrics.usage_refused.labels("usage").inc()
        log.warning("usage_refused", account=account, month=month_, reason=refusal.reason)


def _push_settings(
    control: Control,
    resource: Resource,
    allocation: AllocationState,
    measurement: Measurement,
    report: PushReport,
    ordered: Container[str],
) -> None:
    """Post the limits and the associations of one resource."""
    report.unlimited += _unlimited(control, resource, allocation)
    try:
        if resource.uuid not in ordered and _push_limits(
            control, resource, allocation, measurement.measured_at
        ):
            report.limits.append(allocation.account)
        report.associations += mirror_associations(control, resource, allocation.users)
    except (WaldurRefusedError, ServerFaultError) as error:
        report.refused.append(f"{allocation.account}: {error}")
        metrics.usage_refused.labels("settings").inc()
        log.warning("settings_refused", account=allocation.account, reason=str(error))


def _unlimited(control: Control, resource: Resource, allocation: AllocationState) -> Iterator[str]:
    """Tell of limits that Waldur has and the cluster doesn't; Waldur has no word for unlimited."""
    for name, component in control.components.items():
        limit = resource.limits.get(name)
        if unread := allocation.unread_limits.get(name):
            yield f"{allocation.account}: the cluster's limit {unread} is not understood"
            continue
        if component.accounting_type == "limit" and limit and name not in allocation.limits:
            log.warning("limit_not_set", account=allocation.account, component=name, waldur=limit)
            yield f"{allocation.account}: Waldur has {name}={limit}, the cluster sets no limit"


def _push_limits(
    control: Control, resource: Resource, allocation: AllocationState, measured_at: datetime
) -> bool:
    """Make the cluster's limits the resource's, unless an order or a change came in between."""
    if control.limit_owner != "slurm" or resource.state != "OK":
        return False
    if resource.modified and resource.modified > measured_at:
        return False
    return bool(limits.push(control, resource, allocation.limits))


def report_final(
    control: Control,
    resource: Resource,
    measured: tuple[PeriodUsage, ...],
    unconfirmed: tuple[str, ...] = (),
) -> None:
    """Post what a terminated allocation used: afterwards Waldur refuses it.

    A refusal that would come again must not keep the order open for ever; it is an error in the
    log.

    Args:
        control: the control side.
        resource: whose allocation it was.
        measured: what the cluster says.
        unconfirmed: months of which only sacct says that nothing was used.

    Raises:
        FailedReadError: Waldur has usage of such a month: it could not be read; the order waits.
        WaldurError: it was refused for now, or its month is about to turn; the order waits.
    """
    allocation = AllocationState(
        resource=resource.uuid,
        account=names.fold_backend_id(resource.backend_id) if resource.backend_id else "",
        present=True,
        usage=measured,
    )
    found = differences(control, (allocation,))
    if months := _contradicted(found, unconfirmed):
        raise FailedReadError(f"its usage of {', '.join(months)} can't be read: {_CONTRADICTION}")
    done = post(control, found, datetime.now(UTC))
    missed.tell(control, done.missed)
    if done.later:
        raise WaldurError(
            "the last usage is posted when the month has turned for Waldur:"
            f" {', '.join(row.month for row in done.later)}"
        )
    late = [Refusal(row, "Waldur has closed the month", final=True) for row in done.closed]
    for refusal in [*done.refused, *late]:
        metrics.usage_refused.labels("final").inc()
        log.error("final_usage_refused", reason=refusal.reason, **refusal.difference.dump())
    if waiting := [refusal.reason for refusal in done.refused if not refusal.final]:
        raise WaldurError(f"the last usage was not taken: {'; '.join(waiting)}")
