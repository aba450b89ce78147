"""The guard: stop, and say why, before a plan takes away more than a person would expect."""

import math

from slurm_tasks.errors import GuardError
from slurm_tasks.model import names
from slurm_tasks.model.changes import Change
from slurm_tasks.model.cluster import Cluster
from slurm_tasks.model.messages import Desired, Intent
from slurm_tasks.model.names import Kind
from slurm_tasks.model.plan import removals

FREE_REMOVALS = 5
SHARE = 0.2


def check_cluster(items: tuple[Desired, ...], state: Cluster) -> None:
    """Refuse to work on a cluster that holds nothing of what Waldur names.

    Create orders don't count: theirs may be the very first account, or one that comes back.

    Raises:
        GuardError: none of the named accounts, nor their customers' or projects', are there.
    """
    named = [item for item in items if item.backend_id and item.intent is not Intent.CREATE]
    standing = [item for item in named if item.intent is not Intent.TERMINATE]
    if not standing:
        return
    if any(state.get(item.backend_id) for item in named):
        return
    ours = {
        found for account in state.accounts.values() if (found := names.marker(account.description))
    }
    owners = {
        pair
        for item in standing
        for pair in ((Kind.PROJECT, item.project.uuid), (Kind.CUSTOMER, item.customer.uuid))
    }
    if not ours & owners:
        shown = ", ".join(item.backend_id for item in standing[:3])
        raise GuardError(
            f"cluster {state.name!r} has none of the {len(standing)} accounts that Waldur names"
            f" ({shown}, …): is it the right cluster and the right offering? Nothing was changed"
        )


def allowed_removals(items: tuple[Desired, ...], state: Cluster) -> int:
    """Say how many removals are normal: 5, or a fifth of the accounts' users if that is more."""
    accounts = [state.get(item.backend_id) for item in items if item.backend_id]
    present = [account for account in accounts if account]
    size = len(present) + sum(len(account.users) for account in present)
    return max(FREE_REMOVALS, math.ceil(SHARE * size))


def check_removals(
    plans: list[tuple[Desired, list[Change]]], state: Cluster, allowed: int | None
) -> None:
    """Refuse plans that together remove too much.

    Args:
        plans: each item with its plan; those of executing Terminate orders don't count, nor
            those of resources whose members have lost access on purpose.
        state: the cluster before.
        allowed: what an operator has allowed; None: what is normal.

    Raises:
        GuardError: they remove more.
    """
    standing = [(item, changes) for item, changes in plans if not item.expects_removals]
    count = sum(removals(changes) for _, changes in standing)
    limit = allowed_removals(tuple(i for i, _ in standing), state) if allowed is None else allowed
    if count > limit:
        raise GuardError(
            f"the plan removes {count} users' associations, more than the {limit} that the guard"
            f" lets pass; look at `slurm-tasks plan`, and if it is right run"
            f" `slurm-tasks apply --allow-removals {count}`"
        )
