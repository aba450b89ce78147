"""The roster: who is in an allocation's account, who waits, and who is being added.

It is three sections of the report that the resource's customer reads in Waldur, and the service's
only memory of names: a user who was renamed or deleted in Waldur is no offering user any more, and
could not be told from somebody whom an administrator has added. So a name stands there before it
is added to the account, and until it is gone from it.
"""

from collections.abc import Collection, Iterable, Mapping

import structlog

from slurm_tasks.errors import WaldurRefusedError
from slurm_tasks.model import names
from slurm_tasks.sync.control import Control
from slurm_tasks.waldur.views import Resource, Section

log = structlog.stdlib.get_logger(__name__)

PRESENT = "Users on the cluster"
WAITING = "Users who wait"
ADDED = "Users being added"
ENDING = "Termination"
"""Not of names: the allocation is about to be terminated once more (see sync/mending.py)."""
NAMED = (PRESENT, WAITING, ADDED)
_HEADERS = (*NAMED, ENDING)
_NOBODY = "-"


def read(resource: Resource) -> frozenset[str]:
    """Return the usernames on a resource's roster, in whichever section."""
    sections = _sections(resource)
    return frozenset().union(*(_names(sections.get(header, "")) for header in NAMED))


def announce(control: Control, resource: Resource, users: Collection[str]) -> None:
    """Name users who are about to be added; must come before they are.

    Raises:
        WaldurError: Waldur is away.
    """
    sections = _sections(resource)
    coming = names.other_usernames(users, read(resource))
    if coming:
        added = _names(sections.get(ADDED, "")) | coming
        _write(control, resource, {**sections, ADDED: _listed(added)})


def mark_ending(control: Control, resource: Resource) -> None:
    """Note that a resource is about to be terminated once more, whatever becomes of this process.

    Raises:
        WaldurError: Waldur is away.
    """
    _write(control, resource, {**_sections(resource), ENDING: "It is ordered once more."})


def is_ending(resource: Resource) -> bool:
    """Tell whether a resource is to be terminated once more."""
    return ENDING in _sections(resource)


def settle(
    control: Control, resource: Resource, users: Collection[str], waiting: Mapping[str, str]
) -> None:
    """Name who is in the account and who waits; whoever is neither is struck off.

    Users in the account who never were on the roster are somebody else's, and don't come onto it.

    Args:
        control: the control side.
        resource: as Waldur has it now.
        users: the account's users.
        waiting: who belongs in it and can't be added yet, with the reason.

    Raises:
        WaldurError: Waldur is away.
    """
    lines = (f"{user}: {' '.join(reason.split())}" for user, reason in sorted(waiting.items()))
    known = read(resource)
    present = known - names.other_usernames(known, users)
    sections = {PRESENT: _listed(present), WAITING: "\n".join(lines)}
    _write(control, resource, sections)


def _sections(resource: Resource) -> dict[str, str]:
    return {part.header: part.body for part in resource.report if part.header in _HEADERS}


def _names(body: str) -> frozenset[str]:
    """Read names: with commas between them, or one on each line with a reason."""
    parts = (line.partition(":")[0].strip() for line in body.replace(",", "\n").splitlines())
    return frozenset(filter(names.is_username, parts))


def _listed(users: Iterable[str]) -> str:
    return ", ".join(sorted(users)) or _NOBODY


def _write(control: Control, resource: Resource, sections: Mapping[str, str]) -> None:
    """Replace the roster's sections, and leave others of the report; an empty one is refused."""
    wanted = {header: sections[header] for header in _HEADERS if sections.get(header)}
    if wanted == _sections(resource):
        return
    others = [part for part in resource.report if part.header not in _HEADERS]
    ours = [Section(header=header, body=body) for header, body in wanted.items()]
    try:
        control.waldur.submit_report(resource.uuid, [*others, *ours])
    except WaldurRefusedError as error:
        log.warning("roster_refused", resource=resource.uuid, reason=str(error))
