"""`sacct`: jobs, whole or clipped to a window."""

from __future__ import annotations

import calendar
import os
import re
import time
from functools import cache

from . import tres
from .replies import RefusedError, Reply, UnsupportedError
from .state import Cluster, load
from .words import columns, names, options

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

_OPTIONS = {
    "--allocations": "allocations",
    "--allusers": "allusers",
    "--duplicates": "duplicates",
    "--truncate": "truncate",
    "--noconvert": "noconvert",
    "--parsable2": "parsable2",
    "--noheader": "noheader",
    "--clusters=": "cluster",
    "--starttime=": "start",
    "--endtime=": "end",
    "--accounts=": "accounts",
    "--jobs=": "jobs",
    "--format=": "format",
}
_NEEDED = set(_OPTIONS.values()) - {"truncate", "noheader", "accounts", "jobs"}
_DATE = re.compile(r"(\d{4})-(\d\d)-(\d\d)(?:T(\d\d):(\d\d)(?::(\d\d))?)?")


def sacct(cluster: Cluster, argv: list[str]) -> Reply:
    """List the runs of jobs that touch the window."""
    given, rest = options(argv, _OPTIONS)
    missing = _NEEDED - given.keys()
    if rest or missing:
        raise UnsupportedError(f"sacct without {sorted(missing)}, with {rest}")
    asked = columns(given["format"], _COLUMNS)
    start, end = _seconds(given["start"]), _seconds(given["end"])
    if start > end:
        raise RefusedError(
            f"sacct: error: Start time ({_moment(start)}) requested is after end time"
            f" ({_moment(end)})."
        )
    end = min(end, int(cluster.now))
    lines = [] if "noheader" in given else ["|".join(_COLUMNS[column] for column in asked)]
    if given["cluster"] == cluster.name:
        cells = [_CELLS[column][1] for column in asked]
        runs = _runs(cluster, (start, end), given)
        lines += ["|".join([cell(run) for cell in cells]) for run in runs]
    return Reply(lines)


class _Run:
    """One run of a job as it is shown, clipped to a window or whole."""

    __slots__ = (
        "account",
        "allocated",
        "began",
        "clip",
        "ended",
        "job",
        "now",
        "requested",
        "state",
        "submit",
        "suspended",
        "user",
    )

    def __init__(self, row: tuple[Any, ...], clip: tuple[int, int] | None, now: int) -> None:
        self.job, self.account, self.user, self.submit, self.began, self.ended = row[:6]
        self.state, self.suspended, self.requested, self.allocated = row[6:]
        self.clip = clip
        self.now = now
        if self.state in {"PENDING", "RUNNING"}:
            self.ended = None

    def elapsed(self) -> str:
        """Count the seconds that it ran, within the window."""
        return str(self._seconds()[0])

    def spell(self) -> str:
        """Tell how long it was suspended within the window, as hours and days."""
        days, seconds = divmod(self._seconds()[1], 86400)
        clock = f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}"
        return f"{days}-{clock}" if days else clock

    def _seconds(self) -> tuple[int, int]:
        """Count the seconds that it ran, and those for which it was suspended, at its end."""
        if self.began is None:
            return 0, 0
        first, last = int(self.began), int(self.now if self.ended is None else self.ended)
        if not self.clip:  # what slurmdbd keeps is listed as it is, possible or not
            return max(last - first - self.suspended, 0), self.suspended
        resting = max(last - self.suspended, first)
        first, resting, last = (
            min(max(moment, self.clip[0]), self.clip[1]) for moment in (first, resting, last)
        )
        return resting - first, last - resting

    def start(self) -> str:
        """Tell when it started; clipped, what never started does so at its end."""
        if self.clip:
            return _moment(max(self._last() if self.began is None else self.began, self.clip[0]))
        if self.began is None:
            return "Unknown" if self.ended is None else "None"
        return _moment(self.began)

    def end(self) -> str:
        """Tell when it ended."""
        if self.clip:
            return _moment(self._last())
        return "Unknown" if self.ended is None else _moment(int(self.ended))

    def _last(self) -> int:
        latest = self.clip[1] if self.clip else self.now
        return latest if self.ended is None else min(int(self.ended), latest)


@cache
def _held(text: str) -> str:
    return tres.held(load(text))


_CELLS: dict[str, tuple[str, Callable[[_Run], str]]] = {
    "account": ("Account", lambda run: str(run.account)),
    "user": ("User", lambda run: str(run.user)),
    "elapsedraw": ("ElapsedRaw", _Run.elapsed),
    "suspended": ("Suspended", _Run.spell),
    "alloctres": ("AllocTRES", lambda run: _held(run.allocated)),
    "reqtres": ("ReqTRES", lambda run: _held(run.requested)),
    "jobid": ("JobID", lambda run: str(run.job)),
    "jobidraw": ("JobIDRaw", lambda run: str(run.job)),
    "state": ("State", lambda run: str(run.state)),
    "start": ("Start", _Run.start),
    "end": ("End", _Run.end),
    "submit": ("Submit", lambda run: _moment(run.submit)),
}
_COLUMNS = {name: title for name, (title, _) in _CELLS.items()}


def _runs(cluster: Cluster, window: tuple[int, int], given: dict[str, str]) -> Iterator[_Run]:
    accounts = set(names(given["accounts"])) if "accounts" in given else None
    jobs = set(given["jobs"].split(",")) if "jobs" in given else None
    clip = window if "truncate" in given else None
    query = """
        SELECT id, account, user, submit, start, end, state, suspended, requested, allocated
        FROM job WHERE submit <= ? AND (state IN ('PENDING', 'RUNNING') OR end >= ?)
        ORDER BY id, run"""
    hidden = "jobs" in cluster.meta["private_data"] and cluster.level() == "None"
    for row in cluster.db.execute(query, (window[1], window[0])):
        if hidden and row[2] != cluster.user:
            continue
        if (accounts is None or row[1] in accounts) and (jobs is None or str(row[0]) in jobs):
            yield _Run(row, clip, int(cluster.now))


def _seconds(text: str) -> int:
    match = _DATE.fullmatch(text)
    if not match:
        raise UnsupportedError(f"time {text!r}")
    year, month, day, hour, minute, second = (int(part or 0) for part in match.groups())
    if not (1 <= month <= 12 and 1 <= day <= 31 and hour < 24 and minute < 60):
        raise RefusedError(f"Invalid time specification (pos=5): {text}")
    return int(time.mktime((year, month, day, hour, minute, second, 0, 0, -1)))


def _moment(seconds: int) -> str:
    if os.environ.get("SLURM_TIME_FORMAT") == "%s":
        return str(seconds)
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.localtime(seconds))


def counted(cluster: Cluster) -> dict[tuple[str, str], dict[str, int]]:
    """Return the TRES-seconds that slurmctld counts, by account and user, this month's only.

    PriorityUsageResetPeriod=MONTHLY; they count in all accounts above, too.
    """
    today = time.gmtime(cluster.now)
    month = calendar.timegm((today.tm_year, today.tm_mon, 1, 0, 0, 0))
    query = """
        SELECT account, lower(user), allocated,
               sum(max(min(coalesce(end, ?1), ?1) - max(start, ?2) - suspended, 0))
        FROM job WHERE start IS NOT NULL AND coalesce(end, ?1) > ?2 GROUP BY 1, 2, 3"""
    own = "SELECT account, parent FROM assoc WHERE user = ''"
    parents: dict[str, str] = dict(cluster.db.execute(own))
    found: dict[tuple[str, str], dict[str, int]] = {}
    for account, user, held, seconds in cluster.db.execute(query, (int(cluster.now), month)):
        keys, above = [(account, user), ("root", "")], account
        while above in parents and above != "root":
            keys.append((above, ""))
            above = parents[above]
        for key in keys:
            sums = found.setdefault(key, {})
            for name, count in load(held).items():
                sums[name] = sums.get(name, 0) + count * int(seconds)
    return found
