"""Reads: whatever a cycle asks of Waldur, in one list, so that `check` can try each of them."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from slurm_tasks.errors import SlurmTasksError
from slurm_tasks.sync.control import BILLED_STATES, ERRED, LIVE_STATES, TERMINATED, Control
from slurm_tasks.sync.members import AFTERCARE
from slurm_tasks.sync.mending import MENDABLE
from slurm_tasks.waldur.client import Generation
from slurm_tasks.waldur.views import Order, Resource


@dataclass(frozen=True)
class Read:
    """A request that a cycle needs.

    Attributes:
        what: what is read.
        needed_by: the cycles that stand still without it.
        ask: makes the request.
        then: what else is read of the first row of the answer.
    """

    what: str
    needed_by: str
    ask: Callable[[Control], object]
    then: "Callable[[Any], tuple[Read, ...]] | None" = None


@dataclass(frozen=True)
class Failure:
    """A read that failed.

    Attributes:
        read: which one.
        reason: what Waldur said.
    """

    read: Read
    reason: str


def _of_order(order: Order) -> tuple[Read, ...]:
    return (Read("an order", "orders", lambda c: c.waldur.order(order.uuid)),)


def _of_resource(resource: Resource) -> tuple[Read, ...]:
    return (
        Read("a resource", "orders, members", lambda c: c.waldur.resource(resource.uuid)),
        Read("a resource's team", "orders, members", lambda c: c.waldur.team(resource.uuid)),
        Read("a resource's associations", "members, usage", lambda c: _associations(c, resource)),
    )


def _associations(control: Control, resource: Resource) -> object:
    older = control.waldur.generation is Generation.A  # newer servers have none
    return control.waldur.associations(resource) if older else None


READS = (
    Read("orders that wait", "orders", lambda c: c.waldur.orders(), _of_order),
    Read(
        "orders that were marked erred lately",
        "orders",
        lambda c: c.waldur.orders(("erred",), since=datetime.now(UTC) - MENDABLE),
    ),
    Read("erred resources", "orders", lambda c: c.waldur.resources((ERRED,))),
    Read("the offering", "components", lambda c: c.waldur.offering()),
    Read("resources in use", "members", lambda c: c.waldur.resources(LIVE_STATES), _of_resource),
    Read(
        "resources that were terminated lately",
        "members",
        lambda c: c.waldur.resources((TERMINATED,), since=datetime.now(UTC) - AFTERCARE),
    ),
    Read("offering users", "members, usage", lambda c: c.waldur.offering_users()),
    Read("resources to bill", "usage", lambda c: c.waldur.resources((*BILLED_STATES, ERRED))),
    Read(
        "a month's usage",
        "usage",
        lambda c: c.waldur.usages.totals(c.current_month().month),
    ),
    Read(
        "users' parts of a month's usage",
        "usage",
        lambda c: c.waldur.usages.parts(c.current_month().month),
    ),
)
"""Every read of the cycles. A test compares it with what they ask for."""


def failures(control: Control) -> tuple[int, list[Failure]]:
    """Try every read; what is read of one order or resource, on the first that the token sees.

    Returns:
        How many were tried, and those that failed.
    """
    wanted = list(READS)
    failed: list[Failure] = []
    tried = 0
    while wanted:
        read = wanted.pop(0)
        tried += 1
        try:
            answer = read.ask(control)
        except SlurmTasksError as error:
            failed.append(Failure(read, str(error)))
            continue
        if read.then and isinstance(answer, list) and answer:
            wanted += read.then(answer[0])
    return tried, failed
