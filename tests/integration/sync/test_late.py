"""Messages that come late: an allocation that has ended doesn't stay on the cluster."""

from __future__ import annotations

from datetime import timedelta

import pytest
import time_machine
from structlog.testing import capture_logs

from slurm_tasks.model.messages import Intent, ReconcileRequest, Status
from slurm_tasks.sync import members, orders
from tests.support.world import World

pytestmark = pytest.mark.usefixtures("march")


def ended(world: World) -> ReconcileRequest:
    """Let an allocation have been made and ended; return the message that made it."""
    order = world.order()
    desired = orders.prepare(world.control, order)
    assert not isinstance(desired, str)
    world.carry_out(order)
    end = world.waldur.order_terminate(world.resource_of(order))
    world.carry_out(end)
    assert world.order_state(end) == "done"
    return ReconcileRequest(items=(desired,))


@pytest.fixture
def late(world: World) -> World:
    """A world in which a Create came once more after its allocation had ended."""
    before = set(world.slurm.accounts())
    message = ended(world)
    assert set(world.slurm.accounts()) == before
    world._reconcile(message)
    assert len(world.slurm.accounts()) == len(before) + 3
    world.forget()
    return world


def given(world: World) -> bool:
    """Tell whether the cluster has only what was there from the start."""
    return set(world.slurm.accounts()) == {"root", "waldur"}


def test_its_account_goes_with_the_next_member_sync(late: World) -> None:
    """With the project's and the customer's, and nothing is posted for it."""
    late.sync_members()

    assert given(late)
    assert late.posts() == []


def test_nothing_is_done_where_nothing_is_left(late: World) -> None:
    """Waldur is asked about it, slurmdbd and slurmctld are only read."""
    late.sync_members()
    late.forget()

    late.sync_members()

    assert late.unchanged()
    assert len(late.reads()) == 2


def test_a_plan_shows_it(late: World) -> None:
    """`slurm-tasks plan` prints what the member sync will do."""
    (outcome,) = late.plan().outcomes

    assert outcome.changes
    assert late.unchanged()


def test_it_is_looked_after_for_a_day(late: World, march: time_machine.Traveller) -> None:
    """No message lives that long; what an administrator makes of it later is his."""
    march.shift(timedelta(days=1, seconds=1))

    assert late.sync_members().outcomes == ()
    assert late.unchanged()


def test_one_word_of_a_listing_ends_nothing(world: World) -> None:
    """Where the resource's own page says otherwise, it is left alone with a warning."""
    resource = world.allocated()
    wrong = {"state": "Terminated", "modified": "2025-03-15T12:00:00Z"}
    world.waldur.faults.add(
        kind="rewritten",
        path="state=Terminated",
        rewrite=lambda _: [{**world.waldur.resource(resource), **wrong}],
        times=None,
    )

    with capture_logs() as lines:
        request = members.request(world.control)

    assert [item.intent for item in request.items] == [Intent.MEMBERS]
    (line,) = [line for line in lines if line["event"] == "termination_doubtful"]
    assert (line["resource"], line["state"]) == (resource, "OK")


def test_many_of_them_are_stopped_by_the_guard(world: World) -> None:
    """Nobody ordered these removals; an operator lets them pass."""
    messages = [ended(world) for _ in range(3)]
    for message in messages:
        world._reconcile(message)
    world.forget()

    report = world.sync_members()

    assert {outcome.status for outcome in report.outcomes} == {Status.STOPPED}
    assert world.unchanged()
    allowed = members.request(world.control).model_copy(update={"allow_removals": 20})
    world._reconcile(allowed)
    assert given(world)
