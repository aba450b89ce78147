"""Limit amounts: what Waldur takes of a report under its components' `limit_amount`.

Waldur counts what a resource used in the component's period (`limit_period`) and refuses a report
that would make it more than `limit_amount`. Some servers count the amount that is about to be
replaced as well, so that they refuse an absolute amount from about half of the limit on, and the
same amount once more. A lower amount is posted before, then: 60 becomes 80 of a limit of 100 by
way of 20 (measured on a server of October 2024; the invoice follows).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal

Amounts = Mapping[str, Decimal]
ZERO = Decimal("0.00")


@dataclass(frozen=True)
class Cap:
    """What limits a component's usage in Waldur.

    Attributes:
        limit: the component's `limit_amount`.
        elsewhere: what Waldur has of the period's other months.
        counts_replaced: whether what it has of the month itself counts as well.
    """

    limit: Decimal
    elsewhere: Decimal = ZERO
    counts_replaced: bool = False

    @property
    def room(self) -> Decimal:
        """The most that the month's amount can be."""
        return self.limit - self.elsewhere


@dataclass
class Reports:
    """What to post of a month's usage.

    Attributes:
        first: amounts to post before the others, so that these are taken; empty: none.
        amounts: what Waldur takes; what it refuses keeps the amount that it has, or is left out.
        restored: what to post if `amounts` is refused after `first` was taken.
        over: what Waldur refuses, by component: what it would count.
    """

    first: dict[str, Decimal] = field(default_factory=dict)
    amounts: dict[str, Decimal] = field(default_factory=dict)
    restored: dict[str, Decimal] = field(default_factory=dict)
    over: dict[str, Decimal] = field(default_factory=dict)


def reports(old: Amounts, new: Amounts, caps: Mapping[str, Cap]) -> Reports:
    """Work out what to post.

    Args:
        old: what Waldur has of the month.
        new: what it should have.
        caps: by component; none for those that aren't limited.
    """
    found = Reports()
    lowered: dict[str, Decimal] = {}
    needed = False
    for name, wanted in new.items():
        cap, had = caps.get(name), old.get(name, ZERO)
        if cap is None:
            found.amounts[name] = wanted
            continue
        amount = wanted
        if wanted > cap.room or (cap.counts_replaced and had > cap.room):
            found.over[name] = wanted + cap.elsewhere
            amount = had
        counted = amount + (had if cap.counts_replaced else ZERO)
        if name in found.over and (name not in old or counted > cap.room):
            continue  # it would be refused even with what Waldur has
        found.amounts[name] = amount
        if cap.counts_replaced:
            lowered[name] = min(had, cap.room - amount, cap.room - had)
            needed = needed or counted > cap.room
    if needed:
        found.first = {**found.amounts, **lowered}
        found.restored = {**found.amounts, **{name: old.get(name, ZERO) for name in lowered}}
    return found
