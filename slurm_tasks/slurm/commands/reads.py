"""Commands that read: they ask for the header line, and check it."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import ClassVar

from slurm_tasks.errors import ParseError
from slurm_tasks.model import tres
from slurm_tasks.model.cluster import (
    Account,
    Association,
    Cluster,
    ControllerState,
    Key,
    UserAssociation,
)
from slurm_tasks.model.qos import Qos
from slurm_tasks.model.submission import JobLimit, Submission
from slurm_tasks.slurm.commands.base import SACCTMGR, Command, rows


@dataclass(frozen=True)
class ShowAccounts(Command[Cluster]):
    """Every account with its parent, users and limits, in one read, whatever their number.

    All of slurmdbd's clusters are listed: an account that another cluster has, or that has lost
    its associations, is a name that is taken, with a description that it keeps. `woplimits` lists
    what associations have of their own, not what they inherit; with it the listing takes half of
    the time, which pays for the coordinators (measured at 6,000 rows: 1.4 s after 1.7 s on 22.05,
    0.7 s after 1.2 s on 24.11).
    """

    _FORMAT: ClassVar[str] = (
        "cluster,account,parentname,user,partition,coordinators,grpsubmitjobs,maxsubmitjobs,"
        "grpjobsaccrue,maxjobsaccrue,qos,defaultqos,grptresmins,description"
    )
    _HEADER: ClassVar[str] = (
        "Cluster|Account|ParentName|User|Partition|Coord Accounts|GrpSubmit|MaxSubmit|"
        "GrpJobsAccrue|MaxJobsAccrue|QOS|Def QOS|GrpTRESMins|Descr"
    )
    _COLUMNS: ClassVar[int] = 14
    _ROW: ClassVar[re.Pattern[str]] = re.compile(r"[a-z0-9_-]*\|(?:[^|]*\|){12}")

    def argv(self) -> list[str]:
        """Ask for the associations, the coordinators and the descriptions together."""
        what = ("show", "account", "withassoc", "woplimits", "withcoord")
        return [*SACCTMGR, *what, f"format={self._FORMAT}"]

    def parse(self, lines: Iterable[str]) -> Cluster:
        """Return the state of the cluster.

        Raises:
            ParseError: a row is not understood, or the cluster isn't in slurmdbd.
        """
        accounts: dict[str, Account] = {}
        members: dict[str, dict[tuple[str, str], UserAssociation]] = {}
        elsewhere: dict[str, str] = {}
        shared: set[str] = set()
        for row in rows(self._whole(lines), self._HEADER, self._COLUMNS):
            cluster, name, parent, user, partition = row[:5]
            if cluster != self.cluster:
                elsewhere[name] = row[-1]
                shared |= {name} if cluster else set()
            elif user:
                own = UserAssociation(_submission(row), _listed(row[10]), row[11])
                members.setdefault(name, {})[user, partition] = own
            else:
                accounts[name] = _account(name, parent, row)
        if "root" not in accounts:
            raise ParseError(
                f"slurmdbd lists no cluster {self.cluster!r}; correct SLURM_CLUSTER_NAME"
            )
        for name, found in members.items():
            users = frozenset(user for user, _ in found)
            if name not in accounts:
                raise ParseError(
                    f"{name!r} has users ({', '.join(sorted(users))}) and is no account"
                )
            accounts[name] = replace(accounts[name], users=users, associations=_special(found))
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


def _account(name: str, parent: str, row: list[str]) -> Account:
    limits, unread = tres.parse_parts(row[12])
    return Account(
        name,
        parent,
        row[13],
        limits,
        submission=_submission(row),
        qos=_listed(row[10]),
        default_qos=row[11],
        coordinators=_listed(row[5]),
        unread_limits=unread,
    )


def _submission(row: list[str]) -> Submission:
    together, each, together_accrue, each_accrue = map(_jobs, row[6:10])
    return Submission(JobLimit(together, together_accrue), JobLimit(each, each_accrue))


def _jobs(text: str) -> int | None:
    if text and not _JOBS.fullmatch(text):
        raise ParseError(f"{text[:80]!r} is no limit on jobs")
    return int(text) if text else None


_JOBS = re.compile(r"[0-9]{1,10}")


def _listed(text: str) -> frozenset[str]:
    return frozenset(filter(None, text.split(",")))


def _special(
    found: Mapping[tuple[str, str], UserAssociation],
) -> dict[tuple[str, str], UserAssociation]:
    """Leave out plain associations without anything of their own, which are nearly all."""
    parted = {user for user, partition in found if partition}
    plain = UserAssociation()
    return {key: own for key, own in found.items() if own != plain or key[0] in parted}


@dataclass(frozen=True)
class ShowDefaults(Command[dict[str, str]]):
    """The default account of every user."""

    _HEADER: ClassVar[str] = "User|Def Acct"

    def argv(self) -> list[str]:
        """Ask for users, not for their associations."""
        where = ["where", self.cluster_term]
        return [*SACCTMGR, "show", "user", *where, "format=user,defaultaccount"]

    def parse(self, lines: Iterable[str]) -> dict[str, str]:
        """Return default accounts by user; users without one are left out."""
        return {user: account for user, account in rows(lines, self._HEADER, 2) if account}


@dataclass(frozen=True)
class ShowTres(Command[frozenset[str]]):
    """The TRES that the cluster knows."""

    _HEADER: ClassVar[str] = "Type|Name"

    def argv(self) -> list[str]:
        """Ask for types and names."""
        return [*SACCTMGR, "show", "tres", "format=type,name"]

    def parse(self, lines: Iterable[str]) -> frozenset[str]:
        """Return them as `type` or `type/name`."""
        return frozenset(
            f"{kind}/{name}" if name else kind for kind, name in rows(lines, self._HEADER, 2)
        )


@dataclass(frozen=True)
class ShowQos(Command[Mapping[str, Qos]]):
    """The QoS that slurmdbd knows; they are those of all of its clusters."""

    _HEADER: ClassVar[str] = "Name|GrpSubmit|MaxSubmitPU|MaxSubmitPA"

    def argv(self) -> list[str]:
        """Ask for their names, and for their limits on submitted jobs."""
        columns = "format=name,grpsubmitjobs,maxsubmitjobsperuser,maxsubmitjobsperaccount"
        return [*SACCTMGR, "show", "qos", columns]

    def parse(self, lines: Iterable[str]) -> Mapping[str, Qos]:
        """Return them by name."""
        return {
            name: Qos(_jobs(together), _jobs(user), _jobs(account))
            for name, together, user, account in rows(lines, self._HEADER, 4)
        }


@dataclass(frozen=True)
class ShowAssociations(Command[ControllerState]):
    """The associations that slurmctld acts by; they should be slurmdbd's."""

    tool: ClassVar[str] = "scontrol"
    _ROW: ClassVar[re.Pattern[str]] = re.compile(
        r"ClusterName=\S+ Account=(\S+) UserName=(\S*?)(?:\((\d+)\))? Partition=(\S*) .*"
        r" GrpSubmitJobs=(\w+)\(.* GrpTRESMins=(\S*)"
    )
    _LIMIT: ClassVar[re.Pattern[str]] = re.compile(r"([^,]+)=(\d+)\(")
    _NO_UID: ClassVar[str] = "4294967294"
    """What slurmctld shows for a user whom it could not resolve (NO_VAL)."""

    def argv(self) -> list[str]:
        """Ask slurmctld, one line for each."""
        return ["--oneliner", "show", "assoc_mgr", "flags=assoc"]

    def parse(self, lines: Iterable[str]) -> ControllerState:
        """Return them, with accounts' limits as slurmdbd lists them.

        Raises:
            ParseError: root's isn't among them.
        """
        found: dict[Key, Association] = {}
        without_uid: set[Key] = set()
        for row in filter(None, map(self._ROW.match, lines)):
            account, user, uid, partition, submit, minutes = row.groups()
            key = Key(account, user, partition)
            limits = "" if user else minutes
            listed = {
                name: tres.listed(name, int(value)) for name, value in self._LIMIT.findall(limits)
            }
            found[key] = Association(listed, submit == "0")
            without_uid |= {key} if uid == self._NO_UID else set()
        if Key("root") not in found:
            raise ParseError("`scontrol show assoc_mgr` lists no root account")
        return ControllerState(found, frozenset(without_uid))


@dataclass(frozen=True)
class ShowConfig(Command[dict[str, str]]):
    """The configuration that slurmctld runs with; the only command that needs no cluster's name."""

    cluster: str = ""
    tool: ClassVar[str] = "scontrol"

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
