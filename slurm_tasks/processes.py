"""What is looked at before a worker or beat begins: its queues, and the files that it is to write.

Celery ends in a traceback for these; and of a beat that is a part of a worker, the worker lives on
without it.
"""

import tempfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from celery import Celery
from celery.apps import beat

from slurm_tasks.app import stop
from slurm_tasks.errors import ConfigurationError


class Beat(beat.Beat):
    """Beat, which looks at its files first."""

    def start_scheduler(self) -> None:
        """Start, or end with every problem."""
        files = {"--schedule": self.schedule, "--pidfile": self.pidfile}
        _stop_of(
            [problem for option, path in files.items() for problem in unwritable(option, path)]
        )
        super().start_scheduler()


def check_worker(app: Celery, options: Mapping[str, Any]) -> None:
    """Look at a worker's options; it ends with every problem.

    Args:
        app: the application.
        options: as Celery has read them.
    """
    problems = [*_unknown(app, options.get("queues"))]
    problems += unwritable("--pidfile", options.get("pidfile"))
    if options.get("beat"):
        schedule = options.get("schedule_filename") or app.conf.beat_schedule_filename
        problems += unwritable("--schedule", schedule)
    _stop_of(problems)


def _stop_of(problems: list[str]) -> None:
    if problems:
        stop(ConfigurationError(problems))


def _unknown(app: Celery, queues: str | Iterable[str] | None) -> Iterator[str]:
    """Yield what is wrong with the names of queues that a worker is to consume."""
    named = queues.split(",") if isinstance(queues, str) else queues or ()
    known = app.amqp.queues.keys()
    for name in named:
        if name not in known:
            yield (
                f"--queues: {name!r} is none of this service's queues ({', '.join(known)}); see"
                " CELERY_WALDUR_QUEUE, CELERY_HEADNODE_QUEUE"
            )


def unwritable(option: str, name: str | None) -> Iterator[str]:
    """Yield why a file can't be written, if it can't."""
    if not name:
        return
    path = Path(name)
    try:
        with tempfile.TemporaryFile(dir=path.parent):
            pass
        if path.exists():
            with path.open("r+b"):
                pass
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        yield (
            f"{option}: {path} can't be written ({reason}); name a file in a folder that this user"
            " may write to"
        )
