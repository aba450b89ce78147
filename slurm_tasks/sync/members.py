"""Members: the team of each resource becomes the users of its account."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import structlog

from slurm_tasks.errors import PermanentError, WaldurError, WaldurRefusedError
from slurm_tasks.model import components, names
from slurm_tasks.model.messages import (
    Desired,
    Intent,
    Outcome,
    ReconcileReport,
    ReconcileRequest,
    Status,
)
from slurm_tasks.sync import roster
from slurm_tasks.sync.control import (
    LIVE_STATES,
    TERMINATED,
    TITLE_MAX_LEN,
    Control,
    mirror_associations,
    owner_of,
    removable_usernames,
    team_of,
    uuid_of,
)
from slurm_tasks.waldur.views import Resource

log = structlog.stdlib.get_logger(__name__)

AFTERCARE = timedelta(days=1)
"""How long a terminated resource is looked after: an account that a late message made again goes.
No message lives that long."""


def request(
    control: Control, *, intent: Intent = Intent.MEMBERS, dry_run: bool = False
) -> ReconcileRequest:
    """Say who belongs into which account, for all of the offering's resources in use.

    Those that were terminated lately have none. A resource whose team can't be read is left out
    this time; the others go on. Who is to be added is on the roster before the head node hears of
    it.

    Args:
        control: the control side.
        intent: MEMBERS for the users alone (and drifted limits, where Waldur owns them); UPDATE
            to make everything as Waldur has it, accounts that are gone included.
        dry_run: plan only.
    """
    items = []
    for resource in control.waldur.resources(LIVE_STATES):
        if not resource.backend_id or resource.has_open_order:
            continue  # its order brings it about
        try:
            item = _desired(control, resource, intent)
            if not dry_run:
                roster.write(control, resource, roster.read(resource) | {*(item.users or ())})
            items.append(item)
        except (PermanentError, WaldurRefusedError, WaldurError) as error:
            log.warning("resource_left_out", resource=resource.uuid, reason=str(error))
    items += _terminated(control)
    return ReconcileRequest(
        items=tuple(items), removable_users=removable_usernames(control), dry_run=dry_run
    )


def _desired(control: Control, resource: Resource, intent: Intent) -> Desired:
    with_limits = control.limit_owner == "waldur" or intent is Intent.UPDATE
    limits = components.order_limits(control.components, resource.limits) if with_limits else None
    users = team_of(control, resource)
    return Desired(
        intent=intent,
        resource=uuid_of(resource.uuid),
        title=resource.name[:TITLE_MAX_LEN],
        customer=owner_of(resource.customer_uuid, resource.customer_name),
        project=owner_of(resource.project_uuid, resource.project_name),
        backend_id=names.fold_backend_id(resource.backend_id),
        limits=limits,
        keep_limits=control.limit_owner == "slurm",
        paused=resource.paused,
        downscaled=resource.downscaled,
        restricted=bool(resource.restrict_member_access),
        users=users,
        former=tuple(sorted(roster.read(resource) - {*users})),
    )


def _terminated(control: Control) -> Iterator[Desired]:
    """Ask for the end of what was terminated lately; a listing's word alone ends nothing."""
    since = datetime.now(UTC) - AFTERCARE
    for listed in control.waldur.resources((TERMINATED,), since=since):
        try:
            resource = control.waldur.resource(listed.uuid)
            lately = resource.modified is not None and resource.modified >= since
            if resource.state != TERMINATED or resource.has_open_order or not lately:
                log.warning("termination_doubtful", resource=listed.uuid, state=resource.state)
                continue
            yield Desired(
                intent=Intent.TERMINATE,  # without a backend id: what isn't marked as its is left
                resource=uuid_of(resource.uuid),
                title=resource.name[:TITLE_MAX_LEN],
                customer=owner_of(resource.customer_uuid, resource.customer_name),
                project=owner_of(resource.project_uuid, resource.project_name),
            )
        except (WaldurRefusedError, WaldurError) as error:
            log.warning("resource_left_out", resource=listed.uuid, reason=str(error))


def push(control: Control, report: ReconcileReport) -> dict[str, int]:
    """Mirror the users that the accounts have now, and sum up the cycle.

    Returns:
        How many outcomes there were of each status, and how many associations changed.
    """
    summary = {status.value: 0 for status in Status}
    changed = waiting = 0
    known = {row.uuid: row for row in control.waldur.resources(LIVE_STATES)}
    for outcome in report.outcomes:
        summary[outcome.status.value] += 1
        waiting += len(outcome.waiting)
        if outcome.status is Status.APPLIED and outcome.resource in known:
            changed += _tell(control, known[outcome.resource], outcome)
    summary |= {"waiting": waiting, "writes": report.writes, "associations": changed}
    log.info("members_synced", **summary)
    return summary


def _tell(control: Control, resource: Resource, outcome: Outcome) -> int:
    """Mirror an account's users, and strike those who are gone off its roster."""
    expected = frozenset(outcome.users) | frozenset(outcome.waiting)
    roster.write(control, resource, roster.read(resource) & expected)
    try:
        return mirror_associations(control, resource, outcome.users)
    except WaldurRefusedError as error:
        log.warning("associations_refused", account=outcome.account, reason=str(error))
        return 0
