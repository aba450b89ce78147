"""Components: the TRES configuration becomes the components of the offering."""

from dataclasses import dataclass, field

import structlog

from slurm_tasks.model.components import Component
from slurm_tasks.sync.control import Control
from slurm_tasks.waldur.views import Offering, OfferingComponent

log = structlog.stdlib.get_logger(__name__)


@dataclass
class LoadReport:
    """What became of the components, by type."""

    created: list[str] = field(default_factory=list)
    updated: list[str] = field(default_factory=list)
    unchanged: list[str] = field(default_factory=list)
    other: list[str] = field(default_factory=list)
    """Components of the offering that the configuration doesn't have; they are left alone."""


def plan(control: Control, offering: Offering) -> LoadReport:
    """Compare the offering's components with the configuration."""
    existing = {component.type: component for component in offering.components}
    report = LoadReport(other=sorted(set(existing) - set(control.components)))
    for name, component in control.components.items():
        there = existing.get(name)
        if there is None:
            report.created.append(name)
        elif _differs(there, component):
            report.updated.append(name)
        else:
            report.unchanged.append(name)
    return report


def load(control: Control) -> LoadReport:
    """Send the configuration: create what is missing, update what differs, leave the rest alone."""
    offering = control.waldur.offering()
    report = plan(control, offering)
    uuids = {component.type: component.uuid for component in offering.components}
    for name in report.created:
        control.waldur.create_component(_body(name, control.components[name]))
    for name in report.updated:
        body = _body(name, control.components[name])
        control.waldur.update_component({"uuid": uuids[name], **body})
    log.info(
        "components_loaded",
        created=report.created,
        updated=report.updated,
        unchanged=len(report.unchanged),
    )
    return report


def _limit_amount(component: Component) -> int | None:
    """Waldur takes whole numbers; a fraction is rounded up, so that nothing earned is refused."""
    if component.limit is None or not component.enforce_limit:
        return None
    return int(component.limit.to_integral_value(rounding="ROUND_CEILING"))


def _body(name: str, component: Component) -> dict[str, object]:
    return {
        "type": name,
        "name": component.label,
        "measured_unit": component.measured_unit,
        "billing_type": component.accounting_type,
        "limit_period": component.limit_period,
        "limit_amount": _limit_amount(component),
    }


def _differs(there: OfferingComponent, wanted: Component) -> bool:
    return (
        there.name != wanted.label
        or there.measured_unit != wanted.measured_unit
        or there.billing_type != wanted.accounting_type
        or (there.limit_period or None) != wanted.limit_period
        or there.limit_amount != _limit_amount(wanted)
    )
