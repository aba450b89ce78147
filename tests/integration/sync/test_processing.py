"""Waldur's own worker comes late: nothing is made or ended before it has done its part."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path

import pytest
import time_machine
from structlog.testing import capture_logs

from slurm_tasks.errors import OrderStuckError
from slurm_tasks.sync import mending, orders, roster
from slurm_tasks.waldur.client import Client
from tests.support.world import LIMITS, World

pytestmark = pytest.mark.usefixtures("march")

MORE = {"cpu": 200, "gres/gpu": 5}
Order = Callable[[World], str]


def create(world: World) -> str:
    """Order an allocation."""
    return world.order("Second")


def update(world: World) -> str:
    """Order other limits of an allocation."""
    return world.waldur.order_update(world.allocated(), MORE)


def terminate(world: World) -> str:
    """Order the end of an allocation."""
    return world.waldur.order_terminate(world.allocated())


@pytest.mark.parametrize("order", [create, update, terminate])
def test_nothing_is_done_before(old: World, order: Order) -> None:
    """Each order is carried out once the server's worker has processed it, and ends well."""
    uuid = order(old)
    old.waldur.stop_worker()
    old.forget()
    assert "has not processed" in old.sync_orders()[uuid]
    assert (old.order_state(uuid), old.writes()) == ("executing", [])
    old.waldur.start_worker()
    assert old.sync_orders()[uuid].startswith("done")
    ended = "Terminated" if order is terminate else "OK"
    assert old.resource_state(old.resource_of(uuid)) == ended


def test_a_worker_that_never_comes_is_told(old: World, march: time_machine.Traveller) -> None:
    """After ten minutes a person is told what to look at."""
    uuid = update(old)
    old.waldur.stop_worker()
    assert "has not processed" in old.sync_orders()[uuid]
    march.shift(timedelta(minutes=11))
    with pytest.raises(OrderStuckError, match=r"is Waldur's Celery worker running\?") as raised:
        orders.prepare(old.control, uuid)
    assert raised.value.kind == "Update"


def test_a_create_without_a_name_leaves_no_account(old: World) -> None:
    """The server's worker errs it; nothing was made by then."""
    uuid = old.order()
    del old.waldur._db.orders[uuid].attributes["name"]
    old.forget()
    old.sync_orders()
    assert old.order_state(uuid) == "erred"
    assert old.writes() == []


def test_an_erred_order_that_is_set_executing_again(old: World) -> None:
    """It was never approved, so its Allocation never comes; it is carried out all the same."""
    uuid = old.order(limits={"cpu": -1, "gres/gpu": 1})
    assert old.sync_orders()[uuid].startswith("refused")
    old.waldur._db.orders[uuid].limits = dict(LIMITS)
    old.control.waldur.set_order_executing(uuid)
    assert old.sync_orders()[uuid].startswith("done")


def left(old: World, order: str) -> str:
    """End an order before the server's worker has come, as earlier versions did."""
    old.waldur.stop_worker()
    old.control.waldur.approve(order)
    old.control.waldur.set_order_done(order)
    old.waldur.start_worker()
    return old.resource_of(order)


def test_left_updating(old: World, march: time_machine.Traveller) -> None:
    """A resource that is Updating though its order is done is led back to OK."""
    resource = left(old, update(old))
    assert old.resource_state(resource) == "Updating"
    old.sync_orders()
    assert old.resource_state(resource) == "Updating", "it may be on its way still"
    march.shift(timedelta(minutes=11))
    with capture_logs() as logs:
        old.sync_orders()
    assert old.resource_state(resource) == "OK"
    (told,) = (line for line in logs if line["event"] == "resource_released")
    assert told["resource"] == resource
    old.forget()
    old.sync_orders()
    assert old.posts() == []


def test_left_terminating(old: World, march: time_machine.Traveller) -> None:
    """A resource that is Terminating though its order is done comes to its end by a new order."""
    resource = left(old, terminate(old))
    assert old.resource_state(resource) == "Terminating"
    march.shift(timedelta(minutes=11))
    old.sync_orders()
    (result,) = old.sync_orders().values()
    assert result.startswith("done")
    assert old.resource_state(resource) == "Terminated"
    assert not roster.is_ending(old.control.waldur.resource(resource))


def test_a_process_dies_while_it_releases(
    old: World, march: time_machine.Traveller, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between OK and the new order nothing forgets that it was to end."""
    resource = left(old, terminate(old))
    march.shift(timedelta(minutes=11))
    with monkeypatch.context() as patch:
        patch.setattr(Client, "terminate", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            mending.mend(old.control)
    assert old.resource_state(resource) == "OK"
    old.sync_members()
    (result,) = old.sync_orders().values()
    assert result.startswith("done")
    assert old.resource_state(resource) == "Terminated"


def test_an_order_that_waits_for_its_customer_is_left(
    old: World, march: time_machine.Traveller
) -> None:
    """Whatever order is open will lead it on."""
    resource = left(old, update(old))
    march.shift(timedelta(minutes=11))
    old.waldur.set_resource(resource, state="OK")
    old.waldur.order_update(resource, LIMITS, state="pending-consumer")
    old.waldur.set_resource(resource, state="Updating")
    march.shift(timedelta(minutes=11))
    old.sync_orders()
    assert old.resource_state(resource) == "Updating"


def test_no_price(old: World) -> None:
    """Waldur's 500 is told with what helps, at the first attempt; the price mends it."""
    old.waldur.remove_price("cpu")
    uuid = update(old)
    desired = orders.prepare(old.control, uuid)
    assert not isinstance(desired, str)
    old.forget()
    with pytest.raises(OrderStuckError, match=r"500.*Give cpu a price in the offering's plan"):
        old.carry_out(uuid)
    assert [request.status for request in old.posts()].count(500) == 1


def test_a_start_date_to_come(tmp_path: Path) -> None:
    """An approved order that waits for its start date makes no account."""
    with World.started("8.0.5", tmp_path) as world:
        world.waldur.switches.order_start_date = True
        uuid = world.order()
        world.waldur.set_order(uuid, start_date=date(2025, 4, 1))
        world.forget()
        assert world.carry_out(uuid) == "the order is pending-start-date"
        assert world.writes() == []


def test_other_components(world: World) -> None:
    """A limit of a component that isn't SLURM's is left alone, in the order and in Waldur."""
    world.control.waldur.create_component(
        {"type": "storage", "name": "Disk", "billing_type": "limit", "measured_unit": "TB"}
    )
    world.control.waldur._http.post(
        f"marketplace-plans/{world.waldur._db.plan_uuid}/update_prices/", {"prices": {"storage": 0}}
    )
    uuid = world.order(limits={**LIMITS, "storage": 7})
    assert world.carry_out(uuid).startswith("done")
    resource = world.resource_of(uuid)
    world.configure(limit_owner="waldur")
    assert [item.resource for item in world.sync_members().outcomes] == [resource]
    world.configure(limit_owner="slurm")
    where = ("--immediate", "modify", "account", "where", f"name={world.backend_id(resource)}")
    world.slurmctl("sacctmgr", *where, "cluster=lab", "set", "GrpTRESMins=cpu=12000")
    world.report_usage()
    assert world.waldur.resource(resource)["limits"] == {"cpu": 200, "gres/gpu": 5, "storage": 7}


def test_limits_that_waldur_ignores(new: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A periodic usage policy answers 200 and keeps its own: told once, not tried each hour."""
    resource = new.allocated()
    where = ("--immediate", "modify", "account", "where", f"name={new.backend_id(resource)}")
    new.slurmctl("sacctmgr", *where, "cluster=lab", "set", "GrpTRESMins=cpu=12000")
    sent = []
    monkeypatch.setattr(
        new.control.waldur, "set_limits", lambda _, limits: sent.append(dict(limits))
    )
    with capture_logs() as logs:
        for _ in range(3):
            new.report_usage()
    assert sent == [{"cpu": 200, "gres/gpu": 5}]
    assert [line["event"] for line in logs].count("limits_ignored") == 1
