"""Commands about Unix users on the head node: who resolves, whose home is there, making one."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import ClassVar

from slurm_tasks.errors import ParseError
from slurm_tasks.slurm.commands.base import Command, Write, absolute_path, account_name

_PASSWD_FIELDS = 7


@dataclass(frozen=True)
class UnixUsers:
    """What the head node says about some users.

    Attributes:
        homes: home directories of those that it knows, by the name that was asked for.
        unclear: names that it may know by another spelling; each has to be asked for by itself.
    """

    homes: Mapping[str, str]
    unclear: frozenset[str] = frozenset()


@dataclass(frozen=True)
class ResolveUsers(Command[UnixUsers]):
    """Ask the head node for Unix users; those that it doesn't know are left out.

    A directory may know a user by the name that is asked for, and print another spelling
    (`alice@example.org`, `Alice`). getent prints a line for each name that it finds, in the order
    in which they are asked for.

    Attributes:
        users: usernames.
        getent: the path of getent.
    """

    users: tuple[str, ...]
    getent: str = "/usr/bin/getent"
    accepted: ClassVar[frozenset[int]] = frozenset({0, 2})  # 2: one or more weren't found

    @property
    def program(self) -> str:
        """The configured one."""
        return self.getent

    def argv(self) -> list[str]:
        """Name every user: without a name all of them would be listed."""
        if not self.users:
            raise ValueError("without a user's name all would be listed")
        return ["passwd", *(account_name(user, user=True) for user in self.users)]

    def parse(self, lines: Iterable[str]) -> UnixUsers:
        """Attribute each line to the name that was asked for, where that is certain."""
        found = [self._fields(line) for line in lines]
        homes = {fields[0]: fields[5] for fields in found if fields[0] in self.users}
        if len(homes) == len(found):
            return UnixUsers(homes)
        if len(found) == len(self.users):  # each is known, and the order tells who is who
            answers = zip(self.users, found, strict=True)
            return UnixUsers({user: fields[5] for user, fields in answers})
        return UnixUsers(homes, frozenset(self.users) - homes.keys())

    def _fields(self, line: str) -> list[str]:
        fields = line.split(":")
        if len(fields) != _PASSWD_FIELDS:
            raise ParseError(f"getent passwd printed {line[:200]!r}")
        return fields


@dataclass(frozen=True)
class FindPath(Command[bool]):
    """Look whether a file or folder is there."""

    path: str
    tool: ClassVar[str] = "/usr/bin/stat"
    accepted: ClassVar[frozenset[int]] = frozenset({0, 1})  # 1: it isn't there

    def argv(self) -> list[str]:
        """Ask for its name."""
        return ["-c", "%n", absolute_path(self.path)]

    def parse(self, lines: Iterable[str]) -> bool:
        """Return whether it was named."""
        return any(line.strip() for line in lines)


@dataclass(frozen=True)
class MakeHome(Write):
    """Make a user's home directory.

    Attributes:
        user: whose.
        helper: the path of PAM's mkhomedir_helper, or of what a site has instead.
        umask: of what is made, octal.
        sudo: the path of sudo, where the worker's user needs it; else empty.
    """

    user: str
    helper: str
    umask: str
    sudo: str = ""
    hints: ClassVar[Mapping[int, str]] = {  # measured: the helper prints nothing
        6: "the worker's user may not create it; see HOMEDIR_SUDO_PATH",
        10: "the head node knows no such user",
        14: "the helper takes no such umask; see HOMEDIR_UMASK",
    }

    @property
    def program(self) -> str:
        """What is run: the helper, or sudo for it."""
        return self.sudo or self.helper

    def argv(self) -> list[str]:
        """Name the user; sudo never asks for a password."""
        arguments = [account_name(self.user, user=True), self.umask]
        return ["-n", self.helper, *arguments] if self.sudo else arguments
