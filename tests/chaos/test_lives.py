"""Random lives: whatever people, jobs and faults there were, both sides agree in the end."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

import pytest
import stamina
import time_machine
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test

from slurm_tasks.demo.waldur.records import OrderType, Resource, ResourceState
from slurm_tasks.model.messages import Intent, Status
from slurm_tasks.model.names import allocation_name
from slurm_tasks.sync import members
from slurm_tasks.waldur import transport
from slurm_tasks.waldur.client import OPEN_ORDERS
from tests.chaos import process, test_slurm, test_waldur
from tests.chaos.schedule import CYCLE, attempt, converge, cycle
from tests.chaos.stories import IMPOSSIBLE, MORE
from tests.support.agreement import Ends
from tests.support.chaos import Chaos
from tests.support.effects import watch
from tests.support.servers import EACH
from tests.support.world import PREFIXES, World

T = TypeVar("T")
PEOPLE = ("alice", "bob", "carol", "dave")
USERNAMES = st.sampled_from(["", "{}", "{}2", "{}.Smith", "Dr. {}!"])
"""What somebody's username may be, by the name."""
LIMITS_ORDERED: st.SearchStrategy[tuple[dict[str, int], str]] = st.sampled_from(
    [
        (MORE, ""),
        ({"cpu": 0, "gres/gpu": 0}, ""),
        ({"cpu": 1, "gres/gpu": 10**6}, ""),
        (IMPOSSIBLE, "-5"),
    ]
)
"""Limits, and what their refusal names."""
FLOWS: dict[str, Callable[[World], object]] = {
    "orders": World.sync_orders,
    "members": World.sync_members,
    "usage": World.report_usage,
    "all": cycle,
}
WALDUR_FAULTS = sorted(set(test_waldur.FAULTS) - {"timeout"})
"""A timeout takes its time."""
COMMANDS = st.sampled_from(["", "show", "withassoc", "add", "modify", "remove"])
NUMBERS = st.integers(0, 9)
"""Choose one of what there is."""


class Lives(RuleBasedStateMachine):
    """What may happen to a world.

    Attributes:
        world: it.
        clock: its time.
        chaos: notes how it ended.
    """

    def __init__(self, server: str, chaos: Chaos) -> None:
        super().__init__()
        self.chaos = chaos
        self._parts = ExitStack()
        begin = datetime(2025, 3, 15, 12, tzinfo=UTC)
        self._parts.enter_context(stamina.set_testing(True, attempts=transport.ATTEMPTS))
        self.clock = self._parts.enter_context(time_machine.travel(begin))
        folder = self._parts.enter_context(tempfile.TemporaryDirectory())
        self.world = self._parts.enter_context(World.started(server, Path(folder)))
        watch(self.world.slurm)
        self.projects = [
            self.world.project,
            self.world.waldur.add_project(self.world.customer, "Climate"),
            self.world.waldur.add_project(self.world.waldur.add_customer("Institute"), "Genomics"),
        ]
        for name, project in zip(PEOPLE, [*self.projects, self.projects[0]], strict=True):
            self.join(name, 0, "{}")
            self.world.allocated(name, project)
        self._refused: dict[str, str] = {}
        self._foreign: set[str] = set()

    # ---- orders

    @rule(project=NUMBERS, ordered=LIMITS_ORDERED)
    def order(self, project: int, ordered: tuple[dict[str, int], str]) -> None:
        """Order an allocation."""
        limits, refused = ordered
        order = self.world.order("Same name", limits, self.projects[project % len(self.projects)])
        if refused:
            self._refused[order] = refused

    @rule(number=NUMBERS, ordered=LIMITS_ORDERED)
    def update(self, number: int, ordered: tuple[dict[str, int], str]) -> None:
        """Order other limits."""
        limits, refused = ordered
        for resource in self._orderable(number, ResourceState.OK):
            if limits != resource.limits:
                order = self.world.waldur.order_update(resource.uuid, limits)
                if refused:
                    self._refused[order] = refused

    @rule(number=NUMBERS)
    def terminate(self, number: int) -> None:
        """Order the end of an allocation, or of one that never was."""
        for resource in self._orderable(number, ResourceState.OK, ResourceState.ERRED):
            self.world.waldur.order_terminate(resource.uuid)

    @rule(number=NUMBERS)
    def restore(self, number: int) -> None:
        """Order an allocation back that has ended."""
        for resource in self._orderable(number, ResourceState.TERMINATED):
            if resource.backend_id:
                self.world.waldur.order_restore(resource.uuid)

    def _orderable(self, number: int, *states: ResourceState) -> Sequence[Resource]:
        """Choose a resource in one of some states that no order is open for, if there is any."""
        database = self.world.waldur._db
        found = [r for r in database.resources.values() if r.state in states]
        return _one([r for r in found if not database.active_order(r)], number)

    @rule(number=NUMBERS)
    def occupy(self, number: int) -> None:
        """Make an account of somebody else's, with the name that an allocation is to get."""
        orders = self.world.waldur._db.orders.values()
        creations = [o for o in orders if o.type == OrderType.CREATE and o.state in OPEN_ORDERS]
        for order in _one(creations, number):
            name = allocation_name(PREFIXES, order.resource.uuid, order.resource.name)
            taken = {*self.world.slurm.accounts(), order.resource.backend_id}
            if name not in taken:
                words = ("add", "account", f"name={name}", "cluster=lab", "parent=root")
                self.world.slurm.set_faults()
                self.world.slurm.run(
                    "sacctmgr", "--immediate", *words, "description=theirs", "organization=theirs"
                )
                self._foreign.add(name)
                self._refused.setdefault(order.uuid, name)

    # ---- people and jobs

    @rule(name=st.sampled_from(PEOPLE), project=NUMBERS, username=USERNAMES)
    def join(self, name: str, project: int, username: str) -> None:
        """Let somebody join a project, with a username or without one yet, or get another."""
        self._know(name)
        user = self.world.waldur.user(name)
        where = self.projects[project % len(self.projects)]
        if user not in self.world.waldur._db.members[where.uuid]:
            self.world.waldur.add_member(where, user)
        self.world.waldur.set_username(user, username.format(name))

    @rule(name=st.sampled_from(PEOPLE), project=NUMBERS)
    def leave(self, name: str, project: int) -> None:
        """Let somebody leave a project."""
        self._know(name)
        user = self.world.waldur.user(name)
        where = self.projects[project % len(self.projects)]
        if user in self.world.waldur._db.members[where.uuid]:
            self.world.waldur.remove_member(where, user)

    def _know(self, name: str) -> None:
        if name not in {user.username for user in self.world.waldur._db.users.values()}:
            self.world.waldur.add_user(name)

    @rule(number=NUMBERS, who=NUMBERS, hours=st.sampled_from([None, 1]))
    def job(self, number: int, who: int, hours: int | None) -> None:
        """Begin a job: it runs until it is ended, or has already run."""
        accounts = self.world.slurm.accounts()
        resources = self.world.waldur._db.resources.values()
        for resource in _one([r for r in resources if r.backend_id in accounts], number):
            account = accounts[resource.backend_id]
            for user in _one(sorted(account.users), who):
                state = "COMPLETED" if hours else "RUNNING"
                start = datetime.now(UTC).timestamp() - 3600 * (hours or 0)
                elapsed = 3600 * hours if hours else None
                held = {"cpu": 2, "mem": 1024}
                self.world.slurm.add_job(
                    resource.backend_id, user, start, elapsed, held, state=state
                )

    @rule()
    def jobs_end(self) -> None:
        """End all jobs."""
        with self.world.slurm._connected() as connection:
            connection.execute(
                "UPDATE job SET state = 'COMPLETED', end = ? WHERE state = 'RUNNING'",
                [int(datetime.now(UTC).timestamp())],
            )

    # ---- faults

    @rule(name=st.sampled_from(WALDUR_FAULTS), after=st.integers(0, 12), times=st.integers(1, 4))
    def waldur_fails(self, name: str, after: int, times: int) -> None:
        """Let Waldur fail, soon."""
        test_waldur.add(self.world, test_waldur.FAULTS[name], after=after, times=times)

    @rule(name=st.sampled_from(sorted(test_slurm.FAULTS)), argv=COMMANDS)
    def slurm_fails(self, name: str, argv: str) -> None:
        """Let a command of SLURM fail, soon."""
        fault = replace(test_slurm.FAULTS[name], argv=argv, times=1)
        self.world.slurm.set_faults(fault)

    @rule(name=st.sampled_from(sorted(FLOWS)), last=st.integers(1, 40), after=st.booleans())
    def killed(self, name: str, last: int, after: bool) -> None:
        """Let a process die in the middle of something."""
        flow = FLOWS[name]
        process.run(
            self.world,
            lambda own: attempt(lambda: flow(own)),
            last,
            after=after,
            certain=False,
        )

    # ---- the service

    @rule(name=st.sampled_from(sorted(FLOWS)))
    def flow(self, name: str) -> None:
        """Let a part of the schedule come by."""
        attempt(lambda: FLOWS[name](self.world))
        self.clock.shift(CYCLE)

    @rule()
    def everything(self) -> None:
        """Let all of the schedule come by."""
        self.flow("all")

    def teardown(self) -> None:
        """Stop all faults, let the schedule run, and compare both sides."""
        try:
            with self.chaos.run("random", f"random lives, {self.world.server}") as run:
                self.world.slurm.set_faults()
                self.world.waldur.faults.clear()
                self.jobs_end()
                self._let_pass()
                ends = Ends(
                    refused=self._refused,
                    foreign=frozenset(self._foreign),
                )
                converge(self.world, self.clock, run, ends)
        finally:
            self._parts.close()

    def _let_pass(self) -> None:
        """Let an operator allow what the guard has stopped."""
        self.world.sync_orders()
        report = self.world.sync_members()
        if any(outcome.status is Status.STOPPED for outcome in report.outcomes):
            request = members.request(self.world.control, intent=Intent.UPDATE)
            self.world._reconcile(request.model_copy(update={"allow_removals": 100}))


def _one(found: Sequence[T], number: int) -> Sequence[T]:
    """Choose one of what there is, if there is any."""
    return [found[number % len(found)]] if found else []


@pytest.mark.parametrize("server", EACH)
def test_lives(server: str, chaos: Chaos) -> None:
    """Both sides agree after anything."""
    chosen = settings(
        max_examples=60 if chaos.long else 12,
        stateful_step_count=40 if chaos.long else 30,
        derandomize=not chaos.long,
        deadline=None,
        database=None,
        phases=(Phase.generate,),
        report_multiple_bugs=False,
        suppress_health_check=list(HealthCheck),
        print_blob=True,
    )

    class Begun(Lives):
        def __init__(self) -> None:
            super().__init__(server, chaos)

    run_state_machine_as_test(Begun, settings=chosen)
