"""One call of the API as its handler sees it, and the answer that it gives."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from slurm_tasks.demo.waldur.database import Database
from slurm_tasks.demo.waldur.listing import Filter, Query, Record, paginate, pick, select, sort
from slurm_tasks.demo.waldur.refusals import RefusedError, forbidden, invalid, required
from slurm_tasks.demo.waldur.values import Json, Role, User
from slurm_tasks.demo.waldur.versions import Feature


@dataclass(frozen=True)
class Answer:
    """A status and a body: None is an empty one, a `str` under `html` an HTML page."""

    status: int = 200
    body: object = None
    headers: Mapping[str, str] = field(default_factory=dict)
    html: bool = False


@dataclass(frozen=True)
class Call:
    """A request by a known person."""

    db: Database
    user: User
    path: str
    query: Query
    uuid: str
    content_type: str
    user_agent: str
    raw: bytes

    def require(self, *roles: Role) -> None:
        """Refuse people without one of the roles.

        Raises:
            RefusedError: 403.
        """
        if self.user.role not in roles:
            raise forbidden()

    def note_agent(self) -> None:
        """Remember that a site agent asked for a list of its offering's: it is active then."""
        asks_for_offering = any(name == "offering_uuid" for name, _ in self.query)
        if "waldur-site-agent" in self.user_agent and asks_for_offering:
            self.db.agent_seen = self.db.now()

    def data(self) -> Json:
        """Return the posted JSON object; no body counts as an empty one.

        Raises:
            RefusedError: 415 for another content type, 400 for what is no JSON object.
        """
        if not self.raw:
            return {}
        if self.content_type.partition(";")[0].strip() != "application/json":
            message = f'Unsupported media type "{self.content_type}" in request.'
            raise RefusedError(415, {"detail": message})
        try:
            data = json.loads(self.raw)
        except ValueError as error:
            raise RefusedError(400, {"detail": f"JSON parse error - {error}"}) from None
        if not isinstance(data, dict):
            message = f"Invalid data. Expected a dictionary, but got {type(data).__name__}."
            raise RefusedError(400, {"non_field_errors": [message]})
        return data

    def posted_text(self, field: str) -> str:
        """Return a posted text.

        Raises:
            RefusedError: 400 where it was left out.
        """
        body = self.data()
        if field not in body:
            raise required(field)
        return str(body[field])

    def posted_object(self, field: str) -> Json:
        """Return a posted object.

        Raises:
            RefusedError: 400 where it was left out or is something else.
        """
        body = self.data()
        if field not in body:
            raise required(field)
        value = body[field]
        if not isinstance(value, dict):
            raise invalid(field, "Value must be a JSON object.")
        return value


Handler = Callable[[Call], Answer]


@dataclass(frozen=True)
class Endpoint:
    """A path below the API's base, its handlers by method, and the generations that have it."""

    path: str
    handlers: Mapping[str, Handler]
    allow: str
    generations: str = "ab"
    feature: Feature | None = None
    """What a server of these generations must have, too."""


DETAIL_METHODS = "GET, PUT, PATCH, DELETE, HEAD, OPTIONS"
LIST_METHODS = "GET, POST, HEAD, OPTIONS"
READ_METHODS = "GET, HEAD, OPTIONS"
ACTION_METHODS = "POST, OPTIONS"


def listing(path: str, generations: str = "ab", **handlers: Handler) -> Endpoint:
    """Return the endpoint of a list."""
    return Endpoint(path, _by_method(handlers), LIST_METHODS, generations)


def detail(path: str, generations: str = "ab", **handlers: Handler) -> Endpoint:
    """Return the endpoint of one object."""
    return Endpoint(path, _by_method(handlers), DETAIL_METHODS, generations)


def reading(path: str, handler: Handler, generations: str = "ab") -> Endpoint:
    """Return an endpoint that only reads."""
    return Endpoint(path, _by_method({"get": handler}), READ_METHODS, generations)


def action(
    path: str, handler: Handler, generations: str = "ab", feature: Feature | None = None
) -> Endpoint:
    """Return an endpoint that does something."""
    return Endpoint(path, {"POST": handler}, ACTION_METHODS, generations, feature)


def page_of(
    call: Call,
    records: list[Record],
    shape: Callable[[Database, Record], Json],
    filters: Mapping[str, Filter[Record]],
    keys: Mapping[str, Callable[[Record], object]],
) -> Answer:
    """Answer a list: filtered, sorted, cut to a page, with the chosen fields."""
    chosen = sort(select(records, filters, call.query), keys, call.query)
    base = call.db.url.removesuffix("/api/")
    page = paginate(chosen, call.query, f"{base}{call.path}")
    rows = [pick(shape(call.db, record), call.query) for record in page.records]
    return Answer(200, rows, page.headers)


def _by_method(handlers: Mapping[str, Handler]) -> dict[str, Handler]:
    """Key handlers by method; what answers GET answers HEAD."""
    by_method = {name.upper(): handler for name, handler in handlers.items()}
    if "GET" in by_method:
        by_method["HEAD"] = by_method["GET"]
    return by_method
