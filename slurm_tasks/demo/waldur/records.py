"""What changes over time: orders, resources, allocations, users of the offering, usage."""

from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum

from slurm_tasks.demo.waldur.values import Component, Json, User


class OrderState(StrEnum):
    """States of an order."""

    PENDING_PROJECT = "pending-project"
    PENDING_CONSUMER = "pending-consumer"
    PENDING_PROVIDER = "pending-provider"
    PENDING_START_DATE = "pending-start-date"
    EXECUTING = "executing"
    DONE = "done"
    ERRED = "erred"
    CANCELED = "canceled"
    REJECTED = "rejected"


FINAL_STATES = (OrderState.DONE, OrderState.ERRED, OrderState.CANCELED, OrderState.REJECTED)


class OrderType(StrEnum):
    """What an order asks for; Restore exists on GEN-B only."""

    CREATE = "Create"
    UPDATE = "Update"
    TERMINATE = "Terminate"
    RESTORE = "Restore"


class ResourceState(StrEnum):
    """States of a marketplace resource."""

    CREATING = "Creating"
    OK = "OK"
    ERRED = "Erred"
    UPDATING = "Updating"
    TERMINATING = "Terminating"
    TERMINATED = "Terminated"


class AllocationState(StrEnum):
    """States of GEN-A's Allocation, the plugin's own record behind a resource."""

    CREATION_SCHEDULED = "Creation Scheduled"
    CREATING = "Creating"
    OK = "OK"
    ERRED = "Erred"
    UPDATE_SCHEDULED = "Update Scheduled"
    UPDATING = "Updating"
    DELETION_SCHEDULED = "Deletion Scheduled"
    DELETING = "Deleting"


class OfferingUserState(StrEnum):
    """States of an offering user (GEN-B)."""

    REQUESTED = "Requested"
    CREATING = "Creating"
    PENDING_ACCOUNT_LINKING = "Pending account linking"
    PENDING_ADDITIONAL_VALIDATION = "Pending additional validation"
    OK = "OK"
    REQUESTED_DELETION = "Requested deletion"
    DELETING = "Deleting"
    DELETED = "Deleted"
    ERROR_CREATING = "Error creating"
    ERROR_DELETING = "Error deleting"


@dataclass
class Allocation:
    """GEN-A's Allocation: it drifts, as nothing but slurm-remote calls move its state back."""

    uuid: str
    created: datetime
    modified: datetime
    state: AllocationState = AllocationState.CREATION_SCHEDULED
    backend_id: str = ""
    limits: Json = field(default_factory=dict)
    associations: dict[str, str] = field(default_factory=dict)
    """Username to the uuid of its association."""


@dataclass
class PlanPeriod:
    """The time in which a resource is on the plan."""

    uuid: str
    resource_uuid: str
    start: datetime
    end: datetime | None = None


@dataclass
class Resource:
    """A marketplace resource: what the customer ordered."""

    uuid: str
    name: str
    project_uuid: str
    created: datetime
    modified: datetime
    limits: Json
    attributes: Json
    state: ResourceState = ResourceState.CREATING
    backend_id: str = ""
    effective_id: str = ""
    backend_metadata: Json = field(default_factory=dict)
    current_usages: dict[str, Decimal] = field(default_factory=dict)
    report: list[Json] | None = None
    end_date: date | None = None
    paused: bool = False
    downscaled: bool = False
    restrict_member_access: bool = False
    error_message: str = ""
    error_traceback: str = ""
    last_sync: datetime | None = None
    allocation: Allocation | None = None
    plan_periods: list[PlanPeriod] = field(default_factory=list)


@dataclass
class Order:
    """One order of one resource."""

    uuid: str
    type: OrderType
    state: OrderState
    resource: Resource
    limits: Json
    attributes: Json
    created: datetime
    modified: datetime
    created_by: User
    consumer_reviewed_by: User | None = None
    consumer_reviewed_at: datetime | None = None
    provider_reviewed_by: User | None = None
    provider_reviewed_at: datetime | None = None
    completed_at: datetime | None = None
    backend_id: str = ""
    output: str = ""
    start_date: date | None = None
    error_message: str = ""
    error_traceback: str = ""


@dataclass
class OfferingUser:
    """A person's account name on the offering; `username` is empty until somebody sets it."""

    uuid: str
    user: User
    created: datetime
    modified: datetime
    username: str = ""
    state: OfferingUserState = OfferingUserState.REQUESTED
    propagation_date: datetime | None = None
    is_restricted: bool = False
    service_provider_comment: str = ""
    service_provider_comment_url: str = ""


@dataclass
class OfferingComponent:
    """One component of the offering as it is stored."""

    uuid: str
    spec: Component
    description: str = ""
    article_code: str = ""
    min_value: int | None = None
    max_available_limit: int | None = None


@dataclass
class ComponentUsage:
    """The absolute usage of one component of one resource in one month."""

    uuid: str
    resource: Resource
    component: OfferingComponent
    billing_period: date
    usage: Decimal
    date: datetime
    created: datetime
    description: str = ""
    recurring: bool = False


@dataclass
class UserUsage:
    """One username's share of a component usage."""

    uuid: str
    component_usage: ComponentUsage
    username: str
    usage: Decimal
    created: datetime
    modified: datetime
    offering_user: OfferingUser | None = None
