"""An engine, a head node in it that reaches a real cluster, and the service's image."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.docker.engine import CLIENT, Engine, running_engine, service_image, tools_image
from tests.support.clusters import RealCluster
from tests.support.machines import need_root


@pytest.fixture(scope="session")
def engine() -> Iterator[Engine]:
    """A Docker engine of the tests' own."""
    need_root()
    with running_engine() as engine:
        yield engine


@dataclass(frozen=True)
class Head:
    """The head node of a real cluster, in a container.

    Attributes:
        engine: the engine that it runs in.
        cluster: the cluster.
        name: the container's.
        site: a folder of the host's that the container sees as /opt/site.
    """

    engine: Engine
    cluster: RealCluster
    name: str
    site: Path

    @property
    def settings(self) -> dict[str, str]:
        """What makes the service use it."""
        return {
            "SLURM_DEPLOYMENT_TYPE": "docker",
            "SLURM_CONTAINER_NAME": self.name,
            "DOCKER_PATH": CLIENT,
            "SLURM_CONF": "/lab/etc/slurm.conf",
            **self.engine.environment,
        }

    def program(self, name: str, text: str) -> None:
        """Put a program into /opt/site, which may stand in for SLURM's."""
        path = self.site / name
        path.write_text(f"#!/bin/sh\n{text}\n", encoding="utf-8")
        path.chmod(0o755)

    def processes(self) -> str:
        """Return the command lines of what runs in the container."""
        return self.engine.run("top", self.name, "-eo", "pid,args")


@pytest.fixture(scope="session")
def head(
    engine: Engine, slurm_2411: RealCluster, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Head]:
    """A running head node."""
    site = tmp_path_factory.mktemp("site")
    root = slurm_2411.bin_dir.parent / "root"
    mounts = (f"{root}/lab/etc:/lab/etc:ro", f"{root}/run/munge:/run/munge", f"{site}:/opt/site")
    volumes = [f"--volume={mount}" for mount in mounts]
    forever = (tools_image(engine), "sleep", "infinity")
    with engine.container("slurmctld", *volumes, *forever) as name:
        yield Head(engine, slurm_2411, name, site)


@pytest.fixture
def cluster(head: Head) -> RealCluster:
    """The head node's cluster, empty."""
    head.cluster.reset()
    return head.cluster


@pytest.fixture(scope="session")
def image(engine: Engine) -> str:
    """The tag of the service's image, built from this tree."""
    return service_image(engine, "service", VERSION="1.2.3", REVISION="abc123")
