"""Arguments taken apart; whatever is not known is refused loudly."""

from __future__ import annotations

import re

from .replies import RefusedError, UnsupportedError

_NAME = re.compile(r"[a-z0-9_.@-]+")


def options(argv: list[str], known: dict[str, str]) -> tuple[dict[str, str], list[str]]:
    """Take the leading options off.

    Args:
        argv: the arguments.
        known: canonical names by spelling; a spelling that takes a value ends in `=`
            (`--account=`: `--account=a` or `--account a`; `-A=`: `-A a`).

    Returns:
        Values by canonical name, and the other words.
    """
    values: dict[str, str] = {}
    rest = list(argv)
    while rest and rest[0].startswith("-"):
        word = rest.pop(0)
        head, equals, value = word.partition("=")
        if not equals and word in known:
            values[known[word]] = ""
        elif head.startswith("--") and equals and f"{head}=" in known:
            values[known[f"{head}="]] = value
        elif f"{word}=" in known and rest:
            values[known[f"{word}="]] = rest.pop(0)
        else:
            raise UnsupportedError(f"option {word}")
    return values, rest


def assignments(words: list[str], known: set[str]) -> dict[str, str]:
    """Take `Key=value` words apart; keys are folded to lower case."""
    values: dict[str, str] = {}
    for word in words:
        key, equals, value = word.partition("=")
        if not equals or key.lower() not in known or key.lower() in values:
            raise UnsupportedError(f"word {word!r}")
        values[key.lower()] = value
    return values


def names(text: str, *, fold: bool = True) -> list[str]:
    """Take a list of names apart, folded to lower case as SLURM stores them.

    Raises:
        UnsupportedError: a name with characters that the service never lets through.
    """
    found = (text.lower() if fold else text).split(",")
    for name in found:
        if not _NAME.fullmatch(name.lower()):
            raise UnsupportedError(f"name {name!r}")
    return list(dict.fromkeys(found))


def columns(text: str, known: dict[str, str]) -> list[str]:
    """Take the columns of a listing apart."""
    found = text.lower().split(",")
    for name in found:
        if name not in known:
            raise UnsupportedError(f"column {name!r}")
    return found


def stored(text: str) -> str:
    """Return a description or an organisation as SLURM stores it."""
    return text.replace('"', "`").replace("'", "`").lower()


def local(cluster: str, values: dict[str, str], *, create: bool = False) -> bool:
    """Tell whether a command is about this cluster: it names it, or none.

    Raises:
        RefusedError: something is to be created in another one, which doesn't exist.
    """
    asked = values.get("cluster", cluster).lower()
    if create and asked != cluster:
        raise RefusedError(
            f" This cluster '{asked}' doesn't exist.",
            "        Contact your admin to add it to accounting.",
        )
    return asked == cluster
