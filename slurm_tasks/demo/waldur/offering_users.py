"""Offering users: who gets one, what name they have, and GEN-B's states."""

from slurm_tasks.demo.waldur.database import Database
from slurm_tasks.demo.waldur.records import (
    OfferingUser,
    OfferingUserState,
    Resource,
    ResourceState,
)
from slurm_tasks.demo.waldur.refusals import bad_state, invalid
from slurm_tasks.demo.waldur.values import User, new_uuid

State = OfferingUserState

_PENDING = (State.PENDING_ACCOUNT_LINKING, State.PENDING_ADDITIONAL_VALIDATION)

# The action of the API: the states it may be asked in (none: any), and the state it leads to.
ACTIONS: dict[str, tuple[tuple[State, ...], State]] = {
    "begin_creating": ((State.REQUESTED, State.ERROR_CREATING), State.CREATING),
    "set_ok": ((), State.OK),
    "set_pending_account_linking": (
        (State.CREATING, State.ERROR_CREATING, *_PENDING),
        State.PENDING_ACCOUNT_LINKING,
    ),
    "set_pending_additional_validation": (
        (State.CREATING, State.ERROR_CREATING, *_PENDING),
        State.PENDING_ADDITIONAL_VALIDATION,
    ),
    "set_validation_complete": (_PENDING, State.OK),
    "request_deletion": ((State.OK,), State.REQUESTED_DELETION),
    "set_deleting": ((State.REQUESTED_DELETION, State.ERROR_DELETING), State.DELETING),
    "set_deleted": ((State.DELETING,), State.DELETED),
    "set_error_creating": ((), State.ERROR_CREATING),
    "set_error_deleting": ((), State.ERROR_DELETING),
}


def make_offering_users(db: Database, resource: Resource) -> None:
    """Make an offering user without a username for each project member who has none."""
    if not db.switches.shows_offering_users:
        return
    for user in db.members.get(resource.project_uuid, []):
        if db.offering_user_of(user) is None:
            add(db, user).propagation_date = db.now()


def join(db: Database, project_uuid: str, user: User) -> None:
    """Make a person a member of a project; where it has an allocation, an offering user, too."""
    team = db.members[project_uuid]
    if user not in team:
        team.append(user)
    allocated = any(
        resource.project_uuid == project_uuid and resource.state == ResourceState.OK
        for resource in db.resources.values()
    )
    if allocated and db.switches.shows_offering_users and db.offering_user_of(user) is None:
        add(db, user)


def leave(db: Database, project_uuid: str, user: User) -> None:
    """End a membership; the offering user stays, as it does in Waldur."""
    team = db.members[project_uuid]
    if user in team:
        team.remove(user)


def add(db: Database, user: User, username: str = "") -> OfferingUser:
    """Add a person's offering user.

    Raises:
        RefusedError: 400 where the person has one already.
    """
    if db.offering_user_of(user) is not None:
        raise invalid("non_field_errors", "The fields offering, user must make a unique set.")
    now = db.now()
    offering_user = OfferingUser(new_uuid(), user, now, now)
    if username:
        rename(db, offering_user, username)
    db.add_offering_user(offering_user)
    return offering_user


def rename(db: Database, offering_user: OfferingUser, username: str) -> None:
    """Set a username; it is checked neither for its characters nor for being unique.

    With a name, an account that was only asked for is complete (GEN-B).
    """
    offering_user.username = username
    offering_user.modified = db.now()
    if username and offering_user.state in (State.REQUESTED, State.CREATING, *_PENDING):
        offering_user.state = State.OK


def act(db: Database, offering_user: OfferingUser, action: str) -> None:
    """Move an offering user by one of the API's actions.

    Raises:
        RefusedError: 409 where its state does not allow it.
    """
    sources, target = ACTIONS[action]
    if sources and offering_user.state not in sources:
        raise bad_state(*sources)
    offering_user.state = target
    offering_user.modified = db.now()
    if action == "set_validation_complete":
        offering_user.service_provider_comment = ""
        offering_user.service_provider_comment_url = ""
