"""users/me, marketplace-offering-users/ and the service provider's usernames."""

from collections.abc import Callable

from slurm_tasks.demo.waldur import consent, fields, offering_users, posted
from slurm_tasks.demo.waldur.calls import (
    READ_METHODS,
    Answer,
    Call,
    Endpoint,
    Handler,
    action,
    detail,
    listing,
    one_of,
    page_of,
)
from slurm_tasks.demo.waldur.database import Database, plain_uuid
from slurm_tasks.demo.waldur.filters import (
    Filter,
    by_flag,
    by_part,
    by_uuid,
    by_word,
    chosen_of,
    since,
    since_day,
)
from slurm_tasks.demo.waldur.records import OfferingUser, OfferingUserState
from slurm_tasks.demo.waldur.refusals import (
    RefusedError,
    forbidden,
    invalid,
    object_missing,
    required,
)
from slurm_tasks.demo.waldur.shapes_users import offering_user_row, user_row
from slurm_tasks.demo.waldur.values import (
    CONSUMER_OWNERS,
    PROVIDER_OWNERS,
    PROVIDERS,
    Json,
    Role,
    User,
)
from slurm_tasks.demo.waldur.versions import Feature


def offering_user_filters(db: Database) -> dict[str, Filter[OfferingUser]]:
    """Return the filters of the list of offering users."""
    # GEN-A takes days here, and refuses moments.
    changed = since_day if db.generation == "a" else since
    filters: dict[str, Filter[OfferingUser]] = {
        "offering_uuid": Filter(lambda _: db.offering_uuid, by_uuid),
        "provider_uuid": Filter(lambda _: db.provider_uuid, by_uuid),
        "user_uuid": Filter(lambda ou: ou.user.uuid, by_uuid),
        "user_username": Filter(lambda ou: ou.user.username, by_word),
        "query": Filter(lambda ou: f"{ou.username} {ou.user.full_name}", by_part),
        "is_restricted": Filter(lambda ou: ou.is_restricted, by_flag),
        "created": Filter(lambda ou: ou.created, changed),
        "modified": Filter(lambda ou: ou.modified, changed),
    }
    if db.has(Feature.ACCOUNT_STATES):
        filters["state"] = chosen_of(lambda ou: ou.state.value, OfferingUserState)
    return filters


_KEYS: dict[str, Callable[[OfferingUser], object]] = {
    "created": lambda ou: ou.created.isoformat(),
    "modified": lambda ou: ou.modified.isoformat(),
    "username": lambda ou: ou.username,
}


# What GEN-A tells of oneself to staff only (seen on a real server; a provider sees it of others).
_OF_STAFF = ("description", "is_staff", "is_active", "is_support")


def get_me(call: Call) -> Answer:
    """Answer the person whose token it is."""
    row = user_row(call.db, call.user)
    if call.db.generation == "a" and call.user.role != Role.STAFF:
        for key in _OF_STAFF:
            del row[key]
    return one_of(call, row, fields.USER)


def forbid(_call: Call) -> Answer:
    """Refuse, whoever asks."""
    raise forbidden()


def _visible(call: Call) -> list[OfferingUser]:
    """Return the offering users that a person sees, by username: without the option only his."""
    everybody = sorted(call.db.offering_users.values(), key=lambda ou: ou.username)
    if call.user.role in PROVIDERS and call.db.switches.shows_offering_users:
        shown = consent.shown_to(call.db, call.user, [ou.user for ou in everybody])
        return [ou for ou in everybody if ou.user in shown]
    return [ou for ou in everybody if ou.user.uuid == call.user.uuid]


def _offering_user(call: Call) -> OfferingUser:
    found = call.db.offering_user(call.uuid)
    if found not in _visible(call):
        raise object_missing("OfferingUser")
    return found


def list_offering_users(call: Call) -> Answer:
    """Answer the offering's users, or a consumer's own."""
    filters = offering_user_filters(call.db)
    return page_of(call, _visible(call), offering_user_row, filters, _KEYS, fields.OFFERING_USER)


def get_offering_user(call: Call) -> Answer:
    """Answer one offering user."""
    return one_of(call, offering_user_row(call.db, _offering_user(call)), fields.OFFERING_USER)


def create_offering_user(call: Call) -> Answer:
    """Make a person an offering user; only the provider-offering's address is accepted."""
    call.require(*PROVIDER_OWNERS)
    body = call.read(posted.OFFERING_USER[call.db.generation])
    user = _posted_user(call.db, body)
    _check_offering(call.db, body)
    offering_user = offering_users.add(call.db, user, body.get("username") or "")
    return Answer(201, offering_user_row(call.db, offering_user))


def patch_offering_user(call: Call) -> Answer:
    """Change a username."""
    offering_user = _offering_user(call)
    call.require(*PROVIDER_OWNERS)
    body = call.read(posted.USERNAME)
    if "username" in body:
        offering_users.rename(call.db, offering_user, body["username"] or "")
    return Answer(200, offering_user_row(call.db, offering_user))


def delete_offering_user(call: Call) -> Answer:
    """Forget an offering user, whose name may still be on the cluster."""
    offering_user = _offering_user(call)
    if call.user.role not in PROVIDER_OWNERS:
        said = "You do not have permission to delete this user."
        raise RefusedError(403, {"detail": said})
    call.db.remove_offering_user(offering_user)
    return Answer(204)


def update_restricted(call: Call) -> Answer:
    """Restrict an offering user, or lift it."""
    offering_user = _offering_user(call)
    call.require(*PROVIDER_OWNERS)
    offering_user.is_restricted = call.read(posted.RESTRICTION)["is_restricted"]
    return Answer()


def set_offerings_username(call: Call) -> Answer:
    """Set a person's username in all offerings of the service provider."""
    call.require(*PROVIDER_OWNERS)
    body = call.read(posted.EVERYWHERE)
    user = call.db.users.get(plain_uuid(body["user_uuid"]) or "")
    if user is None:
        raise object_missing("User")
    offering_user = call.db.offering_user_of(user) or offering_users.add(call.db, user)
    offering_users.rename(call.db, offering_user, body["username"])
    return Answer(201, {"detail": "Offering users have been set."})


def _member(call: Call) -> User:
    call.require(*CONSUMER_OWNERS)
    if plain_uuid(call.uuid) not in call.db.projects:
        raise object_missing("Project")
    uuid = call.read(posted.MEMBERSHIP)["user"]
    user = call.db.users.get(plain_uuid(uuid) or "")
    if user is None:
        raise invalid("user", f"Object with uuid={uuid} does not exist.")
    return user


def add_member(call: Call) -> Answer:
    """Make a person a member of a project."""
    user = _member(call)
    offering_users.join(call.db, call.uuid, user)
    return Answer(201, {"expiration_time": None})


def remove_member(call: Call) -> Answer:
    """End a membership; the offering user stays."""
    user = _member(call)
    offering_users.leave(call.db, call.uuid, user)
    return Answer()


def _moving(name: str) -> Handler:
    """Return the handler of one of GEN-B's actions on an offering user's state."""
    commented = name in ("set_pending_account_linking", "set_pending_additional_validation")

    def move(call: Call) -> Answer:
        offering_user = _offering_user(call)
        call.require(*PROVIDER_OWNERS)
        comment = call.read(posted.COMMENT if commented else {})
        offering_users.act(call.db, offering_user, name)
        offering_user.service_provider_comment = comment.get("comment", "")
        offering_user.service_provider_comment_url = comment.get("comment_url", "")
        return Answer()

    return move


def _posted_user(db: Database, body: Json) -> User:
    """Return the person that `user` (an address) or GEN-B's `user_uuid` names."""
    if body.get("user_uuid"):
        field, uuid = "user_uuid", body["user_uuid"]
    elif body.get("user"):
        field, uuid = "user", body["user"].rstrip("/").rpartition("/")[2]
    else:
        raise required("user")
    user = db.users.get(plain_uuid(uuid) or "")
    if user is None:
        raise invalid(field, "Invalid hyperlink - Object does not exist.")
    return user


def _check_offering(db: Database, body: Json) -> None:
    if body.get("offering_uuid"):
        if plain_uuid(body["offering_uuid"]) != db.offering_uuid:
            raise invalid("offering_uuid", "Offering not found.")
        return
    if not body.get("offering"):
        raise required("offering")
    if f"/marketplace-provider-offerings/{db.offering_uuid}/" not in body["offering"]:
        raise invalid("offering", "Invalid hyperlink - Incorrect URL match.")


_USERS = "marketplace-offering-users/"
_MOVES: tuple[Endpoint, ...] = tuple(
    action(f"{_USERS}{{uuid}}/{name}/", _moving(name), generations="b")
    for name in offering_users.ACTIONS
)

ENDPOINTS = (
    Endpoint(
        "users/me/",
        {"GET": get_me, "HEAD": get_me, "POST": forbid, "PUT": forbid, "DELETE": forbid},
        READ_METHODS,
    ),
    action("projects/{uuid}/add_user/", add_member),
    action("projects/{uuid}/delete_user/", remove_member),
    listing(_USERS, get=list_offering_users, post=create_offering_user),
    detail(
        _USERS + "{uuid}/",
        get=get_offering_user,
        patch=patch_offering_user,
        delete=delete_offering_user,
    ),
    action(_USERS + "{uuid}/update_restricted/", update_restricted),
    *_MOVES,
    action("marketplace-service-providers/{uuid}/set_offerings_username/", set_offerings_username),
)
