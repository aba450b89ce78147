"""SLURM commands: each a frozen value that builds its arguments and understands its output.

Nothing here runs anything. A command with an empty name can't be built: `modify account set …`
without a name changes every account of the cluster, root included. Reads ask for the header
line and check it, so that an empty listing and a failed one are never the same.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import ClassVar, Generic, TypeVar

from slurm_tasks.errors import ParseError
from slurm_tasks.model import changes, names, tres
from slurm_tasks.model.cluster import Account, Cluster
from slurm_tasks.model.usage import JobRow, tally

T_co = TypeVar("T_co", covariant=True)

_VALUE = re.compile(r"[^\x00-\x1f\x7f\"',=|\\]+")
_SECONDS = re.compile(r"[0-9]{1,12}")
_SACCTMGR = ("--parsable2", "--immediate")
UNLIMITED_SUBMISSION = "-1"


def _name(text: str, *, user: bool = False) -> str:
    valid = names.is_username(text) if user else names.is_account(text) and text != "root"
    if not valid:
        raise ValueError(f"{text!r} must not reach SLURM as a {'user' if user else 'account'} name")
    return text


def _users(users: tuple[str, ...]) -> str:
    if not users:
        raise ValueError("a command without users would act on all of them")
    return ",".join(_name(user, user=True) for user in users)


def _value(text: str) -> str:
    if not _VALUE.fullmatch(text):
        raise ValueError(f"{text!r} must not reach SLURM as a value")
    return text


def _cluster(text: str) -> str:
    if not names.is_account(text):
        raise ValueError(f"{text!r} is not a cluster's name")
    return text


@dataclass(frozen=True)
class Command(Generic[T_co]):
    """One call of one of SLURM's programs.

    Attributes:
        cluster: the cluster that it is about; always named, as several may share a slurmdbd.
    """

    cluster: str
    tool: ClassVar[str] = "sacctmgr"
    writes: ClassVar[bool] = False
    uses_controller: ClassVar[bool] = False

    def argv(self) -> list[str]:
        """Return the program's arguments, without the program.

        Raises:
            ValueError: a name or a value in it must not reach SLURM.
        """
        raise NotImplementedError

    def parse(self, lines: Iterable[str]) -> T_co:
        """Understand its output, line by line as it comes.

        Raises:
            ParseError: it isn't what SLURM prints.
        """
        raise NotImplementedError


@dataclass(frozen=True)
class Write(Command[None]):
    """A command that changes the cluster; its output is not trusted, the read-back is."""

    writes: ClassVar[bool] = True

    def parse(self, lines: Iterable[str]) -> None:
        """Read its output to the end; what counts is the state afterwards."""
        for _ in lines:
            pass


def _rows(lines: Iterable[str], header: str, count: int) -> Iterator[list[str]]:
    """Split rows after checking the header; the last column may hold pipes."""
    stream = iter(lines)
    first = next(stream, "").rstrip("\n")
    if first.lower() != header.lower():
        raise ParseError(f"expected a listing that starts with {header!r}, got {first[:200]!r}")
    for line in stream:
        fields = line.rstrip("\n").split("|", count - 1)
        if len(fields) != count:
            raise ParseError(f"expected {count} columns ({header}), got {line[:300]!r}")
        yield fields


@dataclass(frozen=True)
class ShowAccounts(Command[Cluster]):
    """Every account with its parent, users and limits, in one read, whatever their number.

    All of slurmdbd's clusters are listed: an account that another cluster has, or that has lost
    its associations, is a name that is taken, with a description that it keeps.
    """

    _FORMAT: ClassVar[str] = "cluster,account,parentname,user,grpsubmitjobs,grptresmins,description"
    _HEADER: ClassVar[str] = "Cluster|Account|ParentName|User|GrpSubmit|GrpTRESMins|Descr"
    _COLUMNS: ClassVar[int] = 7
    _ROW: ClassVar[re.Pattern[str]] = re.compile(r"[a-z0-9_-]*\|(?:[^|]*\|){5}")

    def argv(self) -> list[str]:
        """Ask for the associations and the descriptions together."""
        _cluster(self.cluster)
        return [*_SACCTMGR, "show", "account", "withassoc", f"format={self._FORMAT}"]

    def parse(self, lines: Iterable[str]) -> Cluster:
        """Return the state of the cluster.

        Raises:
            ParseError: a row is not understood, or the cluster isn't in slurmdbd.
        """
        accounts: dict[str, Account] = {}
        members: dict[str, set[str]] = {}
        elsewhere: dict[str, str] = {}
        shared: set[str] = set()
        for row in _rows(self._whole(lines), self._HEADER, self._COLUMNS):
            cluster, name, parent, user, submit, limits, description = row
            if cluster != self.cluster:
                elsewhere[name] = description
                shared |= {name} if cluster else set()
            elif user:
                members.setdefault(name, set()).add(user)
            else:
                accounts[name] = Account(
                    name, parent, description, _limits(name, limits), blocked=submit == "0"
                )
        if "root" not in accounts:
            raise ParseError(
                f"slurmdbd lists no cluster {self.cluster!r}; correct SLURM_CLUSTER_NAME"
            )
        for name, users in members.items():
            if name not in accounts:
                raise ParseError(f"{name!r} has users ({', '.join(users)}) and is no account")
            accounts[name] = replace(accounts[name], users=frozenset(users))
        bare = {name: text for name, text in elsewhere.items() if name not in accounts}
        return Cluster(self.cluster, accounts, bare, frozenset(shared))

    def _whole(self, lines: Iterable[str]) -> Iterator[str]:
        """Join rows that a line end in somebody's description has split; ours have none."""
        held: str | None = None
        for number, line in enumerate(lines):
            text = line.rstrip("\n")
            if number == 0:
                yield text
            elif held is None or self._ROW.match(text):
                if held is not None:
                    yield held
                held = text
            else:
                held = f"{held} {text}"
        if held is not None:
            yield held


def _limits(account: str, text: str) -> dict[str, int]:
    try:
        return tres.parse(text)
    except ParseError as error:
        raise ParseError(f"account {account!r}: {error}") from error


@dataclass(frozen=True)
class ShowDefaults(Command[dict[str, str]]):
    """The default account of every user."""

    _HEADER: ClassVar[str] = "User|Def Acct"

    def argv(self) -> list[str]:
        """Ask for users, not for their associations."""
        where = ["where", f"cluster={_cluster(self.cluster)}"]
        return [*_SACCTMGR, "show", "user", *where, "format=user,defaultaccount"]

    def parse(self, lines: Iterable[str]) -> dict[str, str]:
        """Return default accounts by user; users without one are left out."""
        return {user: account for user, account in _rows(lines, self._HEADER, 2) if account}


@dataclass(frozen=True)
class ShowTres(Command[frozenset[str]]):
    """The TRES that the cluster knows."""

    _HEADER: ClassVar[str] = "Type|Name"

    def argv(self) -> list[str]:
        """Ask for types and names."""
        return [*_SACCTMGR, "show", "tres", "format=type,name"]

    def parse(self, lines: Iterable[str]) -> frozenset[str]:
        """Return them as `type` or `type/name`."""
        return frozenset(
            f"{kind}/{name}" if name else kind for kind, name in _rows(lines, self._HEADER, 2)
        )


@dataclass(frozen=True)
class ShowConfig(Command[dict[str, str]]):
    """The configuration that slurmctld runs with; the only command that needs no cluster's name."""

    cluster: str = ""
    tool: ClassVar[str] = "scontrol"
    uses_controller: ClassVar[bool] = True

    def argv(self) -> list[str]:
        """Ask slurmctld."""
        return ["show", "config"]

    def parse(self, lines: Iterable[str]) -> dict[str, str]:
        """Return settings by their name.

        Raises:
            ParseError: there is no ClusterName among them.
        """
        pairs = (line.partition("=") for line in lines)
        found = {key.strip(): value.strip() for key, equals, value in pairs if equals}
        if "ClusterName" not in found:
            raise ParseError("`scontrol show config` names no cluster; set SLURM_CLUSTER_NAME")
        return found


@dataclass(frozen=True)
class AccountUsage(Command[dict[str, dict[str, dict[str, int]]]]):
    """What the jobs of a period held, by account, user and TRES: every run of every job.

    AllocTRES is what was held (ReqTRES what was asked); `--duplicates` brings the earlier runs
    of requeued jobs, `--truncate` clips to the window and leaves suspended time out; `--state`
    is never passed, it would change the window's meaning.

    Attributes:
        start: first second, seconds since the epoch.
        end: the first second after the period.
        accounts: whose jobs.
    """

    start: int
    end: int
    accounts: tuple[str, ...]
    tool: ClassVar[str] = "sacct"
    MAX_NAMES: ClassVar[int] = 2000
    """Above this many names the argument list is too long (E2BIG): ask for all, and pick."""
    _HEADER: ClassVar[str] = "Account|User|ElapsedRaw|AllocTRES"
    _FLAGS: ClassVar[tuple[str, ...]] = (
        "--allocations",
        "--allusers",
        "--duplicates",
        "--truncate",
        "--noconvert",
        "--parsable2",
    )

    def argv(self) -> list[str]:
        """Ask for the period; times are UTC, as the runner's environment says."""
        if not 0 <= self.start < self.end:
            raise ValueError(f"the period from {self.start} to {self.end} is empty")
        if not self.accounts:
            raise ValueError("without an account's name the usage would be that of all")
        window = [f"--starttime={_utc(self.start)}", f"--endtime={_utc(self.end)}"]
        listed = f"--accounts={','.join(map(_name, self.accounts))}"
        whose = [listed] if len(self.accounts) <= self.MAX_NAMES else []
        columns = "--format=account,user,elapsedraw,alloctres"
        return [*self._FLAGS, f"--clusters={_cluster(self.cluster)}", *window, *whose, columns]

    def parse(self, lines: Iterable[str]) -> dict[str, dict[str, dict[str, int]]]:
        """Return TRES-seconds (MB-seconds for memory); memory does not grow with the jobs."""
        return tally(self._jobs(lines), self.accounts)

    def _jobs(self, lines: Iterable[str]) -> Iterator[JobRow]:
        wanted = frozenset(self.accounts)
        for account, user, elapsed, held in _rows(lines, self._HEADER, 4):
            if account not in wanted:
                continue  # above MAX_NAMES all accounts' jobs are listed
            if not _SECONDS.fullmatch(elapsed):
                raise ParseError(f"the elapsed time {elapsed!r} of a job in {account!r}")
            yield JobRow(account, user, int(elapsed), tres.parse(held))


def _utc(epoch: int) -> str:
    return f"{datetime.fromtimestamp(epoch, UTC):%Y-%m-%dT%H:%M:%S}"


@dataclass(frozen=True)
class AddAccount(Write):
    """Create an account, its parent and its limits in one command."""

    change: changes.AddAccount

    def argv(self) -> list[str]:
        """Name the parent, always: without one it hangs under root."""
        new = self.change
        limits = [f"GrpTRESMins={tres.render(new.limits)}"] if new.limits else []
        parent = new.parent if new.parent == "root" else _name(new.parent)
        return [
            *(*_SACCTMGR, "add", "account", f"name={_name(new.name)}"),
            *(f"cluster={_cluster(self.cluster)}", f"parent={parent}"),
            *(f"description={_value(new.description)}", f"organization={_value(new.organization)}"),
            *limits,
        ]


@dataclass(frozen=True)
class ModifyAccount(Write):
    """Set one thing of one account."""

    account: str
    setting: str

    def argv(self) -> list[str]:
        """Name the account before anything is set."""
        where = ["where", f"name={_name(self.account)}", f"cluster={_cluster(self.cluster)}"]
        return [*_SACCTMGR, "modify", "account", *where, "set", self.setting]


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
            default = [f"DefaultAccount={_name(new.default)}"]
        return [
            *(*_SACCTMGR, "add", "user", f"name={_users(new.users)}"),
            *(f"cluster={_cluster(self.cluster)}", f"account={','.join(map(_name, accounts))}"),
            *default,
        ]


@dataclass(frozen=True)
class SetDefault(Write):
    """Set users' default account."""

    change: changes.SetDefault

    def argv(self) -> list[str]:
        """Name the users before anything is set."""
        where = ["where", f"name={_users(self.change.users)}", f"cluster={_cluster(self.cluster)}"]
        setting = f"DefaultAccount={_name(self.change.account)}"
        return [*_SACCTMGR, "modify", "user", *where, "set", setting]


@dataclass(frozen=True)
class RemoveUsers(Write):
    """Take away associations of users with one account."""

    change: changes.RemoveUsers

    def argv(self) -> list[str]:
        """Name users, account and cluster: what isn't named would be removed as well."""
        gone = self.change
        where = [f"name={_users(gone.users)}", f"account={_name(gone.account)}"]
        return [
            *(*_SACCTMGR, "remove", "user", "where", *where),
            f"cluster={_cluster(self.cluster)}",
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
        where = [f"name={_name(self.change.name)}"]
        where += [f"cluster={_cluster(self.cluster)}"] if self.change.shared else []
        return [*_SACCTMGR, "remove", "account", "where", *where]


@dataclass(frozen=True)
class CancelJobs(Write):
    """Cancel the jobs of an account, or those of one user in it."""

    account: str
    user: str = ""
    tool: ClassVar[str] = "scancel"
    uses_controller: ClassVar[bool] = True

    def argv(self) -> list[str]:
        """Name the account."""
        whose = [f"--user={_name(self.user, user=True)}"] if self.user else []
        return [f"--clusters={_cluster(self.cluster)}", f"--account={_name(self.account)}", *whose]


@dataclass(frozen=True)
class MakeHome(Write):
    """Make a user's home directory; the helper leaves one that exists as it is."""

    user: str
    tool: ClassVar[str] = "/usr/sbin/mkhomedir_helper"

    def argv(self) -> list[str]:
        """Name the user."""
        return [_name(self.user, user=True)]


def for_change(change: changes.Change, cluster: str) -> list[Write]:
    """Return the commands of a change: one, but for the jobs of several users."""
    command: Write
    match change:
        case changes.AddAccount():
            command = AddAccount(cluster, change)
        case changes.SetParent():
            command = ModifyAccount(cluster, change.account, f"parent={_name(change.parent)}")
        case changes.SetLimits():
            limits = tres.render(change.limits)
            command = ModifyAccount(cluster, change.account, f"GrpTRESMins={limits}")
        case changes.SetBlocked():
            jobs = "0" if change.blocked else UNLIMITED_SUBMISSION
            command = ModifyAccount(cluster, change.account, f"GrpSubmitJobs={jobs}")
        case changes.AddUsers():
            command = AddUsers(cluster, change)
        case changes.SetDefault():
            command = SetDefault(cluster, change)
        case changes.RemoveUsers():
            command = RemoveUsers(cluster, change)
        case changes.RemoveAccount():
            command = RemoveAccount(cluster, change)
        case changes.CancelJobs():
            return [CancelJobs(cluster, change.account, user) for user in change.users or ("",)]
    return [command]
