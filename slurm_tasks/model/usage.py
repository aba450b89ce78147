"""Usage: months and what jobs held in them."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ConfigDict, Field, model_validator


class Period(BaseModel):
    """A month of the billing time zone, half-open: `start <= t < end`.

    Attributes:
        month: `YYYY-MM`, as Waldur bills it.
        start: its first second, in seconds since the epoch.
        end: the first second of the next month.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    month: str = Field(pattern=r"^\d{4}-(0[1-9]|1[0-2])$")
    start: int = Field(ge=0)
    end: int

    @model_validator(mode="after")
    def _is_a_month(self) -> "Period":
        if not timedelta(days=27) <= timedelta(seconds=self.end - self.start) <= timedelta(days=32):
            raise ValueError(f"{self.month} from {self.start} to {self.end} is not a month")
        return self

    @property
    def first_day(self) -> date:
        """The first day, which is what Waldur calls `billing_period`."""
        return date.fromisoformat(f"{self.month}-01")

    def contains(self, moment: datetime) -> bool:
        """Tell whether a moment lies within the month."""
        return self.start <= moment.timestamp() < self.end


def month_of(moment: datetime, zone: ZoneInfo) -> Period:
    """Return the month of the billing time zone that a moment lies in."""
    return month(f"{moment.astimezone(zone):%Y-%m}", zone)


def month(text: str, zone: ZoneInfo) -> Period:
    """Return the month `YYYY-MM` of a time zone.

    Raises:
        ValueError: it isn't a month.
    """
    first = datetime.strptime(text, "%Y-%m").replace(tzinfo=zone)
    following = (first.replace(day=1) + timedelta(days=32)).replace(day=1)
    return Period(
        month=f"{first:%Y-%m}", start=int(first.timestamp()), end=int(following.timestamp())
    )


def previous(period: Period, zone: ZoneInfo) -> Period:
    """Return the month before."""
    return month_of(datetime.fromtimestamp(period.start - 1, UTC), zone)


class UserUsage(BaseModel):
    """What one user's jobs held.

    Attributes:
        user: the Unix username; empty when SLURM doesn't know it any more.
        tres: TRES-seconds by TRES (MB-seconds for memory), AllocTRES times elapsed time.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    user: str
    tres: dict[str, int]


class PeriodUsage(BaseModel):
    """What an account's jobs held in a month, by user; the total is the sum over users."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    period: Period
    users: tuple[UserUsage, ...] = ()

    def total(self) -> dict[str, int]:
        """Sum over the users: TRES-seconds by TRES."""
        sums: dict[str, int] = {}
        for user in self.users:
            for name, seconds in user.tres.items():
                sums[name] = sums.get(name, 0) + seconds
        return sums


@dataclass(frozen=True)
class JobRow:
    """One run of a job, clipped to the period: what it held, and for how long."""

    account: str
    user: str
    elapsed: int
    """Seconds, suspended time excluded."""
    tres: dict[str, int]
    """AllocTRES; empty for a job that never started."""


def tally(rows: Iterable[JobRow], accounts: Iterable[str]) -> dict[str, dict[str, dict[str, int]]]:
    """Add up job rows as they stream by; memory grows with accounts and users, not with jobs.

    Args:
        rows: all of the period's rows, of any account.
        accounts: those that count.

    Returns:
        TRES-seconds by account, user and TRES; every account asked for is there.
    """
    sums: dict[str, dict[str, dict[str, int]]] = {account: {} for account in accounts}
    for row in _of(rows, sums):
        held = sums[row.account].setdefault(row.user, {})
        for name, count in row.tres.items():
            held[name] = held.get(name, 0) + count * row.elapsed
    return sums


def _of(rows: Iterable[JobRow], accounts: Iterable[str]) -> Iterator[JobRow]:
    wanted = set(accounts)
    return (row for row in rows if row.account in wanted and row.elapsed and row.tres)
