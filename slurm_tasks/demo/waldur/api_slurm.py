"""marketplace-slurm-remote/, slurm-associations/ and slurm-allocations/: GEN-A only."""

from slurm_tasks.demo.waldur import fields, posted, prices
from slurm_tasks.demo.waldur.allocations import allocation_of
from slurm_tasks.demo.waldur.calls import (
    LIST_METHODS,
    Answer,
    Call,
    Endpoint,
    action,
    detail,
    listing,
    one_of,
    page_of,
    reading,
)
from slurm_tasks.demo.waldur.database import Database
from slurm_tasks.demo.waldur.filters import Filter, by_uuid
from slurm_tasks.demo.waldur.following import set_allocation_state
from slurm_tasks.demo.waldur.records import Allocation, Resource
from slurm_tasks.demo.waldur.refusals import (
    RefusedError,
    invalid_list,
    object_missing,
    server_error,
)
from slurm_tasks.demo.waldur.shapes_resources import allocation_row
from slurm_tasks.demo.waldur.values import CONSUMERS, PROVIDERS, Json, new_uuid

Association = tuple[Allocation, str]


def _association_row(db: Database, association: Association) -> Json:
    allocation, username = association
    uuid = allocation.associations[username]
    return {
        "uuid": uuid,
        "username": username,
        "allocation": f"{db.url}slurm-allocations/{allocation.uuid}/",
    }


def _allocation_row(db: Database, resource: Resource) -> Json:
    return allocation_row(db, resource, allocation_of(resource))


def _remote(call: Call) -> tuple[Resource, Allocation]:
    """Return a resource with its Allocation; a stranger learns that it is there, and gets 403."""
    resource = call.db.resource(call.uuid)
    allocation = allocation_of(resource)
    call.require(*PROVIDERS)
    return resource, allocation


def set_state(call: Call) -> Answer:
    """Move the Allocation's state."""
    resource, _ = _remote(call)
    name = call.read(posted.ALLOCATION_STATE)["state"]
    set_allocation_state(call.db, resource, name)
    return Answer(200, {"detail": f"Allocation state has been changed to {name}"})


def set_backend_id(call: Call) -> Answer:
    """Set the Allocation's backend id, a field apart from the resource's."""
    _, allocation = _remote(call)
    call.break_without("backend_id")
    backend_id = call.read(posted.BACKEND_ID)["backend_id"]
    if backend_id == allocation.backend_id:
        return Answer(200, {"status": "Allocation backend_id is not changed."})
    allocation.backend_id = backend_id
    return Answer(200, {"status": "Allocation backend_id has been changed."})


def set_limits(call: Call) -> Answer:
    """Store the bare body as the limits, unchecked: wrapped limits are stored as they are.

    Where the simulator is strict it refuses what is no component of the offering.
    """
    resource, allocation = _remote(call)
    limits = call.posted()
    if not isinstance(limits, dict):
        raise invalid_list(f"The payload must have dictionary type, not {type(limits)}.")
    unknown = [type_ for type_ in limits if call.db.component(type_) is None]
    if call.db.strict and unknown:
        said = "No component of the offering: a real server would store it as a limit."
        raise RefusedError(400, {type_: [said] for type_ in unknown})
    if any(not isinstance(limits[t], int | float) for t in limits if call.db.component(t)):
        raise server_error()
    if limits != resource.limits:
        prices.check_new_limits(call.db, limits)
        resource.modified = call.db.now()
    allocation.limits = limits
    resource.limits = dict(limits)
    return Answer(200, {"status": "Limits are successfully set."})


def create_association(call: Call) -> Answer:
    """Note that a user is in the allocation's account; on a terminated resource too."""
    _, allocation = _remote(call)
    username = call.read(posted.ASSOCIATION)["username"]
    if username in allocation.associations:
        detail_ = "Association between the allocation and the username already exists."
        return Answer(200, {"detail": detail_})
    allocation.associations[username] = new_uuid()
    return _association_answer(201, "created")


def delete_association(call: Call) -> Answer:
    """Note that a user is no longer in the allocation's account."""
    _, allocation = _remote(call)
    username = call.read(posted.ASSOCIATION)["username"]
    if username not in allocation.associations:
        raise invalid_list("Association between the allocation and the username does not exist.")
    del allocation.associations[username]
    return _association_answer(200, "deleted")


def list_associations(call: Call) -> Answer:
    """Answer associations: those of every allocation, to everybody, with all their fields."""
    associations = [
        (resource.allocation, username)
        for resource in call.db.resources.values()
        if resource.allocation is not None
        for username in resource.allocation.associations
    ]
    associations.sort(key=lambda association: association[1])
    filters: dict[str, Filter[Association]] = {
        "allocation_uuid": Filter(lambda association: association[0].uuid, by_uuid),
    }
    return page_of(call, associations, _association_row, filters, {})


def list_allocations(call: Call) -> Answer:
    """Answer Allocations to staff and consumers; the provider's owner sees none."""
    made = [resource for resource in call.db.resources.values() if resource.allocation is not None]
    visible = made if call.user.role in CONSUMERS else []
    return page_of(call, visible, _allocation_row, {}, {}, fields.ALLOCATION)


def get_allocation(call: Call) -> Answer:
    """Answer one Allocation by its own uuid."""
    if call.user.role in CONSUMERS:
        for resource in call.db.resources.values():
            if resource.allocation is not None and resource.allocation.uuid == call.uuid:
                row = allocation_row(call.db, resource, resource.allocation)
                return one_of(call, row, fields.ALLOCATION)
    raise object_missing("Allocation")


def _association_answer(status: int, what: str) -> Answer:
    sentence = f"Association between the allocation and the username has been successfully {what}."
    return Answer(status, {"detail": sentence})


_REMOTE = "marketplace-slurm-remote/{uuid}/"
_LIST = "marketplace-slurm-remote/"

ENDPOINTS = (
    # Known paths that allow nothing.
    Endpoint(_LIST, {}, LIST_METHODS, "a"),
    detail(_REMOTE, "a"),
    action(_REMOTE + "set_state/", set_state, generations="a"),
    action(_REMOTE + "set_backend_id/", set_backend_id, generations="a"),
    action(_REMOTE + "set_limits/", set_limits, generations="a"),
    action(_REMOTE + "create_association/", create_association, generations="a"),
    action(_REMOTE + "delete_association/", delete_association, generations="a"),
    reading("slurm-associations/", list_associations, generations="a"),
    listing("slurm-allocations/", "a", get=list_allocations),
    detail("slurm-allocations/{uuid}/", "a", get=get_allocation),
)
