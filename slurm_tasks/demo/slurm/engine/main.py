"""The entry of every simulated executable: one command, recorded, answered, ended."""

from __future__ import annotations

import json
import os
import sqlite3
import sys
import time

from . import accounts, control, coordinators, faults, jobs, show, state, usage, users
from .replies import HangError, RefusedError, Reply, UnsupportedError
from .words import options

_OBJECTS = {"account": accounts, "user": users, "coordinator": coordinators}
_TOOLS = {
    "sacct": usage.sacct,
    "scancel": jobs.scancel,
    "squeue": jobs.squeue,
    "scontrol": control.scontrol,
    "sbatch": jobs.sbatch,
}


def _sacctmgr(cluster: state.Cluster, argv: list[str]) -> Reply:
    known = {"--parsable2": "parsable2", "--immediate": "immediate", "--noheader": "noheader"}
    given, words = options(argv, known)
    if len(words) < 2:
        raise UnsupportedError("no command")
    (verb, what), rest = words[:2], words[2:]
    if words == ["show", "configuration"]:
        return control.configuration(cluster)
    if words == ["show", "stats"]:
        return control.statistics(cluster)
    if verb == "show" and what in {"account", "user", "tres", "qos", "cluster"}:
        if "parsable2" not in given:
            raise UnsupportedError("a listing without --parsable2")
        return show.show(cluster, what, rest, header="noheader" not in given)
    if verb not in {"add", "modify", "remove"} or not hasattr(_OBJECTS.get(what), verb):
        raise UnsupportedError(f"{verb} {what}")
    if "immediate" not in given:
        raise UnsupportedError("without --immediate it prompts for ever")
    coordinators.require_right(cluster, verb, what, rest)
    reply: Reply = getattr(_OBJECTS[what], verb)(cluster, rest)
    if verb != "modify" or any(word.lower().startswith("parent=") for word in rest):
        cluster.resolve_users()
    return reply


def _answer(connection: sqlite3.Connection, tool: str, argv: list[str], user: str) -> Reply:
    cluster = state.Cluster(connection, user)
    if argv in (["--version"], ["-V"]):
        return control.version(cluster)
    try:
        with state.Transaction(connection):
            cluster.settle()
            return _sacctmgr(cluster, argv) if tool == "sacctmgr" else _TOOLS[tool](cluster, argv)
    except RefusedError as refusal:
        return refusal.reply
    except HangError:
        return faults.hang()
    except UnsupportedError as reason:
        line = f"slurm simulator: unsupported: {reason}; argv: {json.dumps([tool, *argv])}"
        return Reply(err=[line], code=2)


def main(tool: str, database: str, argv: list[str]) -> int:
    """Run one command, and return its exit code."""
    started, clock = time.time(), time.monotonic()
    user = os.environ.get("SLURM_SIM_USER", "root")
    connection = state.connect(database)
    row = connection.execute(
        "INSERT INTO command VALUES (NULL, ?, ?, NULL, ?, 0, ?)",
        (tool, json.dumps(argv), started, user),
    ).lastrowid
    fault = faults.take(connection, tool, argv)
    faults.before(fault)
    reply = Reply()
    if faults.has_effect(fault):
        reply = _answer(connection, tool, argv, user)
    code, out, err = faults.after(fault, (reply.code, *reply.texts()))
    connection.execute(
        "UPDATE command SET code = ?, duration = ? WHERE id = ?",
        (code, time.monotonic() - clock, row),
    )
    connection.close()
    sys.stderr.write(err)
    sys.stdout.write(out)
    sys.stdout.flush()
    return code
