"""Commands about Unix users on the head node: who resolves, whose home is there, making one."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import ClassVar

from slurm_tasks.errors import ParseError
from slurm_tasks.slurm.commands.base import Command, Write, absolute_path, account_name

_PASSWD_FIELDS = 7


@dataclass(frozen=True)
class ResolveUsers(Command[dict[str, str]]):
    """Ask the head node for Unix users; those that it doesn't know are left out.

    Attributes:
        users: folded usernames.
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

    def parse(self, lines: Iterable[str]) -> dict[str, str]:
        """Return home directories by username, as passwd has them."""
        homes = {}
        for line in lines:
            fields = line.split(":")
            if len(fields) != _PASSWD_FIELDS:
                raise ParseError(f"getent passwd printed {line[:200]!r}")
            homes[fields[0]] = fields[5]
        return homes


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
