"""An order that has to wait is taken up anew: what Waldur wants then is done, and nothing else."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from slurm_tasks import celery_settings as names
from slurm_tasks.demo.slurm import Fault, SlurmSimulator
from slurm_tasks.demo.stack import wait_until
from tests.support import service
from tests.support.service import PATIENCE, Service
from tests.support.shell import shell

pytestmark = pytest.mark.xdist_group("waiting")  # one running service for all of them

AWAY = Fault(argv="withassoc", exit_code=1, stderr="slurmdbd is away", times=1)


@pytest.fixture(scope="module")
def simulator(tmp_path_factory: pytest.TempPathFactory) -> SlurmSimulator:
    """Give a simulated cluster."""
    return SlurmSimulator.create(tmp_path_factory.mktemp("cluster"))


@pytest.fixture(scope="module")
def run(simulator: SlurmSimulator, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """Give running workers; the schedule comes by after minutes, and nobody starts it."""
    folder, slurm = (
        tmp_path_factory.mktemp("service"),
        service.environment_of(simulator, simulator.folder),
    )
    with service.running(folder, slurm, beats=0, ORDERS_SYNC_INTERVAL="120") as running:
        yield running


def test_the_shell_waits_for_its_end(run: Service, simulator: SlurmSimulator) -> None:
    """It prints what became of the order in the end, not of the first attempt."""
    simulator.set_faults(AWAY)
    order = run.waldur.order_create(run.project("alice"), "First", {"cpu": 10, "gres/gpu": 1})

    done = shell(run.environment, "orders", "process", order)

    assert (done.returncode, run.waldur.order(order)["state"]) == (0, "done"), done
    assert run.stack.log("control").count('"order_waits"') == 1


def test_an_order_that_ended_meanwhile_makes_nothing(
    run: Service, simulator: SlurmSimulator
) -> None:
    """What was wanted at the first attempt isn't done at the second."""
    before = simulator.accounts()
    simulator.set_faults(AWAY)
    project = run.project("carol", customer="Other")
    order = run.waldur.order_create(project, "Second", {"cpu": 10, "gres/gpu": 1})
    task = run.send(names.ORDERS_PROCESS, order)
    wait_until(
        lambda: run.stack.log("control").count(f'"order": "{order}", "status": "deferred"'),
        "the order waits",
        PATIENCE,
    )
    run.waldur._db.orders[order].state = type(run.waldur._db.orders[order].state).CANCELED

    assert run.result(task) == {"order": order, "result": "the order is canceled"}
    assert simulator.accounts() == before
