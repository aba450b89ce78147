"""The client against Waldur's own generated one: it makes the same requests of newer servers.

Its models parse what the simulator of such a server answers to them. The generated modules take
seconds to import, so they are found when the first test needs them.
"""

from __future__ import annotations

import datetime as dt
import importlib
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any
from uuid import UUID

import httpx
import pytest

from slurm_tasks.demo.waldur import WaldurSimulator
from slurm_tasks.waldur.client import Client
from slurm_tasks.waldur.transport import PAGE_SIZE, Query, Transport
from slurm_tasks.waldur.usages import Usages
from slurm_tasks.waldur.views import Offering, OfferingUser, Order, Resource, Section, View
from tests.support.world import LIMITS, OFFERED, settings_for

ALLOCATIONS_ONLY = {"resource_uuid"}
"""Fields that we ask for on account of older servers."""
SINCE = dt.datetime(2025, 3, 15, 12, tzinfo=dt.UTC)


class Recorder(Transport):
    """A transport that keeps the last answer, and with it the request."""

    last: httpx.Response

    def _send(
        self, method: str, path: str, query: Query, body: object = None, *, probing: bool = False
    ) -> httpx.Response:
        self.last = super()._send(method, path, query, body, probing=probing)
        return self.last


@dataclass(frozen=True)
class Site:
    """A newer server with an order that waits, and a resource in use that has used something."""

    waldur: WaldurSimulator
    client: Client
    recorder: Recorder
    order: str
    resource: str
    usage: str
    component: str
    month: dt.date

    @property
    def offering(self) -> UUID:
        """The offering."""
        return UUID(self.waldur.offering_uuid)


@pytest.fixture(scope="module")
def models() -> Any:  # noqa: ANN401 - the generated package's module of models
    """Return the generated client's models: 2,000 classes, imported once."""
    return importlib.import_module("waldur_api_client.models")


@pytest.fixture
def site() -> Iterator[Site]:
    """Start a site."""
    with WaldurSimulator("b", OFFERED, job_delay=0.0) as waldur:
        project = waldur.add_project(waldur.add_customer("Uni"), "Lab")
        alice = waldur.add_user("alice")
        waldur.add_member(project, alice)
        waldur.set_username(alice, "alice01")
        settings = settings_for(waldur)
        recorder = Recorder(settings)
        client = Client(settings, recorder)
        first = waldur.order_create(project, "First", LIMITS)
        client.approve(first)
        client.set_order_done(first)
        resource = str(waldur.order(first)["marketplace_resource_uuid"])
        client.usages.set_totals(resource, {"cpu": Decimal(3)})
        month = waldur.clock().date().replace(day=1)
        (usage,) = client.usages.totals(f"{month:%Y-%m}")
        component = client.offering().components[0].uuid
        order = waldur.order_create(project, "Second", LIMITS)
        assert client.generation.value == "b"
        yield Site(waldur, client, recorder, order, resource, usage.uuid, component, month)
        client.close()


Arguments = dict[str, Any]


def anew(client: Client) -> Client:
    """Let the client look for the server's generation once more."""
    client.server.forget()
    return client


@dataclass(frozen=True)
class Case:
    """A request of ours, and the arguments with which the generated client makes it.

    Attributes:
        endpoint: its module, below `waldur_api_client.api`.
        ours: makes the request.
        theirs: the arguments of its function, given the models.
    """

    endpoint: str
    ours: Callable[[Site], object]
    theirs: Callable[[Site, Any], Arguments]


def _fields(view: type[View], enum: Callable[[str], object]) -> list[object]:
    return [enum(name) for name in view.model_fields if name not in ALLOCATIONS_ONLY]


def _paged(**arguments: object) -> Arguments:
    return {**arguments, "page": 1, "page_size": PAGE_SIZE}


def _of_order(action: str, ours: Callable[[Site], object]) -> Case:
    endpoint = f"marketplace_orders.marketplace_orders_{action}"
    return Case(endpoint, ours, lambda site, _: {"uuid": UUID(site.order)})


def _executing(site: Site) -> None:
    site.client.set_order_executing(site.order)


def _done(site: Site) -> None:
    _executing(site)
    site.client.set_order_done(site.order)


CASES = {
    "username": Case(
        "users.users_me_retrieve",
        lambda site: site.client.username(),
        lambda _, models: {"field": [models.UserMeFieldEnum.USERNAME]},
    ),
    "offering": Case(
        "marketplace_provider_offerings.marketplace_provider_offerings_retrieve",
        lambda site: site.client.offering(),
        lambda site, models: {
            "uuid": site.offering,
            "field": _fields(Offering, models.ProviderOfferingDetailsFieldEnum),
        },
    ),
    "permissions": Case(
        "users.users_me_retrieve",
        lambda site: site.client.permissions(),
        lambda _, models: {"field": [models.UserMeFieldEnum.PERMISSIONS]},
    ),
    "generation": Case(
        "marketplace_provider_offerings.marketplace_provider_offerings_orders_list",
        lambda site: anew(site.client).generation,
        lambda site, models: {
            "uuid": site.offering,
            "page_size": 1,
            "field": [models.OrderDetailsFieldEnum.UUID],
        },
    ),
    "create_component": Case(
        "marketplace_provider_offerings.marketplace_provider_offerings_create_offering_component",
        lambda site: site.client.create_component(
            {"type": "node", "name": "Node", "measured_unit": "h", "billing_type": "limit"}
        ),
        lambda site, models: {
            "uuid": site.offering,
            "body": models.OfferingComponentRequest(
                type_="node",
                name="Node",
                measured_unit="h",
                billing_type=models.BillingTypeEnum.LIMIT,
            ),
        },
    ),
    "update_component": Case(
        "marketplace_provider_offerings.marketplace_provider_offerings_update_offering_component",
        lambda site: site.client.update_component(
            {"uuid": site.component, "type": "cpu", "name": "CPU", "billing_type": "limit"}
        ),
        lambda site, models: {
            "uuid": site.offering,
            "body": models.UpdateOfferingComponentRequest(
                uuid=UUID(site.component),
                type_="cpu",
                name="CPU",
                billing_type=models.BillingTypeEnum.LIMIT,
            ),
        },
    ),
    "offering_users": Case(
        "marketplace_offering_users.marketplace_offering_users_list",
        lambda site: site.client.offering_users(),
        lambda site, models: _paged(
            offering_uuid=[site.offering], field=_fields(OfferingUser, models.OfferingUserFieldEnum)
        ),
    ),
    "orders": Case(
        "marketplace_orders.marketplace_orders_list",
        lambda site: site.client.orders(),
        lambda site, models: _paged(
            offering_uuid=site.offering,
            o=[models.OrderDetailsOEnum.CREATED],
            state=[models.OrderState.PENDING_PROVIDER, models.OrderState.EXECUTING],
            field=_fields(Order, models.OrderDetailsFieldEnum),
        ),
    ),
    "order": Case(
        "marketplace_orders.marketplace_orders_retrieve",
        lambda site: site.client.order(site.order),
        lambda site, models: {
            "uuid": UUID(site.order),
            "field": _fields(Order, models.OrderDetailsFieldEnum),
        },
    ),
    "approve": Case(
        "marketplace_orders.marketplace_orders_approve_by_provider",
        lambda site: site.client.approve(site.order),
        lambda site, models: {
            "uuid": UUID(site.order),
            "body": models.OrderApproveByProviderRequest(),
        },
    ),
    "set_order_executing": _of_order("set_state_executing", _executing),
    "set_order_done": _of_order("set_state_done", _done),
    "set_order_erred": Case(
        "marketplace_orders.marketplace_orders_set_state_erred",
        lambda site: site.client.set_order_erred(site.order, "No."),
        lambda site, models: {
            "uuid": UUID(site.order),
            "body": models.OrderErrorDetailsRequest(error_message="No.", error_traceback=""),
        },
    ),
    "resources": Case(
        "marketplace_provider_resources.marketplace_provider_resources_list",
        lambda site: site.client.resources(["OK", "Updating"]),
        lambda site, models: _paged(
            offering_uuid=[site.offering],
            o=[models.ResourceOEnum.CREATED],
            state=[models.ResourceState.OK, models.ResourceState.UPDATING],
            field=_fields(Resource, models.ResourceFieldEnum),
        ),
    ),
    "resources: changed since": Case(
        "marketplace_provider_resources.marketplace_provider_resources_list",
        lambda site: site.client.resources(["Terminated"], since=SINCE),
        lambda site, models: _paged(
            offering_uuid=[site.offering],
            o=[models.ResourceOEnum.CREATED],
            state=[models.ResourceState.TERMINATED],
            modified=SINCE,
            field=_fields(Resource, models.ResourceFieldEnum),
        ),
    ),
    "resource": Case(
        "marketplace_provider_resources.marketplace_provider_resources_retrieve",
        lambda site: site.client.resource(site.resource),
        lambda site, models: {
            "uuid": UUID(site.resource),
            "field": _fields(Resource, models.ResourceFieldEnum),
        },
    ),
    "team": Case(
        "marketplace_provider_resources.marketplace_provider_resources_team_list",
        lambda site: site.client.team(site.resource),
        lambda site, _: {"uuid": UUID(site.resource)},
    ),
    "set_backend_id": Case(
        "marketplace_provider_resources.marketplace_provider_resources_set_backend_id",
        lambda site: site.client.set_backend_id(site.resource, "hpc_1"),
        lambda site, models: {
            "uuid": UUID(site.resource),
            "body": models.ResourceBackendIDRequest(backend_id="hpc_1"),
        },
    ),
    "terminate": Case(
        "marketplace_provider_resources.marketplace_provider_resources_terminate",
        lambda site: site.client.terminate(site.resource),
        lambda site, models: {
            "uuid": UUID(site.resource),
            "body": models.ResourceTerminateRequest(),
        },
    ),
    "submit_report": Case(
        "marketplace_provider_resources.marketplace_provider_resources_submit_report",
        lambda site: site.client.submit_report(site.resource, [Section(header="h", body="b")]),
        lambda site, models: {
            "uuid": UUID(site.resource),
            "body": models.ResourceReportRequest(
                report=[models.ReportSectionRequest(header="h", body="b")]
            ),
        },
    ),
    "set_limits": Case(
        "marketplace_provider_resources.marketplace_provider_resources_set_limits",
        lambda site: site.client.set_limits(site.resource, {"cpu": 5}),
        lambda site, models: {
            "uuid": UUID(site.resource),
            "body": models.ResourceSetLimitsRequest(
                limits=models.ResourceSetLimitsRequestLimits.from_dict({"cpu": 5})
            ),
        },
    ),
    "set_resource_ok": Case(
        "marketplace_provider_resources.marketplace_provider_resources_set_as_ok",
        lambda site: site.client.set_resource_ok(site.resource),
        lambda site, _: {"uuid": UUID(site.resource)},
    ),
    "totals": Case(
        "marketplace_component_usages.marketplace_component_usages_list",
        lambda site: site.client.usages.totals(f"{site.month:%Y-%m}"),
        lambda site, _: _paged(offering_uuid=site.offering, billing_period=site.month),
    ),
    "parts": Case(
        "marketplace_component_user_usages.marketplace_component_user_usages_list",
        lambda site: site.client.usages.parts(f"{site.month:%Y-%m}"),
        lambda site, _: _paged(
            offering_uuid=site.offering, component_usage_billing_period=site.month
        ),
    ),
    "set_totals": Case(
        "marketplace_component_usages.marketplace_component_usages_set_usage",
        lambda site: site.client.usages.set_totals(
            site.resource, {"cpu": Decimal("1.50")}, f"{site.month}T00:00:00+00:00"
        ),
        lambda site, models: {
            "body": models.ComponentUsageCreateRequest(
                resource=UUID(site.resource),
                usages=[models.ComponentUsageItemRequest(type_="cpu", amount="1.50")],
                date=dt.datetime.combine(site.month, dt.time(), dt.UTC),
            )
        },
    ),
    "of_resource": Case(
        "marketplace_component_usages.marketplace_component_usages_list",
        lambda site: site.client.usages.of_resource(site.resource),
        lambda site, _: _paged(offering_uuid=site.offering, resource_uuid=UUID(site.resource)),
    ),
    "set_parts": Case(
        "marketplace_component_usages.marketplace_component_usages_set_user_usages",
        lambda site: site.client.usages.set_parts(site.usage, {"alice01": Decimal("1.50")}, {}),
        lambda site, models: {
            "uuid": UUID(site.usage),
            "body": models.ComponentUserUsageBulkCreateRequest(
                usages=[models.ComponentUserUsageCreateRequest(username="alice01", usage="1.50")]
            ),
        },
    ),
}


def _plain(request: httpx.Request) -> tuple[str, str, list[tuple[str, str]], object]:
    """Reduce a request to what counts; uuids may have dashes, and no body is an empty one."""
    query = [
        (name, _undashed(value))
        for name, value in request.url.params.multi_items()
        if (name, value) not in {("field", name) for name in ALLOCATIONS_ONLY}
    ]
    body = json.loads(_undashed(request.content.decode()) or "{}")
    return request.method, _undashed(request.url.path), sorted(query), body


def _undashed(text: str) -> str:
    pattern = r"([0-9a-f]{8})-([0-9a-f]{4})-([0-9a-f]{4})-([0-9a-f]{4})-([0-9a-f]{12})"
    return re.sub(pattern, r"\1\2\3\4\5", text)


@pytest.mark.parametrize("name", CASES)
def test_requests(site: Site, models: Any, name: str) -> None:  # noqa: ANN401 - a module
    """A request of ours has the method, path, query and body of the generated client's."""
    case = CASES[name]
    case.ours(site)
    endpoint = importlib.import_module(f"waldur_api_client.api.{case.endpoint}")
    built = endpoint._get_kwargs(**case.theirs(site, models))
    root = site.waldur.url.removesuffix("/api/")
    theirs = httpx.Request(
        built["method"].upper(),
        f"{root}{built['url']}",
        params=built.get("params"),
        json=built.get("json"),
    )
    assert _plain(site.recorder.last.request) == _plain(theirs)


@pytest.mark.parametrize("name", CASES)
def test_answers(site: Site, models: Any, name: str) -> None:  # noqa: ANN401, ARG001 - imported once
    """What the simulator answers to a request of ours is understood by the generated client."""
    case = CASES[name]
    case.ours(site)
    endpoint = importlib.import_module(f"waldur_api_client.api.{case.endpoint}")
    client = importlib.import_module("waldur_api_client").AuthenticatedClient(
        base_url=site.waldur.url, token="unused"
    )
    parsed = endpoint._parse_response(client=client, response=site.recorder.last)
    rows = parsed if isinstance(parsed, list) else [parsed]
    assert all(not getattr(row, "additional_properties", None) for row in rows)


def test_every_request_is_compared() -> None:
    """Every method of the client that newer servers are asked by has its case."""
    within = {"seen_offering"}  # it asks what `offering` asks
    older = {"associations", "create_association", "delete_association", "set_allocation_state"}
    members = {**vars(Client), **vars(Usages)}
    public = {name for name in members if not name.startswith("_")} - {"close"}
    assert public - older - within == {name.partition(":")[0] for name in CASES}
