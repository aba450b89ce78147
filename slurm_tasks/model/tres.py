"""TRES: reading SLURM's `cpu=4,gres/gpu=1,mem=4G` and writing limits.

Memory and burst buffers are in MB everywhere (a bare number means MB to SLURM, too). Suffixes are
powers of 1024, as SLURM's own conversion prints them.
"""

import functools
import re
from collections.abc import Mapping
from decimal import Decimal

from slurm_tasks.errors import ParseError

_READABLE = re.compile(r"[a-z]+(?:/[^\s,]+)?")
"""What SLURM lists: it takes nearly anything for a name (`license/matlab@flex`, `license/e=f`,
`gres/gpu:1g.5gb+me`), folds it to lower case, and separates by commas."""
_TRES_NAME = re.compile(r"[a-z]+(?:/[^\s,=:/]+(?:[:/][^\s,=:/]+)*)?")
"""What can be named in a limit or be billed: SLURM splits `license/e=f=5` at the first `=`."""
_VALUE = re.compile(r"(\d+(?:\.\d+)?)([KMGTPE]?)")
_POWER = {"": 0, "K": 1, "M": 2, "G": 3, "T": 4, "P": 5, "E": 6}
_MEGABYTE = 2
_KILO = 1024

UNLIMITED = -1
"""`cpu=-1` takes a limit away; `cpu=0` is a real limit of zero."""


def is_tres(name: str) -> bool:
    """Tell whether a name is one of SLURM's, folded: a type, with a name after a slash for some.

    SLURM itself takes `license/matlab@flex` and `gres/gpu:1g.5gb+me`, among others.
    """
    return name == name.lower() and bool(_TRES_NAME.fullmatch(name))


def is_in_megabytes(name: str) -> bool:
    """Tell whether SLURM counts a TRES in MB: memory and burst buffers (measured: `bb/x=4G`)."""
    return name == "mem" or name.startswith("bb/")


def _count(name: str, text: str) -> int | None:
    if text.isdecimal():
        return int(text)
    found = _VALUE.fullmatch(text)
    if not found:
        return None
    power = _POWER[found[2]]
    if is_in_megabytes(name) and found[2]:
        power -= _MEGABYTE
    return int((Decimal(found[1]) * Decimal(1024) ** power).to_integral_value())


def parse(text: str) -> dict[str, int]:
    """Read a TRES string; an empty one holds nothing (a job that never started).

    Returns:
        Counts by TRES, memory in MB.

    Raises:
        ParseError: any part of it is not understood.
    """
    counts, unread = parse_parts(text)
    for part in unread.values():
        raise ParseError(f"the TRES string {text!r} is not understood at {part!r}")
    return counts


def parse_parts(text: str) -> tuple[dict[str, int], dict[str, str]]:
    """Read a TRES string part by part: one that is not understood leaves the others alone.

    Returns:
        Counts by TRES, memory in MB; and the parts that are not understood, by their TRES (by
        themselves where none is named).
    """
    counts: dict[str, int] = {}
    unread: dict[str, str] = {}
    for part in filter(None, text.strip().split(",")):
        name, count = _part(part)
        if count is None:
            unread[name or part] = part
        else:
            counts[name] = count
    return counts, unread


@functools.lru_cache(10_000)
def _part(text: str) -> tuple[str, int | None]:
    """Read `cpu=4`; a month's jobs hold the same over and over."""
    name, _, value = text.rpartition("=")  # SLURM itself lists `license/e=f=1`
    name = _folded(name)
    return name, _count(name, value.strip()) if _is_readable(name) else None


@functools.lru_cache(1000)
def _folded(name: str) -> str:
    return name.strip().lower()


@functools.lru_cache(1000)
def _is_readable(name: str) -> bool:
    return bool(_READABLE.fullmatch(name))


def listed(name: str, value: int) -> int:
    """Return what a listing shows of a limit: SLURM rounds some memory limits to two decimals.

    It divides by 1024 while the whole part is a multiple of 512, so that 2621952 MB becomes
    `2.50T` (measured, alike on 22.05, 24.11 and 26.05). A limit that was set so must not count
    as different for ever.
    """
    if not is_in_megabytes(name) or value < 0:
        return value
    number, power = Decimal(value), 0
    while number >= _KILO and int(number) % (_KILO // 2) == 0:
        number, power = number / _KILO, power + 1
    return int((round(number, 2) * _KILO**power).to_integral_value())


def render(limits: Mapping[str, int]) -> str:
    """Write limits for GrpTRESMins, sorted; only integers, -1 takes one away."""
    return ",".join(f"{name}={int(value)}" for name, value in sorted(limits.items()))
