"""Faults that a test has asked for: the command fails, hangs, lies or dies instead."""

from __future__ import annotations

import json
import os
import re
import sqlite3
import time

from .state import Transaction

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

Spec = dict[str, "str | int | float | bool | None"]
_FOR_EVER = 86400.0


def take(connection: sqlite3.Connection, tool: str, argv: list[str]) -> Spec | None:
    """Return the first fault that is meant for this command, and count it."""
    query = "SELECT id, pattern, left, spec FROM fault WHERE tool = ? ORDER BY id"
    if not connection.execute(query, [tool]).fetchone():
        return None
    with Transaction(connection):
        for number, pattern, left, spec in connection.execute(query, [tool]).fetchall():
            if left != 0 and re.search(pattern, " ".join(argv)):
                count = "UPDATE fault SET left = left - 1 WHERE id = ?"
                connection.execute(count, [number])
                taken: Spec = json.loads(spec)
                return taken
    return None


def before(fault: Spec | None) -> None:
    """Wait, if that is the fault."""
    if fault:
        delay = fault["delay"]
        if isinstance(delay, int | float) and delay > 0:
            time.sleep(delay)


def has_effect(fault: Spec | None) -> bool:
    """Tell whether the command still does what it should."""
    if fault is None or fault["effect"]:
        return True
    ends = (fault["exit_code"], fault["signal"], fault["stdout"])
    return not fault["hang"] and all(end is None for end in ends)


def hang() -> NoReturn:
    """Never come back; whoever waits has a timeout."""
    while True:
        time.sleep(_FOR_EVER)


def after(fault: Spec | None, answer: tuple[int, str, str]) -> tuple[int, str, str]:
    """Return what the caller gets to see instead of the answer; hang or die, if that is it."""
    if fault is None:
        return answer
    if fault["hang"]:
        hang()
    if isinstance(fault["signal"], int):
        os.kill(os.getpid(), fault["signal"])
    code, out, err = answer
    if isinstance(fault["exit_code"], int):
        code, out = fault["exit_code"], ""
    if isinstance(fault["stdout"], str):
        out = fault["stdout"]
    if isinstance(fault["lines"], int):
        out = "".join(out.splitlines(keepends=True)[: fault["lines"]])
    if isinstance(fault["truncate"], int):
        out = out[: fault["truncate"]]
    return code, out, err + str(fault["stderr"] or "")
