"""Create orders: from an approval to an account that people can use."""

from __future__ import annotations

import json
from pathlib import Path

from tests.support.world import LIMITS, TRES_MINUTES, World


def test_tree(world: World) -> None:
    """The allocation hangs under its project, that under its customer, that under the root."""
    account = world.account(world.allocated())
    accounts = world.slurm.accounts()
    project, customer = world.owner_account(), world.owner_account(world.customer)
    parents = [account.parent, accounts[project].parent, accounts[customer].parent]
    assert parents == [project, customer, "waldur"]


def test_markers(world: World) -> None:
    """Each account says at the start of its description what it stands for."""
    resource = world.allocated()
    accounts = world.slurm.accounts()
    marked = {
        world.backend_id(resource): f"waldur:allocation:{resource}",
        world.owner_account(): f"waldur:project:{world.project.uuid}",
        world.owner_account(world.customer): f"waldur:customer:{world.customer.uuid}",
    }
    found = {name: accounts[name].description.split(" ")[0] for name in marked}
    assert found == marked


def test_limits_on_the_cluster(world: World) -> None:
    """Ordered limits and those of the configuration are set, in TRES-minutes."""
    assert world.account(world.allocated()).limits == TRES_MINUTES


def test_users(world: World) -> None:
    """The project's members are the account's users, with the site's default account."""
    account = world.account(world.allocated())
    assert account.users == {"alice", "bob"}
    defaults = world.slurm.default_accounts()
    assert {defaults["alice"], defaults["bob"]} == {"waldur"}


def test_waldur_knows(world: World) -> None:
    """The order is done; the resource is OK, has the account's name and the ordered limits."""
    order = world.order()
    world.carry_out(order)
    resource = world.waldur.resource(world.resource_of(order))
    assert world.order_state(order) == "done"
    assert (resource["state"], resource["limits"]) == ("OK", LIMITS)
    assert resource["backend_id"].startswith(f"hpc_{resource['uuid'][:5]}_genomics2026-")


def test_older_servers_allocation(old: World) -> None:
    """The Allocation is OK, and has the account's name and users."""
    resource = old.allocated()
    allocation = old.waldur.allocation(resource)
    assert allocation is not None
    assert allocation["state"] == "OK"
    assert allocation["backend_id"] == old.backend_id(resource)
    assert allocation["associations"] == {"alice", "bob"}


def test_commands_of_the_first(world: World) -> None:
    """The first allocation of a customer takes two reads and four writes."""
    world.allocated()
    assert (len(world.reads()), len(world.writes())) == (2, 4)
    assert {argv[2] for argv in world.reads()} == {"show"}


def test_commands_of_the_next(world: World) -> None:
    """Another allocation of the same project takes two reads and two writes."""
    world.allocated()
    world.forget()
    world.allocated("Second")
    assert (len(world.reads()), len(world.writes())) == (2, 2)


def test_second_project(world: World) -> None:
    """A second project of a customer gets its own account under the customer's one."""
    world.allocated()
    other = world.waldur.add_project(world.customer, "Climate")
    world.allocated("Climate", project=other)
    parent = world.slurm.accounts()[world.owner_account(other)].parent
    assert parent == world.owner_account(world.customer)


def test_allocation_not_there_yet(old: World) -> None:
    """Nothing is made until an older server has made its Allocation."""
    old.waldur._db.job_delay = 3600
    order = old.order()
    assert "has not processed" in old.sync_orders()[order]
    assert old.order_state(order) == "executing"
    assert old.writes() == [], "what the server's worker refuses must leave no account behind"
    old.waldur.finish_jobs()
    assert old.sync_orders()[order].startswith("done")


def test_no_resource_uuid(new: World) -> None:
    """A newer server never names an Allocation, and nobody waits for one."""
    order = new.order()
    new.carry_out(order)
    assert new.waldur.order(order)["resource_uuid"] is None
    assert new.order_state(order) == "done"


def test_three_times_in_a_row(world: World) -> None:
    """The same order delivered three times makes one account and one association each."""
    order = world.order()
    results = [world.carry_out(order) for _ in range(3)]
    assert [result.split(":")[0] for result in results] == ["done"] + 2 * ["the order is done"]
    assert len(world.writes()) == 4


def test_messages_are_json(world: World) -> None:
    """What a Create asks of the head node holds no token and no command."""
    from slurm_tasks.sync import orders

    desired = orders.prepare(world.control, world.order())
    assert not isinstance(desired, str)
    text = json.dumps(desired.dump())
    assert world.waldur.token not in text
    assert "sacctmgr" not in text


def test_ended_meanwhile(world: World) -> None:
    """An order that ended elsewhere is reported, and neither side is touched."""
    order = world.order()
    world.waldur._db.orders[order].state = type(world.waldur._db.orders[order].state)("canceled")
    assert world.carry_out(order) == "the order is canceled"
    assert world.unchanged()


def test_another_offerings_order(world: World) -> None:
    """An order of another offering is left alone."""
    order = world.order()
    world.control.waldur.offering_uuid = 32 * "0"
    assert "belongs to another offering" in world.carry_out(order)
    assert world.unchanged()


def test_orders_that_are_not_ours_yet(world: World) -> None:
    """Orders that wait for their customer cost no more than the list that leaves them out."""
    for state in ("pending-consumer", "pending-project", "done", "erred", "canceled", "rejected"):
        world.waldur.order_create(world.project, state, LIMITS, state=state)
    assert world.sync_orders() == {}  # the server's generation and the offering are asked for once
    world.forget()
    assert world.sync_orders() == {}
    lists = ["/api/marketplace-orders/", "/api/marketplace-provider-resources/"]
    assert [request.path for request in world.waldur.requests] == lists


def test_read_only(world: World) -> None:
    """With SLURM_READ_ONLY an order is only planned, on both sides."""
    world.configure(read_only=True)
    order = world.order()
    assert world.carry_out(order).startswith("the order is pending-provider; planned")
    assert world.unchanged()


def test_approved_on_the_way(world: World) -> None:
    """An approval that took effect although its answer was lost is found and gone on from."""
    order = world.order()
    world.waldur.faults.add(kind="answer_lost", method="POST", path="approve_by_provider")
    assert world.sync_orders()[order].startswith("failed")
    assert world.order_state(order) == "executing"
    assert world.sync_orders()[order].startswith("done")


def test_started_commands(tmp_path: Path) -> None:
    """Commands that are started as processes do what those of the other tests do."""
    with World.started("b", tmp_path, swift=False) as world:
        resource = world.allocated()
        assert (len(world.reads()), len(world.writes())) == (2, 4)
        assert world.account(resource).limits == TRES_MINUTES
        world.forget()
        world.sync_members()
        assert world.unchanged()
