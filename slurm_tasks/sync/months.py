"""Months: which one it is for Waldur, which decides where a report without a date is booked.

Its clock may differ from ours, and its months may be those of another time zone. Older servers
count them in UTC, newer ones in their own TIME_ZONE, which no answer tells (all times are UTC's
there): BILLING_TIME_ZONE should be the same. Around the turn of a month nothing is posted that
could be booked to the other one.
"""

from datetime import UTC, datetime, timedelta, timezone, tzinfo
from enum import StrEnum

from slurm_tasks.model import usage
from slurm_tasks.sync.control import Control

MARGIN = timedelta(minutes=2)
"""How far the clocks and a request under way may be from what we know of them."""
CLOSING = timedelta(minutes=10)
"""How long before its end a month is reported once more."""
_FARTHEST = (timezone(timedelta(hours=-12)), timezone(timedelta(hours=14)))
_NOON = 12
_SAFE_HOUR = 9
"""UTC's hour at which a month's last day has not ended in any time zone."""


class Place(StrEnum):
    """Where a month lies for Waldur."""

    PAST = "past"
    ENDING = "ending"
    """It may be this month still, or the next one already."""
    CURRENT = "current"
    BEGINNING = "beginning"
    """It may be this month already, or the one before still."""
    FUTURE = "future"


def place(control: Control, month: str) -> Place:
    """Return where a month (`YYYY-MM`) lies for Waldur just now."""
    months = possible(control)
    if month in months:
        if len(months) == 1:
            return Place.CURRENT
        return Place.ENDING if month == months[0] else Place.BEGINNING
    return Place.PAST if month < months[0] else Place.FUTURE


def possible(control: Control) -> list[str]:
    """Return the months that it may be for Waldur: one, or around their turn two, in order."""
    now = datetime.now(UTC)
    moments = [
        clock + margin
        for clock in (now, now + control.waldur.server.skew)
        for margin in (-MARGIN, MARGIN)
    ]
    found = {f"{moment.astimezone(zone):%Y-%m}" for moment in moments for zone in zones(control)}
    turned = control.waldur.server.turned
    return sorted({month for month in found if month >= turned} or found)


def zones(control: Control) -> tuple[tzinfo, ...]:
    """Return the time zones whose months Waldur may count in."""
    if not control.waldur.server.capabilities.zoned_months:
        return (UTC,)
    return (UTC, control.zone) if control.zone_known else _FARTHEST


def is_closing(control: Control) -> bool:
    """Tell whether a month is about to end, for Waldur or in the billing time zone."""
    now = datetime.now(UTC)
    return any(
        f"{now.astimezone(zone):%Y-%m}" != f"{(now + CLOSING).astimezone(zone):%Y-%m}"
        for zone in (UTC, control.zone, *zones(control))
    )


def last_day(month: str) -> str:
    """Return a moment on a month's last day that lies in the month in every time zone.

    The last day, because what is dated before a resource's plan period is not billed.
    """
    first = datetime.strptime(month, "%Y-%m").replace(tzinfo=UTC)
    last = (first + timedelta(days=32)).replace(day=1) - timedelta(days=1)
    return _shown(last.replace(hour=_SAFE_HOUR))


def first_day(control: Control, month: str) -> str:
    """Return a moment of a month, its first day if it can be, that Waldur takes for no future one.

    Args:
        control: the control side.
        month: one that has begun for Waldur.
    """
    noon = datetime.strptime(month, "%Y-%m").replace(hour=_NOON, tzinfo=UTC)
    now = datetime.now(UTC)
    earliest = min(now, now + control.waldur.server.skew) - MARGIN
    return _shown(min(noon, earliest))


def following(control: Control, month: str) -> str:
    """Return the month after (`YYYY-MM`)."""
    return usage.following(usage.month(month, control.zone), control.zone).month


def _shown(moment: datetime) -> str:
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}"
