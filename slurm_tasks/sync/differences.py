"""Differences: what Waldur has as usage beside what the cluster says."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from decimal import Decimal
from typing import Any

import structlog

from slurm_tasks import metrics
from slurm_tasks.model import components
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
    """

    resource: str
    account: str
    month: str
    old: dict[str, Decimal]
    new: dict[str, Decimal]
    users: dict[str, dict[str, Decimal]] = field(default_factory=dict)
    decreased: dict[str, Decimal] = field(default_factory=dict)

    @property
    def changed(self) -> bool:
        """Whether a total differs."""
        return any(self.old.get(name, ZERO) != value for name, value in self.new.items())

    @property
    def empty(self) -> bool:
        """Whether there is nothing to post, and nothing to tell."""
        return not self.changed and not self.users and not self.decreased

    def dump(self) -> dict[str, Any]:
        """Return it as JSON's own types."""
        users = {name: _texts(amounts) for name, amounts in self.users.items()}
        amounts = {name: _texts(getattr(self, name)) for name in ("old", "new", "decreased")}
        return {**asdict(self), **amounts, "users": users}


def _texts(amounts: Amounts) -> dict[str, str]:
    return {name: str(value) for name, value in amounts.items()}


def differences(control: Control, allocations: tuple[AllocationState, ...]) -> list[Difference]:
    """Compare measurements with what Waldur has, a list or two for each month."""
    months = {u.period.month: u.period for a in allocations for u in a.usage}
    found = []
    for month in sorted(months):
        rows: dict[str, list[ComponentUsage]] = {}
        for row in control.waldur.usages.totals(month):
            rows.setdefault(row.resource_uuid, []).append(row)
        parts = _user_parts(control, month) if rows else {}
        for allocation in allocations:
            for usage in allocation.usage:
                if usage.period.month == month:
                    existing = rows.get(allocation.resource, [])
                    found.append(_difference(control, allocation, usage, existing, parts))
    return [difference for difference in found if not difference.empty]


def _user_parts(control: Control, month: str) -> dict[str, dict[str, Decimal]]:
    """Return users' amounts by the uuid of the component usage that they are part of."""
    parts: dict[str, dict[str, Decimal]] = {}
    for row in control.waldur.usages.parts(month):
        uuid = row.component_usage.rstrip("/").rpartition("/")[2]
        parts.setdefault(uuid, {})[row.username] = row.usage
    return parts


def _difference(
    control: Control,
    allocation: AllocationState,
    usage: PeriodUsage,
    existing: list[ComponentUsage],
    parts: Mapping[str, Amounts],
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
            known = had.get(user, ZERO)
            if amounts[name] > known or (amounts[name] < known and not control.keep_greater):
                users.setdefault(name, {})[user] = amounts[name]
    return Difference(
        resource=allocation.resource,
        account=allocation.account,
        month=usage.period.month,
        old=old,
        new=new,
        users=users,
        decreased=decreased,
    )
