"""One call of the API as its handler sees it, and the answer that it gives."""

import json
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field

from slurm_tasks.demo.waldur import bodies
from slurm_tasks.demo.waldur.database import Database
from slurm_tasks.demo.waldur.filters import Filter, Query, Record, select
from slurm_tasks.demo.waldur.listing import (
    list_parameters,
    paginate,
    pick,
    refuse_unknown,
    sort,
)
from slurm_tasks.demo.waldur.refusals import RefusedError, forbidden, server_error
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

    def refuse_unknown(self, parameters: Collection[str], fields: Collection[str] = ()) -> None:
        """Refuse what this endpoint does not know, where the simulator is strict.

        Raises:
            RefusedError: 400 that names it.
        """
        if self.db.strict:
            refuse_unknown(self.query, parameters, fields)

    def posted(self) -> object:
        """Return the posted JSON; no body counts as an empty object.

        Raises:
            RefusedError: 415 for another content type, 400 for what is no JSON.
        """
        if not self.raw:
            return {}
        if self.content_type.partition(";")[0].strip() != "application/json":
            message = f'Unsupported media type "{self.content_type}" in request.'
            raise RefusedError(415, {"detail": message})
        try:
            return json.loads(self.raw)
        except ValueError as error:
            raise RefusedError(400, {"detail": f"JSON parse error - {error}"}) from None

    def read(self, shape: bodies.Shape) -> Json:
        """Return the fields of the posted body.

        Raises:
            RefusedError: 415 for another content type, 400 for what cannot be read.
        """
        return bodies.read(self.posted(), shape, strict=self.db.strict)

    def break_without(self, name: str) -> None:
        """Fail as GEN-A does where it reads a field without a look whether it is there.

        Raises:
            RefusedError: 500.
        """
        body = self.posted()
        if self.db.generation == "a" and isinstance(body, dict) and name not in body:
            raise server_error()

    def refuse_body(self) -> None:
        """Refuse a body where the endpoint reads none, and the simulator is strict.

        Raises:
            RefusedError: 400 that names its fields.
        """
        if self.raw and self.db.strict:
            self.read({})


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


def reading(
    path: str, handler: Handler, generations: str = "ab", feature: Feature | None = None
) -> Endpoint:
    """Return an endpoint that only reads."""
    return Endpoint(path, _by_method({"get": handler}), READ_METHODS, generations, feature)


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
    fields: Collection[str] = (),
) -> Answer:
    """Answer a list: filtered, sorted, cut to a page, with the chosen fields if it has any."""
    call.refuse_unknown(list_parameters(filters, keys), fields)
    chosen = sort(select(records, filters, call.query), keys, call.query)
    base = call.db.url.removesuffix("/api/")
    page = paginate(chosen, call.query, f"{base}{call.path}")
    rows = [shape(call.db, record) for record in page.records]
    return Answer(200, [pick(row, call.query) if fields else row for row in rows], page.headers)


def one_of(call: Call, row: Json, fields: Collection[str]) -> Answer:
    """Answer one object, with the chosen fields."""
    call.refuse_unknown((), fields)
    return Answer(200, pick(row, call.query))


def _by_method(handlers: Mapping[str, Handler]) -> dict[str, Handler]:
    """Key handlers by method; what answers GET answers HEAD."""
    by_method = {name.upper(): handler for name, handler in handlers.items()}
    if "GET" in by_method:
        by_method["HEAD"] = by_method["GET"]
    return by_method
