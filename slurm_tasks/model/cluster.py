"""The actual state: accounts, their users and limits as one read of the cluster shows them."""

import functools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

from slurm_tasks.model.names import Kind, fold_username, fold_usernames, marker


@dataclass(frozen=True)
class Account:
    """An account with an association on the cluster.

    Attributes:
        name: folded, as SLURM stores it.
        parent: the account above it; empty for root.
        description: as stored; ours starts with a marker.
        limits: GrpTRESMins by TRES: TRES-minutes, MB-minutes for memory.
        users: users with an association in it, as slurmdbd spells them.
        blocked: whether it accepts no jobs (GrpSubmitJobs=0).
        qos: the QoS that its jobs may run in, its own or inherited.
        held: users whose association with it accepts no jobs (GrpSubmitJobs=0).
        unread_limits: limits that are not understood, as listed, by TRES; they are not in `limits`.
    """

    name: str
    parent: str = ""
    description: str = ""
    limits: Mapping[str, int] = field(default_factory=dict)
    users: frozenset[str] = frozenset()
    blocked: bool = False
    qos: frozenset[str] = frozenset()
    held: frozenset[str] = frozenset()
    unread_limits: Mapping[str, str] = field(default_factory=dict)

    @functools.cached_property
    def members(self) -> Mapping[str, str]:
        """Its users, by the folded name."""
        return fold_usernames(self.users)

    def is_marked(self, kind: Kind, uuid: str) -> bool:
        """Tell whether the service made this account for that very thing."""
        return marker(self.description) == (kind, uuid)


@dataclass(frozen=True)
class Association:
    """What SLURM's two daemons have to agree on of an association.

    Attributes:
        limits: GrpTRESMins by TRES; of accounts only, users of ours have none.
        blocked: whether it accepts no jobs (GrpSubmitJobs=0).
    """

    limits: Mapping[str, int] = field(default_factory=dict)
    blocked: bool = False


Associations = Mapping[tuple[str, str], Association]
"""Associations by account and user; the user is empty in an account's own."""


@dataclass(frozen=True)
class Cluster:
    """What one read of a cluster found.

    Attributes:
        name: the cluster's name.
        accounts: those with an association on this cluster, by name.
        bare: descriptions, by name, of accounts that slurmdbd knows and this cluster doesn't: of
            other clusters, or left without any association.
        shared: names of accounts that other clusters have.
    """

    name: str
    accounts: Mapping[str, Account]
    bare: Mapping[str, str] = field(default_factory=dict)
    shared: frozenset[str] = frozenset()

    def get(self, name: str) -> Account | None:
        """Return an account, or None when the cluster has none of that name."""
        return self.accounts.get(name)

    def marked(self, kind: Kind, uuid: str) -> Iterator[Account]:
        """Yield the accounts that carry that marker (one, unless somebody made a second)."""
        return (account for account in self.accounts.values() if account.is_marked(kind, uuid))

    def children(self, name: str) -> Iterator[Account]:
        """Yield the accounts right below an account."""
        return (account for account in self.accounts.values() if account.parent == name)

    def above(self, name: str) -> Iterator[str]:
        """Yield the accounts above an account, from its parent to root."""
        seen = {name}
        account = self.get(name)
        while account and account.parent and account.parent not in seen:
            seen.add(account.parent)
            yield account.parent
            account = self.get(account.parent)

    def accounts_of(self, user: str) -> frozenset[str]:
        """Return the names of the accounts that a user, however spelled, is associated with."""
        folded = fold_username(user)
        return frozenset(a.name for a in self.accounts.values() if folded in a.members)

    def users(self) -> frozenset[str]:
        """Return every user who has an association."""
        return frozenset().union(*(account.users for account in self.accounts.values()))

    def associations(self) -> "Associations":
        """Return what slurmdbd has, to be compared with what slurmctld acts by."""
        found: dict[tuple[str, str], Association] = {}
        for account in self.accounts.values():
            found[account.name, ""] = Association(account.limits, account.blocked)
            for user in account.users:
                found[account.name, user] = Association({}, user in account.held)
        return found

    def with_account(self, account: Account) -> "Cluster":
        """Return this state with one account added or replaced."""
        bare = {name: text for name, text in self.bare.items() if name != account.name}
        return replace(self, accounts={**self.accounts, account.name: account}, bare=bare)

    def without_account(self, name: str) -> "Cluster":
        """Return this state without one account."""
        kept = {key: account for key, account in self.accounts.items() if key != name}
        bare = {key: text for key, text in self.bare.items() if key != name}
        return replace(self, accounts=kept, bare=bare)
