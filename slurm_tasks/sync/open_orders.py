"""Open orders: which resources are about to be changed by an order of ours.

They come from the list of orders, one request for all resources: an older server doesn't name the
order in a list of resources. Orders that wait for a person (`pending-consumer`, …) are none of
these: nothing is held back by them, for it may take weeks.
"""

from collections.abc import Mapping

from slurm_tasks.sync.control import Control


def by_resource(control: Control) -> Mapping[str, str]:
    """Return the type of the order that we carry out, or are about to, by resource uuid."""
    return {order.marketplace_resource_uuid: order.type for order in control.waldur.orders()}


NOT_ENDED = ("pending-consumer", "pending-project", "pending-provider", "executing")
"""States of orders that have not ended, as far as servers of every age know them."""


def not_ended(control: Control) -> frozenset[str]:
    """Return the uuids of resources with any order that has not ended, also of a person's."""
    return frozenset(order.marketplace_resource_uuid for order in control.waldur.orders(NOT_ENDED))
