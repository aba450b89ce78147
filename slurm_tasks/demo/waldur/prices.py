"""The plan's prices, without which GEN-A cannot give a resource other limits."""

from collections.abc import Mapping

from slurm_tasks.demo.waldur.database import Database
from slurm_tasks.demo.waldur.refusals import invalid_list, server_error
from slurm_tasks.demo.waldur.values import Json
from slurm_tasks.demo.waldur.versions import Feature


def check_new_limits(db: Database, limits: Json) -> None:
    """Refuse limits of a component that the plan has no price for, as GEN-A does.

    Raises:
        RefusedError: 500; nothing has changed then.
    """
    if db.generation == "b":
        return
    for type_ in limits:
        component = db.component(type_)
        if component and component.spec.billing_type == "limit" and type_ not in db.prices:
            raise server_error()


def check_told_limits(db: Database, *told: Json) -> None:
    """Refuse limits that a server cannot name in its mail about an update: others than of limits.

    Raises:
        RefusedError: 500; nothing has changed then.
    """
    if not db.has(Feature.LIMITS_BREAK_UPDATES):
        return
    for type_ in (type_ for limits in told for type_ in limits):
        component = db.component(type_)
        if component is None or component.spec.billing_type != "limit":
            raise server_error()


def update(db: Database, prices: Mapping[str, float]) -> None:
    """Set prices of some components; the others keep theirs.

    Raises:
        RefusedError: 400 for an unknown component.
    """
    unknown = [type_ for type_ in prices if db.component(type_) is None]
    if unknown:
        raise invalid_list(f"Invalid components {', '.join(unknown)}.")
    db.prices |= prices
