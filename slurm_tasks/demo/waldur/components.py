"""The offering's components: adding, changing and removing what is billed."""

from dataclasses import replace

from slurm_tasks.demo.waldur.database import Database, plain_uuid
from slurm_tasks.demo.waldur.records import OfferingComponent, ResourceState
from slurm_tasks.demo.waldur.refusals import RefusedError, server_error
from slurm_tasks.demo.waldur.values import Component, Json, new_uuid

_SPEC_FIELDS = (
    "type",
    "name",
    "measured_unit",
    "billing_type",
    "limit_period",
    "limit_amount",
    "max_value",
    "unit_factor",
)
_OTHER_FIELDS = ("description", "article_code", "min_value", "max_available_limit")


def create(db: Database, body: Json) -> None:
    """Add a component.

    Raises:
        RefusedError: 500 for a type that the offering has already.
    """
    if db.component(body["type"]) is not None:
        raise server_error()
    component = OfferingComponent(new_uuid(), Component(body["type"], body["name"], ""))
    _fill(component, body)
    db.save_component(component)


def update(db: Database, component: OfferingComponent, body: Json) -> None:
    """Change a component: its type and its way of billing, too.

    Raises:
        RefusedError: 500 for a type that another component has.
    """
    other = db.component(body["type"])
    if other is not None and other is not component:
        raise server_error()
    _fill(component, body)
    db.save_component(component)


def remove(db: Database, body: Json) -> None:
    """Remove a component.

    Raises:
        RefusedError: 400 while the offering has resources.
    """
    component = _component(db, body)
    # Recorded: one that nothing had used yet was refused too, as the offering had resources.
    if any(resource.state != ResourceState.TERMINATED for resource in db.resources.values()):
        raise RefusedError(
            400,
            {
                "details": f"The component {component.spec.name} cannot be removed"
                " because it is already used"
            },
        )
    del db.components[component.uuid]


def _component(db: Database, body: Json) -> OfferingComponent:
    if not body.get("uuid"):
        raise RefusedError(400, {"details": "UUID for offering component was not provided."})
    found = db.components.get(plain_uuid(str(body["uuid"])) or "")
    if found is None:
        raise RefusedError(400, {"details": "Offering component was not found."})
    return found


def _fill(component: OfferingComponent, body: Json) -> None:
    """Copy the fields that were sent."""
    known = {field: body[field] for field in _SPEC_FIELDS if field in body}
    component.spec = replace(component.spec, **known)
    for field in _OTHER_FIELDS:
        if field in body:
            setattr(component, field, body[field])
