"""Commands that change the cluster, one for each change of the model."""

from dataclasses import dataclass
from typing import ClassVar

from slurm_tasks.model import changes, tres
from slurm_tasks.model.submission import Submission
from slurm_tasks.slurm.commands.base import (
    SACCTMGR,
    Write,
    account_name,
    plain,
    user_names,
)


def _submission(wanted: Submission) -> tuple[str, ...]:
    """Return how many jobs may be submitted, and what is remembered, in sacctmgr's words."""
    values = {
        "GrpSubmitJobs": wanted.together.jobs,
        "MaxSubmitJobs": wanted.each.jobs,
        "GrpJobsAccrue": wanted.together.accrue,
        "MaxJobsAccrue": wanted.each.accrue,
    }
    return tuple(f"{name}={-1 if value is None else value}" for name, value in values.items())


@dataclass(frozen=True)
class AddAccount(Write):
    """Create an account, its parent and its limits in one command."""

    change: changes.AddAccount

    def argv(self) -> list[str]:
        """Name the parent, always: without one it hangs under root."""
        new = self.change
        limits = [f"GrpTRESMins={tres.render(new.limits)}"] if new.limits else []
        parent = new.parent if new.parent == "root" else account_name(new.parent)
        return [
            *(*SACCTMGR, "add", "account", f"name={account_name(new.name)}"),
            *(self.cluster_term, f"parent={parent}"),
            *(
                f"description={plain(new.description)}",
                f"organization={plain(new.organization)}",
            ),
            *limits,
        ]


@dataclass(frozen=True)
class ModifyAccount(Write):
    """Set something of one account."""

    account: str
    settings: tuple[str, ...]

    def argv(self) -> list[str]:
        """Name the account before anything is set."""
        where = [
            "where",
            f"name={account_name(self.account)}",
            self.cluster_term,
        ]
        return [*SACCTMGR, "modify", "account", *where, "set", *self.settings]


@dataclass(frozen=True)
class AddUsers(Write):
    """Give users an association, and with `default` a default account, in one command."""

    change: changes.AddUsers

    def argv(self) -> list[str]:
        """Name the default's account too: its association is needed."""
        new = self.change
        accounts = [new.account]
        default = []
        if new.default:
            accounts += [new.default] if new.default != new.account else []
            default = [f"DefaultAccount={account_name(new.default)}"]
        return [
            *(*SACCTMGR, "add", "user", f"name={user_names(new.users)}"),
            *(
                self.cluster_term,
                f"account={','.join(map(account_name, accounts))}",
            ),
            *default,
        ]


@dataclass(frozen=True)
class SetDefault(Write):
    """Set users' default account."""

    change: changes.SetDefault

    def argv(self) -> list[str]:
        """Name the users before anything is set."""
        where = [
            "where",
            f"name={user_names(self.change.users)}",
            self.cluster_term,
        ]
        setting = f"DefaultAccount={account_name(self.change.account)}"
        return [*SACCTMGR, "modify", "user", *where, "set", setting]


@dataclass(frozen=True)
class SetUsersBlocked(Write):
    """Block or unblock submission by some users of an account."""

    change: changes.SetUsersBlocked

    def argv(self) -> list[str]:
        """Name users, account and partition: what isn't named would be changed as well.

        An empty partition is that of associations which are for all of them (measured).
        """
        held = self.change
        where = [
            f"name={user_names(held.users)}",
            f"account={account_name(held.account)}",
            f"partition={plain(held.partition) if held.partition else ''}",
            self.cluster_term,
        ]
        settings = _submission(held.submission)
        return [*SACCTMGR, "modify", "user", "where", *where, "set", *settings]


@dataclass(frozen=True)
class RemoveCoordinators(Write):
    """Take coordinators' rights from users; they are the same on all of slurmdbd's clusters."""

    change: changes.RemoveCoordinators

    def argv(self) -> list[str]:
        """Name users and accounts: what isn't named would be removed as well."""
        gone = self.change
        if not gone.accounts:
            raise ValueError("without an account's name all rights of the users would be removed")
        accounts = f"account={','.join(map(account_name, gone.accounts))}"
        return [*SACCTMGR, "remove", "coordinator", accounts, f"names={user_names(gone.users)}"]


@dataclass(frozen=True)
class RemoveUsers(Write):
    """Take away associations of users with one account."""

    change: changes.RemoveUsers

    def argv(self) -> list[str]:
        """Name users, account and cluster: what isn't named would be removed as well."""
        gone = self.change
        where = [f"name={user_names(gone.users)}", f"account={account_name(gone.account)}"]
        return [
            *(*SACCTMGR, "remove", "user", "where", *where),
            self.cluster_term,
        ]


@dataclass(frozen=True)
class RemoveAccount(Write):
    """Remove one account."""

    change: changes.RemoveAccount

    def argv(self) -> list[str]:
        """Name the account, and the cluster only if others have it too.

        With a cluster named, SLURM removes the association and leaves the account in its list,
        with the description that a later account of that name would get.
        """
        where = [f"name={account_name(self.change.name)}"]
        where += [self.cluster_term] if self.change.shared else []
        return [*SACCTMGR, "remove", "account", "where", *where]


@dataclass(frozen=True)
class CancelJobs(Write):
    """Cancel the jobs of an account, or those of one user in it."""

    account: str
    user: str | None = None
    tool: ClassVar[str] = "scancel"

    def argv(self) -> list[str]:
        """Name the account; an empty user's name is refused: it would mean everybody's jobs."""
        whose = [] if self.user is None else [f"--user={account_name(self.user, user=True)}"]
        return [self.cluster_option, f"--account={account_name(self.account)}", *whose]


def for_change(change: changes.Change, cluster: str) -> list[Write]:
    """Return the commands of a change: one, but for the jobs of several users."""
    command: Write
    match change:
        case changes.AddAccount():
            command = AddAccount(cluster, change)
        case changes.AddUsers():
            command = AddUsers(cluster, change)
        case changes.SetUsersBlocked():
            command = SetUsersBlocked(cluster, change)
        case changes.RemoveCoordinators():
            command = RemoveCoordinators(cluster, change)
        case changes.SetDefault():
            command = SetDefault(cluster, change)
        case changes.RemoveUsers():
            command = RemoveUsers(cluster, change)
        case changes.RemoveAccount():
            command = RemoveAccount(cluster, change)
        case changes.CancelJobs():
            return _cancellations(change, cluster)
        case _:
            command = ModifyAccount(cluster, change.account, _settings(change))
    return [command]


def _cancellations(change: changes.CancelJobs, cluster: str) -> list[Write]:
    return [CancelJobs(cluster, change.account, user) for user in change.users or (None,)]


def _settings(
    change: changes.SetParent | changes.SetLimits | changes.SetBlocked | changes.SetQos,
) -> tuple[str, ...]:
    """Return what is set of an account, in sacctmgr's words."""
    match change:
        case changes.SetParent():
            return (f"parent={account_name(change.parent)}",)
        case changes.SetLimits():
            return (f"GrpTRESMins={tres.render(change.limits)}",)
        case changes.SetBlocked():
            return _submission(change.submission)
        case changes.SetQos():
            qos = plain(change.qos) if change.qos else ""
            return (f"qos={qos}", f"defaultqos={qos or -1}")
