"""Who can't be added yet waits: no Unix user, no home directory; and leavers who finish jobs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from prometheus_client import REGISTRY
from structlog.testing import capture_logs

from slurm_tasks.errors import CommandError
from slurm_tasks.model.messages import Desired, Intent, Outcome, ReconcileRequest, Status
from slurm_tasks.slurm import commands
from slurm_tasks.slurm.commands import Command, Write
from slurm_tasks.sync.cluster import reconcile
from tests.support.fakes import FakeSlurm
from tests.unit.build import ACCOUNT, REMOVABLE, RULES, cluster, desired, standing_cluster, uuid
from tests.unit.sync.test_cluster import node

HOMES = {name: f"/home/{name}" for name in ("alice", "bob", "carol")}


def run(slurm: FakeSlurm, *items: Desired, **changed: object) -> tuple[Outcome, ...]:
    """Reconcile items on a head node where users are looked up."""
    request = ReconcileRequest(items=items, removable_users=REMOVABLE)
    return reconcile(request, node(slurm, **changed)).outcomes


def members(*users: str) -> Desired:
    """Describe a team."""
    return desired(Intent.MEMBERS, users=users)


def failing(name: str) -> Callable[[Write], None]:
    """Make the homes of one user fail."""

    def before(command: Write) -> None:
        if isinstance(command, commands.MakeHome) and command.user == name:
            raise CommandError([command.program, *command.argv()], "exit code 6", 6, "disk full")

    return before


def homes(slurm: FakeSlurm) -> list[str]:
    """Return whose homes were made, in turn."""
    return [command.user for command in slurm.written if isinstance(command, commands.MakeHome)]


def test_users_whom_the_head_node_does_not_know_wait() -> None:
    """The others join; the next pass adds who is known by then, and then nobody waits."""
    slurm = FakeSlurm(standing_cluster("alice"), unix={"bob": "/home/bob"})

    (outcome,) = run(slurm, members("alice", "bob", "carol"), unix_users=True)

    assert (outcome.status, outcome.users) == (Status.APPLIED, ("alice", "bob"))
    assert outcome.waiting == {"carol": "the head node knows no such Unix user"}
    slurm.unix["carol"] = "/home/carol"
    (outcome,) = run(slurm, members("alice", "bob", "carol"), unix_users=True)
    assert (outcome.users, outcome.waiting) == (("alice", "bob", "carol"), {})


def test_who_is_in_the_account_stays_without_a_unix_user() -> None:
    """A directory service that forgets somebody cancels nobody's jobs."""
    slurm = FakeSlurm(standing_cluster("alice", "bob"))

    (outcome,) = run(slurm, members("alice", "bob"), unix_users=True)

    assert (outcome.users, outcome.waiting, slurm.written) == (("alice", "bob"), {}, [])


def test_a_user_joins_by_the_name_that_the_head_node_knows() -> None:
    """As Waldur has it; in lower case where only that is known. Nobody is added twice."""
    slurm = FakeSlurm(standing_cluster(), unix={"Karla": "/home/Karla", "bob": "/home/bob"})

    for _ in range(2):
        (outcome,) = run(slurm, members("Karla", "Bob", "Eve"), unix_users=True)
        assert outcome.users == ("Karla", "bob")
        assert outcome.waiting == {"Eve": "the head node knows no such Unix user"}
    assert len(slurm.written) == 1


def test_users_are_looked_up_once_for_all_accounts() -> None:
    """One command, and none at all when nobody joins."""
    asked: list[tuple[str, ...]] = []

    class Watching(FakeSlurm):
        """Remembers who was asked for."""

        def read(self, command: Command[object]) -> object:  # type: ignore[override]
            """Answer a command that reads."""
            if isinstance(command, commands.ResolveUsers):
                asked.append(command.users)
            return super().read(command)

    slurm = Watching(cluster(), unix=dict(HOMES))
    first, second = desired(users=("alice",)), desired(resource=uuid("a2"), users=("alice", "bob"))
    run(slurm, first, second, unix_users=True)
    run(slurm, first, second, unix_users=True)

    assert asked == [("alice", "bob")]


def test_a_lookup_that_fails_lets_joiners_wait() -> None:
    """Whoever leaves leaves all the same."""

    class Broken(FakeSlurm):
        """A head node whose directory service hangs."""

        def read(self, command: Command[object]) -> object:  # type: ignore[override]
            """Answer a command that reads."""
            if isinstance(command, commands.ResolveUsers):
                raise CommandError(["getent"], "did not end within 60 s")
            return super().read(command)

    slurm = Broken(standing_cluster("alice"), {"alice": "waldur"})

    (outcome,) = run(slurm, members("bob"), unix_users=True)

    assert (outcome.status, outcome.users) == (Status.APPLIED, ())
    assert "can't be looked up" in outcome.waiting["bob"]


def test_homes_are_made_before_users_join() -> None:
    """Not for those who were there, and not where one is there already."""
    slurm = FakeSlurm(standing_cluster("alice"), unix=dict(HOMES), homes={"/home/carol"})

    (outcome,) = run(slurm, members("alice", "bob", "carol"), homes=True)

    assert (outcome.users, homes(slurm)) == (("alice", "bob", "carol"), ["bob"])
    kinds = [type(command) for command in slurm.written]
    assert kinds == [commands.MakeHome, commands.AddUsers]


def test_a_home_is_made_once_for_all_accounts() -> None:
    """However many allocations somebody joins at once."""
    slurm = FakeSlurm(cluster(), unix=dict(HOMES))

    run(
        slurm, desired(users=("alice",)), desired(resource=uuid("a2"), users=("alice",)), homes=True
    )

    assert homes(slurm) == ["alice"]


def test_who_gets_no_home_waits() -> None:
    """For every account, tried once a pass; the others join, and the message says what failed."""
    slurm = FakeSlurm(cluster(), unix=dict(HOMES), before=failing("bob"))
    items = [desired(resource=uuid(n), users=("alice", "bob")) for n in ("a1", "a2")]

    with capture_logs() as logs:
        outcomes = run(slurm, *items, homes=True)

    assert [outcome.users for outcome in outcomes] == [("alice",), ("alice",)]
    assert all("disk full" in outcome.waiting["bob"] for outcome in outcomes)
    assert homes(slurm) == ["alice", "bob"]
    assert [entry["event"] for entry in logs].count("users_waiting") == 2
    slurm.before = lambda _: None
    assert [outcome.users for outcome in run(slurm, *items, homes=True)] == [("alice", "bob")] * 2


def test_a_dry_run_makes_no_home() -> None:
    """It only tells who would join."""
    slurm = FakeSlurm(standing_cluster(), unix=dict(HOMES))

    request = ReconcileRequest(items=(members("alice"),), dry_run=True)
    (outcome,) = reconcile(request, node(slurm, homes=True)).outcomes

    assert slurm.written == []
    assert outcome.changes == (f"add alice to {ACCOUNT}, default account waldur",)


def test_metrics_tell_how_many_wait() -> None:
    """By reason, and zero when nobody waits any more."""

    def waiting(reason: str) -> float | None:
        return REGISTRY.get_sample_value("waldur_slurm_users_waiting", {"reason": reason})

    slurm = FakeSlurm(standing_cluster(), unix={"bob": "/home/bob"}, before=failing("bob"))
    run(slurm, members("alice", "bob", "carol"), unix_users=True, homes=True)
    assert (waiting("no_unix_user"), waiting("no_home")) == (2, 1)
    run(slurm, members(), unix_users=True, homes=True)
    assert (waiting("no_unix_user"), waiting("no_home")) == (0, 0)


def test_a_leaver_with_jobs_is_removed_when_they_have_ended() -> None:
    """Others leave at once; nothing is cancelled; the outcome says who is waited for."""
    rules = replace(RULES, finish_jobs=True)
    slurm = FakeSlurm(standing_cluster("alice", "bob", "carol"), jobs={(ACCOUNT, "alice")})

    (outcome,) = run(slurm, members("carol"), rules=rules)

    assert (outcome.status, outcome.users) == (Status.DEFERRED, ("alice", "carol"))
    assert "alice still has jobs" in outcome.message
    assert slurm.jobs == {(ACCOUNT, "alice")}
    assert {*slurm.state.accounts[ACCOUNT].associations} == {("alice", "")}
    slurm.jobs.clear()
    (outcome,) = run(slurm, members("carol"), rules=rules)
    assert (outcome.status, outcome.users) == (Status.APPLIED, ("carol",))


def test_a_downscaled_resource_without_a_qos_is_a_warning() -> None:
    """It names the setting that is missing."""
    slurm = FakeSlurm(standing_cluster())

    with capture_logs() as logs:
        run(slurm, desired(Intent.MEMBERS, downscaled=True, paused=False))

    (entry,) = [entry for entry in logs if entry["event"] == "downscaled_ignored"]
    assert "SLURM_DOWNSCALED_QOS" in entry["reason"]
