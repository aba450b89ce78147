"""Usage: months and what jobs held in them."""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from typing import ClassVar
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ConfigDict, Field, model_validator

from slurm_tasks.model import tres

_MONTH = re.compile(r"(19[7-9][0-9]|[2-8][0-9]{3})-(0[1-9]|1[0-2])")


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
        ValueError: it isn't a month, or none that jobs can have run in.
    """
    if not _MONTH.fullmatch(text):
        raise ValueError(f"{text!r} is not a month; write YYYY-MM")
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
    """What an account's jobs held in a month, by user; the total is the sum over users.

    Attributes:
        period: the month.
        users: by user.
        doubtful: jobs among them whose times can't be right, a sentence each.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    period: Period
    users: tuple[UserUsage, ...] = ()
    doubtful: tuple[str, ...] = ()

    def total(self) -> dict[str, int]:
        """Sum over the users: TRES-seconds by TRES."""
        sums: dict[str, int] = {}
        for user in self.users:
            for name, seconds in user.tres.items():
                sums[name] = sums.get(name, 0) + seconds
        return sums


ListedRun = tuple[str, int, int]
"""A job's number, and when sacct says that a run of it started, and was submitted."""


@dataclass(frozen=True)
class Run:
    """One run of a job as a whole, up to now if it hasn't ended.

    Attributes:
        job: the job's number; a requeued job has several runs.
        account: whose usage it is: the allocation's account.
        user: who ran it.
        start: its first second, since the epoch.
        elapsed: seconds that it ran.
        suspended: seconds that it was suspended: its CPUs were free then, and nothing else that it
            held.
        held: AllocTRES as listed; empty for a job that never started.
        submitted: when it was submitted; of a job that was made smaller, when that happened.
        before: seconds from the start that is listed to `start`: a job that was made smaller has
            several runs, and 22.05 lists all of them from the job's first second on.
    """

    job: str
    account: str
    user: str
    start: int
    elapsed: int
    suspended: int
    held: str
    submitted: int = 0
    before: int = 0

    @property
    def listed(self) -> ListedRun:
        """What sacct knows it by."""
        return self.job, self.start - self.before, self.submitted

    @property
    def end(self) -> int:
        """The first second after it."""
        return self.start + self.elapsed + self.suspended

    def is_split(self, start: int, end: int) -> bool:
        """Tell whether its suspended seconds may lie within a period as well as outside."""
        across = self.start < start < self.end or self.start < end < self.end
        return across and self.suspended > 0

    def part(self, start: int, end: int, elapsed: int | None = None) -> "Run":
        """Return what lies within a period.

        Args:
            start: the period's first second.
            end: the first second after it.
            elapsed: how long it ran within the period, where it is split.
        """
        first = max(self.start, start)
        seconds = max(min(self.end, end) - first, 0)
        if elapsed is None:
            elapsed = max(seconds - self.suspended, 0)
        return replace(self, start=first, elapsed=elapsed, suspended=seconds - elapsed)


Kind = tuple[str, str, str]
"""Jobs that are added up together: account, user, AllocTRES as listed."""


@dataclass
class Tally:
    """Adds runs up as they stream by; memory grows with accounts, users and TRES, not with jobs.

    Like SLURM's own reports: while a job is suspended, all that it holds counts but its CPUs.

    Attributes:
        accounts: whose runs are counted.
        billed: the TRES that are counted; empty: all.
        elapsed: seconds that runs of a kind ran; `settle` turns them into sums.
        suspended: seconds that they were suspended.
        sums: TRES-seconds (MB-seconds for memory) by account, user and TRES.
        unread: what is not understood of an account's runs, and may be billed: the first of it,
            by account; the sums of such an account are not all that it used.
        left_out: what is not understood of TRES that aren't billed.
        doubtful: jobs whose times can't be right, a sentence each, by account.
    """

    KINDS: ClassVar[int] = 50_000
    """So many kinds at most are kept before they are turned into sums."""
    TOLD: ClassVar[int] = 20
    """So many doubtful jobs of an account at most are told."""

    accounts: Iterable[str]
    billed: frozenset[str] = frozenset()
    elapsed: defaultdict[Kind, int] = field(default_factory=lambda: defaultdict(int))
    suspended: defaultdict[Kind, int] = field(default_factory=lambda: defaultdict(int))
    sums: dict[str, dict[str, dict[str, int]]] = field(default_factory=dict)
    unread: dict[str, str] = field(default_factory=dict)
    left_out: set[str] = field(default_factory=set)
    doubtful: dict[str, list[str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Begin with nothing used."""
        self.sums |= {account: {} for account in self.accounts}

    def add(self, run: Run) -> None:
        """Add a run, or the part of it that lies within the period."""
        kind = run.account, run.user, run.held
        self.elapsed[kind] += run.elapsed
        if run.suspended:
            self.suspended[kind] += run.suspended

    def doubt(self, account: str, text: str) -> None:
        """Note a job whose times can't be right."""
        told = self.doubtful.setdefault(account, [])
        if len(told) < self.TOLD:
            told.append(text)

    def settle(self, kinds: int = 0) -> None:
        """Turn what was added into sums, if there are more kinds than so many."""
        if len(self.elapsed) <= kinds:
            return
        known: dict[str, tuple[dict[str, int], str]] = {}
        for (account, user, held), elapsed in self.elapsed.items():
            suspended = self.suspended.get((account, user, held), 0)
            if not elapsed + suspended:
                continue
            if held not in known:
                known[held] = self._counted(held)
            counts, unread = known[held]
            if unread:
                self.unread.setdefault(account, f"what a job of {user} held: {unread!r}")
            sums = self.sums[account].setdefault(user, {}) if counts else {}
            for name, count in counts.items():
                seconds = elapsed if name == "cpu" else elapsed + suspended
                sums[name] = sums.get(name, 0) + count * seconds
        self.elapsed.clear()
        self.suspended.clear()

    def _counted(self, held: str) -> tuple[dict[str, int], str]:
        """Return what counts of AllocTRES, and what isn't understood of it and may be billed."""
        counts, unread = tres.parse_parts(held)
        if not self.billed:
            return counts, ",".join(unread.values())
        # A part without a name may be anything.
        doubtful = [part for name, part in unread.items() if name in self.billed or name == part]
        self.left_out |= {*unread.values()} - {*doubtful}
        return {name: n for name, n in counts.items() if name in self.billed}, ",".join(doubtful)

    def usage(self, period: Period) -> dict[str, PeriodUsage]:
        """Return what was used in a period, by account; one with what is not understood isn't in.

        Args:
            period: the one that the runs are clipped to.
        """
        self.settle()
        return {
            account: PeriodUsage(
                period=period,
                users=tuple(UserUsage(user=user, tres=held) for user, held in sorted(by.items())),
                doubtful=tuple(self.doubtful.get(account, ())),
            )
            for account, by in self.sums.items()
            if account not in self.unread
        }


@dataclass(frozen=True)
class Reading:
    """What a listing of a period's jobs says.

    Attributes:
        usage: by account.
        unread: why an account's usage isn't known: a row of its jobs is not understood.
        rows: how many runs of jobs were listed, of whatever account.
    """

    usage: Mapping[str, PeriodUsage]
    unread: Mapping[str, str]
    rows: int
