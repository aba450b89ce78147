"""marketplace-component-usages/ and marketplace-component-user-usages/."""

from collections.abc import Callable

from slurm_tasks.demo.waldur import usages
from slurm_tasks.demo.waldur.calls import Answer, Call, action, detail, listing, page_of
from slurm_tasks.demo.waldur.database import Database
from slurm_tasks.demo.waldur.listing import (
    Filter,
    Record,
    by_day,
    by_number,
    by_text,
    by_uuid,
    pick,
    since,
    until,
)
from slurm_tasks.demo.waldur.records import ComponentUsage, UserUsage
from slurm_tasks.demo.waldur.shapes_offering import usage_row, user_usage_row
from slurm_tasks.demo.waldur.values import PROVIDERS
from slurm_tasks.demo.waldur.versions import Feature

_KEYS: dict[str, Callable[[ComponentUsage], object]] = {
    "billing_period": lambda usage: usage.billing_period.isoformat(),
    "usage": lambda usage: f"{usage.usage:024.2f}",
}
_USER_KEYS: dict[str, Callable[[UserUsage], object]] = {
    "username": lambda usage: usage.username,
    "usage": lambda usage: f"{usage.usage:024.2f}",
}


def _filters(
    db: Database, usage_of: Callable[[Record], ComponentUsage], period: str
) -> dict[str, Filter[Record]]:
    """Return the filters that both lists have; the month's name differs between them."""
    return {
        "offering_uuid": Filter(lambda _: db.offering_uuid, by_uuid),
        "resource_uuid": Filter(lambda row: usage_of(row).resource.uuid, by_uuid),
        "project_uuid": Filter(lambda row: usage_of(row).resource.project_uuid, by_uuid),
        "customer_uuid": Filter(
            lambda row: db.customer_of_resource(usage_of(row).resource).uuid, by_uuid
        ),
        "type": Filter(lambda row: usage_of(row).component.spec.type, by_text),
        period: Filter(lambda row: usage_of(row).billing_period, by_day),
        "billing_period_year": Filter(lambda row: usage_of(row).billing_period.year, by_number),
        "billing_period_month": Filter(lambda row: usage_of(row).billing_period.month, by_number),
        "date_after": Filter(lambda row: usage_of(row).date, since),
        "date_before": Filter(lambda row: usage_of(row).date, until),
    }


def list_usages(call: Call) -> Answer:
    """Answer the usages of components."""
    filters = _filters(call.db, lambda usage: usage, "billing_period")
    return page_of(call, list(call.db.usages.values()), usage_row, filters, _KEYS)


def get_usage(call: Call) -> Answer:
    """Answer one component usage."""
    return Answer(200, pick(usage_row(call.db, call.db.component_usage(call.uuid)), call.query))


def set_usage(call: Call) -> Answer:
    """Take a resource's usages of a month."""
    call.require(*PROVIDERS)
    usages.set_usage(call.db, call.user, call.data())
    return Answer(201)


def set_user_usage(call: Call) -> Answer:
    """Take a username's share."""
    usage = call.db.component_usage(call.uuid)
    call.require(*PROVIDERS)
    usages.set_user_usage(call.db, call.user, usage, call.data())
    return Answer(201)


def set_user_usages(call: Call) -> Answer:
    """Take the shares of many usernames."""
    usage = call.db.component_usage(call.uuid)
    call.require(*PROVIDERS)
    usages.set_user_usages(call.db, call.user, usage, call.data())
    return Answer(201)


def list_user_usages(call: Call) -> Answer:
    """Answer the shares of usernames; GEN-A ignores the filter by month."""
    period = "component_usage__billing_period"
    filters = _filters(call.db, _whole, period)
    if call.db.generation == "a":
        del filters[period]
    filters["username"] = Filter(lambda usage: usage.username, by_text)
    return page_of(call, list(call.db.user_usages.values()), user_usage_row, filters, _USER_KEYS)


def _whole(usage: UserUsage) -> ComponentUsage:
    return usage.component_usage


_USAGES = "marketplace-component-usages/"

ENDPOINTS = (
    listing(_USAGES, get=list_usages),
    # Before the path of one usage, which would take `set_usage` for a uuid.
    action(_USAGES + "set_usage/", set_usage),
    detail(_USAGES + "{uuid}/", get=get_usage),
    action(_USAGES + "{uuid}/set_user_usage/", set_user_usage),
    action(_USAGES + "{uuid}/set_user_usages/", set_user_usages, feature=Feature.BULK_USER_USAGES),
    listing("marketplace-component-user-usages/", get=list_user_usages),
)
