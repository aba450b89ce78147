"""Usage reports: absolute values per component and month, per username beneath them."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from slurm_tasks.demo.waldur import usage_caps
from slurm_tasks.demo.waldur.database import Database, plain_uuid
from slurm_tasks.demo.waldur.records import (
    ComponentUsage,
    OfferingComponent,
    OfferingUser,
    PlanPeriod,
    Resource,
    ResourceState,
    UserUsage,
)
from slurm_tasks.demo.waldur.refusals import invalid, invalid_list, required, server_error
from slurm_tasks.demo.waldur.usage_dates import moment_of
from slurm_tasks.demo.waldur.values import Json, User, new_uuid
from slurm_tasks.demo.waldur.versions import Feature

_REPORTABLE = (ResourceState.OK, ResourceState.UPDATING, ResourceState.TERMINATING)
_CLOSED = "Billing period is closed."
# Measured on GEN-A: of a usage-based component; of a limit-based one 18 digits are stored.
_UNSTORABLE = Decimal(10) ** 12


@dataclass(frozen=True)
class Report:
    """One posted usage of one component."""

    type: str
    amount: Decimal
    description: str
    recurring: bool


def set_usage(db: Database, user: User, body: Json) -> None:
    """Store a resource's usages for a month: all of them or, if one cannot be, none.

    On GEN-A those before one that is over its component's limit are stored all the same.

    Raises:
        RefusedError: 400, in one of Waldur's shapes.
    """
    reports = _reports(body)
    plan_period, resource = _subject(db, body)
    components = _components(db, reports)
    when = moment_of(db, user, body, components.values())
    period = db.month_of(when)
    if resource.state not in _REPORTABLE:
        raise invalid("resource", "Resource is not in valid state.")
    if period in db.closed_periods:
        raise invalid("plan_period" if plan_period else "date", _CLOSED)
    for report in reports:
        usage_based = components[report.type].spec.billing_type == "usage"
        if usage_based and abs(report.amount) >= _UNSTORABLE:
            raise server_error()
    if db.generation == "b":
        for report in reports:
            usage_caps.check_amount(db, resource, components[report.type], report.amount, period)
    for report in reports:
        if db.generation == "a":
            usage_caps.check_amount(db, resource, components[report.type], report.amount, period)
        _store(db, resource, components[report.type], report, when)
    _note_current(db, resource, reports, components)


def _note_current(
    db: Database,
    resource: Resource,
    reports: list[Report],
    components: Mapping[str, OfferingComponent],
) -> None:
    """Show the usage on the resource.

    Newer servers change what was reported, to its latest month's. Others overwrite all: a
    component that a report leaves out is gone from the resource.
    """
    resource.modified = db.now()
    if not db.has(Feature.OWN_CURRENT_USAGES):
        resource.current_usages = {report.type: report.amount for report in reports}
        return
    for report in reports:
        rows = db.usages_of(resource, components[report.type])
        latest = max(rows, key=lambda row: row.billing_period)
        resource.current_usages[report.type] = latest.usage


def set_user_usage(db: Database, user: User, usage: ComponentUsage, body: Json) -> None:
    """Store one username's share; the link to the offering user is set by the first report only.

    Raises:
        RefusedError: 400, or on GEN-A 500 for a report without `usage`.
    """
    _store_shares(db, [_share(db, user, usage, body)])


def set_user_usages(db: Database, user: User, usage: ComponentUsage, body: Json) -> None:
    """Store the shares of many usernames at once: all of them or, if one is refused, none.

    Raises:
        RefusedError: 400; nothing is stored then.
    """
    _store_shares(db, [_share(db, user, usage, item) for item in body["usages"]])


@dataclass(frozen=True)
class Share:
    """One posted share of one username.

    Attributes:
        named: the component usage that the path names.
        when: a moment in the month that it belongs to; None for the month that the path names.
    """

    named: ComponentUsage
    when: datetime | None
    username: str
    amount: Decimal
    offering_user: OfferingUser | None


def _share(db: Database, user: User, usage: ComponentUsage, body: Json) -> Share:
    """Read a share.

    Raises:
        RefusedError: 400, or on GEN-A 500 for a report without `usage`.
    """
    if "usage" not in body:
        raise server_error() if db.generation == "a" else required("usage")
    link = _offering_user(db, body.get("user"))
    dated = db.has(Feature.DATED_USAGE) and (body.get("date") or db.has(Feature.PARTS_NOW))
    when = moment_of(db, user, body, [usage.component]) if dated else None
    share = Share(usage, when, body["username"], body["usage"], link)
    _check_user_limit(db, share)
    return share


def _store_shares(db: Database, shares: list[Share]) -> None:
    wholes = [_store_share(db, share) for share in shares]
    for usage in wholes:
        if db.has(Feature.FILLED_TOTALS) and usage.usage == 0:
            usage.usage = sum((part.usage for part in db.user_usages_of(usage)), Decimal(0))


def _store_share(db: Database, share: Share) -> ComponentUsage:
    """Store a share; return the component usage that it went to."""
    now = db.now()
    usage = share.named
    if share.when is not None:
        usage = _usage_of(db, usage.resource, usage.component, share.when)
    known = db.user_usage_of(usage, share.username)
    if known is None:
        known = UserUsage(
            new_uuid(), usage, share.username, share.amount, now, now, share.offering_user
        )
        db.add_user_usage(known)
    known.usage = share.amount
    known.modified = now
    return usage


def _check_user_limit(db: Database, share: Share) -> None:
    """Refuse a share above its user's own limit; what is stored of it counts, too."""
    if share.offering_user is None:
        return
    named = share.named
    limit = db.user_limits.get(
        (named.resource.uuid, named.component.spec.type, share.offering_user.uuid)
    )
    row: ComponentUsage | None = named
    if share.when is not None:
        row = db.usage_of(named.resource, named.component, db.month_of(share.when))
    known = row and db.user_usage_of(row, share.username)
    if limit is not None and (known.usage if known else 0) + share.amount > limit:
        raise invalid_list("User usage exceeds the limit.")


def _reports(body: Json) -> list[Report]:
    return [
        Report(
            item["type"],
            item["amount"],
            item.get("description", ""),
            item.get("recurring", False),
        )
        for item in body["usages"]
    ]


def _subject(db: Database, body: Json) -> tuple[PlanPeriod | None, Resource]:
    if body.get("plan_period"):
        text = str(body["plan_period"])
        for resource in db.resources.values():
            for period in resource.plan_periods:
                if period.uuid == plain_uuid(text):
                    return period, resource
        raise invalid("plan_period", f"Object with uuid={text} does not exist.")
    if body.get("resource"):
        text = str(body["resource"])
        found = db.resources.get(plain_uuid(text) or "")
        if found is None:
            raise invalid("resource", f"Object with uuid={text} does not exist.")
        return None, found
    raise invalid("non_field_errors", "Either plan_period or resource should be provided.")


def _components(db: Database, reports: list[Report]) -> dict[str, OfferingComponent]:
    found = {}
    unknown = []
    for report in reports:
        component = db.component(report.type)
        if component is None or component.spec.billing_type == "fixed":
            unknown.append(report.type)
        else:
            found[report.type] = component
    if unknown:
        raise invalid("non_field_errors", f"These components are invalid: {', '.join(unknown)}.")
    return found


def _store(
    db: Database, resource: Resource, component: OfferingComponent, report: Report, when: datetime
) -> None:
    usage = _usage_of(db, resource, component, when)
    usage.usage = report.amount
    usage.date = when
    usage.description = report.description
    usage.recurring = report.recurring


def _usage_of(
    db: Database, resource: Resource, component: OfferingComponent, when: datetime
) -> ComponentUsage:
    """Return a resource's usage of a component in a moment's month, which is made if need be."""
    month = db.month_of(when)
    usage = db.usage_of(resource, component, month)
    if usage is None:
        usage = ComponentUsage(new_uuid(), resource, component, month, Decimal(0), when, db.now())
        db.add_usage(usage)
    return usage


def _offering_user(db: Database, url: object) -> OfferingUser | None:
    if not url:
        return None
    if "/marketplace-offering-users/" not in str(url):
        raise invalid("user", "Invalid hyperlink - No URL match.")
    uuid = str(url).rstrip("/").rpartition("/")[2]
    found = db.offering_users.get(plain_uuid(uuid) or "")
    if found is None:
        raise invalid("user", "Invalid hyperlink - Object does not exist.")
    return found
