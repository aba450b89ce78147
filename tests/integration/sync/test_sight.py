"""What the token can't see, and what the offering's state and options keep from us: it is said."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from pydantic import SecretStr
from structlog.testing import capture_logs

from slurm_tasks.demo.waldur import Role
from slurm_tasks.errors import ConfigurationError, WaldurError
from slurm_tasks.model.findings import Finding, Verdict
from slurm_tasks.sync import check_waldur, usage
from slurm_tasks.sync.told import Told
from slurm_tasks.waldur.client import Client
from tests.integration.sync.test_usage import MARCH, events, job
from tests.support.world import World, settings_for

pytestmark = pytest.mark.usefixtures("march")

CYCLES: dict[str, Callable[[World], object]] = {
    "orders": World.sync_orders,
    "members": World.sync_members,
    "plan": World.plan,
    "usage": World.report_usage,
    "components": World.load_components,
}


@pytest.fixture
def with_token(world: World) -> Iterator[Callable[[Role], Client]]:
    """Make the control side that of somebody else's token."""
    made = []

    def use(role: Role) -> Client:
        token = SecretStr(world.waldur.token_of(role))
        made.append(Client(settings_for(world.waldur).model_copy(update={"api_token": token})))
        world.configure(waldur=made[-1])
        return made[-1]

    yield use
    for client in made:
        client.close()


def findings(world: World, what: str) -> list[Finding]:
    """Return what `check` says of something."""
    return [found for found in check_waldur.findings(world.control) if found.what == what]


@pytest.mark.parametrize("cycle", CYCLES)
def test_a_token_that_sees_nothing(
    world: World, cycle: str, with_token: Callable[[Role], Client]
) -> None:
    """Waldur answers it empty lists with 200; that is an error, and never "nothing to do"."""
    world.allocated()
    world.waldur.add_user("mallory", role=Role.OTHER_PROVIDER)
    with_token(Role.OTHER_PROVIDER)
    with pytest.raises((ConfigurationError, WaldurError), match=r"(?i)waldur") as caught:
        CYCLES[cycle](world)
    if world.waldur.generation == "a":
        assert "owner of its service provider" in str(caught.value)


def test_an_empty_offering_is_looked_at_once(world: World) -> None:
    """Where there is nothing to do, the offering is read once an hour and not with each list."""
    world.forget()
    world.sync_orders()
    world.sync_orders()
    read = [
        request
        for request in world.waldur.requests
        if request.path.endswith(f"marketplace-provider-offerings/{world.waldur.offering_uuid}/")
    ]
    assert len(read) == 1


def test_a_managers_token_is_named(world: World, with_token: Callable[[Role], Client]) -> None:
    """It may neither approve nor end orders; an owner's is not named."""
    assert findings(world, "role") == []
    with_token(Role.MANAGER)
    (found,) = findings(world, "role")
    assert found.verdict is Verdict.WARNING
    assert "OFFERING.MANAGER" in found.message


def test_hidden_offering_users(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody is called unknown for it; the log says it once, and `check` what it costs."""
    monkeypatch.setattr(usage, "_told", Told())
    assert findings(world, "offering users") == []
    for name in ("One", "Two"):
        job(world, world.allocated(name))
    world.waldur.show_offering_users(shown=False)
    with capture_logs() as logs:
        reports = world.report_usage() + world.report_usage()
    assert [report.strangers for report in reports] == [{}, {}]
    assert len(events(logs, "offering_users_hidden")) == 1
    assert events(logs, "usage_of_unknown_users") == []
    (found,) = findings(world, "offering users")
    assert "service_provider_can_create_offering_user" in found.message


def test_hidden_offering_users_leave_by_the_roster(world: World) -> None:
    """Who stands in a resource's report is removed although the list of users is hidden."""
    resource = world.allocated()
    world.waldur.show_offering_users(shown=False)
    world.leave("bob")
    world.sync_members()
    assert world.account(resource).users == {"alice"}


def test_an_erred_resource_is_named(world: World) -> None:
    """`check` names an Erred resource that has an account, and what brings it back."""
    resource = world.allocated()
    assert findings(world, "resources") == []
    world.waldur.set_resource(resource, state="Erred")
    (found,) = findings(world, "resources")
    assert found.verdict is Verdict.WARNING
    assert world.backend_id(resource) in found.message


def test_usage_missed_while_erred_is_made_up(world: World) -> None:
    """Waldur takes none for an Erred resource; the first report after it is OK has all of it."""
    resource = world.allocated()
    job(world, resource, start=MARCH)
    world.waldur.set_resource(resource, state="Erred")
    world.report_usage()
    assert world.waldur.usages(resource) == {}
    world.sync_members()
    world.report_usage()
    assert world.waldur.usages(resource)["cpu", "2025-03-01"] == 4
    assert world.waldur.user_usages(resource)["cpu", "2025-03-01", "alice"] == 4


@pytest.mark.parametrize(
    ("state", "verdict", "named"),
    [
        ("Active", Verdict.OK, "Active"),
        ("Draft", Verdict.WARNING, "Activate it"),
        ("Paused", Verdict.WARNING, "kept in step"),
        ("Archived", Verdict.WARNING, "kept in step"),
        ("Unavailable", Verdict.FAILED, "Make it available"),
    ],
)
def test_the_offerings_state(world: World, state: str, verdict: Verdict, named: str) -> None:
    """`check` says what follows from it."""
    world.waldur.faults.add(
        kind="rewritten",
        path="marketplace-provider-offerings/[0-9a-f]+/[?]",
        times=None,
        rewrite=lambda body: {**body, "state": state} if isinstance(body, dict) else body,
    )
    (found,) = findings(world, "offering")
    assert found.verdict is verdict
    assert named in found.message


def test_an_unavailable_offering_errs_no_order(world: World) -> None:
    """Its refusals pass: the order waits, and is done once the offering is available again."""
    order = world.order()
    world.waldur.faults.add(
        kind="rewritten",
        method="POST",
        path="marketplace-provider-resources/[0-9a-f]+/",
        times=None,
        status=400,
        rewrite=lambda _: ["Offering is unavailable."],
    )
    (result,) = world.sync_orders().values()
    assert "unavailable" in result
    assert world.order_state(order) != "erred"
    world.waldur.faults.clear()
    world.sync_orders()
    assert world.order_state(order) == "done"
