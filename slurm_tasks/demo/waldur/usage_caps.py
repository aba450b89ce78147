"""A component's `limit_amount`: how servers count the usage that must not exceed it."""

from datetime import date
from decimal import Decimal

from slurm_tasks.demo.waldur.database import Database
from slurm_tasks.demo.waldur.records import OfferingComponent, Resource
from slurm_tasks.demo.waldur.refusals import invalid_list
from slurm_tasks.demo.waldur.versions import Feature


def check_amount(
    db: Database, resource: Resource, component: OfferingComponent, amount: Decimal, month: date
) -> None:
    """Refuse usage above a usage-based component's limit_amount; the ordered limit isn't looked at.

    What is stored for the period counts in full: the amount that the report is to replace, too.

    Raises:
        RefusedError: 400, with a bare list as its body.
    """
    limit = component.spec.limit_amount
    if limit is None or component.spec.billing_type != "usage" or not db.has(Feature.USAGE_CAPS):
        return
    period = component.spec.limit_period
    if period is None:
        return
    if period == "month" and not db.has(Feature.MONTHLY_CAPS_TWICE):
        stored = Decimal(0)
    else:
        stored = sum(
            (
                usage.usage
                for usage in db.usages_of(resource, component)
                if _same_period(period, usage.billing_period, month)
            ),
            Decimal(0),
        )
    total = stored + amount
    if total > limit:
        raise invalid_list(f"Total amount exceeds limit. Total amount: {total}, limit: {limit}.")


def _same_period(period: str, one: date, other: date) -> bool:
    if period == "total":
        return True
    months = {"month": 1, "quarterly": 3, "annual": 12}[period]
    return one.year == other.year and (one.month - 1) // months == (other.month - 1) // months
