"""The actual state: accounts, their users and limits as one read of the cluster shows them."""

import functools
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from slurm_tasks.model.names import Kind, fold_username, fold_usernames, marker
from slurm_tasks.model.submission import OPEN, Submission


@dataclass(frozen=True)
class UserAssociation:
    """What a user's association with an account has of its own.

    Attributes:
        submission: how many jobs the user may submit there.
        qos: the QoS that the jobs may run in; empty: the account's.
        default_qos: the QoS of jobs that name none; empty: the account's.
    """

    submission: Submission = OPEN
    qos: frozenset[str] = frozenset()
    default_qos: str = ""


@dataclass(frozen=True)
class Account:
    """An account with an association on the cluster.

    Attributes:
        name: folded, as SLURM stores it.
        parent: the account above it; empty for root.
        description: as stored; ours starts with a marker.
        limits: GrpTRESMins by TRES: TRES-minutes, MB-minutes for memory.
        users: users with an association in it, as slurmdbd spells them.
        submission: how many jobs may be submitted to it.
        qos: the QoS that its jobs may run in; empty: the parent's.
        default_qos: the QoS of jobs that name none; empty: the parent's.
        associations: by user and partition, users' associations that have something of their own.
            A user who isn't named has one without partition.
        coordinators: users who may add others to it and to what is below, by a right to it or to an
            account above.
        unread_limits: limits that are not understood, as listed, by TRES; they are not in `limits`.
    """

    name: str
    parent: str = ""
    description: str = ""
    limits: Mapping[str, int] = field(default_factory=dict)
    users: frozenset[str] = frozenset()
    submission: Submission = OPEN
    qos: frozenset[str] = frozenset()
    default_qos: str = ""
    associations: Mapping[tuple[str, str], UserAssociation] = field(default_factory=dict)
    coordinators: frozenset[str] = frozenset()
    unread_limits: Mapping[str, str] = field(default_factory=dict)

    @property
    def blocked(self) -> bool:
        """Whether it accepts no jobs (GrpSubmitJobs=0)."""
        return self.submission.is_blocked

    def associations_of(self, user: str) -> Mapping[str, UserAssociation]:
        """Return a user's associations with it, by partition."""
        own = {part: found for (name, part), found in self.associations.items() if name == user}
        return own or {"": UserAssociation()}

    def without_users(self, users: Collection[str]) -> "Account":
        """Return it without some of its users."""
        kept = {key: own for key, own in self.associations.items() if key[0] not in users}
        return replace(self, users=self.users - {*users}, associations=kept)

    @functools.cached_property
    def members(self) -> Mapping[str, str]:
        """Its users, by the folded name."""
        return fold_usernames(self.users)

    def is_marked(self, kind: Kind, uuid: str) -> bool:
        """Tell whether the service made this account for that very thing."""
        return marker(self.description) == (kind, uuid)


class Key(NamedTuple):
    """Which association: an account's own, or a user's with it, in one partition or in all."""

    account: str
    user: str = ""
    partition: str = ""


@dataclass(frozen=True)
class Association:
    """What SLURM's two daemons have to agree on of an association.

    Attributes:
        limits: GrpTRESMins by TRES; of accounts only, users of ours have none.
        blocked: whether it accepts no jobs (GrpSubmitJobs=0).
    """

    limits: Mapping[str, int] = field(default_factory=dict)
    blocked: bool = False


Associations = Mapping[Key, Association]
"""Associations of a cluster."""


@dataclass(frozen=True)
class ControllerState:
    """What slurmctld acts by.

    Attributes:
        associations: those that it knows.
        without_uid: those whose user it could not resolve to a Unix user: it refuses their jobs.
    """

    associations: Associations
    without_uid: frozenset[Key] = frozenset()


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

    def descendants(self, name: str) -> Iterator[Account]:
        """Yield all accounts below an account."""
        return (account for account in self.accounts.values() if name in self.above(account.name))

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

    def qos_of(self, name: str) -> frozenset[str]:
        """Return the QoS that an account's jobs may run in, its own or inherited."""
        return self._inherited(name)[0]

    def _inherited(self, name: str) -> tuple[frozenset[str], str]:
        line = [self.accounts[n] for n in (name, *self.above(name)) if n in self.accounts]
        qos = next((account.qos for account in line if account.qos), frozenset[str]())
        return qos, next((account.default_qos for account in line if account.default_qos), "")

    def outside_their_qos(self, name: str) -> list[str]:
        """Name the associations of an account and below whose default QoS isn't in their list.

        slurmdbd refuses a change that brings one about; 22.05 only some of them.
        """
        found = []
        for below in (name, *(account.name for account in self.descendants(name))):
            account, (qos, default) = self.accounts[below], self._inherited(below)
            if default and default not in qos:
                found.append(below)
            for (user, _), own in account.associations.items():
                usual = own.default_qos or default
                if usual and usual not in (own.qos or qos):
                    found.append(f"{below}/{user}")
        return sorted({*found})

    def associations(self) -> "Associations":
        """Return what slurmdbd has, to be compared with what slurmctld acts by."""
        found: dict[Key, Association] = {}
        for account in self.accounts.values():
            found[Key(account.name)] = Association(account.limits, account.blocked)
            for user in account.users:
                for partition, own in account.associations_of(user).items():
                    key = Key(account.name, user, partition)
                    found[key] = Association({}, own.submission.is_blocked)
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
