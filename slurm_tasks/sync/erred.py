"""Erred resources: one whose account is right is brought back to OK, or named."""

from collections.abc import Iterable

import structlog

from slurm_tasks.errors import WaldurRefusedError
from slurm_tasks.sync import open_orders
from slurm_tasks.sync.control import Control
from slurm_tasks.waldur.views import Resource

log = structlog.stdlib.get_logger(__name__)

ADVICE = "Waldur takes neither usage nor orders for it; set it OK in Waldur's administration"


def bring_back(control: Control, resources: Iterable[Resource]) -> None:
    """Bring Erred resources back to OK whose account is as Waldur wants it.

    Waldur takes no usage for an Erred resource; what it missed of an open month is posted with the
    next report. One with an open order is left to that. A refusal is told.

    Raises:
        WaldurError: Waldur is away.
    """
    waiting = {row.uuid: row for row in resources}
    if not waiting or control.read_only:
        return
    ordered = open_orders.not_ended(control)
    for resource in (row for uuid, row in waiting.items() if uuid not in ordered):
        try:
            control.waldur.set_resource_ok(resource.uuid)
        except WaldurRefusedError as error:
            log.warning(
                "resource_erred",
                resource=resource.uuid,
                account=resource.backend_id,
                reason=str(error),
                advice=ADVICE,
            )
        else:
            log.info("resource_brought_back", resource=resource.uuid, account=resource.backend_id)
