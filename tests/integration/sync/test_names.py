"""Names that people give allocations and themselves: what reaches SLURM is harmless."""

from __future__ import annotations

import re

import pytest
from structlog.testing import capture_logs

from tests.support.world import World

TITLES = {
    "long": "x" * 1000,
    "quotes": """He said "it's 'fine'" `ls`""",
    "newlines": "two\nlines\r\nand\x85more\u2028still",
    "nul": "nul\x00byte",
    "pipes": "a|b|c",
    "leading dash": "--immediate",
    "assignment": "x=y,z=[1-3]",
    "shell": "$(reboot); rm -rf / & > /etc/passwd",
    "right to left": "\u202egnp.exe العربية",
    "emoji": "🧬🚀",
    "empty": "",
    "blank": "   ",
    "marker": "waldur:project:" + 32 * "0",
}


@pytest.mark.parametrize("title", TITLES.values(), ids=TITLES.keys())
def test_titles(world: World, title: str) -> None:
    """An allocation of any name gets an account that SLURM lists, and that is found again."""
    resource = world.allocated(title)
    assert re.fullmatch(r"hpc_[0-9a-f]{5}_[a-z0-9_-]+", world.backend_id(resource))
    assert len(world.backend_id(resource)) <= 34
    description = world.account(resource).description
    assert re.fullmatch(rf"waldur:allocation:{resource}( [ -~]+)?", description)
    world.forget()
    assert [outcome.changes for outcome in world.plan().outcomes] == [()]


def test_nasty_owners(world: World) -> None:
    """Customers and projects of any name get their accounts, too."""
    customer = world.waldur.add_customer("O'Neil | Söhne\n--yes=1")
    project = world.waldur.add_project(customer, '"; drop table assoc;\x00')
    resource = world.allocated(project=project)
    assert world.account(resource).parent == world.owner_account(project)


def test_equal_names(world: World) -> None:
    """Allocations of one name are two accounts."""
    first, second = world.allocated("Same"), world.allocated("Same")
    assert world.backend_id(first) != world.backend_id(second)


REFUSED = ("Bob Böhm!", "root", "-x", "a,b", "", " ", "x=y", "$(id)", "1000", "a|b", "u" * 65)


@pytest.mark.parametrize("username", REFUSED)
def test_usernames_refused(world: World, username: str) -> None:
    """A username that SLURM must not see is left out; the others go on."""
    world.join("mallory", username)
    resource = world.allocated()
    assert world.account(resource).users == {"alice", "bob"}
    assert not any("mallory" in word for argv in world.writes() for word in argv)


def test_refused_username_is_a_warning(world: World) -> None:
    """A username that is refused is told to the operator, with the resource."""
    world.join("mallory", "Bob Böhm!")
    with capture_logs() as logs:
        resource = world.allocated()
    (entry,) = [entry for entry in logs if entry["event"] == "username_refused"]
    assert (entry["log_level"], entry["resource"]) == ("warning", resource)


def test_upper_case(world: World) -> None:
    """A username in capitals is one in small letters on the cluster, and stays one."""
    world.join("carol", "Carol")
    resource = world.allocated()
    assert world.account(resource).users == {"alice", "bob", "carol"}
    world.forget()
    world.sync_members()
    assert world.writes() == []


def test_duplicates(world: World) -> None:
    """Two people with one username are one user."""
    world.join("alice2", "ALICE")
    resource = world.allocated()
    assert world.account(resource).users == {"alice", "bob"}


def test_no_usable_username(world: World) -> None:
    """An allocation without anybody who has a username is made, without users."""
    for name in ("alice", "bob"):
        world.leave(name)
    order = world.order()
    world.carry_out(order)
    assert world.order_state(order) == "done"
    assert world.account(world.resource_of(order)).users == set()
