"""What can't work ends in a sentence that says what to do, and with the README's exit code."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from slurm_tasks import example
from slurm_tasks.demo.slurm import SlurmSimulator
from slurm_tasks.demo.stack import embedded_broker, free_port, wait_until
from slurm_tasks.demo.waldur import WaldurSimulator
from tests.support import service
from tests.support.scripted import HTML, Answer, scripted
from tests.support.service import PATIENCE
from tests.support.shell import SHELL, shell

pytestmark = pytest.mark.xdist_group("sentences")  # one Waldur, broker and cluster for all of them

UUID = 32 * "0"
QUEUED = ("orders sync", f"orders process {UUID}", "plan", "apply", "usage show", "members sync")
LOCAL = ("orders sync --local", "plan --local", "usage report --local", "members sync --local")
ALONE = ("orders list", "check", "check --local", *LOCAL)
"""Commands that ask Waldur by themselves."""


@dataclass(frozen=True)
class Place:
    """Where commands and processes are started.

    Attributes:
        folder: the working directory, with a TRES configuration.
        settings: with which all of it works, but that no worker runs.
    """

    folder: Path
    settings: Mapping[str, str]

    def shell(self, command: str, **changed: str) -> subprocess.CompletedProcess[str]:
        """Run a command with some settings changed."""
        return shell({**self.settings, **changed}, *command.split(), cwd=self.folder)

    def celery(self, command: str, **changed: str) -> subprocess.CompletedProcess[str]:
        """Start a process that can't begin, and wait for its end."""
        return subprocess.run(
            [sys.executable, "-m", "celery", "-A", "slurm_tasks", *command.split()],
            env={"PATH": os.environ["PATH"], **self.settings, **changed},
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """Give a broker, a Waldur and a cluster that work."""
    folder = tmp_path_factory.mktemp("place")
    (folder / "config-components.yaml").write_text(example.read(), encoding="utf-8")
    (folder / "folder").mkdir()
    (folder / "garbage").write_bytes(b"\xff\xfe\x00garbage")
    slurm = service.environment_of(SlurmSimulator.create(folder / "cluster"), folder)
    with embedded_broker() as broker, WaldurSimulator() as waldur:
        own = {
            "CELERY_BROKER_URL": broker,
            "WALDUR_API_URL": waldur.url,
            "WALDUR_API_TOKEN": waldur.token,
            "WALDUR_OFFERING_UUID": waldur.offering_uuid,
            "SLURM_REQUIRE_UNIX_USER": "false",
        }
        yield Place(folder, {**slurm, **own})


def ends(done: subprocess.CompletedProcess[str], code: int, words: str) -> None:
    """Make sure that it said what to do, in a sentence, and nothing of where it stood."""
    said = done.stdout + done.stderr
    assert "Traceback" not in said, said
    assert words in said
    assert done.returncode == code, said


@pytest.mark.parametrize("command", [*QUEUED, *LOCAL[:2], LOCAL[3], "check", "check --workers"])
def test_the_broker_is_away(place: Place, command: str) -> None:
    """Each command that needs it says which broker, and whose setting that is."""
    done = place.shell(command, CELERY_BROKER_URL="redis://:geheim@127.0.0.1:1/0")
    if command == "plan --local":  # changes nothing, and needs no lock
        assert done.returncode == 0, done.stderr
    elif command == "orders sync --local":  # with no order that waits
        assert done.stdout == "no orders wait\n"
    else:
        ends(done, 1, "CELERY_BROKER_URL")
    assert "geheim" not in done.stdout + done.stderr


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("redis://127.0.0.1:{port}/99", "DB index is out of range"),
        ("redis://127.0.0.1:{waldur}/0", "CELERY_BROKER_URL"),
        ("redis://nowhere.invalid:6379/0", "nowhere.invalid"),
    ],
    ids=["database", "another server", "host"],
)
@pytest.mark.parametrize("command", ["members sync --local", "check --workers"])
def test_the_broker_refuses(place: Place, command: str, path: str, words: str) -> None:
    """Like one that is away."""
    port, waldur = (
        place.settings[name].split(":")[2].split("/")[0]
        for name in ("CELERY_BROKER_URL", "WALDUR_API_URL")
    )
    broker = path.format(port=port, waldur=waldur)
    ends(place.shell(command, CELERY_BROKER_URL=broker), 1, words)


@pytest.mark.parametrize("command", ALONE)
def test_waldur_is_away(place: Place, command: str) -> None:
    """Each command that asks Waldur says so."""
    ends(place.shell(command, WALDUR_API_URL="http://127.0.0.1:1/"), 1, "Connection refused")


@pytest.mark.parametrize("command", ["orders list", "check", "plan --local"])
def test_waldur_is_something_else(place: Place, command: str) -> None:
    """A web page isn't an answer."""
    with scripted() as server:
        server.say([Answer(200, "<html><title>Welcome</title></html>", HTML)])
        ends(place.shell(command, WALDUR_API_URL=server.url), 1, "is not JSON")


PROBLEMS = {
    "CELERY_BROKER_URL": "redis://:gehe/#im@broker:6379/0",
    "CELERY_RESULT_BACKEND": "amqp://results",
    "CELERY_TLS_CERT": "garbage",
    "CELERY_TLS_VERIFY": "garbage",
    "HEARTBEAT_FILE": "folder/missing/beat",
    "METRICS_PORT": "http",
    "ORDERS_SYNC_INTERVAL": "soon",
}
"""Values of settings of every process that can't be used."""
CONTROL = {
    "BILLING_TIME_ZONE": "Mars/Phobos",
    "REQUESTS_VERIFY_SSL": "nowhere.pem",
    "SLURM_TRES_CONFIG_PATH": "folder",
    "WALDUR_API_TOKEN": "two words",
    "WALDUR_API_URL": "http://wal dur:port/",
    "WALDUR_OFFERING_UUID": "foo",
}
HEADNODE = {"SLURM_BIN_DIR": "bin", "SLURM_COMMAND_TIMEOUT": "-1", "SLURM_DEFAULT_ACCOUNT": "a b"}


@pytest.mark.parametrize(
    ("process", "variable", "value"),
    [
        *(("worker -Q waldur", *item) for item in [*PROBLEMS.items(), *CONTROL.items()]),
        *(("worker -Q headnode", *item) for item in HEADNODE.items()),
        ("worker -Q headnode", "HEARTBEAT_FILE", "folder"),
        ("beat --pidfile=", "HEARTBEAT_FILE", "folder/missing/beat"),
        ("beat --pidfile=", "CELERY_BROKER_URL", "redis://:gehe/#im@broker:6379/0"),
        ("worker -Q waldur", "SLURM_TRES_CONFIG_PATH", "garbage"),
        ("worker -Q waldur", "SLURM_TRES_CONFIG_PATH", "missing.yaml"),
    ],
)
def test_a_process_refuses_its_settings(
    place: Place, process: str, variable: str, value: str
) -> None:
    """Exit code 2, and a line that begins as all of ours do and names variable or file."""
    done = place.celery(process, **{variable: value})
    ends(done, 2, "slurm-tasks: ")
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("slurm-tasks: ")]
    assert variable in line or value in line
    assert "gehe" not in done.stdout + done.stderr


@pytest.mark.parametrize(
    ("process", "words"),
    [
        (
            "beat --pidfile= --schedule=missing/file",
            "--schedule: missing/file can't be written (No",
        ),
        (
            "beat --pidfile= --schedule=folder",
            "--schedule: folder can't be written (Is a directory",
        ),
        ("beat --pidfile=missing/file", "--pidfile: missing/file can't be written (No such"),
        ("worker -Q headnode --beat --schedule=missing/file", "--schedule: missing/file can't be"),
        ("worker -Q headnode --pidfile=missing/file", "--pidfile: missing/file can't be written"),
        ("worker -Q nobodys", "--queues: 'nobodys' is none of this service's queues (waldur, head"),
        ("worker -Q waldur,", "--queues: '' is none of this service's queues"),
    ],
)
def test_a_process_refuses_its_options(place: Place, process: str, words: str) -> None:
    """Celery's own, too."""
    ends(place.celery(process), 2, words)


def test_a_broken_schedule_is_begun_anew(place: Place, tmp_path: Path) -> None:
    """With a line in the log: what it holds is only when things ran last."""
    schedule = tmp_path / "schedule"
    schedule.write_bytes(b"garbage")
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "celery", "-A", "slurm_tasks", "beat", "--pidfile="),
            f"--schedule={schedule}",
        ],
        env={"PATH": os.environ["PATH"], **place.settings, "HEARTBEAT_FILE": f"{tmp_path}/beat"},
        cwd=tmp_path,
        stderr=(tmp_path / "err").open("wb"),
    )
    try:
        alive = tmp_path / "beat"
        wait_until(
            lambda: alive.exists() and alive.read_text("utf-8") == "ready", "beat ticks", PATIENCE
        )
    finally:
        process.terminate()
        process.wait(PATIENCE)
    said = (tmp_path / "err").read_text(encoding="utf-8")
    assert "schedule_begun_anew" in said
    assert "Traceback" not in said


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("orders process foo", "'foo' is not a uuid"),
        ("orders process --local \u00e4", "'\u00e4' is not a uuid"),
        ("usage show --month 2026-13", "'2026-13' is not a month"),
        ("usage show --month \u0662\u0660\u0662\u0666-01", "is not a month"),
        ("usage report --month 9999-12 --local", "'9999-12' is not a month"),
        ("usage report --from 0001-01 --to 0001-02", "'0001-01' is not a month"),
        ("usage report --to 2026-01", "--from"),
        ("usage report --from 2026-02 --to 2026-01", "is after"),
        ("plan --timeout 0", "--timeout"),
        ("apply --allow-removals -1", "--allow-removals"),
        ("orders process", "Missing argument"),
        ("demo --users alice", "name three"),
        ("health", "HEARTBEAT_FILE"),
        ("flower --no-auth --port=http", "FLOWER_"),
        ("flower --port=1", "FLOWER_BASIC_AUTH"),
    ],
)
def test_a_mistyped_argument(place: Place, command: str, words: str) -> None:
    """Each is named, with what it should be."""
    ends(place.shell(command), 2, words)


@pytest.mark.parametrize("path", ["folder", "garbage", "missing"])
def test_a_heartbeat_that_is_none(place: Place, path: str) -> None:
    """Whatever the file is, a probe only says that nobody is ready."""
    ends(place.shell(f"health --ready --file {path}"), 1, "slurm-tasks: ")


def test_a_port_that_is_taken(place: Place) -> None:
    """Flower names its settings."""
    port = free_port()
    with scripted() as server:
        port = int(server.url.split(":")[2].split("/")[0])
        taken = {"FLOWER_BASIC_AUTH": "me:secret", "FLOWER_PORT": str(port)}
        ends(place.shell("flower", **taken), 2, "FLOWER_ADDRESS, FLOWER_PORT")
        metrics = {"METRICS_PORT": str(port)}
        ends(place.celery("worker -Q headnode", **metrics), 2, "METRICS_ADDRESS, METRICS_PORT")


@pytest.mark.parametrize("command", ["settings", "components list", "orders list --json"])
def test_nobody_reads_what_is_printed(place: Place, command: str) -> None:
    """As with `| head`: it ends, and says nothing of broken pipes."""
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run(
        [SHELL, *command.split()],
        env={"PATH": "/usr/bin:/bin", "PYTHONUNBUFFERED": "1", **place.settings},
        cwd=place.folder,
        stdout=write,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    os.close(write)
    assert "Traceback" not in done.stderr
    assert "BrokenPipe" not in done.stderr
    assert done.returncode in {0, 1}


@pytest.mark.parametrize("command", ["members sync", "orders sync"])
def test_somebody_loses_patience(place: Place, command: str) -> None:
    """Ctrl-C ends the waiting, and says what becomes of what was sent."""
    with subprocess.Popen(
        [SHELL, *command.split()],
        env={"PATH": "/usr/bin:/bin", **place.settings},
        cwd=place.folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        client = service.broker_client(place.settings["CELERY_BROKER_URL"])
        wait_until(lambda: client.llen("waldur"), "it is sent", PATIENCE)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=PATIENCE)
        client.delete("waldur")
    assert process.returncode == 130
    assert "interrupted; what was sent to the workers goes on" in said
    assert "Traceback" not in said


def test_a_task_that_is_called_wrongly(place: Place, tmp_path: Path) -> None:
    """Whoever sends it by Celery finds a sentence in the log, and in the task's result."""
    slurm = {name: place.settings[name] for name in place.settings if name.startswith("SLURM_")}
    with service.running(tmp_path, slurm, headnodes=0, beats=0) as run:
        for task, argument, words in (
            ("slurm_tasks.orders.process", ("foo",), "'foo' is not a uuid"),
            ("slurm_tasks.usage.report", (["2026-13"],), "'2026-13' is not a month"),
        ):
            sent = run.send(task, *argument)
            with pytest.raises(Exception, match=words):
                run.result(sent)
        assert "Traceback" not in run.stack.log("control")
        assert "raised expected: InputError" in run.stack.log("control")
