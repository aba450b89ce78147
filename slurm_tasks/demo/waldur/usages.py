"""Usage reports: absolute values per component and month, per username beneath them."""

from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation

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
from slurm_tasks.demo.waldur.refusals import (
    RefusedError,
    invalid,
    invalid_list,
    required,
    server_error,
)
from slurm_tasks.demo.waldur.values import Json, new_uuid

_REPORTABLE = (ResourceState.OK, ResourceState.UPDATING, ResourceState.TERMINATING)
_CLOSED = "Billing period is closed."
_MAX_DIGITS = 20
_MAX_PLACES = 2


@dataclass(frozen=True)
class Report:
    """One posted usage of one component."""

    type: str
    amount: Decimal
    description: str
    recurring: bool


def set_usage(db: Database, body: Json) -> None:
    """Store a resource's usages for a month: all of them or, if one is refused, none.

    Raises:
        RefusedError: 400, in one of Waldur's shapes.
    """
    reports = _reports(body)
    plan_period, resource = _subject(db, body)
    when = _date(db, body)
    period = when.date().replace(day=1)
    components = _components(db, reports)
    if resource.state not in _REPORTABLE:
        raise invalid("resource", "Resource is not in valid state.")
    if period in db.closed_periods:
        raise invalid("plan_period" if plan_period else "date", _CLOSED)
    for report in reports:
        _check_amount(db, resource, components[report.type], report, period)
    for report in reports:
        _store(db, resource, components[report.type], report, when)
    # Waldur overwrites: a component that this report leaves out is gone from the resource.
    resource.current_usages = {report.type: report.amount for report in reports}


def set_user_usage(db: Database, usage: ComponentUsage, body: Json) -> None:
    """Store one username's share; the link to the offering user is set by the first report only.

    Raises:
        RefusedError: 400, or on GEN-A 500 for a report without `usage`.
    """
    if "username" not in body:
        raise required("username")
    if "usage" not in body:
        raise server_error() if db.generation == "a" else required("usage")
    amount = _decimal(body["usage"], "usage")
    username = str(body["username"])
    known = db.user_usage_of(usage, username)
    if known is not None:
        known.usage = amount
        known.modified = db.now()
        return
    now = db.now()
    link = _offering_user(db, body.get("user"))
    db.add_user_usage(UserUsage(new_uuid(), usage, username, amount, now, now, link))


def set_user_usages(db: Database, usage: ComponentUsage, body: Json) -> None:
    """Store the shares of many usernames at once (GEN-B).

    Raises:
        RefusedError: 400; nothing is stored then.
    """
    items = body.get("usages")
    if not isinstance(items, list):
        raise required("usages")
    for item in items:
        _decimal(item.get("usage", 0), "usage")
        if not item.get("username"):
            raise required("username")
    for item in items:
        set_user_usage(db, usage, item)


def _reports(body: Json) -> list[Report]:
    items = body.get("usages")
    if not isinstance(items, list):
        raise required("usages")
    return [
        Report(
            str(item.get("type", "")),
            _item_amount(item),
            str(item.get("description") or ""),
            bool(item.get("recurring", False)),
        )
        for item in items
    ]


def _item_amount(item: Json) -> Decimal:
    try:
        return _decimal(item["amount"], "amount")
    except KeyError:
        raise RefusedError(400, {"usages": [{"amount": ["This field is required."]}]}) from None
    except RefusedError as refusal:
        raise RefusedError(400, {"usages": [refusal.body]}) from None


def _decimal(value: object, field: str) -> Decimal:
    """Read an amount: at most 20 digits, at most two of them after the point."""
    try:
        amount = Decimal(str(value))
    except InvalidOperation:
        raise invalid(field, "A valid number is required.") from None
    exponent = amount.as_tuple().exponent
    if not isinstance(exponent, int):
        raise invalid(field, "A valid number is required.")
    places = max(0, -exponent)
    digits = len(amount.as_tuple().digits) + max(0, exponent)
    if digits > _MAX_DIGITS:
        raise invalid(field, f"Ensure that there are no more than {_MAX_DIGITS} digits in total.")
    if places > _MAX_PLACES:
        raise invalid(field, f"Ensure that there are no more than {_MAX_PLACES} decimal places.")
    return amount.quantize(Decimal("0.01"))


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


def _date(db: Database, body: Json) -> datetime:
    """Return the moment of the usage: GEN-A ignores a posted date, GEN-B honours it."""
    if db.generation == "a" or not body.get("date"):
        return db.now()
    try:
        when = datetime.fromisoformat(str(body["date"]))
    except ValueError:
        raise invalid("date", "Datetime has wrong format.") from None
    return when.astimezone(UTC) if when.tzinfo else when.replace(tzinfo=UTC)


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


def _check_amount(
    db: Database, resource: Resource, component: OfferingComponent, report: Report, period: date
) -> None:
    """Refuse usage above the component's own limit; the resource's limit is not looked at."""
    limit = component.spec.limit_amount
    if limit is None:
        return
    total = report.amount
    if component.spec.limit_period != "month":
        total += sum(
            usage.usage
            for usage in db.usages.values()
            if usage.resource is resource
            and usage.component is component
            and usage.billing_period != period
        )
    if total > limit:
        raise invalid_list(f"Total amount exceeds limit. Total amount: {total}, limit: {limit}.")


def _store(
    db: Database, resource: Resource, component: OfferingComponent, report: Report, when: datetime
) -> None:
    period = when.date().replace(day=1)
    usage = db.usage_of(resource, component, period)
    if usage is None:
        usage = ComponentUsage(
            new_uuid(), resource, component, period, report.amount, when, db.now()
        )
        db.add_usage(usage)
    usage.usage = report.amount
    usage.date = when
    usage.description = report.description
    usage.recurring = report.recurring


def _offering_user(db: Database, url: object) -> OfferingUser | None:
    if not url:
        return None
    uuid = str(url).rstrip("/").rpartition("/")[2]
    found = db.offering_users.get(plain_uuid(uuid) or "")
    if found is None:
        raise invalid("user", "Invalid hyperlink - Object does not exist.")
    return found
