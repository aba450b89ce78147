"""Tasks about usage: ask for it, post it."""

from typing import Any

from celery import Task

from slurm_tasks.celery_settings import USAGE_PUSH, USAGE_REPORT
from slurm_tasks.errors import InputError
from slurm_tasks.model.messages import Measurement
from slurm_tasks.settings import Service, load
from slurm_tasks.tasks import cluster, runtime


@runtime.task(USAGE_REPORT)
def report(
    self: Task,
    months: list[str] | None = None,
    dry_run: bool = False,
    closing: bool = False,
) -> list[str]:
    """Have the allocations measured this month and in the one before, or in months given.

    Args:
        self: the task.
        months: others (`YYYY-MM`).
        dry_run: post nothing.
        closing: do nothing unless a month is about to end.

    Returns:
        The ids of the tasks that post what was found.

    Raises:
        InputError: one isn't a month.
    """
    from slurm_tasks.model.usage import month
    from slurm_tasks.sync import months as turns
    from slurm_tasks.sync import usage as flow
    from slurm_tasks.tasks.control import control

    side = control()
    if closing and not turns.is_closing(side):
        return []
    try:
        periods = tuple(month(text, side.zone) for text in months or ())
    except ValueError as error:
        raise InputError(str(error)) from None
    request = flow.request(side, periods, dry_run=dry_run)
    if not request.accounts:
        runtime.succeeded("usage")
        return []
    return runtime.hand_over(
        self,
        cluster.collect.s(request.dump(), dry_run=dry_run).set(
            expires=runtime.lifetime(load(Service).usage_interval)
        ),
    )


@runtime.task(USAGE_PUSH)
def push(
    self: Task,  # noqa: ARG001 - Celery binds it
    measurement: Measurement,
    dry_run: bool = False,
) -> dict[str, Any]:
    """Post what differs: usage, limits, associations."""
    from slurm_tasks.sync import usage as flow
    from slurm_tasks.tasks.control import control

    report = flow.push(control(), measurement, dry_run=dry_run)
    if not dry_run and not report.failed:
        runtime.succeeded("usage")
    return report.summary()
