"""Usage, limits and associations: from the cluster to Waldur, differences only."""

from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any

import structlog

from slurm_tasks.errors import PermanentError, WaldurRefusedError
from slurm_tasks.model import components, names
from slurm_tasks.model.messages import AllocationState, CollectRequest, Measurement
from slurm_tasks.model.usage import Period, PeriodUsage
from slurm_tasks.sync.control import BILLED_STATES, Control, mirror_associations
from slurm_tasks.sync.differences import Difference, differences
from slurm_tasks.sync.posting import post
from slurm_tasks.waldur.client import Generation
from slurm_tasks.waldur.views import Resource

log = structlog.stdlib.get_logger(__name__)


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
            "posted": [difference.dump() for difference in self.posted],
        }


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
    for resource in control.waldur.resources(BILLED_STATES):
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
    found = differences(control, tuple(present))
    if dry_run:
        report.posted = found
    else:
        report.posted, refused = post(control, found, measurement.measured_at)
        for difference, reason in refused:
            report.refused.append(f"{difference.account} {difference.month}: {reason}")
            log.warning(
                "usage_refused",
                account=difference.account,
                month=difference.month,
                reason=reason,
            )
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
    limits = components.changed_limits(control.components, allocation.limits, resource.limits)
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
    _, refused = post(control, differences(control, (allocation,)), datetime.now(UTC))
    for difference, reason in refused:
        log.error("final_usage_refused", resource=resource.uuid, reason=reason, **difference.dump())
