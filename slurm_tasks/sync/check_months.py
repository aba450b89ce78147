"""Findings about months: which reports this server takes, and whose clock and zone decide."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from slurm_tasks.model.findings import Finding, ok, warning
from slurm_tasks.sync.control import Control
from slurm_tasks.waldur.capabilities import Capabilities, Dates

USAGE, MONTHS, CLOCK = "usage", "months", "clock"
SKEW_MAX = timedelta(minutes=1)
"""How far the clocks may differ; nothing is posted two minutes before and after a turn."""


def findings(control: Control) -> Iterator[Finding]:
    """Say what follows from the server's age for usage."""
    server = control.waldur.server.capabilities
    yield ok(USAGE, _past_months(server))
    if not server.zoned_months:
        yield from _of_utc(control)
    elif control.zone_known:
        yield ok(
            MONTHS,
            f"BILLING_TIME_ZONE is {control.zone}, which must be Waldur's TIME_ZONE: it counts"
            " months in that, and tells it nobody",
        )
    else:
        yield warning(
            MONTHS,
            "Waldur counts months in its own TIME_ZONE, and tells it nobody: set BILLING_TIME_ZONE"
            " to it (UTC, unless its operator has changed it). Until then this month's usage isn't"
            f" reported {_held(server)}",
        )
    skew = control.waldur.server.skew
    if abs(skew) > SKEW_MAX:
        seconds = round(abs(skew).total_seconds())
        ahead = "ahead of" if skew > timedelta() else "behind"
        yield warning(CLOCK, f"Waldur's clock is {seconds} s {ahead} ours; keep both by NTP")


def _held(server: Capabilities) -> str:
    if server.dates is Dates.NONE:
        return (
            "from 10:00 UTC on its last day on (what is used then can't be made up for), nor before"
            " 12:00 UTC on its first"
        )
    return "before 12:00 UTC on its first day"


def _of_utc(control: Control) -> Iterator[Finding]:
    """Compare the billing month with UTC's, which this server counts."""
    offset = datetime.now(UTC).astimezone(control.zone).utcoffset()
    if not offset:
        yield ok(MONTHS, "UTC's, as Waldur counts them")
    elif offset > timedelta():
        yield ok(
            MONTHS, f"those of {control.zone}; Waldur counts UTC's, and gets them when it does"
        )
    else:
        yield warning(
            MONTHS,
            f"this Waldur counts months in UTC: of those of {control.zone} the last hours are never"
            " reported; set BILLING_TIME_ZONE=UTC",
        )


def _past_months(server: Capabilities) -> str:
    """Say what becomes of a month that is over."""
    if not server.knows_dates:
        return "reports are booked to the month that it is: a month that is over can't be reported"
    match server.dates:
        case Dates.ALL:
            return "with this token past months can be reported, too"
        case Dates.LIMITS:
            return (
                "of a month that is over, limit-based components can be reported; usage-based ones"
                " by Waldur's staff only"
            )
        case _:
            return "a month that is over can be reported by Waldur's staff only"
