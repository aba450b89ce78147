"""Counts by TRES, read and printed the way SLURM does it."""

from __future__ import annotations

import re

from .replies import RefusedError

_UNITS = "KMGTP"


def parse(option: str, text: str, known: set[str], complaints: list[str]) -> dict[str, int]:
    """Read `cpu=1,mem=2G`; -1 stands for no limit.

    A number with something else behind it is taken up to there, with a complaint on stderr and
    exit 0: that is what SLURM does.

    Raises:
        RefusedError: a TRES that the cluster doesn't know; then none is set.
    """
    unknown = [f" Unknown option: {option}={text}", " Use keyword 'where' to modify condition"]
    if not text:
        raise RefusedError(*unknown)
    counts: dict[str, int] = {}
    for item in text.split(","):
        name, equals, value = item.lower().partition("=")
        if not equals or name not in known:
            what = f"TRES known by type {name}" if equals else f"TRES id found for {item}"
            raise RefusedError(f"sacctmgr: error: slurmdb_format_tres_str: no {what}", *unknown)
        counts[name] = _count(value, complaints, memory=_in_megabytes(name))
    return counts


def _count(value: str, complaints: list[str], *, memory: bool) -> int:
    match = re.match(r"(-?\d*)(.?)", value)
    digits, unit = match.groups() if match else ("", "")
    count = int(digits) if digits.strip("-") else 0
    if not unit:
        return count
    if unit.upper() not in _UNITS:
        complaints.append(
            f"sacctmgr: error: Invalid unit type '{unit}'. Possible options are '{_UNITS}'"
        )
        return count
    power = _UNITS.index(unit.upper()) + (0 if memory else 1)
    return int(count * 1024**power)


def _in_megabytes(name: str) -> bool:
    return name == "mem" or name.startswith("bb/")


def limits(counts: dict[str, int]) -> str:
    """Print limits; memory and burst buffers, counted in MB, in a larger unit."""
    return ",".join(
        f"{name}={_memory(count) if _in_megabytes(name) else count}"
        for name, count in sorted(counts.items())
    )


def _memory(megabytes: int) -> str:
    """Print memory as SLURM does, which takes halves for exact: 1536 MB are 1.50G."""
    if not megabytes:
        return "0"
    amount, units = float(megabytes), "MGTP"
    while len(units) > 1 and amount >= 1024 and int(amount) % 512 == 0:
        amount, units = amount / 1024, units[1:]
    return f"{amount:.0f}{units[0]}" if amount.is_integer() else f"{amount:.2f}{units[0]}"


def held(counts: dict[str, int]) -> str:
    """Print what a job holds, as with --noconvert."""
    return ",".join(
        f"{name}={count}{'M' if name == 'mem' else ''}" for name, count in sorted(counts.items())
    )
