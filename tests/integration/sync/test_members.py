"""Members: who is in the project is in the account, and nobody that we put there stays longer."""

from __future__ import annotations

from pathlib import Path

import pytest
from structlog.testing import capture_logs

from slurm_tasks.model.messages import Status
from tests.support.world import TRES_MINUTES, World


def test_joiner(world: World) -> None:
    """Who joins the project joins the account, and an older server's associations."""
    resource = world.allocated()
    world.join("carol")
    world.sync_members()
    assert world.account(resource).users == {"alice", "bob", "carol"}
    if world.waldur.generation == "a":
        assert world.waldur.associations(resource) == {"alice", "bob", "carol"}


def test_leaver(world: World) -> None:
    """Who leaves the project leaves the account, and an older server's associations."""
    resource = world.allocated()
    world.leave("bob")
    world.sync_members()
    assert world.account(resource).users == {"alice"}
    if world.waldur.generation == "a":
        assert world.waldur.associations(resource) == {"alice"}


def test_leavers_jobs(world: World) -> None:
    """The jobs of who leaves are cancelled in that account, and only theirs."""
    resource = world.allocated()
    account = f"--account={world.backend_id(resource)}"
    for user in ("alice", "bob"):
        world.slurmctl("sbatch", account, user=user)
    world.leave("bob")
    world.sync_members()
    assert len(world.slurm.active_jobs()) == 1
    assert world.account(resource).users == {"alice"}


def test_only_their_project(world: World) -> None:
    """Members of one project don't get into the account of another."""
    other = world.waldur.add_project(world.customer, "Climate")
    world.join("carol", project=other)
    genomics, climate = world.allocated(), world.allocated("Climate", project=other)
    world.sync_members()
    assert world.account(genomics).users == {"alice", "bob"}
    assert world.account(climate).users == {"carol"}


def test_foreign_user(world: World) -> None:
    """A user whom somebody else put into the account stays: only offering users are removed."""
    resource = world.allocated()
    account = world.backend_id(resource)
    world.slurmctl(
        "sacctmgr", "--immediate", "add", "user", "name=svc", f"account={account}", "cluster=lab"
    )
    world.leave("bob")
    world.sync_members()
    assert world.account(resource).users == {"alice", "svc"}


def test_late_username(world: World) -> None:
    """A member whose username comes later is added then."""
    resource = world.allocated()
    carol = world.join("carol", "")
    world.sync_members()
    assert world.account(resource).users == {"alice", "bob"}
    world.waldur.set_username(carol, "carol01")
    world.sync_members()
    assert world.account(resource).users == {"alice", "bob", "carol01"}


def test_accounts_that_are_not_in_order(new: World) -> None:
    """On newer servers only people whose account is OK belong on the cluster."""
    resource = new.allocated()
    carol = new.join("carol")
    for state in ("Requested", "Creating", "Pending account linking", "Error creating"):
        new.waldur.set_offering_user_state(carol, state)
        new.sync_members()
        assert new.account(resource).users == {"alice", "bob"}
    new.waldur.set_offering_user_state(carol, "OK")
    new.sync_members()
    assert "carol" in new.account(resource).users


def test_account_about_to_be_deleted(new: World) -> None:
    """Who asks for deletion on a newer server leaves the account."""
    resource = new.allocated()
    new.waldur.set_offering_user_state(new.waldur.user("bob"), "Requested deletion")
    new.sync_members()
    assert new.account(resource).users == {"alice"}


def test_default_moved(tmp_path: Path) -> None:
    """A leaver's default account is moved before the association goes: newer SLURM insists."""
    with World.started("b", tmp_path, release="24.11") as world:
        resource = world.allocated()
        account = world.backend_id(resource)
        where = ("--immediate", "modify", "user", "where", "name=bob", "cluster=lab")
        world.slurmctl("sacctmgr", *where, "set", f"DefaultAccount={account}")
        world.leave("bob")
        world.sync_members()
        assert world.account(resource).users == {"alice"}
        assert world.slurm.default_accounts()["bob"] == "waldur"


def test_mass_departure(world: World) -> None:
    """When too many leave at once nobody does, until an operator has looked."""
    people = [f"user{number}" for number in range(10)]
    for name in people:
        world.join(name)
    resource = world.allocated()
    for name in people[:6]:
        world.leave(name)
    world.forget()
    (outcome,) = world.sync_members().outcomes
    assert (outcome.status, world.writes()) == (Status.STOPPED, [])
    assert "--allow-removals 6" in outcome.message
    assert len(world.account(resource).users) == 12


def test_missing_account(world: World) -> None:
    """An account that the cluster has lost is reported, not made again by the way."""
    other, resource = world.allocated("Other"), world.allocated()
    name = world.backend_id(resource)
    for what, key in (("user", "account"), ("account", "name")):
        world.slurmctl("sacctmgr", "--immediate", "remove", what, "where", f"{key}={name}")
    report = world.sync_members()
    found = {outcome.resource: outcome.status for outcome in report.outcomes}
    assert found == {other: Status.APPLIED, resource: Status.MISSING}
    assert world.writes() == []


def test_wrong_cluster(world: World) -> None:
    """On a cluster that has nothing of what Waldur names, nothing is changed."""
    world.allocated()
    world.slurm.reset()
    (outcome,) = world.sync_members().outcomes
    assert (outcome.status, world.writes()) == (Status.STOPPED, [])


def test_unreadable_team(world: World) -> None:
    """A team that can't be read leaves out that resource only."""
    first, second = world.allocated("First"), world.allocated("Second")
    world.join("carol")
    world.waldur.faults.add(kind="status", status=500, path=f"{first}/team/")
    with capture_logs() as logs:
        world.sync_members()
    assert world.account(first).users == {"alice", "bob"}
    assert world.account(second).users == {"alice", "bob", "carol"}
    left_out = [entry["resource"] for entry in logs if entry["event"] == "resource_left_out"]
    assert left_out == [first]


def test_bad_backend_id(world: World) -> None:
    """A backend id that can't be an account's name leaves out that resource only."""
    first, second = world.allocated("First"), world.allocated("Second")
    world.waldur.set_resource(first, backend_id="x; reboot")
    world.join("carol")
    report = world.sync_members()
    assert [outcome.resource for outcome in report.outcomes] == [second]
    assert "carol" in world.account(second).users


def test_open_order(world: World) -> None:
    """While an order of a resource is open, its users are left to that."""
    if world.waldur.generation == "a":
        pytest.xfail("order_in_progress is not in GEN-A's lists: issue 13, A3")
    resource = world.allocated()
    world.join("carol")
    world.waldur.order_terminate(resource)
    assert world.sync_members().outcomes == ()


def test_failing_user(world: World) -> None:
    """An account whose users SLURM doesn't take waits; those of the others are added."""
    from slurm_tasks.demo.slurm import Fault

    first, second = world.allocated("First"), world.allocated("Second")
    world.join("carol")
    pattern = f"add user .*{world.backend_id(first)}"
    world.slurm.set_faults(Fault.database_away(pattern, times=None))
    world.sync_members()
    assert "carol" not in world.account(first).users
    assert "carol" in world.account(second).users


def test_moved_project(world: World) -> None:
    """A project that moved to another customer is hung under that one by the member sync."""
    world.allocated()
    other = world.waldur.add_customer("Southern University")
    world.waldur.move_project(world.project, other)
    world.sync_members()
    assert world.slurm.accounts()[world.owner_account()].parent == world.owner_account(other)


def drifted(world: World) -> str:
    """Make an allocation, and let an administrator change its limit."""
    resource = world.allocated()
    where = ("--immediate", "modify", "account", "where", f"name={world.backend_id(resource)}")
    world.slurmctl("sacctmgr", *where, "cluster=lab", "set", "GrpTRESMins=cpu=60")
    return resource


def test_limits_are_the_clusters(world: World) -> None:
    """With SLURM_LIMIT_OWNER=slurm the member sync leaves limits alone."""
    resource = drifted(world)
    world.sync_members()
    assert world.account(resource).limits["cpu"] == 60


def test_limits_are_waldurs(world: World) -> None:
    """With SLURM_LIMIT_OWNER=waldur the member sync brings them back."""
    resource = drifted(world)
    world.configure(limit_owner="waldur")
    world.sync_members()
    assert world.account(resource).limits == TRES_MINUTES


def test_users_of_many(world: World) -> None:
    """A cycle over ten allocations costs two reads: a listing, and what comes after it."""
    for number in range(10):
        world.allocated(f"A{number}")
    world.forget()
    world.sync_members()
    assert (len(world.reads()), len(world.writes())) == (2, 0)
    world.join("carol")
    world.forget()
    world.sync_members()
    assert (len(world.reads()), len(world.writes())) == (2, 10)


def roster(world: World, resource: str) -> list[tuple[str, str]]:
    """Return the sections of the report that the customer reads."""
    found = world.waldur.resource(resource)["report"] or []
    return [(part["header"], part["body"]) for part in found]


def test_renamed(world: World) -> None:
    """Who gets another username is moved: the new one joins, the former one leaves."""
    resource = world.allocated()
    world.sync_members()
    world.waldur.set_username(world.waldur.user("bob"), "robert")
    world.sync_members()
    assert world.account(resource).users == {"alice", "robert"}
    if world.waldur.generation == "a":
        assert world.waldur.associations(resource) == {"alice", "robert"}
    world.forget()
    world.sync_members()
    assert world.unchanged()


def test_roster(world: World) -> None:
    """The customer reads who is on the cluster; other sections of the report stay."""
    resource = world.allocated()
    world.waldur.set_resource(resource, report=[{"header": "Storage", "body": "1 TB"}])
    world.sync_members()
    world.join("carol")
    world.leave("bob")
    world.sync_members()
    assert roster(world, resource) == [
        ("Storage", "1 TB"),
        ("Users on the cluster", "alice, carol"),
    ]
    for name in ("alice", "carol"):
        world.leave(name)
    world.sync_members()
    assert roster(world, resource)[1:] == [("Users on the cluster", "-")]


def test_added_by_hand(world: World) -> None:
    """Somebody whom an administrator has added is on no roster, and stays."""
    resource = world.allocated()
    where = ("name=svc", f"account={world.backend_id(resource)}", "cluster=lab")
    world.slurmctl("sacctmgr", "--immediate", "add", "user", *where)
    for _ in range(2):
        world.sync_members()
    assert "svc" in world.account(resource).users
    assert roster(world, resource) == [("Users on the cluster", "alice, bob")]


def test_report_refused(world: World) -> None:
    """A server that takes no report costs a warning; the users are synchronised."""
    resource = world.allocated()
    world.join("carol")
    world.waldur.faults.add(kind="status", status=403, method="POST", path="submit_report/")
    with capture_logs() as logs:
        world.sync_members()
    assert "carol" in world.account(resource).users
    assert [entry["event"] for entry in logs].count("roster_refused") == 1


def test_restricted(world: World) -> None:
    """Members whose access is restricted leave, however many, and come back afterwards."""
    people = [f"user{number}" for number in range(8)]
    for name in people:
        world.join(name)
    resource = world.allocated()
    world.waldur.set_resource(resource, restrict_member_access=True)
    world.sync_members()
    assert world.account(resource).users == set()
    world.waldur.set_resource(resource, restrict_member_access=False)
    world.sync_members()
    assert world.account(resource).users == {"alice", "bob", *people}


def test_restricted_from_the_start(world: World) -> None:
    """A new allocation that nobody may use has no users."""
    order = world.order()
    world.waldur.set_resource(world.resource_of(order), restrict_member_access=True)
    world.carry_out(order)
    assert world.account(world.resource_of(order)).users == set()


def test_paused(world: World) -> None:
    """The account of a resource that is paused takes no new jobs until it goes on."""
    resource = world.allocated()
    world.waldur.set_resource(resource, paused=True)
    world.sync_members()
    assert world.account(resource).submit_jobs == 0
    world.waldur.set_resource(resource, paused=False)
    world.sync_members()
    assert world.account(resource).submit_jobs is None


def test_blocked_by_hand(world: World) -> None:
    """Whether an account takes jobs is Waldur's to say: one that isn't paused is opened."""
    resource = world.allocated()
    where = ("--immediate", "modify", "account", "where", f"name={world.backend_id(resource)}")
    world.slurmctl("sacctmgr", *where, "cluster=lab", "set", "GrpSubmitJobs=0")
    world.sync_members()
    assert world.account(resource).submit_jobs is None


def test_report_not_written(world: World) -> None:
    """Nobody is added whose name could not be noted before; the next cycle does both."""
    resource = world.allocated()
    world.join("carol")
    world.waldur.faults.add(kind="status", status=500, method="POST", path="submit_report/")
    world.sync_members()
    assert world.account(resource).users == {"alice", "bob"}
    world.sync_members()
    assert world.account(resource).users == {"alice", "bob", "carol"}
