"""GEN-B against Waldur's own generated client: it accepts its requests, and parses for it."""

from collections.abc import Iterator
from http import HTTPStatus
from typing import Any, Protocol
from uuid import UUID

import pytest
from waldur_api_client import AuthenticatedClient, models
from waldur_api_client.api.configuration import configuration_retrieve
from waldur_api_client.api.marketplace_component_usages import (
    marketplace_component_usages_list,
    marketplace_component_usages_set_usage,
    marketplace_component_usages_set_user_usage,
    marketplace_component_usages_set_user_usages,
)
from waldur_api_client.api.marketplace_component_user_usages import (
    marketplace_component_user_usages_list,
)
from waldur_api_client.api.marketplace_offering_users import (
    marketplace_offering_users_begin_creating,
    marketplace_offering_users_create,
    marketplace_offering_users_list,
    marketplace_offering_users_partial_update,
    marketplace_offering_users_retrieve,
    marketplace_offering_users_set_ok,
)
from waldur_api_client.api.marketplace_orders import (
    marketplace_orders_approve_by_provider,
    marketplace_orders_list,
    marketplace_orders_reject_by_provider,
    marketplace_orders_retrieve,
    marketplace_orders_set_backend_id,
    marketplace_orders_set_state_done,
    marketplace_orders_set_state_erred,
    marketplace_orders_set_state_executing,
)
from waldur_api_client.api.marketplace_provider_offerings import (
    marketplace_provider_offerings_create_offering_component,
    marketplace_provider_offerings_list,
    marketplace_provider_offerings_orders_list,
    marketplace_provider_offerings_remove_offering_component,
    marketplace_provider_offerings_retrieve,
    marketplace_provider_offerings_update_offering_component,
)
from waldur_api_client.api.marketplace_provider_resources import (
    marketplace_provider_resources_list,
    marketplace_provider_resources_plan_periods_list,
    marketplace_provider_resources_refresh_last_sync,
    marketplace_provider_resources_retrieve,
    marketplace_provider_resources_set_as_erred,
    marketplace_provider_resources_set_as_ok,
    marketplace_provider_resources_set_backend_id,
    marketplace_provider_resources_set_backend_metadata,
    marketplace_provider_resources_set_limits,
    marketplace_provider_resources_submit_report,
    marketplace_provider_resources_team_list,
)
from waldur_api_client.api.marketplace_public_offerings import marketplace_public_offerings_list
from waldur_api_client.api.users import users_me_retrieve
from waldur_api_client.api.version import version_retrieve

from slurm_tasks.demo.waldur import Role
from tests.contract.waldur.site import LIMITS, Site


def client_of(site: Site, token: str) -> AuthenticatedClient:
    """Return a generated client."""
    root = site.waldur.url.removesuffix("/api/")
    return AuthenticatedClient(base_url=root, token=token, prefix="Token", verify_ssl=False)


@pytest.fixture
def client(new: Site) -> Iterator[AuthenticatedClient]:
    """The provider's generated client, closed at the end."""
    with client_of(new, new.waldur.token) as opened:
        yield opened


def pending(site: Site) -> UUID:
    """Return the uuid of an order that waits for the provider."""
    return UUID(site.waldur.order_create(site.project, "alloc-one", LIMITS))


def usage_uuid(site: Site, resource: str) -> UUID:
    """Return the uuid of a component usage."""
    site.report(resource, cpu=3)
    return UUID(site.get("marketplace-component-usages/")[0]["uuid"])


class Model(Protocol):
    """Any of the client's models."""

    additional_properties: dict[str, Any]

    def to_dict(self) -> dict[str, Any]:
        """Return what was parsed."""


def read(model: Model | None) -> dict[str, Any]:
    """Return a parsed answer as plain values; its model must know every key of it."""
    assert model is not None
    assert sorted(model.additional_properties) == []
    return model.to_dict()


def test_user(client: AuthenticatedClient) -> None:
    """`users/me` parses, with the permissions that make a provider."""
    me = read(users_me_retrieve.sync(client=client))
    assert [permission["role_name"] for permission in me["permissions"]] == ["CUSTOMER.OWNER"]


def test_version_is_for_staff(new: Site) -> None:
    """The version parses for staff."""
    with client_of(new, new.waldur.token_of(Role.STAFF)) as staff:
        assert version_retrieve.sync(client=staff).version == "8.0.5"


def test_configuration(client: AuthenticatedClient) -> None:
    """The configuration parses."""
    answer = configuration_retrieve.sync_detailed(client=client)
    assert answer.status_code == HTTPStatus.OK


def test_order_list(new: Site, client: AuthenticatedClient) -> None:
    """The list of orders parses, every filter sent, and has no key that the model lacks."""
    order = pending(new)
    rows = marketplace_orders_list.sync(
        client=client,
        offering_uuid=UUID(new.waldur.offering_uuid),
        state=[models.OrderState.PENDING_PROVIDER, models.OrderState.EXECUTING],
        page_size=100,
    )
    assert [(row["uuid"], row["state"]) for row in map(read, rows)] == [
        (str(order), "pending-provider")
    ]


def test_order_fields(new: Site, client: AuthenticatedClient) -> None:
    """Only the chosen fields come back."""
    pending(new)
    fields = [models.OrderDetailsFieldEnum.UUID, models.OrderDetailsFieldEnum.STATE]
    rows = marketplace_orders_list.sync(client=client, field=fields)
    assert set(rows[0].to_dict()) == {"uuid", "state"}


def test_order_life(new: Site, client: AuthenticatedClient) -> None:
    """Approve, backend id, done: each request is accepted, each answer parses."""
    order = pending(new)
    approved = marketplace_orders_approve_by_provider.sync(
        order, client=client, body=models.OrderApproveByProviderRequest()
    )
    assert approved.detail
    body = models.OrderBackendIDRequest(backend_id="hpc_1")
    marketplace_orders_set_backend_id.sync(order, client=client, body=body)
    marketplace_orders_set_state_done.sync_detailed(order, client=client)
    row = marketplace_orders_retrieve.sync(order, client=client)
    assert (row.state, row.backend_id) == (models.OrderState.DONE, "hpc_1")


def test_order_erred_and_again(new: Site, client: AuthenticatedClient) -> None:
    """An order can be failed, and set executing again."""
    order = pending(new)
    body = models.OrderErrorDetailsRequest(error_message="no", error_traceback="")
    marketplace_orders_set_state_erred.sync_detailed(order, client=client, body=body)
    assert marketplace_orders_retrieve.sync(order, client=client).error_message == "no"
    marketplace_orders_set_state_executing.sync_detailed(order, client=client)
    row = marketplace_orders_retrieve.sync(order, client=client)
    assert row.state == models.OrderState.EXECUTING


def test_order_rejected(new: Site, client: AuthenticatedClient) -> None:
    """An order can be rejected."""
    order = pending(new)
    body = models.OrderProviderRejectionRequest()
    marketplace_orders_reject_by_provider.sync_detailed(order, client=client, body=body)
    row = marketplace_orders_retrieve.sync(order, client=client)
    assert row.state == models.OrderState.REJECTED


def test_orders_of_the_offering(new: Site, client: AuthenticatedClient) -> None:
    """The offering's own list of orders parses."""
    order = pending(new)
    offering = UUID(new.waldur.offering_uuid)
    rows = marketplace_provider_offerings_orders_list.sync(offering, client=client)
    assert [row.uuid for row in rows] == [order]


def test_resource(new: Site, client: AuthenticatedClient) -> None:
    """A resource parses, with its creation order, and has no key that the model lacks."""
    resource = new.allocated()
    new.report(resource, cpu="1.5")
    row = read(marketplace_provider_resources_retrieve.sync(UUID(resource), client=client))
    assert (row["state"], row["limits"], row["current_usages"]) == ("OK", LIMITS, {"cpu": 1.5})
    assert row["creation_order"]["state"] == "done"


def test_resource_list(new: Site, client: AuthenticatedClient) -> None:
    """The list of resources parses under its filters."""
    resource = new.allocated()
    rows = marketplace_provider_resources_list.sync(
        client=client,
        offering_uuid=[UUID(new.waldur.offering_uuid)],
        state=[models.ResourceState.OK],
        field=[models.ResourceFieldEnum.UUID, models.ResourceFieldEnum.PAUSED],
    )
    assert [(row.uuid, row.paused) for row in rows] == [(UUID(resource), False)]


def test_resource_setters(new: Site, client: AuthenticatedClient) -> None:
    """Backend id, metadata, limits, report, states and last sync are taken as the client sends."""
    uuid = UUID(new.allocated())
    marketplace_provider_resources_set_backend_id.sync(
        uuid, client=client, body=models.ResourceBackendIDRequest(backend_id="hpc_1")
    )
    metadata = models.ResourceBackendMetadataRequestBackendMetadata.from_dict({"account": "hpc_1"})
    marketplace_provider_resources_set_backend_metadata.sync(
        uuid, client=client, body=models.ResourceBackendMetadataRequest(backend_metadata=metadata)
    )
    limits = models.ResourceSetLimitsRequestLimits.from_dict({"ram": 7})
    marketplace_provider_resources_set_limits.sync(
        uuid, client=client, body=models.ResourceSetLimitsRequest(limits=limits)
    )
    section = models.ReportSectionRequest(header="Jobs", body="None")
    marketplace_provider_resources_submit_report.sync(
        uuid, client=client, body=models.ResourceReportRequest(report=[section])
    )
    marketplace_provider_resources_refresh_last_sync.sync_detailed(uuid, client=client)
    row = new.waldur.resource(uuid.hex)
    assert (row["backend_id"], row["backend_metadata"]) == ("hpc_1", {"account": "hpc_1"})
    assert (row["limits"], row["report"]) == ({"ram": 7}, [{"header": "Jobs", "body": "None"}])


def test_resource_repair(new: Site, client: AuthenticatedClient) -> None:
    """A resource can be set erred, with the reason, and OK again."""
    uuid = UUID(new.allocated())
    body = models.ResourceSetStateErredRequest(error_message="lost", error_traceback="")
    marketplace_provider_resources_set_as_erred.sync_detailed(uuid, client=client, body=body)
    row = marketplace_provider_resources_retrieve.sync(uuid, client=client)
    assert (row.state, row.error_message) == (models.ResourceState.ERRED, "lost")
    marketplace_provider_resources_set_as_ok.sync_detailed(uuid, client=client)
    assert new.state_of(uuid.hex) == "OK"


def test_team(new: Site, client: AuthenticatedClient) -> None:
    """The team parses, with each member's username and state on the offering."""
    uuid = UUID(new.allocated())
    new.waldur.set_username(new.alice, "alice01")
    (member,) = marketplace_provider_resources_team_list.sync(uuid, client=client)
    state = models.OfferingUserState.OK
    assert (member.offering_user_username, member.offering_user_state) == ("alice01", state)


def test_plan_periods(new: Site, client: AuthenticatedClient) -> None:
    """A plan period parses."""
    uuid = UUID(new.allocated())
    (period,) = marketplace_provider_resources_plan_periods_list.sync(uuid, client=client)
    assert period.end is None


def test_offering_users(new: Site, client: AuthenticatedClient) -> None:
    """An offering user can be made by uuids, begun, named, set OK, and listed by state."""
    body = models.OfferingUserRequest(
        offering_uuid=UUID(new.waldur.offering_uuid), user_uuid=UUID(new.alice.uuid)
    )
    uuid = UUID(read(marketplace_offering_users_create.sync(client=client, body=body))["uuid"])
    marketplace_offering_users_begin_creating.sync_detailed(uuid, client=client)
    patch = models.PatchedOfferingUserRequest(username="alice01")
    marketplace_offering_users_partial_update.sync(uuid, client=client, body=patch)
    marketplace_offering_users_set_ok.sync_detailed(uuid, client=client)
    (row,) = marketplace_offering_users_list.sync(
        client=client, state=[models.OfferingUserState.OK]
    )
    assert (read(row)["uuid"], read(row)["username"]) == (str(uuid), "alice01")
    assert marketplace_offering_users_retrieve.sync(uuid, client=client) == row


def test_usages(new: Site, client: AuthenticatedClient) -> None:
    """A usage report is taken and read back by offering and month."""
    resource = UUID(new.allocated())
    item = models.ComponentUsageItemRequest(type_="cpu", amount="10.50")
    body = models.ComponentUsageCreateRequest(resource=resource, usages=[item])
    marketplace_component_usages_set_usage.sync_detailed(client=client, body=body)
    (row,) = marketplace_component_usages_list.sync(
        client=client,
        offering_uuid=UUID(new.waldur.offering_uuid),
        billing_period=new.month,
    )
    found = read(row)
    assert (found["type"], found["usage"]) == ("cpu", "10.50")
    assert found["billing_period"] == new.month.isoformat()


def test_user_usages(new: Site, client: AuthenticatedClient) -> None:
    """Shares of users are taken one by one and together, and read back by month."""
    usage = usage_uuid(new, new.allocated())
    alice = models.ComponentUserUsageCreateRequest(username="alice01", usage="1.00")
    bob = models.ComponentUserUsageCreateRequest(username="bob01", usage="2.00")
    marketplace_component_usages_set_user_usage.sync_detailed(usage, client=client, body=alice)
    bulk = models.ComponentUserUsageBulkCreateRequest(usages=[alice, bob])
    marketplace_component_usages_set_user_usages.sync_detailed(usage, client=client, body=bulk)
    rows = marketplace_component_user_usages_list.sync(
        client=client,
        offering_uuid=UUID(new.waldur.offering_uuid),
        component_usage_billing_period=new.month,
    )
    shares = {row["username"]: row["usage"] for row in map(read, rows)}
    assert shares == {"alice01": "1.00", "bob01": "2.00"}


def test_offering(new: Site, client: AuthenticatedClient) -> None:
    """The offering parses, with its components, and has no key that the model lacks."""
    uuid = UUID(new.waldur.offering_uuid)
    offering = read(marketplace_provider_offerings_retrieve.sync(uuid, client=client))
    types = [component["type"] for component in offering["components"]]
    assert types == ["cpu", "gpu", "nodehours", "ram"]  # by name


def test_offering_lists(new: Site, client: AuthenticatedClient) -> None:
    """The provider's list and the catalogue parse."""
    uuid = UUID(new.waldur.offering_uuid)
    provided = marketplace_provider_offerings_list.sync(client=client)
    public = marketplace_public_offerings_list.sync(client=client)
    assert [row.uuid for row in provided] == [row.uuid for row in public] == [uuid]


def first_component(client: AuthenticatedClient, offering: UUID) -> dict[str, Any]:
    """Return the component whose name comes first."""
    row = read(marketplace_provider_offerings_retrieve.sync(offering, client=client))
    component: dict[str, Any] = row["components"][0]
    return component


def test_components(new: Site, client: AuthenticatedClient) -> None:
    """A component can be added with its unit factor, changed, and removed."""
    offering = UUID(new.waldur.offering_uuid)
    billing_type = models.BillingTypeEnum.LIMIT
    added = models.OfferingComponentRequest(
        billing_type=billing_type, type_="gres/gpu:a100", name="A100", unit_factor=60
    )
    marketplace_provider_offerings_create_offering_component.sync_detailed(
        offering, client=client, body=added
    )
    found = first_component(client, offering)
    assert (found["type"], found["unit_factor"]) == ("gres/gpu:a100", 60)
    changed = models.UpdateOfferingComponentRequest(
        uuid=UUID(found["uuid"]), billing_type=billing_type, type_="gres/gpu:a100", name="A100 v2"
    )
    marketplace_provider_offerings_update_offering_component.sync_detailed(
        offering, client=client, body=changed
    )
    found = first_component(client, offering)
    assert (found["name"], found["unit_factor"]) == ("A100 v2", 60)
    removed = models.RemoveOfferingComponentRequest(uuid=UUID(found["uuid"]))
    marketplace_provider_offerings_remove_offering_component.sync_detailed(
        offering, client=client, body=removed
    )
    assert first_component(client, offering)["type"] == "cpu"
