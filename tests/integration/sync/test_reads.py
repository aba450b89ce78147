"""`slurm-tasks check` tries whatever the cycles read: a refusal is seen before they stop."""

from __future__ import annotations

import re

import pytest

from slurm_tasks.model.findings import Finding, Verdict
from slurm_tasks.sync import check_waldur
from slurm_tasks.waldur.client import Client
from tests.integration.sync.test_usage import job
from tests.support.world import World, settings_for

pytestmark = pytest.mark.usefixtures("march")

UUID = re.compile(r"[0-9a-f]{32}")


def shapes(world: World) -> set[tuple[str, frozenset[str]]]:
    """Return what was read since `forget`: paths, and the parameters that each was asked with."""
    return {
        (UUID.sub("{uuid}", request.path), frozenset(key for key, _ in request.query))
        for request in world.waldur.requests
        if request.method == "GET"
    }


def run_cycles(world: World) -> None:
    """Run each cycle while there is something of everything."""
    world.order("Waiting")
    resource = world.allocated()
    job(world, resource)
    world.waldur.set_resource(world.allocated("Erred"), state="Erred")
    world.carry_out(world.waldur.order_terminate(world.allocated("Over")))
    world.sync_orders()
    world.sync_members()
    world.report_usage()
    world.load_components()
    world.plan()
    world.order("Waiting still")


def findings_of(world: World) -> list[Finding]:
    """Return what `check` says of the reads."""
    return [found for found in check_waldur.findings(world.control) if found.what == "reads"]


def test_check_tries_what_the_cycles_read(world: World) -> None:
    """A read that a cycle makes and `check` doesn't would be refused unseen."""
    run_cycles(world)
    wanted = shapes(world)
    world.forget()
    client = Client(settings_for(world.waldur))  # a process of its own, that knows nothing yet
    world.configure(waldur=client)
    (found,) = findings_of(world)
    client.close()
    assert found.verdict is Verdict.OK
    assert wanted <= shapes(world)


def test_all_reads_are_answered(world: World) -> None:
    """Where nothing is refused it is one line."""
    world.allocated()
    (found,) = findings_of(world)
    assert found.verdict is Verdict.OK
    assert "requests that the cycles make are answered" in found.message


@pytest.mark.parametrize(
    ("path", "named"),
    [
        ("modified", "resources that were terminated lately (for members)"),
        ("/team/", "a resource's team (for orders, members)"),
        ("component-user-usages", "users' parts of a month's usage (for usage)"),
    ],
)
def test_a_read_that_is_refused_is_named(world: World, path: str, named: str) -> None:
    """It is a failure that names the read, the cycles that need it, and what Waldur said."""
    world.allocated()
    world.waldur.faults.add(kind="status", status=400, path=path, times=None)
    found = [finding for finding in findings_of(world) if named in finding.message]
    assert [finding.verdict for finding in found] == [Verdict.FAILED]
    assert "400" in found[0].message


def test_what_was_terminated_lately_is_asked_for_in_the_servers_way(world: World) -> None:
    """An older server takes a day for resources and refuses a time; orders take a time on both."""
    run_cycles(world)
    asked = {
        request.path.rstrip("/").rpartition("/")[2]: dict(request.query)["modified"]
        for request in world.waldur.requests
        if "modified" in dict(request.query)
    }
    older = world.waldur.generation == "a"
    assert asked["marketplace-orders"].startswith("2025-03-14T12:00")
    assert asked["marketplace-provider-resources"].startswith(
        "2025-03-13" if older else "2025-03-14T12:00"
    )
    assert ("T" in asked["marketplace-provider-resources"]) is not older
