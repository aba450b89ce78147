"""Every test of this folder that takes a `cluster` runs on simulated and on real ones."""

from __future__ import annotations

from pathlib import Path

import pytest

from slurm_tasks.demo.slurm import SlurmSimulator
from tests.contract.slurm.lab import Lab
from tests.support.clusters import RealCluster

SIMULATED = ("simulator-22.05", "simulator-24.11")
REAL = ("slurm_2205", "slurm_2411", "slurm_2605")


@pytest.fixture(scope="session")
def simulators(tmp_path_factory: pytest.TempPathFactory) -> dict[str, SlurmSimulator]:
    """The simulated clusters, by the parameter that asks for them."""
    folder: Path = tmp_path_factory.mktemp("slurm")
    return {
        name: SlurmSimulator.create(folder / name, release=name.rpartition("-")[2])
        for name in SIMULATED
    }


@pytest.fixture(params=[*SIMULATED, *REAL])
def cluster(request: pytest.FixtureRequest, simulators: dict[str, SlurmSimulator]) -> Lab:
    """A cluster with nothing but root and `waldur` in it; the real ones are booted when needed."""
    name: str = request.param
    backend: SlurmSimulator | RealCluster
    backend = simulators[name] if name in SIMULATED else request.getfixturevalue(name)
    backend.reset()
    return Lab(backend)
