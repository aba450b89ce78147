"""The runner: the only place that starts a process.

Argument lists only, absolute paths, an explicit environment, a timeout, stdout and stderr apart,
one audit line for each command.
"""

import os
import re
import signal
import subprocess
import tempfile
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import IO, Any, TypeVar

import structlog

from slurm_tasks import metrics
from slurm_tasks.errors import AccessDeniedError, CommandError, JobsActiveError, ParseError
from slurm_tasks.slurm.commands import CancelJobs, Command, Write

T = TypeVar("T")
log = structlog.stdlib.get_logger(__name__)

_UNCHANGED = re.compile(
    r"nothing (new )?(added|modified|deleted|removed)|already existing|didn't affect anything",
    re.IGNORECASE,
)
_NO_SUCH_USER = re.compile(r"invalid user", re.IGNORECASE)
"""scancel's word for a user whom Unix doesn't know any more; nothing of theirs runs here."""
_JOBS_ACTIVE = re.compile(r"job\(s\) active", re.IGNORECASE)
_DENIED = re.compile(
    r"access/permission denied|only admins|permission denied|not have permission"
    r"|doesn't have privilege|insufficient privilege|must be an? (admin|operator)",
    re.IGNORECASE,
)
_DOCKER = re.compile(
    r"error response from daemon|no such container|cannot connect to the docker daemon"
    r"|error during connect",
    re.IGNORECASE,
)
ENVIRONMENT = {"LC_ALL": "C", "TZ": "UTC", "SLURM_TIME_FORMAT": "%s"}
"""What commands are told: English, and times in UTC, read as dates and printed as seconds."""
_KEPT_LINES = 20
_GRACE = 5
"""Seconds between SIGTERM and SIGKILL for a command that does not end in time."""


@dataclass(frozen=True)
class Runner:
    """How commands are run on this head node.

    Attributes:
        bin_dir: where SLURM's programs are (inside the container, with docker).
        timeout: seconds until a command is ended.
        docker: the docker client's argv up to the container's name; empty for native.
        environment: what the commands see, and nothing else.
    """

    bin_dir: PurePosixPath
    timeout: float
    docker: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)

    def read(self, command: Command[T]) -> T:
        """Run a command that reads, and return what it says.

        Raises:
            CommandError: it could not be run, or failed.
            ParseError: its output is not understood.
        """
        value, _ = self._run(command, ())
        return value

    def write(self, command: Write, inherit: Sequence[int] = ()) -> str:
        """Run a command that changes the cluster.

        Args:
            command: the command.
            inherit: file descriptors that it keeps open, should it outlive this process.

        Returns:
            What SLURM said where it claims that nothing was changed, else an empty text; either
            way, only the state read back is the truth.

        Raises:
            JobsActiveError: a removal meets pending or running jobs.
            AccessDeniedError: the worker's user isn't an administrator.
            CommandError: it could not be run, or failed.
        """
        _, said = self._run(command, inherit)
        return said

    def _run(self, command: Command[T], inherit: Sequence[int]) -> tuple[T, str]:
        kind = type(command).__name__
        try:
            with metrics.slurm_command_seconds.labels(kind).time():
                return self._carried_out(command, inherit)
        except (CommandError, ParseError) as error:
            metrics.slurm_command_failures.labels(kind, type(error).__name__).inc()
            raise

    def _carried_out(self, command: Command[T], inherit: Sequence[int]) -> tuple[T, str]:
        argv = self._argv(command)
        shown = [command.program, *command.argv()]
        began = time.monotonic()
        code: int | None = None
        kept: deque[str] = deque(maxlen=_KEPT_LINES)
        with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as errors:
            try:
                process = self._start(argv, errors, inherit)
            except OSError as error:
                raise CommandError(shown, f"can't be run: {error}") from error
            try:
                allowed = self.timeout + (2 * _GRACE if self.docker else 0)
                with _deadline(process, allowed) as expired:
                    outcome = _parse(command, _recorded(process, kept))
                    code = process.wait()
            finally:
                _end(process)
                stderr = _tail(errors)
                seconds = time.monotonic() - began
                log.info(
                    "slurm_command",
                    argv=shown,
                    exit_code=code,
                    seconds=round(seconds, 3),
                    stderr=stderr[:500],
                )
        killed = code == _KILLED and seconds >= self.timeout
        if expired.is_set() or (self.docker and (code == _TIMED_OUT or killed)):
            raise CommandError(shown, f"did not end within {self.timeout:g} s", None, stderr)
        stdout = "\n".join(kept)
        said = _judge(command, shown, code, stdout, stderr)
        return outcome(), said

    def _argv(self, command: Command[Any]) -> list[str]:
        program = [str(self.bin_dir / command.program), *command.argv()]
        if not self.docker:
            return program
        # a command that hangs must not live on inside the container when its client is ended
        return [*self.docker, "timeout", f"--kill-after={_GRACE}", f"{self.timeout:g}", *program]

    def _start(
        self, argv: list[str], errors: IO[str], inherit: Sequence[int]
    ) -> "subprocess.Popen[str]":
        return subprocess.Popen(  # noqa: S603 - an argument list, built from checked names
            argv,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
            env={**self.environment},
            pass_fds=tuple(inherit),
            encoding="utf-8",
            errors="replace",
            start_new_session=True,  # a worker's Ctrl-C is not the command's
        )


_TIMED_OUT, _KILLED = 124, 137
"""Exit codes of timeout(1): it ended the command, or had to kill it; the second is also what is
left of a command whose container was stopped."""


@contextmanager
def _deadline(process: "subprocess.Popen[str]", seconds: float) -> Iterator[threading.Event]:
    """End a process that takes too long, and say that it did."""
    expired = threading.Event()

    def expire() -> None:
        expired.set()
        _end_group(process)

    timer = threading.Timer(seconds, expire)
    timer.daemon = True
    timer.start()
    try:
        yield expired
    finally:
        timer.cancel()


def _end(process: "subprocess.Popen[str]") -> None:
    """End a process if it still runs."""
    if process.poll() is None:
        _end_group(process)


def _end_group(process: "subprocess.Popen[str]") -> None:
    """End a process and what it started, politely, then not.

    A site's wrapper script dies first; what it started would hold the pipe that we read.
    """
    _signal_group(process, signal.SIGTERM)
    with suppress(subprocess.TimeoutExpired):
        process.wait(_GRACE)
    _signal_group(process, signal.SIGKILL)
    process.wait()


def _signal_group(process: "subprocess.Popen[str]", number: signal.Signals) -> None:
    with suppress(ProcessLookupError, PermissionError):  # gone, or another user's (sudo)
        os.killpg(process.pid, number)


def _recorded(process: "subprocess.Popen[str]", kept: deque[str]) -> Iterator[str]:
    """Yield the lines of stdout and remember the first few, for messages."""
    assert process.stdout  # noqa: S101 - it was opened as a pipe above
    with process.stdout as lines:
        for line in lines:
            if len(kept) < _KEPT_LINES:
                kept.append(line.rstrip("\n"))
            yield line


def _parse(command: Command[T], lines: Iterable[str]) -> Callable[[], T]:
    """Parse, but let a failed exit code speak first: half an output is what it leaves behind.

    Returns:
        A function that gives the value, or raises what was wrong with the output.
    """
    stream = iter(lines)
    try:
        value = command.parse(stream)
    except ParseError as error:
        failure = error
        for _ in stream:  # read to the end, or the command blocks on a full pipe
            pass
    else:
        return lambda: value

    def fail() -> T:
        raise failure

    return fail


def _tail(errors: IO[str]) -> str:
    errors.seek(0)
    return errors.read(4000).strip()


def _judge(
    command: Command[Any], shown: list[str], code: int | None, stdout: str, stderr: str
) -> str:
    """Decide what an exit code means; exit 1 is not always a failure of the goal."""
    if code == 0:
        return ""
    if _DOCKER.search(stderr):
        raise CommandError(shown, "docker can't reach the container", code, stderr)
    if code in command.accepted:
        return ""
    said = " ".join(f"{stdout} {stderr}".split())
    if isinstance(command, Write) and code == 1:
        if _JOBS_ACTIVE.search(said):
            raise JobsActiveError(shown, "jobs are still pending or running", code, stderr)
        if _UNCHANGED.search(said):
            return said
        if isinstance(command, CancelJobs) and _NO_SUCH_USER.search(said):
            return ""
    if _DENIED.search(said):
        reason = "refused: make the worker's user a SLURM administrator (sacctmgr add user …)"
        raise AccessDeniedError(shown, reason, code, said)
    hint = command.hints.get(code or 0)
    reason = f"exit code {code} ({hint})" if hint else f"exit code {code}"
    raise CommandError(shown, reason, code, stderr or stdout[:500])
