"""The token and the broker's password are nowhere to be seen, whatever happens to an order."""

from __future__ import annotations

import gzip
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest

from slurm_tasks.celery_settings import CLUSTER_RECONCILE
from slurm_tasks.demo.slurm import Fault
from slurm_tasks.demo.stack import free_port, wait_until
from tests.chaos.real.parts import Site, command_lines, site
from tests.support.chaos import Chaos
from tests.support.scripted import Scripted, scripted
from tests.support.service import PATIENCE
from tests.support.world import LIMITS

PASSWORD = "correct-horse-battery"  # of the broker
WATCHER = "watcher:staple-of-flower"
PAGES = ("tasks", "workers", "broker", "metrics", "api/tasks", "api/workers", "api/queues/length")
SITE = "task_annotations = {'*': {'max_retries': 1}}  # so that a final failure comes soon\n"


@dataclass
class Arguments:
    """The command lines of all processes, looked at again and again."""

    seen: set[str] = field(default_factory=set)

    def look(self) -> None:
        """Look at what runs now."""
        self.seen |= {" ".join(argv) for _, argv in command_lines()}


@contextmanager
def looking() -> Iterator[Arguments]:
    """Look at all command lines meanwhile."""
    arguments, over = Arguments(), threading.Event()

    def look() -> None:
        while not over.wait(0.02):
            arguments.look()

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield arguments
    finally:
        over.set()
        thread.join()


@dataclass
class Watched:
    """A service in which everything is watched.

    Attributes:
        site: the service.
        sentry: what stands in Sentry's place.
        port: Flower's.
        arguments: the command lines so far.
        environment: the head node's.
        kept: what the broker has held.
    """

    site: Site
    sentry: Scripted
    port: int
    arguments: Arguments
    environment: str
    kept: dict[str, str] = field(default_factory=dict)

    def keep(self) -> None:
        """Note what the broker holds at the moment."""
        for key, text in self.site.broker.contents():
            self.kept[key] = self.kept.get(key, "") + text

    def places(self) -> dict[str, str]:
        """Return all that anybody could see, by where it is."""
        stack = self.site.run.stack
        logs = {f"log of {path.stem}": path.read_text() for path in stack.folder.glob("*.log")}
        self.keep()
        return {
            **logs,
            **{f"key {key}": text for key, text in self.kept.items()},
            **{f"Flower {page}": text for page, text in self._pages()},
            "Sentry": "\n".join(
                gzip.decompress(body).decode(errors="replace") for body in self.sentry.bodies
            ),
            "command lines": "\n".join(self.arguments.seen),
            "environment of the head node": self.environment,
        }

    def _pages(self) -> Iterator[tuple[str, str]]:
        with httpx.Client(base_url=f"http://{WATCHER}@127.0.0.1:{self.port}/") as client:
            for page in PAGES:
                yield page, client.get(page).text
            for task in client.get("api/tasks").json():
                for page in (f"task/{task}", f"api/task/info/{task}"):
                    yield page, client.get(page).text
            for worker in client.get("api/workers", params={"refresh": True}).json():
                yield f"worker/{worker}", client.get(f"worker/{worker}").text


def environment(pid: int) -> str:
    """Return a process's environment, but for the broker's URL, which it needs."""
    variables = Path(f"/proc/{pid}/environ").read_text().split("\0")
    return "\n".join(line for line in variables if not line.startswith("CELERY_BROKER_URL="))


def found(places: dict[str, str], text: str) -> set[str]:
    """Return the places where a text stands."""
    return {place for place, content in places.items() if text in content}


@pytest.fixture
def watched(tmp_path: Path) -> Iterator[Watched]:
    """Run the service, and look at everything."""
    (tmp_path / "celeryconfig.py").write_text(SITE, encoding="utf-8")
    with looking() as arguments, scripted() as sentry:
        settings = {
            "LOG_LEVEL": "DEBUG",
            "SENTRY_DSN": sentry.url.replace("//", "//key@").replace("/api/", "/1"),
        }
        with site(tmp_path, password=PASSWORD, **settings) as started:
            stack = started.run.stack
            headnode = environment(stack.pid("headnode"))
            watched = Watched(started, sentry, free_port(), arguments, headnode)
            stack.start_flower(watched.port, WATCHER)
            wait_until(lambda: "Connected to" in stack.log("flower"), "Flower is up", PATIENCE)
            yield watched


def suffer(site: Site) -> None:
    """Let Waldur refuse in every way, and in its answers repeat the token that it was given."""
    token, faults = site.run.waldur.token, site.run.waldur.faults
    told = {"detail": f"Invalid token {token}", "non_field_errors": [f"Authorization: {token}"]}
    for status in (400, 401, 403, 500):
        faults.add(kind="rewritten", status=status, times=2, rewrite=lambda _: told)
    for status in (401, 403, 500, 502):
        faults.add(kind="status", status=status, times=2)
    faults.add(kind="redirect", status=302, times=2)
    wait_until(lambda: not faults.waiting, "Waldur has refused", PATIENCE)


def test_no_secret_is_seen(watched: Watched, chaos: Chaos) -> None:
    """Neither in logs, messages, results, Flower, Sentry nor arguments; an order's uuid is."""
    at, run = watched.site, watched.site.run
    with chaos.run("trust", "the token and the password are searched for") as row:
        project = at.begun("Searched")
        at.slurm.set_faults(Fault.database_away("set GrpTRESMins", times=2))
        at.everything(project)
        suffer(at)
        watched.keep()
        at.settle(row)
        order = run.waldur.order_create(project, "Last", LIMITS)
        run.until_order(order, "done")
        account = run.account(run.waldur.order(order)["marketplace_resource_uuid"])
        token_holder = environment(run.stack.pid("control"))
        run.stack.stop("headnode")
        run.stack.stop("beat")
        run.send(CLUSTER_RECONCILE, {"items": [], "note": order})  # it stays in the queue
        places = watched.places()

    for secret in (run.waldur.token, PASSWORD, WATCHER.partition(":")[2]):
        assert found(places, secret) == set()
    seen = {place for text in (order, account, *at.refused) for place in found(places, text)}
    assert {"log of control", "key headnode", "Flower api/tasks", "Sentry"} <= seen
    assert "--queues=headnode" in places["command lines"]
    assert f"WALDUR_API_TOKEN={run.waldur.token}" in token_holder
