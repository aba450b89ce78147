"""What never changes once made: people, customers, components, logged requests."""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Literal
from uuid import uuid4

Generation = Literal["a", "b"]
Json = dict[str, Any]


def new_uuid() -> str:
    """Return a fresh uuid the way Waldur writes it: 32 hex digits without dashes."""
    return uuid4().hex


class Role(StrEnum):
    """What a person may do; Waldur's role names in the comments."""

    STAFF = "staff"
    PROVIDER = "provider"  # CUSTOMER.OWNER of the service provider
    PROVIDER_MANAGER = "provider_manager"  # CUSTOMER.MANAGER of the service provider
    MANAGER = "manager"  # OFFERING.MANAGER
    OTHER_PROVIDER = "other_provider"  # CUSTOMER.OWNER of another service provider
    CUSTOMER = "customer"  # CUSTOMER.OWNER of every consumer
    ADMIN = "admin"  # PROJECT.ADMIN of every project
    MEMBER = "member"  # PROJECT.MEMBER


PROVIDERS = (Role.STAFF, Role.PROVIDER, Role.PROVIDER_MANAGER, Role.MANAGER)
PROVIDER_OWNERS = (Role.STAFF, Role.PROVIDER, Role.PROVIDER_MANAGER)
"""Who has rights on the provider: its owner has all, others by their role; here the same."""
CONSUMERS = (Role.STAFF, Role.CUSTOMER, Role.ADMIN, Role.MEMBER)
CONSUMER_OWNERS = (Role.STAFF, Role.CUSTOMER)
ORDERERS = (Role.STAFF, Role.CUSTOMER, Role.ADMIN)


@dataclass(frozen=True)
class Customer:
    """An organisation that orders."""

    uuid: str
    name: str


@dataclass(frozen=True)
class Project:
    """A customer's project; which customer it is can change (`move_project`)."""

    uuid: str
    name: str


@dataclass(frozen=True)
class User:
    """A person with a token."""

    uuid: str
    username: str
    full_name: str
    email: str
    token: str = field(repr=False)
    role: Role = Role.MEMBER

    @property
    def name(self) -> str:
        """The name that a page shows."""
        return self.full_name


@dataclass(frozen=True)
class Component:
    """One billed component of the offering, as it is asked for at the start."""

    type: str
    name: str
    measured_unit: str
    billing_type: str = "limit"
    unit_factor: int = 1
    limit_period: str | None = None
    limit_amount: int | None = None
    max_value: int | None = None


# SLURM counts CPU-minutes, MB-minutes and GPU-minutes; people buy hours.
DEFAULT_COMPONENTS = (
    Component("cpu", "CPU", "CPU-hours", unit_factor=60, max_value=10_000_000),
    Component("mem", "Memory", "GB-hours", "usage", unit_factor=61_440),
    Component("gres/gpu", "GPU", "GPU-hours", unit_factor=60, max_value=1_000_000),
)


@dataclass(frozen=True)
class Request:
    """One request that reached the server, with the status that it was answered with.

    `status` is 0 where the connection was cut before an answer.
    """

    method: str
    path: str
    query: tuple[tuple[str, str], ...]
    status: int
    body: object = None
