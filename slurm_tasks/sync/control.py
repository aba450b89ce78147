"""What the control side's flows need: Waldur, the TRES configuration, and the site's choices."""

from collections.abc import Callable
from dataclasses import dataclass, field
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
from slurm_tasks.sync.told import Refusals, Told
from slurm_tasks.waldur.client import Client, Generation
from slurm_tasks.waldur.views import Resource

log = structlog.stdlib.get_logger(__name__)

LIVE_STATES = ("OK", "Updating")
"""States of resources that are in use."""
BILLED_STATES = (*LIVE_STATES, "Terminating")
"""States of resources that Waldur takes usage for."""
PRESENT_STATES = ("Creating", *BILLED_STATES, "Erred")
"""States of resources that Waldur still has: those with an account are kept in step."""
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
        zone_known: whether that was said to be Waldur's (BILLING_TIME_ZONE is set).
        limit_owner: `slurm`: the cluster's limits go to Waldur; `waldur`: the other way round.
        keep_greater: whether usage that falls below what Waldur has is kept there.
        read_only: nothing is written to the cluster, and orders stay as they are.
        first: tells whether something is told for the first time, by a key that names it.
        refusals: what Waldur has refused of reports lately.
    """

    waldur: Client
    components: Components
    zone: ZoneInfo
    limit_owner: str = "slurm"
    keep_greater: bool = True
    read_only: bool = False
    zone_known: bool = True
    first: Callable[[str], bool] = field(default_factory=lambda: Told().first)
    refusals: Refusals = field(default_factory=Refusals)

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
        zone_known="time_zone" in settings.model_fields_set,
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


def mirror_associations(control: Control, resource: Resource, users: tuple[str, ...]) -> int:
    """Make an older server's associations those of the cluster.

    Returns:
        How many were added or removed; newer servers have none, nor has a resource without an
        Allocation.
    """
    if control.waldur.generation is Generation.B or not resource.resource_uuid:
        return 0
    mirrored = control.waldur.associations(resource)
    joined = sorted(names.other_usernames(users, mirrored))
    left = sorted(names.other_usernames(mirrored, users))
    for username in joined:
        control.waldur.create_association(resource.uuid, username)
    for username in left:
        control.waldur.delete_association(resource.uuid, username)
    metrics.usage_posted.labels("associations").inc(len(joined) + len(left))
    return len(joined) + len(left)
