"""The client: about thirty requests, each a method that parses only what it reads.

Waldur's own generated endpoint functions are not used at run time: importing one of them loads
3,100 modules, and their models fail on servers that are a version away. They are the oracle of
the tests instead.
"""

import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import Any, TypeVar

import structlog

from slurm_tasks.errors import ConfigurationError, WaldurError, WaldurRefusedError
from slurm_tasks.model import names
from slurm_tasks.settings import Waldur as Settings
from slurm_tasks.waldur import lists
from slurm_tasks.waldur.age import Server
from slurm_tasks.waldur.capabilities import Generation
from slurm_tasks.waldur.transport import Query, Transport
from slurm_tasks.waldur.usages import Usages, is_about
from slurm_tasks.waldur.views import (
    Association,
    Offering,
    OfferingUser,
    Order,
    Permission,
    Resource,
    Section,
    TeamMember,
    V,
    View,
    parse,
)

W = TypeVar("W", Order, Resource)
log = structlog.stdlib.get_logger(__name__)

OPEN_ORDERS = ("pending-provider", "executing")
"""States of orders that wait for us; those in other states cost no request."""

ORDERS = "marketplace-orders/"
RESOURCES = "marketplace-provider-resources/"

ERROR_MAX_LEN = 1000
SIGHT = 3600.0
"""Seconds for which it is believed that the token can see the offering."""

__all__ = ["ERROR_MAX_LEN", "OPEN_ORDERS", "Client", "Generation"]


def _fields(view: type[View]) -> list[tuple[str, str]]:
    return [("field", name) for name in view.model_fields]


class Client:
    """What this service asks of Waldur, about one offering.

    Every method raises WaldurError when Waldur is away, and WaldurRefusedError when it says no.

    Attributes:
        server: what is known of the server.
        usages: reports of usage.
    """

    def __init__(self, settings: Settings, transport: Transport | None = None) -> None:
        self.offering_uuid = settings.offering_uuid
        self._http = transport or Transport(settings)
        self.server = Server(self._http, self.offering_uuid)
        self.usages = Usages(self._http, self.offering_uuid, self.server)
        self._seen: Offering | None = None
        self._seen_at = 0.0

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def _list(self, view: type[V], path: str, query: Query) -> Iterator[V]:
        return (parse(view, row) for row in self._rows(path, query))

    def _rows(self, path: str, query: Query) -> list[Any]:
        return lists.read(self._http, path, query).rows

    def _offered(
        self, view: type[W], path: str, states: Iterable[str], since: datetime | None = None
    ) -> list[W]:
        """Return this offering's rows in some states; one that makes no sense stops no other.

        Raises:
            WaldurError: none of them makes sense.
        """
        query = [("offering_uuid", self.offering_uuid), ("o", "created"), *_fields(view)]
        query += [("state", state) for state in states]
        found: list[W] = []
        errors: list[WaldurError] = []
        rows = self._changed(path, query, since) if since else self._rows(path, query)
        if not rows:
            self.seen_offering()
        for row in rows:
            try:
                found.append(parse(view, row))
            except WaldurError as error:
                uuid = row.get("uuid") if isinstance(row, dict) else None
                log.warning("row_left_out", path=path, uuid=uuid, reason=str(error))
                errors.append(error)
        if errors and not found:
            raise errors[0]
        ours = [row for row in found if row.offering_uuid == self.offering_uuid]
        return [row for row in ours if not since or (row.modified and row.modified >= since)]

    def _changed(self, path: str, query: Query, since: datetime) -> list[Any]:
        """Return the rows of a list that were changed since then, and perhaps some others.

        Older servers want a day for resources, and refuse a time ("Enter a valid date."), which
        they take for orders. Their days may begin in another time zone, so it is the day before.
        """
        day = f"{since.astimezone(UTC) - timedelta(days=1):%Y-%m-%d}"
        if path == RESOURCES and not self.server.capabilities.resources_by_time:
            return self._rows(path, [*query, ("modified", day)])
        try:
            return self._rows(path, [*query, ("modified", since.isoformat())])
        except WaldurRefusedError as error:
            if path != RESOURCES or not is_about(error, "modified"):
                raise
            self.server.correct(str(error), resources_by_time=False)
            return self._rows(path, [*query, ("modified", day)])

    @property
    def generation(self) -> Generation:
        """The server's generation, found with one request."""
        return self.server.generation

    # ---- the offering

    def username(self) -> str:
        """Return whose token this is; the rest of that answer holds the token and is dropped."""
        me = self._http.get("users/me/", [("field", "username")])
        return str(me.get("username", "")) if isinstance(me, dict) else ""

    def permissions(self) -> list[Permission]:
        """Return the roles of the token's person, where Waldur shows them."""
        me = self._http.get("users/me/", [("field", "permissions")])
        rows = me.get("permissions") if isinstance(me, dict) else None
        return [parse(Permission, row) for row in rows or ()]

    def offering(self) -> Offering:
        """Return the offering with its components.

        Raises:
            ConfigurationError: the token can't see it; lists are empty for such a token.
        """
        path = f"marketplace-provider-offerings/{self.offering_uuid}/"
        try:
            body = self._http.get(path, _fields(Offering))
        except WaldurRefusedError as error:
            if error.html or error.status not in {HTTPStatus.NOT_FOUND, HTTPStatus.FORBIDDEN}:
                raise
            raise ConfigurationError(
                f"the offering {self.offering_uuid} can't be seen with this token ({error}). Set"
                " WALDUR_OFFERING_UUID to the offering's, and WALDUR_API_TOKEN to the token of an"
                " owner of its service provider"
            ) from error
        self._seen, self._seen_at = parse(Offering, body), time.monotonic()
        return self._seen

    def seen_offering(self) -> Offering:
        """Return the offering as it was seen within the hour.

        A token that can't see it gets empty lists, as if there were nothing to do.

        Raises:
            ConfigurationError: the token can't see it.
        """
        if self._seen is None or time.monotonic() > self._seen_at + SIGHT:
            return self.offering()
        return self._seen

    def create_component(self, body: Mapping[str, object]) -> None:
        """Add a component; a duplicate type makes the server answer 500, so look before."""
        self._offering_post("create_offering_component", body)

    def update_component(self, body: Mapping[str, object]) -> None:
        """Change a component; the body names it by `uuid` and holds all of it."""
        self._offering_post("update_offering_component", body)

    def _offering_post(self, action: str, body: Mapping[str, object]) -> None:
        self._http.post(f"marketplace-provider-offerings/{self.offering_uuid}/{action}/", body)

    def offering_users(self) -> list[OfferingUser]:
        """Return everybody who has an account at this offering, in whatever state."""
        query = [("offering_uuid", self.offering_uuid), *_fields(OfferingUser)]
        return list(self._list(OfferingUser, "marketplace-offering-users/", query))

    # ---- orders

    def orders(
        self, states: Iterable[str] = OPEN_ORDERS, *, since: datetime | None = None
    ) -> list[Order]:
        """Return the offering's orders in some states, oldest first.

        Args:
            states: any of these.
            since: only those that were changed since then.
        """
        return self._offered(Order, ORDERS, states, since)

    def order(self, uuid: str) -> Order:
        """Return one order; its uuid may come from the shell or the broker, so it is checked."""
        path = f"marketplace-orders/{names.fold_uuid(uuid)}/"
        return parse(Order, self._http.get(path, _fields(Order)))

    def approve(self, order: str) -> None:
        """Approve an order that waits for the provider."""
        self._order_post(order, "approve_by_provider")

    def set_order_executing(self, order: str) -> None:
        """Take an order up without the server's own processing: only to err it."""
        self._order_post(order, "set_state_executing")

    def set_order_done(self, order: str) -> None:
        """End an order."""
        self._order_post(order, "set_state_done")

    def set_order_erred(self, order: str, message: str) -> None:
        """Mark an order erred; read its state before: older servers check nothing here."""
        body = {"error_message": message[:ERROR_MAX_LEN], "error_traceback": ""}
        self._order_post(order, "set_state_erred", body)

    def _order_post(self, order: str, action: str, body: object = None) -> None:
        self._http.post(f"marketplace-orders/{order}/{action}/", body)

    # ---- resources

    def resources(self, states: Iterable[str], *, since: datetime | None = None) -> list[Resource]:
        """Return the offering's resources in some states (`OK`, `Updating`, …), oldest first.

        Args:
            states: any of these.
            since: only those that were changed since then.
        """
        return self._offered(Resource, RESOURCES, states, since)

    def resource(self, uuid: str) -> Resource:
        """Return one resource."""
        path = f"marketplace-provider-resources/{uuid}/"
        return parse(Resource, self._http.get(path, _fields(Resource)))

    def team(self, resource: str) -> list[TeamMember]:
        """Return the people of a resource's project, as they are now."""
        body = self._http.get(f"marketplace-provider-resources/{resource}/team/")
        if not isinstance(body, list):
            raise WaldurError(f"the team of {resource} is not a list")
        return [parse(TeamMember, row) for row in body]

    def submit_report(self, resource: str, sections: Iterable[Section]) -> None:
        """Replace the report that a resource's customer reads."""
        body = {"report": [section.model_dump() for section in sections]}
        self._resource_post(resource, "submit_report", body)

    def set_backend_id(self, resource: str, backend_id: str) -> None:
        """Name the account behind a resource, and behind an older server's Allocation."""
        self._resource_post(resource, "set_backend_id", {"backend_id": backend_id})
        if self.generation is Generation.A:
            self._remote_post(resource, "set_backend_id", {"backend_id": backend_id})

    def set_limits(self, resource: str, limits: Mapping[str, int]) -> None:
        """Set a resource's limits. The two generations want two shapes of the same body.

        An older server stores `{"limits": …}` verbatim, as limits of a component `limits`.
        """
        if self.generation is Generation.A:
            self._remote_post(resource, "set_limits", dict(limits))
        else:
            with self._route_expected():
                self._resource_post(resource, "set_limits", {"limits": dict(limits)})

    def set_resource_ok(self, resource: str) -> None:
        """Bring a resource back to OK that a refused change left Erred."""
        if self.generation is Generation.B:
            with self._route_expected():
                self._resource_post(resource, "set_as_ok")
            return
        # only out of `updating` does the resource follow; an approval left `update_scheduled`
        for state in ("ok", "update_scheduled", "updating", "ok"):
            self.set_allocation_state(resource, state)

    def terminate(self, resource: str) -> None:
        """Order the end of a resource that is OK or Erred, as the provider's owner."""
        self._resource_post(resource, "terminate", {})

    def _resource_post(self, resource: str, action: str, body: object = None) -> None:
        self._http.post(f"marketplace-provider-resources/{resource}/{action}/", body)

    # ---- an older server's Allocation and its associations

    def set_allocation_state(self, resource: str, state: str) -> None:
        """Set the state of an older server's Allocation.

        It doesn't follow the order, and unless it is `ok` the server errs the next Update order.
        """
        self._remote_post(resource, "set_state", {"state": state})

    def associations(self, resource: Resource) -> set[str]:
        """Return the usernames that an older server has associated with a resource.

        The list is not limited to what the token may see, so it is filtered twice.
        """
        if not resource.resource_uuid:
            return set()
        query = [("allocation_uuid", resource.resource_uuid)]
        ending = f"/{resource.resource_uuid}/"
        with self._route_expected():
            rows = self._list(Association, "slurm-associations/", query)
            return {row.username for row in rows if row.allocation.endswith(ending)}

    def create_association(self, resource: str, username: str) -> None:
        """Mirror a user of the cluster; no error when it is there."""
        self._remote_post(resource, "create_association", {"username": username})

    def delete_association(self, resource: str, username: str) -> None:
        """Remove a mirrored user; one that isn't there is fine."""
        try:
            self._remote_post(resource, "delete_association", {"username": username})
        except WaldurRefusedError as error:
            if error.status != HTTPStatus.BAD_REQUEST:
                raise

    def _remote_post(self, resource: str, action: str, body: object) -> None:
        with self._route_expected():
            self._http.post(f"marketplace-slurm-remote/{resource}/{action}/", body)

    @contextmanager
    def _route_expected(self) -> Iterator[None]:
        """Ask what a server of this generation has; one that hasn't was changed under our feet."""
        try:
            yield
        except WaldurRefusedError as error:
            if not error.route_missing:
                raise
            self.server.forget()
            raise WaldurError(f"{error}; its generation is looked up again") from error
