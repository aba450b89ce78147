"""People: who belongs into a resource's account, and who may be removed from it."""

from functools import cached_property

import structlog

from slurm_tasks.model import names
from slurm_tasks.sync.control import Control
from slurm_tasks.waldur.views import OfferingUser, Resource

log = structlog.stdlib.get_logger(__name__)


class People:
    """The people of the offering, read once for all resources."""

    def __init__(self, control: Control) -> None:
        self._control = control

    @cached_property
    def _users(self) -> list[OfferingUser]:
        return self._control.waldur.offering_users()

    @cached_property
    def _restricted(self) -> frozenset[str]:
        """People whose access to the offering is suspended, by uuid: the team has them still."""
        return frozenset(user.user_uuid for user in self._users if user.is_restricted)

    @property
    def usernames(self) -> frozenset[str]:
        """The folded usernames of this offering's users: nobody else is ever removed."""
        folded = {names.fold_username(user.username) for user in self._users}
        return frozenset(name for name in folded if names.is_username(name))

    def team_of(self, resource: Resource) -> tuple[str, ...]:
        """Return the usernames that belong into a resource's account, as Waldur spells them.

        None if access to it is restricted. People without a username yet, or whose account isn't
        in order, come later. A name that SLURM must not see is skipped with a warning (Waldur
        checks none).

        Raises:
            WaldurError: Waldur is away.
        """
        if resource.restrict_member_access:
            return ()
        usable: set[str] = set()
        for member in self._control.waldur.team(resource.uuid):
            if not member.offering_user_username or member.offering_user_state not in {None, "OK"}:
                continue
            if member.uuid in self._restricted:
                continue
            username = member.offering_user_username.strip()
            if names.is_username(username):
                usable.add(username)
            else:
                log.warning("username_refused", resource=resource.uuid, username=username[:80])
        return tuple(sorted(names.fold_usernames(usable).values()))
