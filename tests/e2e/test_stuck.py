"""An order that Waldur fails on is tried once at each look, and less and less often."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from slurm_tasks.demo.slurm import SlurmSimulator
from slurm_tasks.demo.stack import wait_until
from tests.support import service
from tests.support.service import PATIENCE, Service
from tests.support.shell import shell


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Service]:
    """Give a running service beside an older Waldur that is looked at each second."""
    simulator = SlurmSimulator.create(tmp_path / "cluster")
    slurm = service.environment_of(simulator, simulator.folder)
    with service.running(tmp_path, slurm, "a") as running:
        yield running


def ends(run: Service) -> list[int]:
    """Return Waldur's answers to attempts to end an order."""
    return [post.status for post in run.waldur.posts() if post.path.endswith("/set_state_done/")]


def test_no_price(run: Service) -> None:
    """It is told with what helps; the price mends it, and an operator needn't wait."""
    resource = run.create(run.project("alice"), "Priced", {"cpu": 10, "gres/gpu": 1})
    run.waldur.remove_price("cpu")
    run.waldur.requests.clear()
    order = run.waldur.order_update(resource, {"cpu": 20, "gres/gpu": 1})
    told = '"event": "order_stuck"'
    wait_until(lambda: run.stack.log("control").count(told) >= 2, "it is told twice", PATIENCE)
    listed = json.loads(shell(run.environment, "orders", "sync", "--json").stdout)
    assert "Give cpu a price" in listed[0]["result"]
    assert 2 <= len(ends(run)) <= 4, "no chain of retries: one attempt at each look"
    with run.waldur._lock:
        run.waldur._db.prices["cpu"] = 0.0
    done = shell(run.environment, "orders", "process", order)
    assert done.returncode == 0, done
    assert run.waldur.order(order)["state"] == "done"
