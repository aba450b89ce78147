"""Missed: usage that Waldur takes no more, since its month is over there; told in numbers."""

from collections.abc import Iterator
from decimal import Decimal

import structlog

from slurm_tasks import metrics
from slurm_tasks.errors import PermanentError
from slurm_tasks.sync import months
from slurm_tasks.sync.control import Control
from slurm_tasks.sync.differences import Difference
from slurm_tasks.sync.months import Place
from slurm_tasks.waldur.capabilities import Capabilities, Dates

log = structlog.stdlib.get_logger(__name__)

_SHOWN = 10


def tell(control: Control, rows: list[Difference]) -> list[str]:
    """Say what Waldur lacks of months that are over; the log and the metric hear of it once.

    Returns:
        A sentence for each amount.
    """
    news = [
        row for row in rows if row.changed and control.first(f"missed:{row.month}:{row.resource}")
    ]
    for month in sorted({row.month for row in news}):
        accounts = sorted(row.account for row in news if row.month == month)
        lacking: dict[str, Decimal] = {}
        for row in news:
            if row.month == month:
                for name, amount in row.new.items():
                    lacking[name] = lacking.get(name, Decimal()) + amount - row.had(name)
        for name, amount in lacking.items():
            metrics.usage_missed.labels(name).inc(float(max(amount, Decimal())))
        log.warning(
            "usage_missed",
            month=month,
            accounts=accounts[:_SHOWN],
            more=max(len(accounts) - _SHOWN, 0),
            lacking={name: str(amount) for name, amount in sorted(lacking.items()) if amount},
            advice=advice(control.waldur.server.capabilities, month),
        )
    return [sentence for row in rows for sentence in _sentences(row)]


def _sentences(row: Difference) -> Iterator[str]:
    for name, amount in row.new.items():
        if amount != row.had(name):
            yield (
                f"{row.account} {row.month} {name}: the cluster says {amount}, Waldur has"
                f" {row.had(name)} and takes no more for that month"
            )


def require_open(control: Control, month: str) -> None:
    """Make sure that Waldur takes something for a month.

    Raises:
        PermanentError: it takes nothing; the message says what helps.
    """
    server = control.waldur.server.capabilities
    if server.dates is Dates.NONE and months.place(control, month) is Place.PAST:
        raise PermanentError(f"{month} can't be reported: {advice(server, month)}")


def advice(server: Capabilities, month: str) -> str:
    """Say why a server takes nothing, or not all, for a month that is over, and what helps."""
    look = f"`slurm-tasks usage show --month {month}` prints what it lacks"
    if not server.knows_dates:
        return (
            f"this Waldur ({server.name}) books each report to the month that it is there."
            f" {look}; correct the invoice by hand"
        )
    what = "no past month" if server.dates is Dates.NONE else "limit-based components of it only"
    return (
        f"this Waldur ({server.name}) takes {what} from this token. {look}; with the token of a"
        f" member of Waldur's staff as WALDUR_API_TOKEN, `slurm-tasks usage report --local --month"
        f" {month}` makes up for it"
    )
