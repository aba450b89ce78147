"""marketplace-provider-resources/ and marketplace-resources/: what was ordered, from two sides."""

from collections.abc import Callable

from slurm_tasks.demo.waldur import consent, fields, orders, posted, resource_rules
from slurm_tasks.demo.waldur.api_orders import initial_state
from slurm_tasks.demo.waldur.calls import (
    Answer,
    Call,
    action,
    detail,
    listing,
    one_of,
    page_of,
    reading,
)
from slurm_tasks.demo.waldur.database import Database
from slurm_tasks.demo.waldur.filters import (
    Filter,
    by_flag,
    by_part,
    by_text,
    by_uuid,
    chosen_of,
    select,
    since,
    since_day,
    values,
)
from slurm_tasks.demo.waldur.records import (
    AllocationState,
    OrderState,
    Resource,
    ResourceState,
)
from slurm_tasks.demo.waldur.refusals import object_missing, server_error
from slurm_tasks.demo.waldur.shapes import OFFERING_TYPE
from slurm_tasks.demo.waldur.shapes_resources import (
    allocation_row,
    plan_period_row,
    resource_row,
)
from slurm_tasks.demo.waldur.shapes_users import resource_role_row, team_row
from slurm_tasks.demo.waldur.values import (
    ORDERERS,
    PROVIDER_OWNERS,
    PROVIDERS,
    Json,
    Role,
    User,
)
from slurm_tasks.demo.waldur.versions import Feature


def resource_filters(db: Database) -> dict[str, Filter[Resource]]:
    """Return the filters of the lists of resources."""
    # GEN-A takes days here, and refuses moments.
    changed = since_day if db.generation == "a" else since
    return {
        "offering_uuid": Filter(lambda _: db.offering_uuid, by_uuid),
        "offering_type": Filter(lambda _: OFFERING_TYPE, by_text),
        "state": chosen_of(lambda resource: resource.state.value, ResourceState),
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
        "created": Filter(lambda resource: resource.created, changed),
        "modified": Filter(lambda resource: resource.modified, changed),
    }


_KEYS: dict[str, Callable[[Resource], object]] = {
    "created": lambda resource: resource.created.isoformat(),
    "name": lambda resource: resource.name,
}
_NEWER_KEYS = _KEYS | {"state": lambda resource: resource.state.value}

# Where GEN-A lists resources, and where fields are asked for, these are left out.
_DETAILS = ("order_in_progress", "creation_order")


def _listed_row(db: Database, resource: Resource) -> Json:
    row = resource_row(db, resource)
    if db.generation == "a":
        for key in _DETAILS:
            del row[key]
    return row


def _list(call: Call, visible: list[Resource]) -> Answer:
    keys = _KEYS if call.db.generation == "a" else _NEWER_KEYS
    return page_of(call, visible, _listed_row, resource_filters(call.db), keys, fields.RESOURCE)


def _detail(call: Call, resource: Resource) -> Answer:
    """Answer one resource: with an order in progress on GEN-A only without (known) fields."""
    listed = _listed_row(call.db, resource)
    if any(name in listed for name in values(call.query, "field")):
        return one_of(call, listed, fields.RESOURCE)
    call.refuse_unknown((), fields.RESOURCE)
    return Answer(200, resource_row(call.db, resource))


def _ordered_by(db: Database, user: User, resource: Resource) -> bool:
    """Whether a person is on the customer's side of a resource."""
    return user.role in ORDERERS or user in db.members.get(resource.project_uuid, [])


def provided(call: Call) -> Resource:
    """Return the resource of a provider's path; to other people it does not exist."""
    resource = call.db.resource(call.uuid)
    if call.user.role not in PROVIDERS:
        raise object_missing("Resource")
    return resource


def _owned(call: Call) -> Resource:
    """Return the resource of a provider's path to whom GEN-B's managers of offerings aren't."""
    resource = provided(call)
    if call.db.generation == "b":
        call.require(*PROVIDER_OWNERS)
    return resource


def _ordered(call: Call) -> Resource:
    """Return the resource of a consumer's path; to other people it does not exist."""
    resource = call.db.resource(call.uuid)
    if not _ordered_by(call.db, call.user, resource):
        raise object_missing("Resource")
    return resource


def list_provided(call: Call) -> Answer:
    """Answer the provider's list."""
    call.note_agent()
    return _list(call, list(call.db.resources.values()) if call.user.role in PROVIDERS else [])


def list_ordered(call: Call) -> Answer:
    """Answer the consumer's list, which is empty for a provider."""
    every = call.db.resources.values()
    return _list(call, [one for one in every if _ordered_by(call.db, call.user, one)])


def get_provided(call: Call) -> Answer:
    """Answer one resource to its provider."""
    return _detail(call, provided(call))


def change_provided(call: Call) -> Answer:
    """Change a resource's name, description and end; anything else is left as it is."""
    resource = provided(call)
    body = call.read(posted.RESOURCE)
    resource.name = body.get("name", resource.name)
    end = resource.end_date
    return Answer(
        200,
        {
            "name": resource.name,
            "description": body.get("description", ""),
            "end_date": end.isoformat() if end else None,
        },
    )


def get_ordered(call: Call) -> Answer:
    """Answer one resource to its consumer."""
    return _detail(call, _ordered(call))


def set_backend_id(call: Call) -> Answer:
    """Set the backend id, which need not be unique; GEN-A breaks without one."""
    resource = provided(call)
    call.break_without("backend_id")
    backend_id = call.read(posted.BACKEND_ID)["backend_id"]
    if backend_id == resource.backend_id:
        return Answer(200, {"status": "Resource backend_id is not changed."})
    resource_rules.check_backend_id(call.db, resource, backend_id)
    resource.backend_id = backend_id
    return _changed(call, resource, "Resource backend_id has been changed.")


def set_backend_metadata(call: Call) -> Answer:
    """Replace the backend metadata."""
    resource = provided(call)
    resource.backend_metadata = call.read(posted.METADATA)["backend_metadata"]
    return _changed(call, resource, "The backend metadata is updated")


def submit_report(call: Call) -> Answer:
    """Replace the report that the customer reads."""
    resource = _owned(call)
    resource.report = call.read(posted.REPORT)["report"]
    return _changed(call, resource, "Report is submitted")


def get_team(call: Call) -> Answer:
    """Answer the current members of the resource's project; GEN-B sorts them."""
    resource = provided(call)
    filters: dict[str, Filter[User]] = {
        "has_consent": Filter(lambda user: consent.has_agreed(call.db, user), by_flag)
    }
    known = filters if call.db.has(Feature.CONSENT) else {}
    call.refuse_unknown(known)
    team = consent.shown_to(call.db, call.user, call.db.members.get(resource.project_uuid, []))
    if call.db.generation == "b":
        team = sorted(team, key=lambda user: user.username)
    return Answer(200, [team_row(call.db, user) for user in select(team, known, call.query)])


def list_users(call: Call) -> Answer:
    """Answer who has a role on the resource itself, which the team doesn't show (GEN-B)."""
    people = call.db.resource_roles.get(provided(call).uuid, [])
    return page_of(call, people, resource_role_row, {}, {})


def get_plan_periods(call: Call) -> Answer:
    """Answer the plan periods; those that ended before this month are hidden."""
    call.refuse_unknown(())
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
    resource = _owned(call)
    resource_rules.set_limits(call.db, resource, call.read(posted.SET_LIMITS)["limits"])
    return _changed(call, resource, "Resource limits have been changed.")


def set_as_ok(call: Call) -> Answer:
    """Repair a resource (GEN-B); one that has ended breaks the server."""
    resource = _owned(call)
    call.refuse_body()
    if resource.state == ResourceState.TERMINATED:
        raise server_error()
    resource.error_message = resource.error_traceback = ""
    _set_state(call, resource, ResourceState.OK)
    return Answer()


def set_as_erred(call: Call) -> Answer:
    """Mark a resource erred: GEN-A lets only staff, and ignores the texts."""
    resource = provided(call)
    if call.db.generation == "a":
        call.require(Role.STAFF)
        call.refuse_body()
        if resource.allocation is not None:
            resource.allocation.state = AllocationState.ERRED
    else:
        body = call.read(posted.FAILURE)
        resource.error_message = str(body.get("error_message", ""))
        resource.error_traceback = str(body.get("error_traceback", ""))
    _set_state(call, resource, ResourceState.ERRED)
    return Answer()


def refresh_last_sync(call: Call) -> Answer:
    """Note that the resource was looked after (GEN-B)."""
    resource = provided(call)
    call.refuse_body()
    resource.last_sync = call.db.now()
    return Answer()


def update_limits(call: Call) -> Answer:
    """Take a consumer's Update order."""
    resource = _ordered(call)
    call.require(*ORDERERS)
    order = orders.place_update(
        call.db,
        resource,
        call.read(posted.ORDERED_LIMITS)["limits"],
        created_by=call.user,
        state=initial_state(call.user),
    )
    return Answer(200, {"order_uuid": order.uuid})


def terminate(call: Call) -> Answer:
    """Take a consumer's Terminate order."""
    resource = _ordered(call)
    call.require(*ORDERERS)
    return _terminate(call, resource, initial_state(call.user))


def terminate_provided(call: Call) -> Answer:
    """Take a Terminate order of the provider's owner, which needs nobody's approval but theirs."""
    resource = provided(call)
    call.require(*PROVIDER_OWNERS)
    return _terminate(call, resource, OrderState.PENDING_PROVIDER)


def _terminate(call: Call, resource: Resource, state: OrderState) -> Answer:
    attributes = call.read(posted.TERMINATION).get("attributes", {})
    order = orders.place_terminate(call.db, resource, attributes, created_by=call.user, state=state)
    return Answer(200, {"order_uuid": order.uuid})


def unlink(call: Call) -> Answer:
    """Forget a resource without its end, as staff may."""
    resource = provided(call)
    call.require(Role.STAFF)
    call.db.forget(resource)
    return Answer(204)


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
_CONSUMED = "marketplace-resources/"

ENDPOINTS = (
    listing(_PROVIDED, get=list_provided),
    detail(_PROVIDED + "{uuid}/", get=get_provided, patch=change_provided),
    action(_PROVIDED + "{uuid}/set_backend_id/", set_backend_id),
    action(_PROVIDED + "{uuid}/set_backend_metadata/", set_backend_metadata),
    action(_PROVIDED + "{uuid}/submit_report/", submit_report),
    action(_PROVIDED + "{uuid}/set_as_erred/", set_as_erred),
    action(_PROVIDED + "{uuid}/terminate/", terminate_provided),
    action(_PROVIDED + "{uuid}/unlink/", unlink),
    action(_PROVIDED + "{uuid}/set_as_ok/", set_as_ok, generations="b"),
    action(_PROVIDED + "{uuid}/set_limits/", set_limits, generations="b"),
    action(_PROVIDED + "{uuid}/refresh_last_sync/", refresh_last_sync, generations="b"),
    reading(_PROVIDED + "{uuid}/team/", get_team),
    reading(_PROVIDED + "{uuid}/list_users/", list_users, feature=Feature.RESOURCE_ROLES),
    reading(_PROVIDED + "{uuid}/plan_periods/", get_plan_periods),
    reading(_PROVIDED + "{uuid}/details/", get_details),
    listing(_CONSUMED, get=list_ordered),
    detail(_CONSUMED + "{uuid}/", get=get_ordered),
    action(_CONSUMED + "{uuid}/update_limits/", update_limits),
    action(_CONSUMED + "{uuid}/terminate/", terminate),
    action(_CONSUMED + "{uuid}/restore/", restore, generations="b"),
)
