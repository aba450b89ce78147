"""Resources, people and rights on generation B's servers, by version.

Read in the server's source and tests and in the published clients, not run; what stands for
generation A was measured on the recorded server.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from slurm_tasks.demo.waldur import Role, User
from slurm_tasks.demo.waldur.switches import BackendIdRules
from slurm_tasks.demo.waldur.versions import NEWEST, OLDEST
from tests.contract.waldur.site import LIMITS, Site

RESOURCES = "marketplace-provider-resources"
USERS = "marketplace-offering-users/"
POLICY_OR_NOT = [(False, {"ram": 7}), (True, LIMITS)]


@contextmanager
def site_of(version: str) -> Iterator[Site]:
    """Give a server on the 2nd of November."""
    with Site.started("b", version) as site:
        site.waldur.set_now(datetime(2026, 11, 2, 12, tzinfo=UTC))
        yield site


def status_as(site: Site, role: Role, method: str, path: str, body: object = None) -> int:
    """Return the status that somebody's request is answered with."""
    with site.client_of(role) as client:
        return client.request(method, path, json=body).status_code


# ---- limits and components


@pytest.mark.parametrize(("version", "status"), [("8.0.8", 200), ("8.0.9", 400), (NEWEST, 400)])
def test_limits_of_no_component(version: str, status: int) -> None:
    """Since mid-2026 set_limits refuses what is no component of the offering [S]."""
    with site_of(version) as site:
        resource = site.allocated()
        limits = {"ram": 5, "tape": 1}
        answer = site.post(f"{RESOURCES}/{resource}/set_limits/", {"limits": limits})
        assert answer.status_code == status
        if status == 400:
            assert answer.json() == {"limits": "Unknown component types: tape"}
        assert site.waldur.resource(resource)["limits"] == (limits if status == 200 else LIMITS)


@pytest.mark.parametrize(("policy", "stored"), POLICY_OR_NOT)
def test_limits_that_a_policy_sets(policy: bool, stored: dict[str, int]) -> None:
    """Under a periodic policy limits of limit-based components are dropped, with 200 [S]."""
    with site_of(NEWEST) as site:
        site.waldur.switches.periodic_policy = policy
        resource = site.allocated()
        answer = site.post(f"{RESOURCES}/{resource}/set_limits/", {"limits": {"ram": 7}})
        assert answer.status_code == 200
        assert site.waldur.resource(resource)["limits"] == stored


@pytest.mark.parametrize(("version", "period"), [("7.9.3", None), ("7.9.6", "month")])
def test_limit_period_that_is_null(version: str, period: str | None) -> None:
    """In 2026 a limit_period of null is stored as month [S]."""
    with site_of(version) as site:
        offering = f"marketplace-provider-offerings/{site.waldur.offering_uuid}/"
        body = {"type": "tape", "name": "Tape", "billing_type": "limit", "measured_unit": "TB"}
        path = f"{offering}create_offering_component/"
        site.post(path, body | {"limit_period": None}).raise_for_status()
        (tape,) = (row for row in site.get(offering)["components"] if row["type"] == "tape")
        assert tape["limit_period"] == period


@pytest.mark.parametrize(
    ("version", "current"), [("8.0.9", {"ram": 2.0}), ("8.1.0", {"cpu": 1.0, "ram": 2.0})]
)
def test_current_usages(version: str, current: dict[str, float]) -> None:
    """Since mid-2026 a report leaves the current usages of other components as they are [S]."""
    with site_of(version) as site:
        resource = site.allocated()
        site.report(resource, cpu=1).raise_for_status()
        site.report(resource, ram=2).raise_for_status()
        assert site.waldur.resource(resource)["current_usages"] == current


def test_current_usages_are_the_latest_months() -> None:
    """A report for a past month doesn't replace the latest month's amount there [S]."""
    with site_of(NEWEST) as site:
        resource = site.allocated()
        site.report(resource, ram=2).raise_for_status()
        body = {"resource": resource, "usages": [{"type": "ram", "amount": 9}]}
        body["date"] = "2026-10-05T00:00:00Z"
        site.post("marketplace-component-usages/set_usage/", body).raise_for_status()
        assert site.waldur.usages(resource)["ram", "2026-10-01"] == Decimal(9)
        assert site.waldur.resource(resource)["current_usages"] == {"ram": 2.0}


# ---- an offering that is unavailable, rules for backend ids


@pytest.mark.parametrize(
    ("action", "body"),
    [
        ("set_backend_id", {"backend_id": "x"}),
        ("set_limits", {"limits": LIMITS}),
        ("submit_report", {"report": [{"header": "h", "body": "b"}]}),
        ("set_as_ok", None),
    ],
)
def test_unavailable(action: str, body: object) -> None:
    """Every POST on a resource of an offering that is unavailable is a 400 [S]."""
    with site_of("8.0.5") as site:
        path = f"{RESOURCES}/{site.allocated()}/{action}/"
        site.post(path, body).raise_for_status()
        site.waldur.switches.offering_state = "Unavailable"
        answer = site.post(path, body)
        assert (answer.status_code, answer.json()) == (400, ["Offering is unavailable."])


@pytest.mark.parametrize(
    ("version", "backend_id", "status"),
    [
        ("8.0.5", "hpc_1", 200),
        ("8.0.5", "1hpc", 400),
        ("8.0.5", "hpc_taken", 400),
        ("8.0.4", "1hpc", 200),
    ],
)
def test_backend_id_rules(version: str, backend_id: str, status: int) -> None:
    """A backend id that breaks the offering's rules is a 400 [S]."""
    with site_of(version) as site:
        site.waldur.switches.backend_id_rules = BackendIdRules("hpc_.*", unique=True)
        site.waldur.set_resource(site.allocated("other"), backend_id="hpc_taken")
        path = f"{RESOURCES}/{site.allocated()}/set_backend_id/"
        answer = site.post(path, {"backend_id": backend_id})
        assert answer.status_code == status
        assert status == 200 or list(answer.json()) == ["backend_id"]


def test_repair_of_a_terminated_resource() -> None:
    """set_as_ok of a resource that has ended breaks the server [S]."""
    with site_of(NEWEST) as site:
        resource = site.allocated()
        site.waldur.set_resource(resource, state="Terminated")
        assert site.post(f"{RESOURCES}/{resource}/set_as_ok/").status_code == 500


# ---- people


def people(site: Site) -> tuple[str, User]:
    """Add a second member, who agrees to the terms; return an allocation and that person."""
    bob = site.waldur.add_user("bob")
    site.waldur.add_member(site.project, bob)
    for user in (site.alice, bob):
        site.waldur.set_username(user, f"{user.username}01")
    site.waldur.agree(bob)
    return site.allocated(), bob


def names(rows: list[dict[str, Any]]) -> list[str]:
    """Return the names that people have in Waldur."""
    return [row.get("user_username") or row["username"] for row in rows]


@pytest.mark.parametrize(
    ("version", "enforced", "shown"),
    [
        ("8.0.8", True, ["alice", "bob"]),
        ("8.0.9", False, ["alice", "bob"]),
        ("8.0.9", True, ["bob"]),
    ],
)
def test_consent(version: str, enforced: bool, shown: list[str]) -> None:
    """Who hasn't agreed is in neither list where consent is enforced, but staff's [C, S]."""
    with site_of(version) as site:
        resource, _ = people(site)
        site.waldur.switches.enforce_consent = enforced
        assert names(site.get(f"{RESOURCES}/{resource}/team/")) == shown
        rows = site.get(USERS)
        assert names(rows) == shown
        assert [row["has_consent"] for row in rows] == [row == "bob" for row in shown]
        with site.client_of(Role.STAFF) as staff:
            assert names(staff.get(f"{RESOURCES}/{resource}/team/").json()) == ["alice", "bob"]


def test_offering_user_without_consent() -> None:
    """An offering user who is hidden for that reason can't be read either [S]."""
    with site_of("8.0.9") as site:
        people(site)
        (uuid,) = (row["uuid"] for row in site.get(USERS) if row["user_username"] == "alice")
        site.waldur.switches.enforce_consent = True
        assert site.provider.get(f"{USERS}{uuid}/").status_code == 404


def test_team_by_consent() -> None:
    """The team can be filtered by consent since 8.0.9 [C]."""
    with site_of("8.0.9") as site:
        resource, _ = people(site)
        path = f"{RESOURCES}/{resource}/team/"
        assert names(site.get(path, has_consent="true")) == ["bob"]


def test_role_on_a_resource() -> None:
    """Who has a role on the resource alone isn't in the team, but in list_users [S, C]."""
    with site_of("8.0.9") as site:
        resource, _ = people(site)
        site.waldur.add_resource_user(resource, site.waldur.add_user("guest"))
        assert names(site.get(f"{RESOURCES}/{resource}/team/")) == ["alice", "bob"]
        assert names(site.get(f"{RESOURCES}/{resource}/list_users/")) == ["guest"]


@pytest.mark.parametrize(
    ("version", "in_users", "in_team"),
    [(OLDEST, False, False), ("7.7.5", True, False), ("7.8.2", True, True)],
)
def test_account_states(version: str, in_users: bool, in_team: bool) -> None:
    """Offering users have a state since 7.7.5, teams show it since 7.8.2 [C]."""
    with site_of(version) as site:
        resource, _ = people(site)
        assert ("state" in site.get(USERS)[0]) == in_users
        team = site.get(f"{RESOURCES}/{resource}/team/")
        assert ("offering_user_state" in team[0]) == in_team


# ---- everybody's roles in one list


def test_project_permissions(site: Site) -> None:
    """The provider's owner gets everybody's role in projects with resources; measured on A."""
    site.allocated()
    idle = site.waldur.add_project(site.customer, "Idle")
    site.waldur.add_member(idle, site.waldur.add_user("idle"))
    (provider,) = site.get("marketplace-service-providers/", field=["uuid", "customer_uuid"])
    path = f"marketplace-service-providers/{provider['uuid']}/project_permissions/"
    rows = {row["user_username"]: row for row in site.get(path)}
    assert {name: row["role"] for name, row in rows.items()} == {
        "alice": "member",
        "padmin": "admin",
    }
    assert rows["alice"]["project_uuid"] == site.project.uuid
    assert ("role_name" in rows["alice"]) == (site.waldur.generation == "b")
    assert status_as(site, Role.MANAGER, "GET", path) == 403


# ---- rights


@pytest.mark.parametrize(("version", "status"), [("7.9.5", 403), ("7.9.6", 200)])
def test_orders_of_an_offering_by_role(version: str, status: int) -> None:
    """In 2025 a provider's manager may not list an offering's orders; the owner may [S]."""
    with site_of(version) as site:
        path = f"marketplace-provider-offerings/{site.waldur.offering_uuid}/orders/"
        roles = (Role.PROVIDER_MANAGER, Role.PROVIDER, Role.MANAGER)
        assert [status_as(site, role, "GET", path) for role in roles] == [status, 200, 200]


@pytest.mark.parametrize(("version", "seen", "status"), [("8.0.5", 0, 404), ("8.0.6", 1, 200)])
def test_orders_of_an_offerings_manager(version: str, seen: int, status: int) -> None:
    """An offering's manager sees its orders and sets their states since 8.0.6 [D, S]."""
    with site_of(version) as site:
        order = site.waldur.order_create(site.project, "one", LIMITS)
        with site.client_of(Role.MANAGER) as manager:
            assert len(manager.get("marketplace-orders/").json()) == seen
        site.approve(order)
        path = f"marketplace-orders/{order}"
        assert status_as(site, Role.MANAGER, "POST", f"{path}/set_state_done/") == status


def test_managers_never_approve() -> None:
    """approve_by_provider is the provider's in all versions [S]."""
    with site_of(NEWEST) as site:
        path = f"marketplace-orders/{site.waldur.order_create(site.project, 'one', LIMITS)}"
        assert status_as(site, Role.MANAGER, "POST", f"{path}/approve_by_provider/") == 403


@pytest.mark.parametrize(
    ("action", "body"),
    [
        ("set_limits", {"limits": LIMITS}),
        ("submit_report", {"report": [{"header": "h", "body": "b"}]}),
        ("set_as_ok", None),
    ],
)
def test_rights_of_the_provider_only(action: str, body: object) -> None:
    """An offering's manager may not change a resource's limits, report or state [S]."""
    with site_of(NEWEST) as site:
        path = f"{RESOURCES}/{site.allocated()}/{action}/"
        assert status_as(site, Role.MANAGER, "POST", path, body) == 403
        assert status_as(site, Role.PROVIDER, "POST", path, body) == 200


@pytest.mark.parametrize(("version", "answered"), [("8.0.3", False), ("8.0.4", True)])
def test_answer_of_an_approval(version: str, answered: bool) -> None:
    """approve_by_provider answers with JSON since 8.0.4 [C]."""
    with site_of(version) as site:
        order = site.waldur.order_create(site.project, "one", LIMITS)
        answer = site.act(order, "approve_by_provider")
        assert (answer.status_code, bool(answer.content)) == (200, answered)


@pytest.mark.parametrize(("version", "status"), [("8.0.6", 404), ("8.0.7", 200)])
def test_retry(version: str, status: int) -> None:
    """A failed order can be retried since 8.0.7: it is executing again [C, D]."""
    with site_of(version) as site:
        order = site.waldur.order_update(site.allocated(), {**LIMITS, "ram": 2000})
        site.approve(order)
        texts = {"error_message": "no space", "error_traceback": ""}
        site.act(order, "set_state_erred", texts).raise_for_status()
        assert site.act(order, "retry").status_code == status
        state = site.waldur.order(order)["state"], site.state_of(site.resource_of(order))
        assert state == (("executing", "Updating") if status == 200 else ("erred", "Erred"))
