"""The older agent, waldur-slurm-agent 0.2.2 from PyPI, in an environment of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from slurm_tasks.demo.stack import wait_until
from slurm_tasks.demo.waldur import WaldurSimulator
from tests.support.clusters import RealCluster, cache
from tests.support.machines import locked

FILES = Path(__file__).with_name("files")
_VERSION = "0.2.2"
_PATIENCE = 60.0
_MAIN = """
import time
sleep = time.sleep
time.sleep = lambda seconds: sleep(seconds / 20)
import waldur_client
# what it asks for was open to providers when it was written; a server of 2024 answers with 404
waldur_client.WaldurClient.Endpoints.MarketplaceResources = "marketplace-provider-resources"
from waldur_slurm.main import main
main()
"""


def read(name: str) -> dict[str, str]:
    """Read one of its environment files."""
    lines = (FILES / name).read_text(encoding="utf-8").splitlines()
    return dict(line.split("=", 1) for line in lines)


def settings(name: str, waldur: WaldurSimulator) -> dict[str, str]:
    """Return the settings of one of its environment files, for a Waldur of the test's."""
    return {
        **read(name),
        "WALDUR_API_URL": waldur.url,
        "WALDUR_API_TOKEN": waldur.token,
        "WALDUR_OFFERING_UUID": waldur.offering_uuid,
        "SLURM_TRES_CONFIG_PATH": str(FILES / "tres.yaml"),
    }


def run(
    settings: Mapping[str, str], cluster: RealCluster, log: Path, until: Callable[[], object]
) -> None:
    """Run the agent on a real cluster until it has done something; then it is killed."""
    environment = {**settings, "PATH": f"{cluster.bin_dir}:{os.environ['PATH']}"}
    with log.open("wb") as output:
        agent = subprocess.Popen(
            [_python(), "-c", _MAIN], env=environment, stdout=output, stderr=output
        )
    try:
        wait_until(until, f"the older agent is through (see {log})", _PATIENCE)
    finally:
        agent.send_signal(signal.SIGKILL)  # it has nothing to end in an orderly way
        agent.wait()


def _python() -> Path:
    """Return the interpreter of an environment with the agent in it, made once."""
    minor = f"{sys.version_info.major}.{sys.version_info.minor}"
    folder = cache() / f"waldur-slurm-agent-{_VERSION}-python-{minor}"
    made = folder / ".made"
    with locked(cache() / "older-agent.lock"):
        if not made.exists():
            _do(sys.executable, "-m", "venv", "--clear", str(folder))
            pip = (str(folder / "bin" / "pip"), "install", "--quiet", "--disable-pip-version-check")
            # sentry-sdk 1.14 imports pkg_resources
            _do(*pip, f"waldur-slurm-agent=={_VERSION}", "setuptools<81")
            made.touch()
    return folder / "bin" / "python"


def _do(*argv: str) -> None:
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
