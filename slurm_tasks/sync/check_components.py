"""Findings about the offering's components: reads only."""

from collections.abc import Iterator

from slurm_tasks.model.findings import Finding, failed, ok, warning
from slurm_tasks.sync import components
from slurm_tasks.sync.control import Control
from slurm_tasks.waldur.client import Generation
from slurm_tasks.waldur.views import Offering, OfferingComponent

COMPONENTS, PRICES, LIMITS = "components", "prices", "limit_amount"


def findings(control: Control, offering: Offering) -> Iterator[Finding]:
    """Compare the components with the TRES configuration, and look at prices and limits."""
    planned = components.plan(control, offering)
    refusals = list(components.refusals(control, offering, planned))
    yield from (failed(COMPONENTS, refusal) for refusal in refusals)
    if planned.created or planned.updated:
        differing = ", ".join([*planned.created, *planned.updated])
        advice = "" if refusals else "; run `slurm-tasks components load`"
        yield warning(COMPONENTS, f"not yet as in the TRES configuration: {differing}{advice}")
    else:
        yield ok(COMPONENTS, f"{len(planned.unchanged)} as in the TRES configuration")
    if planned.other:
        others = ", ".join(planned.other)
        yield ok(COMPONENTS, f"not in the TRES configuration, and left alone: {others}")
    yield from _prices(control, planned)
    for component in offering.components:
        if component.type in control.components and component.limit_amount is not None:
            yield from _limit_amount(control, component)


def _prices(control: Control, planned: components.LoadReport) -> Iterator[Finding]:
    older = control.waldur.generation is Generation.A
    for plan, lacking in planned.unpriced.items():
        ordered = [name for name in lacking if control.components[name].accounting_type == "limit"]
        if older and ordered:
            yield failed(
                PRICES,
                f"the plan {plan!r} has no price of {', '.join(ordered)}: this Waldur ends no order"
                " that changes their limits (it answers 500). Give each a price in the plan, 0 if"
                " it costs nothing",
            )
        if others := [name for name in lacking if not (older and name in ordered)]:
            yield warning(
                PRICES,
                f"the plan {plan!r} has no price of {', '.join(others)}: nothing is charged for"
                " them. Give each a price in the plan, 0 if it costs nothing",
            )


def _limit_amount(control: Control, component: OfferingComponent) -> Iterator[Finding]:
    """Say what this server makes of a usage-based component's `limit_amount`."""
    if component.billing_type != "usage":
        return
    server = control.waldur.server.capabilities
    limit = f"{component.type}: limit_amount {component.limit_amount:f}"
    period = component.limit_period or ("month" if server.null_period_is_month else None)
    advice = "set enforce_limit: false, SLURM keeps the limit"
    if not server.refuses_over_limit_amount:
        yield ok(
            LIMITS, f"{limit} keeps no usage from being billed at this Waldur; SLURM limits it"
        )
    elif period is None:
        yield warning(
            LIMITS,
            f"{limit} is not enforced, as this Waldur enforces none without limit_period; {advice},"
            " or limit_period: month",
        )
    else:
        lowered = (
            " It counts what it has of the month beside the new amount, so that reports lower that"
            " for a moment before they raise it."
            if period in server.counts_replaced
            else ""
        )
        yield warning(
            LIMITS,
            f"{limit}, {period}: Waldur takes no usage above it, and what is above is never billed;"
            f" {advice}.{lowered}",
        )
