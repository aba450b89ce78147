"""GEN-A's Allocation: its state machine, and how it pulls the resource and its order along."""

from slurm_tasks.demo.waldur.database import Database
from slurm_tasks.demo.waldur.records import (
    Allocation,
    AllocationState,
    OrderState,
    Resource,
)
from slurm_tasks.demo.waldur.refusals import RefusedError, invalid, object_missing
from slurm_tasks.demo.waldur.values import new_uuid

# Waldur names a state by its number when its state machine refuses.
STATE_NUMBERS = {
    AllocationState.UPDATE_SCHEDULED: 1,
    AllocationState.UPDATING: 2,
    AllocationState.OK: 3,
    AllocationState.ERRED: 4,
    AllocationState.CREATION_SCHEDULED: 5,
    AllocationState.CREATING: 6,
    AllocationState.DELETION_SCHEDULED: 7,
    AllocationState.DELETING: 8,
}

_SETTLED = (AllocationState.OK, AllocationState.ERRED)
_ANYTHING = tuple(AllocationState)

# The name in a request: the state that it leads to, and the states that it may be asked in.
TRANSITIONS: dict[str, tuple[AllocationState, tuple[AllocationState, ...]]] = {
    "creating": (AllocationState.CREATING, (AllocationState.CREATION_SCHEDULED,)),
    "ok": (AllocationState.OK, _ANYTHING),
    "erred": (AllocationState.ERRED, _ANYTHING),
    "update_scheduled": (AllocationState.UPDATE_SCHEDULED, _SETTLED),
    "updating": (AllocationState.UPDATING, (AllocationState.UPDATE_SCHEDULED,)),
    "deletion_scheduled": (AllocationState.DELETION_SCHEDULED, _SETTLED),
    "deleting": (AllocationState.DELETING, (AllocationState.DELETION_SCHEDULED,)),
}


class UpdateImpossibleError(Exception):
    """The Allocation is not in a state from which GEN-A can schedule an update."""


def allocation_of(resource: Resource) -> Allocation:
    """Return the Allocation behind a resource.

    Raises:
        RefusedError: 404 until the server's Celery has made it.
    """
    if resource.allocation is None:
        raise object_missing("Resource")
    return resource.allocation


def create(db: Database, resource: Resource) -> None:
    """Make the Allocation of a new resource, as `process_order` does after an approval."""
    if resource.allocation is None:
        resource.allocation = Allocation(new_uuid(), db.now(), db.now())
        resource.modified = db.now()


def schedule_update(db: Database, resource: Resource) -> None:
    """Schedule an update, as `process_order` does after the approval of an Update.

    Raises:
        UpdateImpossibleError: the Allocation is missing, or still in an earlier operation.
    """
    allocation = resource.allocation
    if allocation is None:
        raise UpdateImpossibleError("'NoneType' object has no attribute 'schedule_updating'")
    if allocation.state not in _SETTLED:
        number = STATE_NUMBERS[allocation.state]
        raise UpdateImpossibleError(
            f"Can't switch from state '{number}' using method 'schedule_updating'"
        )
    _move(db, resource, allocation, AllocationState.UPDATE_SCHEDULED)


def set_state(db: Database, resource: Resource, name: object) -> AllocationState:
    """Move the Allocation, and complete or fail the executing order where that follows.

    Returns the state it was in before.

    Raises:
        RefusedError: 404 without an Allocation, 400 for an unknown name, 409 where it may not.
    """
    allocation = allocation_of(resource)
    if not isinstance(name, str) or name not in TRANSITIONS:
        raise invalid("state", f'"{name}" is not a valid choice.')
    target, sources = TRANSITIONS[name]
    before = allocation.state
    if before not in sources:
        raise RefusedError(409, {"detail": f"Can't switch from state '{STATE_NUMBERS[before]}'"})
    _move(db, resource, allocation, target)
    return before


def _move(db: Database, resource: Resource, allocation: Allocation, state: AllocationState) -> None:
    """Change the Allocation's state, and its copy in the resource's backend metadata."""
    allocation.state = state
    allocation.modified = resource.modified = db.now()
    resource.backend_metadata = resource.backend_metadata | {
        "state": state.value,
        "action": None,
        "action_details": None,
        "runtime_state": None,
    }


def completes(before: AllocationState, after: AllocationState) -> OrderState | None:
    """Return the order state that a move of the Allocation brings about by itself.

    Only a move out of Creating or Updating does; from a scheduled state straight to OK it
    leaves the order as it is.
    """
    if before not in (AllocationState.CREATING, AllocationState.UPDATING):
        return None
    return {AllocationState.OK: OrderState.DONE, AllocationState.ERRED: OrderState.ERRED}.get(after)
