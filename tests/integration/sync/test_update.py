"""Update orders: other limits, on both sides."""

from __future__ import annotations

from tests.support.world import TRES_MINUTES, World

MORE = {"cpu": 250, "gres/gpu": 0}
MORE_MINUTES = {**TRES_MINUTES, "cpu": 15000, "gres/gpu": 0}


def test_update(world: World) -> None:
    """New limits are set on the cluster and in Waldur, and the order is done."""
    resource = world.allocated()
    order = world.waldur.order_update(resource, MORE)
    world.carry_out(order)
    assert world.order_state(order) == "done"
    assert world.account(resource).limits == MORE_MINUTES
    assert world.waldur.resource(resource)["limits"] == MORE
    assert world.resource_state(resource) == "OK"


def test_one_write(world: World) -> None:
    """An Update takes one write: what differs."""
    resource = world.allocated()
    world.forget()
    world.carry_out(world.waldur.order_update(resource, MORE))
    assert [argv[2:4] for argv in world.writes()] == [("modify", "account")]
    assert world.writes()[0][-1] == "GrpTRESMins=cpu=15000,gres/gpu=0"


def test_two_in_a_row(world: World) -> None:
    """A second Update works as the first: an older server's Allocation is left OK."""
    resource = world.allocated()
    for cpus in (200, 300):
        order = world.waldur.order_update(resource, {"cpu": cpus, "gres/gpu": 5})
        world.carry_out(order)
        assert world.order_state(order) == "done"
    assert world.account(resource).limits["cpu"] == 300 * 60


def test_drifted_allocation(old: World) -> None:
    """An Allocation that a crash has left in another state doesn't fail the next Update."""
    resource = old.allocated()
    old.waldur.set_allocation_state(resource, "Creation Scheduled")
    order = old.waldur.order_update(resource, MORE)
    old.carry_out(order)
    assert old.order_state(order) == "done"


def test_older_limits_are_bare(old: World) -> None:
    """Limits that an older server gets are not wrapped: it would store the wrapping."""
    resource = old.allocated()
    old.slurm.run(
        *("sacctmgr", "--immediate", "modify", "account", "where"),
        *(f"name={old.backend_id(resource)}", "set", "GrpTRESMins=cpu=12000"),
    )
    old.report_usage()
    assert old.waldur.resource(resource)["limits"] == {"cpu": 200, "gres/gpu": 5}


def test_three_times_in_a_row(world: World) -> None:
    """The same Update delivered three times is one write."""
    resource = world.allocated()
    world.forget()
    order = world.waldur.order_update(resource, MORE)
    results = [world.carry_out(order) for _ in range(3)]
    assert [result.split(":")[0] for result in results] == ["done"] + 2 * ["the order is done"]
    assert len(world.writes()) == 1


def test_account_gone(world: World) -> None:
    """An Update of an allocation whose account is gone makes it again, under its backend id."""
    world.allocated("Other")
    resource = world.allocated()
    account = world.backend_id(resource)
    for what in ("user", "account"):
        world.slurm.run(
            "sacctmgr", "--immediate", "remove", what, "where", f"{_key(what)}={account}"
        )
    assert account not in world.slurm.accounts()
    world.carry_out(world.waldur.order_update(resource, MORE))
    assert world.account(resource).limits == MORE_MINUTES


def _key(what: str) -> str:
    return "account" if what == "user" else "name"


def test_users_stay(world: World) -> None:
    """An Update doesn't touch the users: the member sync does."""
    resource = world.allocated()
    world.join("carol")
    world.carry_out(world.waldur.order_update(resource, MORE))
    assert world.account(resource).users == {"alice", "bob"}


def test_paused(world: World) -> None:
    """The account of a paused resource accepts no jobs after its Update."""
    resource = world.allocated()
    world.waldur.set_resource(resource, paused=True)
    world.carry_out(world.waldur.order_update(resource, MORE))
    assert world.account(resource).submit_jobs == 0


def test_moved_project(world: World) -> None:
    """A project that moved to another customer is hung under that one's account, once."""
    resource = world.allocated()
    other = world.waldur.add_customer("Southern University")
    world.waldur.move_project(world.project, other)
    world.carry_out(world.waldur.order_update(resource, MORE))
    project = world.slurm.accounts()[world.owner_account()]
    assert project.parent == world.owner_account(other)


def test_limit_that_an_order_leaves_out(world: World) -> None:
    """A limit that an Update doesn't name stays, on both sides."""
    resource = world.allocated()
    world.carry_out(world.waldur.order_update(resource, {"cpu": 250}))
    assert world.account(resource).limits == {**TRES_MINUTES, "cpu": 15000}
    assert world.waldur.resource(resource)["limits"] == {"cpu": 250, "gres/gpu": 5}
