"""SLURM_DEPLOYMENT_TYPE=docker for real: `docker exec` into a head node that reaches a cluster."""

from __future__ import annotations

import signal
import subprocess
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path, PurePosixPath

import pytest

from slurm_tasks.demo.stack import wait_until
from slurm_tasks.errors import CommandError, JobsActiveError
from slurm_tasks.model import changes
from slurm_tasks.settings import Slurm, load
from slurm_tasks.slurm.commands import ShowTres, for_change
from slurm_tasks.slurm.runner import Runner
from slurm_tasks.tasks import headnode
from tests.docker.conftest import Head
from tests.support import service
from tests.support.clusters import RealCluster
from tests.support.service import PATIENCE

pytestmark = [
    pytest.mark.docker,
    pytest.mark.timeout(1800),
]  # the first may have to make all images

READ = ShowTres("lab")
(ADD,) = for_change(changes.AddAccount("physics", "waldur", "d", "o"), "lab")
(REMOVE,) = for_change(changes.RemoveAccount("physics", False), "lab")
(JOIN,) = for_change(changes.AddUsers(("alice",), "physics", "waldur"), "lab")
UNREACHED = "docker can't reach the container"


@pytest.fixture
def runner(head: Head, monkeypatch: pytest.MonkeyPatch) -> Runner:
    """The runner that a worker with the head node's settings has."""
    for name, value in head.settings.items():
        monkeypatch.setenv(name, value)
    return headnode._runner(load(Slurm))


def site(runner: Runner, timeout: float = 60) -> Runner:
    """Let programs of the test's stand in for SLURM's."""
    return replace(runner, bin_dir=PurePosixPath("/opt/site"), timeout=timeout)


def test_an_allocation_lives_and_ends(head: Head, cluster: RealCluster, tmp_path: Path) -> None:
    """Every command of the service works through `docker exec`, and does what it does natively."""
    settings = {**head.settings, "SLURM_LOCK_DIR": str(tmp_path)}
    with service.running(tmp_path, settings) as run:
        resource = run.create(run.project("alice"), "Genomics 2026", {"cpu": 1000, "gres/gpu": 1})
        name = run.account(resource)
        wait_until(
            lambda: service.state_of(cluster).accounts[name].users == {"alice"}, "alice", PATIENCE
        )
        cluster.submit("alice", name, seconds=600)
        run.until_order(run.waldur.order_terminate(resource), "done")
        assert set(service.state_of(cluster).accounts) == {"root", "waldur"}
        tools = {Path(command["argv"][0]).name for command in run.commands()}
        assert {"sacctmgr", "sacct", "scancel", "scontrol"} <= tools


def test_homes_are_made_in_the_container(head: Head, cluster: RealCluster, tmp_path: Path) -> None:
    """The container is asked who exists; who does gets a home there and is added, others wait."""
    inside = ("exec", head.name)
    head.engine.run(*inside, "useradd", "--no-create-home", "--uid=2001", "alice")
    settings = {
        **head.settings,
        "SLURM_LOCK_DIR": str(tmp_path),
        "ENABLE_USER_HOMEDIR_ACCOUNT_CREATION": "true",
    }
    with service.running(tmp_path, settings) as run:
        project = run.project("alice", "nobody-there")
        resource = run.create(project, "Genomics", {"cpu": 1000, "gres/gpu": 1})
        account = service.state_of(cluster).accounts[run.account(resource)]
    assert account.users == {"alice"}
    home = head.engine.run(*inside, "stat", "--format=%U %a", "/home/alice")
    assert home.split() == ["alice", "700"]


def test_exit_1_means_what_it_means_natively(runner: Runner, cluster: RealCluster) -> None:
    """A removal that finds nothing is no failure; one that finds a job is, and says so."""
    assert runner.write(REMOVE) != ""
    assert runner.write(ADD) == ""
    assert runner.write(JOIN) == ""
    cluster.submit("alice", "physics", seconds=600)
    with pytest.raises(JobsActiveError):
        runner.write(REMOVE)


@pytest.mark.parametrize("code", [1, 2, 3, 125, 126, 127, 255])
def test_exit_codes_pass_through(runner: Runner, head: Head, code: int) -> None:
    """Whatever a program in the container exits with is what the error tells, with its stderr."""
    head.program("sacctmgr", f"echo 'it went wrong' >&2; exit {code}")
    with pytest.raises(CommandError, match="it went wrong") as error:
        site(runner).write(ADD)
    assert error.value.exit_code == code


def test_a_missing_program_is_named(runner: Runner) -> None:
    """A container without SLURM's programs is a failure that tells which one isn't there."""
    elsewhere = replace(runner, bin_dir=PurePosixPath("/opt/nowhere"))
    with pytest.raises(CommandError, match="/opt/nowhere/sacctmgr"):
        elsewhere.read(READ)


def test_a_missing_container_is_away(runner: Runner) -> None:
    """No such container is docker's failure, never an answer of SLURM's."""
    name = "nobody"
    with pytest.raises(CommandError, match=UNREACHED):
        replace(runner, docker=(*runner.docker[:-1], name)).write(REMOVE)


@pytest.mark.parametrize(("away", "back"), [("stop", "start"), ("pause", "unpause")])
def test_a_container_that_stands_still_is_away(
    runner: Runner, head: Head, away: str, back: str
) -> None:
    """Stopped or paused, it is docker's failure; afterwards all is as before."""
    head.engine.run(away, *(["--time=0"] if away == "stop" else []), head.name)
    try:
        with pytest.raises(CommandError, match=UNREACHED):
            runner.write(REMOVE)
    finally:
        head.engine.run(back, head.name)
    assert "cpu" in runner.read(READ)


def test_an_engine_that_is_away_is_no_answer(runner: Runner) -> None:
    """Nobody at the socket is docker's failure."""
    nowhere = {**runner.environment, "DOCKER_HOST": "unix:///nowhere.sock"}
    with pytest.raises(CommandError, match=UNREACHED):
        replace(runner, environment=nowhere).write(REMOVE)


def test_a_command_whose_container_restarts_fails(runner: Runner, head: Head) -> None:
    """Cut off in the middle it is a failure, not a success; the next command works."""
    head.program("sacctmgr", "exec sleep 1001")
    error = during(
        site(runner), head, "sleep 1001", lambda: head.engine.run("restart", "-t0", head.name)
    )
    assert isinstance(error, CommandError)
    assert "cpu" in runner.read(READ)


def test_a_command_whose_engine_restarts_fails(runner: Runner, head: Head) -> None:
    """The engine's end is a failure of what it ran; once it is back, the next command works."""
    head.program("sacctmgr", "exec sleep 1002")

    def restart() -> None:
        head.engine.stop()
        head.engine.start()
        head.engine.run("start", head.name)

    error = during(site(runner), head, "sleep 1002", restart)
    assert isinstance(error, CommandError)
    assert "cpu" in runner.read(READ)


def during(
    runner: Runner, head: Head, running: str, act: Callable[[], object]
) -> BaseException | None:
    """Do something while a write runs, and return what became of the write."""
    errors: list[BaseException | None] = []

    def write() -> None:
        try:
            runner.write(ADD)
            errors.append(None)
        except CommandError as error:
            errors.append(error)

    thread = threading.Thread(target=write)
    thread.start()
    wait_until(lambda: running in head.processes(), "it runs", PATIENCE)
    act()
    thread.join(PATIENCE)
    (error,) = errors
    return error


def test_a_command_that_hangs_does_not_live_on(runner: Runner, head: Head) -> None:
    """It is ended inside the container, where a signal to its client wouldn't reach it."""
    head.program("sacctmgr", "exec sleep 1003")
    with pytest.raises(CommandError, match="did not end within 1 s"):
        site(runner, timeout=1).write(ADD)
    assert "sleep 1003" not in head.processes()


def test_a_command_that_ignores_signals_is_killed(runner: Runner, head: Head) -> None:
    """What doesn't end when it is told to is killed five seconds later."""
    head.program("sacctmgr", "trap '' TERM\nwhile :; do sleep 1; done")
    with pytest.raises(CommandError, match="did not end within 1 s"):
        site(runner, timeout=1).write(ADD)
    assert "/opt/site/sacctmgr" not in head.processes()


def test_a_command_whose_client_is_killed_ends_in_time(runner: Runner, head: Head) -> None:
    """A worker that is killed leaves a command behind, but not for longer than its timeout."""
    head.program("sacctmgr", "exec sleep 1004")
    with subprocess.Popen(
        site(runner, timeout=3)._argv(ADD), env={**runner.environment}, start_new_session=True
    ) as client:
        wait_until(lambda: "sleep 1004" in head.processes(), "it runs", PATIENCE)
        client.send_signal(signal.SIGKILL)
    assert "sleep 1004" in head.processes()
    wait_until(lambda: "sleep 1004" not in head.processes(), "it is ended", PATIENCE)
