"""Orders on generation B's servers: states that follow each other, and who may move them.

Read in the server's source and tests and in the published clients, not run.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime

import pytest

from slurm_tasks.demo.waldur.versions import NEWEST, OLDEST
from tests.contract.waldur.site import LIMITS, Site

TEXTS = {"error_message": "no space", "error_traceback": ""}
MORE = {**LIMITS, "ram": 2000}


@contextmanager
def site_of(version: str) -> Iterator[Site]:
    """Give a server on the 2nd of November, whose Celery works at once."""
    with Site.started("b", version) as site:
        site.waldur.set_now(datetime(2026, 11, 2, 12, tzinfo=UTC))
        yield site


def states(site: Site, order: str) -> tuple[str, str]:
    """Return the states of an order and of its resource."""
    return str(site.waldur.order(order)["state"]), site.state_of(site.resource_of(order))


@pytest.mark.parametrize("state", ["pending-consumer", "pending-project", "pending-provider"])
def test_resource_follows_an_order_that_waits(state: str) -> None:
    """An Update makes its resource Updating when it is made, whoever it waits for [S]."""
    with site_of(OLDEST) as site:
        resource = site.allocated()
        order = site.waldur.order_update(resource, MORE, state=state)
        assert states(site, order) == (state, "Updating")
        assert site.waldur.resource(resource)["order_in_progress"]["state"] == state
        site.waldur.cancel_order(order)
        assert states(site, order) == ("canceled", "OK")


def test_terminate_waits_as_terminating() -> None:
    """A Terminate that waits for a person makes the resource Terminating; rejection ends it [S]."""
    with site_of(NEWEST) as site:
        order = site.waldur.order_terminate(site.allocated())
        assert states(site, order) == ("pending-provider", "Terminating")
        site.act(order, "reject_by_provider").raise_for_status()
        assert states(site, order) == ("rejected", "OK")


def test_erred_resource_stays_erred() -> None:
    """An order about an Erred resource leaves it Erred [S]."""
    with site_of(NEWEST) as site:
        resource = site.allocated()
        site.waldur.set_resource(resource, state="Erred")
        order = site.waldur.order_terminate(resource)
        assert states(site, order) == ("pending-provider", "Erred")


@pytest.mark.parametrize(
    ("version", "switched_on", "state"),
    [("7.8.4", True, "executing"), ("7.8.5", False, "executing"), ("7.8.5", True, None)],
)
def test_start_date(version: str, switched_on: bool, state: str | None) -> None:
    """An approved order waits for its day where ENABLE_ORDER_START_DATE is on [C, S]."""
    with site_of(version) as site:
        site.waldur.switches.order_start_date = switched_on
        order = site.waldur.order_create(site.project, "later", LIMITS)
        site.waldur.set_order(order, start_date=date(2026, 11, 10))
        site.approve(order)
        assert states(site, order) == (state or "pending-start-date", "Creating")
        assert site.act(order, "set_state_done").status_code == (200 if state else 409)


def test_start_date_comes() -> None:
    """Waldur starts the order by itself on its day [S]."""
    with site_of("7.8.5") as site:
        site.waldur.switches.order_start_date = True
        order = site.waldur.order_create(site.project, "later", LIMITS)
        site.waldur.set_order(order, start_date=date(2026, 11, 10))
        site.approve(order)
        site.waldur.set_now(datetime(2026, 11, 10, 0, 0, 1, tzinfo=UTC))
        assert site.get(f"marketplace-orders/{order}/")["state"] == "executing"


@pytest.mark.parametrize("body", [{}, {"error_message": "m"}, {"error_traceback": ""}])
def test_erred_needs_both_texts(body: dict[str, str]) -> None:
    """set_state_erred without one of its texts is a 400 [S]."""
    with site_of(NEWEST) as site:
        order = site.waldur.order_create(site.project, "one", LIMITS)
        assert site.act(order, "set_state_erred", body).status_code == 400


@pytest.mark.parametrize("state", ["pending-provider", "executing", "done", "rejected"])
def test_erred_from_any_state(state: str) -> None:
    """set_state_erred takes an order in any state, one that is over, too [S]."""
    with site_of(NEWEST) as site:
        order = site.waldur.order_update(site.allocated(), MORE)
        site.waldur.set_order(order, state=state)
        assert site.act(order, "set_state_erred", TEXTS).status_code == 200
        assert states(site, order) == ("erred", "Erred")


@pytest.mark.parametrize(
    ("version", "backend_id", "state"),
    [("8.1.0", "", "Erred"), ("8.1.2", "", "Terminated"), ("8.1.2", "hpc_one", "Erred")],
)
def test_create_that_fails(version: str, backend_id: str, state: str) -> None:
    """The newest servers terminate a resource that failed without a backend id [S, T]."""
    with site_of(version) as site:
        order = site.waldur.order_create(site.project, "one", LIMITS)
        site.approve(order)
        site.waldur.set_resource(site.resource_of(order), backend_id=backend_id)
        site.act(order, "set_state_erred", TEXTS).raise_for_status()
        assert states(site, order) == ("erred", state)


def restored(site: Site) -> str:
    """Order a terminated resource back, and approve that."""
    resource = site.allocated()
    ended = site.waldur.order_terminate(resource)
    site.approve(ended)
    site.act(ended, "set_state_done").raise_for_status()
    order = site.waldur.order_restore(resource)
    site.approve(order)
    return order


@pytest.mark.parametrize(("version", "ends"), [("7.9.2", False), ("8.1.0", False), (NEWEST, True)])
def test_restore(version: str, ends: bool) -> None:
    """Older servers answer the end of a Restore with 200 and change nothing [S]."""
    with site_of(version) as site:
        order = restored(site)
        assert site.act(order, "set_state_done").status_code == 200
        assert states(site, order) == (("done", "OK") if ends else ("executing", "Creating"))


def test_restore_that_fails() -> None:
    """The same goes for set_state_erred [S]."""
    with site_of("8.1.0") as site:
        order = restored(site)
        assert site.act(order, "set_state_erred", TEXTS).status_code == 200
        assert states(site, order) == ("executing", "Creating")


def test_no_restore_before_792() -> None:
    """Servers before 7.9.2 have no such order [C]."""
    with site_of("7.9.1") as site, pytest.raises(ValueError, match="no Restore"):
        site.waldur.order_restore(site.allocated())


@pytest.mark.parametrize(("version", "status"), [("8.1.0", 500), ("8.1.2", 200)])
def test_limit_that_is_none(version: str, status: int) -> None:
    """A limit of what isn't limit-based makes the next Update's done a 500 on older servers [S]."""
    with site_of(version) as site:
        resource = site.allocated()
        site.waldur.set_resource(resource, limits={**LIMITS, "cpu": 1})
        order = site.waldur.order_update(resource, MORE)
        site.approve(order)
        assert site.act(order, "set_state_done").status_code == status


@pytest.mark.parametrize(("version", "made"), [("8.0.5", 1), ("8.0.6", 0)])
def test_offering_users_come_later(version: str, made: int) -> None:
    """Since 8.0.6 offering users are made by Celery after done [S]."""
    with site_of(version) as site:
        order = site.waldur.order_create(site.project, "one", LIMITS)
        site.approve(order)
        site.act(order, "set_state_done").raise_for_status()
        assert len(site.get("marketplace-offering-users/")) == made
        site.waldur.finish_jobs()
        assert len(site.get("marketplace-offering-users/")) == 1
