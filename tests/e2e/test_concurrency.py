"""Two of everything, on a real SLURM: nothing is lost, nothing is doubled."""

from pathlib import Path

from tests.support import service
from tests.support.clusters import RealCluster

ORDERS = 4


def test_two_workers_of_each_kind_and_two_beats(slurm_2205: RealCluster, tmp_path: Path) -> None:
    """Orders of one customer, processed by whoever is faster, each give one account."""
    slurm_2205.reset()
    environment = service.environment_of(slurm_2205, tmp_path)
    with service.running(tmp_path, environment, "b", controls=2, headnodes=2, beats=2) as run:
        project = run.project("alice", "bob")
        orders = [
            run.waldur.order_create(project, "Same name", {"cpu": 10, "gres/gpu": 1})
            for _ in range(ORDERS)
        ]
        done = [run.until_order(order, "done", "erred") for order in orders]
        assert [order["state"] for order in done] == ["done"] * ORDERS
        accounts = service.state_of(slurm_2205).accounts
        names = {run.account(order["marketplace_resource_uuid"]) for order in done}
        assert len(names) == ORDERS
        projects = {accounts[name].parent for name in names}
        customers = {accounts[name].parent for name in projects}
        assert (len(projects), len(customers)) == (1, 1)
        assert set(accounts) == {"root", "waldur", *names, *projects, *customers}
        assert {accounts[name].users for name in names} == {frozenset({"alice", "bob"})}
        writes = [*run.commands("headnode"), *run.commands("headnode2")]
        added = [c["argv"] for c in writes if c["argv"][3:5] == ["add", "account"]]
        assert len(added) == ORDERS + 2, "each account is added once: orders, project, customer"


def test_an_order_that_is_delivered_three_times(slurm_2205: RealCluster, tmp_path: Path) -> None:
    """Three messages about one order make one account, and the order is done once."""
    slurm_2205.reset()
    environment = service.environment_of(slurm_2205, tmp_path)
    with service.running(tmp_path, environment, "a", headnodes=2, beats=0) as run:
        order = run.waldur.order_create(run.project("alice"), "Thrice", {"cpu": 10, "gres/gpu": 1})
        for _ in range(3):
            run.send("slurm_tasks.orders.process", order)
        resource = run.until_order(order, "done")["marketplace_resource_uuid"]
        run.until_idle()
        assert run.waldur.order(order)["state"] == "done"
        assert run.account(resource) in service.state_of(slurm_2205).accounts
        done = [r for r in run.waldur.posts() if r.path.endswith("/set_state_done/")]
        assert len([r for r in done if r.status == 200]) == 1
        added = [
            c["argv"]
            for worker in ("headnode", "headnode2")
            for c in run.commands(worker)
            if c["argv"][3:5] == ["add", "account"]
        ]
        assert len(added) == 3, "customer, project and allocation, each once"
