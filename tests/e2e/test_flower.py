"""Flower: who gets in, and what a person sees there during a run of the service."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from slurm_tasks.celery_settings import MEMBERS_SYNC, ORDERS_SYNC, USAGE_REPORT
from slurm_tasks.demo.slurm import SlurmSimulator
from slurm_tasks.demo.stack import Stack, free_port, wait_until
from tests.support import browser, service
from tests.support.browser import Page
from tests.support.service import PATIENCE, Service

pytestmark = pytest.mark.xdist_group("flower")  # one running service for all of them

CREDENTIALS = "watcher:correct-horse"


@dataclass(frozen=True)
class Dashboard:
    """Flower beside a running service."""

    run: Service
    port: int

    def url(self, path: str, credentials: str = "") -> str:
        """Return a page's URL."""
        return f"http://{credentials}{'@' * bool(credentials)}127.0.0.1:{self.port}/{path}"


@pytest.fixture(scope="module")
def dashboard(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dashboard]:
    """Run the service and Flower."""
    simulator = SlurmSimulator.create(tmp_path_factory.mktemp("cluster"))
    slurm = service.environment_of(simulator, simulator.folder)
    with service.running(tmp_path_factory.mktemp("service"), slurm, beats=0) as run:
        shown = Dashboard(run, free_port())
        run.stack.start_flower(shown.port, CREDENTIALS)
        wait_until(lambda: "Connected to" in run.stack.log("flower"), "Flower is up", PATIENCE)
        yield shown


@pytest.fixture
def page(tmp_path: Path) -> Iterator[Page]:
    """Give a browser."""
    reason = browser.unavailable_reason()
    if reason and os.environ.get("CI") == "true":
        pytest.fail(reason)
    if reason:
        pytest.skip(reason)
    with browser.browsing(tmp_path) as opened:
        yield opened


@pytest.mark.chromium
def test_tasks_are_readable(dashboard: Dashboard, page: Page, tmp_path: Path) -> None:
    """Names, arguments and states of an order's tasks; SCREENSHOTS names a folder for a picture."""
    run = dashboard.run
    order = run.waldur.order_create(
        run.project("alice", "bob"), "Genomics 2026", {"cpu": 1000, "gres/gpu": 10}
    )
    run.send(ORDERS_SYNC)
    account = run.account(run.until_order(order, "done")["marketplace_resource_uuid"])
    asked = rf"create 'Genomics 2026' cpu=60000\S* users alice,bob order {order}"
    rows = [
        rf"slurm_tasks\.cluster\.reconcile\s+{asked}\s+SUCCESS",
        rf"slurm_tasks\.orders\.complete\s+{account}: applied\s+SUCCESS",
        rf"slurm_tasks\.cluster\.reconcile\s+members {account} users alice,bob\s+SUCCESS",
        rf"slurm_tasks\.usage\.push\s+{account}\s+SUCCESS",
    ]

    for task in (MEMBERS_SYNC, USAGE_REPORT):
        run.send(task)
        run.until_idle()
    page.until(dashboard.url("tasks", CREDENTIALS), *rows)

    folder = Path(os.environ.get("SCREENSHOTS", tmp_path))
    (folder / "flower.png").write_bytes(page.picture())
    assert (folder / "flower.png").stat().st_size > 10_000


@pytest.mark.chromium
def test_workers_are_seen(dashboard: Dashboard, page: Page) -> None:
    """Both workers are there, and online."""
    page.until(
        dashboard.url("workers", CREDENTIALS), r"control@\S+\s+Online", r"headnode@\S+\s+Online"
    )


@pytest.mark.parametrize("path", ["", "tasks", "workers", "api/workers", "api/tasks"])
@pytest.mark.parametrize("credentials", ["", "watcher:wrong"])
def test_strangers_stay_out(dashboard: Dashboard, path: str, credentials: str) -> None:
    """Neither pages nor the API answer without the password."""
    assert httpx.get(dashboard.url(path, credentials)).status_code == 401


def test_the_password_is_in_no_list_of_processes(dashboard: Dashboard) -> None:
    """Everybody on the machine can read arguments."""
    argv = Path(f"/proc/{dashboard.run.stack.pid('flower')}/cmdline").read_text(encoding="utf-8")

    assert "flower" in argv
    assert not any(part in argv for part in CREDENTIALS.split(":"))


def test_it_listens_on_loopback_only(dashboard: Dashboard) -> None:
    """Whoever wants more says FLOWER_ADDRESS."""
    sockets = [
        line.split()
        for family in ("tcp", "tcp6")
        for line in Path("/proc/net", family).read_text(encoding="utf-8").splitlines()
    ]
    listening = [local for _, local, _, state, *_ in sockets if state == "0A"]
    found = [local for local in listening if local.endswith(f":{dashboard.port:04X}")]

    assert found == [f"0100007F:{dashboard.port:04X}"]  # 127.0.0.1, and nothing else


def flower(*argv: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Try to start Flower, where it must refuse."""
    return subprocess.run(
        [sys.executable, "-m", "slurm_tasks", "flower", *argv],
        env={"PATH": os.environ["PATH"], **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize(
    ("argv", "environment", "reason"),
    [
        ((), {}, "Flower would let everybody in"),
        (("--basic_auth=a:b",), {}, "--basic_auth would show in the list of processes"),
        (("--basic-auth", "a:b"), {}, "--basic-auth would show in the list of processes"),
        ((), {"FLOWER_BASIC_AUTH": "nonsense"}, "write each as user:password"),
        ((), {"FLOWER_BASIC_AUTH_FILE": "/missing"}, "/missing can't be read"),
    ],
    ids=["nothing", "argument", "separate argument", "no password", "no file"],
)
def test_it_refuses_to_start_unprotected(
    argv: tuple[str, ...], environment: dict[str, str], reason: str
) -> None:
    """The configuration is wrong (exit 2), and it says what to do."""
    done = flower(*argv, **environment)

    assert done.returncode == 2
    assert reason in done.stderr


def test_it_starts_unprotected_when_told(tmp_path: Path) -> None:
    """`--no-auth` is for who has a proxy before it; it needs no broker to come up."""
    port = free_port()
    with Stack(tmp_path, {"FLOWER_PORT": str(port)}) as stack:
        stack.start("flower", "-m", "slurm_tasks", "flower", "--no-auth")
        wait_until(lambda: "Visit me" in stack.log("flower"), "Flower is up", PATIENCE)
        assert httpx.get(f"http://127.0.0.1:{port}/tasks").status_code == 200


def test_passwords_may_come_from_a_file(tmp_path: Path) -> None:
    """As secrets are mounted in containers, or given by systemd."""
    port, file = free_port(), tmp_path / "credentials"
    file.write_text(f"{CREDENTIALS}\nother:password\n", encoding="utf-8")
    with Stack(tmp_path, {"FLOWER_PORT": str(port), "FLOWER_BASIC_AUTH_FILE": str(file)}) as stack:
        stack.start("flower", "-m", "slurm_tasks", "flower")
        wait_until(lambda: "Visit me" in stack.log("flower"), "Flower is up", PATIENCE)
        answers = [
            httpx.get(f"http://{who}127.0.0.1:{port}/tasks").status_code
            for who in ("", f"{CREDENTIALS}@", "other:password@")
        ]
    assert answers == [401, 200, 200]
