"""marketplace-slurm-remote/, slurm-associations/ and slurm-allocations/: GEN-A only."""

import re

from slurm_tasks.demo.waldur import prices
from slurm_tasks.demo.waldur.allocations import allocation_of
from slurm_tasks.demo.waldur.api_resources import provided
from slurm_tasks.demo.waldur.calls import Answer, Call, action, detail, page_of, reading
from slurm_tasks.demo.waldur.database import Database
from slurm_tasks.demo.waldur.following import set_allocation_state
from slurm_tasks.demo.waldur.listing import Filter, by_text, by_uuid
from slurm_tasks.demo.waldur.records import Allocation, Resource
from slurm_tasks.demo.waldur.refusals import RefusedError, invalid, object_missing
from slurm_tasks.demo.waldur.shapes_resources import allocation_row
from slurm_tasks.demo.waldur.values import CONSUMERS, Json, new_uuid

_USERNAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.@+-]*")

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


def set_state(call: Call) -> Answer:
    """Move the Allocation's state."""
    resource = provided(call)
    name = call.posted_text("state")
    set_allocation_state(call.db, resource, name)
    return Answer(200, {"detail": f"Allocation state has been changed to {name}"})


def set_backend_id(call: Call) -> Answer:
    """Set the Allocation's backend id, a field apart from the resource's."""
    allocation = allocation_of(provided(call))
    allocation.backend_id = call.posted_text("backend_id")
    return Answer(200, {"status": "Allocation backend_id has been changed."})


def set_limits(call: Call) -> Answer:
    """Store the bare body as the limits, unchecked: wrapped limits are stored as they are."""
    resource = provided(call)
    allocation = allocation_of(resource)
    limits = call.data()
    if limits != resource.limits:
        prices.check_new_limits(call.db, limits)
    allocation.limits = limits
    resource.limits = dict(limits)
    return Answer(200, {"status": "Limits are updated."})


def create_association(call: Call) -> Answer:
    """Note that a user is in the allocation's account; on a terminated resource too."""
    allocation = allocation_of(provided(call))
    username = _username(call)
    if username in allocation.associations:
        detail_ = "Association between the allocation and the username already exists."
        return Answer(200, {"detail": detail_})
    allocation.associations[username] = new_uuid()
    return _association_answer(201, "created")


def delete_association(call: Call) -> Answer:
    """Note that a user is no longer in the allocation's account."""
    allocation = allocation_of(provided(call))
    username = _username(call)
    if username not in allocation.associations:
        detail_ = "Association between the allocation and the username does not exist."
        raise RefusedError(400, {"detail": detail_})
    del allocation.associations[username]
    return _association_answer(200, "deleted")


def list_associations(call: Call) -> Answer:
    """Answer associations: those of every allocation, to everybody, unless filtered."""
    associations = [
        (resource.allocation, username)
        for resource in call.db.resources.values()
        if resource.allocation is not None
        for username in resource.allocation.associations
    ]
    filters: dict[str, Filter[Association]] = {
        "allocation_uuid": Filter(lambda association: association[0].uuid, by_uuid),
        "username": Filter(lambda association: association[1], by_text),
    }
    return page_of(call, associations, _association_row, filters, {})


def list_allocations(call: Call) -> Answer:
    """Answer Allocations to staff and consumers; the provider's owner sees none."""
    made = [resource for resource in call.db.resources.values() if resource.allocation is not None]
    visible = made if call.user.role in CONSUMERS else []
    return page_of(call, visible, _allocation_row, {}, {})


def get_allocation(call: Call) -> Answer:
    """Answer one Allocation by its own uuid."""
    if call.user.role in CONSUMERS:
        for resource in call.db.resources.values():
            if resource.allocation is not None and resource.allocation.uuid == call.uuid:
                return Answer(200, allocation_row(call.db, resource, resource.allocation))
    raise object_missing("Allocation")


def _username(call: Call) -> str:
    username = call.posted_text("username")
    if not _USERNAME.fullmatch(username):
        raise invalid("username", "Enter a valid username.")
    return username


def _association_answer(status: int, what: str) -> Answer:
    sentence = f"Association between the allocation and the username has been successfully {what}."
    return Answer(status, {"detail": sentence})


_REMOTE = "marketplace-slurm-remote/{uuid}/"

ENDPOINTS = (
    action(_REMOTE + "set_state/", set_state, generations="a"),
    action(_REMOTE + "set_backend_id/", set_backend_id, generations="a"),
    action(_REMOTE + "set_limits/", set_limits, generations="a"),
    action(_REMOTE + "create_association/", create_association, generations="a"),
    action(_REMOTE + "delete_association/", delete_association, generations="a"),
    reading("slurm-associations/", list_associations, generations="a"),
    reading("slurm-allocations/", list_allocations, generations="a"),
    detail("slurm-allocations/{uuid}/", "a", get=get_allocation),
)
