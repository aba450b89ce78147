"""What the control side's flows need: Waldur, the TRES configuration, and the site's choices."""

from dataclasses import dataclass
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import structlog

from slurm_tasks import metrics
from slurm_tasks.errors import WaldurError
from slurm_tasks.model import names, usage
from slurm_tasks.model.components import Components
from slurm_tasks.model.messages import Owner
from slurm_tasks.model.usage import Period
from slurm_tasks.settings import Waldur as Settings
from slurm_tasks.waldur.client import Client, Generation
from slurm_tasks.waldur.views import Resource, TeamMember

log = structlog.stdlib.get_logger(__name__)

LIVE_STATES = ("OK", "Updating")
"""States of resources that are in use."""
BILLED_STATES = (*LIVE_STATES, "Terminating")
"""States of resources that Waldur takes usage for."""
ERRED = "Erred"
"""State of resources whose last order has failed; Waldur takes no usage for them."""
TERMINATED = "Terminated"
"""State of resources that came to their end; they may be restored."""
TITLE_MAX_LEN = 500
"""Characters of a name in Waldur that go to the head node; an account's name holds fewer."""


@dataclass(frozen=True)
class Control:
    """What the control side needs.

    Attributes:
        waldur: the client.
        components: the TRES configuration.
        zone: time zone of the billing month.
        limit_owner: `slurm`: the cluster's limits go to Waldur; `waldur`: the other way round.
        keep_greater: whether usage that falls below what Waldur has is kept there.
        read_only: nothing is written to the cluster, and orders stay as they are.
    """

    waldur: Client
    components: Components
    zone: ZoneInfo
    limit_owner: str = "slurm"
    keep_greater: bool = True
    read_only: bool = False

    def current_month(self) -> Period:
        """The billing month that it is now."""
        return usage.month_of(datetime.now(UTC), self.zone)

    def recent_months(self) -> tuple[Period, ...]:
        """The current billing month and the one before."""
        current = self.current_month()
        return usage.previous(current, self.zone), current


def connect(settings: Settings, components: Components, *, read_only: bool = False) -> Control:
    """Make the control side from the settings; `control.waldur.close()` ends its connections."""
    return Control(
        waldur=Client(settings),
        components=components,
        zone=settings.time_zone,
        limit_owner=settings.limit_owner,
        keep_greater=settings.usage_decrease == "keep",
        read_only=read_only,
    )


def uuid_of(text: str) -> str:
    """Return a uuid that Waldur sent, in its own form.

    Raises:
        WaldurError: it is none.
    """
    try:
        return names.fold_uuid(text)
    except ValueError as error:
        raise WaldurError(f"Waldur sent {text!r} where a uuid belongs") from error


def owner_of(uuid: str, title: str) -> Owner:
    """Name a customer or a project to the head node."""
    return Owner(uuid=uuid_of(uuid), title=title[:TITLE_MAX_LEN])


def team_of(control: Control, resource: Resource) -> tuple[str, ...]:
    """Return the usernames that belong into a resource's account; none if access is restricted."""
    if resource.restrict_member_access:
        return ()
    return _usernames(control.waldur.team(resource.uuid), resource.uuid)


def _usernames(team: list[TeamMember], resource: str) -> tuple[str, ...]:
    """Return the usernames of a team that may go to the cluster, sorted and folded.

    People without a username yet, or whose account isn't in order, come later; a name that
    SLURM must not see is skipped with a warning (Waldur checks none).
    """
    usable: set[str] = set()
    for member in team:
        if not member.offering_user_username or member.offering_user_state not in {None, "OK"}:
            continue
        folded = member.offering_user_username.strip().lower()
        if names.is_username(folded):
            usable.add(folded)
        else:
            log.warning("username_refused", resource=resource, username=folded[:80])
    return tuple(sorted(usable))


def removable_usernames(control: Control) -> frozenset[str]:
    """Return the usernames of all of this offering's users: nobody else is ever removed."""
    folded = {user.username.strip().lower() for user in control.waldur.offering_users()}
    return frozenset(name for name in folded if names.is_username(name))


def mirror_associations(control: Control, resource: Resource, users: tuple[str, ...]) -> int:
    """Make an older server's associations those of the cluster.

    Returns:
        How many were added or removed; newer servers have none.
    """
    if control.waldur.generation is Generation.B:
        return 0
    mirrored = control.waldur.associations(resource)
    joined, left = sorted({*users} - mirrored), sorted(mirrored - {*users})
    for username in joined:
        control.waldur.create_association(resource.uuid, username)
    for username in left:
        control.waldur.delete_association(resource.uuid, username)
    metrics.usage_posted.labels("associations").inc(len(joined) + len(left))
    return len(joined) + len(left)
