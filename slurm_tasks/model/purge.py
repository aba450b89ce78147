"""Purge: job records that slurmdbd has thrown away must not be reported as no usage."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal


@dataclass(frozen=True)
class Purge:
    """When slurmdbd throws job records away (PurgeJobAfter).

    Attributes:
        after: how many units after.
        unit: what is counted; slurmdbd cuts at the start of one.
    """

    after: int
    unit: Literal["hours", "days", "months"]

    def cutoff(self, now: datetime) -> datetime:
        """Return the moment from which on all records are kept."""
        hour = now.replace(minute=0, second=0, microsecond=0)
        if self.unit == "hours":
            return hour - timedelta(hours=self.after)
        day = hour.replace(hour=0)
        if self.unit == "days":
            return day - timedelta(days=self.after)
        months = day.year * 12 + day.month - 1 - self.after
        return day.replace(year=months // 12, month=months % 12 + 1, day=1)
