"""Components: the TRES configuration becomes the components of the offering."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import structlog

from slurm_tasks.errors import ConfigurationError
from slurm_tasks.model.components import Component
from slurm_tasks.sync.control import Control
from slurm_tasks.waldur.client import Generation
from slurm_tasks.waldur.views import Offering, OfferingComponent

log = structlog.stdlib.get_logger(__name__)

ARCHIVED = "Archived"
_TYPE = re.compile(r"[a-zA-Z0-9_\-/:]{1,50}")
"""What Waldur takes as a component's type (recorded, and its schema)."""
_LIMIT_AMOUNT_MAX = 2**31 - 1
"""Waldur's largest `limit_amount` (recorded)."""


PRICES_ADVICE = (
    "give each a price in the plan, 0 if it costs nothing; an older Waldur (2024) ends no order"
    " that changes the limit of a component without one"
)


@dataclass
class LoadReport:
    """What became of the components, by type.

    Attributes:
        created: they were missing.
        updated: they differed.
        unchanged: they are as configured.
        other: components of the offering that the configuration doesn't have; left alone.
        unpriced: configured components without a price, by the plan's name.
    """

    created: list[str] = field(default_factory=list)
    updated: list[str] = field(default_factory=list)
    unchanged: list[str] = field(default_factory=list)
    other: list[str] = field(default_factory=list)
    unpriced: dict[str, list[str]] = field(default_factory=dict)


def plan(control: Control, offering: Offering) -> LoadReport:
    """Compare the offering's components with the configuration."""
    existing = {component.type: component for component in offering.components}
    report = LoadReport(
        other=sorted(set(existing) - set(control.components)),
        unpriced=_unpriced(control, offering),
    )
    for name, component in control.components.items():
        there = existing.get(name)
        if there is None:
            report.created.append(name)
        elif _differs(control, there, component):
            report.updated.append(name)
        else:
            report.unchanged.append(name)
    return report


def load(control: Control) -> LoadReport:
    """Send the configuration: create what is missing, update what differs, leave the rest alone.

    Raises:
        ConfigurationError: Waldur would refuse some of it; nothing was sent.
    """
    offering = control.waldur.offering()
    report = plan(control, offering)
    if problems := list(refusals(control, offering, report)):
        raise ConfigurationError(problems)
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
    for name, lacking in report.unpriced.items():
        log.warning("plan_lacks_prices", plan=name, components=lacking, advice=PRICES_ADVICE)
    return report


def refusals(control: Control, offering: Offering, planned: LoadReport) -> Iterator[str]:
    """Yield what Waldur would refuse, or take for something else, of a load."""
    changed = [*planned.created, *planned.updated]
    if changed and offering.state == ARCHIVED:
        yield (
            f"the offering {offering.name!r} is archived, and Waldur changes no components of such:"
            f" {', '.join(changed)}; activate it, or set WALDUR_OFFERING_UUID to another"
        )
    billed = {component.type: component.billing_type for component in offering.components}
    for name in changed:
        component = control.components[name]
        if not _TYPE.fullmatch(name):
            yield (
                f"{name}: Waldur takes no component of this name (letters, digits, - _ / : only,"
                " at most 50); bill another TRES"
            )
        if (component.limit_amount or 0) > _LIMIT_AMOUNT_MAX:
            yield (
                f"{name}: Waldur takes no limit above {_LIMIT_AMOUNT_MAX}; choose a larger unit, or"
                " enforce_limit: false"
            )
        if component.limit_period == "quarterly" and control.waldur.generation is Generation.A:
            yield (
                f"{name}: this Waldur (an older one) knows no limit_period: quarterly; use month,"
                " annual or total"
            )
        if billed.get(name, component.accounting_type) != component.accounting_type:
            yield (
                f"{name}: the offering bills it by {billed[name]}, the TRES configuration by"
                f" {component.accounting_type}. That changes running contracts, so it isn't done"
                " unasked: correct accounting_type, or change it in Waldur"
            )


def _unpriced(control: Control, offering: Offering) -> dict[str, list[str]]:
    found = {}
    for priced in offering.plans:
        lacking = [name for name in control.components if name not in priced.prices]
        if lacking and not priced.archived:
            found[priced.name or priced.uuid] = lacking
    return found


def _body(name: str, component: Component) -> dict[str, object]:
    return {
        "type": name,
        "name": component.label,
        "measured_unit": component.measured_unit,
        "billing_type": component.accounting_type,
        **_stated(component),
    }


def _stated(component: Component) -> Mapping[str, object]:
    """Return what the file says of limits: what it leaves out stays as Waldur has it."""
    stated: dict[str, object] = {}
    if "limit_period" in component.model_fields_set:
        stated["limit_period"] = component.limit_period
    if "limit" in component.model_fields_set or not component.enforce_limit:
        stated["limit_amount"] = component.limit_amount
    return stated


def _differs(control: Control, there: OfferingComponent, wanted: Component) -> bool:
    stated = dict(_stated(wanted))
    if stated.get("limit_period", "") is None and _may_store_month_for_none(control, there):
        del stated["limit_period"]  # or it would differ for ever
    return (
        there.name != wanted.label
        or there.measured_unit != wanted.measured_unit
        or there.billing_type != wanted.accounting_type
        or any(getattr(there, name) != value for name, value in stated.items())
    )


def _may_store_month_for_none(control: Control, there: OfferingComponent) -> bool:
    newer = control.waldur.server.capabilities.null_period_is_month
    return newer and there.limit_period == "month"
