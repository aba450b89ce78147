"""What servers of generation B look at before a resource is changed by its provider."""

import re

from slurm_tasks.demo.waldur.database import Database
from slurm_tasks.demo.waldur.records import Resource
from slurm_tasks.demo.waldur.refusals import RefusedError, invalid, invalid_list
from slurm_tasks.demo.waldur.values import Json
from slurm_tasks.demo.waldur.versions import Feature


def check_available(db: Database) -> None:
    """Refuse to change a resource of an offering that is unavailable.

    Raises:
        RefusedError: 400, with a bare list as its body.
    """
    if db.has(Feature.UNAVAILABLE_OFFERINGS) and db.switches.offering_state == "Unavailable":
        raise invalid_list("Offering is unavailable.")


def set_limits(db: Database, resource: Resource, limits: Json) -> None:
    """Replace a resource's limits.

    Raises:
        RefusedError: 400 on newer servers for what is no component of the offering.
    """
    if db.has(Feature.STRICT_LIMITS):
        unknown = [type_ for type_ in limits if db.component(type_) is None]
        if unknown:
            message = f"Unknown component types: {', '.join(unknown)}"
            raise RefusedError(400, {"limits": message})
        if db.switches.periodic_policy:
            limits = _without_limit_based(db, resource, limits)
    resource.limits = dict(limits)


def _without_limit_based(db: Database, resource: Resource, limits: Json) -> Json:
    """Leave limit-based components as they are: a policy sets them, and says nothing."""
    kept = {c.spec.type for c in db.components.values() if c.spec.billing_type == "limit"}
    ours = {type_: value for type_, value in resource.limits.items() if type_ in kept}
    return {type_: value for type_, value in limits.items() if type_ not in kept} | ours


def check_backend_id(db: Database, resource: Resource, backend_id: str) -> None:
    """Refuse a backend id that breaks the offering's rules; their wordings are not known.

    Raises:
        RefusedError: 400 under `backend_id`.
    """
    rules = db.switches.backend_id_rules
    if rules is None or not db.has(Feature.BACKEND_ID_RULES) or not backend_id:
        return
    if not re.fullmatch(rules.pattern, backend_id):
        raise invalid("backend_id", "Backend ID does not match the required format.")
    others = (other for other in db.resources.values() if other is not resource)
    if rules.unique and any(other.backend_id == backend_id for other in others):
        raise invalid("backend_id", "Backend ID is already in use.")
