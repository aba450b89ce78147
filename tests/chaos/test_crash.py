"""A process that is killed at any of its calls: the schedule completes what it began."""

from __future__ import annotations

from pathlib import Path

import pytest
import time_machine

from tests.chaos import process
from tests.chaos.schedule import converge
from tests.chaos.stories import STORIES, expected, told
from tests.support.chaos import Chaos
from tests.support.servers import EACH

STRIDE = 2 * len(EACH)
"""In the short form each kind (server and moment) has its own part of the calls."""


@pytest.mark.parametrize("moment", ["before a call", "after a call's effect"])
@pytest.mark.parametrize("server", EACH)
@pytest.mark.parametrize("name", STORIES)
def test_killed(
    name: str,
    server: str,
    moment: str,
    chaos: Chaos,
    clock: time_machine.Traveller,
    tmp_path: Path,
) -> None:
    """Whichever call a process is killed at, both sides agree in the end."""
    story = STORIES[name]
    with told(story, server, tmp_path / "dry") as world:
        calls = process.run(world, story.act)
    kind = 2 * EACH.index(server) + moment.startswith("after")
    first, stride = (1, 1) if chaos.long else (1 + kind, STRIDE)
    for number in range(first, len(calls) + 1, stride):
        with (
            told(story, server, tmp_path / str(number)) as world,
            chaos.run("crash", f"{name}, killed {moment}") as run,
        ):
            try:
                process.run(world, story.act, number, after=moment.startswith("after"))
                converge(world, clock, run, expected(world))
            except AssertionError as error:
                error.add_note(
                    f"it was killed at call {number} of {len(calls)}: {calls[number - 1]}"
                )
                raise
