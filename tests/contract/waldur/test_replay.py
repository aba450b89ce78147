"""The recordings of a real GEN-A server, replayed in their order against the simulator."""

from collections.abc import Callable, Collection, Iterator
from datetime import UTC, datetime

import httpx
import pytest

from slurm_tasks.demo.waldur import Role, User
from tests.contract.waldur.replay import Exchange, Replay, exchanges
from tests.contract.waldur.site import LIMITS, Site

Asker = Callable[[int, Exchange], User]

# Uuids in the recordings whose counterparts exist before the first answer.
OFFERING = "3d2bb6241d4b4c988ecb89dac47b11d8"
FOLDING = "2437fb72a5764b44b16535edca03770b"
CLIMATE = "04eb64925fe94ec0b0922f0bec6abed3"
ALICE = "b319818d6e564b98a6b94c2703a89b1d"
BOB = "f99eef7354fa432a98875ac103991e1a"
MAX = "fd28bb3602fd47f5aa937cfef799df39"
OLGA = "99a6de09944244cdb852bd04b900a0ab"
CARL = "c6258e1fc696427ba39fc679c6b4deb4"
ALICE_ACCOUNT = "f14f849e83cf465da40198c6a6682372"
BOB_ACCOUNT = "822ffde80a864491be6e9ac2261e8229"
GOLDEN_ORDER = "04bae84ec83b417697e6ae7abb09c913"
GOLDEN_RESOURCE = "9424cf4d378b443a822fb6106d06b92e"
USAGE_ORDER = "8edb0084ab264dbe8f8a6033ab7ed513"
USAGE_RESOURCE = "deefd63b47a44a43a2c711c6eb6e14af"
SIX = "e0c2e5e70fb2406bb024d087bdd7f40d"
FOUR = "a6d73bb238704ee78d5bf65e369ea348"
TWO = "37d4beee357545e2aa3c0aecabdbb232"


@pytest.fixture
def replay(old: Site) -> Iterator[Replay]:
    """A replay that knows the recorded offering, projects and people.

    These requests were sent by hand to learn what a server ignores, so the simulator does, too.
    """
    old.waldur.strict = False
    bob = old.waldur.add_user("bob", "Bob Böhm")
    old.waldur.add_member(old.project, bob)
    climate = old.waldur.add_project(old.customer, "Climate")
    old.waldur.add_member(climate, old.alice)
    uuids = {
        OFFERING: old.waldur.offering_uuid,
        FOLDING: old.project.uuid,
        CLIMATE: climate.uuid,
        ALICE: old.alice.uuid,
        BOB: bob.uuid,
        MAX: old.waldur.add_user("pmember", "Max Member").uuid,
        OLGA: old.waldur.add_user("outsider", "Olga Out").uuid,
        CARL: old.waldur.person(Role.CUSTOMER).uuid,
    }
    with httpx.Client(follow_redirects=True, verify=False) as client:
        yield Replay(old.waldur, client, uuids)


def run(
    replay: Replay,
    name: str,
    asker: Asker,
    *,
    unprocessed: Collection[int] = (),
    skipped: Collection[int] = (),
    last: int | None = None,
) -> str:
    """Replay a recording; return all differences, one a line.

    Before an exchange, the server's Celery has done its work, unless its number is among
    `unprocessed`: those were recorded in the moment before.
    """
    found = []
    for number, exchange in enumerate(exchanges(name)):
        if number in skipped or (last is not None and number > last):
            continue
        if number not in unprocessed:
            replay.waldur.finish_jobs()
        answer = replay.send(exchange, f"Token {asker(number, exchange).token}")
        for difference in replay.differences(exchange, answer):
            found.append(f"{number} {exchange.note}: {difference}")  # noqa: PERF401
    return "\n".join(found)


def test_golden_path(old: Site, replay: Replay) -> None:
    """The whole life of an allocation: create, two updates, a race, terminate."""
    old.waldur.set_username(old.alice, "alice01")
    old.waldur.set_username(old.waldur.user("bob"), "bob01")
    order = old.waldur.order_create(old.project, "golden-1795347385", LIMITS)
    replay.uuids |= {GOLDEN_ORDER: order, GOLDEN_RESOURCE: old.resource_of(order)}

    def asker(_number: int, exchange: Exchange) -> User:
        consumer = exchange.path.startswith("/api/marketplace-resources/")
        return old.waldur.person(Role.CUSTOMER if consumer else Role.PROVIDER)

    # 13 and 21 polled too early; 29 completed an order that Celery had not processed.
    assert run(replay, "golden-path", asker, unprocessed={13, 21, 29, 30, 31}) == ""


def test_updates_and_termination(old: Site, replay: Replay) -> None:
    """Updates by three kinds of allocation (one drifted, one without), and their end."""
    six = old.allocated("alloc-six")
    old.waldur.set_resource(six, backend_id="hpc_six")
    replay.uuids |= {SIX: six, FOUR: _drifted(old), TWO: _never_processed(old)}

    def asker(number: int, exchange: Exchange) -> User:
        if number == 2:
            return old.alice
        if number in (3, 7, 76):
            return old.waldur.person(Role.ADMIN)
        if "marketplace-resources/" in exchange.path or "by_consumer" in exchange.path:
            return old.waldur.person(Role.CUSTOMER)
        allocations = "slurm-allocations" in exchange.path
        return old.waldur.person(Role.STAFF if allocations else Role.PROVIDER)

    assert run(replay, "update-terminate", asker) == ""


def test_usages_users_and_components(old: Site, replay: Replay) -> None:
    """Usage reports with all their refusals, offering users, the offering's components."""
    old.allocated("earlier")
    for username, recorded in {"alice": ALICE_ACCOUNT, "bob": BOB_ACCOUNT}.items():
        query = {"user_username": username}
        replay.uuids[recorded] = old.get("marketplace-offering-users/", **query)[0]["uuid"]

    def asker(_number: int, exchange: Exchange) -> User:
        if exchange.method == "POST" and exchange.path == "/api/marketplace-orders/":
            return old.waldur.person(Role.CUSTOMER)
        if "padmin" in exchange.note:
            return old.waldur.person(Role.ADMIN)
        manager = "manager" in exchange.note.lower()
        return old.waldur.person(Role.MANAGER if manager else Role.PROVIDER)

    # 2 and 9 polled too early.
    assert run(replay, "usages-users-components", asker, unprocessed={2, 9}) == ""


def test_errors_filters_and_pages(old: Site, replay: Replay) -> None:
    """Refusals of the whole API, filters of lists, pages, redirects.

    From 28 on, the recording logs in with passwords and blocks a customer: no part of what
    the provider's token can do.
    """
    old.waldur.set_now(datetime(2026, 11, 22, 11, 20, tzinfo=UTC))
    order = old.waldur.order_create(old.project, "alloc-usage", LIMITS)
    old.approve(order)
    old.act(order, "set_state_done")
    resource = old.resource_of(order)
    old.waldur.set_resource(resource, backend_id="hpc_alloc_usage")
    replay.uuids |= {USAGE_ORDER: order, USAGE_RESOURCE: resource}

    def asker(number: int, _exchange: Exchange) -> User:
        if number == 27:
            _call_as_site_agent(old)
        return old.waldur.person(Role.CUSTOMER if number == 20 else Role.PROVIDER)

    # 0 to 2 are about the token itself, see the next test.
    assert run(replay, "errors-filters-pagination", asker, skipped={0, 1, 2}, last=27) == ""


@pytest.mark.parametrize(("number", "authorization"), [(0, None), (1, "Token 0"), (2, "Bearer {}")])
def test_tokens(old: Site, replay: Replay, number: int, authorization: str | None) -> None:
    """No token, an unknown one, and the right one under the wrong scheme are refused."""
    exchange = exchanges("errors-filters-pagination")[number]
    header = authorization and authorization.format(old.waldur.token)
    assert replay.differences(exchange, replay.send(exchange, header)) == []


def _call_as_site_agent(site: Site) -> None:
    query = {"offering_uuid": site.waldur.offering_uuid}
    headers = {"User-Agent": "waldur-site-agent/0.1"}
    site.provider.get("marketplace-orders/", params=query, headers=headers)


def _drifted(site: Site) -> str:
    """Make the recorded alloc-four: erred, retried, done, its Allocation left as it was."""
    order = site.waldur.order_create(site.project, "alloc-four", LIMITS)
    site.approve(order)
    site.act(order, "set_state_erred", {"error_message": "sacctmgr failed", "error_traceback": ""})
    site.act(order, "set_state_executing")
    site.act(order, "set_state_done")
    resource = site.resource_of(order)
    site.waldur.set_resource(resource, backend_id="hpc_four")
    return resource


def _never_processed(site: Site) -> str:
    """Make the recorded alloc-two: executed without an approval, so without an Allocation."""
    order = site.waldur.order_create(site.project, "alloc-two", LIMITS)
    site.act(order, "set_state_executing")
    site.act(order, "set_state_done")
    resource = site.resource_of(order)
    site.waldur.set_resource(resource, backend_id="hpc_two")
    return resource
