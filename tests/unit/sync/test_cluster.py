"""Reconciling allocations with a cluster in memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from zoneinfo import ZoneInfo

import pytest
from structlog.testing import capture_logs

from slurm_tasks.errors import CommandError, ConfigurationError, LockHeldError
from slurm_tasks.model import changes, usage
from slurm_tasks.model.cluster import Account, Cluster
from slurm_tasks.model.messages import (
    CollectRequest,
    Desired,
    Intent,
    Outcome,
    Owner,
    ReconcileReport,
    ReconcileRequest,
    Status,
)
from slurm_tasks.model.names import Kind, owner_name
from slurm_tasks.slurm import commands
from slurm_tasks.slurm.cluster import SlurmCluster
from slurm_tasks.slurm.commands import Write
from slurm_tasks.slurm.lock import Writer
from slurm_tasks.sync.cluster import HeadNode, reconcile
from slurm_tasks.sync.collect import BATCH, collect
from tests.support.fakes import Cut, FakeSlurm
from tests.unit.build import (
    ACCOUNT,
    CUSTOMER_ACCOUNT,
    PROJECT_ACCOUNT,
    REMOVABLE,
    RESOURCE,
    RULES,
    allocation,
    cluster,
    customer,
    desired,
    name_of,
    project,
    standing_cluster,
    uuid,
)

APRIL = usage.month("2026-04", ZoneInfo("UTC"))
SECOND = uuid("a2")


@contextmanager
def free() -> Iterator[Writer]:
    """Take a lock that nobody else wants."""
    yield Writer(99, None)


def held() -> AbstractContextManager[Writer]:
    """Find the lock held."""
    raise LockHeldError("another process on this host writes to the cluster")


class Lost(Writer):
    """A lock that is lost after it was taken."""

    def extend(self) -> None:
        """Find it lost."""
        raise LockHeldError("the writer's lock in Redis was lost")


def node(slurm: FakeSlurm, **changed: object) -> HeadNode:
    """Make a head node on a cluster in memory."""
    return replace(HeadNode(SlurmCluster(slurm, "lab"), free, RULES), **changed)  # type: ignore[arg-type]


def run(slurm: FakeSlurm, *items: Desired, **changed: object) -> ReconcileReport:
    """Reconcile items."""
    request = ReconcileRequest.model_validate(
        {"items": items, "removable_users": REMOVABLE, **changed}
    )
    return reconcile(request, node(slurm))


def one(report: ReconcileReport) -> Outcome:
    """Return the only outcome."""
    (outcome,) = report.outcomes
    return outcome


def failing(part: str, error: Callable[[list[str]], Exception]) -> Callable[[Write], None]:
    """Make writes fail that have a text in their arguments."""

    def before(command: Write) -> None:
        if part in " ".join([command.tool, *command.argv()]):
            raise error(command.argv())

    return before


def refusal(argv: list[str]) -> Exception:
    """Make the error of a command that failed."""
    return CommandError(argv, "exit code 1", 1, "slurmdbd is away")


def test_a_new_allocation_is_made_with_all_above_it() -> None:
    """The outcome tells name, limits and users as the cluster has them."""
    slurm = FakeSlurm(cluster())

    report = run(slurm, desired(limits={"cpu": 60}, users=("alice",)))

    assert one(report).status is Status.APPLIED
    assert one(report).account == ACCOUNT
    assert one(report).limits == {"cpu": 60}
    assert one(report).users == ("alice",)
    assert (report.cluster, report.writes) == ("lab", 4)
    assert slurm.state.accounts[ACCOUNT].parent == PROJECT_ACCOUNT
    assert slurm.defaults == {"alice": "waldur"}


def test_a_second_run_writes_nothing() -> None:
    """A redelivered message is one read, the same outcome, and no command."""
    slurm = FakeSlurm(cluster())
    item = desired(limits={"cpu": 60}, users=("alice",), paused=True)
    first = run(slurm, item)
    slurm.written.clear()
    slurm.reads = 0

    second = run(slurm, item)

    assert slurm.written == []
    assert slurm.reads == 1
    assert second.writes == 0
    assert one(second) == one(first).model_copy(update={"changes": ()})


def test_a_creation_that_was_cut_off_anywhere_is_completed_by_the_next_run() -> None:
    """Wherever the process ended, the same account comes out."""
    item = desired(limits={"cpu": 60}, users=("alice",), paused=True)
    whole = FakeSlurm(cluster())
    steps = run(whole, item).writes

    for count in range(steps):
        slurm = FakeSlurm(cluster())
        slurm.cut_after(count)
        with pytest.raises(Cut):
            run(slurm, item)
        slurm.before = lambda _: None

        assert one(run(slurm, item)).account == ACCOUNT
        assert slurm.state == whole.state


def test_two_allocations_of_one_customer_make_its_accounts_once() -> None:
    """The second item is planned with what the first has made."""
    slurm = FakeSlurm(cluster())

    report = run(slurm, desired(), desired(resource=SECOND))

    made = [c.change.name for c in slurm.written if isinstance(c, commands.AddAccount)]
    assert made == [CUSTOMER_ACCOUNT, PROJECT_ACCOUNT, ACCOUNT, name_of(SECOND)]
    assert [outcome.status for outcome in report.outcomes] == [Status.APPLIED] * 2


def test_a_failing_item_does_not_stop_the_others() -> None:
    """The one whose command fails waits, those around it are applied."""
    slurm = FakeSlurm(cluster(), before=failing(f"name={ACCOUNT}", refusal))

    report = run(slurm, desired(resource=uuid("a0")), desired(), desired(resource=SECOND))

    assert [outcome.status for outcome in report.outcomes] == [
        *(Status.APPLIED, Status.DEFERRED, Status.APPLIED)
    ]
    assert "slurmdbd is away" in report.outcomes[1].message


def test_a_refused_item_does_not_stop_the_others() -> None:
    """A clash of names is one customer's error."""
    slurm = FakeSlurm(cluster(Account(ACCOUNT, "waldur", "physics")))

    report = run(slurm, desired(), desired(resource=SECOND))

    assert [outcome.status for outcome in report.outcomes] == [Status.REFUSED, Status.APPLIED]
    assert "it is left alone" in report.outcomes[0].message
    assert slurm.state.accounts[ACCOUNT].description == "physics"


def test_a_name_that_must_not_reach_slurm_does_not_stop_the_others() -> None:
    """Somebody gave root an association: that termination needs a person, the rest goes on."""
    slurm = FakeSlurm(standing_cluster("root"))

    report = run(slurm, desired(Intent.TERMINATE), desired(resource=SECOND))

    assert [outcome.status for outcome in report.outcomes] == [Status.REFUSED, Status.APPLIED]
    assert "'root' must not reach SLURM" in report.outcomes[0].message


def test_a_held_lock_is_raised_before_anything_is_read() -> None:
    """Who doesn't get the lock neither plans nor writes."""
    slurm = FakeSlurm(cluster())

    with pytest.raises(LockHeldError):
        reconcile(ReconcileRequest(items=(desired(),)), node(slurm, lock=held))

    assert (slurm.reads, slurm.written) == (0, [])


def test_a_lost_lock_stops_all_writing() -> None:
    """Every item waits; not one more command is run."""
    slurm = FakeSlurm(cluster())

    @contextmanager
    def lost() -> Iterator[Writer]:
        yield Lost(99, None)

    request = ReconcileRequest(items=(desired(), desired(resource=SECOND)))
    report = reconcile(request, node(slurm, lock=lost))

    assert {outcome.status for outcome in report.outcomes} == {Status.DEFERRED}
    assert slurm.written == []


def test_the_lock_is_held_until_the_state_was_read_back() -> None:
    """Read, plan, apply and read-back are one stretch; measuring comes after it."""
    slurm = FakeSlurm(cluster())
    reads: list[int] = []

    @contextmanager
    def noted() -> Iterator[Writer]:
        reads.append(slurm.reads)
        yield Writer(99, None)
        reads.append(slurm.reads)

    reconcile(ReconcileRequest(items=(desired(),)), node(slurm, lock=noted))

    assert reads == [0, 2]


def test_jobs_that_are_still_ending_defer_a_termination() -> None:
    """They were cancelled; the order comes back, and completes when they are gone."""
    slurm = FakeSlurm(
        standing_cluster("alice"), {"alice": "waldur"}, jobs={(ACCOUNT, "alice")}, jobs_linger=True
    )

    waiting = one(run(slurm, desired(Intent.TERMINATE)))
    slurm.jobs.clear()
    after = one(run(slurm, desired(Intent.TERMINATE)))

    assert waiting.status is Status.DEFERRED
    assert "jobs are still pending or running" in waiting.message
    assert after.status is Status.APPLIED
    assert ACCOUNT not in slurm.state.accounts


def test_an_unknown_tres_is_named() -> None:
    """SLURM refuses the whole set without saying which one it doesn't know."""
    slurm = FakeSlurm(cluster(), known=frozenset({"cpu", "mem"}))

    outcome = one(run(slurm, desired(limits={"cpu": 1, "gres/gpu": 5})))

    assert outcome.status is Status.REFUSED
    assert "has no TRES gres/gpu; it has cpu, mem." in outcome.message
    assert ACCOUNT not in slurm.state.accounts


def test_an_unknown_tres_is_named_for_an_update_too() -> None:
    """The limits that were there stay."""
    slurm = FakeSlurm(standing_cluster(limits={"cpu": 1}), known=frozenset({"cpu"}))

    outcome = one(run(slurm, desired(Intent.UPDATE, limits={"cpu": 2, "mem": 5})))

    assert outcome.status is Status.REFUSED
    assert outcome.limits == {"cpu": 1}


def test_what_the_cluster_did_not_take_is_found_by_reading_back() -> None:
    """Exit 0 is not success: the outcome says what is missing."""
    slurm = FakeSlurm(standing_cluster(), ignored=lambda _: True)

    outcome = one(run(slurm, desired(Intent.UPDATE, limits={"cpu": 1})))

    assert outcome.status is Status.DEFERRED
    assert outcome.message == f"the cluster did not take it: set limits of {ACCOUNT} to cpu=1"
    assert outcome.limits == {}


def test_what_slurm_said_about_changing_nothing_is_passed_on() -> None:
    """Somebody made the account between read and write: that text helps an operator."""
    slurm = FakeSlurm(cluster(customer(), project()))

    def meanwhile(command: Write) -> None:
        if isinstance(command, commands.AddAccount):
            slurm.state = slurm.state.with_account(Account(ACCOUNT, "root", "physics"))

    slurm.before = meanwhile
    outcome = one(run(slurm, desired()))

    assert outcome.status is Status.REFUSED
    assert "not one of Waldur's" in outcome.message


@pytest.mark.parametrize("how", ["dry_run", "read_only"])
def test_only_planning_writes_nothing_and_takes_no_lock(how: str) -> None:
    """The changes are listed as they would be done, also where another process writes."""
    slurm = FakeSlurm(cluster())
    request = ReconcileRequest(items=(desired(users=("alice",)),), dry_run=how == "dry_run")

    report = reconcile(request, node(slurm, lock=held, read_only=how == "read_only"))

    assert one(report).status is Status.PLANNED
    assert one(report).changes[-1] == f"add alice to {ACCOUNT}, default account waldur"
    assert len(one(report).changes) == 4
    assert (slurm.written, report.writes) == ([], 0)


def test_a_plan_lists_what_an_apply_would_do() -> None:
    """Both make the same sentences, moved defaults included."""
    slurm = FakeSlurm(standing_cluster("alice"), {"alice": ACCOUNT})
    item = desired(Intent.MEMBERS, users=("bob",))

    foreseen = one(run(slurm, item, dry_run=True))
    done = one(run(slurm, item))

    assert foreseen.changes == done.changes
    assert "make waldur the default account of alice" in foreseen.changes


def test_joiners_and_leavers_of_an_allocation_are_carried_out() -> None:
    """Who belongs comes, who left goes with their jobs, strangers stay."""
    slurm = FakeSlurm(
        standing_cluster("alice", "monitor"),
        {"alice": "waldur", "monitor": "waldur"},
        jobs={(ACCOUNT, "alice"), (ACCOUNT, "monitor")},
    )

    outcome = one(run(slurm, desired(Intent.MEMBERS, users=("bob",))))

    assert outcome.status is Status.APPLIED
    assert outcome.users == ("bob", "monitor")
    assert slurm.jobs == {(ACCOUNT, "monitor")}


def test_a_leavers_default_is_moved_first() -> None:
    """Newer SLURM refuses to remove the association that a default points to."""
    slurm = FakeSlurm(standing_cluster("alice"), {"alice": ACCOUNT})

    outcome = one(run(slurm, desired(Intent.MEMBERS, users=())))

    assert outcome.status is Status.APPLIED
    assert slurm.defaults == {"alice": "waldur"}


def test_a_user_who_leaves_two_allocations_is_moved_and_then_deleted() -> None:
    """What the first removal has moved is known to the second."""
    second = allocation("alice", resource=SECOND)
    slurm = FakeSlurm(
        cluster(customer(), project(), allocation("alice"), second), {"alice": ACCOUNT}
    )

    report = run(
        slurm, *(desired(Intent.MEMBERS, resource=r, users=()) for r in (RESOURCE, SECOND))
    )

    assert [outcome.status for outcome in report.outcomes] == [Status.APPLIED] * 2
    assert slurm.defaults == {}


def test_members_of_a_missing_account_are_reported() -> None:
    """The member sync doesn't make accounts: it says that Waldur names one that isn't there."""
    slurm = FakeSlurm(cluster(customer(), project()))

    outcome = one(run(slurm, desired(Intent.MEMBERS, backend_id="gone", users=("alice",))))

    assert outcome.status is Status.MISSING
    assert "names the account 'gone'" in outcome.message
    assert slurm.written == []


def test_the_guard_stops_a_mass_removal_and_nothing_else() -> None:
    """The item that would lose six users is stopped; the new one beside it is made."""
    users = tuple(f"u{number}" for number in range(6))
    slurm = FakeSlurm(standing_cluster(*users))
    leaving = desired(Intent.MEMBERS, backend_id=ACCOUNT, users=())

    report = run(slurm, leaving, desired(resource=SECOND), removable_users=users)

    assert [outcome.status for outcome in report.outcomes] == [Status.STOPPED, Status.APPLIED]
    assert "--allow-removals 6" in report.outcomes[0].message
    assert len(slurm.state.accounts[ACCOUNT].users) == 6


def test_an_operator_may_let_a_mass_removal_pass() -> None:
    """With the number that the guard named it is carried out."""
    users = tuple(f"u{number}" for number in range(6))
    slurm = FakeSlurm(standing_cluster(*users))
    leaving = desired(Intent.MEMBERS, backend_id=ACCOUNT, users=())

    report = run(slurm, leaving, removable_users=users, allow_removals=6)

    assert one(report).status is Status.APPLIED
    assert one(report).users == ()


def test_the_guard_stops_work_on_the_wrong_cluster() -> None:
    """None of the accounts that Waldur names is there: nothing is made again."""
    slurm = FakeSlurm(cluster())

    report = run(slurm, desired(Intent.UPDATE, backend_id="one"))

    assert one(report).status is Status.STOPPED
    assert slurm.written == []


def test_a_cluster_without_the_default_account_is_a_configuration_error() -> None:
    """It is the wrong cluster, or a setting: nothing is planned."""
    slurm = FakeSlurm(Cluster("lab", {"root": Account("root")}))

    with pytest.raises(ConfigurationError, match="SLURM_DEFAULT_ACCOUNT"):
        run(slurm, desired())


def test_a_termination_removes_the_empty_accounts_above() -> None:
    """Nothing of the customer's last allocation is left, and the last usage is measured."""
    slurm = FakeSlurm(
        standing_cluster("alice"),
        {"alice": ACCOUNT},
        jobs={(ACCOUNT, "alice")},
        usage={ACCOUNT: {"alice": {"cpu": 50}}},
    )

    outcome = one(run(slurm, desired(Intent.TERMINATE, periods=(APRIL,))))

    assert outcome.status is Status.APPLIED
    assert set(slurm.state.accounts) == {"root", "waldur"}
    assert outcome.usage[0].total() == {"cpu": 50}
    assert (outcome.users, outcome.limits) == ((), {})


def test_a_termination_that_was_cut_off_anywhere_is_completed_by_the_next_run() -> None:
    """Wherever the process ended, the accounts above it go too, and usage is still measured."""
    item = desired(Intent.TERMINATE, backend_id=ACCOUNT, periods=(APRIL,))
    start = standing_cluster("alice")
    steps = run(FakeSlurm(start, {"alice": ACCOUNT}), item).writes

    for count in range(steps):
        slurm = FakeSlurm(start, {"alice": ACCOUNT}, usage={ACCOUNT: {"alice": {"cpu": 50}}})
        slurm.cut_after(count)
        with pytest.raises(Cut):
            run(slurm, item)
        slurm.before = lambda _: None
        outcome = one(run(slurm, item))

        assert set(slurm.state.accounts) == {"root", "waldur"}
        assert (outcome.status, outcome.account) == (Status.APPLIED, ACCOUNT)
        assert outcome.usage[0].total() == {"cpu": 50}


def test_a_termination_of_nothing_is_done() -> None:
    """No account, no commands: the order can end."""
    slurm = FakeSlurm(cluster())

    outcome = one(run(slurm, desired(Intent.TERMINATE, periods=(APRIL,))))

    assert outcome.status is Status.APPLIED
    assert slurm.written == []


def test_usage_that_cannot_be_measured_defers_a_termination() -> None:
    """The account is gone, but the order waits until its last usage is known."""
    slurm = FakeSlurm(standing_cluster())
    away = SlurmCluster(slurm, "lab")

    def usage_away(*_: object) -> dict[str, object]:
        raise CommandError(["sacct"], "exit code 1", 1, "slurmdbd is away")

    away.measure = usage_away  # type: ignore[method-assign,assignment]
    request = ReconcileRequest(items=(desired(Intent.TERMINATE, periods=(APRIL,)),))
    outcome = one(reconcile(request, node(slurm, cluster=away)))

    assert outcome.status is Status.DEFERRED
    assert ACCOUNT not in slurm.state.accounts


def test_a_termination_that_finds_jobs_again_keeps_the_account_blocked() -> None:
    """New jobs can't slip in while the old ones are ending."""
    slurm = FakeSlurm(
        standing_cluster("alice"), {"alice": "waldur"}, jobs={(ACCOUNT, "alice")}, jobs_linger=True
    )

    run(slurm, desired(Intent.TERMINATE))

    assert slurm.state.accounts[ACCOUNT].blocked


EMPTY = cluster(
    project(Owner(uuid=uuid("b7")), parent="waldur"), *standing_cluster().accounts.values()
)
LEFT = owner_name(RULES.prefixes, Kind.PROJECT, uuid("b7"))


def members(**changed: object) -> Desired:
    """Ask for the users of the one allocation."""
    return desired(Intent.MEMBERS, backend_id=ACCOUNT, users=(), **changed)


def test_empty_accounts_go_where_the_whole_offering_is_seen() -> None:
    """With their own line in the report; the next pass finds nothing."""
    slurm = FakeSlurm(EMPTY)

    report = run(slurm, members(), tidy=True)

    assert (report.tidied, report.writes) == ((f"remove account {LEFT}",), 1)
    assert set(slurm.state.accounts) == set(standing_cluster().accounts)
    assert run(slurm, members(), tidy=True).tidied == ()


def test_empty_accounts_go_although_no_resource_is_left() -> None:
    """Nobody has ordered anything: there is no item at all."""
    slurm = FakeSlurm(cluster(customer(), project()))

    assert len(run(slurm, tidy=True).tidied) == 2
    assert set(slurm.state.accounts) == {"root", "waldur"}


@pytest.mark.parametrize(
    "changed", [{"tidy": False}, {"tidy": True, "dry_run": True}], ids=["an order", "a plan"]
)
def test_empty_accounts_stay_otherwise(changed: dict[str, bool]) -> None:
    """An order sees only its own resource, and a plan only says what would be done."""
    slurm = FakeSlurm(EMPTY)

    report = run(slurm, members(), **changed)

    assert bool(report.tidied) is changed["tidy"]
    assert slurm.written == []


def test_nothing_is_tidied_on_what_may_be_the_wrong_cluster() -> None:
    """The guard has stopped the pass."""
    slurm = FakeSlurm(cluster(customer()))

    report = run(slurm, desired(Intent.MEMBERS, backend_id="gone", users=()), tidy=True)

    assert (one(report).status, report.tidied) == (Status.MISSING, ())
    other = Owner(uuid=uuid("c8"))
    report = run(slurm, members(customer=other, project=other), tidy=True)
    assert (one(report).status, report.tidied) == (Status.STOPPED, ())


def test_an_empty_account_that_can_not_be_removed_keeps_nothing_from_being_done() -> None:
    """The log says why, and the next pass tries again."""
    slurm = FakeSlurm(EMPTY, before=failing(f"name={LEFT}", refusal))

    with capture_logs() as logs:
        report = run(slurm, members(), tidy=True)

    assert (one(report).status, report.tidied) == (Status.APPLIED, ())
    assert [e["account"] for e in logs if e["event"] == "account_not_removed"] == [LEFT]


def test_a_resource_that_moved_leaves_nothing_behind() -> None:
    """One member sync moves it, and removes the old project's account."""
    slurm = FakeSlurm(standing_cluster("alice"))
    item = desired(Intent.MEMBERS, project=Owner(uuid=uuid("b7")), users=("alice",))

    report = run(slurm, item, tidy=True)

    assert one(report).status is Status.APPLIED
    assert slurm.state.accounts[ACCOUNT].parent == LEFT
    assert report.tidied == (f"remove account {PROJECT_ACCOUNT}",)


def test_every_write_is_a_command_of_a_known_change() -> None:
    """What reached the cluster is what the outcome lists, in its order."""
    slurm = FakeSlurm(cluster())

    outcome = one(run(slurm, desired(users=("alice",))))

    said = [str(c.change) for c in slurm.written if isinstance(c, commands.AddAccount)]
    assert [text for text in outcome.changes if text.startswith("create")] == said
    assert isinstance(slurm.written[-1], commands.AddUsers)
    assert isinstance(slurm.written[-1].change, changes.AddUsers)


def test_measurements_come_in_batches() -> None:
    """However many allocations, a message stays small; every one of them is in one."""
    accounts = {f"a{number:04}": RESOURCE for number in range(BATCH + 1)}
    state = cluster(*(Account(name, "waldur") for name in accounts if name != "a0000"))
    slurm = FakeSlurm(state, usage={"a0001": {"alice": {"cpu": 50}}})

    found = list(collect(CollectRequest(accounts=accounts, periods=(APRIL,)), node(slurm).cluster))

    assert [len(batch.allocations) for batch in found] == [BATCH, 1]
    first, second = found[0].allocations[:2]
    assert (first.present, second.present) == (False, True)
    assert second.usage[0].total() == {"cpu": 50}
    assert slurm.written == []
