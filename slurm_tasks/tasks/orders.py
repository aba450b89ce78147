"""Tasks about orders: find them, take them up, tell Waldur what became of them."""

from celery import Task, chain
from pydantic import NonNegativeInt

from slurm_tasks.celery_settings import ORDERS_COMPLETE, ORDERS_PROCESS, ORDERS_SYNC
from slurm_tasks.model.messages import ReconcileReport, ReconcileRequest, Status
from slurm_tasks.settings import Service, load
from slurm_tasks.tasks import cluster, runtime


@runtime.task(ORDERS_SYNC)
def sync(self: Task) -> list[dict[str, str]]:  # noqa: ARG001 - Celery binds it
    """Start one task for each order that waits for us.

    Returns:
        The orders, with the id of the task that carries each out.
    """
    from slurm_tasks.sync import orders as flow
    from slurm_tasks.tasks.control import control

    side = control()
    started = [
        {
            "order": order.uuid,
            "type": order.type,
            "name": order.resource_name,
            "task": process.apply_async(
                (order.uuid,), expires=runtime.lifetime(load(Service).orders_interval)
            ).id,
        }
        for order in flow.waiting(side)
    ]
    flow.mend(side)
    runtime.succeeded("orders")
    return started


@runtime.task(ORDERS_PROCESS)
def process(self: Task, order: str, attempt: NonNegativeInt = 0) -> dict[str, str]:
    """Take up one order; its task's result is what became of it in the end.

    An attempt is counted for each time that it had to wait.
    """
    from slurm_tasks.sync import orders as flow
    from slurm_tasks.tasks.control import control

    side = control()
    desired = flow.prepare(side, order)
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
    result = flow.complete(control(), outcome)
    interval = load(Service).orders_interval
    pause = runtime.pause(attempt, interval) if outcome.status is Status.DEFERRED else None
    if pause is not None:
        again = process.s(outcome.order, attempt=attempt + 1)
        runtime.hand_over(self, again.set(countdown=pause, expires=runtime.lifetime(interval)))
    return {"order": str(outcome.order), "result": result}
