"""The runner, with small shell scripts in the place of SLURM's programs."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path, PurePosixPath

import pytest
from structlog.testing import capture_logs

from slurm_tasks.errors import AccessDeniedError, CommandError, JobsActiveError, ParseError
from slurm_tasks.model import changes
from slurm_tasks.slurm import runner as module
from slurm_tasks.slurm.commands import AddAccount, RemoveAccount, ShowTres
from slurm_tasks.slurm.runner import Runner
from tests.support import meter

READ = ShowTres("lab")
WRITE = RemoveAccount("lab", changes.RemoveAccount("a1"))
ENVIRONMENT = {"PATH": "/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC"}
PATIENCE = 10


def script(path: Path, body: str) -> Path:
    """Write an executable shell script."""
    path.write_text(f"#!/bin/sh\n{body}\n", encoding="utf-8")
    path.chmod(0o755)
    return path


def until(condition: Callable[[], bool]) -> None:
    """Await a condition."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.01)


def gone(pid: int) -> bool:
    """Tell whether a process has ended, whoever reaps it."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rsplit(")", 1)[1][1] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., Runner]:
    """Return a function that makes a runner whose sacctmgr is a script."""

    def make(body: str, timeout: float = 60) -> Runner:
        script(tmp_path / "sacctmgr", body)
        return Runner(PurePosixPath(tmp_path), timeout, (), ENVIRONMENT)

    return make


def test_a_read_returns_what_the_program_printed(run: Callable[..., Runner]) -> None:
    """Standard output is parsed; what stands on stderr with exit 0 does no harm."""
    runner = run("printf 'Type|Name\\ncpu|\\ngres|gpu\\n'; echo 'a warning' >&2")

    assert runner.read(READ) == {"cpu", "gres/gpu"}


def test_arguments_arrive_as_they_are(run: Callable[..., Runner], tmp_path: Path) -> None:
    """Blanks, dollars and semicolons mean nothing: no shell reads them."""
    change = changes.AddAccount("a1", "p1", "two words; $(id) *", "o")

    run(f"printf '%s\\n' \"$@\" > {tmp_path}/args").write(AddAccount("lab", change))

    assert "description=two words; $(id) *" in (tmp_path / "args").read_text().splitlines()


def test_a_missing_program_is_an_error_with_its_command(tmp_path: Path) -> None:
    """Nothing ran: there is no exit code."""
    with pytest.raises(CommandError, match=r"sacctmgr .*show tres.*can't be run") as caught:
        Runner(PurePosixPath(tmp_path), 60, (), ENVIRONMENT).read(READ)

    assert caught.value.exit_code is None


def test_a_failure_tells_command_exit_code_and_stderr(run: Callable[..., Runner]) -> None:
    """Everything an operator needs stands in the error."""
    runner = run("echo 'Unable to connect to database' >&2; exit 3")

    with pytest.raises(CommandError) as caught:
        runner.read(READ)

    assert caught.value.argv[:2] == ("sacctmgr", "--parsable2")
    assert caught.value.exit_code == 3
    assert caught.value.stderr == "Unable to connect to database"
    assert "exit code 3: Unable to connect" in str(caught.value)


def test_a_failure_without_stderr_tells_what_it_printed(run: Callable[..., Runner]) -> None:
    """Some errors of sacctmgr stand on stdout."""
    with pytest.raises(CommandError, match="Bad format"):
        run("echo ' Bad format'; exit 1").read(READ)


def test_garbage_is_never_an_empty_answer(run: Callable[..., Runner]) -> None:
    """Exit 0 with something else than the listing is an error with its text."""
    with pytest.raises(ParseError, match="segfault"):
        run("echo 'segfault somewhere'").read(READ)


def test_no_output_at_all_is_never_an_empty_answer(run: Callable[..., Runner]) -> None:
    """Exit 0 and nothing said is an error, too."""
    with pytest.raises(ParseError):
        run("exit 0").read(READ)


def test_a_failed_command_with_half_an_output_is_a_failure(run: Callable[..., Runner]) -> None:
    """The exit code speaks before the parser does, with good rows and with bad ones."""
    for rows in ("Type|Name\\ncpu|\\n", "Type|Na"):
        with pytest.raises(CommandError, match="exit code 1: slurmdbd is gone"):
            run(f"printf '{rows}'; echo 'slurmdbd is gone' >&2; exit 1").read(READ)


def test_bytes_that_are_not_utf_8_are_an_error_at_most(run: Callable[..., Runner]) -> None:
    """They are replaced, not decoded strictly."""
    assert run("printf 'Type|Name\\n\\377|\\n'").read(READ) == {"\N{REPLACEMENT CHARACTER}"}


def test_much_output_on_both_streams_does_not_block(run: Callable[..., Runner]) -> None:
    """A megabyte on stderr before one on stdout: neither pipe is full."""
    lines = (
        "head -c 1000000 /dev/zero | tr '\\0' e >&2; echo 'Type|Name'; yes 'cpu|' | head -250000"
    )

    assert run(lines, 30).read(READ) == {"cpu"}


def test_much_garbage_is_read_to_its_end(run: Callable[..., Runner]) -> None:
    """A parser that gives up at the first line doesn't leave the command blocked."""
    with pytest.raises(CommandError, match="exit code 7"):
        run("yes garbage | head -250000; exit 7", 30).read(READ)


def test_stdin_is_empty(run: Callable[..., Runner]) -> None:
    """A program that asks something gets no answer, at once."""
    assert run("cat; echo 'Type|Name'", 30).read(READ) == frozenset()


@pytest.mark.parametrize(
    ("stdout", "stderr"),
    [
        (" Nothing deleted", ""),
        (" Nothing new added.", ""),
        (" Nothing modified", ""),
        (" Already existing account a1 on cluster lab", ""),
        ("", " Request didn't affect anything"),
    ],
)
def test_a_write_that_changed_nothing_is_no_failure(
    run: Callable[..., Runner], stdout: str, stderr: str
) -> None:
    """Exit 1 with such a text is passed on as what SLURM said; the read-back decides."""
    runner = run(f'echo "{stdout}"; echo "{stderr}" >&2; exit 1')

    assert runner.write(WRITE) == (stdout or stderr).strip()


def test_a_read_that_says_so_is_a_failure(run: Callable[..., Runner]) -> None:
    """Only writes may change nothing."""
    with pytest.raises(CommandError):
        run("echo ' Nothing modified'; exit 1").read(READ)


def test_a_write_that_succeeds_says_nothing(run: Callable[..., Runner]) -> None:
    """What sacctmgr prints with exit 0 is not trusted either way."""
    assert run("echo ' Deleting accounts...'").write(WRITE) == ""


def test_active_jobs_are_their_own_error(run: Callable[..., Runner]) -> None:
    """The order waits until they have ended."""
    text = "Error with request: Job(s) active, cancel job(s) before remove"

    with pytest.raises(JobsActiveError, match="jobs are still pending or running"):
        run(f"echo '{text}' >&2; echo '  JobID = 6' >&2; exit 1").write(WRITE)


@pytest.mark.parametrize(
    "text",
    [
        "Problem adding accounts: Access/permission denied",
        "Only admins/operators/coordinators can add accounts",
    ],
)
def test_missing_rights_are_their_own_error(run: Callable[..., Runner], text: str) -> None:
    """The message says what an operator has to do."""
    with pytest.raises(AccessDeniedError, match="make the worker's user a SLURM administrator"):
        run(f"echo '{text}' >&2; exit 1").write(WRITE)


def test_a_command_that_takes_too_long_is_ended(run: Callable[..., Runner], tmp_path: Path) -> None:
    """The process is gone when the error comes."""
    runner = run(f"echo $$ > {tmp_path}/pid; exec sleep 60", timeout=0.3)

    with pytest.raises(CommandError, match=r"did not end within 0\.3 s") as caught:
        runner.read(READ)

    assert caught.value.exit_code is None
    assert gone(int((tmp_path / "pid").read_text()))


def test_what_a_wrapper_started_is_ended_with_it(
    run: Callable[..., Runner], tmp_path: Path
) -> None:
    """A site's wrapper script that hangs in its own child doesn't hang us."""
    runner = run(f"sleep 60 & echo $! > {tmp_path}/pid; wait", timeout=0.3)
    began = time.monotonic()

    with pytest.raises(CommandError, match="did not end within"):
        runner.read(READ)

    assert time.monotonic() - began < PATIENCE
    until(lambda: gone(int((tmp_path / "pid").read_text())))


def test_a_child_that_keeps_the_output_open_does_not_hang_us(
    run: Callable[..., Runner], tmp_path: Path
) -> None:
    """The program ended, its child holds the pipe: at the timeout that ends, too."""
    runner = run(f"echo 'Type|Name'; sleep 60 & echo $! > {tmp_path}/pid", timeout=0.3)

    with pytest.raises(CommandError, match="did not end within"):
        runner.read(READ)

    until(lambda: gone(int((tmp_path / "pid").read_text())))


def test_a_command_that_ignores_sigterm_is_killed(
    run: Callable[..., Runner], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a grace period it is ended all the same."""
    monkeypatch.setattr(module, "_GRACE", 0.1)
    runner = run(f"trap '' TERM; echo $$ > {tmp_path}/pid; while :; do sleep 0.1; done", 0.3)

    with pytest.raises(CommandError, match="did not end within"):
        runner.read(READ)

    assert gone(int((tmp_path / "pid").read_text()))


def test_an_interrupted_worker_ends_its_command(
    run: Callable[..., Runner], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A time limit that strikes in the middle of reading leaves no process behind."""

    class TimeLimit(Exception):  # noqa: N818 - as Celery's
        """Stands for Celery's soft time limit."""

    pid = tmp_path / "pid"

    def strike(*_: object) -> None:
        until(lambda: pid.exists() and pid.read_text().endswith("\n"))
        raise TimeLimit

    runner = run(f"echo $$ > {tmp_path}/pid; echo 'Type|Name'; exec sleep 60")
    monkeypatch.setattr(module, "_recorded", strike)

    with pytest.raises(TimeLimit):
        runner.read(READ)

    assert gone(int(pid.read_text()))


def test_the_environment_is_explicit(
    run: Callable[..., Runner], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the worker knows (tokens among it) is not what SLURM's programs see."""
    monkeypatch.setenv("WALDUR_API_TOKEN", "secret")

    run(f"env > {tmp_path}/env").write(WRITE)

    seen = dict(line.split("=", 1) for line in (tmp_path / "env").read_text().splitlines())
    assert {key: seen[key] for key in ENVIRONMENT} == ENVIRONMENT
    assert set(seen) - set(ENVIRONMENT) <= {"PWD", "OLDPWD", "SHLVL", "_"}


def test_only_a_descriptor_that_is_handed_over_is_inherited(
    run: Callable[..., Runner], tmp_path: Path
) -> None:
    """The lock's descriptor is open in the command; every other one is closed."""
    runner = run(f"ls -l /proc/$$/fd > {tmp_path}/fds")
    with tempfile.TemporaryFile() as lock, tempfile.TemporaryFile() as other:
        os.set_inheritable(other.fileno(), True)
        runner.write(WRITE, (lock.fileno(),))

        links = (tmp_path / "fds").read_text().splitlines()
        names = {line.split(" -> ")[0].split()[-1] for line in links if " -> " in line}
        assert str(lock.fileno()) in names
        assert str(other.fileno()) not in names


def test_one_audit_line_tells_what_was_run(run: Callable[..., Runner]) -> None:
    """Command, exit code and stderr, also of a failure."""
    with capture_logs() as logs, pytest.raises(CommandError):
        run("echo no >&2; exit 1").write(WRITE)

    (line,) = [entry for entry in logs if entry["event"] == "slurm_command"]
    assert line["argv"] == ["sacctmgr", *WRITE.argv()]
    assert line["exit_code"] == 1
    assert line["stderr"] == "no"
    assert line["seconds"] >= 0


@pytest.fixture
def docker(tmp_path: Path) -> Callable[..., Runner]:
    """Return a function that makes a runner whose docker client is a script."""

    def make(body: str, timeout: float = 60) -> Runner:
        client = script(tmp_path / "docker", f"printf '%s\\n' \"$@\" > {tmp_path}/args\n{body}")
        argv = (str(client), "exec", "--env=TZ=UTC", "head")
        return Runner(PurePosixPath("/opt/slurm/bin"), timeout, argv, ENVIRONMENT)

    return make


def test_with_docker_the_command_runs_inside_under_its_own_timeout(
    docker: Callable[..., Runner], tmp_path: Path
) -> None:
    """A command that hangs would live on in the container when its client is ended."""
    assert docker("echo 'Type|Name'").read(READ) == frozenset()

    words = (tmp_path / "args").read_text().splitlines()
    inside = ["timeout", "--kill-after=5", "60", "/opt/slurm/bin/sacctmgr"]
    assert words == ["exec", "--env=TZ=UTC", "head", *inside, *READ.argv()]


@pytest.mark.parametrize("body", ["exit 124", "sleep 0.2; exit 137"])
def test_a_timeout_inside_the_container_is_a_timeout(
    docker: Callable[..., Runner], body: str
) -> None:
    """timeout(1) says so by its exit code."""
    with pytest.raises(CommandError, match=r"did not end within 0\.1 s") as caught:
        docker(body, timeout=0.1).read(READ)

    assert caught.value.exit_code is None


def test_a_kill_before_its_time_is_no_timeout(docker: Callable[..., Runner]) -> None:
    """A command that ends with its container has timeout's exit code for a kill, too early."""
    with pytest.raises(CommandError, match="exit code 137"):
        docker("exit 137").read(READ)


@pytest.mark.parametrize(
    "text",
    [
        "Error response from daemon: No such container: head",
        "Error: No such container: head",
        "Cannot connect to the Docker daemon at unix:///var/run/docker.sock.",
    ],
)
def test_a_container_that_is_away_is_not_what_slurm_said(
    docker: Callable[..., Runner], text: str
) -> None:
    """Exit 1 is docker's here: never `nothing changed`, never active jobs."""
    with pytest.raises(CommandError, match="docker can't reach the container"):
        docker(f"echo '{text}' >&2; exit 1").write(WRITE)


def test_a_program_that_the_container_lacks_is_a_failure(docker: Callable[..., Runner]) -> None:
    """Exit 126 and 127 are neither success nor a timeout."""
    with pytest.raises(CommandError, match="exit code 127"):
        docker("exit 127").read(READ)


def test_commands_are_timed_and_failures_counted(run: Callable[..., Runner]) -> None:
    """By the kind of command, and by the kind of error."""
    meter.reset()
    run("printf 'Type|Name\\ncpu|\\n'").read(READ)
    with pytest.raises(CommandError):
        run("exit 1").read(READ)

    assert meter.read("command_duration_seconds_count", command="ShowTres") == 2
    assert meter.read("command_failures_total", command="ShowTres", error="CommandError") == 1
