"""Terms: what the offering's components let be posted of a resource's usage."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from slurm_tasks.model.limit_amounts import ZERO, Cap
from slurm_tasks.sync.control import Control
from slurm_tasks.sync.differences import Difference
from slurm_tasks.waldur.capabilities import Capabilities
from slurm_tasks.waldur.views import OfferingComponent

BILLED_BY_REPORTS = ("usage", "limit")
"""Billing types of components that Waldur takes usage for; one other refuses a whole report."""
_MONTHS_OF_QUARTER = 3


@dataclass(frozen=True)
class Terms:
    """The offering's components, read once for a push.

    Attributes:
        components: by their type.
    """

    components: Mapping[str, OfferingComponent]

    def reported(self, amounts: Mapping[str, Decimal]) -> dict[str, Decimal]:
        """Leave out components that the offering lacks, or for which it takes no usage."""
        return {
            name: amount
            for name, amount in amounts.items()
            if name in self.components
            and self.components[name].billing_type in ("", *BILLED_BY_REPORTS)
        }

    def limited(self, server: Capabilities) -> dict[str, tuple[Decimal, str]]:
        """Return what a server enforces: `limit_amount` and `limit_period`, by component."""
        if not server.refuses_over_limit_amount:
            return {}
        assumed = "month" if server.null_period_is_month else ""
        return {
            name: (component.limit_amount, component.limit_period or assumed)
            for name, component in self.components.items()
            if component.billing_type == "usage"
            and component.limit_amount is not None
            and (component.limit_period or assumed)
        }


def read(control: Control) -> Terms:
    """Read the offering's components."""
    return Terms({component.type: component for component in control.waldur.offering().components})


def caps(control: Control, terms: Terms, difference: Difference) -> dict[str, Cap]:
    """Return what limits a resource's usage of a month, by component.

    What counts beside the month is asked for only where a limit is one of several months.
    """
    server = control.waldur.server.capabilities
    limited = {name: what for name, what in terms.limited(server).items() if name in difference.new}
    elsewhere = dict.fromkeys(limited, ZERO)
    if any(period != "month" for _, period in limited.values()):
        for row in control.waldur.usages.of_resource(difference.resource):
            if row.type in limited and not row.billing_period.startswith(difference.month):
                _, period = limited[row.type]
                if is_counted(period, row.billing_period[:7], difference.month):
                    elsewhere[row.type] += row.usage
    return {
        name: Cap(limit, elsewhere[name], counts_replaced=period in server.counts_replaced)
        for name, (limit, period) in limited.items()
    }


def is_counted(period: str, month: str, reported: str) -> bool:
    """Tell whether a month's usage counts towards the limit that another month is reported under.

    Args:
        period: the component's `limit_period`.
        month: the one (`YYYY-MM`).
        reported: the other.
    """
    match period:
        case "total":
            return True
        case "annual":
            return month[:4] == reported[:4]
        case "quarterly":
            return month[:4] == reported[:4] and _quarter(month) == _quarter(reported)
        case _:
            return False


def _quarter(month: str) -> int:
    return (int(month[5:]) - 1) // _MONTHS_OF_QUARTER
