"""GEN-A's Allocation: when it appears, how it drifts, and what it pulls along."""

import pytest

from tests.contract.waldur.site import LIMITS, Site

MORE = {"ram": 2000, "nodehours": 60}


def allocation_state(site: Site, resource: str) -> str:
    """Return the state of a resource's Allocation."""
    allocation = site.waldur.allocation(resource)
    assert allocation is not None
    state: str = allocation["state"]
    return state


def test_appears_after_the_approval(old: Site) -> None:
    """The Allocation, and with it resource_uuid, is not there until Celery has run."""
    order = old.waldur.order_create(old.project, "alloc-one", LIMITS)
    resource = old.resource_of(order)
    old.act(order, "approve_by_provider")
    assert old.waldur.order(order)["resource_uuid"] is None
    answer = old.remote(resource, "set_state", {"state": "ok"})
    assert (answer.status_code, answer.json()) == (
        404,
        {"detail": "No Resource matches the given query."},
    )
    old.waldur.finish_jobs()
    assert old.waldur.order(order)["resource_uuid"] is not None
    assert old.remote(resource, "set_state", {"state": "ok"}).status_code == 200


def test_never_on_new_servers(new: Site) -> None:
    """On GEN-B resource_uuid stays null."""
    order = new.waldur.order_create(new.project, "alloc-one", LIMITS)
    new.approve(order)
    assert new.waldur.order(order)["resource_uuid"] is None


def test_route_is_gone_on_new_servers(new: Site) -> None:
    """On GEN-B slurm-remote is a missing route: an HTML page."""
    answer = new.remote(new.allocated(), "set_state", {"state": "ok"})
    assert (answer.status_code, answer.headers["content-type"]) == (404, "text/html; charset=utf-8")


def test_executing_without_approval_makes_none(old: Site) -> None:
    """An order that was set executing has no Allocation, and errs the next update."""
    order = old.waldur.order_create(old.project, "alloc-one", LIMITS)
    old.act(order, "set_state_executing")
    old.act(order, "set_state_done")
    resource = old.resource_of(order)
    update = old.waldur.order_update(resource, MORE)
    old.approve(update)
    row = old.waldur.order(update)
    message = "'NoneType' object has no attribute 'schedule_updating'"
    assert (row["state"], row["error_message"]) == ("erred", message)


def test_drift_errs_the_next_update(old: Site) -> None:
    """Done leaves the Allocation in Update Scheduled: the server errs the next update itself."""
    resource = old.allocated()
    first = old.waldur.order_update(resource, MORE)
    old.approve(first)
    old.act(first, "set_state_done")
    assert allocation_state(old, resource) == "Update Scheduled"
    second = old.waldur.order_update(resource, LIMITS)
    old.approve(second)
    row = old.waldur.order(second)
    message = "Can't switch from state '1' using method 'schedule_updating'"
    assert (row["state"], row["error_message"]) == ("erred", message)
    assert old.state_of(resource) == "OK"


def test_ok_after_done_avoids_the_drift(old: Site) -> None:
    """With the Allocation set OK after each update, the next one works."""
    resource = old.allocated()
    for limits in (MORE, LIMITS):
        order = old.waldur.order_update(resource, limits)
        old.approve(order)
        old.act(order, "set_state_done")
        old.remote(resource, "set_state", {"state": "ok"})
    assert old.waldur.resource(resource)["limits"] == LIMITS


def test_done_before_processing(old: Site) -> None:
    """An order that is done before Celery came is processed all the same."""
    resource = old.allocated()
    order = old.waldur.order_update(resource, MORE)
    old.act(order, "approve_by_provider")
    old.act(order, "set_state_done")
    old.waldur.finish_jobs()
    assert (old.state_of(resource), allocation_state(old, resource)) == (
        "Updating",
        "Update Scheduled",
    )


def test_updating_to_ok_completes_the_order(old: Site) -> None:
    """Out of Updating, an OK Allocation completes the executing order by itself."""
    resource = old.allocated()
    order = old.waldur.order_update(resource, MORE)
    old.approve(order)
    for state in ("updating", "ok"):
        old.remote(resource, "set_state", {"state": state})
    assert old.waldur.order(order)["state"] == "done"
    assert old.waldur.resource(resource)["limits"] == MORE
    assert old.act(order, "set_state_done").status_code == 409


def test_creating_to_ok_completes_the_order(old: Site) -> None:
    """Out of Creating too."""
    order = old.waldur.order_create(old.project, "alloc-one", LIMITS)
    old.approve(order)
    for state in ("creating", "ok"):
        old.remote(old.resource_of(order), "set_state", {"state": state})
    assert old.waldur.order(order)["state"] == "done"


def test_repair_of_an_erred_resource(old: Site) -> None:
    """An erred resource is OK again after an update of the Allocation, not after OK alone."""
    resource = old.allocated()
    order = old.waldur.order_update(resource, MORE)
    old.approve(order)
    old.act(order, "set_state_erred", {"error_message": "no", "error_traceback": ""})
    old.remote(resource, "set_state", {"state": "ok"})
    assert old.state_of(resource) == "Erred"
    for state in ("update_scheduled", "updating", "ok"):
        old.remote(resource, "set_state", {"state": state}).raise_for_status()
    assert old.state_of(resource) == "OK"


@pytest.mark.parametrize(("state", "status"), [("updating", 409), ("bogus", 400)])
def test_refused_states(old: Site, state: str, status: int) -> None:
    """A move that the state does not allow is 409, an unknown state 400."""
    resource = old.allocated()
    assert old.remote(resource, "set_state", {"state": state}).status_code == status


def test_limits_are_bare(old: Site) -> None:
    """A real server accepts wrapped limits and stores them as they are: corrupt."""
    resource = old.allocated()
    refused = old.remote(resource, "set_limits", {"limits": {"ram": 1}})
    assert (refused.status_code, list(refused.json())) == (400, ["limits"])
    old.waldur.strict = False
    old.remote(resource, "set_limits", {"limits": {"ram": 1}})
    assert old.waldur.resource(resource)["limits"] == {"limits": {"ram": 1}}


def test_associations(old: Site) -> None:
    """An association is made once, and its second removal is a 400."""
    resource = old.allocated()
    body = {"username": "alice01"}
    made = [old.remote(resource, "create_association", body).status_code for _ in range(2)]
    assert (made, old.waldur.associations(resource)) == ([201, 200], {"alice01"})
    removed = [old.remote(resource, "delete_association", body).status_code for _ in range(2)]
    assert (removed, old.waldur.associations(resource)) == ([200, 400], set())


def test_association_with_a_bad_name(old: Site) -> None:
    """An association checks its username, unlike an offering user."""
    answer = old.remote(old.allocated(), "create_association", {"username": "Bob Böhm!"})
    assert (answer.status_code, answer.json()) == (400, {"username": ["Enter a valid username."]})


def test_associations_are_unscoped(old: Site) -> None:
    """The list shows those of all allocations unless it is filtered."""
    first, second = old.allocated("one"), old.allocated("two")
    for resource, username in ((first, "alice01"), (second, "bob01")):
        old.remote(resource, "create_association", {"username": username})
    uuid = old.waldur.resource(second)["resource_uuid"]
    assert len(old.get("slurm-associations/")) == 2
    filtered = old.get("slurm-associations/", allocation_uuid=uuid)
    assert [row["username"] for row in filtered] == ["bob01"]


def test_allocations_are_hidden_from_the_provider(old: Site) -> None:
    """The provider's owner sees no Allocations in their list."""
    old.allocated()
    assert old.get("slurm-allocations/") == []
