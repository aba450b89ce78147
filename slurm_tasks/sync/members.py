"""Members: the team of each resource becomes the users of its account."""

from collections.abc import Container, Iterator
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
from slurm_tasks.sync import erred, mending, open_orders, roster
from slurm_tasks.sync.control import (
    ERRED,
    LIVE_STATES,
    PRESENT_STATES,
    TERMINATED,
    TITLE_MAX_LEN,
    Control,
    mirror_associations,
    owner_of,
    uuid_of,
)
from slurm_tasks.sync.people import People
from slurm_tasks.waldur.client import Generation
from slurm_tasks.waldur.views import Resource

log = structlog.stdlib.get_logger(__name__)

AFTERCARE = timedelta(days=1)
"""How long a terminated resource is looked after: an account that a late message made again goes.
No message lives that long."""


def request(
    control: Control, *, intent: Intent = Intent.MEMBERS, dry_run: bool = False
) -> ReconcileRequest:
    """Say who belongs into which account, for all resources that Waldur still has.

    Those that were terminated lately have none. A resource whose order is open only loses those
    who have left. One whose team can't be read is left out this time; the others go on. Who is to
    be added stands in the resource's report before the head node hears of it.

    Args:
        control: the control side.
        intent: MEMBERS for the users alone (and drifted limits, where Waldur owns them); UPDATE
            to make everything as Waldur has it, accounts that are gone included.
        dry_run: plan only.
    """
    before = open_orders.by_resource(control)
    people = People(control)
    items = []
    for resource in control.waldur.resources(present_states(control)):
        if roster.is_ending(resource):  # the process that released it has died
            if resource.uuid not in before and not dry_run:
                mending.terminate_again(control, resource)
            continue
        if not resource.backend_id:
            continue
        try:
            item = _desired(control, resource, intent, people)
            if not dry_run and resource.uuid not in before:
                roster.announce(control, resource, frozenset(item.users or ()))
            items.append(item)
        except (PermanentError, WaldurRefusedError, WaldurError) as error:
            log.warning("resource_left_out", resource=resource.uuid, reason=str(error))
    # teams take a while to read: what was ordered meanwhile must not be undone by this message
    ordered = {**before, **open_orders.by_resource(control)}
    items = [
        item if item.resource not in ordered else _without_additions(item)
        for item in items
        if ordered.get(item.resource) != "Terminate"  # which removes everybody
    ]
    items += _terminated(control, ordered)
    return ReconcileRequest(
        items=tuple(items), removable_users=people.usernames, dry_run=dry_run, tidy=True
    )


def present_states(control: Control) -> tuple[str, ...]:
    """Return the states of the resources that are kept in step.

    On an older server a resource is Terminating while its order is carried out, and at no other
    time; a newer one has it so from the moment of the order, which may wait for a person.
    """
    if control.waldur.generation is Generation.B:
        return PRESENT_STATES
    return tuple(state for state in PRESENT_STATES if state != "Terminating")


def _without_additions(item: Desired) -> Desired:
    """Ask for the removal of leavers alone: all else is up to the order that is open."""
    return item.model_copy(
        update={
            "intent": Intent.MEMBERS,
            "limits": None,
            "paused": None,
            "downscaled": None,
            "adds_users": False,
        }
    )


def _desired(control: Control, resource: Resource, intent: Intent, people: People) -> Desired:
    if resource.state not in LIVE_STATES:
        intent = Intent.MEMBERS  # the account of one that ends or has failed isn't made again
    with_limits = control.limit_owner == "waldur" or intent is Intent.UPDATE
    limits = components.order_limits(control.components, resource.limits) if with_limits else None
    users = people.team_of(resource)
    return Desired(
        intent=intent,
        resource=uuid_of(resource.uuid),
        title=resource.name[:TITLE_MAX_LEN],
        customer=owner_of(resource.customer_uuid, resource.customer_name),
        project=owner_of(resource.project_uuid, resource.project_name),
        backend_id=names.fold_backend_id(resource.backend_id),
        limits=limits,
        keep_limits=control.limit_owner == "slurm",
        configured=frozenset(
            name
            for name, component in control.components.items()
            if component.accounting_type == "usage"
        ),
        paused=resource.paused,
        downscaled=resource.downscaled,
        restricted=bool(resource.restrict_member_access),
        users=users,
        former=tuple(sorted(names.other_usernames(roster.read(resource), users))),
    )


def _terminated(control: Control, ordered: Container[str]) -> Iterator[Desired]:
    """Ask for the end of what was terminated lately; a listing's word alone ends nothing."""
    since = datetime.now(UTC) - AFTERCARE
    for listed in control.waldur.resources((TERMINATED,), since=since):
        try:
            resource = control.waldur.resource(listed.uuid)
            lately = resource.modified is not None and resource.modified >= since
            if resource.state != TERMINATED or resource.uuid in ordered or not lately:
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
    """Tell Waldur who is in the accounts now, bring Erred resources back, and sum up the cycle.

    Returns:
        How many outcomes there were of each status, and how many associations changed.
    """
    summary = {status.value: 0 for status in Status}
    changed = waiting = 0
    known = {row.uuid: row for row in control.waldur.resources(PRESENT_STATES)}
    sound = []
    for outcome in report.outcomes:
        summary[outcome.status.value] += 1
        waiting += len(outcome.waiting)
        if outcome.status is Status.APPLIED and outcome.resource in known:
            resource = known[outcome.resource]
            changed += _tell(control, resource, outcome)
            sound += [resource] if resource.state == ERRED else []
    erred.bring_back(control, sound)
    summary |= {"waiting": waiting, "writes": report.writes, "associations": changed}
    log.info("members_synced", **summary)
    return summary


def _tell(control: Control, resource: Resource, outcome: Outcome) -> int:
    """Mirror an account's users, and name in the report who is in it and who waits."""
    roster.settle(control, resource, outcome.users, outcome.waiting)
    try:
        return mirror_associations(control, resource, outcome.users)
    except WaldurRefusedError as error:
        log.warning("associations_refused", account=outcome.account, reason=str(error))
        return 0
