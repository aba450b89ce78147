"""What every command has in common, and what may reach an argument list at all."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar, Generic, TypeVar

from slurm_tasks.errors import ParseError
from slurm_tasks.model import names

T_co = TypeVar("T_co", covariant=True)

_VALUE = re.compile(r"[^\x00-\x1f\x7f\"',=|\\]+")
SACCTMGR = ("--parsable2", "--immediate")


def account_name(text: str, *, user: bool = False) -> str:
    """Return a name that may reach SLURM; anything else is a ValueError."""
    valid = names.is_username(text) if user else names.is_account(text) and text != "root"
    if not valid:
        kind = "a user" if user else "an account"
        raise ValueError(f"{text!r} must not reach SLURM as {kind}'s name")
    return text


def user_names(users: tuple[str, ...]) -> str:
    """Return a list of names that may reach SLURM, never an empty one."""
    if not users:
        raise ValueError("a command without users would act on all of them")
    return ",".join(account_name(user, user=True) for user in users)


def plain(text: str) -> str:
    """Return a value that may reach SLURM: nothing that it would take for something else."""
    if not _VALUE.fullmatch(text):
        raise ValueError(f"{text!r} must not reach SLURM as a value")
    return text


def absolute_path(text: str) -> str:
    """Return a path that may reach an argument list."""
    if not text.startswith("/") or not text.isprintable():
        raise ValueError(f"{text!r} is not an absolute path")
    return text


def cluster_name(text: str) -> str:
    """Return a cluster's name."""
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
    accepted: ClassVar[frozenset[int]] = frozenset({0})
    """Exit codes that mean success."""
    hints: ClassVar[Mapping[int, str]] = {}
    """What other exit codes mean, and what to do about it."""

    @property
    def program(self) -> str:
        """What is run: a name in the folder of SLURM's programs, or an absolute path."""
        return self.tool

    @property
    def cluster_term(self) -> str:
        """The cluster as sacctmgr is told it."""
        return f"cluster={cluster_name(self.cluster)}"

    @property
    def cluster_option(self) -> str:
        """The cluster as the other programs are told it."""
        return f"--clusters={cluster_name(self.cluster)}"

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

    def parse(self, lines: Iterable[str]) -> None:
        """Read its output to the end; what counts is the state afterwards."""
        for _ in lines:
            pass


def below_header(lines: Iterable[str], header: str) -> Iterator[str]:
    """Check the header, and return the rows below it as they are."""
    stream = iter(lines)
    first = next(stream, "").rstrip("\n")
    if first.lower() != header.lower():
        raise ParseError(f"expected a listing that starts with {header!r}, got {first[:200]!r}")
    return stream


def rows(lines: Iterable[str], header: str, count: int) -> Iterator[list[str]]:
    """Split rows after checking the header; the last column may hold pipes."""
    for line in below_header(lines, header):
        fields = line.rstrip("\n").split("|", count - 1)
        if len(fields) != count:
            raise ParseError(f"expected {count} columns ({header}), got {line[:300]!r}")
        yield fields
