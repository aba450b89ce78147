"""Lists whose order isn't unique lose and repeat rows between pages; ours are whole."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

import pytest
from structlog.testing import capture_logs

from slurm_tasks.waldur import lists
from slurm_tasks.waldur.client import Client
from tests.integration.waldur.conftest import settings_of
from tests.support.scripted import Answer, Scripted

RESOURCES = [f"{n:032x}" for n in range(4)]
ROWS = [
    {
        "uuid": str(n),
        "type": "cpu",
        "usage": "1.00",
        "resource_uuid": RESOURCES[n % 4],
        "billing_period": "2025-03-01",
    }
    for n in range(400)
]


def page(rows: Sequence[Mapping[str, object]], count: int, *, more: bool = False) -> Answer:
    """Answer with a page of a list that says that it has so many rows."""
    headers = {"X-Result-Count": str(count)} | ({"Link": '<x>; rel="next"'} if more else {})
    return Answer(body=json.dumps(rows), headers=headers)


@contextmanager
def client_of(server: Scripted) -> Iterator[Client]:
    """Connect."""
    client = Client(settings_of(server.url))
    yield client
    client.close()


def uuids(client: Client) -> list[str]:
    """Return the uuids of March's totals as they are found, sorted."""
    found = client.usages.totals("2025-03", RESOURCES)
    return sorted((row.uuid for row in found), key=int)


ALL = [row["uuid"] for row in ROWS]


def test_rows_that_are_repeated_count_once(server: Scripted) -> None:
    """A list that is complete is read once."""
    server.say([page(ROWS[:300], 400, more=True), page([*ROWS[290:300], *ROWS[300:]], 400)])
    with client_of(server) as client:
        assert uuids(client) == ALL
        assert len(server.asked) == 2


def test_rows_that_are_lost_are_found_on_other_pages(server: Scripted) -> None:
    """A list that has less than it counts is read once more, with pages that begin elsewhere."""
    lossy = [page(ROWS[:300], 400, more=True), page(ROWS[290:390], 400)]
    whole = [page(ROWS[:211], 400, more=True), page(ROWS[211:], 400)]
    server.say([*lossy, *whole])
    with client_of(server) as client:
        assert uuids(client) == ALL
        assert "page_size=211" in server.asked[-1]


def test_rows_that_stay_lost_are_asked_for_by_resource(server: Scripted) -> None:
    """Narrower lists have less than a page; the log says that it was needed."""
    lossy = [page(ROWS[:300], 400, more=True), page(ROWS[290:390], 400)]
    narrow = [page(ROWS[n::4], 100) for n in range(4)]
    server.say([*(lossy * len(lists.SIZES)), *narrow])
    with client_of(server) as client, capture_logs() as logs:
        assert uuids(client) == ALL
    assert [entry["event"] for entry in logs].count("list_read_by_resource") == 1
    assert f"resource_uuid={RESOURCES[3]}" in server.asked[-1]


@pytest.mark.parametrize(
    "read", [lambda client: client.orders(), lambda client: client.resources(["OK"])]
)
def test_rows_that_go_while_a_list_is_read(
    server: Scripted, read: Callable[[Client], list[object]]
) -> None:
    """Those that are left move up, past the page that is read next: they are found, too."""
    rows = [
        {"uuid": str(n), "type": "x", "state": "OK", "limits": {}, "backend_id": ""}
        for n in range(310)
    ]
    offered = [{**row, "offering_uuid": "0ff1ce" + 26 * "0"} for row in rows]
    server.say(
        [
            page(offered[:300], 310, more=True),
            page(offered[305:], 305),  # five of the first page have gone
            page(offered[5:305], 305, more=True),
            page(offered[305:], 305),
        ]
    )
    with client_of(server) as client:
        assert len(read(client)) == 310
