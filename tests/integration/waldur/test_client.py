"""The client against the simulators of both generations."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from decimal import Decimal
from typing import cast

import pytest
from structlog.testing import capture_logs

from slurm_tasks.demo.waldur import Project, Role, User, WaldurSimulator
from slurm_tasks.demo.waldur.faults import Kind
from slurm_tasks.demo.waldur.values import Generation as ServerGeneration
from slurm_tasks.errors import WaldurError, WaldurRefusedError
from slurm_tasks.waldur.client import Client, Generation
from slurm_tasks.waldur.views import Section
from tests.integration.waldur.conftest import settings_of
from tests.support.scripted import HTML, Answer, Scripted
from tests.support.world import LIMITS, OFFERED, settings_for


@pytest.fixture(params=["a", "b"])
def waldur(request: pytest.FixtureRequest) -> Iterator[WaldurSimulator]:
    """A server of each generation."""
    generation = cast("ServerGeneration", request.param)
    with WaldurSimulator(generation, OFFERED, job_delay=0.0) as running:
        yield running


@pytest.fixture
def client(waldur: WaldurSimulator) -> Iterator[Client]:
    """The service's client."""
    opened = Client(settings_for(waldur))
    yield opened
    opened.close()


@pytest.fixture
def alice(waldur: WaldurSimulator) -> User:
    """Somebody with a username on the cluster."""
    user = waldur.add_user("alice")
    waldur.set_username(user, "alice01")
    return user


@pytest.fixture
def project(waldur: WaldurSimulator, alice: User) -> Project:
    """A project with a member."""
    made = waldur.add_project(waldur.add_customer("Uni"), "Lab")
    waldur.add_member(made, alice)
    return made


@pytest.fixture
def order(waldur: WaldurSimulator, project: Project) -> str:
    """An order that waits for us."""
    return waldur.order_create(project, "Genomics", LIMITS)


ORDER_ROW = {"uuid": "1", "type": "Create", "state": "executing", "limits": {}}


@pytest.fixture
def resource(waldur: WaldurSimulator, client: Client, order: str) -> str:
    """A resource in use."""
    client.approve(order)
    client.set_order_done(order)
    return str(waldur.order(order)["marketplace_resource_uuid"])


def test_generation(waldur: WaldurSimulator, client: Client) -> None:
    """The server's generation is found with one request, which is made once."""
    assert client.generation.value == waldur.generation
    assert client.generation is client.generation
    assert len(waldur.requests) == 1


def test_generation_of_a_manager(waldur: WaldurSimulator) -> None:
    """A token with fewer rights finds the same generation."""
    settings = settings_for(waldur)
    token = type(settings.api_token)(waldur.token_of(Role.MANAGER))
    client = Client(settings.model_copy(update={"api_token": token}))
    assert client.generation.value == waldur.generation
    client.close()


@pytest.mark.parametrize("status", [401, 500])
def test_generation_of_a_server_that_is_away(
    waldur: WaldurSimulator, client: Client, status: int
) -> None:
    """A server that fails is of no generation yet; it is asked again."""
    waldur.faults.add(kind="status", status=status)
    with pytest.raises(WaldurError):
        _ = client.generation
    assert client.generation.value == waldur.generation


def test_upgraded_server(server: Scripted) -> None:
    """A server that was upgraded under a running worker is recognised at the next attempt."""
    client = Client(settings_of(server.url))
    gone = Answer(404, "<title>Not Found</title>", HTML)
    server.say([gone, gone, Answer(body="[]")])
    assert client.generation.value == "a"
    with pytest.raises(WaldurError, match="looked up again"):
        client.create_association("1", "alice")
    assert client.generation.value == "b"
    client.close()


def test_username(client: Client) -> None:
    """The client tells whose token it has, and asks for nothing else."""
    assert client.username() == "provider"


def test_offering(waldur: WaldurSimulator, client: Client) -> None:
    """The offering is read with its components."""
    offering = client.offering()
    assert offering.uuid == waldur.offering_uuid
    assert [component.type for component in offering.components] == ["cpu", "gres/gpu", "mem"]
    assert offering.components[2].limit_amount == Decimal(40000)


def test_orders(client: Client, order: str) -> None:
    """Orders that wait are listed with what they ask for."""
    (found,) = client.orders()
    assert (found.uuid, found.type, found.state) == (order, "Create", "pending-provider")
    assert found.limits == LIMITS
    assert client.order(order) == found


def test_orders_in_order(waldur: WaldurSimulator, client: Client, project: Project) -> None:
    """Orders come oldest first, over all pages."""
    placed = [waldur.order_create(project, f"a{n}", LIMITS) for n in range(310)]
    assert [found.uuid for found in client.orders()] == placed
    assert len(waldur.requests) == 2


def test_orders_of_other_states(waldur: WaldurSimulator, client: Client, project: Project) -> None:
    """Orders that don't wait for us aren't listed."""
    for state in ("pending-consumer", "done", "erred"):
        waldur.order_create(project, state, LIMITS, state=state)
    assert client.orders() == []


def test_resources(client: Client, resource: str) -> None:
    """Resources in some states are listed."""
    (found,) = client.resources(["OK"])
    assert (found.uuid, found.state, found.limits) == (resource, "OK", LIMITS)
    assert found.backend_id == ""
    assert client.resources(["Terminated"]) == []


def test_team(client: Client, resource: str) -> None:
    """The team is read with each member's username on the cluster."""
    (member,) = client.team(resource)
    assert member.offering_user_username == "alice01"
    assert member.offering_user_state == ("OK" if client.generation is Generation.B else None)


def test_offering_users(client: Client, alice: User) -> None:
    """Offering users are read with their state, where the server has one."""
    (found,) = client.offering_users()
    assert (found.user_uuid, found.username, found.usable) == (alice.uuid, "alice01", True)


def test_set_backend_id(waldur: WaldurSimulator, client: Client, resource: str) -> None:
    """The account's name is set, on an older server's Allocation too."""
    client.set_backend_id(resource, "hpc_1")
    assert waldur.resource(resource)["backend_id"] == "hpc_1"
    allocation = waldur.allocation(resource)
    assert allocation is None or allocation["backend_id"] == "hpc_1"


def test_submit_report(client: Client, resource: str) -> None:
    """What is written comes back with the resource."""
    assert client.resource(resource).report == ()
    client.submit_report(resource, [Section(header="Users", body="alice")])
    assert client.resource(resource).report == (Section(header="Users", body="alice"),)


def test_set_limits(waldur: WaldurSimulator, client: Client, resource: str) -> None:
    """Limits are set in the shape that the server wants."""
    client.set_limits(resource, {"cpu": 1, "gres/gpu": 2})
    assert waldur.resource(resource)["limits"] == {"cpu": 1, "gres/gpu": 2}


def test_set_resource_ok(waldur: WaldurSimulator, client: Client, resource: str) -> None:
    """An erred resource is brought back, whatever state its Allocation is in."""
    states = ("Update Scheduled", "OK", "Erred", "Creation Scheduled")
    for state in states if client.generation is Generation.A else states[:1]:
        waldur.set_resource(resource, state="Erred")
        if client.generation is Generation.A:
            waldur.set_allocation_state(resource, state)
        client.set_resource_ok(resource)
        assert waldur.resource(resource)["state"] == "OK"


def test_erred(waldur: WaldurSimulator, client: Client, order: str) -> None:
    """An order is erred with a message, which is cut to what fits."""
    client.set_order_executing(order)
    client.set_order_erred(order, 5000 * "x")
    assert waldur.order(order)["state"] == "erred"
    assert waldur.order(order)["error_message"] == 1000 * "x"


def test_conflicts(waldur: WaldurSimulator, client: Client, order: str) -> None:
    """What an order's state doesn't allow is refused with 409."""
    client.approve(order)
    with pytest.raises(WaldurRefusedError) as refused:
        client.approve(order)
    assert refused.value.status == 409
    assert waldur.order(order)["state"] == "executing"


def test_usage(waldur: WaldurSimulator, client: Client, resource: str) -> None:
    """Usage is set and read back by month."""
    client.usages.set_totals(resource, {"cpu": Decimal("1.50"), "mem": Decimal("0.00")})
    month = f"{waldur.clock():%Y-%m}"
    rows = client.usages.totals(month)
    assert {row.type: row.usage for row in rows} == {"cpu": Decimal("1.50"), "mem": Decimal(0)}
    assert client.usages.totals("2020-01") == []


def test_user_usage(waldur: WaldurSimulator, client: Client, resource: str) -> None:
    """Users' parts are set and read back."""
    client.usages.set_totals(resource, {"cpu": Decimal(3)})
    month = f"{waldur.clock():%Y-%m}"
    (row,) = client.usages.totals(month)
    client.usages.set_parts(row.uuid, {"alice01": Decimal(1), "bob01": Decimal(2)}, {})
    parts = {part.username: part.usage for part in client.usages.parts(month)}
    assert parts == {"alice01": Decimal(1), "bob01": Decimal(2)}


def test_user_usage_requests(waldur: WaldurSimulator, client: Client, resource: str) -> None:
    """A newer server takes all users of a component at once."""
    client.usages.set_totals(resource, {"cpu": Decimal(3)})
    (row,) = client.usages.totals(f"{waldur.clock():%Y-%m}")
    before = len(waldur.posts())
    client.usages.set_parts(row.uuid, {"alice01": Decimal(1), "bob01": Decimal(2)}, {})
    made = len(waldur.posts()) - before
    assert made == (1 if client.generation is Generation.B else 2)


def test_associations(client: Client, waldur: WaldurSimulator, resource: str) -> None:
    """An older server's associations are those of one allocation; adding twice is fine."""
    if client.generation is Generation.B:
        assert client.associations(client.resource(resource)) == set()
        return
    for name in ("alice", "bob", "bob"):
        client.create_association(resource, name)
    client.delete_association(resource, "alice")
    client.delete_association(resource, "alice")
    assert client.associations(client.resource(resource)) == {"bob"}
    assert waldur.associations(resource) == {"bob"}


def test_components(client: Client) -> None:
    """A component is created and changed."""
    body = {"type": "gres/gpu:a100", "name": "A100", "billing_type": "limit"}
    client.create_component({**body, "measured_unit": "h"})
    made = client.offering().components[0]
    assert made.type == "gres/gpu:a100"
    client.update_component({**body, "uuid": made.uuid, "name": "A100 80G", "measured_unit": "h"})
    assert client.offering().components[0].name == "A100 80G"


def test_duplicate_component(client: Client) -> None:
    """A component that is there already is the server's 500, so nobody's refusal."""
    with pytest.raises(WaldurError, match="500"):
        client.create_component({"type": "cpu", "name": "x", "billing_type": "limit"})


def test_timeout(waldur: WaldurSimulator) -> None:
    """A server that doesn't answer within WALDUR_TIMEOUT is away."""
    client = Client(settings_for(waldur, timeout=0.05))
    waldur.faults.add(kind="delay", seconds=5, method="POST")
    began = time.monotonic()
    with pytest.raises(WaldurError, match="Timeout"):
        client.approve("1")
    assert time.monotonic() - began < 4
    client.close()


@pytest.mark.usefixtures("at_once")
def test_slow_read(waldur: WaldurSimulator) -> None:
    """A read that takes too long once is repeated."""
    client = Client(settings_for(waldur, timeout=0.5))
    waldur.faults.add(kind="delay", seconds=5)
    assert client.username() == "provider"
    client.close()


@pytest.mark.usefixtures("at_once")
@pytest.mark.parametrize("kind", ["reset", "answer_lost", "truncated"])
def test_cut_reads(waldur: WaldurSimulator, client: Client, order: str, kind: Kind) -> None:
    """A read whose connection is cut is repeated."""
    waldur.faults.add(kind=kind, times=3)
    assert [found.uuid for found in client.orders()] == [order]


@pytest.mark.parametrize("kind", ["reset", "answer_lost", "truncated"])
def test_cut_writes(waldur: WaldurSimulator, client: Client, order: str, kind: Kind) -> None:
    """A write whose connection is cut isn't, whether it took effect or not."""
    waldur.faults.add(kind=kind)
    with pytest.raises(WaldurError):
        client.approve(order)
    assert len(waldur.requests) == 1


@pytest.mark.parametrize("kind", ["empty", "wrong_shape", "redirect"])
@pytest.mark.parametrize("method", ["offering", "orders", "offering_users", "order", "team"])
def test_wrong_answers(
    waldur: WaldurSimulator, client: Client, order: str, method: str, kind: Kind
) -> None:
    """An answer of the wrong shape is Waldur's failure, never "nothing there"."""
    waldur.faults.add(kind=kind, times=None)
    resource = str(waldur.order(order)["marketplace_resource_uuid"])
    subject = {"order": (order,), "team": (resource,)}.get(method, ())
    with pytest.raises(WaldurError):
        getattr(client, method)(*subject)


@pytest.mark.parametrize(
    "body", ['{"uuid": null}', '[{"uuid": "1"}]', "[null]", '["x"]', '[{"uuid": 5, "usage": "x"}]']
)
def test_rows_that_make_no_sense(server: Scripted, body: str) -> None:
    """A row that lacks what we need is Waldur's failure; the message says what is missing."""
    client = Client(settings_of(server.url))
    server.say([Answer(body=body)])
    with pytest.raises(WaldurError, match=r"not understood|expected a list"):
        client.usages.totals("2025-03")
    client.close()


def test_fields_that_are_missing(server: Scripted) -> None:
    """A server that sends less than we know of is served with what it implies."""
    client = Client(settings_of(server.url))
    server.say([Answer(body='{"uuid": "1", "state": "OK", "limits": null, "backend_id": null}')])
    found = client.resource("1")
    assert (found.limits, found.backend_id, found.paused) == ({}, "", None)
    client.close()


def test_other_offerings_rows(server: Scripted) -> None:
    """Rows of another offering are dropped, should a server ignore the filter."""
    client = Client(settings_of(server.url))
    row = {**ORDER_ROW, "offering_uuid": "other"}
    server.say([Answer(body=json.dumps([row]))])
    assert client.orders() == []
    client.close()


def test_row_that_makes_no_sense_among_others(server: Scripted) -> None:
    """An order or a resource that can't be read is left out; the others are there."""
    client = Client(settings_of(server.url))
    row = {**ORDER_ROW, "offering_uuid": client.offering_uuid}
    broken = {**row, "uuid": "0", "limits": "plenty"}
    server.say([Answer(body=json.dumps([broken, row]))])
    with capture_logs() as logs:
        assert [found.uuid for found in client.orders()] == ["1"]
    left_out = [entry["uuid"] for entry in logs if entry["event"] == "row_left_out"]
    assert left_out == ["0"]
    client.close()


def test_no_row_makes_sense(server: Scripted) -> None:
    """Where no row can be read at all, Waldur isn't understood; that is not an empty list."""
    client = Client(settings_of(server.url))
    server.say([Answer(body=json.dumps([{**ORDER_ROW, "limits": "plenty"}]))])
    with pytest.raises(WaldurError, match="limits"):
        client.orders()
    client.close()


def test_missing_rights(waldur: WaldurSimulator, client: Client, order: str) -> None:
    """A right that the token lacks is a refusal, which is no order's fault."""
    waldur.faults.add(kind="status", status=403)
    with pytest.raises(WaldurRefusedError, match="403") as refused:
        client.approve(order)
    assert not refused.value.route_missing


def test_unknown_order(client: Client) -> None:
    """An order that doesn't exist is an object that is missing, not a route."""
    with pytest.raises(WaldurRefusedError, match="No Order matches") as refused:
        client.order(32 * "0")
    assert (refused.value.status, refused.value.route_missing) == (404, False)


def test_wrong_base(waldur: WaldurSimulator) -> None:
    """A WALDUR_API_URL that isn't an API's is an error that names the page it got."""
    settings = settings_for(waldur)
    wrong = settings.model_copy(update={"api_url": waldur.url.replace("/api/", "/x/api/")})
    client = Client(wrong)
    with pytest.raises(WaldurRefusedError, match="HTML page: Not Found"):
        client.orders()
    client.close()


def test_representation(waldur: WaldurSimulator) -> None:
    """A client's representation tells nothing of its token."""
    client = Client(settings_for(waldur))
    shown = repr(client) + str(vars(client))
    assert waldur.token not in shown
    client.close()
