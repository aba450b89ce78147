"""marketplace-provider-resources/ and marketplace-resources/: what was ordered, from two sides."""

from collections.abc import Callable

from slurm_tasks.demo.waldur import orders
from slurm_tasks.demo.waldur.api_orders import initial_state
from slurm_tasks.demo.waldur.calls import Answer, Call, action, detail, listing, page_of, reading
from slurm_tasks.demo.waldur.database import Database
from slurm_tasks.demo.waldur.listing import (
    Filter,
    by_choice,
    by_flag,
    by_part,
    by_text,
    by_uuid,
    pick,
    since,
    values,
)
from slurm_tasks.demo.waldur.records import Resource, ResourceState
from slurm_tasks.demo.waldur.refusals import invalid, object_missing, required, server_error
from slurm_tasks.demo.waldur.shapes import OFFERING_TYPE
from slurm_tasks.demo.waldur.shapes_resources import (
    allocation_row,
    plan_period_row,
    resource_row,
)
from slurm_tasks.demo.waldur.shapes_users import team_row
from slurm_tasks.demo.waldur.values import CONSUMERS, ORDERERS, PROVIDERS, Json, Role

_MAX_BACKEND_ID = 255


def _filters(db: Database) -> dict[str, Filter[Resource]]:
    return {
        "offering_uuid": Filter(lambda _: db.offering_uuid, by_uuid),
        "offering_type": Filter(lambda _: OFFERING_TYPE, by_text),
        "state": Filter(lambda resource: resource.state.value, by_choice(ResourceState)),
        "backend_id": Filter(lambda resource: resource.backend_id, by_text),
        "name": Filter(lambda resource: resource.name, by_part),
        "name_exact": Filter(lambda resource: resource.name, by_text),
        "query": Filter(lambda resource: resource.name, by_part),
        "project_uuid": Filter(lambda resource: resource.project_uuid, by_uuid),
        "customer_uuid": Filter(lambda resource: db.customer_of_resource(resource).uuid, by_uuid),
        "provider_uuid": Filter(lambda _: db.provider_uuid, by_uuid),
        "paused": Filter(lambda resource: resource.paused, by_flag),
        "downscaled": Filter(lambda resource: resource.downscaled, by_flag),
        "restrict_member_access": Filter(lambda resource: resource.restrict_member_access, by_flag),
        "created": Filter(lambda resource: resource.created, since),
        "modified": Filter(lambda resource: resource.modified, since),
    }


_KEYS: dict[str, Callable[[Resource], object]] = {
    "created": lambda resource: resource.created.isoformat(),
    "modified": lambda resource: resource.modified.isoformat(),
    "name": lambda resource: resource.name,
    "state": lambda resource: resource.state.value,
}


# Where GEN-A lists resources, and where fields are asked for, these are left out.
_DETAILS = ("order_in_progress", "creation_order")


def _listed_row(db: Database, resource: Resource) -> Json:
    row = resource_row(db, resource)
    if db.generation == "a":
        for key in _DETAILS:
            del row[key]
    return row


def _list(call: Call, *roles: Role) -> Answer:
    visible = list(call.db.resources.values()) if call.user.role in roles else []
    return page_of(call, visible, _listed_row, _filters(call.db), _KEYS)


def _detail(call: Call, resource: Resource) -> Answer:
    """Answer one resource: with an order in progress on GEN-A only without (known) fields."""
    listed = _listed_row(call.db, resource)
    if any(name in listed for name in values(call.query, "field")):
        return Answer(200, pick(listed, call.query))
    return Answer(200, resource_row(call.db, resource))


def _resource(call: Call, *roles: Role) -> Resource:
    """Return the resource of a path; to other people it does not exist."""
    resource = call.db.resource(call.uuid)
    if call.user.role not in roles:
        raise object_missing("Resource")
    return resource


def provided(call: Call) -> Resource:
    """Return the resource of a provider's path."""
    return _resource(call, *PROVIDERS)


def _ordered(call: Call) -> Resource:
    """Return the resource of a consumer's path."""
    return _resource(call, *CONSUMERS)


def list_provided(call: Call) -> Answer:
    """Answer the provider's list."""
    call.note_agent()
    return _list(call, *PROVIDERS)


def list_ordered(call: Call) -> Answer:
    """Answer the consumer's list, which is empty for a provider."""
    return _list(call, *CONSUMERS)


def get_provided(call: Call) -> Answer:
    """Answer one resource to its provider."""
    return _detail(call, provided(call))


def get_ordered(call: Call) -> Answer:
    """Answer one resource to its consumer."""
    return _detail(call, _ordered(call))


def set_backend_id(call: Call) -> Answer:
    """Set the backend id, which need not be unique."""
    resource = provided(call)
    if call.db.generation == "a" and "backend_id" not in call.data():
        raise server_error()
    backend_id = call.posted_text("backend_id")
    if len(backend_id) > _MAX_BACKEND_ID:
        message = f"Ensure this field has no more than {_MAX_BACKEND_ID} characters."
        raise invalid("backend_id", message)
    resource.backend_id = backend_id
    return _changed(call, resource, "Resource backend_id has been changed.")


def set_backend_metadata(call: Call) -> Answer:
    """Replace the backend metadata."""
    resource = provided(call)
    resource.backend_metadata = call.posted_object("backend_metadata")
    return _changed(call, resource, "The backend metadata is updated")


def submit_report(call: Call) -> Answer:
    """Replace the report that the customer reads."""
    resource = provided(call)
    report = call.data().get("report")
    if not isinstance(report, list) or not report:
        raise required("report")
    resource.report = [{"header": row["header"], "body": row["body"]} for row in report]
    return _changed(call, resource, "Report is submitted")


def get_team(call: Call) -> Answer:
    """Answer the current members of the resource's project."""
    resource = provided(call)
    team = call.db.members.get(resource.project_uuid, [])
    return Answer(200, [pick(team_row(call.db, user), call.query) for user in team])


def get_plan_periods(call: Call) -> Answer:
    """Answer the plan periods; those that ended before this month are hidden."""
    month = call.db.billing_period()
    periods = [
        plan_period_row(call.db, period)
        for period in provided(call).plan_periods
        if period.end is None or period.end.date() >= month
    ]
    return Answer(200, periods)


def get_details(call: Call) -> Answer:
    """Answer GEN-A's Allocation; on GEN-B there is nothing behind the resource (204)."""
    resource = provided(call)
    if call.db.generation == "b":
        return Answer(204)
    if resource.allocation is None:
        raise object_missing("Resource")
    return Answer(200, allocation_row(call.db, resource, resource.allocation))


def set_limits(call: Call) -> Answer:
    """Set the limits without an order (GEN-B): wrapped, unlike those of slurm-remote."""
    resource = provided(call)
    resource.limits = dict(call.posted_object("limits"))
    return _changed(call, resource, "Resource limits have been changed.")


def set_as_ok(call: Call) -> Answer:
    """Repair a resource (GEN-B)."""
    resource = provided(call)
    resource.error_message = resource.error_traceback = ""
    _set_state(call, resource, ResourceState.OK)
    return Answer()


def set_as_erred(call: Call) -> Answer:
    """Mark a resource erred: GEN-A lets only staff, and ignores the texts."""
    resource = provided(call)
    if call.db.generation == "a":
        call.require(Role.STAFF)
    else:
        body = call.data()
        resource.error_message = str(body.get("error_message", ""))
        resource.error_traceback = str(body.get("error_traceback", ""))
    _set_state(call, resource, ResourceState.ERRED)
    return Answer()


def refresh_last_sync(call: Call) -> Answer:
    """Note that the resource was looked after (GEN-B)."""
    provided(call).last_sync = call.db.now()
    return Answer()


def update_limits(call: Call) -> Answer:
    """Take a consumer's Update order."""
    resource = _ordered(call)
    call.require(*ORDERERS)
    order = orders.place_update(
        call.db,
        resource,
        call.posted_object("limits"),
        created_by=call.user,
        state=initial_state(call.user),
    )
    return Answer(200, {"order_uuid": order.uuid})


def terminate(call: Call) -> Answer:
    """Take a consumer's Terminate order."""
    resource = _ordered(call)
    call.require(*ORDERERS)
    order = orders.place_terminate(
        call.db,
        resource,
        call.data().get("attributes", {}),
        created_by=call.user,
        state=initial_state(call.user),
    )
    return Answer(200, {"order_uuid": order.uuid})


def restore(call: Call) -> Answer:
    """Take a consumer's Restore order (GEN-B)."""
    resource = _ordered(call)
    call.require(*ORDERERS)
    order = orders.place_restore(
        call.db, resource, created_by=call.user, state=initial_state(call.user)
    )
    return Answer(200, {"order_uuid": order.uuid})


def _changed(call: Call, resource: Resource, message: str) -> Answer:
    resource.modified = call.db.now()
    return Answer(200, {"status": message})


def _set_state(call: Call, resource: Resource, state: ResourceState) -> None:
    resource.state = state
    resource.modified = call.db.now()


_PROVIDED = "marketplace-provider-resources/"
_ORDERED = "marketplace-resources/"

ENDPOINTS = (
    listing(_PROVIDED, get=list_provided),
    detail(_PROVIDED + "{uuid}/", get=get_provided),
    action(_PROVIDED + "{uuid}/set_backend_id/", set_backend_id),
    action(_PROVIDED + "{uuid}/set_backend_metadata/", set_backend_metadata),
    action(_PROVIDED + "{uuid}/submit_report/", submit_report),
    action(_PROVIDED + "{uuid}/set_as_erred/", set_as_erred),
    action(_PROVIDED + "{uuid}/set_as_ok/", set_as_ok, generations="b"),
    action(_PROVIDED + "{uuid}/set_limits/", set_limits, generations="b"),
    action(_PROVIDED + "{uuid}/refresh_last_sync/", refresh_last_sync, generations="b"),
    reading(_PROVIDED + "{uuid}/team/", get_team),
    reading(_PROVIDED + "{uuid}/plan_periods/", get_plan_periods),
    reading(_PROVIDED + "{uuid}/details/", get_details),
    listing(_ORDERED, get=list_ordered),
    detail(_ORDERED + "{uuid}/", get=get_ordered),
    action(_ORDERED + "{uuid}/update_limits/", update_limits),
    action(_ORDERED + "{uuid}/terminate/", terminate),
    action(_ORDERED + "{uuid}/restore/", restore, generations="b"),
)
