"""Mending: resources that an order which has ended left in a state that nothing leads out of."""

from datetime import UTC, datetime, timedelta

import structlog

from slurm_tasks import metrics
from slurm_tasks.errors import WaldurRefusedError
from slurm_tasks.sync import open_orders, roster
from slurm_tasks.sync.control import ERRED, Control
from slurm_tasks.waldur.client import Generation
from slurm_tasks.waldur.views import Resource

log = structlog.stdlib.get_logger(__name__)

UNCHANGED = "; the allocation stays as it was"
"""Ends the message of a refused Update, and tells it from one that a person has marked erred."""
MENDABLE = timedelta(days=1)
"""How long a refused order's resource is looked after."""
SETTLED = timedelta(minutes=10)
"""How long a resource must have been as it is before it counts as stuck."""
MOST = 20
"""Resources that are released at one look: each takes up to five requests."""
UPDATING, TERMINATING = "Updating", "Terminating"


def mend(control: Control) -> None:
    """Look after resources that no open order leads on.

    One that a refused Update left Erred, as its process has died, is brought back to OK. One that
    a late worker of an older Waldur left Updating or Terminating is released.

    Raises:
        WaldurError: Waldur is away.
    """
    if control.read_only:
        return
    older = control.waldur.generation is Generation.A
    states = (ERRED, UPDATING, TERMINATING) if older else (ERRED,)
    resources = control.waldur.resources(states)
    if not resources:
        return
    ordered = open_orders.not_ended(control)
    left = [resource for resource in resources if resource.uuid not in ordered]
    _bring_back_refused(control, {row.uuid for row in left if row.state == ERRED})
    stuck = [row for row in left if row.state != ERRED and _is_settled(row)]
    for resource in stuck[:MOST]:
        _release(control, resource)


def bring_back(control: Control, resource: str, order: str) -> None:
    """Bring a resource back to OK whose Update was refused: its usage is still to be reported."""
    try:
        control.waldur.set_resource_ok(resource)
    except WaldurRefusedError as error:
        log.warning("resource_left_erred", order=order, reason=str(error))


def _bring_back_refused(control: Control, erred: set[str]) -> None:
    if not erred:
        return
    orders = control.waldur.orders(("erred",), since=datetime.now(UTC) - MENDABLE)
    last = {order.marketplace_resource_uuid: order for order in orders}
    for resource in erred & set(last):
        order = last[resource]
        if order.type == "Update" and order.error_message.endswith(UNCHANGED):
            bring_back(control, resource, order.uuid)


def _is_settled(resource: Resource) -> bool:
    return bool(resource.modified and resource.modified < datetime.now(UTC) - SETTLED)


def _release(control: Control, listed: Resource) -> None:
    """Lead a resource out of Updating or Terminating, as measured on a real server."""
    try:
        resource = control.waldur.resource(listed.uuid)  # a listing's word alone changes nothing
        if resource.state != listed.state or not _is_settled(resource):
            return
        if resource.state == TERMINATING:
            roster.mark_ending(control, resource)  # or a crash would leave it OK for ever
        control.waldur.set_resource_ok(resource.uuid)
        metrics.resources_released.labels(resource.state).inc()
        log.warning("resource_released", resource=resource.uuid, state=resource.state)
        if resource.state == TERMINATING:
            terminate_again(control, resource)
    except WaldurRefusedError as error:
        log.warning("resource_stuck", resource=listed.uuid, state=listed.state, reason=str(error))


def terminate_again(control: Control, resource: Resource) -> None:
    """Order the end of a resource once more: only a new order leads to Terminated."""
    try:
        control.waldur.terminate(resource.uuid)
    except WaldurRefusedError as error:
        log.warning("termination_refused", resource=resource.uuid, reason=str(error))
    else:
        log.warning("termination_ordered_again", resource=resource.uuid)
