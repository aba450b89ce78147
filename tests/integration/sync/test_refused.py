"""What marks an order erred, with a sentence for its customer; and what never does."""

from __future__ import annotations

import pytest

from slurm_tasks.demo.slurm import Fault
from slurm_tasks.errors import WaldurError
from slurm_tasks.model.names import allocation_name
from tests.support.world import LIMITS, PREFIXES, World

IMPOSSIBLE: dict[str, tuple[dict[str, object], str]] = {
    "negative": ({"cpu": -5}, "-5"),
    "fractional": ({"cpu": 0.001}, "0.001"),
    "not a number": ({"cpu": float("nan")}, "nan"),
    "infinite": ({"cpu": float("inf")}, "inf"),
    "huge": ({"cpu": 10**30}, "1000000000000000000000000000000"),
    "a word": ({"cpu": "plenty"}, "'plenty'"),
    "null": ({"cpu": None}, "None"),
    "true": ({"cpu": True}, "True"),
    "a list": ({"cpu": [1]}, "[1]"),
    "unknown": ({"quantum": 5}, "'quantum'"),
}


@pytest.mark.parametrize("name", IMPOSSIBLE)
def test_impossible_limits(world: World, name: str) -> None:
    """A limit that can't be makes the order erred, with a message that shows it."""
    limits, shown = IMPOSSIBLE[name]
    order = world.order(limits=limits)
    world.sync_orders()
    assert world.order_state(order) == "erred"
    assert shown in world.waldur.order(order)["error_message"]
    assert world.writes() == []


def test_others_go_on(world: World) -> None:
    """Orders before and after one that is refused are done in the same cycle."""
    first, bad, last = world.order("A"), world.order("B", {"cpu": -1}), world.order("C")
    world.sync_orders()
    states = [world.order_state(order) for order in (first, bad, last)]
    assert states == ["done", "erred", "done"]


def test_every_problem(world: World) -> None:
    """All limits that can't be are named at once."""
    order = world.order(limits={"cpu": -1, "gres/gpu": "x", "tape": 1})
    world.sync_orders()
    message = world.waldur.order(order)["error_message"]
    assert all(name in message for name in ("cpu", "gres/gpu", "tape"))


def test_refused_terminate(world: World) -> None:
    """A Terminate that can't be carried out leaves the resource OK, and is erred with the reason.

    An older server can err it only once its own worker has made the resource Terminating.
    """
    resource = world.allocated()
    name, before = world.backend_id(resource), world.account(resource)
    world.waldur.set_resource(resource, backend_id="no account's name")
    order = world.waldur.order_terminate(resource)
    world.sync_orders()
    assert world.order_state(order) == "erred"
    assert "no account's name" in world.waldur.order(order)["error_message"]
    world.waldur.set_resource(resource, backend_id=name)
    assert (world.resource_state(resource), world.account(resource)) == ("OK", before)


def test_refused_update(world: World) -> None:
    """A refused Update leaves the resource OK, with the limits that it had, on both sides."""
    resource = world.allocated()
    before = world.account(resource)
    order = world.waldur.order_update(resource, {"cpu": -1, "gres/gpu": 5})
    world.sync_orders()
    assert world.order_state(order) == "erred"
    assert (world.resource_state(resource), world.account(resource)) == ("OK", before)
    assert world.waldur.resource(resource)["limits"] == LIMITS


def test_refusal_that_was_cut_off(world: World) -> None:
    """A resource that was left Erred with its refused Update is brought back the next time."""
    resource = world.allocated()
    order = world.waldur.order_update(resource, {"cpu": -1, "gres/gpu": 5})
    world.waldur.faults.add(kind="reset", path="(set_as_ok|set_state)/$")
    with pytest.raises(WaldurError):
        world.carry_out(order)
    assert (world.order_state(order), world.resource_state(resource)) == ("erred", "Erred")
    world.sync_orders()
    assert world.resource_state(resource) == "OK"


def test_resource_that_a_person_has_erred(world: World) -> None:
    """What wasn't this service's refusal stays as it is."""
    resource = world.allocated()
    order = world.waldur.order_update(resource, {"cpu": 7, "gres/gpu": 5})
    world.control.waldur.set_order_executing(order)
    world.control.waldur.set_order_erred(order, "by hand")
    world.sync_orders()
    assert world.resource_state(resource) == "Erred"


def test_update_refused_after_its_approval(world: World) -> None:
    """An Update that turns out to be impossible on the cluster leaves the resource OK, too."""
    resource = world.allocated()
    world.waldur.set_resource(resource, backend_id="waldur")
    order = world.waldur.order_update(resource, {"cpu": 7, "gres/gpu": 5})
    world.sync_orders()
    assert world.order_state(order) == "erred"
    assert world.resource_state(resource) == "OK"


def test_update_after_a_refused_one(world: World) -> None:
    """After a refused Update the next one works."""
    resource = world.allocated()
    world.waldur.order_update(resource, {"cpu": -1, "gres/gpu": 5})
    world.sync_orders()
    order = world.waldur.order_update(resource, {"cpu": 7, "gres/gpu": 5})
    world.sync_orders()
    assert world.order_state(order) == "done"


def foreign_account(world: World, order: str) -> str:
    """Make an account that isn't ours, with the name that an order's would get."""
    name = allocation_name(PREFIXES, world.resource_of(order), "Genomics 2026")
    world.slurm.run(
        *("sacctmgr", "--immediate", "add", "account", f"name={name}", "cluster=lab"),
        *("parent=root", "description=theirs", "organization=theirs"),
    )
    world.forget()
    return name


def test_name_clash(world: World) -> None:
    """An account of the wanted name that isn't ours is an error of the order, and untouched."""
    order = world.order()
    name = foreign_account(world, order)
    before = world.slurm.accounts()
    world.sync_orders()
    assert world.order_state(order) == "erred"
    assert name in world.waldur.order(order)["error_message"]
    assert (world.slurm.accounts(), world.writes()) == (before, [])


def test_terminate_after_a_name_clash(world: World) -> None:
    """What a refused Create never made is terminated without touching the account that it met."""
    order = world.order()
    name = foreign_account(world, order)
    world.sync_orders()
    resource = world.resource_of(order)
    if world.resource_state(resource) != "Terminated":  # the newest servers end it with its order
        end = world.waldur.order_terminate(resource)
        world.sync_orders()
        assert world.order_state(end) == "done"
    assert name in world.slurm.accounts()


def test_unknown_tres(world: World) -> None:
    """A TRES that the cluster lacks is named in the order's error."""
    with world.slurm._connected() as connection:
        connection.execute("DELETE FROM tres WHERE type = 'gres'")
    order = world.order()
    world.sync_orders()
    assert world.order_state(order) == "erred"
    assert "gres/gpu" in world.waldur.order(order)["error_message"]


def test_retried_by_hand(world: World) -> None:
    """A refused order that staff set executing again is carried out, now that nothing is wrong."""
    order = world.order()
    name = foreign_account(world, order)
    world.sync_orders()
    world.slurm.run("sacctmgr", "--immediate", "remove", "account", "where", f"name={name}")
    world.control.waldur.set_order_executing(order)
    if world.waldur.generation == "a":
        world.waldur.finish_jobs()
    world.sync_orders()
    assert world.order_state(order) == "done"
    assert world.backend_id(world.resource_of(order)) == name


@pytest.mark.parametrize("status", [500, 502, 503, 429, 401, 403])
def test_waldur_failing(world: World, status: int) -> None:
    """A Waldur that fails at any write never makes an order erred."""
    order = world.order()
    for action in ("approve_by_provider", "set_backend_id", "set_state_done"):
        world.waldur.faults.add(kind="status", status=status, method="POST", path=action)
        assert world.sync_orders()[order].startswith("failed")
        assert world.order_state(order) in {"pending-provider", "executing"}
    assert world.sync_orders()[order].startswith("done")


@pytest.mark.parametrize("kind", ["reset", "answer_lost", "truncated", "redirect"])
def test_network_failing(world: World, kind: str) -> None:
    """A network that fails at any write never makes an order erred."""
    order = world.order()
    for action in ("approve_by_provider", "set_backend_id", "set_state_done"):
        world.waldur.faults.add(kind=kind, method="POST", path=action)  # type: ignore[arg-type]
        world.sync_orders()
        assert world.order_state(order) != "erred"
    world.sync_orders()
    assert world.order_state(order) == "done"
    assert world.resource_state(world.resource_of(order)) == "OK"


def test_waldur_failing_at_reads(world: World) -> None:
    """A resource or a team that can't be read leaves its order as it is; others go on."""
    bad, good = world.order("A"), world.order("B")
    for path in (rf"resources/{world.resource_of(bad)}/\?", f"{world.resource_of(bad)}/team"):
        world.waldur.faults.add(kind="status", status=500, path=path)
        results = world.sync_orders()
        assert results[bad].startswith("failed")
        assert world.order_state(bad) == "pending-provider"
    assert world.order_state(good) == "done"


@pytest.mark.parametrize("words", ["show account", "add account", "add user"])
@pytest.mark.parametrize("effect", [False, True])
def test_slurmdbd_away(world: World, words: str, effect: bool) -> None:
    """A slurmdbd that goes away, before or after the effect, leaves the order for later."""
    order = world.order()
    world.slurm.set_faults(Fault.database_away(words, effect=effect))
    world.sync_orders()
    assert world.order_state(order) == "executing"
    world.sync_orders()
    assert world.order_state(order) == "done"
    assert world.account(world.resource_of(order)).users == {"alice", "bob"}


@pytest.mark.parametrize(
    "fault",
    [
        Fault(argv="show account", stdout=""),
        Fault(argv="show account", truncate=100),
        Fault(argv="show account", stdout="slurmdbd: database upgrade\n"),
    ],
    ids=["nothing", "half", "something else"],
)
def test_unreadable_cluster(world: World, fault: Fault) -> None:
    """A listing that isn't one is neither an empty cluster nor the order's fault."""
    order = world.order()
    world.slurm.set_faults(fault)
    world.sync_orders()
    assert (world.order_state(order), world.writes()) == ("executing", [])


def test_lock_held(world: World) -> None:
    """While somebody else writes to the cluster the order waits."""
    order = world.order()
    with world.node.lock():
        assert "another process" in world.sync_orders()[order]
    assert world.writes() == []
    assert world.sync_orders()[order].startswith("done")


def test_lying_exit_code(world: World) -> None:
    """A write that exits with 0 and changes nothing is noticed when the cluster is read back."""
    order = world.order()
    world.slurm.set_faults(Fault(argv="add user", stdout="", times=1))
    assert "did not take it" in world.sync_orders()[order]
    assert world.order_state(order) == "executing"
    assert world.sync_orders()[order].startswith("done")


def test_rightless_worker(world: World) -> None:
    """A worker without SLURM's administrator rights leaves orders as they are."""
    order = world.order()
    denied = "sacctmgr: error: Access/permission denied\n"
    world.slurm.set_faults(Fault(argv=" add ", exit_code=1, stderr=denied, times=None))
    assert "SLURM administrator" in world.sync_orders()[order]
    assert world.order_state(order) == "executing"
