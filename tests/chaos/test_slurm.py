"""SLURM's commands that fail in every way: no order is erred for it, and nothing is done twice."""

from __future__ import annotations

import re
import signal
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from subprocess import Popen
from typing import IO, cast

import pytest
import time_machine

from slurm_tasks.demo.slurm import Fault
from slurm_tasks.slurm.cluster import SlurmCluster
from slurm_tasks.slurm.runner import Runner
from tests.chaos.schedule import CYCLE, converge, cycle
from tests.chaos.stories import calls, everything
from tests.support.chaos import Chaos, by_turns
from tests.support.effects import thrown_out
from tests.support.world import World

TIMEOUT = 2
"""Seconds until a command that hangs is ended."""
BROKEN_FOR = 30
"""Cycles in which every fault strikes."""
_COMMAND = re.compile(r"(show|add|modify|remove) \w+")
NOTHING = {"exit_code": 1, "stdout": " Nothing modified\n"}

FAULTS: dict[str, Fault] = {
    "warns on stderr and exits with 0": Fault(stderr="sacctmgr: warning: it is late\n"),
    "says nothing and exits with 0": Fault(stdout=""),
    "prints garbage": Fault(stdout="\0\x1b[31m|x|=,\n|||||||||||\n" * 3),
    "prints half a line": Fault(truncate=90),
    "prints half a listing": Fault(truncate=1200),
    "exits with 1 without a word": Fault(exit_code=1),
    "says nothing modified, exit 1": Fault(**NOTHING),  # type: ignore[arg-type]
    "says nothing modified after the effect": Fault(**NOTHING, effect=True),  # type: ignore[arg-type]
    "slurmdbd is away": Fault.database_away(),
    "loses its connection after the effect": Fault.database_away(effect=True),
    "is denied": Fault(exit_code=1, stderr="sacctmgr: error: Access/permission denied\n"),
}
DEADLY: dict[str, Fault] = {
    "hangs": Fault(hang=True),
    "hangs after the effect": Fault(hang=True, effect=True),
    "dies by SIGKILL": Fault(signal=signal.SIGKILL),
    "dies by SIGSEGV after the effect": Fault(signal=signal.SIGSEGV, effect=True),
    "dies by SIGTERM in the middle of a listing": Fault(signal=signal.SIGTERM, truncate=500),
}


def commands(server: str) -> list[tuple[str, str]]:
    """Return the kinds of commands that everything needs: the program, and what it is to do."""
    split = (call.split() for call in calls(server) if call.startswith("/"))
    pairs = ((Path(words[0]).name, _COMMAND.search(" ".join(words))) for words in split)
    return list({(tool, found[0] if found else ""): None for tool, found in pairs})


def waiting(world: World) -> bool:
    """Tell whether a fault has yet to strike."""
    with world.slurm._connected() as connection:
        (left,) = connection.execute("SELECT coalesce(sum(left), 0) FROM fault").fetchone()
    return bool(left)


def suffer(
    world: World, chaos: Chaos, clock: time_machine.Traveller, name: str, fault: Fault
) -> None:
    """Let all of it go on while each kind of command fails once; then let it converge."""
    ends = everything(world)
    with chaos.run("SLURM", name) as run:
        world.slurm.set_faults(
            *(
                replace(fault, tool=tool, argv=argv, times=1)
                for tool, argv in commands(world.server)
            )
        )
        for _ in range(BROKEN_FOR):
            cycle(world)
            clock.shift(CYCLE)
            if not waiting(world):
                break
        world.slurm.set_faults()
        converge(world, clock, run, ends)
        assert thrown_out(world.slurm) == set()


@pytest.mark.parametrize("name", FAULTS)
def test_command_fails(
    name: str, world: World, chaos: Chaos, clock: time_machine.Traveller
) -> None:
    """Each kind of command fails once."""
    suffer(world, chaos, clock, name, FAULTS[name])


class ProcessRunner(Runner):
    """A runner of real processes, which may hang and die; their clock is the test's."""

    def _start(self, argv: list[str], errors: IO[str], inherit: Sequence[int]) -> Popen[str]:
        environment = {**self.environment, "SLURM_SIM_NOW": f"{time.time()}"}
        return Runner._start(replace(self, environment=environment), argv, errors, inherit)


@pytest.fixture
def mortal(world: World) -> World:
    """A world whose commands are processes; it doesn't wait long for them."""
    runner = cast("Runner", world.node.cluster.runner)
    started = ProcessRunner(runner.bin_dir, TIMEOUT, environment=runner.environment)
    cluster = SlurmCluster(started, world.slurm.cluster)
    return replace(world, node=replace(world.node, cluster=cluster))


@pytest.mark.parametrize(("world", "name"), by_turns(DEADLY), indirect=["world"])
def test_command_dies(
    name: str, mortal: World, chaos: Chaos, clock: time_machine.Traveller
) -> None:
    """Each kind of command hangs or dies once."""
    suffer(mortal, chaos, clock, name, DEADLY[name])
