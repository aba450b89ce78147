"""marketplace-component-usages/ and marketplace-component-user-usages/."""

from collections.abc import Callable, Iterable

from slurm_tasks.demo.waldur import fields, posted, usages
from slurm_tasks.demo.waldur.calls import (
    Answer,
    Call,
    action,
    detail,
    listing,
    one_of,
    page_of,
)
from slurm_tasks.demo.waldur.database import Database
from slurm_tasks.demo.waldur.filters import (
    Filter,
    Record,
    by_day,
    by_number,
    by_text,
    by_uuid,
    since_day,
    until_day,
    values,
)
from slurm_tasks.demo.waldur.records import ComponentUsage, UserUsage
from slurm_tasks.demo.waldur.shapes_offering import usage_row, user_usage_row
from slurm_tasks.demo.waldur.values import PROVIDERS
from slurm_tasks.demo.waldur.versions import Feature

# GEN-A's lists have no order to be asked for.
_KEYS: dict[str, Callable[[ComponentUsage], object]] = {
    "billing_period": lambda usage: usage.billing_period.isoformat(),
    "usage": lambda usage: f"{usage.usage:024.2f}",
}
_USER_KEYS: dict[str, Callable[[UserUsage], object]] = {
    "component_usage__billing_period": lambda part: part.component_usage.billing_period.isoformat(),
    "username": lambda part: part.username,
    "usage": lambda part: f"{part.usage:024.2f}",
}


def _filters(
    db: Database, usage_of: Callable[[Record], ComponentUsage], period: str
) -> dict[str, Filter[Record]]:
    """Return the filters that both lists have; the month's name differs between them."""
    older: dict[str, Filter[Record]] = {
        "offering_uuid": Filter(lambda _: db.offering_uuid, by_uuid),
        "resource_uuid": Filter(lambda row: usage_of(row).resource.uuid, by_uuid),
        "project_uuid": Filter(lambda row: usage_of(row).resource.project_uuid, by_uuid),
        "customer_uuid": Filter(
            lambda row: db.customer_of_resource(usage_of(row).resource).uuid, by_uuid
        ),
        "type": Filter(lambda row: usage_of(row).component.spec.type, by_text),
        period: Filter(lambda row: usage_of(row).billing_period, by_day),
        "date_after": Filter(lambda row: usage_of(row).date, since_day),
        "date_before": Filter(lambda row: usage_of(row).date, until_day),
    }
    if db.generation == "a":
        return older
    return older | {
        "billing_period_year": Filter(lambda row: usage_of(row).billing_period.year, by_number),
        "billing_period_month": Filter(lambda row: usage_of(row).billing_period.month, by_number),
    }


def _latest_first(usage: ComponentUsage) -> tuple[float, str]:
    return -usage.date.timestamp(), usage.component.spec.type


def _in_any_order(call: Call, rows: Iterable[Record]) -> list[Record]:
    """Return rows in the order that they have where they are equal: another on each second page.

    So of many equal rows some come on two pages, and others on none: as a database may have it.
    """
    rows = list(rows)
    page = values(call.query, "page")
    odd = not page or page[-1] in ("1", "3", "5", "7", "9")
    return rows if odd or not call.db.has(Feature.UNSTABLE_LISTS) else rows[::-1]


def usage_filters(db: Database) -> dict[str, Filter[ComponentUsage]]:
    """Return the filters of the list of component usages."""
    return _filters(db, lambda usage: usage, "billing_period")


def user_usage_filters(db: Database) -> dict[str, Filter[UserUsage]]:
    """Return the filters of the list of users' usages; GEN-A has none of the username."""
    filters = _filters(db, _whole, "component_usage__billing_period")
    if db.generation == "b":
        filters["username"] = Filter(lambda usage: usage.username, by_text)
    return filters


def list_usages(call: Call) -> Answer:
    """Answer the usages of components, of every offering's to everybody."""
    filters = usage_filters(call.db)
    keys = {} if call.db.generation == "a" else _KEYS
    rows = sorted(_in_any_order(call, call.db.usages.values()), key=_latest_first)
    return page_of(call, rows, usage_row, filters, keys, fields.USAGE)


def get_usage(call: Call) -> Answer:
    """Answer one component usage."""
    return one_of(call, usage_row(call.db, call.db.component_usage(call.uuid)), fields.USAGE)


def set_usage(call: Call) -> Answer:
    """Take a resource's usages of a month."""
    call.require(*PROVIDERS)
    body = call.read(posted.USAGES[call.db.has(Feature.DATED_USAGE)])
    usages.set_usage(call.db, call.user, body)
    return Answer(201)


def set_user_usage(call: Call) -> Answer:
    """Take a username's share."""
    usage = call.db.component_usage(call.uuid)
    call.require(*PROVIDERS)
    body = call.read(posted.USER_USAGE[call.db.has(Feature.DATED_USAGE)])
    usages.set_user_usage(call.db, call.user, usage, body)
    return Answer(201)


def set_user_usages(call: Call) -> Answer:
    """Take the shares of many usernames."""
    usage = call.db.component_usage(call.uuid)
    call.require(*PROVIDERS)
    body = call.read(posted.USER_USAGES)
    usages.set_user_usages(call.db, call.user, usage, body)
    return Answer(201)


def list_user_usages(call: Call) -> Answer:
    """Answer the shares of usernames; GEN-A lets nobody choose the fields."""
    filters = user_usage_filters(call.db)
    parts = _in_any_order(call, call.db.user_usages.values())
    rows = sorted(parts, key=lambda part: _latest_first(_whole(part)))
    if call.db.generation == "a":
        return page_of(call, rows, user_usage_row, filters, {})
    return page_of(call, rows, user_usage_row, filters, _USER_KEYS, fields.USER_USAGE)


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
