"""Job records that slurmdbd has thrown away, or hides, must not be reported as no usage."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import ClassVar, Literal


@dataclass(frozen=True)
class Purge:
    """When slurmdbd throws job records away (PurgeJobAfter).

    Measured: 24.11 and 26.05 throw away what ended before the cutoff, 22.05 what was submitted
    before it; there, a month right after the cutoff may lack jobs that waited or ran for long.

    Attributes:
        after: how many units after.
        unit: what is counted; slurmdbd cuts at the start of one.
    """

    after: int
    unit: Literal["hours", "days", "months"]

    def cutoff(self, now: datetime) -> datetime:
        """Return the moment from which on all records are kept, by the local clock.

        slurmdbd cuts by its own local time, which it doesn't tell; this process's is taken for it.
        """
        hour = now.astimezone().replace(minute=0, second=0, microsecond=0, tzinfo=None)
        day = hour.replace(hour=0)
        if self.unit == "hours":
            local = hour - timedelta(hours=self.after)
        elif self.unit == "days":
            local = day - timedelta(days=self.after)
        else:
            months = day.year * 12 + day.month - 1 - self.after
            local = day.replace(year=months // 12, month=months % 12 + 1, day=1)
        return local.astimezone()


@dataclass(frozen=True)
class Accounting:
    """How slurmdbd keeps job records, as it tells.

    Attributes:
        purge: when it throws them away; None: never.
        private: what it shows administrators only (PrivateData).
        release: of slurmdbd, as (24, 11).
        client: of SLURM's commands.
    """

    purge: Purge | None = None
    private: frozenset[str] = frozenset()
    release: tuple[int, int] = (0, 0)
    client: tuple[int, int] = (0, 0)

    TELLS_PRIVACY: ClassVar[tuple[int, int]] = (24, 11)
    """The last release that was seen to tell its PrivateData; 26.05 says `none` whatever it is."""
    HAS_LINEAGE: ClassVar[tuple[int, int]] = (24, 11)
    """The first release that was seen to list accounts' lineage."""

    @property
    def may_hide_jobs(self) -> bool:
        """Whether those who aren't administrators may not see all jobs."""
        return "jobs" in self.private or self.release > self.TELLS_PRIVACY

    @property
    def has_lineage(self) -> bool:
        """Whether SLURM's commands know the lineage of accounts."""
        return self.client >= self.HAS_LINEAGE
