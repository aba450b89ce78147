"""Cleaning up: what the demo made on a real cluster goes, what was there before stays."""

from collections.abc import Iterator
from dataclasses import dataclass

from slurm_tasks.demo.stack import StackError, wait_until
from slurm_tasks.errors import LockHeldError, SlurmTasksError
from slurm_tasks.model.changes import RemoveUsers
from slurm_tasks.model.cluster import Cluster
from slurm_tasks.model.messages import Desired, Intent, Owner, ReconcileRequest, Status
from slurm_tasks.model.names import Kind
from slurm_tasks.sync.cluster import HeadNode, reconcile

PATIENCE = 60.0
"""Seconds that cancelled jobs may take to end."""


@dataclass(frozen=True)
class Ordered:
    """An allocation that the demo has ordered, whatever became of it; uuids of the demo's Waldur.

    Attributes:
        resource: the allocation's.
        project: its project's.
        customer: its customer's.
    """

    resource: str
    project: str
    customer: str


def remove(
    node: HeadNode, before: Cluster, ordered: list[Ordered], users: tuple[str, ...]
) -> list[str]:
    """Remove what the demo made; the workers must have ended.

    Args:
        node: the head node's side.
        before: the cluster before the demo.
        ordered: what the demo ordered.
        users: the demo's Unix users.

    Returns:
        What could not be removed, a sentence each.
    """
    problems = []
    request = ReconcileRequest(items=tuple(map(_ended, ordered)))
    newcomers = frozenset(users) - before.users()
    try:
        wait_until(
            lambda: _is_removed(request, newcomers, node), "its jobs have ended", PATIENCE, 1.0
        )
    except (StackError, SlurmTasksError) as error:
        problems.append(str(error))
    try:
        left = list(_left(node.cluster.read(), before, ordered, users))
    except SlurmTasksError as error:
        return [*problems, f"the cluster can't be read: {error}"]
    return [*problems, *left] if left else []  # what is gone in the end is no problem


def _ended(row: Ordered) -> Desired:
    return Desired(
        intent=Intent.TERMINATE,
        resource=row.resource,
        customer=Owner(uuid=row.customer),
        project=Owner(uuid=row.project),
        order=row.resource,  # an order is behind it: the guard counts no removals
    )


def _is_removed(request: ReconcileRequest, newcomers: frozenset[str], node: HeadNode) -> bool:
    try:
        outcomes = reconcile(request, node).outcomes
        _remove_defaults(newcomers, node)
    except LockHeldError:  # the site's own service writes at the moment
        return False
    return all(outcome.status is Status.APPLIED for outcome in outcomes)


def _remove_defaults(newcomers: frozenset[str], node: HeadNode) -> None:
    """Remove the association with the default account of users who had none at all before."""
    name = node.rules.user_default
    account = node.cluster.read().get(name) if name else None
    if account and (users := account.users & newcomers):
        with node.lock() as writer:
            node.cluster.apply(RemoveUsers(tuple(sorted(users)), account.name), writer)


def _left(
    now: Cluster, before: Cluster, ordered: list[Ordered], users: tuple[str, ...]
) -> Iterator[str]:
    for row in ordered:
        for kind, uuid in (
            (Kind.ALLOCATION, row.resource),
            (Kind.PROJECT, row.project),
            (Kind.CUSTOMER, row.customer),
        ):
            yield from (f"the account {account.name}" for account in now.marked(kind, uuid))
    for user in sorted((now.users() - before.users()) & {*users}):
        yield f"the user {user} in {', '.join(sorted(now.accounts_of(user)))}"
