"""Changes: one value for each kind of write to the cluster, and what it does to the state.

Each becomes one `sacctmgr` or `scancel` command (slurm_tasks/slurm/commands.py).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from slurm_tasks.model import tres
from slurm_tasks.model.cluster import Account, Cluster
from slurm_tasks.model.names import other_usernames
from slurm_tasks.model.submission import Submission


@dataclass(frozen=True)
class AddAccount:
    """Create an account below its parent, limits (TRES-minutes) included."""

    name: str
    parent: str
    description: str
    organization: str
    limits: Mapping[str, int] = field(default_factory=dict)

    def __str__(self) -> str:
        """Say it for a person."""
        limits = f" with {tres.render(self.limits)}" if self.limits else ""
        return f"create account {self.name} under {self.parent}{limits}"

    def advance(self, state: Cluster) -> Cluster:
        """Return the state after it."""
        kept = _kept(self.limits)
        # slurmdbd keeps the description of an account that it knows already
        description = state.bare.get(self.name, self.description)
        return state.with_account(Account(self.name, self.parent, description, kept))


@dataclass(frozen=True)
class SetParent:
    """Hang an account below another parent."""

    account: str
    parent: str

    def __str__(self) -> str:
        """Say it for a person."""
        return f"move account {self.account} under {self.parent}"

    def advance(self, state: Cluster) -> Cluster:
        """Return the state after it."""
        return state.with_account(replace(state.accounts[self.account], parent=self.parent))


@dataclass(frozen=True)
class SetLimits:
    """Set limits (TRES-minutes); TRES that aren't named stay, -1 takes one away."""

    account: str
    limits: Mapping[str, int]

    def __str__(self) -> str:
        """Say it for a person."""
        return f"set limits of {self.account} to {tres.render(self.limits)}"

    def advance(self, state: Cluster) -> Cluster:
        """Return the state after it."""
        account = state.accounts[self.account]
        kept = _kept({**account.limits, **self.limits})
        return state.with_account(replace(account, limits=kept))


@dataclass(frozen=True)
class SetBlocked:
    """Block or unblock the submission of jobs to an account and all below it.

    Attributes:
        account: which one.
        submission: its limits from then on.
        reason: why it is done, if not for the flag alone.
        lost: limits of the site that can't be remembered.
    """

    account: str
    submission: Submission
    reason: str = ""
    lost: Sequence[str] = ()

    def __str__(self) -> str:
        """Say it for a person."""
        if not self.submission.is_closed:
            return f"allow submission to {self.account}"
        why = f", as {self.reason}" if self.reason else ""
        return f"block submission to {self.account}{why}{_loss(self.lost)}"

    def advance(self, state: Cluster) -> Cluster:
        """Return the state after it."""
        account = state.accounts[self.account]
        return state.with_account(replace(account, submission=self.submission))


@dataclass(frozen=True)
class SetQos:
    """Let an account run in one QoS only; without one it inherits its parent's again."""

    account: str
    qos: str | None

    def __str__(self) -> str:
        """Say it for a person."""
        return f"switch {self.account} to {f'QoS {self.qos}' if self.qos else 'the inherited QoS'}"

    def advance(self, state: Cluster) -> Cluster:
        """Return the state after it."""
        account, qos = state.accounts[self.account], self.qos or ""
        listed = frozenset(filter(None, (qos,)))
        return state.with_account(replace(account, qos=listed, default_qos=qos))


@dataclass(frozen=True)
class SetUsersBlocked:
    """Block or unblock the submission of jobs by some users of an account.

    Attributes:
        users: whose associations.
        account: with which account.
        submission: their limits from then on.
        partition: of the associations that are for one partition; else of those that are for all.
        lost: limits of the site that can't be remembered.
    """

    users: tuple[str, ...]
    account: str
    submission: Submission
    partition: str = ""
    lost: Sequence[str] = ()

    def __str__(self) -> str:
        """Say it for a person."""
        verb = "block" if self.submission.is_closed else "allow"
        where = f" in partition {self.partition}" if self.partition else ""
        who = f"{', '.join(self.users)} to {self.account}{where}"
        return f"{verb} submission by {who}{_loss(self.lost)}"

    def advance(self, state: Cluster) -> Cluster:
        """Return the state after it."""
        account = state.accounts[self.account]
        changed = {
            (user, self.partition): replace(
                account.associations_of(user)[self.partition], submission=self.submission
            )
            for user in self.users
        }
        associations = {**account.associations, **changed}
        return state.with_account(replace(account, associations=associations))


@dataclass(frozen=True)
class RemoveCoordinators:
    """Take coordinators' rights to some accounts from users."""

    users: tuple[str, ...]
    accounts: tuple[str, ...]

    def __str__(self) -> str:
        """Say it for a person."""
        where = ", ".join(self.accounts)
        return f"remove {', '.join(self.users)} from the coordinators of {where}"

    def advance(self, state: Cluster) -> Cluster:
        """Return the state after it."""
        for name in self.accounts:
            account = state.accounts[name]
            left = account.coordinators - {*self.users}
            state = state.with_account(replace(account, coordinators=left))
        return state


@dataclass(frozen=True)
class AddUsers:
    """Give users an association with an account.

    Attributes:
        users: usernames, as Waldur spells them.
        account: the account they join.
        default: their default account, for users who have no association yet; None leaves the
            default of those who have one.
    """

    users: tuple[str, ...]
    account: str
    default: str | None = None

    def __str__(self) -> str:
        """Say it for a person."""
        default = f", default account {self.default}" if self.default else ""
        return f"add {', '.join(self.users)} to {self.account}{default}"

    def advance(self, state: Cluster) -> Cluster:
        """Return the state after it."""
        for name in {self.account, self.default or self.account}:
            if account := state.get(name):
                new = other_usernames(self.users, account.users)
                state = state.with_account(replace(account, users=account.users | new))
        return state


@dataclass(frozen=True)
class SetDefault:
    """Give users another default account, one that they have an association with."""

    users: tuple[str, ...]
    account: str

    def __str__(self) -> str:
        """Say it for a person."""
        return f"make {self.account} the default account of {', '.join(self.users)}"

    def advance(self, state: Cluster) -> Cluster:
        """Return the state after it; defaults aren't part of it."""
        return state


@dataclass(frozen=True)
class CancelJobs:
    """Cancel the jobs of an account, or of some of its users in it."""

    account: str
    users: tuple[str, ...] = ()

    def __str__(self) -> str:
        """Say it for a person."""
        whose = f" of {', '.join(self.users)}" if self.users else ""
        return f"cancel jobs{whose} in {self.account}"

    def advance(self, state: Cluster) -> Cluster:
        """Return the state after it; jobs aren't part of it."""
        return state


@dataclass(frozen=True)
class RemoveUsers:
    """Take away users' association with an account."""

    users: tuple[str, ...]
    account: str

    def __str__(self) -> str:
        """Say it for a person."""
        return f"remove {', '.join(self.users)} from {self.account}"

    def advance(self, state: Cluster) -> Cluster:
        """Return the state after it."""
        return state.with_account(state.accounts[self.account].without_users(self.users))


@dataclass(frozen=True)
class RemoveAccount:
    """Remove an account that has neither users nor accounts below it.

    Attributes:
        name: the account.
        shared: whether other clusters have it too, so that only this one's association goes.
    """

    name: str
    shared: bool = False

    def __str__(self) -> str:
        """Say it for a person."""
        return f"remove account {self.name}"

    def advance(self, state: Cluster) -> Cluster:
        """Return the state after it."""
        return state.without_account(self.name)


Change = (
    AddAccount
    | SetParent
    | SetLimits
    | SetBlocked
    | SetQos
    | SetUsersBlocked
    | RemoveCoordinators
    | AddUsers
    | SetDefault
    | CancelJobs
    | RemoveUsers
    | RemoveAccount
)
"""Everything that the service ever changes on a cluster."""


def _loss(lost: Sequence[str]) -> str:
    return f" (its {' and '.join(lost)} can't be restored)" if lost else ""


def _kept(limits: Mapping[str, int]) -> dict[str, int]:
    """Return limits as the next listing shows them."""
    return {
        name: tres.listed(name, value) for name, value in limits.items() if value != tres.UNLIMITED
    }


def advance(state: Cluster, changes: "tuple[Change, ...] | list[Change]") -> Cluster:
    """Return the state after all of the changes, as SLURM is measured to carry them out."""
    for change in changes:
        state = change.advance(state)
    return state
