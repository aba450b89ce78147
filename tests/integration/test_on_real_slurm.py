"""The head node's side on real clusters: what it costs, nasty names, resuming, measuring."""

import os
import signal
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import TypeVar
from zoneinfo import ZoneInfo

import pytest

from slurm_tasks.model.findings import Finding, Verdict
from slurm_tasks.model.messages import (
    CheckRequest,
    CollectRequest,
    Desired,
    Intent,
    Outcome,
    Owner,
    ReconcileRequest,
    Status,
)
from slurm_tasks.model.names import Prefixes
from slurm_tasks.model.plan import Rules
from slurm_tasks.model.usage import month, month_of, previous
from slurm_tasks.slurm import lock
from slurm_tasks.slurm.cluster import SlurmCluster
from slurm_tasks.slurm.commands import Command, Write
from slurm_tasks.slurm.runner import ENVIRONMENT, Runner
from slurm_tasks.sync.check_slurm import ASSOCIATIONS, findings
from slurm_tasks.sync.cluster import HeadNode, reconcile
from slurm_tasks.sync.collect import collect
from tests.support import meter
from tests.support.clusters import InjectedJob, RealCluster, wait_until

T = TypeVar("T")
LIMITS = {"cpu": 6000, "mem": 61_440_000, "gres/gpu": 60}
SEPTEMBER, OCTOBER = (month(text, ZoneInfo("UTC")) for text in ("2026-09", "2026-10"))


class CutError(Exception):
    """The process dies here."""


@dataclass
class Counting:
    """A runner that remembers what it ran, and can die before a command."""

    runner: Runner
    reads: list[str] = field(default_factory=list)
    writes: list[str] = field(default_factory=list)
    cut_before: int | None = None

    def read(self, command: Command[T]) -> T:
        """Run and remember a read."""
        self.reads.append(command.tool)
        return self.runner.read(command)

    def write(self, command: Write, inherit: tuple[int, ...] = ()) -> str:
        """Run and remember a write."""
        if self.cut_before == len(self.writes):
            raise CutError
        self.writes.append(" ".join(command.argv()))
        return self.runner.write(command, inherit)


@dataclass
class Lab:
    """A head node on a real cluster."""

    real: RealCluster
    counting: Counting
    node: HeadNode

    def go(self, *items: Desired, removable: frozenset[str] = frozenset()) -> list[Outcome]:
        """Reconcile and forget the counts of before."""
        self.counting.reads.clear()
        self.counting.writes.clear()
        request = ReconcileRequest(items=items, removable_users=removable)
        return list(reconcile(request, self.node).outcomes)


@pytest.fixture
def lab(slurm: RealCluster, tmp_path: Path) -> Iterator[Lab]:
    """Give a head node on each of the real clusters, empty."""
    runner = Runner(
        PurePosixPath(slurm.bin_dir),
        60,
        environment=ENVIRONMENT | {"PATH": "/usr/sbin:/usr/bin"},
    )
    counting = Counting(runner)
    rules = Rules(Prefixes("hpc_", "hpc_", "hpc_", 34), "waldur", "waldur")
    node = HeadNode(
        SlurmCluster(counting, slurm.cluster),
        lambda: lock.writer(tmp_path / "lock", None),
        rules,
    )
    yield Lab(slurm, counting, node)
    slurm.reset()


def desired(**fields: object) -> Desired:
    """Describe a new allocation of a new customer."""
    return Desired.model_validate(
        {
            "intent": Intent.CREATE,
            "resource": uuid.uuid4().hex,
            "title": "Genomics",
            "customer": Owner(uuid=uuid.uuid4().hex, title="University"),
            "project": Owner(uuid=uuid.uuid4().hex, title="Project"),
            "limits": LIMITS,
            "users": ("alice", "bob"),
            "paused": False,
            **fields,
        }
    )


def test_a_create_costs_two_reads_and_few_writes(lab: Lab) -> None:
    """4 writes with a new customer and project, 2 when they exist; later it only looks."""
    first = desired()
    assert lab.go(first)[0].status is Status.APPLIED
    assert (len(lab.counting.reads), len(lab.counting.writes)) == (2, 4)
    second = desired(customer=first.customer, project=first.project, users=("carol", "dave"))
    assert lab.go(second)[0].status is Status.APPLIED
    assert (len(lab.counting.reads), len(lab.counting.writes)) == (2, 2)
    assert [outcome.changes for outcome in lab.go(first, second)] == [(), ()]
    assert (len(lab.counting.reads), len(lab.counting.writes)) == (2, 0)


def test_everything_that_one_allocation_lives_through(lab: Lab) -> None:
    """Limits, members with a job, a blocked account, and the end: as planned, and read back."""
    new = desired()
    (made,) = lab.go(new)
    known = {"backend_id": made.account}
    update = new.model_copy(
        update={**known, "intent": Intent.UPDATE, "limits": {"cpu": 0, "mem": -1}, "users": None}
    )
    assert lab.go(update)[0].limits == {"cpu": 0, "gres/gpu": 60}

    lab.go(update.model_copy(update={"limits": {"cpu": 6000}}))
    job = lab.real.submit("alice", made.account, seconds=600)
    lab.real.wait_for_state(job, "RUNNING")
    members = new.model_copy(
        update={**known, "intent": Intent.MEMBERS, "users": ("bob", "carol"), "limits": None}
    )
    outcome = until_settled(lab, members, removable=frozenset({"alice", "bob"}))
    assert (outcome.status, outcome.users) == (Status.APPLIED, ("bob", "carol")), outcome.message

    end = new.model_copy(
        update={
            **known,
            "intent": Intent.TERMINATE,
            "limits": None,
            "users": None,
            "paused": None,
        }
    )
    lab.real.submit("bob", made.account, seconds=600)
    outcome = until_settled(lab, end)
    assert outcome.status is Status.APPLIED, outcome.message
    state = lab.node.cluster.read()
    assert (set(state.accounts), dict(state.bare)) == ({"root", "waldur"}, {})
    assert lab.go(end)[0].changes == ()


def until_settled(lab: Lab, item: Desired, removable: frozenset[str] = frozenset()) -> Outcome:
    """Reconcile until jobs have ended, as the task's retries do."""
    from slurm_tasks.demo.stack import wait_until

    outcomes: list[Outcome] = []

    def settled() -> bool:
        outcomes[:] = lab.go(item, removable=removable)
        return outcomes[0].status is not Status.DEFERRED

    wait_until(settled, "the jobs have ended", 60, step=0.5)
    return outcomes[0]


NASTY = [
    "",
    "x" * 1000,
    "a\"b'c",
    "two\nlines\tand\x00nul",
    "a|b,c=d",
    "-rf",
    "$(reboot)",
    "\u202eabc",
]


def test_nasty_titles_make_plain_accounts(lab: Lab) -> None:
    """Whatever an allocation is called, its account has a plain name and the right marker."""
    items = [desired(title=title, users=()) for title in NASTY]
    outcomes = lab.go(*items)
    assert {outcome.status for outcome in outcomes} == {Status.APPLIED}
    state = lab.node.cluster.read()
    for item, outcome in zip(items, outcomes, strict=True):
        assert len(outcome.account) <= 34
        marker = f"waldur:allocation:{item.resource}"
        assert state.accounts[outcome.account].description.startswith(marker)


def test_a_create_that_is_cut_anywhere_is_completed(lab: Lab) -> None:
    """Cut before any of its writes, the next run ends with the same account, made once."""
    for cut in range(4):
        item = desired()
        lab.counting.cut_before = cut
        with pytest.raises(CutError):
            lab.go(item)
        lab.counting.cut_before = None
        (outcome,) = lab.go(item)
        assert (outcome.status, outcome.users) == (Status.APPLIED, ("alice", "bob"))
        assert len(lab.counting.writes) == 4 - cut


def test_leavers_with_and_without_other_accounts_leave_together(lab: Lab) -> None:
    """Whose default has to move and whose last association goes: both leave in one go."""
    rules = replace(lab.node.rules, user_default=None)
    lab.node = replace(lab.node, rules=rules)
    item, other = desired(), desired(users=("alice",))
    made, _ = lab.go(item, other)
    members = item.model_copy(
        update={
            "intent": Intent.MEMBERS,
            "backend_id": made.account,
            "limits": None,
            "users": (),
            "paused": None,
        }
    )
    (outcome,) = lab.go(members, removable=frozenset({"alice", "bob"}))
    assert (outcome.status, outcome.users) == (Status.APPLIED, ()), outcome.message
    assert lab.node.cluster.defaults().get("alice") != made.account


def test_an_unknown_tres_is_named_and_others_go_on(lab: Lab) -> None:
    """A TRES that the cluster lacks refuses that allocation, by name; the next one is made."""
    bad, good = desired(limits={"cpu": 1, "gres/fpga": 1}), desired()
    refused, made = lab.go(bad, good)
    assert (refused.status, made.status) == (Status.REFUSED, Status.APPLIED)
    assert "gres/fpga" in refused.message


def test_somebody_elses_account_is_left_alone(lab: Lab) -> None:
    """A name that is taken is an error on that allocation, and the account stays as it was."""
    item = desired()
    (planned,) = reconcile(ReconcileRequest(items=(item,), dry_run=True), lab.node).outcomes
    lab.real.sacctmgr(
        "add", "account", f"name={planned.account}", "cluster=lab", "description=mine"
    )
    (outcome,) = lab.go(item)
    assert (outcome.status, lab.counting.writes) == (Status.REFUSED, [])
    assert lab.node.cluster.read().accounts[planned.account].description == "mine"


def test_two_hundred_allocations_cost_two_listings_and_one_sacct_each_month(lab: Lab) -> None:
    """Measuring costs commands by month, not by allocation; what jobs held is exact.

    26.05's slurmdbd is also asked what we may see: it doesn't tell its PrivateData.
    """
    names = [f"hpc_{number:05d}" for number in range(200)]
    lab.real.sacctmgr("add", "account", f"name={','.join(names)}", "cluster=lab", "parent=waldur")
    used = names[:3]
    lab.real.sacctmgr("add", "user", "name=alice", "cluster=lab", f"account={','.join(used)}")
    edge = OCTOBER.start
    lab.real.inject_jobs(
        [
            InjectedJob(used[0], "alice", edge - 100, edge + 50, "cpu=2,mem=1000M,node=1"),
            InjectedJob(
                used[1], "alice", edge + 10, edge + 20, "cpu=4,mem=1G,node=1", "REQUEUED", 7
            ),
            InjectedJob(used[1], "alice", edge + 30, edge + 60, "cpu=4,mem=1G,node=1", job_id=7),
        ]
    )
    lab.counting.reads.clear()
    accounts = {name: uuid.uuid4().hex for name in names}
    request = CollectRequest(accounts=accounts, periods=(SEPTEMBER, OCTOBER))
    (measured,) = collect(request, lab.node.cluster)
    asked = 4 if lab.real.release == "26.05" else 3
    assert lab.counting.reads == [*asked * ["sacctmgr"], "sacct", "sacct"]
    totals = {
        (row.account, usage.period.month): usage.total().get("cpu", 0)
        for row in measured.allocations
        for usage in row.usage
    }
    assert totals[used[0], SEPTEMBER.month] == 2 * 100
    assert totals[used[0], OCTOBER.month] == 2 * 50
    assert totals[used[1], OCTOBER.month] == 4 * (10 + 30)
    assert sum(totals.values()) == 2 * 150 + 4 * 40


def test_a_month_that_slurmdbd_has_purged_is_not_measured(lab: Lab) -> None:
    """It is named instead; the months that it still holds are measured."""
    utc = ZoneInfo("UTC")
    held = previous(month_of(datetime.now(UTC), utc), utc)
    gone = previous(held, utc)
    lab.real.sacctmgr("add", "account", "name=hpc_1", "cluster=lab", "parent=waldur")
    lab.real.sacctmgr("add", "user", "name=alice", "cluster=lab", "account=hpc_1")
    lab.real.inject_jobs([InjectedJob("hpc_1", "alice", held.start, held.start + 60, "cpu=2")])
    request = CollectRequest(accounts={"hpc_1": uuid.uuid4().hex}, periods=(gone, held))

    with lab.real.slurmdbd_options("PurgeJobAfter=1month"):
        (measured,) = collect(request, lab.node.cluster)

    assert measured.purged == (gone.month,)
    [[usage]] = [row.usage for row in measured.allocations]
    assert (usage.period, usage.total()) == (held, {"cpu": 120})


def test_the_runner_says_when_slurm_is_away(lab: Lab) -> None:
    """With slurmdbd stopped nothing is taken for empty: the read fails, and later it works."""
    from slurm_tasks.errors import CommandError

    lab.real.stop("slurmdbd")
    try:
        with pytest.raises(CommandError):
            lab.go(desired())
    finally:
        lab.real.start("slurmdbd")
    assert lab.go(desired())[0].status is Status.APPLIED


@contextmanager
def unregistered(cluster: RealCluster) -> Iterator[None]:
    """Have slurmdbd anew, and slurmctld not yet registered with it, for the length of a block."""
    cluster.stop("slurmdbd")
    controller = cluster.pid("slurmctld")
    os.kill(controller, signal.SIGSTOP)
    with ThreadPoolExecutor(1) as pool:
        started = pool.submit(cluster.start, "slurmdbd")  # it waits for slurmctld as well
        try:
            listing = ("show", "cluster")
            wait_until(
                lambda: cluster.run("sacctmgr", *listing, check=False).returncode == 0,
                30,
                lambda: "slurmdbd to answer",
            )
            yield
        finally:
            os.kill(controller, signal.SIGCONT)
        started.result()


@pytest.mark.parametrize("slurm", ["24.11", "26.05"], indirect=True)
def test_check_and_sync_tell_what_slurmctld_was_never_told(lab: Lab) -> None:
    """An account of slurmdbd's of which slurmctld learns nothing by itself; and the way out."""
    new = desired()

    def associations() -> Finding:
        (found,) = (f for f in findings(lab.node, CheckRequest()) if f.what == ASSOCIATIONS)
        return found

    def differing() -> float | None:
        assert [outcome.changes for outcome in lab.go(new)] == [()]
        return meter.read("associations_differing", cluster=lab.real.cluster)

    assert associations().verdict is Verdict.OK
    with unregistered(lab.real):
        (done,) = lab.go(new)
    assert done.status is Status.APPLIED
    assert associations().verdict is Verdict.FAILED
    assert f"{done.account}/alice" in associations().message
    assert differing() == 3
    lab.real.run("scontrol", "reconfigure")
    wait_until(lambda: associations().verdict is Verdict.OK, 30, lambda: associations().message)
    assert differing() == 0
    lab.real.submit("alice", done.account, seconds=0)
