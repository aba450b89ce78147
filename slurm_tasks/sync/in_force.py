"""What slurmctld acts by, compared with what slurmdbd has.

What slurmdbd is told after a restart, before slurmctld has registered with it again, never reaches
slurmctld (measured on 24.11 and 26.05; 22.05 tells it all the same): `scontrol reconfigure` helps.
"""

from collections.abc import Collection, Mapping

import structlog

from slurm_tasks import metrics
from slurm_tasks.errors import SlurmTasksError
from slurm_tasks.model.cluster import Associations, Cluster
from slurm_tasks.slurm.cluster import SlurmCluster

log = structlog.stdlib.get_logger(__name__)

Differing = Mapping[str, Collection[tuple[str, str]]]
"""Pairs of account and user by what slurmctld does wrong about them."""

_SHOWN = 10


def differing(
    cluster: SlurmCluster, state: Cluster, accounts: Collection[str] | None = None
) -> Differing:
    """Ask slurmctld, and compare what it acts by with what slurmdbd has.

    What somebody changes meanwhile is on its way: where they differ, slurmdbd is asked once more,
    and what it no longer has as it was is left out.

    Args:
        cluster: asked.
        state: what slurmdbd has.
        accounts: whose associations are compared; None: all.

    Returns:
        What differs; empty: nothing.

    Raises:
        TransientError: slurmctld or slurmdbd doesn't answer.
    """

    def of_them(associations: Associations) -> Associations:
        return {
            pair: held
            for pair, held in associations.items()
            if accounts is None or pair[0] in accounts
        }

    stored, known = of_them(state.associations()), of_them(cluster.in_force())
    if stored == known:
        return {}
    now = cluster.read().associations()
    pairs = {
        pair
        for pair in stored.keys() | known.keys()
        if stored.get(pair) != known.get(pair) and stored.get(pair) == now.get(pair)
    }
    found = {
        "doesn't know": pairs - known.keys(),
        "still has, though slurmdbd doesn't,": pairs - stored.keys(),
        "has other limits for": pairs & stored.keys() & known.keys(),
    }
    return {verb: some for verb, some in found.items() if some}


def advice(found: Differing) -> str:
    """Say how they differ, and what to do."""
    said = (f"{verb} {_named(pairs)}" for verb, pairs in found.items())
    return f"slurmctld {'; '.join(said)}. Run `scontrol reconfigure`"


def _named(pairs: Collection[tuple[str, str]]) -> str:
    shown = ["/".join(filter(None, pair)) for pair in sorted(pairs)[:_SHOWN]]
    return f"{len(pairs)} ({', '.join(shown)}{', …' if len(pairs) > _SHOWN else ''})"


def watch(cluster: SlurmCluster, state: Cluster, accounts: Collection[str]) -> None:
    """Tell the log and the metrics of what slurmctld was never told of these accounts.

    It changes nothing, and that slurmctld can't be asked keeps nothing from being done.

    Args:
        cluster: asked for what slurmctld knows.
        state: what slurmdbd has.
        accounts: whose associations are compared.
    """
    try:
        found = differing(cluster, state, accounts)
    except SlurmTasksError as error:
        log.warning("slurmctld_not_compared", reason=str(error))
        return
    metrics.associations_differing.labels(state.name).set(sum(map(len, found.values())))
    if found:
        log.warning("slurmctld_differs", reason=advice(found))
