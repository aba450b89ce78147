"""Commands that read: they ask for the header line, and check it."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import ClassVar

from slurm_tasks.errors import ParseError
from slurm_tasks.model import tres
from slurm_tasks.model.cluster import Account, Association, Associations, Cluster
from slurm_tasks.slurm.commands.base import SACCTMGR, Command, rows


@dataclass(frozen=True)
class ShowAccounts(Command[Cluster]):
    """Every account with its parent, users and limits, in one read, whatever their number.

    All of slurmdbd's clusters are listed: an account that another cluster has, or that has lost
    its associations, is a name that is taken, with a description that it keeps.
    """

    _FORMAT: ClassVar[str] = (
        "cluster,account,parentname,user,grpsubmitjobs,qos,grptresmins,description"
    )
    _HEADER: ClassVar[str] = "Cluster|Account|ParentName|User|GrpSubmit|QOS|GrpTRESMins|Descr"
    _COLUMNS: ClassVar[int] = 8
    _ROW: ClassVar[re.Pattern[str]] = re.compile(r"[a-z0-9_-]*\|(?:[^|]*\|){6}")

    def argv(self) -> list[str]:
        """Ask for the associations and the descriptions together."""
        return [*SACCTMGR, "show", "account", "withassoc", f"format={self._FORMAT}"]

    def parse(self, lines: Iterable[str]) -> Cluster:
        """Return the state of the cluster.

        Raises:
            ParseError: a row is not understood, or the cluster isn't in slurmdbd.
        """
        accounts: dict[str, Account] = {}
        members: dict[str, set[str]] = {}
        held: dict[str, set[str]] = {}
        elsewhere: dict[str, str] = {}
        shared: set[str] = set()
        for row in rows(self._whole(lines), self._HEADER, self._COLUMNS):
            cluster, name, parent, user, submit, qos, limits, description = row
            if cluster != self.cluster:
                elsewhere[name] = description
                shared |= {name} if cluster else set()
            elif user:
                members.setdefault(name, set()).add(user)
                if submit == "0":
                    held.setdefault(name, set()).add(user)
            else:
                read, unread = tres.parse_parts(limits)
                accounts[name] = Account(
                    name,
                    parent,
                    description,
                    read,
                    blocked=submit == "0",
                    qos=frozenset(filter(None, qos.split(","))),
                    unread_limits=unread,
                )
        if "root" not in accounts:
            raise ParseError(
                f"slurmdbd lists no cluster {self.cluster!r}; correct SLURM_CLUSTER_NAME"
            )
        for name, users in members.items():
            if name not in accounts:
                raise ParseError(
                    f"{name!r} has users ({', '.join(sorted(users))}) and is no account"
                )
            accounts[name] = replace(
                accounts[name], users=frozenset(users), held=frozenset(held.get(name, ()))
            )
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
class ShowQos(Command[frozenset[str]]):
    """The QoS that slurmdbd knows; they are those of all of its clusters."""

    _HEADER: ClassVar[str] = "Name"

    def argv(self) -> list[str]:
        """Ask for their names."""
        return [*SACCTMGR, "show", "qos", "format=name"]

    def parse(self, lines: Iterable[str]) -> frozenset[str]:
        """Return their names."""
        return frozenset(name for (name,) in rows(lines, self._HEADER, 1))


@dataclass(frozen=True)
class ShowAssociations(Command[Associations]):
    """The associations that slurmctld acts by; they should be slurmdbd's."""

    tool: ClassVar[str] = "scontrol"
    _ROW: ClassVar[re.Pattern[str]] = re.compile(
        r"ClusterName=\S+ Account=(\S+) UserName=(\S*?)(?:\(\d+\))? Partition=.*"
        r" GrpSubmitJobs=(\w+)\(.* GrpTRESMins=(\S*)"
    )
    _LIMIT: ClassVar[re.Pattern[str]] = re.compile(r"([^,]+)=(\d+)\(")

    def argv(self) -> list[str]:
        """Ask slurmctld, one line for each."""
        return ["--oneliner", "show", "assoc_mgr", "flags=assoc"]

    def parse(self, lines: Iterable[str]) -> Associations:
        """Return them, with accounts' limits as slurmdbd lists them.

        Raises:
            ParseError: root's isn't among them.
        """
        found: dict[tuple[str, str], Association] = {}
        for row in filter(None, map(self._ROW.match, lines)):
            account, user, submit, minutes = row.groups()
            limits = self._LIMIT.findall("" if user else minutes)
            found[account, user] = Association(
                {name: tres.listed(name, int(value)) for name, value in limits}, submit == "0"
            )
        if ("root", "") not in found:
            raise ParseError("`scontrol show assoc_mgr` lists no root account")
        return found


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
