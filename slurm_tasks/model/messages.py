"""What crosses the broker: small, typed, and nothing that could be a command.

Both sides validate it on arrival (`pydantic=True` tasks); unknown fields are refused, so a
message of another version fails loudly instead of being half understood.
"""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from slurm_tasks.model import names, tres
from slurm_tasks.model.usage import Period, PeriodUsage

MAX_MINUTES = 2**53 - 1
"""Largest limit in TRES-minutes: the largest integer that JSON's readers agree on."""


def _username(text: str) -> str:
    if not names.is_username(text):
        raise ValueError(f"{text!r} is not a username that may reach SLURM")
    return text


def _account(text: str) -> str:
    if text and (not names.is_account(text) or text == "root"):
        raise ValueError(f"{text!r} is not an account's name")
    return text


def _named_account(text: str) -> str:
    if not text:
        raise ValueError("an account's name is empty")
    return _account(text)


def _uuid(text: str) -> str:
    if not names.is_uuid(text):
        raise ValueError(f"{text!r} is not a uuid")
    return text


def _tres(text: str) -> str:
    if not tres.is_tres(text):
        raise ValueError(f"{text!r} is not a TRES")
    return text


Uuid = Annotated[str, AfterValidator(_uuid)]
Username = Annotated[str, AfterValidator(_username)]
AccountName = Annotated[str, AfterValidator(_account)]
Limits = dict[
    Annotated[str, AfterValidator(_tres)], Annotated[int, Field(ge=tres.UNLIMITED, le=MAX_MINUTES)]
]


Found = dict[str, int]
"""Limits as the cluster has them, of whatever TRES: an administrator may have set more than
MAX_MINUTES."""


class Message(BaseModel):
    """What all messages have in common."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=False)

    def dump(self) -> dict[str, Any]:
        """Return it as JSON's own types, as a task's argument wants it."""
        return self.model_dump(mode="json")


class Owner(Message):
    """A customer or a project: whose account a new allocation hangs under."""

    uuid: Uuid
    title: str = Field(default="", max_length=2000)


class Intent(StrEnum):
    """Why an allocation is looked at, and so what may be done to it."""

    CREATE = "create"
    """The account must exist, with these limits and these users; it may be the first of all."""
    UPDATE = "update"
    """The same for an allocation that exists; made again if its account is gone."""
    TERMINATE = "terminate"
    """The account must not exist any more."""
    MEMBERS = "members"
    """The account's users must be these; an account that is missing is only reported."""


class Desired(Message):
    """One allocation as Waldur wants it on the cluster.

    Attributes:
        intent: what may be done.
        resource: the marketplace resource's uuid; the marker of its account.
        title: its name in Waldur, for the account's name and description.
        customer: whose account stands above the project's.
        project: whose account stands above the allocation's.
        backend_id: the account's name when Waldur knows one; it always wins.
        limits: TRES-minutes (MB-minutes) to set, -1 for unlimited; None leaves them alone.
        keep_limits: whether an account that exists keeps the limits it has.
        configured: the TRES among the limits whose limit is the TRES configuration's.
        users: usernames that belong in the account; None leaves them alone.
        former: usernames that were put into it and may be of nobody any more (renamed, deleted);
            they may be removed from it like this offering's users.
        adds_users: whether users may be added; else they are only removed.
        restricted: whether members have lost access on purpose, so that removals are expected.
        paused: whether it accepts no jobs; None leaves that alone.
        downscaled: whether it runs in the QoS of downscaled ones; None leaves that alone.
        order: the order behind it, for the audit.
        periods: months to measure once the account is gone, if they have begun (TERMINATE).
        billed: the TRES that are measured then; empty: all.
    """

    intent: Intent
    resource: Uuid
    title: str = Field(default="", max_length=2000)
    customer: Owner
    project: Owner
    backend_id: AccountName = ""
    limits: Limits | None = None
    keep_limits: bool = False
    configured: frozenset[str] = frozenset()
    users: tuple[Username, ...] | None = None
    former: tuple[Username, ...] = ()
    adds_users: bool = True
    restricted: bool = False
    paused: bool | None = None
    downscaled: bool | None = None
    order: Uuid | None = None
    periods: tuple[Period, ...] = ()
    billed: frozenset[str] = frozenset()

    @property
    def expects_removals(self) -> bool:
        """Whether Waldur said explicitly that people lose access: the guard doesn't count them."""
        return (self.intent is Intent.TERMINATE and self.order is not None) or self.restricted


class ReconcileRequest(Message):
    """What the control side asks of the head node.

    Attributes:
        items: the allocations.
        removable_users: offering users of this offering, the only ones ever removed (besides
            an item's former ones).
        allow_removals: how many removals an operator has allowed; None: the guard decides.
        dry_run: plan only.
        tidy: whether these are all of an offering's resources, so that empty accounts of customers
            and projects that none of them needs are removed.
        last: whether nobody asks again soon, so that a cluster that is away is a failure.
    """

    items: tuple[Desired, ...]
    removable_users: frozenset[Username] = frozenset()
    allow_removals: int | None = Field(default=None, ge=0)
    dry_run: bool = False
    tidy: bool = False
    last: bool = True


class Status(StrEnum):
    """How an allocation came out of a reconciliation."""

    APPLIED = "applied"
    """The cluster is as wanted."""
    PLANNED = "planned"
    """Only planned: a dry run, or SLURM_READ_ONLY."""
    REFUSED = "refused"
    """It can't be carried out; the message is for the order's customer."""
    DEFERRED = "deferred"
    """Not now: jobs are ending, SLURM is away, or the cluster did not take the change."""
    STOPPED = "stopped"
    """The guard stopped it; an operator decides."""
    MISSING = "missing"
    """Waldur names an account that the cluster doesn't have."""


class Outcome(Message):
    """What became of one allocation.

    Attributes:
        resource: the marketplace resource's uuid.
        order: the order behind it, if any.
        account: the account's name, its backend id from now on.
        status: how it came out.
        message: why, for a person.
        changes: what was (or would be) done, a sentence each.
        notes: what differs and stays so on purpose, a sentence each.
        limits: the account's limits now, TRES-minutes.
        users: the account's users now.
        waiting: users who belong in it and can't be added yet, with the reason.
        usage: what TERMINATE measured at the end.
        unconfirmed: months among them of which only sacct says that nothing was used.
    """

    resource: Uuid
    order: Uuid | None = None
    account: AccountName = ""
    status: Status
    message: str = ""
    changes: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    limits: Found = {}
    users: tuple[str, ...] = ()
    waiting: dict[str, str] = {}
    usage: tuple[PeriodUsage, ...] = ()
    unconfirmed: tuple[str, ...] = ()


class ReconcileReport(Message):
    """What became of a request.

    Attributes:
        cluster: the cluster's name.
        outcomes: one for each item, in their order.
        tidied: which empty accounts were (or would be) removed, a sentence each.
        writes: how many commands changed the cluster.
        marked: allocations' accounts that the request didn't name, with the resource's uuid of
            each; only of a plan, and not of one for an order.
        unknown: those of them whose resource is gone from Waldur, a sentence each.
    """

    cluster: str
    outcomes: tuple[Outcome, ...]
    tidied: tuple[str, ...] = ()
    writes: int = 0
    marked: dict[Annotated[str, AfterValidator(_named_account)], Uuid] = {}
    unknown: tuple[str, ...] = ()


class CollectRequest(Message):
    """What to measure: which accounts, in which months.

    Attributes:
        accounts: resource uuid by account name.
        periods: the months, half-open.
        others: more accounts that Waldur names: what they use is nobody else's.
        billed: the TRES that are billed; empty: all may be. What is not understood of another
            keeps nothing from being reported.
    """

    accounts: dict[Annotated[str, AfterValidator(_named_account)], Uuid]
    periods: tuple[Period, ...]
    others: tuple[str, ...] = ()
    billed: frozenset[str] = frozenset()


class CheckRequest(Message):
    """What the control side expects of a cluster.

    Attributes:
        tres: the TRES that are billed.
        accounts: the accounts that Waldur names.
        limit_periods: over what Waldur counts a limit, by limit-based component.
    """

    tres: tuple[Annotated[str, AfterValidator(_tres)], ...] = ()
    accounts: tuple[Annotated[str, AfterValidator(_named_account)], ...] = ()
    limit_periods: dict[str, Literal["month", "quarterly", "annual", "total"]] = {}


class AllocationState(Message):
    """An allocation as the cluster has it, for the push.

    Attributes:
        resource: the marketplace resource's uuid.
        account: its account.
        present: whether the cluster has the account.
        limits: TRES-minutes.
        unread_limits: limits that are not understood, as listed, by TRES.
        users: its users.
        usage: what it used, by month.
        unread_usage: why its usage isn't known, by month; such a month isn't in `usage`.
    """

    resource: Uuid
    account: AccountName
    present: bool
    limits: Found = {}
    unread_limits: dict[str, str] = {}
    users: tuple[str, ...] = ()
    usage: tuple[PeriodUsage, ...] = ()
    unread_usage: dict[str, str] = {}


class Measurement(Message):
    """What one collection found, for at most 200 allocations.

    Attributes:
        cluster: the cluster's name.
        measured_at: when the reading began.
        allocations: one for each account asked for.
        purged: months asked for whose jobs the cluster doesn't hold any more, not all of them.
        failed: why the job records of a month could not be read, by month.
        unconfirmed: months in which nothing was used, as far as sacct says, and nothing else that
            the cluster knows confirms it: where Waldur has usage, they could not be read.
    """

    cluster: str
    measured_at: datetime
    allocations: tuple[AllocationState, ...]
    purged: tuple[str, ...] = ()
    failed: dict[str, str] = {}
    unconfirmed: tuple[str, ...] = ()
