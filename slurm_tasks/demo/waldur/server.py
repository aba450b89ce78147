"""The simulator: a Waldur with one SLURM offering, served over HTTP from a thread."""

import socket
import threading
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from datetime import date, datetime
from decimal import Decimal
from types import TracebackType
from typing import Self

from slurm_tasks.demo.waldur import orders
from slurm_tasks.demo.waldur.app import Api
from slurm_tasks.demo.waldur.consumer import Consumer
from slurm_tasks.demo.waldur.database import Clock, Database, utc_now
from slurm_tasks.demo.waldur.faults import Faults
from slurm_tasks.demo.waldur.records import AllocationState, OrderState, ResourceState
from slurm_tasks.demo.waldur.serving import HttpThread
from slurm_tasks.demo.waldur.shapes import order_row
from slurm_tasks.demo.waldur.shapes_resources import resource_row
from slurm_tasks.demo.waldur.switches import Switches
from slurm_tasks.demo.waldur.values import (
    DEFAULT_COMPONENTS,
    Component,
    Customer,
    Generation,
    Json,
    Project,
    Request,
    Role,
    User,
)
from slurm_tasks.demo.waldur.versions import Feature, server
from slurm_tasks.demo.waldur.wire import Wire

_PEOPLE = (
    ("staff", "Stella Staff", Role.STAFF),
    ("provider", "Prov Owner", Role.PROVIDER),
    ("provmanager", "Petra Manager", Role.PROVIDER_MANAGER),
    ("offmanager", "Otto Manager", Role.MANAGER),
    ("custowner", "Carl Owner", Role.CUSTOMER),
    ("padmin", "Peter Admin", Role.ADMIN),
)


class WaldurSimulator:
    """A Waldur of either generation: a context manager, ready when it is entered.

    Args:
        generation: "a" is a server of October 2024, "b" a newer one.
        components: What the offering bills at the start.
        port: The port on 127.0.0.1; 0 takes a free one.
        job_delay: Seconds until the server's own Celery has processed an approval.
        version: The server's version (see `versions`), such as "7.9.3".
    """

    def __init__(
        self,
        generation: Generation = "b",
        components: Iterable[Component] = DEFAULT_COMPONENTS,
        *,
        port: int = 0,
        job_delay: float = 0.2,
        version: str | None = None,
    ) -> None:
        self._db = Database(server(generation, version), components, job_delay)
        self._lock = threading.RLock()
        self._consumer = Consumer(self._db)
        for username, full_name, role in _PEOPLE:
            self._db.add_user(username, full_name, role)
        self.faults = Faults()
        self.requests: list[Request] = []
        self._port = port
        self._running = ExitStack()

    def __enter__(self) -> Self:
        """Start to serve."""
        listener = socket.create_server(("127.0.0.1", self._port))
        self._db.url = f"http://127.0.0.1:{listener.getsockname()[1]}/api/"
        wire = Wire(Api(self._db, self._lock), self.faults, self.requests, self._lock)
        self._running.enter_context(HttpThread(wire, listener))
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Stop serving."""
        self._running.close()

    @property
    def generation(self) -> Generation:
        """Which Waldur this is."""
        return self._db.generation

    @property
    def version(self) -> str:
        """Its version."""
        return self._db.server.version

    @property
    def switches(self) -> Switches:
        """What its administrator has set; a test may set it otherwise."""
        return self._db.switches

    @property
    def strict(self) -> bool:
        """Whether parameters, fields and body keys that it doesn't know are refused with 400.

        A real server ignores them in silence. This one refuses them, so that a request with a
        filter that does not filter fails in a test; a replay of recordings may turn that off.
        """
        return self._db.strict

    @strict.setter
    def strict(self, strict: bool) -> None:
        self._db.strict = strict

    @property
    def url(self) -> str:
        """The address of the API, with `/api/`."""
        return self._db.url

    @property
    def offering_uuid(self) -> str:
        """The uuid of the one offering."""
        return self._db.offering_uuid

    @property
    def token(self) -> str:
        """The token of the service provider's owner."""
        return self.token_of(Role.PROVIDER)

    def token_of(self, role: Role | str) -> str:
        """Return the token of the person with a role: staff, provider, manager, customer, admin."""
        return self.person(role).token

    def person(self, role: Role | str) -> User:
        """Return the first person with a role."""
        return self._db.user_with_role(Role(role))

    def posts(self) -> list[Request]:
        """Return the logged requests that could change something."""
        with self._lock:
            return [entry for entry in self.requests if entry.method not in ("GET", "HEAD")]

    @property
    def clock(self) -> Clock:
        """What tells the simulator's time."""
        return self._db.clock

    @clock.setter
    def clock(self, clock: Clock) -> None:
        self._db.clock = clock

    def set_now(self, now: datetime | None) -> None:
        """Stop the clock at a moment (aware), or let it run again."""
        self.clock = utc_now if now is None else lambda: now

    def finish_jobs(self) -> None:
        """Let the server's own Celery, unless it is stopped, do its work without `job_delay`."""
        with self._lock:
            self._db.run_all_jobs()

    def stop_worker(self) -> None:
        """Stop the server's own Celery: what it would do waits, however long."""
        with self._lock:
            self._db.worker_running = False

    def start_worker(self) -> None:
        """Let the server's own Celery work again, beginning with what waits for it."""
        with self._lock:
            self._db.start_worker()

    def remove_price(self, type_: str) -> None:
        """Take a component's price out of the plan, where one that was added later has none."""
        with self._lock:
            self._db.prices.pop(type_, None)

    def close_period(self, month: str) -> None:
        """Close a billing period such as "2026-10": usage for it is refused from now on."""
        with self._lock:
            self._db.closed_periods.add(date.fromisoformat(f"{month}-01"))

    def set_user_limit(self, resource_uuid: str, type_: str, username: str, limit: object) -> None:
        """Limit a user's share of a resource's component; the username is that of the offering."""
        with self._lock:
            person = next(ou for ou in self._db.offering_users.values() if ou.username == username)
            self._db.user_limits[resource_uuid, type_, person.uuid] = Decimal(str(limit))

    def add_customer(self, name: str) -> Customer:
        """Add an organisation."""
        with self._lock:
            return self._consumer.add_customer(name)

    def add_project(self, customer: Customer, name: str) -> Project:
        """Add a project without members."""
        with self._lock:
            return self._consumer.add_project(customer, name)

    def move_project(self, project: Project, customer: Customer) -> None:
        """Give a project to another customer."""
        with self._lock:
            self._consumer.move_project(project, customer)

    def show_offering_users(self, *, shown: bool) -> None:
        """Set the offering's option `service_provider_can_create_offering_user`."""
        with self._lock:
            self._db.switches.shows_offering_users = shown

    def unlink(self, resource_uuid: str) -> None:
        """Forget a resource and its orders without an end of it, as staff can."""
        with self._lock:
            self._db.forget(self._db.resource(resource_uuid))

    def move_resource(self, uuid: str, project: Project) -> None:
        """Give a resource to another project."""
        with self._lock:
            self._consumer.move_resource(self._db.resource(uuid), project)

    def add_user(
        self, username: str, full_name: str | None = None, *, role: Role | str = Role.MEMBER
    ) -> User:
        """Add a person, by the name that they have in Waldur."""
        with self._lock:
            return self._consumer.add_user(username, full_name, Role(role))

    def user(self, username: str) -> User:
        """Return a person by the name that they have in Waldur."""
        with self._lock:
            return self._db.user_named(username)

    def add_member(self, project: Project, user: User) -> None:
        """Make a person a member of a project."""
        with self._lock:
            self._consumer.add_member(project, user)

    def remove_member(self, project: Project, user: User) -> None:
        """End a membership."""
        with self._lock:
            self._consumer.remove_member(project, user)

    def set_username(self, user: User, username: str) -> None:
        """Set a person's username on this offering, with an offering user in state OK."""
        with self._lock:
            self._consumer.set_username(user, username)

    def set_offering_user_state(self, user: User, state: str) -> None:
        """Set the state of a person's offering user (shown by GEN-B only)."""
        with self._lock:
            self._consumer.set_offering_user_state(user, state)

    def set_restricted(self, user: User, *, restricted: bool) -> None:
        """Suspend a person's access to the offering, or give it back."""
        with self._lock:
            self._consumer.set_restricted(user, restricted=restricted)

    def agree(self, user: User) -> None:
        """Let a person agree to the offering's terms."""
        with self._lock:
            self._db.agreed.add(user.uuid)

    def add_resource_user(self, resource_uuid: str, user: User) -> None:
        """Give a person a role on a resource, outside of its project."""
        with self._lock:
            self._db.resource_roles.setdefault(resource_uuid, []).append(user)

    def order_create(
        self,
        project: Project,
        name: str | None,
        limits: Mapping[str, int],
        *,
        state: str = OrderState.PENDING_PROVIDER,
    ) -> str:
        """Order a new allocation, without a name if that is None; return the order's uuid."""
        with self._lock:
            return self._consumer.order_create(project, name, limits, state).uuid

    def order_update(
        self,
        resource_uuid: str,
        limits: Mapping[str, int],
        *,
        state: str = OrderState.PENDING_PROVIDER,
    ) -> str:
        """Order other limits; return the order's uuid."""
        with self._lock:
            return self._consumer.order_update(resource_uuid, limits, state).uuid

    def order_terminate(
        self, resource_uuid: str, *, state: str = OrderState.PENDING_PROVIDER
    ) -> str:
        """Order the end of an allocation; return the order's uuid."""
        with self._lock:
            return self._consumer.order_terminate(resource_uuid, state).uuid

    def order_restore(self, resource_uuid: str, *, state: str = OrderState.PENDING_PROVIDER) -> str:
        """Order a terminated allocation back; return the order's uuid.

        Real servers of GEN-A have no such order; here it works, so that tests need no branch.

        Raises:
            ValueError: this server has no such order.
        """
        if not self._db.has(Feature.RESTORE_ORDERS):
            raise ValueError(f"Waldur {self.version} has no Restore orders")
        with self._lock:
            return self._consumer.order_restore(resource_uuid, state).uuid

    def order(self, uuid: str) -> Json:
        """Return an order as the API gives it."""
        with self._lock:
            self._db.run_due_jobs()
            return order_row(self._db, self._db.order(uuid))

    def resource(self, uuid: str) -> Json:
        """Return a resource as the API gives it."""
        with self._lock:
            self._db.run_due_jobs()
            return resource_row(self._db, self._db.resource(uuid))

    def allocation(self, resource_uuid: str) -> Json | None:
        """Return GEN-A's Allocation behind a resource: state, backend_id, limits, associations."""
        with self._lock:
            self._db.run_due_jobs()
            allocation = self._db.resource(resource_uuid).allocation
            if allocation is None:
                return None
            return {
                "uuid": allocation.uuid,
                "state": allocation.state.value,
                "backend_id": allocation.backend_id,
                "limits": dict(allocation.limits),
                "associations": set(allocation.associations),
            }

    def associations(self, resource_uuid: str) -> set[str]:
        """Return the usernames that GEN-A has been told of; GEN-B keeps none."""
        allocation = self.allocation(resource_uuid)
        return set() if allocation is None else set(allocation["associations"])

    def usages(self, resource_uuid: str) -> dict[tuple[str, str], Decimal]:
        """Return the reported usage by component and month ("2026-11-01")."""
        with self._lock:
            return {
                (usage.component.spec.type, usage.billing_period.isoformat()): usage.usage
                for usage in self._db.usages.values()
                if usage.resource.uuid == resource_uuid
            }

    def user_usages(self, resource_uuid: str) -> dict[tuple[str, str, str], Decimal]:
        """Return the reported usage by component, month and username."""
        with self._lock:
            return {
                (
                    share.component_usage.component.spec.type,
                    share.component_usage.billing_period.isoformat(),
                    share.username,
                ): share.usage
                for share in self._db.user_usages.values()
                if share.component_usage.resource.uuid == resource_uuid
            }

    def set_resource(self, resource_uuid: str, **fields: object) -> None:
        """Set fields of a resource past all rules: paused, limits, backend_id, state and so on."""
        with self._lock:
            resource = self._db.resource(resource_uuid)
            for name, value in fields.items():
                if not hasattr(resource, name):
                    raise AttributeError(f"a resource has no field {name!r}")
                setattr(resource, name, ResourceState(str(value)) if name == "state" else value)
            resource.modified = self._db.now()

    def set_order(self, uuid: str, **fields: object) -> None:
        """Set fields of an order past all rules: start_date, state and so on."""
        with self._lock:
            order = self._db.order(uuid)
            for name, value in fields.items():
                if not hasattr(order, name):
                    raise AttributeError(f"an order has no field {name!r}")
                setattr(order, name, OrderState(str(value)) if name == "state" else value)

    def cancel_order(self, uuid: str) -> None:
        """Take an order back, as its customer does."""
        with self._lock:
            orders.cancel(self._db, self._db.order(uuid))

    def set_allocation_state(self, resource_uuid: str, state: str) -> None:
        """Set the state of GEN-A's Allocation past all rules."""
        with self._lock:
            allocation = self._db.resource(resource_uuid).allocation
            if allocation is None:
                raise ValueError(f"resource {resource_uuid} has no Allocation")
            allocation.state = AllocationState(state)
