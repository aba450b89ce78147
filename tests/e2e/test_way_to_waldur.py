"""Workers and the shell where the environment names proxies and certificates."""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from slurm_tasks.demo.slurm import SlurmSimulator
from slurm_tasks.demo.waldur import WaldurSimulator
from tests.support import service
from tests.support.proxies import proxy
from tests.support.shell import shell

BROKEN = {
    "SSL_CERT_FILE": "/nonexistent/ca.pem",
    "SSL_CERT_DIR": "/nonexistent",
    "HTTPS_PROXY": "http://user:hunter2/@proxy:3128",
    "ALL_PROXY": "socks4://user:hunter2@proxy:1080",
}
"""Variables with values that Waldur can't be reached by."""
SETTINGS = {
    "WALDUR_API_URL": "https://127.0.0.1:1/",
    "WALDUR_API_TOKEN": "0" * 40,
    "WALDUR_OFFERING_UUID": "1" * 32,
    "CELERY_BROKER_URL": "redis://127.0.0.1:1/0",
    "SLURM_DEPLOYMENT_TYPE": "native",
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A working directory with a TRES configuration."""
    from slurm_tasks import example

    (tmp_path / "config-components.yaml").write_text(example.read(), encoding="utf-8")
    return tmp_path


def worker(folder: Path, *queues: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Start a worker that can't begin, and wait for its end."""
    return subprocess.run(
        [sys.executable, "-m", "celery", "-A", "slurm_tasks", "worker", *queues],
        env={"PATH": os.environ["PATH"], **SETTINGS, **environment},
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize("variable", BROKEN)
def test_a_worker_refuses_to_start(folder: Path, variable: str) -> None:
    """With one sentence that names the variable, exit code 2, and no password."""
    done = worker(folder, "--queues=waldur", **{variable: BROKEN[variable]})

    assert done.returncode == 2
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("slurm-tasks: ")]
    assert line.startswith(f"slurm-tasks: {variable}: ")
    assert "hunter" not in done.stdout + done.stderr
    assert "Traceback" not in done.stderr


def test_a_worker_names_all_problems_at_once(folder: Path) -> None:
    """Those of the TRES configuration and those of the way to Waldur."""
    (folder / "config-components.yaml").write_text("cpu: []", encoding="utf-8")
    done = worker(folder, "--queues=waldur", SSL_CERT_FILE=BROKEN["SSL_CERT_FILE"])

    assert done.returncode == 2
    lines = [line for line in done.stderr.splitlines() if line.startswith("slurm-tasks: ")]
    assert [("ca.pem" in line, "config-components" in line) for line in lines] == [
        (False, True),
        (True, False),
    ]


@pytest.mark.parametrize(
    ("variable", "command"),
    [
        *((variable, "orders list") for variable in BROKEN),
        ("SSL_CERT_FILE", "members sync --local"),
        ("ALL_PROXY", "plan --local"),
    ],
)
def test_the_shell_refuses_likewise(folder: Path, variable: str, command: str) -> None:
    """Each command that asks Waldur by itself."""
    done = shell({**SETTINGS, variable: BROKEN[variable]}, *command.split(), cwd=folder)

    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"slurm-tasks: {variable}: ")
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize("variable", ["SSL_CERT_FILE", "ALL_PROXY"])
def test_check_names_the_variable(folder: Path, variable: str) -> None:
    """As one of its findings."""
    done = shell({**SETTINGS, variable: BROKEN[variable]}, "check", cwd=folder)

    assert done.returncode == 1
    assert f"FAIL settings: {variable}: " in done.stdout
    assert "Traceback" not in done.stderr


def _orders(environment: Mapping[str, str], folder: Path) -> subprocess.CompletedProcess[str]:
    return shell({**SETTINGS, **environment, "LOG_LEVEL": "DEBUG"}, "orders", "list", cwd=folder)


def test_waldur_is_reached_by_a_proxy_whose_password_is_logged_nowhere(folder: Path) -> None:
    """By a worker at the highest level of logs, and by the shell, when the proxy refuses, too."""
    simulator = SlurmSimulator.create(folder / "cluster")
    with proxy(login="site:hunter2") as running:
        environment = {
            **service.environment_of(simulator, folder),
            "HTTP_PROXY": running.url,
            "NO_PROXY": "localhost,fd00::/8,[::1]",
            "LOG_LEVEL": "DEBUG",
        }
        with service.running(folder, environment, beats=0) as run:
            before = len(running.seen)
            assert run.result(run.send("slurm_tasks.orders.sync")) == []
            assert len(running.seen) > before
            log = run.stack.log("control")
            assert "hunter2" not in log

            shown = shell(run.environment, "orders", "list")
            assert (shown.returncode, shown.stdout) == (0, "no orders wait\n")
            checked = shell(run.environment, "check")
            assert (
                f"through the proxy http://********@{running.url.split('@')[1]} of HTTP_PROXY"
                in (checked.stdout)
            )
            assert "hunter2" not in checked.stdout + checked.stderr

            wrong = running.url.replace("site", "nobody")
            refused = shell({**run.environment, "HTTP_PROXY": wrong}, "orders", "list")
            assert refused.returncode == 1
            assert "of HTTP_PROXY" in refused.stderr
            assert "hunter2" not in refused.stderr


def test_waldur_is_reached_past_a_broken_environment(folder: Path) -> None:
    """Variables that don't concern Waldur's URL keep nobody from it."""
    with WaldurSimulator() as waldur:
        done = _orders(
            {
                "WALDUR_API_URL": waldur.url,
                "WALDUR_API_TOKEN": waldur.token,
                "WALDUR_OFFERING_UUID": waldur.offering_uuid,
                "SSL_CERT_FILE": "/nonexistent/ca.pem",
                "ALL_PROXY": "socks4://127.0.0.1:1",
                "HTTPS_PROXY": "ftp://127.0.0.1:1",
                "NO_PROXY": "fd00::/8,[::1],127.0.0.1",
            },
            folder,
        )
    assert (done.returncode, done.stdout) == (0, "no orders wait\n"), done.stderr
