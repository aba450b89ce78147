"""Usage, limits and associations: from the cluster to Waldur, differences only."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import structlog

from slurm_tasks.errors import PermanentError, WaldurRefusedError
from slurm_tasks.model import components, names
from slurm_tasks.model.messages import AllocationState, CollectRequest, Measurement
from slurm_tasks.model.usage import Period, PeriodUsage
from slurm_tasks.sync.control import LIVE_STATES, Control, mirror_associations
from slurm_tasks.waldur.client import Generation
from slurm_tasks.waldur.views import ComponentUsage, Resource

log = structlog.stdlib.get_logger(__name__)

ZERO = Decimal("0.00")
Amounts = Mapping[str, Decimal]


@dataclass
class Difference:
    """What Waldur has and what the cluster says, for one resource and month.

    Attributes:
        old: Waldur's amounts by component, in measured units.
        new: the amounts to post: every component, for the server forgets those left out.
        users: by component, the users' amounts that differ.
    """

    resource: str
    account: str
    month: str
    old: dict[str, Decimal]
    new: dict[str, Decimal]
    users: dict[str, dict[str, Decimal]] = field(default_factory=dict)

    @property
    def changed(self) -> bool:
        """Whether a total differs."""
        return any(self.old.get(name, ZERO) != value for name, value in self.new.items())

    @property
    def empty(self) -> bool:
        """Whether there is nothing to post."""
        return not self.changed and not self.users


@dataclass
class PushReport:
    """What a push did.

    Attributes:
        posted: differences that were posted (or would be, in a dry run).
        limits: resources whose limits were set.
        associations: how many were added or removed.
        missing: accounts that Waldur names and the cluster doesn't have.
        refused: what Waldur refused, a sentence each.
    """

    posted: list[Difference] = field(default_factory=list)
    limits: list[str] = field(default_factory=list)
    associations: int = 0
    missing: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)

    def summary(self) -> dict[str, Any]:
        """Return it as JSON's own types."""
        return {
            **asdict(self),
            "posted": [
                {**asdict(d), "old": _text(d.old), "new": _text(d.new), "users": _texts(d.users)}
                for d in self.posted
            ],
        }


def _text(amounts: Amounts) -> dict[str, str]:
    return {name: str(value) for name, value in amounts.items()}


def _texts(amounts: Mapping[str, Amounts]) -> dict[str, dict[str, str]]:
    return {name: _text(values) for name, values in amounts.items()}


def open_months(control: Control) -> tuple[Period, ...]:
    """Return the months that Waldur still takes usage for.

    An older server ignores the date of a report and means the month that it is now, so last
    month's usage would be billed to this one: there, only the current month is reported.
    """
    previous, current = control.recent_months()
    return (current,) if control.waldur.generation is Generation.A else (previous, current)


def accounts(control: Control) -> dict[str, str]:
    """Return the resources to report: uuid by account name.

    Two resources with one backend id would both be billed for the same jobs, so neither is.
    """
    found: dict[str, list[str]] = {}
    for resource in control.waldur.resources((*LIVE_STATES, "Terminating")):
        if not resource.backend_id:
            continue
        try:
            found.setdefault(names.fold_backend_id(resource.backend_id), []).append(resource.uuid)
        except PermanentError as error:
            log.warning("backend_id_refused", resource=resource.uuid, reason=str(error))
    for account, shared in found.items():
        if len(shared) > 1:
            log.error("backend_id_shared", account=account, resources=shared)
    return {account: uuids[0] for account, uuids in found.items() if len(uuids) == 1}


def request(control: Control, periods: tuple[Period, ...] = ()) -> CollectRequest:
    """Say what to measure: the allocations of the offering, in the open months unless given."""
    return CollectRequest(accounts=accounts(control), periods=periods or open_months(control))


def push(control: Control, measurement: Measurement, *, dry_run: bool = False) -> PushReport:
    """Post what differs: usage, limits, associations. One resource's refusal is one warning."""
    report = PushReport()
    known = {row.uuid: row for row in control.waldur.resources((*LIVE_STATES, "Terminating"))}
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
    for difference in differences(control, tuple(present)):
        try:
            if dry_run or _post(control, difference, measurement.measured_at):
                report.posted.append(difference)
        except WaldurRefusedError as error:
            report.refused.append(f"{difference.account} {difference.month}: {error}")
            log.warning(
                "usage_refused",
                account=difference.account,
                month=difference.month,
                reason=str(error),
            )
    if not dry_run:
        for allocation in present:
            _push_settings(control, known[allocation.resource], allocation, measurement, report)
    log.info(
        "usage_pushed",
        resources=len(present),
        posted=len(report.posted),
        limits=len(report.limits),
        associations=report.associations,
        missing=len(report.missing),
        refused=len(report.refused),
    )
    return report


def differences(control: Control, allocations: tuple[AllocationState, ...]) -> list[Difference]:
    """Compare measurements with what Waldur has, a list or two for each month."""
    months = {u.period.month: u.period for a in allocations for u in a.usage}
    found = []
    for month in sorted(months):
        rows: dict[str, list[ComponentUsage]] = {}
        for row in control.waldur.component_usages(month):
            rows.setdefault(row.resource_uuid, []).append(row)
        parts = _user_parts(control, month) if rows else {}
        for allocation in allocations:
            for usage in allocation.usage:
                if usage.period.month == month:
                    existing = rows.get(allocation.resource, [])
                    found.append(_difference(control, allocation, usage, existing, parts))
    return [difference for difference in found if not difference.empty]


def _user_parts(control: Control, month: str) -> dict[str, dict[str, Decimal]]:
    """Return users' amounts by the uuid of the component usage that they are part of."""
    parts: dict[str, dict[str, Decimal]] = {}
    for row in control.waldur.user_usages(month):
        uuid = row.component_usage.rstrip("/").rpartition("/")[2]
        parts.setdefault(uuid, {})[row.username] = row.usage
    return parts


def _difference(
    control: Control,
    allocation: AllocationState,
    usage: PeriodUsage,
    existing: list[ComponentUsage],
    parts: Mapping[str, Amounts],
) -> Difference:
    old = {row.type: row.usage for row in existing}
    new = components.amounts(control.components, usage.total())
    for name, value in new.items():
        if value < old.get(name, ZERO):
            log.warning(
                "usage_decreased",
                account=allocation.account,
                month=usage.period.month,
                component=name,
                waldur=str(old[name]),
                cluster=str(value),
                kept=control.keep_greater,
            )
            new[name] = old[name] if control.keep_greater else value
    by_user = {
        user.user: components.amounts(control.components, user.tres)
        for user in usage.users
        if user.user
    }
    uuids = {row.type: row.uuid for row in existing}
    users: dict[str, dict[str, Decimal]] = {}
    for name in new:
        had = parts.get(uuids.get(name, ""), {})
        for user, amounts in by_user.items():
            if amounts[name] != had.get(user, ZERO):
                users.setdefault(name, {})[user] = amounts[name]
    return Difference(
        resource=allocation.resource,
        account=allocation.account,
        month=usage.period.month,
        old=old,
        new=new,
        users=users,
    )


def _post(control: Control, difference: Difference, measured_at: datetime) -> bool:
    """Post one resource's usage of one month, in total and by user.

    Returns:
        False if it must not be posted any more: an older server would book it to another month.
    """
    date = ""
    if control.waldur.generation is Generation.A:
        if difference.month != control.current_month().month:
            log.warning("usage_too_late", account=difference.account, month=difference.month)
            return False
    else:
        date = posting_date(difference.month, measured_at)
    if difference.changed:
        control.waldur.set_usage(difference.resource, difference.new, date)
        log.info(
            "usage_posted",
            account=difference.account,
            month=difference.month,
            **{name: str(value) for name, value in difference.new.items()},
        )
    if difference.users:
        people = control.waldur.offering_users()
        links = {user.username.strip().lower(): user.url for user in people}
        rows = control.waldur.resource_usages(difference.resource, difference.month)
        uuids = {row.type: row.uuid for row in rows}
        for name, amounts in sorted(difference.users.items()):
            if name in uuids:
                control.waldur.set_user_usage(uuids[name], amounts, links)
    return True


def posting_date(month: str, measured_at: datetime) -> str:
    """Return a moment that lies in the month for Waldur, whose months are UTC's.

    Args:
        month: `YYYY-MM`, of the billing time zone.
        measured_at: when it was measured.
    """
    moment = measured_at.astimezone(UTC)
    if f"{moment:%Y-%m}" != month:
        first = datetime.fromisoformat(f"{month}-01T12:00:00+00:00")
        last = (first + timedelta(days=32)).replace(day=1) - timedelta(days=1)
        # before the month began in UTC, or after it ended
        moment = first if moment < first else last
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}"


def _push_settings(
    control: Control,
    resource: Resource,
    allocation: AllocationState,
    measurement: Measurement,
    report: PushReport,
) -> None:
    """Post the limits and the associations of one resource."""
    try:
        if _push_limits(control, resource, allocation, measurement.measured_at):
            report.limits.append(allocation.account)
        report.associations += mirror_associations(control, resource, allocation.users)
    except WaldurRefusedError as error:
        report.refused.append(f"{allocation.account}: {error}")
        log.warning("settings_refused", account=allocation.account, reason=str(error))


def _push_limits(
    control: Control, resource: Resource, allocation: AllocationState, measured_at: datetime
) -> bool:
    """Make the cluster's limits the resource's, unless an order or a change came in between."""
    if control.limit_owner != "slurm" or resource.has_open_order or resource.state != "OK":
        return False
    if resource.modified and resource.modified > measured_at:
        return False
    changed = components.changed_limits(control.components, allocation.limits, resource.limits)
    # a limit of the cluster that is no whole unit is rounded, and told once
    limits = {name: value for name, value in changed.items() if resource.limits.get(name) != value}
    if not limits:
        return False
    control.waldur.set_limits(resource.uuid, {**resource.limits, **limits})
    log.info("limits_pushed", account=allocation.account, **limits)
    return True


def report_final(control: Control, resource: Resource, measured: tuple[PeriodUsage, ...]) -> None:
    """Post what a terminated allocation used: afterwards Waldur refuses it.

    A refusal must not keep the order open for ever; it is an error in the log.
    """
    allocation = AllocationState(
        resource=resource.uuid,
        account=names.fold_backend_id(resource.backend_id) if resource.backend_id else "",
        present=True,
        usage=measured,
    )
    for difference in differences(control, (allocation,)):
        try:
            _post(control, difference, datetime.now(UTC))
        except WaldurRefusedError as error:
            log.error(  # noqa: TRY400 - the refusal's sentence is what counts, not where it arose
                "final_usage_refused",
                resource=resource.uuid,
                month=difference.month,
                amounts={name: str(value) for name, value in difference.new.items()},
                reason=str(error),
            )
