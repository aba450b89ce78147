"""How the client finds out which server it talks to, with any token, and corrects itself."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import pytest
from pydantic import SecretStr
from structlog.testing import capture_logs

from slurm_tasks.demo.waldur import Role, WaldurSimulator
from slurm_tasks.errors import WaldurError, WaldurRefusedError
from slurm_tasks.waldur import age
from slurm_tasks.waldur.capabilities import Dates, Generation
from slurm_tasks.waldur.client import Client
from tests.integration.waldur.conftest import settings_of
from tests.support.scripted import HTML, Answer, Scripted
from tests.support.world import OFFERED, settings_for

GONE = Answer(404, "<title>Not Found</title>", HTML)
FORBIDDEN = Answer(403, '{"detail": "You do not have permission to perform this action."}')
NOT_ALLOWED = Answer(405, '{"detail": "Method \\"GET\\" not allowed."}')
EMPTY = Answer(body="[]")
ME = Answer(body='{"username": "provider"}')


@contextmanager
def client_of(version: str, role: Role = Role.PROVIDER) -> Iterator[Client]:
    """Connect to a server of a version, with the token of somebody."""
    with WaldurSimulator("b", OFFERED, version=version) as waldur:
        token = SecretStr(waldur.token_of(role))
        client = Client(settings_for(waldur).model_copy(update={"api_token": token}))
        yield client
        client.close()


def dates_of(client: Client) -> Dates:
    """Return which dates the server takes, as far as is known now."""
    return client.server.capabilities.dates


def takes_bulk(client: Client) -> bool:
    """Tell whether the server takes all users' parts at once, as far as is known now."""
    return client.server.capabilities.bulk_parts


@pytest.mark.parametrize(
    ("version", "found"),
    [
        ("7.6.7", ()),
        ("7.7.5", (7, 7, 5)),
        ("7.8.9", (7, 8, 5)),
        ("7.9.2", (7, 9, 0)),
        ("7.9.3", (7, 9, 3)),
        ("8.0.4", (8, 0, 4)),
        ("8.0.6", (8, 0, 5)),
        ("8.1.1", (8, 1, 0)),
    ],
)
def test_the_age_by_the_routes_that_are_there(version: str, found: tuple[int, ...]) -> None:
    """A provider may not read the version before 8.1.2; the routes tell what it is at least."""
    with client_of(version) as client:
        assert (client.server.capabilities.version, client.server.capabilities.exact) == (
            found,
            False,
        )


@pytest.mark.parametrize(
    ("version", "role"), [("7.9.2", Role.STAFF), ("8.1.2", Role.PROVIDER), ("8.1.3", Role.MANAGER)]
)
def test_the_version_where_it_may_be_read(version: str, role: Role) -> None:
    """Staff may always, everybody from 8.1.2 on."""
    with client_of(version, role) as client:
        assert ".".join(map(str, client.server.capabilities.version)) == version
        assert client.server.capabilities.exact
        assert client.server.capabilities.staff is (role is Role.STAFF)


def test_it_is_looked_up_once() -> None:
    """And once more after an hour, for servers are upgraded while workers run."""
    with WaldurSimulator("b", OFFERED) as waldur:
        client = Client(settings_for(waldur))
        assert client.server.capabilities is client.server.capabilities
        asked = len(waldur.requests)
        client.server._looked_at -= age.REFRESH + 1
        assert client.server.capabilities.generation is Generation.B
        assert len(waldur.requests) == 2 * asked
        client.close()


@pytest.mark.usefixtures("at_once")
def test_what_is_known_stays_while_waldur_is_away(server: Scripted) -> None:
    """Looking it up again fails; the report that needs it fails by itself or doesn't."""
    client = Client(settings_of(server.url))
    server.say([GONE])
    assert client.server.capabilities.generation is Generation.A
    server.say([Answer(500, "broken", HTML)])
    client.server._looked_at -= age.REFRESH + 1
    assert client.server.capabilities.generation is Generation.A
    client.close()


def test_an_upgrade_is_told(server: Scripted) -> None:
    """A worker goes on with what the new server can do, and the log says so."""
    client = Client(settings_of(server.url))
    server.say([GONE])
    assert dates_of(client) is Dates.NONE
    server.say([EMPTY, ME, Answer(body='{"version": "8.1.2"}')])
    client.server._looked_at -= age.REFRESH + 1
    with capture_logs() as logs:
        assert dates_of(client) is Dates.LIMITS
    (told,) = [entry for entry in logs if entry["event"] == "waldur_version_changed"]
    assert told["now"] == "Waldur 8.1.2"
    client.close()


@pytest.mark.parametrize(
    ("second", "generation"), [(NOT_ALLOWED, "b"), (FORBIDDEN, "b"), (GONE, "a")]
)
def test_a_token_of_few_rights(server: Scripted, second: Answer, generation: str) -> None:
    """Servers of 2025 answer the first question with 403 to most roles; a proxy may, too."""
    client = Client(settings_of(server.url))
    server.say([FORBIDDEN, second])
    assert client.generation.value == generation
    client.close()


@pytest.mark.usefixtures("at_once")
@pytest.mark.parametrize("answer", [Answer(403, "<p>no</p>", HTML), Answer(500, "", HTML)])
def test_a_proxy_that_says_no(server: Scripted, answer: Answer) -> None:
    """A page for people tells nothing of the server behind it."""
    client = Client(settings_of(server.url))
    server.say([answer])
    with pytest.raises((WaldurError, WaldurRefusedError)):
        _ = client.generation
    server.say([EMPTY])
    assert client.generation is Generation.B
    client.close()


def test_a_list_that_wants_a_day_after_all(server: Scripted) -> None:
    """A newer server that refuses a time is asked for a day from then on, with one line."""
    import datetime as dt

    client = Client(settings_of(server.url))
    refusal = Answer(400, '{"modified": ["Enter a valid date."]}')
    offering = Answer(body=f'{{"uuid": "{32 * "0"}"}}')  # it is looked at, as the list is empty
    server.say([EMPTY, ME, Answer(body='{"version": "8.1.2"}'), refusal, EMPTY, offering, EMPTY])
    since = dt.datetime(2025, 3, 15, 12, tzinfo=dt.UTC)
    with capture_logs() as logs:
        for _ in range(2):
            assert client.resources(["Terminated"], since=since) == []
    assert [entry["event"] for entry in logs].count("waldur_differs") == 1
    asked = [path for path in server.asked if "modified=" in path]
    assert ["2025-03-14&" in f"{path}&" for path in asked] == [False, True, True]
    client.close()


def test_a_bulk_route_that_is_missing() -> None:
    """It is posted one by one from then on."""
    from decimal import Decimal

    with WaldurSimulator("b", OFFERED, version="8.0.5") as waldur:
        client = Client(settings_for(waldur))
        waldur.faults.add(kind="status", status=404, path="set_user_usages/", after=1)
        assert takes_bulk(client)
        parts = {"alice": Decimal(1), "bob": Decimal(2)}
        refused = client.usages.set_parts(32 * "1", parts, {})
        assert not takes_bulk(client)
        assert [refusal.status for refusal in refused.values()] == [404, 404]  # there is no total
        client.close()


def test_the_servers_clock() -> None:
    """The `Date` of an answer tells how far it is from ours; one that is hours off is a proxy's."""
    with WaldurSimulator("b", OFFERED) as waldur:
        client = Client(settings_for(waldur))
        for ahead, known in ((600, 600), (-300, -300), (86400, 0)):
            real = waldur.clock()
            waldur.set_now(real + timedelta(seconds=ahead))
            client.username()
            assert abs(client.server.skew - timedelta(seconds=known)) < timedelta(seconds=5)
            waldur.set_now(None)
        client.close()
