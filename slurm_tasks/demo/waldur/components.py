"""The offering's components: adding, changing and removing what is billed."""

from dataclasses import replace

from slurm_tasks.demo.waldur.database import Database, plain_uuid
from slurm_tasks.demo.waldur.records import OfferingComponent, ResourceState
from slurm_tasks.demo.waldur.refusals import RefusedError, invalid, required, server_error
from slurm_tasks.demo.waldur.values import Component, Json, new_uuid

BILLING_TYPES = ("fixed", "usage", "limit", "one", "few")
LIMIT_PERIODS = ("month", "quarterly", "annual", "total")

_SPEC_FIELDS = (
    "type",
    "name",
    "measured_unit",
    "billing_type",
    "limit_period",
    "limit_amount",
    "max_value",
)
_OTHER_FIELDS = ("description", "article_code", "min_value", "max_available_limit")


def create(db: Database, body: Json) -> None:
    """Add a component.

    Raises:
        RefusedError: 400 for a bad field, 500 for a type that the offering has already.
    """
    _check(body)
    if db.component(str(body["type"])) is not None:
        raise server_error()
    spec = Component(str(body["type"]), str(body["name"]), "")
    component = OfferingComponent(new_uuid(), spec)
    _fill(db, component, body)
    db.add_component(component)


def update(db: Database, body: Json) -> None:
    """Change a component.

    Raises:
        RefusedError: 400 without a known uuid, or for a bad field.
    """
    component = _component(db, body)
    _check(body)
    _fill(db, component, body)


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


def _check(body: Json) -> None:
    for field in ("type", "name", "billing_type"):
        if field not in body:
            raise required(field)
    _check_choice(body, "billing_type", BILLING_TYPES)
    if body.get("limit_period") is not None:
        _check_choice(body, "limit_period", LIMIT_PERIODS)


def _check_choice(body: Json, field: str, choices: tuple[str, ...]) -> None:
    if body[field] not in choices:
        raise invalid(field, f'"{body[field]}" is not a valid choice.')


def _fill(db: Database, component: OfferingComponent, body: Json) -> None:
    """Copy the fields that were sent; GEN-A knows no unit factor and drops it."""
    known = {field: body[field] for field in _SPEC_FIELDS if field in body}
    if db.generation == "b" and body.get("unit_factor") is not None:
        known["unit_factor"] = int(body["unit_factor"])
    component.spec = replace(component.spec, **known)
    for field in _OTHER_FIELDS:
        if field in body:
            setattr(component, field, body[field])
