"""Told: what is said, or tried, once, though it is found out again at each report."""

import time
from dataclasses import dataclass, field

AGAIN = 86400.0
"""Seconds after which something that Waldur refused is tried again."""


@dataclass
class Told:
    """What this process has told.

    Attributes:
        keys: of what was told.
    """

    keys: set[str] = field(default_factory=set)

    def first(self, key: str) -> bool:
        """Tell whether it is the first time; from then on it isn't."""
        if key in self.keys:
            return False
        self.keys.add(key)
        return True


@dataclass(frozen=True)
class LeftOut:
    """Components that Waldur refused in a report of a resource and month.

    Attributes:
        components: which.
        reason: what it said.
        at: when, by the monotonic clock.
    """

    components: frozenset[str]
    reason: str
    at: float


@dataclass
class Refusals:
    """What Waldur has refused lately: it isn't asked the same at each report."""

    known: dict[tuple[str, str], LeftOut] = field(default_factory=dict)

    def note(self, resource: str, month: str, components: frozenset[str], reason: str) -> None:
        """Remember components that a report is refused for."""
        self.known[resource, month] = LeftOut(components, reason, time.monotonic())

    def of(self, resource: str, month: str) -> LeftOut | None:
        """Return what isn't worth another try yet."""
        found = self.known.get((resource, month))
        if found and time.monotonic() > found.at + AGAIN:
            del self.known[resource, month]
            return None
        return found
