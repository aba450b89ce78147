"""Orders: from Waldur to what the head node is asked for, and from its outcome back to Waldur.

Every step reads before it acts, so that an order can be delivered twice, retried, or picked up
after a crash anywhere. Nothing but an explicit refusal marks an order erred.
"""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from http import HTTPStatus

import structlog

from slurm_tasks import metrics
from slurm_tasks.errors import (
    OrderStuckError,
    PermanentError,
    TransientError,
    WaldurError,
    WaldurRefusedError,
)
from slurm_tasks.model import components, names
from slurm_tasks.model.messages import Desired, Intent, Outcome, Status
from slurm_tasks.sync import limits, processing, roster, usage
from slurm_tasks.sync.control import (
    TITLE_MAX_LEN,
    Control,
    mirror_associations,
    owner_of,
    uuid_of,
)
from slurm_tasks.sync.mending import UNCHANGED, bring_back
from slurm_tasks.sync.people import People
from slurm_tasks.waldur.client import ERROR_MAX_LEN, OPEN_ORDERS, Generation
from slurm_tasks.waldur.transport import ServerFaultError
from slurm_tasks.waldur.views import OFFERING_TYPE, Order, Resource

log = structlog.stdlib.get_logger(__name__)

EXECUTING = "executing"
PENDING = "pending-provider"
DONE = "done"
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
    if not control.read_only:
        if order.state == PENDING:
            _approve(control, order, resource)
            order = control.waldur.order(order.uuid)
            if order.state != EXECUTING:  # its start date may be to come
                return f"the order is {order.state}"
            resource = _resource_of(control, order)
        processing.require(control, order, resource)
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
    ordered = order.limits or resource.limits if order.type == "Restore" else order.limits
    title = resource.name or order.resource_name or str(order.attributes.get("name", ""))
    return Desired(
        intent=intent,
        resource=uuid_of(resource.uuid),
        title=title[:TITLE_MAX_LEN],
        customer=owner_of(resource.customer_uuid or order.customer_uuid, resource.customer_name),
        project=owner_of(resource.project_uuid or order.project_uuid, resource.project_name),
        backend_id=names.fold_backend_id(resource.backend_id) if resource.backend_id else "",
        limits=None if ends else _ordered_limits(control, ordered, new=begins),
        users=People(control).team_of(resource) if begins else None,
        paused=None if ends else bool(resource.paused),
        downscaled=None if ends else resource.downscaled,
        order=uuid_of(order.uuid),
        periods=usage.final_months(control) if ends else (),
        billed=frozenset(control.components) if ends else frozenset(),
    )


def _ordered_limits(
    control: Control, ordered: Mapping[str, object], *, new: bool
) -> dict[str, int]:
    """Translate an order's limits to TRES-minutes; those of components that aren't ours are left.

    Raises:
        PermanentError: naming every limit that can't be.
    """
    foreign = {name for name in ordered if name.lower() not in control.components}
    offered = {row.type for row in control.waldur.offering().components} if foreign else set()
    ours = {name: value for name, value in ordered.items() if name not in foreign & offered}
    return components.order_limits(control.components, ours, new=new, ordered=True)


def _approve(control: Control, order: Order, resource: Resource) -> None:
    """Approve an order that waits.

    An older server errs an Update whose Allocation was left in another state than OK, as it is
    when the worker died right after the order before.
    """
    if order.type == "Update" and control.waldur.generation is Generation.A:
        try:
            _set_ok(control, resource)
        except WaldurRefusedError as error:
            if error.status != HTTPStatus.NOT_FOUND:
                raise
            log.warning("allocation_missing", order=order.uuid, reason=str(error))
    _move(control, order, control.waldur.approve, EXECUTING)


def _move(control: Control, order: Order, action: Callable[[str], None], state: str) -> None:
    """Move an order to a state; a conflict means that somebody else was faster: look again.

    Raises:
        TransientError: it went elsewhere.
    """
    try:
        action(order.uuid)
    except ServerFaultError as error:
        advice = _advice(control, order, state)
        raise OrderStuckError(f"{error}{advice}", order.type) from error
    except WaldurRefusedError as error:
        if error.status != HTTPStatus.CONFLICT:
            raise
        found = control.waldur.order(order.uuid).state
        if found != state:
            raise TransientError(f"order {order.uuid} went to {found} meanwhile") from error


def _advice(control: Control, order: Order, state: str) -> str:
    """Say what helps when Waldur's code fails on an order, as far as it is known."""
    if order.type != "Update" or state != DONE or control.waldur.generation is Generation.B:
        return ""
    offering = control.waldur.offering()
    lacking = {
        name
        for plan in offering.plans
        if not plan.archived
        for name in order.limits
        if name not in plan.prices
    }
    if not lacking:
        return ""
    return (
        f". Give {', '.join(sorted(lacking))} a price in the offering's plan, 0 if it costs nothing"
    )


def tell_stuck(order: str, error: OrderStuckError, **fields: object) -> None:
    """Tell the log and the metrics that an order can't go on by itself."""
    metrics.orders.labels(error.kind, "stuck").inc()
    log.error("order_stuck", order=order, reason=str(error), **fields)


def _set_ok(control: Control, resource: Resource) -> None:
    control.waldur.set_allocation_state(resource.uuid, "ok")


def refuse(control: Control, order: Order, message: str) -> None:
    """Mark an order erred with a message for its customer, unless it has ended meanwhile.

    A refused Update leaves the resource as it was, so it is brought back to OK: its usage is
    still to be reported.

    Raises:
        TransientError: an older server isn't ready yet.
    """
    state = control.waldur.order(order.uuid).state
    if state not in OPEN_ORDERS or control.read_only:
        log.warning("order_left_alone", order=order.uuid, state=state, message=message)
        return
    _take_up(control, order, state)
    ending = UNCHANGED if order.type == "Update" else ""
    control.waldur.set_order_erred(order.uuid, message[: ERROR_MAX_LEN - len(ending)] + ending)
    metrics.orders.labels(order.type, "erred").inc()
    log.error("order_erred", order=order.uuid, type=order.type, message=message)
    if order.type == "Update":
        bring_back(control, order.marketplace_resource_uuid, order.uuid)


def _take_up(control: Control, order: Order, state: str) -> None:
    """Let an order be executing, only to err it.

    An older server answers 500 for ever if it is to err a Terminate whose resource is OK, as it is
    without the server's own processing (measured). Any other order needs none.
    """
    if order.type != "Terminate" or control.waldur.generation is Generation.B:
        if state == PENDING:
            control.waldur.set_order_executing(order.uuid)
        return
    if state == PENDING:
        _move(control, order, control.waldur.approve, EXECUTING)
    order = control.waldur.order(order.uuid)
    processing.require(control, order, _resource_of(control, order))


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
        usage.report_final(control, resource, outcome.usage, outcome.unconfirmed)
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
    limits.push(control, resource, outcome.limits)
    roster.settle(control, resource, outcome.users, outcome.waiting)
    mirror_associations(control, resource, outcome.users)
    if order.type == "Restore" and (state := control.waldur.order(order.uuid).state) != DONE:
        raise OrderStuckError(
            f"Waldur answered that the Restore order {order.uuid} is done, and left it {state}: its"
            " version can't end such orders, though the allocation is there. End the order in"
            " Waldur's administration",
            order.type,
        )


def _on_allocation(control: Control, order: Order, action: Callable[[], None]) -> None:
    """Do something to an older server's Allocation.

    Raises:
        OrderStuckError: there is none.
    """
    try:
        action()
    except WaldurRefusedError as error:
        if error.status != HTTPStatus.NOT_FOUND or control.waldur.generation is Generation.B:
            raise
        if not order.error_message:
            text = f"Waldur has no Allocation for order {order.uuid}"
            raise OrderStuckError(text, order.type) from error
        # one that was set executing again past its approval never gets one
        log.warning("allocation_missing", order=order.uuid, reason=str(error))
