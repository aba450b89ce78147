"""GEN-A's own Celery worker comes late: what that leaves stuck, and what repairs what."""

import pytest

from tests.contract.waldur.site import LIMITS, Site

MORE = {"ram": 2000, "nodehours": 50}


def late_update(old: Site) -> tuple[str, str]:
    """End an Update before the worker ran; return its order and its resource."""
    resource = old.allocated()
    old.waldur.stop_worker()
    order = old.waldur.order_update(resource, MORE)
    _end_before_worker(old, order)
    return order, resource


def late_terminate(old: Site) -> tuple[str, str]:
    """End a Terminate before the worker ran; return its order and its resource."""
    resource = old.allocated()
    old.waldur.stop_worker()
    order = old.waldur.order_terminate(resource)
    _end_before_worker(old, order)
    return order, resource


def _end_before_worker(old: Site, order: str) -> None:
    old.act(order, "approve_by_provider").raise_for_status()
    old.waldur.finish_jobs()
    old.act(order, "set_state_done").raise_for_status()
    old.waldur.start_worker()


def states(old: Site, order: str, resource: str) -> tuple[str, str, str]:
    """Return the states of order, resource and Allocation."""
    allocation = old.waldur.allocation(resource)
    assert allocation is not None
    return old.waldur.order(order)["state"], old.state_of(resource), allocation["state"]


def move(old: Site, resource: str, *names: str) -> None:
    """Move the Allocation step by step."""
    for name in names:
        old.remote(resource, "set_state", {"state": name}).raise_for_status()


def test_update_stays_updating(old: Site) -> None:
    """The worker runs a done Update anyway; nothing moves it on, and nobody can order."""
    order, resource = late_update(old)
    assert states(old, order, resource) == ("done", "Updating", "Update Scheduled")
    assert old.act(order, "set_state_done").status_code == 409
    assert old.act(order, "set_state_executing").status_code == 409
    move(old, resource, "ok")
    assert states(old, order, resource) == ("done", "Updating", "OK")


def test_terminate_stays_terminating(old: Site) -> None:
    """The worker runs a done Terminate anyway: Terminated becomes Terminating."""
    order, resource = late_terminate(old)
    assert states(old, order, resource) == ("done", "Terminating", "OK")
    move(old, resource, "ok")
    assert old.state_of(resource) == "Terminating"
    assert old.report(resource, ram=1).status_code == 201


def test_create_waits(old: Site) -> None:
    """Without the worker there is no Allocation; the order waits for it unharmed."""
    old.waldur.stop_worker()
    order = old.waldur.order_create(old.project, "late", LIMITS)
    old.act(order, "approve_by_provider")
    old.waldur.finish_jobs()
    resource = old.resource_of(order)
    assert old.remote(resource, "set_backend_id", {"backend_id": "x"}).status_code == 404
    old.waldur.start_worker()
    assert states(old, order, resource) == ("executing", "Creating", "Creation Scheduled")


@pytest.mark.parametrize(
    "steps", [("updating", "ok"), ("ok", "update_scheduled", "updating", "ok")]
)
def test_repair_of_updating(old: Site, steps: tuple[str, ...]) -> None:
    """Updating and OK bring the resource back; after an OK alone all three steps do."""
    order, resource = late_update(old)
    move(old, resource, *steps)
    assert states(old, order, resource) == ("done", "OK", "OK")


@pytest.mark.parametrize(
    ("steps", "after"),
    [
        (("update_scheduled", "updating", "ok"), ("done", "OK", "OK")),
        (("deletion_scheduled", "deleting", "erred"), ("done", "OK", "Erred")),
        (("erred",), ("done", "Erred", "Erred")),
        (("erred", "ok"), ("done", "Erred", "OK")),
    ],
)
def test_out_of_terminating(old: Site, steps: tuple[str, ...], after: tuple[str, str, str]) -> None:
    """The ways out of Terminating; an Allocation that was erred leaves the resource Erred."""
    order, resource = late_terminate(old)
    move(old, resource, *steps)
    assert states(old, order, resource) == after


def test_terminating_and_its_order_erred(old: Site) -> None:
    """An erred done order stays done, keeps the text, and brings the resource back to OK."""
    order, resource = late_terminate(old)
    old.act(order, "set_state_erred", {"error_message": "late", "error_traceback": ""})
    assert states(old, order, resource) == ("done", "OK", "OK")
    assert old.waldur.order(order)["error_message"] == "late"


def test_updating_and_its_order_erred(old: Site) -> None:
    """The same of an Update errs the resource; its Allocation is repaired as ever."""
    order, resource = late_update(old)
    old.act(order, "set_state_erred", {"error_message": "by hand", "error_traceback": ""})
    assert states(old, order, resource) == ("done", "Erred", "Update Scheduled")
    move(old, resource, "updating", "ok")
    assert states(old, order, resource) == ("done", "OK", "OK")


def test_second_terminate(old: Site) -> None:
    """Brought back to OK, a new Terminate ends the resource for good."""
    _, resource = late_terminate(old)
    move(old, resource, "update_scheduled", "updating", "ok")
    order = old.waldur.order_terminate(resource)
    old.approve(order)
    assert old.state_of(resource) == "Terminating"
    old.act(order, "set_state_done").raise_for_status()
    old.waldur.finish_jobs()
    assert states(old, order, resource) == ("done", "Terminated", "OK")


def test_terminated_for_good(old: Site) -> None:
    """Out of Terminated the Allocation's way to OK brings nothing back, and says 409 at its end."""
    resource = old.allocated()
    order = old.waldur.order_terminate(resource)
    old.approve(order)
    old.act(order, "set_state_done").raise_for_status()
    move(old, resource, "update_scheduled", "updating")
    assert old.remote(resource, "set_state", {"state": "ok"}).status_code == 409
    assert states(old, order, resource) == ("done", "Terminated", "OK")


def test_terminated_and_erred(old: Site) -> None:
    """An Allocation that is erred makes an Erred resource of a Terminated one, which comes back."""
    resource = old.allocated()
    order = old.waldur.order_terminate(resource)
    old.approve(order)
    old.act(order, "set_state_done").raise_for_status()
    move(old, resource, "erred", "ok", "update_scheduled", "updating", "ok")
    assert states(old, order, resource) == ("done", "OK", "OK")
