"""GEN-A's Allocation: its state machine."""

from slurm_tasks.demo.waldur.database import Database
from slurm_tasks.demo.waldur.records import Allocation, AllocationState, Resource
from slurm_tasks.demo.waldur.refusals import RefusedError, invalid_list, object_missing
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
    move(db, resource, allocation, AllocationState.UPDATE_SCHEDULED)


def target_of(resource: Resource, name: object) -> AllocationState:
    """Return the state that a name in a request leads the Allocation to.

    Raises:
        RefusedError: 404 without an Allocation, 400 for an unknown name, 409 where it may not.
    """
    allocation = allocation_of(resource)
    if not isinstance(name, str) or name not in TRANSITIONS:
        raise invalid_list("Invalid state: a corresponding method for transition is absent")
    target, sources = TRANSITIONS[name]
    if allocation.state not in sources:
        raise transition_refused(allocation.state, name)
    return target


def transition_refused(state: AllocationState, name: str) -> RefusedError:
    """Return the 409 of a transition that the state machine, or the resource's, has not."""
    number = STATE_NUMBERS[state]
    return RefusedError(
        409, {"detail": f"Allocation state can not be changed from {number} to {name}."}
    )


def move(db: Database, resource: Resource, allocation: Allocation, state: AllocationState) -> None:
    """Change the Allocation's state, and its copy in the resource's backend metadata."""
    allocation.state = state
    allocation.modified = resource.modified = db.now()
    resource.backend_metadata = resource.backend_metadata | {
        "state": state.value,
        "action": None,
        "action_details": None,
        "runtime_state": None,
    }
