"""users/me, marketplace-offering-users/ and the service provider's usernames."""

from collections.abc import Callable

from slurm_tasks.demo.waldur import offering_users
from slurm_tasks.demo.waldur.calls import (
    Answer,
    Call,
    Endpoint,
    Handler,
    action,
    detail,
    listing,
    page_of,
    reading,
)
from slurm_tasks.demo.waldur.database import Database, plain_uuid
from slurm_tasks.demo.waldur.listing import (
    Filter,
    by_choice,
    by_flag,
    by_part,
    by_text,
    by_uuid,
    pick,
    since,
)
from slurm_tasks.demo.waldur.records import OfferingUser, OfferingUserState
from slurm_tasks.demo.waldur.refusals import invalid, object_missing, required
from slurm_tasks.demo.waldur.shapes_users import offering_user_row, user_row
from slurm_tasks.demo.waldur.values import PROVIDER_OWNERS, PROVIDERS, User


def _filters(db: Database) -> dict[str, Filter[OfferingUser]]:
    filters: dict[str, Filter[OfferingUser]] = {
        "offering_uuid": Filter(lambda _: db.offering_uuid, by_uuid),
        "provider_uuid": Filter(lambda _: db.provider_uuid, by_uuid),
        "user_uuid": Filter(lambda ou: ou.user.uuid, by_uuid),
        "user_username": Filter(lambda ou: ou.user.username, by_text),
        "username": Filter(lambda ou: ou.username, by_text),
        "query": Filter(lambda ou: f"{ou.username} {ou.user.full_name}", by_part),
        "is_restricted": Filter(lambda ou: ou.is_restricted, by_flag),
        "created": Filter(lambda ou: ou.created, since),
        "modified": Filter(lambda ou: ou.modified, since),
    }
    if db.generation == "b":
        filters["state"] = Filter(lambda ou: ou.state.value, by_choice(OfferingUserState))
    return filters


_KEYS: dict[str, Callable[[OfferingUser], object]] = {
    "created": lambda ou: ou.created.isoformat(),
    "modified": lambda ou: ou.modified.isoformat(),
    "username": lambda ou: ou.username,
}


def get_me(call: Call) -> Answer:
    """Answer the person whose token it is."""
    return Answer(200, pick(user_row(call.db, call.user), call.query))


def list_offering_users(call: Call) -> Answer:
    """Answer the offering's users, or a consumer's own."""
    everybody = list(call.db.offering_users.values())
    if call.user.role not in PROVIDERS:
        everybody = [ou for ou in everybody if ou.user.uuid == call.user.uuid]
    return page_of(call, everybody, offering_user_row, _filters(call.db), _KEYS)


def get_offering_user(call: Call) -> Answer:
    """Answer one offering user."""
    return Answer(200, pick(offering_user_row(call.db, _offering_user(call)), call.query))


def create_offering_user(call: Call) -> Answer:
    """Make a person an offering user; only the provider-offering's address is accepted."""
    call.require(*PROVIDER_OWNERS)
    body = call.data()
    user = _posted_user(call)
    _check_offering(call)
    offering_user = offering_users.add(call.db, user, str(body.get("username") or ""))
    return Answer(201, offering_user_row(call.db, offering_user))


def patch_offering_user(call: Call) -> Answer:
    """Change a username."""
    offering_user = _offering_user(call)
    call.require(*PROVIDER_OWNERS)
    body = call.data()
    if "username" in body:
        offering_users.rename(call.db, offering_user, str(body["username"] or ""))
    return Answer(200, offering_user_row(call.db, offering_user))


def update_restricted(call: Call) -> Answer:
    """Restrict an offering user, or lift it."""
    offering_user = _offering_user(call)
    call.require(*PROVIDER_OWNERS)
    body = call.data()
    if "is_restricted" not in body:
        raise required("is_restricted")
    offering_user.is_restricted = bool(body["is_restricted"])
    return Answer()


def set_offerings_username(call: Call) -> Answer:
    """Set a person's username in all offerings of the service provider."""
    call.require(*PROVIDER_OWNERS)
    username = call.posted_text("username")
    user = call.db.users.get(plain_uuid(call.posted_text("user_uuid")) or "")
    if user is None:
        raise object_missing("User")
    offering_user = call.db.offering_user_of(user) or offering_users.add(call.db, user)
    offering_users.rename(call.db, offering_user, username)
    return Answer(201, {"detail": "Offering users have been set."})


def _moving(name: str) -> Handler:
    """Return the handler of one of GEN-B's actions on an offering user's state."""

    def move(call: Call) -> Answer:
        offering_user = _offering_user(call)
        call.require(*PROVIDER_OWNERS)
        offering_users.act(call.db, offering_user, name)
        comment = call.data()
        offering_user.service_provider_comment = str(comment.get("comment") or "")
        offering_user.service_provider_comment_url = str(comment.get("comment_url") or "")
        return Answer()

    return move


def _offering_user(call: Call) -> OfferingUser:
    offering_user = call.db.offering_user(call.uuid)
    if call.user.role not in PROVIDERS and offering_user.user.uuid != call.user.uuid:
        raise object_missing("OfferingUser")
    return offering_user


def _posted_user(call: Call) -> User:
    """Return the person that `user` (an address) or GEN-B's `user_uuid` names."""
    body = call.data()
    if call.db.generation == "b" and body.get("user_uuid"):
        field, uuid = "user_uuid", str(body["user_uuid"])
    elif body.get("user"):
        field, uuid = "user", str(body["user"]).rstrip("/").rpartition("/")[2]
    else:
        raise required("user")
    user = call.db.users.get(plain_uuid(uuid) or "")
    if user is None:
        raise invalid(field, "Invalid hyperlink - Object does not exist.")
    return user


def _check_offering(call: Call) -> None:
    body = call.data()
    if call.db.generation == "b" and body.get("offering_uuid"):
        if plain_uuid(str(body["offering_uuid"])) != call.db.offering_uuid:
            raise invalid("offering_uuid", "Offering not found.")
        return
    url = str(body.get("offering") or "")
    if not url:
        raise required("offering")
    if f"/marketplace-provider-offerings/{call.db.offering_uuid}/" not in url:
        raise invalid("offering", "Invalid hyperlink - Incorrect URL match.")


_USERS = "marketplace-offering-users/"
_MOVES: tuple[Endpoint, ...] = tuple(
    action(f"{_USERS}{{uuid}}/{name}/", _moving(name), generations="b")
    for name in offering_users.ACTIONS
)

ENDPOINTS = (
    reading("users/me/", get_me),
    listing(_USERS, get=list_offering_users, post=create_offering_user),
    detail(_USERS + "{uuid}/", get=get_offering_user, patch=patch_offering_user),
    action(_USERS + "{uuid}/update_restricted/", update_restricted),
    *_MOVES,
    action("marketplace-service-providers/{uuid}/set_offerings_username/", set_offerings_username),
)
