"""Which server this is: what each version of Waldur does, by named features.

Generation A is the recorded server of October 2024. Generation B is many servers; what is said of
them was read in their source, their own tests or the published clients, and not run. Where it is
not known when a change came, the stricter of the two behaviours is played for all that may have it.
"""

from dataclasses import dataclass
from enum import StrEnum
from functools import cache

from slurm_tasks.demo.waldur.values import Generation

OLDEST = "7.6.7"
"""The oldest server of generation B that is played: July 2025."""
NEWEST = "8.1.3"
"""The newest: autumn 2026."""
DEFAULT_VERSIONS: dict[Generation, str] = {"a": "7.1.0", "b": "8.0.5"}


class Feature(StrEnum):
    """What some servers do and others don't."""

    OPEN_VERSION = "version/ answers any token, not only staff's"
    DATED_USAGE = "set_usage and set_user_usage know a `date`; others drop it"
    STAFF_DATES = "only staff may send that `date`"
    PARTS_NOW = "a user's part without a date belongs to this month, whatever row the path names"
    PAST_LIMITS = "a provider may date limit-based components into past months"
    PREPAID_WORDING = "the refusal of a past month speaks of prepaid components, too"
    ZONED_MONTHS = "a usage's month is that of the server's TIME_ZONE, not UTC's"
    BULK_USER_USAGES = "set_user_usages takes many users' parts, all or nothing"
    FILLED_TOTALS = "a total of 0 becomes the sum of the users' parts that are reported"
    USAGE_CAPS = "a usage above the component's limit_amount is refused"
    STATE_AT_ORDER = "an Update or Terminate order changes the resource's state when it is made"
    START_DATES = "an approved order may wait for its day: pending-start-date"
    RESTORE_ORDERS = "a terminated resource can be ordered back"
    RESTORE_ENDS = "`done` and `erred` end a Restore order; elsewhere they do nothing, with 200"
    UNMADE_IS_TERMINATED = "a Create that fails without a backend id terminates the resource"
    LATE_OFFERING_USERS = "offering users are made by Celery, after the order is done"
    LIMITS_BREAK_UPDATES = "a limit of what isn't limit-based makes an Update's done a 500"
    STRICT_LIMITS = "set_limits refuses what is no component, and drops what a policy sets"
    MONTH_BY_DEFAULT = "a component without a limit_period is stored with `month`"
    OWN_CURRENT_USAGES = "a report changes the current usages of its own components only"
    UNAVAILABLE_OFFERINGS = "an offering may be Unavailable: its resources can't be changed"
    BACKEND_ID_RULES = "an offering may have rules for its resources' backend ids"
    CONSENT = "people who haven't agreed to the terms may be hidden from the provider"
    RESOURCE_ROLES = "people may have a role on one resource alone"
    ACCOUNT_STATES = "offering users have a state"
    TEAM_ACCOUNT_STATES = "a team's rows have the state of the offering user"
    MANAGERS_LIST_ORDERS = "marketplace-orders/ shows an offering's orders to its manager"
    MANAGERS_END_ORDERS = "an offering's manager may set the states of its orders"
    OFFERING_ORDERS_BY_ROLE = "an offering's orders/ is open to owners and its managers only"
    APPROVAL_ANSWERS = "approve_by_provider takes attributes and answers JSON"
    UNSTABLE_LISTS = "lists of usages have no unique order: equal rows change places between pages"
    RETRY_ORDERS = "orders/{uuid}/retry/ exists"
    MONTHLY_CAPS_TWICE = "the row that is replaced counts against a limit_amount of a month, too"


@dataclass(frozen=True)
class Span:
    """The servers that have a feature, and how that is known.

    Attributes:
        since: the first version of generation B that has it; "" where the first one has it.
        until: the first version that has it no more; "" where the newest has it.
        proof: S source, T server's own test, C published client, D documentation, R recorded.
        older: whether generation A has it.
    """

    since: str = ""
    until: str = ""
    proof: str = ""
    older: bool = False


SPANS = {
    Feature.OPEN_VERSION: Span("8.1.2", proof="C 8.1.0 and 8.1.2, S; R for A"),
    Feature.DATED_USAGE: Span("7.9.0", proof="C 7.8.9 lacks it, C 7.9.0 has it"),
    Feature.STAFF_DATES: Span("7.9.0", "7.9.3", proof="C 7.9.0-7.9.2, in words"),
    Feature.PARTS_NOW: Span("7.9.0", proof="C, in words; no test tells the two readings apart"),
    Feature.PAST_LIMITS: Span("7.9.3", proof="C 7.9.3, S, T"),
    Feature.PREPAID_WORDING: Span("8.1.0", proof="T of autumn 2026; T before lacks it"),
    Feature.ZONED_MONTHS: Span("7.7.5", proof="T, S; about August 2025"),
    Feature.BULK_USER_USAGES: Span("8.0.5", proof="C, D"),
    Feature.FILLED_TOTALS: Span("8.1.2", proof="T of autumn 2026"),
    Feature.USAGE_CAPS: Span(until="8.1.2", proof="C 8.1.2, T; R for A", older=True),
    Feature.STATE_AT_ORDER: Span(proof="S of 2026; when it came is not known"),
    Feature.START_DATES: Span("7.8.5", proof="C"),
    Feature.RESTORE_ORDERS: Span(
        "7.9.2", proof="C, between 7.9.2 and 7.9.9; the simulator's A has it", older=True
    ),
    Feature.RESTORE_ENDS: Span("8.1.2", proof="S of autumn 2026", older=True),
    Feature.UNMADE_IS_TERMINATED: Span("8.1.2", proof="S of autumn 2026, T"),
    Feature.LATE_OFFERING_USERS: Span("8.0.6", proof="S"),
    Feature.LIMITS_BREAK_UPDATES: Span(
        until="8.1.2", proof="S of May and autumn 2026; R for A", older=True
    ),
    Feature.STRICT_LIMITS: Span("8.0.9", proof="S of autumn 2026; S of May 2026 doesn't"),
    Feature.MONTH_BY_DEFAULT: Span("7.9.6", proof="S of May 2026; 2026"),
    Feature.OWN_CURRENT_USAGES: Span("8.1.0", proof="S; mid-2026"),
    Feature.UNAVAILABLE_OFFERINGS: Span("7.9.2", proof="C from 7.9.2 to 7.9.9; S of Feb 2026"),
    Feature.BACKEND_ID_RULES: Span("8.0.5", proof="S; the rules in detail are not known"),
    Feature.CONSENT: Span("8.0.9", proof="C, S"),
    Feature.RESOURCE_ROLES: Span("8.0.9", proof="C, S"),
    Feature.ACCOUNT_STATES: Span("7.7.5", proof="C"),
    Feature.TEAM_ACCOUNT_STATES: Span("7.8.2", proof="C"),
    Feature.MANAGERS_LIST_ORDERS: Span("8.0.6", proof="S, about March 2026; R for A", older=True),
    Feature.MANAGERS_END_ORDERS: Span("8.0.6", proof="D, S"),
    Feature.OFFERING_ORDERS_BY_ROLE: Span(until="7.9.6", proof="S of autumn 2025"),
    Feature.APPROVAL_ANSWERS: Span("8.0.4", proof="C"),
    Feature.UNSTABLE_LISTS: Span(proof="S"),
    Feature.RETRY_ORDERS: Span("8.0.7", proof="C, D"),
    Feature.MONTHLY_CAPS_TWICE: Span(until="8.1.2", proof="S of May 2026; R for A, which doesn't"),
}


@dataclass(frozen=True)
class Server:
    """A server of a generation and a version.

    Attributes:
        without: features that it lacks although its version has them.
        also: features that it has although its version lacks them.
    """

    generation: Generation
    version: str
    without: frozenset[Feature] = frozenset()
    also: frozenset[Feature] = frozenset()

    def has(self, feature: Feature) -> bool:
        """Tell whether this server has a feature."""
        if feature in self.without or feature in self.also:
            return feature in self.also
        span = SPANS[feature]
        if self.generation == "a":
            return span.older
        version = _numbers(self.version)
        return _numbers(span.since) <= version and (
            not span.until or version < _numbers(span.until)
        )


# The default of generation B is as lenient as the service still needs it in its own tests.
_NOT_YET = frozenset(
    {
        Feature.LIMITS_BREAK_UPDATES,
        Feature.MONTH_BY_DEFAULT,
        Feature.MONTHLY_CAPS_TWICE,
        Feature.PARTS_NOW,
        Feature.PAST_LIMITS,
        Feature.STATE_AT_ORDER,
    }
)
_ALREADY = frozenset({Feature.RESTORE_ENDS})


def server(generation: Generation, version: str | None = None) -> Server:
    """Return the server of a version, or the generation's default one."""
    if version is None and generation == "b":
        return Server(generation, DEFAULT_VERSIONS["b"], without=_NOT_YET, also=_ALREADY)
    return Server(generation, version or DEFAULT_VERSIONS[generation])


@cache
def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".")) if version else ()
