"""The life of orders and their resources, on both generations and where they differ."""

import httpx
import pytest

from slurm_tasks.demo.waldur import Role, WaldurSimulator
from tests.contract.waldur.site import LIMITS, Site

MORE = {"ram": 2000, "nodehours": 60}
TEXTS = {"error_message": "no", "error_traceback": ""}


def pending(site: Site) -> str:
    """Return an order that waits for the provider."""
    return site.waldur.order_create(site.project, "alloc-one", LIMITS)


def state(site: Site, order: str) -> str:
    """Return an order's state."""
    value: str = site.waldur.order(order)["state"]
    return value


def executing_update(site: Site, resource: str) -> str:
    """Return an Update order that the server has processed."""
    order = site.waldur.order_update(resource, MORE)
    site.approve(order)
    return order


def test_create(site: Site) -> None:
    """An approved Create order makes its resource OK, with a plan period and offering users."""
    order = pending(site)
    site.approve(order)
    resource = site.resource_of(order)
    assert (state(site, order), site.state_of(resource)) == ("executing", "Creating")
    assert site.get(f"marketplace-provider-resources/{resource}/plan_periods/") == []
    site.act(order, "set_state_done")
    assert (state(site, order), site.state_of(resource)) == ("done", "OK")
    assert len(site.get(f"marketplace-provider-resources/{resource}/plan_periods/")) == 1
    assert [row["user_uuid"] for row in site.get("marketplace-offering-users/")] == [
        site.alice.uuid
    ]


def test_approve_twice(site: Site) -> None:
    """Only a pending order can be approved; the second approval is a 409."""
    order = pending(site)
    site.approve(order)
    answer = site.act(order, "approve_by_provider")
    assert (answer.status_code, answer.json()) == (
        409,
        {"detail": "Valid states for operation: pending-provider."},
    )


@pytest.mark.parametrize("early", ["pending-consumer", "pending-project"])
def test_approve_too_early(site: Site, early: str) -> None:
    """An order that waits for the customer cannot be approved by the provider."""
    order = site.waldur.order_create(site.project, "alloc-one", LIMITS, state=early)
    assert site.act(order, "approve_by_provider").status_code == 409


def test_approve_answers(site: Site) -> None:
    """GEN-A answers an approval with nothing, GEN-B with a sentence."""
    answer = site.act(pending(site), "approve_by_provider")
    assert bool(answer.content) == (site.waldur.generation == "b")


def test_consumer_approves_first(site: Site) -> None:
    """A project administrator's order waits for the customer's owner."""
    resource = site.allocated()
    with site.client_of(Role.ADMIN) as admin, site.client_of(Role.CUSTOMER) as owner:
        path = f"marketplace-resources/{resource}/update_limits/"
        order = admin.post(path, json={"limits": MORE}).json()["order_uuid"]
        assert state(site, order) == "pending-consumer"
        owner.post(f"marketplace-orders/{order}/approve_by_consumer/").raise_for_status()
    assert state(site, order) == "pending-provider"


def test_order_over_http(site: Site) -> None:
    """A consumer's posted order waits for the provider."""
    body = {
        "offering": f"{site.waldur.url}marketplace-public-offerings/{site.waldur.offering_uuid}/",
        "project": f"{site.waldur.url}projects/{site.project.uuid}/",
        "attributes": {"name": "alloc-two"},
        "limits": LIMITS,
    }
    with site.client_of(Role.CUSTOMER) as owner:
        answer = owner.post("marketplace-orders/", json=body)
    assert (answer.status_code, answer.json()["state"]) == (201, "pending-provider")


def test_reject(site: Site) -> None:
    """A rejected Create order terminates its resource."""
    order = pending(site)
    site.act(order, "reject_by_provider")
    assert (state(site, order), site.state_of(site.resource_of(order))) == (
        "rejected",
        "Terminated",
    )


def test_done_needs_executing(site: Site) -> None:
    """A pending order cannot be completed."""
    answer = site.act(pending(site), "set_state_done")
    assert (answer.status_code, answer.json()) == (
        409,
        {"detail": "Valid states for operation: executing."},
    )


def test_update(site: Site) -> None:
    """The limits of an Update order become the resource's when it is done, not before."""
    resource = site.allocated()
    order = executing_update(site, resource)
    assert site.state_of(resource) == "Updating"
    assert site.waldur.resource(resource)["limits"] == LIMITS
    site.act(order, "set_state_done")
    assert (site.state_of(resource), site.waldur.resource(resource)["limits"]) == ("OK", MORE)


def test_terminate(site: Site) -> None:
    """A Terminate order ends the resource and its plan period."""
    resource = site.allocated()
    order = site.waldur.order_terminate(resource)
    site.approve(order)
    assert site.state_of(resource) == "Terminating"
    site.act(order, "set_state_done")
    assert site.state_of(resource) == "Terminated"
    (period,) = site.get(f"marketplace-provider-resources/{resource}/plan_periods/")
    assert period["end"] is not None


def test_restore(site: Site) -> None:
    """A Restore order brings a terminated resource back with its backend id and limits."""
    resource = site.allocated()
    site.waldur.set_resource(resource, backend_id="hpc_1")
    end = site.waldur.order_terminate(resource)
    site.approve(end)
    site.act(end, "set_state_done")
    order = site.waldur.order_restore(resource)
    site.approve(order)
    site.act(order, "set_state_done")
    row = site.waldur.resource(resource)
    assert (row["state"], row["backend_id"], row["limits"]) == ("OK", "hpc_1", LIMITS)


@pytest.mark.parametrize("action", ["update_limits", "terminate"])
def test_second_order(site: Site, action: str) -> None:
    """While an order is on its way, another is refused with a bare list."""
    resource = site.allocated()
    site.waldur.order_update(resource, MORE)
    with site.client_of(Role.CUSTOMER) as owner:
        body = {"limits": {"ram": 1, "nodehours": 1}} if action == "update_limits" else {}
        answer = owner.post(f"marketplace-resources/{resource}/{action}/", json=body)
    assert (answer.status_code, answer.json()) == (
        400,
        ["Pending order for resource already exists."],
    )


def test_erred_create(site: Site) -> None:
    """A failed Create order errs its resource; executed again it can still be done."""
    order = pending(site)
    site.approve(order)
    site.act(order, "set_state_erred", TEXTS)
    resource = site.resource_of(order)
    assert (state(site, order), site.state_of(resource)) == ("erred", "Erred")
    site.act(order, "set_state_executing")
    site.act(order, "set_state_done")
    assert (state(site, order), site.state_of(resource)) == ("done", "OK")


def test_erred_update(site: Site) -> None:
    """A failed Update order errs its resource and leaves its limits."""
    resource = site.allocated()
    site.act(executing_update(site, resource), "set_state_erred", TEXTS)
    assert (site.state_of(resource), site.waldur.resource(resource)["limits"]) == ("Erred", LIMITS)


def test_erred_terminate(site: Site) -> None:
    """A failed Terminate order leaves its resource OK."""
    resource = site.allocated()
    order = site.waldur.order_terminate(resource)
    site.approve(order)
    site.act(order, "set_state_erred", TEXTS)
    assert site.state_of(resource) == "OK"


@pytest.mark.parametrize("body", [None, {"error_message": "no"}])
def test_erred_needs_both_fields(old: Site, body: dict[str, str] | None) -> None:
    """GEN-A answers an incomplete error with an HTML page and 500."""
    answer = old.act(pending(old), "set_state_erred", body)
    assert (answer.status_code, answer.headers["content-type"]) == (500, "text/html; charset=utf-8")


def test_erred_after_done(old: Site) -> None:
    """GEN-A errs the resource of a done order, and leaves the order done with an error text."""
    order = pending(old)
    old.approve(order)
    old.act(order, "set_state_done")
    assert old.act(order, "set_state_erred", TEXTS).status_code == 200
    row = old.waldur.order(order)
    assert (row["state"], row["error_message"]) == ("done", "no")
    assert old.state_of(old.resource_of(order)) == "Erred"


def test_erred_while_pending(old: Site) -> None:
    """GEN-A errs the resource of a pending order, and leaves the order pending."""
    order = pending(old)
    old.act(order, "set_state_erred", TEXTS)
    assert state(old, order) == "pending-provider"
    assert old.state_of(old.resource_of(order)) == "Erred"


def test_erred_after_done_on_new_servers(new: Site) -> None:
    """GEN-B errs a done order, and its resource with it."""
    order = pending(new)
    new.approve(order)
    new.act(order, "set_state_done")
    assert new.act(order, "set_state_erred", TEXTS).status_code == 200
    states = new.waldur.order(order)["state"], new.state_of(new.resource_of(order))
    assert states == ("erred", "Erred")


def test_cancel(site: Site) -> None:
    """An order of this type cannot be cancelled, and its provider may not even ask."""
    order = pending(site)
    with site.client_of(Role.CUSTOMER) as customer:
        assert customer.post(f"marketplace-orders/{order}/cancel/").status_code == 405
    assert site.act(order, "cancel").status_code == 403


def test_consumer_may_not_approve_for_the_provider(site: Site) -> None:
    """A consumer's token on a provider's action is a 403."""
    order = pending(site)
    with site.client_of(Role.CUSTOMER) as owner:
        answer = owner.post(f"marketplace-orders/{order}/approve_by_provider/")
    assert answer.status_code == 403


def test_manager_may_not_complete(old: Site) -> None:
    """An offering's manager reads orders and sets backend ids, but completes no order."""
    order = pending(old)
    path = f"marketplace-provider-resources/{old.resource_of(order)}/set_backend_id/"
    with old.client_of(Role.MANAGER) as manager:
        assert manager.get(f"marketplace-orders/{order}/").status_code == 200
        assert manager.post(path, json={"backend_id": "x"}).status_code == 200
        assert manager.post(f"marketplace-orders/{order}/set_state_done/").status_code == 403


def test_limit_above_maximum(site: Site) -> None:
    """A limit above the component's maximum is refused at the order."""
    resource = site.allocated()
    with site.client_of(Role.CUSTOMER) as owner:
        path = f"marketplace-resources/{resource}/update_limits/"
        answer = owner.post(path, json={"limits": {"ram": 1, "nodehours": 5_000_000}})
    assert answer.json() == ["The limit 5000000 value cannot be more than 100000."]


def test_moved_project(site: Site) -> None:
    """A project that moves takes its resources and orders to the other customer."""
    resource = site.allocated()
    other = site.waldur.add_customer("University B")
    site.waldur.move_project(site.project, other)
    assert site.waldur.resource(resource)["customer_uuid"] == other.uuid


def test_backend_id_is_required(site: Site) -> None:
    """A backend id that is left out is 500 on GEN-A and 400 on GEN-B."""
    resource = site.allocated()
    answer = site.post(f"marketplace-provider-resources/{resource}/set_backend_id/", {})
    assert answer.status_code == {"a": 500, "b": 400}[site.waldur.generation]


@pytest.mark.parametrize("action", ["set_limits", "set_as_ok", "refresh_last_sync"])
def test_routes_that_old_servers_lack(old: Site, action: str) -> None:
    """On GEN-A newer routes are missing: an HTML page."""
    path = f"marketplace-provider-resources/{old.allocated()}/{action}/"
    answer = old.post(path, {"limits": {}})
    assert (answer.status_code, answer.headers["content-type"]) == (404, "text/html; charset=utf-8")


def test_erring_a_resource_is_for_staff_on_old_servers(old: Site) -> None:
    """GEN-A's set_as_erred refuses the provider."""
    path = f"marketplace-provider-resources/{old.allocated()}/set_as_erred/"
    assert old.post(path, {}).status_code == 403


def test_details(site: Site) -> None:
    """Behind a resource there is an Allocation on GEN-A, nothing on GEN-B."""
    answer = site.provider.get(f"marketplace-provider-resources/{site.allocated()}/details/")
    assert answer.status_code == {"a": 200, "b": 204}[site.waldur.generation]


def test_processing_in_real_time() -> None:
    """Without being told to, the server processes an approval after `job_delay` seconds."""
    with WaldurSimulator("a", job_delay=0) as waldur:
        project = waldur.add_project(waldur.add_customer("University A"), "Protein Folding")
        order = waldur.order_create(project, "alloc-one", {"cpu": 1})
        headers = {"Authorization": f"Token {waldur.token}"}
        url = f"{waldur.url}marketplace-orders/{order}/approve_by_provider/"
        httpx.post(url, headers=headers).raise_for_status()
        assert waldur.order(order)["resource_uuid"] is not None


def test_terminate_that_cannot_fail(old: Site) -> None:
    """GEN-A breaks on an erred Terminate whose resource is OK, or Terminated by now."""
    resource = old.allocated()
    order = old.waldur.order_terminate(resource)
    old.act(order, "set_state_executing").raise_for_status()
    assert old.act(order, "set_state_erred", TEXTS).status_code == 500
    assert old.waldur.order(order)["state"] == "executing"
    old.act(order, "set_state_done").raise_for_status()
    assert old.act(order, "set_state_erred", TEXTS).status_code == 500
    assert old.state_of(resource) == "Terminated"


def test_terminate_fails_once_it_is_processed(old: Site) -> None:
    """Approved and processed, the resource is Terminating, and comes back to OK."""
    resource = old.allocated()
    order = old.waldur.order_terminate(resource)
    old.approve(order)
    old.act(order, "set_state_erred", TEXTS).raise_for_status()
    assert (old.waldur.order(order)["state"], old.state_of(resource)) == ("erred", "OK")


def test_rejected_update_mends(old: Site) -> None:
    """GEN-A brings an Erred resource back to OK when its waiting Update is rejected."""
    resource = old.allocated()
    order = old.waldur.order_update(resource, {"ram": 2000, "nodehours": 50})
    old.act(order, "set_state_erred", TEXTS).raise_for_status()
    assert old.state_of(resource) == "Erred"
    old.act(order, "reject_by_provider").raise_for_status()
    assert old.state_of(resource) == "OK"


def test_report_in_the_moment_of_processing(old: Site) -> None:
    """GEN-A saves the resource of a Create as it was: what is reported meanwhile is lost."""
    order = old.waldur.order_create(old.project, "alloc-one", LIMITS)
    resource = old.resource_of(order)
    path = f"marketplace-provider-resources/{resource}/submit_report/"
    body = {"report": [{"header": "Users on the cluster", "body": "alice01"}]}
    old.act(order, "approve_by_provider").raise_for_status()
    old.post(path, body).raise_for_status()
    old.waldur.finish_jobs()
    assert old.waldur.resource(resource)["report"] is None
    old.post(path, body).raise_for_status()
    assert old.waldur.resource(resource)["report"] == body["report"]
