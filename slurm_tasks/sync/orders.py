"""Orders: from Waldur to what the head node is asked for, and from its outcome back to Waldur.

Every step reads before it acts, so that an order can be delivered twice, retried, or picked up
after a crash anywhere. Nothing but an explicit refusal marks an order erred.
"""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from http import HTTPStatus

import structlog

from slurm_tasks import metrics
from slurm_tasks.errors import PermanentError, TransientError, WaldurError, WaldurRefusedError
from slurm_tasks.model import components, names
from slurm_tasks.model.messages import Desired, Intent, Outcome, Status
from slurm_tasks.sync import open_orders, roster, usage
from slurm_tasks.sync.control import (
    ERRED,
    TITLE_MAX_LEN,
    Control,
    mirror_associations,
    owner_of,
    uuid_of,
)
from slurm_tasks.sync.people import People
from slurm_tasks.waldur.client import ERROR_MAX_LEN, OPEN_ORDERS, Generation
from slurm_tasks.waldur.views import OFFERING_TYPE, Order, Resource

log = structlog.stdlib.get_logger(__name__)

EXECUTING = "executing"
PENDING = "pending-provider"
DONE = "done"
UNCHANGED = "; the allocation stays as it was"
"""Ends the message of a refused Update, and tells it from one that a person has marked erred."""
MENDABLE = timedelta(days=1)
"""How long a refused order's resource is looked after."""
ALLOCATION_PATIENCE = timedelta(minutes=10)
"""How long an older server may take to make its Allocation; one that was set executing by hand
never gets one."""

_INTENTS = {
    "Create": Intent.CREATE,
    "Restore": Intent.CREATE,  # the account comes back under its backend id
    "Update": Intent.UPDATE,
    "Terminate": Intent.TERMINATE,
}


def waiting(control: Control) -> list[Order]:
    """Return the orders that wait for us, oldest first."""
    orders = control.waldur.orders()
    found = [order for order in orders if order.offering_type in {"", OFFERING_TYPE}]
    _look_at_ages(found)
    return found


def _look_at_ages(orders: list[Order]) -> None:
    """Say how long the oldest order of each type has waited."""
    now = datetime.now(UTC)
    oldest = dict.fromkeys(_INTENTS, 0.0)
    for order in orders:
        age = (now - (order.created or now)).total_seconds()
        oldest[order.type] = max(age, oldest.get(order.type, 0.0))
    for kind, age in oldest.items():
        metrics.oldest_open_order.labels(kind).set(age)
    log.info("orders_seen", open=len(orders), oldest_seconds=round(max(oldest.values())))


def prepare(control: Control, uuid: str) -> Desired | str:
    """Read an order, check it, approve it, and say what it wants on the cluster.

    Returns:
        What the head node is to do, or why there is nothing to do.

    Raises:
        WaldurError: Waldur is away; the order stays as it is.
    """
    order = control.waldur.order(uuid)
    if order.offering_uuid != control.waldur.offering_uuid:
        return f"the order belongs to another offering ({order.offering_uuid})"
    if order.state not in OPEN_ORDERS:
        return f"the order is {order.state}"
    resource = _resource_of(control, order)
    try:
        desired = _desired(control, order, resource)
    except PermanentError as error:
        refuse(control, order, str(error))
        return f"refused: {error}"
    if order.state == PENDING and not control.read_only:
        _approve(control, order, resource)
    if desired.users and not control.read_only:
        roster.announce(control, resource, desired.users)
    return desired


def _resource_of(control: Control, order: Order) -> Resource:
    if not order.marketplace_resource_uuid:
        raise WaldurError(f"order {order.uuid} names no marketplace resource")
    return control.waldur.resource(order.marketplace_resource_uuid)


def _desired(control: Control, order: Order, resource: Resource) -> Desired:
    """Translate an order.

    Raises:
        PermanentError: it can't be carried out.
    """
    intent = _INTENTS.get(order.type)
    if intent is None:
        raise PermanentError(f"orders of type {order.type[:40]!r} can't be carried out on SLURM")
    ends, begins = intent is Intent.TERMINATE, intent is Intent.CREATE
    # a terminated resource comes back with the limits that it had, if the order names none
    limits = order.limits or resource.limits if order.type == "Restore" else order.limits
    title = resource.name or order.resource_name or str(order.attributes.get("name", ""))
    return Desired(
        intent=intent,
        resource=uuid_of(resource.uuid),
        title=title[:TITLE_MAX_LEN],
        customer=owner_of(resource.customer_uuid or order.customer_uuid, resource.customer_name),
        project=owner_of(resource.project_uuid or order.project_uuid, resource.project_name),
        backend_id=names.fold_backend_id(resource.backend_id) if resource.backend_id else "",
        limits=None if ends else components.order_limits(control.components, limits, new=begins),
        users=People(control).team_of(resource) if begins else None,
        paused=None if ends else bool(resource.paused),
        downscaled=None if ends else resource.downscaled,
        order=uuid_of(order.uuid),
        periods=usage.final_months(control) if ends else (),
        billed=frozenset(control.components) if ends else frozenset(),
    )


def _approve(control: Control, order: Order, resource: Resource) -> None:
    """Approve an order that waits.

    An older server errs an Update whose Allocation was left in another state than OK, as it is
    when the worker died right after the order before.
    """
    if order.type == "Update" and control.waldur.generation is Generation.A:
        _on_allocation(control, order, lambda: _set_ok(control, resource))
    _move(control, order, control.waldur.approve, EXECUTING)


def _move(control: Control, order: Order, action: Callable[[str], None], state: str) -> None:
    """Move an order to a state; a conflict means that somebody else was faster: look again.

    Raises:
        TransientError: it went elsewhere.
    """
    try:
        action(order.uuid)
    except WaldurRefusedError as error:
        if error.status != HTTPStatus.CONFLICT:
            raise
        found = control.waldur.order(order.uuid).state
        if found != state:
            raise TransientError(f"order {order.uuid} went to {found} meanwhile") from error


def _set_ok(control: Control, resource: Resource) -> None:
    control.waldur.set_allocation_state(resource.uuid, "ok")


def refuse(control: Control, order: Order, message: str) -> None:
    """Mark an order erred with a message for its customer, unless it has ended meanwhile.

    A refused Update leaves the resource as it was, so it is brought back to OK: its usage is
    still to be reported.
    """
    state = control.waldur.order(order.uuid).state
    if state not in OPEN_ORDERS or control.read_only:
        log.warning("order_left_alone", order=order.uuid, state=state, message=message)
        return
    if state == PENDING:
        control.waldur.set_order_executing(order.uuid)
    ending = UNCHANGED if order.type == "Update" else ""
    control.waldur.set_order_erred(order.uuid, message[: ERROR_MAX_LEN - len(ending)] + ending)
    metrics.orders.labels(order.type, "erred").inc()
    log.error("order_erred", order=order.uuid, type=order.type, message=message)
    if order.type == "Update":
        _bring_back(control, order)


def _bring_back(control: Control, order: Order) -> None:
    try:
        control.waldur.set_resource_ok(order.marketplace_resource_uuid)
    except WaldurRefusedError as error:
        log.warning("resource_left_erred", order=order.uuid, reason=str(error))


def mend(control: Control) -> None:
    """Bring resources back to OK that a refused Update left erred, as its process has died."""
    if control.read_only:
        return
    resources = control.waldur.resources((ERRED,))
    ordered = open_orders.by_resource(control) if resources else {}
    erred = {row.uuid for row in resources} - ordered.keys()
    if not erred:
        return
    orders = control.waldur.orders(("erred",), since=datetime.now(UTC) - MENDABLE)
    last = {order.marketplace_resource_uuid: order for order in orders}
    for resource in erred & set(last):
        order = last[resource]
        if order.type == "Update" and order.error_message.endswith(UNCHANGED):
            _bring_back(control, order)


def complete(control: Control, outcome: Outcome) -> str:
    """Tell Waldur what became of an order.

    Returns:
        A sentence for the log and for who waits at the shell.

    Raises:
        WaldurError: Waldur is away; the order is picked up again.
        TransientError: an older server isn't ready yet.
    """
    if outcome.order is None:
        raise ValueError("an outcome without an order can't complete one")
    order = control.waldur.order(outcome.order)
    if order.state != EXECUTING:
        if outcome.changes:  # somebody else has ended it while this was on its way
            log.warning("order_ended_meanwhile", order=order.uuid, state=order.state)
        return f"the order is {order.state}; {outcome.status}: {outcome.message or 'no message'}"
    if outcome.status is Status.REFUSED:
        refuse(control, order, outcome.message)
        return f"erred: {outcome.message}"
    if outcome.status is not Status.APPLIED:
        metrics.orders.labels(order.type, "waiting").inc()
        log.warning("order_waits", order=order.uuid, status=outcome.status, reason=outcome.message)
        return f"{outcome.status}: {outcome.message or 'nothing was written'}"
    resource = _resource_of(control, order)
    if order.type == "Terminate":
        usage.report_final(control, resource, outcome.usage)
        roster.settle(control, resource, (), {})
        mirror_associations(control, resource, ())
        _move(control, order, control.waldur.set_order_done, DONE)
    else:
        _hand_over(control, order, resource, outcome)
    metrics.orders.labels(order.type, "done").inc()
    log.info("order_done", order=order.uuid, type=order.type, account=outcome.account)
    return f"done: {outcome.account}"


def _hand_over(control: Control, order: Order, resource: Resource, outcome: Outcome) -> None:
    """Give Waldur the account's name and limits, end the order, mirror the users."""
    older = control.waldur.generation is Generation.A
    if resource.backend_id != outcome.account or (older and order.type == "Create"):
        _on_allocation(
            control, order, lambda: control.waldur.set_backend_id(resource.uuid, outcome.account)
        )
    if older:  # before `done`: afterwards nobody would come back to an order that was cut off
        _on_allocation(control, order, lambda: _set_ok(control, resource))
    _move(control, order, control.waldur.set_order_done, DONE)
    resource = control.waldur.resource(resource.uuid)
    # done made the order's limits those of the resource; what the cluster has may still differ
    limits = components.changed_limits(control.components, outcome.limits, resource.limits)
    if limits:
        control.waldur.set_limits(resource.uuid, {**resource.limits, **limits})
    roster.settle(control, resource, outcome.users, outcome.waiting)
    mirror_associations(control, resource, outcome.users)


def _on_allocation(control: Control, order: Order, action: Callable[[], None]) -> None:
    """Do something to an older server's Allocation, which it makes a moment after the approval.

    Raises:
        TransientError: it isn't there yet; come back.
    """
    try:
        action()
    except WaldurRefusedError as error:
        if error.status != HTTPStatus.NOT_FOUND or control.waldur.generation is Generation.B:
            raise
        age = datetime.now(UTC) - (order.modified or datetime.now(UTC))
        if age < ALLOCATION_PATIENCE:
            raise TransientError(f"Waldur has no Allocation for order {order.uuid} yet") from error
        log.warning("allocation_missing", order=order.uuid, reason=str(error))
