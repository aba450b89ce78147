"""Offerings and their components, configuration and version."""

from slurm_tasks.demo.waldur import components, prices
from slurm_tasks.demo.waldur.calls import (
    Answer,
    Call,
    Endpoint,
    action,
    detail,
    listing,
    page_of,
    reading,
)
from slurm_tasks.demo.waldur.configuration import configuration
from slurm_tasks.demo.waldur.database import Database, plain_uuid
from slurm_tasks.demo.waldur.listing import Filter, by_part, by_text, pick
from slurm_tasks.demo.waldur.refusals import object_missing
from slurm_tasks.demo.waldur.shapes import OFFERING_NAME, OFFERING_TYPE
from slurm_tasks.demo.waldur.shapes_offering import (
    integration_status_row,
    offering_row,
    project_row,
    public_offering_row,
)
from slurm_tasks.demo.waldur.shapes_users import user_row
from slurm_tasks.demo.waldur.values import PROVIDER_OWNERS, PROVIDERS, Json, Role
from slurm_tasks.demo.waldur.versions import NEWEST, Feature

# There is one offering; a list of it still filters and pages, over its uuid.
_FILTERS: dict[str, Filter[str]] = {
    "type": Filter(lambda _: OFFERING_TYPE, by_text),
    "name": Filter(lambda _: OFFERING_NAME, by_part),
    "name_exact": Filter(lambda _: OFFERING_NAME, by_text),
    "state": Filter(lambda _: "Active", by_text),
}


def _offering_row(db: Database, _uuid: str) -> Json:
    return offering_row(db)


def _public_row(db: Database, _uuid: str) -> Json:
    return public_offering_row(db)


def _require_offering(call: Call) -> None:
    if call.user.role not in PROVIDERS or plain_uuid(call.uuid) != call.db.offering_uuid:
        raise object_missing("Offering")


def list_offerings(call: Call) -> Answer:
    """Answer the provider's offerings; nobody else has any."""
    visible = [call.db.offering_uuid] if call.user.role in PROVIDERS else []
    return page_of(call, visible, _offering_row, _FILTERS, {})


def get_offering(call: Call) -> Answer:
    """Answer one offering to its provider."""
    _require_offering(call)
    return Answer(200, pick(offering_row(call.db), call.query))


def list_public_offerings(call: Call) -> Answer:
    """Answer the catalogue."""
    return page_of(call, [call.db.offering_uuid], _public_row, _FILTERS, {})


def get_public_offering(call: Call) -> Answer:
    """Answer one offering of the catalogue."""
    if plain_uuid(call.uuid) != call.db.offering_uuid:
        raise object_missing("Offering")
    return Answer(200, pick(public_offering_row(call.db), call.query))


def create_component(call: Call) -> Answer:
    """Add a component."""
    _require_offering(call)
    components.create(call.db, call.data())
    return Answer(201)


def update_component(call: Call) -> Answer:
    """Change a component."""
    _require_offering(call)
    components.update(call.db, call.data())
    return Answer()


def remove_component(call: Call) -> Answer:
    """Remove a component that nothing uses."""
    _require_offering(call)
    components.remove(call.db, call.data())
    return Answer()


def update_prices(call: Call) -> Answer:
    """Set prices of the plan, for the provider's owner."""
    if plain_uuid(call.uuid) != call.db.plan_uuid:
        raise object_missing("Plan")
    call.require(*PROVIDER_OWNERS)
    prices.update(call.db, call.data())
    return Answer()


def set_backend_metadata(call: Call) -> Answer:
    """Replace the offering's backend metadata; the answer is a bare text."""
    _require_offering(call)
    call.db.offering_metadata = call.posted_object("backend_metadata")
    return Answer(200, "Offering backend metadata has been updated.")


def list_customer_users(call: Call) -> Answer:
    """Answer the members of projects with resources, with their tokens, as recorded."""
    _require_offering(call)
    call.require(*PROVIDER_OWNERS)
    projects = {resource.project_uuid for resource in call.db.resources.values()}
    users = {user.uuid: user for uuid in projects for user in call.db.members.get(uuid, [])}
    return page_of(call, list(users.values()), user_row, {}, {})


def list_customer_projects(call: Call) -> Answer:
    """Answer the projects with resources."""
    _require_offering(call)
    call.require(*PROVIDER_OWNERS)
    projects = dict.fromkeys(resource.project_uuid for resource in call.db.resources.values())
    return page_of(call, list(projects), project_row, {}, {})


def list_integration_statuses(call: Call) -> Answer:
    """Answer whether a site agent has called for this offering."""
    seen = [] if call.db.agent_seen is None else [call.db.agent_seen]
    return page_of(call, seen, integration_status_row, {}, {})


def get_configuration(call: Call) -> Answer:
    """Answer the public settings."""
    return Answer(200, configuration(call.db.url))


def get_version(call: Call) -> Answer:
    """Answer the version: newer servers to anybody, and more of it to staff."""
    if not call.db.has(Feature.OPEN_VERSION):
        call.require(Role.STAFF)
    version = {"version": call.db.server.version}
    latest = call.db.generation == "b" and call.user.role == Role.STAFF
    return Answer(200, version | ({"latest_version": NEWEST} if latest else {}))


_PROVIDED = "marketplace-provider-offerings/"

ENDPOINTS = (
    listing(_PROVIDED, get=list_offerings),
    detail(_PROVIDED + "{uuid}/", get=get_offering),
    action(_PROVIDED + "{uuid}/create_offering_component/", create_component),
    action(_PROVIDED + "{uuid}/update_offering_component/", update_component),
    action(_PROVIDED + "{uuid}/remove_offering_component/", remove_component),
    action(_PROVIDED + "{uuid}/set_backend_metadata/", set_backend_metadata),
    reading(_PROVIDED + "{uuid}/list_customer_users/", list_customer_users),
    reading(_PROVIDED + "{uuid}/list_customer_projects/", list_customer_projects),
    action("marketplace-plans/{uuid}/update_prices/", update_prices),
    listing("marketplace-public-offerings/", get=list_public_offerings),
    detail("marketplace-public-offerings/{uuid}/", get=get_public_offering),
    listing("marketplace-integration-statuses/", get=list_integration_statuses),
    Endpoint("configuration/", {"GET": get_configuration}, "GET, OPTIONS"),
    Endpoint("version/", {"GET": get_version}, "GET, OPTIONS"),
)
