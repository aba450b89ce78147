"""What slurmctld was never told of is told by the passes that see the whole offering."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, TypeVar

import pytest
from structlog.testing import capture_logs

from slurm_tasks.errors import CommandError
from slurm_tasks.model.cluster import Account, Association, Key, UserAssociation
from slurm_tasks.model.messages import Desired, Intent, Status
from slurm_tasks.model.submission import CLOSED
from slurm_tasks.slurm import commands
from slurm_tasks.slurm.commands import Command
from tests.support import meter
from tests.support.fakes import FakeSlurm
from tests.unit.build import ACCOUNT, allocation, cluster, customer, desired, project, uuid
from tests.unit.sync.test_cluster import one, run

T = TypeVar("T")


@pytest.fixture(autouse=True)
def metrics() -> None:
    """Count from the beginning of each test."""
    meter.reset()


def sync(slurm: FakeSlurm, *users: str, **changed: object) -> list[Any]:
    """Synchronise the users of one allocation; return what slurmctld's look has told the log."""
    with capture_logs() as logs:
        done = one(run(slurm, desired(Intent.MEMBERS, users=users, **changed)))
    assert done.status is Status.APPLIED
    return [line for line in logs if line["event"].startswith("slurmctld_")]


def counted() -> float | None:
    """Return the metric."""
    return meter.read("associations_differing", cluster="lab")


def unknown(*keys: Key) -> FakeSlurm:
    """Make a cluster with an allocation, of which slurmctld doesn't know some associations."""
    foreign = Account("physics", "root", "")
    slurm = FakeSlurm(cluster(customer(), project(), allocation("alice", "bob"), foreign))
    stored = slurm.state.associations()
    slurm.in_force = {key: stored[key] for key in stored.keys() - {*keys}}
    return slurm


def test_what_slurmctld_was_never_told_is_counted_until_it_is() -> None:
    """The log names it, with the command that helps."""
    slurm = unknown(Key(ACCOUNT), Key(ACCOUNT, "alice"))

    (line,) = sync(slurm, "alice", "bob")

    assert counted() == 2
    assert line["event"] == "slurmctld_differs"
    assert f"doesn't know 2 ({ACCOUNT}, {ACCOUNT}/alice). Run `scontrol" in line["reason"]
    slurm.in_force = None
    assert sync(slurm, "alice", "bob") == []
    assert counted() == 0


def test_associations_for_one_partition_are_compared_by_themselves() -> None:
    """A user with two of them, only one of which is limited, is no difference."""
    slurm = unknown()
    parted = {("alice", ""): UserAssociation(), ("alice", "main"): UserAssociation(CLOSED)}
    account = replace(slurm.state.accounts[ACCOUNT], associations=parted)
    slurm.state = slurm.state.with_account(account)
    slurm.in_force = None
    assert sync(slurm, "alice", "bob") == []

    slurm.in_force = {**slurm.state.associations(), Key(ACCOUNT, "alice", "main"): Association()}
    (line,) = sync(slurm, "alice", "bob")
    assert f"has other limits for 1 ({ACCOUNT}/alice/main)" in line["reason"]


def test_users_whom_slurmctld_can_not_resolve_are_told_until_it_can() -> None:
    """Added before the Unix user was there; those of other accounts are an administrator's."""
    slurm = unknown()
    slurm.without_uid = frozenset({Key(ACCOUNT, "bob"), Key("physics", "eve")})

    (line,) = sync(slurm, "alice", "bob")

    assert (line["event"], line["log_level"]) == ("slurmctld_without_uid", "warning")
    assert f"no Unix user for 1 ({ACCOUNT}/bob)" in line["reason"]
    assert "scontrol reconfigure" in line["reason"]
    assert meter.read("associations_without_uid", cluster="lab") == 1
    slurm.without_uid = frozenset()
    assert sync(slurm, "alice", "bob") == []
    assert meter.read("associations_without_uid", cluster="lab") == 0


def test_what_was_removed_in_vain_is_told() -> None:
    """Who has left can still submit."""
    slurm = unknown()
    slurm.in_force = {**slurm.state.associations(), Key(ACCOUNT, "carol"): Association()}

    (line,) = sync(slurm, "alice", "bob")

    assert counted() == 1
    assert f"though slurmdbd doesn't, 1 ({ACCOUNT}/carol)" in line["reason"]


def test_only_accounts_of_allocations_count() -> None:
    """What an administrator has made is theirs to look after."""
    assert sync(unknown(Key("physics")), "alice", "bob") == []
    assert counted() == 0


def test_what_was_changed_just_now_is_left_to_the_next_pass() -> None:
    """It is on its way to slurmctld; others that needed no change are looked at."""
    other = allocation("alice", resource=uuid("a2"))
    slurm = FakeSlurm(cluster(customer(), project(), allocation("alice", "bob"), other))
    slurm.in_force = {}

    report = run(
        slurm,
        desired(Intent.MEMBERS, users=("alice",)),
        desired(Intent.MEMBERS, resource=uuid("a2"), users=("alice",)),
    )

    assert [bool(outcome.changes) for outcome in report.outcomes] == [True, False]
    assert counted() == 2


def order(**changed: object) -> Desired:
    """Make an order of the allocation."""
    return desired(Intent.UPDATE, order=uuid("01"), users=("alice", "bob"), **changed)


def test_an_order_does_not_wait_for_slurmctld() -> None:
    """Its end is told to Waldur at once; the next member sync looks."""
    slurm = unknown(Key(ACCOUNT))

    assert one(run(slurm, order())).status is Status.APPLIED
    assert counted() is None


@dataclass
class Busy(FakeSlurm):
    """A cluster from which an account's users go while slurmctld is asked."""

    def read(self, command: Command[T]) -> T:
        """Answer, and have changed after slurmctld's answer."""
        answer = super().read(command)
        if isinstance(command, commands.ShowAssociations):
            self.state = self.state.with_account(allocation())
        return answer


def test_what_somebody_changes_meanwhile_is_on_its_way() -> None:
    """A user of whom slurmctld wasn't told, and who is gone by now, is no gap; the account is."""
    known = unknown(Key(ACCOUNT), Key(ACCOUNT, "alice"))
    slurm = Busy(known.state, in_force=known.in_force)

    (line,) = sync(slurm, "alice", "bob")

    assert counted() == 1
    assert f"doesn't know 1 ({ACCOUNT}). Run" in line["reason"]


@dataclass
class Deaf(FakeSlurm):
    """A cluster whose slurmctld does not answer."""

    def read(self, command: Command[T]) -> T:
        """Answer what slurmdbd answers."""
        if isinstance(command, commands.ShowAssociations):
            raise CommandError(command.argv(), "exit code 1", 1, "Unable to contact slurm")
        return super().read(command)


def test_a_slurmctld_that_does_not_answer_keeps_nothing_from_being_done() -> None:
    """The log says why nothing was compared, and the metric keeps what was known."""
    (line,) = sync(Deaf(unknown().state), "alice", "bob")

    assert (line["event"], line["log_level"]) == ("slurmctld_not_compared", "warning")
    assert "Unable to contact slurm" in line["reason"]
    assert counted() is None
