"""Tasks of the head node: the only ones that run SLURM's commands. They know no token."""

import structlog
from celery import Task

from slurm_tasks.celery_settings import (
    CLUSTER_CHECK,
    CLUSTER_COLLECT,
    CLUSTER_INSPECT,
    CLUSTER_RECONCILE,
    USAGE_PUSH,
)
from slurm_tasks.errors import LockHeldError, TransientError
from slurm_tasks.model.messages import (
    CheckRequest,
    CollectRequest,
    Outcome,
    ReconcileReport,
    ReconcileRequest,
    Status,
)
from slurm_tasks.settings import Service, load
from slurm_tasks.sync import cluster as flow
from slurm_tasks.sync import collect as collecting
from slurm_tasks.tasks import runtime
from slurm_tasks.tasks.headnode import headnode

log = structlog.stdlib.get_logger(__name__)


@runtime.task(CLUSTER_RECONCILE, retries=0)
def reconcile(self: Task, request: ReconcileRequest) -> ReconcileReport:  # noqa: ARG001 - Celery binds it
    """Bring allocations on the cluster to what Waldur wants.

    It is never retried: by then Waldur may want something else. What has to wait (jobs are ending,
    SLURM is away, somebody else writes) is deferred, and asked for anew.
    """
    order = next((item.order for item in request.items if item.order), None)
    if order:
        structlog.contextvars.bind_contextvars(order=order)
    try:
        return flow.reconcile(request, headnode())
    except TransientError as error:
        if request.last and not isinstance(error, LockHeldError):
            raise  # a final failure, told as every task's is
        log.warning("reconcile_deferred", reason=str(error))
        return _deferred(request, str(error))


def _deferred(request: ReconcileRequest, reason: str) -> ReconcileReport:
    outcomes = tuple(
        Outcome(
            resource=item.resource,
            order=item.order,
            account=item.backend_id,
            status=Status.DEFERRED,
            message=reason,
        )
        for item in request.items
    )
    return ReconcileReport(cluster="", outcomes=outcomes)


@runtime.task(CLUSTER_INSPECT)
def inspect(self: Task, request: ReconcileRequest) -> ReconcileReport:  # noqa: ARG001 - Celery binds it
    """Plan, and change nothing."""
    planned = request.model_copy(update={"dry_run": True})
    return flow.reconcile(planned, headnode())


@runtime.task(CLUSTER_COLLECT)
def collect(self: Task, request: CollectRequest, dry_run: bool = False) -> list[str]:
    """Measure allocations, and send what was found to the control side, 200 at a time.

    Returns:
        The ids of the tasks that post it.
    """
    ids = []
    for measurement in collecting.collect(request, headnode().cluster):
        sent = self.app.tasks[USAGE_PUSH].apply_async(
            (measurement.dump(),),
            {"dry_run": dry_run},
            expires=runtime.lifetime(load(Service).usage_interval),
        )
        ids.append(sent.id)
    return ids


@runtime.task(CLUSTER_CHECK, retries=0)
def check(self: Task, request: CheckRequest) -> list[dict[str, str]]:  # noqa: ARG001 - Celery binds it
    """Look at the cluster for `slurm-tasks check`; reads only."""
    from slurm_tasks.sync import check_slurm

    found = check_slurm.findings(headnode(), request)
    return [finding.model_dump(mode="json") for finding in found]
