"""The `date` of a usage report: which servers take one, from whom, and for which month."""

from collections.abc import Iterable
from datetime import UTC, datetime

from slurm_tasks.demo.waldur.database import Database
from slurm_tasks.demo.waldur.records import OfferingComponent
from slurm_tasks.demo.waldur.refusals import invalid
from slurm_tasks.demo.waldur.values import PROVIDER_OWNERS, Json, Role, User
from slurm_tasks.demo.waldur.versions import Feature

_STAFF = "Only staff users can specify date for backfilling."
_OWNERS = "Only staff users and service providers can specify date for backfilling."
_PAST = "Service providers can only specify date for limit-based billing components."
_PAST_OR_PREPAID = (
    "Service providers can only specify date for limit-based or prepaid billing components"
    " when backfilling past billing periods."
)
_FUTURE = "Cannot submit usage for future dates."


def moment_of(
    db: Database, user: User, body: Json, components: Iterable[OfferingComponent]
) -> datetime:
    """Return the moment of a report: its `date`, or now.

    Raises:
        RefusedError: 400 under `date`: it is no date, lies in the future, or isn't this person's
            to send, or not for these components.
    """
    if not db.has(Feature.DATED_USAGE) or not body.get("date"):
        return db.now()
    try:
        when = datetime.fromisoformat(str(body["date"]))
    except ValueError:
        raise invalid("date", "Datetime has wrong format.") from None
    when = when.astimezone(UTC) if when.tzinfo else when.replace(tzinfo=UTC)
    if user.role != Role.STAFF:
        _check_provider(db, user, when, components)
    if db.has(Feature.PAST_LIMITS) and when > db.now():
        raise invalid("date", _FUTURE)  # by the server's clock, to the second, for staff too
    return when


def _check_provider(
    db: Database, user: User, when: datetime, components: Iterable[OfferingComponent]
) -> None:
    """Refuse a date that only staff may send."""
    if db.has(Feature.STAFF_DATES):
        raise invalid("date", _STAFF)
    if not db.has(Feature.PAST_LIMITS):
        return
    if user.role not in PROVIDER_OWNERS:  # the right is looked up on the provider, not the offering
        raise invalid("date", _OWNERS)
    billed = {component.spec.billing_type for component in components}
    if db.month_of(when) < db.billing_period() and billed != {"limit"}:
        prepaid = db.has(Feature.PREPAID_WORDING)
        raise invalid("date", _PAST_OR_PREPAID if prepaid else _PAST)
