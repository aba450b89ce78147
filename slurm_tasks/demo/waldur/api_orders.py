"""marketplace-orders/: the list, its actions for providers, and what a consumer can ask."""

from collections.abc import Callable

from slurm_tasks.demo.waldur import fields, orders, posted
from slurm_tasks.demo.waldur.calls import Answer, Call, action, detail, listing, one_of, page_of
from slurm_tasks.demo.waldur.database import Database, plain_uuid
from slurm_tasks.demo.waldur.filters import (
    Filter,
    by_part,
    by_text,
    by_uuid,
    chosen_of,
    since,
)
from slurm_tasks.demo.waldur.records import Order, OrderState, OrderType
from slurm_tasks.demo.waldur.refusals import RefusedError, forbidden, invalid, object_missing
from slurm_tasks.demo.waldur.shapes import OFFERING_TYPE, created_order_row, order_row
from slurm_tasks.demo.waldur.values import (
    CONSUMER_OWNERS,
    ORDERERS,
    PROVIDER_OWNERS,
    PROVIDERS,
    Role,
    User,
)
from slurm_tasks.demo.waldur.versions import Feature


def order_filters(db: Database) -> dict[str, Filter[Order]]:
    """Return the filters of the list of orders."""
    return {
        "offering_uuid": Filter(lambda _: db.offering_uuid, by_uuid),
        "state": chosen_of(lambda order: order.state.value, OrderState),
        "type": chosen_of(lambda order: order.type.value, OrderType),
        "created": Filter(lambda order: order.created, since),
        "modified": Filter(lambda order: order.modified, since),
        "project_uuid": Filter(lambda order: order.resource.project_uuid, by_uuid),
        "customer_uuid": Filter(
            lambda order: db.customer_of_resource(order.resource).uuid, by_uuid
        ),
        "provider_uuid": Filter(lambda _: db.provider_uuid, by_uuid),
        "resource_uuid": Filter(lambda order: order.resource.uuid, by_uuid),
        "offering_type": Filter(lambda _: OFFERING_TYPE, by_text),
        "query": Filter(lambda order: order.attributes.get("name", ""), by_part),
    }


_KEYS: dict[str, Callable[[Order], object]] = {
    "created": lambda order: order.created.isoformat(),
    "consumer_reviewed_at": lambda order: order.consumer_reviewed_at,
    "cost": lambda _: "0.0",
    "state": lambda order: list(OrderState).index(order.state),
}


def initial_state(user: User) -> OrderState:
    """Return where an order starts: the customer's owner needs nobody's approval."""
    return (
        OrderState.PENDING_PROVIDER if user.role in CONSUMER_OWNERS else OrderState.PENDING_CONSUMER
    )


def _sees(db: Database, user: User, order: Order) -> bool:
    """Whether a person sees an order: its provider, its customer, and its project's team."""
    if user.role in (*PROVIDERS, *ORDERERS):
        return user.role != Role.MANAGER or db.has(Feature.MANAGERS_LIST_ORDERS)
    return user in db.members.get(order.resource.project_uuid, [])


def list_orders(call: Call) -> Answer:
    """Answer the list of orders; others' are not in it."""
    call.note_agent()
    visible = [order for order in call.db.orders.values() if _sees(call.db, call.user, order)]
    return page_of(call, visible, order_row, order_filters(call.db), _KEYS, fields.ORDER)


def list_offering_orders(call: Call) -> Answer:
    """Answer the orders of an offering (GEN-B)."""
    call.require(*PROVIDERS)
    if plain_uuid(call.uuid) != call.db.offering_uuid:
        raise object_missing("Offering")
    if call.db.has(Feature.OFFERING_ORDERS_BY_ROLE) and call.user.role == Role.PROVIDER_MANAGER:
        raise forbidden()
    call.note_agent()
    return page_of(call, list(call.db.orders.values()), order_row, {}, {}, fields.ORDER)


def create_order(call: Call) -> Answer:
    """Take a Create order of a consumer; one without a name is taken, and erred later."""
    call.require(*ORDERERS)
    body = call.read(posted.ORDER)
    project_uuid = plain_uuid(body["project"].rstrip("/").rpartition("/")[2])
    if project_uuid not in call.db.projects:
        raise invalid("project", "Invalid hyperlink - Object does not exist.")
    limits = body.get("limits", {})
    # Only here: a component may be renamed after an order was placed, so tests place any limits.
    unknown = orders.unlimited_types(call.db, limits)
    if unknown:
        raise invalid("limits", f"Invalid types: {', '.join(unknown)}")
    order = orders.place_create(
        call.db,
        project_uuid=project_uuid,
        attributes=body.get("attributes", {}),
        limits=limits,
        created_by=call.user,
        state=initial_state(call.user),
    )
    row = created_order_row(call.db, order)
    return Answer(201, row, {"Location": row["url"]})


def _order(call: Call, *roles: Role) -> Order:
    """Return the order of a path; who doesn't see it gets 404, who may not do this 403."""
    order = call.db.order(call.uuid)
    if not _sees(call.db, call.user, order):
        raise object_missing("Order")
    if roles:
        call.require(*roles)
    return order


def get_order(call: Call) -> Answer:
    """Answer one order."""
    return one_of(call, order_row(call.db, _order(call)), fields.ORDER)


def approve_by_consumer(call: Call) -> Answer:
    """Approve as the customer's owner."""
    order = _order(call, *CONSUMER_OWNERS)
    call.refuse_body()
    orders.approve_by_consumer(call.db, order, call.user)
    return Answer()


def approve_by_provider(call: Call) -> Answer:
    """Approve as the provider; older servers answer nothing, newer ones a sentence."""
    order = _order(call, *PROVIDER_OWNERS)
    if not call.db.has(Feature.APPROVAL_ANSWERS):
        call.refuse_body()
        orders.approve_by_provider(call.db, order, call.user)
        return Answer()
    call.read(posted.APPROVAL)
    orders.approve_by_provider(call.db, order, call.user)
    return Answer(200, {"detail": "Order has been approved."})


def reject_by_provider(call: Call) -> Answer:
    """Reject as the provider."""
    order = _order(call, *PROVIDER_OWNERS)
    call.read(posted.REJECTION[call.db.generation])
    orders.reject_by_provider(call.db, order, call.user)
    return Answer()


def _managed(call: Call) -> Order:
    """Return the order of a path to who may set its state: newer servers' managers, too."""
    managers = (Role.MANAGER,) if call.db.has(Feature.MANAGERS_END_ORDERS) else ()
    return _order(call, *PROVIDER_OWNERS, *managers)


def set_state_executing(call: Call) -> Answer:
    """Move an order to executing without processing it."""
    order = _managed(call)
    call.refuse_body()
    orders.set_executing(call.db, order)
    return Answer()


def set_state_done(call: Call) -> Answer:
    """Complete an order."""
    order = _managed(call)
    call.refuse_body()
    orders.set_done(call.db, order)
    return Answer()


def set_state_erred(call: Call) -> Answer:
    """Fail an order; without either text GEN-A breaks."""
    order = _managed(call)
    orders.set_erred(call.db, order, call.read(posted.FAILURE))
    return Answer()


def retry(call: Call) -> Answer:
    """Let a failed order be carried out again (GEN-B)."""
    order = _order(call, *PROVIDER_OWNERS)
    call.refuse_body()
    orders.retry(call.db, order)
    return Answer()


def set_backend_id(call: Call) -> Answer:
    """Set an order's own backend id (GEN-B)."""
    order = _order(call, *PROVIDER_OWNERS)
    order.backend_id = call.read(posted.ORDER_BACKEND_ID)["backend_id"]
    return Answer(200, {"status": "Order backend_id has been changed."})


def cancel(call: Call) -> Answer:
    """Refuse: orders of this type cannot be cancelled, and the provider may not anyhow."""
    _order(call, *ORDERERS)
    refused = f"The order's offering with {OFFERING_TYPE} type does not support this action"
    raise RefusedError(405, {"detail": f'Method "{refused}" not allowed.'})


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
    action("marketplace-orders/{uuid}/retry/", retry, feature=Feature.RETRY_ORDERS),
    action("marketplace-orders/{uuid}/cancel/", cancel),
    listing("marketplace-provider-offerings/{uuid}/orders/", "b", get=list_offering_orders),
)
