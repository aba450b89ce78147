"""Effects: which commands of a simulated cluster changed something, and which were run in vain.

Triggers in the simulator's own database note it, so that it holds for commands of killed
processes, too.
"""

from __future__ import annotations

import json
from contextlib import closing

from slurm_tasks.demo.slurm import SlurmSimulator
from slurm_tasks.demo.slurm.engine import state

_TABLES = ("account", "assoc", "person")
_NOTE = "BEGIN INSERT INTO {table} SELECT max(id) FROM command WHERE {which}; END"
_WRITES = " OR ".join(f"argv LIKE '%\"{verb}\"%'" for verb in ("add", "modify", "remove"))
"""Reads run beside a write; another write doesn't."""


def watch(slurm: SlurmSimulator) -> None:
    """Note from now on which command has an effect, and which one a fault has struck."""
    with slurm._connected() as connection:
        connection.executescript("CREATE TABLE effect (command); CREATE TABLE struck (command);")
        effect = _NOTE.format(table="effect", which=_WRITES)
        struck = _NOTE.format(table="struck", which="true")
        for table in _TABLES:
            columns = [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]
            differs = " OR ".join(f"OLD.{name} IS NOT NEW.{name}" for name in columns)
            for event, when in (("INSERT", ""), ("DELETE", ""), ("UPDATE", f"WHEN {differs}")):
                name = f"{table}_{event.lower()}"
                connection.execute(
                    f"CREATE TRIGGER {name} AFTER {event} ON {table} {when} {effect}"
                )
        connection.execute(f"CREATE TRIGGER struck AFTER UPDATE ON fault {struck}")


def repeated(slurm: SlurmSimulator) -> list[tuple[str, ...]]:
    """Return the writes that SLURM took and that changed nothing: their effect was there already.

    `scancel` is its own look at the queue, and no such command. A write that a fault has kept
    from its effect, or that SLURM refused before it ever had one, is none either.
    """
    query = """
        SELECT argv, code, id IN (SELECT command FROM effect), id IN (SELECT command FROM struck)
        FROM command WHERE tool = 'sacctmgr' ORDER BY id"""
    done: set[tuple[str, ...]] = set()
    found = []
    with closing(state.connect(str(slurm._path))) as connection:
        for text, code, effect, struck in connection.execute(query):
            argv = tuple(json.loads(text))
            if effect:
                done.add(argv)
            elif {"add", "modify", "remove"} & {*argv} and not struck:
                found += [argv] if code == 0 or argv in done else []
    return found


def thrown_out(slurm: SlurmSimulator) -> set[str]:
    """Return users who were removed from an account and had to be added to it again."""
    gone: set[tuple[str, str]] = set()
    back: set[str] = set()
    for command in slurm.commands():
        words = dict(word.split("=", 1) for word in command.argv if "=" in word)
        users, accounts = words.get("name", "").split(","), words.get("account", "").split(",")
        pairs = {(user, account) for user in users for account in accounts if account}
        if "remove" in command.argv and "user" in command.argv:
            gone |= pairs
        elif "add" in command.argv and "user" in command.argv:
            back |= {user for user, _ in gone & pairs}
    return back
