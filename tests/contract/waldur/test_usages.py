"""Usage reports: what is stored, what is refused, and how months begin and end."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from slurm_tasks.demo.waldur import Role
from tests.contract.waldur.site import LIMITS, Site

SET_USAGE = "marketplace-component-usages/set_usage/"


def report(site: Site, body: dict[str, Any]) -> tuple[int, Any]:
    """Report usage; return status and body."""
    answer = site.post(SET_USAGE, body)
    return answer.status_code, answer.json() if answer.content else None


def test_absolute_values(site: Site) -> None:
    """A second report of a month replaces the first, smaller and negative ones too."""
    resource = site.allocated()
    for amount in (10, 3, -4):
        site.report(resource, cpu=amount).raise_for_status()
    assert site.waldur.usages(resource) == {("cpu", site.month.isoformat()): Decimal(-4)}


def test_current_usages_are_overwritten(site: Site) -> None:
    """A report that leaves a component out removes it from the resource's current usages."""
    resource = site.allocated()
    site.report(resource, cpu=1, ram=2)
    site.report(resource, cpu=1)
    assert set(site.waldur.resource(resource)["current_usages"]) == {"cpu"}
    report(site, {"resource": resource, "usages": []})
    assert site.waldur.resource(resource)["current_usages"] == {}


def test_all_or_nothing(site: Site) -> None:
    """One unknown component refuses the whole report."""
    resource = site.allocated()
    assert site.report(resource, cpu=4, quantum=3).json() == {
        "non_field_errors": ["These components are invalid: quantum."]
    }
    assert site.waldur.usages(resource) == {}


def test_fixed_component(site: Site) -> None:
    """A component of fixed price takes no usage."""
    path = f"marketplace-provider-offerings/{site.waldur.offering_uuid}/create_offering_component/"
    site.post(path, {"type": "support", "name": "Support", "billing_type": "fixed"})
    assert site.report(site.allocated(), support=1).status_code == 400


def test_component_limit(site: Site) -> None:
    """Usage above the component's own limit is refused with a bare list."""
    answer = site.report(site.allocated(), gpu=100_001)
    message = "Total amount exceeds limit. Total amount: 100001.00, limit: 100000."
    assert (answer.status_code, answer.json()) == (400, [message])


def test_above_the_resource_limit(site: Site) -> None:
    """Usage above what was ordered is accepted."""
    assert site.report(site.allocated(), ram=LIMITS["ram"] * 5).status_code == 201


@pytest.mark.parametrize(
    ("amount", "message"),
    [
        (1.234, "Ensure that there are no more than 2 decimal places."),
        (1e25, "Ensure that there are no more than 20 digits in total."),
        ("many", "A valid number is required."),
    ],
)
def test_bad_amounts(site: Site, amount: object, message: str) -> None:
    """An amount has at most two decimals and twenty digits."""
    answer = site.report(site.allocated(), cpu=amount)
    assert answer.json() == {"usages": [{"amount": [message]}]}


@pytest.mark.parametrize(
    ("state", "status"),
    [
        ("OK", 201),
        ("Updating", 201),
        ("Terminating", 201),
        ("Creating", 400),
        ("Erred", 400),
        ("Terminated", 400),
    ],
)
def test_resource_states(site: Site, state: str, status: int) -> None:
    """Usage is accepted while the resource is OK, Updating or Terminating."""
    resource = site.allocated()
    site.waldur.set_resource(resource, state=state)
    assert site.report(resource, cpu=1).status_code == status


def test_by_plan_period(site: Site) -> None:
    """A report may name the plan period instead of the resource."""
    resource = site.allocated()
    (period,) = site.get(f"marketplace-provider-resources/{resource}/plan_periods/")
    body = {"plan_period": period["uuid"], "usages": [{"type": "cpu", "amount": 2}]}
    assert report(site, body) == (201, None)
    assert site.waldur.usages(resource) == {("cpu", site.month.isoformat()): Decimal(2)}


def test_neither_resource_nor_period(site: Site) -> None:
    """A report without a subject is refused."""
    assert report(site, {"usages": []}) == (
        400,
        {"non_field_errors": ["Either plan_period or resource should be provided."]},
    )


def test_posted_date(site: Site) -> None:
    """GEN-B stores usage in the month of a posted date; GEN-A ignores the date."""
    site.waldur.set_now(datetime(2026, 11, 2, tzinfo=UTC))
    site.waldur.strict = False
    resource = site.allocated()
    body = {
        "resource": resource,
        "date": "2026-10-31T23:59:59Z",
        "usages": [{"type": "cpu", "amount": 5}],
    }
    report(site, body)
    month = {"a": "2026-11-01", "b": "2026-10-01"}[site.waldur.generation]
    assert site.waldur.usages(resource) == {("cpu", month): Decimal(5)}


def test_months_are_utc(site: Site) -> None:
    """A local midnight east of Greenwich still belongs to the month before."""
    site.waldur.set_now(datetime.fromisoformat("2026-11-01T00:30:00+02:00"))
    resource = site.allocated()
    site.report(resource, cpu=1)
    assert set(site.waldur.usages(resource)) == {("cpu", "2026-10-01")}


def test_closed_period(site: Site) -> None:
    """A closed month takes no more usage; the next one does."""
    site.waldur.set_now(datetime(2026, 10, 31, tzinfo=UTC))
    resource = site.allocated()
    site.waldur.close_period("2026-10")
    answer = site.report(resource, cpu=1)
    assert (answer.status_code, "Billing period is closed." in answer.text) == (400, True)
    site.waldur.set_now(datetime(2026, 11, 1, tzinfo=UTC))
    assert site.report(resource, cpu=1).status_code == 201


def test_list_by_month(site: Site) -> None:
    """The list of usages can be cut to a month."""
    resource = site.allocated()
    for month in (10, 11):
        site.waldur.set_now(datetime(2026, month, 5, tzinfo=UTC))
        site.report(resource, cpu=month)
    rows = site.get("marketplace-component-usages/", billing_period="2026-10-01")
    assert [row["usage"] for row in rows] == ["10.00"]


def test_user_usages(site: Site) -> None:
    """Shares are absolute too, and the link to the offering user is that of the first report."""
    resource = site.allocated()
    site.report(resource, cpu=9)
    uuid = site.get("marketplace-component-usages/")[0]["uuid"]
    link = site.get("marketplace-offering-users/")[0]["url"]
    path = f"marketplace-component-usages/{uuid}/set_user_usage/"
    assert site.post(path, {"username": "alice01", "usage": 5}).status_code == 201
    site.post(path, {"username": "alice01", "usage": "7.5", "user": link})
    (row,) = site.get("marketplace-component-user-usages/", resource_uuid=resource)
    assert (row["usage"], row["user"]) == ("7.50", None)
    assert site.waldur.user_usages(resource) == {
        ("cpu", site.month.isoformat(), "alice01"): Decimal("7.50")
    }


def test_bulk_user_usages(site: Site) -> None:
    """Shares of many users in one request: a missing route on GEN-A."""
    resource = site.allocated()
    site.report(resource, cpu=9)
    uuid = site.get("marketplace-component-usages/")[0]["uuid"]
    path = f"marketplace-component-usages/{uuid}/set_user_usages/"
    shares = [{"username": "alice01", "usage": 1}, {"username": "bob01", "usage": 2}]
    answer = site.post(path, {"usages": shares})
    assert answer.status_code == {"a": 404, "b": 201}[site.waldur.generation]


def test_bulk_is_atomic(new: Site) -> None:
    """One bad share refuses all of them."""
    resource = new.allocated()
    new.report(resource, cpu=9)
    uuid = new.get("marketplace-component-usages/")[0]["uuid"]
    shares = [{"username": "alice01", "usage": 1}, {"username": "bob01", "usage": "1.234"}]
    answer = new.post(f"marketplace-component-usages/{uuid}/set_user_usages/", {"usages": shares})
    assert (answer.status_code, new.waldur.user_usages(resource)) == (400, {})


def test_shares_by_month(site: Site) -> None:
    """Shares can be filtered by month."""
    resource = site.allocated()
    site.report(resource, cpu=9)
    uuid = site.get("marketplace-component-usages/")[0]["uuid"]
    site.post(f"marketplace-component-usages/{uuid}/set_user_usage/", {"username": "a", "usage": 1})
    query = {"component_usage__billing_period": "2020-01-01"}
    rows = site.get("marketplace-component-user-usages/", **query)
    assert rows == []


def test_consumers_may_not_report(site: Site) -> None:
    """Usage is the provider's to report."""
    body = {"resource": site.allocated(), "usages": []}
    with site.client_of(Role.ADMIN) as admin:
        assert admin.post(SET_USAGE, json=body).status_code == 403


def test_too_much_to_store(old: Site) -> None:
    """GEN-A breaks on 13 digits of a usage-based component; of a limit-based one it stores 18."""
    resource = old.allocated()
    assert old.report(resource, cpu=10**12).status_code == 500
    assert old.report(resource, cpu=10**11, ram=10**17).status_code == 201


def test_usage_before_the_one_that_is_refused(old: Site) -> None:
    """GEN-A stores what stands in a report before the component that is over its limit."""
    resource = old.allocated()
    assert old.report(resource, cpu=5, gpu=100_001).status_code == 400
    assert {name for name, _ in old.waldur.usages(resource)} == {"cpu"}
