"""The whole service for end-to-end tests: real broker, workers and beat, a Waldur, a cluster."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import redis
from celery import Celery

from slurm_tasks import example, settings
from slurm_tasks.celery_settings import from_settings
from slurm_tasks.demo.slurm import SlurmSimulator
from slurm_tasks.demo.stack import Stack, embedded_broker, wait_until
from slurm_tasks.demo.waldur import WaldurSimulator
from slurm_tasks.demo.waldur.values import Project
from slurm_tasks.slurm.commands import ShowAccounts
from tests.support.clusters import RealCluster

PATIENCE = 90.0
INTERVALS = {
    "ORDERS_SYNC_INTERVAL": "1",
    "MEMBERS_SYNC_INTERVAL": "2",
    "USAGE_REPORT_INTERVAL": "2",
}


@dataclass
class Service:
    """A running service.

    Attributes:
        waldur: the simulated Waldur.
        stack: the processes.
        environment: the settings, for the shell or another process.
    """

    waldur: WaldurSimulator
    stack: Stack
    environment: Mapping[str, str]
    _people: dict[str, Any] = field(default_factory=dict)

    def project(self, *users: str, customer: str = "University", name: str = "Project") -> Project:
        """Open a project with a team whose usernames are set."""
        project = self.waldur.add_project(self.waldur.add_customer(customer), name)
        for user in users:
            self.join(project, user)
        return project

    def join(self, project: Project, username: str) -> None:
        """Let a person join a project."""
        if username not in self._people:
            self._people[username] = self.waldur.add_user(username)
        self.waldur.add_member(project, self._people[username])
        self.waldur.set_username(self._people[username], username)

    def leave(self, project: Project, username: str) -> None:
        """Let a person leave a project."""
        self.waldur.remove_member(project, self._people[username])

    def until_order(self, order: str, *states: str) -> dict[str, Any]:
        """Wait until an order is in one of some states, and return it."""
        ends = {*states, "erred"}
        wait_until(
            lambda: self.waldur.order(order)["state"] in ends,
            f"order {order} is {' or '.join(states)}",
            PATIENCE,
        )
        found = dict(self.waldur.order(order))
        assert found["state"] in states, found["error_message"]
        return found

    def create(self, project: Project, name: str, limits: Mapping[str, int]) -> str:
        """Order an allocation, wait until it is done, and return the resource's uuid."""
        order = self.until_order(self.waldur.order_create(project, name, dict(limits)), "done")
        return str(order["marketplace_resource_uuid"])

    def account(self, resource: str) -> str:
        """Return the account of an allocation."""
        return str(self.waldur.resource(resource)["backend_id"])

    @cached_property
    def app(self) -> Celery:
        """A sender, with the service's queues."""
        app = Celery("tests")
        app.conf.update(from_settings(settings.Service.model_validate(self.environment)))
        return app

    def send(self, task: str, *args: object, **kwargs: object) -> str:
        """Send a task by hand, and return its id."""
        return str(self.app.send_task(task, args, kwargs).id)

    def result(self, task: str) -> Any:  # noqa: ANN401 - JSON is anything
        """Wait for a task's end, and return its result or raise its error."""
        return self.app.AsyncResult(task).get(timeout=PATIENCE)

    def until_idle(self) -> None:
        """Wait until the queues are empty and no worker works or waits for a retry."""
        wait_until(self._is_idle, "the workers are idle", PATIENCE)

    def queued(self) -> int:
        """Return how many messages wait in the queues."""
        with self.app.connection_for_read() as connection:
            client = connection.default_channel.client
            return sum(client.llen(queue) for queue in ("waldur", "headnode"))

    def _is_idle(self) -> bool:
        if self.queued():
            return False
        inspect = self.app.control.inspect(timeout=1)
        states = (inspect.active(), inspect.reserved(), inspect.scheduled())
        return all(state and not any(state.values()) for state in states)

    def start_worker(self, kind: str, name: str = "", **settings: str) -> None:
        """Start a worker, one of the control side with what it knows of Waldur."""
        token = {k: v for k, v in self.environment.items() if k.startswith("WALDUR_")}
        self.stack.start_worker(kind, name, **settings, **(token if kind == "control" else {}))

    def commands(self, worker: str = "headnode") -> list[dict[str, Any]]:
        """Return the SLURM commands that a worker has run, from its JSON log."""
        lines = self.stack.log(worker).splitlines()
        events = [json.loads(line) for line in lines if line.startswith("{")]
        return [event for event in events if event["event"] == "slurm_command"]


def broker_client(url: str) -> redis.Redis:
    """Return a client of a broker."""
    return redis.Redis.from_url(url)


def environment_of(cluster: RealCluster | SlurmSimulator, folder: Path) -> dict[str, str]:
    """Return the settings for a cluster of the tests, real or simulated."""
    return {
        "SLURM_DEPLOYMENT_TYPE": "native",
        "SLURM_BIN_DIR": str(cluster.bin_dir),
        "SLURM_LOCK_DIR": str(folder),
    }


@contextmanager
def running(
    folder: Path,
    slurm: Mapping[str, str],
    generation: Literal["a", "b"] = "b",
    *,
    controls: int = 1,
    headnodes: int = 1,
    beats: int = 1,
    broker: str = "",
    **settings: str,
) -> Iterator[Service]:
    """Run the service: workers are ready, beat has begun; a broker is started if none is given."""
    config = folder / "config-components.yaml"
    config.write_text(example.read(), encoding="utf-8")
    brokers = nullcontext(broker) if broker else embedded_broker()
    with brokers as url, WaldurSimulator(generation=generation) as waldur:
        environment = {
            **INTERVALS,
            "SLURM_REQUIRE_UNIX_USER": "false",  # the tests' people live in the clusters only
            **slurm,
            "CELERY_BROKER_URL": url,
            "LOG_FORMAT": "json",
            "SLURM_TRES_CONFIG_PATH": str(config),
            **settings,
        }
        token = {
            "WALDUR_API_URL": waldur.url,
            "WALDUR_API_TOKEN": waldur.token,
            "WALDUR_OFFERING_UUID": waldur.offering_uuid,
            "BILLING_TIME_ZONE": "UTC",
        }
        with Stack(folder, environment) as stack:
            workers = [("control", _numbered("control", n), token) for n in range(controls)]
            workers += [("headnode", _numbered("headnode", n), {}) for n in range(headnodes)]
            for kind, name, own in workers:
                stack.start_worker(kind, name, **own)
            for _, name, _ in workers:
                stack.wait_ready(name)
            for number in range(beats):
                stack.start_beat(_numbered("beat", number))
            yield Service(waldur, stack, {**environment, **token})


def _numbered(name: str, number: int) -> str:
    return f"{name}{number + 1}" if number else name


def state_of(cluster: RealCluster) -> Any:  # noqa: ANN401 - the model's Cluster
    """Read a real cluster with the service's own command, as a test's last look."""
    command = ShowAccounts(cluster.cluster)
    done = cluster.run("sacctmgr", *command.argv())
    return command.parse(done.stdout.splitlines())
