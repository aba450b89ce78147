"""Whether both sides agree: the end state that every fault has to lead to.

Written apart from the service: what should be on the cluster is worked out here from Waldur's
records, and what should be billed from the jobs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Protocol

from slurm_tasks.demo.waldur import WaldurSimulator
from slurm_tasks.demo.waldur.records import OrderState, Resource, ResourceState
from slurm_tasks.model import names, tres
from slurm_tasks.model.components import Components
from slurm_tasks.sync import roster

GIVEN = frozenset({"root", "waldur"})
"""Accounts that are there from the start."""
GONE = (ResourceState.TERMINATED, ResourceState.CREATING)
Usage = Mapping[tuple[str, ...], Decimal]
"""Amounts in measured units: totals by component and month (`YYYY-MM-01`), as Waldur has them,
and users' parts by component, month and user."""


class Account(Protocol):
    """An account of a cluster, simulated or real."""

    @property
    def parent(self) -> str:
        """The account above it."""

    @property
    def description(self) -> str:
        """As stored; ours starts with a marker."""

    @property
    def limits(self) -> Mapping[str, int]:
        """GrpTRESMins by TRES."""

    @property
    def users(self) -> frozenset[str]:
        """Users with an association in it."""


@dataclass(frozen=True)
class Ends:
    """How it should have ended, where that is more than "every order done as ordered".

    Attributes:
        refused: what the message of an erred order has to name, by the order's uuid.
        cancelled: orders that people ended themselves.
        foreign: accounts that aren't the service's.
        strangers: users by account whom the service didn't put there.
        usage: what the jobs of each account used; None: not looked at.
    """

    refused: Mapping[str, str] = field(default_factory=dict)
    cancelled: frozenset[str] = frozenset()
    foreign: frozenset[str] = frozenset()
    strangers: Mapping[str, frozenset[str]] = field(default_factory=dict)
    usage: Mapping[str, Usage] | None = None


def disagreements(
    waldur: WaldurSimulator,
    accounts: Mapping[str, Account],
    components: Components,
    ends: Ends | None = None,
) -> list[str]:
    """Say where the two sides differ, a sentence each; none once all has come to its end."""
    ends = ends or Ends()
    return [
        *_orders(waldur, ends),
        *_tree(waldur, accounts, ends),
        *_allocations(waldur, accounts, components, ends),
        *(_usage(waldur, ends.usage) if ends.usage is not None else ()),
    ]


def assert_agree(
    waldur: WaldurSimulator,
    accounts: Mapping[str, Account],
    components: Components,
    ends: Ends | None = None,
) -> None:
    """Assert that both sides agree."""
    found = disagreements(waldur, accounts, components, ends)
    assert not found, "\n".join(found)


def _orders(waldur: WaldurSimulator, ends: Ends) -> Iterator[str]:
    for order in waldur._db.orders.values():
        what = f"the {order.type} order {order.uuid} of {order.resource.name[:40]!r}"
        if order.uuid in ends.cancelled:
            continue
        if named := ends.refused.get(order.uuid):
            if order.state != OrderState.ERRED or named not in order.error_message:
                yield f"{what} is {order.state}, not refused for {named!r}: {order.error_message}"
        elif order.state != OrderState.DONE:
            yield f"{what} is {order.state}: {order.error_message}"


def _live(waldur: WaldurSimulator) -> list[Resource]:
    """Return the resources that have an account: those whose Create order was done."""
    return [r for r in waldur._db.resources.values() if r.state not in GONE and r.backend_id]


def _marker(account: Account) -> tuple[str, str] | None:
    found = names.marker(account.description)
    return (str(found[0]), found[1]) if found else None


def _tree(waldur: WaldurSimulator, accounts: Mapping[str, Account], ends: Ends) -> Iterator[str]:
    """Compare which accounts there are, what they stand for, and what they hang under."""
    wanted: dict[tuple[str, str], tuple[str, str]] = {}
    """What should be there, with what should be above it."""
    for resource in _live(waldur):
        project, customer = resource.project_uuid, waldur._db.customer_of_resource(resource).uuid
        wanted["allocation", resource.uuid] = ("project", project)
        wanted["project", project] = ("customer", customer)
        wanted["customer", customer] = ("", "waldur")
    found: dict[tuple[str, str], str] = {}
    for name, account in accounts.items():
        marker = _marker(account)
        if name in GIVEN | ends.foreign:
            continue
        if marker is None or marker not in wanted:
            yield f"the account {name} ({account.description}) should not be there"
        elif marker in found:
            yield f"{name} and {found[marker]} stand for the same {marker}"
        else:
            found[marker] = name
    for marker, above in wanted.items():
        if marker not in found:
            yield f"the account of {marker} is missing"
        elif above[0] and above in found and accounts[found[marker]].parent != found[above]:
            yield f"{found[marker]} is under {accounts[found[marker]].parent}, not {found[above]}"
        elif not above[0] and accounts[found[marker]].parent != above[1]:
            yield f"{found[marker]} is under {accounts[found[marker]].parent}, not {above[1]}"


def _allocations(
    waldur: WaldurSimulator, accounts: Mapping[str, Account], components: Components, ends: Ends
) -> Iterator[str]:
    """Compare each allocation's name, limits and users."""
    for resource in _live(waldur):
        name = resource.backend_id
        account = accounts.get(name)
        if account is None or _marker(account) != ("allocation", resource.uuid):
            yield f"{resource.uuid} names the account {name!r}, which isn't its own"
            continue
        if resource.state != ResourceState.OK:
            yield f"{name} is {resource.state}"
        if account.limits != (limits := _limits(resource, components)):
            yield f"{name} has the limits {account.limits}, not {limits}"
        users = _team(waldur, resource)
        if account.users - ends.strangers.get(name, frozenset()) != users:
            yield f"{name} has the users {set(account.users)}, not {set(users)}"
        if waldur.generation == "a" and waldur.associations(resource.uuid) != account.users:
            yield f"Waldur associates {waldur.associations(resource.uuid)} with {name}"
        allocation = waldur.allocation(resource.uuid)
        if allocation and (allocation["state"], allocation["backend_id"]) != ("OK", name):
            yield f"the Allocation of {name} is {allocation['state']}, {allocation['backend_id']}"
        bodies = [
            part["body"] for part in resource.report or () if part["header"] == roster.PRESENT
        ]
        listed = {user.lower() for body in bodies for user in body.split(", ")} - {"-"}
        if listed != users:
            yield f"the roster of {name} is {listed}, not {set(users)}"


def _limits(resource: Resource, components: Components) -> dict[str, int]:
    """Work out the limits in TRES-minutes, as a listing shows them."""
    ordered = {
        name: component.limit if component.accounting_type == "usage" else resource.limits.get(name)
        for name, component in components.items()
    }
    return {
        name: tres.listed(name, int(Decimal(str(amount)) * components[name].unit_factor))
        for name, amount in ordered.items()
        if amount is not None
    }


def _team(waldur: WaldurSimulator, resource: Resource) -> frozenset[str]:
    """Return the usernames that belong in an allocation's account."""
    if resource.restrict_member_access:
        return frozenset()
    people = (
        waldur._db.offering_user_of(user) for user in waldur._db.members[resource.project_uuid]
    )
    folded = (
        person.username.strip().lower()
        for person in people
        if person and (waldur.generation == "a" or person.state == "OK")
    )
    return frozenset(name for name in folded if names.is_username(name))


def _usage(waldur: WaldurSimulator, used: Mapping[str, Usage]) -> Iterator[str]:
    """Compare what is billed with what the jobs used: nothing missing, doubled or foreign."""
    for resource in waldur._db.resources.values():
        billed: dict[tuple[str, ...], Decimal] = {
            **{key: value for key, value in waldur.usages(resource.uuid).items() if value},
            **{key: value for key, value in waldur.user_usages(resource.uuid).items() if value},
        }
        measured = {key: value for key, value in used.get(resource.backend_id, {}).items() if value}
        if billed != measured:
            differing = sorted(set(billed.items()) ^ set(measured.items()))
            yield f"{resource.backend_id or resource.uuid} is billed otherwise: {differing}"
