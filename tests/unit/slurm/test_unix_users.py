"""Who is known to the head node, whatever spelling its directory prints."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

import pytest

from slurm_tasks.slurm.cluster import SlurmCluster, Unix
from slurm_tasks.slurm.runner import Runner

GETENT = Path(__file__).parents[2] / "inputs" / "getent-other-spelling.sh"
"""Knows user1, user2 and user3, and prints user1@example.org, User2 and user3."""

ALL = {"user1": "/home/user1", "user2": "/home/User2", "user3": "/home/user3"}


def homes(*users: str) -> dict[str, str]:
    """Ask that directory."""
    runner = Runner(PurePosixPath("/usr/bin"), timeout=10)
    return SlurmCluster(runner, "lab", Unix(getent=str(GETENT))).unix_users(users)


@pytest.mark.parametrize(
    ("asked", "known"),
    [
        (("user1",), {"user1": "/home/user1"}),
        (("user1", "user2", "user3"), ALL),
        (("user1", "nobody1", "user3"), {"user1": "/home/user1", "user3": "/home/user3"}),
        (("nobody1", "nobody2", "user2"), {"user2": "/home/User2"}),
        (("nobody1",), {}),
    ],
)
def test_who_answers_to_a_name_is_known_by_it(
    asked: tuple[str, ...], known: dict[str, str]
) -> None:
    """Though somebody else isn't known, and whoever is asked for along with them."""
    assert homes(*asked) == known
