"""A plan that lacks a component's price: on GEN-A no update of its limits can be ended."""

import pytest

from slurm_tasks.demo.waldur import Role
from tests.contract.waldur.site import LIMITS, Site

MORE = {"ram": 2000, "nodehours": 50}


@pytest.fixture
def executing(old: Site) -> tuple[str, str]:
    """An Update that is being carried out, of a component without a price, and its resource."""
    resource = old.allocated()
    old.waldur.remove_price("nodehours")
    order = old.waldur.order_update(resource, MORE)
    old.approve(order)
    return order, resource


def set_prices(old: Site, **prices: float) -> int:
    """Set prices as the owner; return the status."""
    plan = old.get(f"marketplace-provider-offerings/{old.waldur.offering_uuid}/")["plans"][0]
    return old.post(
        f"marketplace-plans/{plan['uuid']}/update_prices/", {"prices": prices}
    ).status_code


def test_done_is_a_server_error(old: Site, executing: tuple[str, str]) -> None:
    """Nothing changes by it: the order goes on executing, the resource keeps its limits."""
    order, resource = executing
    for _ in range(2):
        assert old.act(order, "set_state_done").status_code == 500
    assert old.waldur.order(order)["state"] == "executing"
    assert old.state_of(resource) == "Updating"
    assert old.waldur.resource(resource)["limits"] == LIMITS


def test_ways_around_it(old: Site, executing: tuple[str, str]) -> None:
    """The Allocation's way to OK and bare limits end the same; a repeated OK doesn't."""
    _, resource = executing
    assert old.remote(resource, "set_limits", MORE).status_code == 500
    old.remote(resource, "set_state", {"state": "updating"}).raise_for_status()
    assert old.remote(resource, "set_state", {"state": "ok"}).status_code == 500
    allocation = old.waldur.allocation(resource)
    assert allocation is not None
    assert allocation["state"] == "Updating"


def test_prices_help(old: Site, executing: tuple[str, str]) -> None:
    """A price of 0 is one."""
    order, resource = executing
    assert set_prices(old, nodehours=0) == 200
    old.act(order, "set_state_done").raise_for_status()
    assert old.waldur.resource(resource)["limits"] == MORE


def test_creates_need_no_price(old: Site) -> None:
    """A Create ends without."""
    old.waldur.remove_price("nodehours")
    assert old.state_of(old.allocated()) == "OK"


def test_newer_servers_need_no_price(new: Site) -> None:
    """GEN-B takes a missing price for 0."""
    resource = new.allocated()
    new.waldur.remove_price("nodehours")
    order = new.waldur.order_update(resource, MORE)
    new.approve(order)
    new.act(order, "set_state_done").raise_for_status()
    assert new.waldur.resource(resource)["limits"] == MORE


def test_who_may_set_prices(old: Site) -> None:
    """The owner may, the offering's manager may not; unknown and negative ones are refused."""
    plan = old.get(f"marketplace-provider-offerings/{old.waldur.offering_uuid}/")["plans"][0]
    path = f"marketplace-plans/{plan['uuid']}/update_prices/"
    with old.client_of(Role.MANAGER) as manager:
        assert manager.post(path, json={"prices": {"ram": 1}}).status_code == 403
    refused = [old.post(path, {"prices": {"x": 1}}), old.post(path, {"prices": {"ram": -1}})]
    assert [answer.json() for answer in refused] == [
        ["Invalid components x."],
        {"prices": {"ram": ["Ensure this value is greater than or equal to 0."]}},
    ]
    assert old.post(path, {"prices": {"ram": 2.5}}).status_code == 200
