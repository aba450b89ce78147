"""Collecting: what the cluster has of allocations, and what they used."""

from collections.abc import Iterator
from datetime import UTC, datetime

from slurm_tasks import metrics
from slurm_tasks.model.billing import payers
from slurm_tasks.model.cluster import Cluster
from slurm_tasks.model.messages import AllocationState, CollectRequest, Measurement
from slurm_tasks.slurm.cluster import SlurmCluster
from slurm_tasks.sync.measure import Measured, measure

BATCH = 200
"""Most allocations in one message of measurements."""


def collect(request: CollectRequest, cluster: SlurmCluster) -> Iterator[Measurement]:
    """Measure allocations: two listings of the cluster, one sacct for each period.

    A period whose job records slurmdbd has thrown away, even in part, is named and not measured;
    nor is one whose records can't be read.

    Yields:
        Measurements of at most 200 allocations each.

    Raises:
        TransientError: the cluster could not be read.
    """
    measured_at = datetime.now(UTC)
    state = cluster.read()
    names = tuple(sorted(request.accounts))
    metrics.accounts_missing.labels(state.name).set(sum(not state.get(name) for name in names))
    records = cluster.accounting()
    tree = {**cluster.lineage(records), **state.accounts}
    accounts = payers(names, tree, request.others)
    measured = measure(cluster, request.periods, accounts, records, request.billed)
    for start in range(0, len(names), BATCH):
        yield Measurement(
            cluster=state.name,
            measured_at=measured_at,
            allocations=tuple(
                _allocation(name, request.accounts[name], state, measured)
                for name in names[start : start + BATCH]
            ),
            purged=measured.purged,
            failed=dict(measured.failed),
            unconfirmed=measured.unconfirmed,
        )


def _allocation(name: str, resource: str, state: Cluster, measured: Measured) -> AllocationState:
    account = state.get(name)
    readings = measured.readings
    return AllocationState(
        resource=resource,
        account=name,
        present=account is not None,
        limits=dict(account.limits) if account else {},
        unread_limits=dict(account.unread_limits) if account else {},
        users=tuple(sorted(account.users)) if account else (),
        usage=tuple(r.usage[name] for r in readings.values() if name in r.usage),
        unread_usage={m: r.unread[name] for m, r in readings.items() if name in r.unread},
    )
