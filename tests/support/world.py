"""A whole world in one process: a Waldur, a cluster, and both sides of the service between them.

The flows run as the tasks run them, without Celery: what would cross the broker is turned into
JSON and back.
"""

from __future__ import annotations

import io
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from subprocess import Popen
from typing import IO, Any, cast
from unittest.mock import patch
from zoneinfo import ZoneInfo

from pydantic import SecretStr

from slurm_tasks.demo.slurm import Account, SlurmSimulator
from slurm_tasks.demo.slurm.engine.main import main as simulated_command
from slurm_tasks.demo.waldur import (
    Component,
    Customer,
    Project,
    Request,
    Role,
    User,
    WaldurSimulator,
)
from slurm_tasks.errors import SlurmTasksError
from slurm_tasks.model import components as tres_components
from slurm_tasks.model.messages import (
    CollectRequest,
    Intent,
    Measurement,
    ReconcileReport,
    ReconcileRequest,
)
from slurm_tasks.model.names import Kind, Prefixes, owner_name
from slurm_tasks.model.plan import Rules
from slurm_tasks.settings import Waldur as Settings
from slurm_tasks.slurm.cluster import SlurmCluster
from slurm_tasks.slurm.lock import writer
from slurm_tasks.slurm.runner import ENVIRONMENT, Runner
from slurm_tasks.sync import cluster, components, members, mending, orders, usage
from slurm_tasks.sync.cluster import HeadNode
from slurm_tasks.sync.collect import collect
from slurm_tasks.sync.control import Control
from slurm_tasks.waldur.client import Client
from tests.support import servers

UTC = ZoneInfo("UTC")
PREFIXES = Prefixes("hpc_", "hpc_", "hpc_", 34)
RULES = Rules(PREFIXES, root="waldur", user_default="waldur")
LIMITS = {"cpu": 100, "gres/gpu": 5}
"""What orders ask for, in hours."""
TRES_MINUTES = {"cpu": 6000, "gres/gpu": 300, "mem": 40000 * 61440}
"""The same on the cluster, and the configuration's limit of the usage-based component."""
CONFIGURATION = """
cpu: {limit: null, measured_unit: CPU-hours, accounting_type: limit, label: CPU, unit_factor: 60}
mem: {limit: 40000, measured_unit: GB-hours, accounting_type: usage, label: RAM, unit_factor: 61440}
gres/gpu: {limit: null, measured_unit: GPU-hours, accounting_type: limit, label: GPU,
           unit_factor: 60}
"""
OFFERED = (
    Component("cpu", "CPU", "CPU-hours", unit_factor=60),
    Component("mem", "RAM", "GB-hours", "usage", 61440, "month", limit_amount=40000),
    Component("gres/gpu", "GPU", "GPU-hours", unit_factor=60),
)


@dataclass
class Ended:
    """What a process looks like that has ended."""

    stdout: io.StringIO
    code: int

    def poll(self) -> int:
        """Return its exit code."""
        return self.code

    def wait(self) -> int:
        """Return its exit code."""
        return self.code


@dataclass(frozen=True)
class SwiftRunner(Runner):
    """A runner that calls the simulated commands within this process: 1 ms, not 70.

    Everything but the start of the process is the runner's own. Faults that hang or die by a
    signal would do so to the test.
    """

    def _start(self, argv: list[str], errors: IO[str], inherit: Sequence[int]) -> Popen[str]:
        for descriptor in inherit:
            os.fstat(descriptor)  # it is open, so that a process could inherit it
        program = Path(argv[0])
        database = program.parent.parent / "state.db"
        out = io.StringIO()
        with patch.dict(os.environ, self.environment, clear=True):
            time.tzset()
            with redirect_stdout(out), redirect_stderr(errors):
                code = simulated_command(program.name, str(database), argv[1:])
        time.tzset()
        out.seek(0)
        return cast("Popen[str]", Ended(out, code))


@dataclass
class World:
    """Both simulators, both sides of the service, and a project of one customer.

    Attributes:
        server: which Waldur it is, as it was started by.
        waldur: Waldur, where people act.
        slurm: the cluster.
        control: the control side.
        node: the head node's side.
        customer: who orders.
        project: what for.
    """

    server: str
    waldur: WaldurSimulator
    slurm: SlurmSimulator
    control: Control
    node: HeadNode
    customer: Customer
    project: Project

    @classmethod
    @contextmanager
    def started(
        cls, server: str, folder: Path, *, release: str = "22.05", swift: bool = True
    ) -> Iterator[World]:
        """Start a world; alice and bob are the project's members.

        Args:
            server: Waldur's generation, "a" or "b", or a version of B such as "7.9.3".
            folder: of the cluster.
            release: SLURM's.
            swift: whether commands are called rather than started.
        """
        slurm = SlurmSimulator.create(folder / "slurm", release=release)
        with servers.simulator(server, OFFERED) as waldur:
            customer = waldur.add_customer("Northern University")
            project = waldur.add_project(customer, "Genomics")
            control = _control(Client(settings_for(waldur)))
            runner = (SwiftRunner if swift else Runner)(
                PurePosixPath(slurm.bin_dir), 30, environment=ENVIRONMENT
            )
            node = HeadNode(
                cluster=SlurmCluster(runner, slurm.cluster),
                lock=lambda: writer(folder / "writer.lock", None),
                rules=RULES,
            )
            world = cls(server, waldur, slurm, control, node, customer, project)
            for name in ("alice", "bob"):
                world.join(name)
            try:
                yield world
            finally:
                control.waldur.close()

    def configure(self, **choices: object) -> None:
        """Change what the site decides on the control side."""
        self.control = replace(self.control, **cast("Any", choices))

    def act_as(self, role: Role) -> None:
        """Let the service have the token of somebody with another role in Waldur."""
        token = SecretStr(self.waldur.token_of(role))
        settings = settings_for(self.waldur).model_copy(update={"api_token": token})
        self.control.waldur.close()
        self.configure(waldur=Client(settings))

    def slurmctl(self, tool: str, *args: str, user: str = "root") -> None:
        """Do something on the cluster that is none of the service's doing.

        Raises:
            AssertionError: SLURM refuses it.
        """
        done = self.slurm.run(tool, *args, user=user)
        assert done.returncode == 0, done
        self.slurm.clear_commands()

    # ---- people

    def join(self, name: str, username: str | None = None, project: Project | None = None) -> User:
        """Make a person a member of a project, with a username on the cluster."""
        user = self.waldur.add_user(name)
        self.waldur.add_member(project or self.project, user)
        self.waldur.set_username(user, name if username is None else username)
        return user

    def leave(self, name: str) -> None:
        """End a person's membership."""
        self.waldur.remove_member(self.project, self.waldur.user(name))

    # ---- orders

    def order(
        self,
        name: str = "Genomics 2026",
        limits: Mapping[str, object] | None = None,
        project: Project | None = None,
    ) -> str:
        """Order an allocation; return the order's uuid."""
        wanted = LIMITS if limits is None else cast("Mapping[str, int]", limits)
        return self.waldur.order_create(project or self.project, name, wanted)

    def resource_of(self, order: str) -> str:
        """Return the uuid of the resource that an order is about."""
        return str(self.waldur.order(order)["marketplace_resource_uuid"])

    def allocated(self, name: str = "Genomics 2026", project: Project | None = None) -> str:
        """Order an allocation and have it made; return the resource's uuid."""
        order = self.order(name, project=project)
        self.carry_out(order)
        assert self.waldur.order(order)["state"] == "done"
        return self.resource_of(order)

    def carry_out(self, order: str) -> str:
        """Carry out one order, as its three tasks do; return what became of it."""
        desired = orders.prepare(self.control, order)
        if isinstance(desired, str):
            return desired
        request = ReconcileRequest(items=(desired,), dry_run=self.control.read_only)
        (outcome,) = self._reconcile(request).outcomes
        return orders.complete(self.control, outcome)

    def sync_orders(self) -> dict[str, str]:
        """Carry out the orders that wait; one that fails doesn't stop the others.

        Returns:
            What became of each, by its uuid.
        """
        results = {}
        for order in orders.waiting(self.control):
            try:
                results[order.uuid] = self.carry_out(order.uuid)
            except SlurmTasksError as error:
                results[order.uuid] = f"failed: {error}"
        mending.mend(self.control)
        return results

    # ---- the other flows

    def sync_members(self) -> ReconcileReport:
        """Synchronise the users of every allocation, as its three tasks do."""
        report = self._reconcile(members.request(self.control))
        members.push(self.control, report)
        return report

    def plan(self) -> ReconcileReport:
        """Plan everything, as `slurm-tasks plan` does."""
        request = members.request(self.control, intent=Intent.UPDATE, dry_run=True)
        return self._reconcile(request)

    def collect(self) -> list[Measurement]:
        """Measure every allocation."""
        request = CollectRequest.model_validate(usage.request(self.control).dump())
        found = collect(request, self.node.cluster)
        return [Measurement.model_validate(measurement.dump()) for measurement in found]

    def report_usage(self) -> list[usage.PushReport]:
        """Report usage, limits and associations, as its three tasks do."""
        return [usage.push(self.control, measurement) for measurement in self.collect()]

    def load_components(self) -> components.LoadReport:
        """Send the TRES configuration."""
        return components.load(self.control)

    def _reconcile(self, request: ReconcileRequest) -> ReconcileReport:
        sent = ReconcileRequest.model_validate(request.dump())
        return ReconcileReport.model_validate(cluster.reconcile(sent, self.node).dump())

    # ---- what can be seen

    def account(self, resource: str) -> Account:
        """Return the account that Waldur names for a resource."""
        return self.slurm.accounts()[self.backend_id(resource)]

    def backend_id(self, resource: str) -> str:
        """Return the name of a resource's account, as Waldur has it."""
        return str(self.waldur.resource(resource)["backend_id"])

    def owner_account(self, owner: Customer | Project | None = None) -> str:
        """Return the name of the account of a customer or a project (that of `project`)."""
        owner = owner or self.project
        kind = Kind.CUSTOMER if isinstance(owner, Customer) else Kind.PROJECT
        return owner_name(PREFIXES, kind, owner.uuid)

    def order_state(self, order: str) -> str:
        """Return the state of an order."""
        return str(self.waldur.order(order)["state"])

    def resource_state(self, resource: str) -> str:
        """Return the state of a resource."""
        return str(self.waldur.resource(resource)["state"])

    def reads(self) -> list[tuple[str, ...]]:
        """Return the commands that only read, since `forget`."""
        return [c.argv for c in self.slurm.commands() if not (c.writes or c.tool == "scancel")]

    def writes(self) -> list[tuple[str, ...]]:
        """Return the commands that change the cluster or its jobs, since `forget`."""
        return [c.argv for c in self.slurm.commands() if c.writes or c.tool == "scancel"]

    def posts(self) -> list[Request]:
        """Return the requests that could change something in Waldur, since `forget`."""
        return self.waldur.posts()

    def forget(self) -> None:
        """Count commands and requests from now on."""
        self.slurm.clear_commands()
        self.waldur.requests.clear()

    def unchanged(self) -> bool:
        """Tell whether nothing was written to either side since `forget`."""
        return not self.writes() and not self.posts()


def settings_for(waldur: WaldurSimulator, timeout: float = 30) -> Settings:
    """Return the control side's settings; the simulator speaks plain HTTP."""
    return Settings(
        api_url=waldur.url,
        api_token=SecretStr(waldur.token),
        offering_uuid=waldur.offering_uuid,
        verify_ssl=False,
        timeout=timeout,
    )


def _control(client: Client) -> Control:
    return Control(client, tres_components.parse(CONFIGURATION, "the test's configuration"), UTC)
