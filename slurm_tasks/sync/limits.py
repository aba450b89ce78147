"""Limits: those of the cluster go to Waldur, and what isn't ours stays as it is there."""

from collections.abc import Mapping

import structlog

from slurm_tasks import metrics
from slurm_tasks.model import components
from slurm_tasks.sync.control import Control
from slurm_tasks.sync.told import Told
from slurm_tasks.waldur.views import Resource

log = structlog.stdlib.get_logger(__name__)

_ignored = Told()


def push(control: Control, resource: Resource, minutes: Mapping[str, int]) -> dict[str, int]:
    """Tell Waldur the cluster's limits that differ.

    Only limits of the offering's limit-based components are sent: newer servers refuse others, and
    older ones can't end an Update of a resource that has such. A server with a periodic usage
    policy answers 200 and keeps its own limits; that is told once, and not tried again.

    Args:
        control: the control side.
        resource: as Waldur has it now.
        minutes: the account's limits as listed, TRES-minutes.

    Returns:
        What Waldur took, in its units.

    Raises:
        WaldurRefusedError: it refuses them.
        WaldurError: Waldur is away.
    """
    differing = components.changed_limits(control.components, minutes, resource.limits)
    key = f"{resource.uuid} {sorted(differing.items())}"
    if not differing or key in _ignored.keys:
        return {}
    offering = control.waldur.offering()
    limited = {row.type for row in offering.components if row.billing_type == "limit"}
    sent = {name: value for name, value in differing.items() if name in limited}
    if not sent:
        return {}
    kept = {name: value for name, value in resource.limits.items() if name in limited}
    control.waldur.set_limits(resource.uuid, {**kept, **sent})
    now = control.waldur.resource(resource.uuid).limits
    taken = {name: value for name, value in sent.items() if now.get(name) == value}
    if taken != sent and _ignored.first(key):
        log.warning(
            "limits_ignored",
            resource=resource.uuid,
            account=resource.backend_id,
            limits=sorted(set(sent) - set(taken)),
            advice="Waldur answered 200 and kept its own: where the offering has a periodic usage"
            " policy, set SLURM_LIMIT_OWNER=waldur",
        )
    if taken:
        metrics.usage_posted.labels("limits").inc()
        log.info("limits_pushed", account=resource.backend_id, **taken)
    return taken
