"""The compose files: what they say, and the whole service started with them."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
import yaml

from slurm_tasks import settings
from slurm_tasks.demo.stack import free_port, wait_until
from slurm_tasks.demo.waldur import WaldurSimulator
from tests.docker.conftest import Head
from tests.docker.engine import Engine, tools_image
from tests.support.clusters import RealCluster
from tests.support.machines import ROOT, bound, need_program
from tests.support.service import PATIENCE, state_of

FOLDER = ROOT / "docker"
COMPOSE = FOLDER / "compose.yaml"
EXAMPLES = [("both.env", ""), ("pull.env", "pull"), ("push.env", "push")]
REQUIRED = {"BROKER_PASSWORD": "secret", "DOCKER_GID": "999", "FLOWER_BASIC_AUTH": "me:secret"}
FIRST = pytest.mark.timeout(1800)  # the first of these may have to make all images
PROCESSES = {"control", "headnode", "beat", "flower"}
OF_THE_IMAGE = {
    "DOCKER_PATH",
    "HEARTBEAT_FILE",
    "FLOWER_BASIC_AUTH_FILE",
    "FLOWER_PORT",
    "SLURM_LOCK_DIR",
    "SLURM_TRES_CONFIG_PATH",
}
"""Settings that are the image's own matter: paths and ports inside."""


def example(name: str) -> dict[str, str]:
    """Read one of the examples of an environment file."""
    lines = (FOLDER / name).read_text(encoding="utf-8").splitlines()
    return dict(line.split("=", 1) for line in lines if not line.startswith("#"))


def compose(
    files: tuple[Path, ...], env_file: Path, values: Mapping[str, str], *argv: str
) -> subprocess.CompletedProcess[str]:
    """Run docker-compose with the values given, and nothing of this process's settings."""
    need_program("docker-compose", "docker-compose")
    options = [f"--file={file}" for file in files]
    return subprocess.run(
        ["docker-compose", *options, f"--env-file={env_file}", *argv],
        env={"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/"), **values},
        capture_output=True,
        text=True,
        check=False,
    )


def config(name: str = "both.env") -> Any:  # noqa: ANN401 - YAML
    """Return the compose file with an example as docker-compose understands it."""
    done = compose((COMPOSE,), FOLDER / name, REQUIRED, "config")
    assert done.returncode == 0, done.stderr
    return yaml.safe_load(done.stdout)


@pytest.mark.parametrize(("name", "direction"), EXAMPLES)
def test_each_example_is_all_that_it_takes(name: str, direction: str) -> None:
    """With an example and the passwords filled in the file is valid, in the example's direction."""
    assert REQUIRED.keys() <= example(name).keys()
    environment = config(name)["services"]["beat"]["environment"]
    assert environment["WALDUR_SYNC_DIRECTION"] == direction


def test_the_demos_file_is_valid(tmp_path: Path) -> None:
    """It needs no settings at all."""
    empty = tmp_path / "env"
    empty.touch()
    done = compose((FOLDER / "compose.demo.yaml",), empty, {}, "config", "--quiet")
    assert (done.returncode, done.stderr) == (0, "")


def test_a_broker_of_the_site_takes_the_place_of_the_stacks() -> None:
    """Every process has its URL and the folder of certificates, and all else as before."""
    values = {
        **REQUIRED,
        "CELERY_BROKER_URL": "rediss://:secret@broker.example.com:6380/0",
        "BROKER_CERTIFICATES": "/srv/certificates",
        "CELERY_TLS_VERIFY": "/etc/broker/ca.pem",
    }
    files = (COMPOSE, FOLDER / "compose.broker.yaml")
    done = compose(files, FOLDER / "both.env", values, "config")
    assert done.returncode == 0, done.stderr
    found, usual = yaml.safe_load(done.stdout)["services"], config()["services"]
    for name in PROCESSES:
        environment = found[name]["environment"]
        assert environment["CELERY_BROKER_URL"] == values["CELERY_BROKER_URL"]
        assert environment["CELERY_TLS_VERIFY"] == "/etc/broker/ca.pem"
        assert "/srv/certificates:/etc/broker:ro" in found[name]["volumes"]
        assert set(environment) == set(usual[name]["environment"])
        assert set(usual[name].get("volumes", [])) <= set(found[name]["volumes"])


@pytest.mark.parametrize("name", sorted(REQUIRED))
def test_a_secret_that_is_missing_is_refused(name: str) -> None:
    """An example's empty password never becomes a running service."""
    values = {key: value for key, value in REQUIRED.items() if key != name}
    done = compose((COMPOSE,), FOLDER / "both.env", values, "config")
    assert done.returncode != 0
    assert "set it in .env" in done.stderr


def test_each_process_gets_the_settings_of_its_zone() -> None:
    """Every setting reaches those who read it; the token reaches the control worker alone."""
    services = config()["services"]
    own: dict[str, tuple[type[settings.Group], ...]] = {
        "control": (settings.Service, settings.Waldur),
        "headnode": (settings.Service, settings.Slurm),
        "beat": (settings.Service,),
        "flower": (settings.Service, settings.Flower),
    }
    for name, groups in own.items():
        fields = [field for group in groups for field in group.model_fields.values()]
        expected = {str(field.alias) for field in fields} - OF_THE_IMAGE
        assert set(services[name]["environment"]) == expected, name


def test_only_flower_is_published_and_on_loopback() -> None:
    """Neither the broker nor a worker can be reached from outside."""
    published = {name: service.get("ports") for name, service in written().items()}
    assert published.pop("flower") == ["${FLOWER_PUBLISHED:-127.0.0.1:5555}:5555"]
    assert set(published.values()) == {None}


def test_all_start_again_and_nothing_gains_rights() -> None:
    """Each comes back after a crash or a reboot; ours run read-only, without capabilities."""
    services = written()
    assert {service["restart"] for service in services.values()} == {"unless-stopped"}
    assert PROCESSES | {"valkey"} == set(services)
    for name in PROCESSES:
        assert services[name]["read_only"] is True
        assert services[name]["cap_drop"] == ["ALL"]
        assert services[name]["security_opt"] == ["no-new-privileges:true"]


def written() -> dict[str, dict[str, Any]]:
    """Return the services as the file has them."""
    services: dict[str, dict[str, Any]] = yaml.safe_load(COMPOSE.read_text("utf-8"))["services"]
    return services


@dataclass(frozen=True)
class Stack:
    """The whole service, started with docker-compose.

    Attributes:
        engine: the engine that it runs in.
        waldur: the simulated Waldur.
        cluster: the real cluster that its head node reaches.
        flower: Flower's URL on the host.
        file: the environment file.
    """

    engine: Engine
    waldur: WaldurSimulator
    cluster: RealCluster
    flower: str
    file: Path

    def compose(self, *argv: str) -> str:
        """Run docker-compose successfully, and return what it printed."""
        files = (COMPOSE, Path(__file__).with_name("compose.test.yaml"))
        done = compose(files, self.file, self.engine.environment, *argv)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def container(self, service: str) -> Any:  # noqa: ANN401 - JSON
        """Return all about the container of a service."""
        (identifier,) = self.compose("ps", "--quiet", service).split()
        return self.engine.inspect(identifier)


@pytest.fixture(scope="module")
def stack(head: Head, image: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Start the service as the README tells to, with the example for both directions."""
    need_program("socat", "socat")
    head.cluster.reset()
    folder = tmp_path_factory.mktemp("compose")
    tools = tools_image(head.engine)
    port = free_port()
    with WaldurSimulator() as waldur:
        values = {
            **example("both.env"),
            **REQUIRED,
            "DOCKER_GID": str(head.engine.socket.stat().st_gid),
            "DOCKER_SOCKET": str(head.engine.socket),
            "FLOWER_PUBLISHED": f"127.0.0.1:{port}",
            "IMAGE": image,
            "MEMBERS_SYNC_INTERVAL": "3",
            "ORDERS_SYNC_INTERVAL": "2",
            "RELAY": str(folder),
            "SLURM_CONF": "/lab/etc/slurm.conf",
            "TRES_CONFIG": str(ROOT / "config-components.yaml"),
            "VALKEY_IMAGE": tools,
            "WALDUR_API_TOKEN": waldur.token,
            "WALDUR_API_URL": "http://waldur:8000/",
            "WALDUR_OFFERING_UUID": waldur.offering_uuid,
            "BILLING_TIME_ZONE": "UTC",
        }
        file = folder / "env"
        file.write_text("".join(f"{n}={v}\n" for n, v in values.items()), encoding="utf-8")
        relay = (f"UNIX-LISTEN:{folder / 'waldur'},fork", f"TCP:{urlsplit(waldur.url).netloc}")
        stack = Stack(head.engine, waldur, head.cluster, f"http://127.0.0.1:{port}", file)
        with subprocess.Popen(bound("socat", *relay)) as passing_on:
            try:
                stack.compose("up", "--detach", "--no-build")
                yield stack
            finally:
                stack.compose("down", "--volumes", "--timeout=1")
                passing_on.terminate()


@pytest.mark.docker
@FIRST
def test_an_order_is_carried_out(stack: Stack) -> None:
    """Waldur's order becomes an account in a real SLURM, through every container of the stack."""
    project = stack.waldur.add_project(stack.waldur.add_customer("University"), "Genomics")
    person = stack.waldur.add_user("alice")
    stack.waldur.add_member(project, person)
    stack.waldur.set_username(person, "alice")
    order = stack.waldur.order_create(project, "Genomics 2026", {"cpu": 10, "gres/gpu": 1})
    wait_until(
        lambda: stack.waldur.order(order)["state"] == "done",
        "the order is done",
        PATIENCE,
    )
    resource = stack.waldur.order(order)["marketplace_resource_uuid"]
    name = stack.waldur.resource(resource)["backend_id"]
    wait_until(
        lambda: state_of(stack.cluster).accounts[name].users == {"alice"}, "alice is in", PATIENCE
    )


@pytest.mark.docker
@FIRST
def test_every_container_gets_healthy(stack: Stack) -> None:
    """Docker learns of each process that it lives: of the workers and beat by their heartbeat."""
    names = (*sorted(PROCESSES), "valkey")
    wait_until(
        lambda: (
            {stack.container(name)["State"]["Health"]["Status"] for name in names} == {"healthy"}
        ),
        "all are healthy",
        PATIENCE,
    )
    assert {stack.container(name)["RestartCount"] for name in names} == {0}


@pytest.mark.docker
@FIRST
def test_flower_wants_a_password(stack: Stack) -> None:
    """On the host's loopback it answers those who have the password, and no others."""
    assert httpx.get(stack.flower).status_code == 401
    shown = httpx.get(f"{stack.flower}/workers", auth=("me", "secret"))
    assert shown.status_code == 200


@pytest.mark.docker
@FIRST
def test_a_stop_is_warm(stack: Stack) -> None:
    """The signal reaches the program itself: each worker and beat ends by itself, with 0."""
    names = ("control", "headnode", "beat")
    stack.compose("stop", *names)
    assert {name: stack.container(name)["State"]["ExitCode"] for name in names} == dict.fromkeys(
        names, 0
    )
    logs = {name: stack.compose("logs", name) for name in ("control", "headnode")}
    assert all("Warm shutdown" in log for log in logs.values())
