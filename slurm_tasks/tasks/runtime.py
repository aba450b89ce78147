"""What tasks have in common: how they are declared, retried, handed over, and when they expire."""

import random
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NoReturn

from celery import Task, signals

from slurm_tasks import metrics, sentry
from slurm_tasks.app import app
from slurm_tasks.celery_settings import VISIBILITY
from slurm_tasks.errors import InputError, TransientError
from slurm_tasks.settings import Service, load
from slurm_tasks.tasks.shown import shown

RETRIES = 7
BACKOFF, BACKOFF_MAX = 2, 60
"""Seconds until a retry: 2, 4, 8, … 60: about two minutes. Longer outages are the schedule's."""
PAUSES = (1 / 24, 1 / 12, 1 / 6, 1 / 3)
"""Until an order that has to wait is taken up anew, as parts of the schedule's interval."""
PAUSES_INTERVAL = 120.0
"""Seconds: of a longer interval the pauses are the same 5, 10, 20 and 40 s as of this one."""
LIFETIME_MIN = 60.0
"""Seconds that a message lives at least, however short the interval."""


class ReadableTask(Task):
    """A task whose arguments are shown to people in a few words, however it is sent."""

    def apply_async(
        self,
        args: Sequence[object] | None = None,
        kwargs: Mapping[str, object] | None = None,
        **options: object,
    ) -> Any:  # noqa: ANN401 - Celery's result
        """Send it."""
        return super().apply_async(args, kwargs, **{**shown(args, kwargs), **options})


def task(name: str, *, retries: int = RETRIES) -> Callable[[Callable[..., Any]], Any]:
    """Declare a task: typed JSON in and out, retried when an error is transient.

    Results are kept for an hour: people at the shell wait for them.
    """
    declared: Callable[[Callable[..., Any]], Any] = app.task(
        name=name,
        base=ReadableTask,
        bind=True,
        pydantic=True,
        pydantic_strict=False,
        ignore_result=False,
        autoretry_for=(TransientError,),
        throws=(InputError,),  # a sentence in the log, without a traceback
        max_retries=retries,
        default_retry_delay=BACKOFF,  # of a task whose process died; by default three minutes
        retry_backoff=BACKOFF,
        retry_backoff_max=BACKOFF_MAX,
        retry_jitter=True,
    )
    return declared


def hand_over(task: Any, signature: Any) -> NoReturn:  # noqa: ANN401 - Celery's own types
    """Let other tasks go on in a task's place: its result will be that of the last of them."""
    task.replace(signature)
    raise AssertionError("Celery's replace() does not return")  # pragma: no cover


def pause(attempt: int, interval: float) -> float | None:
    """Seconds until an order is taken up once more; None when that is the schedule's turn.

    Args:
        attempt: how often it was taken up anew already.
        interval: of the schedule in seconds; all pauses together are shorter.
    """
    if attempt >= len(PAUSES):
        return None
    longest = PAUSES[attempt] * min(interval, PAUSES_INTERVAL)
    return longest * random.uniform(0.8, 1)  # noqa: S311 - so that orders don't meet again


def succeeded(cycle: str) -> None:
    """Tell those who watch that a cycle came to a good end."""
    metrics.succeeded(cycle)
    sentry.check_in(load(Service), cycle)


def lifetime(interval: float) -> float:
    """Seconds after which a message is stale: by then the schedule has sent another.

    Well below the visibility timeout, so that what a killed worker leaves behind never runs late.
    """
    return min(max(LIFETIME_MIN, 2 * interval), VISIBILITY / 2)


@signals.task_failure.connect
def _count_failure(sender: Any, exception: Exception, **_: object) -> None:  # noqa: ANN401 - Celery's task
    metrics.task_failures.labels(sender.name, type(exception).__name__).inc()


@signals.task_revoked.connect
def _count_expired(expired: bool, **_: object) -> None:
    if expired:
        metrics.messages_refused.labels("expired").inc()
