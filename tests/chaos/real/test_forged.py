"""Messages forged into the broker: refused with a log line and a metric, nothing is executed."""

from __future__ import annotations

import json
import pickle
import re
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from slurm_tasks.demo.slurm import SlurmSimulator
from slurm_tasks.demo.stack import free_port
from slurm_tasks.errors import InputError
from tests.support import service
from tests.support.chaos import Chaos
from tests.support.service import Service

pytestmark = pytest.mark.xdist_group("forged")  # one running service for all of them

RECONCILE, INSPECT = "slurm_tasks.cluster.reconcile", "slurm_tasks.cluster.inspect"
PROCESS = "slurm_tasks.orders.process"
JSON = "application/json"
OWNER = {"uuid": "c1" * 16, "title": "University"}
ITEM = {"intent": "update", "resource": "a1" * 16, "customer": OWNER, "project": OWNER}
"""What the head node would carry out, were it not for what a test changes in it."""


class Exploit:
    """Writes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable[[Path, str], object], tuple[Path, str]]:
        """Say what unpickling calls."""
        return open, (self.path, "w")


@dataclass
class Forger:
    """Somebody who can write to the broker.

    Attributes:
        run: the service.
        slurm: its cluster.
        port: where the head-node worker serves its metrics.
        loot: the file that an executed exploit leaves.
        usual: the commands that a good message costs.
    """

    run: Service
    slurm: SlurmSimulator
    port: int
    loot: Path
    usual: list[tuple[str, ...]] = field(default_factory=list)

    def publish(
        self, body: str | bytes, headers: object, kind: str = JSON, queue: str = "headnode"
    ) -> None:
        """Put a message into a queue as it is."""
        app = self.run.app
        with app.connection_for_write() as connection:
            app.amqp.Producer(connection, auto_declare=False).publish(
                body,
                routing_key=queue,
                exchange=queue,
                headers=headers,
                content_type=kind,
                content_encoding="binary" if isinstance(body, bytes) else "utf-8",
                serializer=None,
            )

    def probe(self) -> list[tuple[str, ...]]:
        """Have a good message carried out, and return what was run on the cluster until then."""
        self.run.result(self.run.send(INSPECT, {"items": []}))
        return [command.argv for command in self.slurm.commands()]

    def metric(self, name: str, **labels: str) -> float:
        """Read one of the head-node worker's metrics."""
        url = f"http://127.0.0.1:{self.port}/metrics"
        with urllib.request.urlopen(url, timeout=10) as answer:
            text = answer.read().decode()
        wanted = {f'{key}="{value}"' for key, value in labels.items()}
        for line in text.splitlines():
            found = re.match(rf"waldur_slurm_{name}{{(.*)}} (\S+)", line)
            if found and wanted <= set(found[1].split(",")):
                return float(found[2])
        return 0

    def log(self, since: int = 0, worker: str = "headnode") -> str:
        """Return what a worker has logged."""
        return self.run.stack.log(worker)[since:]


@pytest.fixture(scope="module")
def forger(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Forger]:
    """Run the service on simulated parts, without a schedule."""
    slurm = SlurmSimulator.create(tmp_path_factory.mktemp("cluster"))
    new = ("name=physics", "cluster=lab", "parent=root", "description=physics", "organization=x")
    slurm.run("sacctmgr", "--parsable2", "--immediate", "add", "account", *new)
    assert "physics" in slurm.accounts()
    settings = service.environment_of(slurm, slurm.folder)
    folder, port = tmp_path_factory.mktemp("service"), free_port()
    with service.running(folder, settings, headnodes=0, beats=0) as run:
        run.stack.start_worker("headnode", METRICS_PORT=str(port))
        run.stack.wait_ready("headnode")
        forger = Forger(run, slurm, port, folder / "loot")
        forger.probe()  # the first task asks for the cluster's name
        slurm.clear_commands()
        forger.usual = forger.probe()
        yield forger


@pytest.fixture(autouse=True)
def _count_anew(forger: Forger) -> None:
    """Forget what was run."""
    forger.slurm.clear_commands()


def headers(task: object = RECONCILE, **changed: object) -> dict[str, object]:
    """Return the headers of a task's message, with some of them changed."""
    usual: dict[str, object] = {"lang": "py", "task": task, "id": str(uuid.uuid4()), "retries": 0}
    return {**usual, "eta": None, "expires": None, "timelimit": [None, None], **changed}


def body(*args: object, **kwargs: object) -> str:
    """Return the body of a task's message."""
    return json.dumps([args, kwargs, {"callbacks": None, "errbacks": None, "chain": None}])


NO_MESSAGES: dict[str, tuple[str, str, Callable[[Forger], None]]] = {
    "an unknown task": (
        "unknown_task",
        "slurm_tasks.cluster.shell",
        lambda f: f.publish(body("touch"), headers("slurm_tasks.cluster.shell")),
    ),
    "a function": (
        "unknown_task",
        "os.system",
        lambda f: f.publish(body(f"touch {f.loot}"), headers("os.system")),
    ),
    "pickle": (
        "content",
        "untrusted content of type pickle",
        lambda f: f.publish(
            pickle.dumps([[Exploit(f.loot)], {}, {}]), headers(), "application/x-python-serialize"
        ),
    ),
    "pickle of an older protocol": (
        "malformed",
        "unknown message",
        lambda f: f.publish(
            pickle.dumps({"task": RECONCILE, "id": "1", "args": [Exploit(f.loot)]}),
            *({}, "application/x-python-serialize"),
        ),
    ),
    "yaml": (
        "content",
        "untrusted content of type yaml",
        lambda f: f.publish(
            f"!!python/object/apply:os.system ['touch {f.loot}']", headers(), "application/x-yaml"
        ),
    ),
    "half a body": ("content", "decode message body", lambda f: f.publish('[[{"it', headers())),
    "an object as body": ("malformed", "unknown message", lambda f: f.publish("{}", headers())),
    "a number as body": ("malformed", "unknown message", lambda f: f.publish("5", headers())),
    "no headers": ("malformed", "unknown message", lambda f: f.publish(body(), {})),
    "a task's name that is a list": (
        "malformed",
        "unknown message",
        lambda f: f.publish(body(), headers(["x"])),
    ),
}


@pytest.mark.parametrize("case", NO_MESSAGES)
def test_what_is_no_task_of_ours_is_refused(chaos: Chaos, forger: Forger, case: str) -> None:
    """It is logged, counted and dropped; the message behind it is carried out."""
    reason, logged, forge = NO_MESSAGES[case]
    before, since = forger.metric("messages_refused_total", reason=reason), len(forger.log())

    with chaos.run("trust", f"forged: {reason.replace('_', ' ')}"):
        forge(forger)

        assert forger.probe() == forger.usual
        assert forger.metric("messages_refused_total", reason=reason) == before + 1
        assert logged in forger.log(since)
        assert f'"reason": "{reason}"' in forger.log(since)
        assert not forger.loot.exists()


def item(**changed: object) -> dict[str, Any]:
    """Return a request for one allocation, with some of it changed."""
    return {"items": [{**ITEM, **changed}]}


WRONG: dict[str, tuple[str, dict[str, Any]]] = {
    "text for a list": (RECONCILE, {"items": "all"}),
    "an unknown field": (RECONCILE, {"items": [], "command": "sacctmgr"}),
    "root": (RECONCILE, item(backend_id="root")),
    "an option": (RECONCILE, item(backend_id="--immediate")),
    "several accounts": (RECONCILE, item(backend_id="a,b")),
    "an expression": (RECONCILE, item(backend_id="cluster=lab")),
    "a line end": (RECONCILE, item(backend_id="hpc_1\n")),
    "the user root": (RECONCILE, item(users=["root"])),
    "a user that is an option": (RECONCILE, item(users=["-i"])),
    "a user to remove that is an option": (RECONCILE, {"items": [], "removable_users": ["-i"]}),
    "a number for a uuid": (RECONCILE, item(resource="1")),
    "a TRES that is an option": (RECONCILE, item(limits={"-1": 1})),
    "a limit that isn't whole": (RECONCILE, item(limits={"cpu": 1.5})),
    "an unknown intent": (RECONCILE, item(intent="purge")),
    "an account to measure": ("slurm_tasks.cluster.collect", {"accounts": {"-x": "a1" * 16}}),
}


@pytest.mark.parametrize("case", WRONG)
def test_arguments_of_the_wrong_types_are_refused(chaos: Chaos, forger: Forger, case: str) -> None:
    """The task fails before anything is run, in the log and in the metrics."""
    task, request = WRONG[case]
    labels = {"task": task, "error": "ValidationError"}
    before, since = forger.metric("task_failures_total", **labels), len(forger.log())

    with chaos.run("trust", "forged: arguments of the wrong types"):
        with pytest.raises(Exception, match="ValidationError"):
            forger.run.result(forger.run.send(task, request))

        assert forger.probe() == forger.usual
        assert forger.metric("task_failures_total", **labels) == before + 1
        assert "validation error" in forger.log(since)


@pytest.mark.parametrize("name", ["retries", "eta", "expires", "timelimit", "id", "parent_id"])
def test_no_header_stops_the_worker(chaos: Chaos, forger: Forger, name: str) -> None:
    """Whatever is forged of a message's headers, the message behind it is carried out."""
    with chaos.run("trust", "forged: headers"):
        values: tuple[object, ...] = ({}, ["x"], "x", -1, None, True)
        for value in values:
            forger.publish(body(item(backend_id="root")), headers(**{name: value}))

        assert forger.probe() == forger.usual


@pytest.mark.parametrize("intent", ["create", "update", "terminate", "members"])
@pytest.mark.parametrize("account", ["physics", "waldur"])
def test_an_account_that_is_not_ours_is_left_alone(
    chaos: Chaos, forger: Forger, intent: str, account: str
) -> None:
    """Neither a stranger's nor the default account is changed, though a message names it."""
    reason = {"reason": "foreign_account"}
    before = forger.metric("messages_refused_total", **reason)

    with chaos.run("trust", "forged: an account that isn't ours"):
        request = item(intent=intent, backend_id=account, users=["mallory"], limits={"cpu": 0})
        report = forger.run.result(forger.run.send(RECONCILE, request))

        (outcome,) = report["outcomes"]
        assert outcome["status"] == "refused"
        assert account in outcome["message"]
        assert not [command for command in forger.slurm.commands() if command.writes]
        assert forger.metric("messages_refused_total", **reason) == before + 1


@pytest.mark.parametrize("order", ["../users/me", "", "x" * 32])
def test_an_order_that_is_no_uuid_asks_waldur_nothing(
    chaos: Chaos, forger: Forger, order: str
) -> None:
    """What goes into a request's path is checked, as what goes into a command is."""
    asked = len(forger.run.waldur.requests)

    with chaos.run("trust", "forged: an order that is no uuid"):
        with pytest.raises(InputError, match="is not a uuid"):
            forger.run.result(forger.run.send(PROCESS, order))

        assert len(forger.run.waldur.requests) == asked


def test_a_task_for_the_other_side_finds_no_token(chaos: Chaos, forger: Forger) -> None:
    """A control task in the head node's queue fails: that worker knows nothing of Waldur."""
    asked = len(forger.run.waldur.requests)

    with chaos.run("trust", "forged: a task for the other side"):
        sent = headers(PROCESS)
        forger.publish(body("a1" * 16), sent)

        with pytest.raises(Exception, match="WALDUR_API_TOKEN is required"):
            forger.run.result(str(sent["id"]))
        assert forger.probe() == forger.usual
        assert len(forger.run.waldur.requests) == asked
