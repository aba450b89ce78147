"""Commands that ask how slurmdbd keeps records, who may see them, and whether there are any."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal, cast

from slurm_tasks.errors import ParseError
from slurm_tasks.model.cluster import Account
from slurm_tasks.model.purge import Accounting, Purge
from slurm_tasks.slurm.commands.base import SACCTMGR, Command, account_name, below_header, rows
from slurm_tasks.slurm.commands.usage import EVERY_RUN, RUNNING, moment


@dataclass(frozen=True)
class ShowAccounting(Command[Accounting]):
    """How slurmdbd keeps job records, from its configuration."""

    _LINE: ClassVar[re.Pattern[str]] = re.compile(r"(\w+)\s*=\s*(.*?)\s*")
    _SECTION: ClassVar[str] = "SlurmDBD configuration:"
    _PURGE: ClassVar[re.Pattern[str]] = re.compile(r"(\d+) (hour|day|month)s?\*?")
    _RELEASE: ClassVar[re.Pattern[str]] = re.compile(r"(\d+)\.(\d+)")

    def argv(self) -> list[str]:
        """Ask for the configuration, slurmdbd's included."""
        return ["show", "configuration"]

    def parse(self, lines: Iterable[str]) -> Accounting:
        """Return what it says.

        Raises:
            ParseError: slurmdbd's configuration isn't there, or its value is not understood.
        """
        sections: tuple[dict[str, str], dict[str, str]] = ({}, {})
        which = 0
        for line in lines:
            if line.strip() == self._SECTION:
                which = 1
            elif found := self._LINE.fullmatch(line):
                sections[which][found[1]] = found[2]
        client, database = sections
        purge = {**client, **database}.get("PurgeJobAfter")
        if purge is None:
            raise ParseError("`sacctmgr show configuration` names no PurgeJobAfter")
        return Accounting(
            self._purge(purge),
            frozenset(database.get("PrivateData", "").lower().split(",")) - {"none", ""},
            self._release(database.get("SLURMDBD_VERSION", "")),
            self._release(client.get("SLURM_VERSION", "")),
        )

    def _purge(self, text: str) -> Purge | None:
        if text == "NONE":
            return None
        value = self._PURGE.fullmatch(text)
        if not value:
            raise ParseError(f"PurgeJobAfter = {text!r} in slurmdbd's configuration")
        unit = cast("Literal['hours', 'days', 'months']", f"{value[2]}s")
        return Purge(int(value[1]), unit)

    def _release(self, text: str) -> tuple[int, int]:
        found = self._RELEASE.match(text)
        return (int(found[1]), int(found[2])) if found else (0, 0)


@dataclass(frozen=True)
class FindJobs(Command[tuple[int, bool]]):
    """Whether there is any record of jobs in a window of time: nothing is added up.

    Attributes:
        start: its first second, since the epoch; from 1970 on.
        end: the first second after it.
        period: first second, and first second after it, of a time within that is doubted.
        accounts: whose jobs; empty: everybody's.
    """

    start: int
    end: int
    period: tuple[int, int]
    accounts: tuple[str, ...] = ()
    MAX_NAMES: ClassVar[int] = 2000
    tool: ClassVar[str] = "sacct"
    _HEADER: ClassVar[str] = "Start|End|ElapsedRaw"

    def argv(self) -> list[str]:
        """Ask for the window; 0 would mean today's midnight."""
        window = [f"--starttime={moment(max(self.start, 1))}", f"--endtime={moment(self.end)}"]
        listed = f"--accounts={','.join(map(account_name, self.accounts))}"
        whose = [listed] if 0 < len(self.accounts) <= self.MAX_NAMES else []
        columns = f"--format={self._HEADER.lower().replace('|', ',')}"
        return [*EVERY_RUN, self.cluster_option, *window, *whose, columns]

    def parse(self, lines: Iterable[str]) -> tuple[int, bool]:
        """Return how many runs are listed, and whether one of them ran in the doubted time."""
        count, inside = 0, False
        for start, end, elapsed in rows(lines, self._HEADER, 3):
            count += 1
            inside = inside or (elapsed != "0" and self._overlaps(start, end))
        return count, inside

    def _overlaps(self, start: str, end: str) -> bool:
        if not start.isdecimal() or int(start) >= self.period[1]:
            return False
        return end == RUNNING or (end.isdecimal() and int(end) > self.period[0])


@dataclass(frozen=True)
class ShowUsed(Command[Mapping[str, bool]]):
    """Of which accounts slurmctld counts any usage, since it began to count."""

    tool: ClassVar[str] = "scontrol"
    _ROW: ClassVar[re.Pattern[str]] = re.compile(
        r"ClusterName=\S+ Account=(\S+) UserName= .* UsageRaw/Norm/Efctv=([0-9.]+)/"
        r".* GrpTRESMins=(\S*)"
    )
    _SOME: ClassVar[re.Pattern[str]] = re.compile(r"\(\d*[1-9]\d*\)")

    def argv(self) -> list[str]:
        """Ask slurmctld, one line for each association."""
        return ["--oneliner", "show", "assoc_mgr", "flags=assoc"]

    def parse(self, lines: Iterable[str]) -> Mapping[str, bool]:
        """Return it by account; those below count with those above.

        Raises:
            ParseError: root isn't among them.
        """
        found = {
            row[1]: float(row[2]) > 0 or bool(self._SOME.search(row[3]))
            for row in filter(None, map(self._ROW.match, lines))
        }
        if "root" not in found:
            raise ParseError("`scontrol show assoc_mgr` lists no usage of the root account")
        return found


@dataclass(frozen=True)
class ShowStatistics(Command[None]):
    """slurmdbd's statistics, which only administrators get: a look that shows who we are."""

    def argv(self) -> list[str]:
        """Ask for them."""
        return ["show", "stats"]

    def parse(self, lines: Iterable[str]) -> None:
        """Read them to the end; they are of no interest."""
        for _ in lines:
            pass


@dataclass(frozen=True)
class WhoAmI(Command[str]):
    """The name of the Unix user that runs SLURM's commands."""

    tool: ClassVar[str] = "/usr/bin/id"

    def argv(self) -> list[str]:
        """Ask for the name."""
        return ["-un"]

    def parse(self, lines: Iterable[str]) -> str:
        """Return it."""
        return "".join(lines).strip()


@dataclass(frozen=True)
class ShowLevel(Command[str]):
    """A user's AdminLevel: None, Operator or Administrator.

    Attributes:
        user: whose.
    """

    user: str
    _HEADER: ClassVar[str] = "User|Admin"

    def argv(self) -> list[str]:
        """Ask for one user."""
        where = ["where", f"name={account_name(self.user, user=True)}"]
        return [*SACCTMGR, "show", "user", *where, "format=user,adminlevel"]

    def parse(self, lines: Iterable[str]) -> str:
        """Return it; empty for a user whom SLURM doesn't know."""
        return next((level for _, level in rows(lines, self._HEADER, 2)), "")


@dataclass(frozen=True)
class ShowLineage(Command[Mapping[str, Account]]):
    """The tree with the accounts that were removed and have jobs on record: name and parent.

    22.05 and 26.05 keep the account's own row of those; 24.11 only its users', with their lineage
    (measured). Of what was removed without a job on record, nothing is left but a name.

    Attributes:
        lineage: whether this release knows that column (24.11 and 26.05).
    """

    lineage: bool
    _COLUMNS: ClassVar[int] = 6

    def argv(self) -> list[str]:
        """Ask for accounts and users, the removed ones too; the description comes last."""
        path = "lineage" if self.lineage else "organization"
        columns = f"format=cluster,account,parentname,user,{path},description"
        return [*SACCTMGR, "show", "account", "withassoc", "withdeleted", columns]

    def parse(self, lines: Iterable[str]) -> Mapping[str, Account]:
        """Return accounts with their parents and descriptions, without limits and users."""
        own: dict[str, Account] = {}
        derived: dict[str, Account] = {}
        for name, parent, user, path, description in self._rows(lines):
            if not user:
                own[name] = Account(name, parent, description)
                continue
            above = path.strip("/").split("/")[:-1] if self.lineage else []
            for place, account in enumerate(above):
                known = description if account == name else ""
                if known or account not in derived:
                    derived[account] = Account(
                        account, above[place - 1] if place else "root", known
                    )
        return derived | own

    def _rows(self, lines: Iterable[str]) -> Iterator[tuple[str, str, str, str, str]]:
        path = "Lineage" if self.lineage else "Org"
        header = f"Cluster|Account|ParentName|User|{path}|Descr"
        for line in below_header(lines, header):
            fields = line.rstrip("\n").split("|", self._COLUMNS - 1)
            # A line end in somebody's description goes on in a line that is none of a row.
            if len(fields) == self._COLUMNS and fields[0] == self.cluster:
                yield fields[1], fields[2], fields[3], fields[4], fields[5]
