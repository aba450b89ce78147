"""Differences: what Waldur has as usage beside what the cluster says."""

from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, field, replace
from decimal import Decimal, InvalidOperation
from typing import Any

import structlog

from slurm_tasks import metrics
from slurm_tasks.model import components, names
from slurm_tasks.model.messages import AllocationState
from slurm_tasks.model.usage import PeriodUsage
from slurm_tasks.sync.control import Control
from slurm_tasks.waldur.views import ComponentUsage

log = structlog.stdlib.get_logger(__name__)

ZERO = Decimal("0.00")
Amounts = Mapping[str, Decimal]


@dataclass
class Difference:
    """What Waldur has and what the cluster says, for one resource and month.

    Attributes:
        old: Waldur's amounts by component, in measured units.
        new: the amounts to post: every component, for the server forgets those left out.
        users: by component, the users' amounts that differ.
        decreased: by component, what the cluster says where that is less than Waldur has.
        due: whether totals are posted although none differs: Waldur has none of this month yet,
            and goes on showing last month's, or it shows another month's.
    """

    resource: str
    account: str
    month: str
    old: dict[str, Decimal]
    new: dict[str, Decimal]
    users: dict[str, dict[str, Decimal]] = field(default_factory=dict)
    decreased: dict[str, Decimal] = field(default_factory=dict)
    due: bool = False

    @property
    def changed(self) -> bool:
        """Whether a total differs."""
        return any(self.had(name) != value for name, value in self.new.items())

    @property
    def empty(self) -> bool:
        """Whether there is nothing to post, and nothing to tell."""
        return not (self.changed or self.due or self.users or self.decreased)

    def had(self, name: str) -> Decimal:
        """Return Waldur's amount of a component."""
        return self.old.get(name, ZERO)

    def only(self, names: Collection[str], totals: Collection[str] | None = None) -> "Difference":
        """Return the part of it that is about some components.

        Args:
            names: the components.
            totals: those whose totals are kept, if they are others than those of the users' parts.
        """
        kept = names if totals is None else totals
        return replace(
            self,
            new={name: value for name, value in self.new.items() if name in kept},
            users={name: parts for name, parts in self.users.items() if name in names},
        )

    def dump(self) -> dict[str, Any]:
        """Return it as JSON's own types."""
        users = {name: _texts(amounts) for name, amounts in self.users.items()}
        amounts = {name: _texts(getattr(self, name)) for name in ("old", "new", "decreased")}
        return {**asdict(self), **amounts, "users": users}


def _texts(amounts: Amounts) -> dict[str, str]:
    return {name: str(value) for name, value in amounts.items()}


def differences(
    control: Control,
    allocations: tuple[AllocationState, ...],
    shown: Mapping[str, Mapping[str, object]] | None = None,
) -> list[Difference]:
    """Compare measurements with what Waldur has, a list or two for each month.

    Args:
        control: the control side.
        allocations: what was measured.
        shown: what Waldur shows as each resource's current usage, by its uuid; None if nothing is
            posted for the sake of that.
    """
    months = {u.period.month: u.period for a in allocations for u in a.usage}
    resources = {allocation.resource for allocation in allocations}
    current = control.current_month().month
    found = []
    for month in sorted(months):
        rows: dict[str, list[ComponentUsage]] = {}
        for row in control.waldur.usages.totals(month, resources):
            rows.setdefault(row.resource_uuid, []).append(row)
        parts = _user_parts(control, month, resources) if rows else {}
        for allocation in allocations:
            for usage in allocation.usage:
                if usage.period.month == month:
                    existing = rows.get(allocation.resource, [])
                    difference = _difference(control, allocation, usage, existing, parts)
                    if shown is not None and month == current:
                        difference.due = _is_due(
                            control, difference, shown.get(allocation.resource, {})
                        )
                    found.append(difference)
    return [difference for difference in found if not difference.empty]


def _is_due(control: Control, difference: Difference, shown: Mapping[str, object]) -> bool:
    """Tell whether Waldur has nothing of the month yet, or shows other amounts than it has.

    It shows those of the report that came last, which may have been one of a past month. Should
    it show something else all the same, it is told no second time.
    """
    if not difference.old:
        return True
    others = {
        name: value
        for name, value in difference.old.items()
        if name in difference.new and name in shown and _decimal(shown[name]) != value
    }
    amounts = ",".join(f"{name}={value}" for name, value in sorted(others.items()))
    key = f"shown:{difference.resource}:{difference.month}:{amounts}"
    return bool(others) and control.first(key)


def _decimal(value: object) -> Decimal | None:
    try:
        return Decimal(str(value))
    except InvalidOperation:
        return None


Parts = Mapping[str, Mapping[str, tuple[str, Decimal]]]
"""By component usage and folded username: the username as Waldur has it, and the amount."""


def _user_parts(control: Control, month: str, resources: Collection[str]) -> Parts:
    """Return users' amounts by the uuid of the component usage that they are part of."""
    parts: dict[str, dict[str, tuple[str, Decimal]]] = {}
    for row in control.waldur.usages.parts(month, resources):
        uuid = row.component_usage.rstrip("/").rpartition("/")[2]
        folded = names.fold_username(row.username)
        parts.setdefault(uuid, {})[folded] = (row.username, row.usage)
    return parts


def _difference(
    control: Control,
    allocation: AllocationState,
    usage: PeriodUsage,
    existing: list[ComponentUsage],
    parts: Parts,
) -> Difference:
    old = {row.type: row.usage for row in existing}
    new = components.amounts(control.components, usage.total())
    decreased = {name: value for name, value in new.items() if value < old.get(name, ZERO)}
    for name, value in decreased.items():
        metrics.usage_decreased.labels(component=name).inc()
        log.warning(
            "usage_decreased",
            account=allocation.account,
            month=usage.period.month,
            component=name,
            waldur=str(old[name]),
            cluster=str(value),
            kept=control.keep_greater,
        )
    if control.keep_greater:
        new |= {name: old[name] for name in decreased}
    by_user = {
        user.user: components.amounts(control.components, user.tres)
        for user in usage.users
        if user.user
    }
    uuids = {row.type: row.uuid for row in existing}
    users: dict[str, dict[str, Decimal]] = {}
    for name in new:
        had = parts.get(uuids.get(name, ""), {})
        for user, amounts in by_user.items():
            spelled, known = had.get(names.fold_username(user), (user, ZERO))
            if amounts[name] > known or (amounts[name] < known and not control.keep_greater):
                users.setdefault(name, {})[spelled] = amounts[name]
    return Difference(
        resource=allocation.resource,
        account=allocation.account,
        month=usage.period.month,
        old=old,
        new=new,
        users=users,
        decreased=decreased,
    )
