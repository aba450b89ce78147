"""A Waldur that fails in every way: no order is erred for it, and everything is made up for."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import stamina
import time_machine

from slurm_tasks.demo.waldur.faults import Kind
from slurm_tasks.waldur import transport
from slurm_tasks.waldur.client import Client
from slurm_tasks.waldur.views import (
    Association,
    ComponentUsage,
    OfferingUser,
    Order,
    Resource,
    TeamMember,
    UserUsage,
)
from tests.chaos import process
from tests.chaos.schedule import CYCLE, converge, cycle
from tests.chaos.stories import STORIES, calls, everything, expected, told
from tests.support.agreement import Ends
from tests.support.chaos import Chaos, Run, by_turns
from tests.support.effects import thrown_out
from tests.support.servers import EACH
from tests.support.world import World, settings_for

IMPATIENT = 0.3
"""Seconds until a request is given up while Waldur is slow."""
UUID = re.compile(r"[0-9a-f]{32}")
STRIDE = 4
BROKEN_FOR = 40
"""Cycles in which every fault strikes."""


@dataclass(frozen=True)
class Fault:
    """A way to fail; reads that meet a `hiccup` are repeated at once."""

    kind: Kind
    hiccup: bool = False
    status: int | None = None
    rewrite: Callable[[object], object] = lambda body: body


def each_row(change: Callable[[dict[str, Any]], dict[str, Any]]) -> Callable[[object], object]:
    """Change each object of an answer."""

    def rewrite(body: object) -> object:
        if isinstance(body, list):
            return [rewrite(row) for row in body]
        return change(body) if isinstance(body, dict) else body

    return rewrite


FAULTS = {
    **{f"{code}": Fault("status", status=code) for code in (401, 403, 404, 409, 500)},
    **{f"{code} with HTML": Fault("status", True, code) for code in (502, 503, 504)},
    "429 with Retry-After": Fault("status", True, 429),
    "timeout": Fault("delay", True),
    "connection reset before the effect": Fault("reset", True),
    "connection reset after the effect": Fault("answer_lost", True),
    "answer cut in the middle": Fault("truncated", True),
    "empty body": Fault("empty"),
    **{f"redirect {code}": Fault("redirect", status=code) for code in (301, 302, 303, 307, 308)},
    "list for an object, object for a list": Fault("wrong_shape"),
    "page of HTML with status 200": Fault("rewritten", rewrite=lambda _: "<html>"),
    "null for an answer": Fault("rewritten", rewrite=lambda _: None),
    "rows of null": Fault(
        "rewritten", rewrite=lambda body: [None] if isinstance(body, list) else 5
    ),
    "unknown states": Fault(
        "rewritten",
        rewrite=each_row(lambda row: row | {"state": "quantum"} if "state" in row else row),
    ),
    "no field but the uuid": Fault(
        "rewritten", rewrite=each_row(lambda row: {"uuid": row.get("uuid")})
    ),
    "additional fields": Fault(
        "rewritten", rewrite=each_row(lambda row: row | {"flavour": [1], "extra": {"a": None}})
    ),
}


@pytest.fixture(autouse=True)
def at_once() -> Iterator[None]:
    """Let reads be repeated without a pause."""
    with stamina.set_testing(True, attempts=transport.ATTEMPTS):
        yield


def broken(world: World, clock: time_machine.Traveller, cycles: int) -> None:
    """Let the schedule come by while Waldur fails, until all faults have struck."""
    client = Client(settings_for(world.waldur, IMPATIENT))
    hasty = replace(world, control=replace(world.control, waldur=client))
    for _ in range(cycles):
        cycle(hasty)
        clock.shift(CYCLE)
        if not world.waldur.faults.waiting:
            break
    client.close()
    world.waldur.faults.clear()


def add(world: World, fault: Fault, **where: Any) -> None:  # noqa: ANN401 - a fault's fields
    """Order a fault."""
    world.waldur.faults.add(
        kind=fault.kind,
        status=fault.status,
        rewrite=fault.rewrite,
        seconds=2 * IMPATIENT,
        **where,
    )


def requests(server: str) -> list[tuple[str, str]]:
    """Return the kinds of requests that everything needs: method, and a pattern of the path."""
    split = (call.split(" ", 1) for call in calls(server) if call.startswith(("GET", "POST")))
    return list({(method, UUID.sub(UUID.pattern, path)): None for method, path in split})


def settle(world: World, clock: time_machine.Traveller, run: Run, ends: Ends) -> None:
    """Let it converge; a redirect was never followed, and nobody was thrown out meanwhile."""
    converge(world, clock, run, ends)
    assert thrown_out(world.slurm) == set()
    assert not [entry for entry in world.waldur.requests if "/login/" in entry.path]


@pytest.mark.parametrize(("world", "name"), by_turns(FAULTS), indirect=["world"])
def test_each_request_fails(
    name: str, world: World, chaos: Chaos, clock: time_machine.Traveller
) -> None:
    """Each kind of request fails once, in whatever cycle it is made."""
    fault = FAULTS[name]
    ends = everything(world)
    with chaos.run("Waldur", name) as run:
        for method, path in requests(world.server):
            times = transport.ATTEMPTS if fault.hiccup and method == "GET" else 1
            add(world, fault, method=method, path=f"/{path}", times=times)
        broken(world, clock, BROKEN_FOR)
        settle(world, clock, run, ends)


FIELDS = sorted(
    {
        field
        for view in (
            Association,
            ComponentUsage,
            OfferingUser,
            Order,
            Resource,
            TeamMember,
            UserUsage,
        )
        for field in view.model_fields
    }
)


@pytest.mark.parametrize(("world", "field"), by_turns(FIELDS), indirect=["world"])
def test_field_is_missing(
    field: str, world: World, chaos: Chaos, clock: time_machine.Traveller
) -> None:
    """A field that no answer has for a while is never taken for an empty one."""
    ends = everything(world)
    without = each_row(lambda row: {key: value for key, value in row.items() if key != field})
    with chaos.run("Waldur", "a field missing") as run:
        add(world, Fault("rewritten", rewrite=without), times=None)
        broken(world, clock, 2)
        settle(world, clock, run, ends)


@pytest.mark.parametrize("page", [1, 2, 3])
@pytest.mark.parametrize(
    ("world", "how"),
    by_turns(["no page", "HTML", "no rows", "same rows again"]),
    indirect=["world"],
)
def test_page_vanishes(
    how: str,
    page: int,
    world: World,
    chaos: Chaos,
    clock: time_machine.Traveller,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A page that vanishes while others are read costs nobody anything."""
    monkeypatch.setattr(transport, "PAGE_SIZE", 2)
    for number in range(4):
        world.allocated(f"Old {number}")
    ends = everything(world)
    fault = {
        "no page": Fault("rewritten", status=404, rewrite=lambda _: {"detail": "Invalid page."}),
        "HTML": Fault("status", status=404),
        "no rows": Fault("rewritten", rewrite=lambda _: []),
        "same rows again": Fault(
            "rewritten", rewrite=lambda body: [*body, *body] if isinstance(body, list) else body
        ),
    }[how]
    with chaos.run("Waldur", f"a page vanishes while paging: {how}") as run:
        add(world, fault, path=f"[?&]page={page}&", times=None)
        broken(world, clock, 2)
        settle(world, clock, run, ends)


@pytest.mark.parametrize("begun", [0, 8, 20])
def test_away_for_hours(
    begun: int, world: World, chaos: Chaos, clock: time_machine.Traveller
) -> None:
    """While Waldur is away for hours all of it waits, whatever had begun."""
    ends = everything(world)
    with chaos.run("Waldur", "away for three hours") as run:
        add(world, FAULTS["connection reset before the effect"], after=begun, times=None)
        broken(world, clock, 3 * 3600 // CYCLE)
        settle(world, clock, run, ends)


@pytest.mark.chaos_long
@pytest.mark.parametrize("name", FAULTS)
@pytest.mark.parametrize("story", STORIES)
@pytest.mark.parametrize("server", EACH)
def test_each_call_fails(
    server: str,
    story: str,
    name: str,
    chaos: Chaos,
    clock: time_machine.Traveller,
    tmp_path: Path,
) -> None:
    """Requests of each flow fail by themselves, and a read so often that the flow fails.

    Each fault strikes its own part of the requests, and each request meets several faults.
    """
    act, fault = STORIES[story].act, FAULTS[name]
    with told(STORIES[story], server, tmp_path / "dry") as world:
        begun = process.run(world, act)
    sent = [call for call in begun if call.startswith(("GET", "POST"))]
    for number, call in [*enumerate(sent)][list(FAULTS).index(name) % STRIDE :: STRIDE]:
        folder = tmp_path / str(number)
        with (
            told(STORIES[story], server, folder) as world,
            chaos.run("Waldur", f"{name}, at one request") as run,
        ):
            times = transport.ATTEMPTS if fault.hiccup and call.startswith("GET") else 1
            add(world, fault, after=number, times=times)
            broken(world, clock, 1)
            settle(world, clock, run, expected(world))
