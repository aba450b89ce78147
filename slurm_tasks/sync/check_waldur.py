"""The control side's part of `slurm-tasks check`: reads only."""

from collections.abc import Iterator

from slurm_tasks.errors import SlurmTasksError
from slurm_tasks.model.findings import Finding, failed, ok
from slurm_tasks.model.messages import CheckRequest
from slurm_tasks.sync import check_components, check_months, check_offering, reads, usage
from slurm_tasks.sync.control import Control
from slurm_tasks.waldur.views import OFFERING_TYPE

WALDUR, OFFERING, ORDERS, READS = "Waldur", "offering", "orders", "reads"


def expected(control: Control) -> CheckRequest:
    """Say what the cluster should have; the accounts are left out where Waldur can't be asked."""
    try:
        accounts = tuple(usage.accounts(control))
    except SlurmTasksError:
        accounts = ()  # that Waldur can't be asked is a finding already
    return CheckRequest(
        tres=tuple(control.components),
        accounts=accounts,
        limit_periods={
            name: component.limit_period
            for name, component in control.components.items()
            if component.accounting_type == "limit" and component.limit_period
        },
    )


def findings(control: Control) -> Iterator[Finding]:
    """Look at Waldur: reachable, token, offering, components, rights, waiting orders."""
    try:
        user = control.waldur.username()
        server = control.waldur.server.capabilities
    except SlurmTasksError as error:
        yield failed(WALDUR, f"{error}. Check WALDUR_API_URL, WALDUR_API_TOKEN")
        return
    staff = ", of Waldur's staff" if server.staff else ""
    yield ok(WALDUR, f"logged in as {user}{staff}, at {server.name}")
    yield from check_months.findings(control)
    try:
        offering = control.waldur.offering()
    except SlurmTasksError as error:
        yield failed(OFFERING, str(error))
        return
    if offering.type and offering.type != OFFERING_TYPE:
        yield failed(OFFERING, f"{offering.name!r} is of type {offering.type}, not {OFFERING_TYPE}")
    else:
        yield check_offering.state(offering)
    yield from check_offering.findings(control, offering)
    yield from check_components.findings(control, offering)
    try:
        waiting = control.waldur.orders()
    except SlurmTasksError as error:
        yield failed(ORDERS, f"{error}. The token must be that of a service provider's owner")
    else:
        yield ok(ORDERS, f"{len(waiting)} waiting")
    yield from _reads(control)


def _reads(control: Control) -> Iterator[Finding]:
    """Try what the cycles read, and name what is refused: without it they stand still."""
    tried, failures = reads.failures(control)
    for failure in failures:
        what, cycles = failure.read.what, failure.read.needed_by
        yield failed(
            READS,
            f"{what} (for {cycles}): {failure.reason}. If the token is that of a service"
            " provider's owner, this Waldur isn't one that is known: report it",
        )
    if not failures:
        yield ok(READS, f"all {tried} requests that the cycles make are answered")
