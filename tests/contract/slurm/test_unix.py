"""What the head node's own programs answer about Unix users; on real clusters only."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.clusters import RealCluster

ALICE = "alice:x:2001:2001::/home/alice:/bin/bash"


def _found(slurm: RealCluster, *users: str) -> tuple[int, list[str]]:
    done = slurm.run("getent", "passwd", *users, check=False)
    return done.returncode, done.stdout.splitlines()


def _made(slurm: RealCluster, user: str, umask: str = "0077", by: str = "root") -> int:
    return slurm.run("mkhomedir_helper", user, umask, user=by, check=False).returncode


@pytest.fixture
def home(slurm: RealCluster) -> Iterator[Path]:
    """A home that is missing for the length of a test."""
    home, kept = slurm.root / "home/dave", slurm.root / "home/dave.kept"
    home.rename(kept)
    yield home
    shutil.rmtree(home, ignore_errors=True)
    kept.rename(home)


def test_users_who_are_known_are_printed_and_one_who_is_not_is_exit_2(slurm: RealCluster) -> None:
    """The lines of the others are there all the same."""
    code, [alice, bob] = _found(slurm, "alice", "nobody_here", "bob")

    assert (code, alice, bob.split(":")[0]) == (2, ALICE, "bob")
    assert _found(slurm, "alice") == (0, [ALICE])
    assert _found(slurm, "nobody_here") == (2, [])


def test_a_number_is_taken_for_a_users_id(slurm: RealCluster) -> None:
    """So only a line with that very name says that somebody is known."""
    assert _found(slurm, "2001") == (0, [ALICE])
    assert _found(slurm, "Alice") == (2, [])


def test_a_missing_home_is_made(slurm: RealCluster, home: Path) -> None:
    """For its owner alone, with what new homes have."""
    assert _made(slurm, "dave") == 0

    assert (home.stat().st_mode & 0o777, home.stat().st_uid) == (0o700, 2004)
    assert (home / ".profile").stat().st_uid == 2004


def test_what_is_there_is_left_alone(slurm: RealCluster, home: Path) -> None:
    """Whoever it belongs to, with exit code 0."""
    home.mkdir(mode=0o755)

    assert _made(slurm, "dave") == 0
    assert (home.stat().st_mode & 0o777, home.stat().st_uid) == (0o755, 0)
    assert list(home.iterdir()) == []


def test_a_home_that_can_not_be_made_is_told_by_the_exit_code_alone(
    slurm: RealCluster, home: Path
) -> None:
    """Not allowed, nobody of that name, no such umask."""
    assert _made(slurm, "dave", by="dave") == 6
    assert _made(slurm, "nobody_here") == 10
    assert _made(slurm, "dave", umask="none") == 14
    assert not home.exists()
