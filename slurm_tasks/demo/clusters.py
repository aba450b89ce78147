"""The cluster of the demo: simulated in a folder, or a real one that the environment names."""

import os
import shlex
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from slurm_tasks.demo.slurm import SlurmSimulator

_SETTINGS = (
    "SLURM_DEPLOYMENT_TYPE",
    "SLURM_CONTAINER_NAME",
    "SLURM_BIN_DIR",
    "SLURM_CONF",
    "SLURM_CLUSTER_NAME",
    "SLURM_DEFAULT_ACCOUNT",
    "SLURM_LOCK_DIR",
    "SLURM_REQUIRE_UNIX_USER",
    "GETENT_PATH",
)
SUBMIT = "runuser -u {user} -- {bin_dir}/sbatch"
"""How a job is submitted as a researcher, on a real cluster, unless told otherwise."""


class DemoClusterError(Exception):
    """The cluster can't be used; the message says what to do."""


@dataclass(frozen=True)
class DemoCluster:
    """A cluster to show the service on.

    Attributes:
        kind: "simulated" or "real".
        environment: the head-node worker's settings.
        submit: how a job is submitted, with `{user}` in it.
    """

    kind: str
    environment: Mapping[str, str]
    submit: str

    def start_job(self, user: str, account: str, cpus: int, seconds: int) -> None:
        """Submit a job that sleeps.

        Raises:
            DemoClusterError: it is refused.
        """
        argv = [part.format(user=user) for part in shlex.split(self.submit)]
        argv += ["--chdir=/tmp", "--output=/dev/null", f"--account={account}"]
        argv += [f"--cpus-per-task={cpus}", f"--wrap=sleep {seconds}"]
        done = subprocess.run(  # noqa: S603 - the demo's own argument list
            argv,
            check=False,
            capture_output=True,
            text=True,
            env={**os.environ, **self.environment},
        )
        if done.returncode:
            raise DemoClusterError(
                f"{user} can't submit a job ({' '.join(done.stderr.split())}); a real cluster needs"
                " the demo's users (--users) and a way to submit as them (--submit)"
            )


def simulated(folder: Path) -> DemoCluster:
    """Make a simulated cluster in a folder."""
    simulator = SlurmSimulator.create(folder, cluster="demo")
    environment = {
        "SLURM_DEPLOYMENT_TYPE": "native",
        "SLURM_BIN_DIR": str(simulator.bin_dir),
        "SLURM_LOCK_DIR": str(folder),
        "SLURM_REQUIRE_UNIX_USER": "false",  # the story's people are nobody here
    }
    submit = f"env SLURM_SIM_USER={{user}} {shlex.quote(str(simulator.bin_dir / 'sbatch'))}"
    return DemoCluster("simulated", environment, submit)


def configured() -> bool:
    """Tell whether the environment names a real cluster."""
    if os.environ.get("SLURM_DEPLOYMENT_TYPE") == "docker":
        return bool(os.environ.get("SLURM_CONTAINER_NAME"))
    bin_dir = os.environ.get("SLURM_BIN_DIR", "/usr/bin")
    chosen = os.environ.get("SLURM_DEPLOYMENT_TYPE") == "native"
    return chosen and shutil.which("sacctmgr", path=bin_dir) is not None


def real(submit: str) -> DemoCluster:
    """Use the cluster that the environment names.

    Raises:
        DemoClusterError: it names none.
    """
    if not configured():
        raise DemoClusterError(
            "--cluster real: name the cluster by SLURM_DEPLOYMENT_TYPE=native (and SLURM_BIN_DIR,"
            " SLURM_CONF where needed), or =docker with SLURM_CONTAINER_NAME"
        )
    environment = {
        name: value
        for name, value in os.environ.items()
        if value and (name in _SETTINGS or name.startswith("DOCKER_"))
    }
    bin_dir = shlex.quote(environment.get("SLURM_BIN_DIR", "/usr/bin"))
    return DemoCluster("real", environment, submit.replace("{bin_dir}", bin_dir))


def how(environment: Mapping[str, str]) -> str:
    """Say how a real cluster is reached, and where the demo's accounts would hang."""
    container = environment.get("SLURM_CONTAINER_NAME")
    docker = environment.get("SLURM_DEPLOYMENT_TYPE") == "docker"
    where = f"container {container}" if docker else environment.get("SLURM_BIN_DIR", "/usr/bin")
    return f"{where}, below the account {environment.get('SLURM_DEFAULT_ACCOUNT', 'waldur')}"
