"""The cluster: reading its state and carrying out changes, one command each."""

import functools
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

import structlog

from slurm_tasks.errors import (
    AccessDeniedError,
    CommandError,
    ConfigurationError,
    ParseError,
    PermanentError,
)
from slurm_tasks.model import changes as model
from slurm_tasks.model import names
from slurm_tasks.model.cluster import Account, Cluster, ControllerState
from slurm_tasks.model.purge import Accounting
from slurm_tasks.model.qos import Qos
from slurm_tasks.model.usage import ListedRun, Period, PeriodUsage, Reading, Run
from slurm_tasks.slurm import commands
from slurm_tasks.slurm.commands import Command, Write
from slurm_tasks.slurm.lock import Writer

T = TypeVar("T")
log = structlog.stdlib.get_logger(__name__)
NAMES = 1000
"""Most users or jobs in one argument list."""
SHOWN = 10
"""Most names in one line of the log."""


class Runs(Protocol):
    """What runs commands: the runner, or a test's stand-in."""

    def read(self, command: Command[T]) -> T:
        """Run one that reads."""

    def write(self, command: Write, inherit: tuple[int, ...] = ()) -> str:
        """Run one that writes."""


@dataclass(frozen=True)
class Unix:
    """How the head node is asked for Unix users, and how a home directory is made.

    Attributes:
        getent: path of the program that knows users.
        helper: path of the program that makes a home directory.
        umask: of what is made, octal.
        sudo: path of sudo if the helper needs it, else empty.
    """

    getent: str = "/usr/bin/getent"
    helper: str = "/usr/sbin/mkhomedir_helper"
    umask: str = "0077"
    sudo: str = ""


@dataclass
class SlurmCluster:
    """One cluster, by its commands.

    Attributes:
        runner: runs them.
        configured_name: the cluster's name if the site set it; else slurmctld is asked, once.
        unix: its head node's Unix users.
    """

    runner: Runs
    configured_name: str = ""
    unix: Unix = field(default_factory=Unix)

    @functools.cached_property
    def name(self) -> str:
        """The cluster's name, as slurmdbd knows it."""
        return self.configured_name or self.config()["ClusterName"].lower()

    def config(self) -> dict[str, str]:
        """Return the configuration that slurmctld runs with."""
        return self.runner.read(commands.ShowConfig())

    def read(self) -> Cluster:
        """Read all accounts with their users and limits: one command, whatever their number.

        A limit that is not understood is told, and left out: it keeps nothing from being done.
        """
        state = self.runner.read(commands.ShowAccounts(self.name))
        unread = {a.name: sorted(a.unread_limits.values()) for a in state.accounts.values()}
        if told := {name: parts for name, parts in unread.items() if parts}:
            log.warning("limits_not_understood", accounts=dict(sorted(told.items())[:SHOWN]))
        return state

    def in_force(self) -> ControllerState:
        """Read the associations that slurmctld acts by."""
        return self.runner.read(commands.ShowAssociations(self.name))

    def defaults(self) -> dict[str, str]:
        """Read every user's default account."""
        return self.runner.read(commands.ShowDefaults(self.name))

    def tres(self) -> frozenset[str]:
        """Read the TRES that the cluster knows."""
        return self.runner.read(commands.ShowTres(self.name))

    def qos(self) -> Mapping[str, Qos]:
        """Read the QoS that slurmdbd knows."""
        return self.runner.read(commands.ShowQos(self.name))

    def accounting(self) -> Accounting:
        """Read how slurmdbd keeps job records."""
        return self.runner.read(commands.ShowAccounting(self.name))

    def sees_all_jobs(self) -> bool:
        """Tell whether slurmdbd takes us for an administrator or an operator.

        It tells its statistics to administrators only. Who is none may still be an operator: that
        is told by name, which slurmdbd knows by the Unix user of our commands.
        """
        try:
            self.runner.read(commands.ShowStatistics(self.name))
        except AccessDeniedError:
            user = self.runner.read(commands.WhoAmI(self.name))
            known = names.is_username(user.lower())
            level = self.runner.read(commands.ShowLevel(self.name, user)) if known else ""
            return level == "Operator"
        return True

    def lineage(self, records: Accounting) -> Mapping[str, Account]:
        """Read the tree of accounts, with those that were removed and have jobs on record."""
        return self.runner.read(commands.ShowLineage(self.name, records.has_lineage))

    def used(self) -> Mapping[str, bool]:
        """Read of which accounts slurmctld counts any usage."""
        return self.runner.read(commands.ShowUsed(self.name))

    def find_jobs(
        self, start: int, end: int, period: tuple[int, int], accounts: tuple[str, ...] = ()
    ) -> tuple[int, bool]:
        """Count job records in a window, and tell whether one of them ran in a part of it.

        Args:
            start: the window's first second.
            end: the first second after it.
            period: the same of the part.
            accounts: whose jobs; empty: everybody's.
        """
        return self.runner.read(commands.FindJobs(self.name, start, end, period, accounts))

    def exists(self, path: str) -> bool:
        """Tell whether a file or folder is there on the head node."""
        return self.runner.read(commands.FindPath(self.name, path))

    def apply(self, change: model.Change, writer: Writer) -> tuple[int, str]:
        """Carry out one change.

        Args:
            change: what to do.
            writer: the lock, held; extended before each command.

        Returns:
            How many commands it took, and what SLURM said if it claims to have changed nothing.

        Raises:
            PermanentError: it names a TRES that the cluster doesn't have.
            CommandError: it failed otherwise.
        """
        writes = commands.for_change(change, self.name)
        said = []
        for command in writes:
            writer.extend()
            try:
                said.append(self.runner.write(command, (writer.descriptor,)))
            except CommandError as error:
                self._explain(change, error)
                raise
        return len(writes), " ".join(filter(None, said))

    def _explain(self, change: model.Change, error: CommandError) -> None:
        """Name the TRES that the cluster doesn't know: one of them makes it refuse all limits."""
        if not isinstance(change, model.AddAccount | model.SetLimits) or error.exit_code != 1:
            return
        known = self.tres()
        if unknown := sorted(set(change.limits) - known):
            raise PermanentError(
                f"cluster {self.name!r} has no TRES {', '.join(unknown)}; it has"
                f" {', '.join(sorted(known))}. Correct the components' types in the TRES"
                " configuration, or AccountingStorageTRES in slurm.conf"
            ) from error

    def unix_users(self, users: Iterable[str]) -> dict[str, str]:
        """Return the home directories of those users whom the head node knows: one command.

        Who answers to the name that is asked for is known, whatever spelling is printed: where the
        answers can't be told apart, each name is asked for by itself.
        """
        found: dict[str, str] = {}
        for part in _batches(users):
            answer = self._resolved(part)
            found |= answer.homes
            for user in sorted(answer.unclear):
                found |= self._resolved((user,)).homes
        return found

    def _resolved(self, users: tuple[str, ...]) -> commands.UnixUsers:
        return self.runner.read(commands.ResolveUsers(self.name, users, self.unix.getent))

    def make_home(self, user: str, home: str, writer: Writer) -> None:
        """Make a user's home directory, unless it exists.

        Raises:
            CommandError: the helper failed.
        """
        if self.exists(home):
            return
        writer.extend()
        unix = self.unix
        command = commands.MakeHome(self.name, user, unix.helper, unix.umask, unix.sudo)
        self.runner.write(command, (writer.descriptor,))

    def usage(self, period: Period, accounts: Iterable[str]) -> dict[str, PeriodUsage]:
        """Measure what the jobs of accounts held in a period, all TRES of all of them.

        Raises:
            ParseError: a row of one of their jobs is not understood.
        """
        reading = self.measure(period, {name: name for name in accounts})
        for account, reason in reading.unread.items():
            raise ParseError(f"the usage of account {account!r}: {reason}")
        return dict(reading.usage)

    def measure(
        self, period: Period, accounts: Mapping[str, str], billed: frozenset[str] = frozenset()
    ) -> Reading:
        """Measure what jobs held in a period: one command for all accounts.

        Two more if any was suspended and ran across the period's start or end.

        Args:
            period: the month.
            accounts: whose usage a job's is: an allocation's account, by the account that the job
                ran in.
            billed: the TRES that are counted; empty: all. What is not understood of another is
                told, and left out.
        """
        if not accounts:
            return Reading({}, {}, 0)
        command = commands.AccountUsage(self.name, period.start, period.end, accounts, billed)
        listing = self.runner.read(command)
        tally = listing.tally
        if listing.split:
            for part in self._parts(listing.split, period):
                tally.add(part)
        usage = tally.usage(period)
        for account, reason in sorted(tally.unread.items()):
            log.error("usage_not_understood", account=account, month=period.month, reason=reason)
        for account, jobs in sorted(tally.doubtful.items()):
            log.warning("job_times_doubtful", account=account, month=period.month, jobs=jobs)
        if tally.left_out:
            told = sorted(tally.left_out)[:SHOWN]
            log.warning("tres_not_understood", month=period.month, values=told)
        return Reading(usage, tally.unread, listing.rows)

    def _parts(self, runs: list[Run], period: Period) -> Iterator[Run]:
        """Return what of suspended runs lies within a period, though sacct gives one sum of it."""
        edges = (period.start, period.end)
        for run, before, until in zip(runs, *(self._ran_by(e, runs) for e in edges), strict=True):
            yield run.part(*edges, until - before)

    def _ran_by(self, moment: int, runs: list[Run]) -> list[int]:
        found: dict[ListedRun, int] = {}
        for jobs in _batches({run.job for run in runs}):
            found |= self.runner.read(commands.RanBy(self.name, moment, jobs))
        # One that is suspended since before the moment has run for no longer than it has by now.
        ran = (max(found.get(run.listed, 0) - run.before, 0) for run in runs)
        return [min(seconds, run.elapsed) for seconds, run in zip(ran, runs, strict=True)]

    def require(self, accounts: Iterable[str | None], state: Cluster) -> None:
        """Make sure that the accounts which the settings name are there: it is the right cluster.

        Raises:
            ConfigurationError: one isn't.
        """
        for account in accounts:
            if account and not state.get(account):
                raise ConfigurationError(
                    f"SLURM_DEFAULT_ACCOUNT, SLURM_USER_DEFAULT_ACCOUNT: cluster {self.name!r} has"
                    f" no account {account!r}; create it (sacctmgr add account {account}) or name"
                    " another"
                )


def _batches(names: Iterable[str]) -> Iterator[tuple[str, ...]]:
    """Sort names into lists that fit on a command line."""
    ordered = sorted(names)
    return (tuple(ordered[at : at + NAMES]) for at in range(0, len(ordered), NAMES))
