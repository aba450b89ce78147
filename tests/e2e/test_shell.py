"""The shell against running workers, as an operator uses it; on simulated parts, for speed."""

import json
import statistics
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from resource import RUSAGE_CHILDREN, getrusage

import pytest

from slurm_tasks.demo.slurm import SlurmSimulator
from slurm_tasks.demo.stack import wait_until
from slurm_tasks.heartbeat import Heartbeat
from tests.support import service
from tests.support.service import PATIENCE, Service
from tests.support.shell import shell

pytestmark = pytest.mark.xdist_group("shell")  # one running service for all of them


@pytest.fixture(scope="module")
def simulator(tmp_path_factory: pytest.TempPathFactory) -> SlurmSimulator:
    """Give a simulated cluster."""
    return SlurmSimulator.create(tmp_path_factory.mktemp("cluster"))


@pytest.fixture(scope="module")
def run(simulator: SlurmSimulator, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """Give running workers without a schedule: only the shell starts something."""
    settings = service.environment_of(simulator, simulator.folder)
    folder = tmp_path_factory.mktemp("service")
    with service.running(folder, settings, beats=0) as running:
        wait_until(
            lambda: running.waldur.posts() and running._is_idle(), "components loaded", PATIENCE
        )
        yield running


def test_the_story_of_an_allocation_by_hand(run: Service, simulator: SlurmSimulator) -> None:
    """Orders, plan, members and usage do through the queue what they say."""
    env = run.environment
    project = run.project("alice", "bob")
    order = run.waldur.order_create(project, "By hand", {"cpu": 10, "gres/gpu": 1})
    listed = json.loads(shell(env, "orders", "list", "--json").stdout)
    assert [row["uuid"] for row in listed] == [order]

    done = shell(env, "orders", "process", order)
    assert (done.returncode, run.waldur.order(order)["state"]) == (0, "done"), done.stderr
    resource = run.waldur.order(order)["marketplace_resource_uuid"]
    account = run.account(resource)
    assert account in simulator.accounts()

    members = shell(env, "members", "sync", "--json")
    assert json.loads(members.stdout)["applied"] == 1
    assert simulator.accounts()[account].users == {"alice", "bob"}

    nothing = shell(env, "plan")
    assert (nothing.returncode, nothing.stdout) == (0, "1 allocations, 0 to change\n")
    run.leave(project, "bob")
    something = shell(env, "plan")
    assert something.returncode == 2
    assert f"remove bob from {account}" in something.stdout
    assert "bob" in simulator.accounts()[account].users, "a plan only reads"
    assert shell(env, "apply").returncode == 0
    assert simulator.accounts()[account].users == {"alice"}

    simulator.add_job(account, "alice", start=_first_of_month(), elapsed=3600, tres={"cpu": 3})
    shown = shell(env, "usage", "show")
    assert (shown.returncode, run.waldur.usages(resource)) == (0, {}), "showing posts nothing"
    assert "3.00" in shown.stdout
    assert shell(env, "usage", "report").returncode == 0
    assert {str(v) for (kind, _), v in run.waldur.usages(resource).items() if kind == "cpu"} == {
        "3.00"
    }
    assert "Waldur has what the cluster measured" in shell(env, "usage", "show").stdout

    order = run.waldur.order_terminate(resource)
    assert shell(env, "orders", "sync").returncode == 0
    assert run.waldur.order(order)["state"] == "done"
    assert account not in simulator.accounts()


def _first_of_month() -> float:
    from datetime import UTC, datetime
    from zoneinfo import ZoneInfo

    from slurm_tasks.model.usage import month_of

    return month_of(datetime.now(UTC), ZoneInfo("UTC")).start


def test_the_same_without_the_queue(run: Service) -> None:
    """With --local the shell does the work itself."""
    order = run.waldur.order_create(run.project("carol"), "Local", {"cpu": 1, "gres/gpu": 0})
    done = shell(run.environment, "orders", "sync", "--local")
    assert (done.returncode, run.waldur.order(order)["state"]) == (0, "done"), done.stderr
    assert shell(run.environment, "plan", "--local").returncode in {0, 2}
    assert shell(run.environment, "usage", "report", "--local", "--dry-run").returncode == 0


def _synced(
    run: Service, status: int, path: str, *options: str
) -> tuple[subprocess.CompletedProcess[str], dict[str, str]]:
    """Run `orders sync` while Waldur answers some requests so; return it and orders' results."""
    run.waldur.faults.add(kind="status", status=status, path=path, times=None)
    done = shell(run.environment, "orders", "sync", *options, "--json")
    run.waldur.faults.clear()
    return done, {row["order"]: row["result"] for row in json.loads(done.stdout)}


def test_an_order_that_waits_stops_no_other(run: Service) -> None:
    """What can't be done yet is said of the one, and the command fails; the others are done."""
    project = run.project("frank")
    waits, goes = (
        run.waldur.order_create(project, name, {"cpu": 1, "gres/gpu": 0})
        for name in ("Waits", "Goes")
    )
    done, results = _synced(run, 503, waits, "--local")
    assert done.returncode == 1
    assert results[goes].startswith("done: ")
    assert results[waits].startswith("waits: ")
    assert "503" in results[waits]
    assert shell(run.environment, "orders", "sync", "--local").returncode == 0
    assert run.waldur.order(waits)["state"] == "done"


def test_a_failed_task_hides_no_other(run: Service) -> None:
    """Through the queue, too: what became of the other orders is shown, and the command fails."""
    project = run.project("grace")
    fails, goes = (
        run.waldur.order_create(project, name, {"cpu": 1, "gres/gpu": 0})
        for name in ("Fails", "Fine")
    )
    done, results = _synced(run, 403, fails)
    assert done.returncode == 1
    assert results[goes].startswith("done: ")
    assert results[fails].startswith("failed: Create Fails: ")
    assert "403" in results[fails]
    assert shell(run.environment, "orders", "sync").returncode == 0
    assert run.waldur.order(fails)["state"] == "done"


def test_what_was_done_is_shown_though_waldur_goes_away_then(run: Service) -> None:
    """The look for resources that a refusal left erred comes last, and hides nothing."""
    order = run.waldur.order_create(run.project("heidi"), "Seen", {"cpu": 1, "gres/gpu": 0})
    done, results = _synced(run, 500, "resources/.*state=Erred", "--local")
    assert {uuid: result.split(":")[0] for uuid, result in results.items()} == {order: "done"}
    assert done.returncode == 1
    assert "500" in done.stderr


def test_a_refused_order_exits_with_1(run: Service) -> None:
    """An order that can't be carried out is a failure of the command, with its reason."""
    order = run.waldur.order_create(run.project("dave"), "Bad", {"cpu": -1, "gres/gpu": 0})
    done = shell(run.environment, "orders", "process", order)
    assert done.returncode == 1
    assert "-1" in done.stdout


def test_check_finds_everything_in_place(run: Service) -> None:
    """A sound installation has no failing line."""
    done = shell(run.environment, "check", "--json")
    findings = json.loads(done.stdout)
    assert (done.returncode, [f for f in findings if f["verdict"] == "failed"]) == (0, [])
    assert {"broker", "workers", "Waldur", "offering", "components", "SLURM", "TRES"} <= {
        f["what"] for f in findings
    }


def test_check_names_a_queue_without_a_worker(run: Service) -> None:
    """Whoever forgot to start a worker is told which, and how."""
    done = shell({**run.environment, "CELERY_HEADNODE_QUEUE": "elsewhere"}, "check")
    assert done.returncode == 1
    assert "celery -A slurm_tasks worker -Q elsewhere" in done.stdout


def test_workers_are_checked_without_a_token(run: Service) -> None:
    """Whoever only watches needs the broker and nothing else."""
    environment = {"CELERY_BROKER_URL": run.environment["CELERY_BROKER_URL"]}
    done = shell(environment, "check", "--workers", "--json")
    assert done.returncode == 0, done.stderr
    found = [(row["what"], row["verdict"]) for row in json.loads(done.stdout)]
    assert found == [("broker", "ok"), ("workers", "ok"), ("workers", "ok")]


def test_celery_can_call_tasks_as_well(run: Service) -> None:
    """`celery call` works without our shell."""
    done = subprocess.run(
        [sys.executable, "-m", "celery", "-A", "slurm_tasks", "call", "slurm_tasks.orders.sync"],
        env={"PATH": "/usr/bin:/bin", **run.environment},
        cwd=run.stack.folder,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_the_token_is_nowhere_to_be_read(run: Service) -> None:
    """Neither logs nor process lists hold the token; the head node's worker has none at all."""
    for name in ("control", "headnode"):
        assert run.waldur.token not in run.stack.log(name)
    lists = [path.read_bytes() for path in Path("/proc").glob("[0-9]*/cmdline") if path.exists()]
    assert not [line for line in lists if run.waldur.token.encode() in line]
    environ = Path(f"/proc/{run.stack.pid('headnode')}/environ").read_bytes()
    assert b"WALDUR_API" not in environ


def test_a_broker_that_is_away_is_said_at_once() -> None:
    """Without a broker a command ends with what to look at, not with a traceback."""
    settings = {
        "CELERY_BROKER_URL": "redis://:geheim@127.0.0.1:1/0",
        "WALDUR_API_URL": "http://127.0.0.1:1/",
        "WALDUR_API_TOKEN": "0" * 40,
        "WALDUR_OFFERING_UUID": "1" * 32,
    }
    done = shell(settings, "orders", "sync")
    assert done.returncode == 1
    assert "CELERY_BROKER_URL" in done.stderr
    assert "geheim" not in done.stderr + done.stdout
    assert "Traceback" not in done.stderr


def test_all_problems_of_the_settings_at_once() -> None:
    """`--local` reports every missing and wrong variable, and exits with 2."""
    done = shell(
        {"WALDUR_OFFERING_UUID": "nonsense", "SLURM_COMMAND_TIMEOUT": "-3"}, "check", "--local"
    )
    for name in (
        "WALDUR_API_URL",
        "WALDUR_API_TOKEN",
        "WALDUR_OFFERING_UUID",
        "SLURM_COMMAND_TIMEOUT",
    ):
        assert name in done.stdout
    listed = shell({"WALDUR_OFFERING_UUID": "nonsense"}, "orders", "list")
    assert listed.returncode == 2
    assert listed.stderr.count("slurm-tasks: ") == 3


def test_settings_are_listed_with_secrets_masked() -> None:
    """Every setting has a value, a source and a meaning; the token isn't shown."""
    done = shell(
        {"WALDUR_API_TOKEN": "topsecret", "SENTRY_DSN": "https://k@sentry/1"}, "settings", "--json"
    )
    rows = {row["variable"]: row for row in json.loads(done.stdout)}
    assert done.returncode == 0
    assert rows["WALDUR_API_TOKEN"]["source"] == "environment"
    assert "topsecret" not in done.stdout
    assert "k@sentry" not in done.stdout
    assert all(row["meaning"] for row in rows.values())


def test_mistyped_input_is_explained() -> None:
    """A wrong uuid, month or command says what is expected, and exits with 2."""
    assert "32 hex digits" in shell({}, "orders", "process", "12").stderr
    assert "YYYY-MM" in shell({}, "usage", "report", "--month", "2026-13").stderr
    assert shell({}, "orderss").returncode == 2


def processor_time(*argv: str) -> float:
    """Return the seconds of processor time that a command takes (median of 10)."""
    times = []
    for _ in range(10):
        before = getrusage(RUSAGE_CHILDREN)
        assert shell({}, *argv).returncode == 0
        after = getrusage(RUSAGE_CHILDREN)
        times.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return statistics.median(times)


def test_help_is_instant() -> None:
    """`--help` takes under 0.4 s of processor time."""
    assert processor_time("--help") < 0.4


def test_health_is_instant(tmp_path: Path) -> None:
    """A probe that runs every few seconds takes under 0.3 s of processor time."""
    file = tmp_path / "worker"
    Heartbeat(file).beat()
    assert processor_time("health", "--ready", f"--file={file}") < 0.3


def test_the_head_nodes_tasks_load_no_waldur() -> None:
    """Importing the head node's tasks loads neither httpx nor Waldur's client."""
    code = "import sys, slurm_tasks.tasks.cluster; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert not loaded & {"httpx", "waldur_api_client", "slurm_tasks.waldur.client"}


def test_an_edited_tres_configuration_is_loaded(run: Service) -> None:
    """The worker sends what the file says now, and names what is broken in it, restarts aside."""
    path = Path(run.environment["SLURM_TRES_CONFIG_PATH"])
    text = path.read_text(encoding="utf-8")
    try:
        path.write_text(text.replace("label: GPU", "label: Accelerators"), encoding="utf-8")
        loaded = shell(run.environment, "components", "load")
        assert (loaded.returncode, loaded.stdout.splitlines()[1]) == (0, "updated: gres/gpu")
        path.write_text(text.replace("label: GPU", "labels: GPU"), encoding="utf-8")
        broken = shell(run.environment, "components", "load")
        assert broken.returncode == 1
        assert "gres/gpu.labels" in broken.stderr
    finally:
        path.write_text(text, encoding="utf-8")
    again = shell(run.environment, "components", "load")
    assert (again.returncode, again.stdout.splitlines()[1]) == (0, "updated: gres/gpu")
