"""The main job end to end: real workers and beat, a real SLURM, both generations of Waldur."""

from decimal import Decimal
from pathlib import Path
from typing import Literal

import pytest

from slurm_tasks.demo.stack import wait_until
from tests.support import service
from tests.support.clusters import RealCluster
from tests.support.service import PATIENCE

PAIRS = [("22.05", "a"), ("22.05", "b"), ("24.11", "b"), ("26.05", "a")]


@pytest.fixture(params=PAIRS, ids=lambda pair: f"{pair[0]}-{pair[1]}")
def pair(request: pytest.FixtureRequest) -> tuple[RealCluster, Literal["a", "b"]]:
    """Give a real, empty cluster and the generation of Waldur to run it with."""
    release, generation = request.param
    cluster: RealCluster = request.getfixturevalue(f"slurm_{release.replace('.', '')}")
    cluster.reset()
    return cluster, generation


def test_an_allocation_lives_and_ends(
    pair: tuple[RealCluster, Literal["a", "b"]], tmp_path: Path
) -> None:
    """Create, jobs, usage, update, terminate: each shows on both sides."""
    cluster, generation = pair
    with service.running(tmp_path, service.environment_of(cluster, tmp_path), generation) as run:
        project = run.project("alice", "bob")
        resource = run.create(project, "Genomics 2026", {"cpu": 1000, "gres/gpu": 10})
        name = run.account(resource)
        account = service.state_of(cluster).accounts[name]
        assert account.limits == {"cpu": 60_000, "gres/gpu": 600, "mem": 40_000 * 61_440}
        assert run.waldur.resource(resource)["limits"] == {"cpu": 1000, "gres/gpu": 10}
        wait_until(
            lambda: service.state_of(cluster).accounts[name].users == {"alice", "bob"},
            "the team has its associations",
            PATIENCE,
        )
        if generation == "a":
            wait_until(
                lambda: run.waldur.associations(resource) == {"alice", "bob"},
                "Waldur mirrors the associations",
                PATIENCE,
            )

        cluster.submit("alice", name, seconds=3, cpus=16)
        cluster.wait_for_jobs_end(name)
        wait_until(lambda: any(run.waldur.usages(resource).values()), "usage in Waldur", PATIENCE)

        order = run.waldur.order_update(resource, {"cpu": 2000, "gres/gpu": 0})
        run.until_order(order, "done")
        account = service.state_of(cluster).accounts[name]
        assert account.limits == {"cpu": 120_000, "gres/gpu": 0, "mem": 40_000 * 61_440}
        assert run.waldur.resource(resource)["limits"] == {"cpu": 2000, "gres/gpu": 0}

        cluster.submit("bob", name, seconds=600, cpus=2)
        run.until_order(run.waldur.order_terminate(resource), "done")
        assert set(service.state_of(cluster).accounts) == {"root", "waldur"}
        assert service.state_of(cluster).bare == {}
        assert run.waldur.resource(resource)["state"] == "Terminated"
        reported = sum(run.waldur.usages(resource).values())
        assert sum(run.waldur.user_usages(resource).values()) == pytest.approx(
            reported, abs=Decimal("0.02")
        )
