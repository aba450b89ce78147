"""Usage reports on generation B's servers: dates, months, users' parts, limits of components.

Read in the server's source and tests and in the published clients, not run.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import httpx
import pytest

from slurm_tasks.demo.waldur import Component, Role
from tests.contract.waldur.site import Site

SET_USAGE = "marketplace-component-usages/set_usage/"
OCTOBER, NOVEMBER = "2026-10-31T12:00:00Z", "2026-11-02T08:00:00Z"
COMPONENTS = (
    Component("cpu", "CPU", "hours", "usage"),
    Component("ram", "RAM", "GB-hours"),
    Component("nodehours", "Node hours", "hours"),
)


@contextmanager
def site_of(version: str, *components: Component) -> Iterator[Site]:
    """Give a server on the 2nd of November."""
    with Site.started("b", version, components or COMPONENTS) as site:
        site.waldur.set_now(datetime(2026, 11, 2, 12, tzinfo=UTC))
        yield site


def report(
    site: Site, resource: str, date: str | None, *types: str, role: Role = Role.PROVIDER
) -> httpx.Response:
    """Report 5 of some components."""
    body: dict[str, Any] = {
        "resource": resource,
        "usages": [{"type": type_, "amount": 5} for type_ in types],
    }
    with site.client_of(role) as client:
        return client.post(SET_USAGE, json=body | ({"date": date} if date else {}))


def months(site: Site, resource: str) -> set[str]:
    """Return the months that usage is stored in."""
    return {month for _, month in site.waldur.usages(resource)}


def test_no_date_before_790() -> None:
    """A date is dropped; the report goes to the current month, the future too [C 7.8.9].

    So nobody should send one there: the simulator refuses it while it is strict.
    """
    with site_of("7.8.9") as site:
        resource = site.allocated()
        assert report(site, resource, OCTOBER, "cpu").status_code == 400
        site.waldur.strict = False
        for date in (OCTOBER, "2027-01-01T00:00:00Z"):
            assert report(site, resource, date, "cpu").status_code == 201
        assert months(site, resource) == {"2026-11-01"}


@pytest.mark.parametrize("version", ["7.9.0", "7.9.2"])
def test_date_of_staff_only(version: str) -> None:
    """7.9.0 to 7.9.2 take a date from staff alone [C, in words]."""
    with site_of(version) as site:
        resource = site.allocated()
        answer = report(site, resource, NOVEMBER, "ram")
        assert (answer.status_code, list(answer.json())) == (400, ["date"])
        assert report(site, resource, None, "ram").status_code == 201
        assert report(site, resource, OCTOBER, "cpu", role=Role.STAFF).status_code == 201
        assert months(site, resource) == {"2026-10-01", "2026-11-01"}


@pytest.mark.parametrize("version", ["7.9.3", "8.1.3"])
@pytest.mark.parametrize(
    ("date", "types", "status"),
    [
        (NOVEMBER, ("cpu", "ram"), 201),
        (OCTOBER, ("ram", "nodehours"), 201),
        (OCTOBER, ("cpu",), 400),
        (OCTOBER, ("ram", "cpu"), 400),
        ("2026-11-02T12:00:01Z", ("ram",), 400),
    ],
)
def test_date_of_a_provider(version: str, date: str, types: tuple[str, ...], status: int) -> None:
    """This month for all; months before for limit-based components; never the future [S, T]."""
    with site_of(version) as site:
        resource = site.allocated()
        answer = report(site, resource, date, *types)
        assert answer.status_code == status
        assert status == 201 or list(answer.json()) == ["date"]
        assert bool(site.waldur.usages(resource)) == (status == 201)


@pytest.mark.parametrize(
    ("version", "wording"),
    [
        ("7.9.3", "for limit-based billing components."),
        ("8.1.3", "for limit-based or prepaid billing components when backfilling"),
    ],
)
def test_wording(version: str, wording: str) -> None:
    """The refusal's text of both ages [T]."""
    with site_of(version) as site:
        assert wording in report(site, site.allocated(), OCTOBER, "cpu").text


def test_date_of_a_manager() -> None:
    """From 7.9.3 on any date of an offering's manager is refused; without one it is taken [S]."""
    with site_of("8.0.5") as site:
        resource = site.allocated()
        answer = report(site, resource, NOVEMBER, "ram", role=Role.MANAGER)
        assert (answer.status_code, list(answer.json())) == (400, ["date"])
        assert report(site, resource, None, "ram", role=Role.MANAGER).status_code == 201


def test_date_of_staff() -> None:
    """Staff may date usage-based components back, but not into the future [T]."""
    with site_of("8.1.3") as site:
        resource = site.allocated()
        assert report(site, resource, OCTOBER, "cpu", role=Role.STAFF).status_code == 201
        later = report(site, resource, "2027-01-01T00:00:00Z", "cpu", role=Role.STAFF)
        assert later.json() == {"date": ["Cannot submit usage for future dates."]}


@pytest.mark.parametrize(("version", "month"), [("7.6.7", "2026-07-01"), ("8.0.5", "2026-08-01")])
def test_time_zone(version: str, month: str) -> None:
    """Since August 2025 the month is that of TIME_ZONE, for reports without a date, too [S, T]."""
    with site_of(version) as site:
        site.waldur.switches.time_zone = "Europe/Tallinn"
        site.waldur.set_now(datetime(2026, 7, 31, 21, 25, tzinfo=UTC))
        resource = site.allocated()
        report(site, resource, None, "cpu").raise_for_status()
        assert months(site, resource) == {month}


def test_date_in_the_servers_zone() -> None:
    """Whether a date lies in a past month is decided by TIME_ZONE [S]."""
    with site_of("8.0.5") as site:
        site.waldur.switches.time_zone = "Europe/Tallinn"
        resource = site.allocated()
        assert report(site, resource, "2026-10-31T21:59:59Z", "cpu").status_code == 400
        report(site, resource, "2026-10-31T22:00:00Z", "cpu").raise_for_status()
        assert months(site, resource) == {"2026-11-01"}


def parts(site: Site, usage: str, *rows: dict[str, Any]) -> httpx.Response:
    """Report users' parts in bulk."""
    return site.post(f"marketplace-component-usages/{usage}/set_user_usages/", {"usages": rows})


@pytest.mark.parametrize(
    ("version", "status", "kind"), [("8.0.4", 404, "text/html"), ("8.0.5", 201, "")]
)
def test_bulk(version: str, status: int, kind: str) -> None:
    """set_user_usages is there since 8.0.5; before, the route is missing [C, D]."""
    with site_of(version) as site:
        resource = site.allocated()
        report(site, resource, None, "cpu")
        answer = parts(site, site.usage_uuid(resource), {"username": "alice", "usage": 1})
        found = answer.headers.get("content-type", "").partition(";")[0]
        assert (answer.status_code, found) == (status, kind)


@pytest.mark.parametrize(
    "bad",
    [
        {"username": "b" * 101, "usage": 1},
        {"username": "bob", "usage": 1, "date": "2026-10-31T00:00:00Z"},
        {"username": "bob"},
    ],
)
def test_bulk_is_all_or_nothing(bad: dict[str, Any]) -> None:
    """One row that is refused refuses them all, as does a list without rows [S, T]."""
    with site_of("8.0.5") as site:
        resource = site.allocated()
        report(site, resource, None, "cpu")
        usage = site.usage_uuid(resource)
        answer = parts(site, usage, {"username": "alice", "usage": 1}, bad)
        assert (answer.status_code, site.waldur.user_usages(resource)) == (400, {})
        assert parts(site, usage).status_code == 400


def test_dates_of_parts() -> None:
    """A dated part goes to its month's row, which is made; others to this month's [T, C]."""
    with site_of("8.0.5") as site:
        site.waldur.set_now(datetime(2026, 10, 20, tzinfo=UTC))
        resource = site.allocated()
        report(site, resource, None, "ram")
        usage = site.usage_uuid(resource, "ram")
        site.waldur.set_now(datetime(2026, 11, 2, tzinfo=UTC))
        dated = {"username": "alice", "usage": 1, "date": "2026-09-15T00:00:00Z"}
        parts(site, usage, dated, {"username": "bob", "usage": 2}).raise_for_status()
        assert site.waldur.user_usages(resource) == {
            ("ram", "2026-09-01", "alice"): Decimal(1),
            ("ram", "2026-11-01", "bob"): Decimal(2),
        }


def test_limit_of_a_user() -> None:
    """What is stored of a linked user's part counts against their limit a second time [S, T]."""
    with site_of("8.0.5") as site:
        resource = site.allocated()
        report(site, resource, None, "cpu")
        usage = site.usage_uuid(resource)
        site.waldur.set_username(site.alice, "alice01")
        site.waldur.set_user_limit(resource, "cpu", "alice01", 10)
        link = site.get("marketplace-offering-users/")[0]["url"]
        row = {"username": "alice01", "usage": 6, "user": link}
        parts(site, usage, row).raise_for_status()
        assert parts(site, usage, row, {"username": "bob", "usage": 1}).status_code == 400


@pytest.mark.parametrize(("version", "total"), [("8.1.0", 0), ("8.1.3", 3)])
def test_total_that_is_filled(version: str, total: int) -> None:
    """The newest servers make a total of 0 the sum of its parts [T]."""
    with site_of(version) as site:
        resource = site.allocated()
        body = {"resource": resource, "usages": [{"type": "cpu", "amount": 0}]}
        site.post(SET_USAGE, body).raise_for_status()
        rows = [{"username": "alice", "usage": 1}, {"username": "bob", "usage": 2}]
        parts(site, site.usage_uuid(resource), *rows).raise_for_status()
        assert site.waldur.usages(resource) == {("cpu", "2026-11-01"): Decimal(total)}


@pytest.mark.parametrize("period", ["month", "quarterly", "annual", "total"])
@pytest.mark.parametrize(
    ("version", "refused"), [("7.6.7", True), ("8.0.9", True), ("8.1.3", False)]
)
def test_limit_amount(period: str, version: str, refused: bool) -> None:
    """Up to 8.1.1 the amount that is replaced counts, too; since 8.1.2 all are taken [S, T, C]."""
    capped = Component("cpu", "CPU", "hours", "usage", limit_period=period, limit_amount=100)
    with site_of(version, capped, *COMPONENTS[1:]) as site:
        resource = site.allocated()
        site.report(resource, cpu=60).raise_for_status()
        answer = site.report(resource, cpu=60)
        assert (answer.status_code == 400) == refused
        assert site.report(resource, cpu=101).status_code == (400 if refused else 201)


def test_lists_without_an_order() -> None:
    """Rows of the same moment and component may come on two pages, and others on none [S]."""
    with site_of("8.1.3") as site:
        for number in range(6):
            resource = site.allocated(f"alloc-{number}")
            report(site, resource, NOVEMBER, "cpu").raise_for_status()
        path, query = "marketplace-component-usages/", {"page_size": 3, "o": "billing_period"}
        pages = [site.get(path, **query, page=page) for page in (1, 2)]
        found = [row["uuid"] for page in pages for row in page]
        assert len(found) == 6
        assert len(set(found)) == 3
        assert len({row["uuid"] for row in site.get(path)}) == 6


def test_limit_amount_of_a_limit_based_component() -> None:
    """Only usage-based components are looked at [S]."""
    capped = Component("ram", "RAM", "GB-hours", limit_period="month", limit_amount=10)
    with site_of("8.0.5", capped, COMPONENTS[2]) as site:
        assert site.report(site.allocated(), ram=1000).status_code == 201
