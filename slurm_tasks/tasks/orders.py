"""Tasks about orders: find them, take them up, tell Waldur what became of them."""

from celery import Task, chain
from pydantic import NonNegativeInt

from slurm_tasks import stuck
from slurm_tasks.app import app
from slurm_tasks.celery_settings import ORDERS_COMPLETE, ORDERS_PROCESS, ORDERS_SYNC
from slurm_tasks.errors import InputError, OrderStuckError
from slurm_tasks.model.messages import ReconcileReport, ReconcileRequest, Status
from slurm_tasks.settings import Service, load
from slurm_tasks.tasks import cluster, runtime


@runtime.task(ORDERS_SYNC)
def sync(self: Task) -> list[dict[str, str]]:  # noqa: ARG001 - Celery binds it
    """Start one task for each order that waits for us; one that is stuck waits its time.

    Returns:
        The orders, with the id of the task that carries each out, or why it is stuck.
    """
    from slurm_tasks.sync import mending
    from slurm_tasks.sync import orders as flow
    from slurm_tasks.tasks.control import control

    side = control()
    orders = flow.waiting(side)
    reasons = stuck.waiting(app, (order.uuid for order in orders))
    started = []
    for order in orders:
        row = {"order": order.uuid, "type": order.type, "name": order.resource_name}
        if order.uuid in reasons:
            started.append({**row, "stuck": reasons[order.uuid]})
            continue
        expires = runtime.lifetime(load(Service).orders_interval)
        task = process.apply_async((order.uuid,), expires=expires)
        started.append({**row, "task": task.id})
    mending.mend(side)
    runtime.succeeded("orders")
    return started


def _stuck(order: str, error: OrderStuckError) -> dict[str, str]:
    """Tell that an order is stuck; the schedule tries it again, less and less often."""
    from slurm_tasks.sync import orders as flow

    interval = load(Service).orders_interval
    attempts, seconds = stuck.remember(app, order, str(error), interval)
    flow.tell_stuck(order, error, attempts=attempts, next_attempt_seconds=round(seconds))
    return {"order": order, "result": f"stuck: {error}"}


@runtime.task(ORDERS_PROCESS)
def process(self: Task, order: str, attempt: NonNegativeInt = 0) -> dict[str, str]:
    """Take up one order; its task's result is what became of it in the end.

    An attempt is counted for each time that it had to wait.

    Raises:
        InputError: its name is no uuid.
    """
    from slurm_tasks.model.names import fold_uuid
    from slurm_tasks.sync import orders as flow
    from slurm_tasks.tasks.control import control

    try:
        order = fold_uuid(order)
    except ValueError as error:
        raise InputError(str(error)) from None
    side = control()
    try:
        desired = flow.prepare(side, order)
    except OrderStuckError as error:
        return _stuck(order, error)
    if isinstance(desired, str):
        return {"order": order, "result": desired}
    interval = load(Service).orders_interval
    last = runtime.pause(attempt, interval) is None
    request = ReconcileRequest(items=(desired,), dry_run=side.read_only, last=last)
    expires = runtime.lifetime(interval)
    return runtime.hand_over(
        self,
        chain(
            cluster.reconcile.s(request.dump()).set(expires=expires),
            complete.s(attempt=attempt).set(expires=expires),
        ),
    )


@runtime.task(ORDERS_COMPLETE)
def complete(self: Task, report: ReconcileReport, attempt: NonNegativeInt = 0) -> dict[str, str]:
    """Tell Waldur what became of an order; one that has to wait is soon taken up anew.

    Anew, because what Waldur wants may be something else by then.
    """
    from slurm_tasks.sync import orders as flow
    from slurm_tasks.tasks.control import control

    (outcome,) = report.outcomes
    try:
        result = flow.complete(control(), outcome)
    except OrderStuckError as error:
        return _stuck(str(outcome.order), error)
    interval = load(Service).orders_interval
    pause = runtime.pause(attempt, interval) if outcome.status is Status.DEFERRED else None
    if pause is not None:
        again = process.s(outcome.order, attempt=attempt + 1)
        runtime.hand_over(self, again.set(countdown=pause, expires=runtime.lifetime(interval)))
    return {"order": str(outcome.order), "result": result}
