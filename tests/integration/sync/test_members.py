"""Members: who is in the project is in the account, and nobody that we put there stays longer."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from slurm_tasks.model.messages import Status
from slurm_tasks.sync import members
from slurm_tasks.sync.roster import PRESENT, WAITING
from slurm_tasks.waldur.views import TeamMember
from tests.support.world import TRES_MINUTES, World


def cluster_limit(world: World, resource: str, limit: str) -> tuple[str, ...]:
    """Return the command by which somebody changes a limit on the cluster."""
    where = ("--immediate", "modify", "account", "where", f"name={world.backend_id(resource)}")
    return ("sacctmgr", *where, "cluster=lab", "set", f"GrpTRESMins={limit}")


def sections(world: World, resource: str) -> dict[str, str]:
    """Return the report that the customer reads."""
    report = world.control.waldur.resource(resource).report
    return {section.header: section.body for section in report}


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


def test_username_with_capitals(world: World) -> None:
    """One user for SLURM however it is spelled: joins once, stays, leaves, is mirrored once."""
    resource = world.allocated()
    world.join("carol", "Carol")
    for _ in range(2):
        world.sync_members()
        assert world.account(resource).users == {"alice", "bob", "carol"}
        if world.waldur.generation == "a":
            assert len(world.waldur.associations(resource)) == 3
    world.leave("carol")
    world.sync_members()
    assert world.account(resource).users == {"alice", "bob"}


def test_username_with_capitals_preserved(world: World) -> None:
    """Where slurmdbd keeps capitals, SLURM has the name as Waldur has it."""
    world.slurm.preserve_case(on=True)
    resource = world.allocated()
    world.join("carol", "Carol")
    world.sync_members()
    assert world.account(resource).users == {"alice", "bob", "Carol"}
    world.leave("carol")
    world.sync_members()
    assert world.account(resource).users == {"alice", "bob"}


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


def test_an_order_that_ends_it(world: World) -> None:
    """The users of a resource whose Terminate order is ours are left to that."""
    resource = world.allocated()
    world.join("carol")
    world.waldur.order_terminate(resource)
    assert world.sync_members().outcomes == ()


def test_an_order_that_is_ours(world: World) -> None:
    """While we carry out an Update, leavers go; nobody joins, and no limit is set."""
    world.configure(limit_owner="waldur")
    resource = world.allocated()
    world.waldur.order_update(resource, {"cpu": 7, "gres/gpu": 5})
    world.slurmctl(*cluster_limit(world, resource, "cpu=12000"))
    world.join("carol")
    world.leave("bob")
    world.sync_members()
    assert world.account(resource).users == {"alice"}
    assert world.account(resource).limits["cpu"] == 12000


@pytest.mark.parametrize("kind", ["update", "terminate"])
@pytest.mark.parametrize("state", ["pending-consumer", "pending-project"])
def test_an_order_that_waits_for_a_person(world: World, kind: str, state: str) -> None:
    """It may wait for weeks: members, flags and limits go on as without it."""
    world.configure(limit_owner="waldur")
    resource = world.allocated()
    if kind == "update":
        world.waldur.order_update(resource, {"cpu": 7, "gres/gpu": 5}, state=state)
    else:
        world.waldur.order_terminate(resource, state=state)
    world.slurmctl(*cluster_limit(world, resource, "cpu=12000"))
    world.join("carol")
    world.leave("bob")
    world.waldur.set_resource(resource, paused=True)
    world.sync_members()
    account = world.account(resource)
    assert account.users == {"alice", "carol"}
    assert account.limits["cpu"] == TRES_MINUTES["cpu"]
    assert account.submit_jobs == 0 or world.waldur.generation == "a"


def test_ordered_while_the_teams_are_read(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Limits that an order changes meanwhile aren't set back by a message that comes after it."""
    world.configure(limit_owner="waldur")
    resource = world.allocated()
    team = world.control.waldur.team

    def slow(uuid: str) -> list[TeamMember]:
        world.waldur.order_update(uuid, {"cpu": 7, "gres/gpu": 5})
        return team(uuid)

    monkeypatch.setattr(world.control.waldur, "team", slow)
    (item,) = members.request(world.control).items
    assert (item.resource, item.limits, item.adds_users) == (resource, None, False)


def test_erred(world: World) -> None:
    """An Erred resource is kept in step, and comes back to OK: Waldur takes its usage again."""
    resource = world.allocated()
    world.waldur.set_resource(resource, state="Erred")
    world.leave("bob")
    world.join("carol")
    world.sync_members()
    assert world.account(resource).users == {"alice", "carol"}
    assert world.resource_state(resource) == "OK"


def test_erred_for_good(world: World) -> None:
    """One that the server doesn't bring back is named, with what to do; the sync goes on."""
    resource = world.allocated()
    world.waldur.set_resource(resource, state="Erred")
    world.waldur.faults.add(kind="status", status=409, path=f"{resource}/set_", times=None)
    with capture_logs() as logs:
        world.sync_members()
    (told,) = (line for line in logs if line["event"] == "resource_erred")
    assert told["account"] == world.backend_id(resource)
    assert "set it OK" in told["advice"]


def test_erred_with_an_open_order(world: World) -> None:
    """An order that waits for its customer may be about to end it."""
    resource = world.allocated()
    world.waldur.order_terminate(resource, state="pending-consumer")
    world.waldur.set_resource(resource, state="Erred")
    world.sync_members()
    assert world.resource_state(resource) == "Erred"


def test_apply_does_not_make_an_erred_account(world: World) -> None:
    """What has failed or ends isn't made again by `apply`."""
    other, resource = world.allocated("Other"), world.allocated()
    world.waldur.set_resource(resource, state="Erred")
    name = world.backend_id(resource)
    for what, key in (("user", "account"), ("account", "name")):
        world.slurmctl("sacctmgr", "--immediate", "remove", what, "where", f"{key}={name}")
    found = {outcome.resource: outcome.status for outcome in world.plan().outcomes}
    assert found == {other: Status.PLANNED, resource: Status.MISSING}


def test_restricted_person(world: World) -> None:
    """A person whose access is suspended leaves the account, and comes back afterwards."""
    resource = world.allocated()
    world.waldur.set_restricted(world.waldur.user("bob"), restricted=True)
    world.sync_members()
    assert world.account(resource).users == {"alice"}
    world.waldur.set_restricted(world.waldur.user("bob"), restricted=False)
    world.sync_members()
    assert world.account(resource).users == {"alice", "bob"}


def test_nobody_is_named_after_the_end(world: World) -> None:
    """A terminated allocation has no associations in Waldur, and its report names nobody."""
    resource = world.allocated()
    world.sync_members()
    world.carry_out(world.waldur.order_terminate(resource))
    assert world.resource_state(resource) == "Terminated"
    assert sections(world, resource) == {PRESENT: "-"}
    if world.waldur.generation == "a":
        assert world.waldur.associations(resource) == set()


def test_who_waits_is_not_on_the_cluster(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The report names who is on the cluster, and apart from them who waits, and why."""
    monkeypatch.setattr(world.node.cluster, "unix_users", lambda _: {})
    world.node = replace(world.node, unix_users=True)
    resource = world.allocated()
    assert sections(world, resource) == {
        PRESENT: "-",
        WAITING: "alice: the head node knows no such Unix user\n"
        "bob: the head node knows no such Unix user",
    }
    world.sync_members()
    world.forget()
    world.sync_members()
    assert world.posts() == [], "nothing has changed, so nothing is written"
    world.node = replace(world.node, unix_users=False)
    world.sync_members()
    assert sections(world, resource) == {PRESENT: "alice, bob"}


def test_a_foreign_user_does_not_come_onto_the_roster(world: World) -> None:
    """Who isn't ours must not become somebody who may be removed."""
    resource = world.allocated()
    account = world.backend_id(resource)
    world.slurmctl(
        "sacctmgr", "--immediate", "add", "user", "name=svc", f"account={account}", "cluster=lab"
    )
    world.sync_members()
    assert sections(world, resource) == {PRESENT: "alice, bob"}
    world.sync_members()
    assert world.account(resource).users == {"alice", "bob", "svc"}


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


def test_moved_resource(world: World) -> None:
    """One that moved is hung under its new project; the old one's account goes, and at the end all.

    A sister that stays keeps the customer's account.
    """
    resource = world.allocated()
    climate = world.waldur.add_project(world.customer, "Climate")
    world.join("alice", project=climate)
    world.waldur.move_resource(resource, climate)
    world.sync_members()
    assert world.account(resource).parent == world.owner_account(climate)
    assert world.owner_account() not in world.slurm.accounts()
    world.carry_out(world.waldur.order_terminate(resource))
    assert set(world.slurm.accounts()) == {"root", "waldur"}


def test_moved_and_terminated(world: World) -> None:
    """A Terminate that comes before the next member sync leaves nothing of both projects."""
    resource = world.allocated()
    climate = world.waldur.add_project(world.customer, "Climate")
    world.waldur.move_resource(resource, climate)
    world.carry_out(world.waldur.order_terminate(resource))
    assert set(world.slurm.accounts()) == {"root", "waldur"}


def test_empty_accounts(world: World) -> None:
    """What a Create that failed left behind goes; a project with an allocation stays."""
    world.allocated()
    climate = world.waldur.add_project(world.customer, "Climate")
    new = (f"name={world.owner_account(climate)}", "cluster=lab", "parent=waldur")
    texts = (f"description=waldur:project:{climate.uuid} climate", "organization=o")
    world.slurmctl("sacctmgr", "--immediate", "add", "account", *new, *texts)
    before = set(world.slurm.accounts())
    world.sync_members()
    assert before - set(world.slurm.accounts()) == {world.owner_account(climate)}


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


def test_paused_with_limits_of_the_site(world: World) -> None:
    """What the site had set is there again afterwards, also after an order in between."""
    resource = world.allocated()
    where = ("--immediate", "modify", "account", "where", f"name={world.backend_id(resource)}")
    world.slurmctl("sacctmgr", *where, "cluster=lab", "set", "GrpSubmitJobs=50")
    world.waldur.set_resource(resource, paused=True)
    world.sync_members()
    world.carry_out(world.waldur.order_update(resource, {"cpu": 250, "gres/gpu": 5}))
    assert world.account(resource).submit_jobs == 0
    world.waldur.set_resource(resource, paused=False)
    world.sync_members()
    assert world.account(resource).submit_jobs == 50


def test_coordinator_who_leaves(world: World) -> None:
    """Whoever leaves the project has no right left by which to come back."""
    resource = world.allocated()
    right = (f"account={world.backend_id(resource)}", "names=alice,bob")
    world.slurmctl("sacctmgr", "--immediate", "add", "coordinator", *right)
    world.leave("bob")
    world.sync_members()
    assert world.account(resource).users == {"alice"}
    words = ("add", "user", "name=bob", right[0], "cluster=lab")
    assert world.slurm.run("sacctmgr", "--immediate", *words, user="bob").returncode == 1
    words = ("add", "user", "name=carol", right[0], "cluster=lab")
    assert world.slurm.run("sacctmgr", "--immediate", *words, user="alice").returncode == 0


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
