"""The life of an order: who may move it from which state, and what that does to the resource."""

from datetime import datetime

from slurm_tasks.demo.waldur import allocations, order_states, prices
from slurm_tasks.demo.waldur.database import Database
from slurm_tasks.demo.waldur.offering_users import make_offering_users
from slurm_tasks.demo.waldur.order_states import move, set_resource
from slurm_tasks.demo.waldur.records import (
    Order,
    OrderState,
    OrderType,
    PlanPeriod,
    Resource,
    ResourceState,
)
from slurm_tasks.demo.waldur.refusals import (
    RefusedError,
    bad_state,
    invalid_list,
    required,
    server_error,
)
from slurm_tasks.demo.waldur.values import Json, User, new_uuid
from slurm_tasks.demo.waldur.versions import Feature


def place(
    db: Database,
    type_: OrderType,
    resource: Resource,
    *,
    created_by: User,
    state: OrderState,
    limits: Json,
    attributes: Json,
) -> Order:
    """Place an order; one that starts in pending-provider counts as approved by its author."""
    now = db.now()
    order = Order(
        uuid=new_uuid(),
        type=type_,
        state=state,
        resource=resource,
        limits=dict(limits),
        attributes=attributes,
        created=now,
        modified=now,
        created_by=created_by,
    )
    if state == OrderState.PENDING_PROVIDER:
        _review_by_consumer(order, created_by, now)
    order_states.follow_new(db, order)
    db.add_order(order)
    return order


def place_create(
    db: Database,
    *,
    project_uuid: str,
    attributes: Json,
    limits: Json,
    created_by: User,
    state: OrderState,
) -> Order:
    """Place a Create order together with the resource that it is to become.

    One without a name is taken, and erred by GEN-A when it is processed.

    Raises:
        RefusedError: 400 for a limit above a component's maximum.
    """
    check_limits(db, limits)
    now = db.now()
    resource = Resource(
        uuid=new_uuid(),
        name=str(attributes.get("name", "")),
        project_uuid=project_uuid,
        created=now,
        modified=now,
        limits=dict(limits),
        attributes=attributes,
    )
    db.resources[resource.uuid] = resource
    return place(
        db,
        OrderType.CREATE,
        resource,
        created_by=created_by,
        state=state,
        limits=limits,
        attributes=attributes,
    )


def place_update(
    db: Database, resource: Resource, limits: Json, *, created_by: User, state: OrderState
) -> Order:
    """Place an Update order.

    Raises:
        RefusedError: 409 for a resource that is not OK; 400 where nothing would change, while
            another order is on its way, or for limits of what is not limited.
    """
    if resource.state != ResourceState.OK:
        raise bad_state(ResourceState.OK)
    if limits == resource.limits:
        raise invalid_list(
            "Impossible to create update orders with limits set to exactly the same."
        )
    _refuse_second(db, resource)
    unknown = unlimited_types(db, limits)
    if unknown:
        raise RefusedError(400, {"limits": f"Invalid types: {', '.join(unknown)}"})
    check_limits(db, limits)
    return place(
        db,
        OrderType.UPDATE,
        resource,
        created_by=created_by,
        state=state,
        limits=limits,
        attributes={"old_limits": dict(resource.limits)},
    )


def place_terminate(
    db: Database, resource: Resource, attributes: Json, *, created_by: User, state: OrderState
) -> Order:
    """Place a Terminate order.

    Raises:
        RefusedError: 409 for a resource that cannot end, 400 while another order is on its way.
    """
    if resource.state not in (ResourceState.OK, ResourceState.ERRED):
        raise bad_state(ResourceState.OK, ResourceState.ERRED)
    _refuse_second(db, resource)
    return place(
        db,
        OrderType.TERMINATE,
        resource,
        created_by=created_by,
        state=state,
        limits={},
        attributes=attributes,
    )


def place_restore(
    db: Database, resource: Resource, *, created_by: User, state: OrderState
) -> Order:
    """Place a Restore order of a terminated resource.

    Raises:
        RefusedError: 409 for a resource that is not terminated.
    """
    if resource.state != ResourceState.TERMINATED:
        raise bad_state(ResourceState.TERMINATED)
    _refuse_second(db, resource)
    return place(
        db,
        OrderType.RESTORE,
        resource,
        created_by=created_by,
        state=state,
        limits=resource.limits,
        attributes=dict(resource.attributes),
    )


def unlimited_types(db: Database, limits: Json) -> list[str]:
    """Return the types among limits that are no limit-based component of the offering."""
    known = {c.spec.type for c in db.components.values() if c.spec.billing_type == "limit"}
    return [type_ for type_ in limits if type_ not in known]


def check_limits(db: Database, limits: Json) -> None:
    """Refuse a limit above the component's maximum.

    Raises:
        RefusedError: 400, with a bare list as its body.
    """
    for type_, limit in limits.items():
        component = db.component(type_)
        maximum = component.spec.max_value if component else None
        if maximum is not None and limit > maximum:
            raise invalid_list(f"The limit {limit} value cannot be more than {maximum}.")


def approve_by_consumer(db: Database, order: Order, user: User) -> None:
    """Move an order from pending-consumer to pending-provider."""
    _require(order, OrderState.PENDING_CONSUMER)
    _review_by_consumer(order, user, db.now())
    move(db, order, OrderState.PENDING_PROVIDER)


def approve_by_provider(db: Database, order: Order, user: User) -> None:
    """Start an order, now or on its day; the server's Celery processes it a little later."""
    _require(order, OrderState.PENDING_PROVIDER)
    order.provider_reviewed_by = user
    order.provider_reviewed_at = db.now()
    if order_states.waits_for_its_day(db, order):
        move(db, order, OrderState.PENDING_START_DATE)
    else:
        start(db, order)


def start(db: Database, order: Order) -> None:
    """Let an approved order be executed."""
    move(db, order, OrderState.EXECUTING)
    before = order.resource.report
    db.schedule(lambda: _process(db, order, before))


def reject_by_provider(db: Database, order: Order, user: User) -> None:
    """Refuse an order; a resource that was never made is terminated with it."""
    _require(order, OrderState.PENDING_PROVIDER)
    order.provider_reviewed_by = user
    order.provider_reviewed_at = db.now()
    move(db, order, OrderState.REJECTED)
    order_states.follow_refused(db, order)


def cancel(db: Database, order: Order) -> None:
    """Take an order back before it begins, as Waldur's pages let its customer."""
    _require(
        order,
        OrderState.PENDING_CONSUMER,
        OrderState.PENDING_PROVIDER,
        OrderState.PENDING_PROJECT,
        OrderState.PENDING_START_DATE,
    )
    move(db, order, OrderState.CANCELED)
    order_states.follow_refused(db, order)


def retry(db: Database, order: Order) -> None:
    """Let a failed order be carried out again."""
    _require(order, OrderState.ERRED)
    move(db, order, OrderState.EXECUTING)
    set_resource(db, order.resource, order_states.IN_PROGRESS[order.type])


def start_due(db: Database) -> None:
    """Start the orders whose day has come, as the server does by itself."""
    for order in db.orders.values():
        if order.state == OrderState.PENDING_START_DATE and not order_states.waits_for_its_day(
            db, order
        ):
            start(db, order)


def set_executing(db: Database, order: Order) -> None:
    """Move an order to executing without its processing: no Allocation is ever made here."""
    _require(order, OrderState.PENDING_CONSUMER, OrderState.PENDING_PROVIDER, OrderState.ERRED)
    move(db, order, OrderState.EXECUTING)


def set_done(db: Database, order: Order) -> None:
    """Complete an order: only now the resource gets the limits that were ordered.

    Raises:
        RefusedError: 409 for an order that isn't executing, and what `check_done` does.
    """
    _require(order, OrderState.EXECUTING)
    if order_states.ends_nothing(db, order):
        return
    check_done(db, order)
    move(db, order, OrderState.DONE)
    order.completed_at = db.now()
    resource = order.resource
    if order.type == OrderType.TERMINATE:
        set_resource(db, resource, ResourceState.TERMINATED)
        _close_plan_period(db, resource)
        return
    resource.limits = dict(order.limits or resource.limits)
    resource.error_message = resource.error_traceback = ""
    set_resource(db, resource, ResourceState.OK)
    if order.type in (OrderType.CREATE, OrderType.RESTORE):
        _open_plan_period(db, resource)
        _make_offering_users(db, resource)


def set_erred(db: Database, order: Order, body: Json) -> None:
    """Fail an order, whatever state it is in: one that is done, too.

    Raises:
        RefusedError: without both texts 500 on GEN-A, 400 on GEN-B; and what `check_failed` does.
    """
    for field in ("error_message", "error_traceback"):
        if field not in body:
            raise server_error() if db.generation == "a" else required(field)
    if order_states.ends_nothing(db, order):
        return
    order_states.check_failed(db, order)
    order.error_message = str(body.get("error_message", ""))
    order.error_traceback = str(body.get("error_traceback", ""))
    # On GEN-A only an executing order changes its state, the text and the resource always do.
    if order.state == OrderState.EXECUTING or db.generation == "b":
        move(db, order, OrderState.ERRED)
    order_states.follow_failed(db, order)


def _make_offering_users(db: Database, resource: Resource) -> None:
    if db.has(Feature.LATE_OFFERING_USERS):
        db.schedule(lambda: make_offering_users(db, resource))
    else:
        make_offering_users(db, resource)


def check_done(db: Database, order: Order) -> None:
    """Refuse the end of an update whose limits GEN-A cannot bill or tell of.

    Raises:
        RefusedError: 500; nothing has changed then.
    """
    if order.type == OrderType.UPDATE and order.limits:
        prices.check_told_limits(db, order.resource.limits, order.limits)
        prices.check_new_limits(db, order.limits)


def _process(db: Database, order: Order, report: list[Json] | None) -> None:
    """Do what the server's `process_order` does after an approval.

    On GEN-A it saves the whole resource of a Create as it read it. A report that was posted since
    the approval is lost by that (in six of seven recorded cases, unless the worker came late).
    """
    if db.generation == "a":
        _process_older(db, order)
        made = order.type == OrderType.CREATE and order.resource.allocation is not None
        if made and not db.worker_is_late:
            order.resource.report = report
    else:
        order_states.follow_approved(db, order)


def _process_older(db: Database, order: Order) -> None:
    """Process an order as GEN-A does: without a look whether it has ended meanwhile.

    So a worker that comes late leaves the resource Updating or Terminating for ever.
    """
    resource = order.resource
    if order.type == OrderType.CREATE and "name" not in order.attributes:
        _fail_processing(db, order, "'name'")
        set_resource(db, resource, ResourceState.ERRED)
    elif order.type == OrderType.CREATE:
        allocations.create(db, resource)
    elif order.type == OrderType.UPDATE:
        try:
            allocations.schedule_update(db, resource)
        except allocations.UpdateImpossibleError as error:
            _fail_processing(db, order, str(error))
            return
        set_resource(db, resource, ResourceState.UPDATING)
    else:
        set_resource(db, resource, order_states.IN_PROGRESS[order.type])


def _fail_processing(db: Database, order: Order, message: str) -> None:
    order.error_message = message
    move(db, order, OrderState.ERRED)


def _require(order: Order, *states: OrderState) -> None:
    if order.state not in states:
        raise bad_state(*states)


def _refuse_second(db: Database, resource: Resource) -> None:
    if order_states.pending_orders(db, resource):
        raise invalid_list("Pending order for resource already exists.")


def _review_by_consumer(order: Order, user: User, now: datetime) -> None:
    order.consumer_reviewed_by = user
    order.consumer_reviewed_at = now


def _open_plan_period(db: Database, resource: Resource) -> None:
    if not any(period.end is None for period in resource.plan_periods):
        resource.plan_periods.append(PlanPeriod(new_uuid(), resource.uuid, db.now()))


def _close_plan_period(db: Database, resource: Resource) -> None:
    for period in resource.plan_periods:
        period.end = period.end or db.now()
