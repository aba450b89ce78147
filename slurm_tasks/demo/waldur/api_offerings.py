"""Offerings and their components, configuration and version."""

from slurm_tasks.demo.waldur import components, fields, posted, prices
from slurm_tasks.demo.waldur.calls import (
    Answer,
    Call,
    Endpoint,
    Handler,
    action,
    detail,
    listing,
    one_of,
    page_of,
    reading,
)
from slurm_tasks.demo.waldur.configuration import configuration
from slurm_tasks.demo.waldur.database import Database, plain_uuid
from slurm_tasks.demo.waldur.filters import Filter, by_part, by_text
from slurm_tasks.demo.waldur.refusals import (
    RefusedError,
    invalid_list,
    object_missing,
    server_error,
)
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


def offering_filters(db: Database) -> dict[str, Filter[str]]:
    """There is one offering; a list of it still filters and pages, over its uuid."""
    return {
        "type": Filter(lambda _: OFFERING_TYPE, by_text),
        "name": Filter(lambda _: OFFERING_NAME, by_part),
        "name_exact": Filter(lambda _: OFFERING_NAME, by_text),
        "state": Filter(lambda _: db.switches.offering_state, by_text),
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
    return page_of(call, visible, _offering_row, offering_filters(call.db), {}, fields.OFFERING)


def get_offering(call: Call) -> Answer:
    """Answer one offering to its provider."""
    _require_offering(call)
    return one_of(call, offering_row(call.db), fields.OFFERING)


def list_public_offerings(call: Call) -> Answer:
    """Answer the catalogue."""
    uuids = [call.db.offering_uuid]
    return page_of(call, uuids, _public_row, offering_filters(call.db), {}, fields.OFFERING)


def get_public_offering(call: Call) -> Answer:
    """Answer one offering of the catalogue."""
    if plain_uuid(call.uuid) != call.db.offering_uuid:
        raise object_missing("Offering")
    return one_of(call, public_offering_row(call.db), fields.OFFERING)


def _require_changeable(call: Call) -> None:
    _require_offering(call)
    if call.db.switches.offering_state == "Archived":
        raise invalid_list("It is not possible to update archived offering.")


def create_component(call: Call) -> Answer:
    """Add a component."""
    _require_changeable(call)
    components.create(call.db, call.read(posted.COMPONENT[call.db.generation]))
    return Answer(201)


def update_component(call: Call) -> Answer:
    """Change a component: the one that is named is looked for before the rest is read."""
    _require_changeable(call)
    body = call.posted()
    if not isinstance(body, dict):
        raise server_error()
    if not body.get("uuid"):
        raise RefusedError(400, {"details": "UUID for offering component was not provided."})
    found = call.db.components.get(plain_uuid(str(body["uuid"])) or "")
    if found is None:
        return Answer(404)
    components.update(call.db, found, call.read(posted.CHANGED_COMPONENT[call.db.generation]))
    return Answer()


def remove_component(call: Call) -> Answer:
    """Remove a component that nothing uses."""
    _require_changeable(call)
    components.remove(call.db, call.read(posted.REMOVED_COMPONENT))
    return Answer()


def _moving(state: str) -> Handler:
    """Return the handler that gives the offering another state."""

    def move(call: Call) -> Answer:
        _require_offering(call)
        call.require(*PROVIDER_OWNERS)
        body = call.read(posted.PAUSE if state == "Paused" else {})
        call.db.switches.offering_state = state
        call.db.switches.paused_reason = body.get("paused_reason", "")
        return Answer(200, {"detail": "Offering state updated.", "state": state})

    return move


def update_integration(call: Call) -> Answer:
    """Set the offering's options: whether its provider sees its users."""
    _require_offering(call)
    call.require(*PROVIDER_OWNERS)
    options = call.read(posted.INTEGRATION).get("secret_options", {})
    shown = options.get("service_provider_can_create_offering_user", False)
    call.db.switches.shows_offering_users = bool(shown)
    return Answer()


def update_prices(call: Call) -> Answer:
    """Set prices of the plan, for the provider's owner."""
    if plain_uuid(call.uuid) != call.db.plan_uuid:
        raise object_missing("Plan")
    call.require(*PROVIDER_OWNERS)
    prices.update(call.db, call.read(posted.PRICES)["prices"])
    return Answer()


def set_backend_metadata(call: Call) -> Answer:
    """Replace the offering's backend metadata; the answer is a bare text."""
    _require_offering(call)
    call.db.offering_metadata = call.read(posted.METADATA)["backend_metadata"]
    return Answer(200, "Offering backend metadata has been updated.")


def list_customer_users(call: Call) -> Answer:
    """Answer the members of projects with resources, with their tokens, as recorded."""
    _require_offering(call)
    call.require(*PROVIDER_OWNERS)
    projects = {resource.project_uuid for resource in call.db.resources.values()}
    users = {user.uuid: user for uuid in projects for user in call.db.members.get(uuid, [])}
    return page_of(call, list(users.values()), user_row, {}, {}, fields.USER)


def list_customer_projects(call: Call) -> Answer:
    """Answer the projects with resources."""
    _require_offering(call)
    call.require(*PROVIDER_OWNERS)
    projects = dict.fromkeys(resource.project_uuid for resource in call.db.resources.values())
    return page_of(call, list(projects), project_row, {}, {}, fields.PROJECT)


def list_integration_statuses(call: Call) -> Answer:
    """Answer whether a site agent has called for this offering."""
    seen = [] if call.db.agent_seen is None else [call.db.agent_seen]
    status = fields.INTEGRATION_STATUS
    return page_of(call, seen, integration_status_row, {}, {}, status)


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
    action(_PROVIDED + "{uuid}/pause/", _moving("Paused")),
    action(_PROVIDED + "{uuid}/unpause/", _moving("Active")),
    action(_PROVIDED + "{uuid}/archive/", _moving("Archived")),
    action(_PROVIDED + "{uuid}/update_integration/", update_integration),
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
