"""Purge: job records that slurmdbd has thrown away must not be reported as no usage."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal


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
