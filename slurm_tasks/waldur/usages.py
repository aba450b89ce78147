"""Usages: what resources used in a month, in total and by user, as Waldur has it."""

from collections.abc import Collection, Mapping
from decimal import Decimal
from http import HTTPStatus
from typing import Any, TypeVar

import structlog

from slurm_tasks.errors import WaldurRefusedError
from slurm_tasks.waldur import lists
from slurm_tasks.waldur.age import Server
from slurm_tasks.waldur.transport import Query, Transport
from slurm_tasks.waldur.views import ComponentUsage, UserUsage, parse

V = TypeVar("V", ComponentUsage, UserUsage)
log = structlog.stdlib.get_logger(__name__)

TOTALS = "marketplace-component-usages/"
PARTS = "marketplace-component-user-usages/"


class Usages:
    """Reports of usage: what Waldur has, and what it is told.

    Every method raises WaldurError when Waldur is away, and WaldurRefusedError when it says no.
    """

    def __init__(self, http: Transport, offering_uuid: str, server: Server) -> None:
        self._http = http
        self._offering = offering_uuid
        self._server = server

    def totals(self, month: str, resources: Collection[str] = ()) -> list[ComponentUsage]:
        """Return what Waldur has for a month (`YYYY-MM`).

        A server that ignores the filter by offering brings rows of others along; they match no
        resource of ours.

        Args:
            month: which.
            resources: each is asked for by itself, should the list lose rows between its pages.
        """
        query = [("offering_uuid", self._offering), ("billing_period", f"{month}-01")]
        rows = self._rows(ComponentUsage, TOTALS, query, resources)
        return [row for row in rows if row.billing_period.startswith(month)]

    def of_resource(self, resource: str) -> list[ComponentUsage]:
        """Return what Waldur has of one resource, in all months."""
        query = [("offering_uuid", self._offering), ("resource_uuid", resource)]
        rows = self._rows(ComponentUsage, TOTALS, query)
        return [row for row in rows if row.resource_uuid == resource]

    def parts(self, month: str, resources: Collection[str] = ()) -> list[UserUsage]:
        """Return users' parts of a month's usage, perhaps those of other months too.

        Rows name the component usage that they belong to, which is of one month.

        Args:
            month: which.
            resources: each is asked for by itself, should the list lose rows between its pages.
        """
        query = [
            ("offering_uuid", self._offering),
            ("component_usage__billing_period", f"{month}-01"),
        ]
        return self._rows(UserUsage, PARTS, query, resources)

    def _rows(
        self, view: type[V], path: str, query: Query, resources: Collection[str] = ()
    ) -> list[V]:
        listing = lists.read(self._http, path, query)
        rows = listing.rows
        if not listing.complete and resources:
            log.warning("list_read_by_resource", path=path, found=len(rows))
            found: dict[str, Any] = {}
            lists.merge(found, rows)
            for resource in resources:
                narrower = [*query, ("resource_uuid", resource)]
                lists.merge(found, lists.read(self._http, path, narrower).rows)
            rows = list(found.values())
        return [parse(view, row) for row in rows]

    def set_totals(self, resource: str, amounts: Mapping[str, Decimal], date: str = "") -> None:
        """Set what a resource used in a month: all of its components, the server forgets others.

        Args:
            resource: its uuid.
            amounts: absolute values by component, two decimals.
            date: a moment in the month; without it, or from a server that knows none, it is the
                month that it is there.
        """
        usages = [{"type": name, "amount": str(value)} for name, value in sorted(amounts.items())]
        body = {"resource": resource, "usages": usages, **({"date": date} if date else {})}
        self._http.post(f"{TOTALS}set_usage/", body)

    def set_parts(
        self,
        total: str,
        amounts: Mapping[str, Decimal],
        links: Mapping[str, str],
        date: str = "",
    ) -> dict[str, WaldurRefusedError]:
        """Set users' parts of a component usage: all at once where the server takes that.

        It takes all of them or none, so that they are posted one by one if it refuses: the part
        of one user doesn't stop the others.

        Args:
            total: the component usage's uuid.
            amounts: absolute values by username.
            links: URLs of offering users by username; kept by the server at the first time only.
            date: a moment in the month, where the server books parts by their dates.

        Returns:
            The refusals, by username.
        """
        rows = {name: _part(name, amounts[name], links, date) for name in sorted(amounts)}
        if self._server.capabilities.bulk_parts:
            try:
                self._http.post(f"{TOTALS}{total}/set_user_usages/", {"usages": [*rows.values()]})
            except WaldurRefusedError as error:
                if error.route_missing:
                    self._server.correct(str(error), bulk_parts=False)
                elif len(rows) == 1 or not is_theirs(error):
                    return dict.fromkeys(rows, error)
            else:
                return {}
        refused = {}
        for name, row in rows.items():
            try:
                self._http.post(f"{TOTALS}{total}/set_user_usage/", row)
            except WaldurRefusedError as error:
                refused[name] = error
        return refused


def _part(name: str, amount: Decimal, links: Mapping[str, str], date: str) -> dict[str, str]:
    link = {"user": links[name]} if name in links else {}
    return {"username": name, "usage": str(amount), **link, **({"date": date} if date else {})}


def is_about(error: WaldurRefusedError, field: str) -> bool:
    """Tell whether a refusal is about a field of what was posted."""
    return any(message.startswith(f"{field}:") for message in error.messages)


def is_theirs(error: WaldurRefusedError) -> bool:
    """Tell whether a refusal may be about one of many: not about rights, nor about the date."""
    return error.status == HTTPStatus.BAD_REQUEST and not is_about(error, "date")
