"""The state behind the server: everything that was ordered, and the clock and jobs it lives by."""

import math
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import TypeVar
from uuid import UUID
from zoneinfo import ZoneInfo

from slurm_tasks.demo.waldur.records import (
    FINAL_STATES,
    ComponentUsage,
    OfferingComponent,
    OfferingUser,
    Order,
    OrderType,
    Resource,
    UserUsage,
)
from slurm_tasks.demo.waldur.refusals import object_missing
from slurm_tasks.demo.waldur.switches import Switches
from slurm_tasks.demo.waldur.values import (
    Component,
    Customer,
    Generation,
    Project,
    Role,
    User,
    new_uuid,
)
from slurm_tasks.demo.waldur.versions import Feature, Server

Clock = Callable[[], datetime]
Record = TypeVar("Record")


def utc_now() -> datetime:
    """Return the real time in UTC."""
    return datetime.now(UTC)


@dataclass(frozen=True)
class Job:
    """Work that the server's own Celery does a little later (monotonic seconds)."""

    due: float
    run: Callable[[], None]


def plain_uuid(text: str) -> str | None:
    """Return a uuid, dashed or not, as 32 hex digits; None if it is no uuid."""
    try:
        return UUID(text).hex
    except ValueError:
        return None


class Database:
    """All records, by uuid; dictionaries keep the order of creation."""

    url = ""
    """Of the API; known when the server runs."""

    def __init__(self, server: Server, components: Iterable[Component], job_delay: float) -> None:
        self.server = server
        self.switches = Switches()
        self.job_delay = job_delay
        self.clock: Clock = utc_now
        self.offering_uuid = new_uuid()
        self.provider_uuid = new_uuid()
        self.other_provider_uuid = new_uuid()
        self.service_provider_uuid = new_uuid()
        self.category_uuid = new_uuid()
        self.plan_uuid = new_uuid()
        self.created = utc_now()
        self.users: dict[str, User] = {}
        self._user_of_token: dict[str, User] = {}
        self.customers: dict[str, Customer] = {}
        self.projects: dict[str, Project] = {}
        self.customer_of: dict[str, Customer] = {}
        """Project uuid to its customer."""
        self.members: dict[str, list[User]] = {}
        """Project uuid to its members."""
        self.orders: dict[str, Order] = {}
        self._orders_of: dict[str, list[Order]] = {}
        self.resources: dict[str, Resource] = {}
        self.offering_users: dict[str, OfferingUser] = {}
        self._offering_user_of: dict[str, OfferingUser] = {}
        self.usages: dict[str, ComponentUsage] = {}
        self._usage_of: dict[tuple[str, str, date], ComponentUsage] = {}
        self.user_usages: dict[str, UserUsage] = {}
        self._user_usage_of: dict[tuple[str, str], UserUsage] = {}
        self.user_limits: dict[tuple[str, str, str], Decimal] = {}
        """Resource uuid, component and offering user's uuid to that user's limit."""
        self.components: dict[str, OfferingComponent] = {}
        self.agreed: set[str] = set()
        """Uuids of the people who have agreed to the offering's terms."""
        self.resource_roles: dict[str, list[User]] = {}
        """Resource uuid to the people who have a role on that resource."""
        self.closed_periods: set[date] = set()
        self.agent_seen: datetime | None = None
        """When a site agent last asked for a list of this offering's."""
        self.offering_metadata: dict[str, object] = {}
        self._jobs: list[Job] = []
        self.strict = True
        """Whether what nobody has seen a server know is refused: parameters, fields, body keys."""
        self.worker_running = True
        """Whether the server's own Celery works; jobs wait for it otherwise."""
        self.worker_is_late = False
        """Whether it does what had to wait for it."""
        for spec in components:
            self.save_component(OfferingComponent(new_uuid(), spec))
        # A component that is added later gets no price by itself.
        self.prices = {component.spec.type: 0.0 for component in self.components.values()}
        """What the plan asks for a unit of a component; without an entry it has no price."""

    @property
    def generation(self) -> Generation:
        """The server's generation."""
        return self.server.generation

    def has(self, feature: Feature) -> bool:
        """Tell whether the server has a feature."""
        return self.server.has(feature)

    def now(self) -> datetime:
        """Return the simulator's time in UTC."""
        return self.clock().astimezone(UTC)

    def billing_period(self) -> date:
        """Return the first day of the current month."""
        return self.month_of(self.now())

    def today(self) -> date:
        """Return the server's day."""
        return self.now().astimezone(ZoneInfo(self.switches.time_zone)).date()

    def month_of(self, moment: datetime) -> date:
        """Return the first day of a moment's month: UTC's or, on newer servers, TIME_ZONE's."""
        zone = self.switches.time_zone if self.has(Feature.ZONED_MONTHS) else "UTC"
        return moment.astimezone(ZoneInfo(zone)).date().replace(day=1)

    def schedule(self, run: Callable[[], None]) -> None:
        """Do something `job_delay` seconds from now, at the first request after that."""
        self._jobs.append(Job(time.monotonic() + self.job_delay, run))

    def run_due_jobs(self) -> None:
        """Do what the server's workers would have done by now."""
        self._run_jobs(time.monotonic())

    def run_all_jobs(self) -> None:
        """Do what the server's workers have still to do."""
        self._run_jobs(math.inf)

    def start_worker(self) -> None:
        """Let the server's own Celery work again, beginning with what waits for it."""
        self.worker_running = self.worker_is_late = True
        self.run_all_jobs()
        self.worker_is_late = False

    def _run_jobs(self, until: float) -> None:
        if not self.worker_running:
            return
        due = [job for job in self._jobs if job.due <= until]
        self._jobs = [job for job in self._jobs if job.due > until]
        for job in due:
            job.run()

    def add_user(self, username: str, full_name: str, role: Role) -> User:
        """Add a person with a token of their own."""
        token = new_uuid() + new_uuid()[:8]
        user = User(
            new_uuid(), username, full_name, f"{username}@example.org", token=token, role=role
        )
        self.users[user.uuid] = user
        self._user_of_token[token] = user
        return user

    def save_component(self, component: OfferingComponent) -> None:
        """Add a component to the offering, or store what has changed in it."""
        if component.spec.limit_period is None and self.has(Feature.MONTH_BY_DEFAULT):
            component.spec = replace(component.spec, limit_period="month")
        self.components[component.uuid] = component

    def add_order(self, order: Order) -> None:
        """Add an order."""
        self.orders[order.uuid] = order
        self._orders_of.setdefault(order.resource.uuid, []).append(order)

    def add_offering_user(self, offering_user: OfferingUser) -> None:
        """Add a person's offering user."""
        self.offering_users[offering_user.uuid] = offering_user
        self._offering_user_of[offering_user.user.uuid] = offering_user

    def remove_offering_user(self, offering_user: OfferingUser) -> None:
        """Forget a person's offering user."""
        del self.offering_users[offering_user.uuid]
        del self._offering_user_of[offering_user.user.uuid]

    def add_usage(self, usage: ComponentUsage) -> None:
        """Add the first usage of a component in a month."""
        self.usages[usage.uuid] = usage
        key = (usage.resource.uuid, usage.component.uuid, usage.billing_period)
        self._usage_of[key] = usage

    def add_user_usage(self, usage: UserUsage) -> None:
        """Add the first usage of a username in a component usage."""
        self.user_usages[usage.uuid] = usage
        self._user_usage_of[usage.component_usage.uuid, usage.username] = usage

    def user_with_role(self, role: Role) -> User:
        """Return the first person with a role."""
        return next(user for user in self.users.values() if user.role == role)

    def user_named(self, username: str) -> User:
        """Return the person with a username in Waldur."""
        return next(user for user in self.users.values() if user.username == username)

    def user_of_token(self, token: str) -> User | None:
        """Return the person who holds a token."""
        return self._user_of_token.get(token)

    def component(self, type_: str) -> OfferingComponent | None:
        """Return the offering's component of a type."""
        return next((c for c in self.components.values() if c.spec.type == type_), None)

    def order(self, uuid: str) -> Order:
        """Return an order.

        Raises:
            RefusedError: 404 if there is none.
        """
        return _found(self.orders, uuid, "Order")

    def resource(self, uuid: str) -> Resource:
        """Return a resource.

        Raises:
            RefusedError: 404 if there is none.
        """
        return _found(self.resources, uuid, "Resource")

    def offering_user(self, uuid: str) -> OfferingUser:
        """Return an offering user.

        Raises:
            RefusedError: 404 if there is none.
        """
        return _found(self.offering_users, uuid, "OfferingUser")

    def component_usage(self, uuid: str) -> ComponentUsage:
        """Return a component usage.

        Raises:
            RefusedError: 404 if there is none.
        """
        return _found(self.usages, uuid, "ComponentUsage")

    def usage_of(
        self, resource: Resource, component: OfferingComponent, period: date
    ) -> ComponentUsage | None:
        """Return a resource's usage of a component in a month."""
        return self._usage_of.get((resource.uuid, component.uuid, period))

    def usages_of(self, resource: Resource, component: OfferingComponent) -> list[ComponentUsage]:
        """Return a resource's usages of a component, of all months."""
        return [
            usage
            for usage in self.usages.values()
            if usage.resource is resource and usage.component is component
        ]

    def user_usage_of(self, usage: ComponentUsage, username: str) -> UserUsage | None:
        """Return a username's share of a component usage."""
        return self._user_usage_of.get((usage.uuid, username))

    def user_usages_of(self, usage: ComponentUsage) -> list[UserUsage]:
        """Return the shares of a component usage."""
        return [share for share in self.user_usages.values() if share.component_usage is usage]

    def offering_user_of(self, user: User) -> OfferingUser | None:
        """Return a person's offering user."""
        return self._offering_user_of.get(user.uuid)

    def customer_of_resource(self, resource: Resource) -> Customer:
        """Return the customer whose project a resource is in."""
        return self.customer_of[resource.project_uuid]

    def orders_of(self, resource: Resource) -> list[Order]:
        """Return the orders of a resource, oldest first."""
        return self._orders_of.get(resource.uuid, [])

    def forget(self, resource: Resource) -> None:
        """Lose a resource with its orders and usages, as when staff unlinks it."""
        del self.resources[resource.uuid]
        self.orders = {u: o for u, o in self.orders.items() if o.resource is not resource}
        self._orders_of.pop(resource.uuid, None)
        self.usages = {u: x for u, x in self.usages.items() if x.resource is not resource}
        self.user_usages = {
            u: x for u, x in self.user_usages.items() if x.component_usage.uuid in self.usages
        }

    def active_order(self, resource: Resource) -> Order | None:
        """Return a resource's order that has not come to an end."""
        return next((o for o in self.orders_of(resource) if o.state not in FINAL_STATES), None)

    def creation_order(self, resource: Resource) -> Order | None:
        """Return the order that made a resource."""
        return next((o for o in self.orders_of(resource) if o.type == OrderType.CREATE), None)


def _found(records: dict[str, Record], uuid: str, kind: str) -> Record:
    record = records.get(plain_uuid(uuid) or "")
    if record is None:
        raise object_missing(kind)
    return record
