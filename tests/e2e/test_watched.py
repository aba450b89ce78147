"""What those who watch get of running processes: metrics, error reports, signs of life."""

from __future__ import annotations

import gzip
import json
import os
import re
import signal
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families
from sentry_sdk.envelope import Envelope

from slurm_tasks import celery_settings as names
from slurm_tasks import heartbeat
from slurm_tasks.demo.slurm import Fault, SlurmSimulator
from slurm_tasks.demo.stack import Stack, free_port, wait_until
from slurm_tasks.heartbeat import READY, WAITING
from tests.support import service
from tests.support.processes import children
from tests.support.scripted import Scripted, scripted
from tests.support.service import PATIENCE, Service

pytestmark = pytest.mark.xdist_group("watched")  # one running service for all of them

SITE = "task_annotations = {'*': {'max_retries': 1}}  # so that a final failure comes soon\n"
NOWHERE = "redis://:hunter2@127.0.0.1:1/0"


@dataclass(frozen=True)
class Watched:
    """A running service, and what watches it.

    Attributes:
        run: the service.
        simulator: its cluster.
        sentry: what stands in Sentry's place.
        ports: where each worker's metrics are.
    """

    run: Service
    simulator: SlurmSimulator
    sentry: Scripted
    ports: dict[str, int]

    def file(self, process: str) -> Path:
        """Return the heartbeat of a process."""
        return self.run.stack.folder / f"{process}.alive"

    def metrics(self, worker: str) -> dict[tuple[str, str], float]:
        """Return what Prometheus reads of a worker: sums by name and (first) label."""
        text = httpx.get(f"http://127.0.0.1:{self.ports[worker]}/metrics").text
        sums: dict[tuple[str, str], float] = defaultdict(float)
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                sums[sample.name, next(iter(sample.labels.values()))] += sample.value
        return sums

    def reported(self, kind: str) -> list[Any]:
        """Return what Sentry was told: the items of a type."""
        envelopes = [Envelope.deserialize(gzip.decompress(body)) for body in self.sentry.bodies]
        items = [item for envelope in envelopes for item in envelope.items]
        return [json.loads(item.get_bytes()) for item in items if item.type == kind]


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    """Run two workers and beat, watched in every way."""
    simulator = SlurmSimulator.create(tmp_path_factory.mktemp("cluster"))
    folder = tmp_path_factory.mktemp("service")
    (folder / "celeryconfig.py").write_text(SITE, encoding="utf-8")
    ports = {"control": free_port(), "headnode": free_port()}
    with scripted() as sentry:
        settings = {
            **service.environment_of(simulator, folder),
            "SENTRY_DSN": sentry.url.replace("//", "//key@").replace("/api/", "/1"),
            "TMPDIR": str(folder),
        }
        with service.running(folder, settings, controls=0, headnodes=0, beats=0) as run:
            watched = Watched(run, simulator, sentry, ports)
            for worker, port in ports.items():
                own = {"METRICS_PORT": str(port), "HEARTBEAT_FILE": str(watched.file(worker))}
                run.start_worker(worker, **own)
            for worker in ports:
                run.stack.wait_ready(worker)
            run.stack.start_beat(HEARTBEAT_FILE=str(watched.file("beat")))
            yield watched


def test_each_worker_exports_its_side(watched: Watched) -> None:
    """Requests to Waldur from one, SLURM's commands from the other, by all of their processes."""
    run = watched.run
    run.create(run.project("alice"), "Genomics 2026", {"cpu": 10, "gres/gpu": 1})

    done = ("waldur_slurm_orders_total", "done")
    wait_until(lambda: watched.metrics("control")[done] == 1, "the order is counted", PATIENCE)
    headnode = watched.metrics("headnode")
    assert headnode["waldur_slurm_command_duration_seconds_count", "AddAccount"] == 3
    assert not any(
        name.startswith("waldur_slurm_command_") for name, _ in watched.metrics("control")
    )


def test_each_cycle_tells_of_its_success(watched: Watched) -> None:
    """Prometheus gets a time, Sentry a check-in."""
    cycles = {"orders", "members", "usage"}
    name = "waldur_slurm_cycle_last_success_timestamp_seconds"

    wait_until(
        lambda: all((name, cycle) in watched.metrics("control") for cycle in cycles),
        "a success of each cycle",
        PATIENCE,
    )
    wait_until(
        lambda: cycles <= {told["monitor_slug"] for told in watched.reported("check_in")},
        "a check-in of each cycle",
        PATIENCE,
    )
    assert {told["status"] for told in watched.reported("check_in")} == {"ok"}


def test_counters_outlive_a_process_of_the_pool(watched: Watched) -> None:
    """Who takes a killed one's place goes on with its values, and leaves no file behind."""
    count = ("waldur_slurm_command_duration_seconds_count", "ShowAccounts")
    stack = watched.run.stack
    (folder,) = (
        path.parent
        for path in stack.folder.glob("slurm-tasks-metrics-*/histogram_0.db")
        if "ShowAccounts" in path.read_bytes().decode(errors="replace")
    )
    before = watched.metrics("headnode")[count]
    (child,) = children(stack.pid("headnode"))
    os.kill(child, signal.SIGKILL)

    seen = [before]

    def grown() -> bool:
        seen.append(watched.metrics("headnode")[count])
        return seen[-1] > before and children(stack.pid("headnode")) != [child]

    wait_until(grown, "the new process has run a command", PATIENCE)
    assert all(earlier <= later for earlier, later in pairwise(seen))
    owners = {path.stem.rpartition("_")[2] for path in folder.iterdir()}
    assert owners == {"parent", "0"}  # the only place in the pool, whoever takes it


def test_a_port_that_is_taken_ends_the_start(watched: Watched) -> None:
    """Two workers with one port would mean one that nobody watches (exit 2)."""
    stack = watched.run.stack
    stack.start_worker("headnode", "second", METRICS_PORT=str(watched.ports["headnode"]))

    assert stack.wait_ended("second") == 2
    assert "METRICS_PORT: can't listen" in stack.log("second")


def test_a_final_failure_is_one_event(watched: Watched) -> None:
    """However often it was retried; with what the command said, and no secret."""
    run = watched.run
    watched.simulator.set_faults(Fault(argv="withassoc", exit_code=1, stderr="so sad", times=None))
    task = run.send(names.CLUSTER_INSPECT, {"items": []})

    def events() -> list[Any]:
        return [e for e in watched.reported("event") if task in e.get("tags", {}).values()]

    wait_until(events, "the event", PATIENCE)
    watched.simulator.set_faults()
    (event,) = events()
    assert len(re.findall(rf"{task}\] retry", run.stack.log("headnode"))) == 1
    assert event["contexts"]["slurm_command"]["stderr"] == "so sad"
    sent = b"".join(map(gzip.decompress, watched.sentry.bodies)).decode()
    assert run.environment["WALDUR_API_TOKEN"] not in sent


def test_a_broker_that_is_away_is_one_event_of_beat(watched: Watched) -> None:
    """Beat reports as well, and not at each of its attempts; it lives all the while."""
    stack, file = watched.run.stack, watched.file("lonely")
    stack.start_beat("lonely", CELERY_BROKER_URL=NOWHERE, HEARTBEAT_FILE=str(file))
    wait_until(lambda: stack.log("lonely").count("Trying again") >= 3, "attempts", PATIENCE)

    def events() -> list[Any]:
        found = watched.reported("event")
        return [e for e in found if e.get("logger") == "celery.beat"]

    wait_until(events, "the event", PATIENCE)
    renewed_though_old(file)
    assert len(events()) == 1
    assert "hunter2" not in str(watched.reported("event"))
    stack.stop("lonely")


@pytest.mark.parametrize("process", ["control", "headnode", "beat"])
def test_who_works_is_ready(watched: Watched, process: str) -> None:
    """Each process renews its file by its main loop, again and again."""
    file = watched.file(process)
    wait_until(file.exists, "the first heartbeat", PATIENCE)
    renewed_though_old(file)
    assert heartbeat.look(file)[0] == READY


def test_a_worker_without_its_broker_lives(watched: Watched) -> None:
    """It waits, for as long as it takes, and isn't ready."""
    stack, file = watched.run.stack, watched.file("waiting")
    stack.start_worker("headnode", "waiting", CELERY_BROKER_URL=NOWHERE, HEARTBEAT_FILE=str(file))
    wait_until(lambda: "Trying again" in stack.log("waiting"), "an attempt", PATIENCE)

    renewed_though_old(file)
    assert heartbeat.look(file)[0] == WAITING
    stack.stop("waiting")


def test_a_main_loop_that_stands_still_is_seen(watched: Watched) -> None:
    """A worker whose loop hangs in a command (it has no pool) doesn't count as alive."""
    simulator, run, file = watched.simulator, watched.run, watched.file("solo")
    queue = {"CELERY_HEADNODE_QUEUE": "solo", "SLURM_COMMAND_TIMEOUT": "25"}
    worker = ("-m", "celery", "-A", "slurm_tasks", "worker", "--queues=solo", "--pool=solo")
    run.stack.start("solo", *worker, "--hostname=solo@%h", HEARTBEAT_FILE=str(file), **queue)
    wait_until(lambda: file.exists() and heartbeat.look(file)[0] == READY, "ready", PATIENCE)
    simulator.set_faults(Fault(argv="show tres", hang=True))
    beside = replace(run, environment={**run.environment, **queue})
    beside.send(names.CLUSTER_CHECK, {})

    wait_until(lambda: heartbeat.look(file)[1] > 3 * heartbeat.INTERVAL, "old", PATIENCE)
    simulator.set_faults()
    wait_until(lambda: heartbeat.look(file)[1] < heartbeat.INTERVAL, "beating again", PATIENCE)


def test_a_heartbeat_that_cannot_be_written_ends_the_start(tmp_path: Path) -> None:
    """A probe would end the worker for it later (exit 2)."""
    with Stack(tmp_path, {"SLURM_DEPLOYMENT_TYPE": "native"}) as stack:
        stack.start_worker("headnode", HEARTBEAT_FILE=str(tmp_path / "missing" / "file"))
        assert stack.wait_ended("headnode") == 2
        assert "HEARTBEAT_FILE: " in stack.log("headnode")


def renewed_though_old(file: Path) -> None:
    """Let a heartbeat have happened long ago, and wait until it is renewed."""
    then = time.time() - 1000
    os.utime(file, (then, then))
    wait_until(lambda: heartbeat.look(file)[1] < 100, "renewed", PATIENCE)
