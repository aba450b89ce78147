"""Collecting: what the cluster has of allocations, and what they used."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime

from slurm_tasks import metrics
from slurm_tasks.model.cluster import Cluster
from slurm_tasks.model.messages import AllocationState, CollectRequest, Measurement
from slurm_tasks.model.usage import Period, Reading
from slurm_tasks.slurm.cluster import SlurmCluster

BATCH = 200
"""Most allocations in one message of measurements."""


def collect(request: CollectRequest, cluster: SlurmCluster) -> Iterator[Measurement]:
    """Measure allocations: one listing of the cluster, one sacct for each period.

    A period whose job records slurmdbd has thrown away, even in part, is named and not measured.

    Yields:
        Measurements of at most 200 allocations each.

    Raises:
        TransientError: the cluster could not be read.
    """
    measured_at = datetime.now(UTC)
    state = cluster.read()
    names = tuple(sorted(request.accounts))
    measured = held(request.periods, cluster)
    purged = tuple(period.month for period in request.periods if period not in measured)
    metrics.accounts_missing.labels(state.name).set(sum(not state.get(name) for name in names))
    accounts = {name: name for name in names}
    readings = {
        period.month: cluster.measure(period, accounts, request.billed) for period in measured
    }
    for start in range(0, len(names), BATCH):
        yield Measurement(
            cluster=state.name,
            measured_at=measured_at,
            allocations=tuple(
                _allocation(name, request.accounts[name], state, readings)
                for name in names[start : start + BATCH]
            ),
            purged=purged,
        )


def held(periods: tuple[Period, ...], cluster: SlurmCluster) -> list[Period]:
    """Return the periods of which slurmdbd still holds all job records."""
    since = cluster.held_since(datetime.now(UTC))
    return [period for period in periods if since is None or period.start >= since.timestamp()]


def _allocation(
    name: str, resource: str, state: Cluster, readings: Mapping[str, Reading]
) -> AllocationState:
    account = state.get(name)
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
