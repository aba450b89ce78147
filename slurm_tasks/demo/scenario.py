"""The demo's story: researchers order, jobs run, limits and people change, an allocation ends."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from functools import partial
from typing import Any

from slurm_tasks.demo.cleanup import Ordered
from slurm_tasks.demo.clusters import DemoCluster
from slurm_tasks.demo.stack import wait_until
from slurm_tasks.demo.waldur import WaldurSimulator
from slurm_tasks.demo.waldur.values import Project, User
from slurm_tasks.model.cluster import Cluster
from slurm_tasks.model.components import Components, amounts, resource_limits
from slurm_tasks.sync.cluster import HeadNode

PATIENCE = 45.0
JOB_SECONDS = 6


class DisagreementError(Exception):
    """Waldur and SLURM don't hold the same in the end."""


@dataclass
class Scenario:
    """One run of the story.

    Attributes:
        waldur: the simulated Waldur, where researchers act.
        cluster: where jobs run.
        headnode: reads the cluster, to compare.
        components: the TRES configuration.
        users: Unix usernames of three researchers.
        step: shows what is being waited for, and how it ended.
        ordered: every allocation that was ordered, whatever became of it.
    """

    waldur: WaldurSimulator
    cluster: DemoCluster
    headnode: HeadNode
    components: Components
    users: tuple[str, str, str]
    step: "Step"
    resources: dict[str, str] = field(default_factory=dict)
    people: dict[str, User] = field(default_factory=dict)
    teams: dict[str, set[str]] = field(default_factory=dict)
    ordered: list[Ordered] = field(default_factory=list)

    def run(self) -> None:
        """Tell the story; every step waits until both sides show its effect.

        Raises:
            StackError: an effect doesn't show in time.
        """
        genomics, climate = self._projects()
        first, second, third = self.users
        self._create("Genomics 2026", genomics, {"cpu": 2000, "gres/gpu": 40})
        self._create("Climate model", climate, {"cpu": 500, "gres/gpu": 0})
        self._refused(climate)
        with self.step(f"{first}, {second} and {third} submit jobs"):
            self._job(first, "Genomics 2026", cpus=8)
            self._job(second, "Genomics 2026", cpus=4)
            self._job(third, "Climate model", cpus=16)
        with self.step("their usage appears in Waldur") as told:
            for name in self.resources:
                wait_until(partial(self._posted, name), f"usage of {name}", PATIENCE)
            told(", ".join(f"{name}: {self._cpu(name)} CPU-hours" for name in self.resources))
        self._update("Genomics 2026", {"cpu": 3000, "gres/gpu": 60})
        self._people_change(genomics, first, second, third)
        with self.step(f"{third} submits a job that would run for an hour"):
            self._job(third, "Climate model", cpus=2, seconds=3600)
        self._terminate("Climate model")
        with self.step("the last usage settles"):
            wait_until(lambda: not self.disagreements(), "Waldur and SLURM agree", PATIENCE, 0.5)

    def _projects(self) -> tuple[Project, Project]:
        with self.step("Northern University opens two projects") as told:
            customer = self.waldur.add_customer("Northern University")
            genomics = self.waldur.add_project(customer, "Genomics")
            climate = self.waldur.add_project(customer, "Climate")
            teams = ((genomics, self.users[:2]), (climate, self.users[2:]))
            for project, members in teams:
                for name in members:
                    self.people[name] = self.waldur.add_user(name)
                    self.waldur.set_username(self.people[name], name)
                    self._join(project, name)
            told(f"Genomics: {', '.join(self.users[:2])}; Climate: {self.users[2]}")
        return genomics, climate

    def _join(self, project: Project, name: str) -> None:
        self.waldur.add_member(project, self.people[name])
        self.teams.setdefault(project.uuid, set()).add(name)

    def _create(self, name: str, project: Project, limits: Mapping[str, int]) -> None:
        with self.step(f"order: allocation {name!r} with {_listed(limits)}") as told:
            order = self._order(project, name, limits)
            self._until(order, "done")
            self.resources[name] = self.waldur.order(order)["marketplace_resource_uuid"]
            told(f"done: account {self._account(name)}")

    def _order(self, project: Project, name: str, limits: Mapping[str, int]) -> str:
        order = self.waldur.order_create(project, name, limits)
        row = self.waldur.order(order)
        uuids = ("marketplace_resource_uuid", "project_uuid", "customer_uuid")
        self.ordered.append(Ordered(*(row[name] for name in uuids)))
        return order

    def _refused(self, project: Project) -> None:
        with self.step("order: an allocation with -5 CPU-hours") as told:
            order = self._order(project, "Impossible", {"cpu": -5, "gres/gpu": 0})
            self._until(order, "erred")
            told(f"refused: {self.waldur.order(order)['error_message']}")

    def _update(self, name: str, limits: Mapping[str, int]) -> None:
        with self.step(f"order: change {name!r} to {_listed(limits)}") as told:
            order = self.waldur.order_update(self.resources[name], limits)
            self._until(order, "done")
            shown = self._state().accounts[self._account(name)].limits
            told(f"done: GrpTRESMins {_listed(shown)}")

    def _people_change(self, project: Project, stays: str, leaves: str, joins: str) -> None:
        with self.step(f"{leaves} leaves Genomics, {joins} joins it") as told:
            self.waldur.remove_member(project, self.people[leaves])
            self.teams[project.uuid].discard(leaves)
            self._join(project, joins)
            account = self._account("Genomics 2026")
            wanted = {stays, joins}
            wait_until(
                lambda: self._state().accounts[account].users == wanted,
                f"{account} has the users {wanted}",
                PATIENCE,
                0.5,
            )
            told(f"{account}: {', '.join(sorted(wanted))}")

    def _terminate(self, name: str) -> None:
        with self.step(f"order: terminate {name!r}") as told:
            account = self._account(name)
            order = self.waldur.order_terminate(self.resources[name])
            self._until(order, "done")
            told(f"done: jobs cancelled, {account} removed, last usage {self._cpu(name)} CPU-hours")

    def end(self) -> None:
        """Terminate what still runs, so that a real cluster is left as it was."""
        for name, resource in self.resources.items():
            if self.waldur.resource(resource)["state"] != "Terminated":
                self._terminate(name)

    def _until(self, order: str, state: str) -> None:
        def reached() -> bool:
            now = self.waldur.order(order)
            if now["state"] == "erred" != state:
                raise DisagreementError(f"an order erred: {now['error_message']}")
            return bool(now["state"] == state)

        wait_until(reached, f"order {order} is {state}", PATIENCE)

    def _job(self, user: str, name: str, cpus: int, seconds: int = JOB_SECONDS) -> None:
        self.cluster.start_job(user, self._account(name), cpus, seconds)

    def _account(self, name: str) -> str:
        return str(self.waldur.resource(self.resources[name])["backend_id"])

    def _state(self) -> Cluster:
        return self.headnode.cluster.read()

    def _posted(self, name: str) -> bool:
        return any(self.waldur.usages(self.resources[name]).values())

    def _cpu(self, name: str) -> Decimal:
        usages = self.waldur.usages(self.resources[name])
        return sum((value for (kind, _), value in usages.items() if kind == "cpu"), Decimal())

    def comparison(self) -> Iterator[tuple[str, str, Any, Any]]:
        """Yield what both sides hold: allocation, what, in Waldur, in SLURM."""
        from datetime import UTC, datetime
        from zoneinfo import ZoneInfo

        from slurm_tasks.model.usage import month_of

        state = self._state()
        period = month_of(datetime.now(UTC), ZoneInfo("UTC"))
        names = tuple(self._account(name) for name in self.resources)
        measured = self.headnode.cluster.usage(period, names)
        for name, uuid in self.resources.items():
            resource = self.waldur.resource(uuid)
            account = state.get(resource["backend_id"])
            live = resource["state"] != "Terminated"
            yield (
                name,
                "account",
                resource["backend_id"] if live else None,
                account and account.name,
            )
            if live and account:
                limits = resource_limits(self.components, account.limits)
                yield name, "limits", resource["limits"], limits
                team = self.teams[resource["project_uuid"]]
                yield name, "users", sorted(team), sorted(account.users)
            used = amounts(self.components, measured[resource["backend_id"]].total())
            posted = self.waldur.usages(uuid)
            yield (
                name,
                f"usage {period.month}",
                {kind: str(posted.get((kind, f"{period.month}-01"), "0.00")) for kind in used},
                {kind: str(value) for kind, value in used.items()},
            )

    def disagreements(self) -> list[tuple[str, str, Any, Any]]:
        """Return where the two sides differ."""
        return [row for row in self.comparison() if row[2] != row[3]]


Tell = Callable[[str], None]


class Step:
    """Shows steps: what is waited for while it lasts, and how it ended.

    Args:
        begin: called with a step's title when it begins.
        done: called with its title, what came out, and how many seconds it took.
    """

    def __init__(
        self, begin: Callable[[str], None], done: Callable[[str, str, float], None]
    ) -> None:
        self._begin, self._done = begin, done

    @contextmanager
    def __call__(self, title: str) -> Iterator[Tell]:
        """Show one step; the value tells what came out of it."""
        import time

        came_out: list[str] = []
        began = time.monotonic()
        self._begin(title)
        yield came_out.append
        self._done(title, "; ".join(came_out), time.monotonic() - began)


def _listed(amounts: Mapping[str, object]) -> str:
    return ", ".join(f"{name}={value}" for name, value in amounts.items())
