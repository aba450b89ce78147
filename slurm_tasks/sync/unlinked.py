"""Unlinked: accounts of ours whose resource is gone from Waldur. They are named, never removed."""

from collections.abc import Iterator
from http import HTTPStatus

from slurm_tasks.errors import WaldurRefusedError
from slurm_tasks.model.findings import Finding, warning
from slurm_tasks.model.messages import ReconcileReport, ReconcileRequest
from slurm_tasks.sync.control import PRESENT_STATES, TERMINATED, Control

UNLINKED = "unlinked accounts"
EVERY = ReconcileRequest(items=(), dry_run=True)
"""What the head node is asked for all marked accounts; it changes nothing."""

_UNKNOWN = "isn't known to Waldur, or is another provider's"


def named(control: Control, report: ReconcileReport) -> ReconcileReport:
    """Look up whose marked accounts are that no resource of the offering asked for.

    One request for each. That of a resource of another offering is its own service's.

    Raises:
        WaldurError: Waldur is away.
    """
    said = {account: why for account, uuid in report.marked.items() if (why := _why(control, uuid))}
    unknown = tuple(
        f"{account}: its resource {report.marked[account]} {why}. Its users can go on computing,"
        " and nothing is billed. If nobody needs it: sacctmgr remove user where"
        f" account={account}; sacctmgr remove account where name={account}"
        for account, why in sorted(said.items())
    )
    return report.model_copy(update={"unknown": unknown})


def findings(control: Control, report: ReconcileReport) -> Iterator[Finding]:
    """Name, of all marked accounts, those whose resource is gone.

    Raises:
        WaldurError: Waldur is away.
        WaldurRefusedError: it said no.
    """
    there = {row.uuid for row in control.waldur.resources(PRESENT_STATES)}
    doubtful = {account: uuid for account, uuid in report.marked.items() if uuid not in there}
    looked_up = named(control, report.model_copy(update={"marked": doubtful}))
    yield from (warning(UNLINKED, said) for said in looked_up.unknown)


def _why(control: Control, uuid: str) -> str:
    """Say what Waldur says of a resource, if that leaves its account to nobody."""
    try:
        resource = control.waldur.resource(uuid)
    except WaldurRefusedError as error:
        if error.status == HTTPStatus.NOT_FOUND and not error.html:
            return _UNKNOWN
        return f"can't be looked up ({error})"
    ours = resource.offering_uuid == control.waldur.offering_uuid
    return "is Terminated" if ours and resource.state == TERMINATED else ""
