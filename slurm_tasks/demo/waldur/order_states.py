"""States of orders and resources, and how those of generation B follow each other."""

from slurm_tasks.demo.waldur.database import Database
from slurm_tasks.demo.waldur.records import Order, OrderState, OrderType, Resource, ResourceState
from slurm_tasks.demo.waldur.refusals import server_error
from slurm_tasks.demo.waldur.versions import Feature

IN_PROGRESS = {
    OrderType.CREATE: ResourceState.CREATING,
    OrderType.UPDATE: ResourceState.UPDATING,
    OrderType.TERMINATE: ResourceState.TERMINATING,
    OrderType.RESTORE: ResourceState.CREATING,
}
"""The resource's state while an order of a type is carried out."""

RECOVERABLE = (
    ResourceState.ERRED,
    ResourceState.CREATING,
    ResourceState.UPDATING,
    ResourceState.TERMINATING,
)
"""States that GEN-A can bring back to OK."""

_ENDING = (ResourceState.TERMINATING,)
_ENDING_TYPES = (OrderType.UPDATE, OrderType.TERMINATE)


def move(db: Database, order: Order, state: OrderState) -> None:
    """Give an order another state."""
    order.state = state
    order.modified = db.now()


def set_resource(db: Database, resource: Resource, state: ResourceState) -> None:
    """Give a resource another state."""
    if resource.state != state:
        resource.state = state
        resource.modified = db.now()


def follow_new(db: Database, order: Order) -> None:
    """Let the resource follow an order that was just made, long before anybody approves it."""
    early = db.has(Feature.STATE_AT_ORDER) and order.type in _ENDING_TYPES
    if early and order.resource.state != ResourceState.ERRED:
        set_resource(db, order.resource, IN_PROGRESS[order.type])


def follow_approved(db: Database, order: Order) -> None:
    """Let the resource follow an order that is executing by now, where it hasn't before."""
    early = db.has(Feature.STATE_AT_ORDER) and order.type in _ENDING_TYPES
    if order.state == OrderState.EXECUTING and not early:
        set_resource(db, order.resource, IN_PROGRESS[order.type])


def follow_refused(db: Database, order: Order) -> None:
    """Let the resource follow an order that was rejected or cancelled before it began."""
    if order.type == OrderType.CREATE:
        set_resource(db, order.resource, ResourceState.TERMINATED)
    elif db.generation == "a" and order.resource.state in RECOVERABLE:
        set_resource(db, order.resource, ResourceState.OK)
    elif db.has(Feature.STATE_AT_ORDER) and order.resource.state == IN_PROGRESS[order.type]:
        back = ResourceState.TERMINATED if order.type == OrderType.RESTORE else ResourceState.OK
        set_resource(db, order.resource, back)


def check_failed(db: Database, order: Order) -> None:
    """Refuse to fail a Terminate whose resource GEN-A cannot bring back to OK: it is that already.

    Raises:
        RefusedError: 500 (seen on a real server); nothing has changed then.
    """
    terminates = order.type == OrderType.TERMINATE
    if db.generation == "a" and terminates and order.resource.state not in RECOVERABLE:
        raise server_error()


def follow_failed(db: Database, order: Order) -> None:
    """Let the resource follow an order that has failed."""
    resource = order.resource
    unmade = order.type == OrderType.CREATE and not resource.backend_id
    if unmade and db.has(Feature.UNMADE_IS_TERMINATED):
        set_resource(db, resource, ResourceState.TERMINATED)
    elif order.type != OrderType.TERMINATE:
        set_resource(db, resource, ResourceState.ERRED)
    elif resource.state in (RECOVERABLE if db.generation == "a" else _ENDING):
        set_resource(db, resource, ResourceState.OK)


def waits_for_its_day(db: Database, order: Order) -> bool:
    """Tell whether an approved order is only to begin on a day to come."""
    switched_on = db.has(Feature.START_DATES) and db.switches.order_start_date
    return switched_on and order.start_date is not None and order.start_date > db.today()


def ends_nothing(db: Database, order: Order) -> bool:
    """Tell whether `done` and `erred` are answered with 200 and do nothing."""
    return order.type == OrderType.RESTORE and not db.has(Feature.RESTORE_ENDS)


def pending_orders(db: Database, resource: Resource) -> list[Order]:
    """Return the orders for whose sake another one is refused: fewer than are in progress."""
    return [order for order in db.orders_of(resource) if order.state in _REFUSE_ANOTHER]


_REFUSE_ANOTHER = (
    OrderState.PENDING_CONSUMER,
    OrderState.PENDING_PROVIDER,
    OrderState.EXECUTING,
)
