"""How GEN-A's resource and its executing order follow the state of the Allocation behind them."""

from dataclasses import dataclass

from slurm_tasks.demo.waldur import allocations, order_states, orders
from slurm_tasks.demo.waldur.database import Database
from slurm_tasks.demo.waldur.records import (
    AllocationState,
    Order,
    OrderState,
    OrderType,
    Resource,
    ResourceState,
)

State = AllocationState


@dataclass(frozen=True)
class Outcome:
    """What a move of the Allocation does: to an executing order of a type, and to the resource."""

    order_type: OrderType | None
    order_state: OrderState
    resource_state: ResourceState


_CREATED = Outcome(OrderType.CREATE, OrderState.DONE, ResourceState.OK)
_NOT_CREATED = Outcome(OrderType.CREATE, OrderState.ERRED, ResourceState.ERRED)
_UPDATED = Outcome(OrderType.UPDATE, OrderState.DONE, ResourceState.OK)
_NOT_UPDATED = Outcome(OrderType.UPDATE, OrderState.ERRED, ResourceState.ERRED)
_NOT_DELETED = Outcome(OrderType.TERMINATE, OrderState.ERRED, ResourceState.OK)
_BROKEN = Outcome(None, OrderState.ERRED, ResourceState.ERRED)

# Any other move leaves the resource as it is: from a scheduled state straight to OK, for example.
OUTCOMES = {
    (State.CREATING, State.OK): _CREATED,
    (State.CREATING, State.ERRED): _NOT_CREATED,
    (State.CREATION_SCHEDULED, State.ERRED): _NOT_CREATED,
    (State.UPDATING, State.OK): _UPDATED,
    (State.UPDATING, State.ERRED): _NOT_UPDATED,
    (State.UPDATE_SCHEDULED, State.ERRED): _NOT_UPDATED,
    (State.DELETING, State.ERRED): _NOT_DELETED,
    (State.DELETION_SCHEDULED, State.ERRED): _NOT_DELETED,
    (State.OK, State.ERRED): _BROKEN,
}


def set_allocation_state(db: Database, resource: Resource, name: object) -> None:
    """Move GEN-A's Allocation, and the resource and its order where they follow by themselves.

    Raises:
        RefusedError: 404 without an Allocation; 400 for an unknown name; 409 where the Allocation
            may not, or (the Allocation has moved then) where the resource may not follow; 500
            where an update would end that the plan has no price for.
    """
    allocation = allocations.allocation_of(resource)
    target = allocations.target_of(resource, name)
    outcome = OUTCOMES.get((allocation.state, target))
    order = outcome and _executing(db, resource, outcome.order_type)
    if outcome and order and outcome.order_state == OrderState.DONE:
        orders.check_done(db, order)
    allocations.move(db, resource, allocation, target)
    if outcome is None:
        return
    if order:
        _end(db, order, outcome.order_state)
    if outcome.resource_state == ResourceState.ERRED:
        order_states.set_resource(db, resource, ResourceState.ERRED)
    elif resource.state in order_states.RECOVERABLE:
        order_states.set_resource(db, resource, ResourceState.OK)
    elif resource.state == ResourceState.TERMINATED or outcome is _NOT_DELETED:
        raise allocations.transition_refused(target, str(name))


def _executing(db: Database, resource: Resource, type_: OrderType | None) -> Order | None:
    for order in db.orders_of(resource):
        if order.type == type_ and order.state == OrderState.EXECUTING:
            return order
    return None


def _end(db: Database, order: Order, state: OrderState) -> None:
    if state == OrderState.DONE:
        orders.set_done(db, order)
    else:
        order_states.move(db, order, state)
