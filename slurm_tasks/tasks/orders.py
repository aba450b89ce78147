"""Tasks about orders: find them, take them up, tell Waldur what became of them."""

from celery import Task, chain

from slurm_tasks.celery_settings import ORDERS_COMPLETE, ORDERS_PROCESS, ORDERS_SYNC
from slurm_tasks.model.messages import ReconcileReport, ReconcileRequest
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

    started = [
        {
            "order": order.uuid,
            "type": order.type,
            "name": order.resource_name,
            "task": process.apply_async(
                (order.uuid,), expires=runtime.lifetime(load(Service).orders_interval)
            ).id,
        }
        for order in flow.waiting(control())
    ]
    runtime.succeeded("orders")
    return started


@runtime.task(ORDERS_PROCESS)
def process(self: Task, order: str) -> dict[str, str]:
    """Take up one order; its task's result is what became of it in the end."""
    from slurm_tasks.sync import orders as flow
    from slurm_tasks.tasks.control import control

    side = control()
    desired = flow.prepare(side, order)
    if isinstance(desired, str):
        return {"order": order, "result": desired}
    request = ReconcileRequest(items=(desired,), dry_run=side.read_only)
    expires = runtime.lifetime(load(Service).orders_interval)
    return runtime.hand_over(
        self,
        chain(
            cluster.reconcile.s(request.dump()).set(expires=expires),
            complete.s().set(expires=expires),
        ),
    )


@runtime.task(ORDERS_COMPLETE)
def complete(self: Task, report: ReconcileReport) -> dict[str, str]:  # noqa: ARG001 - Celery binds it
    """Tell Waldur what became of an order."""
    from slurm_tasks.sync import orders as flow
    from slurm_tasks.tasks.control import control

    (outcome,) = report.outcomes
    return {"order": str(outcome.order), "result": flow.complete(control(), outcome)}
