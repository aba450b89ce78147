"""Usage: months and what jobs held in them."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
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


def following(period: Period, zone: ZoneInfo) -> Period:
    """Return the month after."""
    return month_of(datetime.fromtimestamp(period.end, UTC), zone)


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
    """What one run of a job held in the period, and for how long."""

    account: str
    user: str
    elapsed: int
    """Seconds that it ran."""
    tres: dict[str, int]
    """AllocTRES; empty for a job that never started."""
    suspended: int = 0
    """Seconds that it was suspended: its CPUs were free then, and nothing else that it held."""


@dataclass(frozen=True)
class Run:
    """One run of a job as a whole, up to now if it hasn't ended.

    Attributes:
        job: the job's number; a requeued job has several runs.
        start: its first second, since the epoch.
        whole: what it held, and for how long.
    """

    job: str
    start: int
    whole: JobRow

    @property
    def end(self) -> int:
        """The first second after it."""
        return self.start + self.whole.elapsed + self.whole.suspended

    def is_split(self, start: int, end: int) -> bool:
        """Tell whether its suspended seconds may lie within a period as well as outside."""
        across = self.start < start < self.end or self.start < end < self.end
        return across and self.whole.suspended > 0

    def part(self, start: int, end: int, elapsed: int | None = None) -> JobRow:
        """Return what lies within a period.

        Args:
            start: the period's first second.
            end: the first second after it.
            elapsed: how long it ran within the period, where it is split.
        """
        seconds = max(min(self.end, end) - max(self.start, start), 0)
        if elapsed is None:
            elapsed = max(seconds - self.whole.suspended, 0)
        return replace(self.whole, elapsed=elapsed, suspended=seconds - elapsed)


Sums = dict[str, dict[str, dict[str, int]]]
"""TRES-seconds by account, user and TRES."""


def tally(rows: Iterable[JobRow], sums: Sums) -> None:
    """Add up job rows as they stream by; memory grows with accounts and users, not with jobs.

    Like SLURM's own reports: while a job is suspended, all that it holds counts but its CPUs.

    Args:
        rows: rows of any account.
        sums: what they are added to; only accounts that are in it count.
    """
    for row in rows:
        if row.account in sums and row.tres and row.elapsed + row.suspended:
            held = sums[row.account].setdefault(row.user, {})
            for name, count in row.tres.items():
                seconds = row.elapsed + (0 if name == "cpu" else row.suspended)
                held[name] = held.get(name, 0) + count * seconds
