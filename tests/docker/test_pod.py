"""The chart's head-node pod, run by Docker: munged and the worker, apart from the cluster."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from slurm_tasks.demo.stack import wait_until
from tests.docker.engine import Engine
from tests.helm import chart
from tests.helm.cases import CASES
from tests.support import service
from tests.support.clusters import RealCluster
from tests.support.machines import ROOT
from tests.support.service import PATIENCE

pytestmark = [
    pytest.mark.docker,
    pytest.mark.timeout(1800),
]  # the first may have to make all images

ADMINISTRATOR, UID = "dave", 2004
HEAD_NODE: chart.Object = chart.merge(CASES["only the head node"], {"headnode": {"runAsUser": UID}})
WRITABLE = 0o2777
"""Mode of an emptyDir under a pod's fsGroup."""


@pytest.fixture(scope="module")
def slurm_image(engine: Engine, image: str) -> str:
    """The service's image with SLURM's programs, as its README tells to build it."""
    file = f"--file={ROOT / 'docker' / 'slurm.Dockerfile'}"
    return engine.build(f"{image}-slurm", file, f"--build-arg=IMAGE={image}", str(ROOT))


def volumes_of(pod: Mapping[str, Any], cluster: RealCluster, folder: Path) -> dict[str, Path]:
    """Make what Kubernetes would mount: empty folders, the cluster's key and configuration."""
    root = cluster.bin_dir.parent / "root"
    group = pod["securityContext"]["fsGroup"]
    made = {}
    for volume in pod["volumes"]:
        path = made[volume["name"]] = folder / volume["name"]
        path.mkdir()
        if "secret" in volume:
            key = path / volume["secret"]["items"][0]["path"]
            shutil.copyfile(root / "etc/munge/munge.key", key)
            shutil.chown(key, 0, group)
            key.chmod(volume["secret"]["defaultMode"])
        elif "configMap" in volume:
            shutil.copytree(root / "lab/etc", path, dirs_exist_ok=True)
        else:
            shutil.chown(path, 0, group)
            path.chmod(WRITABLE)
    return made


def succeeds(engine: Engine, *argv: str) -> bool:
    """Tell whether the docker client succeeds."""
    return engine.attempt(*argv).returncode == 0


@contextmanager
def running(
    engine: Engine, image: str, pod: Mapping[str, Any], volumes: Mapping[str, Path], broker: str
) -> Iterator[None]:
    """Run a pod's containers with its rights, each when the one before has started."""
    rights = pod["securityContext"]
    user = f"--user={rights['runAsUser']}:{rights['runAsGroup']}"
    locked = (user, "--read-only", "--cap-drop=ALL", "--security-opt=no-new-privileges")
    with ExitStack() as stack:
        for container in (*pod["initContainers"], *pod["containers"]):
            mounts = [
                f"--volume={volumes[mount['name']]}:{mount['mountPath']}"
                + (":ro" if mount.get("readOnly") else "")
                for mount in container["volumeMounts"]
            ]
            given = {v["name"]: v.get("value", broker) for v in container.get("env", ())}
            settings = [f"--env={name}={value}" for name, value in given.items()]
            program, *arguments = container.get("command", ("entrypoint.sh",))
            argv = (f"--entrypoint={program}", image, *arguments, *container.get("args", ()))
            name = container["name"]
            stack.enter_context(engine.container(name, *locked, *mounts, *settings, *argv))
            probe = ("exec", name, *container["startupProbe"]["exec"]["command"])
            started = partial(succeeds, engine, *probe)
            wait_until(started, f"{name} has started", PATIENCE)
        yield


def test_an_order_is_carried_out_from_elsewhere(
    engine: Engine, slurm_image: str, slurm_2411: RealCluster, tmp_path: Path
) -> None:
    """With a munge key and slurm.conf alone, as an unprivileged number, the pod does the work."""
    slurm_2411.reset()
    administrator = (f"name={ADMINISTRATOR}", "account=waldur", "adminlevel=Admin")
    slurm_2411.sacctmgr("add", "user", "cluster=lab", *administrator)
    pod = chart.pods(chart.render(HEAD_NODE))["headnode"]["spec"]
    volumes = volumes_of(pod, slurm_2411, tmp_path)
    with service.running(tmp_path, {}, headnodes=0) as run:
        broker = run.environment["CELERY_BROKER_URL"]
        with running(engine, slurm_image, pod, volumes, broker):
            limits = {"cpu": 1000, "gres/gpu": 1}
            resource = run.create(run.project("alice"), "Genomics 2026", limits)
            account = run.account(resource)
            wait_until(
                lambda: service.state_of(slurm_2411).accounts[account].users == {"alice"},
                "alice is in",
                PATIENCE,
            )
