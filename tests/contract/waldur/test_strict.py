"""What neither the recordings nor the schema know is refused, where a real server says nothing."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from types import ModuleType
from typing import Any

import attrs
import pytest
from waldur_api_client import models
from waldur_api_client.api.marketplace_component_usages import marketplace_component_usages_list
from waldur_api_client.api.marketplace_component_user_usages import (
    marketplace_component_user_usages_list,
)
from waldur_api_client.api.marketplace_offering_users import marketplace_offering_users_list
from waldur_api_client.api.marketplace_orders import marketplace_orders_list
from waldur_api_client.api.marketplace_provider_offerings import (
    marketplace_provider_offerings_list,
)
from waldur_api_client.api.marketplace_provider_resources import (
    marketplace_provider_resources_list,
)

from slurm_tasks.demo.waldur import (
    api_offerings,
    api_orders,
    api_people,
    api_resources,
    api_usages,
    posted,
)
from slurm_tasks.demo.waldur.database import Database
from slurm_tasks.demo.waldur.filters import Filter
from slurm_tasks.demo.waldur.versions import server
from tests.contract.waldur.replay import RECORDINGS, exchanges
from tests.contract.waldur.site import Site

LISTS = (
    "marketplace-orders/",
    "marketplace-provider-resources/",
    "marketplace-offering-users/",
    "marketplace-component-usages/",
    "marketplace-component-user-usages/",
    "marketplace-provider-offerings/",
)

FILTERS: dict[str, tuple[Callable[[Database], Mapping[str, Filter[Any]]], ModuleType]] = {
    "marketplace-orders/": (api_orders.order_filters, marketplace_orders_list),
    "marketplace-provider-resources/": (
        api_resources.resource_filters,
        marketplace_provider_resources_list,
    ),
    "marketplace-offering-users/": (
        api_people.offering_user_filters,
        marketplace_offering_users_list,
    ),
    "marketplace-component-usages/": (api_usages.usage_filters, marketplace_component_usages_list),
    "marketplace-component-user-usages/": (
        api_usages.user_usage_filters,
        marketplace_component_user_usages_list,
    ),
    "marketplace-provider-offerings/": (
        api_offerings.offering_filters,
        marketplace_provider_offerings_list,
    ),
}

# What GEN-B reads of a provider's body, and the schema's model of it.
BODIES = {
    "APPROVAL": (posted.APPROVAL, models.OrderApproveByProviderRequest),
    "REJECTION": (posted.REJECTION["b"], models.OrderProviderRejectionRequest),
    "FAILURE": (posted.FAILURE, models.OrderErrorDetailsRequest),
    "ORDER_BACKEND_ID": (posted.ORDER_BACKEND_ID, models.OrderBackendIDRequest),
    "BACKEND_ID": (posted.BACKEND_ID, models.ResourceBackendIDRequest),
    "METADATA": (posted.METADATA, models.ResourceBackendMetadataRequest),
    "REPORT": (posted.REPORT, models.ResourceReportRequest),
    "RESOURCE": (posted.RESOURCE, models.PatchedResourceUpdateRequest),
    "SET_LIMITS": (posted.SET_LIMITS, models.ResourceSetLimitsRequest),
    "USAGES": (posted.USAGES[True], models.ComponentUsageCreateRequest),
    "USER_USAGE": (posted.USER_USAGE[True], models.ComponentUserUsageCreateRequest),
    "USER_USAGES": (posted.USER_USAGES, models.ComponentUserUsageBulkCreateRequest),
    "OFFERING_USER": (posted.OFFERING_USER["b"], models.OfferingUserRequest),
    "USERNAME": (posted.USERNAME, models.PatchedOfferingUserRequest),
    "RESTRICTION": (posted.RESTRICTION, models.OfferingUserUpdateRestrictionRequest),
    "COMMENT": (posted.COMMENT, models.OfferingUserStateTransitionRequest),
    "COMPONENT": (posted.COMPONENT["b"], models.OfferingComponentRequest),
    "CHANGED_COMPONENT": (posted.CHANGED_COMPONENT["b"], models.UpdateOfferingComponentRequest),
}


def refused(site: Site, path: str, **query: object) -> Any:  # noqa: ANN401 - JSON
    """Return what a request is refused for."""
    answer = site.provider.get(path, params=query)  # type: ignore[arg-type]  # any texts
    assert answer.status_code == 400
    return answer.json()


@pytest.mark.parametrize("path", LISTS)
def test_unknown_filter(site: Site, path: str) -> None:
    """A filter that no server knows is refused by its name, however empty the list."""
    assert list(refused(site, path, nothing="1", offering_uuid_="x")) == [
        "nothing",
        "offering_uuid_",
    ]


@pytest.mark.parametrize("path", [*LISTS, "users/me/"])
def test_unknown_field(site: Site, path: str) -> None:
    """So is a field that no answer has, though others are known."""
    said = refused(site, path, field=["uuid", "nothing"])
    assert list(said) == ["field"]
    if path != "marketplace-component-user-usages/" or site.waldur.generation == "b":
        assert said["field"][0].startswith("nothing: ")


def test_unknown_field_of_one(site: Site) -> None:
    """One object's fields are looked at, too."""
    resource = site.allocated()
    order = site.waldur.resource(resource)["creation_order"]["uuid"]
    for path in (f"marketplace-provider-resources/{resource}/", f"marketplace-orders/{order}/"):
        assert "nothing" in refused(site, path, field="nothing")["field"][0]


def test_fields_that_older_servers_ignore(old: Site) -> None:
    """GEN-A answers users' usages and associations with all their fields."""
    for path in ("marketplace-component-user-usages/", "slurm-associations/"):
        assert list(refused(old, path, field="uuid")) == ["field"]


def test_filters_that_older_servers_ignore(old: Site) -> None:
    """GEN-A has been seen to ignore these; newer servers have some of them."""
    ignored = {
        "marketplace-offering-users/": ["username", "state"],
        "marketplace-component-user-usages/": ["username", "component_usage_uuid"],
        "slurm-associations/": ["username"],
        "marketplace-component-usages/": ["o"],
    }
    for path, names in ignored.items():
        for name in names:
            assert list(refused(old, path, **{name: "x"})) == [name]


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("marketplace-orders/{order}/set_state_erred/", {"error_message": "a", "reason": "b"}),
        ("marketplace-orders/{order}/approve_by_provider/", {"nothing": 1}),
        ("marketplace-provider-resources/{resource}/set_backend_id/", {"backend_id": "a", "id": 1}),
        ("marketplace-component-usages/set_usage/", {"usages": [], "month": "2026-11"}),
    ],
)
def test_unknown_body_key(site: Site, path: str, body: dict[str, object]) -> None:
    """A key that no server reads is refused by its name, and nothing has happened."""
    resource = site.allocated()
    order = site.waldur.order_terminate(resource)
    answer = site.post(path.format(order=order, resource=resource), body)
    assert answer.status_code == 400
    assert list(answer.json()) == [list(body)[-1]]
    assert site.waldur.order(order)["state"] == "pending-provider"


def test_unknown_key_of_a_row(site: Site) -> None:
    """The rows of a list are looked at, too."""
    body = {"resource": site.allocated(), "usages": [{"type": "cpu", "amount": 1, "user": "a"}]}
    answer = site.post("marketplace-component-usages/set_usage/", body)
    assert [list(row) for row in answer.json()["usages"]] == [["user"]]


def test_date_of_usage_on_older_servers(old: Site) -> None:
    """GEN-A ignores a report's date: who sends one there is wrong about the month."""
    body = {"resource": old.allocated(), "usages": [], "date": "2026-10-01T00:00:00Z"}
    answer = old.post("marketplace-component-usages/set_usage/", body)
    assert (answer.status_code, list(answer.json())) == (400, ["date"])


def test_parameters_of_actions(site: Site) -> None:
    """What is posted has no query."""
    path = f"marketplace-provider-resources/{site.allocated()}/set_backend_id/?force=1"
    assert list(site.post(path, {"backend_id": "x"}).json()) == ["force"]


def test_real_servers_are_lenient(site: Site) -> None:
    """Turned off, all of this is ignored, and a field of no name gives whole objects."""
    site.waldur.strict = False
    site.allocated()
    (row,) = site.get("marketplace-orders/", nothing="1", field="nothing")
    assert len(row) > 50


@pytest.mark.parametrize("path", FILTERS)
def test_filters_are_known(path: str) -> None:
    """Filters of the simulator's are in the schema or have been seen to filter."""
    own, listing = FILTERS[path]
    for db in (Database(server("a"), (), 0), Database(server("b"), (), 0)):
        assert own(db).keys() <= _schema(listing) | _recorded(path)


@pytest.mark.parametrize("name", BODIES)
def test_bodies_are_known(name: str) -> None:
    """Fields of bodies on GEN-B are the schema's."""
    shape, model = BODIES[name]
    known = {field.name.rstrip("_") for field in attrs.fields(model)}
    assert shape.keys() <= known - {"additional_properties"}


def _schema(listing: ModuleType) -> set[str]:
    return set(inspect.signature(listing._get_kwargs).parameters)


def _recorded(path: str) -> set[str]:
    names: Iterable[str] = (
        name
        for file in RECORDINGS.glob("*.json")
        for exchange in exchanges(file.stem)
        if exchange.path == f"/api/{path}" and exchange.status == 200
        for name, _ in exchange.pairs()
    )
    return set(names)
