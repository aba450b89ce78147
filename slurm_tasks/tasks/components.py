"""The task that sends the TRES configuration to the offering."""

from celery import Task

from slurm_tasks.celery_settings import COMPONENTS_LOAD
from slurm_tasks.tasks import runtime


@runtime.task(COMPONENTS_LOAD)
def load(self: Task) -> dict[str, list[str]]:  # noqa: ARG001 - Celery binds it
    """Create missing components, update different ones, leave the rest alone."""
    from dataclasses import asdict

    from slurm_tasks.sync import components as flow
    from slurm_tasks.tasks.control import control

    done = asdict(flow.load(control(strict=True)))
    runtime.succeeded("components")
    return done
