"""The head node's Unix users: who of those that join is known there, and has a home directory."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from slurm_tasks.errors import TransientError
from slurm_tasks.model import names
from slurm_tasks.slurm.cluster import SlurmCluster
from slurm_tasks.slurm.lock import Writer
from slurm_tasks.sync.item import Item

UNKNOWN = "the head node knows no such Unix user"


@dataclass
class UnixUsers:
    """What is known of Unix users during one reconciliation.

    Attributes:
        cluster: whose head node is asked.
        homes: home directories of those who join, made before they are added.
        homeless: why somebody's home could not be made.
    """

    cluster: SlurmCluster
    homes: dict[str, str] = field(default_factory=dict)
    homeless: dict[str, str] = field(default_factory=dict)

    def resolve(self, joiners: Mapping[str, list[Item]]) -> None:
        """Mark those who join and have no Unix user as waiting.

        A name with capitals is also looked for in lower case, as it may stand in Waldur so and on
        the head node otherwise; the name that the head node answers to is the one that is added.

        Args:
            joiners: by username, the items that somebody joins.
        """
        reason = UNKNOWN
        try:
            asked = {*joiners, *map(names.fold_username, joiners)}
            self.homes = self.cluster.unix_users(asked) if asked else {}
        except TransientError as error:
            reason = f"the head node's users can't be looked up: {error}"
        for user, items in joiners.items():
            known = next((n for n in (user, names.fold_username(user)) if n in self.homes), None)
            for item in items:
                if known is None:
                    item.waiting[user] = reason
                else:
                    item.spelling[user] = known

    def make_homes(self, item: Item, users: tuple[str, ...], writer: Writer) -> None:
        """Make the homes of users who join; one that fails lets that user wait."""
        for user in users:
            home = self.homes.pop(user, None)  # once for each user, whatever comes of it
            if home is not None:
                try:
                    self.cluster.make_home(user, home, writer)
                except (TransientError, ValueError) as error:
                    self.homeless[user] = f"no home directory: {error}"
            if user in self.homeless:
                item.waiting[user] = self.homeless[user]
