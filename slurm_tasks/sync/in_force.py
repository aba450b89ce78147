"""What slurmctld acts by, compared with what slurmdbd has.

What slurmdbd is told after a restart, before slurmctld has registered with it again, never reaches
slurmctld (measured on 24.11 and 26.05; 22.05 tells it all the same): `scontrol reconfigure` helps.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import structlog

from slurm_tasks import metrics
from slurm_tasks.errors import SlurmTasksError
from slurm_tasks.model.cluster import Associations, Cluster, Key
from slurm_tasks.slurm.cluster import SlurmCluster

log = structlog.stdlib.get_logger(__name__)

Differing = Mapping[str, Collection[Key]]
"""Associations by what slurmctld does wrong about them."""

_SHOWN = 10


@dataclass(frozen=True)
class Gaps:
    """What slurmctld doesn't act by, though it should.

    Attributes:
        differing: what differs from slurmdbd; empty: nothing.
        without_uid: associations whose user it has no Unix user for: it refuses their jobs.
    """

    differing: Differing
    without_uid: Collection[Key]


def gaps(cluster: SlurmCluster, state: Cluster, accounts: Collection[str] | None = None) -> Gaps:
    """Ask slurmctld, and compare what it acts by with what slurmdbd has.

    What somebody changes meanwhile is on its way: where they differ, slurmdbd is asked once more,
    and what it no longer has as it was is left out.

    Args:
        cluster: asked.
        state: what slurmdbd has.
        accounts: whose associations are compared; None: all.

    Raises:
        TransientError: slurmctld or slurmdbd doesn't answer.
    """

    def of_them(associations: Associations) -> Associations:
        return {
            key: held
            for key, held in associations.items()
            if accounts is None or key.account in accounts
        }

    controller = cluster.in_force()
    stored, known = of_them(state.associations()), of_them(controller.associations)
    without_uid = [key for key in known if key in controller.without_uid and key in stored]
    if stored == known:
        return Gaps({}, without_uid)
    now = cluster.read().associations()
    keys = {
        key
        for key in stored.keys() | known.keys()
        if stored.get(key) != known.get(key) and stored.get(key) == now.get(key)
    }
    found = {
        "doesn't know": keys - known.keys(),
        "still has, though slurmdbd doesn't,": keys - stored.keys(),
        "has other limits for": keys & stored.keys() & known.keys(),
    }
    return Gaps({verb: some for verb, some in found.items() if some}, without_uid)


def advice(found: Differing) -> str:
    """Say how they differ, and what to do."""
    said = (f"{verb} {_named(pairs)}" for verb, pairs in found.items())
    return f"slurmctld {'; '.join(said)}. Run `scontrol reconfigure`"


def advice_without_uid(keys: Collection[Key]) -> str:
    """Say whose jobs slurmctld refuses, and what to do (measured on 22.05, 24.11 and 26.05)."""
    return (
        f"slurmctld has no Unix user for {_named(keys)}, and refuses their jobs. Where `getent"
        " passwd NAME` knows them on slurmctld's machine, run `scontrol reconfigure`: they were"
        " added before the Unix user was there. Else make them known there; by that very name, with"
        " its capitals, for which slurmdbd.conf needs Parameters=PreserveCaseUser"
    )


def _named(keys: Collection[Key]) -> str:
    shown = ["/".join(filter(None, key)) for key in sorted(keys)[:_SHOWN]]
    return f"{len(keys)} ({', '.join(shown)}{', …' if len(keys) > _SHOWN else ''})"


def watch(cluster: SlurmCluster, state: Cluster, accounts: Collection[str]) -> None:
    """Tell the log and the metrics of what slurmctld was never told of these accounts.

    It changes nothing, and that slurmctld can't be asked keeps nothing from being done.

    Args:
        cluster: asked for what slurmctld knows.
        state: what slurmdbd has.
        accounts: whose associations are compared.
    """
    try:
        found = gaps(cluster, state, accounts)
    except SlurmTasksError as error:
        log.warning("slurmctld_not_compared", reason=str(error))
        return
    differing = sum(map(len, found.differing.values()))
    metrics.associations_differing.labels(state.name).set(differing)
    metrics.associations_without_uid.labels(state.name).set(len(found.without_uid))
    if found.differing:
        log.warning("slurmctld_differs", reason=advice(found.differing))
    if found.without_uid:
        log.warning("slurmctld_without_uid", reason=advice_without_uid(found.without_uid))
