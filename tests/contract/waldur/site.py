"""A running simulator with a project, and the few steps that most tests start from."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date
from typing import Any

import httpx

from slurm_tasks.demo.waldur import Component, Customer, Project, Role, User, WaldurSimulator
from slurm_tasks.demo.waldur.values import Generation

LIMITS = {"ram": 1000, "nodehours": 50}

# Those of the recorded server.
COMPONENTS = (
    Component("cpu", "CPU hours", "CPU-hours", "usage"),
    Component("gpu", "GPU hours", "GPU-hours", "usage", limit_period="month", limit_amount=100_000),
    Component("ram", "RAM GB-hours", "GB-hours", limit_period="total"),
    Component("nodehours", "Node hours", "hours", max_value=100_000),
)

# Longer than any test: the server's own Celery runs when a test says so.
NEVER = 3600.0


@dataclass(frozen=True)
class Site:
    """A simulator, its provider's client, and a project with one member."""

    waldur: WaldurSimulator
    provider: httpx.Client
    customer: Customer
    project: Project
    alice: User

    @classmethod
    @contextmanager
    def started(
        cls,
        generation: Generation,
        version: str | None = None,
        components: Iterable[Component] = COMPONENTS,
    ) -> Iterator[Site]:
        """Start a simulator."""
        with WaldurSimulator(generation, components, job_delay=NEVER, version=version) as waldur:
            customer = waldur.add_customer("University A")
            project = waldur.add_project(customer, "Protein Folding")
            alice = waldur.add_user("alice", "Alice Araña")
            waldur.add_member(project, alice)
            with cls._client(waldur, Role.PROVIDER) as provider:
                yield cls(waldur, provider, customer, project, alice)

    @staticmethod
    def _client(waldur: WaldurSimulator, role: Role) -> httpx.Client:
        headers = {"Authorization": f"Token {waldur.token_of(role)}"}
        # `verify` off: the simulator speaks plain HTTP, and loading certificates takes 30 ms.
        return httpx.Client(
            base_url=waldur.url, headers=headers, follow_redirects=True, verify=False
        )

    @property
    def month(self) -> date:
        """The simulator's billing period."""
        return self.waldur.clock().astimezone(UTC).date().replace(day=1)

    def client_of(self, role: Role) -> httpx.Client:
        """Return another person's client."""
        return self._client(self.waldur, role)

    def post(self, path: str, body: object = None) -> httpx.Response:
        """Post as the provider."""
        return self.provider.post(path, json=body) if body is not None else self.provider.post(path)

    def get(self, path: str, **query: Any) -> Any:  # noqa: ANN401 - JSON
        """Get as the provider, and return the JSON."""
        return self.provider.get(path, params=query).raise_for_status().json()

    def act(self, order: str, action: str, body: object = None) -> httpx.Response:
        """Ask for an action of an order."""
        return self.post(f"marketplace-orders/{order}/{action}/", body)

    def approve(self, order: str) -> None:
        """Approve an order and let the server process it."""
        self.act(order, "approve_by_provider").raise_for_status()
        self.waldur.finish_jobs()

    def resource_of(self, order: str) -> str:
        """Return the uuid of an order's resource."""
        uuid: str = self.waldur.order(order)["marketplace_resource_uuid"]
        return uuid

    def allocated(self, name: str = "alloc-one") -> str:
        """Order, approve and complete an allocation; return its resource's uuid."""
        order = self.waldur.order_create(self.project, name, LIMITS)
        self.approve(order)
        self.act(order, "set_state_done").raise_for_status()
        resource = self.resource_of(order)
        if self.waldur.generation == "a":
            self.remote(resource, "set_state", {"state": "ok"}).raise_for_status()
        return resource

    def remote(self, resource: str, action: str, body: object) -> httpx.Response:
        """Ask for an action of GEN-A's Allocation."""
        return self.post(f"marketplace-slurm-remote/{resource}/{action}/", body)

    def report(self, resource: str, /, **amounts: object) -> httpx.Response:
        """Report usage of a resource."""
        usages = [{"type": type_, "amount": amount} for type_, amount in amounts.items()]
        body = {"resource": resource, "usages": usages}
        return self.post("marketplace-component-usages/set_usage/", body)

    def usage_uuid(self, resource: str, type_: str = "cpu") -> str:
        """Return the uuid of a resource's first component usage of a type."""
        rows = self.get("marketplace-component-usages/", resource_uuid=resource, type=type_)
        return str(rows[0]["uuid"])

    def state_of(self, resource: str) -> str:
        """Return a resource's state."""
        state: str = self.waldur.resource(resource)["state"]
        return state
