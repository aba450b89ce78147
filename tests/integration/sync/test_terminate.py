"""Terminate orders: blocked, emptied, measured, removed; and Restore orders, the way back."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from structlog.testing import capture_logs

from slurm_tasks.sync import orders
from tests.support.world import LIMITS, TRES_MINUTES, World


def terminated(world: World, resource: str) -> str:
    """Order the end of an allocation and carry it out; return the order."""
    order = world.waldur.order_terminate(resource)
    world.carry_out(order)
    return order


def test_terminate(world: World) -> None:
    """The order is done, and nothing of the allocation is left on the cluster."""
    resource = world.allocated()
    order = terminated(world, resource)
    assert (world.order_state(order), world.resource_state(resource)) == ("done", "Terminated")
    assert set(world.slurm.accounts()) == {"root", "waldur"}


def test_order_of_steps(world: World) -> None:
    """Submission is blocked, jobs are cancelled, then users and accounts go, from below."""
    resource = world.allocated()
    account = world.backend_id(resource)
    world.forget()
    terminated(world, resource)
    writes = [" ".join(argv) for argv in world.writes()]
    assert [write.split("--immediate ")[-1].split(" ")[0] for write in writes] == [
        "modify",
        "--clusters=lab",
        *4 * ["remove"],
    ]
    assert "set GrpSubmitJobs=0 MaxSubmitJobs=0" in writes[0]
    removed = [account, world.owner_account(), world.owner_account(world.customer)]
    assert [f"name={name}" in write for name, write in zip(removed, writes[3:], strict=True)] == [
        *3 * [True]
    ]


def test_running_jobs(world: World) -> None:
    """Jobs that run or wait are cancelled before their account is removed."""
    resource = world.allocated()
    account = world.backend_id(resource)
    for arguments in ([], ["--begin=now+1hour"]):
        world.slurm.run("sbatch", f"--account={account}", *arguments, user="alice")
    assert len(world.slurm.active_jobs(account)) == 2
    order = terminated(world, resource)
    assert world.slurm.active_jobs(account) == []
    assert world.order_state(order) == "done"


def test_jobs_that_take_time_to_end(world: World) -> None:
    """While jobs are ending the order waits; once they have ended it is done."""
    resource = world.allocated()
    account = world.backend_id(resource)
    with world.slurm._connected() as connection:
        connection.execute("UPDATE meta SET value = '3600' WHERE key = 'kill_wait'")
    world.slurm.run("sbatch", f"--account={account}", user="alice")
    order = world.waldur.order_terminate(resource)
    assert world.carry_out(order).startswith("deferred: ")
    assert account in world.slurm.accounts()
    assert world.order_state(order) == "executing"
    with world.slurm._connected() as connection:
        connection.execute("UPDATE job SET state = 'CANCELLED by 0', end = start")
    assert world.carry_out(order).startswith("done")


def test_siblings_keep_their_parents(world: World) -> None:
    """The accounts of project and customer stay while another allocation is below them."""
    first, second = world.allocated("First"), world.allocated("Second")
    terminated(world, first)
    assert set(world.slurm.accounts()) == {
        *("root", "waldur", world.backend_id(second)),
        *(world.owner_account(), world.owner_account(world.customer)),
    }


def test_customer_stays_for_its_other_project(world: World) -> None:
    """An empty project's account goes, its customer's stays for another project."""
    other = world.waldur.add_project(world.customer, "Climate")
    resource = world.allocated()
    world.allocated("Climate", project=other)
    terminated(world, resource)
    accounts = world.slurm.accounts()
    assert world.owner_account() not in accounts
    assert world.owner_account(world.customer) in accounts


def test_final_usage_comes_first(world: World) -> None:
    """The last usage, in total and by user, is in Waldur before the order is done."""
    resource = world.allocated()
    account = world.backend_id(resource)
    month = datetime.now(UTC).replace(day=1, hour=0, minute=0, second=0)
    world.slurm.add_job(account, "alice", month, 3600, {"cpu": 4, "mem": 1024})
    order = world.waldur.order_terminate(resource)
    desired = orders.prepare(world.control, order)
    assert not isinstance(desired, str)
    world.forget()
    world.carry_out(order)
    paths = [request.path.split("/")[-2] for request in world.posts()]
    assert paths.index("set_usage") < paths.index("set_state_done")
    period = f"{month:%Y-%m}-01"
    elapsed = min(3600, int((datetime.now(UTC) - month).total_seconds()))
    if elapsed == 3600:
        assert world.waldur.usages(resource)["cpu", period] == Decimal(4)
        assert world.waldur.user_usages(resource)["mem", period, "alice"] == Decimal(1)


def test_default_accounts_of_members(world: World) -> None:
    """A member whose default account goes keeps their place elsewhere, with another default."""
    resource = world.allocated()
    account = world.backend_id(resource)
    world.slurm.run(
        *("sacctmgr", "--immediate", "modify", "user", "where", "name=alice"),
        *("set", f"DefaultAccount={account}"),
    )
    order = terminated(world, resource)
    assert world.order_state(order) == "done"
    assert world.slurm.default_accounts()["alice"] == "waldur"


def test_empty_backend_id(world: World) -> None:
    """An allocation that never got an account is terminated without any write."""
    resource = world.allocated("Other")
    order = world.waldur.order_create(world.project, "Never made", LIMITS)
    orphan = world.resource_of(order)
    world.waldur.set_resource(orphan, state="Erred")
    world.waldur._db.orders[order].state = type(world.waldur._db.orders[order].state)("erred")
    world.forget()
    last = terminated(world, orphan)
    assert (world.order_state(last), world.writes()) == ("done", [])
    assert world.backend_id(resource) in world.slurm.accounts()


def test_account_gone_already(world: World) -> None:
    """An allocation whose account somebody removed is terminated without any write of its own."""
    world.allocated("Other")
    resource = world.allocated()
    for what, key in (("user", "account"), ("account", "name")):
        where = f"{key}={world.backend_id(resource)}"
        world.slurm.run("sacctmgr", "--immediate", "remove", what, "where", where)
    world.forget()
    order = terminated(world, resource)
    assert (world.order_state(order), world.writes()) == ("done", [])


def test_foreign_accounts_below(world: World) -> None:
    """An allocation that others have hung accounts under is not removed, and the order says so."""
    resource = world.allocated()
    world.slurm.run(
        *("sacctmgr", "--immediate", "add", "account", "name=sub", "cluster=lab"),
        *(f"parent={world.backend_id(resource)}", "description=theirs", "organization=theirs"),
    )
    order = terminated(world, resource)
    assert world.order_state(order) == "erred"
    assert "sub" in world.waldur.order(order)["error_message"]
    assert world.resource_state(resource) == "OK"


def test_three_times_in_a_row(world: World) -> None:
    """The same Terminate delivered three times removes everything once."""
    resource = world.allocated()
    order = world.waldur.order_terminate(resource)
    world.carry_out(order)
    world.forget()
    assert [world.carry_out(order) for _ in range(2)] == 2 * ["the order is done"]
    assert world.unchanged()


def test_restore(restoring: World) -> None:
    """A restored allocation has its account again, under the same name, with its limits."""
    resource = restoring.allocated()
    account = restoring.backend_id(resource)
    terminated(restoring, resource)
    order = restoring.waldur.order_restore(resource)
    restoring.carry_out(order)
    assert (restoring.order_state(order), restoring.resource_state(resource)) == ("done", "OK")
    assert restoring.backend_id(resource) == account
    assert restoring.account(resource).limits == TRES_MINUTES
    assert restoring.account(resource).users == {"alice", "bob"}


def test_restored_as_before(restoring: World) -> None:
    """A restored allocation can be updated and terminated like any other."""
    resource = restoring.allocated()
    terminated(restoring, resource)
    restoring.carry_out(restoring.waldur.order_restore(resource))
    update = restoring.waldur.order_update(resource, {"cpu": 7, "gres/gpu": 0})
    restoring.carry_out(update)
    assert restoring.order_state(update) == "done"
    assert restoring.order_state(terminated(restoring, resource)) == "done"


def used_and_ended(world: World) -> tuple[str, str]:
    """Order the end of an allocation that was used; return the resource and the order."""
    resource = world.allocated()
    start = datetime.now(UTC) - timedelta(hours=2)
    world.slurm.add_job(world.backend_id(resource), "alice", start, 3600, {"cpu": 4})
    return resource, world.waldur.order_terminate(resource)


@pytest.mark.usefixtures("march")
def test_final_usage_that_is_refused(world: World) -> None:
    """Usage that Waldur would refuse again doesn't keep the order open; it is an error told."""
    _, order = used_and_ended(world)
    world.waldur.faults.add(kind="status", status=400, path="set_usage/", times=None)
    with capture_logs() as logs:
        world.sync_orders()
    assert world.order_state(order) == "done"
    assert "final_usage_refused" in [entry["event"] for entry in logs]


@pytest.mark.usefixtures("march")
def test_final_usage_that_has_to_wait(world: World) -> None:
    """Usage that Waldur refuses for want of rights keeps the order open, and is posted later."""
    resource, order = used_and_ended(world)
    world.waldur.faults.add(kind="status", status=403, path="set_usage/")
    world.sync_orders()
    assert world.order_state(order) == "executing"
    world.sync_orders()
    assert world.order_state(order) == "done"
    assert world.waldur.usages(resource)["cpu", "2025-03-01"] == 4
