"""TRES: reading SLURM's `cpu=4,gres/gpu=1,mem=4G` and writing limits.

Memory is in MB everywhere (a bare number means MB to SLURM, too). Suffixes are powers of 1024,
as SLURM's own conversion prints them.
"""

import re
from collections.abc import Mapping
from decimal import Decimal

from slurm_tasks.errors import ParseError

_TRES_NAME = re.compile(r"[a-z]+(?:/[a-z0-9_.-]+(?::[a-z0-9_.-]+)?)?")
_VALUE = re.compile(r"(\d+(?:\.\d+)?)([KMGTPE]?)")
_POWER = {"": 0, "K": 1, "M": 2, "G": 3, "T": 4, "P": 5, "E": 6}
_MEGABYTE = 2
_KILO = 1024

UNLIMITED = -1
"""`cpu=-1` takes a limit away; `cpu=0` is a real limit of zero."""


def is_tres(name: str) -> bool:
    """Tell whether a name is one of SLURM's: a type, with its name after a slash for gres."""
    return bool(_TRES_NAME.fullmatch(name))


def _count(name: str, text: str) -> int:
    found = _VALUE.fullmatch(text)
    if not found:
        raise ParseError(f"the TRES value {name}={text} is not a number")
    power = _POWER[found[2]]
    if name == "mem" and found[2]:
        power -= _MEGABYTE
    return int((Decimal(found[1]) * Decimal(1024) ** power).to_integral_value())


def parse(text: str) -> dict[str, int]:
    """Read a TRES string; an empty one holds nothing (a job that never started).

    Returns:
        Counts by TRES, memory in MB.

    Raises:
        ParseError: any part of it is not understood.
    """
    counts: dict[str, int] = {}
    for part in filter(None, text.strip().split(",")):
        name, equals, value = part.partition("=")
        name = name.strip().lower()
        if not equals or not is_tres(name):
            raise ParseError(f"the TRES string {text!r} is not understood at {part!r}")
        counts[name] = _count(name, value.strip())
    return counts


def listed(name: str, value: int) -> int:
    """Return what a listing shows of a limit: SLURM rounds some memory limits to two decimals.

    It divides by 1024 while the whole part is a multiple of 512, so that 2621952 MB becomes
    `2.50T` (measured, alike on 22.05, 24.11 and 26.05). A limit that was set so must not count
    as different for ever.
    """
    if name != "mem" or value < 0:
        return value
    number, power = Decimal(value), 0
    while number >= _KILO and int(number) % (_KILO // 2) == 0:
        number, power = number / _KILO, power + 1
    return int((round(number, 2) * _KILO**power).to_integral_value())


def render(limits: Mapping[str, int]) -> str:
    """Write limits for GrpTRESMins, sorted; only integers, -1 takes one away."""
    return ",".join(f"{name}={int(value)}" for name, value in sorted(limits.items()))
