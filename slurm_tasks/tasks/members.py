"""Tasks about members: the team of each resource becomes the users of its account."""

from celery import Task, chain

from slurm_tasks.celery_settings import (
    MEMBERS_PLAN,
    MEMBERS_PUSH,
    MEMBERS_SYNC,
    MEMBERS_UNLINKED,
)
from slurm_tasks.model.messages import Intent, ReconcileReport, Status
from slurm_tasks.settings import Service, load
from slurm_tasks.tasks import cluster, runtime


@runtime.task(MEMBERS_SYNC)
def sync(self: Task) -> dict[str, int]:
    """Synchronise the users of every allocation."""
    from slurm_tasks.sync import members as flow
    from slurm_tasks.tasks.control import control

    request = flow.request(control())
    expires = runtime.lifetime(load(Service).members_interval)
    return runtime.hand_over(
        self,
        chain(
            cluster.reconcile.s(request.dump()).set(expires=expires),
            push.s().set(expires=expires),
        ),
    )


@runtime.task(MEMBERS_PLAN)
def plan(
    self: Task,
    apply: bool = False,
    allow_removals: int | None = None,
) -> ReconcileReport:
    """Plan everything for all of the offering's resources, and carry it out if asked to."""
    from slurm_tasks.sync import members as flow
    from slurm_tasks.tasks.control import control

    request = flow.request(control(), intent=Intent.UPDATE, dry_run=not apply)
    request = request.model_copy(update={"allow_removals": allow_removals})
    expires = runtime.lifetime(load(Service).members_interval)
    if apply:
        return runtime.hand_over(self, cluster.reconcile.s(request.dump()).set(expires=expires))
    return runtime.hand_over(
        self,
        chain(
            cluster.inspect.s(request.dump()).set(expires=expires),
            name_unlinked.s().set(expires=expires),
        ),
    )


@runtime.task(MEMBERS_UNLINKED)
def name_unlinked(self: Task, report: ReconcileReport) -> ReconcileReport:  # noqa: ARG001 - Celery binds it
    """Name the accounts of ours that Waldur doesn't know any more."""
    from slurm_tasks.sync import unlinked
    from slurm_tasks.tasks.control import control

    return unlinked.named(control(), report)


@runtime.task(MEMBERS_PUSH)
def push(self: Task, report: ReconcileReport) -> dict[str, int]:  # noqa: ARG001 - Celery binds it
    """Mirror the users in Waldur, where it has associations."""
    from slurm_tasks.sync import members as flow
    from slurm_tasks.tasks.control import control

    summary = flow.push(control(), report)
    if not summary[Status.DEFERRED] and not summary[Status.STOPPED]:
        runtime.succeeded("members")
    return summary
