"""Commands that ask sacct what jobs held, and for how long."""

import functools
import itertools
import re
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import ClassVar

from slurm_tasks.errors import ParseError
from slurm_tasks.model.usage import ListedRun, Run, Tally
from slurm_tasks.slurm.commands.base import Command, account_name, below_header, rows

_NUMBER = re.compile(r"[0-9]{1,12}")
_SPELL = re.compile(r"(?:([0-9]{1,6})-)?([0-9]{2}):([0-9]{2}):([0-9]{2})")
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T.*")
EVERY_RUN = ("--allocations", "--allusers", "--duplicates", "--noconvert", "--parsable2")
_NEVER = "00:00:00"
RUNNING = "Unknown"
_YEAR = 366 * 86400
_CHUNK = 10_000
"""Rows between two looks at how much is kept."""


@dataclass
class Listing:
    """What a listing of jobs gave.

    Attributes:
        tally: what was used, by account.
        split: runs that are not in it: suspended ones across the period's start or end.
        rows: how many rows there were, of whatever account.
    """

    tally: Tally
    split: list[Run] = field(default_factory=list)
    rows: int = 0


@dataclass(frozen=True)
class AccountUsage(Command[Listing]):
    """What the jobs of a period held, by account, user and TRES: every run of every job.

    AllocTRES is what was held (ReqTRES what was asked); `--duplicates` brings the earlier runs
    of requeued jobs; `--state` is never passed, it would change the window's meaning. Runs are
    clipped here: for `--truncate` slurmdbd makes one query for each job (20,000 jobs take 4.2 s
    with it, 0.6 s without), and it counts a job that is suspended at the moment as running.

    Attributes:
        start: first second, seconds since the epoch.
        end: the first second after the period.
        accounts: whose jobs, and whose usage they are: an allocation's account by the account
            that the job ran in, its own or one below it.
        billed: the TRES that are counted; empty: all.
    """

    start: int
    end: int
    accounts: Mapping[str, str]
    billed: frozenset[str] = frozenset()
    tool: ClassVar[str] = "sacct"
    MAX_NAMES: ClassVar[int] = 2000
    """Above this many names the argument list is too long (E2BIG): ask for all, and pick."""
    _HEADER: ClassVar[str] = "JobIDRaw|Account|User|Start|End|Submit|ElapsedRaw|Suspended|AllocTRES"

    def argv(self) -> list[str]:
        """Ask for the period; times are UTC, as the runner's environment says."""
        if not 0 <= self.start < self.end:
            raise ValueError(f"the period from {self.start} to {self.end} is empty")
        if not self.accounts:
            raise ValueError("without an account's name the usage would be that of all")
        window = [f"--starttime={moment(self.start)}", f"--endtime={moment(self.end)}"]
        listed = f"--accounts={','.join(map(account_name, sorted(self.accounts)))}"
        whose = [listed] if len(self.accounts) <= self.MAX_NAMES else []
        columns = f"--format={self._HEADER.lower().replace('|', ',')}"
        return [*EVERY_RUN, self.cluster_option, *window, *whose, columns]

    def parse(self, lines: Iterable[str]) -> Listing:
        """Add up as the rows come; memory does not grow with the jobs.

        What is not understood of one account's row is that account's own matter.

        Raises:
            ParseError: it isn't a listing of jobs.
        """
        listing = Listing(Tally(sorted(set(self.accounts.values())), self.billed))
        stream = below_header(lines, self._HEADER)
        while chunk := list(itertools.islice(stream, _CHUNK)):
            listing.rows += len(chunk)
            self._add(chunk, listing)
            listing.tally.settle(Tally.KINDS)
        listing.tally.settle()
        return listing

    def _add(self, chunk: list[str], listing: Listing) -> None:
        """Add rows; a month has a million, nearly all of jobs that began and ended in it."""
        account_of, seconds_of = self.accounts.get, listing.tally.elapsed
        begin, end = self.start, self.end
        for line in chunk:
            try:
                _, name, user, start, ended, submit, elapsed, suspended, held = line.split("|", 8)
            except ValueError as error:
                raise ParseError(
                    f"expected 9 columns ({self._HEADER}), got {line[:300]!r}"
                ) from error
            account = account_of(name)
            if account is None:
                continue  # above MAX_NAMES all accounts' jobs are listed
            if suspended == _NEVER and submit <= start and ended != RUNNING:
                try:
                    first, last = int(start), int(ended)
                    usual = begin <= first and last <= end and last - first == int(elapsed)
                except ValueError:
                    usual = False
                if usual:
                    seconds_of[account, user, held] += last - first
                    continue
            self._add_unusual(account, line, listing)

    def _add_unusual(self, account: str, line: str, listing: Listing) -> None:
        """Add what crosses the period's edges, was suspended, runs still or is inconsistent."""
        fields = line.rstrip("\n").split("|", 8)
        if not fields[-1]:
            return  # it has never started
        if _DATE.fullmatch(fields[3]):
            raise ParseError(
                f"a job's start is {fields[3]!r}, not seconds: SLURM_TIME_FORMAT (and TZ) don't"
                " reach sacct"
            )
        try:
            run, doubt = _run(account, fields)
        except ParseError as error:
            listing.tally.unread.setdefault(account, f"job {fields[0]}: {error}")
            return
        if doubt:
            listing.tally.doubt(account, f"job {fields[0]} of {fields[2]}: {doubt}")
        if run.is_split(self.start, self.end):
            listing.split.append(run)
        else:
            listing.tally.add(run.part(self.start, self.end))


def _run(account: str, fields: list[str]) -> tuple[Run, str]:
    """Understand a row.

    Returns:
        The run, never longer than from its start to its end, or to now; and what is doubtful.
    """
    job, _, user, *times, held = fields
    first, submitted, elapsed = (_number(times[at]) for at in (0, 2, 3))
    suspended = _seconds(times[4])
    last = None if times[1] == RUNNING else _number(times[1])
    doubt = ""
    if last is None and suspended >= first - _YEAR:
        # The clock stepped back between suspending and resuming: slurmdbd keeps the moment of
        # the one where the length of both belongs.
        doubt = f"it has run since {moment(first)}, suspended for {times[4]}: taken as running"
        elapsed, suspended = max(int(time.time()) - first, 0), 0
    elif last is not None and first + elapsed + suspended != last:
        doubt = (
            f"from {moment(first)} to {moment(last)} it ran for {elapsed} s and was suspended for"
            f" {times[4]}: taken as running all the time"
        )
        elapsed, suspended = max(last - first, 0), 0
    # A job that is made smaller has one run until then and another from then on, which counts as
    # submitted then. On 22.05 the second has the job's start, too (24.11 and 26.05: the moment of
    # the change); its suspended seconds are its own.
    before = submitted - first
    if not 0 < before <= elapsed + suspended:
        before = 0
    run = Run(
        *(job, account, user, first + before, max(elapsed - before, 0), suspended, held),
        *(submitted, before),
    )
    return run, doubt


@dataclass(frozen=True)
class RanBy(Command[dict[ListedRun, int]]):
    """How long runs of jobs had run by a moment, suspended time left out.

    A job that is suspended at the moment counts as running since then: sacct's `--truncate`
    knows only what has been resumed.

    Attributes:
        moment: seconds since the epoch.
        jobs: the jobs' numbers.
    """

    moment: int
    jobs: tuple[str, ...]
    tool: ClassVar[str] = "sacct"
    _HEADER: ClassVar[str] = "JobIDRaw|Start|Submit|ElapsedRaw"

    def argv(self) -> list[str]:
        """Ask for everything up to the moment; a window from 0 on would be from today on."""
        if not self.jobs:
            raise ValueError("without a job's number all jobs would be listed")
        window = [f"--starttime={moment(1)}", f"--endtime={moment(self.moment)}"]
        jobs = f"--jobs={','.join(str(_number(job)) for job in self.jobs)}"
        columns = f"--format={self._HEADER.lower().replace('|', ',')}"
        return [*EVERY_RUN, "--truncate", self.cluster_option, *window, jobs, columns]

    def parse(self, lines: Iterable[str]) -> dict[ListedRun, int]:
        """Return seconds by run; those that began later are left out."""
        return {
            (job, _number(start), _number(submit)): _number(elapsed)
            for job, start, submit, elapsed in rows(lines, self._HEADER, 4)
        }


def moment(epoch: int) -> str:
    """Return a moment, seconds since the epoch, as sacct takes it; times are UTC."""
    return f"{datetime.fromtimestamp(epoch, UTC):%Y-%m-%dT%H:%M:%S}"


def _number(text: str) -> int:
    if not _NUMBER.fullmatch(text):
        raise ParseError(f"{text!r} of a job is not a number")
    return int(text)


@functools.lru_cache(1000)
def _seconds(text: str) -> int:
    """Read `[days-]hours:minutes:seconds`."""
    found = _SPELL.fullmatch(text)
    if not found:
        raise ParseError(f"the suspended time {text!r} of a job")
    days, hours, minutes, seconds = (int(part or 0) for part in found.groups())
    return ((days * 24 + hours) * 60 + minutes) * 60 + seconds
