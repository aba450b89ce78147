"""marketplace-orders/: the list, its actions for providers, and what a consumer can ask."""

from collections.abc import Callable

from slurm_tasks.demo.waldur import orders
from slurm_tasks.demo.waldur.calls import Answer, Call, action, detail, listing, page_of
from slurm_tasks.demo.waldur.database import Database, plain_uuid
from slurm_tasks.demo.waldur.listing import (
    Filter,
    by_choice,
    by_part,
    by_text,
    by_uuid,
    pick,
    since,
    until,
)
from slurm_tasks.demo.waldur.records import Order, OrderState, OrderType
from slurm_tasks.demo.waldur.refusals import invalid, required
from slurm_tasks.demo.waldur.shapes import OFFERING_TYPE, created_order_row, order_row
from slurm_tasks.demo.waldur.values import (
    CONSUMER_OWNERS,
    ORDERERS,
    PROVIDER_OWNERS,
    Role,
    User,
    new_uuid,
)

Effect = Callable[[Database, Order], None]
Review = Callable[[Database, Order, User], None]


def _filters(db: Database) -> dict[str, Filter[Order]]:
    states = by_choice(OrderState)
    return {
        "offering_uuid": Filter(lambda _: db.offering_uuid, by_uuid),
        "state": Filter(lambda order: order.state.value, states),
        "type": Filter(lambda order: order.type.value, by_choice(OrderType)),
        "created": Filter(lambda order: order.created, since),
        "created_before": Filter(lambda order: order.created, until),
        "modified": Filter(lambda order: order.modified, since),
        "modified_before": Filter(lambda order: order.modified, until),
        "project_uuid": Filter(lambda order: order.resource.project_uuid, by_uuid),
        "customer_uuid": Filter(
            lambda order: db.customer_of_resource(order.resource).uuid, by_uuid
        ),
        "provider_uuid": Filter(lambda _: db.provider_uuid, by_uuid),
        "resource_uuid": Filter(lambda order: order.resource.uuid, by_uuid),
        "offering_type": Filter(lambda _: OFFERING_TYPE, by_text),
        "query": Filter(lambda order: order.resource.name, by_part),
    }


_KEYS: dict[str, Callable[[Order], object]] = {
    "created": lambda order: order.created.isoformat(),
    "modified": lambda order: order.modified.isoformat(),
    "state": lambda order: order.state.value,
    "type": lambda order: order.type.value,
}


def initial_state(user: User) -> OrderState:
    """Return where an order starts: the customer's owner needs nobody's approval."""
    return (
        OrderState.PENDING_PROVIDER if user.role in CONSUMER_OWNERS else OrderState.PENDING_CONSUMER
    )


def list_orders(call: Call) -> Answer:
    """Answer the list of orders."""
    call.note_agent()
    visible = list(call.db.orders.values()) if call.user.role != Role.MEMBER else []
    return page_of(call, visible, order_row, _filters(call.db), _KEYS)


def create_order(call: Call) -> Answer:
    """Take a Create order of a consumer."""
    call.require(*ORDERERS)
    body = call.data()
    for field in ("offering", "project", "attributes"):
        if field not in body:
            raise required(field)
    project_uuid = plain_uuid(str(body["project"]).rstrip("/").rpartition("/")[2])
    if project_uuid not in call.db.projects:
        raise invalid("project", "Invalid hyperlink - Object does not exist.")
    attributes = {"name": new_uuid(), **body["attributes"]}
    order = orders.place_create(
        call.db,
        project_uuid=project_uuid,
        attributes=attributes,
        limits=body.get("limits", {}),
        created_by=call.user,
        state=initial_state(call.user),
    )
    return Answer(201, created_order_row(call.db, order))


def get_order(call: Call) -> Answer:
    """Answer one order."""
    return Answer(200, pick(order_row(call.db, call.db.order(call.uuid)), call.query))


def approve_by_consumer(call: Call) -> Answer:
    """Approve as the customer's owner."""
    order = call.db.order(call.uuid)
    call.require(*CONSUMER_OWNERS)
    orders.approve_by_consumer(call.db, order, call.user)
    return Answer()


def approve_by_provider(call: Call) -> Answer:
    """Approve as the provider; GEN-A answers nothing, GEN-B a sentence."""
    order = call.db.order(call.uuid)
    call.require(*PROVIDER_OWNERS)
    orders.approve_by_provider(call.db, order, call.user)
    if call.db.generation == "a":
        return Answer()
    return Answer(200, {"detail": "Order has been approved."})


def reject_by_provider(call: Call) -> Answer:
    """Reject as the provider."""
    order = call.db.order(call.uuid)
    call.require(*PROVIDER_OWNERS)
    orders.reject_by_provider(call.db, order, call.user)
    return Answer()


def set_state_executing(call: Call) -> Answer:
    """Move an order to executing without processing it."""
    order = call.db.order(call.uuid)
    call.require(*PROVIDER_OWNERS)
    orders.set_executing(call.db, order)
    return Answer()


def set_state_done(call: Call) -> Answer:
    """Complete an order."""
    order = call.db.order(call.uuid)
    call.require(*PROVIDER_OWNERS)
    orders.set_done(call.db, order)
    return Answer()


def set_state_erred(call: Call) -> Answer:
    """Fail an order."""
    order = call.db.order(call.uuid)
    call.require(*PROVIDER_OWNERS)
    orders.set_erred(call.db, order, call.data())
    return Answer()


def set_backend_id(call: Call) -> Answer:
    """Set an order's own backend id (GEN-B)."""
    order = call.db.order(call.uuid)
    call.require(*PROVIDER_OWNERS)
    order.backend_id = call.posted_text("backend_id")
    return Answer(200, {"status": "Order backend_id has been changed."})


ENDPOINTS = (
    listing("marketplace-orders/", get=list_orders, post=create_order),
    detail("marketplace-orders/{uuid}/", get=get_order),
    action("marketplace-orders/{uuid}/approve_by_consumer/", approve_by_consumer),
    action("marketplace-orders/{uuid}/approve_by_provider/", approve_by_provider),
    action("marketplace-orders/{uuid}/reject_by_provider/", reject_by_provider),
    action("marketplace-orders/{uuid}/set_state_executing/", set_state_executing),
    action("marketplace-orders/{uuid}/set_state_done/", set_state_done),
    action("marketplace-orders/{uuid}/set_state_erred/", set_state_erred),
    action("marketplace-orders/{uuid}/set_backend_id/", set_backend_id, generations="b"),
    # Orders of this type cannot be cancelled: the path is known, no method is allowed.
    detail("marketplace-orders/{uuid}/cancel/"),
    listing("marketplace-provider-offerings/{uuid}/orders/", "b", get=list_orders),
)
