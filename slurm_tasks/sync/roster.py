"""The roster: which usernames this service has put into an allocation's account.

It is a section of the report that the resource's customer reads in Waldur, and the service's only
memory of names: a user who was renamed or deleted in Waldur is no offering user any more, and
could not be told from somebody whom an administrator has added.
"""

import structlog

from slurm_tasks.errors import WaldurRefusedError
from slurm_tasks.model import names
from slurm_tasks.sync.control import Control
from slurm_tasks.waldur.views import Resource, Section

log = structlog.stdlib.get_logger(__name__)

HEADER = "Users on the cluster"
_NOBODY = "-"


def read(resource: Resource) -> frozenset[str]:
    """Return the usernames on a resource's roster."""
    listed = ",".join(part.body for part in resource.report if part.header == HEADER)
    return frozenset(name for name in map(str.strip, listed.split(",")) if names.is_username(name))


def write(control: Control, resource: Resource, users: frozenset[str]) -> None:
    """Replace a resource's roster, and leave other sections of its report as they are.

    Raises:
        WaldurError: Waldur is away.
    """
    if users == read(resource):
        return
    others = [part for part in resource.report if part.header != HEADER]
    body = ", ".join(sorted(users)) or _NOBODY
    try:
        control.waldur.submit_report(resource.uuid, [*others, Section(header=HEADER, body=body)])
    except WaldurRefusedError as error:
        log.warning("roster_refused", resource=resource.uuid, reason=str(error))
