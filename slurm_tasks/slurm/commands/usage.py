"""Commands that ask sacct what jobs held, and for how long."""

import functools
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import ClassVar

from slurm_tasks.errors import ParseError
from slurm_tasks.model import tres
from slurm_tasks.model.usage import JobRow, Run, Sums, tally
from slurm_tasks.slurm.commands.base import Command, account_name, rows

_held = functools.lru_cache(1000)(tres.parse)
"""A month has many jobs that held the same; reading AllocTRES is half of the work for each."""
_NUMBER = re.compile(r"[0-9]{1,12}")
_SPELL = re.compile(r"(?:([0-9]{1,6})-)?([0-9]{2}):([0-9]{2}):([0-9]{2})")
_EVERY_RUN = ("--allocations", "--allusers", "--duplicates", "--noconvert", "--parsable2")


@dataclass(frozen=True)
class AccountUsage(Command[tuple[Sums, list[Run]]]):
    """What the jobs of a period held, by account, user and TRES: every run of every job.

    AllocTRES is what was held (ReqTRES what was asked); `--duplicates` brings the earlier runs
    of requeued jobs; `--state` is never passed, it would change the window's meaning. Runs are
    clipped here: for `--truncate` slurmdbd makes one query for each job (20,000 jobs take 4.2 s
    with it, 0.6 s without), and it counts a job that is suspended at the moment as running.

    Attributes:
        start: first second, seconds since the epoch.
        end: the first second after the period.
        accounts: whose jobs.
    """

    start: int
    end: int
    accounts: tuple[str, ...]
    tool: ClassVar[str] = "sacct"
    MAX_NAMES: ClassVar[int] = 2000
    """Above this many names the argument list is too long (E2BIG): ask for all, and pick."""
    _HEADER: ClassVar[str] = "JobIDRaw|Account|User|Start|ElapsedRaw|Suspended|AllocTRES"

    def argv(self) -> list[str]:
        """Ask for the period; times are UTC, as the runner's environment says."""
        if not 0 <= self.start < self.end:
            raise ValueError(f"the period from {self.start} to {self.end} is empty")
        if not self.accounts:
            raise ValueError("without an account's name the usage would be that of all")
        window = [f"--starttime={_utc(self.start)}", f"--endtime={_utc(self.end)}"]
        listed = f"--accounts={','.join(map(account_name, self.accounts))}"
        whose = [listed] if len(self.accounts) <= self.MAX_NAMES else []
        columns = "--format=jobidraw,account,user,start,elapsedraw,suspended,alloctres"
        return [*_EVERY_RUN, self.cluster_option, *window, *whose, columns]

    def parse(self, lines: Iterable[str]) -> tuple[Sums, list[Run]]:
        """Add up as the rows come; memory does not grow with the jobs.

        Returns:
            TRES-seconds (MB-seconds for memory) by account, user and TRES, and the runs that are
            not among them: suspended ones across the period's start or end.
        """
        sums: Sums = {account: {} for account in self.accounts}
        split: list[Run] = []
        tally(self._parts(lines, split), sums)
        return sums, split

    def _parts(self, lines: Iterable[str], split: list[Run]) -> Iterator[JobRow]:
        wanted = frozenset(self.accounts)
        for job, account, user, start, elapsed, suspended, held in rows(lines, self._HEADER, 7):
            if account not in wanted:
                continue  # above MAX_NAMES all accounts' jobs are listed
            row = JobRow(account, user, _number(elapsed), _held(held), _seconds(suspended))
            if not row.elapsed + row.suspended:
                continue  # it hasn't started, or ended at once
            run = Run(job, _start(start), row)
            if run.is_split(self.start, self.end):
                split.append(run)
            else:
                yield run.part(self.start, self.end)


@dataclass(frozen=True)
class RanBy(Command[dict[tuple[str, int], int]]):
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
    _HEADER: ClassVar[str] = "JobIDRaw|Start|ElapsedRaw"

    def argv(self) -> list[str]:
        """Ask for everything up to the moment; a window from 0 on would be from today on."""
        if not self.jobs:
            raise ValueError("without a job's number all jobs would be listed")
        window = [f"--starttime={_utc(1)}", f"--endtime={_utc(self.moment)}"]
        jobs = f"--jobs={','.join(str(_number(job)) for job in self.jobs)}"
        columns = "--format=jobidraw,start,elapsedraw"
        return [*_EVERY_RUN, "--truncate", self.cluster_option, *window, jobs, columns]

    def parse(self, lines: Iterable[str]) -> dict[tuple[str, int], int]:
        """Return seconds by job and start; runs that began later are left out."""
        return {
            (job, _start(start)): _number(elapsed)
            for job, start, elapsed in rows(lines, self._HEADER, 3)
        }


def _utc(epoch: int) -> str:
    return f"{datetime.fromtimestamp(epoch, UTC):%Y-%m-%dT%H:%M:%S}"


def _start(text: str) -> int:
    if not _NUMBER.fullmatch(text):
        raise ParseError(
            f"a job's start is {text!r}, not seconds: SLURM_TIME_FORMAT (and TZ) don't reach sacct"
        )
    return int(text)


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
