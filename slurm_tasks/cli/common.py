"""What the commands have in common: options, errors, output, and waiting for a task."""

import functools
import json
import sys
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NoReturn, ParamSpec, TypeVar

import click

if TYPE_CHECKING:
    from celery.result import AsyncResult

    from slurm_tasks.sync.cluster import HeadNode
    from slurm_tasks.sync.control import Control

P = ParamSpec("P")
R = TypeVar("R")

FAILED, MISCONFIGURED = 1, 2
UNCLAIMED = 10
"""Seconds after which a person is told that no worker has taken a task."""
POLL = 0.1

as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON, for scripts.")
local = click.option("--local", is_flag=True, help="Run in this process, not through the queue.")
patience = click.option(
    "--timeout",
    default=600,
    show_default=True,
    type=click.IntRange(min=1),
    help="Seconds to wait for the workers.",
)


def through_queue(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command what all have that go through the queue: options, and errors as sentences."""
    return local(patience(as_json(reports_errors(command))))


def fail(message: object, code: int = FAILED) -> NoReturn:
    """Say what went wrong on stderr, and end."""
    for line in str(message).splitlines() or [""]:
        click.echo(f"slurm-tasks: {line}", err=True)
    raise SystemExit(code)


def reports_errors(command: Callable[P, R]) -> Callable[P, R]:
    """Turn this service's errors into a sentence and an exit code; 2 is the configuration's."""

    @functools.wraps(command)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> R:
        from slurm_tasks.errors import ConfigurationError, SlurmTasksError

        try:
            return command(*args, **kwargs)
        except ConfigurationError as error:
            fail(error, MISCONFIGURED)
        except SlurmTasksError as error:
            fail(error)
        except KeyboardInterrupt:
            fail("interrupted; what was sent to the workers goes on", 130)

    return wrapped


def print_json(value: object) -> None:
    """Print a value for scripts."""
    click.echo(json.dumps(value, indent=2, default=str, ensure_ascii=False))


def print_table(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print a table for people."""
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(*columns, box=box.SIMPLE_HEAD, pad_edge=False)
    for row in rows:
        table.add_row(*(Text(str(cell)) for cell in row))
    Console().print(table)


def quiet_logs() -> None:
    """Log errors only: the command's output says the rest."""
    from slurm_tasks import observability, settings

    service = settings.load(settings.Service)
    observability.configure_logging(service.model_copy(update={"log_level": "ERROR"}))


def local_control() -> "Control":
    """Make the control side for a command that runs here."""
    from dataclasses import replace

    from slurm_tasks.sync.told import Told
    from slurm_tasks.tasks.control import control

    quiet_logs()
    return replace(control(), first=Told().first)  # what a person is told, the log isn't


def local_headnode() -> "HeadNode":
    """Make the head node's side for a command that runs here."""
    from slurm_tasks.tasks.headnode import headnode

    return headnode()


def send(name: str, lifetime: float, *args: object, **kwargs: object) -> "AsyncResult":
    """Send a task by its name, once, without waiting for a broker that is away.

    It expires with the person's patience: what nobody waits for any more doesn't run hours later.
    """
    import slurm_tasks.tasks  # noqa: F401 - declares the tasks
    from slurm_tasks import broker
    from slurm_tasks.app import app

    broker.require(app, broker_shown())
    return app.tasks[name].apply_async(args, kwargs, retry=False, expires=lifetime)


def broker_shown() -> str:
    """Return the broker's URL as a person may see it."""
    from slurm_tasks import settings, settings_view

    return settings_view.mask_url(settings.load(settings.Service).broker_url.get_secret_value())


def result_of(identifier: str) -> "AsyncResult":
    """Return the result of a task that was sent by another one."""
    from celery.result import AsyncResult

    from slurm_tasks.app import app

    return AsyncResult(identifier, app=app)


def wait(result: "AsyncResult", what: str, timeout: float) -> Any:  # noqa: ANN401 - tasks' JSON
    """Wait for a task with progress on stderr, and return what it returned.

    Raises:
        SlurmTasksError: it failed, or nobody knows what became of it.
    """
    from redis.exceptions import RedisError
    from rich.console import Console

    from slurm_tasks.errors import PermanentError, SlurmTasksError

    began = time.monotonic()
    try:
        with Console(stderr=True).status(what) as status:
            while not result.ready():
                waited = time.monotonic() - began
                if waited > timeout:
                    raise SlurmTasksError(
                        f"{what}: no result within {timeout:g} s; the workers may go on with it"
                    )
                if waited > UNCLAIMED and result.state == "PENDING":
                    status.update(f"{what} (no worker has taken it yet; see `slurm-tasks check`)")
                time.sleep(POLL)
    except (RedisError, RuntimeError) as error:  # Celery's word for a lost backend is the latter
        raise SlurmTasksError(
            f"{what}: the broker went away while waiting ({error}); the workers may go on with it"
        ) from error
    if result.failed():
        kind = PermanentError if isinstance(result.result, PermanentError) else SlurmTasksError
        raise kind(f"{what}: {type(result.result).__name__}: {result.result}")
    if result.state == "REVOKED":
        raise SlurmTasksError(f"{what}: no worker took it in time; see `slurm-tasks check`")
    return result.result


def run(name: str, what: str, timeout: float, *args: object, **kwargs: object) -> Any:  # noqa: ANN401 - tasks' JSON
    """Send a task and wait for it."""
    return wait(send(name, timeout, *args, **kwargs), what, timeout)


def end(code: int) -> None:
    """End with an exit code, if it isn't 0."""
    if code:
        sys.exit(code)
