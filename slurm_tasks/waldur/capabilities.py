"""Capabilities: what a server of Waldur can do, by name, decided in this one place.

Generation A is a server of October 2024, seen at work. Generation B is many servers; what is said
of them was read in their source and in their published clients. So each capability can be
corrected once a server has shown that it is otherwise (`Client.correct`).
"""

import re
from dataclasses import dataclass
from enum import StrEnum

Version = tuple[int, ...]
"""A version's numbers; empty where it isn't known."""


class Generation(StrEnum):
    """Which provider API the server has; the switch lies between October 2024 and May 2025."""

    A = "a"
    """`marketplace-slurm-remote`: the server keeps an Allocation of its own."""
    B = "b"
    """`provider-resources/{uuid}/set_limits/` and others; no Allocation."""


class Dates(StrEnum):
    """Which date a report of usage may carry; one without is booked to the month that it is."""

    NONE = "none"
    """None: it is ignored, or refused to this token."""
    LIMITS = "limits"
    """Any of this month; one of a past month for limit-based components only."""
    ALL = "all"
    """Any that isn't in the future: the token is a member of Waldur's staff's."""


@dataclass(frozen=True)
class Capabilities:
    """What a server can do.

    Attributes:
        generation: which provider API it has.
        version: its version, or the oldest that it can be; empty: older than those that differ.
        exact: whether that is its version.
        staff: whether the token is that of a member of Waldur's staff.
        resources_by_time: the list of resources filters by a time; else by a day.
        dates: which date a report of usage may carry.
        knows_dates: whether a report can carry a date at all, whoever sends it.
        zoned_months: its months are those of its own time zone, which it tells nobody; else UTC's.
        parts_by_date: a user's part is booked to the month of its date; else to that of the total
            that the path names.
        bulk_parts: it takes all users' parts of a total at once.
        refuses_over_limit_amount: a usage above a component's `limit_amount` is refused.
        counts_replaced: what it has of the same month counts against that as well, so that it
            refuses from about half of it on; the limit_periods for which that is so.
        null_period_is_month: a component without `limit_period` is stored as one of `month`; else
            its `limit_amount` isn't enforced.
    """

    generation: Generation
    version: Version = ()
    exact: bool = False
    staff: bool = False
    resources_by_time: bool = True
    dates: Dates = Dates.NONE
    knows_dates: bool = False
    zoned_months: bool = False
    parts_by_date: bool = False
    bulk_parts: bool = False
    refuses_over_limit_amount: bool = True
    counts_replaced: frozenset[str] = frozenset({"month", "quarterly", "annual", "total"})
    null_period_is_month: bool = True

    @property
    def keeps_allocation(self) -> bool:
        """Whether it has an Allocation and associations of its own, besides the resource."""
        return self.generation is Generation.A

    @property
    def name(self) -> str:
        """The server in a few words, for people."""
        version = ".".join(map(str, self.version))
        if self.generation is Generation.A:
            words = f"Waldur {version}" if version else "a Waldur of 2024"
            return f"{words} (an older one: marketplace-slurm-remote)"
        if not version:
            return "a Waldur of 2025, older than 7.7.5"
        return f"Waldur {version}" if self.exact else f"Waldur {version} or newer"


ROUTES: tuple[tuple[Version, str], ...] = (
    ((7, 7, 5), "marketplace-provider-resources/{none}/pull/"),
    ((7, 8, 5), "marketplace-provider-resources/{none}/set_paused/"),
    ((7, 9, 0), "marketplace-provider-offerings/{offering}/check_unique_backend_id/"),
    ((7, 9, 3), "marketplace-provider-offerings/{offering}/make_unavailable/"),
    ((8, 0, 4), "marketplace-provider-resources/{none}/set_state_ok/"),
    ((8, 0, 5), "marketplace-component-usages/{none}/set_user_usages/"),
    ((8, 0, 7), "marketplace-orders/{none}/retry/"),
    ((8, 0, 9), "marketplace-provider-offerings/{offering}/sync_resources/"),
    ((8, 1, 0), "marketplace-provider-offerings/{offering}/add_qos/"),
)
"""Routes by the version that they came with, oldest first; none has gone since (read in the
published clients 7.6.5 to 8.1.3). Up to 8.1.1 only staff may read the version itself."""


def parse_version(text: object) -> Version:
    """Return a version's numbers; none for what is no release (`unknown`, a branch's name)."""
    found = re.match(r"v?(\d+)\.(\d+)\.(\d+)", str(text))
    return tuple(int(part) for part in found.groups()) if found else ()


def of_server(
    generation: Generation, version: Version = (), *, exact: bool = False, staff: bool = False
) -> Capabilities:
    """Return what a server can do.

    Args:
        generation: which provider API it has.
        version: its version, or the oldest that it can be.
        exact: whether that is its version.
        staff: whether the token is that of a member of Waldur's staff.
    """
    if generation is Generation.A:
        return Capabilities(
            generation,
            version,
            exact=exact,
            staff=staff,
            resources_by_time=False,
            counts_replaced=frozenset({"annual", "total"}),
            null_period_is_month=False,
        )
    return Capabilities(
        generation,
        version,
        exact=exact,
        staff=staff,
        dates=_dates(version, staff=staff),
        knows_dates=version >= (7, 9, 0),
        zoned_months=version >= (7, 7, 5),
        parts_by_date=version >= (7, 9, 0),
        bulk_parts=version >= (8, 0, 5),
        refuses_over_limit_amount=version < (8, 1, 2),
    )


def _dates(version: Version, *, staff: bool) -> Dates:
    """7.9.0 brought dates, for staff only; 7.9.3 brought some of them to providers."""
    if version < (7, 9, 0):
        return Dates.NONE
    if staff:
        return Dates.ALL
    return Dates.LIMITS if version >= (7, 9, 3) else Dates.NONE
