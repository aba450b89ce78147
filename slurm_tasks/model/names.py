"""Names and markers of accounts: which names the service creates, accepts and recognises.

SLURM lower-cases account and user names, expands commas and brackets into several names, takes
`x=y` and `-x` for options, and from 42 characters on mixes accounts up; so everything is folded
and checked here, before any of it can reach an argument list.
"""

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from slurm_tasks.errors import PermanentError

ACCOUNT_MAX_LEN = 41
"""SLURM's index on account names holds 42 characters; longer ones are lost or overwrite others."""

UUID_LEN = 32
_HEAD, _TAIL = 5, 7  # of the resource's uuid: 48 bits, unique whatever the slug
FIXED_LEN = _HEAD + 1 + _TAIL
"""Characters of an allocation's name that are neither prefix nor slug."""

_ACCOUNT = re.compile(rf"[a-z0-9][a-z0-9_-]{{0,{ACCOUNT_MAX_LEN - 1}}}")
_USERNAME = re.compile(r"(?!\d+$)[A-Za-z0-9_][A-Za-z0-9_.@+-]{0,63}")
_UUID = re.compile(rf"[0-9a-f]{{{UUID_LEN}}}")
_PREFIX = re.compile(r"[a-z0-9][a-z0-9_-]*")
_MARKER = re.compile(rf"waldur:(customer|project|allocation):([0-9a-f]{{{UUID_LEN}}})(?![0-9a-f])")
_DESCRIPTION_MAX_LEN = 120


class Kind(StrEnum):
    """What one of our accounts stands for."""

    CUSTOMER = "customer"
    PROJECT = "project"
    ALLOCATION = "allocation"


@dataclass(frozen=True)
class Prefixes:
    """Prefixes of the account names of each kind; all three are equal by default."""

    customer: str
    project: str
    allocation: str
    max_len: int

    def problems(self) -> list[str]:
        """Say what is wrong with them, if anything."""
        found = []
        for kind in Kind:
            prefix = getattr(self, kind)
            if not _PREFIX.fullmatch(prefix):
                found.append(
                    f"SLURM_{kind.upper()}_PREFIX is {prefix!r}: use one or more of a-z, 0-9,"
                    " _ and -, and start with a letter or a digit"
                )
            longest = ACCOUNT_MAX_LEN - UUID_LEN
            if len(prefix) > longest and kind is not Kind.ALLOCATION:
                found.append(
                    f"SLURM_{kind.upper()}_PREFIX is {len(prefix)} characters long; with the"
                    f" uuid's {UUID_LEN} characters SLURM allows {longest}"
                )
        if not len(self.allocation) + FIXED_LEN <= self.max_len <= ACCOUNT_MAX_LEN:
            found.append(
                f"SLURM_ALLOCATION_NAME_MAX_LEN is {self.max_len}: with the prefix"
                f" {self.allocation!r} it must be at least {len(self.allocation) + FIXED_LEN},"
                f" and SLURM allows at most {ACCOUNT_MAX_LEN}"
            )
        return found


def slug(text: str) -> str:
    """Reduce a title to the characters that account names may have; may be empty."""
    folded = unicodedata.normalize("NFKD", text).casefold()
    return re.sub(r"[^a-z0-9_-]", "", folded)


def allocation_name(prefixes: Prefixes, uuid: str, title: str) -> str:
    """Name a new allocation's account: recognisable by its title, unique by its uuid.

    Args:
        prefixes: the configured prefixes and the longest name allowed.
        uuid: the marketplace resource's uuid, 32 hex digits.
        title: the allocation's name in Waldur, anything.
    """
    room = prefixes.max_len - len(prefixes.allocation) - FIXED_LEN - 1
    part = slug(title)[: max(room, 0)].rstrip("-_")
    middle = f"{part}-" if part else ""
    return f"{prefixes.allocation}{uuid[:_HEAD]}_{middle}{uuid[_HEAD : _HEAD + _TAIL]}"


def owner_name(prefixes: Prefixes, kind: Kind, uuid: str) -> str:
    """Name the account of a customer or a project: its prefix and its whole uuid."""
    return f"{getattr(prefixes, kind)}{uuid}"


def is_account(name: str) -> bool:
    """Tell whether a name is one that the service passes to SLURM."""
    return bool(_ACCOUNT.fullmatch(name))


def is_username(name: str) -> bool:
    """Tell whether a username may reach SLURM: no list, no option, no number, not root."""
    return bool(_USERNAME.fullmatch(name)) and fold_username(name) != "root"


def fold_username(name: str) -> str:
    """Fold a username for comparing: slurmdbd and directories tell no capitals apart.

    slurmdbd stores names in lower case, or with `PreserveCaseUser` as they were first added; it
    finds them by any spelling. So names are compared folded and passed on as they are spelled.
    """
    return name.strip().lower()


def fold_usernames(users: Iterable[str]) -> dict[str, str]:
    """Return usernames as they are spelled, by the folded name; of two spellings the first."""
    return {fold_username(user): user for user in sorted(users, reverse=True)}


def other_usernames(users: Iterable[str], than: Iterable[str]) -> frozenset[str]:
    """Return those usernames that aren't among others, however the others are spelled."""
    folded = {fold_username(user) for user in than}
    return frozenset(user for user in users if fold_username(user) not in folded)


def is_uuid(text: str) -> bool:
    """Tell whether a text is a uuid as Waldur prints it: 32 lower-case hex digits."""
    return bool(_UUID.fullmatch(text))


def fold_uuid(text: str) -> str:
    """Bring a uuid, with or without dashes, to Waldur's form.

    Raises:
        ValueError: it is not a uuid.
    """
    folded = text.strip().replace("-", "").lower()
    if not is_uuid(folded):
        raise ValueError(f"{text!r} is not a uuid (32 hex digits, dashes allowed)")
    return folded


def fold_backend_id(backend_id: str) -> str:
    """Fold a backend id as SLURM folds account names.

    Raises:
        PermanentError: it can't be an account's name.
    """
    folded = backend_id.strip().lower()
    if not is_account(folded) or folded == "root":
        raise PermanentError(
            f"the backend id {backend_id!r} can't be the name of a SLURM account: allowed are"
            f" a-z, 0-9, _ and -, at most {ACCOUNT_MAX_LEN}; correct it in Waldur"
        )
    return folded


def describe(kind: Kind, uuid: str, title: str) -> str:
    """Write an account's description: the marker that makes it ours, and a title for people.

    SLURM lower-cases it, breaks listings at line ends and pipes, turns quotes into backticks
    and stores what is not latin-1 as `?`; only plain characters are left of the title.
    """
    plain = unicodedata.normalize("NFKD", title).encode("ascii", "ignore").decode()
    text = " ".join(re.sub(r"[^A-Za-z0-9 ._()+-]", " ", plain).split())
    return f"waldur:{kind}:{uuid} {text}".strip()[:_DESCRIPTION_MAX_LEN].strip()


def marker(description: str) -> tuple[Kind, str] | None:
    """Read the marker at the start of a description: its kind and uuid; None without one."""
    found = _MARKER.match(description)
    return (Kind(found[1]), found[2]) if found else None
