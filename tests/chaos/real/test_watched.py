"""What the eyes on a real cluster see: it would go unnoticed if they were closed."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.clusters import RealCluster, wait_until
from tests.support.watched import Moment, Watched

WHERE = ("cluster=lab", "parent=waldur", "description=x", "organization=x")
ADD = ("sacctmgr", "--immediate", "add", "account", "name=a1", *WHERE)
LIMIT = ("sacctmgr", "-i", "modify", "account", "where", "name=a1", "set", "GrpTRESMins=cpu=7")


@pytest.fixture
def watched(slurm_2605: RealCluster, tmp_path: Path) -> Iterator[Watched]:
    """An empty cluster whose writes are watched."""
    slurm_2605.reset()
    yield Watched(slurm_2605, tmp_path)
    slurm_2605.reset()


def run(watched: Watched, tool: str, *args: str) -> int:
    """Run a command as a process that nobody minds to lose; return its exit code."""
    script = "import subprocess, sys; sys.exit(subprocess.run(sys.argv[1:]).returncode)"
    argv = ["python3", "-c", script, str(watched.bin_dir / tool), *args]
    return subprocess.run(argv, check=False, capture_output=True).returncode


def test_repetition_is_seen(watched: Watched) -> None:
    """A write that changes nothing is one, and so is one that SLURM refuses the second time."""
    for command in (ADD, LIMIT):
        run(watched, *command)
    assert [write.effect for write in watched.writes()] == [True, True]
    assert watched.repeated() == []

    for command in (LIMIT, ADD):
        run(watched, *command)
    assert watched.repeated() == [" ".join(LIMIT), " ".join(ADD)]


@pytest.mark.parametrize(("moment", "writes"), [("before", []), ("after", [True])])
def test_death_at_a_write(watched: Watched, moment: Moment, writes: list[bool]) -> None:
    """Who started the write dies, and nobody else; the effect is there, or isn't."""
    watched.strike(2, moment)
    assert run(watched, *ADD) == 0
    assert run(watched, *LIMIT) == -signal.SIGKILL
    assert watched.struck()
    wait_until(lambda: len(watched.writes()) == 1 + len(writes), 10, lambda: "the write's end")
    assert [write.effect for write in watched.writes()[1:]] == writes


def test_frozen_write(watched: Watched) -> None:
    """It hangs until slurmdbd goes on, whatever becomes of who started it."""
    watched.strike(1, "frozen")
    with subprocess.Popen([str(watched.bin_dir / ADD[0]), *ADD[1:]]) as process:
        wait_until(watched.struck, 10, lambda: "the write to begin")
        assert (process.poll(), watched.writes()) == (None, [])
        watched.thaw()
        assert process.wait(30) == 0
    assert [write.effect for write in watched.writes()] == [True]
