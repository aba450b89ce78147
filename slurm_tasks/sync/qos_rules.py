"""What the QoS that the settings name are good for on this cluster."""

from collections.abc import Collection
from dataclasses import replace

import structlog

from slurm_tasks.errors import TransientError
from slurm_tasks.model.messages import Desired
from slurm_tasks.model.qos import Qos
from slurm_tasks.model.rules import QosRules, Rules
from slurm_tasks.slurm.cluster import SlurmCluster

log = structlog.stdlib.get_logger(__name__)


def effective(cluster: SlurmCluster, rules: Rules, items: Collection[Desired]) -> Rules:
    """Return the rules without QoS that aren't there, and say whether the paused one closes.

    Two reads more, and only where a resource is paused or downscaled and the site has a QoS for
    that. What can't be read doesn't close: such accounts are closed by their limits.

    Args:
        cluster: asked.
        rules: as the settings have them.
        items: the allocations as Waldur wants them.
    """
    qos = rules.qos
    paused = any(item.paused for item in items) and qos.paused is not None
    downscaled = any(item.downscaled for item in items) and qos.downscaled is not None
    if not paused and not downscaled:
        return rules
    try:
        known = cluster.qos()
        stopping = known.get(qos.paused or "", Qos()) if paused else Qos()
        closes = stopping.refuses_jobs and _enforces_qos(cluster)
    except TransientError as error:
        log.warning("qos_not_read", reason=str(error))
        return replace(rules, qos=replace(qos, paused_closes=False))
    missing = {name for name in qos.temporary if name not in known}
    if missing:
        log.warning("qos_missing", qos=sorted(missing), reason="add it (sacctmgr add qos …)")
    found = QosRules(
        paused=None if qos.paused in missing else qos.paused,
        downscaled=None if qos.downscaled in missing else qos.downscaled,
        usual=qos.usual,
        paused_closes=closes,
    )
    return replace(rules, qos=found)


def _enforces_qos(cluster: SlurmCluster) -> bool:
    """Tell whether slurmctld keeps jobs to the QoS of their association."""
    enforced = cluster.config().get("AccountingStorageEnforce", "")
    return "qos" in enforced.lower().split(",")
