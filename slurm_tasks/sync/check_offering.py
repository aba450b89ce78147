"""Findings about the offering, its users and its resources: reads only."""

from collections.abc import Iterator

from slurm_tasks.errors import SlurmTasksError
from slurm_tasks.model.findings import Finding, failed, ok, warning
from slurm_tasks.sync import erred, usage
from slurm_tasks.sync.control import ERRED, Control
from slurm_tasks.waldur.views import Offering

OFFERING, ROLE, USERS, RESOURCES = "offering", "role", "offering users", "resources"

OWNER = "CUSTOMER.OWNER"
_UNAVAILABLE = "Unavailable"
_CONSEQUENCES = {
    "Draft": "nobody can order from it. Activate it in Waldur",
    "Paused": "nobody can order a new allocation; those that are there are kept in step",
    "Archived": "nobody can order a new allocation; those that are there are kept in step",
}


def state(offering: Offering) -> Finding:
    """Say in which state the offering is, and what follows from it."""
    said = f"{offering.name!r}, {offering.state or 'state unknown'}"
    if offering.state == _UNAVAILABLE:
        return failed(
            OFFERING,
            f"{said}: Waldur takes neither usage nor the ends of orders for it; both wait. Make it"
            " available again in Waldur",
        )
    if follows := _CONSEQUENCES.get(offering.state):
        return warning(OFFERING, f"{said}: {follows}")
    return ok(OFFERING, said)


def findings(control: Control, offering: Offering) -> Iterator[Finding]:
    """Look at the token's role, at the option that hides users, and at Erred resources."""
    try:
        yield from _role(control, offering)
        yield from _erred(control)
    except SlurmTasksError as error:
        yield failed(RESOURCES, str(error))
    if not offering.shows_users:
        yield warning(USERS, usage.USERS_HIDDEN)


def _role(control: Control, offering: Offering) -> Iterator[Finding]:
    """Name a token whose roles are known and none of which is that of the provider's owner."""
    if control.waldur.server.capabilities.staff:
        return
    here = {offering.uuid, offering.customer_uuid}
    roles = {role.role_name for role in control.waldur.permissions() if role.scope_uuid in here}
    if roles and OWNER not in roles:
        yield warning(
            ROLE,
            f"the token's roles are {', '.join(sorted(roles))}: Waldur lets only {OWNER} of the"
            " service provider approve and end orders, unless it was set up otherwise. Use the"
            " token of one",
        )


def _erred(control: Control) -> Iterator[Finding]:
    for resource in control.waldur.resources((ERRED,)):
        if resource.backend_id:
            yield warning(
                RESOURCES,
                f"{resource.backend_id} ({resource.uuid}) is Erred: Waldur takes no usage for it."
                " The next member sync brings it back to OK if its account is right and no order"
                f" of it is open; where the log says resource_erred, {erred.ADVICE}",
            )
