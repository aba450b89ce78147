"""A cluster in memory: it takes the service's commands and behaves as SLURM is measured to."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar, cast

from slurm_tasks.errors import CommandError, JobsActiveError
from slurm_tasks.model import changes, tres
from slurm_tasks.model.cluster import Associations, Cluster, ControllerState, Key
from slurm_tasks.model.purge import Accounting, Purge
from slurm_tasks.model.qos import Qos
from slurm_tasks.model.submission import JobLimit, Submission
from slurm_tasks.model.usage import Tally
from slurm_tasks.slurm import commands
from slurm_tasks.slurm.commands import Command, Write
from slurm_tasks.slurm.commands.usage import Listing

T = TypeVar("T")


JOB_LIMITS = ("GrpSubmitJobs", "MaxSubmitJobs", "GrpJobsAccrue", "MaxJobsAccrue")


class Cut(BaseException):
    """Stands for the end of the process: no code of the service catches it."""


@dataclass
class FakeSlurm:
    """Stands in for the runner.

    Attributes:
        state: the cluster, as a read shows it.
        defaults: default account by user.
        known: the TRES that the cluster has.
        jobs: pairs of account and user who have a job.
        usage: TRES-seconds by account, user and TRES, in whatever period.
        jobs_linger: whether cancelled jobs are still ending.
        before: called before a write takes effect; raises to make it fail.
        ignored: tells writes that exit with 0 and change nothing.
        written: every write that was asked for.
        reads: how often the accounts were read.
        unix: home directory by Unix user that the head node knows.
        homes: home directories that are there.
        qos: the QoS that slurmdbd has.
        purge: when it throws job records away.
        config: what slurm.conf says.
        in_force: the associations that slurmctld knows; None: all that are there.
        without_uid: those whose user slurmctld has no Unix user for.
    """

    state: Cluster
    defaults: dict[str, str] = field(default_factory=dict)
    known: frozenset[str] = frozenset({"cpu", "mem", "gres/gpu"})
    jobs: set[tuple[str, str]] = field(default_factory=set)
    usage: dict[str, dict[str, dict[str, int]]] = field(default_factory=dict)
    jobs_linger: bool = False
    before: Callable[[Write], None] = lambda _: None
    ignored: Callable[[Write], bool] = lambda _: False
    written: list[Write] = field(default_factory=list)
    reads: int = 0
    unix: dict[str, str] = field(default_factory=dict)
    homes: set[str] = field(default_factory=set)
    qos: Mapping[str, Qos] = field(default_factory=lambda: {"normal": Qos()})
    purge: Purge | None = None
    config: dict[str, str] = field(default_factory=dict)
    in_force: Associations | None = None
    without_uid: frozenset[Key] = frozenset()

    def read(self, command: Command[T]) -> T:
        """Answer a command that reads."""
        command.argv()
        answer: Any
        match command:
            case commands.ShowAccounts():
                self.reads += 1
                answer = self.state
            case commands.ResolveUsers():
                homes = {user: home for user, home in self.unix.items() if user in command.users}
                answer = commands.UnixUsers(homes)
            case commands.FindPath():
                answer = command.path in self.homes
            case commands.AccountUsage():
                answer = self._used(command)
            case _:
                answer = self._listings()[type(command)]
        return cast("T", answer)

    def _used(self, command: commands.AccountUsage) -> Listing:
        tally = Tally(set(command.accounts.values()))
        for name, account in command.accounts.items():
            for user, held in self.usage.get(name, {}).items():
                sums = tally.sums[account].setdefault(user, {})
                sums |= {tres_: sums.get(tres_, 0) + count for tres_, count in held.items()}
        return Listing(tally, rows=len(self.usage))

    def _listings(self) -> dict[type, object]:
        in_force = self.state.associations() if self.in_force is None else self.in_force
        return {
            commands.ShowAssociations: ControllerState(in_force, self.without_uid),
            commands.ShowDefaults: dict(self.defaults),
            commands.ShowTres: self.known,
            commands.ShowQos: self.qos,
            commands.ShowAccounting: Accounting(self.purge),
            commands.ShowLineage: {},
            commands.ShowUsed: {name: bool(self.usage.get(name)) for name in self.state.accounts},
            commands.FindJobs: (0, False),
            commands.ShowConfig: {"ClusterName": self.state.name, **self.config},
        }

    def write(self, command: Write, inherit: tuple[int, ...] = ()) -> str:
        """Carry out a command that writes."""
        assert inherit, "the lock is inherited"
        command.argv()
        self.written.append(command)
        self.before(command)
        return "" if self.ignored(command) else self._carry_out(command)

    def cut_after(self, count: int) -> None:
        """End the process after so many writes from now on."""
        last = len(self.written) + count

        def cut(_: Write) -> None:
            if len(self.written) > last:
                raise Cut

        self.before = cut

    def _carry_out(self, command: Write) -> str:
        match command:
            case commands.AddAccount(change=new):
                return self._add_account(command, new)
            case commands.AddUsers(change=joiners):
                self._add_users(command, joiners)
            case commands.SetUsersBlocked() | commands.RemoveCoordinators():
                self.state = command.change.advance(self.state)
            case commands.MakeHome():
                self.homes.add(f"/home/{command.user}")
            case commands.SetDefault(change=moved):
                self.defaults |= dict.fromkeys(moved.users, moved.account)
            case commands.RemoveUsers(change=leavers):
                self._remove_users(command, leavers)
            case commands.RemoveAccount(change=gone):
                self._remove_account(command, gone)
            case commands.ModifyAccount():
                self._modify(command)
            case commands.CancelJobs() if not self.jobs_linger:
                whose = {command.user} if command.user else {user for _, user in self.jobs}
                self.jobs -= {(command.account, user) for user in whose}
            case _:
                pass
        return ""

    def _add_account(self, command: Write, new: changes.AddAccount) -> str:
        if new.name in self.state.accounts:
            return "Nothing new added."
        if new.parent not in self.state.accounts:
            raise _failure(command, f"No parent account '{new.parent}' on cluster")
        self._check_tres(command, new.limits)
        # slurmdbd stores descriptions in lower case
        self.state = replace(new, description=new.description.lower()).advance(self.state)
        return ""

    def _add_users(self, command: Write, joiners: changes.AddUsers) -> None:
        for name in filter(None, (joiners.account, joiners.default)):
            if name not in self.state.accounts:
                raise _failure(command, f"No account {name} on cluster")
        for user in joiners.users:
            if joiners.default or not self.state.accounts_of(user):
                self.defaults[user] = joiners.default or joiners.account
        self.state = joiners.advance(self.state)

    def _remove_users(self, command: Write, leavers: changes.RemoveUsers) -> None:
        if any((leavers.account, user) in self.jobs for user in leavers.users):
            raise JobsActiveError(command.argv(), "jobs are still pending or running", 1)
        for user in leavers.users:
            others = self.state.accounts_of(user) - {leavers.account}
            if others and self.defaults.get(user) == leavers.account:
                raise _failure(command, "You can not remove the default account of a user")
            if not others:
                self.defaults.pop(user, None)
        self.state = leavers.advance(self.state)

    def _remove_account(self, command: Write, gone: changes.RemoveAccount) -> None:
        assert not list(self.state.children(gone.name)), "a subtree must never go at once"
        if any(account == gone.name for account, _ in self.jobs):
            raise JobsActiveError(command.argv(), "jobs are still pending or running", 1)
        if gone.name in self.defaults.values():
            raise _failure(command, "You can not remove the default account of a user")
        self.state = gone.advance(self.state)

    def _modify(self, command: commands.ModifyAccount) -> None:
        settings = dict(setting.split("=", 1) for setting in command.settings)
        if "GrpSubmitJobs" in settings:
            jobs = {k: int(v) for k, v in settings.items() if k in JOB_LIMITS}
            values = (jobs[name] if jobs[name] >= 0 else None for name in JOB_LIMITS)
            together, each, together_accrue, each_accrue = values
            limits = Submission(JobLimit(together, together_accrue), JobLimit(each, each_accrue))
            self.state = changes.SetBlocked(command.account, limits).advance(self.state)
        for key in settings.keys() - {*JOB_LIMITS}:
            self._set(command, key, settings[key])

    def _set(self, command: commands.ModifyAccount, key: str, value: str) -> None:
        name = command.account
        if key == "parent":
            self.state = changes.SetParent(name, value).advance(self.state)
        elif key == "qos":
            self.state = changes.SetQos(name, value or None).advance(self.state)
            if outside := self.state.outside_their_qos(name):
                raise _failure(command, f"no access to their default qos: {outside}")
        elif key != "defaultqos":
            limits = {k: int(v) for k, v in (pair.split("=") for pair in value.split(","))}
            self._check_tres(command, limits)
            self.state = changes.SetLimits(name, limits).advance(self.state)

    def _check_tres(self, command: Write, limits: object) -> None:
        assert isinstance(limits, dict)
        if set(limits) - self.known:
            raise _failure(command, "Unknown TRES")
        assert all(value >= tres.UNLIMITED for value in limits.values())


def _failure(command: Write, reason: str) -> CommandError:
    return CommandError([command.tool, *command.argv()], "exit code 1", 1, reason)
