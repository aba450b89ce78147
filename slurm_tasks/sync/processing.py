"""What an older Waldur does itself about an order: in its own Celery worker, after the approval.

Usually that takes 0.3 s. An order that is ended before leaves its resource Updating or Terminating
for ever, for the worker does it all the same; and what the worker refuses (a Create without a name)
is known only afterwards. So nothing is done about an order before (recorded, October 2024).
"""

from datetime import UTC, datetime, timedelta

from slurm_tasks.errors import OrderStuckError, ServerLateError
from slurm_tasks.sync.control import Control
from slurm_tasks.waldur.client import Generation
from slurm_tasks.waldur.views import Order, Resource

PATIENCE = timedelta(minutes=10)
"""How long the server's worker may be late before a person is told."""


def is_done(order: Order, resource: Resource) -> bool:
    """Tell from the states whether the server's worker has processed an order of its own.

    An order that was erred and set executing again was processed then, or never will be.
    """
    if order.error_message:
        return True
    if order.type == "Update":
        return resource.state != "OK"
    if order.type == "Terminate":
        return resource.state == "Terminating"
    return bool(resource.resource_uuid)  # its Allocation is there


def require(control: Control, order: Order, resource: Resource) -> None:
    """Make sure that an older server has done its part of an order that is executing.

    Raises:
        ServerLateError: not yet.
        OrderStuckError: not for ten minutes; a person has to look at Waldur's worker.
    """
    if control.waldur.generation is Generation.B or is_done(order, resource):
        return
    waited = datetime.now(UTC) - (order.modified or datetime.now(UTC))
    text = f"Waldur's own worker has not processed order {order.uuid} yet"
    if waited < PATIENCE:
        raise ServerLateError(text)
    raise OrderStuckError(
        f"{text}, {waited.total_seconds() / 60:.0f} minutes after its approval: is Waldur's Celery"
        " worker running? An order that was set executing past the approval is never processed:"
        " mark it erred and set it executing again",
        order.type,
    )
